//! Temporary keys: what they are stands in their session token, sealed by a key of the mount.
//!
//! Nothing is stored for them: a login of a thousand jobs a minute writes nothing, and there is nothing to
//! clean up. The price is that one of them cannot be taken back by itself; but every use asks for the
//! role, for the key that it came from, and for the time before which the role's sessions are void.

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
}

impl Session {
    /// A session with fresh keys.
    pub fn new(new: NewSession, rng: &dyn Rng) -> Self {
        let NewSession { role, role_id, name, parent, issued, seconds, document } = new;
        let secret_key = arns::secret_key(rng).expose_secret().clone();
        let access_key = arns::access_key(rng, "ASIA");
        // To the second, as it is told.
        let expires = Timestamp::from_seconds(issued.seconds()).plus_seconds(seconds);
        Self { access_key, secret_key, role, role_id, name, parent, issued, expires, document }
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
