//! What Vault's API has built in: `sys/`, and the mounts every namespace is born with (tokens,
//! cubbyhole, identity), as operations like those of any plug-in; and the operations on the node
//! itself, which work without a store.
//!
//! Invariant: this is the one plug-in crate that may ask its context for the kernel's services and
//! its whole transaction; no engine and no auth method does.

#[cfg(test)]
mod bounds_tests;
pub mod cubbyhole;
pub mod identity;
#[cfg(test)]
mod inline_tests;
pub mod node_ops;
#[cfg(test)]
mod surface_tests;
pub mod sys;
#[cfg(test)]
mod testing;
pub mod token;

use strongroom_kernel::plug::Spec;

/// The built-in plug-ins.
pub fn specs() -> Vec<Spec> {
    vec![sys::spec(), token::spec(), cubbyhole::spec(), identity::spec()]
}

/// What an operation that tidies up says when it begins, as Vault's clients know it.
const TIDY_STARTED: &str = "Tidy operation successfully started. Any information from the \
                            operation will be printed to Vault's server logs.";
