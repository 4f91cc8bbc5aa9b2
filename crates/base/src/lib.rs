//! What every other crate of the workspace shares and that asks the machine for nothing: secret
//! wrappers, the clock and randomness traits, ids, durations, request paths, limits, and the one
//! coercion table by which wire fields are read.
//!
//! Invariant: nothing in this crate does I/O.

pub mod clock;
pub mod cron;
pub mod duration;
pub mod error;
pub mod fields;
pub mod glob;
pub mod hcl;
pub mod json;
pub mod limits;
pub mod path;
pub mod percent;
pub mod recurrence;
pub mod secret;
pub mod time;

pub use clock::{Clock, Rng};
pub use cron::Cron;
pub use duration::{Ttl, parse_duration};
pub use error::{Error, ErrorKind, Foreign, Result};
pub use fields::{
    Field, FieldError, FieldKind, FieldSource, FieldSpec, RawBody, RawFields, Rest, capture,
};
pub use glob::glob;
pub use json::{Json, JsonMap};
pub use path::RequestPath;
pub use recurrence::Recurrence;
pub use secret::{Secret, SecretBytes, SecretString};
pub use time::Timestamp;
