//! The token of a login: whose it is, and what it may say.

use strongroom_base::{Error, Json, JsonMap, Result, Timestamp};
use strongroom_crypto::jws::{Algorithm, Compact};
use strongroom_crypto::keys::Hash;

use super::stored::{Config, Kind, Role};
use super::{Gcp, api};
use crate::jwts::claims;

/// Minutes in which a token must end, whatever a role allows.
pub const MAX_MINUTES: i64 = 60;
/// The issuers of Google's own tokens.
const ISSUERS: &[&str] = &["https://accounts.google.com", "accounts.google.com"];
/// Bytes of a token.
const BYTES_MAX: usize = 16 * 1_024;

/// What an instance's token says of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its project.
    pub project_id: String,
    /// The project's number.
    pub project_number: i64,
    /// Its zone.
    pub zone: String,
    /// Its id.
    pub instance_id: String,
    /// Its name.
    pub instance_name: String,
    /// When it was made, in seconds since the epoch.
    pub created: i64,
}

/// A token that is true.
#[derive(Debug)]
pub struct Verified {
    /// Email or unique id of the service account.
    pub subject: String,
    /// The instance whose token it is.
    pub instance: Option<Instance>,
}

/// One answer for a wrong key and a wrong signature.
fn not_signed() -> Error {
    Error::bad_request("unable to verify the JWT: no key of Google's, or of its subject, signed it")
}

impl Gcp {
    /// Verifies a token for the role called `name`.
    pub(super) async fn verify(
        &self,
        config: &Config,
        role: &Role,
        name: &str,
        jwt: &str,
        now: Timestamp,
    ) -> Result<Verified> {
        let bad = || Error::bad_request("unable to parse signed JWT");
        let token = Some(jwt).filter(|jwt| jwt.len() <= BYTES_MAX).ok_or_else(bad)?;
        let token = Compact::parse(token).map_err(|_| bad())?;
        let (claims, by_google) = self.claims(config, role.kind, &token, now).await?;
        check(&claims, name, now)?;
        let subject = subject(&claims)?.to_owned();
        let instance = if by_google { instance(&claims) } else { None };
        // An instance's token need not say what instance it is of (`format=standard`).
        if role.kind == Kind::Iam && by_google && !role.allow_gce_inference {
            return Err(Error::bad_request(
                "got GCE token but the role does not allow GCE inference",
            ));
        }
        if role.kind == Kind::Iam && instance.is_none() {
            let exp = claims::time(&claims, "exp").ok().flatten().unwrap_or(i64::MAX);
            if exp > now.seconds().saturating_add(role.max_jwt_exp) {
                return Err(Error::bad_request(format!(
                    "role requires that service account JWTs expire within {} seconds",
                    role.max_jwt_exp
                )));
            }
        }
        Ok(Verified { subject, instance })
    }

    /// The claims, and whether Google itself signed them.
    async fn claims(
        &self,
        config: &Config,
        kind: Kind,
        token: &Compact<'_>,
        now: Timestamp,
    ) -> Result<(JsonMap, bool)> {
        let algorithms = [Algorithm::Rs(Hash::Sha256)];
        if token.algorithm() != Ok(algorithms[0]) || token.kid().is_none() {
            return Err(not_signed());
        }
        let own = config.endpoints.api.as_str();
        let api = if own.is_empty() { "https://www.googleapis.com" } else { own };
        let certs = format!("{api}/oauth2/v3/certs");
        let googles = self.keys.verified(token, &algorithms, (&certs, ""), now).await;
        if let Ok(Some(claims)) = googles {
            if !claims::text(&claims, "iss").is_some_and(|iss| ISSUERS.contains(&iss)) {
                return Err(Error::bad_request("the JWT's issuer is not Google"));
            }
            return Ok((claims, true));
        }
        if kind == Kind::Gce {
            return Err(googles.err().unwrap_or_else(not_signed));
        }
        let unverified = token.unverified_claims().map_err(|_| not_signed())?;
        let subject = api::segment(subject(&unverified)?)?;
        let url = format!("{api}/service_accounts/v1/jwk/{subject}");
        let claims = self.accounts.verified(token, &algorithms, (&url, ""), now).await?;
        let claims = claims.ok_or_else(not_signed)?;
        Ok((claims, false))
    }
}

/// The subject: an email or a number.
fn subject(claims: &JsonMap) -> Result<&str> {
    let good = |text: &&str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'@' | b'.' | b'-' | b'_');
        !text.is_empty() && text.len() <= 256 && text.bytes().all(plain)
    };
    claims::text(claims, "sub").filter(good).ok_or_else(|| {
        Error::bad_request("expected JWT to have 'sub' claim with service account id or email")
    })
}

/// Times and audiences.
fn check(claims: &JsonMap, name: &str, now: Timestamp) -> Result<()> {
    let time = |name: &str| {
        claims::time(claims, name).map_err(|_| Error::bad_request("a time of the JWT is no number"))
    };
    let (now, skew) = (now.seconds(), claims::DEFAULT_SKEW);
    let expired = || Error::bad_request("JWT is expired or does not have proper 'exp' claim");
    let exp = time("exp")?.filter(|exp| *exp >= now - skew).ok_or_else(expired)?;
    if exp > now.saturating_add(MAX_MINUTES * 60 + skew) {
        return Err(Error::bad_request(format!("JWT must expire in {MAX_MINUTES} minutes")));
    }
    for begins in [time("nbf")?, time("iat")?].into_iter().flatten() {
        if begins > now + skew {
            return Err(Error::bad_request("JWT is not valid yet"));
        }
    }
    let wanted = format!("vault/{}", name.to_lowercase());
    let audiences = claims::audiences(claims);
    let all = match claims.get("aud") {
        Some(Json::Array(list)) => list.len(),
        _ => audiences.len(),
    };
    let fits = |aud: &&str| aud.to_lowercase().ends_with(&wanted);
    if audiences.is_empty() || all != audiences.len() || !audiences.iter().all(fits) {
        return Err(Error::bad_request(
            "the JWT claim 'aud' must end in \"vault/\" and the role's name",
        ));
    }
    Ok(())
}

/// What a token that Google signed says of an instance.
fn instance(claims: &JsonMap) -> Option<Instance> {
    let facts = claims.get("google")?.get("compute_engine")?;
    let text = |name: &str| {
        let text = facts.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        text.map(str::to_owned)
    };
    let number = |name: &str| facts.get(name).and_then(Json::as_i64);
    Some(Instance {
        project_id: text("project_id")?,
        project_number: number("project_number").unwrap_or(0),
        zone: text("zone")?,
        instance_id: text("instance_id")?,
        instance_name: text("instance_name")?,
        created: number("instance_creation_timestamp").unwrap_or(0),
    })
}
