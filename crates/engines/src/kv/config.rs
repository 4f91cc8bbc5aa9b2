//! `config`: the mount's settings.

use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Error, Json, Result, Ttl, fields};
use strongroom_kernel::plug::{Command, Query, ReadCx, Reply, WriteCx, ops};

use super::Kv;
use super::limits::VERSIONS_MAX;
use super::store;
use super::tree::TOP;

fields! {
    /// Reads the mount's settings.
    pub struct ReadConfig {}
}

fields! {
    /// Changes the mount's settings, which apply to every secret.
    pub struct WriteConfig {
        /// Versions kept of each secret; 0 keeps 10.
        max_versions: Option<i64>,
        /// Must every write name the current version by `cas`?
        cas_required: Option<bool>,
        /// How long a version lives before it is deleted; 0 for ever, below 0 forbids secrets to
        /// set one.
        delete_version_after: Option<Ttl>,
        /// Must every change of metadata name its version by `metadata_cas`?
        metadata_cas_required: Option<bool>,
    }
}

ops! {
    ReadConfig Json, Read;
    WriteConfig Json, Write;
}

/// A setting for the number of versions, and a warning where it is more than is ever kept.
pub(super) fn max_versions(asked: i64) -> Result<(u64, Option<String>)> {
    let Ok(asked) = u64::try_from(asked) else {
        return Err(Error::bad_request("max_versions must not be negative"));
    };
    let warning = (asked > VERSIONS_MAX)
        .then(|| format!("max_versions is above {VERSIONS_MAX}, which is the most that is kept."));
    Ok((asked.min(VERSIONS_MAX), warning))
}

impl Query<ReadConfig> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<Json>> {
        let config = store::config(&cx.view()).await?;
        Ok(Reply::data(serde_json::json!({
            "cas_required": config.cas_required,
            "delete_version_after": format_go_seconds(config.delete_version_after),
            "max_versions": config.max_versions,
            "metadata_cas_required": config.metadata_cas_required,
        })))
    }
}

impl Command<WriteConfig> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteConfig) -> Result<Reply<Json>> {
        let edit = cx.edit();
        let mut config = store::config(&edit).await?;
        let mut warnings = Vec::new();
        if let Some(asked) = op.max_versions {
            let (most, warning) = max_versions(asked)?;
            config.max_versions = most;
            warnings.extend(warning);
        }
        if let Some(required) = op.cas_required {
            config.cas_required = required;
        }
        if let Some(required) = op.metadata_cas_required {
            config.metadata_cas_required = required;
        }
        if let Some(Ttl(seconds)) = op.delete_version_after {
            // Vault shows any negative duration as -1s.
            config.delete_version_after = seconds.max(-1);
        }
        edit.put_named(TOP, "", &config)?;
        Ok(Reply::none().warnings(warnings))
    }
}
