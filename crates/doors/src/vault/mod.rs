//! Vault's HTTP API (docs: "HTTP API", "Response wrapping", "Namespaces").
//!
//! Invariants: a request is refused here only for what no policy could allow (a malformed path,
//! verb or header); the path that is passed on is the path that policy judges.

mod inline;
mod reply;
mod request;

pub use reply::{IN_DOUBT_HEADER, failure, render};
pub use request::{Head, parse_head};
