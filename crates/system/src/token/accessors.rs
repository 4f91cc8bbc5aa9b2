//! All tokens of a namespace, by accessor; and tidying up.

use serde::Serialize;
use strongroom_base::limits::LIST_ENTRIES_MAX;
use strongroom_base::{Error, Result};
use strongroom_kernel::plug::{Command, Query, ReadCx, Reply, WriteCx, ops};

use super::TokenMethod;

/// Tokens read at a time.
const PAGE: usize = 1_000;

strongroom_base::fields! {
    /// Lists the accessors of all tokens of the namespace, in the order they were made.
    pub struct ListAccessors {
        /// Only tokens made after the one with this accessor.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}

ops! { ListAccessors Keys, List, Sudo; }

/// A list.
#[derive(Serialize)]
pub struct Keys {
    /// Its entries.
    pub keys: Vec<String>,
}

impl Query<ListAccessors> for TokenMethod {
    async fn query(&self, cx: &ReadCx<'_>, op: ListAccessors) -> Result<Reply<Keys>> {
        let tokens = &cx.kernel().tokens;
        let mut after = match op.after.filter(|a| !a.is_empty()) {
            Some(accessor) => tokens
                .id_of_accessor(&accessor)
                .ok_or_else(|| Error::bad_request("\"after\" is no accessor"))?,
            None => 0,
        };
        let limit = op.limit.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        let limit = limit.unwrap_or(LIST_ENTRIES_MAX).min(LIST_ENTRIES_MAX);
        let table = cx.kernel().router.table().await?;
        let mut keys = Vec::new();
        loop {
            let page = tokens.page(after, PAGE).await?;
            for token in &page {
                after = token.id;
                let here = token.namespace == cx.request.namespace.scope;
                if here && tokens.is_live(&table, token, cx.now()).await? {
                    keys.push(tokens.accessor(token.id));
                    if keys.len() == limit {
                        return Ok(Reply::data(Keys { keys }));
                    }
                }
            }
            if page.len() < PAGE {
                break;
            }
        }
        if keys.is_empty() { Err(Error::not_found()) } else { Ok(Reply::data(Keys { keys })) }
    }
}

strongroom_base::fields! {
    /// Removes what tokens that are gone left behind.
    pub struct Tidy {}
}

ops! { Tidy (), Write; }

impl Command<Tidy> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, _: Tidy) -> Result<Reply<()>> {
        cx.after_commit(|services| {
            let services = services.clone();
            tokio::spawn(async move {
                match services.tokens.tidy().await {
                    Ok(removed) => tracing::info!(removed, "tokens are tidy"),
                    Err(e) => tracing::warn!(error = %e, "tokens could not be tidied"),
                }
            });
        });
        Ok(Reply::none().status(202).warn(crate::TIDY_STARTED))
    }
}
