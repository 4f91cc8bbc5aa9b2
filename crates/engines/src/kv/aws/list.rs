//! ListSecrets, and the search that BatchGetSecretValue makes of it.
//!
//! A head's row is drawn from the counter of commits, so the order of rows is that of creation: no
//! index is kept. A page takes the names below the folder, sorted views that memory holds (about one
//! microsecond a name), sorts the rows, and reads the heads of those that it shows and of those that
//! filters of more than the name look at; no value is read.
//!
//! It shows what the caller may list, and tells of each secret what he may read of its metadata; of
//! the rest neither names nor numbers. Filters see no more than the caller.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, JsonMap, RawFields, Result, fields};
use strongroom_cloudwire::aws_names;
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Need, Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::{Id, rows};

use super::filters::{self, Filter, Seen};
use super::limits::{LIST_READS_MAX, LISTED_MAX, PAGE_MAX};
use super::{describe, page, refusals, target};
use crate::kv::Kv;
use crate::kv::list::folder_path;
use crate::kv::secret::Head;
use crate::kv::tree::{self, Entry};

fields! {
    /// Lists secrets.
    pub struct List {
        /// The folder; the whole mount without.
        path: Option<String>,
        /// Filters: a list of a key and values each.
        filters: Option<Json>,
        /// Those whose deletion is scheduled, too?
        include_planned_deletion: Option<bool>,
        /// `created-date`, `last-accessed-date`, `last-changed-date` or `name`.
        sort_by: Option<String>,
        /// `asc` or `desc`.
        sort_order: Option<String>,
        /// How many at most.
        max_results: Option<i64>,
        /// Where the page before ended.
        next_token: Option<String>,
    }
}

ops! { List Json, Write, Needs; }

/// A list needs what Vault's list of the folder needs in which it begins.
pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    let path = captures.iter().find(|(n, _)| *n == "path").map_or("", |(_, p)| p.as_str());
    let filters = filters::read(raw.get("filters")).unwrap_or_default();
    let path = format!("{}metadata/{}", mount.path, start(&folder_path(path), &filters));
    Ok(vec![Need::new(path, Capability::List)])
}

/// The folder in which a list begins: a filter for names may say a deeper one than the request.
fn start(folder: &str, filters: &[Filter]) -> String {
    let deeper = filters.iter().filter_map(Filter::folder).find_map(aws_names::to_path);
    match deeper {
        Some(path) => format!("{folder}{path}/"),
        None => folder.to_owned(),
    }
}

/// What a list is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Sort {
    Created,
    Changed,
    Name,
}

/// A list as it was asked for.
pub(super) struct Listing {
    /// Whose it is: no page of one goes on in another.
    pub operation: &'static str,
    /// The folder.
    pub folder: String,
    /// What must match.
    pub filters: Vec<Filter>,
    /// With those whose deletion is scheduled?
    pub planned: bool,
    /// The order.
    pub sort: Sort,
    /// The other way round?
    pub descending: bool,
    /// How many at most.
    pub most: usize,
}

/// One secret of a page.
pub(super) struct Listed {
    /// Its path.
    pub path: String,
    /// Its name at AWS's door.
    pub name: String,
    /// The row of its head.
    pub row: Id,
    /// Its head.
    pub head: Head,
    /// May the caller know more of it than its name?
    pub known: bool,
}

/// A page.
pub(super) struct Page {
    /// Its secrets.
    pub entries: Vec<Listed>,
    /// The token of the next.
    pub next: Option<String>,
}

/// Where a secret stands in the order of a list.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    name: String,
    time: i64,
    row: Id,
}

struct Candidate {
    path: String,
    name: String,
    row: Id,
    head: Option<Head>,
}

/// The size of a page.
pub(super) fn page_size(asked: Option<i64>, most: usize) -> Result<usize> {
    match asked.map(usize::try_from) {
        None => Ok(most),
        Some(Ok(asked)) if (1..=most).contains(&asked) => Ok(asked),
        Some(Ok(0) | Err(_)) => {
            Err(refusals::constraint("maxResults", "have value greater than or equal to 1"))
        }
        Some(_) => Err(refusals::constraint(
            "maxResults",
            &format!("have value less than or equal to {most}"),
        )),
    }
}

impl Listing {
    /// All secrets that the caller may list and whose names match.
    async fn candidates(&self, cx: &ReadCx<'_>) -> Result<Vec<Candidate>> {
        let rights = cx.request.rights.as_ref().ok_or_else(Error::denied)?;
        let view = cx.view();
        let top = folder_path(&self.folder);
        let first = start(&top, &self.filters);
        let asked = JsonMap::from_iter([("limit".to_owned(), Json::from(self.most))]);
        let Some(id) = tree::folder(&view, &first).await? else { return Ok(Vec::new()) };
        let mut open = VecDeque::from([(first, id)]);
        let mut out = Vec::new();
        let by_name: Vec<&Filter> = self.filters.iter().filter(|f| f.is_of_names()).collect();
        while let Some((folder, id)) = open.pop_front() {
            let judged = format!("{}metadata/{folder}", cx.request.mount.path);
            let right = rights.list(&judged, Capability::List, Some(&asked));
            // What may not be listed is not there for this caller.
            let Some(right) = right else { continue };
            for name in view.names::<Entry>(id).await?.iter() {
                if !right.may_show(name) {
                    continue;
                }
                let Some(entry) = view.cached::<Entry>(id, name).await? else { continue };
                let path = format!("{folder}{name}");
                if name.ends_with('/') {
                    open.push_back((path, entry.id));
                    continue;
                }
                let below = path.get(top.len()..).unwrap_or_default();
                let name = aws_names::to_name(below);
                let seen = Seen { name: &name, ..Seen::default() };
                if by_name.iter().all(|f| f.lets_through(&seen)) {
                    out.push(Candidate { path, name, row: entry.id, head: None });
                }
                if out.len() + open.len() > LISTED_MAX {
                    return Err(refusals::invalid_request(format!(
                        "There are more than {LISTED_MAX} secrets: name a folder in a filter."
                    )));
                }
            }
        }
        Ok(out)
    }

    async fn head(&self, cx: &ReadCx<'_>, row: Id) -> Result<Head> {
        let head = cx.view().row::<Head>(rows::HEADS, row).await?;
        head.ok_or_else(|| Error::internal("a secret's head is missing"))
    }

    /// The page behind the one that `token` ended.
    pub async fn page(&self, cx: &ReadCx<'_>, token: Option<&str>) -> Result<Page> {
        let view = cx.view();
        let filters = format!("{:?}", self.filters);
        let context =
            (self.operation, &self.folder, filters, self.planned, self.sort, self.descending);
        let after = token.map(|t| page::open::<_, Place>(&view, &context, t)).transpose()?;
        let mut candidates = self.candidates(cx).await?;
        if self.sort == Sort::Changed {
            for candidate in &mut candidates {
                candidate.head = Some(self.head(cx, candidate.row).await?);
            }
        }
        let mut sorted: Vec<(Place, Candidate)> =
            candidates.into_iter().map(|c| (self.place(&c), c)).collect();
        sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if self.descending {
            sorted.reverse();
        }
        let is_behind = |place: &Place| match &after {
            None => true,
            Some(after) if self.descending => place < after,
            Some(after) => place > after,
        };
        let (mut entries, mut last, mut reads, mut more) = (Vec::new(), None, 0, false);
        for (place, candidate) in sorted.into_iter().filter(|(place, _)| is_behind(place)) {
            if entries.len() >= self.most || reads >= LIST_READS_MAX {
                more = true;
                break;
            }
            reads += 1;
            if let Some(listed) = self.look_at(cx, candidate).await? {
                entries.push(listed);
            }
            last = Some(place);
        }
        let next = match last.filter(|_| more) {
            Some(place) => Some(page::seal(&view, &context, &place)?),
            None => None,
        };
        Ok(Page { entries, next })
    }

    fn place(&self, candidate: &Candidate) -> Place {
        let changed = candidate.head.as_ref().map_or(0, |h| h.updated.0);
        Place {
            name: if self.sort == Sort::Name { candidate.name.clone() } else { String::new() },
            time: if self.sort == Sort::Changed { changed } else { 0 },
            row: candidate.row,
        }
    }

    /// The secret as it is listed, if it is.
    async fn look_at(&self, cx: &ReadCx<'_>, candidate: Candidate) -> Result<Option<Listed>> {
        let mut candidate = candidate;
        let head = match candidate.head.take() {
            Some(head) => head,
            None => self.head(cx, candidate.row).await?,
        };
        if head.deletion.is_some() && !self.planned {
            return Ok(None);
        }
        let known = target::require(cx, &candidate.path, describe::RIGHTS).is_ok();
        let mut seen = Seen { name: &candidate.name, ..Seen::default() };
        if known {
            seen.description = &head.description;
            seen.tags = head.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        }
        if !self.filters.iter().all(|f| f.lets_through(&seen)) {
            return Ok(None);
        }
        let Candidate { path, name, row, .. } = candidate;
        Ok(Some(Listed { path, name, row, head, known }))
    }
}

fn sort_of(by: Option<&str>) -> Result<Sort> {
    match by {
        // When a secret was last read is not kept.
        None | Some("created-date" | "last-accessed-date") => Ok(Sort::Created),
        Some("last-changed-date") => Ok(Sort::Changed),
        Some("name") => Ok(Sort::Name),
        Some(_) => Err(refusals::constraint(
            "sortBy",
            "satisfy enum value set: [created-date, last-accessed-date, last-changed-date, name]",
        )),
    }
}

impl Query<List> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: List) -> Result<Reply<Json>> {
        let descending = match op.sort_order.as_deref() {
            None | Some("asc") => false,
            Some("desc") => true,
            Some(_) => {
                return Err(refusals::constraint(
                    "sortOrder",
                    "satisfy enum value set: [asc, desc]",
                ));
            }
        };
        let listing = Listing {
            operation: "ListSecrets",
            folder: op.path.unwrap_or_default(),
            filters: filters::read(op.filters.as_ref())?,
            planned: op.include_planned_deletion.unwrap_or(false),
            sort: sort_of(op.sort_by.as_deref())?,
            descending,
            most: page_size(op.max_results, PAGE_MAX)?,
        };
        let Page { entries, next } = listing.page(cx, op.next_token.as_deref()).await?;
        let shown = entries.into_iter().map(|listed| {
            Json::Object(match listed.known {
                true => describe::view(&listed.path, &listed.head),
                false => target::view_of(&listed.path, &listed.head),
            })
        });
        let mut data = JsonMap::from_iter([("secrets".to_owned(), Json::Array(shown.collect()))]);
        if let Some(next) = next {
            data.insert("next_token".to_owned(), next.into());
        }
        Ok(Reply::data(Json::Object(data)))
    }
}
