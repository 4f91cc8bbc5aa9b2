//! Methods, secrets and enforcements, and where they hold.

use super::*;

#[tokio::test]
async fn methods_and_enforcements_of_namespaces() {
    let room = Room::new().await;
    let node = &room.node;
    ok(node, "WRITE", "sys/namespaces/team", json!({})).await;
    let call = async |method: &str, path: &str, body: Value| {
        node.call_in("team", method, path, &node.root, body).await
    };
    let got = call("WRITE", "sys/auth/userpass", json!({ "type": "userpass" })).await;
    assert_eq!(got.status, 204, "{got:?}");
    let body = json!({ "password_hash": HASH_OF_ABC });
    assert_eq!(call("WRITE", "auth/userpass/users/bob", body).await.status, 204);
    let password = json!({ "password": "abc" });
    let got = node.call_in("team", "WRITE", LOGIN, "", password.clone()).await;
    assert!(!got.token().is_empty(), "the enforcement is of another mount: {got:?}");
    let entity = got.body["auth"]["entity_id"].clone();
    // What holds in the root holds below.
    room.enforce("foo", json!({ "auth_method_types": ["userpass"] })).await;
    let begin = async || {
        let got = node.call_in("team", "WRITE", LOGIN, "", password.clone()).await;
        let needs = got.body["auth"]["mfa_requirement"].clone();
        (needs["mfa_request_id"].clone(), needs["mfa_constraints"].clone())
    };
    assert!(begin().await.1["foo"].is_object());
    // A method of the namespace itself is named by its path.
    let body = json!({ "issuer": "Team", "method_name": "phone" });
    let own = call("WRITE", "identity/mfa/method/totp", body).await.data()["method_id"].clone();
    let body = json!({ "mfa_method_ids": [own], "auth_method_types": ["userpass"] });
    assert_eq!(call("WRITE", "identity/mfa/login-enforcement/foo", body).await.status, 204);
    let (id, needs) = begin().await;
    assert_eq!(needs["foo"]["any"][0]["id"], own);
    assert_eq!(needs["foo"]["any"].as_array().unwrap().len(), 1);
    assert_eq!(needs.as_object().unwrap().len(), 2, "both are there: {needs}");
    let mut codes = json!({});
    for (method, name) in [(json!(room.method), "phone"), (own.clone(), "team/phone")] {
        let body = json!({ "method_id": method, "entity_id": entity });
        let got = call("WRITE", "identity/mfa/method/totp/admin-generate", body).await;
        let now = node.clock.now().seconds();
        let shape = Codes { period: 30, hash: OtpHash::Sha1, digits: 6, skew: 1 };
        let code = shape.code(&key_of(got.data()), shape.step(now));
        codes[name] = json!([code.expose_secret()]);
    }
    let validate = async |namespace: &str, payload: &Value| {
        let body = json!({ "mfa_request_id": id, "mfa_payload": payload });
        node.call_in(namespace, "WRITE", "sys/mfa/validate", "", body).await
    };
    let one = json!({ "phone": codes["phone"] });
    assert_eq!(validate("team", &one).await.status, 403, "one of two");
    assert_eq!(validate("", &codes).await.errors(), "invalid request ID", "the other namespace");
    let got = validate("team", &codes).await;
    assert!(got.status == 200 && !got.token().is_empty(), "{got:?}");
    // The parent's is read and used below, and changed where it is.
    let list = call("LIST", "identity/mfa/method", Value::Null).await;
    assert_eq!(list.data()["keys"].as_array().unwrap().len(), 2);
    let at = format!("identity/mfa/method/totp/{}", room.method);
    assert_eq!(call("READ", &at, Value::Null).await.data()["namespace_path"], "");
    for (verb, body) in [("WRITE", json!({ "issuer": "x" })), ("DELETE", Value::Null)] {
        let got = call(verb, &at, body).await;
        let text = "request namespace does not match method namespace";
        assert_eq!((got.status, got.errors().as_str()), (400, text));
    }
    let below = format!("identity/mfa/method/{}", own.as_str().unwrap());
    let data = ok(node, "READ", &below, Value::Null).await;
    assert_eq!(data["namespace_path"], "team/");
    let body = json!({ "mfa_method_ids": [own], "auth_method_types": ["userpass"] });
    let got = node.root("WRITE", "identity/mfa/login-enforcement/x", body).await;
    assert_eq!(got.errors(), "one of the provided method ids doesn't exist");
}

#[tokio::test]
async fn methods() {
    let room = Room::new().await;
    let node = &room.node;
    let at = format!("identity/mfa/method/totp/{}", room.method);
    let mut expect = json!({
        "type": "totp", "id": room.method, "name": "phone", "namespace_id": "root",
        "namespace_path": "", "issuer": "Us", "period": 30, "digits": 6, "skew": 1,
        "key_size": 20, "qr_size": 200, "algorithm": "SHA1", "max_validation_attempts": 5,
    });
    let global = format!("identity/mfa/method/{}", room.method);
    for path in [&at, &global] {
        assert_eq!(ok(node, "READ", path, Value::Null).await, expect);
    }
    let info = json!({ &room.method: expect });
    for path in ["identity/mfa/method", "identity/mfa/method/totp"] {
        let list = ok(node, "LIST", path, Value::Null).await;
        assert_eq!(list, json!({ "keys": [room.method], "key_info": info }));
    }
    let body = json!({
        "issuer": "Them", "period": "60s", "digits": 8, "skew": 0, "key_size": 32, "qr_size": 0,
        "algorithm": "SHA512", "max_validation_attempts": 2,
    });
    assert_eq!(node.root("WRITE", &at, body).await.status, 204);
    for (name, value) in [
        ("issuer", json!("Them")),
        ("period", json!(60)),
        ("digits", json!(8)),
        ("skew", json!(0)),
        ("key_size", json!(32)),
        ("qr_size", json!(0)),
        ("algorithm", json!("SHA512")),
        ("max_validation_attempts", json!(2)),
    ] {
        expect[name] = value;
    }
    assert_eq!(ok(node, "READ", &at, Value::Null).await, expect);
    // Who is enrolled goes on as before.
    assert_eq!(room.validate_code(&room.begin().await, &room.code(0)).await.status, 200);
    // By the name it is the same method.
    let body = json!({ "issuer": "Us", "method_name": "phone" });
    let got = ok(node, "WRITE", "identity/mfa/method/totp", body).await;
    assert_eq!(got["method_id"], room.method.as_str());
    let body = json!({ "issuer": "Us", "method_name": "other" });
    let other = ok(node, "WRITE", "identity/mfa/method/totp", body).await["method_id"].clone();
    let other = format!("identity/mfa/method/totp/{}", other.as_str().unwrap());
    let good = |name: &str, value: Value| json!({ "issuer": "Us", name: value });
    for (path, body, status, text) in [
        (&*other, good("method_name", json!("phone")), 400, "name already exists"),
        (&*other, json!({}), 400, "issuer must be set"),
        (&*other, good("algorithm", json!("MD5")), 400, "unrecognized algorithm"),
        (&*other, good("digits", json!(7)), 400, "digits can only be 6 or 8"),
        (&*other, good("period", json!(0)), 400, "period must be greater than zero"),
        (&*other, good("skew", json!(2)), 400, "skew must be 0 or 1"),
        (&*other, good("key_size", json!(0)), 400, "key_size must be greater than zero"),
        (&*other, good("key_size", json!(129)), 400, "key_size must be greater than zero"),
        (&*other, good("qr_size", json!(4_097)), 400, "qr_size must be"),
        (&*other, good("max_validation_attempts", json!(-1)), 400, "max_validation_attempts"),
        ("identity/mfa/method/totp/nope", json!({ "issuer": "x" }), 404, ""),
        ("identity/mfa/method/duo", json!({}), 400, "of the type duo are not supported"),
        ("identity/mfa/method/okta/x", json!({}), 400, "of the type okta are not supported"),
        ("identity/mfa/method/pingid", json!({}), 400, "of the type pingid are not supported"),
        ("identity/mfa/method/sms", json!({}), 404, "no handler for route"),
    ] {
        let got = node.root("WRITE", path, body.clone()).await;
        assert_eq!(got.status, status, "{path} {body}: {got:?}");
        assert!(got.errors().contains(text), "{path} {body}: {}", got.errors());
    }
    let got = node.root("DELETE", &at, Value::Null).await;
    assert!(got.status == 400 && got.errors().contains("is still used by"), "{got:?}");
    ok(node, "DELETE", "identity/mfa/login-enforcement/foo", Value::Null).await;
    ok(node, "DELETE", &at, Value::Null).await;
    assert_eq!(node.root("READ", &at, Value::Null).await.status, 404);
    let got = ok(node, "LIST", "identity/mfa/method", Value::Null).await;
    assert_eq!(got["keys"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn secrets_of_entities() {
    let room = Room::new().await;
    let node = &room.node;
    let admin = |what: &str| format!("identity/mfa/method/totp/admin-{what}");
    let both = json!({ "method_id": room.method, "entity_id": room.entity });
    // It is shown once.
    let got = node.root("WRITE", &admin("generate"), both.clone()).await;
    assert_eq!((got.status, &got.body["data"]), (200, &Value::Null));
    let text = "Entity already has a secret for MFA method \"phone\"";
    assert_eq!(got.body["warnings"], json!([text]));
    let got = node.root("READ", &format!("identity/entity/id/{}", room.entity), Value::Null).await;
    assert!(!got.body.to_string().contains("factor"), "{got:?}");
    // Without it the login cannot be finished; a new one is another.
    ok(node, "WRITE", &admin("destroy"), both.clone()).await;
    let id = room.begin().await;
    let got = room.validate_code(&id, &room.code(0)).await;
    let text = format!("not present in entity \"{}\"", room.entity);
    assert!(got.status == 403 && got.errors().contains(&text), "{got:?}");
    let made = ok(node, "WRITE", &admin("generate"), both.clone()).await;
    assert!(made["url"].as_str().unwrap().starts_with(&format!(
        "otpauth://totp/Us:{}?algorithm=SHA1&digits=6&issuer=Us&period=30&secret=",
        room.entity
    )));
    assert!(made["barcode"].as_str().unwrap().starts_with("iVBOR"));
    assert_ne!(key_of(&made), room.secret);
    let room = Room { secret: key_of(&made), ..room };
    let got = room.validate_code(&id, &room.code(0)).await;
    assert_eq!(got.status, 200, "{got:?}");
    // Its owner can make one, too.
    let node = &room.node;
    let policy = "path \"identity/mfa/method/totp/generate\" { capabilities = [\"update\"] }";
    node.policy("p", policy).await;
    let own = json!({ "method_id": room.method });
    let path = "identity/mfa/method/totp/generate";
    ok(node, "WRITE", &admin("destroy"), both.clone()).await;
    let got = node.call("WRITE", path, &got.token(), own.clone()).await;
    assert!(got.status == 200 && got.data()["url"].is_string(), "{got:?}");
    for (path, body, text) in [
        (path.to_owned(), own, "missing entity ID"),
        (admin("generate"), json!({}), "missing method ID"),
        (admin("generate"), json!({ "method_id": room.method }), "missing entity ID"),
        (admin("destroy"), json!({ "method_id": "x", "entity_id": "y" }), "does not exist"),
        (
            admin("generate"),
            json!({ "method_id": room.method, "entity_id": "y" }),
            "invalid entity ID",
        ),
    ] {
        let got = node.root("WRITE", &path, body.clone()).await;
        assert!(got.status == 400 && got.errors().contains(text), "{path} {body}: {got:?}");
    }
    // What an entity had goes with it.
    let before = crate::testing::records(node).await;
    ok(node, "DELETE", &format!("identity/entity/id/{}", room.entity), Value::Null).await;
    // The entity, its name, its alias by name and by id, and the secret.
    assert_eq!(crate::testing::records(node).await, before - 5);
}

#[tokio::test]
async fn a_merge_keeps_second_factors() {
    let room = Room::new().await;
    let node = &room.node;
    let into = ok(node, "WRITE", "identity/entity", json!({ "name": "into" })).await["id"].clone();
    let code = room.code(0);
    assert_eq!(room.validate_code(&room.begin().await, &code).await.status, 200);
    let waiting = room.begin().await;
    let body = json!({ "from_entity_ids": [room.entity], "to_entity_id": into });
    ok(node, "WRITE", "identity/entity/merge", body).await;
    // A login that waited goes on as the other entity, with the same secret and the same codes taken.
    assert_eq!(room.validate_code(&waiting, &code).await.status, 403);
    let got = room.validate_code(&waiting, &room.code(1)).await;
    assert_eq!((got.status, &got.body["auth"]["entity_id"]), (200, &into), "{got:?}");
    // Two secrets of one method: only by force, and the entity that stays keeps its own.
    let from = ok(node, "WRITE", "identity/entity", json!({ "name": "from" })).await["id"].clone();
    let body = json!({ "method_id": room.method, "entity_id": from });
    ok(node, "WRITE", "identity/mfa/method/totp/admin-generate", body).await;
    let mut body = json!({ "from_entity_ids": [from], "to_entity_id": into });
    let got = node.root("WRITE", "identity/entity/merge", body.clone()).await;
    assert!(got.status == 400 && got.errors().contains("conflicting MFA config ID"), "{got:?}");
    body["force"] = json!(true);
    ok(node, "WRITE", "identity/entity/merge", body).await;
    room.node.clock.advance(90);
    assert_eq!(room.validate_code(&room.begin().await, &room.code(0)).await.status, 200);
}

/// Threat: a merge takes second factors away.
#[tokio::test]
async fn what_is_enforced_for_an_entity_holds_for_what_it_becomes_part_of() {
    let room = Room::new().await;
    let node = &room.node;
    ok(node, "DELETE", "identity/mfa/login-enforcement/foo", Value::Null).await;
    room.enforce("bob", json!({ "identity_entity_ids": [room.entity] })).await;
    room.begin().await;
    let into = ok(node, "WRITE", "identity/entity", json!({ "name": "into" })).await["id"].clone();
    let body = json!({ "from_entity_ids": [room.entity], "to_entity_id": into });
    ok(node, "WRITE", "identity/entity/merge", body).await;
    let waiting = room.begin().await;
    assert_eq!(room.validate_code(&waiting, &room.code(0)).await.status, 200);
}

#[tokio::test]
async fn enforcements() {
    let room = Room::new().await;
    let node = &room.node;
    let path = "identity/mfa/login-enforcement/foo";
    let read = ok(node, "READ", path, Value::Null).await;
    let expect = json!({
        "id": read["id"], "name": "foo", "namespace_id": "root", "namespace_path": "",
        "mfa_method_ids": [room.method], "auth_method_accessors": [room.accessor],
        "auth_method_types": [], "identity_group_ids": [], "identity_entity_ids": [],
    });
    assert_eq!(read, expect);
    let list = ok(node, "LIST", "identity/mfa/login-enforcement", Value::Null).await;
    assert_eq!(list, json!({ "keys": ["foo"], "key_info": { "foo": expect } }));
    let good = |name: &str, value: Value| json!({ "mfa_method_ids": [room.method], name: value });
    for (body, text) in [
        (json!({}), "missing method ids"),
        (json!({ "mfa_method_ids": [], "auth_method_types": [] }), "missing method ids"),
        (json!({ "mfa_method_ids": [room.method] }), "One of auth_method_accessors"),
        (json!({ "mfa_method_ids": ["x"], "auth_method_types": [] }), "method ids doesn't exist"),
        (good("auth_method_accessors", json!(["x"])), "accessors provided is invalid"),
        (good("auth_method_types", json!(["ldap"])), "types provided is invalid"),
        (good("identity_group_ids", json!(["x"])), "group ids doesn't exist"),
        (good("identity_entity_ids", json!(["x"])), "entity ids doesn't exist"),
        (good("identity_entity_ids", json!(vec!["x"; 1_001])), "at most 1000 entries"),
    ] {
        let got = node.root("WRITE", path, body.clone()).await;
        assert!(got.status == 400 && got.errors().contains(text), "{body}: {got:?}");
    }
    assert_eq!(ok(node, "READ", path, Value::Null).await, expect, "nothing of it was done");
    room.enforce("foo", json!({ "auth_method_types": "userpass" })).await;
    let read = ok(node, "READ", path, Value::Null).await;
    assert_eq!(read["auth_method_types"], json!(["userpass"]));
    assert_eq!(read["auth_method_accessors"], json!([room.accessor]), "what is not given stays");
    // Two names that differ in case are two enforcements.
    let other = node.root("READ", "identity/mfa/login-enforcement/FOO", Value::Null).await;
    assert_eq!(other.status, 404);
    ok(node, "DELETE", path, Value::Null).await;
    assert_eq!(node.root("READ", path, Value::Null).await.status, 404);
    let got = node.root("LIST", "identity/mfa/login-enforcement", Value::Null).await;
    assert_eq!(got.status, 404);
}
