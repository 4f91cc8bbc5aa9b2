//! `Encrypt`, `Decrypt`, `ReEncrypt`, `GenerateDataKey`, its form without plaintext, `GenerateRandom`
//! (API pages of those names). None of them writes.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Json, JsonMap, RawFields, Result, SecretBytes, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{EngineSpec, Need, Protocol, Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;
use strongroom_kernel::record::ReadView;

use super::super::Transit;
use super::super::encoding::{Encoded, encode};
use super::super::key::Key;
use super::super::limits::{KMS_RANDOM_BYTES_MAX, PLAINTEXT_BYTES_MAX};
use super::super::ring::Loaded;
use super::blob::{Blob, Ciphertext, hex, seal};
use super::context::{Context, canonical, keys_of};
use super::find::{
    self, DATA_KEY, DECRYPT, ENCRYPT, Found, Keys, REWRAP, Right, WRAPPED_KEY, find, find_seen,
    in_use, missing,
};

fields! {
    /// Encrypts up to 4096 bytes.
    pub struct Encrypt {
        /// The key's id, or an alias.
        key: String,
        /// The plaintext, base64.
        plaintext: Option<Encoded>,
        /// What is authenticated with it.
        context: Context,
        /// Is only asked whether it would be done?
        dry_run: Option<bool>,
    }
}
fields! {
    /// Decrypts what encrypt or a data key gave.
    pub struct Decrypt {
        /// The key's id, or an alias; the ciphertext's own where nothing is said.
        key: Option<String>,
        /// The id of the ciphertext's own key, so that the audit log names it.
        own: Option<String>,
        /// The ciphertext, base64.
        ciphertext: Option<Ciphertext>,
        /// What was authenticated with it.
        context: Context,
        /// Is only asked whether it would be done?
        dry_run: Option<bool>,
    }
}
fields! {
    /// Encrypts a ciphertext anew, under another key or context, without showing what it holds.
    pub struct ReEncrypt {
        /// The new key's id, or an alias.
        key: String,
        /// The old key's id, or an alias; the ciphertext's own where nothing is said.
        source_key: Option<String>,
        /// The ciphertext, base64.
        ciphertext: Option<Ciphertext>,
        /// What was authenticated with it.
        source_context: Context,
        /// What is authenticated with it from now on.
        context: Context,
        /// Is only asked whether it would be done?
        dry_run: Option<bool>,
    }
}
fields! {
    /// Which data key is asked for.
    pub struct DataKey {
        /// The key's id, or an alias.
        key: String,
        /// How many bytes: 1 to 1024.
        bytes: Option<i64>,
        /// What is authenticated with them.
        context: Context,
        /// Is only asked whether it would be done?
        dry_run: Option<bool>,
    }
}
fields! {
    /// Makes random bytes, encrypts them, and shows both.
    pub struct MakeDataKey {
        ..asked: DataKey;
    }
}
fields! {
    /// Makes random bytes, and shows them encrypted alone.
    pub struct MakeWrappedKey {
        ..asked: DataKey;
    }
}
fields! {
    /// Gives random bytes.
    pub struct MakeRandom {
        /// How many: 1 to 1024.
        bytes: Option<i64>,
    }
}

ops! {
    Encrypt Json, Write, Needs;
    Decrypt Json, Write, Needs;
    ReEncrypt Json, Write, Needs;
    MakeDataKey Json, Write, Needs;
    MakeWrappedKey Json, Write, Needs;
    MakeRandom Json, Write, Needs;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.query::<Encrypt>("aws/encrypt/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/encrypt/{key..}", find::asked_within)
        .query::<Decrypt>("aws/decrypt")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/decrypt", find::asked_within)
        .query::<Decrypt>("aws/decrypt-own/{own}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/decrypt-own/{own}", find::asked_within)
        .query::<Decrypt>("aws/decrypt/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/decrypt/{key..}", find::asked_within)
        .query::<ReEncrypt>("aws/re-encrypt/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/re-encrypt/{key..}", find::asked_within)
        .query::<MakeDataKey>("aws/data-key/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/data-key/{key..}", find::asked_within)
        .query::<MakeWrappedKey>("aws/wrapped-key/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/wrapped-key/{key..}", find::asked_within)
        .query::<MakeRandom>("aws/random")
        .only_for(Protocol::Aws)
        .needs("aws/random", needs_of_random)
}

fn needs_of_random(
    mount: &Mount,
    _: &[(&'static str, String)],
    _: &RawFields,
) -> Result<Vec<Need>> {
    Ok(vec![Need::new(format!("{}random", mount.path), Capability::Update)])
}

fn invalid(text: impl Into<String>) -> Error {
    Error::bad_request(text).called("ValidationException")
}

/// What a blob is told that does not open, whatever the reason.
fn unauthentic() -> Error {
    Error::bad_request("the ciphertext or its encryption context is not what was encrypted")
        .called("InvalidCiphertextException")
}

/// What a caller is told whose blob names a key that is not here, or is not for him to decrypt with.
fn unreachable() -> Error {
    Error::new(
        ErrorKind::PermissionDenied,
        "The ciphertext refers to a customer master key that does not exist, does not exist in this \
         region, or you are not allowed to access.",
    )
    .called("AccessDeniedException")
}

fn check_dry_run(dry_run: Option<bool>) -> Result<()> {
    if dry_run != Some(true) {
        return Ok(());
    }
    let text = "The request would have succeeded, but the DryRun option is set.";
    Err(Error::bad_request(text).called("DryRunOperationException"))
}

/// A base64 field's bytes.
fn bytes<'f>(field: Option<&'f Encoded>, name: &str) -> Result<&'f [u8]> {
    let field = field.ok_or_else(|| invalid(format!("{name} is missing")))?;
    field.bytes().map_err(|_| invalid(format!("{name} is not in base64")))
}

/// What tells one version's secret from all others, and nothing of it.
pub(super) fn material(view: &ReadView<'_>, key: &Key, version: u64) -> String {
    let version = version.to_be_bytes();
    hex(&view.digest_of(&[b"kms material", &key.id.to_be_bytes(), &version]))
}

/// Encrypts with the latest version of a key.
async fn sealed(cx: &ReadCx<'_>, found: &Found, context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let version = found.ring.load(&cx.view(), found.key().latest()).await?;
    seal(found.id(), &version, context, plain, cx.rng())
}

/// The version of a key that a blob names; a blob of one that is no more in use does not open.
async fn version_of(cx: &ReadCx<'_>, found: &Found, blob: &Blob<'_>) -> Result<Arc<Loaded>> {
    if !found.key().usable().contains(&blob.version) {
        return Err(unauthentic());
    }
    found.ring.load(&cx.view(), blob.version).await
}

/// The key of a ciphertext: the one that is named beside it, or its own.
async fn key_of(
    cx: &ReadCx<'_>,
    asked: Option<&str>,
    blob: Option<&Blob<'_>>,
    right: Right,
    seen: &Keys,
) -> Result<Found> {
    let found = match (asked, blob) {
        (Some(asked), _) => {
            find_seen(cx, asked, right, seen).await?.ok_or_else(|| missing(cx, asked))?
        }
        // What tells whether there is such a key is told to nobody who might not know it.
        (None, Some(blob)) => match find_seen(cx, &blob.key.text(), right, seen).await {
            Ok(found) => found.ok_or_else(unreachable)?,
            Err(e) if e.kind == ErrorKind::PermissionDenied => {
                return Err(Error { public: unreachable().public, ..e });
            }
            Err(e) => return Err(e),
        },
        // What names no key is told so to those who may do it with any key.
        (None, None) => {
            right.check(cx, "").map_err(|e| Error { public: unreachable().public, ..e })?;
            return Err(unauthentic());
        }
    };
    match blob {
        None => Err(unauthentic()),
        Some(blob) if blob.key == found.id() => Ok(found),
        Some(_) => Err(Error::bad_request(
            "The key ID in the request does not identify a CMK that can perform this operation.",
        )
        .called("IncorrectKeyException")),
    }
}

fn reply(members: JsonMap) -> Result<Reply<Json>> {
    Ok(Reply::data(Json::Object(members)))
}

/// The members that every answer has: the key's id, and which secret of it was used.
fn about(cx: &ReadCx<'_>, key: &Key, version: u64) -> JsonMap {
    JsonMap::from_iter([
        ("key_id".to_owned(), Json::String(key.kms_id().text())),
        ("material".to_owned(), Json::String(material(&cx.view(), key, version))),
    ])
}

impl Query<Encrypt> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: Encrypt) -> Result<Reply<Json>> {
        let found = find(cx, &op.key, ENCRYPT).await?;
        let plaintext = bytes(op.plaintext.as_ref(), "plaintext")?;
        if !(1..=PLAINTEXT_BYTES_MAX).contains(&plaintext.len()) {
            return Err(invalid(format!(
                "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: \
                 Member must have length between 1 and {PLAINTEXT_BYTES_MAX}"
            )));
        }
        let context = canonical(&op.context)?;
        in_use(cx, found.key())?;
        check_dry_run(op.dry_run)?;
        let blob = sealed(cx, &found, &context, plaintext).await?;
        let mut members = about(cx, found.key(), found.key().latest());
        members.insert("ciphertext".to_owned(), Json::String(encode(&blob)));
        reply(members)
    }
}

impl Query<Decrypt> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: Decrypt) -> Result<Reply<Json>> {
        let blob = op.ciphertext.as_ref().and_then(Ciphertext::bytes);
        let is_own = |blob: &Blob<'_>| op.own.as_ref().is_none_or(|own| *own == blob.key.text());
        let blob = blob.and_then(Blob::read).filter(is_own);
        let found = key_of(cx, op.key.as_deref(), blob.as_ref(), DECRYPT, &[]).await?;
        let blob = blob.ok_or_else(unauthentic)?;
        let context = canonical(&op.context)?;
        in_use(cx, found.key())?;
        let version = version_of(cx, &found, &blob).await?;
        let plaintext = blob.open(&version, &context)?.ok_or_else(unauthentic)?;
        check_dry_run(op.dry_run)?;
        let mut members = about(cx, found.key(), blob.version);
        let plaintext = Json::String(encode(plaintext.expose_secret()));
        members.insert("plaintext".to_owned(), plaintext);
        reply(members)
    }
}

/// What AWS calls the two halves of a re-encryption.
const FROM: &str = "kms:ReEncryptFrom";
const TO: &str = "kms:ReEncryptTo";

/// The keys of a re-encryption: the old one and the new one. What the one decrypts the other encrypts;
/// where they are one, it is enough that it may be rewrapped, as at Vault's door.
async fn pair_of(
    cx: &ReadCx<'_>,
    op: &ReEncrypt,
    blob: Option<&Blob<'_>>,
) -> Result<(Found, Found)> {
    let (before, after) = (keys_of(&op.source_context), keys_of(&op.context));
    if let Some(blob) = blob
        && let Some(new) = may_rewrap(cx, &op.key, REWRAP.called(TO), &after).await?
        && let asked = op.source_key.as_ref().unwrap_or(&op.key)
        && let Some(old) = may_rewrap(cx, asked, REWRAP.called(FROM), &before).await?
        && blob.key == new.id()
        && old.id() == new.id()
    {
        return Ok((old, new));
    }
    let old = key_of(cx, op.source_key.as_deref(), blob, DECRYPT.called(FROM), &before).await?;
    let new = find_seen(cx, &op.key, ENCRYPT.called(TO), &after).await?;
    Ok((old, new.ok_or_else(|| missing(cx, &op.key))?))
}

/// The key that is called `asked`, if there is one and the caller may rewrap with it.
async fn may_rewrap(
    cx: &ReadCx<'_>,
    asked: &str,
    right: Right,
    seen: &Keys,
) -> Result<Option<Found>> {
    match find_seen(cx, asked, right, seen).await {
        Err(e) if e.kind == ErrorKind::PermissionDenied => Ok(None),
        found => found,
    }
}

impl Query<ReEncrypt> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ReEncrypt) -> Result<Reply<Json>> {
        let blob = op.ciphertext.as_ref().and_then(Ciphertext::bytes);
        let blob = blob.and_then(Blob::read);
        let (old, new) = pair_of(cx, &op, blob.as_ref()).await?;
        let blob = blob.ok_or_else(unauthentic)?;
        let (before, after) = (canonical(&op.source_context)?, canonical(&op.context)?);
        in_use(cx, old.key())?;
        in_use(cx, new.key())?;
        let version = version_of(cx, &old, &blob).await?;
        let plaintext = blob.open(&version, &before)?.ok_or_else(unauthentic)?;
        check_dry_run(op.dry_run)?;
        let again = sealed(cx, &new, &after, plaintext.expose_secret()).await?;
        let mut members = about(cx, new.key(), new.key().latest());
        members.insert("ciphertext".to_owned(), Json::String(encode(&again)));
        members.insert("source_key_id".to_owned(), Json::String(old.id().text()));
        let material = material(&cx.view(), old.key(), blob.version);
        members.insert("source_material".to_owned(), Json::String(material));
        reply(members)
    }
}

/// A data key, and its answer without the plaintext.
async fn data_key(
    cx: &ReadCx<'_>,
    asked: &DataKey,
    right: Right,
) -> Result<(SecretBytes, JsonMap)> {
    let found = find(cx, &asked.key, right).await?;
    let plaintext = random(cx, asked.bytes)?;
    let context = canonical(&asked.context)?;
    in_use(cx, found.key())?;
    check_dry_run(asked.dry_run)?;
    let blob = sealed(cx, &found, &context, plaintext.expose_secret()).await?;
    let mut members = about(cx, found.key(), found.key().latest());
    members.insert("ciphertext".to_owned(), Json::String(encode(&blob)));
    Ok((plaintext, members))
}

impl Query<MakeDataKey> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: MakeDataKey) -> Result<Reply<Json>> {
        let (plaintext, mut members) = data_key(cx, &op.asked, DATA_KEY).await?;
        let plaintext = Json::String(encode(plaintext.expose_secret()));
        members.insert("plaintext".to_owned(), plaintext);
        reply(members)
    }
}

impl Query<MakeWrappedKey> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: MakeWrappedKey) -> Result<Reply<Json>> {
        let (_, members) = data_key(cx, &op.asked, WRAPPED_KEY).await?;
        reply(members)
    }
}

/// So many random bytes.
fn random(cx: &ReadCx<'_>, asked: Option<i64>) -> Result<SecretBytes> {
    let asked = asked.filter(|bytes| (1..=KMS_RANDOM_BYTES_MAX).contains(bytes));
    let asked = asked.and_then(|bytes| usize::try_from(bytes).ok()).ok_or_else(|| {
        invalid(format!("the number of bytes must be between 1 and {KMS_RANDOM_BYTES_MAX}"))
    })?;
    let mut bytes = vec![0; asked];
    cx.rng().fill(&mut bytes);
    Ok(SecretBytes::new(bytes))
}

impl Query<MakeRandom> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: MakeRandom) -> Result<Reply<Json>> {
        let bytes = random(cx, op.bytes)?;
        let bytes = Json::String(encode(bytes.expose_secret()));
        reply(JsonMap::from_iter([("plaintext".to_owned(), bytes)]))
    }
}
