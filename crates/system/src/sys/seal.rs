//! Seal, unseal, rotation and the ceremonies of key holders.

use strongroom_kernel::plug::EngineSpec;

use super::System;

/// Adds the operations of this file.
pub fn add_seal(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec
}
