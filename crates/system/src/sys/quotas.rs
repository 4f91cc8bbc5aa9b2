//! Rate-limit quotas: `sys/quotas/rate-limit` and `sys/quotas/config`. Rules of all namespaces are
//! kept, and named by their full paths, in the root namespace.

use serde::Serialize;
use strongroom_base::{Error, ErrorKind, JsonMap, Result, Ttl, fields};
use strongroom_kernel::mounts::MountTable;
use strongroom_kernel::plug::{Class, Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::quotas::{QuotaConfig, QuotaRule};
use strongroom_kernel::record::{ReadView, Scope};

use super::System;

/// Rules that can be made: each request may look at a few of them.
const RULES_MAX: usize = 10_000;
/// Exempt paths.
const EXEMPT_MAX: usize = 1_000;

fields! {
    /// Reads the settings of all quotas.
    pub struct ReadQuotaConfig {}
}
fields! {
    /// Sets the settings of all quotas.
    pub struct PutQuotaConfig {
        /// Paths that no rule counts.
        rate_limit_exempt_paths: Vec<String>,
        /// Record refused requests in the audit log?
        enable_rate_limit_audit_logging: Option<bool>,
        /// Tell limit and rest in headers?
        enable_rate_limit_response_headers: Option<bool>,
    }
}
fields! {
    /// Lists the rate-limit rules.
    pub struct ListRateLimits {}
}
fields! {
    /// Reads a rate-limit rule.
    pub struct ReadRateLimit {
        /// The rule's name.
        name: String,
    }
}
fields! {
    /// Creates or changes a rate-limit rule.
    pub struct PutRateLimit {
        /// The rule's name.
        name: String,
        /// `rate-limit`.
        r#type: Option<String>,
        /// What it is for: nothing is everything; a namespace, a mount, or a path below a mount,
        /// which may end in `*`.
        path: Option<String>,
        /// The role of logins it is for.
        role: Option<String>,
        /// Requests per interval and client.
        rate: Option<f64>,
        /// Seconds of the interval.
        interval: Option<Ttl>,
        /// Seconds that a client which went beyond is refused.
        block_interval: Option<Ttl>,
        /// Is it for child namespaces that have no rule of their own?
        inheritable: Option<bool>,
    }
}
fields! {
    /// Deletes a rate-limit rule.
    pub struct DeleteRateLimit {
        /// The rule's name.
        name: String,
    }
}

/// Settings of all quotas.
#[derive(Serialize)]
pub struct QuotaConfigView {
    /// Are refused requests recorded in the audit log?
    pub enable_rate_limit_audit_logging: bool,
    /// Are limit and rest told in headers?
    pub enable_rate_limit_response_headers: bool,
    /// Paths that no rule counts.
    pub rate_limit_exempt_paths: Vec<String>,
}

/// Names of rules.
#[derive(Serialize)]
pub struct RuleNames {
    /// Sorted.
    pub keys: Vec<String>,
}

ops! {
    ReadQuotaConfig QuotaConfigView, Read;
    PutQuotaConfig (), Write;
    ListRateLimits RuleNames, List;
    ReadRateLimit JsonMap, Read;
    PutRateLimit (), Write;
    DeleteRateLimit (), Delete;
}

/// Adds the operations of this file.
pub fn add_quotas(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ReadQuotaConfig>("quotas/config")
        .command::<PutQuotaConfig>("quotas/config")
        .query::<ListRateLimits>("quotas/rate-limit/")
        .query::<ReadRateLimit>("quotas/rate-limit/{name}")
        .command::<PutRateLimit>("quotas/rate-limit/{name}")
        .command::<DeleteRateLimit>("quotas/rate-limit/{name}")
}

/// The records, in the root namespace alone.
fn records<'a>(cx: &ReadCx<'a>) -> Result<ReadView<'a>> {
    if !cx.request.namespace.is_root() {
        return Err(Error::new(ErrorKind::NoRoute, "unsupported path"));
    }
    Ok(cx.kernel_tx().read(Scope::ROOT))
}

impl Query<ReadQuotaConfig> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadQuotaConfig) -> Result<Reply<QuotaConfigView>> {
        let config = records(cx)?.named::<QuotaConfig>(0, "").await?.unwrap_or_default();
        Ok(Reply::data(QuotaConfigView {
            enable_rate_limit_audit_logging: config.audit_refused,
            enable_rate_limit_response_headers: config.headers,
            rate_limit_exempt_paths: config.exempt,
        }))
    }
}

impl Command<PutQuotaConfig> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutQuotaConfig) -> Result<Reply<()>> {
        records(cx)?;
        if op.rate_limit_exempt_paths.len() > EXEMPT_MAX {
            return Err(Error::bad_request("too many exempt paths"));
        }
        let config = QuotaConfig {
            audit_refused: op.enable_rate_limit_audit_logging.unwrap_or(false),
            headers: op.enable_rate_limit_response_headers.unwrap_or(false),
            exempt: op.rate_limit_exempt_paths,
        };
        cx.kernel_tx().write(Scope::ROOT).put_named(0, "", &config)?;
        Ok(Reply::none())
    }
}

impl Query<ListRateLimits> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListRateLimits) -> Result<Reply<RuleNames>> {
        let keys = records(cx)?.names::<QuotaRule>(0).await?.to_vec();
        if keys.is_empty() { Err(Error::not_found()) } else { Ok(Reply::data(RuleNames { keys })) }
    }
}

impl Query<ReadRateLimit> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRateLimit) -> Result<Reply<JsonMap>> {
        let rule = records(cx)?.named::<QuotaRule>(0, &op.name).await?;
        let rule = rule.ok_or_else(Error::not_found)?;
        let table = cx.kernel().router.table().await?;
        let mut view = JsonMap::new();
        view.insert("type".to_owned(), "rate-limit".into());
        view.insert("name".to_owned(), rule.name.clone().into());
        view.insert("path".to_owned(), path_of(&table, &rule).into());
        view.insert("role".to_owned(), rule.role.clone().into());
        // A rate without a fraction is a whole number, as Vault writes it.
        let whole = rule.rate.fract() == 0.0 && rule.rate < 1e15;
        let rate = if whole { (rule.rate as i64).into() } else { rule.rate.into() };
        view.insert("rate".to_owned(), rate);
        view.insert("interval".to_owned(), rule.interval.into());
        view.insert("block_interval".to_owned(), rule.block_interval.into());
        view.insert("inheritable".to_owned(), rule.inheritable.into());
        Ok(Reply::data(view))
    }
}

/// The path of a rule as it is now: its mount may have moved.
fn path_of(table: &MountTable, rule: &QuotaRule) -> String {
    let namespace = table.namespaces.of_scope(rule.namespace).map_or("", |n| n.path.as_str());
    let mount = rule.mount.and_then(|scope| table.of_scope(scope));
    let mount = mount.map_or(rule.mount_path.as_str(), |e| e.mount.path.as_str());
    format!("{namespace}{mount}{}", rule.suffix)
}

/// What a rule's path is of.
struct Place {
    namespace: Scope,
    mount: Option<Scope>,
    mount_path: String,
    suffix: String,
    /// Does the mount have logins with roles?
    roles: bool,
    auth: bool,
}

/// Finds namespace, mount and the rest of a path.
fn place(table: &MountTable, path: &str) -> Result<Place> {
    let root = table.namespaces.get("").cloned().ok_or_else(Error::sealed)?;
    let path = path.trim_start_matches('/');
    // A namespace may be written without its slash.
    let whole = if path.is_empty() || path.ends_with('/') || path.ends_with('*') {
        path.to_owned()
    } else {
        format!("{path}/")
    };
    let (namespace, rest) = table.namespaces.split(&root, &whole);
    if rest.is_empty() {
        return Ok(Place {
            namespace: namespace.scope,
            mount: None,
            mount_path: String::new(),
            suffix: String::new(),
            roles: false,
            auth: false,
        });
    }
    let found = table.find(namespace.scope, rest);
    let (entry, below) = found.ok_or_else(|| Error::bad_request("invalid mount path"))?;
    Ok(Place {
        namespace: namespace.scope,
        mount: Some(entry.mount.scope),
        mount_path: entry.mount.path.clone(),
        suffix: below.trim_end_matches('/').to_owned(),
        roles: entry.spec.as_ref().is_some_and(|s| s.role.is_some()),
        auth: entry.mount.class == Class::Auth,
    })
}

fn check_role(place: &Place, role: &str) -> Result<()> {
    let path = &place.mount_path;
    if role.is_empty() {
        return Ok(());
    }
    if !place.suffix.is_empty() {
        return Err(Error::bad_request(
            "Quotas cannot contain both a path suffix and a role. If a role is provided, path must \
             be a valid auth mount with a concept of roles",
        ));
    }
    if !place.auth {
        return Err(Error::bad_request(format!(
            "Mount path {path:?} is not a valid auth method and therefore unsuitable for use with \
             role-based quotas"
        )));
    }
    if !place.roles {
        return Err(Error::bad_request(format!(
            "Mount path {path:?} does not support use with role-based quotas"
        )));
    }
    Ok(())
}

impl Command<PutRateLimit> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRateLimit) -> Result<Reply<()>> {
        let records = records(cx)?;
        let rate = op.rate.filter(|rate| rate.is_finite() && *rate > 0.0);
        let rate = rate.ok_or_else(|| Error::bad_request("'rate' is invalid"))?;
        let interval = op.interval.map_or(0, |t| t.0);
        if interval < 0 {
            return Err(Error::bad_request("'interval' is invalid"));
        }
        let block_interval = op.block_interval.map_or(0, |t| t.0);
        if block_interval < 0 {
            return Err(Error::bad_request("'block' is invalid"));
        }
        let table = cx.kernel().router.table().await?;
        let place = place(&table, op.path.as_deref().unwrap_or(""))?;
        let role = op.role.unwrap_or_default();
        check_role(&place, &role)?;
        let global = place.namespace == Scope::ROOT && place.mount.is_none();
        if op.inheritable == Some(true) && place.mount.is_some() {
            return Err(Error::bad_request(
                "only namespace quotas can be configured as inheritable",
            ));
        }
        let rule = QuotaRule {
            name: op.name,
            namespace: place.namespace,
            mount: place.mount,
            mount_path: place.mount_path,
            suffix: place.suffix,
            role,
            rate,
            interval: interval.max(1),
            block_interval,
            inheritable: op.inheritable.unwrap_or(global),
        };
        let all = records.all::<QuotaRule>(0).await?;
        if all.len() >= RULES_MAX && !all.iter().any(|(name, _)| *name == rule.name) {
            return Err(Error::bad_request("too many quota rules"));
        }
        let same = |(name, other): &&(String, QuotaRule)| {
            *name != rule.name && other.target() == rule.target()
        };
        if let Some((name, _)) = all.iter().find(same) {
            return Err(Error::bad_request(format!(
                "quota rule with similar properties exists under the name {name:?}"
            )));
        }
        cx.kernel_tx().write(Scope::ROOT).put_named(0, &rule.name, &rule)?;
        Ok(Reply::none())
    }
}

impl Command<DeleteRateLimit> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRateLimit) -> Result<Reply<()>> {
        records(cx)?;
        cx.kernel_tx().write(Scope::ROOT).delete_named::<QuotaRule>(0, &op.name);
        Ok(Reply::none())
    }
}
