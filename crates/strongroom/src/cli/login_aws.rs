//! `login -method=aws`: a `GetCallerIdentity` signed with the AWS credentials at hand, which the server
//! sends to STS. The secret key does not leave this process.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use strongroom_base::json::{Json, JsonMap};
use strongroom_base::{Clock, SecretString};
use strongroom_client::Envelope;
use strongroom_cloudwire::caller_identity::{self, BODY};
use strongroom_cloudwire::sigv4::Credentials;
use strongroom_server::real::RealClock;

use super::command::Fail;
use super::context::Context;
use super::http::Http;
use super::login::{Given, post};

/// What `auth help aws` says.
pub const HELP: &str = "aws: logs in by AWS credentials, those of the environment \
     (AWS_ACCESS_KEY_ID,\nAWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN) unless others are given.\n\n  \
     [role=ROLE]                  the name of the IAM user or role if missing\n  \
     [header_value=ID]            the server's iam_server_id_header_value, if it has one\n  \
     [region=REGION]              sign for the STS of a region, not for the global one\n  \
     [aws_access_key_id=KEY]      in place of the environment's; with\n  \
     [aws_secret_access_key=KEY]  =@FILE or =- to keep it out of the process list, and\n  \
     [aws_security_token=TOKEN]   for temporary credentials";

/// The credentials to sign with.
fn credentials(cx: &Context<'_, '_>, given: &Given) -> Result<Credentials, Fail> {
    let text = |name: &str| given.get(name).map(|value| value.trim().to_owned());
    let (key, secret) = (text("aws_access_key_id"), text("aws_secret_access_key"));
    let (key, secret, token) = match (key, secret) {
        (Some(key), Some(secret)) => (key, secret, text("aws_security_token")),
        (None, None) => {
            let env = |name: &str| cx.env().plain(name);
            let (key, secret) = (env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"));
            let (Some(key), Some(secret)) = (key, secret) else {
                return Err(Fail::remote(
                    "Error authenticating: no AWS credentials: neither 'aws_access_key_id' and \
                     'aws_secret_access_key' nor AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set",
                ));
            };
            let token = env("AWS_SESSION_TOKEN").or_else(|| env("AWS_SECURITY_TOKEN"));
            (key, secret, token)
        }
        _ => {
            return Err(Fail::remote(
                "Error authenticating: 'aws_access_key_id' and 'aws_secret_access_key' go together",
            ));
        }
    };
    Ok(Credentials {
        access_key: key,
        secret_key: SecretString::new(secret),
        session_token: token.map(SecretString::new),
    })
}

/// Logs in.
pub fn by_aws(
    cx: &mut Context<'_, '_>,
    http: &mut Http,
    given: &Given,
) -> Result<Option<Envelope>, Fail> {
    let credentials = credentials(cx, given)?;
    let region = given.get("region").unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if !region.bytes().all(plain) {
        return Err(Fail::remote("Error authenticating: 'region' is no name of a region"));
    }
    let server_id = given.get("header_value").unwrap_or_default();
    let signed = caller_identity::signed(&credentials, region, server_id, RealClock::new().now());
    let headers: JsonMap =
        signed.headers.into_iter().map(|(name, value)| (name, json!([value]))).collect();
    let mut body = json!({
        "iam_http_request_method": "POST",
        "iam_request_url": STANDARD.encode(signed.url),
        "iam_request_body": STANDARD.encode(BODY),
        "iam_request_headers": STANDARD.encode(Json::Object(headers).to_string()),
    });
    if let Some(role) = given.get("role") {
        body["role"] = role.into();
    }
    post(http, format!("auth/{}/login", given.mount), body)
}
