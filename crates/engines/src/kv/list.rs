//! Lists of names: one folder, or all below it, with or without each secret's metadata.

use strongroom_base::limits::LIST_ENTRIES_MAX;
use strongroom_base::{Error, Json, JsonMap, RawFields, Result, capture, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Need, Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::{Id, ReadView};

use super::tree::{self, Entry};
use super::{Kv, metadata, store};

fields! {
    /// Lists the names in a folder.
    pub struct List {
        /// The folder's path.
        path: String,
        /// Names after this one.
        after: Option<String>,
        /// How many at most; 0 for all.
        limit: Option<i64>,
    }
}

fields! {
    /// Lists all secrets below a folder.
    pub struct Scan {
        /// The folder's path.
        path: String,
        /// Paths after this one.
        after: Option<String>,
        /// How many at most; 0 for all.
        limit: Option<i64>,
    }
}

fields! {
    /// Lists the names in a folder with the metadata of each secret.
    pub struct DetailedList {
        /// The folder's path.
        path: String,
        /// Names after this one.
        after: Option<String>,
        /// How many at most; 0 for all.
        limit: Option<i64>,
    }
}

fields! {
    /// Lists all secrets below a folder with the metadata of each.
    pub struct DetailedScan {
        /// The folder's path.
        path: String,
        /// Paths after this one.
        after: Option<String>,
        /// How many at most; 0 for all.
        limit: Option<i64>,
    }
}

ops! {
    List Json, List;
    Scan Json, Scan;
    DetailedList Json, List;
    DetailedScan Json, Scan;
}

/// What the list of the captured folder needs, and whatever else tells what there is below it.
pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    _: &RawFields,
) -> Result<Vec<Need>> {
    let path = capture(captures, "path").unwrap_or_default();
    let folder = format!("{}metadata/{}", mount.path, folder_path(path));
    Ok(vec![Need::new(folder, Capability::List)])
}

/// The folder of a list: its path with a slash, or "" for the top.
pub(super) fn folder_path(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => String::new(),
        path => format!("{path}/"),
    }
}

/// The names after `after`, `limit` of them. `names` is sorted.
pub(super) fn page<'n>(
    names: &'n [String],
    after: Option<&str>,
    limit: Option<i64>,
) -> &'n [String] {
    let from = after.map_or(0, |after| names.partition_point(|name| name.as_str() <= after));
    let rest = names.get(from..).unwrap_or_default();
    let most = limit.and_then(|l| usize::try_from(l).ok()).filter(|l| *l > 0);
    rest.get(..most.unwrap_or(usize::MAX).min(rest.len())).unwrap_or_default()
}

/// The answer of a list: 404 where there is nothing to name.
pub(super) fn reply(names: &[String]) -> Result<Reply<Json>> {
    if names.is_empty() {
        return Err(Error::not_found());
    }
    let keys = names.iter().cloned().map(Json::String).collect();
    Ok(Reply::data(Json::Object(JsonMap::from_iter([("keys".to_owned(), Json::Array(keys))]))))
}

async fn folder(view: &ReadView<'_>, path: &str) -> Result<Id> {
    tree::folder(view, path).await?.ok_or_else(Error::not_found)
}

/// The answer of a list of one folder.
pub(super) async fn list(
    view: &ReadView<'_>,
    path: &str,
    after: Option<&str>,
    limit: Option<i64>,
) -> Result<Reply<Json>> {
    let id = folder(view, &folder_path(path)).await?;
    let names = view.names::<Entry>(id).await?;
    reply(page(&names, after, limit))
}

/// The sorted paths of all secrets below a folder, relative to it.
pub(super) async fn scan(view: &ReadView<'_>, path: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut open = vec![(String::new(), folder(view, &folder_path(path)).await?)];
    while let Some((path, id)) = open.pop() {
        for name in view.names::<Entry>(id).await?.iter() {
            let full = format!("{path}{name}");
            if !name.ends_with('/') {
                out.push(full);
            } else if let Some(entry) = view.named::<Entry>(id, name).await? {
                open.push((full, entry.id));
            }
            if out.len() + open.len() > LIST_ENTRIES_MAX {
                return Err(Error::bad_request(format!(
                    "there are more than {LIST_ENTRIES_MAX} entries below this folder"
                )));
            }
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// The answer with `key_info`: the metadata of each secret, and nothing of a folder.
async fn detailed(view: &ReadView<'_>, folder: &str, names: &[String]) -> Result<Reply<Json>> {
    let mut reply = reply(names)?;
    let mut info = JsonMap::with_capacity(names.len());
    for name in names {
        let secret = match name.ends_with('/') {
            true => None,
            false => store::find(view, &format!("{folder}{name}")).await?,
        };
        let shown = secret.map_or_else(|| JsonMap::new().into(), |s| metadata::view(&s.head));
        info.insert(name.clone(), shown);
    }
    if let Some(Json::Object(data)) = &mut reply.data {
        data.insert("key_info".to_owned(), Json::Object(info));
    }
    Ok(reply)
}

impl Query<List> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: List) -> Result<Reply<Json>> {
        list(&cx.view(), &op.path, op.after.as_deref(), op.limit).await
    }
}

impl Query<Scan> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Scan) -> Result<Reply<Json>> {
        let names = scan(&cx.view(), &op.path).await?;
        reply(page(&names, op.after.as_deref(), op.limit))
    }
}

impl Query<DetailedList> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: DetailedList) -> Result<Reply<Json>> {
        let view = cx.view();
        let path = folder_path(&op.path);
        let names = view.names::<Entry>(folder(&view, &path).await?).await?;
        detailed(&view, &path, page(&names, op.after.as_deref(), op.limit)).await
    }
}

impl Query<DetailedScan> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: DetailedScan) -> Result<Reply<Json>> {
        let view = cx.view();
        let names = scan(&view, &op.path).await?;
        let page = page(&names, op.after.as_deref(), op.limit);
        detailed(&view, &folder_path(&op.path), page).await
    }
}
