//! Rotation that breaks nobody: credentials that are replaced while others use them.
//!
//! A *subject* is something of a mount with a credential: a static account of a database, say. Its
//! engine knows how to make, try, publish and take back one ([`crate::plug::RotationKind`]); here
//! is when and in which order. A rotation goes through
//!
//! ```text
//! create → set → test → promote → draining → revoke → done
//!             └──────┴── undo (the next credential fails its test, or is called off)
//! ```
//!
//! What `create` chose is in the journal, encrypted like any record, before anything is done
//! outside. Each arrow is one commit with its audit line. What is done outside is done between two
//! commits and may be done twice: whoever crashed does it again.
//!
//! With one account the credential of before ends when the next is set, and `promote` is the end.
//! With two, the one before stays good until all its consumers ([`consumers`]) have read the new
//! one, or ended, or the deadline has come ([`drain`]); then it is taken back, and tried.
//!
//! Invariants:
//! * a subject has one rotation at a time, and one worker at a time, whatever life the node is in;
//! * what was published is the engine's record and the version here, in one transaction;
//! * a consumer that got a version is a holder of it before it has the answer. The transaction of
//!   its read reads the subject's record, which the promotion writes: either the read is ordered
//!   before the promotion, and then its holding (of this read or an earlier one) is committed
//!   before the drain begins and the drain sees it, or it conflicts, is run again and gets the new
//!   version. A holder that comes back for the older version during the drain writes into the
//!   range that the drain's last look reads: one of the two is run again;
//! * a consumer is no holder of the version before from when its answer with the newer one is away: a
//!   server that dies in between finds it at the one before, until it reads again;
//! * nobody's credential is taken back while they live and have not moved on, but by force, by the
//!   end of the drain's time, or with two accounts in one (the engine's choice);
//! * nothing is left outside: a rotation ends only when what it made and did not publish, or
//!   published before, was taken back. Where that is given up, it is said so.
//!
//! Time is the store's: guarded, and written down as points in time. A clock that steps forward
//! brings a deadline nearer by its step, no more.

mod asked;
mod consumers;
mod crew;
mod drain;
mod ended;
mod endings;
mod holdings;
mod machine;
mod plan;
mod requests;
mod status;
mod stored;
mod subjects;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::record::{Id, Store};

pub use consumers::{Acknowledged, FANS_OUT, Left, POD_UID};
pub use crew::Claims;
pub use drain::COUNT_MAX;
pub(crate) use holdings::{Moves, Reads};
pub use plan::{DRAIN_SECONDS_MAX, RotationPlan, Schedule, WINDOW_SECONDS_MIN};
pub use status::{RotationCounts, RotationStatus, Running};
pub use stored::{Cause, Drained, Ending, FansOut, Mark, Narrowed, Outcome, State};

/// All rotations of a store.
pub struct Rotations {
    store: Arc<Store>,
    crew: crew::Crew,
    claims: Claims,
    /// Consumers that have the newer version and are still noted at the one before, by subject. It is
    /// memory only: what is lost with it is noted when they read again.
    moves: Mutex<AHashMap<Id, Vec<Moves>>>,
    counters: Counters,
}

/// How a step ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// There may be another at once.
    More,
    /// Nothing is to be done until something is due, or happens.
    Waits,
}

/// What has happened since the store was opened.
#[derive(Default)]
struct Counters {
    published: AtomicU64,
    rolled_back: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    fn published(&self) {
        self.published.fetch_add(1, Ordering::Relaxed);
    }
    fn rolled_back(&self) {
        self.rolled_back.fetch_add(1, Ordering::Relaxed);
    }
    fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Rotations {
    /// The rotations of `store`, in a process where these subjects are worked on.
    pub fn new(store: Arc<Store>, claims: Claims) -> Self {
        Self {
            store,
            crew: Default::default(),
            claims,
            moves: Default::default(),
            counters: Default::default(),
        }
    }
}
