//! Sealing, and new terms of the key ring (API pages "/sys/seal", "/sys/rotate",
//! "/sys/key-status"). Unsealing and the ceremonies of key holders are node operations.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Error, Result, Ttl, fields};
use strongroom_kernel::key_rotation::Rotation;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::Scope;
use strongroom_kernel::seal::RekeyBackup;

use super::System;

/// Adds the operations of this file.
pub fn add_seal(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.command::<Seal>("seal")
        .command::<StepDown>("step-down")
        .query::<ReadKeyStatus>("key-status")
        .command::<Rotate>("rotate")
        .command::<Rotate>("rotate/keyring")
        .query::<ReadRotation>("rotate/config")
        .command::<PutRotation>("rotate/config")
        .query::<ReadRotation>("rotate/keyring/config")
        .command::<PutRotation>("rotate/keyring/config")
        .query::<ReadRekeyBackup>("rekey/backup")
        .command::<DeleteRekeyBackup>("rekey/backup")
        .query::<ReadRekeyBackup>("rekey/recovery-key-backup")
        .command::<DeleteRekeyBackup>("rekey/recovery-key-backup")
        .query::<ReadRekeyBackup>("rotate/root/backup")
        .command::<DeleteRekeyBackup>("rotate/root/backup")
        .query::<ReadRekeyBackup>("rotate/recovery/backup")
        .command::<DeleteRekeyBackup>("rotate/recovery/backup")
}

/// These concern the whole store.
pub(super) fn root_namespace_only(cx: &ReadCx<'_>) -> Result<()> {
    if cx.request.namespace.is_root() {
        Ok(())
    } else {
        Err(Error::bad_request("operation is only allowed in the root namespace"))
    }
}

fields! {
    /// Seals the store: keys leave the memory, and nothing is served until it is unsealed.
    pub struct Seal {}
}

ops! { Seal (), Write, Sudo; }

impl Command<Seal> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: Seal) -> Result<Reply<()>> {
        root_namespace_only(cx)?;
        cx.after_commit(|services| {
            if let Some(node) = services.node.upgrade() {
                node.seal();
            }
        });
        Ok(Reply::none())
    }
}

fields! {
    /// Gives up leadership. A single node has nobody to give it to.
    pub struct StepDown {}
}

ops! { StepDown (), Write, Sudo; }

impl Command<StepDown> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: StepDown) -> Result<Reply<()>> {
        root_namespace_only(cx)?;
        Ok(Reply::none())
    }
}

fields! {
    /// Tells the term of the encryption key and when it was made.
    pub struct ReadKeyStatus {}
}

/// `sys/key-status`.
#[derive(Serialize)]
pub struct KeyStatus {
    term: u32,
    install_time: String,
    encryptions: u64,
}

ops! { ReadKeyStatus KeyStatus, Read; }

impl Query<ReadKeyStatus> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadKeyStatus) -> Result<Reply<KeyStatus>> {
        root_namespace_only(cx)?;
        let barrier = &cx.kernel().store.barrier;
        let (term, created) = barrier.active_term();
        Ok(Reply::data(KeyStatus {
            term,
            install_time: created.to_string(),
            encryptions: barrier.uses(),
        })
        .flat())
    }
}

fields! {
    /// Adds a term to the key ring; new records are encrypted under it.
    pub struct Rotate {}
}

ops! { Rotate (), Write, Sudo; }

impl Command<Rotate> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: Rotate) -> Result<Reply<()>> {
        root_namespace_only(cx)?;
        cx.kernel().rotate().await?;
        Ok(Reply::none())
    }
}

fields! {
    /// Tells when the key ring gets a new term by itself.
    pub struct ReadRotation {}
}

/// `sys/rotate/config`.
#[derive(Serialize)]
pub struct RotationView {
    enabled: bool,
    max_operations: u64,
    interval: String,
}

ops! { ReadRotation RotationView, Read; }

async fn rotation(cx: &ReadCx<'_>) -> Result<Rotation> {
    let set = cx.kernel_tx().read(Scope::ROOT).named::<Rotation>(0, "").await?;
    Ok(set.unwrap_or_default())
}

impl Query<ReadRotation> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadRotation) -> Result<Reply<RotationView>> {
        let Rotation { enabled, max_operations, interval } = rotation(cx).await?;
        let interval = format_go_seconds(interval);
        Ok(Reply::data(RotationView { enabled, max_operations, interval }))
    }
}

fields! {
    /// Sets when the key ring gets a new term by itself.
    pub struct PutRotation {
        /// Does it?
        enabled: Option<bool>,
        /// Uses of a key after which it does.
        max_operations: Option<i64>,
        /// Time after which it does; 0 is never.
        interval: Option<Ttl>,
    }
}

ops! { PutRotation (), Write; }

/// What Vault takes as the number of uses.
const OPERATIONS: std::ops::RangeInclusive<i64> = 1_000_000..=3_865_470_566;
/// The shortest interval, in seconds.
const INTERVAL_MIN: i64 = 24 * 3_600;

impl Command<PutRotation> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRotation) -> Result<Reply<()>> {
        let mut set = rotation(cx).await?;
        set.enabled = op.enabled.unwrap_or(true);
        match op.max_operations {
            Some(uses) if OPERATIONS.contains(&uses) => set.max_operations = uses.unsigned_abs(),
            Some(_) => {
                return Err(Error::bad_request(
                    "max_operations must be in the range [1000000,3865470566]",
                ));
            }
            None => {}
        }
        match op.interval {
            Some(Ttl(seconds)) if seconds == 0 || seconds >= INTERVAL_MIN => set.interval = seconds,
            Some(_) => {
                return Err(Error::bad_request("interval must be greater or equal to 24h0m0s"));
            }
            None => {}
        }
        cx.kernel_tx().write(Scope::ROOT).put_named(0, "", &set)?;
        Ok(Reply::none())
    }
}

fields! {
    /// Reads the encrypted shares that the last rekey kept a copy of.
    pub struct ReadRekeyBackup {}
}

/// `sys/rekey/backup`.
#[derive(Serialize)]
pub struct RekeyBackupView {
    nonce: String,
    keys: BTreeMap<String, Vec<String>>,
    keys_base64: BTreeMap<String, Vec<String>>,
}

ops! { ReadRekeyBackup RekeyBackupView, Read, Sudo; }

impl Query<ReadRekeyBackup> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadRekeyBackup) -> Result<Reply<RekeyBackupView>> {
        let backup = cx.kernel_tx().read(Scope::ROOT).named::<RekeyBackup>(0, "").await?;
        let backup = backup.ok_or_else(|| Error::bad_request("no backed-up keys found"))?;
        let base64 = |share: &String| hex::decode(share).map(|b| STANDARD.encode(b));
        let keys_base64 = backup
            .keys
            .iter()
            .map(|(fingerprint, shares)| {
                let shares = shares.iter().map(base64).collect::<Result<Vec<_>, _>>();
                shares.map(|shares| (fingerprint.clone(), shares))
            })
            .collect::<Result<_, _>>()
            .map_err(Error::internal)?;
        let view = RekeyBackupView { nonce: backup.nonce, keys: backup.keys, keys_base64 };
        Ok(Reply::data(view).flat())
    }
}

fields! {
    /// Deletes the copy of the encrypted shares.
    pub struct DeleteRekeyBackup {}
}

ops! { DeleteRekeyBackup (), Delete, Sudo; }

impl Command<DeleteRekeyBackup> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteRekeyBackup) -> Result<Reply<()>> {
        cx.kernel_tx().write(Scope::ROOT).delete_named::<RekeyBackup>(0, "");
        Ok(Reply::none())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use strongroom_kernel::barrier::USES_BLOCK;
    use strongroom_kernel::reconcile::run_due;
    use strongroom_testkit::TestNode;

    #[tokio::test]
    async fn encryptions_are_counted_over_restarts_and_by_term() {
        let node = TestNode::start(crate::specs()).await;
        run_due(&node.services()).await;
        node.node.seal();
        node.unseal().await;
        assert!(node.services().store.barrier.uses() >= USES_BLOCK);
        assert_eq!(node.root("WRITE", "sys/rotate", Value::Null).await.status, 204);
        let services = node.services();
        assert!(services.store.barrier.uses() < USES_BLOCK, "a new term begins anew");
        assert_eq!(services.store.barrier.active_term().0, 2);
        let status = node.root("READ", "sys/key-status", Value::Null).await;
        assert_eq!(status.data()["term"], 2);
        // What was written under the first term stays readable.
        let policy = node.root("READ", "sys/policies/acl/default", Value::Null).await;
        assert_eq!(policy.status, 200);
    }

    #[tokio::test]
    async fn sealing_is_for_sudo_and_ends_everything() {
        let node = TestNode::start(crate::specs()).await;
        node.root(
            "WRITE",
            "sys/policies/acl/p",
            json!({"policy": "path \"sys/*\" {capabilities=[\"update\"]}"}),
        )
        .await;
        let made = node.root("WRITE", "auth/token/create", json!({"policies": ["p"]})).await;
        let weak = made.token();
        assert_eq!(node.call("WRITE", "sys/seal", &weak, Value::Null).await.status, 403);
        assert_eq!(node.root("WRITE", "sys/seal", Value::Null).await.status, 204);
        let refused = node.root("READ", "sys/mounts", Value::Null).await;
        assert_eq!((refused.status, refused.errors().as_str()), (503, "Vault is sealed"));
    }

    #[tokio::test]
    async fn no_backup_of_shares_without_a_rekey_that_asked_for_one() {
        let node = TestNode::start(crate::specs()).await;
        let none = node.root("READ", "sys/rekey/backup", Value::Null).await;
        assert_eq!((none.status, none.errors().as_str()), (400, "no backed-up keys found"));
        assert_eq!(node.root("DELETE", "sys/rekey/backup", Value::Null).await.status, 204);
        assert_eq!(node.call("READ", "sys/rekey/backup", "", Value::Null).await.status, 403);
    }

    #[tokio::test]
    async fn the_ring_turns_by_the_clock_when_told_so() {
        let node = crate::testing::node().await;
        let (at, term) = ("sys/rotate/config", "sys/key-status");
        let first = json!({ "enabled": true, "max_operations": 1_u64 << 31, "interval": "0s" });
        assert_eq!(node.root("READ", at, Value::Null).await.data(), &first);
        for bad in [json!({ "max_operations": 1 }), json!({ "interval": "1h" })] {
            assert_eq!(node.root("WRITE", at, bad).await.status, 400);
        }
        let set = json!({ "interval": "24h" });
        assert_eq!(node.root("WRITE", "sys/rotate/keyring/config", set).await.status, 204);
        assert_eq!(node.root("READ", at, Value::Null).await.data()["interval"], "24h0m0s");
        for (hours, want) in [(0, 1), (23, 1), (1, 2), (23, 2), (1, 3)] {
            node.clock.advance(hours * 3_600);
            strongroom_kernel::reconcile::run_due(&node.services()).await;
            let got = node.root("READ", term, Value::Null).await;
            assert_eq!(got.data()["term"], want, "{hours}");
        }
        node.root("WRITE", at, json!({ "enabled": false })).await;
        node.clock.advance(48 * 3_600);
        strongroom_kernel::reconcile::run_due(&node.services()).await;
        assert_eq!(node.root("READ", term, Value::Null).await.data()["term"], 3);
    }
}
