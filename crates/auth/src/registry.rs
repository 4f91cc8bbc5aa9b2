//! The auth methods of this binary.

use strongroom_kernel::plug::Spec;

/// All of them.
pub fn specs() -> Vec<Spec> {
    vec![crate::approle::spec(), crate::userpass::spec()]
}
