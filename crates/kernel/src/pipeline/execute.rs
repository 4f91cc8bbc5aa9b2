//! Carrying an operation out: within one transaction, with a panic caught.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use strongroom_base::{Error, ErrorKind, FieldSource, Json, Result};
use strongroom_storage::StorageError;
use tokio::time::Instant;

use super::{Authenticated, Authorised, Executed, Refused, Target};
use crate::leases::{Intent, Leased};
use crate::lockout::LockoutRule;
use crate::mounts::MountEntry;
use crate::node::Services;
use crate::plug::{
    About, AfterCommit, Beyond, Handler, ReadCx, Reply, Request, Route, Step, Told, WriteCx,
};
use crate::record::{Tx, storage_error};
use crate::tokens::Token;

/// How often an operation is run again when others get in the way.
const ATTEMPTS_MAX: u32 = 32;

/// What came of an operation, before its commit.
pub(super) struct Done {
    pub tx: Tx,
    pub reply: Reply<Json>,
    pub lease: Option<Leased>,
    pub after: Vec<AfterCommit>,
    /// The token of a login that another request brought along.
    pub logged_in: Option<Arc<Token>>,
    /// What was made outside of the store: taken back unless the commit comes through.
    pub _intent: Option<Intent>,
    /// Held until the commit is through.
    pub _queue: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Authorised {
    /// Carries it out; what it changes is not committed yet.
    pub(super) async fn execute(self: Box<Self>) -> Result<Executed, (Box<Self>, Refused)> {
        match CatchPanic::new(self.run()).await {
            Ok(done) => Ok(Executed { authorised: self, done }),
            Err(error) => Err((self, error.into())),
        }
    }

    /// Is it carried out again after the failure of the `attempt`-th time, counted from zero? It is
    /// where another transaction got in the way, and once where the disk was found full and it may
    /// use what is kept back for that.
    pub(super) fn runs_again(&self, error: &Error, attempt: u32) -> bool {
        let in_the_way = error.kind == ErrorKind::Conflict;
        in_the_way && attempt < ATTEMPTS_MAX
            || attempt == 0 && found_full(error) && self.caller.admitted.may_use_reserve()
    }

    async fn run(&self) -> Result<Box<Done>> {
        let caller = &self.caller;
        let admitted = &caller.admitted;
        if admitted.call.wants_help() {
            return self.help();
        }
        let Target::Route { index, captures } = &caller.target else {
            return Err(Error::unsupported());
        };
        let entry = admitted.entry.as_ref().ok_or_else(|| Error::no_route(&admitted.path))?;
        let (Some(engine), Some(route)) = (&entry.engine, admitted.route(*index)) else {
            return Err(Error::no_route(&admitted.path));
        };
        let request = Request { rights: self.rights.clone(), ..request_of(caller, entry) };
        if let Some(access) = caller.access.as_ref().filter(|_| !route.judges_access) {
            access.judge(&About::default())?;
        }
        let services = &admitted.services;
        let deadline = admitted.call.bounds.deadline;
        let tx = services.store.begin();
        let source = FieldSource::new(captures, &self.fields, route.fields);
        let unknown = unknown_fields(route, &source);
        let read = ReadCx::new(&tx, services, &request);
        let carried_out = async {
            Ok(match &route.handler {
                Handler::Query(run) => {
                    let deadline = deadline.filter(|_| !route.to_the_end);
                    let mut reply = within(deadline, run(&**engine, &read, source)).await?;
                    if let Some(told) = read.note_held().await? {
                        reply = reply.beyond(Beyond::Told(Told::new(services.clone(), told)));
                    }
                    (reply, Vec::new(), None, None, None)
                }
                Handler::Command(run) => {
                    let mut cx = WriteCx { deadline, ..WriteCx::new(read) };
                    let reply = run(&**engine, &mut cx, source).await;
                    let mut reply = if cx.late { Err(took_too_long()) } else { reply }?;
                    if let Some(told) = cx.told {
                        reply = reply.beyond(Beyond::Told(Told::new(services.clone(), told)));
                    }
                    (reply, cx.after, cx._queue, cx.intent, None)
                }
                Handler::Login(run) => {
                    let mut cx = WriteCx { deadline, ..WriteCx::new(read) };
                    let counted = Counted::of(services, &request, route, &source)?;
                    let begun = services.store.clock.monotonic_nanos();
                    let step = run(&**engine, &mut cx, source).await;
                    let took = services.store.clock.monotonic_nanos().saturating_sub(begun);
                    services.identity.tally.handled(took);
                    let step = if cx.late { Err(took_too_long()) } else { counted.judge(step) }?;
                    let (mut after, queue, intent) = (cx.after, cx._queue, cx.intent);
                    match step {
                        Step::Token(grant) => {
                            let ended = Box::pin(caller.log_in(&tx, &request, *grant)).await?;
                            after.extend(ended.after);
                            (ended.reply, after, queue, intent, ended.token)
                        }
                        Step::Reply(reply) => (*reply, after, queue, intent, None),
                    }
                }
            })
        };
        let (mut reply, after, queue, intent, logged_in) = match carried_out.await {
            // Half of it from before another's commit and half from after: nothing is damaged.
            Err(Error { kind: ErrorKind::Internal, .. }) if !tx.still_stands() => {
                return Err(storage_error(StorageError::Conflict));
            }
            outcome => outcome?,
        };
        // An answer of nothing stays one: Vault's is 204, whatever else the request had.
        if reply.data.is_some() || reply.auth.is_some() || !reply.warnings.is_empty() {
            reply.warnings.extend(unknown);
        }
        let tuned = &entry.mount.config.allowed_response_headers;
        let is_tuned = |name: &str| tuned.iter().any(|t| t.eq_ignore_ascii_case(name));
        reply.headers.retain(|header| !header.tuned || is_tuned(header.name));
        if let (Some(rights), Some(data)) = (&self.rights, &mut reply.data) {
            let needs_sudo = |path: &str| match path.strip_prefix(&rights.prefix) {
                Some(path) => admitted.is_root_protected(path),
                // Above the request's namespace: this request has no business to know.
                None => true,
            };
            if !rights.filter_list(data, needs_sudo) {
                return Err(Error::not_found());
            }
        }
        let lease = match &reply.lease {
            Some(lease) => {
                request.may_have_leases()?;
                // What others committed while something was made outside is no conflict with what is
                // read only now.
                tx.refresh();
                let new = services.leases.register(services, &tx, &request, lease, intent.as_ref());
                let new = Box::pin(new).await?;
                reply.warnings.extend(new.1);
                Some(new.0)
            }
            None => reply.leased.take(),
        };
        let (_intent, _queue) = (intent, queue);
        let mut done = Box::new(Done { tx, reply, lease, after, logged_in, _intent, _queue });
        if let Some(ttl) = request.wrap_ttl.filter(|ttl| *ttl > 0) {
            Box::pin(super::wrap::wrap(caller, &request, &mut done, ttl)).await?;
        }
        Ok(done)
    }
}

/// Runs what only reads until the deadline. A command is not cut off: what it began outside of its
/// transaction would stay without an answer. It only waits for its turn no longer than that.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match deadline {
        Some(deadline) => {
            tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(took_too_long()))
        }
        None => work.await,
    }
}

/// Did the storage find its disk full?
fn found_full(error: &Error) -> bool {
    let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(StorageError::Full))
}

fn took_too_long() -> Error {
    Error::unavailable("the request took longer than max_request_duration allows")
}

/// A login whose failures the lockout counts.
struct Counted<'a> {
    services: &'a Services,
    request: &'a Request,
    who: Option<(String, LockoutRule)>,
}

impl<'a> Counted<'a> {
    /// Refuses who is locked.
    fn of(
        services: &'a Services,
        request: &'a Request,
        route: &Route,
        source: &FieldSource<'_>,
    ) -> Result<Self> {
        let alias = route.alias.and_then(|alias| alias(source));
        let who = alias.zip(LockoutRule::of(&request.mount, &services.config));
        if let Some((name, rule)) = &who {
            services.lockouts.check(request.mount.scope, name, rule, request.now)?;
        }
        Ok(Self { services, request, who })
    }

    fn judge(&self, outcome: Result<Step>) -> Result<Step> {
        if let Some((name, rule)) = &self.who {
            let (lockouts, mount) = (&self.services.lockouts, self.request.mount.scope);
            match &outcome {
                Ok(_) => lockouts.forget(mount, name),
                Err(e) if e.is_bad_credentials() => {
                    lockouts.failed(mount, name, rule, self.request.now);
                }
                Err(_) => {}
            }
        }
        outcome
    }
}

impl Authorised {
    /// Answers what the path is for.
    fn help(&self) -> Result<Box<Done>> {
        let admitted = &self.caller.admitted;
        let entry = admitted.entry.as_ref().ok_or_else(|| Error::no_route(&admitted.path))?;
        let help = crate::describe::help(entry, &admitted.path, &admitted.below);
        let help = help.ok_or_else(|| Error::no_route(&admitted.path))?;
        let tx = admitted.services.store.begin();
        let reply = Reply::data(help).bare();
        Ok(Box::new(Done {
            tx,
            reply,
            lease: None,
            after: Vec::new(),
            logged_in: None,
            _intent: None,
            _queue: None,
        }))
    }
}

/// Vault's warning about fields that the operation does not know.
fn unknown_fields(route: &Route, source: &FieldSource<'_>) -> Option<String> {
    if route.verb != crate::plug::Verb::Write {
        return None;
    }
    let names = source.unknown_names();
    (!names.is_empty())
        .then(|| format!("Endpoint ignored these unrecognized parameters: [{}]", names.join(" ")))
}

/// A future that turns a panic into an error: one request fails, not the server (threat
/// GHSA-8w8f-r2xv-4q4j).
pub(crate) struct CatchPanic<'a, T>(Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>);

impl<'a, T> CatchPanic<'a, T> {
    /// Catches the panics of `future`.
    pub(crate) fn new(future: impl Future<Output = Result<T>> + Send + 'a) -> Self {
        Self(Box::pin(future))
    }
}

impl<T> Future for CatchPanic<'_, T> {
    type Output = Result<T>;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll,
            // The payload may hold anything, so it is dropped unread.
            Err(_) => Poll::Ready(Err(Error::internal("an operation panicked"))),
        }
    }
}

/// What an operation sees of the call.
pub(super) fn request_of(caller: &Authenticated, entry: &MountEntry) -> Request {
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
        head: admitted.call.head,
        path: admitted.below.clone(),
        respelled: admitted.written.is_some(),
        full_path: admitted.path.clone(),
        peer: admitted.call.peer.clone(),
        token: caller.token.clone(),
        token_text: caller.token_text.clone(),
        wrap_ttl: admitted.call.wrap_ttl,
        headers,
        query: admitted.call.query.clone(),
        upload: admitted.call.upload.clone(),
        rights: None,
        access: caller.access.clone(),
    }
}
