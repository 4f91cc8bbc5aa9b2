//! The mount's settings.

use serde::Serialize;
use strongroom_base::{Error, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::Cert;
use super::stored::{self, Settings};

/// Statuses that may be remembered.
const CACHE_SIZE: std::ops::RangeInclusive<i64> = 2..=100_000;

fields! {
    /// Sets what all logins of the mount have in common.
    pub struct PutConfig {
        /// Renew tokens without the certificate that they were given for?
        disable_binding: Option<bool>,
        /// Keep the certificate's metadata with the alias, for templated policies?
        enable_identity_alias_metadata: Option<bool>,
        /// How many certificates' statuses are remembered.
        ocsp_cache_size: Option<i64>,
    }
}
fields! {
    /// Reads the settings.
    pub struct ReadConfig {}
}

/// The settings as callers see them.
#[derive(Serialize)]
pub struct ConfigView {
    disable_binding: bool,
    enable_identity_alias_metadata: bool,
    ocsp_cache_size: i64,
}

ops! {
    PutConfig (), Write;
    ReadConfig ConfigView, Read;
}

pub(super) fn add(spec: EngineSpec<Cert>) -> EngineSpec<Cert> {
    spec.query::<ReadConfig>("config").command::<PutConfig>("config")
}

impl Command<PutConfig> for Cert {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConfig) -> Result<Reply<()>> {
        cx.queue("config").await;
        let mut settings: Settings = (*stored::settings(&cx.view()).await?).clone();
        settings.disable_binding = op.disable_binding.unwrap_or(settings.disable_binding);
        settings.enable_identity_alias_metadata =
            op.enable_identity_alias_metadata.unwrap_or(settings.enable_identity_alias_metadata);
        if let Some(size) = op.ocsp_cache_size {
            if !CACHE_SIZE.contains(&size) {
                return Err(Error::bad_request("invalid cache size, must be >= 2 and <= 100000"));
            }
            settings.ocsp_cache_size = size;
        }
        cx.edit().put_named(0, "", &settings)?;
        Ok(Reply::none())
    }
}

impl Query<ReadConfig> for Cert {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<ConfigView>> {
        let settings = stored::settings(&cx.view()).await?;
        Ok(Reply::data(ConfigView {
            disable_binding: settings.disable_binding,
            enable_identity_alias_metadata: settings.enable_identity_alias_metadata,
            ocsp_cache_size: settings.ocsp_cache_size,
        }))
    }
}
