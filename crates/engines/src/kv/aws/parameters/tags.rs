//! AddTagsToResource, RemoveTagsFromResource and ListTagsForResource of parameters: tags are the
//! secret's labels, which every door shares.

use serde_json::json;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::super::limits::TAGS_MAX;
use super::super::tags;
use super::super::target::Right;
use super::find::{judged, renamed};
use super::judge::{Of, One, deeds};
use crate::kv::Kv;
use crate::kv::secret::Head;
use crate::kv::store;

fields! {
    /// Adds tags to a parameter, or changes their values.
    pub struct Tag {
        ..one: One;
        /// Tags: a list of keys and values.
        tags: Option<Json>,
    }
}
fields! {
    /// Takes tags off a parameter.
    pub struct Untag {
        ..one: One;
        /// Their keys.
        tag_keys: Vec<String>,
    }
}
fields! {
    /// Lists a parameter's tags.
    pub struct ListTags {
        ..one: One;
    }
}

ops! {
    Tag (), Write, Needs;
    Untag (), Write, Needs;
    ListTags Json, Write, Needs;
}

pub(super) const RIGHTS: &[Right] = &[("metadata", Capability::Update)];
pub(super) const RIGHTS_OF_LIST: &[Right] = &[("metadata", Capability::Read)];

/// There is no such parameter, as these operations say it.
fn no_resource() -> Error {
    Error::bad_request(
        "The resource ID isn't valid. Verify that you entered the correct ID and try again.",
    )
    .called("InvalidResourceId")
}

fn too_many() -> Error {
    Error::bad_request(format!("A parameter can have at most {TAGS_MAX} tags."))
        .called("TooManyTagsError")
}

async fn change(
    cx: &mut WriteCx<'_>,
    of: &Of<'_>,
    change: impl FnOnce(&mut Head) -> Result<()>,
) -> Result<Reply<()>> {
    let path = of.path;
    cx.queue(path).await;
    let edit = cx.edit();
    let mut secret = judged(cx, of, RIGHTS).await?.ok_or_else(no_resource)?;
    let head = &mut secret.head;
    tags::check_cas(cx, head).await.map_err(renamed)?;
    change(head).map_err(renamed)?;
    head.metadata_version += 1;
    head.updated = cx.now();
    store::save(&edit, path, &secret, false).await?;
    Ok(Reply::none())
}

impl Command<Tag> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Tag) -> Result<Reply<()>> {
        let new =
            op.tags.as_ref().map(tags::read).transpose().map_err(renamed)?.unwrap_or_default();
        // What was read can only be too much.
        let of = op.one.of(deeds::TAG);
        change(cx, &of, |head| tags::add(head, new).map_err(|_| too_many())).await
    }
}

impl Command<Untag> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Untag) -> Result<Reply<()>> {
        change(cx, &op.one.of(deeds::UNTAG), |head| {
            head.labels.retain(|key, _| !op.tag_keys.contains(key));
            Ok(())
        })
        .await
    }
}

impl Query<ListTags> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ListTags) -> Result<Reply<Json>> {
        let of = op.one.of(deeds::DESCRIBE);
        let secret = judged(cx, &of, RIGHTS_OF_LIST).await?.ok_or_else(no_resource)?;
        let tags = tags::view(&secret.head).unwrap_or_else(|| json!([]));
        Ok(Reply::data(json!({ "tags": tags })))
    }
}
