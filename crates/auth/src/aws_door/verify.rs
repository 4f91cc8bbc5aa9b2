//! Whose signature is it?

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_base::{Error, RequestPath, Result, SecretString, Timestamp};
use strongroom_cloudwire::iam::{Document, Kind};
use strongroom_cloudwire::sigv4::{SigningKey, check_fresh, read_date};
use strongroom_kernel::plug::{Asked, Credential, Proof, ReadCx, Signature, Verified, Verify};

use super::access::Limits;
use super::caller::Caller;
use super::sessions::Session;
use super::stored::{self, PreparedKey, PreparedRole, scope_of};
use super::{AwsDoor, arns, sts};

/// AWS's words for a key that is not known, is off, or whose session token is not its own.
pub fn unrecognized() -> Error {
    let mut error = Error::denied().called("UnrecognizedClientException");
    error.public = vec!["The security token included in the request is invalid.".to_owned()];
    error
}

fn wrong_signature(text: String) -> Error {
    let mut error = Error::denied().called("InvalidSignatureException");
    error.public = vec![text];
    error
}

const DIFFERS: &str = "The request signature we calculated does not match the signature you provided. \
                       Check your AWS Secret Access Key and signing method. Consult the service \
                       documentation for details.";

fn expired() -> Error {
    let mut error = Error::denied().called("ExpiredTokenException");
    error.public = vec!["The security token included in the request is expired".to_owned()];
    error
}

/// Who signed.
struct Signer {
    key: Arc<SigningKey>,
    caller: Arc<Caller>,
    session: Option<Session>,
}

impl Verify for AwsDoor {
    async fn verify(&self, cx: &ReadCx<'_>, credential: &Credential) -> Result<Verified> {
        match &credential.proof {
            Proof::Signature(signature) => {
                let account = &credential.asked.account;
                let signer = match &signature.session_token {
                    Some(token) => Box::pin(of_session(cx, signature, token, account)).await?,
                    None => of_key(cx, signature, account).await?,
                };
                check(&signer, signature, cx.now())?;
                known(cx, signer, &credential.asked)
            }
            Proof::Vouched { role, token } => {
                Box::pin(vouched(cx, role, token, &credential.asked)).await
            }
        }
    }
}

/// The role, if it is there, is not off, and has this number.
async fn live_role(
    cx: &ReadCx<'_>,
    name: &str,
    id: strongroom_kernel::record::Id,
) -> Result<Arc<PreparedRole>> {
    let role = stored::role(&cx.view(), name).await?;
    role.filter(|r| r.role.id == id && !r.role.disabled).ok_or_else(unrecognized)
}

/// The role of a session that was made at `issued`, if it still stands.
async fn live_session(
    cx: &ReadCx<'_>,
    name: &str,
    id: strongroom_kernel::record::Id,
    issued: Timestamp,
) -> Result<Arc<PreparedRole>> {
    let role = live_role(cx, name, id).await?;
    if issued <= role.role.sessions_since { Err(unrecognized()) } else { Ok(role) }
}

async fn of_key(cx: &ReadCx<'_>, signature: &Signature, account: &str) -> Result<Signer> {
    let key = stored::key(&cx.view(), &signature.key).await?;
    let key = key.filter(|key| key.pair.is_good(cx.now())).ok_or_else(unrecognized)?;
    let role = live_role(cx, &key.pair.role, key.pair.role_id).await?;
    let caller = key.caller(&signature.key, &role, account)?;
    Ok(Signer { key: key.signing_key(&signature.scope), caller, session: None })
}

async fn of_session(
    cx: &ReadCx<'_>,
    signature: &Signature,
    token: &SecretString,
    account: &str,
) -> Result<Signer> {
    let view = cx.view();
    let sealer = stored::session_key(&view).await?.ok_or_else(unrecognized)?;
    let session = Session::open(token, &sealer).filter(|s| s.access_key == signature.key);
    let session = session.ok_or_else(unrecognized)?;
    let role = live_session(cx, &session.role, session.role_id, session.issued).await?;
    for ancestor in &session.ancestors {
        live_session(cx, &ancestor.role, ancestor.role_id, ancestor.issued).await?;
    }
    if let Some(parent) = &session.parent {
        let parent = stored::key(&view, parent).await?;
        // The name of one that is gone may be another's by now.
        let asked = |key: &Arc<PreparedKey>| {
            key.pair.is_good(cx.now()) && key.pair.created <= session.began()
        };
        let parent = parent.filter(asked).ok_or_else(unrecognized)?;
        live_role(cx, &parent.pair.role, parent.pair.role_id).await?;
    }
    let secret_key = SecretString::new(session.secret_key.clone());
    let key = Arc::new(SigningKey::derive(&secret_key, scope_of(&signature.scope)));
    let name = session.role.clone();
    let caller = Caller::new(name, &signature.key, Some(&session), role, account)?;
    Ok(Signer { key, caller: Arc::new(caller), session: Some(session) })
}

/// Is the signature right, fresh, and by keys that have not ended?
fn check(signer: &Signer, signature: &Signature, now: Timestamp) -> Result<()> {
    if !signer.key.verifies(&signature.text, &signature.signature) {
        return Err(wrong_signature(DIFFERS.to_owned()));
    }
    let date = read_date(&signature.date).ok_or_else(|| wrong_signature(DIFFERS.to_owned()))?;
    check_fresh(date, now, signature.expires).map_err(wrong_signature)?;
    match &signer.session {
        Some(session) if session.expires <= now => Err(expired()),
        _ => Ok(()),
    }
}

/// The caller with what limits it beside its policies.
fn known(cx: &ReadCx<'_>, signer: Signer, asked: &Arc<Asked>) -> Result<Verified> {
    let Signer { caller, session, .. } = signer;
    let narrowed = session.as_ref().map(|s| s.document.as_str()).filter(|text| !text.is_empty());
    let narrowed = narrowed.map(|text| Document::parse(text, Kind::Identity));
    let session = narrowed.transpose().map_err(Error::internal)?;
    let (asked, peer, now) = (asked.clone(), cx.request.peer.clone(), cx.now());
    let standing = caller.standing.clone();
    let access = Arc::new(Limits { caller, session, asked, peer, now });
    Ok(Verified::Caller { standing, access })
}

/// Does it look like a token that a method could verify? That is a question of its form: the answer tells
/// nothing of roles.
fn is_jwt(token: &SecretString) -> bool {
    let parts: Vec<&str> = token.expose_secret().split('.').collect();
    let [header, _, _] = parts.as_slice() else { return false };
    let header = URL_SAFE_NO_PAD.decode(header.trim_end_matches('=')).unwrap_or_default();
    serde_json::from_slice::<serde_json::Map<_, strongroom_base::Json>>(&header).is_ok()
}

/// Who shows another's token is asked to log in there.
async fn vouched(
    cx: &ReadCx<'_>,
    arn: &str,
    token: &SecretString,
    asked: &Asked,
) -> Result<Verified> {
    if !is_jwt(token) {
        let text = "The ID Token provided is not a valid JWT.";
        return Err(Error::bad_request(text).called("InvalidIdentityToken"));
    }
    let role = match arns::role_of(arn, &asked.account) {
        Some(name) => stored::role(&cx.view(), &name).await?,
        None => None,
    };
    let role = role.filter(|r| !r.role.disabled && !r.role.web_identity_mount.is_empty());
    let role = role.ok_or_else(sts::not_by_web_identity)?;
    let path = format!("{}login", role.role.web_identity_mount);
    let fields = serde_json::json!({
        "role": role.role.web_identity_role,
        "jwt": token.expose_secret(),
    });
    let path = RequestPath::parse(&path).map_err(|_| Error::internal("a stored path is none"))?;
    Ok(Verified::LogIn { path, fields })
}
