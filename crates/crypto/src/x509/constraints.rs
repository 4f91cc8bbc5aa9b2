//! Name constraints (RFC 5280 §4.2.1.10): which names certificates below an authority may have.
//!
//! Invariant: a constraint that cannot be judged here allows no name of its form.

use super::certificate::Certificate;
use super::extension::ids;
use super::general_name::GeneralName;
use super::name::Name;
use super::tlv::{self, Reader, Tlv};
use super::{Malformed, Result};

/// Subtrees that are read of one certificate.
const SUBTREES_MAX: usize = 1_000;

/// The older place of an e-mail address, in the subject.
const EMAIL_ADDRESS: &str = "1.2.840.113549.1.9.1";

const EMAIL: u8 = 1;
const DNS: u8 = 2;
const DIRECTORY: u8 = 4;
const URI: u8 = 6;
const IP: u8 = 7;

/// A name with the number of its form.
struct Held {
    form: u8,
    value: Vec<u8>,
}

/// Does `authority` allow the names of `below`? Not if that takes more than `comparisons`, which become
/// fewer by it: strangers choose both.
pub fn allows(authority: &Certificate, below: &Certificate, comparisons: &mut usize) -> bool {
    let Some(value) = authority.extension(ids::NAME_CONSTRAINTS) else { return true };
    judge(value, below, comparisons).unwrap_or(false)
}

fn judge(constraints: &[u8], below: &Certificate, comparisons: &mut usize) -> Result<bool> {
    let mut parts = Reader::new(constraints).sequence()?;
    let permitted = subtrees(parts.optional(tlv::context_around(0))?)?;
    let excluded = subtrees(parts.optional(tlv::context_around(1))?)?;
    parts.end()?;
    let names = held(below)?;
    let needed = names.len().saturating_mul(permitted.len() + excluded.len());
    let Some(left) = comparisons.checked_sub(needed) else {
        *comparisons = 0;
        return Ok(false);
    };
    *comparisons = left;
    for name in names {
        let of_form = |(form, _): &&(u8, Vec<u8>)| *form == name.form;
        for (_, base) in excluded.iter().filter(of_form) {
            if name.is_within(base, true)? {
                return Ok(false);
            }
        }
        let mut allowed = !permitted.iter().any(|one| of_form(&one));
        for (_, base) in permitted.iter().filter(of_form) {
            allowed |= name.is_within(base, false)?;
        }
        if !allowed {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Form and base of each subtree.
fn subtrees(list: Option<Tlv<'_>>) -> Result<Vec<(u8, Vec<u8>)>> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let mut list = list.inside();
    let mut out = Vec::new();
    while !list.is_empty() {
        if out.len() >= SUBTREES_MAX {
            return Err(Malformed("it has too many name constraints"));
        }
        let mut subtree = list.sequence()?;
        let base = subtree.next()?;
        // Minimum and maximum are not used with any form (RFC 5280 §4.2.1.10).
        subtree.end()?;
        out.push((base.tag & 0x1f, base.value.to_vec()));
    }
    Ok(out)
}

/// All names that constraints are about.
fn held(certificate: &Certificate) -> Result<Vec<Held>> {
    let mut out = Vec::new();
    if !certificate.subject.is_empty() {
        let value = certificate.subject.der().to_vec();
        out.push(Held { form: DIRECTORY, value });
    }
    let names = certificate.alt_names()?;
    let mut held = |form, value: &[u8]| out.push(Held { form, value: value.to_vec() });
    for name in &names {
        match name {
            GeneralName::Other(..) => held(0, &[]),
            GeneralName::Email(text) => held(EMAIL, text.as_bytes()),
            GeneralName::Dns(text) => held(DNS, text.as_bytes()),
            GeneralName::Uri(text) => held(URI, text.as_bytes()),
            GeneralName::Ip(std::net::IpAddr::V4(ip)) => held(IP, &ip.octets()),
            GeneralName::Ip(std::net::IpAddr::V6(ip)) => held(IP, &ip.octets()),
            GeneralName::Unknown(der) => {
                let name = Reader::new(der).next()?;
                held(name.tag & 0x1f, name.value);
            }
        }
    }
    if !names.iter().any(|name| matches!(name, GeneralName::Email(_))) {
        for address in certificate.subject.all(EMAIL_ADDRESS) {
            held(EMAIL, address.as_bytes());
        }
    }
    Ok(out)
}

impl Held {
    /// Does it lie within the subtree of `base`? Where it is asked in order to exclude, a name that
    /// stands for several does so if one of them does.
    fn is_within(&self, base: &[u8], to_exclude: bool) -> Result<bool> {
        if self.form == IP {
            let (address, mask) = base.split_at(base.len() / 2);
            if address.len() != mask.len() || ![4, 16].contains(&mask.len()) {
                return Err(Malformed("a constraint of addresses is malformed"));
            }
            let pairs = self.value.iter().zip(address.iter().zip(mask));
            return Ok(self.value.len() == mask.len()
                && pairs.into_iter().all(|(own, (base, mask))| own & mask == base & mask));
        }
        if self.form == DIRECTORY {
            let (own, base) = (steps(&self.value)?, steps(base)?);
            return Ok(own.starts_with(&base));
        }
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned);
        let (Ok(own), Ok(base)) = (text(&self.value), text(base)) else {
            return Err(Malformed("a name is no text"));
        };
        match self.form {
            DNS => Ok(is_host_below(&own, &base) || to_exclude && may_stand_for(&own, &base)),
            EMAIL => mailbox(&own, &base),
            URI => Ok(host_of_uri(&own).is_some_and(|host| is_host(host, &base))),
            _ => Err(Malformed("a name constraint is of a form that is not known")),
        }
    }
}

/// Type and text of each attribute, in one spelling.
fn steps(der: &[u8]) -> Result<Vec<(String, String)>> {
    let attributes = Name::from_der(der)?.attributes()?;
    let one = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    Ok(attributes.into_iter().map(|(kind, text)| (kind, one(&text))).collect())
}

fn lower(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

/// The host itself, or one below it; with a dot in front only the latter.
fn is_host_below(host: &str, base: &str) -> bool {
    let (host, base) = (lower(host), lower(base));
    let (base, itself) = match base.strip_prefix('.') {
        Some(base) => (base, false),
        None => (base.as_str(), true),
    };
    base.is_empty()
        || itself && host == base
        || host.strip_suffix(base).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

/// Is the host `base` one of those that a name with an asterisk stands for?
fn may_stand_for(host: &str, base: &str) -> bool {
    let (host, base) = (lower(host), lower(base));
    host.strip_prefix("*.").is_some_and(|above| is_host_below(base.trim_start_matches('.'), above))
}

/// The very host; with a dot in front, one below it.
fn is_host(host: &str, base: &str) -> bool {
    if base.starts_with('.') { is_host_below(host, base) } else { lower(host) == lower(base) }
}

/// One mailbox, all of a host, or all of the hosts below one.
fn mailbox(own: &str, base: &str) -> Result<bool> {
    let at = || Malformed("an e-mail address is malformed");
    let (local, host) = own.rsplit_once('@').ok_or_else(at)?;
    Ok(match base.rsplit_once('@') {
        Some((of, at)) => local == of && lower(host) == lower(at),
        None => is_host(host, base),
    })
}

/// The host of a URI; none where it has none, or an address.
fn host_of_uri(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let named = !host.is_empty() && !host.starts_with('[');
    (named && host.parse::<std::net::IpAddr>().is_err()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_and_without() {
        for (form, own, base, within) in [
            (DNS, "a.example", "a.example", true),
            (DNS, "B.A.example", "a.example", true),
            (DNS, "ba.example", "a.example", false),
            (DNS, "a.example", ".a.example", false),
            (DNS, "b.a.example", ".a.example", true),
            (DNS, "x.test", "", true),
            (EMAIL, "x@a.example", "a.example", true),
            (EMAIL, "x@b.a.example", "a.example", false),
            (EMAIL, "x@b.a.example", ".a.example", true),
            (EMAIL, "x@a.example", "x@A.example", true),
            (EMAIL, "y@a.example", "x@a.example", false),
            (URI, "spiffe://a.example/x", "a.example", true),
            (URI, "https://u@a.example:1/x", "a.example", true),
            (URI, "https://b.a.example", "a.example", false),
            (URI, "https://b.a.example", ".a.example", true),
            (URI, "https://a.example@evil.test/", "a.example", false),
            (URI, "https://127.0.0.1/", "127.0.0.1", false),
            (URI, "urn:x", "x", false),
        ] {
            let name = Held { form, value: own.as_bytes().to_vec() };
            assert_eq!(name.is_within(base.as_bytes(), false), Ok(within), "{own} {base}");
        }
        let all = Held { form: DNS, value: b"*.a.example".to_vec() };
        assert_eq!(all.is_within(b"b.a.example", true), Ok(true));
        assert_eq!(all.is_within(b"b.a.example", false), Ok(false));
        let net = [10, 0, 0, 0, 255, 0, 0, 0];
        for (ip, within) in [([10, 1, 2, 3], true), ([11, 1, 2, 3], false)] {
            let name = Held { form: IP, value: ip.to_vec() };
            assert_eq!(name.is_within(&net, false), Ok(within));
            assert!(name.is_within(&net[..5], false).is_err());
        }
        assert!(Held { form: 0, value: vec![] }.is_within(b"", true).is_err());
    }

    /// Whatever bit of a constraint is changed: no panic, and no name that was not allowed.
    #[test]
    fn broken_constraints_allow_nothing_more() {
        use crate::keys::{Curve, Hash, KeyType, PrivateKey};
        use crate::x509::{Extension, SignatureAlgorithm, Template};
        let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
        let names = [GeneralName::Dns("evil.test".to_owned())];
        let template = Template {
            serial: vec![1],
            issuer: Name::empty(),
            subject: Name::empty(),
            not_before: 0,
            not_after: 1,
            spki: key.public().unwrap().spki_der().to_vec(),
            extensions: vec![Extension::alt_names(&names, true).unwrap()],
        };
        let leaf = template.sign(&key, SignatureAlgorithm::Ecdsa(Hash::Sha256)).unwrap();
        let good = Extension::permitted_domains(&["a.example".to_owned()]).unwrap().value;
        assert_eq!(judge(&good, &leaf, &mut 1_000), Ok(false));
        for at in 0..good.len() {
            assert_ne!(judge(&good[..at], &leaf, &mut 1_000), Ok(true));
            for bit in 0..8 {
                let mut changed = good.clone();
                changed[at] ^= 1 << bit;
                let _ = judge(&changed, &leaf, &mut 1_000);
            }
        }
    }
}
