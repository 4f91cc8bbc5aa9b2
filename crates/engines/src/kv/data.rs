//! `data/…`: reading and writing versions.

use strongroom_base::fields::{Field, Patch};
use strongroom_base::json::SecretMap;
use strongroom_base::{Error, Json, JsonMap, Result, SecretBytes, capture, fields};
use strongroom_kernel::plug::{Command, Exists, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::ReadView;

use super::aws::accessed::Accessed;
use super::secret::{Head, Representation, Select};
use super::store::{self, Config, NewValue, Secret};
use super::value::{ObjectText, from_object, merge, to_object};
use super::{Kv, new_id, no_folder, tree, version_view, writer};

fields! {
    /// Reads a version of a secret, the current one unless `version` names another.
    pub struct ReadData {
        /// The secret's path.
        path: String,
        /// The version's number; 0 for the current one.
        version: Option<i64>,
    }
}

fields! {
    /// Writes a secret's next version.
    pub struct WriteData {
        /// The secret's path.
        path: String,
        /// The secret: an object.
        data: Patch<ObjectText>,
        /// `cas`: the version that must be the current one, 0 for a secret that must be new.
        options: Option<JsonMap>,
    }
}

fields! {
    /// Writes a secret's next version as a merge patch (RFC 7396) of the current one.
    pub struct PatchData {
        /// The secret's path.
        path: String,
        /// The patch: an object.
        data: Patch<SecretMap>,
        /// `cas`: the version that must be the current one.
        options: Option<JsonMap>,
    }
}

fields! {
    /// Deletes the current version; it can be brought back by `undelete`.
    pub struct DeleteData {
        /// The secret's path.
        path: String,
    }
}

ops! {
    ReadData Json, Read;
    WriteData Json, Write;
    PatchData Json, Patch;
    DeleteData Json, Delete;
}

/// The member under which a value is answered as it is.
const VALUE: &str = "data";

/// The version that a wire number means: 0 and below is the current one.
pub(super) fn select(number: Option<i64>) -> Select<'static> {
    match number.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0) {
        Some(number) => Select::Number(number),
        None => Select::Current,
    }
}

/// The value of a version as an object with the version's metadata, under `member`; 404 with the
/// metadata alone where the version is deleted or destroyed. `accessed` notes that it was read.
pub(super) async fn read(
    cx: &ReadCx<'_>,
    path: &str,
    version: Option<i64>,
    member: &str,
    show: impl FnOnce(&mut Json),
    accessed: Option<&Accessed>,
) -> Result<Reply<Json>> {
    let view = cx.view();
    let secret = store::find(&view, path).await?.ok_or_else(Error::not_found)?;
    let version = secret.head.version(select(version)).ok_or_else(Error::not_found)?;
    let metadata = version_view(version, &secret.head.labels);
    let (value, status) = match version.readable(cx.now()) {
        Some(row) => {
            let bytes = store::value(&view, row).await?;
            let mut value = to_object(version.representation, bytes.expose_secret())?;
            if member == VALUE {
                super::aws::rotation::note_reader(cx, &secret.head, version.id);
            }
            show(&mut value);
            if let Some(accessed) = accessed {
                accessed.note(secret.row, cx.now());
            }
            (value, None)
        }
        None => (Json::Null, Some(404)),
    };
    let mut data = JsonMap::with_capacity(2);
    data.insert(member.to_owned(), value);
    data.insert("metadata".to_owned(), Json::Object(metadata));
    Ok(Reply { status, ..Reply::data(Json::Object(data)) })
}

/// Checks `options.cas` against the current version.
fn check_cas(options: Option<&JsonMap>, config: &Config, head: &Head) -> Result<()> {
    match options.and_then(|options| options.get("cas")) {
        Some(cas) => {
            let wanted = match cas {
                Json::Null => 0,
                cas => i64::read(cas)
                    .map_err(|_| Error::bad_request("error parsing check-and-set parameter"))?,
            };
            if u64::try_from(wanted) != Ok(head.current) {
                return Err(Error::bad_request(
                    "check-and-set parameter did not match the current version",
                ));
            }
            Ok(())
        }
        None if config.cas_required || head.settings.cas_required => {
            Err(Error::bad_request("check-and-set parameter required for this call"))
        }
        None => Ok(()),
    }
}

/// The current version's representation: what a write of KV's form for it keeps.
fn current_form(head: &Head) -> Option<Representation> {
    head.version(Select::Current).map(|v| v.representation)
}

/// Publishes `object` and answers with the new version's metadata.
async fn write(
    cx: &WriteCx<'_>,
    path: &str,
    mut secret: Secret,
    new: bool,
    object: SecretBytes,
    config: &Config,
) -> Result<Reply<Json>> {
    let edit = cx.edit();
    let (bytes, representation) = from_object(object, current_form(&secret.head));
    let value =
        NewValue { bytes: bytes.expose_secret(), representation, writer: writer(cx), extra: None };
    store::publish(&edit, &mut secret, value, new_id(cx), config, cx.now())?;
    store::save(&edit, path, &secret, new).await?;
    let version = secret.head.version(Select::Current);
    let version = version.ok_or_else(|| Error::internal("a version was not published"))?;
    Ok(Reply::data(Json::Object(version_view(version, &secret.head.labels))))
}

impl Query<ReadData> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadData) -> Result<Reply<Json>> {
        read(cx, &op.path, op.version, VALUE, |_| (), Some(&self.accessed)).await
    }
}

impl Command<WriteData> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteData) -> Result<Reply<Json>> {
        let object = match op.data {
            Patch::Value(ObjectText(object)) => object,
            Patch::Null => SecretBytes::new(b"{}".to_vec()),
            Patch::Absent => return Err(Error::bad_request("no data provided")),
        };
        cx.queue(&op.path).await;
        let edit = cx.edit();
        let config = store::config(&edit).await?;
        let (secret, new) = store::find_or_new(&edit, &op.path, || new_id(cx), cx.now()).await?;
        check_cas(op.options.as_ref(), &config, &secret.head)?;
        write(cx, &op.path, secret, new, object, &config).await
    }
}

/// Is there a secret at the path that `captures` describe?
pub(super) async fn exists(
    view: &ReadView<'_>,
    captures: &[(&'static str, String)],
) -> Result<bool> {
    match capture(captures, "path") {
        Some(path) => Ok(tree::leaf(view, path).await?.is_some()),
        None => Ok(true),
    }
}

impl Exists<WriteData> for Kv {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        exists(&cx.view(), captures).await
    }
}

impl Command<PatchData> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PatchData) -> Result<Reply<Json>> {
        let patch = match op.data {
            Patch::Value(patch) => patch.take(),
            Patch::Null => JsonMap::new(),
            Patch::Absent => return Err(Error::bad_request("no data provided")),
        };
        cx.queue(&op.path).await;
        let edit = cx.edit();
        let secret = store::find(&edit, &op.path).await?.ok_or_else(Error::not_found)?;
        let config = store::config(&edit).await?;
        check_cas(op.options.as_ref(), &config, &secret.head)?;
        let version = secret.head.version(Select::Current).ok_or_else(Error::not_found)?;
        let Some(row) = version.readable(cx.now()) else {
            let data = Json::Object(version_view(version, &secret.head.labels));
            return Ok(Reply::data(data).status(404));
        };
        let bytes = store::value(&edit, row).await?;
        let mut value = to_object(version.representation, bytes.expose_secret())?;
        merge(&mut value, Json::Object(patch));
        let object = ObjectText::read(&value).map_err(Error::internal)?.0;
        strongroom_base::json::wipe(&mut value);
        write(cx, &op.path, secret, false, object, &config).await
    }
}

impl Command<DeleteData> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteData) -> Result<Reply<Json>> {
        if no_folder(&op.path).is_err() {
            return Ok(Reply::none());
        }
        cx.queue(&op.path).await;
        let edit = cx.edit();
        if let Some(mut secret) = store::find(&edit, &op.path).await?
            && secret.head.delete(Select::Current, cx.now())
        {
            store::save(&edit, &op.path, &secret, false).await?;
        }
        Ok(Reply::none())
    }
}
