//! The AWS door of the built server: STS with boto3 and AWS's own command line, key pairs by ours, and
//! requests that others changed on their way.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::json;
use strongroom_base::Clock;
use strongroom_server::real::RealClock;
use strongroom_testkit::clouds::Signer;

use crate::hvac::script_on;
use crate::product::{self, Server, command};

pub const ACCOUNT: &str = "123456789012";

/// A server with the door at an address of its own, the second one, for two regions.
pub fn with_door(folder: &Path) -> Server {
    let mut settings = product::settings(folder);
    settings["door"] = json!({ "aws": {
        "address": "127.0.0.1:0", "tls_disable": true, "account": ACCOUNT,
        "region": {
            "us-east-1": {},
            "eu-west-1": { "mount": "eu", "transit": "eu-transit" },
        },
    }});
    // Two listeners may not have one address; port 0 stands for two.
    settings["listener"]["tcp"]["address"] = json!("localhost:0");
    Server::start(folder, &settings)
}

#[test]
fn boto3_asks_sts() {
    let folder = tempfile::tempdir().unwrap();
    let server = with_door(folder.path());
    let signer = Signer::new("ci-key");
    let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
    let now = clock.now().seconds();
    let token = |subject: &str, from: i64| {
        signer.sign(&json!({
            "iss": "https://ci.example", "sub": subject, "aud": "sts.amazonaws.com",
            "iat": from, "nbf": from, "exp": from + 600,
        }))
    };
    let given = json!({
        "url": format!("http://{}", server.addresses[1]),
        "account": ACCOUNT,
        "public_key": signer.key.public().unwrap().to_pem(),
        "token": token("repo:shop", now), "fork": token("repo:fork", now),
        "expired": token("repo:shop", now - 3_600),
    });
    script_on(&server, folder.path(), "../aws/sts.py", &[("AWS_DOOR", &given.to_string())]);
}

/// AWS's command line, if the tests' Python has it.
fn aws(home: &Path, url: &str, key: (&str, &str), words: &[&str]) -> (bool, String) {
    let python = std::env::var_os("STRONGROOM_TEST_PYTHON").expect("run by `cargo xtask test`");
    let program = Path::new(&python).with_file_name("aws");
    let output = Command::new(python)
        .arg(program)
        .args(words)
        .env("HOME", home)
        .env("NO_PROXY", "127.0.0.1")
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", key.0)
        .env("AWS_SECRET_ACCESS_KEY", key.1)
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout) + &text(output.stderr))
}

#[test]
fn key_pairs_by_our_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    // Without an address of its own the door stands beside Vault's.
    let mut settings = product::settings(home);
    settings["door"] = json!({ "aws": {} });
    let server = Server::start(home, &settings);
    let keys = server.init();
    let url = format!("http://{}", server.address());
    let run = |words: &[&str]| {
        let mut run = command(home);
        run.args(words).env("VAULT_ADDR", &url).env("VAULT_TOKEN", &keys.root);
        let output = run.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout) + &text(output.stderr))
    };
    let must = |words: &[&str]| {
        let (good, text) = run(words);
        assert!(good, "{words:?}: {text}");
        text
    };
    assert!(!run(&["aws-key", "create", "ci"]).0, "no auth method yet");
    must(&["auth", "enable", "aws-door"]);
    must(&["write", "auth/aws-door/role/ci", "token_policies=app"]);
    let made = must(&["aws-key", "create", "-format=json", "-description=the builder", "ci"]);
    let (made, _) = made.split_once("\n}").unwrap();
    let made: serde_json::Value = serde_json::from_str(&format!("{made}\n}}")).unwrap();
    let field = |name: &str| made["data"][name].as_str().unwrap().to_owned();
    let (id, secret) = (field("access_key"), field("secret_key"));
    let who = |secret: &str| aws(home, &url, (&id, secret), &["sts", "get-caller-identity"]);
    let (good, text) = who(&secret);
    assert!(good && text.contains("arn:aws:iam::000000000000:user/ci"), "{text}");
    let (good, text) = who("hunter2");
    assert!(!good && text.contains("SignatureDoesNotMatch"), "{text}");
    let described = must(&["aws-key", "read", "ci", &id]);
    assert!(described.contains("the builder") && !described.contains(&secret), "{described}");
    assert!(must(&["aws-key", "list", "ci"]).contains(&id));
    must(&["aws-key", "disable", "ci", &id]);
    let (good, text) = who(&secret);
    assert!(!good && text.contains("InvalidClientTokenId"), "{text}");
    must(&["aws-key", "enable", "ci", &id]);
    assert!(who(&secret).0);
    let rotated = must(&["aws-key", "rotate", "-grace=1h", "-field=access_key", "ci", &id]);
    assert!(rotated.starts_with("AKIA") && who(&secret).0, "{rotated}");
    must(&["aws-key", "delete", "ci", &id]);
    assert!(!who(&secret).0);
    // A pair that exists; the secret is no argument.
    let file = home.join("secret-key");
    std::fs::write(&file, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n").unwrap();
    let own = "-access-key=AKIAIOSFODNN7EXAMPLE";
    let (good, text) = run(&["aws-key", "create", own, "-secret-key=hunter2", "ci"]);
    assert!(!good && text.contains("@FILE") && !text.contains("hunter2"), "{text}");
    must(&["aws-key", "create", own, &format!("-secret-key=@{}", file.display()), "ci"]);
    let pair = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let (good, text) = aws(home, &url, pair, &["sts", "get-caller-identity"]);
    assert!(good, "{text}");
    // Vault's API is where it was.
    assert_eq!(server.ask("GET", "sys/health", "", &serde_json::Value::Null).status, 200);
    drop(server);
}
