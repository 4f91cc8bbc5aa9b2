//! Sealing, and new terms of the key ring (API pages "/sys/seal", "/sys/rotate",
//! "/sys/key-status"). Unsealing and the ceremonies of key holders are node operations.

use serde::Serialize;
use strongroom_base::{Error, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Op, Query, ReadCx, Reply, Rule, Verb, WriteCx};

use super::System;

/// Adds the operations of this file.
pub fn add_seal(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.command::<Seal>("seal")
        .command::<StepDown>("step-down")
        .query::<ReadKeyStatus>("key-status")
        .command::<Rotate>("rotate")
        .command::<Rotate>("rotate/keyring")
        .query::<ReadRotation>("rotate/config")
        .query::<ReadRotation>("rotate/keyring/config")
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

impl Op for Seal {
    type Reply = ();
    const VERB: Verb = Verb::Write;
    const RULE: Rule = Rule::Sudo;
}

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

impl Op for StepDown {
    type Reply = ();
    const VERB: Verb = Verb::Write;
    const RULE: Rule = Rule::Sudo;
}

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

impl Op for ReadKeyStatus {
    type Reply = KeyStatus;
    const VERB: Verb = Verb::Read;
}

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

impl Op for Rotate {
    type Reply = ();
    const VERB: Verb = Verb::Write;
    const RULE: Rule = Rule::Sudo;
}

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
pub struct Rotation {
    enabled: bool,
    max_operations: u64,
    interval: i64,
}

impl Op for ReadRotation {
    type Reply = Rotation;
    const VERB: Verb = Verb::Read;
    const RULE: Rule = Rule::Sudo;
}

impl Query<ReadRotation> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadRotation) -> Result<Reply<Rotation>> {
        root_namespace_only(cx)?;
        Ok(Reply::data(Rotation {
            enabled: true,
            max_operations: strongroom_kernel::barrier::TERM_USES_MAX,
            interval: 0,
        })
        .flat())
    }
}
