//! AddTagsToResource, RemoveTagsFromResource and ListTagsForResource of parameters: tags are the
//! secret's labels, which every door shares.

use serde_json::json;
use strongroom_base::{Error, Json, RawFields, Result, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::super::tags;
use super::find::{self, judged, renamed};
use crate::kv::secret::Head;
use crate::kv::store::{self, Secret};
use crate::kv::{Kv, tree};

fields! {
    /// Adds tags to a parameter, or changes their values.
    pub struct Tag {
        /// The parameter's path.
        path: String,
        /// Tags: a list of keys and values.
        tags: Option<Json>,
    }
}
fields! {
    /// Takes tags off a parameter.
    pub struct Untag {
        /// The parameter's path.
        path: String,
        /// Their keys.
        tag_keys: Vec<String>,
    }
}
fields! {
    /// Lists a parameter's tags.
    pub struct ListTags {
        /// The parameter's path.
        path: String,
    }
}

ops! {
    Tag (), Write, Needs;
    Untag (), Write, Needs;
    ListTags Json, Write, Needs;
}

pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    _: &RawFields,
) -> Result<Vec<Need>> {
    Ok(find::needs(mount, captures, &[("metadata", Capability::Update)]))
}

pub(super) fn needs_of_list(
    mount: &Mount,
    captures: &[(&'static str, String)],
    _: &RawFields,
) -> Result<Vec<Need>> {
    Ok(find::needs(mount, captures, &[("metadata", Capability::Read)]))
}

/// There is no such parameter, as these operations say it.
fn no_resource() -> Error {
    Error::bad_request(
        "The resource ID isn't valid. Verify that you entered the correct ID and try again.",
    )
    .called("InvalidResourceId")
}

async fn change(
    cx: &mut WriteCx<'_>,
    path: &str,
    change: impl FnOnce(&mut Head) -> Result<()>,
) -> Result<Reply<()>> {
    cx.queue(path).await;
    let edit = cx.edit();
    let mut head = judged(cx, path, None).await?.ok_or_else(no_resource)?;
    let row = tree::leaf(&edit, path).await?.ok_or_else(no_resource)?;
    tags::check_cas(cx, &head).await.map_err(renamed)?;
    change(&mut head).map_err(renamed)?;
    head.metadata_version += 1;
    head.updated = cx.now();
    store::save(&edit, path, &Secret { row, head }, false).await?;
    Ok(Reply::none())
}

impl Command<Tag> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Tag) -> Result<Reply<()>> {
        let new =
            op.tags.as_ref().map(tags::read).transpose().map_err(renamed)?.unwrap_or_default();
        change(cx, &op.path, |head| tags::add(head, new)).await
    }
}

impl Command<Untag> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Untag) -> Result<Reply<()>> {
        change(cx, &op.path, |head| {
            head.labels.retain(|key, _| !op.tag_keys.contains(key));
            Ok(())
        })
        .await
    }
}

impl Query<ListTags> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ListTags) -> Result<Reply<Json>> {
        let head = judged(cx, &op.path, None).await?.ok_or_else(no_resource)?;
        let tags = tags::view(&head).unwrap_or_else(|| json!([]));
        Ok(Reply::data(json!({ "tags": tags })))
    }
}
