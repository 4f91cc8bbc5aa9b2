//! `metadata/…`: a secret's settings, labels and versions; its removal.

use strongroom_base::duration::format_go_seconds;
use strongroom_base::fields::Patch;
use strongroom_base::{Error, Json, JsonMap, Result, Ttl, fields};
use strongroom_kernel::plug::{Command, Exists, Query, ReadCx, Reply, WriteCx, ops};

use super::config::max_versions;
use super::secret::Head;
use super::store::{self, Config};
use super::{Kv, data, labels, new_id, no_folder, shown_labels, shown_time};

fields! {
    /// Reads a secret's settings, labels and versions.
    pub struct ReadMetadata {
        /// The secret's path.
        path: String,
    }
}

fields! {
    /// Changes a secret's settings and labels; makes the secret where it is not there.
    pub struct WriteMetadata {
        /// The secret's path.
        path: String,
        /// Versions kept; 0 leaves it to the mount.
        max_versions: Option<i64>,
        /// Must every write name the current version by `cas`?
        cas_required: Option<bool>,
        /// How long a version lives before it is deleted; 0 leaves it to the mount.
        delete_version_after: Option<Ttl>,
        /// Labels: an object of texts that replaces all others.
        custom_metadata: Option<JsonMap>,
        /// Must every change of metadata name its version by `metadata_cas`?
        metadata_cas_required: Option<bool>,
        /// The metadata's version that must be the current one.
        metadata_cas: Option<i64>,
    }
}

fields! {
    /// Changes some settings and labels; a null takes one away.
    pub struct PatchMetadata {
        /// The secret's path.
        path: String,
        /// Versions kept.
        max_versions: Patch<i64>,
        /// Must every write name the current version by `cas`?
        cas_required: Patch<bool>,
        /// How long a version lives before it is deleted.
        delete_version_after: Patch<Ttl>,
        /// Labels: an object whose nulls take labels away.
        custom_metadata: Patch<JsonMap>,
        /// Must every change of metadata name its version by `metadata_cas`?
        metadata_cas_required: Patch<bool>,
        /// The metadata's version that must be the current one.
        metadata_cas: Option<i64>,
    }
}

fields! {
    /// Removes a secret with all its versions for good.
    pub struct DeleteMetadata {
        /// The secret's path.
        path: String,
    }
}

ops! {
    ReadMetadata Json, Read;
    WriteMetadata Json, Write;
    PatchMetadata Json, Patch;
    DeleteMetadata Json, Delete;
}

/// A secret's metadata as KV shows it. Pending versions are no publications: KV does not see them.
pub(super) fn view(head: &Head) -> Json {
    let versions: JsonMap = head
        .published()
        .map(|version| {
            let mut view = JsonMap::with_capacity(3);
            view.insert("created_time".to_owned(), shown_time(version.created));
            view.insert("deletion_time".to_owned(), shown_time(version.deletion));
            view.insert("destroyed".to_owned(), Json::Bool(version.is_destroyed()));
            (version.number.to_string(), Json::Object(view))
        })
        .collect();
    let settings = &head.settings;
    serde_json::json!({
        "cas_required": settings.cas_required,
        "created_time": shown_time(head.created),
        "current_metadata_version": head.metadata_version,
        "current_version": head.current,
        "custom_metadata": shown_labels(&head.labels),
        "delete_version_after": format_go_seconds(settings.delete_version_after),
        "max_versions": settings.max_versions,
        "metadata_cas_required": settings.metadata_cas_required,
        "oldest_version": head.oldest,
        "updated_time": shown_time(head.updated),
        "versions": versions,
    })
}

/// Checks `metadata_cas` against the metadata's version; 0 where the secret is new.
fn check_cas(given: Option<i64>, config: &Config, head: Option<&Head>) -> Result<()> {
    let required =
        config.metadata_cas_required || head.is_some_and(|h| h.settings.metadata_cas_required);
    let Some(given) = given else {
        return match required {
            true => {
                Err(Error::bad_request("metadata check-and-set parameter required for this call"))
            }
            false => Ok(()),
        };
    };
    match head {
        None if given != 0 => {
            Err(Error::bad_request("metadata_cas must be 0 when creating new metadata"))
        }
        Some(head) if u64::try_from(given) != Ok(head.metadata_version) => Err(Error::bad_request(
            "metadata check-and-set parameter does not match the current version",
        )),
        _ => Ok(()),
    }
}

fn lifetime(Ttl(seconds): Ttl) -> Result<i64> {
    if seconds < 0 {
        return Err(Error::bad_request(
            "error converting input for field \"delete_version_after\": \
             cannot provide negative value",
        ));
    }
    Ok(seconds)
}

/// The warnings about settings that the mount's make void.
fn void_settings(config: &Config, cas: Option<bool>, metadata_cas: Option<bool>) -> Vec<String> {
    let void = [
        ("cas_required", config.cas_required, cas),
        ("metadata_cas_required", config.metadata_cas_required, metadata_cas),
    ];
    void.into_iter()
        .filter(|(_, mandated, given)| *mandated && *given == Some(false))
        .map(|(name, _, _)| {
            format!(
                "\"{name}\" set to false, but is mandated by backend config. \
                 This value will be ignored."
            )
        })
        .collect()
}

impl Query<ReadMetadata> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadMetadata) -> Result<Reply<Json>> {
        let secret = store::find(&cx.view(), &op.path).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(view(&secret.head)))
    }
}

impl Exists<WriteMetadata> for Kv {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        data::exists(&cx.view(), captures).await
    }
}

impl Command<WriteMetadata> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteMetadata) -> Result<Reply<Json>> {
        let nothing = op.max_versions.is_none()
            && op.cas_required.is_none()
            && op.delete_version_after.is_none()
            && op.custom_metadata.is_none()
            && op.metadata_cas_required.is_none();
        if nothing {
            return Ok(Reply::none());
        }
        let labels = op.custom_metadata.as_ref().map(labels::replacing).transpose()?;
        let most = op.max_versions.map(max_versions).transpose()?;
        let lifetime = op.delete_version_after.map(lifetime).transpose()?;
        cx.queue(&op.path).await;
        let edit = cx.edit();
        let config = store::config(&edit).await?;
        let mut warnings = void_settings(&config, op.cas_required, op.metadata_cas_required);
        let now = cx.now();
        let (mut secret, new) = store::find_or_new(&edit, &op.path, || new_id(cx), now).await?;
        check_cas(op.metadata_cas, &config, (!new).then_some(&secret.head))?;
        let head = &mut secret.head;
        if let Some((most, warning)) = most {
            head.settings.max_versions = most;
            warnings.extend(warning);
        }
        if let Some(required) = op.cas_required {
            head.settings.cas_required = required;
        }
        if let Some(required) = op.metadata_cas_required {
            head.settings.metadata_cas_required = required;
        }
        if let Some(seconds) = lifetime {
            head.settings.delete_version_after = seconds;
        }
        if let Some(labels) = labels {
            head.labels = labels;
        }
        head.metadata_version += 1;
        head.updated = now;
        store::save(&edit, &op.path, &secret, new).await?;
        Ok(Reply::none().warnings(warnings))
    }
}

/// What a patch sets: the value, or `none` for an explicit null.
fn patched<T>(patch: Patch<T>, none: T) -> Option<T> {
    match patch {
        Patch::Absent => None,
        Patch::Null => Some(none),
        Patch::Value(value) => Some(value),
    }
}

impl Command<PatchMetadata> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PatchMetadata) -> Result<Reply<Json>> {
        let most = patched(op.max_versions, 0).map(max_versions).transpose()?;
        let cas = patched(op.cas_required, false);
        let metadata_cas = patched(op.metadata_cas_required, false);
        let lifetime = patched(op.delete_version_after, Ttl(0)).map(lifetime).transpose()?;
        if most.is_none()
            && cas.is_none()
            && metadata_cas.is_none()
            && lifetime.is_none()
            && op.custom_metadata == Patch::Absent
        {
            return Ok(Reply::none());
        }
        cx.queue(&op.path).await;
        let edit = cx.edit();
        let mut secret = store::find(&edit, &op.path).await?.ok_or_else(Error::not_found)?;
        let config = store::config(&edit).await?;
        check_cas(op.metadata_cas, &config, Some(&secret.head))?;
        let mut warnings = void_settings(&config, cas, metadata_cas);
        let head = &mut secret.head;
        match &op.custom_metadata {
            Patch::Absent => {}
            Patch::Null => head.labels.clear(),
            Patch::Value(map) => labels::patch(&mut head.labels, map)?,
        }
        if let Some((most, warning)) = most {
            head.settings.max_versions = most;
            warnings.extend(warning);
        }
        head.settings.cas_required = cas.unwrap_or(head.settings.cas_required);
        head.settings.metadata_cas_required =
            metadata_cas.unwrap_or(head.settings.metadata_cas_required);
        head.settings.delete_version_after = lifetime.unwrap_or(head.settings.delete_version_after);
        head.metadata_version += 1;
        head.updated = cx.now();
        store::save(&edit, &op.path, &secret, false).await?;
        Ok(Reply::none().warnings(warnings))
    }
}

impl Command<DeleteMetadata> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteMetadata) -> Result<Reply<Json>> {
        if no_folder(&op.path).is_ok() {
            cx.queue(&op.path).await;
            store::delete(&cx.edit(), &op.path, cx.now()).await?;
        }
        Ok(Reply::none())
    }
}
