//! RotateSecret and CancelRotateSecret.

use strongroom_base::{Json, RawFields, Result, Timestamp, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::rules::Rules;
use super::{Job, TEST, WAITING, begin, forget, functions, put};
use crate::kv::Kv;
use crate::kv::aws::limits::FUNCTION_CHARS_MAX;
use crate::kv::aws::refusals::{self, invalid_parameter, invalid_request};
use crate::kv::aws::stored::Rotation;
use crate::kv::aws::target::{self, Right, Target};
use crate::kv::aws::{given, ids};
use crate::kv::secret::AWS_CURRENT;
use crate::kv::store;
use crate::kv::tree::{self, TOP};

fields! {
    /// Rotates a secret by a function, now and by rules.
    pub struct Rotate {
        ..target: Target;
        /// The secret's region.
        region: Option<String>,
        /// The id of the version that the rotation makes.
        client_request_token: Option<String>,
        /// The function; that of before where nothing is said.
        rotation_lambda_arn: Option<String>,
        /// Days between rotations.
        automatically_after_days: Option<i64>,
        /// `rate(…)` or `cron(…)`.
        schedule_expression: Option<String>,
        /// How long after its time a rotation may begin: hours, as `3h`.
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

const RIGHTS: &[Right] = &[("data", Capability::Update), ("metadata", Capability::Update)];

pub(in crate::kv::aws) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    Ok(target::needs(mount, captures, raw, RIGHTS))
}

fn check(op: &Rotate) -> Result<()> {
    if op.rotation_lambda_arn.as_ref().is_some_and(|f| f.chars().count() > FUNCTION_CHARS_MAX) {
        return Err(refusals::too_long("rotationLambdaARN", FUNCTION_CHARS_MAX));
    }
    if op.automatically_after_days == Some(0) {
        return Err(invalid_parameter(
            "RotationRules.AutomaticallyAfterDays must be within 1-1000.",
        ));
    }
    let schedule = op.schedule_expression.as_deref().unwrap_or_default();
    Rules::read(op.automatically_after_days.unwrap_or(0), schedule)?;
    let hours = |d: &str| d.strip_suffix('h').and_then(|n| n.parse::<u8>().ok());
    if op.duration.as_deref().is_some_and(|d| !hours(d).is_some_and(|n| (1..=24).contains(&n))) {
        return Err(invalid_parameter("RotationRules.Duration must be hours, as 3h."));
    }
    Ok(())
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

impl Command<Rotate> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Rotate) -> Result<Reply<Json>> {
        let token = given::token(cx, op.client_request_token.clone())?;
        check(&op)?;
        cx.queue(&op.target.path).await;
        let mut found = op.target.find(cx, RIGHTS).await?;
        let (edit, now) = (cx.edit(), cx.now());
        let head = &mut found.secret.head;
        let mut rotation = merged(head.of_aws.as_ref().and_then(|a| a.rotation.clone()), &op);
        if rotation.function.is_empty() {
            return Err(invalid_request(
                "No Lambda rotation function ARN is associated with this secret.",
            ));
        }
        if self.web().is_none() || !functions::settings(&edit).await?.serve(&rotation.function) {
            return Err(invalid_request(
                "This server knows no such rotation function: an operator has to name its endpoint \
                 (config/rotation-functions). The secret was not changed.",
            ));
        }
        let mut view = found.view();
        let arn = found.shown();
        let head = &mut found.secret.head;
        view.insert("version_id".to_owned(), token.as_str().into());
        let known = ids::find(head, &token);
        if known.is_some_and(|v| head.staged(AWS_CURRENT) == Some(v.id)) {
            return Ok(Reply::data(Json::Object(view)));
        }
        let row = found.secret.row;
        let job = edit.named::<Job>(TOP, &row.to_string()).await?;
        if job.is_some_and(|job| job.step < WAITING && job.token != token) {
            return Err(invalid_request(
                "A previous rotation isn't complete. That rotation will be reattempted.",
            ));
        }
        rotation.enabled = true;
        rotation.next = rotation.next_after(now);
        let probe = op.rotate_immediately == Some(false);
        let config = store::config(&edit).await?;
        let keep = head.keep(config.max_versions);
        let freed = begin(cx, head, &token, keep);
        store::forget(&edit, &freed);
        let function = rotation.function.clone();
        head.of_aws.get_or_insert_default().rotation = Some(rotation);
        head.updated = now;
        store::save(&edit, &found.path, &found.secret, false).await?;
        let (folder, name) = tree::split(&found.path);
        let parent = tree::folder(&edit, folder).await?.ok_or_else(refusals::no_secret)?;
        let job = Job {
            parent,
            name: name.to_owned(),
            arn,
            region: op.region.unwrap_or_default(),
            function,
            token,
            step: if probe { TEST } else { 0 },
            probe,
            due: now,
        };
        put(&edit, &job, row)?;
        Ok(Reply::data(Json::Object(view)))
    }
}

impl Command<Cancel> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Cancel) -> Result<Reply<Json>> {
        cx.queue(&op.target.path).await;
        let mut found = op.target.find(cx, RIGHTS).await?;
        let head = &mut found.secret.head;
        let Some(rotation) = head.of_aws.as_mut().and_then(|a| a.rotation.as_mut()) else {
            return Err(invalid_request("Rotation was never enabled for this secret."));
        };
        rotation.enabled = false;
        rotation.next = Timestamp::ZERO;
        head.updated = cx.now();
        let edit = cx.edit();
        forget(&edit, found.secret.row);
        store::save(&edit, &found.path, &found.secret, false).await?;
        Ok(Reply::data(Json::Object(found.view())))
    }
}
