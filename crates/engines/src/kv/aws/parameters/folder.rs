//! GetParametersByPath, DescribeParameters: lists of a folder, in the order of names, in pages.
//!
//! A folder below the first that the caller may not list is passed over with all that is in it. What he
//! may list and not read is left out of a description, and refuses a list of values: who asks for all
//! values of a folder is not to go on with some of them.

use serde::Serialize;
use serde_json::json;
use strongroom_base::limits::LIST_ENTRIES_MAX;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_cloudwire::aws_names;
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::Id;

use super::super::refusals::constraint;
use super::super::{page, target};
use super::filters::{self, Attribute, Filter, Seen};
use super::find::{Which, details, find, renamed, shown, version, view};
use super::judge::{Of, deeds};
use super::limits::{BY_PATH_MAX, LIST_READS_MAX, PAGE_MAX};
use crate::kv::Kv;
use crate::kv::list::folder_path;
use crate::kv::secret::Head;
use crate::kv::store::Secret;
use crate::kv::tree::{self, Entry};

fields! {
    /// Reads the parameters of a folder.
    pub struct ByPath {
        /// The folder's path; the whole mount's without.
        path: Option<String>,
        /// What stands before a parameter's name below the folder in its ARN as a secret.
        secret_arn: Option<String>,
        /// All below it, too?
        recursive: Option<bool>,
        /// Filters: a list of objects with key, option and values.
        filters: Option<Json>,
        /// Are secrets shown in plain?
        decrypt: Option<bool>,
        /// How many at most.
        max_results: Option<i64>,
        /// Where the page before ended.
        next_token: Option<String>,
    }
}
fields! {
    /// Describes parameters.
    pub struct Describe {
        /// The folder's path; the whole mount's without.
        path: Option<String>,
        /// Filters: a list of objects with key, option and values.
        filters: Option<Json>,
        /// How many at most.
        max_results: Option<i64>,
        /// Where the page before ended.
        next_token: Option<String>,
    }
}

ops! {
    ByPath Json, Write, Needs;
    Describe Json, Write, Needs;
}

/// How many entries a page may have, of `usual` at most.
pub(super) fn most(asked: Option<i64>, usual: i64) -> Result<usize> {
    let asked = asked.unwrap_or(usual);
    if !(1..=usual).contains(&asked) {
        let must = format!("have value between 1 and {usual}");
        return Err(constraint("maxResults", &must));
    }
    usize::try_from(asked).map_err(Error::internal)
}

/// The paths below a folder that the caller may list, relative to it and sorted.
async fn listed(cx: &ReadCx<'_>, listing: &Listing<'_>) -> Result<Vec<String>> {
    let Listing { folder, recursive, most, .. } = listing;
    let asked = JsonMap::from_iter([("limit".to_owned(), Json::from(*most))]);
    let view = cx.view();
    let mount = &cx.request.mount.path;
    let rights = cx.request.rights.as_ref().ok_or_else(Error::denied)?;
    let Some(top) = tree::folder(&view, folder).await? else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    let mut open = vec![(String::new(), top)];
    while let Some((below, id)) = open.pop() {
        let path = format!("{mount}metadata/{folder}{below}");
        let Some(right) = rights.list(&path, Capability::List, Some(&asked)) else { continue };
        for name in view.names::<Entry>(id).await?.iter().filter(|name| right.may_show(name)) {
            let full = format!("{below}{name}");
            if !name.ends_with('/') {
                out.push(full);
            } else if *recursive && let Some(entry) = view.named::<Entry>(id, name).await? {
                open.push((full, entry.id));
            }
            if out.len() + open.len() > LIST_ENTRIES_MAX {
                return Err(Error::bad_request(format!(
                    "there are more than {LIST_ENTRIES_MAX} parameters below this path"
                )));
            }
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// A list that is read page by page.
struct Listing<'a> {
    folder: String,
    recursive: bool,
    filters: Vec<Filter>,
    most: usize,
    token: Option<&'a str>,
}

/// Whose pages these are: the token of one list is none of another's.
#[derive(Serialize)]
struct Context<'a> {
    operation: &'static str,
    folder: &'a str,
    recursive: bool,
    filters: &'a [Filter],
}

/// One parameter of a page.
struct Found {
    path: String,
    row: Id,
    head: Head,
    /// The number of the version that is shown.
    number: u64,
}

impl Listing<'_> {
    /// The version that is shown of a parameter: the current one, or the one whose label is asked for.
    fn shown(&self, cx: &ReadCx<'_>, name: &str, head: &Head) -> Option<u64> {
        let by_label = self.filters.iter().find(|filter| filter.key == Attribute::Label);
        let candidates: Vec<u64> = match by_label {
            None => vec![version(cx, head, Which::Current).ok()?.number],
            Some(_) => head.published().map(|version| version.number).collect(),
        };
        candidates.into_iter().rev().find(|number| {
            let number = number.to_string();
            version(cx, head, Which::Selected(&number)).is_ok_and(|version| {
                let seen = Seen { name, head, version };
                self.filters.iter().all(|filter| filter.matches(&seen))
            })
        })
    }

    /// The next page, and the token of the one after it.
    async fn page(
        &self,
        cx: &ReadCx<'_>,
        operation: &'static str,
        known: impl Fn(&str) -> bool,
    ) -> Result<(Vec<Found>, Option<String>)> {
        let view = cx.view();
        let Self { folder, recursive, filters, .. } = self;
        let context = Context { operation, folder, recursive: *recursive, filters };
        let after: Option<String> = self
            .token
            .map(|token| page::open(&view, &context, token))
            .transpose()
            .map_err(renamed)?;
        let names = listed(cx, self).await?;
        let from = after.map_or(0, |after| names.partition_point(|name| *name <= after));
        let (mut found, mut last) = (Vec::new(), None);
        for (reads, name) in names.iter().skip(from).enumerate() {
            let path = format!("{folder}{name}");
            if known(&path)
                && let Some(Secret { row, head }) = find(cx, &path).await?
                && let Some(number) = self.shown(cx, name, &head)
            {
                if found.len() == self.most {
                    return Ok((found, last.map(|l| page::seal(&view, &context, l)).transpose()?));
                }
                found.push(Found { path, row, head, number });
            }
            last = Some(name);
            if reads == LIST_READS_MAX {
                return Ok((found, last.map(|l| page::seal(&view, &context, l)).transpose()?));
            }
        }
        Ok((found, None))
    }
}

impl Query<ByPath> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ByPath) -> Result<Reply<Json>> {
        let listing = Listing {
            folder: folder_path(op.path.as_deref().unwrap_or_default()),
            recursive: op.recursive.unwrap_or(false),
            filters: filters::read(op.filters.as_ref(), true)?,
            most: most(op.max_results, BY_PATH_MAX)?,
            token: op.next_token.as_deref(),
        };
        let (found, next) = listing.page(cx, "parameters by path", |_| true).await?;
        let mut out = Vec::with_capacity(found.len());
        for Found { path, row, head, number } in &found {
            target::require(cx, path, &[("data", Capability::Read)])?;
            let below = path.get(listing.folder.len()..).unwrap_or_default();
            let before = op.secret_arn.as_ref();
            let secret_arn = before.map(|arn| format!("{arn}{}", aws_names::to_name(below)));
            let secret_arn = secret_arn.as_deref();
            let of = Of { path, arn: None, secret_arn, deed: deeds::READ };
            of.judge(cx, Some(head))?;
            let number = number.to_string();
            let version = version(cx, head, Which::Selected(&number))?;
            of.judge_value(cx, head, version)?;
            self.accessed.note(*row, cx.now());
            let decrypt = op.decrypt.unwrap_or(false);
            out.push(Json::Object(shown(cx, path, head, version, decrypt).await?));
        }
        Ok(Reply::data(json!({ "parameters": out, "next": next })))
    }
}

impl Query<Describe> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: Describe) -> Result<Reply<Json>> {
        let listing = Listing {
            folder: folder_path(op.path.as_deref().unwrap_or_default()),
            recursive: true,
            filters: filters::read(op.filters.as_ref(), false)?,
            most: most(op.max_results, PAGE_MAX)?,
            token: op.next_token.as_deref(),
        };
        let known =
            |path: &str| target::require(cx, path, &[("metadata", Capability::Read)]).is_ok();
        let (found, next) = listing.page(cx, "parameters", known).await?;
        let described = found.iter().filter_map(|Found { path, head, number, .. }| {
            let number = number.to_string();
            let version = version(cx, head, Which::Selected(&number)).ok()?;
            let mut shown = view(path, head, version);
            details(head, version, &mut shown);
            Some(Json::Object(shown))
        });
        let described: Vec<Json> = described.collect();
        Ok(Reply::data(json!({ "parameters": described, "next": next })))
    }
}
