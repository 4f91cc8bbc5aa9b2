//! ListSecretVersionIds.

use strongroom_base::{Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};

use super::describe::RIGHTS;
use super::limits::PAGE_MAX;
use super::target::Target;
use super::{ids, list, page, refusals, shown_time};
use crate::kv::Kv;
use crate::kv::secret::Version;

/// What AWS calls the key of a secret that names none.
const DEFAULT_KEY: &str = "DefaultEncryptionKey";

fields! {
    /// Lists a secret's versions.
    pub struct ListVersions {
        ..target: Target;
        /// Those without labels, too?
        include_deprecated: Option<bool>,
        /// How many at most.
        max_results: Option<i64>,
        /// Where the page before ended.
        next_token: Option<String>,
    }
}

ops! { ListVersions Json, Write, Needs; }

impl Query<ListVersions> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ListVersions) -> Result<Reply<Json>> {
        let most = list::page_size(op.max_results, PAGE_MAX)?;
        let found = op.target.find_any(cx, RIGHTS).await?.ok_or_else(refusals::no_secret)?;
        let head = &found.secret.head;
        let deprecated = op.include_deprecated.unwrap_or(false);
        let context = ("ListSecretVersionIds", head.id, deprecated);
        let view = cx.view();
        let after = op.next_token.as_deref().map(|t| page::open::<_, String>(&view, &context, t));
        let mut versions: Vec<(&Version, Vec<String>)> = ids::distinct(head)
            .into_iter()
            .map(|v| (v, ids::stages(head, v.id)))
            .filter(|(v, stages)| !stages.is_empty() || deprecated && !v.is_destroyed())
            .collect();
        if let Some(after) = after.transpose()? {
            let at = versions.iter().position(|(v, _)| ids::version_id(v) == after);
            versions.drain(..at.ok_or_else(refusals::bad_next_token)? + 1);
        }
        let more = versions.len() > most;
        versions.truncate(most);
        let next = versions.last().filter(|_| more).map(|(v, _)| ids::version_id(v));
        let kms_key = head.of_aws.as_ref().map_or("", |a| a.kms_key.as_str());
        let kms_key = if kms_key.is_empty() { DEFAULT_KEY } else { kms_key };
        let shown = versions.into_iter().map(|(version, stages)| {
            let mut view = JsonMap::new();
            view.insert("version_id".to_owned(), ids::version_id(version).into());
            if !stages.is_empty() {
                view.insert("version_stages".to_owned(), stages.into());
            }
            view.insert("created_date".to_owned(), shown_time(version.made()));
            view.insert("kms_key_ids".to_owned(), vec![kms_key].into());
            Json::Object(view)
        });
        let mut data = found.view();
        data.insert("versions".to_owned(), Json::Array(shown.collect()));
        if let Some(next) = next {
            data.insert("next_token".to_owned(), page::seal(&view, &context, &next)?.into());
        }
        Ok(Reply::data(Json::Object(data)))
    }
}
