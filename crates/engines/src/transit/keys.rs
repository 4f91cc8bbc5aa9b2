//! `keys`: making, showing, listing and deleting keys, for good or until they are restored.

use std::sync::Arc;

use strongroom_base::{Error, Json, Result, Ttl, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, names, ops};
use strongroom_kernel::record::{WriteView, rows};

use super::Transit;
use super::aws::stored as aws_stored;
use super::encoding::{Encoded, given};
use super::key::{Derivation, Key, Rotating, Settings, Version};
use super::kind::{DEFAULT_NAME, Kind};
use super::limits::{AUTO_ROTATE_SECONDS_MIN, HMAC_KEY_BYTES_MAX, HMAC_KEY_BYTES_MIN};
use super::material::generate;
use super::ring::Ring;
use super::shown::show;

fields! {
    /// Lists the keys.
    pub struct ListKeys {
        /// Names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Makes a key. One that is there stays as it is.
    pub struct CreateKey {
        /// The key's name.
        name: String,
        /// aes128-gcm96, aes256-gcm96 (where nothing is said), chacha20-poly1305,
        /// xchacha20-poly1305, ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048, rsa-3072,
        /// rsa-4096, hmac, ml-dsa or ml-kem.
        r#type: Option<String>,
        /// The parameters of a key of type ml-dsa (44, 65 or 87) or ml-kem (512, 768 or 1024).
        parameter_set: Option<String>,
        /// Is a key derived of it for each context?
        derived: Option<bool>,
        /// Have equal plaintexts equal ciphertexts? Needs derived.
        convergent_encryption: Option<bool>,
        /// May it be exported? This cannot be taken back.
        exportable: Option<bool>,
        /// May it be backed up as it is? This cannot be taken back.
        allow_plaintext_backup: Option<bool>,
        /// For show only, as in the peer: a context has its place in the requests that use the key.
        context: Option<String>,
        /// After how long it is rotated by itself; 0 is never.
        auto_rotate_period: Option<Ttl>,
        /// Bytes of an hmac key: 32 (where nothing is said) to 512.
        key_size: Option<i64>,
    }
}
fields! {
    /// Shows a key's settings and its versions, public keys among them.
    pub struct ReadKey {
        /// The key's name.
        name: String,
        /// The context for which a derived key's public key is shown, base64.
        context: Option<Encoded>,
    }
}
fields! {
    /// Deletes a key for good, if its settings allow that: nothing opens any more what it has
    /// encrypted.
    pub struct DeleteKey {
        /// The key's name.
        name: String,
    }
}
fields! {
    /// Takes a key out of use until it is restored.
    pub struct SoftDelete {
        /// The key's name.
        name: String,
    }
}
fields! {
    /// Takes a soft-deleted key into use again.
    pub struct SoftDeleteRestore {
        /// The key's name.
        name: String,
    }
}

ops! {
    ListKeys Keys, List;
    CreateKey Json, Write;
    ReadKey Json, Read;
    DeleteKey (), Delete;
    SoftDelete Json, Delete;
    SoftDeleteRestore Json, Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.query::<ListKeys>("keys/")
        .query::<ReadKey>("keys/{name}")
        .command::<CreateKey>("keys/{name}")
        .command::<DeleteKey>("keys/{name}")
        .command::<SoftDelete>("keys/{name}/soft-delete")
        .command::<SoftDeleteRestore>("keys/{name}/soft-delete-restore")
}

/// A key that is to be made.
pub struct NewKey {
    /// Its type.
    pub kind: Kind,
    /// Whether and how keys are derived of it.
    pub derivation: Derivation,
    /// Is it convergent?
    pub convergent: bool,
    /// May it be exported?
    pub exportable: bool,
    /// May it be backed up as it is?
    pub allow_plaintext_backup: bool,
    /// Seconds between automatic rotations.
    pub auto_rotate_seconds: i64,
    /// Bytes of an HMAC key.
    pub key_size: usize,
}

impl NewKey {
    /// With all else as where nothing is said.
    pub fn plain(kind: Kind, derivation: Derivation, convergent: bool) -> Self {
        Self {
            kind,
            derivation,
            convergent,
            exportable: false,
            allow_plaintext_backup: false,
            auto_rotate_seconds: 0,
            key_size: 0,
        }
    }

    /// The key, without a version.
    pub fn key(&self) -> Key {
        let mut key = Key::new(self.kind, self.derivation, self.convergent);
        key.exportable = self.exportable;
        key.allow_plaintext_backup = self.allow_plaintext_backup;
        key.auto_rotate_seconds = self.auto_rotate_seconds;
        key.key_size = self.key_size;
        key
    }
}

/// A period between rotations, if it is one that may be set.
pub fn auto_rotate_seconds(asked: Option<Ttl>) -> Result<Option<i64>> {
    match asked {
        Some(Ttl(seconds)) if seconds != 0 && seconds < AUTO_ROTATE_SECONDS_MIN => {
            Err(Error::bad_request("auto rotate period must be 0 to disable or at least an hour"))
        }
        asked => Ok(asked.map(|Ttl(seconds)| seconds)),
    }
}

/// Appends a version to a key; the caller saves the key.
pub fn append(edit: &WriteView<'_>, key: &mut Key, version: &Version) -> Result<()> {
    let row = edit.new_id();
    edit.put_row(rows::VALUES, row, version)?;
    key.push(row, version.created)
}

/// Saves a key's settings, its id, and when it is to be rotated.
pub async fn save(cx: &WriteCx<'_>, name: &str, key: &mut Key) -> Result<()> {
    let edit = cx.edit();
    aws_stored::identify(cx, name, key).await?;
    edit.put_named(0, name, key)?;
    let due = key.rotation_due().filter(|_| !key.soft_deleted);
    let known = edit.named::<Rotating>(0, name).await?.map(|rotating| rotating.due);
    match due {
        Some(due) if known != Some(due) => edit.put_named(0, name, &Rotating { due })?,
        None if known.is_some() => edit.delete_named::<Rotating>(0, name),
        _ => {}
    }
    Ok(())
}

/// Removes a key for good, with all that is known of it.
pub async fn remove(edit: &WriteView<'_>, name: &str, key: &Key) -> Result<()> {
    for row in key.rows() {
        edit.delete_row(rows::VALUES, row);
    }
    edit.delete_named::<Key>(0, name);
    edit.delete_named::<Rotating>(0, name);
    aws_stored::forget(edit, name, key).await
}

/// A key to be changed, with its turn among those who change it.
pub async fn to_change(cx: &mut WriteCx<'_>, name: &str, missing: Error) -> Result<Key> {
    cx.queue(name).await;
    cx.edit().named::<Key>(0, name).await?.ok_or(missing)
}

/// Makes a key that is not there.
async fn make(cx: &WriteCx<'_>, name: &str, new: &NewKey) -> Result<Arc<Ring>> {
    names::check(name)?;
    new.kind.check_derivation(new.derivation != Derivation::None, new.convergent)?;
    make_as(cx, name, new.key()).await
}

/// Makes the first version of a key with these settings, and saves it.
pub async fn make_as(cx: &WriteCx<'_>, name: &str, mut key: Key) -> Result<Arc<Ring>> {
    let edit = cx.edit();
    let version = generate(cx, key.kind, key.key_size).await?;
    append(&edit, &mut key, &version)?;
    save(cx, name, &mut key).await?;
    Ok(Arc::new(Ring::new(key)))
}

/// Makes a key in passing; none where the mount forbids that.
pub async fn upsert(cx: &WriteCx<'_>, name: &str, new: NewKey) -> Result<Option<Arc<Ring>>> {
    let settings = cx.view().cached::<Settings>(0, "").await?;
    if settings.is_some_and(|settings| settings.disable_upsert) {
        return Ok(None);
    }
    make(cx, name, &new).await.map(Some)
}

/// Bytes of an HMAC key that may be asked for.
fn key_size(kind: Kind, asked: Option<i64>) -> Result<usize> {
    match (kind, asked.filter(|size| *size != 0)) {
        (Kind::Hmac, None) => Ok(HMAC_KEY_BYTES_MIN),
        (Kind::Hmac, Some(size)) => usize::try_from(size)
            .ok()
            .filter(|size| (HMAC_KEY_BYTES_MIN..=HMAC_KEY_BYTES_MAX).contains(size))
            .ok_or_else(|| Error::bad_request(format!("invalid key_size {size}"))),
        (_, None) => Ok(0),
        (kind, Some(_)) => {
            let name = kind.name();
            Err(Error::bad_request(format!("key_size is not valid for algorithm {name}")))
        }
    }
}

impl Query<ListKeys> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ListKeys) -> Result<Reply<Keys>> {
        lists::of_records::<Key>(cx, 0, op.after.as_deref(), op.limit).await
    }
}

impl Command<CreateKey> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: CreateKey) -> Result<Reply<Json>> {
        let auto_rotate = auto_rotate_seconds(op.auto_rotate_period)?.unwrap_or(0);
        let (derived, convergent) =
            (op.derived.unwrap_or(false), op.convergent_encryption.unwrap_or(false));
        if convergent && !derived {
            return Err(Error::bad_request(
                "convergent encryption requires derivation to be enabled",
            ));
        }
        let kind = op.r#type.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_NAME);
        let kind = Kind::asked(kind, op.parameter_set.as_deref())?;
        let new = NewKey {
            exportable: op.exportable.unwrap_or(false),
            allow_plaintext_backup: op.allow_plaintext_backup.unwrap_or(false),
            auto_rotate_seconds: auto_rotate,
            key_size: key_size(kind, op.key_size)?,
            ..NewKey::plain(
                kind,
                if derived { Derivation::Hkdf } else { Derivation::None },
                convergent,
            )
        };
        cx.queue(&op.name).await;
        let (ring, warning) = match Ring::find(&cx.view(), &op.name).await? {
            Some(ring) => (ring, Some(format!("key {} already existed", op.name))),
            None => (make(cx, &op.name, &new).await?, None),
        };
        let shown = show(cx, &op.name, &ring, None).await?;
        Ok(Reply::data(shown).warnings(warning.into_iter().collect()))
    }
}

impl Query<ReadKey> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadKey) -> Result<Reply<Json>> {
        let ring = Ring::find(&cx.view(), &op.name).await?.ok_or_else(Error::not_found)?;
        let context = given(op.context.as_ref())
            .map_err(|_| Error::bad_request("failed to base64-decode context"))?;
        Ok(Reply::data(show(cx, &op.name, &ring, context).await?))
    }
}

impl Command<DeleteKey> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteKey) -> Result<Reply<()>> {
        let failed =
            |why: &str| Error::bad_request(format!("error deleting policy {}: {why}", op.name));
        let missing = failed("could not delete key; not found");
        let key = to_change(cx, &op.name, missing).await?;
        if !key.deletion_allowed {
            return Err(failed("deletion is not allowed for this key"));
        }
        remove(&cx.edit(), &op.name, &key).await?;
        Ok(Reply::none())
    }
}

/// Sets whether a key is out of use.
async fn set_soft_deleted(cx: &mut WriteCx<'_>, name: &str, deleted: bool) -> Result<Reply<Json>> {
    let mut key = to_change(cx, name, Error::not_found()).await?;
    if !deleted && !key.deletion.is_zero() {
        return Err(key.is_to_be_deleted());
    }
    let warning = match (key.soft_deleted == deleted, deleted) {
        (true, true) => Some("key was already marked as soft deleted"),
        (true, false) => Some("key was already restored"),
        _ => None,
    };
    key.soft_deleted = deleted;
    save(cx, name, &mut key).await?;
    let shown = show(cx, name, &Ring::new(key), None).await?;
    Ok(Reply::data(shown).warnings(warning.map(str::to_owned).into_iter().collect()))
}

impl Command<SoftDelete> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SoftDelete) -> Result<Reply<Json>> {
        set_soft_deleted(cx, &op.name, true).await
    }
}

impl Command<SoftDeleteRestore> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: SoftDeleteRestore) -> Result<Reply<Json>> {
        set_soft_deleted(cx, &op.name, false).await
    }
}
