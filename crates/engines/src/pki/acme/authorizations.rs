//! Authorizations and their challenges (RFC 8555 §7.5).

use serde_json::json;
use strongroom_base::{Json, Result, Timestamp};
use strongroom_kernel::plug::{ReadCx, Reply, WriteCx};
use strongroom_kernel::record::Id;

use super::super::PkiEngine;
use super::problem::Problem;
use super::stored::{Authorization, AuthorizationStatus, Challenge, ChallengeStatus, Validation};
use super::visit::{Directory, Visit, answer};
use super::{limits, signed, validation};

/// Seconds until a client shall ask again about what is being looked at.
const ASK_AGAIN_SECONDS: &str = "2";

signed! {
    /// Shows an authorization, or gives it up.
    ReadAuthorization {
        /// The authorization's id.
        auth_id
    } => read_authorization;
    /// Shows a challenge, or says that it can be looked at.
    AnswerChallenge {
        /// The authorization's id.
        auth_id,
        /// http-01, dns-01 or tls-alpn-01.
        challenge_type
    } => answer_challenge;
}

async fn find(cx: &ReadCx<'_>, account: Id, id: &str) -> Result<Authorization> {
    let found = cx.view().named::<Authorization>(account, id).await?;
    found.ok_or_else(|| Problem::Malformed.says("the authorization does not exist"))
}

fn time(at: Timestamp) -> String {
    Timestamp::from_seconds(at.seconds()).to_string()
}

fn challenge_shown(directory: &Directory, id: &str, challenge: &Challenge) -> Json {
    let mut shown = json!({
        "type": challenge.kind.name(),
        "url": directory.url(&format!("challenge/{id}/{}", challenge.kind.name())),
        "status": challenge.status.name(),
        "token": challenge.token,
    });
    if let Some(at) = challenge.validated {
        shown["validated"] = time(at).into();
    }
    if let Some((kind, detail)) = &challenge.error {
        shown["error"] = json!({ "type": kind, "detail": detail });
    }
    shown
}

fn shown(directory: &Directory, id: &str, found: &Authorization, now: Timestamp) -> Json {
    let challenges = found.challenges.iter().map(|c| challenge_shown(directory, id, c));
    let is_over = found.expires.is_some_and(|expires| expires <= now);
    let status = match found.status {
        AuthorizationStatus::Valid if is_over => "expired",
        // Nobody can prove it any more.
        AuthorizationStatus::Pending if is_over => AuthorizationStatus::Invalid.name(),
        status => status.name(),
    };
    let mut shown = json!({
        "identifier": { "type": found.identifier.kind(), "value": found.identifier.proven() },
        "status": status,
        "wildcard": found.identifier.is_wildcard(),
        "challenges": challenges.collect::<Vec<_>>(),
    });
    if let Some(at) = found.expires {
        shown["expires"] = time(at).into();
    }
    shown
}

fn is_looked_at(challenges: &[Challenge]) -> bool {
    challenges.iter().any(|challenge| challenge.status == ChallengeStatus::Processing)
}

async fn read_authorization(
    _: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    op: &ReadAuthorization,
) -> Result<Reply<()>> {
    let (_, account) = visit.account()?;
    let mut found = find(cx, account.number, &op.auth_id).await?;
    match visit.text("status")? {
        Some("deactivated") => {
            use AuthorizationStatus::{Deactivated, Pending, Valid};
            if !matches!(found.status, Pending | Valid) {
                return Err(Problem::Malformed.says("the authorization is over already"));
            }
            found.status = Deactivated;
            for challenge in &mut found.challenges {
                challenge.status = ChallengeStatus::Invalid;
            }
            cx.edit().put_named(account.number, &op.auth_id, &found)?;
        }
        Some(_) => {
            return Err(Problem::Malformed.says("an authorization can only be deactivated"));
        }
        None if visit.payload.as_ref().is_some_and(|payload| !payload.is_empty()) => {
            return Err(Problem::Malformed.says("the payload asks for nothing that there is"));
        }
        None => {}
    }
    let reply = answer(&shown(&visit.directory, &op.auth_id, &found, cx.now()));
    Ok(if is_looked_at(&found.challenges) {
        reply.header("retry-after", ASK_AGAIN_SECONDS)
    } else {
        reply
    })
}

async fn answer_challenge(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    op: &AnswerChallenge,
) -> Result<Reply<()>> {
    let (_, account) = visit.account()?;
    let account = account.number;
    let mut found = find(cx, account, &op.auth_id).await?;
    let at = found.challenges.iter().position(|c| c.kind.name() == op.challenge_type);
    let missing = || Problem::Malformed.says("the authorization has no challenge of this type");
    let at = at.ok_or_else(missing)?;
    match &visit.payload {
        None => {}
        Some(payload) if !payload.is_empty() => {
            return Err(Problem::Malformed.says("the payload of a challenge is an empty object"));
        }
        Some(_) => accept(engine, cx, visit, (account, &op.auth_id), &mut found, at).await?,
    }
    let challenge = found.challenges.get(at).ok_or_else(missing)?;
    let directory = &visit.directory;
    let up = directory.url(&format!("authorization/{}", op.auth_id));
    let reply = answer(&challenge_shown(directory, &op.auth_id, challenge));
    let reply = reply.header("link", format!("<{up}>;rel=\"up\""));
    Ok(if challenge.status == ChallengeStatus::Processing {
        reply.header("retry-after", ASK_AGAIN_SECONDS)
    } else {
        reply
    })
}

/// Has a challenge be looked at. One that is being looked at already goes on as it does; one at a
/// time is looked at, so that no other one's failure takes back what this one proves.
async fn accept(
    engine: &PkiEngine,
    cx: &mut WriteCx<'_>,
    visit: &Visit,
    (account, id): (Id, &str),
    found: &mut Authorization,
    at: usize,
) -> Result<()> {
    let Some(challenge) = found.challenges.get(at) else { return Ok(()) };
    let (kind, status, token) = (challenge.kind, challenge.status, challenge.token.clone());
    if status == ChallengeStatus::Processing {
        return Ok(());
    }
    let is_over = found.expires.is_some_and(|expires| expires <= cx.now());
    let is_pending = found.status == AuthorizationStatus::Pending && !is_over;
    if !is_pending || status != ChallengeStatus::Pending {
        return Err(Problem::Malformed.says("the authorization is not pending"));
    }
    if is_looked_at(&found.challenges) {
        return Err(Problem::Malformed.says("another challenge is being looked at"));
    }
    let (waiting, site) =
        (cx.view().names::<Validation>(0).await?.len(), limits::site(cx.request.peer.ip));
    if !limits::has_place(limits::VALIDATIONS, waiting, engine.acme.crew.waiting(site)) {
        return Err(limits::too_many_validations());
    }
    if let Some(challenge) = found.challenges.get_mut(at) {
        challenge.status = ChallengeStatus::Processing;
    }
    let validation = Validation {
        account,
        authorization: id.to_owned(),
        kind,
        key_authorization: format!("{token}.{}", visit.key.thumbprint()),
        failures: 0,
        due: cx.now(),
        site,
    };
    let edit = cx.edit();
    edit.put_named(account, id, found)?;
    edit.put_named(0, &validation::name(id, kind), &validation)?;
    let crew = engine.acme.crew.clone();
    cx.after_commit(move |_| crew.wake(site));
    Ok(())
}
