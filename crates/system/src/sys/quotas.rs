//! Quotas.

use strongroom_kernel::plug::EngineSpec;

use super::System;

/// Adds the operations of this file.
pub fn add_quotas(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec
}
