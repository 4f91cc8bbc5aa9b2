//! DeleteSecret and RestoreSecret.

use strongroom_base::{Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::limits::{RECOVERY_DAYS_MAX, RECOVERY_DAYS_MIN};
use super::target::{Found, Right, Target};
use super::{refusals, rotation, shown_time};
use crate::kv::Kv;
use crate::kv::store;
use crate::kv::tree;

const SECONDS_PER_DAY: i64 = 86_400;

fields! {
    /// Removes a secret: after some days in which that can be taken back, or at once.
    pub struct Delete {
        ..target: Target;
        /// The days.
        recovery_window_in_days: Option<i64>,
        /// At once and for good?
        force_delete_without_recovery: Option<bool>,
    }
}

fields! {
    /// Takes a deletion back.
    pub struct Restore {
        ..target: Target;
    }
}

ops! {
    Delete Json, Write, Needs;
    Restore Json, Write, Needs;
}

pub(super) const RIGHTS: &[Right] = &[("metadata", Capability::Delete)];
/// It brings values back.
pub(super) const RIGHTS_OF_RESTORE: &[Right] = &[("undelete", Capability::Update)];

/// The days of a request; none where it forces the deletion.
fn window(op: &Delete) -> Result<Option<i64>> {
    let force = op.force_delete_without_recovery.unwrap_or(false);
    match op.recovery_window_in_days {
        Some(days) if !(RECOVERY_DAYS_MIN..=RECOVERY_DAYS_MAX).contains(&days) => {
            Err(refusals::invalid_parameter(format!(
                "The RecoveryWindowInDays value must be between {RECOVERY_DAYS_MIN} and \
                 {RECOVERY_DAYS_MAX} days (inclusive)."
            )))
        }
        Some(_) if force => Err(refusals::invalid_parameter(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        )),
        days => Ok((!force).then(|| days.unwrap_or(RECOVERY_DAYS_MAX))),
    }
}

impl Command<Delete> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Delete) -> Result<Reply<Json>> {
        let window = window(&op)?;
        cx.queue(&op.target.path).await;
        let found = op.target.find_any(cx, RIGHTS).await?;
        let (now, edit) = (cx.now(), cx.edit());
        let (mut view, due) = match (found, window) {
            // Whoever wants it gone has what he wants.
            (None, None) => {
                let path = op.target.path.as_str().into();
                (JsonMap::from_iter([("path".to_owned(), path)]), now)
            }
            (None, Some(_)) => return Err(refusals::no_secret()),
            (Some(found), None) => {
                let view = found.view();
                store::purge(&edit, &found.path, &found.secret, now).await?;
                (view, now)
            }
            (Some(found), Some(_)) if found.secret.head.deletion.is_some() => {
                return Err(refusals::is_deleted());
            }
            (Some(found), Some(days)) => {
                let view = found.view();
                let seconds = days * SECONDS_PER_DAY;
                let Found { path, mut secret, .. } = found;
                secret.head.updated = now;
                store::schedule_deletion(&edit, &path, secret, seconds, now).await?;
                (view, now.plus_seconds(seconds))
            }
        };
        view.insert("deletion_date".to_owned(), shown_time(due));
        Ok(Reply::data(Json::Object(view)))
    }
}

impl Command<Restore> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Restore) -> Result<Reply<Json>> {
        cx.queue(&op.target.path).await;
        let found = op.target.find_any(cx, RIGHTS_OF_RESTORE).await?;
        let mut found = found.ok_or_else(refusals::no_secret)?;
        if found.secret.head.deletion.take().is_some() {
            let edit = cx.edit();
            edit.delete_named::<store::Scheduled>(tree::TOP, &found.secret.row.to_string());
            rotation::go_on(&edit, &found.secret.head, cx.now()).await?;
            found.secret.head.updated = cx.now();
            store::save(&edit, &found.path, &found.secret, false).await?;
        }
        Ok(Reply::data(Json::Object(found.view())))
    }
}
