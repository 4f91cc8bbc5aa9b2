//! `EnableKeyRotation`, `DisableKeyRotation`, `GetKeyRotationStatus`, `RotateKeyOnDemand`,
//! `ListKeyRotations` (API pages of those names).
//!
//! The period is transit's `auto_rotate_period`; it is counted from the latest version, not from when it
//! was set.

use serde_json::json;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Protocol, Query, ReadCx, Reply, WriteCx, ops};

use super::super::Transit;
use super::super::key::Key;
use super::super::keys::save;
use super::super::limits::ROTATION_DAYS;
use super::super::settings::{Cause, rotate};
use super::crypt::material;
use super::deletion::DAY;
use super::find::{self, CONFIGURE, READ, ROTATE, find, in_use};
use super::keys::to_change;
use super::pages::{Page, marker};
use super::time;

/// Days between rotations where nothing is said.
const USUAL_DAYS: i64 = 365;

fields! {
    /// Has a key rotated by itself.
    pub struct EnableRotation {
        /// The key's id.
        key: String,
        /// Days between rotations: 90 to 2560, 365 where nothing is said.
        days: Option<i64>,
    }
}
fields! {
    /// Has a key rotated by hand alone.
    pub struct DisableRotation {
        /// The key's id.
        key: String,
    }
}
fields! {
    /// Shows whether a key is rotated by itself.
    pub struct ReadRotation {
        /// The key's id.
        key: String,
    }
}
fields! {
    /// Makes a key's next version.
    pub struct RotateNow {
        /// The key's id.
        key: String,
    }
}
fields! {
    /// Lists a key's rotations.
    pub struct ListRotations {
        /// The key's id.
        key: String,
        /// Is the first version shown besides?
        all_material: Option<bool>,
        /// Where the page before ended.
        marker: Option<String>,
        /// How many at most.
        limit: Option<i64>,
    }
}

ops! {
    EnableRotation (), Write, Needs;
    DisableRotation (), Write, Needs;
    ReadRotation Json, Write, Needs;
    RotateNow Json, Write, Needs;
    ListRotations Json, Write, Needs;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<EnableRotation>("aws/enable-rotation/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/enable-rotation/{key..}", find::asked_within)
        .command::<DisableRotation>("aws/disable-rotation/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/disable-rotation/{key..}", find::asked_within)
        .query::<ReadRotation>("aws/rotation-status/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/rotation-status/{key..}", find::asked_within)
        .command::<RotateNow>("aws/rotate/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/rotate/{key..}", find::asked_within)
        .query::<ListRotations>("aws/list-rotations/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/list-rotations/{key..}", find::asked_within)
}

/// Refuses a key whose secret comes from outside and may not be rotated here.
fn check_rotates(key: &Key) -> Result<()> {
    if !key.imported || key.allow_rotation {
        return Ok(());
    }
    Err(Error::bad_request("the key's material was imported, and does not allow rotation")
        .called("UnsupportedOperationException"))
}

async fn set_period(cx: &mut WriteCx<'_>, asked: &str, days: Option<i64>) -> Result<Reply<()>> {
    let (name, mut key) = to_change(cx, asked, CONFIGURE).await?;
    let seconds = match days {
        Some(days) if !ROTATION_DAYS.contains(&days) => {
            return Err(Error::bad_request(format!(
                "RotationPeriodInDays must be between {} and {}",
                ROTATION_DAYS.start(),
                ROTATION_DAYS.end()
            ))
            .called("ValidationException"));
        }
        days => days.unwrap_or(0) * DAY,
    };
    in_use(cx, &key)?;
    check_rotates(&key)?;
    key.auto_rotate_seconds = seconds;
    save(cx, &name, &mut key).await?;
    Ok(Reply::none())
}

impl Command<EnableRotation> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: EnableRotation) -> Result<Reply<()>> {
        set_period(cx, &op.key, Some(op.days.unwrap_or(USUAL_DAYS))).await
    }
}

impl Command<DisableRotation> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DisableRotation) -> Result<Reply<()>> {
        set_period(cx, &op.key, None).await
    }
}

impl Query<ReadRotation> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRotation) -> Result<Reply<Json>> {
        let found = find(cx, &op.key, READ).await?;
        let key = found.key();
        let mut shown = json!({
            "key_id": found.id().text(),
            "enabled": key.auto_rotate_seconds > 0,
        });
        if let Some(due) = key.rotation_due()
            && let Json::Object(shown) = &mut shown
        {
            // Vault's periods may be shorter than a day.
            let days = (key.auto_rotate_seconds / DAY).max(1);
            shown.insert("days".to_owned(), Json::from(days));
            if !key.soft_deleted {
                shown.insert("next".to_owned(), time(due.max(cx.now())));
            }
        }
        Ok(Reply::data(shown))
    }
}

impl Command<RotateNow> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RotateNow) -> Result<Reply<Json>> {
        let (name, mut key) = to_change(cx, &op.key, ROTATE).await?;
        in_use(cx, &key)?;
        check_rotates(&key)?;
        rotate(cx, &name, &mut key, Cause::Hand).await?;
        Ok(Reply::data(json!({ "key_id": key.kms_id().text() })))
    }
}

impl Query<ListRotations> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRotations) -> Result<Reply<Json>> {
        let found = find(cx, &op.key, READ).await?;
        let page = Page::asked(op.marker.as_deref(), op.limit, 100)?;
        let key = found.key();
        let all = op.all_material.unwrap_or(false);
        // So that they are sorted as texts.
        let names: Vec<String> =
            key.numbers().filter(|n| all || *n > 1).map(|n| format!("{n:010}")).collect();
        let rest = page.rest(&names);
        let count = rest.iter().enumerate().take_while(|(at, _)| !page.is_full(*at)).count();
        let shown = rest.get(..count).unwrap_or_default();
        let next = (count < rest.len()).then(|| shown.last().map(|name| marker(name)));
        let rotations: Vec<Json> = shown
            .iter()
            .filter_map(|name| name.parse::<u64>().ok())
            .map(|number| rotation(cx, key, number))
            .collect();
        let id = found.id().text();
        Ok(Reply::data(json!({ "key_id": id, "rotations": rotations, "next": next.flatten() })))
    }
}

/// A version as the list of rotations shows it.
fn rotation(cx: &ReadCx<'_>, key: &Key, number: u64) -> Json {
    let mut shown = json!({
        "material": material(&cx.view(), key, number),
        "is_current": number == key.latest(),
    });
    if number > 1
        && let Json::Object(shown) = &mut shown
    {
        shown.insert("time".to_owned(), time(key.created(number)));
        shown.insert("is_by_itself".to_owned(), Json::Bool(key.is_by_itself(number)));
    }
    shown
}
