//! SSH's forms of keys, and its certificates (OpenSSH's PROTOCOL.certkeys).
//!
//! * Signing is [`crate::keys`]'; what is here is encoding alone.
//! * Public keys are parsed by `ssh-key`. Private keys in OpenSSH's own file format are read here:
//!   that crate refuses a scalar with leading zeros, which is every fourth one of P-521.
//! * Errors never hold what was submitted.

mod certificate;
mod private;
mod public;
mod told;
mod wire;

pub use certificate::{Certificate, PRINCIPALS_MAX, RsaHash};
pub use private::{read_private, write_private};
pub use public::{Kind, PublicKey};
pub use told::Told;

#[cfg(test)]
mod tests;
