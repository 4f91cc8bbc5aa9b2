//! Removing what is of no use any more: certificates long expired, their revocations, expired
//! issuers. A run is a record, and goes on piece by piece beside all other work.

mod operations;
mod run;
mod settings;

use strongroom_base::Result;
use strongroom_kernel::plug::{EngineSpec, Reconcile, WriteCx};

use super::{PkiEngine, acme, crl};

pub(super) fn add(spec: EngineSpec<PkiEngine>) -> EngineSpec<PkiEngine> {
    operations::add(spec)
}

impl Reconcile for PkiEngine {
    async fn reconcile(&self, cx: &mut WriteCx<'_>) -> Result<bool> {
        self.validate(cx).await?;
        crl::keep(cx).await?;
        let expires = acme::expiry::go_on(cx).await?;
        Ok(run::go_on(self, cx).await? || expires)
    }
}
