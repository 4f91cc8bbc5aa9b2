//! Auth methods: how callers show who they are. Each folder is one method; [`registry`] lists
//! them.
//!
//! Invariants:
//! * a method verifies and answers a grant; the kernel alone makes tokens;
//! * no method imports another: what they share lies beside them ([`token_params`], [`roles`],
//!   [`jwts`], [`access_tokens`], [`google`], [`pod`], [`endpoints`], [`kept`], [`login_metadata`], [`turns`]).

pub mod access_tokens;
pub mod approle;
pub mod aws;
pub mod aws_door;
pub mod azure;
pub mod cert;
pub mod endpoints;
pub mod gcp;
pub mod github;
pub mod google;
pub mod jwt;
pub mod jwts;
pub mod kept;
pub mod kubernetes;
pub mod ldap;
pub mod login_metadata;
pub mod pod;
pub mod registry;
pub mod roles;
pub mod token_params;
pub mod turns;
pub mod userpass;

pub use registry::{Outside, plugins};
