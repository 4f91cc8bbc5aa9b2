//! What clients ask before they ask (API pages "/sys/internal/ui/…", "/sys/internal/specs/openapi"):
//! which mounts there are for them, of which type and version.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use strongroom_base::{Error, ErrorKind, Json, Result, fields};
use strongroom_kernel::describe;
use strongroom_kernel::plug::{Class, EngineSpec, Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::{Acl, ResultantAcl};

use super::mount_settings::MountView;
use super::mounts::shown_path;
use super::{System, callers};

/// Adds the operations of this file.
pub fn add_ui(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<UiMounts>("internal/ui/mounts")
        .query::<UiMount>("internal/ui/mounts/{path..}")
        .query::<UiNamespaces>("internal/ui/namespaces")
        .query::<ReadResultantAcl>("internal/ui/resultant-acl")
        .query::<OpenApi>("internal/specs/openapi")
}

/// A caller's rights, with the prefix of this namespace's paths.
struct Sight {
    acl: Arc<Acl>,
    prefix: String,
}

impl Sight {
    fn sees(&self, path: &str) -> bool {
        self.acl.has_access_to_mount(&format!("{}{path}", self.prefix))
    }
}

/// The rights of whoever sent a token along: `None` without one, 403 with a bad one. Open paths do
/// not look at tokens, so it is checked here.
async fn sight(cx: &ReadCx<'_>) -> Result<Option<Sight>> {
    let Some(caller) = callers::of_open_request(cx).await? else { return Ok(None) };
    let acl = callers::rights(cx, &caller).await?;
    let prefix = callers::policy_path(cx, &caller.token, "").await?;
    Ok(prefix.map(|prefix| Sight { acl, prefix }))
}

fields! {
    /// Lists the mounts that the caller may know of; without a token, those that show themselves.
    pub struct UiMounts {}
}

/// `sys/internal/ui/mounts`.
#[derive(Serialize)]
pub struct UiMountsView {
    auth: BTreeMap<String, Json>,
    secret: BTreeMap<String, Json>,
}

ops! { UiMounts UiMountsView, Read, Open; }

impl Query<UiMounts> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: UiMounts) -> Result<Reply<UiMountsView>> {
        let table = cx.kernel().router.table().await?;
        let sight = sight(cx).await?;
        let mut view = UiMountsView { auth: BTreeMap::new(), secret: BTreeMap::new() };
        for entry in table.of(cx.request.namespace.scope) {
            let mount = &entry.mount;
            let open = mount.config.listing_visibility == "unauth";
            if !open && !sight.as_ref().is_some_and(|s| s.sees(&mount.path)) {
                continue;
            }
            let shown = match &sight {
                Some(_) => to_json(&MountView::of(mount))?,
                // A stranger learns what is needed to log in.
                None => serde_json::json!({
                    "type": mount.kind,
                    "description": mount.description,
                    "options": mount.options,
                }),
            };
            match mount.path.strip_prefix("auth/") {
                Some(path) => view.auth.insert(path.to_owned(), shown),
                None => view.secret.insert(mount.path.clone(), shown),
            };
        }
        Ok(Reply::data(view))
    }
}

fn to_json<T: Serialize>(value: &T) -> Result<Json> {
    serde_json::to_value(value).map_err(|_| Error::internal("a view does not serialise"))
}

fields! {
    /// Tells which mount serves a path, for callers that may use something of it.
    pub struct UiMount {
        /// The path.
        path: String,
    }
}

ops! { UiMount MountView, Read, Open; }

impl Query<UiMount> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: UiMount) -> Result<Reply<MountView>> {
        let path = op.path;
        // An unknown mount and one that is not for the caller read the same.
        let refused = || {
            Error::new(
                ErrorKind::PermissionDenied,
                format!(
                    "preflight capability check returned 403, please ensure client's policies \
                     grant access to path {:?}",
                    format!("{}/", path.trim_end_matches('/'))
                ),
            )
        };
        let table = cx.kernel().router.table().await?;
        let sight = sight(cx).await?.ok_or_else(Error::denied)?;
        // The path may go through namespaces below; it is then named from here.
        let own = &cx.request.namespace;
        let (namespace, rest) = table.namespaces.split(own, &path);
        let (entry, _) = table.find(namespace.scope, rest).ok_or_else(refused)?;
        let below = namespace.path.strip_prefix(&own.path).unwrap_or("");
        let from_here = format!("{below}{}", entry.mount.path);
        if !sight.sees(&from_here) {
            return Err(refused());
        }
        let mut view = MountView::of(&entry.mount);
        view.path = Some(match below {
            "" => shown_path(&entry.mount).to_owned(),
            _ => from_here,
        });
        Ok(Reply::data(view))
    }
}

fields! {
    /// Lists the namespaces below this one.
    pub struct UiNamespaces {}
}

/// `sys/internal/ui/namespaces`.
#[derive(Serialize)]
pub struct UiNamespacesView {
    keys: Vec<String>,
}

ops! { UiNamespaces UiNamespacesView, Read, Open; }

impl Query<UiNamespaces> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: UiNamespaces) -> Result<Reply<UiNamespacesView>> {
        let table = cx.kernel().router.table().await?;
        let sight = sight(cx).await?.ok_or_else(Error::denied)?;
        let own = &cx.request.namespace.path;
        let keys = table
            .namespaces
            .iter()
            .filter(|n| table.namespaces.is_live(n.scope))
            .filter_map(|n| n.path.strip_prefix(own.as_str()))
            .filter(|path| !path.is_empty() && sight.sees(path))
            .map(str::to_owned)
            .collect();
        Ok(Reply::data(UiNamespacesView { keys }))
    }
}

fields! {
    /// Gives the caller's rights altogether, for user interfaces.
    pub struct ReadResultantAcl {}
}

ops! { ReadResultantAcl ResultantAcl, Read, Open; }

impl Query<ReadResultantAcl> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadResultantAcl) -> Result<Reply<ResultantAcl>> {
        let sight = sight(cx).await?.ok_or_else(Error::denied)?;
        Ok(Reply::data(sight.acl.resultant()))
    }
}

fields! {
    /// Gives the OpenAPI document of the mounts that the caller may know of.
    pub struct OpenApi {
        /// Put a parameter in the place of where each engine and auth method is mounted.
        generic_mount_paths: Option<bool>,
    }
}

ops! { OpenApi Json, Read, Open; }

/// What is mounted once, at one place.
const ALONE: [&str; 4] = ["system", "identity", "cubbyhole", "token"];

impl Query<OpenApi> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: OpenApi) -> Result<Reply<Json>> {
        let table = cx.kernel().router.table().await?;
        let sight = sight(cx).await?;
        let mut document = describe::document();
        for entry in table.of(cx.request.namespace.scope) {
            let system = entry.mount.class == Class::System;
            if let Some(spec) = &entry.spec
                && (system || sight.as_ref().is_some_and(|s| s.sees(&entry.mount.path)))
            {
                let alone = system || ALONE.contains(&entry.mount.kind.as_str());
                let add = match op.generic_mount_paths == Some(true) && !alone {
                    true => describe::add_mount_anywhere,
                    false => describe::add_mount,
                };
                add(&mut document, spec, &entry.mount.path);
            }
        }
        // They lie in the root namespace only.
        if cx.request.namespace.is_root()
            && let Some(node) = cx.kernel().node.upgrade()
        {
            describe::add_node(&mut document, &node.registry.node);
        }
        Ok(Reply::data(document).bare())
    }
}
