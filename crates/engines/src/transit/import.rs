//! Keys from outside: `wrapping_key`, `keys/NAME/import` and `keys/NAME/import_version`.
//!
//! A private key comes wrapped (PKCS#11's CKM_RSA_AES_KEY_WRAP): an AES key under the mount's own RSA
//! key, and behind it the key under the AES key. A public key comes as it is.

use std::sync::Arc;

use serde_json::json;
use strongroom_base::{Error, ErrorKind, Json, Result, SecretBytes, Ttl, fields};
use strongroom_crypto::keys::{Hash, KeyType, OaepKey, PrivateKey, PublicKey};
use strongroom_crypto::keywrap;
use strongroom_crypto::ml_dsa::MlDsaKey;
use strongroom_crypto::ml_kem::MlKemKey;
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, names, ops};
use strongroom_kernel::record::rows;

use super::Transit;
use super::encoding::{Encoded, given};
use super::key::{Derivation, Key, Version, WrappingKey};
use super::keys::{append, auto_rotate_seconds, save, to_change};
use super::kind::{DEFAULT_NAME, Kind};
use super::limits::{HMAC_KEY_BYTES_MAX, HMAC_KEY_BYTES_MIN};
use super::material::{generate_pair, take_ml_dsa, take_ml_kem, take_pair};
use super::ring::{Ring, stored};

fields! {
    /// Shows the public key under which keys are wrapped to be imported here; the first reading makes
    /// it.
    pub struct ReadWrappingKey {}
}
fields! {
    /// Makes a key of one that comes from outside.
    pub struct Import {
        /// The key's name.
        name: String,
        /// Its type; aes256-gcm96 where nothing is said.
        r#type: Option<String>,
        /// The parameters of a key of type ml-dsa (44, 65 or 87) or ml-kem (512, 768 or 1024).
        parameter_set: Option<String>,
        /// The hash of OAEP: SHA256 (where nothing is said), SHA1, SHA384 or SHA512.
        hash_function: Option<String>,
        /// The wrapped key, base64.
        ciphertext: Option<Encoded>,
        /// In place of the wrapped key: a public key in PEM, which encrypts and verifies only.
        public_key: Option<String>,
        /// May it be rotated here?
        allow_rotation: Option<bool>,
        /// Is a key derived of it for each context?
        derived: Option<bool>,
        /// Not for imported keys.
        convergent_encryption: Option<Json>,
        /// May it be exported?
        exportable: Option<bool>,
        /// May it be backed up as it is?
        allow_plaintext_backup: Option<bool>,
        /// For show only, as in the peer.
        context: Option<String>,
        /// After how long it is rotated by itself; 0 is never.
        auto_rotate_period: Option<Ttl>,
    }
}
fields! {
    /// Makes a new version of an imported key, or gives a version its private half.
    pub struct ImportVersion {
        /// The key's name.
        name: String,
        /// The hash of OAEP: SHA256 (where nothing is said), SHA1, SHA384 or SHA512.
        hash_function: Option<String>,
        /// The wrapped key, base64.
        ciphertext: Option<Encoded>,
        /// In place of the wrapped key: a public key in PEM.
        public_key: Option<String>,
        /// The version that gets its private half.
        version: Option<i64>,
    }
}

ops! {
    ReadWrappingKey Json, Read;
    Import (), Write;
    ImportVersion (), Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<ReadWrappingKey>("wrapping_key")
        .command::<Import>("keys/{name}/import")
        .command::<ImportVersion>("keys/{name}/import_version")
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// The hash of OAEP by its name.
pub fn oaep_hash(name: Option<&str>) -> Result<Hash> {
    match name.unwrap_or("SHA256").to_uppercase().as_str() {
        "SHA1" => Ok(Hash::Sha1),
        "" | "SHA256" => Ok(Hash::Sha256),
        "SHA384" => Ok(Hash::Sha384),
        "SHA512" => Ok(Hash::Sha512),
        "SHA224" => Err(wrong("the hash function SHA224 is not supported: use SHA256")),
        _ => Err(wrong("unknown hash function")),
    }
}

/// Bytes of what the wrapping key encrypts: as many as its modulus has.
const WRAPPED_AES_BYTES: usize = 512;

/// A mount's wrapping key, ready for use.
struct Unwrapping {
    public: PublicKey,
    key: OaepKey,
}

impl Unwrapping {
    fn of(pair: &PrivateKey) -> Result<Self> {
        Ok(Self { public: pair.public()?, key: OaepKey::new(pair)? })
    }
}

/// The mount's wrapping key, if it was made.
async fn wrapping_key(cx: &WriteCx<'_>) -> Result<Option<Arc<Unwrapping>>> {
    let prepare =
        |stored: WrappingKey| Unwrapping::of(&PrivateKey::from_pkcs8_der(&stored.secret)?);
    cx.view().prepared::<WrappingKey, Unwrapping>(0, "", prepare).await
}

/// Makes the mount's wrapping key.
async fn make_wrapping_key(cx: &WriteCx<'_>) -> Result<Arc<Unwrapping>> {
    let pair = generate_pair(cx, KeyType::Rsa(4_096)).await?;
    let stored = WrappingKey { secret: pair.to_pkcs8_der().expose_secret().clone() };
    cx.edit().put_named(0, "", &stored)?;
    Ok(Arc::new(Unwrapping::of(&pair)?))
}

/// What a request brings.
enum Brought {
    /// The bytes of a symmetric key, or a private key in PKCS#8.
    Secret(SecretBytes),
    /// A public key.
    Public(PublicKey),
}

async fn brought(
    cx: &WriteCx<'_>,
    kind: Kind,
    hash: Option<&str>,
    ciphertext: Option<&Encoded>,
    public_key: Option<&str>,
) -> Result<Brought> {
    if ciphertext.is_none() {
        if !matches!(kind, Kind::Pair(_)) {
            return Err(wrong("provided type does not support public_key import"));
        }
        let key = PublicKey::from_pem(public_key.unwrap_or_default());
        return key
            .map(Brought::Public)
            .map_err(|e| wrong(format!("error parsing public key: {}", e.public.join("; "))));
    }
    let hash = oaep_hash(hash)?;
    let ciphertext = given(ciphertext).map_err(wrong)?.unwrap_or_default();
    let (wrapped_aes, wrapped) = ciphertext
        .split_at_checked(WRAPPED_AES_BYTES)
        .filter(|(_, wrapped)| !wrapped.is_empty())
        .ok_or_else(|| wrong("provided ciphertext is too short"))?;
    // What is wrong with it is told to nobody. Before there is a key, nobody can have used it.
    let failed = || wrong("the ciphertext could not be unwrapped with this mount's wrapping key");
    let unwrapping = wrapping_key(cx).await?.ok_or_else(failed)?;
    let aes = unwrapping.key.decrypt(hash, wrapped_aes)?.ok_or_else(failed)?;
    let aes = aes.expose_secret().as_slice().try_into();
    let aes = aes.map_err(|_| wrong("expected ephemeral AES key to be 256-bit"))?;
    keywrap::unwrap(aes, wrapped).map(Brought::Secret).ok_or_else(failed)
}

/// Refuses a key that is of another type than it should be.
fn check_kind(kind: Kind, found: KeyType) -> Result<()> {
    if kind == Kind::Pair(found) {
        return Ok(());
    }
    let found = match found {
        KeyType::Rsa(bits) => format!("RSA of {bits} bits"),
        KeyType::Ec(curve) => format!("ECDSA over P-{}", curve.bits()),
        KeyType::Ed25519 => "Ed25519".to_owned(),
    };
    Err(wrong(format!("invalid key type: expected {}, got {found}", kind.name())))
}

/// The version that is made of what was brought. `key` takes an HMAC key's length over.
fn version_of(cx: &WriteCx<'_>, key: &mut Key, brought: &Brought) -> Result<Version> {
    let mut version = Version::made_at(cx.now());
    match brought {
        Brought::Public(public) => {
            if key.is_derived() {
                return Err(wrong(
                    "unable to import only public key for derived Ed25519 key: imported key \
                     should not be an Ed25519 key pair but is instead an HKDF key",
                ));
            }
            check_kind(key.kind, public.key_type())?;
            version.public = public.spki_der().to_vec();
        }
        Brought::Secret(bytes) => {
            let bytes = bytes.expose_secret();
            let length = bytes.len();
            let fits = match key.kind {
                Kind::Cipher(cipher) => length == cipher.key_bytes(),
                Kind::Hmac => (HMAC_KEY_BYTES_MIN..=HMAC_KEY_BYTES_MAX).contains(&length),
                Kind::Pair(_) | Kind::MlDsa(_) | Kind::MlKem(_) => true,
            };
            if !fits {
                let name = key.kind.name();
                return Err(wrong(format!("invalid key size {length} bytes for key type {name}")));
            }
            match key.kind {
                Kind::Pair(_) => {
                    let pair = parsed(bytes)?;
                    check_kind(key.kind, pair.key_type())?;
                    take_pair(&mut version, &pair)?;
                }
                Kind::MlDsa(set) => {
                    let pair = MlDsaKey::from_pkcs8_der(set, bytes).map_err(unparsed)?;
                    take_ml_dsa(&mut version, &pair);
                }
                Kind::MlKem(set) => {
                    let pair = MlKemKey::from_bytes(set, bytes).map_err(unparsed)?;
                    take_ml_kem(&mut version, &pair);
                }
                Kind::Cipher(_) | Kind::Hmac => version.secret = bytes.clone(),
            }
        }
    }
    if key.kind == Kind::Hmac {
        key.key_size = version.secret.len();
    } else {
        version.hmac = vec![0; 32];
        cx.rng().fill(&mut version.hmac);
    }
    Ok(version)
}

fn parsed(der: &[u8]) -> Result<PrivateKey> {
    PrivateKey::from_pkcs8_der(der).map_err(unparsed)
}

fn unparsed(e: Error) -> Error {
    wrong(format!("error parsing asymmetric key: {}", e.public.join("; ")))
}

/// Gives a version its private half.
async fn complete(cx: &WriteCx<'_>, key: &mut Key, number: u64, brought: &Brought) -> Result<()> {
    if !key.usable().contains(&number) {
        return Err(wrong("no such key version"));
    }
    if !key.kind.signs() {
        return Err(wrong("provided type does not support importing key versions"));
    }
    let mut version = stored(&cx.view(), key, number).await?;
    if !version.secret.is_empty() {
        return Err(wrong("private key imported, key version cannot be updated"));
    }
    let Brought::Secret(bytes) = brought else {
        return Err(wrong(
            "cannot add a public key to a key version that already has a public key set",
        ));
    };
    let pair = parsed(bytes.expose_secret())?;
    if pair.public()?.spki_der() != version.public.as_slice() {
        return Err(wrong("cannot import key, key pair does not match"));
    }
    take_pair(&mut version, &pair)?;
    let edit = cx.edit();
    let row = edit.new_id();
    edit.put_row(rows::VALUES, row, &version)?;
    if let Some(old) = key.replace(number, row) {
        edit.delete_row(rows::VALUES, old);
    }
    Ok(())
}

impl Command<ReadWrappingKey> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, _: ReadWrappingKey) -> Result<Reply<Json>> {
        // One caller makes it, and the others find it.
        cx.queue("wrapping_key").await;
        let key = match wrapping_key(cx).await? {
            Some(key) => key,
            None => make_wrapping_key(cx).await?,
        };
        Ok(Reply::data(json!({ "public_key": key.public.to_pem() })))
    }
}

impl Command<Import> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: Import) -> Result<Reply<()>> {
        if op.convergent_encryption.is_some() {
            return Err(wrong("import cannot be used on keys with convergent encryption enabled"));
        }
        let auto_rotate = auto_rotate_seconds(op.auto_rotate_period)?.unwrap_or(0);
        let allow_rotation = op.allow_rotation.unwrap_or(false);
        if auto_rotate > 0 && !allow_rotation {
            return Err(wrong("allow_rotation must be set to true if auto-rotation is enabled"));
        }
        let name = op.r#type.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_NAME);
        let kind = Kind::asked(&name.to_lowercase(), op.parameter_set.as_deref())?;
        let derived = op.derived.unwrap_or(false);
        kind.check_derivation(derived, false)?;
        names::check(&op.name)?;
        cx.queue(&op.name).await;
        if Ring::find(&cx.view(), &op.name).await?.is_some() {
            return Err(wrong(
                "the import path cannot be used with an existing key; use import-version to \
                 rotate an existing imported key",
            ));
        }
        // What OpenBao derives of imported keys it derives in this way.
        let derivation = match (derived, kind) {
            (false, _) => Derivation::None,
            (true, Kind::Cipher(_)) => Derivation::Counter,
            (true, _) => Derivation::Hkdf,
        };
        let mut key = Key::new(kind, derivation, false);
        key.exportable = op.exportable.unwrap_or(false);
        key.allow_plaintext_backup = op.allow_plaintext_backup.unwrap_or(false);
        key.auto_rotate_seconds = auto_rotate;
        key.imported = true;
        key.allow_rotation = allow_rotation;
        let (hash, public) = (op.hash_function.as_deref(), op.public_key.as_deref());
        let brought = brought(cx, kind, hash, op.ciphertext.as_ref(), public).await?;
        let version = version_of(cx, &mut key, &brought)?;
        let edit = cx.edit();
        append(&edit, &mut key, &version)?;
        save(cx, &op.name, &mut key).await?;
        Ok(Reply::none())
    }
}

impl Command<ImportVersion> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: ImportVersion) -> Result<Reply<()>> {
        let missing = wrong(format!(
            "no key found with name {}; to import a new key, use the import/ endpoint",
            op.name
        ));
        let mut key = to_change(cx, &op.name, missing).await?;
        if !key.imported {
            return Err(wrong("the import_version endpoint can only be used with an imported key"));
        }
        Ring::new(key.clone()).in_use()?;
        let (hash, public) = (op.hash_function.as_deref(), op.public_key.as_deref());
        let brought = brought(cx, key.kind, hash, op.ciphertext.as_ref(), public).await?;
        match op.version {
            Some(number) => {
                let number = u64::try_from(number).map_err(|_| wrong("no such key version"))?;
                complete(cx, &mut key, number, &brought).await?;
            }
            None => {
                // The private half of the latest version completes it; any other key is a new one.
                let latest = key.latest();
                let mut completes = matches!(brought, Brought::Secret(_)) && key.kind.signs();
                if completes {
                    match complete(cx, &mut key, latest, &brought).await {
                        Err(e) if e.kind != ErrorKind::BadRequest => return Err(e),
                        outcome => completes = outcome.is_ok(),
                    }
                }
                if !completes {
                    let version = version_of(cx, &mut key, &brought)?;
                    append(&cx.edit(), &mut key, &version)?;
                }
            }
        }
        save(cx, &op.name, &mut key).await?;
        Ok(Reply::none())
    }
}
