//! Where a login ends: its entity, its second factors, its token.
//!
//! Invariants:
//! * no login has a token before every enforcement that holds for it is satisfied;
//! * what holds is asked again when a login that waited is validated: entity, mount, enforcements;
//! * a login that another request brought along does not wait: it has its second factors with it.

use std::sync::Arc;

use strongroom_base::{Error, ErrorKind, Json, Result, Timestamp};

use super::Authenticated;
use crate::identity::{Directory, LoggedIn};
use crate::mfa::pending::PendingLogin;
use crate::mfa::{Check, Credentials, Passed, Refusal, Required, Subject, requirement};
use crate::mount::Mount;
use crate::namespaces::Namespace;
use crate::node::Services;
use crate::plug::{AfterCommit, AuthBlock, Grant, Reply, Request, WriteCx};
use crate::policy::DeniedTrace;
use crate::record::Tx;
use crate::tokens::{
    Bounds, Created, Grounds, Lifetime, NewToken, Token, lifetime, normalise_policies, suffix,
};

/// What Vault's clients look for in the answer of a login that waits.
const AWAITING: &str = "A login request was issued that is subject to MFA validation. Please make \
                        sure to validate the login by sending another request to mfa/validate \
                        endpoint.";

/// OpenBao's refusal of a login that another request brought along without its second factors.
const NOT_INLINE: &str = "unable to perform inline authentication with login MFA; use the \
                          X-Vault-MFA header to specify MFA information on the inline auth request";

/// Where a login came in.
struct Place<'a> {
    namespace: &'a Namespace,
    mount: &'a Mount,
    /// Within the namespace.
    path: &'a str,
    now: Timestamp,
    /// Did another request bring it along?
    inline: bool,
}

/// What a login comes to.
pub(super) struct Ended {
    pub reply: Reply<Json>,
    /// What happens once it is committed.
    pub after: Option<AfterCommit>,
    /// The token of a login that another request brought along, which goes on with it.
    pub token: Option<Arc<Token>>,
}

impl From<Minted> for Ended {
    fn from((reply, token): Minted) -> Self {
        Self { reply, after: None, token }
    }
}

/// The answer that shows a token, or the token that no answer shows.
type Minted = (Reply<Json>, Option<Arc<Token>>);

impl Authenticated {
    /// Finds the entity of a login, and makes its token, or has it wait for its second factors.
    pub(super) async fn log_in(&self, tx: &Tx, request: &Request, grant: Grant) -> Result<Ended> {
        let services = &self.admitted.services;
        let Request { namespace, mount, full_path: path, now, .. } = request;
        let inline = self.admitted.is_inline_login;
        let place = Place { namespace, mount, path, now: *now, inline };
        let who = match &grant.alias {
            Some(alias) => {
                services.identity.login(tx, namespace, mount, alias, &grant.groups).await?
            }
            None => LoggedIn::default(),
        };
        let table = &self.admitted.table.namespaces;
        let subject = Subject { namespace, mount, who: &who };
        let required = services.mfa.required(tx, table, &subject).await?;
        let credentials = Credentials::of_headers(&self.admitted.call.headers)?;
        if required.is_empty() {
            let (reply, token) = mint(services, tx, &place, grant, who)?;
            let reply = match credentials {
                None => reply,
                Some(_) => reply.warn("Found MFA header but failed to find MFA Enforcement Config"),
            };
            return Ok((reply, token).into());
        }
        let Some(credentials) = credentials else {
            return wait(services, &place, grant, &who, &required);
        };
        match satisfy(services, tx, &request.id, &place, &who, &required, &credentials).await? {
            Ok(passed) => {
                let (reply, token) = mint(services, tx, &place, grant, who)?;
                let after: AfterCommit =
                    Box::new(move |services| passed.forget_tries(&services.mfa));
                Ok(Ended { reply, after: Some(after), token })
            }
            Err(refusal) => Err(denied(&place, Error::denied(), &refusal)),
        }
    }
}

/// Has a login wait. Without an entity there is nobody to have second factors.
fn wait(
    services: &Services,
    place: &Place<'_>,
    grant: Grant,
    who: &LoggedIn,
    required: &[Required],
) -> Result<Ended> {
    if place.inline {
        return Err(Error::bad_request(NOT_INLINE));
    }
    if who.id.is_empty() {
        return Err(denied(place, Error::denied(), &nobody(required)));
    }
    let login = PendingLogin {
        id: services.store.rng.uuid(),
        namespace: place.namespace.scope,
        mount: place.mount.scope,
        path: place.path.to_owned(),
        entity_id: who.id.clone(),
        grant,
        since: place.now,
    };
    if login.is_too_large() {
        return Err(Error::bad_request("the login is too large to wait for its second factor"));
    }
    let reply = Reply::auth(AuthBlock::awaiting(requirement(&login.id, required))).warn(AWAITING);
    let now = place.now;
    let after: AfterCommit = Box::new(move |services| services.mfa.pending.insert(login, now));
    Ok(Ended { reply, after: Some(after), token: None })
}

fn nobody(required: &[Required]) -> Refusal {
    let enforcement = required.first().map_or_else(String::new, |r| r.enforcement.name.clone());
    Refusal { enforcement, why: "the login has no entity, which second factors belong to".into() }
}

async fn satisfy(
    services: &Services,
    tx: &Tx,
    request: &str,
    place: &Place<'_>,
    who: &LoggedIn,
    required: &[Required],
    credentials: &Credentials,
) -> Result<Result<Passed, Refusal>> {
    let directory = Directory::new(tx, place.namespace.scope);
    let Some(entity) = directory.unmerged(&who.id).await? else { return Ok(Err(nobody(required))) };
    let check = Check { directory, entity: &entity, request, now: place.now };
    services.mfa.satisfy(&check, required, credentials).await
}

/// A refusal, with its reason for the audit log.
fn denied(place: &Place<'_>, error: Error, refusal: &Refusal) -> Error {
    let Refusal { enforcement, why } = refusal;
    error.because(DeniedTrace(serde_json::json!({
        "allowed": false,
        "path": place.path,
        "capability": "update",
        "policies": [],
        "rules": [],
        "reason": format!("the login does not satisfy the enforcement {enforcement:?}: {}",
            why.trim_end()),
    })))
}

/// Makes the token of a login that waited, if `credentials` satisfy what holds for it
/// (`sys/mfa/validate`).
pub async fn validate_login(
    cx: &mut WriteCx<'_>,
    id: &str,
    credentials: &Credentials,
) -> Result<Reply<Json>> {
    // One at a time: two codes of one login do not make two tokens.
    cx.queue(id).await;
    let services = cx.kernel().clone();
    let unknown = || Error::bad_request("invalid request ID");
    let login = services.mfa.pending.find(id, cx.now()).ok_or_else(unknown)?;
    if login.namespace != cx.request.namespace.scope {
        return Err(unknown());
    }
    let table = services.router.table().await?;
    let entry = table.of_scope(login.mount);
    let entry = entry.filter(|e| table.serves(login.namespace, e.mount.scope, login.since));
    let entry = entry.ok_or_else(unknown)?;
    if services.tokens.is_of_revoked_path(login.namespace, &login.path, login.since).await? {
        return Err(unknown());
    }
    let (namespace, mount) = (&*cx.request.namespace, &*entry.mount);
    let place = Place { namespace, mount, path: &login.path, now: cx.now(), inline: false };
    let state = services.identity.entity(namespace.scope, &login.entity_id).await?;
    let state = state.filter(|state| !state.disabled).ok_or_else(Error::denied)?;
    // It may have become part of another.
    let id_now = state.view.entity.as_ref().map_or_else(String::new, |entity| entity.id.clone());
    let who = LoggedIn { id: id_now, state: Some(state) };
    let tx = cx.kernel_tx();
    let subject = Subject { namespace, mount, who: &who };
    let required = services.mfa.required(tx, &table.namespaces, &subject).await?;
    if required.is_empty() {
        // Whoever took the enforcement away did not mean those who could not pass it.
        return Err(Error::bad_request("found nil or empty MFAEnforcement configuration"));
    }
    match satisfy(&services, tx, &cx.request.id, &place, &who, &required, credentials).await? {
        Ok(passed) => {
            let (reply, _) = mint(&services, tx, &place, login.grant.clone(), who)?;
            cx.after_commit(move |services| {
                services.mfa.pending.remove(&login.id);
                passed.forget_tries(&services.mfa);
            });
            Ok(reply)
        }
        Err(refusal) => {
            let Refusal { enforcement, why } = &refusal;
            let text = format!("failed to satisfy enforcement {enforcement}. error: {why}");
            Err(denied(&place, Error::new(ErrorKind::PermissionDenied, text), &refusal))
        }
    }
}

/// Makes the token of a login: one that is shown to the caller, or that the request which brought the
/// login along goes on with.
fn mint(
    services: &Services,
    tx: &Tx,
    place: &Place<'_>,
    grant: Grant,
    who: LoggedIn,
) -> Result<Minted> {
    let warnings = grant.warnings.clone();
    let identity_policies = who.policies();
    let (new, life) = token_of(services, place, grant, who.id)?;
    let mut alone = None;
    let created = if place.inline {
        let token = services.tokens.inline(new, place.now);
        alone = Some(Arc::new(token.clone()));
        Created { text: String::new().into(), accessor: token.accessor.clone(), token }
    } else {
        services.tokens.create(tx, new, &suffix(place.namespace), place.now)?
    };
    let reply = Reply::auth(auth_block(created, identity_policies));
    Ok((reply.warnings(warnings).warnings(life.warnings), alone))
}

/// What the token of a login is to be, and how long it lives.
fn token_of(
    services: &Services,
    place: &Place<'_>,
    grant: Grant,
    entity_id: String,
) -> Result<(NewToken, Lifetime)> {
    let Place { namespace, mount, path, now, .. } = *place;
    let (mount_ttl, mount_max_ttl) = services.config.mount_ttls(mount);
    let bounds = Bounds {
        asked: 0,
        period: grant.token.period,
        ttl: grant.token.ttl,
        max_ttl: grant.token.max_ttl,
        explicit_max_ttl: grant.token.explicit_max_ttl,
        mount_ttl,
        mount_max_ttl,
    };
    let life = lifetime(bounds, now, now)
        .ok_or_else(|| Error::bad_request("the mount allows tokens no time to live"))?;
    let mut new = NewToken::from(grant);
    let mut policies = normalise_policies(std::mem::take(&mut new.policies));
    if policies.iter().any(|p| p == "root") {
        // No login gives root, whatever its role says (threat CVE-2025-5999).
        return Err(Error::bad_request("auth methods cannot create root tokens"));
    }
    if !new.params.no_default_policy && !policies.iter().any(|p| p == "default") {
        policies.push("default".to_owned());
        policies.sort();
    }
    new.policies = policies;
    new.batch = is_batch(&new.params.token_type, &mount.config.token_type);
    new.renewable = !new.batch;
    // What was shown for it ends by itself, perhaps.
    new.ttl = match new.ends.is_zero() {
        true => life.ttl,
        false => life.ttl.min(now.seconds_until(new.ends)).max(1),
    };
    new.namespace = namespace.scope;
    new.mount = mount.scope;
    new.path = path.to_owned();
    new.entity_id = entity_id;
    let prefix = mount.path.trim_start_matches("auth/").trim_end_matches('/').replace('/', "-");
    new.display_name = match new.display_name.as_str() {
        "" => prefix,
        name => format!("{prefix}-{name}"),
    };
    Ok((new, life))
}

/// The token of a caller that was verified with its request, and that nobody else has.
pub(super) fn token_for_request(
    services: &Services,
    request: &Request,
    grant: Grant,
    entity_id: String,
) -> Result<Token> {
    let Request { namespace, mount, full_path: path, now, .. } = request;
    let place = Place { namespace, mount, path, now: *now, inline: true };
    let (new, _) = token_of(services, &place, grant, entity_id)?;
    Ok(services.tokens.inline(new, *now))
}

/// Does a role with this `token_type`, in a mount with that one, give batch tokens?
fn is_batch(role: &str, mount: &str) -> bool {
    match (role, mount) {
        (_, "service") => false,
        (_, "batch") => true,
        ("batch" | "default-batch", _) => true,
        ("service" | "default-service", _) => false,
        (_, "default-batch") => true,
        _ => false,
    }
}

/// The `auth` block for a token just made.
pub fn auth_block(created: Created, identity_policies: Vec<String>) -> AuthBlock {
    let token = created.token;
    let all = token.policies.iter().chain(&identity_policies).cloned();
    AuthBlock {
        client_token: created.text,
        accessor: created.accessor,
        policies: Some(normalise_policies(all)),
        identity_policies,
        metadata: (!token.metadata.is_empty()).then(|| token.metadata.clone()),
        lease_duration: token.ttl,
        renewable: token.renewable,
        entity_id: token.entity_id.clone(),
        token_type: token.kind(),
        orphan: token.orphan,
        mfa_requirement: None,
        num_uses: token.num_uses.max(0),
        issued: token.created,
        display_name: token.display_name,
        token_policies: Some(token.policies),
    }
}
