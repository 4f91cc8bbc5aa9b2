//! The plug-ins of this binary (`sys/plugins`). They are built in: the catalog can be read, and
//! nothing can be added to it or taken from it.

use serde::Serialize;
use strongroom_base::fields::Rest;
use strongroom_base::{Error, ErrorKind, Result};
use strongroom_kernel::plug::{Class, Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::System;
use super::mount_settings::builtin_version;
use super::mounts::with_slash;

/// Adds the operations of this file.
pub fn add_plugins(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ReadCatalog>("plugins/catalog")
        .query::<ListPlugins>("plugins/catalog/{type}")
        .query::<ReadPlugin>("plugins/catalog/{type}/{name}")
        .command::<PutPlugin>("plugins/catalog/{type}/{name}")
        .command::<DeletePlugin>("plugins/catalog/{type}/{name}")
        .query::<ReloadPlugin>("plugins/reload/backend")
}

strongroom_base::fields! {
    /// Lists all plug-ins by type.
    pub struct ReadCatalog {}
}
strongroom_base::fields! {
    /// Lists the plug-ins of a type.
    pub struct ListPlugins {
        /// auth, database or secret.
        r#type: String,
    }
}
strongroom_base::fields! {
    /// Reads a plug-in's entry.
    pub struct ReadPlugin {
        /// auth, database or secret.
        r#type: String,
        /// The plug-in's name.
        name: String,
        /// The plug-in's version.
        version: Option<String>,
    }
}
strongroom_base::fields! {
    /// Would add a plug-in: this server has only the built-in ones.
    pub struct PutPlugin {
        /// auth, database or secret.
        r#type: String,
        /// The plug-in's name.
        name: String,
        /// What the plug-in would be.
        rest: Rest,
    }
}
strongroom_base::fields! {
    /// Takes an added plug-in out: there are none.
    pub struct DeletePlugin {
        /// auth, database or secret.
        r#type: String,
        /// The plug-in's name.
        name: String,
        /// The plug-in's version.
        version: Option<String>,
    }
}
strongroom_base::fields! {
    /// Reloads plug-ins. Built-in ones have nothing to reload.
    pub struct ReloadPlugin {
        /// The plug-in's name.
        plugin: Option<String>,
        /// Mounts of the plug-ins.
        mounts: Vec<String>,
        /// Vault's clusters: `global`.
        scope: Option<String>,
    }
}

/// The catalog.
#[derive(Serialize)]
pub struct Catalog {
    auth: Vec<&'static str>,
    database: Vec<&'static str>,
    detailed: Vec<Detail>,
    secret: Vec<&'static str>,
}

#[derive(Serialize)]
struct Detail {
    builtin: bool,
    deprecation_status: &'static str,
    name: &'static str,
    r#type: &'static str,
    version: String,
}

/// Names.
#[derive(Serialize)]
pub struct Names {
    keys: Vec<&'static str>,
}

/// A plug-in.
#[derive(Serialize)]
pub struct PluginView {
    args: Option<Vec<String>>,
    builtin: bool,
    command: &'static str,
    deprecation_status: &'static str,
    name: String,
    oci_image: &'static str,
    runtime: &'static str,
    sha256: &'static str,
    version: String,
}

/// The id of a reload.
#[derive(Serialize)]
pub struct Reloaded {
    reload_id: String,
}

ops! {
    ReadCatalog Catalog, Read;
    ListPlugins Names, List, Sudo;
    ReadPlugin PluginView, Read, Sudo;
    PutPlugin (), Write, Sudo;
    DeletePlugin (), Delete, Sudo;
    ReloadPlugin Reloaded, Write;
}

/// The names of the plug-ins of a type, sorted: what can be mounted, or what such a plug-in has.
fn names(cx: &ReadCx<'_>, r#type: &str) -> Result<Vec<&'static str>> {
    let registry = cx.kernel().router.registry();
    let mut names: Vec<&'static str> = match r#type {
        "auth" => registry.kinds(Class::Auth).collect(),
        "secret" => registry.kinds(Class::Secret).collect(),
        "database" => {
            registry.of_class(Class::Secret).flat_map(|s| s.plugins.iter().copied()).collect()
        }
        _ => return Err(Error::unsupported()),
    };
    names.retain(|name| *name != "token");
    names.sort_unstable();
    Ok(names)
}

impl Query<ReadCatalog> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadCatalog) -> Result<Reply<Catalog>> {
        let (auth, secret) = (names(cx, "auth")?, names(cx, "secret")?);
        let database = names(cx, "database")?;
        let detail = |r#type: &'static str| {
            move |name: &&'static str| Detail {
                builtin: true,
                deprecation_status: "supported",
                name,
                r#type,
                version: builtin_version(),
            }
        };
        let all = [("auth", &auth), ("database", &database), ("secret", &secret)];
        let detailed = all.iter().flat_map(|(kind, names)| names.iter().map(detail(kind)));
        let detailed = detailed.collect();
        Ok(Reply::data(Catalog { auth, database, detailed, secret }))
    }
}

impl Query<ListPlugins> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ListPlugins) -> Result<Reply<Names>> {
        let keys = names(cx, &op.r#type)?;
        if keys.is_empty() {
            return Err(Error::not_found());
        }
        Ok(Reply::data(Names { keys }))
    }
}

impl Query<ReadPlugin> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadPlugin) -> Result<Reply<PluginView>> {
        let asked = op.version.filter(|v| !v.is_empty());
        let ours = asked.is_none_or(|v| v == builtin_version());
        if !ours || !names(cx, &op.r#type)?.contains(&op.name.as_str()) {
            return Err(Error::not_found());
        }
        Ok(Reply::data(PluginView {
            args: None,
            builtin: true,
            command: "",
            deprecation_status: "supported",
            name: op.name,
            oci_image: "",
            runtime: "",
            sha256: "",
            version: builtin_version(),
        }))
    }
}

impl Command<PutPlugin> for System {
    async fn command(&self, _: &mut WriteCx<'_>, _: PutPlugin) -> Result<Reply<()>> {
        Err(Error::new(
            ErrorKind::BadRequest,
            "could not set plugin, plugin directory is not configured",
        ))
    }
}

impl Command<DeletePlugin> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeletePlugin) -> Result<Reply<()>> {
        names(cx, &op.r#type)?;
        Ok(Reply::none())
    }
}

impl Query<ReloadPlugin> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReloadPlugin) -> Result<Reply<Reloaded>> {
        let plugin = op.plugin.filter(|p| !p.is_empty());
        match (&plugin, op.mounts.is_empty()) {
            (Some(_), false) => {
                return Err(Error::bad_request("plugin and mounts cannot be set at the same time"));
            }
            (None, true) => {
                return Err(Error::bad_request("plugin or mounts must be provided"));
            }
            _ => {}
        }
        let table = cx.kernel().router.table().await?;
        for path in op.mounts.iter().map(|m| with_slash(m)) {
            if table.at(cx.request.namespace.scope, &path).is_none() {
                return Err(Error::bad_request(format!("cannot fetch mount entry on {path:?}")));
            }
        }
        Ok(Reply::data(Reloaded { reload_id: cx.request.id.clone() }))
    }
}
