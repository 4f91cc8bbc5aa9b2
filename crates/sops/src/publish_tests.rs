//! Buckets against small services; Vault is a product test, against the real server.

use std::sync::{Arc, Mutex};

use super::*;
use crate::keys::aws::testing::{VARIABLES, signer};
use crate::keys::testing::{self, machine};

/// What a service was asked.
type Seen = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

fn bucket(bucket: &str, prefix: &str) -> Bucket {
    Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() }
}

#[test]
fn files_go_to_s3_signed() {
    let own = [("AWS_REGION", "eu-west-1")];
    let set = [("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")];
    for (variables, name, url) in [
        (&own[..], "files", "https://files.s3.eu-west-1.amazonaws.com/a%20b/x%3D1.yaml"),
        (&own, "dotted.files", "https://s3.eu-west-1.amazonaws.com/dotted.files/a%20b/x%3D1.yaml"),
        (&set, "files", "http://127.0.0.1:9000/files/a%20b/x%3D1.yaml"),
    ] {
        let seen = Seen::default();
        let calls = seen.clone();
        let machine = machine(&[&VARIABLES[..], variables].concat()).web(move |call| {
            assert_eq!(signer(call).2, "s3");
            let body = call.body.expose_secret().clone();
            calls.lock().unwrap().push((call.method.to_string(), call.url.clone(), body));
            testing::json(200, &json!({}))
        });
        let destination = Destination::S3(bucket(name, "a b/"));
        let machine = machine.build();
        assert_eq!(destination.shown("x=1.yaml", &machine), format!("s3://{name}/a b/x=1.yaml"));
        destination.upload(b"encrypted", "x=1.yaml", &machine).unwrap();
        let expected = ("PUT".to_owned(), url.to_owned(), b"encrypted".to_vec());
        assert_eq!(*seen.lock().unwrap(), [expected]);
    }
}

#[test]
fn what_s3_refuses_is_told() {
    let refused = |variables: &[(&str, &str)], name: &str| {
        let machine = machine(&[&VARIABLES[..], variables].concat()).web(|_| {
            let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>NoSuchBucket</Code>\
                        <Message>The specified bucket does not exist</Message></Error>";
            Answer { body: body.into(), ..testing::json(404, &json!({})) }
        });
        Destination::S3(bucket(name, "")).upload(b"", "x", &machine.build()).unwrap_err().text
    };
    let region = [("AWS_REGION", "eu-west-1")];
    assert_eq!(
        refused(&region, "files"),
        "operation error S3: PutObject: HTTP status 404: NoSuchBucket: The specified bucket does not \
         exist"
    );
    assert!(refused(&[], "files").starts_with("no AWS region is set"));
    for name in ["", "evil.example/", "a@b", "UPPER"] {
        assert!(refused(&region, name).ends_with("is no name of a bucket"), "{name}");
    }
}

#[test]
fn files_go_to_google_cloud_storage() {
    let token = [("GOOGLE_OAUTH_ACCESS_TOKEN", "a token")];
    let emulated = [("STORAGE_EMULATOR_HOST", "127.0.0.1:4443")];
    for (variables, base, bearer) in [
        (&token, "https://storage.googleapis.com", Some("Bearer a token")),
        (&emulated, "http://127.0.0.1:4443", None),
    ] {
        let machine = machine(variables).web(move |call| {
            let path = "upload/storage/v1/b/files/o?uploadType=media&name=a%2Fx.yaml";
            assert_eq!(call.url, format!("{base}/{path}"));
            let given = call.headers.get("authorization").map(|value| value.to_str().unwrap());
            assert_eq!(given, bearer);
            assert_eq!(call.body.expose_secret(), b"encrypted");
            testing::json(200, &json!({}))
        });
        let destination = Destination::Gcs(bucket("files", "a/"));
        let machine = machine.build();
        assert_eq!(destination.shown("x.yaml", &machine), "gcs://files/a/x.yaml");
        destination.upload(b"encrypted", "x.yaml", &machine).unwrap();
    }
}

#[test]
fn paths_in_vault_depend_on_the_engines_version() {
    let machine = machine(&[("VAULT_ADDR", "http://127.0.0.1:8200")]).build();
    for (place, shown) in [
        (VaultPlace::new("", "app", "", 0), "http://127.0.0.1:8200/v1/secret/data/app/x.yaml"),
        (VaultPlace::new("http://v", "app/", "kv", 1), "http://v/v1/kv/app/x.yaml"),
        (VaultPlace::new("http://v", "app/", "kv/", 2), "http://v/v1/kv/data/app/x.yaml"),
    ] {
        let destination = Destination::Vault(place);
        assert_eq!(destination.shown("x.yaml", &machine), shown);
        assert!(destination.takes_values());
        assert!(destination.upload(b"", "x.yaml", &machine).is_err());
    }
    let bucket = Destination::S3(bucket("files", ""));
    assert!(bucket.write(JsonMap::new(), "x", &machine).is_err());
}
