//! Against a small Google that checks who calls.

use serde_json::{Value, json};
use strongroom_crypto::jws::Compact;
use strongroom_crypto::keys::{KeyType, PrivateKey};

use super::super::testing::{self, Made, machine};
use super::*;

const PART: &[u8] = b"a data key of thirty-two bytes!!";
const ID: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
const TOKEN: &str = "an access token";

fn part() -> SecretBytes {
    Secret::new(PART.to_vec())
}

fn key(id: &str) -> GcpKmsKey {
    GcpKmsKey { resource_id: id.to_owned(), ..GcpKmsKey::default() }
}

fn body(call: &Call) -> String {
    String::from_utf8(call.body.expose_secret().clone()).unwrap()
}

fn error(status: u16, name: &str, message: &str) -> Answer {
    testing::json(
        status,
        &json!({ "error": { "code": status, "status": name, "message": message } }),
    )
}

/// Cloud KMS at `base`, for whoever has the token.
fn kms(base: &str, call: &Call) -> Answer {
    let url = call.url.strip_prefix(base).unwrap_or_else(|| panic!("{} is not asked", call.url));
    let bearer = call.headers.get("authorization").map(|value| value.to_str().unwrap());
    if bearer != Some("Bearer an access token") {
        return error(401, "UNAUTHENTICATED", "no valid credentials");
    }
    let asked: Value = serde_json::from_str(&body(call)).unwrap();
    let text = |name: &str| asked[name].as_str().unwrap().to_owned();
    match url.rsplit_once(':').unwrap() {
        (path, "encrypt") => {
            let blob = STANDARD.encode(format!("{path}|{}", text("plaintext")));
            testing::json(200, &json!({ "name": path, "ciphertext": blob }))
        }
        (path, "decrypt") => {
            let blob = String::from_utf8(STANDARD.decode(text("ciphertext")).unwrap()).unwrap();
            match blob.strip_prefix(&format!("{path}|")) {
                Some(plain) => testing::json(200, &json!({ "plaintext": plain })),
                None => error(400, "INVALID_ARGUMENT", "Decryption failed"),
            }
        }
        _ => panic!("{url}"),
    }
}

fn by_token(more: &[(&str, &str)]) -> Made {
    let variables = [&[("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN)], more].concat();
    machine(&variables).web(|call| kms("https://cloudkms.googleapis.com", call))
}

#[test]
fn a_key_wraps_and_unwraps() {
    let machine = by_token(&[]).build();
    let enc = key(ID).encrypt(&part(), &machine).unwrap();
    assert_eq!(key(ID).decrypt(&enc, &machine).unwrap().expose_secret(), PART);
    let other = key(&ID.replace("Keys/k", "Keys/other"));
    assert_eq!(
        other.decrypt(&enc, &machine).unwrap_err().0,
        "failed to decrypt sops data key with GCP KMS key: HTTP status 400: INVALID_ARGUMENT: \
         Decryption failed"
    );
}

#[test]
fn only_names_of_keys_are_asked_for() {
    let machine = by_token(&[]).build();
    for bad in ["", "k", "projects/p/locations/global/keyRings/r/cryptoKeys/", &format!("{ID}/x")] {
        let failure = key(bad).encrypt(&part(), &machine).unwrap_err();
        assert!(
            failure.0.ends_with(&format!("no valid resource ID found in {bad:?}")),
            "{failure}"
        );
    }
    let odd = ID.replace("/p/", "/p?x=/");
    assert!(key(&odd).encrypt(&part(), &machine).is_err());
}

#[test]
fn the_endpoint_can_be_set() {
    for (variable, value, base) in [
        ("SOPS_GCP_KMS_ENDPOINT", "http://127.0.0.1:1/", "http://127.0.0.1:1"),
        ("SOPS_GCP_KMS_ENDPOINT", "kms.example:443", "https://kms.example:443"),
        ("SOPS_GCP_KMS_UNIVERSE_DOMAIN", "apis-berlin.goog", "https://cloudkms.apis-berlin.goog"),
    ] {
        let variables = [("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN), (variable, value)];
        let machine = machine(&variables).web(move |call| kms(base, call)).build();
        assert!(key(ID).encrypt(&part(), &machine).is_ok(), "{value}");
    }
}

/// A key file of a service account.
fn key_file(private: &PrivateKey) -> Value {
    json!({
        "type": "service_account", "project_id": "p", "private_key_id": "key-1",
        "private_key": private.to_pkcs8_pem().expose_secret(), "client_email": "sops@p.example",
        "token_uri": "https://oauth2.example/token",
    })
}

/// Google with all that gives tokens.
fn google(private: &PrivateKey) -> impl Fn(&Call) -> Answer + Send + Sync + use<> {
    let public = private.public().unwrap();
    move |call| {
        let form = body(call);
        let token = |name: &str| testing::json(200, &json!({ name: TOKEN, "expires_in": 3600 }));
        let decoded = |name: &str| {
            let value = form.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
            strongroom_base::percent::decode_query(value.unwrap_or_default()).unwrap().to_string()
        };
        match call.url.as_str() {
            "https://oauth2.example/token" if form.contains("jwt-bearer") => {
                let assertion = decoded("assertion");
                let claims = Compact::parse(&assertion).unwrap().verify(&public).unwrap();
                assert_eq!(claims["iss"], "sops@p.example");
                assert_eq!(claims["aud"], "https://oauth2.example/token");
                assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloud-platform");
                token("access_token")
            }
            "https://oauth2.example/token" if form.contains("grant_type=refresh_token") => {
                if decoded("refresh_token") != "a refresh token" {
                    let refused = json!({ "error": "invalid_grant", "error_description": "gone" });
                    return testing::json(400, &refused);
                }
                token("access_token")
            }
            "https://sts.example/token" => {
                assert_eq!(decoded("subject_token"), "a foreign token");
                assert_eq!(decoded("audience"), "//iam.example/pool");
                token("access_token")
            }
            "https://iam.example/sa:generateAccessToken" => {
                assert_eq!(call.headers["authorization"], "Bearer an access token");
                token("accessToken")
            }
            "http://169.254.0.1/computeMetadata/v1/instance/service-accounts/default/token" => {
                assert_eq!(call.headers["metadata-flavor"], "Google");
                token("access_token")
            }
            _ => kms("https://cloudkms.googleapis.com", call),
        }
    }
}

#[test]
fn tokens_come_from_where_googles_tools_find_them() {
    let private = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, json: &Value| {
        let path = folder.path().join(name);
        std::fs::write(&path, json.to_string()).unwrap();
        path.display().to_string()
    };
    let service = key_file(&private);
    let person = json!({
        "type": "authorized_user", "client_id": "c", "client_secret": "s",
        "refresh_token": "a refresh token", "token_uri": "https://oauth2.example/token",
    });
    std::fs::write(folder.path().join("token"), "a foreign token\n").unwrap();
    let foreign = json!({
        "type": "external_account", "audience": "//iam.example/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.example/token",
        "credential_source": { "file": folder.path().join("token") },
        "service_account_impersonation_url": "https://iam.example/sa:generateAccessToken",
    });
    let acting = json!({
        "type": "impersonated_service_account", "source_credentials": person,
        "service_account_impersonation_url": "https://iam.example/sa:generateAccessToken",
    });
    let inline = service.to_string();
    let path = write("key.json", &service);
    let config = folder.path().display().to_string();
    write("application_default_credentials.json", &person);
    for (variable, value) in [
        ("GOOGLE_CREDENTIALS", inline.as_str()),
        ("GOOGLE_CREDENTIALS", path.as_str()),
        ("GOOGLE_CREDENTIALS", &foreign.to_string()),
        ("GOOGLE_CREDENTIALS", &acting.to_string()),
        ("GOOGLE_APPLICATION_CREDENTIALS", &path),
        ("CLOUDSDK_CONFIG", &config),
        ("GCE_METADATA_HOST", "169.254.0.1"),
    ] {
        let machine = machine(&[(variable, value)]).web(google(&private)).build();
        let outcome = key(ID).encrypt(&part(), &machine);
        assert!(outcome.is_ok(), "{variable}: {outcome:?}");
    }
}

#[test]
fn refusals_hold_no_credentials() {
    let private = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
    let mut broken = key_file(&private);
    broken["private_key"] = "canary".into();
    for (credentials, text) in [
        (broken, "private_key is no key in PEM"),
        (json!({ "type": "magic", "x": "canary" }), "their type \"magic\" is not known"),
        (json!({ "canary": 1 }), "type is missing"),
        (
            json!({
                "type": "authorized_user", "client_id": "c", "client_secret": "canary",
                "refresh_token": "canary", "token_uri": "https://oauth2.example/token",
            }),
            "no access token: HTTP status 400: invalid_grant: gone",
        ),
    ] {
        let variables = [("GOOGLE_CREDENTIALS", credentials.to_string())];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let machine = machine(&variables).web(google(&private)).build();
        let failure = key(ID).encrypt(&part(), &machine).unwrap_err();
        assert!(failure.0.contains(text) && !failure.0.contains("canary"), "{failure}");
    }
    let canary = machine(&[("GOOGLE_CREDENTIALS", "/no/such/canary")]).build();
    let failure = key(ID).encrypt(&part(), &canary).unwrap_err();
    assert!(failure.0.contains("neither a file's path nor JSON"), "{failure}");
    assert!(!failure.0.contains("canary"), "{failure}");
}
