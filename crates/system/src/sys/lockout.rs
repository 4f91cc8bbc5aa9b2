//! Locked users: who they are, and unlocking them.

use serde::Serialize;
use strongroom_base::{Result, fields};
use strongroom_kernel::lockout::LockoutRule;
use strongroom_kernel::mounts::MountEntry;
use strongroom_kernel::namespaces::Namespace;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::System;

fields! {
    /// Tells the locked users of this namespace and those below.
    pub struct ReadLockedUsers {
        /// Only those of the mount with this accessor.
        mount_accessor: Option<String>,
    }
}
fields! {
    /// Unlocks a user.
    pub struct UnlockUser {
        /// The mount's accessor.
        mount_accessor: String,
        /// The name by which the mount knows the user.
        alias_identifier: String,
    }
}

/// Locked users of several namespaces, most first.
#[derive(Serialize)]
pub struct LockedUsers {
    /// Per namespace.
    pub by_namespace: Vec<LockedInNamespace>,
    /// All together.
    pub total: usize,
}

/// Locked users of one namespace.
#[derive(Serialize)]
pub struct LockedInNamespace {
    /// Its short id.
    pub namespace_id: String,
    /// Its path.
    pub namespace_path: String,
    /// How many.
    pub counts: usize,
    /// Per mount, most first.
    pub mount_accessors: Vec<LockedInMount>,
}

/// Locked users of one mount.
#[derive(Serialize)]
pub struct LockedInMount {
    /// Its accessor.
    pub mount_accessor: String,
    /// How many.
    pub counts: usize,
    /// Their names.
    pub alias_identifiers: Vec<String>,
}

ops! {
    ReadLockedUsers LockedUsers, Read;
    UnlockUser (), Write;
}

/// Adds the operations of this file.
pub fn add_lockout(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ReadLockedUsers>("locked-users")
        .command::<UnlockUser>("locked-users/{mount_accessor}/unlock/{alias_identifier..}")
}

/// The locked users of a mount; `None` where there are none.
fn in_mount(cx: &ReadCx<'_>, entry: &MountEntry) -> Option<LockedInMount> {
    let services = cx.kernel();
    let rule = LockoutRule::of(&entry.mount, &services.config)?;
    let names = services.lockouts.locked(entry.mount.scope, &rule, cx.now());
    (!names.is_empty()).then(|| LockedInMount {
        mount_accessor: entry.mount.accessor.clone(),
        counts: names.len(),
        alias_identifiers: names,
    })
}

fn in_namespace(namespace: &Namespace, mut mounts: Vec<LockedInMount>) -> LockedInNamespace {
    mounts.sort_by_key(|m| std::cmp::Reverse(m.counts));
    LockedInNamespace {
        namespace_id: namespace.id.clone(),
        namespace_path: namespace.path.clone(),
        counts: mounts.iter().map(|m| m.counts).sum(),
        mount_accessors: mounts,
    }
}

impl Query<ReadLockedUsers> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadLockedUsers) -> Result<Reply<LockedUsers>> {
        let table = cx.kernel().router.table().await?;
        let own = &cx.request.namespace;
        let mut by_namespace = Vec::new();
        if let Some(accessor) = op.mount_accessor.filter(|a| !a.is_empty()) {
            // The accessor of another namespace's mount tells nothing.
            let entry = table.of_accessor(&accessor).filter(|e| e.namespace.scope == own.scope);
            let mounts = entry.and_then(|e| in_mount(cx, e)).into_iter().collect();
            by_namespace.push(in_namespace(own, mounts));
        } else {
            for namespace in table.namespaces.iter().filter(|n| n.is_within(own)) {
                if !table.namespaces.is_live(namespace.scope) {
                    continue;
                }
                let mounts = table.of(namespace.scope).filter_map(|e| in_mount(cx, e)).collect();
                by_namespace.push(in_namespace(namespace, mounts));
            }
            by_namespace.sort_by_key(|n| std::cmp::Reverse(n.counts));
        }
        let total = by_namespace.iter().map(|n| n.counts).sum();
        Ok(Reply::data(LockedUsers { by_namespace, total }))
    }
}

impl Command<UnlockUser> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: UnlockUser) -> Result<Reply<()>> {
        let table = cx.kernel().router.table().await?;
        let own = cx.request.namespace.scope;
        let entry = table.of_accessor(&op.mount_accessor).filter(|e| e.namespace.scope == own);
        if let Some(entry) = entry {
            cx.kernel().lockouts.forget(entry.mount.scope, &op.alias_identifier);
        }
        Ok(Reply::none())
    }
}
