//! Against a small Azure: a vault that asks for its token, and the logins that give one.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use serde_json::{Value, json as object};

use super::super::testing::{self, Made, machine};
use super::*;

const PART: &[u8] = b"a data key of thirty-two bytes!!";
const VAULT: &str = "https://mine.vault.azure.net";
const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: [(&str, &str); 3] = [
    ("AZURE_TENANT_ID", TENANT),
    ("AZURE_CLIENT_ID", "app"),
    ("AZURE_CLIENT_SECRET", "the app's secret"),
];

fn part() -> SecretBytes {
    Secret::new(PART.to_vec())
}

fn key(vault: &str, version: &str) -> AzureKvKey {
    AzureKvKey {
        vault_url: vault.to_owned(),
        name: "sops".to_owned(),
        version: version.to_owned(),
        ..AzureKvKey::default()
    }
}

fn body(call: &Call) -> String {
    String::from_utf8(call.body.expose_secret().clone()).unwrap()
}

/// A challenge for this resource.
fn challenge(resource: &str) -> Answer {
    let mut headers = HeaderMap::new();
    let text = format!(
        "Bearer authorization=\"https://login.microsoftonline.com/{TENANT}\", resource=\"{resource}\""
    );
    headers.insert("www-authenticate", text.parse().unwrap());
    let body = object!({ "error": { "code": "Unauthorized", "message": "no token" } });
    Answer { headers, ..testing::json(401, &body) }
}

/// A vault for whoever has a token of its resource.
fn vault(resource: &str, call: &Call) -> Answer {
    let bearer = call.headers.get("authorization").map(|value| value.to_str().unwrap());
    if bearer.is_none() {
        assert!(call.body.expose_secret().is_empty(), "nothing goes to a vault that is not known");
        return challenge(resource);
    }
    if bearer != Some(&format!("Bearer token for {resource}")) {
        let refused = object!({ "error": { "code": "Forbidden", "message": "not yours" } });
        return testing::json(403, &refused);
    }
    let path = call.url.split('?').next().unwrap().split_once("/keys/").unwrap().1.to_owned();
    assert!(call.url.ends_with("?api-version=7.4"), "{}", call.url);
    if call.method == http::Method::GET {
        let kid = format!("{VAULT}/keys/{path}/newest");
        return testing::json(200, &object!({ "key": { "kid": kid, "kty": "RSA" } }));
    }
    let asked: Value = serde_json::from_str(&body(call)).unwrap();
    assert_eq!(asked["alg"], "RSA-OAEP-256");
    let value = asked["value"].as_str().unwrap();
    let value = match path.rsplit_once('/').unwrap() {
        (key, "encrypt") => URL_SAFE_NO_PAD.encode(format!("{key}|{value}")),
        (key, "decrypt") => {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(value).unwrap()).unwrap();
            match text.strip_prefix(&format!("{key}|")) {
                Some(value) => value.to_owned(),
                None => {
                    let refused =
                        object!({ "error": { "code": "BadParameter", "message": "bad" } });
                    return testing::json(400, &refused);
                }
            }
        }
        _ => panic!("{path}"),
    };
    testing::json(200, &object!({ "kid": path, "value": value }))
}

/// The logins, and a vault.
fn azure(call: &Call) -> Answer {
    let form = body(call);
    let token = object!({ "access_token": "token for https://vault.azure.net" });
    let has = |pair: &str| form.split('&').any(|found| found == pair);
    let login = format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token");
    match call.url.as_str() {
        url if url == login || url == login.replace("microsoftonline.com", "chinacloudapi.cn") => {
            assert!(has("grant_type=client_credentials") && has("client_id=app"), "{form}");
            assert!(has("scope=https%3A%2F%2Fvault.azure.net%2F.default"), "{form}");
            let known = has("client_secret=the%20app%27s%20secret")
                || has("client_assertion=a%20federated%20token");
            if !known {
                let refused = object!({
                    "error": "invalid_client", "error_description": "AADSTS7000215: wrong\r\nTrace",
                });
                return testing::json(401, &refused);
            }
            testing::json(200, &token)
        }
        url if url.starts_with("http://169.254.169.254/metadata/identity/oauth2/token?") => {
            assert_eq!(call.headers["metadata"], "true");
            assert!(url.ends_with("&resource=https%3A%2F%2Fvault.azure.net"), "{url}");
            testing::json(200, &token)
        }
        url if url.starts_with("http://127.0.0.1:42/msi?") => {
            assert_eq!(call.headers["x-identity-header"], "the header");
            testing::json(200, &token)
        }
        _ => vault("https://vault.azure.net", call),
    }
}

fn with(variables: &[(&str, &str)]) -> Made {
    machine(variables).web(azure)
}

#[test]
fn a_key_wraps_and_unwraps() {
    let machine = with(&CLIENT).build();
    let key = key(VAULT, "v1");
    let enc = key.encrypt(&part(), &machine).unwrap();
    assert_eq!(key.decrypt(&enc, &machine).unwrap().expose_secret(), PART);
    let other = AzureKvKey { version: "v2".into(), ..key };
    assert_eq!(
        other.decrypt(&enc, &machine).unwrap_err().0,
        "failed to decrypt sops data key with Azure Key Vault key \
         'https://mine.vault.azure.net/keys/sops/v2': HTTP status 400: BadParameter: bad"
    );
    assert_eq!(
        other.decrypt("=", &machine).unwrap_err().0,
        "failed to base64 decode Azure Key Vault encrypted key"
    );
}

#[test]
fn the_newest_version_is_found() {
    let machine = with(&CLIENT).build();
    assert_eq!(newest_version(&key(VAULT, ""), &machine).unwrap(), "newest");
    let mut groups =
        [crate::metadata::KeyGroup(vec![crate::metadata::KeyEntry::AzureKv(key(VAULT, ""))])];
    super::super::named::complete(&mut groups, &machine).unwrap();
    assert_eq!(groups[0].0[0].shown(), "https://mine.vault.azure.net/keys/sops/newest");
}

#[test]
fn tokens_come_from_where_azures_tools_find_them() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a federated token\n").unwrap();
    let file = file.path().display().to_string();
    let federated = [CLIENT[0], CLIENT[1], ("AZURE_FEDERATED_TOKEN_FILE", file.as_str())];
    let china = [("AZURE_AUTHORITY_HOST", "https://login.chinacloudapi.cn/")];
    let app = [("IDENTITY_ENDPOINT", "http://127.0.0.1:42/msi"), ("IDENTITY_HEADER", "the header")];
    for variables in
        [&CLIENT[..], &CLIENT[1..], &federated, &[&CLIENT[..], &china].concat(), &app, &[]]
    {
        let machine = with(variables).build();
        let outcome = key(VAULT, "v1").encrypt(&part(), &machine);
        assert!(outcome.is_ok(), "{variables:?}: {outcome:?}");
    }
}

#[test]
fn a_refused_login_says_why_and_no_secret() {
    let machine = with(&[CLIENT[0], CLIENT[1], ("AZURE_CLIENT_SECRET", "canary")]).build();
    let failure = key(VAULT, "v1").encrypt(&part(), &machine).unwrap_err().0;
    assert!(
        failure.ends_with("HTTP status 401: invalid_client: AADSTS7000215: wrong"),
        "{failure}"
    );
    assert!(!failure.contains("canary"), "{failure}");
}

/// Files come from anybody: theirs may name a vault that collects tokens.
#[test]
fn no_token_goes_to_a_vault_outside_of_its_domain() {
    for (vault_url, resource) in [
        ("https://evil.example", "https://vault.azure.net"),
        ("https://evilvault.azure.net", "https://vault.azure.net"),
        ("https://vault.azure.net.evil.example", "https://vault.azure.net"),
        ("https://mine.vault.azure.net", "https://management.azure.com"),
        ("https://mine.vault.azure.net", "http://vault.azure.net"),
        ("http://mine.vault.azure.net", "https://vault.azure.net"),
        ("https://mine.vault.azure.net@evil.example", "https://vault.azure.net"),
        ("https://evil.example?.vault.azure.net", "https://vault.azure.net"),
    ] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (calls, resource) = (seen.clone(), resource.to_owned());
        let machine = machine(&CLIENT).web(move |call| {
            calls.lock().unwrap().push(call.url.clone());
            assert!(!call.headers.contains_key("authorization"), "{}", call.url);
            challenge(&resource)
        });
        let outcome = key(vault_url, "v1").encrypt(&part(), &machine.build());
        assert!(outcome.is_err(), "{vault_url}");
        let calls = seen.lock().unwrap();
        assert!(calls.iter().all(|url| !url.contains("login.")), "{vault_url}: {calls:?}");
    }
}

#[test]
fn challenges_are_read_in_both_spellings() {
    for (text, resource) in [
        ("Bearer authorization=\"https://l/t\", resource=\"https://r\"", Some("https://r")),
        ("Bearer authorization=\"https://l/t\", scope=\"https://r/.default\"", Some("https://r")),
        ("Bearer authorization=\"https://l/t\"", None),
        ("Basic realm=\"x\"", None),
        ("Bearer x", None),
    ] {
        let read = Challenge::parse(text).ok();
        assert_eq!(read.as_ref().map(|c| c.resource.as_str()), resource, "{text}");
        assert!(read.is_none_or(|c| c.tenant() == "t"));
    }
}

#[test]
fn names_that_are_none_are_not_asked_for() {
    let machine = with(&CLIENT).build();
    for (name, version) in [("", "v"), ("a/b", "v"), ("a", "v/encrypt?x="), ("a?", "v")] {
        let key = AzureKvKey { name: name.into(), ..key(VAULT, version) };
        let failure = key.encrypt(&part(), &machine).unwrap_err();
        assert!(failure.0.ends_with("the key's name or version is none"), "{failure}");
    }
}
