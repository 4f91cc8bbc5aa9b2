//! RotateSecret and CancelRotateSecret.

use strongroom_base::{Error, ErrorKind, Json, Result, Timestamp, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::rotation::{RotationPlan, RotationStatus, Schedule, State};

use super::rotators::{self, Rotator};
use super::{begin, databases, end, rules};
use crate::kv::Kv;
use crate::kv::aws::limits::FUNCTION_CHARS_MAX;
use crate::kv::aws::refusals::{self, invalid_parameter, invalid_request};
use crate::kv::aws::stored::{Published, Rotation};
use crate::kv::aws::target::{Right, Target};
use crate::kv::aws::{given, ids};
use crate::kv::secret::{AWS_CURRENT, AWS_PENDING, Head, Select, Version};
use crate::kv::store;

fields! {
    /// Rotates a secret, now and by rules.
    pub struct Rotate {
        ..target: Target;
        /// The secret's region.
        region: Option<String>,
        /// The id of the version that the rotation makes.
        client_request_token: Option<String>,
        /// The function, or the built-in rotator; that of before where nothing is said.
        rotation_lambda_arn: Option<String>,
        /// Days between rotations.
        automatically_after_days: Option<i64>,
        /// `rate(…)` or `cron(…)`.
        schedule_expression: Option<String>,
        /// Within how many hours of its time a rotation must come off, as `3h`.
        duration: Option<String>,
        /// Now, and not only at the next time?
        rotate_immediately: Option<bool>,
    }
}

fields! {
    /// Ends the rotation of a secret.
    pub struct Cancel {
        ..target: Target;
    }
}

ops! {
    Rotate Json, Write, Needs;
    Cancel Json, Write, Needs;
}

pub(in crate::kv::aws) const RIGHTS: &[Right] =
    &[("data", Capability::Update), ("metadata", Capability::Update)];

fn check(op: &Rotate) -> Result<()> {
    if op.rotation_lambda_arn.as_ref().is_some_and(|f| f.chars().count() > FUNCTION_CHARS_MAX) {
        return Err(refusals::too_long("rotationLambdaARN", FUNCTION_CHARS_MAX));
    }
    if op.automatically_after_days == Some(0) {
        return Err(invalid_parameter(
            "RotationRules.AutomaticallyAfterDays must be within 1-1000.",
        ));
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let days = op.automatically_after_days.unwrap_or(0);
    rules::schedule(days, &text(&op.schedule_expression), &text(&op.duration)).map(|_| ())
}

/// The rotation as it is to be: what the request says over what was said before.
fn merged(before: Option<Rotation>, op: &Rotate) -> Rotation {
    let mut rotation = before.unwrap_or_default();
    if let Some(function) = op.rotation_lambda_arn.as_ref().filter(|f| !f.is_empty()) {
        rotation.function.clone_from(function);
    }
    if op.automatically_after_days.is_some() || op.schedule_expression.is_some() {
        rotation.days = op.automatically_after_days.unwrap_or(0);
        rotation.schedule = op.schedule_expression.clone().unwrap_or_default();
        rotation.duration = op.duration.clone().unwrap_or_default();
    }
    rotation
}

/// A rotation that has not come to its end.
fn is_incomplete() -> Error {
    invalid_request("A previous rotation isn't complete. That rotation will be reattempted.")
}

/// A kernel that takes no run on now has one that is not at its end.
fn as_incomplete(error: Error) -> Error {
    if error.kind == ErrorKind::BadRequest { is_incomplete() } else { error }
}

/// Refuses a secret where AWSPENDING is on a version that was put by hand and never was the current one: AWS
/// takes it for the one of a rotation that is under way (API page "RotateSecret").
fn check_pending(head: &Head, rotation: &Rotation, token: &str) -> Result<()> {
    let pending = head.staged(AWS_PENDING).filter(|id| head.staged(AWS_CURRENT) != Some(*id));
    let Some(pending) = pending else { return Ok(()) };
    let is_own = |token: &str| ids::find(head, token).is_some_and(|version| version.id == pending);
    let is_waiting =
        |version: &Version| version.number == 0 && !version.is_awaited() && !version.is_destroyed();
    let waits = head.version(Select::Id(pending)).is_some_and(is_waiting);
    match !waits || [token, &rotation.token, &rotation.probe].into_iter().any(is_own) {
        true => Ok(()),
        false => Err(is_incomplete()),
    }
}

/// Refuses to begin a run beside another one. The one of this token and function goes on.
fn check_free(
    running: Option<&RotationStatus>,
    function: Option<&str>,
    rotation: &Rotation,
    token: &str,
) -> Result<()> {
    let Some(status) = running else { return Ok(()) };
    match status.running.as_ref().map(|running| running.state) {
        None if !status.removed => Ok(()),
        Some(State::Create | State::Set | State::Test | State::Promote)
            if rotation.token == token
                && function == Some(&rotation.function)
                && !status.removed =>
        {
            Ok(())
        }
        _ => Err(is_incomplete()),
    }
}

/// Who rotates by this function; an error where nobody does.
async fn rotator_of(cx: &WriteCx<'_>, can: bool, rotation: &Rotation) -> Result<Rotator> {
    if rotation.function.is_empty() {
        return Err(invalid_request(
            "No Lambda rotation function ARN is associated with this secret.",
        ));
    }
    let rotator = rotators::choose(&cx.edit(), &rotation.function).await?.filter(|_| can);
    rotator.ok_or_else(|| {
        invalid_request(
            "This server knows no such rotation function: an operator has to name its endpoint \
             (config/rotation-functions), or the databases of those that are built in \
             (config/rotation-databases). The secret was not changed.",
        )
    })
}

impl Command<Rotate> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Rotate) -> Result<Reply<Json>> {
        let token = given::token(cx, op.client_request_token.clone())?;
        check(&op)?;
        cx.queue(&op.target.path).await;
        let mut found = op.target.find(cx, RIGHTS).await?;
        let (edit, now) = (cx.edit(), cx.now());
        let head = &mut found.secret.head;
        let before = head.of_aws.as_ref().and_then(|a| a.rotation.clone());
        let was_enabled = before.as_ref().is_some_and(|rotation| rotation.enabled);
        let function = before.as_ref().map(|rotation| rotation.function.clone());
        let mut rotation = merged(before, &op);
        let rotator = rotator_of(cx, self.outside.is_some(), &rotation).await?;
        let mut view = found.view();
        rotation.arn = found.shown();
        let head = &mut found.secret.head;
        view.insert("version_id".to_owned(), token.as_str().into());
        // A version that has its value, and that nobody is making, is what this very request has made.
        let is_done = ids::find(head, &token).is_some_and(|version| {
            let is = |stage| head.staged(stage) == Some(version.id);
            is(AWS_CURRENT) || rotation.token != token && !version.is_awaited() && !is(AWS_PENDING)
        });
        if is_done && op.rotate_immediately != Some(false) {
            return Ok(Reply::data(Json::Object(view)));
        }
        check_pending(head, &rotation, &token)?;
        let subject = super::subject(&found.path);
        let status = cx.rotation(&subject).await?;
        check_free(status.as_ref(), function.as_deref(), &rotation, &token)?;
        let now_or_never = op.rotate_immediately != Some(false);
        let mut tries = !now_or_never && rotator == Rotator::Function;
        if tries && status.is_some_and(|status| status.running.is_some()) {
            return Err(is_incomplete());
        }
        if super::is_tried(cx, &found.path).await? {
            if !tries || rotation.probe != token {
                return Err(is_incomplete());
            }
            tries = false;
        }
        // What has been made already is no version to try with.
        tries &= ids::find(&found.secret.head, &token).is_none();
        let head = &mut found.secret.head;
        rotation.rotator = match rotator {
            Rotator::Function => String::new(),
            Rotator::BuiltIn(built_in) => built_in.name.to_owned(),
        };
        rotation.drain = databases::settings(&edit).await?.map_or(0, |found| found.drain);
        rotation.region = op.region.unwrap_or_default();
        (rotation.enabled, rotation.subject) = (true, subject.clone());
        rotation.next = rotation.next_after(rotation.last, now)?;
        cx.adopt_rotation(&subject, &rotation.plan()?).await?;
        if !was_enabled || rotation.alternates() != rotation.published.is_some() {
            let version = cx.rotation(&subject).await?.map_or(0, |status| status.version);
            let id = head.staged(AWS_CURRENT).filter(|_| rotation.alternates());
            (rotation.published, rotation.previous) =
                (id.map(|id| Published { version, id }), None);
        }
        if now_or_never {
            rotation.token.clone_from(&token);
            let config = store::config(&edit).await?;
            let keep = head.keep(config.max_versions);
            let freed = begin(cx, head, &token, keep);
            store::forget(&edit, &freed);
        } else if tries {
            rotation.probe.clone_from(&token);
        }
        head.of_aws.get_or_insert_default().rotation = Some(rotation);
        head.updated = now;
        store::save(&edit, &found.path, &found.secret, false).await?;
        if now_or_never {
            cx.rotate_soon(&subject).await.map_err(as_incomplete)?;
        }
        if tries {
            let probe = super::probe_of(&found.path);
            cx.put_rotation(&probe, &RotationPlan::one_account(Schedule::Never)).await?;
            cx.rotate_first_soon(&probe).await.map_err(as_incomplete)?;
        }
        Ok(Reply::data(Json::Object(view)))
    }
}

impl Command<Cancel> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Cancel) -> Result<Reply<Json>> {
        cx.queue(&op.target.path).await;
        let mut found = op.target.find(cx, RIGHTS).await?;
        let (edit, now) = (cx.edit(), cx.now());
        let head = &mut found.secret.head;
        if super::of(head).is_none() {
            return Err(invalid_request("Rotation was never enabled for this secret."));
        }
        end(&edit, found.secret.row, head, now).await?;
        super::forget_trial(head);
        if let Some(rotation) = super::of_mut(head) {
            rotation.enabled = false;
            rotation.next = Timestamp::ZERO;
            rotation.token.clear();
        }
        head.updated = now;
        store::save(&edit, &found.path, &found.secret, false).await?;
        Ok(Reply::data(Json::Object(found.view())))
    }
}
