//! Leases.

use strongroom_kernel::plug::EngineSpec;

use super::System;

/// Adds the operations of this file.
pub fn add_leases(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec
}
