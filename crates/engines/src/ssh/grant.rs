//! What a certificate of a role may hold: keys, principals, options, extensions, how long.

use std::collections::BTreeMap;

use strongroom_base::{Error, Result};
use strongroom_crypto::ssh::{Kind, PublicKey};
use strongroom_kernel::plug::ReadCx;
use strongroom_kernel::policy::{IdentityTemplate, IdentityView, TemplateAllowance};

use super::role::{Role, parts};

type Pairs = BTreeMap<String, String>;

/// Bits of an RSA key that is signed where the role does not name sizes.
const RSA_BITS_MIN: u32 = 2_048;

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::bad_request(text))
}

/// The names by which a role may allow a kind of keys: OpenSSH's last. An entry under one that
/// tells the size as well allows it whatever length stands beside it.
fn names_of(kind: Kind, algorithm: &str) -> Vec<&str> {
    let short: &[&str] = match kind {
        Kind::Rsa(_) => &["rsa"],
        Kind::Dsa(_) => &["dsa"],
        Kind::Ec(_) => &["ec", "ecdsa"],
        Kind::Ed25519 => &["ed25519"],
        Kind::SecurityKeyEc => &["ecdsa-sk"],
        Kind::SecurityKeyEd25519 => &["ed25519-sk"],
    };
    short.iter().copied().chain([algorithm]).collect()
}

/// Refuses a key whose kind or size the role does not allow. Where it says nothing, weak ones are.
pub fn check_key(role: &Role, key: &PublicKey) -> Result<()> {
    check_kind(role, (key.kind(), key.algorithm()))
}

/// The same of a kind with OpenSSH's name for it.
pub fn check_kind(role: &Role, (kind, algorithm): (Kind, &str)) -> Result<()> {
    let allowed = &role.allowed_user_key_lengths;
    let short = names_of(kind, algorithm);
    if allowed.is_empty() {
        return match kind {
            Kind::Dsa(_) => refuse("keys of type dsa are not signed unless the role allows them"),
            Kind::Rsa(bits) if bits < RSA_BITS_MIN => {
                refuse("RSA keys of less than 2048 bits are not signed unless the role allows them")
            }
            _ => Ok(()),
        };
    }
    let lengths: Vec<(&str, &Vec<i64>)> =
        short.iter().filter_map(|name| Some((*name, allowed.get(*name)?))).collect();
    if lengths.is_empty() {
        return refuse(format!("key of type {} is not allowed", short.first().unwrap_or(&"")));
    }
    let fits = |name: &str, lengths: &[i64]| match kind {
        Kind::Rsa(bits) | Kind::Dsa(bits) => lengths.contains(&i64::from(bits)),
        Kind::Ec(curve) if name != algorithm => lengths.contains(&i64::from(curve.bits())),
        _ => true,
    };
    if lengths.iter().any(|(name, lengths)| fits(name, lengths)) {
        return Ok(());
    }
    refuse("key is of an invalid size")
}

/// The caller as templates see it; none where its token has no entity.
pub struct Caller(Option<std::sync::Arc<strongroom_kernel::identity::EntityState>>);

impl Caller {
    /// The caller of a request.
    pub async fn of(cx: &ReadCx<'_>) -> Result<Self> {
        Ok(Self(cx.identity().await?))
    }

    fn view(&self) -> Option<&IdentityView> {
        self.0.as_ref().map(|state| &state.view)
    }

    /// A text with the caller's values in; `None` where it is a template and there is no entity.
    fn fill(&self, text: &str, allowance: TemplateAllowance) -> Result<Option<String>> {
        let broken = |_| Error::bad_request("a template of the role has braces that do not pair");
        let Some(template) = IdentityTemplate::parse(text).map_err(broken)? else {
            return Ok(Some(text.to_owned()));
        };
        let Some(view) = self.view() else { return Ok(None) };
        let filled = template.fill(view, allowance);
        filled
            .map(Some)
            .ok_or_else(|| Error::bad_request(format!("template '{text}' could not be rendered")))
    }
}

/// What templates of users and domains may take in (threat: GHSA-59w7-v8rr-pr4p): nothing that has a
/// meaning in lists and patterns, and commas where the role trusts its values.
fn allowance(role: &Role) -> TemplateAllowance {
    let commas = role.allow_commas_in_identity_templates;
    TemplateAllowance { commas, ..TemplateAllowance::default() }
}

/// The entries of a list in order, each once.
fn entries(list: &str) -> Vec<String> {
    let mut entries: Vec<String> = parts(list).map(str::to_owned).collect();
    entries.sort();
    entries.dedup();
    entries
}

/// The principals of a certificate: those asked for, or the role's default user; each must be one
/// that the role allows.
pub fn principals(role: &Role, asked: &str, host: bool, caller: &Caller) -> Result<Vec<String>> {
    let (allowed, templates) = match host {
        true => (&role.allowed_domains, role.allowed_domains_template),
        false => (&role.allowed_users, role.allowed_users_template),
    };
    let mut wanted = entries(asked);
    let by_default = wanted.is_empty() && !host;
    if by_default {
        wanted = default_users(role, caller)?;
    }
    if wanted.is_empty() {
        // Threat CVE-2024-7594: such a certificate is good for every user or host.
        if role.allow_empty_principals {
            return Ok(wanted);
        }
        return refuse(
            "refusing to issue unsafe, globally-valid certificate with no principals specified; \
             set valid_principals or default_user",
        );
    }
    if allowed == "*" {
        return Ok(wanted);
    }
    if allowed.trim().is_empty() && by_default {
        // The role names one user, and nobody asked for another.
        return Ok(wanted);
    }
    let mut permitted = Vec::new();
    for entry in parts(allowed) {
        match templates {
            true => permitted.extend(caller.fill(entry, allowance(role))?.map(|e| entries(&e))),
            false => permitted.push(vec![entry.to_owned()]),
        }
    }
    let permitted = permitted.concat();
    if permitted.is_empty() {
        return refuse("role is not configured to allow any principals");
    }
    for (at, principal) in wanted.iter().enumerate() {
        let fits = match host {
            true => permitted.iter().any(|domain| host_fits(role, domain, principal)),
            false => permitted.contains(principal),
        };
        if !fits {
            let n = at + 1;
            return refuse(format!("entry {n} is not a valid value for valid_principals"));
        }
    }
    Ok(wanted)
}

fn default_users(role: &Role, caller: &Caller) -> Result<Vec<String>> {
    if !role.default_user_template {
        return Ok(entries(&role.default_user));
    }
    match caller.fill(&role.default_user, allowance(role))? {
        Some(users) => Ok(entries(&users)),
        None => refuse("the role's default_user is a template, and the token has no entity"),
    }
}

fn host_fits(role: &Role, domain: &str, host: &str) -> bool {
    if host == domain {
        return role.allow_bare_domains;
    }
    let below = host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.'));
    role.allow_subdomains && below.is_some_and(|below| !below.is_empty())
}

/// The critical options of a certificate.
pub fn critical_options(role: &Role, asked: Pairs) -> Result<Pairs> {
    if asked.is_empty() {
        return Ok(role.default_critical_options.clone());
    }
    let allowed = entries(&role.allowed_critical_options);
    if !role.allowed_critical_options.is_empty() && !asked.keys().all(|name| allowed.contains(name))
    {
        return refuse("critical options not on allowed list");
    }
    Ok(asked)
}

/// The extensions of a certificate, and whether some were left out for want of an entity.
pub fn extensions(role: &Role, asked: Pairs, caller: &Caller) -> Result<(Pairs, bool)> {
    if !asked.is_empty() {
        let allowed = entries(&role.allowed_extensions);
        if role.allowed_extensions != "*" && !asked.keys().all(|name| allowed.contains(name)) {
            return refuse("extensions not on allowed list");
        }
        return Ok((asked, false));
    }
    if !role.default_extensions_template {
        return Ok((role.default_extensions.clone(), false));
    }
    // A value is no list and no pattern: whatever the identity has stands in it.
    let all = TemplateAllowance { wildcards: true, slashes: true, commas: true };
    let mut out = Pairs::new();
    for (name, text) in &role.default_extensions {
        if let Some(value) = caller.fill(text, all)? {
            out.insert(name.clone(), value);
        }
    }
    let left_out = out.len() < role.default_extensions.len();
    Ok((out, left_out))
}

/// Seconds that a certificate is good for. `limits` are the mount's default and maximum.
pub fn seconds(role: &Role, asked: Option<i64>, limits: (i64, i64)) -> Result<i64> {
    if asked.is_some_and(|seconds| seconds < 0) {
        return refuse("ttl must not be negative");
    }
    let (default, maximum) = limits;
    let most = if role.max_ttl == 0 { maximum } else { role.max_ttl };
    let seconds = match asked.unwrap_or(role.ttl) {
        0 => default,
        seconds => seconds,
    };
    match asked {
        Some(asked) if asked != 0 && seconds > most => {
            refuse(format!("ttl is larger than maximum allowed {most}"))
        }
        _ => Ok(seconds.min(most)),
    }
}
