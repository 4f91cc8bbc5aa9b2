//! Tokens (design §6): one appended row and one due entry each; the text carries the row's id under
//! a mask, so a check is one look-up and one constant-time comparison.
//!
//! Invariants:
//! * the store holds HMACs of tokens, never tokens;
//! * a token is refused by its own clock check, never by a later clean-up;
//! * a child lives only while its parent does (or was orphaned): revoking a tree takes effect with
//!   one row's removal or one mount's end, the rest is cleaned up afterwards;
//! * what comes to hang on a token (a child, a lease, an entry of its cubbyhole) reads the token's
//!   row in its own transaction, so it conflicts with a revocation and cannot escape it.

mod check;
mod clean;
mod create;
mod lifetime;
mod params;
mod prefixes;
mod token;

use std::sync::Arc;

use strongroom_base::{Error, Result, Timestamp};
use strongroom_storage::{Change, Key};

pub use crate::namespaces::suffix;
pub use crate::policy::normalise_policies;
pub use check::Grounds;
pub use create::{Created, NewToken, Parent};
pub use lifetime::{Bounds, Lifetime, lifetime};
pub use params::TokenParams;
pub use token::{Token, cidrs_allow, parse_cidr};

use crate::due::{due_key, kinds, link, links, links_from};
use crate::ids;
use crate::record::{Derived, Id, Scope, Store, Tx, indexes, rows};

/// Service tokens begin so.
pub const SERVICE_PREFIX: &str = "hvs.";
/// Batch tokens begin so.
pub const BATCH_PREFIX: &str = "hvb.";
/// Tokens remembered between requests.
const CACHE_MAX: usize = 50_000;
/// Levels of parents looked at; creating a deeper child is refused.
pub const DEPTH_MAX: usize = 64;

/// The token store.
pub struct Tokens {
    store: Arc<Store>,
    cache: Arc<Derived<Id, Token>>,
    sweep: parking_lot::Mutex<clean::Sweep>,
    prefixes: prefixes::Prefixes,
}

impl Tokens {
    /// The tokens of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        let cache = Arc::new(Derived::new(CACHE_MAX));
        let weak = Arc::downgrade(&cache);
        store.derived.listen(move |change| {
            let Some(cache) = weak.upgrade() else { return };
            match change {
                Change::Put(Key::Row(table, id), _) | Change::Delete(Key::Row(table, id))
                    if *table == rows::TOKENS =>
                {
                    cache.remove(id);
                }
                Change::DeleteRows { table, .. } if *table == rows::TOKENS => cache.clear(),
                Change::Everything => cache.clear(),
                _ => {}
            }
        });
        let prefixes = prefixes::Prefixes::new(&store, prefixes::concerns);
        Self { store, cache, sweep: Default::default(), prefixes }
    }

    fn digest(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        self.store.barrier.digest(Scope::ROOT, &[purpose.as_bytes(), data])
    }

    fn mac(&self, text: &str) -> u128 {
        let digest = self.digest("token", text.as_bytes());
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        u128::from_be_bytes(half)
    }

    /// The accessor of the token with this id.
    pub fn accessor(&self, id: Id) -> String {
        ids::ACCESSOR.derive(&self.store.barrier, id)
    }

    /// The id an accessor stands for. It may not be in use.
    pub fn id_of_accessor(&self, accessor: &str) -> Option<Id> {
        ids::ACCESSOR.resolve(&self.store.barrier, accessor)
    }

    /// The record with this id, from memory or storage, whatever its state.
    pub async fn by_id(&self, id: Id) -> Result<Option<Arc<Token>>> {
        self.cache
            .get_or_fill(&id, || async move {
                let tx = self.store.begin();
                self.read(&tx, id).await
            })
            .await
    }

    /// The record as a transaction sees it.
    pub async fn read(&self, tx: &Tx, id: Id) -> Result<Option<Token>> {
        let token = tx.read(Scope::ROOT).row::<Token>(rows::TOKENS, id).await?;
        Ok(token.map(|mut t| {
            t.id = id;
            t.accessor = self.accessor(id);
            t
        }))
    }

    /// Writes a changed record; `expires` was `before`.
    pub fn update(&self, tx: &Tx, token: &Token, before: Timestamp) -> Result<()> {
        tx.write(Scope::ROOT).put_row(rows::TOKENS, token.id, token)?;
        if before != token.expires {
            if !before.is_zero() {
                tx.delete_index(indexes::DUE, &due_key(before, kinds::TOKEN, token.id));
            }
            if !token.expires.is_zero() {
                tx.put_index(indexes::DUE, &due_key(token.expires, kinds::TOKEN, token.id), &[]);
            }
        }
        Ok(())
    }

    /// Revokes a token: its row goes with this transaction, and with it the right to use any of
    /// its descendants. Children, leases and cubbyhole are noted for the reconciler.
    pub fn revoke(&self, tx: &Tx, token: &Token) {
        self.remove_row(tx, token);
        let namespace = token.namespace.0.to_be_bytes();
        tx.put_index(indexes::LINKS, &link(links::REVOKED, token.id, 0), &namespace);
    }

    /// Revokes a token and leaves its children alive, as orphans.
    pub fn revoke_orphan(&self, tx: &Tx, token: &Token) {
        tx.put_index(indexes::LINKS, &link(links::ORPHANED, token.id, 0), &[]);
        self.revoke(tx, token);
    }

    fn remove_row(&self, tx: &Tx, token: &Token) {
        let root = tx.write(Scope::ROOT);
        root.delete_row(rows::TOKENS, token.id);
        if !token.expires.is_zero() {
            tx.delete_index(indexes::DUE, &due_key(token.expires, kinds::TOKEN, token.id));
        }
        if token.parent != 0 {
            tx.delete_index(indexes::LINKS, &link(links::CHILD, token.parent, token.id));
        }
    }

    /// Up to `limit` ids linked from `from`.
    async fn linked(&self, tx: &Tx, what: u8, from: Id, limit: usize) -> Result<Vec<Id>> {
        let (start, end) = links_from(what, from);
        let page = tx.scan_index(indexes::LINKS, &start, &end, limit).await?;
        Ok(page.iter().filter_map(|(key, _)| crate::due::link_ids(key)).map(|(_, to)| to).collect())
    }

    /// Up to `limit` tokens with ids above `after`, whatever their state, in the order they were
    /// made.
    pub async fn page(&self, after: Id, limit: usize) -> Result<Vec<Token>> {
        let (from, to) = (after + 1, 1 << 40);
        let page = self.store.storage.scan_rows(rows::TOKENS, from, to, limit).done().await;
        let tx = self.store.begin();
        let mut out = Vec::with_capacity(limit.min(1_024));
        for (id, _) in page.map_err(crate::record::storage_error)? {
            out.extend(self.read(&tx, id).await?);
        }
        Ok(out)
    }
}

/// An error for operations on a token that is not there.
pub fn bad_token() -> Error {
    Error::bad_request("bad token")
}
