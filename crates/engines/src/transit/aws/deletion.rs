//! `ScheduleKeyDeletion`, `CancelKeyDeletion` (API pages of those names), and the deletion itself.
//!
//! A key that is soon to be deleted is out of use at every door. A deletion that is taken back leaves it
//! disabled. Whom Vault's door lets delete a key at once needs the same right here; where the key's
//! settings forbid deletion, he needs besides the right to change them, which there is the other step.

use serde_json::json;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Protocol, Reply, WriteCx, ops};

use super::super::Transit;
use super::super::key::Key;
use super::super::keys::{remove, save};
use super::super::limits::{DELETION_DAYS, DELETIONS_MAX, ROTATING_PAGE};
use super::find::{self, CONFIGURE, DELETE, ENABLE, check_stays};
use super::keys::to_change;
use super::stored::Pending;
use super::time;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

fields! {
    /// Has a key deleted after some days.
    pub struct ScheduleDeletion {
        /// The key's id.
        key: String,
        /// After how many days: 7 to 30, which is also what is taken where nothing is said.
        days: Option<i64>,
    }
}
fields! {
    /// Takes a deletion back; the key stays out of use.
    pub struct CancelDeletion {
        /// The key's id.
        key: String,
    }
}

ops! {
    ScheduleDeletion Json, Write, Needs;
    CancelDeletion Json, Write, Needs;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<ScheduleDeletion>("aws/schedule-deletion/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/schedule-deletion/{key..}", find::asked_within)
        .command::<CancelDeletion>("aws/cancel-deletion/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/cancel-deletion/{key..}", find::asked_within)
}

impl Command<ScheduleDeletion> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ScheduleDeletion) -> Result<Reply<Json>> {
        let (name, mut key) = to_change(cx, &op.key, DELETE).await?;
        if !key.deletion_allowed {
            CONFIGURE.check(cx, &name)?;
        }
        let days = op.days.unwrap_or(*DELETION_DAYS.end());
        if !DELETION_DAYS.contains(&days) {
            return Err(Error::bad_request(format!(
                "PendingWindowInDays must be between {} and {}",
                DELETION_DAYS.start(),
                DELETION_DAYS.end()
            ))
            .called("ValidationException"));
        }
        check_stays(cx, &key)?;
        let due = cx.now().plus_seconds(days * DAY);
        (key.deletion, key.soft_deleted) = (due, true);
        save(cx, &name, &mut key).await?;
        cx.edit().put_named(0, &name, &Pending { due })?;
        Ok(Reply::data(json!({
            "key_id": key.kms_id().text(),
            "deletion": time(due),
            "days": days,
        })))
    }
}

impl Command<CancelDeletion> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: CancelDeletion) -> Result<Reply<Json>> {
        let (name, mut key) = to_change(cx, &op.key, ENABLE).await?;
        if key.deletion.is_zero() {
            return Err(find::stays(cx, &key));
        }
        key.deletion = Default::default();
        save(cx, &name, &mut key).await?;
        cx.edit().delete_named::<Pending>(0, &name);
        Ok(Reply::data(json!({ "key_id": key.kms_id().text() })))
    }
}

/// Deletes keys whose time has come, some at a time; true where more are left.
pub async fn delete_due(cx: &mut WriteCx<'_>) -> Result<bool> {
    let (edit, now) = (cx.edit(), cx.now());
    let (mut cursor, mut left) = (Vec::new(), DELETIONS_MAX);
    loop {
        let (page, next) = edit.peek::<Pending>(0, &cursor, ROTATING_PAGE).await?;
        for (name, pending) in page {
            if pending.due > now {
                continue;
            }
            if left == 0 {
                return Ok(true);
            }
            left -= 1;
            edit.delete_named::<Pending>(0, &name);
            let key = edit.named::<Key>(0, &name).await?;
            // It may have been replaced by a backup's.
            let due = key.filter(|key| !key.deletion.is_zero() && key.deletion <= now);
            if let Some(key) = due {
                remove(&edit, &name, &key).await?;
                cx.effect("delete", format!("keys/{name}"));
            }
        }
        match next {
            Some(next) => cursor = next,
            None => return Ok(false),
        }
    }
}
