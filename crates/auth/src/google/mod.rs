//! Access tokens for Google's APIs (RFC 7523; Google, "Using OAuth 2.0 for server to server
//! applications"): by the key file of a service account, or as the machine that the server runs on.
//!
//! Invariants:
//! * what a token may do is asked for by scope, and no wider than who asks needs;
//! * the machine's own token goes to Google's hosts alone, which stand in this code.

pub mod key_file;
pub mod machine;

use strongroom_base::{Error, ErrorKind, Json, Result, SecretString};
use strongroom_cloudwire::form;
use strongroom_connectors::web::{Answer, Call, Web};

use crate::access_tokens::Fetched;

/// Seconds that a request for a token is good for, and a token at most.
const LIVES_SECONDS: i64 = 3_600;
/// Where access tokens are had unless a key file says otherwise.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

fn failed(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Upstream, format!("Google gives no access token: {why}"))
}

/// The JSON of an answer that is a success.
fn body(answer: &Answer) -> Result<Json> {
    if !answer.is_success() {
        return Err(failed(format!("it answered status {}", answer.status)));
    }
    answer.json().map_err(failed)
}

/// The token in an answer of OAuth's (RFC 6749 §5.1).
fn fetched(json: &Json) -> Result<Fetched> {
    let token = json.get("access_token").and_then(Json::as_str).unwrap_or_default();
    if token.is_empty() {
        return Err(failed("its answer has none"));
    }
    let seconds = json.get("expires_in").and_then(Json::as_i64).unwrap_or(0);
    let seconds = seconds.clamp(0, LIVES_SECONDS);
    Ok(Fetched { token: SecretString::new(token.to_owned()), seconds })
}

/// Exchanges a signed request for a token.
async fn exchange(web: &dyn Web, token_uri: &str, assertion: &str) -> Result<Fetched> {
    let filled = form::encode(&[
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion),
    ]);
    let content_type = "application/x-www-form-urlencoded";
    let answer = web.call(Call::post(token_uri, content_type, filled.into_bytes())).await;
    fetched(&body(&answer.map_err(failed)?)?)
}
