//! Keys of clouds, at small services that answer as their API pages say: both programs speak to the
//! same one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use strongroom_base::SecretString;
use strongroom_cloudwire::sigv4::{Authorization, Request, hash_of, verify};
use strongroom_testkit::servers::http::{Asked, Server, Told};

use super::{Desk, Whose};

const SECRET_KEY: &str = "a secret access key";
/// A key of KMS.
pub const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/// Did the caller sign for the service in the ARN's region?
fn signed(asked: &Asked, service: &str) -> bool {
    let Some(read) = Authorization::parse(asked.header("authorization")) else { return false };
    let payload = hash_of(&asked.body);
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let request = Request {
        method: &asked.method,
        path,
        query,
        headers: &asked.headers,
        payload: if service == "s3" { asked.header("x-amz-content-sha256") } else { &payload },
        normalise: service != "s3",
    };
    let right = read.scope.region == "eu-west-1" && read.scope.service == service;
    right && verify(request, &read, &SecretString::new(SECRET_KEY.to_owned()))
}

/// KMS: the ciphertext is the key, its context and the plaintext, for everybody to read.
pub fn kms(asked: &Asked) -> Told {
    if !signed(asked, "kms") {
        let refused = json!({ "__type": "InvalidSignatureException", "message": "not signed" });
        return Told::json(403, &refused);
    }
    let body: Json = serde_json::from_slice(&asked.body).unwrap();
    // In order, in which the other program need not send it.
    let context: BTreeMap<String, Json> = match &body["EncryptionContext"] {
        Json::Object(context) => context.clone().into_iter().collect(),
        _ => BTreeMap::new(),
    };
    let bound = format!("{}|{context:?}|", body["KeyId"]);
    match asked.header("x-amz-target") {
        "TrentService.Encrypt" => {
            let blob = hex_text(&format!("{bound}{}", body["Plaintext"].as_str().unwrap()));
            Told::json(200, &json!({ "CiphertextBlob": blob, "KeyId": body["KeyId"] }))
        }
        "TrentService.Decrypt" => {
            let blob = text_of_hex(body["CiphertextBlob"].as_str().unwrap());
            match blob.strip_prefix(&bound) {
                Some(plain) => {
                    Told::json(200, &json!({ "Plaintext": plain, "KeyId": body["KeyId"] }))
                }
                None => Told::json(400, &json!({ "__type": "InvalidCiphertextException" })),
            }
        }
        other => panic!("{other}"),
    }
}

/// Hex is base64, too, if its length is a multiple of four.
fn hex_text(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    while !bytes.len().is_multiple_of(2) {
        bytes.push(b' ');
    }
    hex::encode(bytes)
}

fn text_of_hex(hex: &str) -> String {
    String::from_utf8(hex::decode(hex).unwrap()).unwrap().trim_end().to_owned()
}

/// With credentials for KMS.
pub fn with_aws(desk: Desk, server: &Server) -> Desk {
    desk.with("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .with("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .with("AWS_ENDPOINT_URL_KMS", &server.url())
}

fn at_kms(server: &Server) -> Desk {
    with_aws(Desk::new(), server)
}

/// A key of Google's.
pub const GOOGLE_ID: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";

/// Google's service, in the manner of [`kms`].
pub fn google(asked: &Asked) -> Told {
    if asked.header("authorization") != "Bearer a token" {
        let error = json!({ "code": 401, "status": "UNAUTHENTICATED", "message": "no" });
        return Told::json(401, &json!({ "error": error }));
    }
    let body: Json = serde_json::from_slice(&asked.body).unwrap();
    let (key, what) = asked.path().rsplit_once(':').unwrap();
    match what {
        "encrypt" => {
            let text = format!("{key}|{}", body["plaintext"].as_str().unwrap());
            let name = format!("{}/cryptoKeyVersions/1", key.trim_start_matches("/v1/"));
            Told::json(200, &json!({ "name": name, "ciphertext": hex_text(&text) }))
        }
        "decrypt" => {
            let text = text_of_hex(body["ciphertext"].as_str().unwrap());
            match text.strip_prefix(&format!("{key}|")) {
                Some(plain) => Told::json(200, &json!({ "plaintext": plain })),
                None => Told::json(400, &json!({ "error": { "message": "failed" } })),
            }
        }
        _ => panic!("{}", asked.target),
    }
}

/// With a token for Google's.
pub fn with_google(desk: Desk, server: &Server) -> Desk {
    desk.with("GOOGLE_OAUTH_ACCESS_TOKEN", "a token")
        .with("SOPS_GCP_KMS_ENDPOINT", &server.url())
        .with("SOPS_GCP_KMS_CLIENT_TYPE", "rest")
}

#[test]
fn keys_of_aws_kms_go_both_ways() {
    let server = Server::start(kms);
    let desk = at_kms(&server);
    desk.goes_both_ways(&["--kms", ARN]);
    desk.goes_both_ways(&["--kms", ARN, "--encryption-context", "app:web,env:prod"]);
    let file = desk.read("secret.yaml").replace("env: prod", "env: test");
    desk.write("secret.yaml", &file);
    for whose in [Whose::Ours, Whose::Original] {
        let told = desk.refused(whose, &["decrypt", "secret.yaml"], 128);
        assert!(told.contains("InvalidCiphertextException"), "{whose:?}: {told}");
    }
    let wrong = at_kms(&server).with("AWS_SECRET_ACCESS_KEY", "wrong");
    let told = wrong.refused(Whose::Ours, &["encrypt", "--kms", ARN, "plain.yaml"], 1);
    assert!(told.contains("InvalidSignatureException"), "{told}");
}

#[test]
fn keys_of_google_cloud_kms_go_both_ways() {
    let server = Server::start(google);
    with_google(Desk::new(), &server).goes_both_ways(&["--gcp-kms", GOOGLE_ID]);
}

/// A key of Huawei's.
pub const HUAWEI_KEY: &str = "tr-west-1:0d0466b0-e727-4d9c-b35d-f84bb474a37f";

/// Did the caller sign by Huawei's algorithm, over the headers that it names?
fn signed_for_huawei(asked: &Asked) -> bool {
    let said = asked.header("authorization");
    let Some(said) = said.strip_prefix("SDK-HMAC-SHA256 Access=AKIDEXAMPLE, ") else {
        return false;
    };
    let Some((names, signature)) = said.split_once(", Signature=") else { return false };
    let names = names.strip_prefix("SignedHeaders=").unwrap();
    let lines = names.split(';').map(|name| format!("{name}:{}\n", asked.header(name).trim()));
    let lines: String = lines.collect();
    let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
    let hash = |bytes: &[u8]| hex::encode(strongroom_crypto::sha256(bytes));
    let body = hash(&asked.body);
    let request = format!("{}\n{path}/\n{query}\n{lines}\n{names}\n{body}", asked.method);
    let date = asked.header("x-sdk-date");
    let text = format!("SDK-HMAC-SHA256\n{date}\n{}", hash(request.as_bytes()));
    let key = strongroom_crypto::hmac::HmacKey::new(SECRET_KEY.as_bytes());
    names.contains("x-sdk-date") && hex::encode(key.mac(&[text.as_bytes()])) == signature
}

/// Huawei's service, in the manner of [`kms`].
pub fn huawei(asked: &Asked) -> Told {
    if !signed_for_huawei(asked) {
        let error = json!({ "error_code": "APIGW.0301", "error_msg": "not signed" });
        return Told::json(401, &error);
    }
    let body: Json = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(asked.header("x-project-id"), "0a1b2c");
    let bound = format!("{}|", body["key_id"].as_str().unwrap());
    match asked.path() {
        "/v1.0/0a1b2c/kms/encrypt-data" => {
            let text = hex_text(&format!("{bound}{}", body["plain_text"].as_str().unwrap()));
            Told::json(200, &json!({ "key_id": body["key_id"], "cipher_text": text }))
        }
        "/v1.0/0a1b2c/kms/decrypt-data" => {
            let text = text_of_hex(body["cipher_text"].as_str().unwrap());
            let plain = text.strip_prefix(&bound).unwrap();
            Told::json(200, &json!({ "key_id": body["key_id"], "plain_text": plain }))
        }
        other => panic!("{other}"),
    }
}

/// With credentials for Huawei's.
pub fn with_huawei(desk: Desk, server: &Server) -> Desk {
    desk.with("HUAWEICLOUD_SDK_AK", "AKIDEXAMPLE")
        .with("HUAWEICLOUD_SDK_SK", SECRET_KEY)
        .with("HUAWEICLOUD_SDK_PROJECT_ID", "0a1b2c")
        .with("HUAWEICLOUD_SDK_REGION_KMS_TR_WEST_1", &server.url())
}

#[test]
fn keys_of_huawei_cloud_kms_go_both_ways() {
    let server = Server::start(huawei);
    with_huawei(Desk::new(), &server).goes_both_ways(&["--hckms", HUAWEI_KEY]);
    let wrong = with_huawei(Desk::new(), &server).with("HUAWEICLOUD_SDK_SK", "wrong");
    let told = wrong.refused(Whose::Ours, &["encrypt", "--hckms", HUAWEI_KEY, "plain.yaml"], 1);
    assert!(told.contains("APIGW.0301: not signed"), "{told}");
}

#[test]
fn files_are_published_to_buckets() {
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = got.clone();
    let server = Server::start(move |asked: &Asked| {
        if asked.method == "PUT" {
            assert!(signed(asked, "s3"), "{asked:?}");
        }
        kept.lock().unwrap().push((asked.target.clone(), asked.body.clone()));
        Told::json(200, &json!({}))
    });
    let desk = Desk::new()
        .with("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .with("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .with("AWS_REGION", "eu-west-1")
        .with("AWS_ENDPOINT_URL_S3", &server.url())
        .with("STORAGE_EMULATOR_HOST", &server.url());
    let (mine, there) = (desk.age_key(), desk.age_key_at("there.txt"));
    desk.write(
        ".sops.yaml",
        &format!(
            "destination_rules:\n- path_regex: s3\n  s3_bucket: files\n  s3_prefix: team/\n- \
             path_regex: gcs\n  gcs_bucket: files\n  gcs_prefix: team/\n  recreation_rule:\n    age: \
             {there}\n"
        ),
    );
    desk.encrypt(Whose::Ours, &["--age", &mine], "s3.yaml");
    desk.encrypt(Whose::Ours, &["--age", &mine], "gcs.yaml");
    desk.ok(Whose::Ours, &["publish", "-y", "s3.yaml"]);
    desk.ok(Whose::Ours, &["publish", "-y", "gcs.yaml"]);
    let got = got.lock().unwrap();
    let [(s3, as_it_is), (gcs, anew)] = got.as_slice() else { panic!("{got:?}") };
    assert_eq!(s3, "/files/team/s3.yaml");
    assert_eq!(String::from_utf8_lossy(as_it_is), desk.read("s3.yaml"));
    assert_eq!(gcs, "/upload/storage/v1/b/files/o?uploadType=media&name=team%2Fgcs.yaml");
    let anew = String::from_utf8_lossy(anew);
    assert!(anew.contains(&there) && !anew.contains(&mine), "{anew}");
}

/// The first line of what somebody says to a proxy, which then hangs up.
fn asked_of_a_proxy(whose: Whose) -> String {
    use std::io::{BufRead, BufReader};
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let desk = Desk::new().with("GOOGLE_OAUTH_ACCESS_TOKEN", "a token").with("HTTPS_PROXY", &url);
    let desk = desk.with("SOPS_GCP_KMS_CLIENT_TYPE", "rest");
    let mut sops = desk.sops(whose);
    sops.args(["encrypt", "--gcp-kms", GOOGLE_ID, "plain.yaml"]);
    let mut running = sops.stderr(std::process::Stdio::null()).spawn().unwrap();
    let (stream, _) = proxy.accept().unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    running.kill().unwrap();
    running.wait().unwrap();
    line
}

#[test]
fn proxies_of_the_environment_are_used() {
    for whose in [Whose::Ours, Whose::Original] {
        let line = asked_of_a_proxy(whose);
        assert_eq!(line, "CONNECT cloudkms.googleapis.com:443 HTTP/1.1\r\n", "{whose:?}");
    }
}
