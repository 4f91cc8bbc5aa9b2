//! `config/acme`: whether ACME is served, and what it may issue.

use std::net::{IpAddr, SocketAddr};

use serde_json::json;
use strongroom_base::{Json, Result, Ttl, fields};
use strongroom_connectors::acme::Resolver;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::ReadView;

use super::super::authority::{self, issuer_id};
use super::super::stored::Cluster;
use super::super::{PkiEngine, bad};
use super::issuance;
use super::stored::AcmeConfig;

/// Why ACME cannot be served yet.
pub(super) const NO_PATH: &str =
    "ACME feature requires local cluster 'path' field configuration to be set";

/// The policies about external accounts.
const EAB_POLICIES: [&str; 3] = ["not-required", "new-account-required", "always-required"];

fields! {
    /// Shows the configuration of ACME.
    pub struct ReadAcmeConfig {}
}
fields! {
    /// Configures ACME. What is not said stays as it was.
    pub struct WriteAcmeConfig {
        /// Is ACME served?
        enabled: Option<bool>,
        /// Issuers that may be used; * is all.
        allowed_issuers: Option<Vec<String>>,
        /// Roles that may be used; * is all.
        allowed_roles: Option<Vec<String>>,
        /// Do roles say what certificates may be used for? Else they are for servers.
        allow_role_ext_key_usage: Option<bool>,
        /// What directories without a role issue: forbid, sign-verbatim or role:NAME.
        default_directory_policy: Option<String>,
        /// The DNS server to ask, ADDRESS:PORT; the machine's own where it is empty.
        dns_resolver: Option<String>,
        /// Must accounts be bound to external ones: not-required, new-account-required or
        /// always-required.
        eab_policy: Option<String>,
        /// How long certificates may live.
        max_ttl: Option<Ttl>,
    }
}

ops! {
    ReadAcmeConfig Json, Read;
    WriteAcmeConfig Json, Write;
}

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    spec.query::<ReadAcmeConfig>("config/acme").command::<WriteAcmeConfig>("config/acme")
}

fn shown(config: &AcmeConfig) -> Json {
    json!({
        "allowed_issuers": config.allowed_issuers,
        "allowed_roles": config.allowed_roles,
        "allow_role_ext_key_usage": config.allow_role_ext_key_usage,
        "default_directory_policy": config.default_directory_policy,
        "dns_resolver": config.dns_resolver,
        "eab_policy": config.eab_policy,
        "enabled": config.enabled,
        "max_ttl": config.max_ttl,
    })
}

async fn read(view: &ReadView<'_>) -> Result<AcmeConfig> {
    Ok(view.cached::<AcmeConfig>(0, "").await?.map(|c| (*c).clone()).unwrap_or_default())
}

async fn lacks_path(view: &ReadView<'_>) -> Result<bool> {
    Ok(authority::config::<Cluster>(view).await?.path.is_empty())
}

impl Query<ReadAcmeConfig> for PkiEngine {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadAcmeConfig) -> Result<Reply<Json>> {
        let config = read(&cx.view()).await?;
        let reply = Reply::data(shown(&config));
        let warn = config.enabled && lacks_path(&cx.view()).await?;
        Ok(if warn { reply.warn(NO_PATH) } else { reply })
    }
}

impl Command<WriteAcmeConfig> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteAcmeConfig) -> Result<Reply<Json>> {
        cx.queue("config/acme").await;
        let mut config = read(&cx.view()).await?;
        apply(&mut config, op)?;
        check(&cx.view(), &config).await?;
        cx.edit().put_named(0, "", &config)?;
        Ok(Reply::data(shown(&config)))
    }
}

/// Takes over what was said.
fn apply(config: &mut AcmeConfig, op: WriteAcmeConfig) -> Result<()> {
    config.enabled = op.enabled.unwrap_or(config.enabled);
    config.allow_role_ext_key_usage =
        op.allow_role_ext_key_usage.unwrap_or(config.allow_role_ext_key_usage);
    for (name, kept, said) in [
        ("allowed_roles", &mut config.allowed_roles, op.allowed_roles),
        ("allowed_issuers", &mut config.allowed_issuers, op.allowed_issuers),
    ] {
        let Some(said) = said else { continue };
        if said.is_empty() {
            return Err(bad(format!(
                "{name} must take a non-zero length value; specify '*' as the value to allow \
                 anything or specify enabled=false to disable ACME entirely"
            )));
        }
        *kept = said;
    }
    if let Some(policy) = op.default_directory_policy {
        config.default_directory_policy = policy;
    }
    if let Some(resolver) = op.dns_resolver {
        check_resolver(&resolver)?;
        config.dns_resolver = resolver;
    }
    if let Some(policy) = op.eab_policy {
        let policy = policy.trim().to_lowercase();
        if !EAB_POLICIES.contains(&policy.as_str()) {
            return Err(bad("invalid eab policy name provided, valid values are 'not-required', \
                 'new-account-required', 'always-required'"));
        }
        config.eab_policy = policy;
    }
    if let Some(Ttl(seconds)) = op.max_ttl {
        if seconds <= 0 {
            return Err(bad("max_ttl must be greater than zero"));
        }
        config.max_ttl = seconds;
    }
    Ok(())
}

/// Is all that it names there?
async fn check(view: &ReadView<'_>, config: &AcmeConfig) -> Result<()> {
    let policy = config.default_directory_policy.as_str();
    let default_role = match (policy, policy.strip_prefix("role:")) {
        ("forbid" | "sign-verbatim", _) => None,
        (_, Some("")) => {
            return Err(bad("invalid default_directory_policy: no role specified by policy"));
        }
        (_, Some(role)) => Some(role),
        _ => return Err(bad("invalid default_directory_policy: not a valid policy")),
    };
    if let Some(role) = default_role {
        let found = issuance::role(view, role).await;
        found.map_err(|e| named("default directory policy role is not a valid ACME role", &e))?;
    }
    let roles = &config.allowed_roles;
    if !is_any(roles) {
        for (index, name) in roles.iter().enumerate() {
            if name == "*" {
                return Err(bad(format!("cannot use '*' as role name at index {index}")));
            }
            let found = issuance::role(view, name).await;
            found.map_err(|e| {
                named(&format!("allowed_roles: the one at index {index} is no ACME role"), &e)
            })?;
        }
        if default_role.is_some_and(|role| !roles.iter().any(|r| r == role)) {
            return Err(bad("default directory policy's role was not specified in allowed_roles"));
        }
    }
    if !is_any(&config.allowed_issuers) {
        for (index, name) in config.allowed_issuers.iter().enumerate() {
            if name == "*" {
                return Err(bad(format!("cannot use '*' as issuer name at index {index}")));
            }
            if issuer_id(view, name).await?.is_none() {
                return Err(bad(format!(
                    "failed validating allowed_issuers: unable to fetch the issuer at index {index}"
                )));
            }
        }
    }
    if config.enabled && lacks_path(view).await? {
        return Err(bad(NO_PATH));
    }
    Ok(())
}

fn named(what: &str, e: &strongroom_base::Error) -> strongroom_base::Error {
    bad(format!("{what}: {}", e.public.join("; ")))
}

fn is_any(list: &[String]) -> bool {
    matches!(list, [one] if one == "*")
}

/// `HOST:PORT`, where the host is an address: whoever resolves names cannot be named.
fn check_resolver(text: &str) -> Result<()> {
    const WHAT: &str = "failed to parse DNS resolver address";
    if text.is_empty() || text.parse::<SocketAddr>().is_ok() {
        return Ok(());
    }
    let (host, _) = text.rsplit_once(':').unwrap_or((text, ""));
    Err(bad(match host {
        "" => format!("{WHAT}: got empty address"),
        _ if text.parse::<IpAddr>().is_ok() || !text.contains(':') => {
            format!("{WHAT}: missing port in address")
        }
        _ => format!("{WHAT}: expected IPv4/IPv6 address, likely got hostname"),
    }))
}

/// The DNS server to ask.
pub(super) fn resolver(config: &AcmeConfig) -> Resolver {
    config.dns_resolver.parse().ok()
}
