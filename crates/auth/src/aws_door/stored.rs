//! What the mount keeps: roles, their key pairs, and the key that seals session tokens.
//!
//! A key pair's record is named by its access key; which role it is of stands in it, and below the
//! role's number lies a record of its name alone. A role's number is never given twice: the keys of a
//! role that is gone are not those of a new one of its name.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, SecretString, Timestamp};
use strongroom_cloudwire::iam::{Document, Kind};
use strongroom_cloudwire::sigv4::{Scope, SigningKey};
use strongroom_kernel::plug::WriteCx;
use strongroom_kernel::record::{Id, ReadView, Record};
use zeroize::Zeroize;

use super::caller::Caller;

/// Signing keys that are remembered of one key pair: as many regions, services and days.
const SIGNING_KEYS_MAX: usize = 8;

/// A role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Role {
    /// The number below which the names of its keys lie.
    pub id: Id,
    /// Its id in AWS's manner, without prefix.
    pub unique_id: String,
    /// Policies of its callers.
    pub policies: Vec<String>,
    /// Addresses that its callers may come from; empty is any.
    pub bound_cidrs: Vec<String>,
    /// Leave the `default` policy away?
    pub no_default_policy: bool,
    /// The IAM document that limits its callers beside the policies, or "".
    pub document: String,
    /// Roles whose callers may assume it; `*` for all of the mount.
    pub trusted_roles: Vec<String>,
    /// The auth mount that vouches for web identities (`auth/jwt/`), or "".
    pub web_identity_mount: String,
    /// The role of that mount that the login must be of.
    pub web_identity_role: String,
    /// Seconds that temporary keys are good for at most.
    pub max_session_ttl: i64,
    /// Is it off, with all its keys?
    pub disabled: bool,
    /// Session tokens from before are good no more.
    pub sessions_since: Timestamp,
    /// When it was made.
    pub created: Timestamp,
}

impl Record for Role {
    const KIND: u8 = 1;
}

/// A role with its document read.
pub struct PreparedRole {
    /// The role.
    pub role: Role,
    /// Its document.
    pub document: Option<Arc<Document>>,
}

impl PreparedRole {
    fn new(role: Role) -> Result<Self> {
        let document = match role.document.as_str() {
            "" => None,
            text => Some(Arc::new(Document::parse(text, Kind::Identity).map_err(Error::internal)?)),
        };
        Ok(Self { role, document })
    }
}

/// The role called `name`.
pub async fn role(view: &ReadView<'_>, name: &str) -> Result<Option<Arc<PreparedRole>>> {
    view.prepared::<Role, PreparedRole>(0, &name.to_lowercase(), PreparedRole::new).await
}

/// A key pair.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyPair {
    /// The secret key.
    pub secret_key: String,
    /// The number of its role.
    pub role_id: Id,
    /// The name of its role.
    pub role: String,
    /// What it is for, in somebody's words.
    pub description: String,
    /// Is it off?
    pub disabled: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; zero is never.
    pub expires: Timestamp,
}

impl Record for KeyPair {
    const KIND: u8 = 2;
}

impl Drop for KeyPair {
    fn drop(&mut self) {
        self.secret_key.zeroize();
    }
}

impl KeyPair {
    /// Is it good now?
    pub fn is_good(&self, now: Timestamp) -> bool {
        !self.disabled && (self.expires.is_zero() || now < self.expires)
    }
}

/// A key pair as it verifies: what its secret key derives for a day is remembered, and who its caller is.
pub struct PreparedKey {
    /// The key pair.
    pub pair: KeyPair,
    secret_key: SecretString,
    derived: Mutex<VecDeque<([String; 3], Arc<SigningKey>)>>,
    caller: Mutex<Option<Arc<Caller>>>,
}

impl PreparedKey {
    fn new(pair: KeyPair) -> Self {
        let secret_key = SecretString::new(pair.secret_key.clone());
        Self { pair, secret_key, derived: Mutex::default(), caller: Mutex::default() }
    }

    /// Who calls with this key, which is `access_key`, as its role stands now.
    pub fn caller(
        &self,
        access_key: &str,
        role: &Arc<PreparedRole>,
        account: &str,
    ) -> Result<Arc<Caller>> {
        let is_same = |caller: &&Arc<Caller>| {
            Arc::ptr_eq(&caller.role, role) && caller.principal.account == account
        };
        if let Some(caller) = self.caller.lock().as_ref().filter(is_same) {
            return Ok(caller.clone());
        }
        let caller = Caller::new(self.pair.role.clone(), access_key, None, role.clone(), account)?;
        let caller = Arc::new(caller);
        *self.caller.lock() = Some(caller.clone());
        Ok(caller)
    }

    /// The signing key of a scope.
    pub fn signing_key(&self, scope: &[String; 3]) -> Arc<SigningKey> {
        let mut derived = self.derived.lock();
        if let Some((_, key)) = derived.iter().find(|(known, _)| known == scope) {
            return key.clone();
        }
        let key = Arc::new(SigningKey::derive(&self.secret_key, scope_of(scope)));
        if derived.len() >= SIGNING_KEYS_MAX {
            derived.pop_front();
        }
        derived.push_back((scope.clone(), key.clone()));
        key
    }
}

/// The scope of a signing key.
pub fn scope_of([date, region, service]: &[String; 3]) -> Scope<'_> {
    Scope { date, region, service }
}

/// The key pair with this access key.
pub async fn key(view: &ReadView<'_>, access_key: &str) -> Result<Option<Arc<PreparedKey>>> {
    let prepare = |pair| Ok(PreparedKey::new(pair));
    view.prepared::<KeyPair, PreparedKey>(0, access_key, prepare).await
}

/// That a role has the key of this name.
#[derive(Serialize, Deserialize)]
pub struct KeyOfRole;

impl Record for KeyOfRole {
    const KIND: u8 = 3;
}

/// The key that seals session tokens.
#[derive(Clone, Serialize, Deserialize)]
pub struct SessionKey(pub [u8; 32]);

impl Record for SessionKey {
    const KIND: u8 = 4;
}

impl Drop for SessionKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Makes that key where it is not there. It is done when a role is made: verification cannot write.
pub async fn prepare_sessions(cx: &WriteCx<'_>) -> Result<()> {
    if cx.view().named::<SessionKey>(0, "").await?.is_none() {
        cx.edit().put_named(0, "", &SessionKey(cx.rng().array()))?;
    }
    Ok(())
}

/// That key, if there ever was a role.
pub async fn session_key(view: &ReadView<'_>) -> Result<Option<Arc<SessionKey>>> {
    view.prepared::<SessionKey, SessionKey>(0, "", Ok).await
}
