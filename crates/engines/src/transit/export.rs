//! `export` and `byok-export`: the ways by which a key may leave, in plain or wrapped for somebody.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_base::{Error, Json, Result, SecretBytes, fields};
use strongroom_crypto::keys::{KeyType, PrivateKey, pem};
use strongroom_crypto::keywrap;
use strongroom_kernel::plug::{EngineSpec, Query, ReadCx, Reply, ops};

use super::Transit;
use super::batch::by_version;
use super::encoding::encode;
use super::import::oaep_hash;
use super::kind::Kind;
use super::ring::{Loaded, Material, Pair, Ring, Use, ed25519_bytes};
use super::shown::{chain_pem, post_quantum_public};

fields! {
    /// Shows a key as it is, if it is exportable; its public half in any case.
    pub struct Export {
        /// encryption-key, signing-key, hmac-key, public-key or certificate-chain.
        r#type: String,
        /// The key's name.
        name: String,
        /// One version only: its number, or latest.
        version: Option<String>,
        /// raw, der or pem; where nothing is said, what is usual for the key's type.
        format: Option<String>,
    }
}
fields! {
    /// Shows a key wrapped for the owner of another one, if it is exportable: what
    /// keys/NAME/import takes there.
    pub struct ExportWrapped {
        /// The RSA key under which it is wrapped: the other side's wrapping key, imported here.
        destination: String,
        /// The key's name.
        source: String,
        /// One version only: its number, or latest.
        version: Option<String>,
        /// The hash of OAEP: SHA256 (where nothing is said), SHA1, SHA384 or SHA512.
        hash: Option<String>,
    }
}

ops! {
    Export Json, Read;
    ExportWrapped Json, Read;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.query::<Export>("export/{type}/{name}")
        .query::<Export>("export/{type}/{name}/{version}")
        .query::<ExportWrapped>("byok-export/{destination}/{source}")
        .query::<ExportWrapped>("byok-export/{destination}/{source}/{version}")
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

/// What of a key leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Encryption,
    Signing,
    Hmac,
    Public,
    Chain,
}

/// In which form.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Usual,
    Raw,
    Der,
    Pem,
}

/// The numbers of the versions that are asked for.
fn numbers(ring: &Ring, asked: Option<&str>) -> Result<Vec<u64>> {
    let asked = match asked {
        None | Some("") => return Ok(ring.key.usable().collect()),
        Some("latest") => ring.key.latest(),
        Some(text) => {
            let number = text.strip_prefix('v').unwrap_or(text).parse();
            number.map_err(|_| wrong("invalid key version"))?
        }
    };
    if asked < ring.key.min_decryption_version {
        return Err(wrong("version for export is below minimum decryption version"));
    }
    if !ring.key.usable().contains(&asked) {
        return Err(wrong("version does not exist or cannot be found"));
    }
    Ok(vec![asked])
}

/// A symmetric key, which has one form only.
fn symmetric(bytes: &[u8], format: Format) -> Result<String> {
    match format {
        Format::Usual | Format::Raw => Ok(encode(bytes)),
        Format::Der | Format::Pem => {
            Err(wrong("unknown format for symmetric key; supported values are `` or `raw`"))
        }
    }
}

/// A half of a pair of ML-KEM, for which FIPS 203 has one form.
fn as_bytes(bytes: &[u8], format: Format) -> Result<String> {
    symmetric(bytes, format)
        .map_err(|_| wrong("unknown key format for ml-kem key; supported values are `` or `raw`"))
}

fn unknown_format(kind: &str) -> Error {
    wrong(format!("unknown key format for {kind} key; supported values are ``, `der`, or `pem`"))
}

/// A private key; "" where only the public half is known.
fn private(pair: &Pair, format: Format) -> Result<String> {
    let Some(key) = &pair.private else { return Ok(String::new()) };
    let pem = |text: strongroom_base::SecretString| text.expose_secret().clone();
    let shown = match (key.key_type(), format) {
        (KeyType::Ed25519, Format::Usual | Format::Raw) => {
            return Ok(encode(ed25519_bytes(pair)?.expose_secret()));
        }
        (KeyType::Rsa(_), Format::Raw) => return Err(unknown_format("rsa")),
        (KeyType::Ec(_), Format::Raw) => return Err(unknown_format("ec")),
        (_, Format::Usual) => pem(key.to_traditional_pem()?),
        (_, Format::Der) => encode(key.to_pkcs8_der().expose_secret()),
        (_, Format::Pem) => pem(key.to_pkcs8_pem()),
    };
    Ok(trimmed(key.key_type(), shown))
}

/// RSA keys keep the line end of their PEM, and others do not: so it is with the peers.
fn trimmed(key: KeyType, text: String) -> String {
    match key {
        KeyType::Rsa(_) => text,
        _ => text.trim_end().to_owned(),
    }
}

fn public(pair: &Pair, format: Format) -> Result<String> {
    let key = &pair.public;
    match (key.key_type(), format) {
        (KeyType::Ed25519, Format::Usual | Format::Raw) => Ok(encode(key.raw())),
        (KeyType::Rsa(_), Format::Raw) => Err(unknown_format("rsa")),
        (KeyType::Ec(_), Format::Raw) => Err(unknown_format("ec")),
        (_, Format::Der) => Ok(encode(key.spki_der())),
        (kind, Format::Usual | Format::Pem) => Ok(trimmed(kind, key.to_pem())),
    }
}

fn exported(kind: Kind, version: &Loaded, what: What, format: Format) -> Result<String> {
    let unknown = || {
        let name = kind.name();
        wrong(format!("this export type does not fit a key of type {name}"))
    };
    match (what, &version.material) {
        (What::Hmac, _) => symmetric(version.hmac_key()?, format),
        (What::Encryption, Material::Cipher(_, bytes, _)) => {
            symmetric(bytes.expose_secret(), format)
        }
        (What::Encryption | What::Signing, Material::Pair(pair)) => private(pair, format),
        (What::Public, Material::Pair(pair)) => public(pair, format),
        (What::Signing, Material::MlDsa(pair)) => match format {
            Format::Usual | Format::Pem => {
                let pem = pem("PRIVATE KEY", pair.to_pkcs8_der().expose_secret());
                Ok(pem.expose_secret().trim_end().to_owned())
            }
            Format::Der => Ok(encode(pair.to_pkcs8_der().expose_secret())),
            Format::Raw => Err(unknown_format("ml-dsa")),
        },
        (What::Encryption, Material::MlKem(pair)) => {
            as_bytes(pair.to_bytes().expose_secret(), format)
        }
        (What::Public, Material::MlDsa(pair)) => Ok(match format {
            Format::Usual | Format::Pem => post_quantum_public(kind, pair.spki_der()),
            Format::Der => encode(pair.spki_der()),
            Format::Raw => encode(pair.public_bytes()),
        }),
        (What::Public, Material::MlKem(pair)) => as_bytes(pair.public_bytes(), format),
        (What::Chain, Material::Pair(_) | Material::MlDsa(_)) if version.chain.is_empty() => {
            Err(wrong("selected key version does not have a certificate chain imported"))
        }
        (What::Chain, Material::Pair(_)) => Ok(chain_pem(&version.chain)),
        _ => Err(unknown()),
    }
}

impl Query<Export> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: Export) -> Result<Reply<Json>> {
        let what = match op.r#type.as_str() {
            "encryption-key" => What::Encryption,
            "signing-key" => What::Signing,
            "hmac-key" => What::Hmac,
            "public-key" => What::Public,
            "certificate-chain" => What::Chain,
            _ => return Err(wrong("invalid export type")),
        };
        let format = match op.format.as_deref() {
            None | Some("") => Format::Usual,
            Some("raw") => Format::Raw,
            Some("der") => Format::Der,
            Some("pem") => Format::Pem,
            Some(_) => return Err(wrong("invalid format")),
        };
        let ring = Ring::find(&cx.view(), &op.name).await?.ok_or_else(Error::not_found)?;
        if !ring.key.exportable && !matches!(what, What::Public | What::Chain) {
            return Err(wrong("private key material is not exportable"));
        }
        ring.in_use()?;
        let kind = ring.key.kind;
        match what {
            What::Encryption if !kind.encrypts() => {
                return Err(wrong("encryption not supported for the key"));
            }
            What::Signing if !kind.signs() => {
                return Err(wrong("signing not supported for the key"));
            }
            What::Chain if !kind.signs() => {
                return Err(wrong(
                    "certificate chain not supported for keys that do not support signing",
                ));
            }
            _ => {}
        }
        if what == What::Public && ring.key.is_derived() {
            // Half of what is a secret here: keys are derived of all of it.
            return Err(wrong("a derived key has a public key for each context: read the key"));
        }
        let mut keys = BTreeMap::new();
        for number in numbers(&ring, op.version.as_deref())? {
            let version = ring.load(&cx.view(), number).await?;
            keys.insert(number, exported(kind, &version, what, format)?);
        }
        Ok(Reply::data(json!({
            "keys": by_version(keys), "name": op.name, "type": kind.name(),
        })))
    }
}

/// What is wrapped of a version.
fn to_wrap(version: &Loaded) -> Result<SecretBytes> {
    match &version.material {
        Material::Cipher(_, bytes, _) => Ok(bytes.duplicate()),
        Material::Hmac => Ok(SecretBytes::new(version.hmac_key()?.to_vec())),
        Material::MlDsa(pair) => Ok(pair.to_pkcs8_der().duplicate()),
        Material::MlKem(pair) => Ok(pair.to_bytes().duplicate()),
        Material::Pair(pair) => {
            let der = pair.private.as_ref().map(PrivateKey::to_pkcs8_der);
            let der = der.ok_or_else(|| wrong("the key version has no private part"))?;
            Ok(der.duplicate())
        }
    }
}

impl Query<ExportWrapped> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ExportWrapped) -> Result<Reply<Json>> {
        let view = cx.view();
        let missing = "no such destination key to export to";
        let destination = Ring::of(&view, &op.destination, missing).await?;
        destination.in_use()?;
        let source = Ring::of(&view, &op.source, "no such source key for export").await?;
        if !source.key.exportable {
            return Err(wrong("key is not exportable"));
        }
        source.in_use()?;
        let hash = oaep_hash(op.hash.as_deref())?;
        let under = destination.load_for(&view, 0, Use::Wrapping).await?;
        let Material::Pair(Pair { public, .. }) = &under.material else {
            return Err(wrong("unsupported key type in use; must be a rsa key"));
        };
        let KeyType::Rsa(_) = public.key_type() else {
            return Err(wrong("unsupported key type in use; must be a rsa key"));
        };
        let mut keys = BTreeMap::new();
        for number in numbers(&source, op.version.as_deref())? {
            let version = source.load(&view, number).await?;
            let aes = strongroom_base::Secret::new(cx.rng().array::<32>());
            let mut out = public.encrypt_oaep(hash, aes.expose_secret())?;
            let key = to_wrap(&version)?;
            out.extend_from_slice(&keywrap::wrap(aes.expose_secret(), key.expose_secret())?);
            keys.insert(number, encode(&out));
        }
        Ok(Reply::data(json!({
            "keys": by_version(keys), "name": op.source, "type": source.key.kind.name(),
        })))
    }
}
