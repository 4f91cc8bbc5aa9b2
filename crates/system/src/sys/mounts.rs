//! Mounts of secrets engines and auth methods.

use strongroom_kernel::plug::EngineSpec;

use super::System;

/// Adds the operations of this file.
pub fn add_mounts(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec
}
