//! ListSecrets, and the search that BatchGetSecretValue makes of it.
//!
//! A page costs a look at each folder ([`super::order`]), and one read of the head of each secret that it
//! shows or that filters of more than the name look at; no value is read. An order by a time that a secret
//! has itself needs all heads of the list, and so is refused for long ones.
//!
//! It shows what the caller may list, and tells of each secret what he may read of its metadata; of
//! the rest neither names nor numbers. Filters see no more than the caller.

use serde::Serialize;
use strongroom_base::{Json, JsonMap, RawFields, Result, Timestamp, capture, fields};
use strongroom_cloudwire::aws_names;
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Need, Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::{Id, rows};

use super::filters::{self, Filter, Seen};
use super::limits::{LIST_READS_MAX, LIST_STEPS_MAX, PAGE_MAX};
use super::order::{Candidate, Folders, Key, Way};
use super::{describe, page, refusals, target};
use crate::kv::Kv;
use crate::kv::list::folder_path;
use crate::kv::secret::Head;

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
    let path = capture(captures, "path").unwrap_or_default();
    let filters = filters::read(raw.get("filters")).unwrap_or_default();
    let path = format!("{}metadata/{}", mount.path, start(&folder_path(path), &filters));
    Ok(vec![Need::new(path, Capability::List)])
}

/// The folder in which a list begins: a filter for names may say a deeper one than the request.
fn start(folder: &str, filters: &[Filter]) -> String {
    let deeper = filters.iter().filter_map(Filter::folder).find_map(aws_names::to_secret_folder);
    match deeper {
        Some(path) => format!("{folder}{path}"),
        None => folder.to_owned(),
    }
}

/// What a list is sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) enum Sort {
    Created,
    Changed,
    Accessed,
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
    /// The day on which it was read last, if he may.
    pub accessed: Option<Timestamp>,
}

/// A page.
pub(super) struct Page {
    /// Its secrets.
    pub entries: Vec<Listed>,
    /// The token of the next.
    pub next: Option<String>,
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
    /// The page behind the one that `token` ended.
    pub async fn page(&self, kv: &Kv, cx: &ReadCx<'_>, token: Option<&str>) -> Result<Page> {
        let view = cx.view();
        let filters = format!("{:?}", self.filters);
        let context =
            (self.operation, &self.folder, filters, self.planned, self.sort, self.descending);
        let after = token.map(|t| page::open::<_, Key>(&view, &context, t)).transpose()?;
        let first = start(&folder_path(&self.folder), &self.filters);
        let parameters = format!("{}{}/", folder_path(&self.folder), aws_names::PARAMETERS);
        let folders = Folders::below(cx, first, self.most, &parameters).await?;
        let (entries, last) = match self.sort {
            Sort::Created | Sort::Name => {
                let by_path = self.sort == Sort::Name;
                let (descending, after) = (self.descending, after.as_ref());
                let walk = folders.walk(Way { by_path, descending, after });
                self.take(kv, cx, walk).await?
            }
            Sort::Changed | Sort::Accessed => {
                let sorted = self.by_time(kv, cx, &folders, after.as_ref()).await?;
                self.take(kv, cx, sorted.into_iter()).await?
            }
        };
        let next = last.map(|place| page::seal(&view, &context, &place)).transpose()?;
        Ok(Page { entries, next })
    }

    /// The entries of a page, and where it ends if there are more.
    async fn take(
        &self,
        kv: &Kv,
        cx: &ReadCx<'_>,
        walk: impl Iterator<Item = (Key, Option<Candidate>)>,
    ) -> Result<(Vec<Listed>, Option<Key>)> {
        let (mut entries, mut last, mut reads, mut steps) = (Vec::new(), None, 0, 0);
        for (place, candidate) in walk {
            // No place is told that the caller may not see.
            let Some(candidate) = candidate else { continue };
            if entries.len() >= self.most || reads >= LIST_READS_MAX || steps >= LIST_STEPS_MAX {
                return Ok((entries, last));
            }
            steps += 1;
            if let Some(name) = self.name(&candidate.path).filter(|name| self.names_match(name)) {
                reads += 1;
                entries.extend(self.look_at(kv, cx, candidate, name).await?);
            }
            last = Some(place);
        }
        Ok((entries, None))
    }

    /// A secret's name at AWS's door; parameters have none.
    fn name(&self, path: &str) -> Option<String> {
        let top = folder_path(&self.folder).len();
        aws_names::to_secret_name(path.get(top..)?)
    }

    fn names_match(&self, name: &str) -> bool {
        let seen = Seen { name, ..Seen::default() };
        self.filters.iter().filter(|f| f.is_of_names()).all(|f| f.lets_through(&seen))
    }

    /// The list behind `after`, in the order of a time.
    async fn by_time(
        &self,
        kv: &Kv,
        cx: &ReadCx<'_>,
        folders: &Folders<'_>,
        after: Option<&Key>,
    ) -> Result<Vec<(Key, Option<Candidate>)>> {
        let mut all = Vec::new();
        let way = Way { by_path: false, descending: false, after: None };
        for candidate in folders.walk(way).filter_map(|(_, candidate)| candidate) {
            if !self.name(&candidate.path).is_some_and(|name| self.names_match(&name)) {
                continue;
            }
            if all.len() >= LIST_READS_MAX {
                return Err(refusals::invalid_parameter(format!(
                    "There are more than {LIST_READS_MAX} secrets: sort them by created-date or by name, \
                     or name a folder in a filter."
                )));
            }
            let time = match self.sort {
                Sort::Accessed => kv.accessed.of(&cx.view(), candidate.row).await?,
                _ => head(cx, candidate.row).await?.map(|head| head.updated),
            };
            let place = Key::Time(time.unwrap_or(Timestamp::ZERO).0, candidate.row);
            all.push((place, Some(candidate)));
        }
        all.retain(|(place, _)| match after {
            None => true,
            Some(after) if self.descending => place < after,
            Some(after) => place > after,
        });
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if self.descending {
            all.reverse();
        }
        Ok(all)
    }

    /// The secret as it is listed, if it is.
    async fn look_at(
        &self,
        kv: &Kv,
        cx: &ReadCx<'_>,
        candidate: Candidate,
        name: String,
    ) -> Result<Option<Listed>> {
        let Candidate { path, row } = candidate;
        // One that went meanwhile is no more listed.
        let Some(head) = head(cx, row).await? else { return Ok(None) };
        if head.deletion.is_some() && !self.planned {
            return Ok(None);
        }
        let known = target::require(cx, &path, describe::RIGHTS).is_ok();
        let mut seen = Seen { name: &name, ..Seen::default() };
        if known {
            seen.description = &head.description;
            seen.tags = head.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        }
        if !self.filters.iter().all(|f| f.lets_through(&seen)) {
            return Ok(None);
        }
        let accessed = if known { kv.accessed.of(&cx.view(), row).await? } else { None };
        Ok(Some(Listed { path, name, row, head, known, accessed }))
    }
}

async fn head(cx: &ReadCx<'_>, row: Id) -> Result<Option<Head>> {
    cx.view().row::<Head>(rows::HEADS, row).await
}

fn sort_of(by: Option<&str>) -> Result<Sort> {
    match by {
        None | Some("created-date") => Ok(Sort::Created),
        Some("last-accessed-date") => Ok(Sort::Accessed),
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
        let Page { entries, next } = listing.page(self, cx, op.next_token.as_deref()).await?;
        let shown = entries.into_iter().map(|listed| {
            Json::Object(match listed.known {
                true => describe::view(&listed.path, &listed.head, listed.accessed),
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
