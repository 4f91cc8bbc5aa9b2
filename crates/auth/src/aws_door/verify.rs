//! Whose signature is it?

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_base::{Error, RequestPath, Result, SecretString, Timestamp};
use strongroom_cloudwire::iam::{Document, Kind, Principal};
use strongroom_cloudwire::sigv4::{SigningKey, check_fresh, read_date};
use strongroom_kernel::plug::{
    Asked, Credential, Grant, GrantAlias, Proof, ReadCx, Signature, TokenParams, Verified, Verify,
};

use super::access::Limits;
use super::known::{DOOR, Known};
use super::sessions::Session;
use super::stored::{self, PreparedRole, scope_of};
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
    role_name: String,
    role: Arc<PreparedRole>,
    session: Option<Session>,
}

impl Verify for AwsDoor {
    async fn verify(&self, cx: &ReadCx<'_>, credential: &Credential) -> Result<Verified> {
        match &credential.proof {
            Proof::Signature(signature) => {
                let signer = match &signature.session_token {
                    Some(token) => of_session(cx, signature, token).await?,
                    None => of_key(cx, signature).await?,
                };
                check(&signer, signature, cx.now())?;
                caller(cx, signature, signer, &credential.asked)
            }
            Proof::Vouched { role, token } => vouched(cx, role, token, &credential.asked).await,
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

async fn of_key(cx: &ReadCx<'_>, signature: &Signature) -> Result<Signer> {
    let key = stored::key(&cx.view(), &signature.key).await?;
    let key = key.filter(|key| key.pair.is_good(cx.now())).ok_or_else(unrecognized)?;
    let role_name = key.pair.role.clone();
    let role = live_role(cx, &role_name, key.pair.role_id).await?;
    Ok(Signer { key: key.signing_key(&signature.scope), role_name, role, session: None })
}

async fn of_session(
    cx: &ReadCx<'_>,
    signature: &Signature,
    token: &SecretString,
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
        let parent = parent.filter(|key| key.pair.is_good(cx.now())).ok_or_else(unrecognized)?;
        live_role(cx, &parent.pair.role, parent.pair.role_id).await?;
    }
    let secret_key = SecretString::new(session.secret_key.clone());
    let key = Arc::new(SigningKey::derive(&secret_key, scope_of(&signature.scope)));
    Ok(Signer { key, role_name: session.role.clone(), role, session: Some(session) })
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

fn caller(
    cx: &ReadCx<'_>,
    signature: &Signature,
    signer: Signer,
    asked: &Arc<Asked>,
) -> Result<Verified> {
    let (name, role) = (signer.role_name, signer.role);
    let account = &asked.account;
    let session = signer.session.as_ref();
    let session_name = session.and_then(|session| session.name.as_deref());
    let unique_id = &role.role.unique_id;
    let (principal, user_id) = match session_name {
        None => {
            let arn = arns::user(account, &name);
            let principal = Principal { account: account.clone(), arn, role_arn: None };
            (principal, format!("AIDA{unique_id}"))
        }
        Some(session) => {
            let arn = arns::assumed(account, &name, session);
            let role_arn = Some(arns::role(account, &name));
            let principal = Principal { account: account.clone(), arn, role_arn };
            (principal, format!("AROA{unique_id}:{session}"))
        }
    };
    let document = role.document.clone();
    let narrowed = session.map(|s| s.document.as_str()).filter(|text| !text.is_empty());
    let narrowed = narrowed.map(|text| Document::parse(text, Kind::Identity));
    let narrowed = narrowed.transpose().map_err(Error::internal)?;
    let key = session.map_or(Some(&signature.key), |session| session.parent.as_ref());
    let mut internal = Known {
        arn: principal.arn.clone(),
        user_id: user_id.clone(),
        account: account.clone(),
        role: name.clone(),
        key: key.cloned(),
        origin: session.map(Session::origin),
    }
    .into_map()?;
    let shown = ["arn", "role", "account"];
    let metadata = internal
        .iter()
        .filter(|(field, _)| shown.contains(&field.as_str()))
        .map(|(field, value)| (field.clone(), value.clone()))
        .chain([("access_key".to_owned(), signature.key.clone())])
        .collect();
    internal.insert(DOOR.to_owned(), String::new());
    let display_name = match session_name {
        Some(session) => format!("{name}/{session}"),
        None => name.clone(),
    };
    let user_name = session_name.is_none().then(|| name.clone());
    let grant = Grant {
        display_name,
        metadata,
        internal,
        alias: Some(GrantAlias { name, ..GrantAlias::default() }),
        token: TokenParams {
            policies: role.role.policies.clone(),
            bound_cidrs: role.role.bound_cidrs.clone(),
            no_default_policy: role.role.no_default_policy,
            ..TokenParams::default()
        },
        ..Grant::default()
    };
    let limits = Limits {
        principal,
        document,
        session: narrowed,
        asked: asked.clone(),
        user_id,
        user_name,
        peer: cx.request.peer.clone(),
        now: cx.now(),
    };
    Ok(Verified::Caller { grant: Box::new(grant), access: Arc::new(limits) })
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
