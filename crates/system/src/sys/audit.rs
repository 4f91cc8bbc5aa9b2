//! Audit devices and the audit log (API pages "/sys/audit", "/sys/audit-hash",
//! "/sys/config/auditing").

use std::collections::BTreeMap;

use serde::Serialize;
use strongroom_base::{Error, Result, fields};
use strongroom_kernel::audit::AuditedHeaders;
use strongroom_kernel::audit::sinks::Device;
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::Scope;

use super::System;
use super::seal::root_namespace_only;

/// Adds the operations of this file.
pub fn add_audit(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ListDevices>("audit")
        .command::<EnableDevice>("audit/{path..}")
        .command::<DisableDevice>("audit/{path..}")
        .query::<Hash>("audit-hash/{path..}")
        .query::<ListHeaders>("config/auditing/request-headers")
        .query::<ReadHeader>("config/auditing/request-headers/{header}")
        .command::<PutHeader>("config/auditing/request-headers/{header}")
        .command::<DeleteHeader>("config/auditing/request-headers/{header}")
        .query::<ReadAuditKey>("strongroom/audit/public-key")
}

/// A device as `sys/audit` shows it.
#[derive(Serialize)]
pub struct DeviceView {
    r#type: String,
    description: String,
    options: BTreeMap<String, String>,
    local: bool,
    path: String,
}

fields! {
    /// Lists the audit devices.
    pub struct ListDevices {}
}

ops! { ListDevices BTreeMap<String, DeviceView>, Read, Sudo; }

impl Query<ListDevices> for System {
    async fn query(
        &self,
        cx: &ReadCx<'_>,
        _: ListDevices,
    ) -> Result<Reply<BTreeMap<String, DeviceView>>> {
        root_namespace_only(cx)?;
        let devices = cx.kernel_tx().read(Scope::ROOT).all::<Device>(0).await?;
        let view = |(path, d): (String, Device)| {
            let view = DeviceView {
                r#type: d.kind,
                description: d.description,
                options: d.options,
                local: d.local,
                path: d.path,
            };
            (path, view)
        };
        Ok(Reply::data(devices.into_iter().map(view).collect()).flat())
    }
}

fields! {
    /// Enables an audit device.
    pub struct EnableDevice {
        /// Its path.
        path: String,
        /// `file`, `syslog` or `socket`.
        r#type: Option<String>,
        /// Free text.
        description: Option<String>,
        /// Options of the type.
        options: BTreeMap<String, String>,
        /// Not replicated.
        local: Option<bool>,
    }
}

ops! { EnableDevice (), Write, Sudo; }

fn device_path(path: &str) -> Result<String> {
    match path.trim_matches('/') {
        "" => Err(Error::bad_request("path is required")),
        path => Ok(format!("{path}/")),
    }
}

impl Command<EnableDevice> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: EnableDevice) -> Result<Reply<()>> {
        root_namespace_only(cx)?;
        if !cx.kernel().config.api_audit {
            return Err(Error::bad_request(
                "cannot enable audit device via API; use declarative, config-based audit device \
                 management instead",
            ));
        }
        let path = device_path(&op.path)?;
        let root = cx.kernel_tx().write(Scope::ROOT);
        if root.named::<Device>(0, &path).await?.is_some() {
            return Err(Error::bad_request("path already in use"));
        }
        let audit = &cx.kernel().audit;
        let device = Device {
            kind: op.r#type.unwrap_or_default(),
            path,
            description: op.description.unwrap_or_default(),
            options: op.options,
            local: op.local.unwrap_or(false),
            created: cx.now(),
            after: audit.last_index(),
            configured: false,
        };
        audit.check_sink(&device)?;
        root.put_named(0, &device.path, &device)?;
        cx.after_commit(move |services| services.audit.start_sink(&device));
        Ok(Reply::none())
    }
}

fields! {
    /// Disables an audit device.
    pub struct DisableDevice {
        /// Its path.
        path: String,
    }
}

ops! { DisableDevice (), Delete, Sudo; }

impl Command<DisableDevice> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DisableDevice) -> Result<Reply<()>> {
        root_namespace_only(cx)?;
        let path = device_path(&op.path)?;
        let root = cx.kernel_tx().write(Scope::ROOT);
        if let Some(device) = root.named::<Device>(0, &path).await? {
            if device.configured {
                return Err(Error::bad_request(
                    "cannot disable configuration-managed audit device",
                ));
            }
            root.delete_named::<Device>(0, &path);
            cx.after_commit(move |services| services.audit.stop_sink(&path));
        }
        Ok(Reply::none())
    }
}

fields! {
    /// Gives the HMAC under which the audit log shows a value.
    pub struct Hash {
        /// The device's path; all have the log's key.
        path: String,
        /// The value.
        input: strongroom_base::SecretString,
    }
}

/// `sys/audit-hash`.
#[derive(Serialize)]
pub struct HashView {
    hash: String,
}

ops! { Hash HashView, Write; }

impl Query<Hash> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: Hash) -> Result<Reply<HashView>> {
        root_namespace_only(cx)?;
        let path = device_path(&op.path)?;
        if cx.kernel_tx().read(Scope::ROOT).named::<Device>(0, &path).await?.is_none() {
            return Err(Error::bad_request("unknown audit backend"));
        }
        let hash = cx.kernel().audit.hash(op.input.expose_secret());
        Ok(Reply::data(HashView { hash }).flat())
    }
}

/// One header's setting.
#[derive(Serialize)]
pub struct HeaderView {
    hmac: bool,
}

/// `sys/config/auditing/request-headers`.
#[derive(Serialize)]
pub struct HeadersView {
    headers: BTreeMap<String, HeaderView>,
}

async fn headers(cx: &ReadCx<'_>) -> Result<AuditedHeaders> {
    root_namespace_only(cx)?;
    let root = cx.kernel_tx().read(Scope::ROOT);
    Ok(root.named::<AuditedHeaders>(0, "").await?.unwrap_or_default())
}

fields! {
    /// Lists the request headers that the audit log shows.
    pub struct ListHeaders {}
}

ops! { ListHeaders HeadersView, Read, Sudo; }

impl Query<ListHeaders> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListHeaders) -> Result<Reply<HeadersView>> {
        let headers = headers(cx).await?.0;
        let headers = headers.into_iter().map(|(n, hmac)| (n, HeaderView { hmac })).collect();
        Ok(Reply::data(HeadersView { headers }).flat())
    }
}

fields! {
    /// Tells how the audit log shows a request header.
    pub struct ReadHeader {
        /// The header's name.
        header: String,
    }
}

ops! { ReadHeader BTreeMap<String, HeaderView>, Read, Sudo; }

impl Query<ReadHeader> for System {
    async fn query(
        &self,
        cx: &ReadCx<'_>,
        op: ReadHeader,
    ) -> Result<Reply<BTreeMap<String, HeaderView>>> {
        let name = op.header.to_lowercase();
        let headers = headers(cx).await?.0;
        let found = headers.into_iter().find(|(n, _)| *n == name);
        let (name, hmac) =
            found.ok_or_else(|| Error::bad_request("Could not find header in config"))?;
        Ok(Reply::data(BTreeMap::from([(name, HeaderView { hmac })])).flat())
    }
}

fields! {
    /// Lets the audit log show a request header.
    pub struct PutHeader {
        /// The header's name.
        header: String,
        /// HMAC its value.
        hmac: Option<bool>,
    }
}

ops! { PutHeader (), Write, Sudo; }

impl Command<PutHeader> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutHeader) -> Result<Reply<()>> {
        let name = op.header.to_lowercase();
        let mut all = headers(cx).await?;
        all.0.retain(|(n, _)| *n != name);
        all.0.push((name, op.hmac.unwrap_or(false)));
        save(cx, all)
    }
}

fn save(cx: &mut WriteCx<'_>, mut all: AuditedHeaders) -> Result<Reply<()>> {
    all.0.sort();
    cx.kernel_tx().write(Scope::ROOT).put_named(0, "", &all)?;
    cx.after_commit(move |services| services.audit.set_headers(all));
    Ok(Reply::none())
}

fields! {
    /// Keeps a request header out of the audit log.
    pub struct DeleteHeader {
        /// The header's name.
        header: String,
    }
}

ops! { DeleteHeader (), Delete, Sudo; }

impl Command<DeleteHeader> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteHeader) -> Result<Reply<()>> {
        let name = op.header.to_lowercase();
        let mut all = headers(cx).await?;
        all.0.retain(|(n, _)| *n != name);
        save(cx, all)
    }
}

fields! {
    /// Gives the public key with which the audit log's signatures are checked.
    pub struct ReadAuditKey {}
}

/// `sys/strongroom/audit/public-key`.
#[derive(Serialize)]
pub struct AuditKeyView {
    public_key: String,
}

ops! { ReadAuditKey AuditKeyView, Read; }

impl Query<ReadAuditKey> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadAuditKey) -> Result<Reply<AuditKeyView>> {
        root_namespace_only(cx)?;
        Ok(Reply::data(AuditKeyView { public_key: cx.kernel().audit.public_key() }))
    }
}
