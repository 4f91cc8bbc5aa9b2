//! Key pairs for the AWS door: who calls it, by which keys, and with which rights.
//!
//! Invariants:
//! * a stranger learns only what AWS tells: that a key is not known, or that a signature is wrong; a key
//!   that is off, one whose role is gone and one that never was read the same;
//! * a key pair belongs to one role, and another role's paths do not reach it (threat CVE-2023-24999);
//! * a secret key is shown once, when it is made, and never again;
//! * temporary keys are not stored: their session token carries what they are, sealed by a key of the
//!   mount. They end with their time, their role, the key or the session that asked for them, the entity of
//!   whoever asked, or a word for the role (`revoke-sessions`), each asked at every use;
//! * a token that another method gives for a web identity is good for nothing but temporary keys.
//!
//! What AWS calls a user and what it calls a role are one thing here: a role with keys. With its own keys
//! it is `arn:aws:iam::ACCOUNT:user/ROLE`, with those of AssumeRole
//! `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
//!
//! There is no lockout: a secret key has 238 bits, and a lock would be a stranger's to close.

mod access;
mod arns;
mod caller;
mod keys;
mod known;
mod roles;
mod sessions;
mod stored;
mod sts;
#[cfg(test)]
mod tests;
mod verify;

use strongroom_kernel::plug::{Class, EngineSpec, Spec};

/// A mount. It holds nothing: all is in records.
pub struct AwsDoor;

/// The surface.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("aws-door", Class::Auth, |_| Ok(AwsDoor)).verifies();
    let spec = roles::add(spec);
    let spec = keys::add(spec);
    let spec = sts::add(spec);
    spec.case_insensitive("role")
        .docs("Clients of AWS's APIs call the AWS door with key pairs that are made here.")
        .build()
}
