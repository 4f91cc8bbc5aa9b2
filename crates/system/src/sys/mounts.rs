//! Mounts of secrets engines (`sys/mounts`) and of auth methods (`sys/auth`): the same operations
//! under two names, the second with paths relative to `auth/`.
//!
//! Invariants:
//! * no mount's path begins another's, nor a namespace's; the check and the write are one
//!   transaction;
//! * disabling writes a tombstone that every look-up sees at once; the content stays until the
//!   mount can no longer be brought back (`sys/strongroom/deleted-mounts`).

use std::collections::BTreeMap;

use strongroom_base::{Error, JsonMap, RequestPath, Result};
use strongroom_kernel::mounts::{self, Mount, TOP};
use strongroom_kernel::namespaces::Namespace;
use strongroom_kernel::plug::{Class, Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::{Scope, Tx};

use super::System;
use super::mount_settings::{ConfigFields, MountView, TuneView, read_object};
use super::mount_tune::{Tune, read_tune, tune};

/// Adds the operations of this file.
pub fn add_mounts(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ListMounts>("mounts")
        .query::<ReadMount>("mounts/{path..}")
        .command::<EnableMount>("mounts/{path..}")
        .command::<DisableMount>("mounts/{path..}")
        .query::<ReadMountTune>("mounts/{path..}/tune")
        .command::<TuneMount>("mounts/{path..}/tune")
        .query::<ListAuth>("auth")
        .query::<ReadAuth>("auth/{path..}")
        .command::<EnableAuth>("auth/{path..}")
        .command::<DisableAuth>("auth/{path..}")
        .query::<ReadAuthTune>("auth/{path..}/tune")
        .command::<TuneAuth>("auth/{path..}/tune")
}

/// Where auth methods stand.
const AUTH: &str = "auth/";
/// No engine is mounted at or below these, and none of what stands there is moved or disabled.
pub(super) const PROTECTED: [&str; 5] = ["audit/", "auth/", "sys/", "cubbyhole/", "identity/"];
strongroom_base::fields! {
    /// Lists the secrets engines that are enabled.
    pub struct ListMounts {}
}
strongroom_base::fields! {
    /// Lists the auth methods that are enabled.
    pub struct ListAuth {}
}

/// Defines operations on one mount for `sys/mounts` and for `sys/auth`.
macro_rules! on_mount {
    ($verb:ident, $reply:ty; $mount:ident $mount_help:literal, $auth:ident $auth_help:literal) => {
        on_mount!(@one $verb, $reply, Token, $mount, $mount_help);
        on_mount!(@one $verb, $reply, Sudo, $auth, $auth_help);
    };
    (@one $verb:ident, $reply:ty, $rule:ident, $name:ident, $help:literal) => {
        strongroom_base::fields! {
            #[doc = $help]
            pub struct $name {
                /// The mount's path.
                path: String,
            }
        }
        ops! { $name $reply, $verb, $rule; }
    };
}

on_mount!(Read, MountView;
    ReadMount " Reads one secrets engine's mount.", ReadAuth " Reads one auth method's mount.");
on_mount!(Delete, ();
    DisableMount " Disables a secrets engine. It can be brought back for seven days.",
    DisableAuth " Disables an auth method. It can be brought back for seven days.");
on_mount!(Read, TuneView;
    ReadMountTune " Reads a secrets engine's settings.",
    ReadAuthTune " Reads an auth method's settings.");

strongroom_base::fields! {
    /// A mount as asked for.
    pub struct NewMount {
        /// The plug-in's type.
        r#type: Option<String>,
        /// What it is for, to people.
        description: Option<String>,
        /// Settings: TTLs, visibility, headers, audit.
        config: Option<JsonMap>,
        /// Options of the type, for instance `version` of `kv`.
        options: BTreeMap<String, String>,
        /// Is it for this cluster alone?
        local: Option<bool>,
        /// Asks for another encryption around its records. Kept and shown.
        seal_wrap: Option<bool>,
        /// Lets it use an external source of entropy. Kept and shown.
        external_entropy_access: Option<bool>,
        /// The plug-in's name, where the type is `plugin`.
        plugin_name: Option<String>,
        /// The plug-in's version.
        plugin_version: Option<String>,
    }
}
strongroom_base::fields! {
    /// Enables a secrets engine.
    pub struct EnableMount {
        ..new: NewMount;
        /// Where to mount it.
        path: String,
    }
}
strongroom_base::fields! {
    /// Enables an auth method.
    pub struct EnableAuth {
        ..new: NewMount;
        /// Where to mount it.
        path: String,
    }
}
strongroom_base::fields! {
    /// Changes a secrets engine's settings.
    pub struct TuneMount {
        ..tune: Tune;
        /// The mount's path.
        path: String,
    }
}
strongroom_base::fields! {
    /// Changes an auth method's settings.
    pub struct TuneAuth {
        ..tune: Tune;
        /// The mount's path.
        path: String,
    }
}

ops! {
    ListMounts BTreeMap<String, MountView>, Read;
    ListAuth BTreeMap<String, MountView>, Read;
    EnableMount (), Write;
    EnableAuth (), Write, Sudo;
    TuneMount (), Write;
    TuneAuth (), Write, Sudo;
}

impl Query<ListMounts> for System {
    async fn query(
        &self,
        cx: &ReadCx<'_>,
        _: ListMounts,
    ) -> Result<Reply<BTreeMap<String, MountView>>> {
        list(cx, |class| class != Class::Auth).await
    }
}
impl Query<ListAuth> for System {
    async fn query(
        &self,
        cx: &ReadCx<'_>,
        _: ListAuth,
    ) -> Result<Reply<BTreeMap<String, MountView>>> {
        list(cx, |class| class == Class::Auth).await
    }
}
impl Query<ReadMount> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadMount) -> Result<Reply<MountView>> {
        let path = with_slash(&op.path);
        let mount = standing(cx, &path)
            .await?
            .ok_or_else(|| Error::bad_request(format!("No secret engine mount at {path}")))?;
        Ok(Reply::data(MountView::of(&mount)).flat())
    }
}
impl Query<ReadAuth> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadAuth) -> Result<Reply<MountView>> {
        let path = with_slash(&op.path);
        let mount = standing(cx, &format!("{AUTH}{path}")).await?;
        let mount = mount.ok_or_else(|| Error::bad_request(format!("No auth engine at {path}")))?;
        Ok(Reply::data(MountView::of(&mount)).flat())
    }
}
impl Query<ReadMountTune> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadMountTune) -> Result<Reply<TuneView>> {
        read_tune(cx, &with_slash(&op.path)).await
    }
}
impl Query<ReadAuthTune> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadAuthTune) -> Result<Reply<TuneView>> {
        read_tune(cx, &format!("{AUTH}{}", with_slash(&op.path))).await
    }
}
impl Command<EnableMount> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: EnableMount) -> Result<Reply<()>> {
        enable(cx, Class::Secret, &op.path, op.new).await
    }
}
impl Command<EnableAuth> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: EnableAuth) -> Result<Reply<()>> {
        enable(cx, Class::Auth, &op.path, op.new).await
    }
}
impl Command<DisableMount> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DisableMount) -> Result<Reply<()>> {
        let path = with_slash(&op.path);
        if PROTECTED.iter().any(|p| path.starts_with(p)) {
            return Err(Error::bad_request(format!("cannot unmount {path:?}")));
        }
        disable(cx, &path).await
    }
}
impl Command<DisableAuth> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DisableAuth) -> Result<Reply<()>> {
        let path = with_slash(&op.path);
        if path == "token/" {
            return Err(Error::bad_request("token credential backend cannot be disabled"));
        }
        disable(cx, &format!("{AUTH}{path}")).await
    }
}
impl Command<TuneMount> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: TuneMount) -> Result<Reply<()>> {
        let path = with_slash(&op.path);
        tune(cx, &path, op.tune).await
    }
}
impl Command<TuneAuth> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: TuneAuth) -> Result<Reply<()>> {
        let path = format!("{AUTH}{}", with_slash(&op.path));
        tune(cx, &path, op.tune).await
    }
}

/// A mount's path in one spelling.
pub(super) fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

/// How lists name a mount: auth methods without `auth/`.
pub(super) fn shown_path(mount: &Mount) -> &str {
    match mount.class {
        Class::Auth => mount.path.strip_prefix(AUTH).unwrap_or(&mount.path),
        _ => &mount.path,
    }
}

async fn list(
    cx: &ReadCx<'_>,
    of: impl Fn(Class) -> bool,
) -> Result<Reply<BTreeMap<String, MountView>>> {
    let table = cx.kernel().router.table().await?;
    let mounts = table.of(cx.request.namespace.scope).filter(|e| of(e.mount.class));
    let views = mounts.map(|e| (shown_path(&e.mount).to_owned(), MountView::of(&e.mount)));
    Ok(Reply::data(views.collect()).flat())
}

/// The mount that serves `path`, as this transaction sees it.
pub(super) async fn standing(cx: &ReadCx<'_>, path: &str) -> Result<Option<Mount>> {
    cx.kernel_tx().read(cx.request.namespace.scope).named::<Mount>(TOP, path).await
}

/// What stands in the way of a mount at `path`: another mount, or a namespace's name.
pub(super) enum Conflict {
    /// A mount that would hide it, or that it would hide.
    Mount(Mount),
    /// A namespace whose name begins the path.
    Namespace(String),
}

/// Looks for what stands in the way of a mount at `path`. What it reads is part of the
/// transaction: of two that would conflict only one commits.
pub(super) async fn conflict(tx: &Tx, namespace: Scope, path: &str) -> Result<Option<Conflict>> {
    let view = tx.read(namespace);
    for (_, mount) in view.all::<Mount>(TOP).await? {
        let hides = mount.path.starts_with(path) || path.starts_with(&mount.path);
        if mount.deleted.is_none() && hides {
            return Ok(Some(Conflict::Mount(mount)));
        }
    }
    for (name, _) in view.all::<Namespace>(TOP).await? {
        let name = format!("{name}/");
        if path.starts_with(&name) {
            return Ok(Some(Conflict::Namespace(name)));
        }
    }
    Ok(None)
}

/// A path from a body, checked as paths of requests are.
pub(super) fn checked(path: &str) -> Result<String> {
    let parsed = RequestPath::parse(path).map_err(|e| Error::bad_request(e.to_string()))?;
    Ok(parsed.as_str().to_owned())
}

async fn enable(
    cx: &mut WriteCx<'_>,
    class: Class,
    path: &str,
    mut new: NewMount,
) -> Result<Reply<()>> {
    let path = with_slash(path);
    let full = if class == Class::Auth { format!("{AUTH}{path}") } else { path.clone() };
    if class == Class::Secret && PROTECTED.iter().any(|p| full.starts_with(p)) {
        return Err(Error::bad_request(format!("cannot mount {full:?}")));
    }
    let config: ConfigFields = read_object(new.config.take().unwrap_or_default())?;
    let kind = kind_of(cx, class, &mut new, config.plugin_name.as_deref())?;

    let tx = cx.kernel_tx();
    let namespace = &cx.request.namespace;
    match conflict(tx, namespace.scope, &full).await? {
        None => {}
        Some(Conflict::Mount(mount)) => {
            let used = if class == Class::Auth { shown_path(&mount) } else { &mount.path };
            return Err(Error::bad_request(format!("path is already in use at {used}")));
        }
        Some(Conflict::Namespace(name)) => {
            return Err(Error::bad_request(format!("existing mount at {name}")));
        }
    }
    let description = new.description.unwrap_or_default();
    let mut mount = mounts::new_record(tx, &kind, &full, class, &description, cx.now());
    mount.options = new.options;
    mount.local = new.local.unwrap_or(false);
    mount.seal_wrap = new.seal_wrap.unwrap_or(false);
    mount.external_entropy_access = new.external_entropy_access.unwrap_or(false);
    mount.config.force_no_cache = config.force_no_cache.unwrap_or(false);
    config.settings.apply(&mut mount)?;
    check_ttls(cx, &mount)?;
    // The engine refuses options that it cannot take.
    if let Some(spec) = cx.kernel().router.registry().get(class, &kind) {
        spec.open(&mount)?;
    }
    mounts::create(tx, namespace.scope, mount).await?;
    Ok(Reply::none())
}

/// The plug-in's type of a new mount: aliases resolved, known to this binary.
fn kind_of(
    cx: &ReadCx<'_>,
    class: Class,
    new: &mut NewMount,
    plugin_name: Option<&str>,
) -> Result<String> {
    let kind = match new.r#type.as_deref().unwrap_or_default() {
        "" => return Err(Error::bad_request("backend type must be specified as a string")),
        "plugin" => match plugin_name.or(new.plugin_name.as_deref()).unwrap_or_default() {
            "" => {
                return Err(Error::bad_request("plugin_name must be provided for plugin backend"));
            }
            name => name,
        },
        kind => kind,
    };
    let versioned = new.options.get("version").is_some_and(|v| !v.is_empty());
    let kind = match (class, kind) {
        (Class::Secret, "kv-v1" | "kv-v2") => {
            let version = if kind == "kv-v1" { "1" } else { "2" };
            new.options.insert("version".to_owned(), version.to_owned());
            "kv"
        }
        (Class::Secret, "kv" | "generic") => "kv",
        (Class::Secret, "system" | "cubbyhole" | "identity" | "token") => {
            return Err(Error::bad_request(format!("mount type of {kind:?} is not mountable")));
        }
        (Class::Auth, "token") => {
            return Err(Error::bad_request("token credential backend cannot be instantiated"));
        }
        (Class::Secret, _) if versioned => {
            return Err(Error::bad_request(format!(
                "secrets engine {kind:?} does not allow setting a version"
            )));
        }
        (Class::Auth, _) if versioned => {
            return Err(Error::bad_request(format!(
                "auth method {kind:?} does not allow setting a version"
            )));
        }
        (_, kind) => kind,
    };
    if cx.kernel().router.registry().get(class, kind).is_none() {
        return Err(Error::bad_request(format!("plugin not found in the catalog: {kind}")));
    }
    Ok(kind.to_owned())
}

/// The rules between a new mount's TTLs and the server's.
fn check_ttls(cx: &ReadCx<'_>, mount: &Mount) -> Result<()> {
    let (default, max) = (mount.config.default_lease_ttl, mount.config.max_lease_ttl);
    if max != 0 && default > max {
        return Err(Error::bad_request("given default lease TTL greater than given max lease TTL"));
    }
    let system = cx.kernel().config.max_lease_ttl;
    if max == 0 && default > system {
        return Err(Error::bad_request(format!(
            "given default lease TTL greater than system max lease TTL of {system}"
        )));
    }
    Ok(())
}

/// Disables the mount at exactly `path`. What is not there is answered alike, so that nobody
/// learns of it.
async fn disable(cx: &mut WriteCx<'_>, path: &str) -> Result<Reply<()>> {
    let view = cx.kernel_tx().write(cx.request.namespace.scope);
    if let Some(mut mount) = view.named::<Mount>(TOP, path).await? {
        view.delete_named::<Mount>(TOP, path);
        mount.deleted = Some(cx.now());
        view.put_named(TOP, mount.record_name(), &mount)?;
    }
    Ok(Reply::none())
}
