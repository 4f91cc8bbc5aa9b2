//! What an engine whose credentials are rotated has to know, and what it may ask for.

use std::future::Future;

use strongroom_base::{Error, Json, Result, Timestamp};
use strongroom_storage::BoxFuture;

use super::handler::AnyEngine;
use super::{AfterCommit, Beyond, ReadCx, WriteCx};
use crate::record::{ReadView, WriteView};
use crate::rotation::{Cause, Moves, Reads, RotationPlan, RotationStatus, Rotations};

/// A version of a subject's credential that a query answers.
pub(crate) struct Held {
    subject: String,
    version: u64,
    reads: Reads,
}

/// What becomes of a credential that was to be published ([`RotationKind::promote`]).
pub enum Promotion {
    /// It is published; the one before has ended already, or there was none.
    Alone,
    /// It is published; this takes the one before back.
    Over(Json),
    /// Nothing was written: for this reason it is not to be published any more. The rotation is rolled
    /// back, and begins anew later.
    Refused(&'static str),
}

impl From<Option<Json>> for Promotion {
    fn from(old: Option<Json>) -> Self {
        old.map_or(Self::Alone, Self::Over)
    }
}

/// What a plug-in does with credentials that are rotated.
///
/// A subject is named by the engine, within its mount; its path as callers know it
/// (`static-roles/app`) reads best. A credential is a JSON value of the engine's own, kept encrypted.
///
/// Whatever takes a [`ReadCx`] goes outside: it is done between two transactions, is repeated after
/// a crash, and may be asked for of a subject that has been removed since. So it must hold on to
/// what the credential says, and take what it finds done already for done.
pub trait RotationKind: Send + Sync {
    /// Chooses the next credential. Nothing is done outside; what this answers is durable before
    /// anything is.
    fn prepare(
        &self,
        cx: &mut WriteCx<'_>,
        subject: &str,
    ) -> impl Future<Output = Result<Json>> + Send;

    /// Makes the next credential good outside.
    fn set(
        &self,
        cx: &ReadCx<'_>,
        subject: &str,
        next: &Json,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Is it good? It is tried as a consumer would use it. `false` rolls the rotation back; an error
    /// has it tried again later.
    fn test(
        &self,
        cx: &ReadCx<'_>,
        subject: &str,
        next: &Json,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Publishes it as this version: callers that read the subject get it from now on. Refuses where
    /// somebody else has published another one since [`RotationKind::prepare`], which this one would
    /// replace unseen.
    fn promote(
        &self,
        cx: &mut WriteCx<'_>,
        subject: &str,
        version: u64,
        next: &Json,
    ) -> impl Future<Output = Result<Promotion>> + Send;

    /// Takes the credential of before back.
    fn revoke(
        &self,
        cx: &ReadCx<'_>,
        subject: &str,
        old: &Json,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Is it refused now? It is tried, as [`RotationKind::test`] does.
    fn refused(
        &self,
        cx: &ReadCx<'_>,
        subject: &str,
        old: &Json,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Takes a next credential back that was not published and will not be. It may never have been
    /// made, or half.
    fn undo(
        &self,
        cx: &ReadCx<'_>,
        subject: &str,
        next: &Json,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Removes its own records of a subject whose first credential did not come off
    /// ([`WriteCx::rotate_first`]).
    fn unmake(
        &self,
        cx: &mut WriteCx<'_>,
        subject: &str,
    ) -> impl Future<Output = Result<()>> + Send;
}

impl ReadCx<'_> {
    /// One of the mount's subjects, as its rotations have it.
    pub async fn rotation(&self, subject: &str) -> Result<Option<RotationStatus>> {
        let rotations = &self.services.rotations;
        rotations.status(self.tx, self.request.mount.scope, subject).await
    }

    /// As [`WriteCx::hold`], for queries: what they say here is noted with their answer.
    pub fn holds(&self, subject: &str, version: u64) {
        self.held_as(subject, version, Reads::Published);
    }

    /// As [`ReadCx::holds`], of a version that the caller named: one that is taken back is nobody's.
    pub fn holds_named(&self, subject: &str, version: u64) {
        self.held_as(subject, version, Reads::Named);
    }

    fn held_as(&self, subject: &str, version: u64, reads: Reads) {
        self.held.lock().push(Held { subject: subject.to_owned(), version, reads });
    }

    /// Notes what a query says it answers, in its transaction. Answers what counts once the caller has
    /// the answer.
    pub(crate) async fn note_held(&self) -> Result<Option<AfterCommit>> {
        let held = std::mem::take(&mut *self.held.lock());
        let mut moved = Vec::new();
        for Held { subject, version, reads } in held {
            let (tx, services, request) = (self.tx, self.services, self.request);
            let rotations = &services.rotations;
            moved.extend(rotations.hold(services, tx, request, &subject, version, reads).await?);
        }
        let scope = self.request.mount.scope;
        let told = move |moved: Vec<Moves>| -> AfterCommit {
            Box::new(move |services| {
                for moves in moved {
                    services.rotations.told(services, scope, moves);
                }
            })
        };
        Ok((!moved.is_empty()).then(|| told(moved)))
    }
}

impl ReadView<'_> {
    /// Is there a subject of this name?
    pub async fn has_rotation(&self, subject: &str) -> Result<bool> {
        Rotations::is_any(self.tx, self.scope(), subject).await
    }

    /// Is anything rotated whose subject's name begins so?
    pub async fn has_rotations(&self, prefix: &str) -> Result<bool> {
        Rotations::any_below(self.tx, self.scope(), prefix).await
    }
}

impl WriteView<'_> {
    /// Changes how a subject is rotated, if it is there.
    pub async fn change_rotation(
        &self,
        subject: &str,
        plan: &RotationPlan,
        now: Timestamp,
    ) -> Result<()> {
        let place = (self.scope(), subject);
        Rotations::change_plan(self.tx, place, plan, now).await.map(|_| ())
    }

    /// Takes a subject for rotated just now, since somebody has done by hand what its rotation does: the next
    /// time is counted from here. False where it is not there, or is being rotated.
    pub async fn note_rotated(&self, subject: &str, now: Timestamp) -> Result<bool> {
        Rotations::note_rotated(self.tx, (self.scope(), subject), now).await
    }

    /// Removes a subject. The engine's records of it may go in the same transaction: a rotation that is
    /// under way ends by itself, and the name is free again once it has.
    pub async fn remove_rotation(&self, subject: &str, now: Timestamp) -> Result<()> {
        Rotations::remove(self.tx, self.scope(), subject, now).await
    }

    /// Calls off a subject's rotation as long as it is not published; where there is none under way this
    /// does nothing.
    pub async fn call_rotation_off(
        &self,
        subject: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<()> {
        Rotations::call_off_unpublished(self.tx, self.scope(), subject, reason, now).await
    }
}

impl WriteCx<'_> {
    /// Makes a subject, or changes how it is rotated. A new one is rotated when the plan says, or
    /// by [`WriteCx::rotate_first`] in the same command.
    pub async fn put_rotation(&mut self, subject: &str, plan: &RotationPlan) -> Result<()> {
        let scope = self.read.request.mount.scope;
        Rotations::put(self.read.tx, (scope, subject), plan, false, self.now()).await
    }

    /// As [`WriteCx::put_rotation`], of something that has a credential already. A new subject has it as
    /// version 1; with two accounts it is good until the deadline of the first rotation, since nobody
    /// knows who has read it.
    pub async fn adopt_rotation(&mut self, subject: &str, plan: &RotationPlan) -> Result<()> {
        let scope = self.read.request.mount.scope;
        Rotations::put(self.read.tx, (scope, subject), plan, true, self.now()).await
    }

    /// Rotates a subject as soon as this is durable. Nobody waits for it.
    pub async fn rotate_soon(&mut self, subject: &str) -> Result<()> {
        self.soon(subject, Cause::Request).await
    }

    /// As [`WriteCx::rotate_first`]; nobody waits for it.
    pub async fn rotate_first_soon(&mut self, subject: &str) -> Result<()> {
        self.soon(subject, Cause::First).await
    }

    async fn soon(&mut self, subject: &str, cause: Cause) -> Result<()> {
        let rotations = &self.read.services.rotations;
        let scope = self.read.request.mount.scope;
        let begun = rotations.begin(self.read.tx, scope, subject, cause, self.now()).await?;
        self.after.push(begun.soon());
        Ok(())
    }

    /// Rotates a subject now. What this answers goes into the reply ([`super::Reply::beyond`]): the
    /// caller then waits until the next credential is published, and gets the outside's error where
    /// it does not come to that. It is tried again later then.
    pub async fn rotate_now(&mut self, subject: &str) -> Result<Beyond> {
        self.rotate(subject, Cause::Request).await
    }

    /// Gives a subject that this command makes its first credential, as [`WriteCx::rotate_now`].
    /// Where that does not come off, the subject is taken back ([`RotationKind::unmake`]).
    pub async fn rotate_first(&mut self, subject: &str) -> Result<Beyond> {
        self.rotate(subject, Cause::First).await
    }

    async fn rotate(&mut self, subject: &str, cause: Cause) -> Result<Beyond> {
        let rotations = &self.read.services.rotations;
        let scope = self.read.request.mount.scope;
        let begun = rotations.begin(self.read.tx, scope, subject, cause, self.now()).await?;
        Ok(begun.awaited())
    }

    /// Removes a subject. The engine's records of it may go in the same command: a rotation that is
    /// under way ends by itself, and the name is free again once it has.
    pub async fn remove_rotation(&mut self, subject: &str) -> Result<()> {
        self.edit().remove_rotation(subject, self.now()).await
    }

    /// Notes that the caller of this request gets this version of a subject's credential: to be
    /// called by every command that hands one out, with the version that [`RotationKind::promote`]
    /// published it under. It costs a write when a caller reads a version for the first time, and
    /// nothing for subjects with one account. The caller has moved on from the version before once
    /// the answer is away: where it is lost, it reads again.
    pub async fn hold(&mut self, subject: &str, version: u64) -> Result<()> {
        let services = self.read.services;
        let (tx, request) = (self.read.tx, self.read.request);
        let rotations = &services.rotations;
        let moves =
            rotations.hold(services, tx, request, subject, version, Reads::Published).await?;
        if let Some(moves) = moves {
            let scope = request.mount.scope;
            self.told =
                Some(Box::new(move |services| services.rotations.told(services, scope, moves)));
        }
        Ok(())
    }
}

/// The erasure of `E`.
pub(super) struct Of<E>(pub(super) std::marker::PhantomData<fn() -> E>);

fn engine<E: 'static>(any: &AnyEngine) -> Result<&E> {
    any.downcast_ref::<E>().ok_or_else(|| Error::internal("an engine has another type"))
}

/// [`RotationKind`] with the engine's type erased: of each method its context, and what else it takes.
macro_rules! erased {
    ($($method:ident($cx:ty $(, $name:ident: $of:ty)*) -> $answer:ty;)+) => {
        pub(crate) trait Rotates: Send + Sync {
            $(fn $method<'a>(
                &self,
                any: &'a AnyEngine,
                cx: $cx,
                subject: &'a str,
                $($name: $of,)*
            ) -> BoxFuture<'a, Result<$answer>>;)+
        }

        impl<E: RotationKind + 'static> Rotates for Of<E> {
            $(fn $method<'a>(
                &self,
                any: &'a AnyEngine,
                cx: $cx,
                subject: &'a str,
                $($name: $of,)*
            ) -> BoxFuture<'a, Result<$answer>> {
                Box::pin(async move { engine::<E>(any)?.$method(cx, subject, $($name),*).await })
            })+
        }
    };
}

erased! {
    prepare(&'a mut WriteCx<'_>) -> Json;
    set(&'a ReadCx<'a>, next: &'a Json) -> ();
    test(&'a ReadCx<'a>, next: &'a Json) -> bool;
    promote(&'a mut WriteCx<'_>, version: u64, next: &'a Json) -> Promotion;
    revoke(&'a ReadCx<'a>, old: &'a Json) -> ();
    refused(&'a ReadCx<'a>, old: &'a Json) -> bool;
    undo(&'a ReadCx<'a>, next: &'a Json) -> ();
    unmake(&'a mut WriteCx<'_>) -> ();
}
