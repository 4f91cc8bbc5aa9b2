//! A request's way through the kernel. Each step takes what the step before it made, and only that
//! step can make it: an answer cannot leave without having been judged and recorded.
//!
//! ```text
//! Call → admit → Admitted → authenticate → Authenticated → authorise → Authorised
//!      → execute → Executed → record → Answer
//! ```
//!
//! Each state is boxed: the steps are async, and a state handed on by value would be copied into
//! every one of their futures. So is what most requests do not do: a future is as large as the
//! largest thing that it may wait for.
//!
//! Invariants:
//! * there is no other way to an engine;
//! * a stranger learns nothing of a path, a body or a record before policy has allowed the path;
//! * effects, the token's or lease's records and the audit lines are one transaction;
//! * every outcome, a panic included, is recorded before it is answered.

mod admit;
mod authenticate;
mod authorise;
mod body;
mod execute;
mod inline;
mod inner;
mod login;
mod node_operation;
mod record;
mod refuse;
mod rights;
mod verify;
mod wrap;

pub(crate) use execute::CatchPanic;
pub use inline::InlineLogin;
pub(crate) use inner::background;
pub use inner::{read_path, renew_login};
pub use login::{auth_block, validate_login};
pub use refuse::refuse;
pub use rights::{has_sudo, policy_prefix, rights};
pub use wrap::{
    CubbyholeEntry, NewWrapping, POLICY as WRAPPING_POLICY, RESPONSE as WRAPPED_RESPONSE,
    WRAPPED_ACCESSOR, wrap_text,
};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use strongroom_base::json::JsonLimits;
use strongroom_base::{Error, Json, RawFields, RequestPath, Result, SecretString, Timestamp};

use tokio::time::Instant;

use crate::flight::{Boarded, Flight};
use crate::identity::EntityState;
use crate::mounts::{MountEntry, MountTable};
use crate::namespaces::{Namespace, canonical};
use crate::node::{Node, Services};
use crate::plug::{
    Access, Beyond, Captures, Credential, Peer, Protocol, Reply, Rights, Then, Uploading, Verb,
};
use crate::policy::DeniedTrace;
use crate::quotas::RateHeaders;
use crate::requests::class_of;
use crate::tokens::Token;

/// A request as a door hands it over.
pub struct Call {
    /// `X-Vault-Namespace`, as it came.
    pub namespace: String,
    /// The path below `/v1/`.
    pub path: RequestPath,
    /// The verb.
    pub verb: Verb,
    /// The protocol that it came by.
    pub protocol: Protocol,
    /// Only the answer's head is asked for (HEAD).
    pub head: bool,
    /// The token, if any.
    pub token: Option<SecretString>,
    /// The login that the request brings along, in place of a token.
    pub inline: Option<Box<InlineLogin>>,
    /// The credential that is verified with the request, in place of a token.
    pub credential: Option<Box<Credential>>,
    /// The body as it came: parsed only after policy has allowed the path.
    pub body: Bytes,
    /// The fields in place of `body`, where the door has them already: they are looked at as late.
    pub fields: Option<RawFields>,
    /// The body in place of `body`, where it is read while it comes.
    pub upload: Option<Uploading>,
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// `X-Vault-Wrap-TTL` in seconds.
    pub wrap_ttl: Option<i64>,
    /// Headers, lower-case names.
    pub headers: Vec<(String, String)>,
    /// Where it came from.
    pub peer: Peer,
    /// What it may take of the server.
    pub bounds: Bounds,
}

/// What one call may take of the server. The default is what nobody may pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// When it is given up, if nothing of it is on its way into the storage by then.
    pub deadline: Option<Instant>,
    /// What its body may hold.
    pub json: JsonLimits,
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
    /// Is it the failure of the login that the request brought along?
    pub of_inline_login: bool,
    /// What limits the caller whose credential was verified with the request.
    pub access: Option<Arc<dyn Access>>,
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
    /// Its place on the list of requests in flight.
    flight: Boarded,
    /// It is a login that another request brought along.
    is_inline_login: bool,
    /// A namespace of the request's header is not there.
    is_strange: bool,
}

/// The route that a call's path leads to.
enum Target {
    Route { index: usize, captures: Captures },
    OtherVerb,
    Nothing,
}

/// A call whose caller is known.
struct Authenticated {
    admitted: Box<Admitted>,
    target: Target,
    token: Option<Arc<Token>>,
    entity: Option<Arc<EntityState>>,
    token_text: Option<Arc<SecretString>>,
    /// What limits a caller whose credential was verified with the request.
    access: Option<Arc<dyn Access>>,
    /// This was the last use of a use-limited token.
    last_use: bool,
    /// It writes what was not there.
    creates: AtomicBool,
}

/// A call that policy allows.
struct Authorised {
    caller: Box<Authenticated>,
    granting: Vec<String>,
    fields: RawFields,
    /// None on open paths.
    rights: Option<Rights>,
}

/// A call that was carried out, not yet recorded or committed.
struct Executed {
    authorised: Box<Authorised>,
    done: Box<execute::Done>,
}

/// A failure on the way, with what is known for the audit line.
struct Refused {
    error: Error,
    trace: Option<Box<Json>>,
    /// It is the failure of the login that the request brought along.
    of_inline_login: bool,
}

impl From<Error> for Refused {
    fn from(mut error: Error) -> Self {
        match error.cause.take().map(|cause| cause.downcast::<DeniedTrace>()) {
            Some(Ok(trace)) => {
                Self { error, trace: Some(Box::new(trace.0)), of_inline_login: false }
            }
            Some(Err(cause)) => {
                Self { error: error.because(cause), trace: None, of_inline_login: false }
            }
            None => Self { error, trace: None, of_inline_login: false },
        }
    }
}

/// Lists a call among the requests in flight.
fn enter(node: &Node, call: &Call, id: &str) -> Boarded {
    node.in_flight.enter(Flight {
        id: id.to_owned(),
        started: node.clock.now(),
        peer: call.peer.clone(),
        path: call.path.as_str().to_owned(),
        verb: call.verb,
        client: Default::default(),
    })
}

/// Carries a call out, and counts it.
pub async fn handle(node: &Arc<Node>, call: Call) -> Answer {
    let began = node.clock.monotonic_nanos();
    let answer = carry_out(node, call).await;
    let status = match &answer.result {
        Ok(reply) => reply.status.unwrap_or(200),
        Err(error) => class_of(error.kind),
    };
    node.requests.note(&answer.mount_kind, status, began, node.clock.monotonic_nanos());
    answer
}

async fn carry_out(node: &Arc<Node>, call: Call) -> Answer {
    let id = node.rng.uuid();
    let flight = enter(node, &call, &id);
    // A path that is no node operation with this verb may still be an ordinary one.
    if call.protocol == Protocol::Vault
        && let Some(Ok((fields, run))) = node.registry.node.find(call.path.as_str(), call.verb)
        && canonical(&call.namespace).is_ok_and(|n| n.is_empty())
    {
        return Box::pin(node_operation::run(node, &call, id, fields, run)).await;
    }
    let services = match node.active() {
        Ok(services) => services,
        Err(e) => return Answer::failure(id, e),
    };
    let mut answer = match admit::admit(services, call, id, flight).await {
        Ok(admitted) => admitted.limit_and_run().await.0,
        Err((id, e)) => {
            note_trouble(node, &id, "finding the mount", &e);
            Answer::failure(id, e)
        }
    };
    // With nothing of the request held any more.
    if let Some(work) = answer.rest()
        && let Err(error) = work(node.clone()).await
    {
        note_trouble(node, &answer.request_id, "ending a request", &error);
        answer.result = Err(error);
    }
    answer
}

/// Tells the server's log of a failure that is the server's own.
fn note_trouble(node: &Node, request: &str, operation: &str, error: &Error) {
    node.troubles.note(node.clock.monotonic_nanos(), request, operation, error);
}

/// The token of a login that another request brought along, once it is recorded.
type LoggedIn = Option<Arc<Token>>;

impl Admitted {
    /// The rest of the way, top to bottom.
    async fn run(self: Box<Self>) -> (Answer, LoggedIn) {
        let caller = match self.authenticate().await {
            Ok(caller) => caller,
            Err((admitted, refused)) => return (admitted.refuse(refused).await, None),
        };
        if let Some(locked) = caller.admitted.locked() {
            return (caller.refuse(locked.into(), &RawFields::default()).await, None);
        }
        let mut authorised = match caller.authorise().await {
            Ok(authorised) => authorised,
            Err((caller, refused)) => {
                return (caller.refuse(refused, &RawFields::default()).await, None);
            }
        };
        let mut attempt = 0;
        loop {
            let outcome = match authorised.execute().await {
                Ok(mut executed) => {
                    let logged_in = executed.done.logged_in.take();
                    executed.record().await.map(|answer| (answer, logged_in))
                }
                Err(failed) => Err(failed),
            };
            let (failed, refused) = match outcome {
                Ok(done) => return done,
                Err(failed) => failed,
            };
            if !failed.runs_again(&refused.error, attempt) {
                let fields = failed.fields;
                return (failed.caller.refuse(refused, &fields).await, None);
            }
            attempt += 1;
            failed.caller.admitted.services.store.storage.settled().await;
            authorised = failed;
        }
    }

    /// As [`note_trouble`], of this call's operation.
    fn note_trouble(&self, target: &Target, error: &Error) {
        let Some(node) = self.services.node.upgrade() else { return };
        let mount = self.entry.as_ref().map_or("", |entry| &entry.mount.path);
        let pattern = match target {
            Target::Route { index, .. } => self.route(*index).map_or("", |route| route.pattern),
            _ => "",
        };
        let operation = format!("{:?} {mount}{pattern}", self.call.verb);
        note_trouble(&node, &self.id, &operation, error);
    }

    fn mount_kind(&self) -> String {
        self.entry.as_ref().map_or_else(String::new, |e| e.mount.kind.clone())
    }
}

impl Answer {
    /// What is still to be done for it.
    fn rest(&mut self) -> Option<Then> {
        let Ok(Reply { beyond, .. }) = &mut self.result else { return None };
        match beyond.take().map(|beyond| *beyond) {
            Some(Beyond::Then(work)) => Some(work),
            other => {
                *beyond = other.map(Box::new);
                None
            }
        }
    }

    /// A failure without anything else.
    pub fn failure(request_id: String, error: Error) -> Self {
        Self {
            request_id,
            mount_kind: String::new(),
            result: Err(error),
            lease: None,
            explain: None,
            rate: None,
            of_inline_login: false,
            access: None,
        }
    }
}
