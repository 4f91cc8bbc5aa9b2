//! Revoking all tokens that came from a path, as an operator does when an auth method or a token
//! role was abused: one record that every check looks at, so it holds at once, and a walk that
//! removes the tokens afterwards.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use strongroom_storage::{Change, Key};

use super::{Token, Tokens};
use crate::rebuilt::Rebuilt;
use crate::record::{Record, Scope, Tx, indexes};

/// Seconds that a record stays at least: a request that was under way when it was written has
/// ended by then.
const KEPT_SECONDS: i64 = 3_600;

/// Tokens of a namespace from a path and below, made until a time, are revoked. It lies in the
/// root scope, named by namespace and path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct RevokedPrefix {
    namespace: Scope,
    /// Without a slash at its end.
    folder: String,
    at: Timestamp,
}

impl Record for RevokedPrefix {
    const KIND: u8 = 221;
}

impl RevokedPrefix {
    fn name(&self) -> String {
        format!("{}:{}", self.namespace.0, self.folder)
    }

    fn covers(&self, namespace: Scope, path: &str, created: Timestamp) -> bool {
        let below = path.strip_prefix(self.folder.as_str());
        namespace == self.namespace
            && created <= self.at
            && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Can nothing that it covers be alive any more but rows, which a walk finds? Requests that
    /// began before it have ended, and batch tokens, which have no row, live `max_ttl` seconds at
    /// most.
    pub(super) fn is_settled(&self, now: Timestamp, max_ttl: i64) -> bool {
        self.at.plus_seconds(max_ttl.max(KEPT_SECONDS)) <= now
    }
}

/// All of them.
pub(super) type Prefixes = Rebuilt<Vec<RevokedPrefix>>;

/// Is it a change of one?
pub(super) fn concerns(change: &Change) -> bool {
    match change {
        Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key)) => {
            *table == indexes::NAMES && key.get(..5) == Some(&[0, 0, 0, 0, RevokedPrefix::KIND])
        }
        Change::Everything => true,
        _ => false,
    }
}

impl Tokens {
    /// Revokes the tokens of `namespace` that came from `folder` and below, until `now`.
    pub fn revoke_folder(
        &self,
        tx: &Tx,
        namespace: Scope,
        folder: &str,
        now: Timestamp,
    ) -> Result<()> {
        let folder = folder.trim_matches('/').to_owned();
        let record = RevokedPrefix { namespace, folder, at: now };
        tx.write(Scope::ROOT).put_named(0, &record.name(), &record)
    }

    /// The prefixes that are revoked.
    pub(super) async fn revoked_prefixes(&self) -> Result<Arc<Vec<RevokedPrefix>>> {
        let build = async |_| {
            let tx = self.store.begin();
            let all = tx.read(Scope::ROOT).all::<RevokedPrefix>(0).await?;
            Ok(all.into_iter().map(|(_, record)| record).collect())
        };
        self.prefixes.table(build).await
    }

    /// Did the token come from a path whose tokens are revoked?
    pub(super) async fn is_of_revoked_prefix(&self, token: &Token) -> Result<bool> {
        self.is_of_revoked_path(token.namespace, &token.path, token.created).await
    }

    /// Is what came from `path` of a namespace at `created` revoked?
    pub async fn is_of_revoked_path(
        &self,
        namespace: Scope,
        path: &str,
        created: Timestamp,
    ) -> Result<bool> {
        let prefixes = self.revoked_prefixes().await?;
        Ok(prefixes.iter().any(|prefix| prefix.covers(namespace, path, created)))
    }

    /// Forgets prefixes whose tokens are all gone, unless they were revoked again.
    pub(super) async fn forget_prefixes(&self, done: &[RevokedPrefix]) -> Result<()> {
        self.store
            .transact(|tx| async move {
                let root = tx.write(Scope::ROOT);
                for prefix in done {
                    let name = prefix.name();
                    if root.named::<RevokedPrefix>(0, &name).await?.as_ref() == Some(prefix) {
                        root.delete_named::<RevokedPrefix>(0, &name);
                    }
                }
                Ok(())
            })
            .await
    }
}
