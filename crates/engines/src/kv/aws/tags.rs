//! TagResource and UntagResource: tags are the secret's labels, which every door shares.

use strongroom_base::{Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::limits::{TAG_KEY_CHARS_MAX, TAG_VALUE_CHARS_MAX, TAGS_MAX};
use super::refusals;
use super::target::{Right, Target};
use crate::kv::Kv;
use crate::kv::secret::Head;
use crate::kv::store;

/// What keys may not begin with.
const RESERVED: &str = "aws:";

fields! {
    /// Adds tags to a secret, or changes their values.
    pub struct Tag {
        ..target: Target;
        /// Tags: a list of keys and values.
        tags: Json,
    }
}

fields! {
    /// Takes tags off a secret.
    pub struct Untag {
        ..target: Target;
        /// Their keys.
        tag_keys: Vec<String>,
    }
}

ops! {
    Tag Json, Write, Needs;
    Untag Json, Write, Needs;
}

pub(super) const RIGHTS: &[Right] = &[("metadata", Capability::Update)];

/// Refuses a change of the metadata where the secret wants its version named, which AWS's requests
/// cannot.
pub(super) async fn check_cas(cx: &ReadCx<'_>, head: &Head) -> Result<()> {
    let config = store::config(&cx.view()).await?;
    if config.metadata_cas_required || head.settings.metadata_cas_required {
        return Err(refusals::invalid_request(
            "This secret requires check-and-set for its metadata, which this interface cannot.",
        ));
    }
    Ok(())
}

/// The tags of a request.
pub(super) fn read(given: &Json) -> Result<Vec<(String, String)>> {
    let wrong = || refusals::invalid_parameter("Tags is no list of tags.");
    let list = given.as_array().ok_or_else(wrong)?;
    let mut tags = Vec::with_capacity(list.len().min(TAGS_MAX));
    for tag in list {
        let text = |name: &str| match tag.get(name) {
            None | Some(Json::Null) => Ok(String::new()),
            Some(value) => value.as_str().map(str::to_owned).ok_or_else(wrong),
        };
        let (key, value) = (text("key")?, text("value")?);
        check_key(&key)?;
        if key.starts_with(RESERVED) {
            return Err(refusals::invalid_parameter(format!(
                "Tag keys that begin with {RESERVED} are reserved for system use."
            )));
        }
        if value.chars().count() > TAG_VALUE_CHARS_MAX {
            return Err(refusals::too_long("tags.member.value", TAG_VALUE_CHARS_MAX));
        }
        tags.push((key, value));
    }
    Ok(tags)
}

fn check_key(key: &str) -> Result<()> {
    match key.chars().count() {
        0 => Err(refusals::constraint("tags.member.key", "have length greater than or equal to 1")),
        1..=TAG_KEY_CHARS_MAX => Ok(()),
        _ => Err(refusals::too_long("tags.member.key", TAG_KEY_CHARS_MAX)),
    }
}

/// Adds tags; one that is there keeps its place.
pub(super) fn add(head: &mut Head, tags: Vec<(String, String)>) -> Result<()> {
    if tags.is_empty() {
        return Ok(());
    }
    let of_aws = head.of_aws.get_or_insert_default();
    of_aws.tag_order.retain(|key| head.labels.contains_key(key));
    of_aws.tagged = true;
    let mut grew = false;
    for (key, value) in tags {
        if head.labels.insert(key.clone(), value).is_none() {
            grew = true;
            of_aws.tag_order.push(key);
        }
    }
    if grew && head.labels.len() > TAGS_MAX {
        return Err(refusals::invalid_parameter(format!(
            "A secret can have at most {TAGS_MAX} tags."
        )));
    }
    Ok(())
}

/// The tags as AWS shows them, in the order of their addition; none where there never was one.
pub(super) fn view(head: &Head) -> Option<Json> {
    let of_aws = head.of_aws.as_deref();
    if head.labels.is_empty() && !of_aws.is_some_and(|a| a.tagged) {
        return None;
    }
    let order: &[String] = of_aws.map_or(&[], |a| a.tag_order.as_slice());
    let known = order.iter().filter_map(|key| head.labels.get_key_value(key));
    let others = head.labels.iter().filter(|(key, _)| !order.contains(key));
    let tag = |(key, value): (&String, &String)| {
        Json::Object(JsonMap::from_iter([
            ("key".to_owned(), key.as_str().into()),
            ("value".to_owned(), value.as_str().into()),
        ]))
    };
    Some(Json::Array(known.chain(others).map(tag).collect()))
}

async fn change(
    cx: &mut WriteCx<'_>,
    target: &Target,
    change: impl FnOnce(&mut Head) -> Result<()>,
) -> Result<Reply<Json>> {
    cx.queue(&target.path).await;
    let mut found = target.find(cx, RIGHTS).await?;
    let head = &mut found.secret.head;
    check_cas(cx, head).await?;
    change(head)?;
    head.metadata_version += 1;
    head.updated = cx.now();
    store::save(&cx.edit(), &found.path, &found.secret, false).await?;
    Ok(Reply::data(Json::Object(JsonMap::new())))
}

impl Command<Tag> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Tag) -> Result<Reply<Json>> {
        let tags = read(&op.tags)?;
        change(cx, &op.target, |head| add(head, tags)).await
    }
}

impl Command<Untag> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Untag) -> Result<Reply<Json>> {
        op.tag_keys.iter().try_for_each(|key| check_key(key))?;
        change(cx, &op.target, |head| {
            let tagged = !head.labels.is_empty();
            head.labels.retain(|key, _| !op.tag_keys.contains(key));
            if tagged {
                let of_aws = head.of_aws.get_or_insert_default();
                of_aws.tagged = true;
                of_aws.tag_order.retain(|key| head.labels.contains_key(key));
            }
            Ok(())
        })
        .await
    }
}
