//! Work without a request: what is due, deleted or left over by a crash. Each piece is idempotent,
//! takes no input, does a bounded amount at a time, and runs on the active node only.

use std::sync::Arc;

use crate::node::Services;

/// Tokens or leases of one round: what is more waits for the next.
const ITEMS: usize = 4_096;

/// Does what is due now. Called each second by the server, and by the simulator when it likes.
pub async fn run_due(services: &Arc<Services>) {
    let now = services.store.now();
    if let Err(e) = services.audit.tick(now).await {
        tracing::error!(error = %e, "the audit log");
    }
    match services.tokens.reconcile(services, now, ITEMS).await {
        Ok(_) => {}
        Err(e) => tracing::warn!(error = %e, "tokens could not be cleaned up yet"),
    }
    match services.leases.reconcile(services, now, ITEMS).await {
        Ok(_) => {}
        Err(e) => tracing::warn!(error = %e, "leases could not be revoked yet"),
    }
    if services.store.barrier.uses() > crate::barrier::TERM_USES_MAX
        && let Err(e) = services.rotate().await
    {
        tracing::error!(error = %e, "the key ring could not be given a new term");
    }
}
