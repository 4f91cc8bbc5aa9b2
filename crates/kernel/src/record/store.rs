//! The open store, which transactions run on.

use std::future::Future;
use std::sync::Arc;

use strongroom_base::{Clock, Error, ErrorKind, Result, Rng, Timestamp};
use strongroom_storage::{Change, IndexKey, Key, Role, Storage, StorageError};

use super::{Derived, DerivedSet, Folders, Tx, indexes};
use crate::barrier::Barrier;

/// How often an operation is run again after a conflict before it is given up.
pub const CONFLICT_RETRIES_MAX: usize = 32;

/// An open store: storage seen through the barrier.
pub struct Store {
    /// Where the bytes lie.
    pub storage: Arc<dyn Storage>,
    /// The term that its commits carry: they are refused once another store came in the place of
    /// the one that was opened.
    pub term: u64,
    /// The keys.
    pub barrier: Arc<Barrier>,
    /// Guarded time: never goes back.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// All derived values, emptied by the change feed.
    pub derived: Arc<DerivedSet>,
    /// Sorted names of folders.
    pub folders: Folders,
    /// Decoded named records, by storage key.
    pub(super) decoded: Arc<Derived<IndexKey, AnyRecord>>,
}

/// A decoded record of some type.
pub(super) type AnyRecord = Arc<dyn std::any::Any + Send + Sync>;

/// Decoded records remembered.
const DECODED_MAX: usize = 50_000;

/// The caller's view of a store that neither reads nor writes now, whatever the reason.
pub fn storage_unavailable(e: StorageError) -> Error {
    Error::unavailable("the storage is not available").because(e)
}

/// The caller's view of a storage failure.
pub fn storage_error(e: StorageError) -> Error {
    match e {
        StorageError::Conflict => {
            Error::new(ErrorKind::Conflict, "the request conflicts with a concurrent one")
        }
        StorageError::Full => Error::unavailable("the storage is full").because(e),
        StorageError::ReadOnly => Error::unavailable("the storage is read-only").because(e),
        StorageError::Poisoned(_) | StorageError::Busy(_) | StorageError::Closed => {
            storage_unavailable(e)
        }
        StorageError::InDoubt(_) => Error::new(
            ErrorKind::InDoubt,
            "the storage failed while the change was being made: whether it was made is not known",
        )
        .because(e),
        StorageError::Deposed => {
            Error::new(ErrorKind::Standby, "this node is no longer active").because(e)
        }
        StorageError::Corrupt(_) | StorageError::Io(_) => Error::internal(e),
    }
}

impl Store {
    /// Opens a store over `storage` with the keys of `barrier`.
    pub fn new(
        storage: Arc<dyn Storage>,
        barrier: Arc<Barrier>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Arc<Self> {
        let derived = Arc::new(DerivedSet::default());
        let folders = Folders::new(&derived);
        let decoded = decoded_records(&derived);
        let feed = Arc::downgrade(&derived);
        storage.listen(Arc::new(move |_, changes| {
            if let Some(derived) = feed.upgrade() {
                derived.invalidate(changes);
            }
        }));
        let term = match storage.role() {
            Role::Active { term } => term,
            Role::Standby => 0,
        };
        Arc::new(Self { storage, term, barrier, clock, rng, derived, folders, decoded })
    }

    /// Guarded time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Begins a transaction.
    pub fn begin(self: &Arc<Self>) -> Tx {
        Tx::begin(self.clone())
    }

    /// Runs `body` in a transaction and commits it; runs it again when another transaction got in
    /// between. For the kernel's own background work; requests go through the pipeline.
    pub async fn transact<T, F, Fut>(self: &Arc<Self>, body: F) -> Result<T>
    where
        F: Fn(Arc<Tx>) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let tx = Arc::new(self.begin());
            let out = body(tx.clone()).await?;
            match tx.commit().await {
                Err(e) if e.kind == ErrorKind::Conflict => {}
                done => return done.map(|_| out),
            }
        }
        Err(Error::unavailable("the request kept conflicting with concurrent ones"))
    }
}

/// Memory of decoded records that listens to `derived`.
fn decoded_records(derived: &DerivedSet) -> Arc<Derived<IndexKey, AnyRecord>> {
    let decoded = Arc::new(Derived::new(DECODED_MAX));
    let weak = Arc::downgrade(&decoded);
    derived.listen(move |change| {
        let Some(decoded): Option<Arc<Derived<IndexKey, AnyRecord>>> = weak.upgrade() else {
            return;
        };
        match change {
            Change::Put(Key::Index(table, key), _) | Change::Delete(Key::Index(table, key))
                if *table == indexes::NAMES =>
            {
                decoded.remove(key);
            }
            Change::DeleteIndexRange { table, .. } if *table == indexes::NAMES => decoded.clear(),
            Change::Everything => decoded.clear(),
            _ => {}
        }
    });
    decoded
}
