//! Holding the names that are asked for to a role.
//!
//! Invariant: what [`Judge::gather`] gives is what goes into the certificate, and every part of it
//! was judged, wherever it came from (threat GHSA-g892-p242-8g86).
//!
//! Errors say which of the names is refused by its place, and not by itself: they do not repeat
//! what was submitted.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;
use strongroom_base::glob::glob;
use strongroom_base::{Error, Result};
use strongroom_crypto::x509::{GeneralName, Request, attributes, is_oid};
use strongroom_kernel::plug::ReadCx;
use strongroom_kernel::policy::{IdentityTemplate, TemplateAllowance};

use super::plan::Asked;
use super::role::Role;
use super::{bad, domain};

/// Names of a certificate.
const NAMES_MAX: usize = 1_000;

/// The names of a certificate.
#[derive(Debug, Default)]
pub struct Names {
    /// Of the subject, or "".
    pub common_name: String,
    /// The subject's, or "".
    pub serial_number: String,
    /// Of the subject.
    pub user_ids: Vec<String>,
    /// The alternative ones, in the order of the certificate.
    pub alternatives: Vec<GeneralName>,
}

/// What a role allows a caller.
pub struct Judge<'r> {
    role: &'r Role,
    /// `allowed_domains`, with the caller's identity put in.
    domains: Vec<String>,
    /// `allowed_uri_sans`, likewise.
    uris: Vec<String>,
    display_name: String,
}

/// Names by their kind, as they were asked for.
#[derive(Default)]
struct Gathered {
    dns: Vec<String>,
    email: Vec<String>,
    ips: Vec<IpAddr>,
    uris: Vec<String>,
    others: Vec<(String, String)>,
}

impl<'r> Judge<'r> {
    /// A role before a caller.
    pub async fn new(cx: &ReadCx<'_>, role: &'r Role) -> Result<Self> {
        let allow_globs = role.allow_globs_in_identity_templates;
        let fill = async |list: &[String], templated: bool| match templated {
            true => fill_identity(cx, list, allow_globs).await,
            false => Ok(list.to_vec()),
        };
        Ok(Self {
            role,
            domains: fill(&role.allowed_domains, role.allowed_domains_template).await?,
            uris: fill(&role.allowed_uri_sans, role.allowed_uri_sans_template).await?,
            display_name: cx.request.display_name().to_owned(),
        })
    }

    /// The names of a request, and of the CSR that came with it, if the role allows all of them.
    pub fn gather(&self, asked: &Asked, csr: Option<&Request>) -> Result<Names> {
        let role = self.role;
        let common_name = self.common_name(asked, csr)?;
        let names_of_csr = csr.filter(|_| role.use_csr_sans);
        let mut found = match names_of_csr {
            Some(csr) => of_csr(csr)?,
            None => Gathered::default(),
        };
        for other in &asked.other_sans {
            found.others.push(parse_other_san(other)?);
        }
        if !common_name.is_empty() && !asked.exclude_cn_from_sans {
            // What is no host's name needs be none; it is checked as the common name.
            let _ = add_name(&mut found, &common_name);
        }
        if names_of_csr.is_none() {
            add_request(&mut found, asked)?;
        }
        self.check_common_name(&common_name)?;
        let serial_number = match (asked.serial_number.as_deref().unwrap_or_default(), csr) {
            ("", Some(csr)) => csr.subject.last(attributes::SERIAL_NUMBER),
            (asked, _) => asked.to_owned(),
        };
        let globs_allow = |globs: &[String], text: &str| globs.iter().any(|g| glob(g, text));
        if !serial_number.is_empty() && !globs_allow(&role.allowed_serial_numbers, &serial_number) {
            return Err(bad("serial_number not allowed by this role"));
        }
        self.check_all("subject alternate name", &found.dns)?;
        self.check_all("email address", &found.email)?;
        self.check_others(&found.others)?;
        self.check_addresses(&found, names_of_csr.is_some())?;
        self.check_uris(&found.uris, names_of_csr.is_some())?;
        let user_ids = match csr {
            _ if asked.without_user_ids => Vec::new(),
            Some(csr) if asked.user_ids.is_empty() => csr.subject.all(attributes::USER_ID),
            _ => asked.user_ids.clone(),
        };
        for id in &user_ids {
            let allowed = role.allowed_user_ids.iter().any(|a| a.eq_ignore_ascii_case(id));
            if !allowed && !globs_allow(&role.allowed_user_ids, id) {
                return Err(bad("user_id is not allowed by this role"));
            }
        }
        Ok(Names { common_name, serial_number, user_ids, alternatives: found.ordered()? })
    }

    fn common_name(&self, asked: &Asked, csr: Option<&Request>) -> Result<String> {
        let of_csr = csr.filter(|_| self.role.use_csr_common_name);
        let of_csr = of_csr.map(|csr| csr.subject.last(attributes::COMMON_NAME));
        let name = of_csr.filter(|name| !name.is_empty());
        let name = name.or_else(|| asked.common_name.clone()).unwrap_or_default();
        if name.is_empty() && self.role.require_cn {
            return Err(bad(
                "the common_name field is required, or must be provided in a CSR with \
                 \"use_csr_common_name\" set to true, unless \"require_cn\" is set to false",
            ));
        }
        Ok(name)
    }

    fn check_common_name(&self, name: &str) -> Result<()> {
        let wanted = &self.role.cn_validations;
        if name.is_empty() {
            return Ok(());
        }
        // A name that looks like an address is held to what holds for addresses, in any case.
        let refused = || bad("common name not allowed by this role");
        if !self.allows_address_in_text(name) {
            return Err(refused());
        }
        if wanted.iter().any(|v| v == "disabled") {
            return Ok(());
        }
        let kind = if name.contains('@') { "email" } else { "hostname" };
        if !self.allows(name) || !(wanted.is_empty() || wanted.iter().any(|v| v == kind)) {
            return Err(refused());
        }
        Ok(())
    }

    fn check_all(&self, what: &str, names: &[String]) -> Result<()> {
        let refused = |name: &String| !self.allows(name) || !self.allows_address_in_text(name);
        match names.iter().position(refused) {
            None => Ok(()),
            Some(at) => {
                let place = match names.len() {
                    1 => String::new(),
                    all => format!(" ({} of {all})", at + 1),
                };
                Err(bad(format!("{what}{place} not allowed by this role")))
            }
        }
    }

    /// Does the role allow a name: a host's, or an e-mail address?
    fn allows(&self, name: &str) -> bool {
        let role = self.role;
        let (mut reduced, mut email_domain) = (name, None);
        if let Some((_, domain)) = name.split_once('@') {
            if domain.contains('@') {
                return false;
            }
            (reduced, email_domain) = (domain, Some(domain));
        }
        let mut wildcard = None;
        if reduced.contains('*') {
            let Some((label, rest)) = domain::split_wildcard(reduced) else { return false };
            if !role.allow_wildcard_certificates || email_domain.is_some() {
                return false;
            }
            wildcard = Some(label);
            reduced = rest;
        }
        if role.enforce_hostnames {
            let fits = |name: &str| domain::to_ascii(name).is_ok_and(|n| domain::is_hostname(&n));
            if !reduced.is_empty() && !fits(reduced) || reduced.is_empty() && wildcard.is_none() {
                return false;
            }
            if wildcard.is_some_and(|label| !domain::is_wildcard_label(label)) {
                return false;
            }
        }
        role.allow_any_name
            || self.allows_local(reduced, wildcard.is_some())
            || self.allows_display_name(name, reduced, email_domain.is_some(), wildcard.is_some())
            || self.allows_domain(name, reduced, email_domain, wildcard.is_some())
    }

    fn allows_local(&self, reduced: &str, wildcard: bool) -> bool {
        const LOCAL: [&str; 2] = ["localhost", "localdomain"];
        let below = |local: &&str| is_below(reduced, local);
        self.role.allow_localhost
            && ((LOCAL.contains(&reduced) && (!wildcard || self.role.allow_subdomains))
                || (self.role.allow_subdomains && LOCAL.iter().any(below)))
    }

    /// The name of the caller's token, or one below it.
    fn allows_display_name(&self, name: &str, reduced: &str, email: bool, wildcard: bool) -> bool {
        let display = self.display_name.as_str();
        if !self.role.allow_token_displayname || display.is_empty() {
            return false;
        }
        if name == display {
            return true;
        }
        let host = display.split_once('@').map(|(_, host)| host).filter(|_| email);
        self.role.allow_subdomains
            && (host.is_some_and(|host| is_below(reduced, host))
                || is_below(reduced, display)
                || wildcard && reduced == display)
    }

    fn allows_domain(
        &self,
        name: &str,
        reduced: &str,
        email_domain: Option<&str>,
        wildcard: bool,
    ) -> bool {
        let role = self.role;
        self.domains.iter().filter(|domain| !domain.is_empty()).any(|domain| {
            let is = |text: &str| text.eq_ignore_ascii_case(domain);
            (role.allow_bare_domains && (is(name) || email_domain.is_some_and(is)))
                || (role.allow_subdomains && (is_below(reduced, domain) || wildcard && is(reduced)))
                || (role.allow_glob_domains && domain.contains('*') && glob(domain, name))
        })
    }

    /// A name that is an address is held to what holds for addresses.
    fn allows_address_in_text(&self, name: &str) -> bool {
        let text = name.strip_suffix('.').unwrap_or(name);
        let within = |ip| self.role.allow_ip_sans && self.allows_address(ip);
        text.parse::<IpAddr>().map_or(true, within)
    }

    fn allows_address(&self, ip: IpAddr) -> bool {
        let networks = &self.role.allowed_ip_sans_cidr;
        let ip = ip.to_canonical();
        let within = |n: &String| n.parse::<IpNet>().is_ok_and(|n| n.trunc().contains(&ip));
        networks.is_empty() || networks.iter().any(within)
    }

    fn check_addresses(&self, found: &Gathered, of_csr: bool) -> Result<()> {
        if found.ips.is_empty() {
            return Ok(());
        }
        if !self.role.allow_ip_sans {
            return Err(bad(format!(
                "IP Subject Alternative Names are not allowed in this role, but was provided via {}",
                source(of_csr)
            )));
        }
        if !found.ips.iter().all(|ip| self.allows_address(*ip)) {
            return Err(bad("the IP address is not allowed in this role"));
        }
        Ok(())
    }

    fn check_uris(&self, uris: &[String], of_csr: bool) -> Result<()> {
        const WHAT: &str = "URI Subject Alternative Names";
        let source = source(of_csr);
        if !uris.is_empty() && self.role.allowed_uri_sans.is_empty() {
            return Err(bad(format!(
                "{WHAT} are not allowed in this role, but were provided via {source}"
            )));
        }
        if !uris.iter().all(|uri| self.uris.iter().any(|allowed| glob(allowed, uri))) {
            return Err(bad(format!(
                "{WHAT} were provided via {source} which are not valid for this role"
            )));
        }
        let fits = |uri: &String| {
            uri.is_ascii()
                && !uri.contains(|c: char| c.is_ascii_control() || c == ' ')
                && uri.split_once(':').is_some_and(|(scheme, _)| !scheme.is_empty())
        };
        if !uris.iter().all(fits) {
            return Err(bad("the provided URI Subject Alternative Name is not a valid URI"));
        }
        Ok(())
    }

    fn check_others(&self, others: &[(String, String)]) -> Result<()> {
        let allowed = &self.role.allowed_other_sans;
        if matches!(allowed.as_slice(), [all] if all == "*") {
            return Ok(());
        }
        let allowed: Vec<(String, String)> =
            allowed.iter().map(|text| parse_other_san(text)).collect::<Result<_>>()?;
        for (oid, text) in others {
            let mut of_oid = allowed.iter().filter(|(allowed, _)| allowed == oid).peekable();
            if of_oid.peek().is_none() {
                return Err(bad("other SAN OID not allowed by this role"));
            }
            if !of_oid.any(|(_, pattern)| glob(pattern, text)) {
                return Err(bad("other SAN not allowed for its OID by this role"));
            }
        }
        Ok(())
    }
}

fn source(of_csr: bool) -> &'static str {
    if of_csr { "CSR" } else { "the API" }
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|left| left.len() > 1 && left.ends_with('.'))
}

impl Gathered {
    /// In the order of certificates: other names, hosts, e-mail addresses, addresses, URIs; each
    /// once.
    fn ordered(self) -> Result<Vec<GeneralName>> {
        let others = self.others.into_iter().map(|(oid, text)| GeneralName::Other(oid, text));
        let all = others
            .chain(self.dns.into_iter().map(GeneralName::Dns))
            .chain(self.email.into_iter().map(GeneralName::Email))
            .chain(self.ips.into_iter().map(GeneralName::Ip))
            .chain(self.uris.into_iter().map(GeneralName::Uri));
        let mut seen = HashSet::new();
        let ordered: Vec<GeneralName> = all.filter(|name| seen.insert(name.clone())).collect();
        if ordered.len() > NAMES_MAX {
            return Err(bad(format!("a certificate has {NAMES_MAX} names at most")));
        }
        Ok(ordered)
    }
}

/// A text that is an e-mail address, or a host name in its ASCII form; what is neither of them is
/// no alternative name.
fn add_name(found: &mut Gathered, name: &str) -> Result<()> {
    if name.contains('@') {
        found.email.push(name.to_owned());
        return Ok(());
    }
    let ascii = domain::to_ascii(name)?;
    if domain::is_hostname(&ascii) {
        found.dns.push(ascii);
    }
    Ok(())
}

fn add_request(found: &mut Gathered, asked: &Asked) -> Result<()> {
    for name in asked.alt_names.iter().filter(|name| !name.is_empty()) {
        add_name(found, name)?;
    }
    for text in &asked.ip_sans {
        let ip: IpAddr = text.parse().map_err(|_| bad("a value is not a valid IP address"))?;
        found.ips.push(ip.to_canonical());
    }
    found.uris.clone_from(&asked.uri_sans);
    Ok(())
}

fn of_csr(csr: &Request) -> Result<Gathered> {
    let mut found = Gathered::default();
    let names = csr.alt_names();
    let names = names.map_err(|e| bad(format!("certificate request could not be parsed: {e}")))?;
    for name in names {
        match name {
            GeneralName::Dns(name) => found.dns.push(name),
            GeneralName::Email(name) => found.email.push(name),
            GeneralName::Ip(ip) => found.ips.push(ip.to_canonical()),
            GeneralName::Uri(uri) => found.uris.push(uri),
            GeneralName::Other(oid, text) => found.others.push((oid, text)),
            // No role can allow it, and it is not taken over.
            GeneralName::Unknown(_) => {}
        }
    }
    Ok(found)
}

/// `OID;UTF8:VALUE`.
fn parse_other_san(text: &str) -> Result<(String, String)> {
    let parse = || {
        let (oid, rest) = text.split_once(';').ok_or("expected a semicolon")?;
        let (kind, value) = rest.split_once(':').ok_or("expected a colon")?;
        match kind.to_ascii_lowercase().as_str() {
            "utf8" | "utf-8" if is_oid(oid) => Ok((oid.to_owned(), value.to_owned())),
            "utf8" | "utf-8" => Err("its OID is none"),
            _ => Err("only utf8 other SANs are supported"),
        }
    };
    parse().map_err(|why: &str| bad(format!("could not parse requested other SAN: {why}")))
}

/// Refuses a role's `allowed_other_sans` of another form.
pub fn check_other_sans(allowed: &[String]) -> Result<()> {
    if matches!(allowed, [all] if all == "*") {
        return Ok(());
    }
    for text in allowed {
        parse_other_san(text).map_err(|e| {
            let why = e.public.join("; ");
            Error { public: vec![format!("error parsing allowed_other_sans: {why}")], ..e }
        })?;
    }
    Ok(())
}

/// Texts with the caller's identity put in. One that cannot be filled allows nothing (threat
/// GHSA-59w7-v8rr-pr4p: what an identity has may not bring in a pattern or another name).
async fn fill_identity(cx: &ReadCx<'_>, list: &[String], globs: bool) -> Result<Vec<String>> {
    let identity = cx.identity().await?;
    let allowance = TemplateAllowance { wildcards: globs, ..TemplateAllowance::default() };
    let mut filled = Vec::new();
    for text in list {
        match IdentityTemplate::parse(text) {
            Ok(None) => filled.push(text.clone()),
            Ok(Some(template)) => {
                let entity = identity.as_ref();
                filled.extend(entity.and_then(|e| template.fill(&e.view, allowance)));
            }
            Err(_) => {}
        }
    }
    Ok(filled)
}
