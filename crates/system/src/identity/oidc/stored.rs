//! What is kept of identity tokens.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Timestamp};
use strongroom_crypto::jws::{Algorithm, Jwk};
use strongroom_crypto::keys::{PrivateKey, PublicKey};
use strongroom_kernel::record::{Id, Record};
use zeroize::Zeroize;

/// The settings of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Scheme, host and port of the issuer; "" is the server's own address.
    pub issuer: String,
}

impl Record for Config {
    const KIND: u8 = 1;
}

/// A key that signs, with those before and after it. Named by its name.
#[derive(Serialize, Deserialize)]
pub struct Key {
    /// The signature algorithm's name: of pairs from the next one on.
    pub algorithm: String,
    /// Seconds for which a pair signs.
    pub rotation_period: i64,
    /// Seconds for which a pair is published after it signed last.
    pub verification_ttl: i64,
    /// When the last token ends that the pair that signs made before `verification_ttl` was lowered.
    #[serde(default)]
    pub tokens_end: Timestamp,
    /// Clients that roles may name; `*` is all.
    pub allowed_client_ids: Vec<String>,
    /// When the next pair takes over.
    pub next_rotation: Timestamp,
    /// The pair that signs.
    pub signing: Pair,
    /// The pair that comes next: published already.
    pub next: Pair,
    /// Those that signed before.
    pub retired: Vec<Retired>,
    /// The number below which the names of its roles hang.
    pub at: Id,
}

impl Record for Key {
    const KIND: u8 = 2;
}

/// A private key with its public half.
#[derive(Default, Serialize, Deserialize)]
pub struct Pair {
    /// The name by which tokens call it: a UUID.
    pub kid: String,
    /// Its algorithm's name; "" stands for the key's.
    #[serde(default)]
    pub algorithm: String,
    /// PKCS#8.
    pub private: Vec<u8>,
    /// The public half: its members in JSON (RFC 7517).
    pub public: String,
}

impl Drop for Pair {
    fn drop(&mut self) {
        self.private.zeroize();
    }
}

impl Pair {
    /// The pair of a key just made.
    pub fn of(kid: String, algorithm: &str, key: &PrivateKey) -> Result<Self> {
        let public = public_json(key.public()?)?;
        let private = key.to_pkcs8_der().expose_secret().clone();
        Ok(Self { kid, algorithm: algorithm.to_owned(), private, public })
    }

    /// The name of its algorithm, where `keys` is that of its key.
    pub fn algorithm<'n>(&'n self, keys: &'n str) -> &'n str {
        if self.algorithm.is_empty() { keys } else { &self.algorithm }
    }

    /// Its private key.
    pub fn private(&self) -> Result<PrivateKey> {
        PrivateKey::from_pkcs8_der(&self.private)
    }
}

fn public_json(key: PublicKey) -> Result<String> {
    let jwk = Jwk::of(key).map_err(|_| Error::internal("a key has no form in JSON"))?;
    Ok(jwk.canonical().to_owned())
}

/// The public half of a pair that signs no more.
#[derive(Clone, Serialize, Deserialize)]
pub struct Retired {
    /// Its name.
    pub kid: String,
    /// Its algorithm's name.
    pub algorithm: String,
    /// Its members in JSON.
    pub public: String,
    /// When it is published no more.
    pub until: Timestamp,
}

/// What the tokens of a role hold. Named by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// The name of its key.
    pub key: String,
    /// What its tokens hold besides, or "".
    pub template: String,
    /// Whom its tokens are for.
    pub client_id: String,
    /// Seconds for which its tokens are good.
    pub ttl: i64,
}

impl Record for Role {
    const KIND: u8 = 3;
}

/// That a role uses a key. Named by the role, below the key's number.
#[derive(Serialize, Deserialize)]
pub struct RoleOfKey;

impl Record for RoleOfKey {
    const KIND: u8 = 4;
}

/// A key ready to sign: made once of its record, and shared until that changes.
pub struct Ready {
    /// The algorithm of pairs from the next one on.
    pub algorithm: Algorithm,
    /// The algorithm of the pair that signs.
    pub signs_by: Algorithm,
    /// Seconds for which a pair signs.
    pub rotation_period: i64,
    /// Seconds for which a pair is published after it signed last.
    pub verification_ttl: i64,
    /// Clients that roles may name.
    pub allowed_client_ids: Vec<String>,
    /// When the next pair takes over.
    pub next_rotation: Timestamp,
    /// The name of the pair that signs.
    pub kid: String,
    /// The private key that signs.
    pub private: PrivateKey,
    /// Public keys with their names, and until when they are published.
    pub published: Vec<Published>,
    /// The number below which the names of its roles hang.
    pub at: Id,
}

/// A public key that others may verify by.
pub struct Published {
    /// Its name.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its members in JSON.
    pub json: String,
    /// When it is published no more; `None` while it signs or is about to.
    pub until: Option<Timestamp>,
}

impl Published {
    /// Is it published at this time?
    pub fn is_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

fn algorithm(name: &str) -> Result<Algorithm> {
    super::algorithm(name).ok_or_else(|| Error::internal("a key has an unknown algorithm"))
}

impl Ready {
    /// Prepares a key.
    pub fn of(key: Key) -> Result<Self> {
        let own = algorithm(&key.algorithm)?;
        let private = key.signing.private()?;
        let current = [&key.signing, &key.next].into_iter().map(|pair| {
            Ok(Published {
                kid: pair.kid.clone(),
                algorithm: algorithm(pair.algorithm(&key.algorithm))?,
                json: pair.public.clone(),
                until: None,
            })
        });
        let retired = key.retired.iter().map(|old| {
            Ok(Published {
                kid: old.kid.clone(),
                algorithm: algorithm(&old.algorithm)?,
                json: old.public.clone(),
                until: Some(old.until),
            })
        });
        let published = current.chain(retired).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            algorithm: own,
            signs_by: algorithm(key.signing.algorithm(&key.algorithm))?,
            rotation_period: key.rotation_period,
            verification_ttl: key.verification_ttl,
            kid: key.signing.kid.clone(),
            private,
            published,
            at: key.at,
            next_rotation: key.next_rotation,
            allowed_client_ids: key.allowed_client_ids,
        })
    }
}
