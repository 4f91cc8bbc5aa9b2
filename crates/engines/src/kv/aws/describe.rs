//! DescribeSecret, and what lists tell of each secret.

use strongroom_base::{Json, JsonMap, Result, Timestamp, fields};
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;

use super::stored::Rotation;
use super::target::{self, Right, Target};
use super::{ids, refusals, shown_time, tags};
use crate::kv::Kv;
use crate::kv::secret::Head;

fields! {
    /// Tells of a secret all but its values.
    pub struct Describe {
        ..target: Target;
    }
}

ops! { Describe Json, Write, Needs; }

pub(super) const RIGHTS: &[Right] = &[("metadata", Capability::Read)];

/// What AWS tells of a secret. What was never said of it is left out.
pub(super) fn view(path: &str, head: &Head, accessed: Option<Timestamp>) -> JsonMap {
    let mut view = target::view_of(path, head);
    let mut put = |name: &str, value: Json| {
        view.insert(name.to_owned(), value);
    };
    if !head.description.is_empty() {
        put("description", head.description.as_str().into());
    }
    if let Some(of_aws) = head.of_aws.as_ref().filter(|a| !a.kms_key.is_empty()) {
        put("kms_key_id", of_aws.kms_key.as_str().into());
    }
    if let Some(rotation) = head.of_aws.as_ref().and_then(|a| a.rotation.as_ref()) {
        put("rotation_enabled", rotation.enabled.into());
        put("rotation_lambda_arn", rotation.function.as_str().into());
        if let Some(rules) = rules(rotation) {
            put("rotation_rules", rules);
        }
        // Of a rotation that was cancelled nothing is said (API page "DescribeSecret").
        for (name, time) in
            [("last_rotated_date", rotation.last), ("next_rotation_date", rotation.next)]
        {
            if !time.is_zero() && rotation.enabled {
                put(name, shown_time(time));
            }
        }
    }
    put("last_changed_date", shown_time(head.updated));
    if let Some(accessed) = accessed {
        put("last_accessed_date", shown_time(accessed));
    }
    put("created_date", shown_time(head.created));
    if let Some(deletion) = head.deletion {
        put("deleted_date", shown_time(deletion.requested));
    }
    if let Some(tags) = tags::view(head) {
        put("tags", tags);
    }
    let mut staged = JsonMap::new();
    for version in ids::distinct(head) {
        let stages = ids::stages(head, version.id);
        if !stages.is_empty() {
            staged.insert(ids::version_id(version), stages.into());
        }
    }
    if !staged.is_empty() {
        put("version_ids_to_stages", Json::Object(staged));
    }
    view
}

/// Days from the last rotation to the next one, at least one; 0 where there was none yet.
fn between(rotation: &Rotation) -> i64 {
    const DAY: i64 = 86_400;
    if !rotation.enabled || rotation.last.is_zero() || rotation.next.is_zero() {
        return 0;
    }
    let day = |time: Timestamp| time.seconds().div_euclid(DAY);
    (day(rotation.next) - day(rotation.last)).max(1)
}

/// The rules of a rotation, as far as there are any.
fn rules(rotation: &Rotation) -> Option<Json> {
    let mut rules = JsonMap::new();
    let days = if rotation.schedule.is_empty() { rotation.days } else { between(rotation) };
    if days != 0 {
        rules.insert("automatically_after_days".to_owned(), days.into());
    }
    for (name, text) in
        [("schedule_expression", &rotation.schedule), ("duration", &rotation.duration)]
    {
        if !text.is_empty() {
            rules.insert(name.to_owned(), text.as_str().into());
        }
    }
    (!rules.is_empty()).then_some(Json::Object(rules))
}

impl Query<Describe> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Describe) -> Result<Reply<Json>> {
        // One whose deletion is scheduled is told of as well.
        let found = op.target.find_any(cx, RIGHTS).await?.ok_or_else(refusals::no_secret)?;
        let accessed = self.accessed.of(&cx.view(), found.secret.row).await?;
        Ok(Reply::data(Json::Object(view(&found.path, &found.secret.head, accessed))))
    }
}
