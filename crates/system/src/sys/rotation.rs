//! Rotations of credentials: what is rotated, how far it is, who holds it up, and what an operator
//! or a consumer can do about it.
//!
//! A subject's path is its mount's and its own within it (`database/static-roles/app`), at the end
//! of every operation's path, so that policies can give rights on some. As with leases, looking at
//! one needs policy alone, and listing them needs sudo; so does `force`, which takes credentials
//! from consumers that live. A consumer acknowledges for itself; for others, that needs sudo.

mod subjects;

use std::sync::Arc;

use serde::Serialize;
use strongroom_base::{Error, Result};
use strongroom_kernel::mounts::{MountEntry, MountTable};
use strongroom_kernel::namespaces::Namespace;
use strongroom_kernel::pipeline::has_sudo;
use strongroom_kernel::plug::{Command, EngineSpec, Op, ReadCx, Reply, Rule, Verb, WriteCx};
use strongroom_kernel::record::{Id, Scope};
use strongroom_kernel::rotation::{Acknowledged, Cause, RotationStatus, State};

use self::subjects::{ListSubjects, ReadSubject};
use super::System;

/// Adds the operations of this file.
pub fn add_rotation(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ListSubjects>("rotation/subjects/{prefix..}")
        .query::<ReadSubject>("rotation/subjects/{path..}")
        .command::<StartRotation>("rotation/start/{path..}")
        .command::<ForceRotation>("rotation/force/{path..}")
        .command::<AbortRotation>("rotation/abort/{path..}")
        .command::<AckRotation>("rotation/ack/{path..}")
}

/// A subject that a path names.
struct Found {
    entry: Arc<MountEntry>,
    name: String,
}

impl Found {
    fn scope(&self) -> Scope {
        self.entry.mount.scope
    }
}

/// The mounts of a namespace whose rotations can be asked about: those that serve, and those that
/// were disabled and have still to take something back.
fn mounts<'a>(
    table: &'a MountTable,
    namespace: &'a Namespace,
) -> impl Iterator<Item = &'a Arc<MountEntry>> {
    let here = |e: &&Arc<MountEntry>| e.namespace.scope == namespace.scope;
    let rotates = |e: &&Arc<MountEntry>| e.spec.as_ref().is_some_and(|spec| spec.has_rotations());
    table.of(namespace.scope).chain(table.deleted().filter(here)).filter(rotates)
}

/// The subject at `path`; 404 where there is none.
async fn find(cx: &ReadCx<'_>, path: &str) -> Result<(Found, RotationStatus)> {
    let services = cx.kernel();
    let table = services.router.table().await?;
    for entry in mounts(&table, &cx.request.namespace) {
        let Some(name) = path.strip_prefix(entry.mount.path.as_str()) else { continue };
        let status = services.rotations.status(cx.kernel_tx(), entry.mount.scope, name).await?;
        if let Some(mut status) = status {
            services.rotations.count_consumers(entry.mount.scope, &mut status).await?;
            return Ok((Found { entry: entry.clone(), name: name.to_owned() }, status));
        }
    }
    Err(Error::not_found())
}

/// Has a subject looked at once this is committed.
fn nudge(cx: &mut WriteCx<'_>, scope: Scope, subject: Option<Id>) {
    if let Some(id) = subject {
        cx.after_commit(move |services| services.rotations.nudge(services, scope, id));
    }
}

strongroom_base::fields! {
    /// Rotates a credential now. Answers once the next one is published.
    pub struct StartRotation {
        /// The mount's path and the subject's.
        path: String,
    }
}

impl Op for StartRotation {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}

impl Command<StartRotation> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: StartRotation) -> Result<Reply<()>> {
        let (found, _) = find(cx, &op.path).await?;
        let rotations = &cx.kernel().rotations;
        let (tx, scope) = (cx.kernel_tx(), found.scope());
        let begun = rotations.begin(tx, scope, &found.name, Cause::Request, cx.now()).await?;
        Ok(Reply::none().beyond(begun.awaited()))
    }
}

strongroom_base::fields! {
    /// Ends a drain, whoever is left: the credential of before is revoked now. A rotation that waits
    /// to try again does so at once; one that is taking something back gives up if that fails once
    /// more.
    pub struct ForceRotation {
        /// The mount's path and the subject's.
        path: String,
    }
}

impl Op for ForceRotation {
    type Reply = Forced;
    const VERB: Verb = Verb::Write;
    const RULE: Rule = Rule::Sudo;
}

/// What was forced.
#[derive(Serialize)]
pub struct Forced {
    /// The state it was found in.
    state: &'static str,
    /// Consumers that lose the credential.
    consumers_left: u64,
}

impl Command<ForceRotation> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ForceRotation) -> Result<Reply<Forced>> {
        let (found, status) = find(cx, &op.path).await?;
        let rotations = &cx.kernel().rotations;
        let (tx, scope) = (cx.kernel_tx(), found.scope());
        let state = rotations.force(tx, scope, &found.name, cx.now()).await?;
        let id = rotations.number(tx, scope, &found.name).await?;
        nudge(cx, scope, id);
        let draining = status.running.filter(|_| state == State::Draining);
        let consumers_left = draining.map_or(0, |running| running.drained.left);
        Ok(Reply::data(Forced { state: state.name(), consumers_left }))
    }
}

strongroom_base::fields! {
    /// Calls a rotation off whose credential is not published yet: it is rolled back.
    pub struct AbortRotation {
        /// The mount's path and the subject's.
        path: String,
    }
}

impl Op for AbortRotation {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}

impl Command<AbortRotation> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: AbortRotation) -> Result<Reply<()>> {
        let (found, _) = find(cx, &op.path).await?;
        let rotations = &cx.kernel().rotations;
        let (tx, scope) = (cx.kernel_tx(), found.scope());
        rotations.abort(tx, scope, &found.name, cx.now()).await?;
        let id = rotations.number(tx, scope, &found.name).await?;
        nudge(cx, scope, id);
        Ok(Reply::none())
    }
}

strongroom_base::fields! {
    /// Says that a consumer has moved on to the newest version: the caller, or, with sudo, another.
    pub struct AckRotation {
        /// The mount's path and the subject's.
        path: String,
        /// Every consumer of this accessor's login.
        accessor: Option<String>,
        /// The consumer with this number, as the status shows it.
        consumer: Option<String>,
    }
}

impl Op for AckRotation {
    type Reply = Acknowledgement;
    const VERB: Verb = Verb::Write;
}

/// What an acknowledgement did.
#[derive(Serialize)]
pub struct Acknowledgement {
    /// Consumers that counted as left until now.
    acknowledged: u64,
}

impl Command<AckRotation> for System {
    async fn command(
        &self,
        cx: &mut WriteCx<'_>,
        op: AckRotation,
    ) -> Result<Reply<Acknowledgement>> {
        let services = cx.kernel().clone();
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let own = cx.request.token.as_ref().map(|token| token.accessor.clone());
        let whose = match (given(op.accessor), given(op.consumer)) {
            (None, None) => Acknowledged::Own,
            (Some(_), Some(_)) => {
                return Err(Error::bad_request("accessor and consumer exclude each other"));
            }
            (Some(accessor), None) => {
                if own.as_ref() != Some(&accessor) && !has_sudo(cx).await? {
                    return Err(Error::denied());
                }
                let id = services.tokens.id_of_accessor(&accessor);
                Acknowledged::Login(id.ok_or_else(|| Error::bad_request("invalid accessor"))?)
            }
            (None, Some(consumer)) => {
                if !has_sudo(cx).await? {
                    return Err(Error::denied());
                }
                Acknowledged::Consumer(consumer)
            }
        };
        let (found, _) = find(cx, &op.path).await?;
        let (tx, scope) = (cx.kernel_tx(), found.scope());
        let rotations = &services.rotations;
        let (acknowledged, subject) =
            rotations.acknowledge(&services, tx, cx.request, scope, &found.name, whose).await?;
        nudge(cx, scope, subject);
        let reply = Reply::data(Acknowledgement { acknowledged });
        Ok(match acknowledged {
            0 => reply.warn(
                "Nothing was acknowledged: no drain is under way, or none of these consumers \
                 holds it up, or what they read is given on to others and counts at the deadline.",
            ),
            _ => reply,
        })
    }
}
