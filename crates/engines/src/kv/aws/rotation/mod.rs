//! Rotation of secrets, on the kernel's rotation machine (`strongroom_kernel::rotation`): by functions,
//! as AWS runs Lambda functions (Secrets Manager's guide, "Rotation by Lambda function"), and by rotators
//! that are built in and need no function.
//!
//! * [`functions`] says where functions are and how they are called, [`databases`] which databases the
//!   built-in ones may reach;
//! * [`rotators`] says which of them a secret's `RotationLambdaARN` means;
//! * [`run`] is what the machine asks for: [`called`] does it by a function, [`accounts`] in a database,
//!   of one of its [`kinds`], and [`ending`] takes passwords back there;
//! * [`ops`] are RotateSecret and CancelRotateSecret, [`rules`] when it happens.
//!
//! ```text
//!            create              set                        test                     promote
//! function   AWSPENDING, empty   createSecret, setSecret    testSecret, finishSecret it is AWSCURRENT
//! built in   AWSPENDING, filled  the account's password     it logs in               it becomes AWSCURRENT
//! ```
//!
//! With two accounts that take turns comes `draining`: the account of AWSPREVIOUS keeps its password until
//! everybody who read it has read the next version, or until the deadline.
//!
//! Invariants:
//! * a secret has one run at a time; each step looks first whether the secret still wants it: it is there,
//!   it is rotated, and AWSPENDING is on the version of this run;
//! * a run that fails leaves AWSCURRENT where it is, and the version in the making keeps its label; it is
//!   tried again with the same version;
//! * a built-in run replaces and restores nothing but the AWSCURRENT that it began with: where somebody has
//!   published another one, it is rolled back to that one, and begins anew from there;
//! * a function's trial and a rotation of the same secret never meet;
//! * calls go where an operator's settings say, to no other address;
//! * who gets a value whose account drains is noted before the answer.

mod accounts;
mod called;
pub mod databases;
mod ending;
pub mod functions;
mod journal;
mod kinds;
mod ops;
mod rotators;
mod rules;
mod run;
mod structure;

use strongroom_base::{Error, Result, Timestamp};
use strongroom_kernel::plug::{ReadCx, WriteCx};
use strongroom_kernel::record::{Id, ReadView, WriteView};
use strongroom_kernel::rotation::{RotationPlan, Schedule};

use super::ids;
use super::stored::Rotation;
use crate::kv::new_id;
use crate::kv::secret::{AWS_CURRENT, AWS_PENDING, Head};
use crate::kv::tree;

pub(super) use ops::{Cancel, RIGHTS, Rotate};

/// What the kernel calls the rotation of the secret at a path: as policies call its value.
fn subject(path: &str) -> String {
    format!("data/{path}")
}

/// What it calls the trial of a function for that secret.
fn probe_of(path: &str) -> String {
    format!("probe/{path}")
}

/// The rotation of a secret, if it has one.
fn of(head: &Head) -> Option<&Rotation> {
    head.of_aws.as_ref()?.rotation.as_ref()
}

fn of_mut(head: &mut Head) -> Option<&mut Rotation> {
    head.of_aws.as_mut()?.rotation.as_mut()
}

/// Is the secret at this path rotated? Its name may not change then.
pub async fn is_rotated(view: &ReadView<'_>, path: &str) -> Result<bool> {
    let (rotated, tried) = (subject(path), probe_of(path));
    Ok(view.has_rotation(&rotated).await? || view.has_rotation(&tried).await?)
}

/// Is any secret of this folder rotated? Its name ends in a slash.
pub async fn is_any_rotated(view: &ReadView<'_>, folder: &str) -> Result<bool> {
    let (rotated, tried) = (subject(folder), probe_of(folder));
    Ok(view.has_rotations(&rotated).await? || view.has_rotations(&tried).await?)
}

/// Is a rotation of the secret at this path under way?
async fn is_rotating(cx: &ReadCx<'_>, path: &str) -> Result<bool> {
    let status = cx.rotation(&subject(path)).await?;
    Ok(status.is_some_and(|status| status.running.is_some()))
}

/// Is the function of the secret at this path being tried? Its trial and a rotation are one after the other:
/// each writes that it is under way before it looks for the other, a rotation waits for the trial to end, and
/// a trial steps back.
async fn is_tried(cx: &ReadCx<'_>, path: &str) -> Result<bool> {
    let status = cx.rotation(&probe_of(path)).await?;
    Ok(status.is_some_and(|status| status.running.is_some()))
}

/// Forgets the version that a trial was made by.
fn forget_trial(head: &mut Head) {
    let Some(rotation) = of_mut(head) else { return };
    let probe = std::mem::take(&mut rotation.probe);
    if let Some(id) = ids::find(head, &probe).map(|version| version.id) {
        head.drop_awaited(id);
    }
}

/// Ends the rotation of a secret that goes: of the one with this head's row. One that was moved after its
/// rotation had ended keeps the name of then, which may be another's by now.
pub async fn end(edit: &WriteView<'_>, row: Id, head: &Head, now: Timestamp) -> Result<()> {
    let path = of(head).and_then(|rotation| rotation.subject.strip_prefix("data/"));
    let Some(path) = path else { return Ok(()) };
    if tree::leaf(edit, path).await? != Some(row) {
        return Ok(());
    }
    edit.remove_rotation(&subject(path), now).await?;
    edit.remove_rotation(&probe_of(path), now).await
}

/// Holds up the rotation of a secret whose deletion can still be taken back.
pub async fn hold_up(edit: &WriteView<'_>, head: &Head, now: Timestamp) -> Result<()> {
    let Some(rotation) = of(head).filter(|rotation| rotation.enabled) else { return Ok(()) };
    let reason = "its secret is to be deleted";
    edit.call_rotation_off(&rotation.subject, reason, now).await?;
    if let Some(path) = rotation.subject.strip_prefix("data/") {
        edit.call_rotation_off(&probe_of(path), reason, now).await?;
    }
    let plan = RotationPlan { schedule: Schedule::Never, ..rotation.plan()? };
    edit.change_rotation(&rotation.subject, &plan, now).await
}

/// Goes on with the rotation of a secret that was restored.
pub async fn go_on(edit: &WriteView<'_>, head: &Head, now: Timestamp) -> Result<()> {
    let Some(rotation) = of(head).filter(|rotation| rotation.enabled) else { return Ok(()) };
    edit.change_rotation(&rotation.subject, &rotation.plan()?, now).await
}

/// A value that is put by hand counts as a rotation (API page "RotationRulesType").
pub(super) async fn by_hand(cx: &WriteCx<'_>, head: &mut Head) -> Result<()> {
    let now = cx.now();
    let Some(rotation) = of_mut(head).filter(|rotation| rotation.enabled) else { return Ok(()) };
    if cx.edit().note_rotated(&rotation.subject, now).await? {
        rotation.last = now;
        rotation.next = rotation.next_after(now, now)?;
    }
    Ok(())
}

/// Notes that the caller reads this version of a secret: as long as its account may drain, that counts.
pub fn note_reader(cx: &ReadCx<'_>, head: &Head, id: u128) {
    let Some(rotation) = of(head) else { return };
    let current = head.staged(AWS_CURRENT) == Some(id);
    match (rotation.published, rotation.previous) {
        (_, Some(before)) if before.id == id => cx.holds_named(&rotation.subject, before.version),
        (Some(now), _) if current && rotation.enabled => cx.holds(&rotation.subject, now.version),
        (Some(now), _) if current => cx.holds_named(&rotation.subject, now.version),
        _ => {}
    }
}

/// Makes a version that waits for its value, under AWSPENDING, unless the one of this token is there.
fn begin(cx: &WriteCx<'_>, head: &mut Head, token: &str, keep: u64) -> Vec<Id> {
    let now = cx.now();
    if let Some(known) = ids::find(head, token).map(|v| v.id) {
        head.set_stage(AWS_PENDING, Some(known));
        return Vec::new();
    }
    let (id, extra) = ids::of_new(head, token, || new_id(cx));
    head.add_awaited(id, extra, AWS_PENDING, now, keep)
}

impl Rotation {
    /// Do two accounts take turns?
    fn alternates(&self) -> bool {
        rotators::BuiltIn::of(&self.rotator).is_some_and(|rotator| rotator.alternates)
    }

    /// How the kernel rotates it.
    fn plan(&self) -> Result<RotationPlan> {
        let schedule = rules::schedule(self.days, &self.schedule, &self.duration)?;
        Ok(match self.alternates() {
            true => RotationPlan::two_accounts(schedule, self.drain),
            false => RotationPlan::one_account(schedule),
        })
    }

    /// When the next run is, after one at `last`; zero where nothing says.
    fn next_after(&self, last: Timestamp, now: Timestamp) -> Result<Timestamp> {
        let next = self.plan()?.next(last, now);
        Ok(if next == Timestamp::MAX { Timestamp::ZERO } else { next })
    }

    /// Is this version the one that it is about to make?
    fn is_making(&self, head: &Head, token: &str) -> bool {
        let version = ids::find(head, token).map(|version| version.id);
        self.enabled
            && self.token == token
            && head.deletion.is_none()
            && version.is_some()
            && head.staged(AWS_PENDING) == version
    }
}

/// What is stored is damaged.
fn damaged() -> Error {
    Error::internal("a rotation's journal is damaged")
}
