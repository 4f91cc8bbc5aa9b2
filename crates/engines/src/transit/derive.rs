//! `derive-key`: a key of what a key here and somebody's public key have in common.

use strongroom_base::{Error, Result, fields};
use strongroom_crypto::hmac::hkdf_sha256_bytes;
use strongroom_crypto::keys::{KeyType, PublicKey};
use strongroom_kernel::plug::{Command, EngineSpec, Reply, WriteCx, names, ops};

use super::Transit;
use super::key::{Derivation, Key, Version};
use super::keys::{append, save};
use super::kind::{DEFAULT_NAME, Kind};
use super::ring::Ring;

fields! {
    /// Makes a key by key agreement: whoever has the other private key and this key's public half can
    /// make the same.
    pub struct DeriveKey {
        /// The new key's name.
        name: String,
        /// ecdh, the only one there is.
        key_derivation_algorithm: Option<String>,
        /// The other side's public key, PEM.
        peer_public_key: Option<String>,
        /// The ECDSA key here.
        base_key_name: Option<String>,
        /// Its version; 0 for the latest.
        base_key_version: Option<i64>,
        /// The new key's type: aes256-gcm96 (where nothing is said), aes128-gcm96,
        /// chacha20-poly1305 or xchacha20-poly1305.
        derived_key_type: Option<String>,
    }
}

ops! {
    DeriveKey (), Write;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<DeriveKey>("derive-key/{name}")
}

fn wrong(text: impl Into<String>) -> Error {
    Error::bad_request(text)
}

impl Command<DeriveKey> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeriveKey) -> Result<Reply<()>> {
        if op.key_derivation_algorithm.is_some_and(|name| name != "ecdh") {
            return Err(wrong("key derivation algorithm not supported"));
        }
        let peer = op.peer_public_key.filter(|pem| !pem.is_empty());
        let peer = peer.ok_or_else(|| wrong("peer public key not provided"))?;
        let name = op.derived_key_type.as_deref().unwrap_or(DEFAULT_NAME).to_lowercase();
        let Some(kind @ Kind::Cipher(cipher)) = Kind::named(&name) else {
            return Err(wrong("unknown key type"));
        };
        names::check(&op.name)?;
        cx.queue(&op.name).await;
        let view = cx.view();
        let base = op.base_key_name.unwrap_or_default();
        let base = Ring::of(&view, &base, "specified base key not found").await?;
        base.in_use()?;
        let Kind::Pair(KeyType::Ec(_)) = base.key.kind else {
            let name = base.key.kind.name();
            return Err(wrong(format!("base key type {name} does not support key agreement")));
        };
        let refused = |why: &str| wrong(format!("requested version of the base key is {why}"));
        let number = match u64::try_from(op.base_key_version.unwrap_or(0)) {
            Ok(0) => base.key.latest(),
            Ok(number) if number > base.key.latest() => {
                return Err(refused("higher than the latest key version"));
            }
            Ok(number) => number,
            Err(_) => return Err(refused("negative")),
        };
        if Ring::find(&view, &op.name).await?.is_some() {
            return Err(wrong("a key of this name exists already"));
        }
        let peer = PublicKey::from_pem(&peer)
            .map_err(|_| wrong("failed to parse supplied peer public key PEM"))?;
        let version = base.load(&view, number).await?;
        let private = version.pair()?.private.as_ref();
        let private = private.ok_or_else(|| wrong("the base key version has no private part"))?;
        let shared = private.agree(&peer)?;
        let length = cipher.key_bytes();
        let secret = hkdf_sha256_bytes(shared.expose_secret(), &[], &[], length)?;
        let mut hmac = vec![0; 32];
        cx.rng().fill(&mut hmac);
        let version = Version {
            created: cx.now(),
            secret: secret.expose_secret().clone(),
            public: Vec::new(),
            hmac,
            chain: Vec::new(),
        };
        let mut key = Key::new(kind, Derivation::None, false);
        key.imported = true;
        let edit = cx.edit();
        append(&edit, &mut key, &version)?;
        save(cx, &op.name, &mut key).await?;
        Ok(Reply::none())
    }
}
