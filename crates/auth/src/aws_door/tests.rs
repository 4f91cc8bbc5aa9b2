//! Roles and key pairs through the whole pipeline; session tokens. Signatures are tested with the door.

use serde_json::{Value, json};
use strongroom_base::{SecretString, Timestamp};
use strongroom_testkit::{Got, SimRng, TestNode};

use super::sessions::{NewSession, Session};
use super::stored::SessionKey;

const AT: &str = "auth/aws-door/role";

async fn node() -> TestNode {
    let node = TestNode::start([super::spec()]).await;
    node.mount("aws-door", "auth/aws-door/").await;
    node
}

async fn write(node: &TestNode, path: &str, body: Value) -> Got {
    node.root("WRITE", &format!("{AT}/{path}"), body).await
}

async fn read(node: &TestNode, path: &str) -> Got {
    node.root("READ", &format!("{AT}/{path}"), Value::Null).await
}

fn text(got: &Got) -> String {
    got.body.to_string()
}

/// A key pair made for a role.
async fn key(node: &TestNode, role: &str, body: Value) -> (String, String) {
    let got = write(node, &format!("{role}/key"), body).await;
    assert_eq!(got.status, 200, "{got:?}");
    let field = |name: &str| got.data()[name].as_str().unwrap().to_owned();
    (field("access_key"), field("secret_key"))
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let node = node().await;
    for (body, why) in [
        (json!({"token_policies": "Root"}), "root"),
        (json!({"token_bound_cidrs": "hunter2"}), "token_bound_cidrs"),
        (json!({"policy_document": "hunter2"}), "malformed policy document"),
        (
            json!({"policy_document": r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*",
                "Principal":"*"}}"#}),
            "principals",
        ),
        (json!({"trusted_roles": ["a/b"]}), "trusted_roles"),
        (json!({"web_identity_mount": "jwt"}), "go together"),
        (json!({"web_identity_mount": "../x", "web_identity_role": "x"}), "no path"),
        (json!({"max_session_ttl": "5m"}), "max_session_ttl"),
        (json!({"max_session_ttl": "13h"}), "max_session_ttl"),
    ] {
        let got = write(&node, "ci", body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {got:?}");
        assert!(text(&got).contains(why) && !text(&got).contains("hunter2"), "{body}: {got:?}");
    }
    assert_eq!(read(&node, "ci").await.status, 404);
    assert_eq!(write(&node, "ci", json!({})).await.status, 204);
    for (body, why) in [
        (json!({"access_key": "AKIAIOSFODNN7EXAMPLE"}), "go together"),
        (json!({"access_key": "short", "secret_key": "hunter2hunter2hunter2"}), "access_key"),
        (
            json!({"access_key": "ASIAIOSFODNN7EXAMPLE", "secret_key": "hunter2hunter2hunter2"}),
            "temporary",
        ),
        (json!({"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "hunter2"}), "secret_key"),
        (json!({"ttl": -1}), "ttl"),
    ] {
        let got = write(&node, "ci/key", body.clone()).await;
        assert_eq!(got.status, 400, "{body}: {got:?}");
        assert!(text(&got).contains(why) && !text(&got).contains("hunter2"), "{body}: {got:?}");
    }
    assert_eq!(write(&node, "other/key", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_role_reads_as_it_was_written() {
    let node = node().await;
    let document = r#"{"Statement":{"Effect":"Allow","Action":"kms:*","Resource":"*"}}"#;
    let body = json!({
        "policies": "Dev", "token_bound_cidrs": ["10.0.0.0/8"], "policy_document": document,
        "trusted_roles": ["Other"], "web_identity_mount": "jwt", "web_identity_role": "CI",
        "max_session_ttl": "2h",
    });
    assert_eq!(write(&node, "CI", body).await.status, 204);
    let got = read(&node, "ci").await;
    let mut data = got.data().clone();
    data.as_object_mut().unwrap().remove("created");
    assert_eq!(
        data,
        json!({
            "token_policies": ["dev"], "token_bound_cidrs": ["10.0.0.0/8"],
            "token_no_default_policy": false, "policy_document": document,
            "trusted_roles": ["other"], "web_identity_mount": "auth/jwt/",
            "web_identity_role": "ci", "max_session_ttl": 7200, "disabled": false,
        })
    );
    let list = node.root("LIST", AT, Value::Null).await;
    assert_eq!(list.data()["keys"], json!(["ci"]));
    write(&node, "ci", json!({"policy_document": "", "disabled": true})).await;
    let got = read(&node, "ci").await;
    assert_eq!(
        (&got.data()["policy_document"], &got.data()["disabled"]),
        (&Value::Null, &json!(true))
    );
}

#[tokio::test]
async fn key_pairs_of_one_role_are_out_of_reach_of_another() {
    // threat CVE-2023-24999
    let node = node().await;
    for role in ["a", "b"] {
        write(&node, role, json!({})).await;
    }
    let (access_key, secret_key) = key(&node, "a", json!({"description": "of a"})).await;
    assert!(access_key.starts_with("AKIA") && access_key.len() == 20, "{access_key}");
    assert_eq!(secret_key.len(), 40);
    for (method, path) in [
        ("READ", format!("b/key/{access_key}")),
        ("WRITE", format!("b/key/{access_key}")),
        ("WRITE", format!("b/key/{access_key}/rotate")),
        ("DELETE", format!("b/key/{access_key}")),
    ] {
        let got = node.root(method, &format!("{AT}/{path}"), json!({"disabled": true})).await;
        assert_eq!(got.status, 404, "{method} {path}: {got:?}");
    }
    let got = read(&node, &format!("a/key/{access_key}")).await;
    assert_eq!(got.data()["status"], "active");
    assert!(!text(&got).contains(&secret_key), "described without the secret");
    assert_eq!(node.root("LIST", &format!("{AT}/b/key"), Value::Null).await.status, 404);
    // A key of one's own, once.
    let own = json!({"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG"});
    let (id, _) = key(&node, "a", own.clone()).await;
    assert_eq!(id, "AKIAIOSFODNN7EXAMPLE");
    let got = write(&node, "b/key", own).await;
    assert!(got.status == 400 && text(&got).contains("taken"), "{got:?}");
}

#[tokio::test]
async fn keys_are_switched_rotated_and_gone_with_their_role() {
    let node = node().await;
    write(&node, "a", json!({})).await;
    let (first, _) = key(&node, "a", json!({"description": "web", "ttl": "1h"})).await;
    let path = format!("a/key/{first}");
    let status = async || read(&node, &path).await.data()["status"].as_str().unwrap().to_owned();
    write(&node, &path, json!({"disabled": true})).await;
    assert_eq!(status().await, "disabled");
    write(&node, &path, json!({"disabled": false})).await;
    assert_eq!(status().await, "active");
    let got = write(&node, &format!("{path}/rotate"), json!({"grace": "10m"})).await;
    let second = got.data()["access_key"].as_str().unwrap().to_owned();
    assert_eq!(status().await, "active");
    node.clock.advance(601);
    assert_eq!(status().await, "expired");
    let got = read(&node, &format!("a/key/{second}")).await;
    assert_eq!(
        (&got.data()["status"], &got.data()["description"]),
        (&json!("active"), &json!("web"))
    );
    assert_eq!(got.data()["expires"], Value::Null);
    let got = write(&node, &format!("a/key/{second}/rotate"), json!({})).await;
    let third = got.data()["access_key"].as_str().unwrap().to_owned();
    assert_eq!(read(&node, &format!("a/key/{second}")).await.data()["status"], "disabled");
    let got = node.root("DELETE", &format!("{AT}/a/key/{first}"), Value::Null).await;
    assert_eq!(got.status, 204);
    node.root("DELETE", &format!("{AT}/a"), Value::Null).await;
    write(&node, "a", json!({})).await;
    assert_eq!(read(&node, &format!("a/key/{third}")).await.status, 404);
    assert_eq!(node.root("LIST", &format!("{AT}/a/key"), Value::Null).await.status, 404);
}

#[test]
fn session_tokens_open_only_whole_and_here() {
    let rng = SimRng::new(7);
    let (key, other) = (SessionKey([1; 32]), SessionKey([2; 32]));
    let new = NewSession {
        role: "ci".to_owned(),
        role_id: 5,
        name: Some("run".to_owned()),
        parent: None,
        issued: Timestamp::from_seconds(1_000),
        seconds: 900,
        document: String::new(),
        origin: None,
        source_identity: None,
        entity: String::new(),
    };
    let session = Session::new(new, &*rng);
    assert!(session.access_key.starts_with("ASIA"));
    assert_eq!(session.expires, Timestamp::from_seconds(1_900));
    let token = session.seal(&key, &*rng).unwrap();
    assert!(!token.expose_secret().contains("ci"));
    let opened = Session::open(&token, &key).unwrap();
    assert_eq!((opened.secret_key.as_str(), opened.role_id), (session.secret_key.as_str(), 5));
    assert!(Session::open(&token, &other).is_none());
    let text = token.expose_secret().clone();
    for cut in [0, 1, 4, 40, text.len() - 4] {
        let short = SecretString::new(text.get(..cut).unwrap().to_owned());
        assert!(Session::open(&short, &key).is_none(), "{cut}");
    }
    for at in (0..text.len() - 2).step_by(7) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = SecretString::new(String::from_utf8(bytes).unwrap());
        assert!(Session::open(&changed, &key).is_none(), "{at}");
    }
}
