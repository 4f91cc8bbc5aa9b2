//! A request's way in and out: the directory, the nonce, the signature, the account.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::sync::Arc;
use strongroom_base::json::parse_bounded;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_crypto::jws::{self, Algorithm, Flattened, Header, Jwk, Refused};
use strongroom_kernel::plug::{Command, ReadCx, Reply, WriteCx, ops};

use super::super::PkiEngine;
use super::super::authority::{check_usage, config, find_issuer, issuer_id};
use super::super::role::Role;
use super::super::stored::{Cluster, DEFAULT, Usage};
use super::problem::{Problem, or};
use super::stored::{Account, AccountStatus, AcmeConfig};
use super::{Message, issuance};

/// Where a request came in.
pub(super) struct Directory {
    /// Its path below the mount: `roles/web/acme/`.
    pub name: String,
    /// Its URL, with a slash at its end.
    pub base: String,
    /// The mount's URL, without one.
    pub mount: String,
    /// What it may issue.
    pub role: Arc<Role>,
    /// The id of the issuer.
    pub issuer: String,
    /// The settings.
    pub config: Arc<AcmeConfig>,
}

/// A request that is signed.
pub(super) struct Visit {
    /// Where it came in.
    pub directory: Directory,
    /// The key that signed it.
    pub key: Jwk,
    /// The account that has it, with its id; none where the message brought its key along.
    pub account: Option<(String, Account)>,
    /// What it says; none of a "POST-as-GET", which says nothing.
    pub payload: Option<JsonMap>,
}

impl Visit {
    /// The account, which may act.
    pub fn account(&self) -> Result<(&str, &Account)> {
        let Some((id, account)) = &self.account else {
            return Err(Problem::Malformed.says("the message must be signed by an account ('kid')"));
        };
        self.directory.admit(account)?;
        Ok((id, account))
    }

    /// A member of the payload.
    pub fn member(&self, name: &str) -> Option<&Json> {
        self.payload.as_ref()?.get(name)
    }

    /// A text of the payload, if it is there.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>> {
        match self.member(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(Problem::Malformed.says(format!("the field '{name}' is no text"))),
        }
    }

    /// Bytes of the payload in base64url.
    pub fn bytes(&self, name: &'static str) -> Result<Vec<u8>> {
        let missing = || Problem::Malformed.says(format!("the field '{name}' is missing"));
        let text = self.text(name)?.ok_or_else(missing)?;
        let malformed = |_| Problem::Malformed.says(format!("the field '{name}' is not base64url"));
        URL_SAFE_NO_PAD.decode(text).map_err(malformed)
    }
}

impl Directory {
    /// The URL of something in it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Refuses an account that may not act here.
    pub fn admit(&self, account: &Account) -> Result<()> {
        if self.config.eab_policy == "always-required" && account.bound_to.is_empty() {
            return Err(external_account_required());
        }
        if account.status != AccountStatus::Valid {
            return Err(Problem::Unauthorized.says("the account is no longer valid"));
        }
        Ok(())
    }

    /// Must a new account be bound to an external one?
    pub fn wants_binding(&self) -> bool {
        self.config.eab_policy != "not-required"
    }
}

pub(super) fn external_account_required() -> Error {
    Problem::ExternalAccountRequired.says("the account must be bound to an external account")
}

/// The directory's path, the role and the issuer that a path below the mount names.
fn named(path: &str) -> Option<(&str, Option<&str>, Option<&str>)> {
    let segments: Vec<&str> = path.split('/').collect();
    let (count, role, issuer) = match segments.as_slice() {
        ["acme", ..] => (1, None, None),
        ["roles", role, "acme", ..] => (3, Some(*role), None),
        ["issuer", issuer, "acme", ..] => (3, None, Some(*issuer)),
        ["issuer", issuer, "roles", role, "acme", ..] => (5, Some(*role), Some(*issuer)),
        _ => return None,
    };
    let length = segments.iter().take(count).map(|segment| segment.len() + 1).sum();
    Some((path.get(..length)?, role, issuer))
}

/// The directory's path that a request is below.
pub(super) fn directory_name(cx: &ReadCx<'_>) -> Result<String> {
    let (name, ..) = named(&cx.request.path).ok_or_else(Error::unsupported)?;
    Ok(name.to_owned())
}

impl PkiEngine {
    /// The directory of a request.
    pub(super) async fn directory(&self, cx: &ReadCx<'_>) -> Result<Directory> {
        let (name, role, issuer) = named(&cx.request.path).ok_or_else(Error::unsupported)?;
        let view = cx.view();
        let config: Arc<AcmeConfig> = view.cached(0, "").await?.unwrap_or_default();
        if !config.enabled {
            return Err(Error::not_found());
        }
        let cluster: Cluster = self::config(&view).await?;
        let mount = cluster.path.trim_end_matches('/').to_owned();
        if mount.is_empty() {
            return Err(Problem::ServerInternal.says(super::config::NO_PATH));
        }
        let role = match role {
            Some(role) => {
                let allowed = config.allowed_roles.iter().any(|r| r == "*" || r == role);
                let found = issuance::role(&view, role).await?;
                if !allowed {
                    return Err(
                        Problem::ServerInternal.says("the role is not allowed by the ACME policy")
                    );
                }
                found
            }
            None => match config.default_directory_policy.as_str() {
                "forbid" => {
                    return Err(Problem::ServerInternal
                        .says("the default directory is not allowed by the ACME policy"));
                }
                policy => match policy.strip_prefix("role:") {
                    Some(role) => issuance::role(&view, role).await?,
                    None => issuance::verbatim_role(),
                },
            },
        };
        let reference = match issuer {
            Some(issuer) => issuer,
            None if role.issuer_ref.is_empty() => DEFAULT,
            None => &role.issuer_ref,
        };
        let found = find_issuer(&view, reference).await;
        let (id, record) = found.map_err(or(Problem::Malformed))?;
        let usable = check_usage(&id, &record, Usage::Issue).is_ok() && !record.key_id.is_empty();
        if !usable {
            return Err(Problem::ServerInternal.says("the issuer cannot issue certificates"));
        }
        let mut allowed = false;
        for name in &config.allowed_issuers {
            allowed |= name == "*" || issuer_id(&view, name).await?.as_ref() == Some(&id);
        }
        if !allowed {
            return Err(
                Problem::ServerInternal.says("the issuer is not allowed by the ACME policy")
            );
        }
        let role =
            if config.allow_role_ext_key_usage { role } else { issuance::for_servers(&role) };
        let base = format!("{mount}/{name}");
        let (name, issuer) = (name.to_owned(), id);
        Ok(Directory { name, base, mount, role, issuer, config })
    }

    /// Lets a signed request in.
    pub(super) async fn visit(&self, cx: &WriteCx<'_>, message: &Message) -> Result<Visit> {
        let directory = self.directory(cx).await.map_err(|e| self.with_nonce(cx, None, e))?;
        match self.read(cx, &directory, message).await {
            Ok((key, account, payload)) => Ok(Visit { directory, key, account, payload }),
            Err(e) => Err(self.with_nonce(cx, Some(&directory), e)),
        }
    }

    async fn read(
        &self,
        cx: &WriteCx<'_>,
        directory: &Directory,
        message: &Message,
    ) -> Result<(Jwk, Option<(String, Account)>, Option<JsonMap>)> {
        let parts = flattened(message)?;
        let mut header = Header::parse(parts.protected).map_err(refused)?;
        header.algorithm().map_err(refused)?;
        let nonce = header.nonce.as_deref().unwrap_or_default();
        if !self.acme.nonces.redeem(nonce, &cx.request.id) {
            return Err(Problem::BadNonce.says("the nonce is not valid, or was used before"));
        }
        check_url(directory, cx, &header)?;
        let (key, account) = match (&header.kid, header.jwk.take()) {
            (Some(_), Some(_)) => {
                return Err(malformed("a message has either 'kid' or 'jwk', and not both"));
            }
            (None, None) => return Err(malformed("a message has either 'kid' or 'jwk'")),
            (Some(url), None) => {
                let id = url.rsplit('/').next().unwrap_or_default();
                let account = find_account(cx, directory, id).await?;
                let key = stored_key(&account)?;
                (key, Some((id.to_owned(), account)))
            }
            (None, Some(key)) => (key, None),
        };
        let payload = jws::verify(parts, &header, &key).map_err(refused)?;
        Ok((key, account, object(&payload)?))
    }

    /// Lets an answer out: with the directory's link and a fresh nonce, whatever it is.
    pub(super) fn leave(
        &self,
        cx: &WriteCx<'_>,
        directory: &Directory,
        outcome: Result<Reply<()>>,
    ) -> Result<Reply<()>> {
        match outcome {
            Ok(reply) => Ok(reply
                .header("link", directory_link(directory))
                .header("replay-nonce", self.acme.nonces.issue(cx.rng()))),
            Err(e) => Err(self.with_nonce(cx, Some(directory), e)),
        }
    }

    fn with_nonce(&self, cx: &WriteCx<'_>, directory: Option<&Directory>, mut e: Error) -> Error {
        if let Some(foreign) = &mut e.foreign {
            foreign.headers.push(("replay-nonce", self.acme.nonces.issue(cx.rng())));
            foreign.headers.extend(directory.map(|d| ("link", directory_link(d))));
        }
        e
    }
}

/// An object as the whole body.
pub(super) fn answer(body: &Json) -> Reply<()> {
    Reply::raw("application/json", body.to_string().into_bytes())
}

fn directory_link(directory: &Directory) -> String {
    format!("<{}>;rel=\"index\"", directory.url("directory"))
}

fn malformed(text: &str) -> Error {
    Problem::Malformed.says(text)
}

/// The three parts of a message that has one signature and nothing unprotected (RFC 8555 §6.2).
fn flattened(message: &Message) -> Result<Flattened<'_>> {
    if message.header.is_some() || message.signatures.is_some() {
        return Err(malformed("a message has one signature and no unprotected header"));
    }
    match (&message.protected, &message.payload, &message.signature) {
        (Some(protected), Some(payload), Some(signature)) => {
            Ok(Flattened { protected, payload, signature })
        }
        _ => Err(malformed("a message has 'protected', 'payload' and 'signature'")),
    }
}

/// The parts of a message that another one carries, and its header, which has no nonce: the outer
/// message's counts. `what` names it in errors.
pub(super) fn carried<'m>(
    what: &str,
    message: &'m JsonMap,
    directory: &Directory,
    cx: &ReadCx<'_>,
) -> Result<(Flattened<'m>, Header)> {
    let malformed = |text: &str| Problem::Malformed.says(format!("{what}: {text}"));
    let part = |name: &str| {
        let text = message.get(name).and_then(Json::as_str);
        text.ok_or_else(|| malformed("a member is missing or no text"))
    };
    if message.contains_key("header") || message.contains_key("signatures") {
        return Err(malformed("it has one signature and no unprotected header"));
    }
    let parts = Flattened {
        protected: part("protected")?,
        payload: part("payload")?,
        signature: part("signature")?,
    };
    let header = Header::parse(parts.protected).map_err(refused)?;
    if header.nonce.is_some() {
        return Err(malformed("its header has a 'nonce'"));
    }
    check_url(directory, cx, &header)?;
    Ok((parts, header))
}

/// The message is for this very URL (RFC 8555 §6.4).
fn check_url(directory: &Directory, cx: &ReadCx<'_>, header: &Header) -> Result<()> {
    let expected = format!("{}/{}", directory.mount, cx.request.path);
    match &header.url {
        None => Err(malformed("the header has no 'url'")),
        Some(url) if *url == expected => Ok(()),
        Some(_) => Err(Problem::Unauthorized.says(format!("the header's 'url' is not {expected}"))),
    }
}

/// An account of the directory.
pub(super) async fn find_account(
    cx: &ReadCx<'_>,
    directory: &Directory,
    id: &str,
) -> Result<Account> {
    let account = cx.view().named::<Account>(0, id).await?;
    let Some(account) = account else {
        return Err(Problem::AccountDoesNotExist.says("the account does not exist"));
    };
    if account.directory != directory.name {
        return Err(malformed("the account is of another ACME directory"));
    }
    Ok(account)
}

/// An account's key.
pub(super) fn stored_key(account: &Account) -> Result<Jwk> {
    let damaged = || Error::internal("an account's key is damaged");
    let json = parse_bounded(account.jwk.as_bytes()).map_err(|_| damaged())?;
    Jwk::parse(&json).map_err(|_| damaged())
}

/// A payload: an object, or nothing.
pub(super) fn object(payload: &[u8]) -> Result<Option<JsonMap>> {
    if payload.is_empty() {
        return Ok(None);
    }
    match parse_bounded(payload) {
        Ok(Json::Object(map)) => Ok(Some(map)),
        _ => Err(malformed("the payload is no JSON object")),
    }
}

/// Why a signed message was refused, as a problem.
pub(super) fn refused(why: Refused) -> Error {
    match why {
        Refused::Malformed(text) => malformed(text),
        Refused::Algorithm => Problem::BadSignatureAlgorithm.with(
            "the signature algorithm is not supported, or not the key's",
            &[("algorithms", json!(Algorithm::NAMES))],
        ),
        Refused::Key(text) => Problem::BadPublicKey.says(text),
        Refused::Signature => malformed("the signature does not verify"),
    }
}

fields! {
    /// Shows an ACME directory.
    pub struct ReadDirectory {}
}
fields! {
    /// Gives a nonce for an ACME client's next request.
    pub struct NewNonce {}
}

ops! {
    ReadDirectory (), Read, Open;
    NewNonce (), Read, Open;
}

impl Command<ReadDirectory> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: ReadDirectory) -> Result<Reply<()>> {
        let directory = self.directory(cx).await?;
        Ok(answer(&json!({
            "newNonce": directory.url("new-nonce"),
            "newAccount": directory.url("new-account"),
            "newOrder": directory.url("new-order"),
            "revokeCert": directory.url("revoke-cert"),
            "keyChange": directory.url("key-change"),
            "meta": { "externalAccountRequired": directory.wants_binding() },
        })))
    }
}

impl Command<NewNonce> for PkiEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, _: NewNonce) -> Result<Reply<()>> {
        let directory = self.directory(cx).await?;
        let status = if cx.request.head { 200 } else { 204 };
        let reply = Reply::none().status(status).header("cache-control", "no-store");
        self.leave(cx, &directory, Ok(reply))
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn directories_by_their_paths() {
        for (path, expect) in [
            ("acme/directory", Some(("acme/", None, None))),
            ("roles/web/acme/new-order", Some(("roles/web/acme/", Some("web"), None))),
            ("issuer/i/acme/order/x/cert", Some(("issuer/i/acme/", None, Some("i")))),
            (
                "issuer/i/roles/web/acme/new-nonce",
                Some(("issuer/i/roles/web/acme/", Some("web"), Some("i"))),
            ),
            // Names that look like parts of a path.
            ("roles/acme/acme/new-order", Some(("roles/acme/acme/", Some("acme"), None))),
            ("acme/order/acme/cert", Some(("acme/", None, None))),
            ("issuer/roles/acme/acme", Some(("issuer/roles/acme/", None, Some("roles")))),
            ("roles/web", None),
            ("issuer/i/roles/web", None),
            ("", None),
        ] {
            assert_eq!(named(path), expect, "{path}");
        }
    }
}
