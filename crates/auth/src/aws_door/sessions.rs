//! Temporary keys: what they are stands in their session token, sealed by a key of the mount.
//!
//! Nothing is stored for them: a login of a thousand jobs a minute writes nothing, and there is nothing to
//! clean up. The price is that one of them cannot be taken back by itself; but every use asks for the
//! role, for the key that it came from, for the entities of whoever asked for it, and for the time before
//! which the role's sessions are void.
//!
//! Invariants:
//! * a session that was asked for by another's keys ends with that one, and with all before it: each use
//!   asks for the role of each of them, and for the time before which that role's sessions are void;
//! * it ends with the entity of whoever asked for it, and of those before, also where another method vouched
//!   for them;
//! * a key pair that was made later under the name of the one that asked is not that one;
//! * such a chain is short, so that a token stays one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Rng, SecretString, Timestamp};
use strongroom_crypto::aead::{Key256, NONCE_BYTES};
use strongroom_kernel::record::Id;
use zeroize::{Zeroize, Zeroizing};

use super::arns;
use super::stored::SessionKey;

/// The form of a token.
const VERSION: u8 = 1;
/// Random bytes that give each token a key of its own.
const SALT_BYTES: usize = 16;
const PURPOSE: &[u8] = b"strongroom aws-door session 1";

/// Sessions that one may come from, one by another's keys.
pub const CHAIN_MAX: usize = 8;

/// A session that another came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Its role.
    pub role: String,
    /// The role's number.
    pub role_id: Id,
    /// When it was made.
    pub issued: Timestamp,
}

/// The session that asks for another, with all that it came from itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The sessions, the first one first and the asking one last.
    pub chain: Vec<Ancestor>,
    /// When the asking one ends.
    pub expires: Timestamp,
    /// Is it one of an assumed role? Those of GetSessionToken are their user's own.
    pub assumed: bool,
    /// Who stands behind the asking one, if that was said.
    #[serde(default)]
    pub source_identity: Option<String>,
    /// See [`Session::entities`].
    #[serde(default)]
    pub entities: Vec<String>,
}

/// What a session token says.
#[derive(Serialize, Deserialize)]
pub struct Session {
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// The role.
    pub role: String,
    /// The role's number.
    pub role_id: Id,
    /// The session's name; none for GetSessionToken, whose caller stays the role under its own keys.
    pub name: Option<String>,
    /// The key pair that asked for it, if one did.
    pub parent: Option<String>,
    /// When it was made.
    pub issued: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The IAM document that narrows it, or "".
    pub document: String,
    /// The sessions that it came from, the first one first.
    #[serde(default)]
    pub ancestors: Vec<Ancestor>,
    /// Who stands behind it, as was said of the first one that says it.
    #[serde(default)]
    pub source_identity: Option<String>,
    /// The entities of whoever asked for it, and for those that it came from.
    #[serde(default)]
    pub entities: Vec<String>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.secret_key.zeroize();
    }
}

/// What a session is for, before it has keys.
pub struct NewSession {
    /// See [`Session::role`].
    pub role: String,
    /// See [`Session::role_id`].
    pub role_id: Id,
    /// See [`Session::name`].
    pub name: Option<String>,
    /// See [`Session::parent`].
    pub parent: Option<String>,
    /// See [`Session::issued`].
    pub issued: Timestamp,
    /// Seconds that it is good for.
    pub seconds: i64,
    /// See [`Session::document`].
    pub document: String,
    /// The session whose keys asked for it, if any did.
    pub origin: Option<Origin>,
    /// See [`Session::source_identity`].
    pub source_identity: Option<String>,
    /// The entity of whoever asks for it, or "".
    pub entity: String,
}

impl Session {
    /// A session with fresh keys.
    pub fn new(new: NewSession, rng: &dyn Rng) -> Self {
        let NewSession { role, role_id, name, parent, issued, seconds, document, .. } = new;
        let secret_key = arns::secret_key(rng).expose_secret().clone();
        let access_key = arns::access_key(rng, "ASIA");
        // To the second, as it is told.
        let mut expires = Timestamp::from_seconds(issued.seconds()).plus_seconds(seconds);
        let (mut ancestors, mut entities) = (Vec::new(), Vec::new());
        if let Some(origin) = new.origin {
            expires = expires.min(origin.expires);
            (ancestors, entities) = (origin.chain, origin.entities);
        }
        if !new.entity.is_empty() && !entities.contains(&new.entity) {
            entities.push(new.entity);
        }
        Self {
            access_key,
            secret_key,
            role,
            role_id,
            name,
            parent,
            issued,
            expires,
            document,
            ancestors,
            source_identity: new.source_identity,
            entities,
        }
    }

    /// What a session is told that is asked for by the keys of this one.
    pub fn origin(&self) -> Origin {
        let own = Ancestor { role: self.role.clone(), role_id: self.role_id, issued: self.issued };
        let chain = self.ancestors.iter().cloned().chain([own]).collect();
        Origin {
            chain,
            expires: self.expires,
            assumed: self.name.is_some(),
            source_identity: self.source_identity.clone(),
            entities: self.entities.clone(),
        }
    }

    /// When the first of the sessions that it came from was made, by the key pair that asked.
    pub fn began(&self) -> Timestamp {
        self.ancestors.first().map_or(self.issued, |first| first.issued)
    }

    /// Its token.
    pub fn seal(&self, key: &SessionKey, rng: &dyn Rng) -> Result<SecretString> {
        let salt: [u8; SALT_BYTES] = rng.array();
        let plain = Zeroizing::new(serde_json::to_vec(self).map_err(Error::internal)?);
        let mut sealed = vec![VERSION];
        sealed.extend_from_slice(&salt);
        let own = Key256::derive(&key.0, &salt, PURPOSE);
        own.seal_into([0; NONCE_BYTES], &[VERSION], &plain, &mut sealed)?;
        Ok(SecretString::new(STANDARD.encode(sealed)))
    }

    /// The session of a token; `None` where it is no token of this mount.
    pub fn open(token: &SecretString, key: &SessionKey) -> Option<Self> {
        let sealed = STANDARD.decode(token.expose_secret()).ok()?;
        let (version, rest) = sealed.split_first()?;
        let (salt, ciphertext) = rest.split_first_chunk::<SALT_BYTES>()?;
        if *version != VERSION {
            return None;
        }
        let own = Key256::derive(&key.0, salt, PURPOSE);
        let plain = own.open([0; NONCE_BYTES], &[VERSION], ciphertext).ok()?;
        serde_json::from_slice(plain.expose_secret()).ok()
    }
}
