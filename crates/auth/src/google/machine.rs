//! The machine of Google's that the server runs on: its own account, and accounts that it may act for
//! (Google, "Application Default Credentials"; IAM Credentials API, `signJwt`,
//! `generateAccessToken`).

use serde_json::json;
use strongroom_base::{Json, Result, SecretString, Timestamp};
use strongroom_cloudwire::sigv4::uri_encode;
use strongroom_connectors::web::{Call, Web};

use super::{LIVES_SECONDS, TOKEN_URI, body, exchange, failed, fetched};
use crate::access_tokens::Fetched;

/// Where a machine of Google's finds its own token.
const METADATA: &str =
    "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";
/// Where one account acts for another.
const IAM: &str = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts";
/// What acting for another needs.
const IAM_SCOPE: &str = "https://www.googleapis.com/auth/iam";

/// The machine's own token for these scopes, which stand between spaces.
pub async fn own_token(web: &dyn Web, scopes: &str) -> Result<Fetched> {
    let scopes = uri_encode(&scopes.replace(' ', ","));
    let call = Call::get(format!("{METADATA}?scopes={scopes}"));
    let flavor = http::HeaderName::from_static("metadata-flavor");
    let call = call.header(flavor, "Google").map_err(failed)?;
    fetched(&body(&web.call(call).await.map_err(failed)?)?)
}

/// A token of the service account `principal`, that the machine's account may sign for; of the person
/// `subject`, where the account may act for the persons of a domain.
pub async fn token_of(
    web: &dyn Web,
    principal: &str,
    scopes: &str,
    subject: Option<&str>,
    now: Timestamp,
) -> Result<Fetched> {
    let own = own_token(web, IAM_SCOPE).await?.token;
    let Some(subject) = subject else {
        let scope: Vec<&str> = scopes.split(' ').collect();
        let asked = json!({ "scope": scope, "lifetime": format!("{LIVES_SECONDS}s") });
        let json = act(web, principal, "generateAccessToken", &asked, &own).await?;
        let token = text(&json, "accessToken")?;
        // When it ends is told as a date; it lives as long as was asked for.
        return Ok(Fetched { token: SecretString::new(token), seconds: LIVES_SECONDS });
    };
    let claims = json!({
        "iss": principal,
        "sub": subject,
        "scope": scopes,
        "aud": TOKEN_URI,
        "iat": now.seconds(),
        "exp": now.seconds() + LIVES_SECONDS,
    });
    let asked = json!({ "payload": claims.to_string() });
    let json = act(web, principal, "signJwt", &asked, &own).await?;
    let signed = SecretString::new(text(&json, "signedJwt")?);
    exchange(web, TOKEN_URI, signed.expose_secret()).await
}

/// A call of IAM's, in the machine's name.
async fn act(
    web: &dyn Web,
    principal: &str,
    what: &str,
    asked: &Json,
    own: &SecretString,
) -> Result<Json> {
    let url = format!("{IAM}/{}:{what}", uri_encode(principal));
    let call = Call::post(url, "application/json", asked.to_string().into_bytes());
    let call = call.bearer(own.expose_secret()).map_err(failed)?;
    body(&web.call(call).await.map_err(failed)?)
}

fn text(json: &Json, name: &str) -> Result<String> {
    let text = json.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| failed("its answer has none"))
}
