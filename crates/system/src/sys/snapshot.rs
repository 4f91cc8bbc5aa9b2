//! Backups of the whole store (API page "/sys/storage/raft"): taken while the server goes on, and
//! put in the store's place. They are there for every store that lies in files.

use strongroom_base::{Error, Result, fields};
use strongroom_kernel::plug::{Beyond, Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::System;

/// Adds the operations of this file.
pub fn add_snapshot(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<TakeSnapshot>("storage/raft/snapshot")
        .command::<RestoreSnapshot>("storage/raft/snapshot")
        .command::<ForceSnapshot>("storage/raft/snapshot-force")
}

fields! {
    /// Gives a copy of the store as it is now, as a gzipped tar archive.
    pub struct TakeSnapshot {}
}
fields! {
    /// Puts a snapshot, which is the body, in the place of the store. It must have been made under
    /// the keys in use.
    pub struct RestoreSnapshot {}
}
fields! {
    /// Puts a snapshot in the place of the store that may have been made under other keys: with
    /// those the store is unsealed afterwards.
    pub struct ForceSnapshot {}
}

ops! { TakeSnapshot (), Read; }
// Whoever may put another store in place of this one may do everything.
ops! {
    RestoreSnapshot (), Write, Sudo;
    ForceSnapshot (), Write, Sudo;
}

impl Query<TakeSnapshot> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: TakeSnapshot) -> Result<Reply<()>> {
        Ok(Reply::none().beyond(Beyond::Stream(cx.kernel().take_snapshot().await?)))
    }
}

impl Command<RestoreSnapshot> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: RestoreSnapshot) -> Result<Reply<()>> {
        restore(cx, false).await
    }
}

impl Command<ForceSnapshot> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, _: ForceSnapshot) -> Result<Reply<()>> {
        restore(cx, true).await
    }
}

async fn restore(cx: &WriteCx<'_>, force: bool) -> Result<Reply<()>> {
    let upload = cx.request.upload.as_ref().and_then(|upload| upload.lock().take());
    let upload = upload.ok_or_else(|| Error::bad_request("the body must be a snapshot"))?;
    let checked = cx.kernel().check_snapshot(upload, force).await?;
    let restore = Beyond::then(|node| async move { node.restore(checked).await });
    Ok(Reply::none().beyond(restore))
}
