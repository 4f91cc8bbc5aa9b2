//! Real servers of other people for tests: each of its own, on the loopback address, with its data in
//! a temporary folder, and gone with the test.

pub mod dns;
pub mod guard;
pub mod http;
pub mod kubernetes;
pub mod mariadb;
pub mod oidc;
pub mod postgresql;
pub mod redis;
pub mod slapd;
pub mod sshd;
