//! Mounts that were disabled and can still be brought back (`sys/strongroom/deleted-mounts`).
//!
//! A disabled mount keeps its content for a time (seven days, or `mount_undelete`). Until then it
//! can be restored, at its old path or at another, with all it held except the tokens and leases it
//! had given out: those ended when it was disabled.

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::{Error, Result, Timestamp};
use strongroom_kernel::mounts::{Mount, TOP};
use strongroom_kernel::plug::{Class, Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::System;
use super::mounts::{Conflict, PROTECTED, checked, conflict, with_slash};

/// Adds the operations of this file.
pub fn add_deleted_mounts(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ListDeletedMounts>("strongroom/deleted-mounts")
        .query::<ReadDeletedMount>("strongroom/deleted-mounts/{id}")
        .command::<RestoreMount>("strongroom/deleted-mounts/{id}/restore")
        .command::<PurgeMount>("strongroom/deleted-mounts/{id}")
}

strongroom_base::fields! {
    /// Lists mounts that were disabled and can be brought back.
    pub struct ListDeletedMounts {}
}
strongroom_base::fields! {
    /// Reads one mount that was disabled.
    pub struct ReadDeletedMount {
        /// The mount's UUID.
        id: String,
    }
}
strongroom_base::fields! {
    /// Brings a disabled mount back.
    pub struct RestoreMount {
        /// The mount's UUID.
        id: String,
        /// Another path than the one it had, as `sys/mounts` or `sys/auth` would name it.
        path: Option<String>,
    }
}
strongroom_base::fields! {
    /// Gives up a disabled mount at once: its content is removed and cannot be brought back.
    pub struct PurgeMount {
        /// The mount's UUID.
        id: String,
    }
}

/// Disabled mounts.
#[derive(Serialize)]
pub struct DeletedMounts {
    keys: Vec<String>,
    key_info: BTreeMap<String, DeletedMount>,
}

/// A disabled mount.
#[derive(Serialize)]
pub struct DeletedMount {
    accessor: String,
    deleted_time: String,
    description: String,
    options: BTreeMap<String, String>,
    path: String,
    removal_time: String,
    r#type: String,
    uuid: String,
}

/// Where a mount came back.
#[derive(Serialize)]
pub struct Restored {
    path: String,
}

ops! {
    ListDeletedMounts DeletedMounts, List;
    ReadDeletedMount DeletedMount, Read;
    RestoreMount Restored, Write, Sudo;
    PurgeMount (), Delete, Sudo;
}

/// When a mount is removed for good.
fn removal(cx: &ReadCx<'_>, mount: &Mount) -> Timestamp {
    let undelete = cx.kernel().config.mount_undelete;
    mount.deleted.unwrap_or(Timestamp::ZERO).plus_seconds(undelete)
}

impl DeletedMount {
    fn of(cx: &ReadCx<'_>, mount: Mount) -> Self {
        Self {
            removal_time: removal(cx, &mount).to_string(),
            deleted_time: mount.deleted.unwrap_or(Timestamp::ZERO).to_string(),
            accessor: mount.accessor,
            description: mount.description,
            options: mount.options,
            path: mount.path,
            r#type: mount.kind,
            uuid: mount.uuid,
        }
    }
}

/// The disabled mount with this UUID, if it can still be brought back.
async fn recoverable(cx: &ReadCx<'_>, id: &str) -> Result<Option<Mount>> {
    let view = cx.kernel_tx().read(cx.request.namespace.scope);
    let mount = view.named::<Mount>(TOP, id).await?;
    Ok(mount.filter(|m| m.deleted.is_some() && removal(cx, m) > cx.now()))
}

impl Query<ListDeletedMounts> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListDeletedMounts) -> Result<Reply<DeletedMounts>> {
        let view = cx.kernel_tx().read(cx.request.namespace.scope);
        let all = view.all::<Mount>(TOP).await?.into_iter().map(|(_, mount)| mount);
        let found = all.filter(|m| m.deleted.is_some() && removal(cx, m) > cx.now());
        let key_info: BTreeMap<_, _> =
            found.map(|m| (m.uuid.clone(), DeletedMount::of(cx, m))).collect();
        if key_info.is_empty() {
            return Err(Error::not_found());
        }
        Ok(Reply::data(DeletedMounts { keys: key_info.keys().cloned().collect(), key_info }))
    }
}

impl Query<ReadDeletedMount> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadDeletedMount) -> Result<Reply<DeletedMount>> {
        let mount = recoverable(cx, &op.id).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(DeletedMount::of(cx, mount)))
    }
}

impl Command<RestoreMount> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: RestoreMount) -> Result<Reply<Restored>> {
        let mut mount = recoverable(cx, &op.id).await?.ok_or_else(Error::not_found)?;
        let path = match op.path {
            None => mount.path.clone(),
            Some(path) => new_path(&mount, &path)?,
        };
        let tx = cx.kernel_tx();
        let namespace = cx.request.namespace.scope;
        match conflict(tx, namespace, &path).await? {
            None => {}
            Some(Conflict::Mount(other)) => {
                let used = other.path;
                return Err(Error::bad_request(format!("path is already in use at {used}")));
            }
            Some(Conflict::Namespace(name)) => {
                return Err(Error::bad_request(format!("existing mount at {name}")));
            }
        }
        let view = tx.write(namespace);
        view.delete_named::<Mount>(TOP, mount.record_name());
        mount.deleted = None;
        mount.renewed = Some(cx.now());
        mount.path.clone_from(&path);
        view.put_named(TOP, mount.record_name(), &mount)?;
        Ok(Reply::data(Restored { path }))
    }
}

/// The path a caller names for a mount that comes back.
fn new_path(mount: &Mount, path: &str) -> Result<String> {
    let path = with_slash(&checked(path)?);
    if mount.class == Class::Auth {
        let path = path.strip_prefix("auth/").unwrap_or(&path);
        return match path {
            "" | "/" => Err(Error::bad_request("backend path must be specified")),
            path if path.starts_with("token/") => {
                Err(Error::bad_request(format!("cannot mount {path:?}")))
            }
            path => Ok(format!("auth/{path}")),
        };
    }
    if path == "/" || PROTECTED.iter().any(|p| path.starts_with(p)) {
        return Err(Error::bad_request(format!("cannot mount {path:?}")));
    }
    Ok(path)
}

impl Command<PurgeMount> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PurgeMount) -> Result<Reply<()>> {
        if let Some(mut mount) = recoverable(cx, &op.id).await? {
            // Its time is over now: the reconciler takes it, and nothing can bring it back.
            let over = cx.now().plus_seconds(-cx.kernel().config.mount_undelete);
            mount.deleted = Some(over);
            let view = cx.kernel_tx().write(cx.request.namespace.scope);
            view.put_named(TOP, mount.record_name(), &mount)?;
        }
        Ok(Reply::none())
    }
}
