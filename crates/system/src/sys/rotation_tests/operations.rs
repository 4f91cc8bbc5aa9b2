//! The operations on rotations: who may call them, and what they show.

use super::*;

#[tokio::test]
async fn subjects_are_listed_by_prefix() {
    let (node, _world) = start().await;
    node.mount("accounts", "deep/er/").await;
    for name in ["b", "a"] {
        role(&node, name, json!({})).await;
    }
    let got = node.root("WRITE", "deep/er/roles/x", json!({})).await;
    assert_eq!(got.status, 204);
    for (prefix, keys) in [
        ("", json!(["db/", "deep/"])),
        ("/deep", json!(["er/"])),
        ("/db", json!(["roles/"])),
        ("/db/roles", json!(["a", "b"])),
        ("/db/roles/", json!(["a", "b"])),
        ("/deep/er/roles", json!(["x"])),
        ("/db/role", Value::Null),
        ("/d", Value::Null),
        ("/db/roles/a", Value::Null),
    ] {
        let got = node.root("LIST", &format!("sys/rotation/subjects{prefix}"), Value::Null).await;
        assert_eq!(got.data()["keys"], keys, "{prefix}");
    }
    let path = "sys/rotation/subjects/db/roles?limit=1&after=a";
    let got = node.root("LIST", path, Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["b"]));
    let info = &got.data()["key_info"]["b"];
    assert_eq!((&info["state"], &info["version"]), (&json!("idle"), &json!(1)));
}

#[tokio::test]
async fn a_subject_shows_what_it_is() {
    let (node, _world) = start().await;
    role(&node, "app", json!({ "schedule": "0 6 * * *", "window": 7_200, "drain": 60 })).await;
    let shown = shown(&node, "app").await;
    for (name, value) in [
        ("path", json!("db/roles/app")),
        ("state", json!("idle")),
        ("version", json!(1)),
        ("last_rotation", json!("2026-01-01T00:00:00Z")),
        ("next_rotation", json!("2026-01-01T06:00:00Z")),
        ("rotation_period", json!(null)),
        ("rotation_schedule", json!("0 6 * * *")),
        ("rotation_window", json!(7_200)),
        ("two_accounts", json!(true)),
        ("drain_seconds", json!(60)),
        ("attempts", json!(0)),
        ("last_error", json!("")),
        ("rotation", json!(null)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    for path in ["db/roles/none", "db/app", "db", "none/app", "db/roles/app/x"] {
        for (verb, what) in [
            ("READ", "subjects"),
            ("WRITE", "start"),
            ("WRITE", "force"),
            ("WRITE", "abort"),
            ("WRITE", "ack"),
        ] {
            let got = node.root(verb, &format!("sys/rotation/{what}/{path}"), json!({})).await;
            assert_eq!(got.status, 404, "{what} {path}: {got:?}");
        }
    }
}

#[tokio::test]
async fn start_answers_once_the_next_one_is_published() {
    let (node, world) = start().await;
    role(&node, "app", json!({})).await;
    assert_eq!(post(&node, "start", "app").await.status, 204);
    assert_eq!(status(&node, "app").await.expect("there").version, 2);
    world.fault("set", Some(Fault::Fails));
    settle(&node).await;
    let got = post(&node, "start", "app").await;
    assert_eq!((got.status, got.errors().as_str()), (502, "set failed outside"));
    let shown = shown(&node, "app").await;
    assert_eq!(shown["last_error"], "set failed outside");
    assert_eq!(shown["rotation"]["state"], "set");
    assert!(shown["next_attempt"].is_string());
    // Asked again it tries again, at once.
    world.fault("set", None);
    assert_eq!(post(&node, "start", "app").await.status, 204);
    assert_eq!(status(&node, "app").await.expect("there").version, 3);
}

/// Policies are by path; `force`, lists and acknowledging for others need sudo.
#[tokio::test]
async fn who_may_do_what() {
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    role(&node, "other", json!({})).await;
    let rule = |path: &str, caps: &str| format!("path \"{path}\" {{ capabilities = [{caps}] }}\n");
    let db = "sys/rotation/+/db/roles/app";
    node.policy("app", &rule(db, r#""read", "update""#)).await;
    node.policy("sudo", &rule("sys/rotation/*", r#""read", "update", "list", "sudo""#)).await;
    let app = crate::testing::token(&node, json!({ "policies": ["app", "read"] })).await;
    let sudo = crate::testing::token(&node, json!({ "policies": ["sudo"] })).await;
    let holder = consumer(&node, "holder").await;
    creds(&node, "app", &holder).await;
    let got = node.root("WRITE", "auth/token/lookup", json!({ "token": holder })).await;
    let accessor = got.data()["accessor"].clone();
    let own = node.root("WRITE", "auth/token/lookup", json!({ "token": app })).await;
    let own = own.data()["accessor"].clone();
    for (verb, path, body, of_app, of_sudo) in [
        ("LIST", "subjects", json!(null), 403, 200),
        ("LIST", "subjects/db/roles", json!(null), 403, 200),
        ("READ", "subjects/db/roles/app", json!(null), 200, 200),
        ("READ", "subjects/db/roles/other", json!(null), 403, 200),
        ("WRITE", "start/db/roles/other", json!({}), 403, 204),
        ("WRITE", "start/db/roles/app", json!({}), 204, 400),
        ("WRITE", "abort/db/roles/app", json!({}), 400, 400),
        ("WRITE", "ack/db/roles/app", json!({}), 200, 200),
        ("WRITE", "ack/db/roles/app", json!({ "accessor": own }), 200, 200),
        ("WRITE", "ack/db/roles/app", json!({ "accessor": "nonsense" }), 403, 400),
        ("WRITE", "ack/db/roles/app", json!({ "consumer": "00" }), 403, 404),
        ("WRITE", "ack/db/roles/app", json!({ "consumer": "zz" }), 403, 404),
        ("WRITE", "ack/db/roles/app", json!({ "consumer": "a", "accessor": "b" }), 400, 400),
        ("WRITE", "ack/db/roles/app", json!({ "accessor": accessor }), 403, 200),
        ("WRITE", "force/db/roles/app", json!({}), 403, 400),
    ] {
        for (token, expected) in [(&app, of_app), (&sudo, of_sudo)] {
            let got = node.call(verb, &format!("sys/rotation/{path}"), token, body.clone()).await;
            assert_eq!(got.status, expected, "{verb} {path} {body}: {got:?}");
            assert!(!got.errors().contains("zz"), "{got:?}");
        }
        node.services().rotations.idle().await;
    }
}

#[tokio::test]
async fn rotations_of_another_namespace_are_not_there() {
    let (node, _world) = start().await;
    role(&node, "app", json!({})).await;
    assert!(node.root("WRITE", "sys/namespaces/below", json!({})).await.status < 300);
    for (namespace, status) in [("", 200), ("below", 404)] {
        let path = "sys/rotation/subjects/db/roles/app";
        let got = node.call_in(namespace, "READ", path, &node.root, Value::Null).await;
        assert_eq!(got.status, status, "{namespace}");
    }
}

/// Threats CVE-2026-45808 and CVE-2026-40264: an accessor or a consumer's number of elsewhere does nothing,
/// and does not tell whether there is such a one.
#[tokio::test]
async fn what_holds_nothing_here_is_not_acknowledged_and_not_told() {
    let (node, world) = start().await;
    for name in ["app", "other"] {
        role(&node, name, json!({ "drain": 3_600 })).await;
    }
    let (here, elsewhere) = (consumer(&node, "here").await, consumer(&node, "elsewhere").await);
    let first = creds(&node, "app", &here).await;
    creds(&node, "other", &elsewhere).await;
    assert!(node.root("WRITE", "sys/namespaces/below", json!({})).await.status < 300);
    let made = node.call_in("below", "WRITE", "auth/token/create", &node.root, json!({})).await;
    let below = made.body["auth"]["accessor"].clone();
    let gone = consumer(&node, "gone").await;
    let accessor = async |token: &str| {
        let got = node.root("WRITE", "auth/token/lookup", json!({ "token": token })).await;
        got.data()["accessor"].clone()
    };
    let (of_gone, of_elsewhere) = (accessor(&gone).await, accessor(&elsewhere).await);
    assert_eq!(node.root("WRITE", "auth/token/revoke", json!({ "token": gone })).await.status, 204);
    drain(&node, "app").await;
    drain(&node, "other").await;
    let ack = async |body: Value| node.root("WRITE", "sys/rotation/ack/db/roles/app", body).await;
    let mut answers = Vec::new();
    for accessor in [below, of_gone, of_elsewhere] {
        let got = ack(json!({ "accessor": accessor })).await;
        let mut body = got.body.clone();
        body.as_object_mut().expect("an object").remove("request_id");
        answers.push((got.status, body));
    }
    assert_eq!(answers[0].1["data"]["acknowledged"], 0, "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let number = shown(&node, "other").await["rotation"]["consumers"]["holding"][0].clone();
    assert_eq!(ack(json!({ "consumer": number["consumer"] })).await.status, 404);
    settle(&node).await;
    assert_eq!((state(&node, "app").await, state(&node, "other").await), ("draining", "draining"));
    assert!(world.logs_in(&first));
}

#[tokio::test]
async fn metrics_count_what_is_under_way() {
    let (node, world) = start().await;
    for name in ["one", "two", "three"] {
        role(&node, name, json!({ "drain": 600 })).await;
        let token = consumer(&node, name).await;
        creds(&node, name, &token).await;
    }
    drain(&node, "one").await;
    drain(&node, "two").await;
    world.fault("set", Some(Fault::Fails));
    assert_eq!(rotate(&node, "three").await.status, 502);
    let seen = async || {
        let got = node.root("READ", "sys/metrics?format=prometheus", Value::Null).await;
        let text = got.body.as_str().expect("text").to_owned();
        ["running", "draining", "failing", "overdue", "published", "failed_attempts"].map(|name| {
            let name = format!("strongroom_rotations_{name} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|number| number.parse::<u64>().ok())
        })
    };
    assert_eq!(seen().await, [3, 2, 1, 0, 5, 1].map(Some));
    world.fault("revoke", Some(Fault::Fails));
    node.clock.advance(600);
    settle(&node).await;
    assert_eq!(seen().await, [3, 0, 3, 2, 5, 4].map(Some));
}

/// Threats CVE-2025-62513 and CVE-2025-4166: no credential is in an audit line, an answer or an
/// error.
#[tokio::test]
async fn credentials_are_shown_to_whom_reads_them_alone() {
    let (node, world) = start().await;
    role(&node, "app", json!({})).await;
    let token = consumer(&node, "reader").await;
    creds(&node, "app", &token).await;
    for (step, fault) in [("set", Fault::Fails), ("test", Fault::Fails), ("test", Fault::SaysNo)] {
        world.fault(step, Some(fault));
        let got = rotate(&node, "app").await;
        assert_eq!(got.status, 502, "{got:?}");
        assert!(!got.body.to_string().contains("canary-"), "{got:?}");
        world.fault(step, None);
    }
    assert_eq!(rotate(&node, "app").await.status, 204);
    settle(&node).await;
    assert!(!shown(&node, "app").await.to_string().contains("canary-"));
    let lines = String::from_utf8(node.audit.contents()).expect("text");
    assert!(!lines.contains("canary-"));
}
