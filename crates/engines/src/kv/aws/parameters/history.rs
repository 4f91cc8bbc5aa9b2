//! GetParameterHistory.

use serde_json::json;
use strongroom_base::{Json, Result, fields};
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;

use super::super::{page, target};
use super::find::{details, judged, labels, missing, renamed, shown};
use super::folder::most;
use super::judge::{One, deeds};
use super::limits::PAGE_MAX;
use crate::kv::Kv;

fields! {
    /// Lists a parameter's versions with their values, oldest first.
    pub struct History {
        ..one: One;
        /// Are secrets shown in plain?
        decrypt: Option<bool>,
        /// How many at most.
        max_results: Option<i64>,
        /// Where the page before ended.
        next_token: Option<String>,
    }
}

ops! { History Json, Write, Needs; }

pub(super) const RIGHTS: &[target::Right] =
    &[("data", Capability::Read), ("metadata", Capability::Read)];

impl Query<History> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: History) -> Result<Reply<Json>> {
        let view = cx.view();
        let most = most(op.max_results, PAGE_MAX)?;
        let (path, of) = (op.one.path.as_str(), op.one.of(deeds::READ));
        let secret = judged(cx, &of, RIGHTS).await?.ok_or_else(missing)?;
        let head = &secret.head;
        let context = ("parameter history", path);
        let after: u64 = match &op.next_token {
            Some(token) => page::open(&view, &context, token).map_err(renamed)?,
            None => 0,
        };
        let (mut all, mut next) = (Vec::new(), None);
        let readable = head.published().filter(|v| v.readable(cx.now()).is_some());
        let mut last = after;
        for version in readable.filter(|version| version.number > after) {
            if all.len() == most {
                next = Some(page::seal(&view, &context, &last)?);
                break;
            }
            of.judge_value(cx, head, version)?;
            let decrypt = op.decrypt.unwrap_or(false);
            let mut entry = shown(cx, path, head, version, decrypt).await?;
            details(head, version, &mut entry);
            entry.insert("labels".to_owned(), labels(head, version).into());
            all.push(Json::Object(entry));
            last = version.number;
        }
        self.accessed.note(secret.row, cx.now());
        Ok(Reply::data(json!({ "parameters": all, "next": next })))
    }
}
