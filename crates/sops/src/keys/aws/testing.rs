//! A small AWS for tests: it verifies each signature, keeps keys by their ARNs, and knows one role.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use serde_json::{Value, json};
use strongroom_base::SecretString;
use strongroom_cloudwire::sigv4::{Authorization, Request, hash_of, verify};
use strongroom_web::{Answer, Call};

use super::super::testing;

pub const ACCESS_KEY: &str = "AKIDEXAMPLE";
pub const SECRET_KEY: &str = "a secret access key";
pub const ROLE: &str = "arn:aws:iam::111122223333:role/sops";
const ROLE_ACCESS_KEY: &str = "ASIAROLE";
const ROLE_SECRET_KEY: &str = "the role's secret key";
const ROLE_TOKEN: &str = "the role's session token";
/// A token of another provider, for which the role is given.
pub const WEB_TOKEN: &str = "a web identity token";

/// A key's ARN in a region.
pub fn arn(region: &str, name: &str) -> String {
    format!("arn:aws:kms:{region}:111122223333:key/{name}")
}

/// The variables of a caller with keys.
pub const VARIABLES: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];

fn header<'a>(call: &'a Call, name: &str) -> &'a str {
    call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whose signature is on the call, for which region and service; panics where it is not good.
pub fn signer(call: &Call) -> (String, String, String) {
    let rest = call.url.split_once("://").unwrap().1;
    let (host, path) = rest.split_once('/').unwrap();
    let path = format!("/{path}");
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let mut headers: Vec<(String, String)> = call
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.push(("host".to_owned(), host.to_owned()));
    let authorization = header(call, "authorization").to_owned();
    let read = Authorization::parse(&authorization).expect("an authorization");
    let payload = hash_of(call.body.expose_secret());
    let is_s3 = read.scope.service == "s3";
    if is_s3 {
        assert_eq!(header(call, "x-amz-content-sha256"), payload);
    }
    let request = Request {
        method: call.method.as_str(),
        path,
        query,
        headers: &headers,
        payload: &payload,
        normalise: !is_s3,
    };
    let secret = match read.access_key {
        ACCESS_KEY => SECRET_KEY,
        ROLE_ACCESS_KEY => {
            assert_eq!(header(call, "x-amz-security-token"), ROLE_TOKEN);
            ROLE_SECRET_KEY
        }
        other => panic!("nobody is called {other}"),
    };
    assert!(verify(request, &read, &SecretString::new(secret.to_owned())), "the signature is good");
    let scope = read.scope;
    (read.access_key.to_owned(), scope.region.to_owned(), scope.service.to_owned())
}

/// Answers a call to KMS or STS. A key whose name begins with `denied` refuses.
pub fn answer(call: &Call) -> Answer {
    let body = String::from_utf8(call.body.expose_secret().clone()).unwrap();
    if body.contains("Action=AssumeRoleWithWebIdentity") {
        assert!(body.contains("WebIdentityToken=a%20web%20identity%20token"), "{body}");
        assert_eq!(header(call, "authorization"), "");
        return assumed("AssumeRoleWithWebIdentity");
    }
    let (_, region, service) = signer(call);
    if service == "sts" {
        assert!(body.contains("Action=AssumeRole&"), "{body}");
        if !body.contains("role%2Fsops") {
            return xml(
                403,
                "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                 <Message>not yours</Message></Error></ErrorResponse>",
            );
        }
        return assumed("AssumeRole");
    }
    assert_eq!(service, "kms");
    let asked: Value = serde_json::from_str(&body).unwrap();
    let arn = asked["KeyId"].as_str().unwrap().to_owned();
    assert!(arn.contains(&format!(":{region}:")), "{arn} is not of {region}");
    let refused = |kind: &str, words: &str| {
        testing::json(400, &json!({ "__type": format!("com.amazonaws#{kind}"), "message": words }))
    };
    if arn.contains("key/denied") {
        return refused("AccessDeniedException", "User is not authorized");
    }
    let context = asked.get("EncryptionContext").cloned().unwrap_or(Value::Null).to_string();
    match header(call, "x-amz-target") {
        "TrentService.Encrypt" => {
            let plain = asked["Plaintext"].as_str().unwrap();
            let blob = STANDARD.encode(format!("{arn}|{context}|{plain}"));
            testing::json(200, &json!({ "CiphertextBlob": blob, "KeyId": arn }))
        }
        "TrentService.Decrypt" => {
            let blob = asked["CiphertextBlob"].as_str().unwrap();
            let blob = String::from_utf8(STANDARD.decode(blob).unwrap()).unwrap();
            match blob.strip_prefix(&format!("{arn}|{context}|")) {
                Some(plain) => testing::json(200, &json!({ "Plaintext": plain, "KeyId": arn })),
                None => refused("InvalidCiphertextException", ""),
            }
        }
        other => panic!("{other}"),
    }
}

fn xml(status: u16, body: &str) -> Answer {
    Answer { status, headers: HeaderMap::new(), body: body.to_owned().into() }
}

fn assumed(action: &str) -> Answer {
    let body = format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <Credentials><AccessKeyId>{ROLE_ACCESS_KEY}</AccessKeyId><SecretAccessKey>\
         {ROLE_SECRET_KEY}</SecretAccessKey><SessionToken>{ROLE_TOKEN}</SessionToken><Expiration>\
         2026-11-26T13:00:00Z</Expiration></Credentials></{action}Result></{action}Response>"
    );
    xml(200, &body)
}
