//! LabelParameterVersion, UnlabelParameterVersion. A label is what Google's door calls an alias: a name of
//! one version.

use serde_json::json;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::super::refusals::constraint;
use super::super::target::Right;
use super::find::{Which, judged, labels, missing, no_version, renamed, version};
use super::judge::{One, deeds};
use super::limits::{LABEL_CHARS_MAX, LABELS_MAX};
use crate::kv::Kv;
use crate::kv::store::{self, Secret};

fields! {
    /// Puts labels on a version.
    pub struct Label {
        ..one: One;
        /// The version's number; the current one's where nothing is said.
        version: Option<i64>,
        /// The labels.
        labels: Vec<String>,
    }
}
fields! {
    /// Takes labels off a version.
    pub struct Unlabel {
        ..one: One;
        /// The version's number.
        version: Option<i64>,
        /// The labels.
        labels: Vec<String>,
    }
}

ops! {
    Label Json, Write, Needs;
    Unlabel Json, Write, Needs;
}

pub(super) const RIGHTS: &[Right] = &[("metadata", Capability::Update)];

/// Is it what a label may be called? The others are told back.
fn is_label(text: &str) -> bool {
    let sign = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    let lower = text.to_ascii_lowercase();
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
        && text.bytes().all(sign)
}

/// Refuses a request without labels, or with too many or too long ones.
fn check(labels: &[String]) -> Result<()> {
    if !(1..=LABELS_MAX).contains(&labels.len()) {
        return Err(constraint("labels", &format!("have length between 1 and {LABELS_MAX}")));
    }
    if labels.iter().any(|l| !(1..=LABEL_CHARS_MAX).contains(&l.chars().count())) {
        let must = format!("have length between 1 and {LABEL_CHARS_MAX}");
        return Err(constraint("labels.member", &must));
    }
    Ok(())
}

/// The parameter, and the number of the version that is meant.
async fn found(cx: &mut WriteCx<'_>, one: &One, asked: Option<i64>) -> Result<(Secret, u64)> {
    cx.queue(&one.path).await;
    let secret = judged(cx, &one.of(deeds::LABEL), RIGHTS).await?.ok_or_else(missing)?;
    let head = &secret.head;
    let number = match asked {
        None => version(cx, head, Which::Current)?.number,
        Some(asked) => {
            let asked = asked.to_string();
            version(cx, head, Which::Selected(&asked)).map_err(|_| no_version())?.number
        }
    };
    Ok((secret, number))
}

async fn save(cx: &WriteCx<'_>, path: &str, mut secret: Secret) -> Result<()> {
    secret.head.metadata_version += 1;
    secret.head.updated = cx.now();
    store::save(&cx.edit(), path, &secret, false).await
}

impl Command<Label> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Label) -> Result<Reply<Json>> {
        check(&op.labels)?;
        let (mut secret, number) = found(cx, &op.one, op.version).await?;
        super::super::tags::check_cas(cx, &secret.head).await.map_err(renamed)?;
        let head = &mut secret.head;
        let (good, invalid): (Vec<String>, Vec<String>) =
            op.labels.into_iter().partition(|label| is_label(label));
        for label in good {
            head.aliases.retain(|(known, _)| *known != label);
            head.aliases.push((label, number));
        }
        let labelled = head.aliases.iter().filter(|(_, n)| *n == number).count();
        if labelled > LABELS_MAX {
            return Err(Error::bad_request(format!(
                "A parameter version can have a maximum of {LABELS_MAX} labels."
            ))
            .called("ParameterVersionLabelLimitExceeded"));
        }
        save(cx, &op.one.path, secret).await?;
        Ok(Reply::data(json!({ "invalid": invalid, "version": number })))
    }
}

impl Command<Unlabel> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Unlabel) -> Result<Reply<Json>> {
        check(&op.labels)?;
        let (mut secret, number) = found(cx, &op.one, op.version).await?;
        super::super::tags::check_cas(cx, &secret.head).await.map_err(renamed)?;
        let head = &mut secret.head;
        let known =
            head.version(crate::kv::secret::Select::Number(number)).ok_or_else(no_version)?;
        let known = labels(head, known);
        let (removed, invalid): (Vec<String>, Vec<String>) =
            op.labels.into_iter().partition(|label| known.contains(label));
        head.aliases.retain(|(label, _)| !removed.contains(label));
        save(cx, &op.one.path, secret).await?;
        Ok(Reply::data(json!({ "removed": removed, "invalid": invalid })))
    }
}
