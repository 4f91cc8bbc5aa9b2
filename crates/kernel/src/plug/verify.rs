//! Credentials that are verified with the one request that they sign or come along with: no token is
//! shown for them and nothing is written (AWS's signatures).
//!
//! Invariants:
//! * every request's credential is verified; what is remembered of a caller is who that is, and is made anew
//!   when the mount or the entity is another;
//! * what limits such a caller beside its policies ([`Access`]) is asked before an operation runs,
//!   unless the operation asks it itself, because it alone knows the resource
//!   ([`super::EngineSpec::judges_access`]).

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{Json, RequestPath, Result, SecretString, Timestamp};

use super::{Grant, ReadCx};
use crate::mount::Mount;
use crate::tokens::Token;

/// What a door read of a request's credential.
pub struct Credential {
    /// The auth mount that knows it, within the request's namespace (`auth/aws-door/`).
    pub mount: String,
    /// The proof.
    pub proof: Proof,
    /// What is asked, as the credential's protocol calls it.
    pub asked: Arc<Asked>,
}

/// How a caller proves who it is.
pub enum Proof {
    /// It signed the request.
    Signature(Signature),
    /// Somebody else vouches for it, to another auth method: good for a login as this role.
    Vouched {
        /// The role.
        role: String,
        /// The token of whoever vouches.
        token: SecretString,
    },
}

/// A signature over a request, and what was signed.
pub struct Signature {
    /// Whose key signed.
    pub key: String,
    /// What the signing key is good for: day, region, service.
    pub scope: [String; 3],
    /// When it was signed, as the protocol writes it.
    pub date: String,
    /// Seconds that it is good for, where it says so itself.
    pub expires: Option<i64>,
    /// The text that was signed.
    pub text: String,
    /// The signature.
    pub signature: String,
    /// The session token of temporary credentials.
    pub session_token: Option<SecretString>,
}

/// What is asked.
#[derive(Clone, Default)]
pub struct Asked {
    /// The action (`secretsmanager:GetSecretValue`).
    pub action: String,
    /// The resource, as far as the door knows it.
    pub resource: String,
    /// The account that the door stands for.
    pub account: String,
    /// What conditions see.
    pub keys: Vec<(Cow<'static, str>, Vec<String>)>,
}

/// Seconds for which the token of a verified caller is good for more requests than one.
const REMEMBERED_SECONDS: i64 = 60;

/// Who a credential proves its caller to be, and the token that came of it last. A method that finds the
/// same caller again and again keeps it, so that neither is made for every request.
pub struct Standing {
    /// What a login would have answered.
    pub grant: Grant,
    /// Entities without which it is nobody: of those who had it made, where it is not its own making.
    pub behind: Vec<String>,
    last: Mutex<Option<Last>>,
}

/// A token, and what it was made of beside the grant.
struct Last {
    token: Arc<Token>,
    mount: Arc<Mount>,
}

impl Standing {
    /// A caller that was not seen yet.
    pub fn new(grant: Grant, behind: Vec<String>) -> Self {
        Self { grant, behind, last: Mutex::default() }
    }

    /// Its token for a request at `now` as this entity, made by `make` where there is none that is good for
    /// it.
    pub(crate) fn token(
        &self,
        mount: &Arc<Mount>,
        entity_id: &str,
        now: Timestamp,
        make: impl FnOnce() -> Result<Token>,
    ) -> Result<Arc<Token>> {
        let is_good = |last: &&Last| {
            let Token { created, expires, .. } = *last.token;
            Arc::ptr_eq(&last.mount, mount)
                && last.token.entity_id == entity_id
                && (created..created.plus_seconds(REMEMBERED_SECONDS)).contains(&now)
                && (expires.is_zero() || now < expires)
        };
        if let Some(last) = self.last.lock().as_ref().filter(is_good) {
            return Ok(last.token.clone());
        }
        let token = Arc::new(make()?);
        *self.last.lock() = Some(Last { token: token.clone(), mount: mount.clone() });
        Ok(token)
    }
}

/// What verification comes to.
pub enum Verified {
    /// It is this caller.
    Caller {
        /// Who it is.
        standing: Arc<Standing>,
        /// What limits it beside its policies.
        access: Arc<dyn Access>,
    },
    /// Another method is to say: the login at `path` of the same namespace.
    LogIn {
        /// The path of the login.
        path: RequestPath,
        /// Its fields.
        fields: Json,
    },
}

/// Verifies credentials. It is a query: it cannot write.
pub trait Verify: Send + Sync {
    /// Whose credential is it? The failure is what its protocol tells strangers.
    fn verify(
        &self,
        cx: &ReadCx<'_>,
        credential: &Credential,
    ) -> impl Future<Output = Result<Verified>> + Send;
}

/// What limits a verified caller beside its policies: documents attached to it, and to the resource.
pub trait Access: Send + Sync {
    /// The caller's name in the protocol (an ARN).
    fn principal(&self) -> &str;

    /// The resource that the request names, as far as the door knows it.
    fn resource(&self) -> &str;

    /// Has the caller documents of its own? One without is limited by the policies of resources alone, and
    /// need not be judged where there is none.
    fn has_documents(&self) -> bool;

    /// May the caller do it? The failure says so in the protocol's words.
    fn judge(&self, about: &About<'_>) -> Result<()>;
}

/// What an operation knows of its resource. The default is what the door knows.
#[derive(Clone, Copy, Default)]
pub struct About<'a> {
    /// The action, where it is another than the request's own (a value read within a batch).
    pub action: Option<&'a str>,
    /// The resource's full name (an ARN).
    pub resource: Option<&'a str>,
    /// What a refusal calls the resource, where its full name tells more than the request knew.
    pub called: Option<&'a str>,
    /// The policy attached to the resource.
    pub policy: Option<&'a str>,
    /// Does the resource itself name the caller as trusted?
    pub trusted: bool,
    /// Is the resource's policy alone asked whether it denies, the caller's own having been asked before?
    pub policy_alone: bool,
    /// The resource's tags.
    pub tags: &'a [(String, String)],
    /// What conditions see besides, in place of what the door said of it.
    pub keys: &'a [(&'a str, Vec<String>)],
}
