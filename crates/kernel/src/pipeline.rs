//! A request's way through the kernel. Each step takes what the step before it made, and only that
//! step can make it: an answer cannot leave without having been judged and recorded.
//!
//! ```text
//! Call → admit → Admitted → authenticate → Authenticated → authorise → Authorised
//!      → execute → Executed → record → Answer
//! ```
//!
//! Invariants:
//! * there is no other way to an engine;
//! * a stranger learns nothing of a path, a body or a record before policy has allowed the path;
//! * effects, the token's or lease's records and the audit lines are one transaction;
//! * every outcome, a panic included, is recorded before it is answered.

mod authenticate;
mod execute;
mod inner;
mod rights;
mod wrap;

pub(crate) use execute::CatchPanic;
pub use execute::auth_block;
pub(crate) use inner::background;
pub use inner::{read_path, renew_login};
pub use rights::{has_sudo, policy_prefix, rights};
pub use wrap::{
    CubbyholeEntry, NewWrapping, POLICY as WRAPPING_POLICY, RESPONSE as WRAPPED_RESPONSE,
    WRAPPED_ACCESSOR, wrap_text,
};

use std::sync::Arc;

use bytes::Bytes;
use strongroom_base::{
    Error, ErrorKind, Json, RawFields, RequestPath, Result, SecretString, Timestamp,
};

use crate::audit::{Entry, Outcome};
use crate::identity::EntityState;
use crate::mounts::{MountEntry, MountTable};
use crate::namespaces::{Namespace, canonical};
use crate::node::{Node, Services};
use crate::plug::{Captures, Handler, Matched, Peer, Reply, Request, Rights, Route, Rule, Verb};
use crate::policy::{Acl, Capability, Denial, Standing};
use crate::quotas::{Asked, RateHeaders, Verdict};
use crate::tokens::Token;

/// A request as a door hands it over.
pub struct Call {
    /// `X-Vault-Namespace`, as it came.
    pub namespace: String,
    /// The path below `/v1/`.
    pub path: RequestPath,
    /// The verb.
    pub verb: Verb,
    /// The token, if any.
    pub token: Option<SecretString>,
    /// The body as it came: parsed only after policy has allowed the path.
    pub body: Bytes,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// `X-Vault-Wrap-TTL` in seconds.
    pub wrap_ttl: Option<i64>,
    /// Headers, lower-case names.
    pub headers: Vec<(String, String)>,
    /// Where it came from.
    pub peer: Peer,
}

impl Call {
    /// Does it ask what the path is for, in place of what is there? Whoever has a token may.
    fn wants_help(&self) -> bool {
        self.verb == Verb::Read && self.query.iter().any(|(n, v)| n == "help" && !v.is_empty())
    }
}

/// What a door renders.
pub struct Answer {
    /// The request's UUID.
    pub request_id: String,
    /// `mount_type` of the envelope.
    pub mount_kind: String,
    /// The reply or the failure.
    pub result: Result<Reply<Json>>,
    /// The lease of the reply's data.
    pub lease: Option<crate::leases::Leased>,
    /// The id by which an allowed caller can ask why a request was denied.
    pub explain: Option<String>,
    /// What a quota's headers say.
    pub rate: Option<RateHeaders>,
}

/// A call within its namespace and mount.
struct Admitted {
    services: Arc<Services>,
    table: Arc<MountTable>,
    call: Call,
    id: String,
    started: Timestamp,
    namespace: Arc<Namespace>,
    /// The path within the namespace.
    path: String,
    entry: Option<Arc<MountEntry>>,
    /// The path below the mount.
    below: String,
    /// The path as it was written, where `path` is another spelling of it.
    written: Option<String>,
    rate: Option<RateHeaders>,
    /// Headers that the audit log shows.
    shown_headers: Arc<crate::audit::AuditedHeaders>,
    /// Quotas count it once its role is known.
    waits_for_role: bool,
}

/// The route that a call's path leads to.
enum Target {
    Route { index: usize, captures: Captures },
    OtherVerb,
    Nothing,
}

/// A call whose caller is known.
struct Authenticated {
    admitted: Admitted,
    target: Target,
    token: Option<Arc<Token>>,
    entity: Option<Arc<EntityState>>,
    token_text: Option<Arc<SecretString>>,
    /// The token's accessor, or "".
    accessor: String,
    /// This was the last use of a use-limited token.
    last_use: bool,
}

/// A call that policy allows.
struct Authorised {
    caller: Authenticated,
    granting: Vec<String>,
    fields: RawFields,
    /// None on open paths.
    rights: Option<Rights>,
}

/// A call that was carried out, not yet recorded or committed.
struct Executed {
    authorised: Authorised,
    done: execute::Done,
}

/// A failure on the way, with what is known for the audit line.
struct Refused {
    error: Error,
    trace: Option<Box<Json>>,
}

/// What an explanation of a denial needs, on its way in the error's cause.
#[derive(Debug)]
struct DeniedTrace(Json);

impl std::fmt::Display for DeniedTrace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("denied by policy")
    }
}

impl std::error::Error for DeniedTrace {}

impl From<Error> for Refused {
    fn from(mut error: Error) -> Self {
        match error.cause.take().map(|cause| cause.downcast::<DeniedTrace>()) {
            Some(Ok(trace)) => Self { error, trace: Some(Box::new(trace.0)) },
            Some(Err(cause)) => Self { error: error.because(cause), trace: None },
            None => Self { error, trace: None },
        }
    }
}

/// Carries a call out.
pub async fn handle(node: &Arc<Node>, call: Call) -> Answer {
    let id = node.rng.uuid();
    // A path that is no node operation with this verb may still be an ordinary one.
    if let Some(Ok((fields, run))) = node.registry.node.find(call.path.as_str(), call.verb)
        && canonical(&call.namespace).is_ok_and(|n| n.is_empty())
    {
        return node_operation(node, &call, id, fields, run).await;
    }
    let services = match node.active() {
        Ok(services) => services,
        Err(e) => return Answer::failure(id, e),
    };
    match admit(services, call, id).await {
        Ok(admitted) => admitted.limit_and_run().await,
        Err((id, e)) => Answer::failure(id, e),
    }
}

/// Carries an operation on the node itself out. It is recorded where there is a log to record it
/// in: while the node is active.
async fn node_operation(
    node: &Arc<Node>,
    call: &Call,
    id: String,
    fields: &'static [strongroom_base::FieldSpec],
    run: &crate::plug::NodeFn,
) -> Answer {
    let started = node.clock.now();
    let raw = match read_body(call) {
        Ok(raw) => raw,
        Err(e) => return Answer::failure(id, e),
    };
    let source = strongroom_base::FieldSource::new(&[], &raw, fields);
    let about = crate::plug::NodeCall {
        peer: &call.peer,
        token: call.token.as_ref(),
        query: &call.query,
        verb: call.verb,
    };
    let mut result = CatchPanic::new(run(node, &about, source)).await;
    if call.verb == Verb::Write
        && let Ok(services) = node.active()
    {
        let root = Namespace::root();
        let recorded = services
            .audit
            .record(&Entry {
                id: &id,
                started,
                verb: call.verb,
                namespace: &root,
                mount: None,
                path: call.path.as_str(),
                peer: &call.peer,
                headers: &call.headers,
                shown_headers: &[],
                accessor: "",
                token: None,
                token_text: call.token.as_ref(),
                identity_policies: &[],
                fields: &raw,
                wrap_ttl: None,
                granting: &[],
                trace: None,
                outcome: match &result {
                    Ok(reply) => Outcome::Reply(reply),
                    Err(e) => Outcome::Refused(e),
                },
            })
            .await;
        if let Err(e) = recorded {
            result = Err(e);
        }
    }
    Answer {
        request_id: id,
        mount_kind: "system".to_owned(),
        result,
        lease: None,
        explain: None,
        rate: None,
    }
}

/// Finds namespace, mount and quota. What fails here names no resource of the store.
async fn admit(
    services: Arc<Services>,
    call: Call,
    id: String,
) -> Result<Admitted, (String, Error)> {
    let started = services.store.now();
    let found = async {
        let table = services.router.table().await?;
        let header = canonical(&call.namespace)?;
        let root = table.namespaces.get("").cloned().ok_or_else(Error::sealed)?;
        // An unknown namespace is told like any unknown path: only whom policy lets.
        let (namespace, prefix) = table.namespaces.split(&root, &header);
        let (namespace, path) = if prefix.is_empty() {
            let (n, p) = table.namespaces.split(&namespace, call.path.as_str());
            (n, p.to_owned())
        } else {
            (namespace, format!("{prefix}{}", call.path.as_str()))
        };
        Ok::<_, Error>((table, namespace, path))
    };
    let (table, namespace, mut path) = match found.await {
        Ok(found) => found,
        Err(e) => return Err((id, e)),
    };
    // Lists name folders: policy and engines see one spelling, with the slash.
    if matches!(call.verb, Verb::List | Verb::Scan) && !path.ends_with('/') {
        path.push('/');
    }
    let live = table.namespaces.is_live(namespace.scope);
    let entry = if live { table.find(namespace.scope, &path) } else { None };
    let (entry, below) = match entry {
        Some((entry, below)) => (Some(entry.clone()), below.to_owned()),
        None => (None, String::new()),
    };
    let shown_headers = services.audit.headers();
    Ok(Admitted {
        services,
        table,
        call,
        id,
        started,
        namespace,
        path,
        entry,
        below,
        written: None,
        rate: None,
        shown_headers,
        waits_for_role: false,
    })
}

impl Admitted {
    /// Asks the quotas, then goes on.
    async fn limit_and_run(mut self) -> Answer {
        match self.limit().await {
            Ok(Verdict { refused: None, .. }) => self.run().await,
            Ok(Verdict { refused: Some(error), audited: true, .. }) => {
                self.refuse(error.into()).await
            }
            Ok(Verdict { refused: Some(error), .. }) => {
                Answer { rate: self.rate, ..Answer::failure(self.id, error) }
            }
            Err(error) => self.refuse(error.into()).await,
        }
    }

    /// Asks the quotas, but for logins whose role decides.
    async fn limit(&mut self) -> Result<Verdict> {
        if let Some(entry) = &self.entry
            && entry.spec.as_ref().is_some_and(|s| s.role.is_some())
            && self.services.quotas.waits_for_role(entry.mount.scope).await?
            && let Target::Route { index, .. } = self.target()
            && self.route(index).is_some_and(|r| matches!(r.handler, Handler::Login(_)))
        {
            self.waits_for_role = true;
            return Ok(Verdict::default());
        }
        self.count(None).await
    }

    /// Has the quotas count the request.
    async fn count(&mut self, role: Option<&str>) -> Result<Verdict> {
        let asked = Asked {
            namespaces: &self.table.namespaces,
            namespace: &self.namespace,
            mount: self.entry.as_deref(),
            path: &self.path,
            below: &self.below,
            role,
            peer: &self.call.peer,
        };
        let mut verdict = self.services.quotas.admit(&asked).await?;
        self.rate = verdict.headers;
        if let Some(refused) = &mut verdict.refused {
            let path = self.call.path.as_str();
            refused.public = vec![format!("request path {path:?}: rate limit quota exceeded")];
        }
        Ok(verdict)
    }

    /// The rest of the way, top to bottom.
    async fn run(self) -> Answer {
        let caller = match self.authenticate().await {
            Ok(caller) => caller,
            Err((admitted, refused)) => return admitted.refuse(refused).await,
        };
        let authorised = match caller.authorise().await {
            Ok(authorised) => authorised,
            Err((caller, refused)) => return caller.refuse(refused, &RawFields::default()).await,
        };
        match authorised.execute().await {
            Ok(executed) => executed.record().await,
            Err((authorised, refused)) => {
                let fields = authorised.fields;
                authorised.caller.refuse(refused, &fields).await
            }
        }
    }

    /// The route of a target.
    fn route(&self, index: usize) -> Option<&Route> {
        self.entry.as_ref()?.spec.as_ref()?.routes.get(index)
    }

    /// Finds the route, and brings the path into the one spelling that policy judges and the
    /// operation sees.
    fn resolve(&mut self) -> Target {
        let target = self.target();
        let Target::Route { index, captures } = &target else { return target };
        let spec = self.entry.as_ref().and_then(|e| e.spec.clone());
        let route = self.route(*index);
        let folded =
            spec.as_ref().zip(route).and_then(|(s, route)| s.one_spelling(route, &self.below));
        let Some(folded) = folded else { return target };
        let Some(above) = self.path.strip_suffix(&self.below) else { return target };
        let path = format!("{above}{folded}");
        self.written = Some(std::mem::replace(&mut self.path, path));
        self.below = folded;
        let mut resolved = self.target();
        if let (Target::Route { captures: folded, .. }, Some(spec)) = (&mut resolved, &spec) {
            spec.show_case(folded, captures.clone());
        }
        resolved
    }

    /// Is something at `path` (of the request's namespace) root-protected?
    fn is_root_protected(&self, path: &str) -> bool {
        let Some((entry, below)) = self.table.find(self.namespace.scope, path) else {
            return false;
        };
        [Verb::Read, Verb::List].into_iter().any(|verb| {
            let found = entry.spec.as_ref().map(|spec| spec.find(below, verb));
            matches!(found, Some(Matched::Route(route, _)) if route.rule == Rule::Sudo)
        })
    }

    fn target(&self) -> Target {
        let spec = self.entry.as_ref().and_then(|e| e.spec.as_ref());
        let Some(spec) = spec else { return Target::Nothing };
        match spec.find(&self.below, self.call.verb) {
            Matched::Route(route, captures) => {
                let index = spec.routes.iter().position(|r| std::ptr::eq(r, route));
                index.map_or(Target::Nothing, |index| Target::Route { index, captures })
            }
            Matched::OtherVerb => Target::OtherVerb,
            Matched::Nothing => Target::Nothing,
        }
    }

    /// Records a refusal before the caller was known.
    async fn refuse(self, refused: Refused) -> Answer {
        let caller = Authenticated {
            admitted: self,
            target: Target::Nothing,
            token: None,
            entity: None,
            token_text: None,
            accessor: String::new(),
            last_use: false,
        };
        caller.refuse(refused, &RawFields::default()).await
    }
}

impl Authenticated {
    /// Asks policy about the path, then reads the body and asks about its parameters.
    async fn authorise(mut self) -> Result<Authorised, (Self, Refused)> {
        match self.judge().await {
            Ok((granting, fields, rights)) => match self.limit_by_role(&fields).await {
                Ok(()) => Ok(Authorised { caller: self, granting, fields, rights }),
                Err(error) => Err((self, error.into())),
            },
            Err(refused) => Err((self, refused)),
        }
    }

    /// Asks the quotas about a login that waits for its role.
    async fn limit_by_role(&mut self, fields: &RawFields) -> Result<()> {
        if !self.admitted.waits_for_role {
            return Ok(());
        }
        let role = self.role(fields).await?;
        let verdict = self.admitted.count(role.as_deref()).await?;
        verdict.refused.map_or(Ok(()), Err)
    }

    async fn judge(&self) -> Result<(Vec<String>, RawFields, Option<Rights>), Refused> {
        let admitted = &self.admitted;
        let route = match &self.target {
            Target::Route { index, .. } => admitted.route(*index),
            _ => None,
        };
        let rule = route.map_or(Rule::Token, |r| r.rule);
        if route.is_some_and(|r| r.root_namespace_only) && !admitted.namespace.is_root() {
            let error = Error::bad_request("operation only available in root namespace");
            return Err(error.into());
        }
        if rule == Rule::Open || self.token.is_some() && admitted.call.wants_help() {
            return Ok((Vec::new(), read_body(&self.admitted.call)?, None));
        }
        let Some(token) = &self.token else { return Err(Error::denied().into()) };
        let acl = rights(&admitted.services, token, self.entity.as_deref()).await?;
        let prefix =
            policy_prefix(&admitted.table, token, &admitted.namespace).ok_or_else(Error::denied)?;
        let path = format!("{prefix}{}", admitted.path);
        let written = admitted.written.as_ref().map(|written| format!("{prefix}{written}"));
        let wrap_ttl = admitted.call.wrap_ttl;
        let mut held = Rights { acl: acl.clone(), prefix, wrap_ttl, filtered: None };
        if rule == Rule::Needs {
            let (granting, fields) = self.judge_needs(&held, &path)?;
            return Ok((granting, fields, Some(held)));
        }
        let capability = self.capability().await;
        let mut ask = crate::policy::Request {
            path: &path,
            capability,
            needs_sudo: rule == Rule::Sudo,
            wrap_ttl_seconds: admitted.call.wrap_ttl,
            fields: None,
        };
        let mut decision = acl.decide_path(&ask);
        if !decision.allowed
            && decision.denial != Some(Denial::Deny)
            && let Some(written) = &written
        {
            // A policy may spell the name as the caller does. It cannot undo a denial of the one
            // spelling.
            let other = crate::policy::Request { path: written, ..ask };
            let allowed = Some(acl.decide_path(&other)).filter(|d| d.allowed);
            if let Some(allowed) = allowed {
                (ask, decision) = (other, allowed);
            }
        }
        if !decision.allowed {
            return Err(denied_by_policy(&acl, &ask).into());
        }
        let mut fields = read_body(&self.admitted.call)?;
        ask.fields = Some(&fields.map.0);
        let decision = acl.decide_parameters(decision, &ask);
        if !decision.allowed {
            return Err(denied_by_policy(&acl, &ask).into());
        }
        let granting =
            acl.granting_policies(&decision, capability).into_iter().map(str::to_owned).collect();
        if let Some(limit) = decision.limit {
            fields.map.0.insert("limit".to_owned(), Json::from(limit));
        }
        if acl.keys_filter(&decision).is_some() {
            held.filtered = Some((decision, path.clone()));
        }
        if matches!(admitted.call.verb, Verb::Write | Verb::Patch) && path.ends_with('/') {
            return Err(Error::bad_request("cannot write to a path ending in '/'").into());
        }
        match self.target {
            Target::Route { .. } => Ok((granting, fields, Some(held))),
            _ if admitted.entry.is_none() => Err(Error::no_route(&admitted.path).into()),
            Target::OtherVerb => Err(Error::unsupported().into()),
            Target::Nothing => Err(Error::new(ErrorKind::NoRoute, "unsupported path").into()),
        }
    }

    /// Asks policy about all that an operation needs elsewhere, and whether its own path is denied.
    fn judge_needs(
        &self,
        rights: &Rights,
        path: &str,
    ) -> Result<(Vec<String>, RawFields), Refused> {
        let admitted = &self.admitted;
        let (Target::Route { index, captures }, Some(entry)) = (&self.target, &admitted.entry)
        else {
            return Err(Error::denied().into());
        };
        let needs = admitted.route(*index).and_then(|r| r.needs).ok_or_else(Error::denied)?;
        let acl = &rights.acl;
        let own = crate::policy::Request::new(path, Capability::Update);
        if acl.decide_path(&own).denial == Some(Denial::Deny) {
            return Err(denied_by_policy(acl, &own).into());
        }
        let fields = read_body(&admitted.call)?;
        let mut granting: Vec<String> = Vec::new();
        for need in needs(&entry.mount, captures, &fields)? {
            let path = format!("{}{}", rights.prefix, need.path);
            let mut ask = crate::policy::Request::new(&path, need.capability);
            ask.wrap_ttl_seconds = admitted.call.wrap_ttl;
            let decision = acl.decide_path(&ask);
            if !decision.allowed {
                return Err(denied_by_policy(acl, &ask).into());
            }
            for name in acl.granting_policies(&decision, need.capability) {
                if !granting.iter().any(|n| n == name) {
                    granting.push(name.to_owned());
                }
            }
        }
        Ok((granting, fields))
    }

    async fn capability(&self) -> Capability {
        match self.admitted.call.verb {
            Verb::Read => Capability::Read,
            Verb::List => Capability::List,
            Verb::Delete => Capability::Delete,
            Verb::Patch => Capability::Patch,
            Verb::Scan => Capability::Scan,
            Verb::Write => Capability::of_write(self.exists().await),
        }
    }

    /// Records a refusal; the answer's own failure is what recording says, if it fails.
    async fn refuse(self, mut refused: Refused, fields: &RawFields) -> Answer {
        let services = self.admitted.services.clone();
        // Whose policies they were decides who may read their rules.
        let namespaces = &self.admitted.table.namespaces;
        let home = self.token.as_ref().and_then(|t| namespaces.of_scope(t.namespace));
        if let (Some(trace), Some(home)) = (&mut refused.trace, home) {
            trace["policy_namespace"] = home.path.as_str().into();
        }
        let entry =
            self.entry(fields, &[], refused.trace.as_deref(), Outcome::Refused(&refused.error));
        let recorded = services.audit.record(&entry).await;
        self.finish_uses().await;
        let rate = self.admitted.rate;
        let mount_kind = self.admitted.mount_kind();
        let (result, explain) = match recorded {
            Ok(explain) => {
                let denied = refused.error.kind == ErrorKind::PermissionDenied;
                (Err(refused.error), denied.then_some(explain))
            }
            Err(e) => (Err(e), None),
        };
        Answer { request_id: self.admitted.id, mount_kind, result, lease: None, explain, rate }
    }

    /// What the audit log gets to see.
    fn entry<'a>(
        &'a self,
        fields: &'a RawFields,
        granting: &'a [String],
        trace: Option<&'a Json>,
        outcome: Outcome<'a>,
    ) -> Entry<'a> {
        let admitted = &self.admitted;
        Entry {
            id: &admitted.id,
            started: admitted.started,
            verb: admitted.call.verb,
            namespace: &admitted.namespace,
            mount: admitted.entry.as_ref().map(|e| &*e.mount),
            path: &admitted.path,
            peer: &admitted.call.peer,
            headers: &admitted.call.headers,
            shown_headers: &self.admitted.shown_headers.0,
            accessor: &self.accessor,
            token: self.token.as_deref(),
            token_text: self.token_text.as_deref(),
            identity_policies: self.entity.as_ref().map_or(&[], |e| &e.policies),
            fields,
            wrap_ttl: admitted.call.wrap_ttl,
            granting,
            trace,
            outcome,
        }
    }
}

impl Admitted {
    fn mount_kind(&self) -> String {
        self.entry.as_ref().map_or_else(String::new, |e| e.mount.kind.clone())
    }
}

impl Executed {
    /// Records and commits; runs again what another transaction got in the way of.
    async fn record(self) -> Answer {
        let Self { authorised, done } = self;
        let caller = &authorised.caller;
        let services = caller.admitted.services.clone();
        let outcome = Outcome::Reply(&done.reply);
        let entry = caller.entry(&authorised.fields, &authorised.granting, None, outcome);
        let recorded = if done.tx.has_changes() {
            match services.audit.record_in(&done.tx, &entry) {
                Ok(recorded) => match done.tx.commit().await {
                    Ok(_) => {
                        services.audit.committed(recorded).await;
                        Ok(())
                    }
                    Err(e) => Err(e),
                },
                Err(e) => Err(e),
            }
        } else {
            match done.tx.commit().await {
                Ok(_) => services.audit.record(&entry).await.map(|_| ()),
                Err(e) => Err(e),
            }
        };
        match recorded {
            Ok(()) => {
                for action in done.after {
                    action(&services);
                }
                let mount_kind = caller.admitted.mount_kind();
                let rate = caller.admitted.rate;
                caller.finish_uses().await;
                Answer {
                    request_id: authorised.caller.admitted.id,
                    mount_kind,
                    result: Ok(done.reply),
                    lease: done.lease,
                    explain: None,
                    rate,
                }
            }
            Err(e) if e.kind == ErrorKind::Conflict && done.attempt < ATTEMPTS_MAX => {
                let attempt = done.attempt + 1;
                // Its turn among the commands on one record ends first: the next run asks for one
                // again, and would wait for itself.
                drop(done);
                match Box::pin(authorised.execute_again(attempt)).await {
                    Ok(executed) => Box::pin(executed.record()).await,
                    Err((authorised, refused)) => {
                        let fields = authorised.fields;
                        authorised.caller.refuse(refused, &fields).await
                    }
                }
            }
            Err(e) => {
                let fields = authorised.fields;
                authorised.caller.refuse(e.into(), &fields).await
            }
        }
    }
}

/// The body and query as fields.
fn read_body(call: &Call) -> Result<RawFields> {
    let mut fields = RawFields::default();
    if !call.body.is_empty() {
        let first = call.body.iter().find(|b| !b.is_ascii_whitespace());
        if first == Some(&b'{') {
            match strongroom_base::json::parse_bounded(&call.body) {
                Ok(Json::Object(map)) => fields = RawFields::from_map(map),
                Ok(_) => return Err(Error::bad_request("the body must be a JSON object")),
                Err(e) => return Err(Error::bad_request(e.to_string())),
            }
        } else {
            let json = call
                .headers
                .iter()
                .any(|(n, v)| n == "content-type" && v.starts_with("application/json"));
            if json || !matches!(first, Some(0x1f | b'P'..)) && first.is_some() {
                return Err(Error::bad_request("error parsing JSON"));
            }
            fields.raw_body = call.body.to_vec().into();
        }
    }
    if !matches!(call.verb, Verb::Write | Verb::Patch) {
        for (name, value) in &call.query {
            if !fields.map.0.contains_key(name) {
                fields.map.0.insert(name.clone(), Json::String(value.clone()));
            }
        }
    }
    Ok(fields)
}

/// How often an operation is run when others get in the way.
const ATTEMPTS_MAX: u32 = 32;

/// The 403 of policy, in the form that Vault's clients print, with what the explanation needs.
pub(crate) fn denied_by_policy(acl: &Acl, ask: &crate::policy::Request<'_>) -> Error {
    let error =
        Error::new(ErrorKind::PermissionDenied, "1 error occurred:\n\t* permission denied\n\n");
    let mut trace = acl.explain(ask);
    // The rules for other paths say nothing of this one, and can be many.
    trace.rules.retain(|rule| rule.standing != Standing::PathDiffers);
    match serde_json::to_value(&trace) {
        Ok(trace) => error.because(DeniedTrace(trace)),
        Err(_) => error,
    }
}

impl Answer {
    /// A failure without anything else.
    pub fn failure(request_id: String, error: Error) -> Self {
        Self {
            request_id,
            mount_kind: String::new(),
            result: Err(error),
            lease: None,
            explain: None,
            rate: None,
        }
    }
}

/// What an operation sees of the call.
fn request_of(caller: &Authenticated, entry: &MountEntry) -> Request {
    let admitted = &caller.admitted;
    let passed = &entry.mount.config.passthrough_request_headers;
    let system = entry.mount.class == crate::plug::Class::System;
    let headers = admitted
        .call
        .headers
        .iter()
        .filter(|(name, _)| system || passed.iter().any(|p| p.eq_ignore_ascii_case(name)))
        .cloned()
        .collect();
    Request {
        id: admitted.id.clone(),
        now: admitted.started,
        namespace: admitted.namespace.clone(),
        mount: entry.mount.clone(),
        verb: admitted.call.verb,
        path: admitted.below.clone(),
        full_path: admitted.path.clone(),
        peer: admitted.call.peer.clone(),
        token: caller.token.clone(),
        token_text: caller.token_text.clone(),
        wrap_ttl: admitted.call.wrap_ttl,
        headers,
        query: admitted.call.query.clone(),
        rights: None,
    }
}
