//! STS's operations, as the door asks for them: who the caller is, and temporary keys (API reference of
//! the Security Token Service).

use std::sync::Arc;

use strongroom_base::RawFields;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_cloudwire::iam::{Document, Kind};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{About, EngineSpec, Need, Protocol, Query, ReadCx, Reply, ops};
use strongroom_kernel::record::Id;

use super::known::Known;
use super::sessions::{CHAIN_MAX, NewSession, Origin, Session};
use super::stored::{self, PreparedRole};
use super::{AwsDoor, arns};

/// Seconds that temporary keys are good for where the request says nothing, and the bounds of what it may
/// say (API pages "AssumeRole", "GetSessionToken").
const ASSUMED_SECONDS: i64 = 3_600;
const SESSION_SECONDS: i64 = 43_200;
const SECONDS_MIN: i64 = 900;
const SESSION_SECONDS_MAX: i64 = 129_600;
/// Seconds of a session that the keys of an assumed role asked for (user guide, "Role chaining").
const CHAINED_SECONDS_MAX: i64 = 3_600;
/// Characters of a session's policy.
const POLICY_CHARS_MAX: usize = 2_048;

fields! {
    /// Who calls.
    pub struct CallerIdentity {}
}
fields! {
    /// A request that cannot be carried out: who calls is found out all the same.
    pub struct Refused {
        /// What was asked.
        operation: Option<String>,
    }
}
fields! {
    /// Temporary keys of the caller itself.
    pub struct SessionToken {
        /// Seconds.
        duration_seconds: Option<i64>,
    }
}
fields! {
    /// Temporary keys of another role.
    pub struct AssumeRole {
        /// Its ARN.
        role_arn: String,
        /// A name for the session.
        role_session_name: String,
        /// Seconds.
        duration_seconds: Option<i64>,
        /// An IAM document that narrows the session.
        policy: Option<String>,
        /// Who stands behind the session.
        source_identity: Option<String>,
    }
}
fields! {
    /// Temporary keys of a role for whom another method vouches.
    pub struct AssumeRoleWithWebIdentity {
        /// The account.
        account: String,
        /// Its ARN.
        role_arn: String,
        /// A name for the session.
        role_session_name: String,
        /// Seconds.
        duration_seconds: Option<i64>,
        /// An IAM document that narrows the session.
        policy: Option<String>,
    }
}

ops! {
    CallerIdentity Json, Write, Needs;
    Refused (), Write, Needs;
    SessionToken Json, Write, Needs;
    AssumeRole Json, Write, Needs;
    AssumeRoleWithWebIdentity Json, Write, Needs;
}

/// Whoever is verified may ask; what else it takes, the operation says.
fn nothing(_: &Mount, _: &[(&'static str, String)], _: &RawFields) -> Result<Vec<Need>> {
    Ok(Vec::new())
}

pub(super) fn add(spec: EngineSpec<AwsDoor>) -> EngineSpec<AwsDoor> {
    let aws = |spec: EngineSpec<AwsDoor>, pattern| {
        spec.only_for(Protocol::Aws).judges_access().needs(pattern, nothing)
    };
    let spec = aws(spec.query::<CallerIdentity>("aws/caller-identity"), "aws/caller-identity");
    let spec = aws(spec.query::<Refused>("aws/refused"), "aws/refused");
    let spec = aws(spec.query::<SessionToken>("aws/session-token"), "aws/session-token");
    let spec = aws(spec.query::<AssumeRole>("aws/assume-role"), "aws/assume-role");
    let path = "aws/assume-role-with-web-identity";
    aws(spec.query::<AssumeRoleWithWebIdentity>(path), path)
}

impl Query<CallerIdentity> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, _: CallerIdentity) -> Result<Reply<Json>> {
        let known = Known::of(cx)?;
        Ok(Reply::data(serde_json::json!({
            "Arn": known.arn,
            "UserId": known.user_id,
            "Account": known.account,
        })))
    }
}

impl Query<Refused> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, _: Refused) -> Result<Reply<()>> {
        Known::of(cx).map(|_| Reply::none())
    }
}

fn invalid(text: impl Into<String>) -> Error {
    Error::bad_request(text).called("ValidationError")
}

fn not_allowed(text: String) -> Error {
    let mut error = Error::denied().called("AccessDenied");
    error.public = vec![text];
    error
}

/// AWS's words for a web identity that the role does not trust, or a role that is not there.
pub fn not_by_web_identity() -> Error {
    not_allowed("Not authorized to perform sts:AssumeRoleWithWebIdentity".to_owned())
}

fn seconds(asked: Option<i64>, default: i64, most: i64) -> Result<i64> {
    let seconds = asked.unwrap_or(default.min(most));
    if (SECONDS_MIN..=most).contains(&seconds) {
        Ok(seconds)
    } else if seconds < SECONDS_MIN {
        Err(invalid(
            "1 validation error detected: Value at 'durationSeconds' failed to satisfy constraint: \
             Member must have value greater than or equal to 900",
        ))
    } else {
        Err(invalid(
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ))
    }
}

fn session_name(name: String) -> Result<String> {
    let sign = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if (2..=64).contains(&name.len()) && name.bytes().all(sign) {
        Ok(name)
    } else {
        Err(invalid(
            "1 validation error detected: Value at 'roleSessionName' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w+=,.@-]{2,64}",
        ))
    }
}

fn session_document(policy: Option<String>) -> Result<String> {
    let policy = policy.unwrap_or_default();
    if policy.is_empty() {
        return Ok(policy);
    }
    if policy.chars().count() > POLICY_CHARS_MAX {
        return Err(Error::bad_request("The session policy is longer than 2048 characters.")
            .called("PackedPolicyTooLarge"));
    }
    Document::parse(&policy, Kind::Identity).map_err(|e| {
        Error::bad_request(format!("The policy is not valid: {e}."))
            .called("MalformedPolicyDocument")
    })?;
    Ok(policy)
}

/// Keys and token of a session, as STS shows them.
async fn credentials(cx: &ReadCx<'_>, session: &Session) -> Result<Json> {
    let sealer = stored::session_key(&cx.view()).await?;
    let sealer = sealer.ok_or_else(|| Error::internal("the mount has no key for sessions"))?;
    let token = session.seal(&sealer, cx.rng())?;
    Ok(serde_json::json!({
        "AccessKeyId": session.access_key,
        "SecretAccessKey": session.secret_key,
        "SessionToken": token.expose_secret(),
        "Expiration": session.expires.to_string(),
    }))
}

impl Query<SessionToken> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, op: SessionToken) -> Result<Reply<Json>> {
        let known = Known::of(cx)?;
        if known.origin.is_some() {
            return Err(not_allowed(
                "Cannot call GetSessionToken with session credentials".to_owned(),
            ));
        }
        // It takes no permission, but what is denied holds.
        if let Some(access) = &cx.request.access {
            access.judge(&About { trusted: true, ..About::default() })?;
        }
        let seconds = seconds(op.duration_seconds, SESSION_SECONDS, SESSION_SECONDS_MAX)?;
        let role = stored::role(&cx.view(), &known.role).await?.ok_or_else(Error::denied)?;
        let new = NewSession {
            role: known.role,
            role_id: role.role.id,
            name: None,
            parent: known.key,
            issued: cx.now(),
            seconds,
            document: String::new(),
            origin: None,
            source_identity: None,
            entity: known.entity,
        };
        let session = Session::new(new, cx.rng());
        let credentials = credentials(cx, &session).await?;
        Ok(Reply::data(serde_json::json!({ "Credentials": credentials })))
    }
}

/// What a session of a role is asked for.
struct Wanted {
    account: String,
    name: String,
    duration: Option<i64>,
    policy: Option<String>,
    parent: Option<String>,
    origin: Option<Origin>,
    source_identity: Option<String>,
    entity: String,
}

impl Wanted {
    /// Seconds that the session is good for.
    fn seconds(&self, role: &PreparedRole) -> Result<i64> {
        let most = role.role.max_session_ttl;
        let Some(origin) = &self.origin else {
            return seconds(self.duration, ASSUMED_SECONDS, most);
        };
        if origin.chain.len() > CHAIN_MAX {
            return Err(invalid(format!(
                "A session cannot come from more than {CHAIN_MAX} others, one by another's keys."
            )));
        }
        if origin.assumed && self.duration.is_some_and(|asked| asked > CHAINED_SECONDS_MAX) {
            return Err(invalid(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by \
                 role chaining.",
            ));
        }
        seconds(self.duration, ASSUMED_SECONDS, most)
    }
}

/// A session of `role`.
async fn assume(
    cx: &ReadCx<'_>,
    (role_name, role): (&str, &PreparedRole),
    wanted: Wanted,
) -> Result<serde_json::Map<String, Json>> {
    let seconds = wanted.seconds(role)?;
    let name = session_name(wanted.name)?;
    let document = session_document(wanted.policy)?;
    let id: Id = role.role.id;
    let new = NewSession {
        role: role_name.to_owned(),
        role_id: id,
        name: Some(name.clone()),
        parent: wanted.parent,
        issued: cx.now(),
        seconds,
        document,
        origin: wanted.origin,
        source_identity: wanted.source_identity.clone(),
        entity: wanted.entity,
    };
    let session = Session::new(new, cx.rng());
    let credentials = credentials(cx, &session).await?;
    let user = serde_json::json!({
        "AssumedRoleId": format!("AROA{}:{name}", role.role.unique_id),
        "Arn": arns::assumed(&wanted.account, role_name, &name),
    });
    let source = wanted.source_identity.map(|source| ("SourceIdentity", Json::from(source)));
    let answer =
        [("Credentials", credentials), ("AssumedRoleUser", user)].into_iter().chain(source);
    Ok(answer.map(|(name, value)| (name.to_owned(), value)).collect())
}

async fn role_of(
    cx: &ReadCx<'_>,
    arn: &str,
    account: &str,
) -> Result<Option<(String, Arc<PreparedRole>)>> {
    let Some(name) = arns::role_of(arn, account) else { return Ok(None) };
    let role = stored::role(&cx.view(), &name).await?;
    Ok(role.filter(|role| !role.role.disabled).map(|role| (name, role)))
}

/// Who stands behind a session: as was said when the first of a chain was asked for, and never otherwise
/// (user guide, "Monitor and control actions taken with assumed roles"). To say it is an action of its own.
fn source_identity(
    cx: &ReadCx<'_>,
    asked: Option<String>,
    known: &Known,
    role: &str,
) -> Result<Option<String>> {
    let before = known.origin.as_ref().and_then(|origin| origin.source_identity.clone());
    let Some(asked) = asked else { return Ok(before) };
    let sign = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    if !(2..=64).contains(&asked.len()) || !asked.bytes().all(sign) {
        return Err(invalid(
            "1 validation error detected: Value at 'sourceIdentity' failed to satisfy constraint: \
             Member must satisfy regular expression pattern: [\\w+=,.@-]{2,64}",
        ));
    }
    if before.as_ref().is_some_and(|before| *before != asked) {
        return Err(not_allowed(format!(
            "User: {} is not authorized to perform: sts:SetSourceIdentity: the session has another \
             source identity",
            known.arn
        )));
    }
    if let Some(access) = &cx.request.access {
        let arn = arns::role(&known.account, role);
        access.judge(&About {
            action: Some("sts:SetSourceIdentity"),
            resource: Some(arn.as_str()),
            trusted: true,
            ..About::default()
        })?;
    }
    Ok(Some(asked))
}

impl Query<AssumeRole> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, op: AssumeRole) -> Result<Reply<Json>> {
        let known = Known::of(cx)?;
        let found = role_of(cx, &op.role_arn, &known.account).await?;
        let trusts = |role: &PreparedRole| {
            role.role.trusted_roles.iter().any(|name| name == "*" || *name == known.role)
        };
        let found = found.filter(|(_, role)| trusts(role));
        // One that is not there reads like one that does not trust the caller.
        let (name, role) = found.ok_or_else(|| {
            not_allowed(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
                known.arn, op.role_arn
            ))
        })?;
        if let Some(access) = &cx.request.access {
            // The caller may spell the role in any way.
            let arn = arns::role(&known.account, &name);
            let resource = Some(arn.as_str());
            access.judge(&About { resource, trusted: true, ..About::default() })?;
        }
        let source_identity = source_identity(cx, op.source_identity, &known, &name)?;
        let wanted = Wanted {
            account: known.account,
            name: op.role_session_name,
            duration: op.duration_seconds,
            policy: op.policy,
            parent: known.key,
            origin: known.origin,
            source_identity,
            entity: known.entity,
        };
        let answer = assume(cx, (&name, &role), wanted).await?;
        Ok(Reply::data(answer.into()))
    }
}

impl Query<AssumeRoleWithWebIdentity> for AwsDoor {
    async fn query(&self, cx: &ReadCx<'_>, op: AssumeRoleWithWebIdentity) -> Result<Reply<Json>> {
        let (name, role) =
            role_of(cx, &op.role_arn, &op.account).await?.ok_or_else(not_by_web_identity)?;
        // The login that came along must be the very one that the role names.
        let token = cx.request.token.as_ref().ok_or_else(not_by_web_identity)?;
        let mount = &role.role.web_identity_mount;
        let same = token.inline
            && !mount.is_empty()
            && token.path == format!("{mount}login")
            && token.internal.get("role") == Some(&role.role.web_identity_role);
        if !same {
            return Err(not_by_web_identity());
        }
        let wanted = Wanted {
            account: op.account,
            name: op.role_session_name,
            duration: op.duration_seconds,
            policy: op.policy,
            parent: None,
            origin: None,
            source_identity: None,
            entity: token.entity_id.clone(),
        };
        let mut answer = assume(cx, (&name, &role), wanted).await?;
        let subject = token.display_name.as_str().into();
        answer.insert("SubjectFromWebIdentityToken".to_owned(), subject);
        answer.insert("Provider".to_owned(), mount.as_str().into());
        Ok(Reply::data(answer.into()))
    }
}
