//! What falls due and what belongs to what: plain numbers in index tables, so that expiry and
//! clean-up find their work without reading records.

use strongroom_base::Timestamp;
use strongroom_storage::IndexKey;

use crate::record::{Id, prefix_end};

/// What falls due, in [`crate::record::indexes::DUE`]: by kind first, so that a backlog of one does
/// not stand in the way of the other.
pub mod kinds {
    /// A token expires.
    pub const TOKEN: u8 = 1;
    /// A lease expires, or its revocation is tried again.
    pub const LEASE: u8 = 2;
    /// A subject is to be rotated, or its rotation goes on.
    pub const ROTATION: u8 = 3;
    /// The login ends of who holds a version of a rotated credential. Its value says which.
    pub const HOLDING: u8 = 4;
}

/// Relations, in [`crate::record::indexes::LINKS`].
pub mod links {
    /// parent token → child token.
    pub const CHILD: u8 = 1;
    /// A revoked token whose children live on.
    pub const ORPHANED: u8 = 2;
    /// A revoked token whose children, leases and cubbyhole are still to be removed. Its value is
    /// the token's namespace.
    pub const REVOKED: u8 = 3;
    /// token → lease.
    pub const TOKEN_LEASE: u8 = 4;
    /// lease path → lease.
    pub const PATH_LEASE: u8 = 5;
    /// A lease path whose leases, issued until the time in its value, are to be revoked.
    pub const PATH_REVOKED: u8 = 6;
    /// namespace → lease that could not be revoked.
    pub const IRREVOCABLE: u8 = 7;
    /// 0 → lease whose credential is about to be made.
    pub const INTENT: u8 = 8;
    /// mount → subject whose rotation is under way. Its value says how far it is.
    pub const ROTATING: u8 = 9;
}

/// A link's key.
pub fn link(what: u8, from: Id, to: Id) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = what;
    key[1..9].copy_from_slice(&from.to_be_bytes());
    key[9..].copy_from_slice(&to.to_be_bytes());
    key
}

/// The range of all links of a kind from one id.
pub fn links_from(what: u8, from: Id) -> (IndexKey, IndexKey) {
    let start = IndexKey::from_slice(&link(what, from, 0)[..9]);
    let end = prefix_end(&start);
    (start, end)
}

/// The two ids of a link's key.
pub fn link_ids(key: &[u8]) -> Option<(Id, Id)> {
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_be_bytes);
    Some((number(key.get(1..9)?)?, number(key.get(9..17)?)?))
}

/// A due entry's key.
pub fn due_key(at: Timestamp, what: u8, id: Id) -> [u8; 17] {
    let mut key = [0; 17];
    key[0] = what;
    key[1..9].copy_from_slice(&(at.0.max(0) as u64).to_be_bytes());
    key[9..].copy_from_slice(&id.to_be_bytes());
    key
}

/// The range of what is due at `now`.
pub fn due_until(what: u8, now: Timestamp) -> ([u8; 17], [u8; 17]) {
    (due_key(Timestamp::ZERO, what, 0), due_key(Timestamp(now.0.saturating_add(1)), what, 0))
}

/// Time and id of a due entry's key.
pub fn due_entry(key: &[u8]) -> Option<(Timestamp, Id)> {
    let (at, id) = link_ids(key)?;
    Some((Timestamp(i64::try_from(at).ok()?), id))
}
