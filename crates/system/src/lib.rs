//! What Vault's API has built in: `sys/`, and the mounts every namespace is born with (tokens,
//! cubbyhole, identity), as operations like those of any plug-in; and the operations on the node
//! itself, which work without a store.
//!
//! Invariant: this is the one plug-in crate that may ask its context for the kernel's services and
//! its whole transaction; no engine and no auth method does.

pub mod identity;
pub mod node_ops;
pub mod sys;

use strongroom_kernel::plug::Spec;

/// The built-in plug-ins.
pub fn specs() -> Vec<Spec> {
    vec![sys::spec(), identity::spec()]
}
