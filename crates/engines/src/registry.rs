//! All secrets engines of this binary.

use strongroom_kernel::plug::Spec;

/// The surface of every engine.
pub fn specs() -> Vec<Spec> {
    vec![crate::kv::spec()]
}
