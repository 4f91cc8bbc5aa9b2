//! Logins with second factors: in one request, in two, at the same time, with guesses.

use super::*;

#[tokio::test]
async fn no_token_before_the_second_factor() {
    let room = Room::new().await;
    let tokens = crate::testing::records(&room.node).await;
    let got = room.log_in(&[]).await;
    let auth = &got.body["auth"];
    let id = auth["mfa_requirement"]["mfa_request_id"].as_str().unwrap().to_owned();
    let expect = json!({
        "client_token": "", "accessor": "", "policies": null, "token_policies": null,
        "metadata": null, "lease_duration": 0, "renewable": false, "entity_id": "",
        "token_type": "default", "orphan": false, "num_uses": 0,
        "mfa_requirement": {
            "mfa_request_id": id,
            "mfa_constraints": { "foo": { "any": [{
                "type": "totp", "id": room.method, "uses_passcode": true, "name": "phone",
            }] } },
        },
    });
    assert_eq!((got.status, auth), (200, &expect));
    let warning = got.body["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("A login request was issued that is subject to MFA validation."));
    assert_eq!(crate::testing::records(&room.node).await, tokens, "nothing is stored of it");
    // The code by its method's id, and by its name, as a list of texts in two forms.
    let got = room.validate_code(&id, &room.code(0)).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(auth["mfa_requirement"], Value::Null);
    assert_eq!(auth["policies"], json!(["default", "p"]));
    assert_eq!(auth["entity_id"], room.entity.as_str());
    assert_eq!(auth["metadata"], json!({ "username": "bob" }));
    let lookup = room.node.call("READ", "auth/token/lookup-self", &got.token(), Value::Null).await;
    assert_eq!(lookup.data()["path"], LOGIN);
    assert_eq!(lookup.data()["display_name"], "userpass-bob");
    // It is over.
    let again = room.validate_code(&id, &room.code(1)).await;
    assert_eq!((again.status, again.errors().as_str()), (400, "invalid request ID"));
    let id = room.begin().await;
    let payload = json!({ "phone": [format!("passcode={}", room.code(1))] });
    assert_eq!(room.validate(&id, payload).await.status, 200);
}

#[tokio::test]
async fn in_one_request() {
    let room = Room::new().await;
    for (header, steps) in [
        (format!("{}:{}", room.method, room.code(0)), 0),
        (format!("phone:passcode={}", room.code(1)), 1),
    ] {
        let got = room.log_in(&[&header]).await;
        assert_eq!(got.status, 200, "{steps}: {got:?}");
        assert!(room.is_good(&got.token()).await);
    }
    room.node.clock.advance(90);
    for header in [
        format!("{}:{}", room.method, room.wrong()),
        format!("other:{}", room.code(0)),
        "phone".to_owned(),
    ] {
        let got = room.log_in(&[&header]).await;
        assert_eq!((got.status, got.errors().as_str()), (403, "permission denied"), "{header}");
        assert!(got.token().is_empty());
        // Why stands in the audit log alone, and whoever may read there can ask.
        let id = got.explain.expect("it can be explained");
        let why = room.node.root("READ", &format!("sys/explain/{id}"), Value::Null).await;
        let reason = why.data()["reason"].as_str().unwrap();
        assert!(reason.contains("does not satisfy the enforcement \"foo\""), "{reason}");
    }
    for header in [":1", "phone:"] {
        assert_eq!(room.log_in(&[header]).await.status, 400, "{header}");
    }
    // Nobody needs one of these.
    ok(&room.node, "DELETE", "identity/mfa/login-enforcement/foo", Value::Null).await;
    let got = room.log_in(&[&format!("phone:{}", room.code(0))]).await;
    assert_eq!(got.status, 200);
    let warning = "Found MFA header but failed to find MFA Enforcement Config";
    assert_eq!(got.body["warnings"], json!([warning]));
}

/// A request that brings its login along brings its second factors, too: it leaves no login that waits
/// and no token.
#[tokio::test]
async fn in_the_request_that_brings_the_login_along() {
    let room = Room::new().await;
    room.node.policy("p", r#"path "sys/policies/acl/p" { capabilities = ["read"] }"#).await;
    let read = |headers: Vec<String>| {
        let room = &room;
        async move {
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            room.read_inline("sys/policies/acl/p", &headers).await
        }
    };
    let waiting = || room.node.services().mfa.pending.count(room.node.clock.now());
    let tokens =
        async || ok(&room.node, "LIST", "auth/token/accessors", Value::Null).await["keys"].clone();
    let before = tokens().await;
    let got = read(Vec::new()).await;
    assert_eq!(got.status, 400, "{got:?}");
    assert!(got.errors().contains("use the X-Vault-MFA header"), "{got:?}");
    let good = format!("{}:{}", room.method, room.code(0));
    let got = read(vec![good.clone()]).await;
    assert_eq!(got.status, 200, "{got:?}");
    let got = read(vec![good]).await;
    assert_eq!((got.status, got.errors().as_str()), (403, "permission denied"), "used twice");
    let wrong = format!("{}:{}", room.method, room.wrong());
    assert_eq!(read(vec![wrong]).await.status, 403);
    assert_eq!((waiting(), tokens().await), (0, before));
}

/// Threats CVE-2025-6014, CVE-2025-6015, CVE-2025-55003: a code is good once, in no spelling twice.
#[tokio::test]
async fn a_code_works_once() {
    let mut room = Room::new().await;
    let code = room.code(0);
    assert_eq!(room.validate_code(&room.begin().await, &code).await.status, 200);
    for again in [code.clone(), format!(" {code}"), format!("{code} "), format!("{code}\n")] {
        let got = room.validate_code(&room.begin().await, &again).await;
        assert_eq!(got.status, 403, "{again:?}");
        assert!(got.errors().contains(BAD), "{}", got.errors());
        let got = room.log_in(&[&format!("phone:{again}")]).await;
        assert_eq!(got.status, 403, "{again:?}");
    }
    // Nor after a restart, as long as it would be good.
    room.node.restart(crate::testing::with_auth()).await;
    let got = room.validate_code(&room.begin().await, &code).await;
    assert!(got.status == 403 && got.errors().contains(BAD), "{got:?}");
    room.node.clock.advance(30);
    let got = room.validate_code(&room.begin().await, &code).await;
    assert!(got.status == 403 && got.errors().contains(BAD), "{got:?}");
    // The next one is.
    assert_eq!(room.validate_code(&room.begin().await, &room.code(0)).await.status, 200);
}

/// Of many requests with one code, at the same time, one has a token; and one login has one token,
/// whatever number of codes would be good.
#[tokio::test]
async fn at_the_same_time_it_works_once() {
    let room = Room::new().await;
    let ids = [room.begin().await, room.begin().await, room.begin().await, room.begin().await];
    let code = room.code(0);
    let [a, b, c, d] = ids.each_ref().map(|id| room.validate_code(id, &code));
    let header = format!("phone:{code}");
    let headers = [header.as_str()];
    let all = tokio::join!(a, b, c, d, room.log_in(&headers));
    let all = [all.0.status, all.1.status, all.2.status, all.3.status, all.4.status];
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 1, "{all:?}");
    room.node.clock.advance(90);
    let id = room.begin().await;
    let codes = [room.code(-1), room.code(0), room.code(1)];
    let [a, b, c] = codes.each_ref().map(|code| room.validate_code(&id, code));
    let all = tokio::join!(a, b, c);
    let all = [all.0.status, all.1.status, all.2.status];
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 1, "{all:?}");
}

/// Threats CVE-2025-6015, CVE-2025-55003: guesses are limited by entity, over all logins of it and
/// both ways.
#[tokio::test]
async fn guesses_are_limited() {
    let room = Room::new().await;
    for i in 0..5 {
        let status = match i % 2 {
            0 => room.validate_code(&room.begin().await, &room.wrong()).await.status,
            _ => room.log_in(&[&format!("phone:{}", room.wrong())]).await.status,
        };
        assert_eq!(status, 403, "{i}");
    }
    let id = room.begin().await;
    let got = room.validate_code(&id, &room.code(0)).await;
    assert_eq!(got.status, 403);
    let text = "maximum TOTP validation attempts 6 exceeded the allowed attempts 5. Please try \
                again in 90 seconds";
    assert!(got.errors().contains(text), "{}", got.errors());
    let got = room.log_in(&[&format!("phone:{}", room.code(0))]).await;
    assert_eq!((got.status, got.errors().as_str()), (403, "permission denied"));
    // None of the codes of then is good any more when guessing goes on.
    room.node.clock.advance(90);
    assert_eq!(room.validate_code(&id, &room.code(0)).await.status, 200);
    // What has not the form of a code is no guess, and who passed begins anew.
    for _ in 0..10 {
        let got = room.validate_code(&room.begin().await, "12345").await;
        assert!(got.errors().contains(BAD), "{}", got.errors());
    }
    room.node.clock.advance(90);
    for _ in 0..4 {
        room.validate_code(&room.begin().await, &room.wrong()).await;
    }
    assert_eq!(room.validate_code(&room.begin().await, &room.code(0)).await.status, 200);
    for _ in 0..4 {
        room.validate_code(&room.begin().await, &room.wrong()).await;
    }
    assert_eq!(room.validate_code(&room.begin().await, &room.code(1)).await.status, 200);
}

#[tokio::test]
async fn a_login_waits_for_five_minutes_and_no_restart() {
    let mut room = Room::new().await;
    let id = room.begin().await;
    room.node.clock.advance(299);
    let got = room.validate_code(&id, &room.wrong()).await;
    assert_eq!(got.status, 403, "a wrong code does not end it");
    room.node.clock.advance(1);
    let got = room.validate_code(&id, &room.code(0)).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "invalid request ID"));
    let id = room.begin().await;
    room.node.restart(crate::testing::with_auth()).await;
    let got = room.validate_code(&id, &room.code(0)).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "invalid request ID"));
    for (body, text) in [
        (json!({}), "missing request ID"),
        (json!({ "mfa_request_id": "x" }), "missing mfa payload"),
        (json!({ "mfa_request_id": "x", "mfa_payload": { "m": [1] } }), "invalid mfa payload"),
        (json!({ "mfa_request_id": "x", "mfa_payload": { "m": ["1"] } }), "invalid request ID"),
    ] {
        let got = room.node.call("WRITE", "sys/mfa/validate", "", body.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (400, text), "{body}");
    }
}

#[tokio::test]
async fn what_holds_is_asked_again() {
    let room = Room::new().await;
    let id = room.begin().await;
    let path = format!("identity/entity/id/{}", room.entity);
    ok(&room.node, "WRITE", &path, json!({ "disabled": true })).await;
    let got = room.validate_code(&id, &room.code(0)).await;
    assert_eq!((got.status, got.errors().as_str()), (403, "permission denied"));
    ok(&room.node, "WRITE", &path, json!({ "disabled": false })).await;
    // Another enforcement came in between; one code satisfies both.
    room.enforce("two", json!({ "identity_entity_ids": [room.entity] })).await;
    let other = ok(&room.node, "WRITE", "identity/mfa/method/totp", json!({ "issuer": "x" })).await;
    let body = json!({
        "mfa_method_ids": [other["method_id"]], "identity_entity_ids": [room.entity],
    });
    ok(&room.node, "WRITE", "identity/mfa/login-enforcement/three", body).await;
    let got = room.validate_code(&id, &room.code(0)).await;
    assert_eq!(got.status, 403);
    assert!(got.errors().contains("failed to satisfy enforcement three. error: "), "{got:?}");
    ok(&room.node, "DELETE", "identity/mfa/login-enforcement/three", Value::Null).await;
    assert_eq!(room.validate_code(&id, &room.code(0)).await.status, 200);
    // All that came from the path is revoked, a login that waits as well.
    let id = room.begin().await;
    ok(&room.node, "WRITE", "sys/leases/revoke-prefix/auth/userpass/login", Value::Null).await;
    let got = room.validate_code(&id, &room.code(1)).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "invalid request ID"));
    room.node.clock.advance(1);
    // The mount is disabled, and another stands in its place: it is not the login's.
    let id = room.begin().await;
    ok(&room.node, "DELETE", "sys/auth/userpass", Value::Null).await;
    room.node.mount("userpass", "auth/userpass/").await;
    let got = room.validate_code(&id, &room.code(1)).await;
    assert_eq!((got.status, got.errors().as_str()), (400, "invalid request ID"));
}

#[tokio::test]
async fn enforcements_hold_for_mounts_types_groups_and_entities() {
    let room = Room::new().await;
    let node = &room.node;
    let body = json!({ "name": "in", "member_entity_ids": [room.entity] });
    let inner = ok(node, "WRITE", "identity/group", body).await["id"].clone();
    let body = json!({ "name": "out", "member_group_ids": [inner] });
    let outer = ok(node, "WRITE", "identity/group", body).await["id"].clone();
    let body = json!({ "password_hash": HASH_OF_ABC });
    ok(node, "WRITE", "auth/userpass/users/ann", body).await;
    let ann = async || room.log_in_as("ann", &[]).await.token().is_empty();
    for (body, also_ann) in [
        (json!({ "auth_method_accessors": [room.accessor] }), true),
        (json!({ "auth_method_types": ["userpass"] }), true),
        (json!({ "identity_group_ids": [inner] }), false),
        (json!({ "identity_group_ids": [outer] }), false),
        (json!({ "identity_entity_ids": [room.entity] }), false),
    ] {
        ok(node, "DELETE", "identity/mfa/login-enforcement/foo", Value::Null).await;
        assert!(!room.log_in(&[]).await.token().is_empty(), "{body}");
        room.enforce("foo", body.clone()).await;
        room.begin().await;
        assert_eq!(ann().await, also_ann, "{body}");
    }
    // Who logs in without an entity has no second factor to show.
    ok(node, "DELETE", "identity/mfa/login-enforcement/foo", Value::Null).await;
    room.enforce("foo", json!({ "auth_method_types": ["userpass"] })).await;
    // She has a login, but no secret.
    let got = room.log_in_as("ann", &[&format!("phone:{}", room.code(0))]).await;
    assert_eq!(got.status, 403);
}

/// Threat CVE-2025-6013: a name with spaces around it is no other entity, for which less holds.
#[tokio::test]
async fn no_login_by_a_name_with_spaces_around_it() {
    use strongroom_kernel::identity::GrantAlias;
    let room = Room::new().await;
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let entry = table.of_accessor(&room.accessor).unwrap();
    for name in ["bob ", " bob", "bob\t", ""] {
        let alias = GrantAlias { name: name.to_owned(), ..GrantAlias::default() };
        let tx = services.store.begin();
        let login = services.identity.login(&tx, &entry.namespace, &entry.mount, &alias, &[]);
        assert!(login.await.is_err(), "{name:?}");
    }
}

/// The log has the login and its validation by one HMAC, and no code in plain.
#[tokio::test]
async fn what_the_audit_log_shows() {
    let room = Room::new().await;
    let id = room.begin().await;
    let (wrong, code) = (room.wrong(), room.code(0));
    let got = room.validate_code(&id, &wrong).await;
    let why = format!("sys/explain/{}", got.explain.expect("it can be explained"));
    let why = ok(&room.node, "READ", &why, Value::Null).await;
    assert!(why["reason"].as_str().unwrap().contains(BAD), "{why}");
    assert_eq!(why["path"], LOGIN);
    room.validate_code(&id, &code).await;
    let log = String::from_utf8(room.node.audit.contents()).unwrap();
    let hash = room.node.services().audit.hash(&id);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let began = lines.iter().find(|line| {
        line["response"]["auth"]["mfa_requirement"]["mfa_request_id"] == hash.as_str()
    });
    assert_eq!(began.expect("the login")["request"]["path"], LOGIN);
    let ended = lines.iter().filter(|line| line["request"]["data"]["mfa_request_id"] == hash);
    assert_eq!(ended.count(), 4, "two requests with two lines each");
    for secret in [&id, &format!("\"{code}\""), &format!("\"{wrong}\"")] {
        assert!(!log.contains(secret.as_str()), "{secret}");
    }
}
