//! Second factors through the whole pipeline, with logins of userpass and approle.

use serde_json::{Value, json};
use strongroom_base::{Clock, RequestPath};
use strongroom_crypto::totp::{Codes, OtpHash, url};
use strongroom_kernel::pipeline::{Call, handle};
use strongroom_kernel::plug::Verb;
use strongroom_testkit::{Got, TestNode, render};

/// The bcrypt hash of "abc" at cost 6 (jBCrypt's test suite).
const HASH_OF_ABC: &str = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
const BAD: &str = "MFA credentials not supplied or incorrect";

struct Room {
    node: TestNode,
    accessor: String,
    method: String,
    entity: String,
    secret: Vec<u8>,
}

async fn ok(node: &TestNode, method: &str, path: &str, body: Value) -> Value {
    let got = node.root(method, path, body.clone()).await;
    assert!(matches!(got.status, 200 | 204), "{path} {body}: {got:?}");
    got.data().clone()
}

fn key_of(made: &Value) -> Vec<u8> {
    let parsed = url::parse(made["url"].as_str().unwrap()).unwrap();
    base32(parsed.secret.expose_secret())
}

/// RFC 4648's base32, for a text that this server made.
fn base32(text: &str) -> Vec<u8> {
    let (mut out, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            _ => byte - b'2' + 26,
        };
        bits = bits << 5 | u32::from(value);
        held += 5;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    out
}

impl Room {
    /// A node with the user `bob` of userpass, who is enrolled, and an enforcement for his mount.
    async fn new() -> Self {
        let specs = crate::specs().into_iter().chain(crate::testing::auth_specs());
        let node = TestNode::start(specs).await;
        let accessor = node.mount("userpass", "auth/userpass/").await;
        let body = json!({ "password_hash": HASH_OF_ABC, "token_policies": "p" });
        ok(&node, "WRITE", "auth/userpass/users/bob", body).await;
        let first = node.call("WRITE", LOGIN, "", json!({ "password": "abc" })).await;
        let entity = first.body["auth"]["entity_id"].as_str().unwrap().to_owned();
        let body = json!({ "issuer": "Us", "method_name": "phone" });
        let made = ok(&node, "WRITE", "identity/mfa/method/totp", body).await;
        let method = made["method_id"].as_str().unwrap().to_owned();
        let body = json!({ "method_id": method, "entity_id": entity });
        let made = ok(&node, "WRITE", "identity/mfa/method/totp/admin-generate", body).await;
        let secret = key_of(&made);
        let room = Self { node, accessor, method, entity, secret };
        room.enforce("foo", json!({ "auth_method_accessors": [room.accessor] })).await;
        room
    }

    async fn enforce(&self, name: &str, mut body: Value) {
        body["mfa_method_ids"] = json!([self.method]);
        let path = format!("identity/mfa/login-enforcement/{name}");
        ok(&self.node, "WRITE", &path, body).await;
    }

    /// The code of some steps from now.
    fn code(&self, steps: i64) -> String {
        let codes = Codes { period: 30, hash: OtpHash::Sha1, digits: 6, skew: 1 };
        let step = codes.step(self.node.clock.now().seconds() + 30 * steps);
        codes.code(&self.secret, step).expose_secret().clone()
    }

    /// Six digits that are no code now.
    fn wrong(&self) -> String {
        let codes = [self.code(-1), self.code(0), self.code(1)];
        let mut all = (0..).map(|n| format!("{n:06}"));
        all.find(|code| !codes.contains(code)).unwrap()
    }

    async fn log_in(&self, headers: &[&str]) -> Got {
        self.log_in_as("bob", headers).await
    }

    async fn log_in_as(&self, user: &str, headers: &[&str]) -> Got {
        let call = Call {
            namespace: String::new(),
            path: RequestPath::parse(&format!("auth/userpass/login/{user}")).unwrap(),
            verb: Verb::Write,
            head: false,
            token: None,
            body: json!({ "password": "abc" }).to_string().into(),
            query: Vec::new(),
            upload: None,
            wrap_ttl: None,
            headers: headers.iter().map(|v| ("x-vault-mfa".into(), (*v).to_owned())).collect(),
            peer: Default::default(),
            bounds: Default::default(),
        };
        render(handle(&self.node.node, call).await)
    }

    /// Begins a login; answers its id.
    async fn begin(&self) -> String {
        let got = self.log_in(&[]).await;
        assert_eq!((got.status, got.token().as_str()), (200, ""), "{got:?}");
        let id = &got.body["auth"]["mfa_requirement"]["mfa_request_id"];
        id.as_str().unwrap().to_owned()
    }

    async fn validate(&self, id: &str, payload: Value) -> Got {
        let body = json!({ "mfa_request_id": id, "mfa_payload": payload });
        self.node.call("WRITE", "sys/mfa/validate", "", body).await
    }

    async fn validate_code(&self, id: &str, code: &str) -> Got {
        self.validate(id, json!({ &self.method: [code] })).await
    }

    async fn is_good(&self, token: &str) -> bool {
        !token.is_empty()
            && self.node.call("READ", "auth/token/lookup-self", token, Value::Null).await.status
                == 200
    }
}

const LOGIN: &str = "auth/userpass/login/bob";

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
    room.node.restart(crate::specs().into_iter().chain(crate::testing::auth_specs())).await;
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
    room.node.restart(crate::specs().into_iter().chain(crate::testing::auth_specs())).await;
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
