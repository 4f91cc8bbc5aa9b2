//! Rotation by functions: what AWS runs as Lambda functions runs here wherever the operator says, asked by
//! the Lambda API (Secrets Manager's guide, "Rotation by Lambda function").
//!
//! A run is four calls in order, each made by the reconciler and each followed by one commit:
//!
//! ```text
//! createSecret → setSecret → testSecret → finishSecret → waiting for its next time
//! ```
//!
//! The function calls back as any client does. What it does is its own; here is only what a run leaves in
//! the secret's head.
//!
//! Invariants:
//! * a secret has one run at a time, and its [`Job`] says how far it is: whoever crashed makes the call
//!   again, which a function must take, as it must at AWS;
//! * a run that fails ends: AWSCURRENT stays where it is, the version in the making keeps its label;
//! * a run is a success only when its version became AWSCURRENT;
//! * calls go where an operator's settings say, to no other address.

pub mod functions;
mod ops;
pub mod rules;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::{Id, ReadView, Record, WriteView, rows};

use super::ids;
use super::stored::Rotation;
use crate::kv::secret::{AWS_CURRENT, AWS_PENDING, Head};
use crate::kv::store::{self, Secret};
use crate::kv::tree::{Entry, TOP};
use crate::kv::{Kv, new_id};

pub(super) use ops::{Cancel, Rotate, needs};

/// The calls of a run.
const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];
/// The step of a secret that waits.
const WAITING: u8 = STEPS.len() as u8;
/// The step that is made to try a function.
const TEST: u8 = 2;
/// Seconds until a secret whose deletion is scheduled is looked at again.
const LATER_SECONDS: i64 = 3_600;

/// How far the rotation of a secret is, by its head's row in decimal.
#[derive(Clone, Serialize, Deserialize)]
pub struct Job {
    /// The secret's folder.
    pub parent: Id,
    /// Its name there. It may not move while it has a job.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Its region.
    pub region: String,
    /// The function.
    pub function: String,
    /// The id of the version in the making.
    pub token: String,
    /// The next call, or [`WAITING`].
    step: u8,
    /// Is the function only tried?
    probe: bool,
    /// When it goes on.
    due: Timestamp,
}

impl Record for Job {
    const KIND: u8 = 6;
}

/// Is the secret of this head's row rotated by a function? Its ARN may not change then.
pub async fn is_rotated(view: &ReadView<'_>, row: Id) -> Result<bool> {
    Ok(view.named::<Job>(TOP, &row.to_string()).await?.is_some())
}

/// Forgets the rotation of a secret that goes.
pub fn forget(edit: &WriteView<'_>, row: Id) {
    edit.delete_named::<Job>(TOP, &row.to_string());
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

/// Goes on with one rotation that is due; true where there may be more.
pub(in crate::kv) async fn run_due(kv: &Kv, cx: &mut WriteCx<'_>) -> Result<bool> {
    let (now, edit) = (cx.now(), cx.edit());
    let jobs = edit.all::<Job>(TOP).await?;
    let Some((key, mut job)) = jobs.into_iter().find(|(_, job)| job.due <= now) else {
        return Ok(false);
    };
    let Ok(row) = key.parse::<Id>() else { return Ok(false) };
    let step = STEPS.get(usize::from(job.step));
    match step {
        Some(step) => {
            let functions = functions::settings(&edit).await?;
            let call = functions::invoke(kv.web(), &functions, &job, step, now);
            let done = cx.outside(call).await;
            // A failed call is the operator's to know; its text tells nothing of the secret.
            if let Err(why) = &done {
                tracing::warn!(step, error = %why, "a rotation function failed; the run is over");
            }
            advance(cx, &mut job, row, done.is_ok()).await?;
        }
        None => start(cx, &mut job, row).await?,
    }
    Ok(true)
}

/// The secret of a job, if it is still there.
async fn secret_of(edit: &WriteView<'_>, job: &Job, row: Id) -> Result<Option<Secret>> {
    let entry = edit.named::<Entry>(job.parent, &job.name).await?;
    if entry.is_none_or(|entry| entry.id != row) {
        return Ok(None);
    }
    let head = edit.row::<Head>(rows::HEADS, row).await?;
    Ok(head.map(|head| Secret { row, head }))
}

fn put(edit: &WriteView<'_>, job: &Job, row: Id) -> Result<()> {
    edit.put_named(TOP, &row.to_string(), job)
}

/// The time of a secret that waits has come.
async fn start(cx: &mut WriteCx<'_>, job: &mut Job, row: Id) -> Result<()> {
    let edit = cx.edit();
    let Some(mut secret) = secret_of(&edit, job, row).await? else {
        forget(&edit, row);
        return Ok(());
    };
    if secret.head.deletion.is_some() {
        job.due = cx.now().plus_seconds(LATER_SECONDS);
        return put(&edit, job, row);
    }
    job.token = cx.rng().uuid();
    (job.step, job.due) = (0, cx.now());
    let config = store::config(&edit).await?;
    let keep = secret.head.keep(config.max_versions);
    let freed = begin(cx, &mut secret.head, &job.token, keep);
    store::forget(&edit, &freed);
    edit.put_row(rows::HEADS, row, &secret.head)?;
    let name = job.name.clone();
    cx.effect("rotate", name);
    put(&edit, job, row)
}

/// A call is over.
async fn advance(cx: &mut WriteCx<'_>, job: &mut Job, row: Id, done: bool) -> Result<()> {
    let edit = cx.edit();
    if done && !job.probe && job.step + 1 < WAITING {
        job.step += 1;
        return put(&edit, job, row);
    }
    let Some(mut secret) = secret_of(&edit, job, row).await? else {
        forget(&edit, row);
        return Ok(());
    };
    let head = &mut secret.head;
    let version = ids::find(head, &job.token).map(|v| (v.id, v.is_awaited()));
    let current = version.is_some_and(|(id, _)| head.staged(AWS_CURRENT) == Some(id));
    match version {
        // What was made to try the function goes.
        Some((id, true)) if job.probe => head.drop_awaited(id),
        // AWSPENDING stays on no version that did not become the current one.
        _ if done && current && head.staged(AWS_PENDING) != version.map(|(id, _)| id) => {
            head.set_stage(AWS_PENDING, None);
        }
        _ => {}
    }
    let next = match head.of_aws.as_mut().and_then(|a| a.rotation.as_mut()) {
        Some(rotation) if rotation.enabled => {
            if done && current && !job.probe {
                rotation.last = cx.now();
            }
            rotation.next = rotation.next_after(cx.now());
            rotation.next
        }
        _ => {
            forget(&edit, row);
            Timestamp::ZERO
        }
    };
    edit.put_row(rows::HEADS, row, &secret.head)?;
    if next.is_zero() && !secret.head.of_aws.as_ref().is_some_and(|a| a.is_rotated()) {
        return Ok(());
    }
    (job.step, job.probe) = (WAITING, false);
    job.due = if next.is_zero() { Timestamp::MAX } else { next };
    put(&edit, job, row)
}

impl Rotation {
    /// When the next run is, after a time; zero where nothing says.
    pub fn next_after(&self, now: Timestamp) -> Timestamp {
        let rules = rules::Rules::read(self.days, &self.schedule).ok().flatten();
        rules.and_then(|rules| rules.next(now)).unwrap_or(Timestamp::ZERO)
    }
}

/// Is any of these secrets (their rows stand last) rotated by a function?
pub async fn is_any_rotated(view: &ReadView<'_>, of: &[(String, String, Id)]) -> Result<bool> {
    let jobs = view.all::<Job>(TOP).await?;
    let rows: Vec<Id> = jobs.iter().filter_map(|(key, _)| key.parse().ok()).collect();
    Ok(of.iter().any(|(_, _, row)| rows.contains(row)))
}
