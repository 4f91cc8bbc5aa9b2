//! Decisions that explain themselves (`sys/explain`).
//!
//! `GET sys/explain/ID` tells why a request was refused, from its line in the audit log; the 403
//! carried the id. `POST sys/explain` tells what policy would say to a request nobody has made.
//!
//! Who may see what: a caller may ask about its own refusals and its own rights; about others with
//! `read` on the id's path, or `update` on `sys/explain`. The path, the capability and the names of
//! the policies are shown to each of them; what a rule says only to who may read its policy.

use serde::Serialize;
use strongroom_base::{Error, Json, JsonMap, Result, SecretString};
use strongroom_kernel::caller::Caller;
use strongroom_kernel::mounts::MountEntry;
use strongroom_kernel::namespaces::canonical;
use strongroom_kernel::pipeline::read_path;
use strongroom_kernel::plug::{Class, EngineSpec, Matched, Query, ReadCx, Reply, Rule, Verb, ops};
use strongroom_kernel::policy::{Acl, Capability, Denial, PolicyName, Request, Trace};
use strongroom_kernel::record::Scope;

use super::{System, callers};

/// Adds the operations of this file.
pub fn add_explain(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ExplainRefusal>("explain/{id}").query::<Explain>("explain")
}

/// Where the operations of this file stand, for their own rights.
const PATH: &str = "sys/explain";

strongroom_base::fields! {
    /// Explains why a request was refused.
    pub struct ExplainRefusal {
        /// The id that the refusal carried.
        id: String,
    }
}
strongroom_base::fields! {
    /// Explains what someone may do on a path, and why.
    pub struct Explain {
        /// The path.
        path: Option<String>,
        /// read, list, create, update, patch, delete, scan, sudo or move; or write for create and
        /// update.
        capability (verb): Option<String>,
        /// The namespace of the path, below the request's.
        namespace: Option<String>,
        /// The fields of the request's body.
        fields: Option<JsonMap>,
        /// About the token with this accessor.
        accessor: Option<String>,
        /// About this token.
        token: Option<SecretString>,
        /// About a login by this role: NAME, or MOUNT/NAME.
        role: Option<String>,
        /// About these policies.
        policies: Vec<String>,
    }
}

/// A decision, with the namespace of its path.
#[derive(Serialize)]
pub struct Explained {
    namespace: String,
    #[serde(flatten)]
    decision: Json,
}

ops! {
    ExplainRefusal Explained, Read, Open;
    Explain Explained, Write, Open;
}

/// Which policies of one namespace a caller may read.
struct Reader {
    acl: std::sync::Arc<Acl>,
    /// What stands before `sys/policies/acl/…` of that namespace for the caller; none where the
    /// namespace is out of its reach.
    prefix: Option<String>,
}

impl Reader {
    async fn new(cx: &ReadCx<'_>, caller: &Caller, policies_of: Scope) -> Result<Self> {
        let acl = callers::rights(cx, caller).await?;
        let table = cx.kernel().router.table().await?;
        Ok(Self { acl, prefix: table.path_for(caller.token.namespace, policies_of, "") })
    }

    fn may_read(&self, policy: &str) -> bool {
        self.prefix.as_ref().is_some_and(|prefix| {
            let path = format!("{prefix}sys/policies/acl/{policy}");
            self.acl.decide(&Request::new(&path, Capability::Read)).allowed
        })
    }
}

impl Query<ExplainRefusal> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ExplainRefusal) -> Result<Reply<Explained>> {
        let caller = callers::of_open_request(cx).await?.ok_or_else(Error::denied)?;
        let audit = &cx.kernel().audit;
        let line = audit.explained(&op.id)?.ok_or_else(Error::not_found)?;
        let path = format!("{PATH}/{}", op.id);
        refuse_denied(cx, &caller, Capability::Read, &path).await?;
        let hash = audit.hash(&cx.kernel().tokens.accessor(caller.token.id));
        let own = if caller.token.batch {
            // A batch token has no accessor: its own text is what the line knows it by.
            let text = cx.request.token_text.as_ref();
            let hash = text.map(|text| audit.hash(text.expose_secret()));
            hash.is_some() && line["auth"]["client_token"].as_str() == hash.as_deref()
        } else {
            line["auth"]["accessor"].as_str() == Some(hash.as_str())
        };
        let table = cx.kernel().router.table().await?;
        let namespace_of = |path: &Json| table.namespaces.get(path.as_str().unwrap_or(""));
        let namespace = namespace_of(&line["request"]["namespace"]["path"]);
        let within = namespace.is_some_and(|n| n.is_within(&cx.request.namespace));
        if !(own || within && callers::may(cx, &caller, Capability::Read, &path).await?) {
            // Whether there is such a refusal is nobody else's business.
            return Err(Error::not_found());
        }
        let decision = line["strongroom"].get("decision").cloned().ok_or_else(Error::not_found)?;
        let home = namespace_of(&decision["policy_namespace"]).map_or(Scope::ROOT, |n| n.scope);
        let reader = Reader::new(cx, &caller, home).await?;
        let namespace = namespace.map_or_else(String::new, |n| n.path.clone());
        let decision = for_reader(decision, |name| reader.may_read(name));
        Ok(Reply::data(Explained { namespace, decision }))
    }
}

/// The path is open to whoever asks about itself; but a policy that denies it holds (threat
/// GHSA-xp3c-3jw3-4vcr).
async fn refuse_denied(
    cx: &ReadCx<'_>,
    caller: &Caller,
    capability: Capability,
    path: &str,
) -> Result<()> {
    let Some(path) = callers::policy_path(cx, &caller.token, path).await? else { return Ok(()) };
    let acl = callers::rights(cx, caller).await?;
    match acl.decide(&Request::new(&path, capability)).denial {
        Some(Denial::Deny) => Err(Error::denied()),
        _ => Ok(()),
    }
}

/// As [`Trace::for_reader`], for a decision that the log has kept.
fn for_reader(mut decision: Json, may_read: impl Fn(&str) -> bool) -> Json {
    let Some(map) = decision.as_object_mut() else { return Json::Null };
    map.remove("policy_namespace");
    let readable = |policy: &Json| policy.as_str().is_some_and(&may_read);
    let policies = map.get("policies").and_then(Json::as_array);
    if !policies.is_some_and(|all| all.iter().all(readable)) {
        map.remove("suggestion");
    }
    let mut decider_hidden = false;
    if let Some(rules) = map.get_mut("rules").and_then(Json::as_array_mut) {
        rules.retain(|rule| {
            let shown = readable(&rule["policy"]);
            decider_hidden |= !shown && rule["standing"] == "decided";
            shown
        });
    }
    if decider_hidden {
        map.remove("denial");
        let text = |name: &str| map.get(name).and_then(Json::as_str).unwrap_or("").to_owned();
        let reason =
            format!("the policies do not grant {} on {}", text("capability"), text("path"));
        map.insert("reason".to_owned(), reason.into());
    }
    decision
}

/// Whose rights are asked about.
struct Subject {
    acl: std::sync::Arc<Acl>,
    /// The namespace of its policies.
    home: Scope,
}

impl Query<Explain> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: Explain) -> Result<Reply<Explained>> {
        let caller = callers::of_open_request(cx).await?.ok_or_else(Error::denied)?;
        refuse_denied(cx, &caller, Capability::Update, PATH).await?;
        let path = op.path.as_deref().unwrap_or("").trim_start_matches('/').to_owned();
        if path.is_empty() {
            return Err(Error::bad_request("missing path"));
        }
        let capabilities = capabilities_of(op.capability.as_deref().unwrap_or(""))?;
        let subject = subject(cx, &caller, &op).await?;
        let table = cx.kernel().router.table().await?;
        let below = canonical(op.namespace.as_deref().unwrap_or(""))?;
        let full = format!("{}{below}", cx.request.namespace.path);
        let base = table.namespaces.get(&full);
        let base = base.ok_or_else(|| Error::bad_request("no such namespace"))?;
        // A namespace may stand in the path as well.
        let (namespace, rest) = table.namespaces.split(base, &path);
        let seen = table.path_for(subject.home, namespace.scope, rest);
        let seen = seen.ok_or_else(|| {
            Error::bad_request("the namespace of the path is not at or below the caller's")
        })?;
        let found = table.find(namespace.scope, rest);
        let mut traces = capabilities.into_iter().map(|capability| {
            let rule = found.and_then(|(entry, below)| rule_of(entry, below, capability));
            let request = Request {
                needs_sudo: rule == Some(Rule::Sudo),
                fields: op.fields.as_ref(),
                ..Request::new(&seen, capability)
            };
            let trace = subject.acl.explain(&request);
            if rule == Some(Rule::Open) { needing_no_token(trace) } else { trace }
        });
        let first = traces.next().ok_or_else(Error::not_found)?;
        let trace = std::iter::once(first)
            .chain(traces)
            .reduce(|kept, next| if kept.allowed { next } else { kept })
            .ok_or_else(Error::not_found)?;
        let reader = Reader::new(cx, &caller, subject.home).await?;
        let trace = trace.for_reader(|name| reader.may_read(name));
        let decision = serde_json::to_value(trace)
            .map_err(|_| Error::internal("a trace does not serialise"))?;
        Ok(Reply::data(Explained { namespace: namespace.path.clone(), decision }))
    }
}

/// The decision about a path that anyone may ask for.
fn needing_no_token(trace: Trace) -> Trace {
    Trace {
        allowed: true,
        denial: None,
        reason: format!("{} needs no token", trace.path),
        rules: Vec::new(),
        suggestion: None,
        ..trace
    }
}

fn capabilities_of(text: &str) -> Result<Vec<Capability>> {
    if text == "write" {
        return Ok(vec![Capability::Update, Capability::Create]);
    }
    match Capability::parse(text) {
        Some(Capability::Deny) | None => Err(Error::bad_request(
            "capability must be one of create, read, update, patch, delete, list, scan, sudo, \
             move or write",
        )),
        Some(capability) => Ok(vec![capability]),
    }
}

/// Who may call the operation behind a path with this capability; none where there is none.
fn rule_of(entry: &MountEntry, below: &str, capability: Capability) -> Option<Rule> {
    let verb = match capability {
        Capability::Read => Verb::Read,
        Capability::List => Verb::List,
        Capability::Scan => Verb::Scan,
        Capability::Delete => Verb::Delete,
        Capability::Patch => Verb::Patch,
        Capability::Create | Capability::Update => Verb::Write,
        Capability::Sudo | Capability::Move | Capability::Deny => return None,
    };
    match entry.spec.as_ref()?.find(below, verb) {
        Matched::Route(route, _) => Some(route.rule),
        _ => None,
    }
}

/// Finds whose rights are asked about, and whether the caller may ask.
async fn subject(cx: &ReadCx<'_>, caller: &Caller, op: &Explain) -> Result<Subject> {
    let named =
        [op.accessor.is_some(), op.token.is_some(), op.role.is_some(), !op.policies.is_empty()];
    if named.iter().filter(|given| **given).count() > 1 {
        return Err(Error::bad_request(
            "only one of accessor, token, role and policies can be given",
        ));
    }
    if let Some(text) = &op.token {
        // Who has a token can ask with it as well.
        let other = callers::by_text(cx, text).await?;
        let other = other.ok_or_else(|| Error::bad_request("invalid token"))?;
        return of_caller(cx, &other).await;
    }
    if named.iter().all(|given| !given) {
        return of_caller(cx, caller).await;
    }
    if !callers::may(cx, caller, Capability::Update, PATH).await? {
        return Err(Error::denied());
    }
    if let Some(accessor) = &op.accessor {
        let other = callers::by_accessor(cx, accessor).await?;
        let other = other.ok_or_else(|| Error::bad_request("invalid accessor"))?;
        return of_caller(cx, &other).await;
    }
    let policies = match &op.role {
        Some(role) => policies_of_role(cx, caller, role).await?,
        None => op.policies.clone(),
    };
    let home = cx.request.namespace.scope;
    let mut names = Vec::new();
    for name in &policies {
        names.push(PolicyName::parse(name)?.as_str().to_owned());
    }
    let acl = cx.kernel().policies.acl(home, &names, None).await?;
    Ok(Subject { acl, home })
}

async fn of_caller(cx: &ReadCx<'_>, caller: &Caller) -> Result<Subject> {
    let acl = callers::rights(cx, caller).await?;
    Ok(Subject { acl, home: caller.token.namespace })
}

/// Where auth methods keep what a login's policies come from.
const ROLE_FOLDERS: [&str; 4] = ["role", "roles", "users", "user"];

/// The policies that a login by a role gets: what the role's own path says, to who may read it.
async fn policies_of_role(cx: &ReadCx<'_>, caller: &Caller, role: &str) -> Result<Vec<String>> {
    let (mount, name) = match role.trim_matches('/').rsplit_once('/') {
        Some((mount, name)) => (Some(mount.strip_prefix("auth/").unwrap_or(mount)), name),
        None => (None, role),
    };
    let table = cx.kernel().router.table().await?;
    let mut found: Vec<(String, Json)> = Vec::new();
    for entry in table.of(cx.request.namespace.scope) {
        let own = super::mounts::shown_path(&entry.mount).trim_end_matches('/');
        if entry.mount.class != Class::Auth || mount.is_some_and(|mount| mount != own) {
            continue;
        }
        for folder in ROLE_FOLDERS {
            let path = format!("{}{folder}/{name}", entry.mount.path);
            if !callers::may(cx, caller, Capability::Read, &path).await? {
                continue;
            }
            if let Ok(Some(reply)) = read_path(cx, entry, &path).await
                && let Some(data) = reply.data
            {
                found.push((own.to_owned(), data));
            }
        }
    }
    match found.as_slice() {
        [(_, data)] => Ok(policies_in(data)),
        [] => Err(Error::bad_request("no such role, or none that the caller may read")),
        _ => Err(Error::bad_request("several mounts have this role: name one as MOUNT/NAME")),
    }
}

fn policies_in(role: &Json) -> Vec<String> {
    let list = |name: &str| role.get(name).and_then(Json::as_array).into_iter().flatten();
    let mut policies: Vec<String> = ["token_policies", "allowed_policies", "policies"]
        .into_iter()
        .flat_map(list)
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    if role.get("token_no_default_policy").and_then(Json::as_bool) != Some(true) {
        policies.push("default".to_owned());
    }
    policies.sort_unstable();
    policies.dedup();
    policies
}
