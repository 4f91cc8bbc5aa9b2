//! Logins by AWS, Google Cloud and Azure through the built server: with hvac, botocore's signatures and
//! our own command line, against small servers that verify and answer as the clouds' APIs document.

use std::process::Stdio;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use strongroom_base::Clock;
use strongroom_server::real::RealClock;
use strongroom_testkit::clouds::{aws, azure, google};
use strongroom_testkit::servers::http;

use crate::hvac::script_with;
use crate::product::{Server, command};

const ACCOUNT: &str = "123456789012";

fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock::new())
}

/// AWS with a user, another one, a session of a role, and credentials for the server.
struct Amazon {
    server: http::Server,
    user: aws::Caller,
    other: aws::Caller,
    session: aws::Caller,
    own: aws::Caller,
}

impl Amazon {
    fn start() -> Self {
        let twin = aws::Aws::new(clock());
        let user = |name: &str| {
            let arn = format!("arn:aws:iam::{ACCOUNT}:user/{name}");
            let id = format!("AIDA{name}");
            let caller = aws::Caller::new(&format!("AKIA{name}"), &arn, &id);
            twin.knows(&caller);
            twin.has(&arn, &id);
            caller
        };
        let (ann, eve, own) = (user("ann"), user("eve"), user("strongroom"));
        let arn = format!("arn:aws:sts::{ACCOUNT}:assumed-role/worker/i-0123");
        let mut session = aws::Caller::new("ASIAWORKER", &arn, "AROAWORKER:i-0123");
        session.session_token = "the session's token".to_owned();
        twin.knows(&session);
        twin.has(&format!("arn:aws:iam::{ACCOUNT}:role/team/worker"), "AROAWORKER");
        let server = http::Server::start(move |asked| twin.answer(asked));
        Self { server, user: ann, other: eve, session, own }
    }

    fn told(&self) -> Json {
        let caller = |caller: &aws::Caller| {
            json!({
                "access_key": caller.access_key, "secret_key": caller.secret_key(),
                "session_token": caller.session_token, "arn": caller.arn, "id": caller.user_id,
                "bound": format!("arn:aws:iam::{ACCOUNT}:role/team/*"),
            })
        };
        json!({
            "url": self.server.url(), "user": caller(&self.user), "other": caller(&self.other),
            "session": caller(&self.session), "own": caller(&self.own),
        })
    }
}

/// Google with an account and an instance; what a client has to know of it.
fn google() -> (http::Server, Json) {
    let twin = google::Google::new(clock());
    let app = twin.has(google::Account::new("app", "shop", "111"));
    let instance = json!({
        "project_id": "shop", "project_number": 42, "zone": "europe-west1-b",
        "instance_id": "9876543210", "instance_name": "web",
        "instance_creation_timestamp": 1_700_000_000,
    });
    let found = json!({
        "id": "9876543210", "name": "web", "selfLink": "https://x/web", "labels": { "a": "b" },
    });
    twin.compute("projects/shop/zones/europe-west1-b/instances/web", found);
    let of_instance = twin.own.sign(&twin.instance_claims(&app, "vm", &instance));
    let serving = twin.clone();
    let server = http::Server::start(move |asked| serving.answer(asked));
    let told = json!({
        "url": server.url(), "account": app.email, "server": twin.server.email,
        "credentials": twin.credentials(&format!("{}/token", server.url())),
        "token": twin.account_token(&app, "app", 600), "instance": of_instance,
    });
    (server, told)
}

/// Azure with a machine; what a client has to know of it.
fn azure() -> (http::Server, Json) {
    let twin = azure::Azure::new(clock(), "");
    let subscription = "cccccccc-0000-0000-0000-000000000001";
    let object_id = "bbbbbbbb-0000-0000-0000-000000000001";
    let machine = format!(
        "/subscriptions/{subscription}/resourceGroups/rg/providers/Microsoft.Compute\
         /virtualMachines/vm"
    );
    let found = json!({ "location": "eastus", "identity": { "principalId": object_id } });
    twin.has(&machine, found);
    let serving = twin.clone();
    let server = http::Server::start(move |asked| serving.answer(asked));
    twin.is_at(&server.url());
    let token = |more: Json| {
        let mut claims = twin.claims(object_id, &more);
        claims["xms_mirid"] = json!(machine);
        twin.signer.sign(&claims)
    };
    let past = clock().now().seconds() - 7_200;
    let told = json!({
        "url": server.url(), "tenant": azure::TENANT, "resource": azure::RESOURCE,
        "client_id": azure::CLIENT_ID, "client_secret": azure::CLIENT_SECRET,
        "subscription": subscription, "object_id": object_id, "token": token(json!({})),
        "expired": token(json!({ "iat": past, "nbf": past, "exp": past + 3_600 })),
    });
    (server, told)
}

#[test]
fn hvac_and_botocore_log_in() {
    let amazon = Amazon::start();
    let (_google, gcp) = google();
    let (_azure, azure) = azure();
    let given = json!({ "aws": amazon.told(), "gcp": gcp, "azure": azure }).to_string();
    script_with("clouds.py", &[("CLOUDS", &given)]);
}

#[test]
fn our_own_command_line_logs_in() {
    let amazon = Amazon::start();
    let (_google, gcp) = google();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(folder.path());
    let keys = server.init();
    let must = |path: &str, body: Json| server.must("POST", path, &keys.root, &body);
    for kind in ["aws", "gcp"] {
        must(&format!("sys/auth/{kind}"), json!({ "type": kind }));
    }
    let url = amazon.server.url();
    let config = json!({ "sts_endpoint": url, "iam_server_id_header_value": "vault.example.com" });
    must("auth/aws/config/client", config);
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/worker");
    let role = json!({ "bound_iam_principal_arn": arn, "resolve_aws_unique_ids": false });
    must("auth/aws/role/worker", role);
    let session = &amazon.session;
    let run = |words: &[&str], secret: &str| {
        let output = command(folder.path())
            .args(words)
            .env("VAULT_ADDR", format!("http://{}", server.address()))
            .env("AWS_ACCESS_KEY_ID", &session.access_key)
            .env("AWS_SECRET_ACCESS_KEY", secret)
            .env("AWS_SESSION_TOKEN", &session.session_token)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let secret = session.secret_key();
    let id = "header_value=vault.example.com";
    for words in [
        &["login", "-method=aws", "-token-only", "role=worker", id][..],
        // The role is the IAM role's name unless another one is named.
        &["login", "-method=aws", "-token-only", id],
        &["login", "-method=aws", "-token-only", "region=us-east-1", id],
    ] {
        let (good, out, err) = run(words, &secret);
        assert!(good && out.starts_with("hvs."), "{words:?}: {out}{err}");
    }
    for (words, secret, text) in [
        (&["role=worker", id][..], "made up", "received error code 403"),
        (&["role=worker"], secret.as_str(), "missing header"),
        (&["role=none", id], &secret, "entry for role not found"),
        (&["aws_access_key_id=x", id], &secret, "go together"),
    ] {
        let words = [&["login", "-method=aws"], words].concat();
        let (good, out, err) = run(&words, secret);
        assert!(!good && err.contains(text), "{words:?}: {out}{err}");
        assert!(!err.contains(secret), "{err}");
    }
    must(
        "auth/gcp/config",
        json!({ "credentials": gcp["credentials"], "custom_endpoint": {
            "api": gcp["url"], "iam": gcp["url"],
        }}),
    );
    let account = json!({ "type": "iam", "bound_service_accounts": gcp["account"] });
    must("auth/gcp/role/app", account);
    let file = folder.path().join("jwt");
    std::fs::write(&file, gcp["token"].as_str().unwrap()).unwrap();
    let jwt = format!("jwt=@{}", file.display());
    let (good, out, err) = run(&["login", "-method=gcp", "-token-only", "role=app", &jwt], "x");
    assert!(good && out.starts_with("hvs."), "{out}{err}");
}

/// A cloud that can't be reached is said, and holds nobody up.
#[test]
fn a_cloud_that_is_down_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(folder.path());
    let keys = server.init();
    let must = |path: &str, body: Json| server.must("POST", path, &keys.root, &body);
    must("sys/auth/aws", json!({ "type": "aws" }));
    let gone = http::Server::start(|_| unreachable!("it is gone")).url();
    must("auth/aws/config/client", json!({ "sts_endpoint": gone }));
    must("auth/aws/role/r", json!({ "bound_account_id": ACCOUNT }));
    let caller = Amazon::start().user;
    let now = clock().now();
    let signed = strongroom_cloudwire::caller_identity::signed(&caller.credentials(), "", "", now);
    let headers: serde_json::Map<String, Json> =
        signed.headers.into_iter().map(|(name, value)| (name, json!(value))).collect();
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let body = json!({
        "role": "r", "iam_http_request_method": "POST", "iam_request_url": encode(&signed.url),
        "iam_request_body": encode(strongroom_cloudwire::caller_identity::BODY),
        "iam_request_headers": headers,
    });
    let answer = server.ask("POST", "auth/aws/login", "", &body);
    let text = answer.body.to_string();
    assert_eq!(answer.status, 502, "{text}");
    assert!(text.contains("error making upstream request") && !text.contains("AKIA"), "{text}");
}
