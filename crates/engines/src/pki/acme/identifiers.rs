//! Whom certificates are for: names and addresses, as orders and requests have them.

use std::net::IpAddr;

use strongroom_base::{Json, Result};
use strongroom_crypto::x509::{GeneralName, Request, attributes, ids};

use super::super::domain;
use super::limits::IDENTIFIERS_PER_ORDER;
use super::problem::Problem;
use super::stored::Identifier;

impl Identifier {
    /// Reads a member of an order's `identifiers`.
    fn read(json: &Json) -> Result<Self> {
        let text = |name: &str| {
            let text = json.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
            text.ok_or_else(|| Problem::Malformed.says("an identifier lacks its type or value"))
        };
        match (text("type")?, text("value")?) {
            ("dns", value) => Self::name(value),
            ("ip", value) => Self::address(value),
            _ => Err(Problem::UnsupportedIdentifier.says("identifiers are of type dns or ip")),
        }
    }

    /// A name as it stands in certificates (RFC 8555 §7.1.4), which `*.` may precede.
    pub(super) fn name(value: &str) -> Result<Self> {
        let malformed = |text: &str| Problem::Malformed.says(format!("an identifier is {text}"));
        let name = value.to_ascii_lowercase();
        let proven = name.strip_prefix("*.").unwrap_or(&name);
        if proven.contains('*') {
            return Err(malformed("a wildcard of another form than '*.' before a name"));
        }
        // Neither `*.127.0.0.1` nor `127.1` is a name.
        let last = proven.rsplit('.').next().unwrap_or_default();
        if proven.parse::<IpAddr>().is_ok() || last.chars().all(|c| c.is_ascii_digit()) {
            return Err(malformed("of type dns and an address"));
        }
        let is_host = !proven.ends_with('.') && domain::is_hostname(proven);
        // What is punycode must be what its name in letters encodes to.
        let ascii = domain::to_ascii(proven).is_ok_and(|ascii| ascii == proven);
        let sound = !proven.contains("xn--") || idna::domain_to_unicode(proven).1.is_ok();
        if !is_host || !ascii || !sound {
            return Err(malformed("no host name in the form of certificates"));
        }
        Ok(Self::Dns(name))
    }

    fn address(value: &str) -> Result<Self> {
        let ip: IpAddr = value
            .parse()
            .map_err(|_| Problem::Malformed.says("an identifier of type ip is no address"))?;
        Ok(Self::Ip(ip.to_canonical().to_string()))
    }
}

/// The identifiers of an order, each once, sorted.
pub(super) fn of_order(json: Option<&Json>) -> Result<Vec<Identifier>> {
    let malformed = |text: &str| Problem::Malformed.says(text);
    let all = json.and_then(Json::as_array);
    let all = all.ok_or_else(|| malformed("the field 'identifiers' is missing or no list"))?;
    if all.is_empty() {
        return Err(malformed("an order has at least one identifier"));
    }
    if all.len() > IDENTIFIERS_PER_ORDER {
        return Err(Problem::RejectedIdentifier.says("an order has at most 100 identifiers"));
    }
    let mut identifiers: Vec<Identifier> = Vec::with_capacity(all.len());
    for one in all {
        let identifier = Identifier::read(one)?;
        if !identifiers.contains(&identifier) {
            identifiers.push(identifier);
        }
    }
    Ok(identifiers)
}

/// The identifiers that a request for a certificate names: its alternative names, and its common
/// name where that is one of a host. A name of another kind is refused: nobody has proved it.
pub(super) fn of_request(request: &Request) -> Result<Vec<Identifier>> {
    let bad = |text: &str| Problem::BadCsr.says(text);
    let mut identifiers = Vec::new();
    let mut add = |identifier: Identifier| {
        if !identifiers.contains(&identifier) {
            identifiers.push(identifier);
        }
    };
    let names =
        request.alt_names().map_err(|_| bad("the CSR's alternative names are malformed"))?;
    for name in names {
        match name {
            GeneralName::Dns(name) => {
                let name = Identifier::name(&name);
                add(name.map_err(|_| bad("a name of the CSR is no host name"))?);
            }
            GeneralName::Ip(ip) => add(Identifier::Ip(ip.to_canonical().to_string())),
            _ => return Err(bad("the CSR asks for names other than of hosts and addresses")),
        }
    }
    for name in request.subject.all(attributes::COMMON_NAME) {
        match name.parse::<IpAddr>() {
            _ if name.is_empty() => {}
            Ok(ip) => add(Identifier::Ip(ip.to_canonical().to_string())),
            Err(_) => {
                let name = Identifier::name(&name);
                add(name.map_err(|_| bad("the CSR's common name is no host name"))?);
            }
        }
    }
    Ok(identifiers)
}

/// The request that an order is fulfilled by: signed by its key, no authority's, for the order's
/// identifiers and no others.
pub(super) fn check_request(request: &Request, ordered: &[Identifier]) -> Result<()> {
    let bad = |text: &str| Problem::BadCsr.says(text);
    if request.public_key().is_err() || !request.is_signed() {
        return Err(bad("the CSR is not signed by its key, or the key is of another type"));
    }
    if request.wants_authority() {
        return Err(bad("the CSR asks for an authority's certificate"));
    }
    if request.extension(ids::BASIC_CONSTRAINTS).is_some_and(|value| value.len() > 16) {
        return Err(bad("the CSR's basic constraints are malformed"));
    }
    let asked = of_request(request)?;
    let same = asked.len() == ordered.len() && ordered.iter().all(|one| asked.contains(one));
    if !same {
        return Err(bad("the CSR's names are not those of the order"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn identifiers() {
        let long = format!("{}.example.com", "a".repeat(64));
        for (kind, value, expect) in [
            ("dns", "a.example.com", Some(Identifier::Dns("a.example.com".to_owned()))),
            ("dns", "A.Example.COM", Some(Identifier::Dns("a.example.com".to_owned()))),
            ("dns", "*.example.com", Some(Identifier::Dns("*.example.com".to_owned()))),
            ("dns", "localhost", Some(Identifier::Dns("localhost".to_owned()))),
            (
                "dns",
                "xn--bcher-kva.example",
                Some(Identifier::Dns("xn--bcher-kva.example".to_owned())),
            ),
            ("dns", "b\u{fc}cher.example", None),
            ("dns", "xn--\u{fc}.example", None),
            ("dns", "xn--a.example", None),
            ("dns", "*", None),
            ("dns", "*.", None),
            ("dns", "a.*.example.com", None),
            ("dns", "a*.example.com", None),
            ("dns", "*.*.example.com", None),
            ("dns", "127.0.0.1", None),
            ("dns", "*.127.0.0.1", None),
            ("dns", "127.1", None),
            ("dns", "::1", None),
            ("dns", "a.example.com.", None),
            ("dns", "a..example.com", None),
            ("dns", "a_b.example.com", None),
            ("dns", "a b.example.com", None),
            ("dns", "a/b.example.com", None),
            ("dns", "user@example.com", None),
            ("dns", "a.example.com:80", None),
            ("dns", &long, None),
            ("dns", "", None),
            ("ip", "192.0.2.1", Some(Identifier::Ip("192.0.2.1".to_owned()))),
            ("ip", "2001:DB8::0001", Some(Identifier::Ip("2001:db8::1".to_owned()))),
            ("ip", "::ffff:192.0.2.1", Some(Identifier::Ip("192.0.2.1".to_owned()))),
            ("ip", "a.example.com", None),
            ("ip", "192.0.2.1/24", None),
            ("email", "a@example.com", None),
        ] {
            let read = Identifier::read(&json!({ "type": kind, "value": value }));
            assert_eq!(read.ok(), expect, "{kind} {value}");
        }
        for bad in [json!({}), json!("a"), json!({ "type": "dns" }), json!({ "type": 1 })] {
            assert!(Identifier::read(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_has_some_and_each_once() {
        let dns = |name: &str| json!({ "type": "dns", "value": name });
        let both = json!([dns("a.example"), dns("A.example"), dns("b.example")]);
        assert_eq!(of_order(Some(&both)).unwrap().len(), 2);
        let many: Vec<Json> = (0..=IDENTIFIERS_PER_ORDER).map(|i| dns(&format!("a{i}"))).collect();
        let most = many.get(1..).unwrap();
        assert_eq!(of_order(Some(&json!(most))).unwrap().len(), IDENTIFIERS_PER_ORDER);
        assert!(of_order(Some(&json!(many))).is_err());
        for bad in [None, Some(json!([])), Some(json!({})), Some(json!(["a"]))] {
            assert!(of_order(bad.as_ref()).is_err());
        }
    }
}
