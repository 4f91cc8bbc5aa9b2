//! Roles that are programs (OpenBao, `auth/jwt/cel/role`, `cel/login`): an expression in the Common
//! Expression Language reads a token's claims, and says what the caller gets, or that it gets nothing.
//!
//! Invariants:
//! * the signature, the times and the audiences of a token are checked before a program sees it;
//! * a program is bounded: its size and depth when it is written, what it does and copies when it runs;
//!   one that meets a bound lets nobody in, whatever it answers ([`meter`]);
//! * only functions that are known to be bounded can be called ([`program`]);
//! * no error holds a value: not of a claim, nor of anything made of one. What a program answers as its
//!   own text is told, as the peer does.

mod functions;
mod login;
mod meter;
mod outcome;
mod program;
mod roles;
mod values;

use strongroom_kernel::plug::EngineSpec;

use super::Jwt;

pub(super) use login::renew;
pub(super) use program::{Program, Source};

/// What `role_type` is called within tokens of these roles.
pub(super) const KIND: &str = "cel";

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    roles::add(login::add(spec))
}
