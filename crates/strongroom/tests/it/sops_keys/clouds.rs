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
const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

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
fn kms(asked: &Asked) -> Told {
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

fn at_kms(server: &Server) -> Desk {
    Desk::new()
        .with("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .with("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .with("AWS_ENDPOINT_URL_KMS", &server.url())
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
    let service = |asked: &Asked| {
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
    };
    let server = Server::start(service);
    let desk = Desk::new()
        .with("GOOGLE_OAUTH_ACCESS_TOKEN", "a token")
        .with("SOPS_GCP_KMS_ENDPOINT", &server.url())
        .with("SOPS_GCP_KMS_CLIENT_TYPE", "rest");
    let id = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
    desk.goes_both_ways(&["--gcp-kms", id]);
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
    let id = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
    let mut sops = desk.sops(whose);
    sops.args(["encrypt", "--gcp-kms", id, "plain.yaml"]);
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
