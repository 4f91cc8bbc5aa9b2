//! Records: what the kernel and the plug-ins keep in storage, typed, encrypted and scoped.
//!
//! A *scope* owns records: each namespace and each mount is one. A record is either
//! * **named**: found by kind, parent and name. The name stands HMACed in the key and encrypted in
//!   the value, so the disk shows neither (design §5);
//! * a **row**: found by an id that [`Tx::new_id`] gave, appended in order.
//!
//! Invariants:
//! * a view of one scope cannot name a record of another;
//! * a transaction's reads are validated at its commit;
//! * [`Derived`] values are the only memory of records, and the change feed empties them before a
//!   commit returns.

mod derived;
mod folder;
mod store;
mod tx;
mod view;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use strongroom_storage::{IndexKey, IndexTable, Key, RowTable};

pub use derived::{Derived, DerivedSet};
pub use folder::Folders;
pub use store::{CONFLICT_RETRIES_MAX, Store, storage_error, storage_unavailable};
pub use tx::Tx;
pub use view::{ReadView, WriteView};

/// The owner of records: 0 is the root namespace, every other namespace and mount has the next
/// number. Below 2^23.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct Scope(pub u32);

impl Scope {
    /// The root namespace's own records.
    pub const ROOT: Self = Self(0);
    /// Scopes are below this.
    pub const LIMIT: u32 = 1 << 23;

    /// The row ids of this scope: `from..to`.
    pub fn rows(self) -> (u64, u64) {
        (u64::from(self.0) << 40, (u64::from(self.0) + 1) << 40)
    }
}

/// A row's id within its scope: below 2^40.
pub type Id = u64;

/// The row tables.
pub mod rows {
    use super::RowTable;
    /// Values that are never rewritten (versions of secrets).
    pub const VALUES: RowTable = RowTable(0);
    /// Small records that are rewritten in place (heads of secrets).
    pub const HEADS: RowTable = RowTable(1);
    /// Tokens.
    pub const TOKENS: RowTable = RowTable(2);
    /// Leases.
    pub const LEASES: RowTable = RowTable(3);
    /// Audit lines on their way from a commit to the log.
    pub const OUTBOX: RowTable = RowTable(4);
    /// Tables of which most rows are never read by themselves: a token is used now and then, or for
    /// one thing.
    pub const PASSING: &[RowTable] = &[TOKENS, LEASES, OUTBOX];
}

/// The index tables.
pub mod indexes {
    use super::IndexTable;
    /// Named records: scope, kind, parent, HMAC of the name.
    pub const NAMES: IndexTable = IndexTable(0);
    /// Due times: time, what, id.
    pub const DUE: IndexTable = IndexTable(1);
    /// Plain records from before the barrier is open: seals, key ring, cluster.
    pub const META: IndexTable = IndexTable(2);
    /// Relations by number: what, id, id.
    pub const LINKS: IndexTable = IndexTable(3);
    /// Tables that are read as lists.
    pub const PASSING: &[IndexTable] = &[DUE, LINKS];
}

/// A stored type. It is written as a compact array: new fields go to the end, with
/// `#[serde(default)]`.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its number among the kinds of its scope's owner. Kinds of kernel records (in namespaces'
    /// scopes) and of each engine's records (in its mounts' scopes) are numbered apart.
    const KIND: u8;
}

/// Encodes a record.
pub fn encode<T: Serialize>(record: &T) -> strongroom_base::Result<Vec<u8>> {
    rmp_serde::to_vec(record).map_err(strongroom_base::Error::internal)
}

/// Decodes a record.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> strongroom_base::Result<T> {
    rmp_serde::from_slice(bytes).map_err(|e| {
        strongroom_base::Error::internal(format!("a record does not decode: {}", kind(&e)))
    })
}

/// What went wrong in a decode, without the data.
fn kind(e: &rmp_serde::decode::Error) -> &'static str {
    use rmp_serde::decode::Error as E;
    match e {
        E::InvalidMarkerRead(_) | E::InvalidDataRead(_) => "it ends too early",
        E::TypeMismatch(_) => "a field has another type",
        E::LengthMismatch(_) => "it has another number of fields",
        _ => "its form is unknown",
    }
}

/// The storage key of a named record.
pub(crate) fn name_key(scope: Scope, kind: u8, parent: Id, digest: &[u8; 32]) -> Key {
    let mut key = name_prefix(scope, kind, parent);
    key.extend_from_slice(&digest[..16]);
    Key::Index(indexes::NAMES, key)
}

/// The common beginning of the keys of all named records of one kind and parent.
pub(crate) fn name_prefix(scope: Scope, kind: u8, parent: Id) -> IndexKey {
    let mut key: IndexKey = SmallVec::new();
    key.extend_from_slice(&scope.0.to_be_bytes());
    key.push(kind);
    key.extend_from_slice(&parent.to_be_bytes());
    key
}

/// The first key after all that begin with `prefix`.
pub fn prefix_end(prefix: &[u8]) -> IndexKey {
    let mut end: IndexKey = SmallVec::from_slice(prefix);
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end;
        }
        end.pop();
    }
    SmallVec::from_slice(&[0xff; 64])
}

/// The storage key of a row.
pub(crate) fn row_key(table: RowTable, scope: Scope, id: Id) -> Key {
    Key::Row(table, (u64::from(scope.0) << 40) | id)
}

/// Associated data that binds a ciphertext to its storage key.
pub(crate) fn aad(key: &Key) -> SmallVec<[u8; 48]> {
    let mut out = SmallVec::new();
    match key {
        Key::Row(table, id) => {
            out.push(b'r');
            out.push(table.0);
            out.extend_from_slice(&id.to_be_bytes());
        }
        Key::Index(table, bytes) => {
            out.push(b'i');
            out.push(table.0);
            out.extend_from_slice(bytes);
        }
    }
    out
}
