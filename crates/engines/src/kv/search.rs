//! `search/…`: finds secrets by their paths, and with `fields` by the names of their fields.
//!
//! It shows a path only with `list` on its folder's `metadata/`, and a field name only with `read`
//! on the secret's `data/`; of what the caller may not see it tells neither names nor numbers.

use std::collections::VecDeque;

use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Query, ReadCx, Reply, Rights, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::{Id, ReadView};

use super::limits::{
    SEARCH_ENTRIES_MAX, SEARCH_MATCHES_MAX, SEARCH_QUERY_BYTES_MAX, SEARCH_READS_MAX,
};
use super::list::folder_path;
use super::secret::Select;
use super::tree::{self, Entry};
use super::value::to_object;
use super::{Kv, store};

fields! {
    /// Finds secrets below a folder.
    pub struct Search {
        /// The folder; the whole mount without.
        path: Option<String>,
        /// Text that the path (or a field's name) contains, whatever its case.
        query: Option<String>,
        /// Look at the names of fields too?
        fields: Option<bool>,
        /// How many matches at most.
        limit: Option<i64>,
    }
}

ops! { Search Json, Read, Needs; }

/// A search under way.
struct Walk<'a> {
    cx: &'a ReadCx<'a>,
    view: ReadView<'a>,
    rights: &'a Rights,
    /// The folder it began in.
    top: String,
    /// In lower case.
    query: String,
    fields: bool,
    limit: usize,
    /// The page size that a rule about lists is asked with.
    asked: JsonMap,
    entries: usize,
    reads: usize,
    keys: Vec<Json>,
    info: JsonMap,
    truncated: bool,
}

impl Walk<'_> {
    async fn run(&mut self, top: Id) -> Result<()> {
        let mut open = VecDeque::from([(String::new(), top)]);
        while let Some((folder, id)) = open.pop_front() {
            let path = format!("{}metadata/{}{folder}", self.cx.request.mount.path, self.top);
            let right = self.rights.list(&path, Capability::List, Some(&self.asked));
            // What may not be listed is not there for this caller.
            let Some(right) = right else { continue };
            for name in self.view.names::<Entry>(id).await?.iter() {
                if !right.may_show(name) {
                    continue;
                }
                self.entries += 1;
                if self.entries > SEARCH_ENTRIES_MAX || self.keys.len() >= self.limit {
                    self.truncated = true;
                    return Ok(());
                }
                let full = format!("{folder}{name}");
                if !name.ends_with('/') {
                    self.look_at(full).await?;
                } else if let Some(entry) = self.view.named::<Entry>(id, name).await? {
                    open.push_back((full, entry.id));
                }
            }
        }
        Ok(())
    }

    async fn look_at(&mut self, path: String) -> Result<()> {
        let named = path.to_lowercase().contains(&self.query);
        let matches = if self.fields { self.field_names(&path).await? } else { Vec::new() };
        if named || !matches.is_empty() {
            if self.fields {
                let info = JsonMap::from_iter([("fields".to_owned(), Json::Array(matches))]);
                self.info.insert(path.clone(), Json::Object(info));
            }
            self.keys.push(Json::String(path));
        }
        Ok(())
    }

    /// The secret's top-level field names that match, if the caller may read it.
    async fn field_names(&mut self, path: &str) -> Result<Vec<Json>> {
        let full = format!("{}{path}", self.top);
        let judged = format!("{}data/{full}", self.cx.request.mount.path);
        if !self.rights.allow(&judged, Capability::Read, None) {
            return Ok(Vec::new());
        }
        if self.reads >= SEARCH_READS_MAX {
            self.truncated = true;
            return Ok(Vec::new());
        }
        self.reads += 1;
        let Some(secret) = store::find(&self.view, &full).await? else { return Ok(Vec::new()) };
        let Some(version) = secret.head.version(Select::Current) else { return Ok(Vec::new()) };
        let Some(row) = version.readable(self.cx.now()) else { return Ok(Vec::new()) };
        let bytes = store::value(&self.view, row).await?;
        let mut value = to_object(version.representation, bytes.expose_secret())?;
        let names = value.as_object().into_iter().flat_map(|map| map.keys());
        let names = names.filter(|name| name.to_lowercase().contains(&self.query));
        let names = names.cloned().map(Json::String).collect();
        strongroom_base::json::wipe(&mut value);
        Ok(names)
    }
}

impl Query<Search> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Search) -> Result<Reply<Json>> {
        let query = op.query.filter(|q| !q.is_empty());
        let query = query.ok_or_else(|| Error::bad_request("missing query"))?;
        if query.len() > SEARCH_QUERY_BYTES_MAX {
            return Err(Error::bad_request("the query is too long"));
        }
        let limit = op.limit.and_then(|l| usize::try_from(l).ok()).filter(|l| *l > 0);
        let limit = limit.unwrap_or(SEARCH_MATCHES_MAX).min(SEARCH_MATCHES_MAX);
        let top = folder_path(op.path.as_deref().unwrap_or_default());
        let view = cx.view();
        let id = tree::folder(&view, &top).await?.ok_or_else(Error::not_found)?;
        let mut walk = Walk {
            cx,
            view,
            rights: cx.request.rights.as_ref().ok_or_else(Error::denied)?,
            top,
            query: query.to_lowercase(),
            fields: op.fields.unwrap_or(false),
            limit,
            asked: JsonMap::from_iter([("limit".to_owned(), Json::from(limit))]),
            entries: 0,
            reads: 0,
            keys: Vec::new(),
            info: JsonMap::new(),
            truncated: false,
        };
        walk.run(id).await?;
        if walk.keys.is_empty() {
            return Err(Error::not_found());
        }
        let mut data = JsonMap::from_iter([("keys".to_owned(), Json::Array(walk.keys))]);
        if walk.fields {
            data.insert("key_info".to_owned(), Json::Object(walk.info));
        }
        let mut reply = Reply::data(Json::Object(data));
        if walk.truncated {
            reply = reply.warn("There may be more matches: the search stopped at its limit.");
        }
        Ok(reply)
    }
}
