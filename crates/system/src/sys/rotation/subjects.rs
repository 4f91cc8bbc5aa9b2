//! What is rotated, and how far it is: a list, and one subject with those who hold it up.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::{Error, Result, Timestamp};
use strongroom_kernel::plug::{Op, Query, ReadCx, Reply, Rule, Verb};
use strongroom_kernel::record::Scope;
use strongroom_kernel::rotation::{
    COUNT_MAX, Cause, Drained, FansOut, Left, Narrowed, Outcome, RotationStatus, Schedule, State,
};

use super::{find, mounts};
use crate::sys::System;
use crate::sys::paging::page;

/// Consumers shown where the caller names no limit.
const LEFT_SHOWN: usize = 100;
/// Consumers shown at most.
const LEFT_SHOWN_MAX: usize = 10_000;
/// Subjects of a list about which more is said than their names.
const DESCRIBED_MAX: usize = 1_000;

strongroom_base::fields! {
    /// Lists what is rotated, directly below a prefix.
    pub struct ListSubjects {
        /// The prefix; empty for all mounts.
        prefix: String,
        /// Only keys after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}

impl Op for ListSubjects {
    type Reply = Subjects;
    const VERB: Verb = Verb::List;
    const RULE: Rule = Rule::Sudo;
}

/// A list.
#[derive(Serialize)]
pub struct Subjects {
    keys: Vec<String>,
    key_info: BTreeMap<String, SubjectInfo>,
}

/// What a list says of a subject.
#[derive(Serialize)]
pub struct SubjectInfo {
    state: &'static str,
    version: u64,
    last_rotation: Option<String>,
    next_rotation: Option<String>,
    progress: String,
    last_error: String,
}

impl Query<ListSubjects> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ListSubjects) -> Result<Reply<Subjects>> {
        let services = cx.kernel();
        let table = services.router.table().await?;
        let prefix = match op.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        // Key → the subject, where it is one.
        let mut found: BTreeMap<String, Option<(Scope, String)>> = BTreeMap::new();
        for entry in mounts(&table, &cx.request.namespace) {
            let scope = entry.mount.scope;
            let names = services.rotations.names(cx.kernel_tx(), scope).await?;
            if let Some(rest) = entry.mount.path.strip_prefix(&prefix).filter(|r| !r.is_empty()) {
                if !names.is_empty() {
                    found.insert(folder_of(rest), None);
                }
                continue;
            }
            let Some(below) = prefix.strip_prefix(entry.mount.path.as_str()) else { continue };
            let from = names.partition_point(|name| name.as_str() < below);
            for name in names.iter().skip(from).take_while(|name| name.starts_with(below)) {
                let rest = name.get(below.len()..).unwrap_or_default();
                match rest.contains('/') {
                    true => found.insert(folder_of(rest), None),
                    false => found.insert(rest.to_owned(), Some((scope, name.clone()))),
                };
            }
        }
        let keys = page(found.keys().cloned().collect(), op.after, op.limit);
        if keys.is_empty() {
            return Err(Error::not_found());
        }
        let mut key_info = BTreeMap::new();
        for key in keys.iter().take(DESCRIBED_MAX) {
            let Some(Some((scope, name))) = found.get(key) else { continue };
            let status = services.rotations.status(cx.kernel_tx(), *scope, name).await?;
            let Some(mut status) = status else { continue };
            services.rotations.count_consumers(*scope, &mut status).await?;
            key_info.insert(key.clone(), SubjectInfo::of(&status));
        }
        Ok(Reply::data(Subjects { keys, key_info }))
    }
}

/// The folder that a path begins with.
fn folder_of(path: &str) -> String {
    let folder = path.split('/').next().unwrap_or_default();
    format!("{folder}/")
}

impl SubjectInfo {
    fn of(status: &RotationStatus) -> Self {
        let draining = status.running.as_ref().filter(|r| r.state == State::Draining);
        Self {
            state: state_of(status),
            version: status.version,
            last_rotation: status.rotated.map(|at| at.to_string()),
            next_rotation: status.next.map(|at| at.to_string()),
            progress: draining.map(|running| progress(&running.drained)).unwrap_or_default(),
            last_error: status.error.clone(),
        }
    }
}

fn state_of(status: &RotationStatus) -> &'static str {
    status.running.as_ref().map_or("idle", |running| running.state.name())
}

/// `37/40 moved, 3 left`.
fn progress(drained: &Drained) -> String {
    let Drained { moved, ended, left, .. } = drained;
    let total = moved + ended + left;
    let ended = if *ended > 0 { format!(", {ended} ended") } else { String::new() };
    format!("{moved}/{total} moved{ended}, {left} left")
}

strongroom_base::fields! {
    /// Shows what is rotated: how far it is, and who holds it up.
    pub struct ReadSubject {
        /// The mount's path and the subject's.
        path: String,
        /// Consumers to show at most; 100 without it.
        limit: Option<i64>,
    }
}

impl Op for ReadSubject {
    type Reply = SubjectView;
    const VERB: Verb = Verb::Read;
}

/// A subject.
#[derive(Serialize)]
pub struct SubjectView {
    path: String,
    state: &'static str,
    removed: bool,
    version: u64,
    last_rotation: Option<String>,
    next_rotation: Option<String>,
    rotation_period: Option<i64>,
    rotation_schedule: Option<String>,
    rotation_window: Option<i64>,
    two_accounts: bool,
    drain_seconds: i64,
    /// Failed attempts of what it is at.
    attempts: u32,
    last_error: String,
    next_attempt: Option<String>,
    rotation: Option<RunningView>,
    last_outcomes: Vec<OutcomeView>,
}

/// A rotation under way.
#[derive(Serialize)]
pub struct RunningView {
    state: &'static str,
    since: String,
    started: String,
    cause: &'static str,
    old_version: Option<u64>,
    deadline: Option<String>,
    consumers: Option<ConsumersView>,
}

/// The consumers of the version before.
#[derive(Serialize)]
pub struct ConsumersView {
    total: u64,
    moved: u64,
    ended: u64,
    left: u64,
    progress: String,
    /// The longest there first.
    holding: Vec<HolderView>,
}

/// A consumer that holds the version before.
#[derive(Serialize)]
pub struct HolderView {
    consumer: String,
    accessor: String,
    display_name: String,
    remote_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_serial: Option<String>,
    since: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'static str,
}

/// How a rotation ended.
#[derive(Serialize)]
pub struct OutcomeView {
    ending: &'static str,
    version: Option<u64>,
    cause: &'static str,
    started: String,
    ended: String,
    error: String,
    consumers_moved: u64,
    consumers_ended: u64,
    consumers_left: u64,
    left: Vec<String>,
}

fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Schedule => "schedule",
        Cause::Request => "request",
        Cause::First => "first",
    }
}

impl From<Left> for HolderView {
    fn from(left: Left) -> Self {
        let (mut pod_uid, mut certificate_serial) = (None, None);
        match left.narrowed {
            Narrowed::Pod(uid) => pod_uid = Some(uid),
            Narrowed::Certificate(serial) => certificate_serial = Some(serial),
            Narrowed::Address(_) | Narrowed::No => {}
        }
        Self {
            consumer: left.consumer,
            accessor: left.accessor,
            display_name: left.display_name,
            remote_address: left.address,
            pod_uid,
            certificate_serial,
            since: left.since.to_string(),
            note: match left.fans_out {
                Some(FansOut::Synced) => "synced, consumers unknown",
                Some(FansOut::Wrapped) => "wrapped, consumers unknown",
                Some(FansOut::Unnoted) => "consumers were not noted then",
                Some(FansOut::Crowd) => "more consumers than are noted",
                None => "",
            },
        }
    }
}

impl From<Outcome> for OutcomeView {
    fn from(outcome: Outcome) -> Self {
        Self {
            ending: outcome.ending.name(),
            version: Some(outcome.version).filter(|version| *version > 0),
            cause: cause(outcome.cause),
            started: outcome.started.to_string(),
            ended: outcome.ended.to_string(),
            error: outcome.error,
            consumers_moved: outcome.drained.moved,
            consumers_ended: outcome.drained.ended,
            consumers_left: outcome.drained.left,
            left: outcome.drained.names,
        }
    }
}

impl SubjectView {
    fn of(path: String, status: RotationStatus, holding: Vec<HolderView>) -> Self {
        let state = state_of(&status);
        let (mut period, mut schedule, mut window) = (None, None, None);
        match status.plan.schedule {
            Schedule::Never => {}
            Schedule::Every(seconds) => period = Some(seconds),
            Schedule::Cron { text, window: seconds }
            | Schedule::Recurrence { text, window: seconds } => {
                (schedule, window) = (Some(text), Some(seconds).filter(|seconds| *seconds > 0));
            }
        }
        let text = |at: Timestamp| at.to_string();
        let rotation = status.running.map(|running| RunningView {
            state: running.state.name(),
            since: text(running.since),
            started: text(running.started),
            cause: cause(running.cause),
            old_version: running.old_version,
            deadline: running.deadline.map(text),
            consumers: running.old_version.map(|_| ConsumersView {
                total: running.drained.moved + running.drained.ended + running.drained.left,
                moved: running.drained.moved,
                ended: running.drained.ended,
                left: running.drained.left,
                progress: progress(&running.drained),
                holding,
            }),
        });
        Self {
            path,
            state,
            removed: status.removed,
            version: status.version,
            last_rotation: status.rotated.map(text),
            next_rotation: status.next.map(text),
            rotation_period: period,
            rotation_schedule: schedule,
            rotation_window: window,
            two_accounts: status.plan.two_accounts,
            drain_seconds: status.plan.drain_seconds,
            attempts: status.attempts,
            last_error: status.error,
            next_attempt: status.retry.map(text),
            rotation,
            last_outcomes: status.outcomes.into_iter().rev().map(OutcomeView::from).collect(),
        }
    }
}

impl Query<ReadSubject> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadSubject) -> Result<Reply<SubjectView>> {
        let (found, status) = find(cx, &op.path).await?;
        let services = cx.kernel();
        let asked = op.limit.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let limit = asked.unwrap_or(LEFT_SHOWN).min(LEFT_SHOWN_MAX);
        let draining = status.running.as_ref().is_some_and(|r| r.state == State::Draining);
        let left = match draining {
            true => {
                let (scope, name) = (found.scope(), found.name.as_str());
                services.rotations.left(services, scope, name, limit, cx.now()).await?
            }
            false => Vec::new(),
        };
        let counted = status.running.as_ref().map_or(0, |running| running.drained.left);
        let holding = left.into_iter().map(HolderView::from).collect();
        let reply = Reply::data(SubjectView::of(op.path, status, holding));
        Ok(if counted >= COUNT_MAX as u64 {
            reply.warn(format!("Consumers are counted up to {COUNT_MAX}; there may be more."))
        } else {
            reply
        })
    }
}
