//! AWS KMS over the same keys: each symmetric key that is used without a context is a KMS key, whichever
//! door made it (design §7). These operations are for AWS's protocol alone; its door gives them plain
//! fields and makes AWS's answers.
//!
//! * [`stored`] is what only KMS knows of a key, [`find`] how a request names one and what it needs;
//! * [`blob`] and [`context`] are the form of ciphertexts (docs/formats/kms.md), [`crypt`] uses them;
//! * [`keys`], [`aliases`], [`deletion`], [`rotation`], [`policies`] and [`tags`] are about keys.
//!
//! Invariants:
//! * a caller needs here what the same thing needs at Vault's door, on the path of the key that is meant
//!   in the end, whatever a request calls it; and before that is known to be allowed, nothing is told of
//!   what there is: not of a key's state, and not whether there is such a key;
//! * one key has one state: out of use at one door is out of use at all;
//! * a blob opens with the key, the version and the context it was made with, and with nothing else.

mod aliases;
mod blob;
mod context;
mod crypt;
mod deletion;
mod find;
mod keys;
mod pages;
mod policies;
mod rotation;
pub(super) mod stored;
mod tags;
#[cfg(test)]
mod tests;

use strongroom_base::{Json, Timestamp};
use strongroom_kernel::plug::EngineSpec;

use super::Transit;

pub use super::limits::CONTEXT_BYTES_MAX;
pub use blob::key_of;
pub(super) use deletion::delete_due;
pub(super) use stored::identify_all;

/// The operations of KMS.
pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    let spec = keys::add(spec);
    let spec = aliases::add(spec);
    let spec = crypt::add(spec);
    let spec = deletion::add(spec);
    let spec = rotation::add(spec);
    let spec = policies::add(spec);
    tags::add(spec)
}

/// A time as AWS's JSON has it: seconds since 1970, with milliseconds.
fn time(time: Timestamp) -> Json {
    Json::from((time.0 / 1_000_000) as f64 / 1_000.0)
}
