//! `encrypt`, `decrypt`, `rewrap` and `datakey`.
//!
//! Encrypting may make a key, so it is a command; one that finds its key writes nothing. The others
//! are queries.

use strongroom_base::{Error, Json, JsonMap, Result, Rng, SecretBytes, fields};
use strongroom_crypto::cipher::{Cipher, CipherKey, NONCE_BYTES_MAX};
use strongroom_crypto::hmac::HmacKey;
use strongroom_crypto::keys::Hash;
use strongroom_kernel::plug::{Command, EngineSpec, Exists, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::Transit;
use super::batch::{self, Batch, Failing, Inputs, Item, members};
use super::encoding::{Encoded, Text, decode_as, encode, given, split, versioned};
use super::key::{Derivation, Key};
use super::keys::{self, NewKey};
use super::kind::{DEFAULT_NAME, Kind};
use super::ring::{Loaded, Material, Ring, Use};

fields! {
    /// Encrypts a plaintext, or a batch of them. A key that is not there is made, if the caller may
    /// create it and the mount does not forbid it.
    pub struct Encrypt {
        /// The key's name.
        name: String,
        /// The plaintext, base64.
        plaintext: Option<Encoded>,
        /// The context of a derived key, base64.
        context: Option<Encoded>,
        /// The key's version; 0 for the latest.
        key_version: Option<i64>,
        /// Data that is authenticated with the plaintext, base64.
        associated_data: Option<Encoded>,
        /// The type of a key that is made.
        r#type: Option<String>,
        /// Is a key that is made convergent?
        convergent_encryption: Option<bool>,
        /// The status where some items of a batch fail and others do not; 400 where nothing is said.
        partial_failure_response_code: Option<i64>,
        /// Items with plaintext, context, key_version, associated_data and reference.
        batch_input: Option<Batch>,
    }
}
fields! {
    /// Decrypts a ciphertext, or a batch of them.
    pub struct Decrypt {
        /// The key's name.
        name: String,
        /// The ciphertext, as encrypt gave it.
        ciphertext: Option<String>,
        /// The context of a derived key, base64.
        context: Option<Encoded>,
        /// The data that was authenticated with the plaintext, base64.
        associated_data: Option<Encoded>,
        /// The status where some items of a batch fail and others do not; 400 where nothing is said.
        partial_failure_response_code: Option<i64>,
        /// Items with ciphertext, context, associated_data and reference.
        batch_input: Option<Batch>,
    }
}
fields! {
    /// Encrypts anew what a ciphertext holds, without showing it.
    pub struct Rewrap {
        /// The key's name.
        name: String,
        /// The ciphertext.
        ciphertext: Option<String>,
        /// The context of a derived key, base64.
        context: Option<Encoded>,
        /// The version to encrypt with; 0 for the latest.
        key_version: Option<i64>,
        /// The data that was authenticated with the plaintext, base64.
        associated_data: Option<Encoded>,
        /// Items with ciphertext, context, key_version, associated_data and reference.
        batch_input: Option<Batch>,
    }
}
fields! {
    /// Makes a random key and encrypts it; it is shown in plain only at datakey/plaintext.
    pub struct MakeDataKey {
        /// plaintext or wrapped.
        plaintext: String,
        /// The name of the key that encrypts it.
        name: String,
        /// The context of a derived key, base64.
        context: Option<Encoded>,
        /// Its bits: 128, 256 (where nothing is said) or 512.
        bits: Option<i64>,
        /// The version to encrypt with; 0 for the latest.
        key_version: Option<i64>,
        /// Data that is authenticated with it, base64.
        associated_data: Option<Encoded>,
    }
}

ops! {
    Encrypt Json, Write;
    Decrypt Json, Write;
    Rewrap Json, Write;
    MakeDataKey Json, Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<Encrypt>("encrypt/{name}")
        .exists::<Encrypt>("encrypt/{name}")
        .query::<Decrypt>("decrypt/{name}")
        .query::<Rewrap>("rewrap/{name}")
        .query::<MakeDataKey>("datakey/{plaintext}/{name}")
}

const NO_KEY: &str = "encryption key not found";
/// What a ciphertext is told that does not open, whatever the reason.
const UNAUTHENTIC: &str = "cipher: message authentication failed";

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// What decides about one encryption beside the key.
struct Around<'a> {
    context: Option<&'a [u8]>,
    associated_data: &'a [u8],
}

impl<'a> Around<'a> {
    fn of(key: &Key, item: &'a Item) -> Result<Self> {
        let context = given(item.context.as_ref()).map_err(wrong)?;
        Self::checked(key, context, item.associated_data.as_ref())
    }

    fn checked(
        key: &Key,
        context: Option<&'a [u8]>,
        associated_data: Option<&'a Encoded>,
    ) -> Result<Self> {
        let associated_data = given(associated_data)
            .map_err(|why| wrong(format!("unable to get associated_data: {why}")))?;
        if associated_data.is_some() && !key.kind.authenticates_more() {
            let name = key.kind.name();
            return Err(wrong(format!(
                "'associated_data' provided for non-AEAD cipher suite {name}"
            )));
        }
        Ok(Self { context, associated_data: associated_data.unwrap_or_default() })
    }
}

/// Encrypts with a version of a key.
fn seal(
    key: &Key,
    version: &Loaded,
    around: &Around<'_>,
    plaintext: &[u8],
    rng: &dyn Rng,
) -> Result<String> {
    let sealed = match &version.material {
        Material::Cipher(cipher, _, Some(ready)) => {
            seal_randomly(*cipher, ready, around, plaintext, rng)?
        }
        Material::Cipher(cipher, _, None) => {
            let (context, length) = (around.context, cipher.key_bytes());
            if key.convergent {
                let both = version.derive(key.derivation, context, length + 32)?;
                let (own, mac) = both.expose_secret().split_at(length);
                let bound = if key.binds_associated_data { around.associated_data } else { &[] };
                let digest = convergent_nonce(&HmacKey::new(mac), bound, plaintext);
                let nonce = digest.get(..cipher.nonce_bytes()).unwrap_or_default();
                CipherKey::new(*cipher, own)?.seal(nonce, around.associated_data, plaintext)?
            } else {
                let own = version.derive(key.derivation, context, length)?;
                let ready = CipherKey::new(*cipher, own.expose_secret())?;
                seal_randomly(*cipher, &ready, around, plaintext, rng)?
            }
        }
        Material::Pair(pair) => pair.public.encrypt_oaep(Hash::Sha256, plaintext)?,
        Material::MlKem(pair) => pair.seal(around.associated_data, plaintext)?,
        Material::Hmac | Material::MlDsa(_) => {
            return Err(Error::internal("a key of this type encrypts nothing"));
        }
    };
    Ok(versioned(version.number, &sealed, Text::Standard))
}

/// Of what a convergent nonce is cut: equal inputs have equal nonces, and no others have.
///
/// Invariant: a nonce meets one plaintext with one associated data. OpenBao leaves the associated
/// data out, so that its nonces repeat where only that differs, which gives a GCM key's
/// authentication away. Keys that come from there go on so: what they sealed is searched for by
/// its ciphertext.
fn convergent_nonce(key: &HmacKey, bound: &[u8], plaintext: &[u8]) -> [u8; 32] {
    let own = key.mac(&[plaintext]);
    match bound {
        [] => own,
        more => key.mac(&[&key.mac(&[more]), &own]),
    }
}

fn seal_randomly(
    cipher: Cipher,
    ready: &CipherKey,
    around: &Around<'_>,
    plaintext: &[u8],
    rng: &dyn Rng,
) -> Result<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES_MAX];
    let (nonce, _) = nonce.split_at_mut(cipher.nonce_bytes());
    rng.fill(nonce);
    ready.seal(nonce, around.associated_data, plaintext)
}

/// Decrypts with a version of a key.
fn open(key: &Key, version: &Loaded, around: &Around<'_>, sealed: &[u8]) -> Result<SecretBytes> {
    let (aad, unauthentic) = (around.associated_data, || wrong(UNAUTHENTIC));
    match &version.material {
        Material::Cipher(cipher, _, ready) => {
            if sealed.len() < cipher.nonce_bytes() {
                return Err(wrong("invalid ciphertext length"));
            }
            let opened = match ready {
                Some(ready) => ready.open(aad, sealed),
                None => {
                    let own = version.derive(key.derivation, around.context, cipher.key_bytes())?;
                    CipherKey::new(*cipher, own.expose_secret())?.open(aad, sealed)
                }
            };
            opened.ok_or_else(unauthentic)
        }
        Material::Pair(pair) => {
            let opened = pair.decrypting()?.decrypt(Hash::Sha256, sealed)?;
            opened.ok_or_else(|| wrong("failed to RSA decrypt the ciphertext: decryption error"))
        }
        Material::MlKem(pair) => pair.open(aad, sealed).ok_or_else(unauthentic),
        Material::Hmac | Material::MlDsa(_) => {
            Err(Error::internal("a key of this type decrypts nothing"))
        }
    }
}

fn check_encrypts(ring: &Ring, doing: &str) -> Result<()> {
    ring.in_use()?;
    if ring.key.kind.encrypts() {
        return Ok(());
    }
    let name = ring.key.kind.name();
    Err(wrong(format!("message {doing} not supported for key type {name}")))
}

async fn encrypt_one(cx: &ReadCx<'_>, ring: &Ring, item: &Item) -> Result<JsonMap> {
    let plaintext = item.plaintext.as_ref();
    let plaintext = plaintext.ok_or_else(|| wrong("missing plaintext to encrypt"))?;
    let plaintext = plaintext.bytes().map_err(wrong)?;
    let around = Around::of(&ring.key, item)?;
    check_encrypts(ring, "encryption")?;
    let version = ring.load_for(&cx.view(), item.key_version, Use::Encryption).await?;
    let sealed = seal(&ring.key, &version, &around, plaintext, cx.rng())?;
    Ok(members([("ciphertext", Json::String(sealed)), ("key_version", Json::from(version.number))]))
}

/// The plaintext of an item's ciphertext.
async fn decrypted(cx: &ReadCx<'_>, ring: &Ring, item: &Item) -> Result<SecretBytes> {
    let ciphertext = item.ciphertext.as_deref().filter(|text| !text.is_empty());
    let ciphertext = ciphertext.ok_or_else(|| wrong("missing ciphertext to decrypt"))?;
    let around = Around::of(&ring.key, item)?;
    check_encrypts(ring, "decryption")?;
    let (number, text) = split(ciphertext, "ciphertext")?;
    // The first keys of Vault's first versions had the number 0.
    let number = if number == 0 { 1 } else { number };
    let version = ring.load_of(&cx.view(), number, "ciphertext").await?;
    let sealed = decode_as(text, Text::Standard)
        .ok_or_else(|| wrong("invalid ciphertext: could not decode base64"))?;
    open(&ring.key, &version, &around, &sealed)
}

async fn decrypt_one(cx: &ReadCx<'_>, ring: &Ring, item: &Item) -> Result<JsonMap> {
    let plaintext = decrypted(cx, ring, item).await?;
    Ok(members([("plaintext", Json::String(encode(plaintext.expose_secret())))]))
}

async fn rewrap_one(cx: &ReadCx<'_>, ring: &Ring, item: &Item) -> Result<JsonMap> {
    let plaintext = decrypted(cx, ring, item).await?;
    let around = Around::of(&ring.key, item)?;
    let version = ring.load_for(&cx.view(), item.key_version, Use::Encryption).await?;
    let sealed = seal(&ring.key, &version, &around, plaintext.expose_secret(), cx.rng())?;
    Ok(members([("ciphertext", Json::String(sealed)), ("key_version", Json::from(version.number))]))
}

/// The type and settings of a key that is made in passing.
fn upserted(op: &Encrypt, derived: bool) -> Result<NewKey> {
    let convergent = op.convergent_encryption.unwrap_or(false);
    if convergent && !derived {
        return Err(wrong(
            "convergent encryption requires derivation to be enabled, so context is required",
        ));
    }
    let name = op.r#type.as_deref().filter(|name| !name.is_empty()).unwrap_or(DEFAULT_NAME);
    match Kind::asked(name, None)? {
        kind @ Kind::Cipher(_) => {
            let derivation = if derived { Derivation::Hkdf } else { Derivation::None };
            Ok(NewKey::plain(kind, derivation, convergent))
        }
        _ => Err(wrong("key type not supported for this operation")),
    }
}

impl Exists<Encrypt> for Transit {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let Some((_, name)) = captures.first() else { return Ok(false) };
        Ok(Ring::find(&cx.view(), name).await?.is_some())
    }
}

impl Command<Encrypt> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, mut op: Encrypt) -> Result<Reply<Json>> {
        let batch = op.batch_input.take();
        let inputs = Inputs::of(batch, || {
            if op.plaintext.is_none() {
                return Err(wrong("missing plaintext to encrypt"));
            }
            Ok(Item {
                plaintext: op.plaintext.take(),
                context: op.context.take(),
                associated_data: op.associated_data.take(),
                key_version: op.key_version.unwrap_or(0),
                ..Item::default()
            })
        })?;
        if inputs.items.iter().any(|item| item.plaintext.is_none()) {
            return Err(wrong("failed to parse batch input: missing plaintext to encrypt"));
        }
        inputs.check_contexts()?;
        let ring = match Ring::find(&cx.view(), &op.name).await? {
            Some(ring) => ring,
            None => {
                // It may have gone since policy was asked, and then about an update.
                let request = cx.request;
                if !request.may(&request.full_path, Capability::Create, None) {
                    return Err(wrong(NO_KEY));
                }
                let new = upserted(&op, inputs.have_context())?;
                keys::upsert(cx, &op.name, new).await?.ok_or_else(|| wrong(NO_KEY))?
            }
        };
        let quick = !ring.key.kind.is_slow_to_make();
        let outcomes = inputs.outcomes(quick, |item| encrypt_one(cx, &ring, item)).await;
        let failing = Failing {
            fails_request: true,
            partial_status: op.partial_failure_response_code,
            members: &[],
        };
        batch::answer(inputs, outcomes, &failing)
    }
}

impl Query<Decrypt> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, mut op: Decrypt) -> Result<Reply<Json>> {
        let inputs = Inputs::of(op.batch_input.take(), || {
            Ok(Item {
                ciphertext: Some(op.ciphertext.take().unwrap_or_default()),
                context: op.context.take(),
                associated_data: op.associated_data.take(),
                ..Item::default()
            })
        })?;
        inputs.check_contexts()?;
        let ring = Ring::of(&cx.view(), &op.name, NO_KEY).await?;
        let quick = !ring.key.kind.is_slow_to_make();
        let outcomes = inputs.outcomes(quick, |item| decrypt_one(cx, &ring, item)).await;
        let failing = Failing {
            fails_request: true,
            partial_status: op.partial_failure_response_code,
            members: &[("plaintext", || Json::String(String::new()))],
        };
        batch::answer(inputs, outcomes, &failing)
    }
}

impl Query<Rewrap> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, mut op: Rewrap) -> Result<Reply<Json>> {
        let inputs = Inputs::of(op.batch_input.take(), || {
            Ok(Item {
                ciphertext: Some(op.ciphertext.take().unwrap_or_default()),
                context: op.context.take(),
                associated_data: op.associated_data.take(),
                key_version: op.key_version.unwrap_or(0),
                ..Item::default()
            })
        })?;
        inputs.check_contexts()?;
        let ring = Ring::of(&cx.view(), &op.name, NO_KEY).await?;
        let quick = !ring.key.kind.is_slow_to_make();
        let outcomes = inputs.outcomes(quick, |item| rewrap_one(cx, &ring, item)).await;
        let failing = Failing { fails_request: false, partial_status: None, members: &[] };
        batch::answer(inputs, outcomes, &failing)
    }
}

impl Query<MakeDataKey> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: MakeDataKey) -> Result<Reply<Json>> {
        let shown = match op.plaintext.as_str() {
            "plaintext" => true,
            "wrapped" => false,
            _ => return Err(wrong("Invalid path, must be 'plaintext' or 'wrapped'")),
        };
        let context =
            given(op.context.as_ref()).map_err(|_| wrong("failed to base64-decode context"))?;
        let ring = Ring::of(&cx.view(), &op.name, NO_KEY).await?;
        let length = match op.bits.unwrap_or(256) {
            128 => 16,
            256 => 32,
            512 => 64,
            _ => return Err(wrong("invalid bit length")),
        };
        let around = Around::checked(&ring.key, context, op.associated_data.as_ref())?;
        check_encrypts(&ring, "encryption")?;
        let asked = op.key_version.unwrap_or(0);
        let version = ring.load_for(&cx.view(), asked, Use::Encryption).await?;
        let mut plaintext = vec![0; length];
        cx.rng().fill(&mut plaintext);
        let plaintext = SecretBytes::new(plaintext);
        let sealed = seal(&ring.key, &version, &around, plaintext.expose_secret(), cx.rng())?;
        let mut data = members([
            ("ciphertext", Json::String(sealed)),
            ("key_version", Json::from(version.number)),
        ]);
        if shown {
            let plaintext = Json::String(encode(plaintext.expose_secret()));
            data.insert("plaintext".to_owned(), plaintext);
        }
        Ok(Reply::data(Json::Object(data)))
    }
}
