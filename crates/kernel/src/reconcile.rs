//! Work without a request: what is due, deleted or left over by a crash. Each piece is idempotent,
//! takes no input, does a bounded amount at a time, and runs on the active node only.

use std::sync::Arc;

use crate::node::Services;

/// Does what is due now. Called each second by the server, and by the simulator when it likes.
pub async fn run_due(services: &Arc<Services>) {
    let now = services.store.now();
    if let Err(e) = services.audit.tick(now).await {
        tracing::error!(error = %e, "the audit log");
    }
    if services.store.barrier.uses() > crate::barrier::TERM_USES_MAX
        && let Err(e) = services.rotate().await
    {
        tracing::error!(error = %e, "the key ring could not be given a new term");
    }
}
