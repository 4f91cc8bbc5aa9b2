//! What is set for a key (`config`), for the mount (`config/keys`, `cache-config`), and the life of
//! versions: `rotate`, by hand or by itself, and `trim`.

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, ErrorKind, Json, Result, Ttl, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reconcile, Reply, WriteCx, ops};
use strongroom_kernel::record::rows;

use super::Transit;
use super::aws;
use super::key::{Key, Rotating, Settings};
use super::keys::{append, auto_rotate_seconds, save, to_change};
use super::limits::{CACHE_KEYS_MIN, ROTATING_PAGE, ROTATIONS_MAX};
use super::material::generate;
use super::ring::Ring;
use super::shown::show;

fields! {
    /// Changes a key's settings. What is not said stays as it was.
    pub struct ConfigureKey {
        /// The key's name.
        name: String,
        /// The oldest version that decrypts and verifies.
        min_decryption_version: Option<i64>,
        /// The oldest version that encrypts and signs; 0 sets no bound.
        min_encryption_version: Option<i64>,
        /// May the key be deleted?
        deletion_allowed: Option<bool>,
        /// May it be exported? This cannot be taken back.
        exportable: Option<bool>,
        /// May it be backed up as it is? This cannot be taken back.
        allow_plaintext_backup: Option<bool>,
        /// After how long it is rotated by itself; 0 is never.
        auto_rotate_period: Option<Ttl>,
    }
}
fields! {
    /// Makes a new version of a key, with which is encrypted and signed from now on.
    pub struct Rotate {
        /// The key's name.
        name: String,
    }
}
fields! {
    /// Removes old versions of a key for good.
    pub struct Trim {
        /// The key's name.
        name: String,
        /// The oldest version that is kept.
        min_available_version: Option<i64>,
    }
}
fields! {
    /// Shows what is set for all keys.
    pub struct ReadKeysConfig {}
}
fields! {
    /// Sets something for all keys.
    pub struct ConfigureKeys {
        /// Does encrypting with a key that is not there fail, whatever the caller may do?
        disable_upsert: Option<bool>,
    }
}
fields! {
    /// Shows the size of the cache.
    pub struct ReadCacheConfig {}
}
fields! {
    /// Sets the size of the cache.
    pub struct ConfigureCache {
        /// Keys; 0 (where nothing is said) sets no bound.
        size: Option<i64>,
    }
}

ops! {
    ConfigureKey Json, Write;
    Rotate Json, Write;
    Trim Json, Write;
    ReadKeysConfig Json, Read;
    ConfigureKeys Json, Write;
    ReadCacheConfig Json, Read;
    ConfigureCache Json, Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<ConfigureKey>("keys/{name}/config")
        .command::<Rotate>("keys/{name}/rotate")
        .command::<Trim>("keys/{name}/trim")
        .query::<ReadKeysConfig>("config/keys")
        .command::<ConfigureKeys>("config/keys")
        .query::<ReadCacheConfig>("cache-config")
        .command::<ConfigureCache>("cache-config")
        .reconciles(60)
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// A key just changed, as it is shown.
async fn shown(cx: &WriteCx<'_>, name: &str, key: Key) -> Result<Reply<Json>> {
    Ok(Reply::data(show(cx, name, &Ring::new(key), None).await?))
}

/// Sets the bounds of versions that a request names.
fn set_bounds(key: &mut Key, op: &ConfigureKey) -> Result<Option<&'static str>> {
    let latest = key.latest();
    let bound = |asked: i64, what: &str| {
        let asked = u64::try_from(asked)
            .map_err(|_| wrong(format!("min {what} version cannot be negative")))?;
        if asked > latest {
            return Err(wrong(format!(
                "cannot set min {what} version of {asked}, latest key version is {latest}"
            )));
        }
        Ok(asked)
    };
    let mut warning = None;
    if let Some(asked) = op.min_decryption_version {
        let asked = bound(asked, "decryption")?;
        if asked == 0 {
            warning = Some("transit key numbering starts at 1; forcing minimum to 1");
        }
        key.min_decryption_version = asked.max(1);
    }
    if let Some(asked) = op.min_encryption_version {
        key.min_encryption_version = bound(asked, "encryption")?;
    }
    let (decryption, encryption) = (key.min_decryption_version, key.min_encryption_version);
    if encryption > 0 && encryption < decryption {
        return Err(wrong(format!(
            "cannot set min encryption/decryption values; min encryption version of {encryption} \
             must be greater than or equal to min decryption version of {decryption}"
        )));
    }
    if key.min_available_version > encryption {
        return Err(wrong("min encryption version should not be less than min available version"));
    }
    if key.min_available_version > decryption {
        return Err(wrong("min decryption version should not be less then min available version"));
    }
    Ok(warning)
}

impl Command<ConfigureKey> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ConfigureKey) -> Result<Reply<Json>> {
        let missing = wrong(format!("no existing key named {} could be found", op.name));
        let mut key = to_change(cx, &op.name, missing).await?;
        let warning = set_bounds(&mut key, &op)?;
        key.deletion_allowed = op.deletion_allowed.unwrap_or(key.deletion_allowed);
        key.exportable |= op.exportable.unwrap_or(false);
        key.allow_plaintext_backup |= op.allow_plaintext_backup.unwrap_or(false);
        if let Some(seconds) = auto_rotate_seconds(op.auto_rotate_period)? {
            key.auto_rotate_seconds = seconds;
        }
        save(cx, &op.name, &mut key).await?;
        let reply = shown(cx, &op.name, key).await?;
        Ok(reply.warnings(warning.map(str::to_owned).into_iter().collect()))
    }
}

/// Why a key is rotated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Somebody asks for it.
    Hand,
    /// Its period is over.
    Period,
}

/// Adds a version to a key and saves it.
pub async fn rotate(cx: &WriteCx<'_>, name: &str, key: &mut Key, cause: Cause) -> Result<()> {
    key.in_use()?;
    if key.imported && !key.allow_rotation {
        return Err(wrong(format!("imported key {name} does not allow rotation within Vault")));
    }
    let edit = cx.edit();
    let version = generate(cx, key.kind, key.key_size).await?;
    append(&edit, key, &version)?;
    if cause == Cause::Period {
        key.rotated_by_itself();
    }
    // What is made here is no longer what came from outside.
    key.imported = false;
    save(cx, name, key).await
}

impl Command<Rotate> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Rotate) -> Result<Reply<Json>> {
        let mut key = to_change(cx, &op.name, wrong("key not found")).await?;
        rotate(cx, &op.name, &mut key, Cause::Hand).await?;
        shown(cx, &op.name, key).await
    }
}

/// The oldest version that a key may be trimmed to.
fn trimmed_to(key: &Key, asked: Option<i64>) -> Result<u64> {
    let asked = asked.ok_or_else(|| wrong("missing min_available_version"))?;
    let asked =
        u64::try_from(asked).map_err(|_| wrong("minimum available version cannot be negative"))?;
    let why = match asked {
        _ if asked < key.min_available_version => "cannot be decremented",
        _ if key.min_encryption_version == 0 => {
            "cannot be set when minimum encryption version is not set"
        }
        _ if asked > key.min_encryption_version => {
            "cannot be greater than minmum encryption version"
        }
        _ if asked > key.min_decryption_version => {
            "cannot be greater than minimum decryption version"
        }
        0 => "should be positive",
        _ => return Ok(asked),
    };
    Err(wrong(format!("minimum available version {why}")))
}

impl Command<Trim> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Trim) -> Result<Reply<Json>> {
        let mut key = to_change(cx, &op.name, wrong("invalid key name")).await?;
        key.min_available_version = trimmed_to(&key, op.min_available_version)?;
        let edit = cx.edit();
        for row in key.trim(key.min_available_version) {
            edit.delete_row(rows::VALUES, row);
        }
        save(cx, &op.name, &mut key).await?;
        shown(cx, &op.name, key).await
    }
}

/// Names of keys whose time has come, at most so many. Others may change the table meanwhile.
async fn due(cx: &WriteCx<'_>, most: usize) -> Result<Vec<String>> {
    let (edit, now) = (cx.edit(), cx.now());
    let (mut names, mut cursor) = (Vec::new(), Vec::new());
    loop {
        let (page, next) = edit.peek::<Rotating>(0, &cursor, ROTATING_PAGE).await?;
        let due = page.into_iter().filter(|(_, rotating)| rotating.due <= now);
        names.extend(due.map(|(name, _)| name));
        match next {
            Some(next) if names.len() < most => cursor = next,
            _ => return Ok(names),
        }
    }
}

/// Rotates keys whose time has come: some, or one that is slow to make. True where more are left.
async fn rotate_due(cx: &WriteCx<'_>) -> Result<bool> {
    let edit = cx.edit();
    for (done, name) in due(cx, ROTATIONS_MAX + 1).await?.into_iter().enumerate() {
        let Some(mut key) = edit.named::<Key>(0, &name).await? else {
            edit.delete_named::<Rotating>(0, &name);
            continue;
        };
        if done >= ROTATIONS_MAX || done > 0 && key.kind.is_slow_to_make() {
            return Ok(true);
        }
        if key.rotation_due().is_none_or(|due| due > cx.now()) || key.soft_deleted {
            save(cx, &name, &mut key).await?;
            continue;
        }
        let is_slow = key.kind.is_slow_to_make();
        match rotate(cx, &name, &mut key, Cause::Period).await {
            Ok(()) if is_slow => return Ok(true),
            Ok(()) => {}
            // It has as many versions as a key may have: it is tried again once it is changed.
            Err(e) if e.kind == ErrorKind::BadRequest => {
                edit.delete_named::<Rotating>(0, &name);
            }
            Err(e) => return Err(e),
        }
    }
    Ok(false)
}

impl Reconcile for Transit {
    /// Rotates and deletes keys whose time has come, and gives ids to those that have none.
    async fn reconcile(&self, cx: &mut WriteCx<'_>) -> Result<bool> {
        let more = rotate_due(cx).await?;
        let more = aws::delete_due(cx).await? || more;
        Ok(aws::identify_all(cx).await? || more)
    }
}

/// What is set for the mount.
async fn settings(cx: &ReadCx<'_>) -> Result<Arc<Settings>> {
    Ok(cx.view().cached::<Settings>(0, "").await?.unwrap_or_default())
}

fn shown_keys(settings: &Settings) -> Reply<Json> {
    Reply::data(json!({ "disable_upsert": settings.disable_upsert }))
}

impl Query<ReadKeysConfig> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadKeysConfig) -> Result<Reply<Json>> {
        Ok(shown_keys(&*settings(cx).await?))
    }
}

impl Command<ConfigureKeys> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ConfigureKeys) -> Result<Reply<Json>> {
        let mut all = (*settings(cx).await?).clone();
        all.disable_upsert = op.disable_upsert.unwrap_or(false);
        cx.edit().put_named(0, "", &all)?;
        Ok(shown_keys(&all))
    }
}

impl Query<ReadCacheConfig> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadCacheConfig) -> Result<Reply<Json>> {
        Ok(Reply::data(json!({ "size": settings(cx).await?.cache_size })))
    }
}

impl Command<ConfigureCache> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ConfigureCache) -> Result<Reply<Json>> {
        let size = op.size.unwrap_or(0);
        if size != 0 && size < CACHE_KEYS_MIN {
            return Err(wrong(format!(
                "size must be 0 or a value greater or equal to {CACHE_KEYS_MIN}"
            )));
        }
        let mut all = (*settings(cx).await?).clone();
        all.cache_size = size;
        cx.edit().put_named(0, "", &all)?;
        Ok(Reply::data(json!({ "size": size })).warn(
            "The size is kept for clients that ask for it: the memory of keys is bounded by itself.",
        ))
    }
}
