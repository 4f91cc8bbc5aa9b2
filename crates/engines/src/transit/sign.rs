//! `sign` and `verify`.

use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_crypto::keys::{
    AnySalt, Curve, Hash, KeyType, Salt, Scheme, ecdsa_der_to_fixed, ecdsa_fixed_to_der,
};
use strongroom_crypto::sign as ed25519;
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::Transit;
use super::batch::{self, Batch, Failing, Inputs, Item, members};
use super::encoding::{Encoded, Text, decode_as, encode, given, split, versioned};
use super::hmac::verify_hmacs;
use super::kind::Kind;
use super::material::derived_pair;
use super::ring::{Loaded, Material, Pair, Ring, Use};

fields! {
    /// Signs an input, or a batch of them.
    pub struct Sign {
        /// The key's name.
        name: String,
        /// The hash, in the path.
        urlalgorithm: Option<String>,
        /// The hash: sha2-256 (where nothing is said), sha2-224, sha2-384, sha2-512, sha3-224,
        /// sha3-256, sha3-384, sha3-512, sha1 or none. RSA keys sign with sha2-256, -384 and -512.
        hash_algorithm: Option<String>,
        /// Without effect, as with the peers: hash_algorithm counts.
        algorithm: Option<String>,
        /// The input, base64.
        input: Option<Encoded>,
        /// The context of a derived key, base64.
        context: Option<Encoded>,
        /// The version to sign with; 0 for the latest.
        key_version: Option<i64>,
        /// Is the input a digest already?
        prehashed: Option<bool>,
        /// For RSA: pss (where nothing is said) or pkcs1v15.
        signature_algorithm: Option<String>,
        /// For ECDSA: asn1 (where nothing is said) or jws.
        marshaling_algorithm: Option<String>,
        /// For PSS: auto (where nothing is said: as long as can be), hash, or a number of bytes.
        salt_length: Option<String>,
        /// Items with input, context and reference.
        batch_input: Option<Batch>,
    }
}
fields! {
    /// Verifies a signature or an HMAC, or a batch of either.
    pub struct Verify {
        /// The key's name.
        name: String,
        /// The hash, in the path.
        urlalgorithm: Option<String>,
        /// The hash: sha2-256 (where nothing is said), sha2-224, sha2-384, sha2-512, sha3-224,
        /// sha3-256, sha3-384, sha3-512, sha1 or none.
        hash_algorithm: Option<String>,
        /// Without effect, as with the peers: hash_algorithm counts.
        algorithm: Option<String>,
        /// The input, base64.
        input: Option<Encoded>,
        /// The signature, as sign gave it.
        signature: Option<String>,
        /// In its place: the HMAC, as hmac gave it.
        hmac: Option<String>,
        /// The context of a derived key, base64.
        context: Option<Encoded>,
        /// Is the input a digest already?
        prehashed: Option<bool>,
        /// For RSA: pss (where nothing is said) or pkcs1v15.
        signature_algorithm: Option<String>,
        /// For ECDSA: asn1 (where nothing is said) or jws.
        marshaling_algorithm: Option<String>,
        /// For PSS: auto (where nothing is said: any), hash, or a number of bytes.
        salt_length: Option<String>,
        /// Items with input, signature or hmac, context and reference.
        batch_input: Option<Batch>,
    }
}

ops! {
    Sign Json, Write;
    Verify Json, Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.query::<Sign>("sign/{name}")
        .query::<Sign>("sign/{name}/{urlalgorithm}")
        .query::<Verify>("verify/{name}")
        .query::<Verify>("verify/{name}/{urlalgorithm}")
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// The hashes by their names on the wire.
pub const HASHES: &[(&str, Option<Hash>)] = &[
    ("none", None),
    ("sha1", Some(Hash::Sha1)),
    ("sha2-224", Some(Hash::Sha224)),
    ("sha2-256", Some(Hash::Sha256)),
    ("sha2-384", Some(Hash::Sha384)),
    ("sha2-512", Some(Hash::Sha512)),
    ("sha3-224", Some(Hash::Sha3_224)),
    ("sha3-256", Some(Hash::Sha3_256)),
    ("sha3-384", Some(Hash::Sha3_384)),
    ("sha3-512", Some(Hash::Sha3_512)),
];

/// The hash that is asked for: the path's, else the body's, else sha2-256.
pub fn hash_named(path: Option<&str>, body: Option<&str>) -> Result<Option<Hash>> {
    let asked = [path, body].into_iter().flatten().find(|name| !name.is_empty());
    let asked = asked.unwrap_or("sha2-256");
    let known = HASHES.iter().find(|(name, _)| *name == asked).map(|(_, hash)| *hash);
    known.ok_or_else(|| wrong("invalid hash algorithm"))
}

/// How RSA pads what it signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    Pss,
    Pkcs1,
    /// None that there is: an error once it is an RSA key's.
    Unknown,
}

/// The salt that is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AskedSalt {
    Auto,
    Hash,
    Bytes(i64),
}

/// How a signature is asked for.
struct Manner {
    hash: Option<Hash>,
    prehashed: bool,
    padding: Padding,
    text: Text,
    salt: AskedSalt,
}

impl Manner {
    fn of(
        hash: Option<Hash>,
        prehashed: Option<bool>,
        padding: Option<&str>,
        marshaling: Option<&str>,
        salt: Option<&str>,
    ) -> Result<Self> {
        let text = match marshaling {
            None | Some("asn1") => Text::Standard,
            Some("jws") => Text::UrlSafe,
            Some(_) => return Err(wrong("invalid marshaling type")),
        };
        let padding = match padding {
            None | Some("" | "pss") => Padding::Pss,
            Some("pkcs1v15") => Padding::Pkcs1,
            Some(_) => Padding::Unknown,
        };
        let salt = match salt.map(str::to_lowercase).as_deref() {
            None | Some("auto" | "") => AskedSalt::Auto,
            Some("hash") => AskedSalt::Hash,
            // The numbers of Go's library for these two.
            Some(text) => match text.parse() {
                Ok(0) => AskedSalt::Auto,
                Ok(-1) => AskedSalt::Hash,
                Ok(length) if length > 0 => AskedSalt::Bytes(length),
                Ok(_) => return Err(wrong("salt length is invalid")),
                Err(_) => return Err(wrong("salt length neither 'auto', 'hash', nor an int")),
            },
        };
        let prehashed = prehashed.unwrap_or(false);
        if hash.is_none() && !(prehashed && padding == Padding::Pkcs1) {
            return Err(wrong(
                "hash_algorithm=none requires both prehashed=true and \
                 signature_algorithm=pkcs1v15",
            ));
        }
        Ok(Self { hash, prehashed, padding, text, salt })
    }

    /// Refuses digests where messages are signed.
    fn check_pure(&self) -> Result<()> {
        match self.prehashed {
            true => Err(wrong("keys of type ml-dsa sign messages, not their digests")),
            false => Ok(()),
        }
    }

    /// The salt, if a key of so many bits has room for it.
    fn salt_for(&self, hash: Hash, bits: u32) -> Result<Option<Salt>> {
        match self.salt {
            AskedSalt::Auto => Ok(None),
            AskedSalt::Hash => Ok(Some(Salt::Digest)),
            AskedSalt::Bytes(length) => {
                let room = ((i64::from(bits) + 6) / 8) - 2 - hash.bytes() as i64;
                let fits = u16::try_from(length).ok().filter(|_| length <= room);
                let fits = fits.map(|length| Some(Salt::Exactly(length)));
                fits.ok_or_else(|| wrong(format!("requested salt length {length} is invalid")))
            }
        }
    }
}

/// A signature, and the public key that was derived for it.
struct Signed {
    bytes: Vec<u8>,
    public: Option<Vec<u8>>,
}

fn sign(
    ring: &Ring,
    version: &Loaded,
    context: Option<&[u8]>,
    input: &[u8],
    manner: &Manner,
) -> Result<Signed> {
    if let Material::MlDsa(pair) = &version.material {
        manner.check_pure()?;
        return Ok(Signed { bytes: pair.sign(input)?, public: None });
    }
    let pair = version.pair()?;
    let private = pair
        .private
        .as_ref()
        .ok_or_else(|| wrong("requested version for signing does not contain a private part"))?;
    let plain = |bytes| Ok(Signed { bytes, public: None });
    match private.key_type() {
        KeyType::Ed25519 if ring.key.is_derived() => {
            let derived = derived_pair(&ring.key, version, context)?;
            let public = Some(derived.public_key().to_vec());
            Ok(Signed { bytes: derived.sign(input).to_vec(), public })
        }
        KeyType::Ed25519 => plain(private.sign(Scheme::Ed25519, input)?),
        KeyType::Ec(curve) => {
            let der = match manner.hash.filter(|_| !manner.prehashed) {
                Some(hash) => private.sign(Scheme::Ecdsa(hash), input)?,
                None => private.sign_any_digest(prehashed(curve, input)?)?,
            };
            plain(match manner.text {
                Text::Standard => der,
                Text::UrlSafe => ecdsa_der_to_fixed(curve, &der)?,
            })
        }
        KeyType::Rsa(bits) => {
            let Some(hash) = manner.hash else {
                return Err(wrong("RSA keys sign with SHA2-256, SHA2-384 or SHA2-512"));
            };
            let scheme = match manner.padding {
                Padding::Pkcs1 => Scheme::Pkcs1(hash),
                Padding::Pss => {
                    Scheme::Pss(hash, manner.salt_for(hash, bits)?.unwrap_or(Salt::Max))
                }
                Padding::Unknown => return Err(wrong("unsupported rsa signature algorithm")),
            };
            plain(match manner.prehashed {
                true => private.sign_digest(scheme, input)?,
                false => private.sign(scheme, input)?,
            })
        }
    }
}

/// A digest that a curve can take: nobody has longer ones than SHA-512's.
fn prehashed(curve: Curve, digest: &[u8]) -> Result<&[u8]> {
    if digest.len() > 64 && curve == Curve::P521 {
        return Err(wrong("the input is longer than any digest"));
    }
    Ok(digest)
}

fn verify(
    ring: &Ring,
    version: &Loaded,
    context: Option<&[u8]>,
    input: &[u8],
    signature: &[u8],
    manner: &Manner,
) -> Result<bool> {
    if let Material::MlDsa(pair) = &version.material {
        manner.check_pure()?;
        return Ok(pair.verify(input, signature));
    }
    let pair = version.pair()?;
    match pair.public.key_type() {
        KeyType::Ed25519 if ring.key.is_derived() => {
            let derived = derived_pair(&ring.key, version, context)?;
            Ok(ed25519::verify(&derived.public_key(), input, signature))
        }
        KeyType::Ed25519 => pair.public.verify(Scheme::Ed25519, input, signature),
        KeyType::Ec(curve) => {
            let der = match manner.text {
                Text::Standard => {
                    ecdsa_der_to_fixed(curve, signature)
                        .map_err(|_| wrong("supplied signature is invalid"))?;
                    signature.to_vec()
                }
                Text::UrlSafe => match ecdsa_fixed_to_der(curve, signature) {
                    Ok(der) => der,
                    Err(_) => return Ok(false),
                },
            };
            match manner.hash.filter(|_| !manner.prehashed) {
                Some(hash) => pair.public.verify(Scheme::Ecdsa(hash), input, &der),
                None => pair.public.verify_any_digest(prehashed(curve, input)?, &der),
            }
        }
        KeyType::Rsa(bits) => verify_rsa(pair, bits, input, signature, manner),
    }
}

fn verify_rsa(
    pair: &Pair,
    bits: u32,
    input: &[u8],
    signature: &[u8],
    manner: &Manner,
) -> Result<bool> {
    let public = &pair.public;
    let Some(hash) = manner.hash else {
        return Ok(public.verify_pkcs1_of_any(None, input, signature));
    };
    let digest = match manner.prehashed {
        true => input.to_vec(),
        false => hash.digest(input),
    };
    if digest.len() != hash.bytes() {
        return Ok(false);
    }
    let is_usual = matches!(hash, Hash::Sha256 | Hash::Sha384 | Hash::Sha512);
    match manner.padding {
        Padding::Pkcs1 if is_usual => public.verify_digest(Scheme::Pkcs1(hash), &digest, signature),
        Padding::Pkcs1 => Ok(public.verify_pkcs1_of_any(Some(hash), &digest, signature)),
        Padding::Pss => match manner.salt_for(hash, bits)? {
            Some(Salt::Exactly(length)) => {
                let salt = AnySalt::Exactly(length.into());
                Ok(public.verify_pss_of_any(hash, salt, &digest, signature))
            }
            Some(_) if is_usual => {
                public.verify_digest(Scheme::Pss(hash, Salt::Digest), &digest, signature)
            }
            Some(_) => {
                let salt = AnySalt::Exactly(hash.bytes());
                Ok(public.verify_pss_of_any(hash, salt, &digest, signature))
            }
            None if is_usual
                && public.verify_digest(Scheme::Pss(hash, Salt::Max), &digest, signature)? =>
            {
                Ok(true)
            }
            None => Ok(public.verify_pss_of_any(hash, AnySalt::Any, &digest, signature)),
        },
        Padding::Unknown => Err(wrong("unsupported rsa signature algorithm")),
    }
}

/// The bytes of an item's input.
pub fn input_of<'i>(item: &'i Item, missing: &str) -> Result<&'i [u8]> {
    let input = item.input.as_ref().ok_or_else(|| wrong(missing))?;
    input.bytes().map_err(|why| wrong(format!("unable to decode input as base64: {why}")))
}

fn context_of(item: &Item) -> Result<Option<&[u8]>> {
    given(item.context.as_ref()).map_err(|_| wrong("failed to base64-decode context"))
}

async fn sign_one(
    cx: &ReadCx<'_>,
    ring: &Ring,
    item: &Item,
    manner: &Manner,
    is_batch: bool,
) -> Result<JsonMap> {
    let input = input_of(item, "missing input")?;
    let context = context_of(item)?;
    ring.in_use()?;
    let version = ring.load_for(&cx.view(), item.key_version, Use::Signing).await?;
    let signed = sign(ring, &version, context, input, manner)?;
    let mut out = members([
        ("key_version", Json::from(version.number)),
        ("signature", Json::String(versioned(version.number, &signed.bytes, manner.text))),
    ]);
    if let Some(public) = signed.public {
        let name = if is_batch { "publickey" } else { "public_key" };
        out.insert(name.to_owned(), Json::String(encode(&public)));
    }
    Ok(out)
}

async fn verify_one(cx: &ReadCx<'_>, ring: &Ring, item: &Item, manner: &Manner) -> Result<JsonMap> {
    let input = input_of(item, "missing input")?;
    let signature = item.signature.as_deref().ok_or_else(|| wrong("missing signature"))?;
    let context = context_of(item)?;
    ring.in_use()?;
    let (number, text) = split(signature, "signature")?;
    let version = ring.load_of(&cx.view(), number, "signature").await?;
    let bytes = decode_as(text, manner.text);
    let bytes = bytes.ok_or_else(|| wrong("invalid base64 signature value"))?;
    let valid = verify(ring, &version, context, input, &bytes, manner)?;
    Ok(members([("valid", Json::Bool(valid))]))
}

fn check_signs(ring: &Ring, doing: &str) -> Result<()> {
    if ring.key.kind.signs() {
        return Ok(());
    }
    let name = ring.key.kind.name();
    Err(wrong(format!("key type {name} does not support {doing}")))
}

impl Query<Sign> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, mut op: Sign) -> Result<Reply<Json>> {
        let hash = hash_named(op.urlalgorithm.as_deref(), op.hash_algorithm.as_deref())?;
        let marshaling = op.marshaling_algorithm.as_deref();
        let (padding, salt) = (op.signature_algorithm.as_deref(), op.salt_length.as_deref());
        let manner = Manner::of(hash, op.prehashed, padding, marshaling, salt)?;
        let ring = Ring::of(&cx.view(), &op.name, "signing key not found").await?;
        check_signs(&ring, "signing")?;
        let version = op.key_version.unwrap_or(0);
        let mut inputs = Inputs::of(op.batch_input.take(), || {
            Ok(Item {
                input: Some(op.input.take().unwrap_or_else(|| Encoded::of(""))),
                context: op.context.take(),
                ..Item::default()
            })
        })?;
        inputs.items.iter_mut().for_each(|item| item.key_version = version);
        let quick = ring.key.kind == Kind::Pair(KeyType::Ed25519);
        let sign = |item| sign_one(cx, &ring, item, &manner, inputs.is_batch);
        let outcomes = inputs.outcomes(quick, sign).await;
        let failing = Failing {
            fails_request: false,
            partial_status: None,
            members: &[("key_version", || Json::from(0))],
        };
        batch::answer(inputs, outcomes, &failing)
    }
}

/// What a request wants verified.
enum Proof {
    Signatures,
    Hmacs,
}

/// Either signatures or HMACs: a request does not mix them.
fn proof_of(inputs: &Inputs) -> Result<Proof> {
    let signatures = inputs.items.iter().filter(|item| item.signature.is_some()).count();
    // An item with both is one with a signature.
    let is_hmac = |item: &&Item| item.hmac.is_some() && item.signature.is_none();
    let hmacs = inputs.items.iter().filter(is_hmac).count();
    let all = inputs.items.len();
    match (signatures, hmacs) {
        (0, 0) if !inputs.is_batch => {
            Err(wrong("neither a 'signature' nor an 'hmac' were given to verify"))
        }
        (0, 0) => Err(wrong("no batch_input elements have 'signature' or 'hmac'")),
        (s, h) if s > 0 && h > 0 => {
            Err(wrong("elements of batch_input must all provide 'signature' or all provide 'hmac'"))
        }
        (s, 0) if s < all => Err(wrong("some elements of batch_input are missing 'signature'")),
        (0, h) if h < all => Err(wrong("some elements of batch_input are missing 'hmac'")),
        (_, 0) => Ok(Proof::Signatures),
        _ => Ok(Proof::Hmacs),
    }
}

impl Query<Verify> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, mut op: Verify) -> Result<Reply<Json>> {
        let inputs = Inputs::of(op.batch_input.take(), || {
            Ok(Item {
                input: Some(op.input.take().unwrap_or_else(|| Encoded::of(""))),
                context: op.context.take(),
                signature: op.signature.take(),
                hmac: op.hmac.take(),
                ..Item::default()
            })
        })?;
        let proof = proof_of(&inputs)?;
        let hash = hash_named(op.urlalgorithm.as_deref(), op.hash_algorithm.as_deref())?;
        if let Proof::Hmacs = proof {
            return verify_hmacs(cx, &op.name, hash, inputs).await;
        }
        let marshaling = op.marshaling_algorithm.as_deref();
        let (padding, salt) = (op.signature_algorithm.as_deref(), op.salt_length.as_deref());
        let manner = Manner::of(hash, op.prehashed, padding, marshaling, salt)?;
        let missing = "signature verification key not found";
        let ring = Ring::of(&cx.view(), &op.name, missing).await?;
        check_signs(&ring, "verification")?;
        let outcomes = inputs.outcomes(false, |item| verify_one(cx, &ring, item, &manner)).await;
        batch::answer(inputs, outcomes, &VERIFYING)
    }
}

/// What an item of a batch says that could not be verified.
pub const VERIFYING: Failing = Failing {
    fails_request: false,
    partial_status: None,
    members: &[("valid", || Json::Bool(false))],
};
