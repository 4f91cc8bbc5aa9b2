//! Removing expired secret ids. A login refuses them by their own clock check; this only frees the
//! space.
//!
//! Each secret id that expires is noted below the hour in which it does; tidying looks at the hours
//! that passed since the last time, so its work is that of what expired.

use strongroom_base::{Result, Timestamp, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Reconcile, Reply, WriteCx, ops};
use strongroom_kernel::record::Id;

use super::AppRole;
use super::stored::{Expiring, SecretId, TidiedUntil, remove_secret_id};

/// Seconds of an hour.
const HOUR_SECONDS: i64 = 3_600;
/// Hours looked at in one run.
const HOURS_MAX: u64 = 24 * 31;
/// Seconds between two runs.
const PERIOD_SECONDS: i64 = 600;

fields! {
    /// Removes the expired secret ids.
    pub struct Tidy {}
}

ops! { Tidy (), Write; }

pub(super) fn add(spec: EngineSpec<AppRole>) -> EngineSpec<AppRole> {
    spec.command::<Tidy>("tidy/secret-id").reconciles(PERIOD_SECONDS)
}

fn hour(at: Timestamp) -> u64 {
    u64::try_from(at.seconds() / HOUR_SECONDS).unwrap_or(0)
}

/// Notes that a secret id expires.
pub(super) fn note_expiry(
    cx: &WriteCx<'_>,
    role: Id,
    digest: &str,
    expires: Timestamp,
) -> Result<()> {
    if expires.is_zero() {
        return Ok(());
    }
    let record = Expiring { role, digest: digest.to_owned() };
    cx.edit().put_named(hour(expires), &format!("{role} {digest}"), &record)
}

/// Removes what expired; answers whether hours are left to look at.
async fn tidy(cx: &mut WriteCx<'_>) -> Result<bool> {
    let edit = cx.edit();
    let now = cx.now();
    let current = hour(now);
    let Some(TidiedUntil { hour: from }) = edit.named::<TidiedUntil>(0, "").await? else {
        // The first run: what expired before it is at most as old as the mount.
        let hour = hour(cx.request.mount.created);
        edit.put_named(0, "", &TidiedUntil { hour })?;
        return Ok(true);
    };
    let until = current.min(from.saturating_add(HOURS_MAX));
    for hour in from..=until {
        for (name, note) in edit.all::<Expiring>(hour).await? {
            let secret = edit.named::<SecretId>(note.role, &note.digest).await?;
            match secret {
                Some(secret) if secret.is_expired(now) => {
                    remove_secret_id(cx, note.role, &note.digest, &secret.accessor);
                }
                // Not yet: it expires later in this hour.
                Some(secret) if hour == current && !secret.expires.is_zero() => continue,
                _ => {}
            }
            edit.delete_named::<Expiring>(hour, &name);
        }
    }
    if until != from {
        edit.put_named(0, "", &TidiedUntil { hour: until })?;
    }
    Ok(until < current)
}

impl Reconcile for AppRole {
    async fn reconcile(&self, cx: &mut WriteCx<'_>) -> Result<bool> {
        tidy(cx).await
    }
}

impl Command<Tidy> for AppRole {
    async fn command(&self, cx: &mut WriteCx<'_>, _: Tidy) -> Result<Reply<()>> {
        while tidy(cx).await? {}
        Ok(Reply::none().status(202).warn(
            "Tidy operation successfully started. Any information from the operation will be \
             printed to the server's logs.",
        ))
    }
}
