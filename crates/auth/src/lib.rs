//! Auth methods: how callers show who they are. Each folder is one method; [`registry`] lists
//! them.
//!
//! Invariants:
//! * a method verifies and answers a grant; the kernel alone makes tokens;
//! * no method imports another: what they share lies beside them ([`token_params`], [`jwts`]).

pub mod approle;
pub mod cert;
pub mod jwt;
pub mod jwts;
pub mod kubernetes;
pub mod registry;
pub mod token_params;
pub mod userpass;

pub use registry::{Outside, specs};
