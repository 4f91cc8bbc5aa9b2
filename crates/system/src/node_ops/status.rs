//! What a node tells anybody of itself: seal status, health, leader.

use std::sync::Arc;

use serde::Serialize;
use strongroom_base::{ErrorKind, Result, fields};
use strongroom_kernel::node::{Life, Node, VAULT_VERSION};
use strongroom_kernel::plug::{NodeCall, NodeOp, Reply, ops};
use strongroom_kernel::seal;

fields! {
    /// Tells whether the store is sealed, and how far unsealing has come.
    pub struct ReadSealStatus {}
}

/// `sys/seal-status`, also the answer of `sys/unseal`.
#[derive(Serialize)]
pub struct SealStatus {
    r#type: &'static str,
    initialized: bool,
    sealed: bool,
    t: usize,
    n: usize,
    progress: usize,
    nonce: String,
    version: &'static str,
    build_date: &'static str,
    migration: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster_id: String,
    recovery_seal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_seal_type: Option<&'static str>,
    storage_type: &'static str,
}

/// The node's seal status.
pub async fn seal_status(node: &Arc<Node>) -> Result<SealStatus> {
    let life = node.life();
    let set = match seal::shares(&node.storage).await {
        // A damaged record is told to whoever gives a share; the rest is true all the same.
        Err(e) if e.kind == ErrorKind::Internal => None,
        // What cannot be read now is not told as another state.
        set => set?,
    };
    let (t, n) = set.map_or((0, 0), |s| (usize::from(s.threshold), usize::from(s.count)));
    let progress = node.ceremonies.lock().unsealing.status(t, n);
    let cluster = match &*life {
        Life::Active(services) => Some(services.cluster.clone()),
        _ => None,
    };
    let (cluster_name, cluster_id) = cluster.map_or_else(Default::default, |c| (c.name, c.id));
    Ok(SealStatus {
        r#type: node.auto_seal.as_ref().map_or("shamir", |s| s.kind()),
        initialized: !matches!(*life, Life::Uninitialised),
        sealed: !matches!(*life, Life::Active(_)),
        t,
        n,
        progress: progress.progress,
        nonce: progress.nonce,
        version: VAULT_VERSION,
        build_date: "",
        migration: false,
        cluster_name,
        cluster_id,
        recovery_seal: node.auto_seal.is_some(),
        recovery_seal_type: node.auto_seal.as_ref().map(|_| "shamir"),
        storage_type: match &node.config.raft {
            Some(_) => "raft",
            None => node.storage.kind(),
        },
    })
}

ops! { ReadSealStatus SealStatus, Read; }

impl NodeOp for ReadSealStatus {
    async fn run(self, node: &Arc<Node>, _: &NodeCall<'_>) -> Result<Reply<SealStatus>> {
        Ok(Reply::data(seal_status(node).await?).bare())
    }
}

fields! {
    /// Tells load balancers and clients by the status code whether the node serves.
    pub struct ReadHealth {
        /// Status instead of 200.
        activecode: Option<i64>,
        /// Status instead of 429.
        standbycode: Option<i64>,
        /// Status instead of 503.
        sealedcode: Option<i64>,
        /// Status instead of 501.
        uninitcode: Option<i64>,
        /// A standby counts as active. Its presence alone sets it.
        standbyok: Option<String>,
        /// A performance standby counts as active.
        perfstandbyok: Option<String>,
        /// Status of a disaster-recovery secondary; accepted and without effect.
        drsecondarycode: Option<i64>,
        /// Status of a performance standby; accepted and without effect.
        performancestandbycode: Option<i64>,
    }
}

/// `sys/health`.
#[derive(Serialize)]
pub struct Health {
    initialized: bool,
    sealed: bool,
    standby: bool,
    performance_standby: bool,
    replication_performance_mode: &'static str,
    replication_dr_mode: &'static str,
    server_time_utc: i64,
    version: &'static str,
    enterprise: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    cluster_id: String,
    /// Audit devices that take no lines now. Requests do not wait for them.
    #[serde(skip_serializing_if = "is_zero")]
    audit_devices_failing: usize,
    echo_duration_ms: i64,
    clock_skew_ms: i64,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

ops! { ReadHealth Health, Read; }

impl NodeOp for ReadHealth {
    async fn run(self, node: &Arc<Node>, _: &NodeCall<'_>) -> Result<Reply<Health>> {
        let life = node.life();
        // A store that cannot write serves nobody: load balancers must see it.
        let storage_fails =
            node.storage.health().is_err() || node.active().is_ok_and(|s| s.is_full());
        let (initialized, sealed, cluster, code, default) = match &*life {
            Life::Uninitialised => (false, true, None, self.uninitcode, 501),
            Life::Sealed => (true, true, None, self.sealedcode, 503),
            Life::Active(_) if storage_fails => (true, false, None, None, 503),
            Life::Active(s) => (true, false, Some(s.cluster.clone()), self.activecode, 200),
        };
        let status = code.and_then(|c| u16::try_from(c).ok()).filter(|c| (100..600).contains(c));
        let (cluster_name, cluster_id) = cluster.map_or_else(Default::default, |c| (c.name, c.id));
        let health = Health {
            initialized,
            sealed,
            standby: sealed,
            performance_standby: false,
            replication_performance_mode: "disabled",
            replication_dr_mode: "disabled",
            server_time_utc: node.clock.now().seconds(),
            version: VAULT_VERSION,
            enterprise: false,
            cluster_name,
            cluster_id,
            audit_devices_failing: match &*life {
                Life::Active(services) => services.audit.sinks.failing(),
                _ => 0,
            },
            echo_duration_ms: 0,
            clock_skew_ms: 0,
        };
        Ok(Reply::data(health).bare().status(status.unwrap_or(default)))
    }
}

fields! {
    /// Tells which node is active.
    pub struct ReadLeader {}
}

/// `sys/leader`.
#[derive(Serialize)]
pub struct Leader {
    ha_enabled: bool,
    is_self: bool,
    active_time: String,
    leader_address: String,
    leader_cluster_address: String,
    performance_standby: bool,
    performance_standby_last_remote_wal: u64,
}

ops! { ReadLeader Leader, Read; }

impl NodeOp for ReadLeader {
    async fn run(self, node: &Arc<Node>, _: &NodeCall<'_>) -> Result<Reply<Leader>> {
        node.active()?;
        Ok(Reply::data(Leader {
            ha_enabled: false,
            is_self: true,
            active_time: "0001-01-01T00:00:00Z".to_owned(),
            leader_address: node.config.api_addr.clone(),
            leader_cluster_address: node.config.cluster_addr.clone(),
            performance_standby: false,
            performance_standby_last_remote_wal: 0,
        })
        .bare())
    }
}
