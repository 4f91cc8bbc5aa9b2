//! Identity tokens through the whole pipeline, with a login of userpass.

use serde_json::{Value, json};
use strongroom_base::Clock;
use strongroom_crypto::jws::{Compact, parse_set, sign_compact};
use strongroom_crypto::keys::{KeyType, PrivateKey};
use strongroom_kernel::node::KernelConfig;
use strongroom_testkit::{Got, TestNode};

/// The bcrypt hash of "abc" at cost 6 (jBCrypt's test suite).
const HASH_OF_ABC: &str = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
const ISSUER: &str = "https://vault.example:8200/v1/identity/oidc";
const DAY: i64 = 86_400;

struct Room {
    node: TestNode,
    accessor: String,
    token: String,
    entity: String,
}

impl Room {
    /// A node with the user `bob`, who may have tokens of every role.
    async fn new() -> Self {
        let specs = crate::testing::with_auth();
        let api_addr = "https://vault.example:8200".to_owned();
        let node =
            TestNode::start_with(specs, KernelConfig { api_addr, ..Default::default() }).await;
        let accessor = node.mount("userpass", "auth/userpass/").await;
        let policy = "path \"identity/oidc/token/*\" { capabilities = [\"read\"] }";
        node.policy("tokens", policy).await;
        let body = json!({ "password_hash": HASH_OF_ABC, "token_policies": "tokens" });
        node.root("WRITE", "auth/userpass/users/bob", body).await;
        let body = json!({ "password": "abc" });
        let got = node.call("WRITE", "auth/userpass/login/bob", "", body).await;
        let entity = got.body["auth"]["entity_id"].as_str().unwrap().to_owned();
        Self { accessor, token: got.token(), entity, node }
    }

    async fn write(&self, path: &str, body: Value) -> Got {
        self.node.root("WRITE", &format!("identity/oidc/{path}"), body).await
    }

    async fn ok(&self, path: &str, body: Value) {
        let got = self.write(path, body.clone()).await;
        assert!(matches!(got.status, 200 | 204), "{path} {body}: {got:?}");
    }

    async fn read(&self, path: &str) -> Got {
        self.node.root("READ", &format!("identity/oidc/{path}"), Value::Null).await
    }

    async fn make(&self, role: &str) -> Got {
        let path = format!("identity/oidc/token/{role}");
        self.node.call("READ", &path, &self.token, Value::Null).await
    }

    async fn token(&self, role: &str) -> String {
        let got = self.make(role).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.data()["token"].as_str().unwrap().to_owned()
    }

    /// The names of the keys that strangers are told.
    async fn published(&self) -> Vec<String> {
        let path = "identity/oidc/.well-known/keys";
        let got = self.node.call("READ", path, "", Value::Null).await;
        assert_eq!((got.status, got.content_type), (200, "application/json"));
        let keys = got.body["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    /// The claims of a token, by the keys that are published.
    async fn claims(&self, token: &str) -> Option<Value> {
        let path = "identity/oidc/.well-known/keys";
        let set = self.node.call("READ", path, "", Value::Null).await;
        let parsed = Compact::parse(token).unwrap();
        let keys = parse_set(&set.body).unwrap();
        let kid = parsed.kid().unwrap();
        let key = keys.iter().find(|key| key.kid.as_deref() == Some(kid))?;
        assert_eq!(key.algorithm, Some(parsed.algorithm().unwrap()));
        Some(Value::Object(parsed.verify(&key.key).unwrap()))
    }

    async fn introspect(&self, token: &str, client_id: Option<&str>) -> Value {
        let got = self.write("introspect", json!({ "token": token, "client_id": client_id })).await;
        assert_eq!(got.status, 200, "{got:?}");
        got.body
    }

    async fn tick(&self) {
        strongroom_kernel::reconcile::run_due(&self.node.services()).await;
    }
}

fn kid(token: &str) -> String {
    Compact::parse(token).unwrap().kid().unwrap().to_owned()
}

#[tokio::test]
async fn tokens_of_every_algorithm() {
    let room = Room::new().await;
    for algorithm in ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"] {
        let body = json!({ "algorithm": algorithm, "allowed_client_ids": ["me"] });
        room.ok("key/k", body).await;
        room.ok("role/r", json!({ "key": "k", "client_id": "me", "ttl": "1h" })).await;
        let got = room.make("r").await;
        assert_eq!((&got.data()["client_id"], &got.data()["ttl"]), (&json!("me"), &json!(3_600)));
        let token = got.data()["token"].as_str().unwrap();
        let now = room.node.clock.now().seconds();
        let expect = json!({
            "iss": ISSUER, "namespace": "root", "sub": room.entity, "aud": "me",
            "iat": now, "exp": now + 3_600,
        });
        assert_eq!(room.claims(token).await.unwrap(), expect, "{algorithm}");
        assert_eq!(room.introspect(token, None).await, json!({ "active": true }));
    }
    // The first pair signs still; the next one is of the last algorithm.
    assert_eq!(room.published().await.len(), 2);
    for algorithm in ["RS256", "EdDSA"] {
        let token = room.token("r").await;
        assert_eq!(Compact::parse(&token).unwrap().algorithm().unwrap().name(), algorithm);
        room.ok("key/k/rotate", json!({})).await;
    }
}

/// Whoever verifies keeps the keys for a while, and must know the one that signs.
#[tokio::test]
async fn another_algorithm_is_published_before_it_signs() {
    let room = Room::new().await;
    let body = json!({
        "algorithm": "ES256", "rotation_period": "2h", "verification_ttl": "1h",
        "allowed_client_ids": ["*"],
    });
    room.ok("key/k", body).await;
    // While no role uses it nobody has seen its keys.
    room.ok("key/k", json!({ "algorithm": "ES384" })).await;
    room.ok("role/r", json!({ "key": "k", "ttl": "1h" })).await;
    let algorithm = async || {
        let token = room.token("r").await;
        (Compact::parse(&token).unwrap().algorithm().unwrap().name(), token)
    };
    let (before, first) = algorithm().await;
    assert_eq!(before, "ES384");
    let got = room.write("key/k", json!({ "algorithm": "EdDSA" })).await;
    assert!(got.body["warnings"][0].as_str().unwrap().contains("published now"), "{got:?}");
    assert_eq!(room.read("key/k").await.data()["algorithm"], "EdDSA");
    let seen = room.published().await;
    assert_eq!(seen.len(), 3, "the two of now, and the one that nobody has seen");
    room.node.clock.advance(3_540);
    room.tick().await;
    assert_eq!(algorithm().await.0, "ES384");
    room.node.clock.advance(60);
    room.tick().await;
    let (after, second) = algorithm().await;
    assert_eq!(after, "EdDSA");
    assert!(seen.contains(&kid(&second)), "it was published before it signed");
    assert_eq!(room.published().await.len(), 3);
    assert!(room.claims(&first).await.is_some());
    assert_eq!(room.introspect(&second, None).await["active"], true);
}

#[tokio::test]
async fn a_lowered_time_unpublishes_no_key_whose_tokens_live() {
    for by_hand in [true, false] {
        let room = Room::new().await;
        let body = json!({
            "algorithm": "EdDSA", "rotation_period": "10h", "verification_ttl": "8h",
            "allowed_client_ids": ["*"],
        });
        room.ok("key/k", body).await;
        room.ok("role/r", json!({ "key": "k", "ttl": "8h" })).await;
        let token = room.token("r").await;
        room.ok("role/r", json!({ "ttl": "1m" })).await;
        room.ok("key/k", json!({ "rotation_period": "1m", "verification_ttl": "1m" })).await;
        room.node.clock.advance(60);
        match by_hand {
            true => room.ok("key/k/rotate", json!({})).await,
            false => room.tick().await,
        }
        assert_ne!(kid(&room.token("r").await), kid(&token));
        // Later pairs are published for no longer than their own tokens live.
        room.node.clock.advance(60);
        room.tick().await;
        room.node.clock.advance(60);
        room.tick().await;
        room.node.clock.advance(8 * 3_600 - 181);
        room.tick().await;
        assert_eq!(room.introspect(&token, None).await["active"], true, "{by_hand}");
        assert!(room.published().await.len() <= 4);
        room.node.clock.advance(1);
        assert!(room.claims(&token).await.is_none());
    }
}

#[tokio::test]
async fn templates() {
    let room = Room::new().await;
    let path = format!("identity/entity/id/{}", room.entity);
    let body =
        json!({ "name": "bob", "metadata": { "color": "green", "sub": "x\", \"sub\": \"y" } });
    room.node.root("WRITE", &path, body).await;
    for name in ["web", "eng"] {
        let body = json!({ "name": name, "member_entity_ids": [room.entity] });
        room.node.root("WRITE", "identity/group", body).await;
    }
    let template = format!(
        "{{\"color\": {{{{identity.entity.metadata.color}}}}, \"user\": {{ \"name\": \
         {{{{identity.entity.aliases.{}.name}}}}, \"groups\": {{{{identity.entity.groups.names}}}} \
         }}, \"trap\": {{{{identity.entity.metadata.sub}}}}, \"nbf\": {{{{time.now}}}} }}",
        room.accessor
    );
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(&template);
    for given in [&template, &encoded] {
        room.ok("role/r", json!({ "key": "default", "template": given })).await;
        assert_eq!(room.read("role/r").await.data()["template"], template.as_str());
        let claims = room.claims(&room.token("r").await).await.unwrap();
        assert_eq!((&claims["color"], &claims["user"]["name"]), (&json!("green"), &json!("bob")));
        let mut groups: Vec<&str> =
            claims["user"]["groups"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        groups.sort_unstable();
        assert_eq!(groups, ["eng", "web"]);
        assert_eq!(claims["nbf"], room.node.clock.now().seconds());
        assert_eq!(
            (&claims["trap"], &claims["sub"]),
            (&json!("x\", \"sub\": \"y"), &json!(room.entity),)
        );
    }
    for (template, text) in [
        ("{", "error parsing template JSON"),
        ("[]", "error parsing template JSON"),
        ("{\"a\": {{nope}}}", "error parsing template: no value could be found"),
        ("{\"a\": {{identity.entity.id}", "error parsing template: unbalanced"),
        ("{\"sub\": \"me\"}", "top level key \"sub\" not allowed. Restricted keys: iat, aud,"),
        ("{\"namespace\": \"x\"}", "top level key \"namespace\" not allowed"),
    ] {
        let got = room.write("role/r", json!({ "template": template })).await;
        assert!(got.status == 400 && got.errors().contains(text), "{template}: {got:?}");
    }
}

#[tokio::test]
async fn keys() {
    let room = Room::new().await;
    let default = json!({
        "rotation_period": DAY, "verification_ttl": DAY, "algorithm": "RS256",
        "allowed_client_ids": ["*"],
    });
    assert_eq!(*room.read("key/default").await.data(), default);
    let list = room.node.root("LIST", "identity/oidc/key", Value::Null).await;
    assert_eq!(*list.data(), json!({ "keys": ["default"] }));
    room.ok("key/default", json!({ "rotation_period": "12h" })).await;
    let default = room.read("key/default").await.data().clone();
    assert_eq!(
        (&default["rotation_period"], &default["allowed_client_ids"]),
        (&json!(43_200), &json!(["*"]),)
    );
    room.ok("key/k", json!({ "algorithm": "ES256" })).await;
    let expect = json!({
        "rotation_period": DAY, "verification_ttl": DAY, "algorithm": "ES256",
        "allowed_client_ids": [],
    });
    assert_eq!(*room.read("key/k").await.data(), expect);
    let body =
        json!({ "rotation_period": "2h", "verification_ttl": 3_600, "allowed_client_ids": "a,b" });
    room.ok("key/k", body).await;
    let expect = json!({
        "rotation_period": 7_200, "verification_ttl": 3_600, "algorithm": "ES256",
        "allowed_client_ids": ["a", "b"],
    });
    assert_eq!(*room.read("key/k").await.data(), expect);
    let list = room.node.root("LIST", "identity/oidc/key", Value::Null).await;
    assert_eq!(*list.data(), json!({ "keys": ["default", "k"] }));
    room.ok("role/r", json!({ "key": "k", "ttl": "1h" })).await;
    for (path, body, text) in [
        ("key/x", json!({ "rotation_period": 59 }), "rotation_period must be at least one minute"),
        (
            "key/x",
            json!({ "rotation_period": 60, "verification_ttl": 601 }),
            "verification_ttl cannot be longer than 10x rotation_period",
        ),
        ("key/x", json!({ "algorithm": "PS256" }), "unknown signing algorithm"),
        ("key/x", json!({ "algorithm": "none" }), "unknown signing algorithm"),
        (
            "key/k",
            json!({ "verification_ttl": 3_599 }),
            "unable to update key \"k\" because it is currently referenced by one or more roles \
             with a token ttl greater than 3599 seconds",
        ),
        ("key/x/rotate", json!({}), "no named key found at \"x\""),
        ("role/x", json!({}), "the key parameter is required"),
        ("role/x", json!({ "key": "x" }), "cannot find the key"),
        (
            "role/x",
            json!({ "key": "k", "ttl": "2h" }),
            "a role's token ttl cannot be longer than the verification_ttl of the key it references",
        ),
    ] {
        let got = room.write(path, body.clone()).await;
        assert_eq!((got.status, got.errors().as_str()), (400, text), "{path} {body}");
    }
    let delete = async |name: &str| {
        room.node.root("DELETE", &format!("identity/oidc/key/{name}"), Value::Null).await
    };
    assert_eq!(delete("default").await.errors(), "deletion of key \"default\" not allowed");
    let text = "unable to delete key \"k\" because it is currently referenced by these roles: r";
    assert_eq!(delete("k").await.errors(), text);
    // The role goes to another key: this one is free.
    room.ok("role/r", json!({ "key": "default" })).await;
    assert_eq!(delete("k").await.status, 204);
    assert_eq!(room.read("key/k").await.status, 404);
    assert_eq!(delete("k").await.status, 204);
    // Two names that differ in case are two keys.
    room.ok("key/K", json!({ "algorithm": "EdDSA" })).await;
    assert_eq!(room.read("key/k").await.status, 404);
    assert_eq!(room.read("key/K").await.data()["algorithm"], "EdDSA");
}

#[tokio::test]
async fn roles() {
    let room = Room::new().await;
    room.ok("role/r", json!({ "key": "default" })).await;
    let data = room.read("role/r").await.data().clone();
    let client_id = data["client_id"].as_str().unwrap();
    assert_eq!(client_id.len(), 26);
    let expect = json!({ "client_id": client_id, "key": "default", "template": "", "ttl": DAY });
    assert_eq!(data, expect);
    room.ok("role/r", json!({ "ttl": 60 })).await;
    let data = room.read("role/r").await.data().clone();
    assert_eq!((&data["client_id"], &data["ttl"]), (&json!(client_id), &json!(60)));
    room.ok("role/q", json!({ "key": "default", "client_id": "mine" })).await;
    let list = room.node.root("LIST", "identity/oidc/role", Value::Null).await;
    assert_eq!(*list.data(), json!({ "keys": ["q", "r"] }));
    let got = room.node.root("DELETE", "identity/oidc/role/q", Value::Null).await;
    assert_eq!(got.status, 204);
    assert_eq!(room.read("role/q").await.status, 404);
    assert_eq!(room.make("q").await.errors(), "role \"q\" not found");
    // A key serves the clients that it names.
    room.ok("key/k", json!({ "algorithm": "ES256", "allowed_client_ids": ["a"] })).await;
    room.ok("role/b", json!({ "key": "k", "client_id": "b" })).await;
    let text =
        "the key \"k\" does not list the client ID of the role \"b\" as an allowed client ID";
    assert_eq!(room.make("b").await.errors(), text);
    room.ok("key/k", json!({ "allowed_client_ids": ["a", "b"] })).await;
    assert_eq!(room.make("b").await.status, 200);
    // Nobody has a token about nobody, nor about who lives in another namespace.
    let got = room.node.root("READ", "identity/oidc/token/b", Value::Null).await;
    assert_eq!(got.errors(), "no entity associated with the request's token");
    room.node.root("WRITE", "sys/namespaces/team", json!({})).await;
    let body = json!({ "key": "default" });
    let path = "identity/oidc/role/r";
    room.node.call_in("team", "WRITE", path, &room.node.root, body).await;
    let policy = "path \"team/identity/oidc/token/*\" { capabilities = [\"read\"] }";
    room.node.policy("tokens", policy).await;
    let path = "identity/oidc/token/r";
    let got = room.node.call_in("team", "READ", path, &room.token, Value::Null).await;
    assert_eq!(got.status, 400, "{got:?}");
}

#[tokio::test]
async fn keys_are_rotated_and_published() {
    let room = Room::new().await;
    assert_eq!(room.published().await, Vec::<String>::new(), "no role, no key");
    let body = json!({
        "algorithm": "ES256", "rotation_period": "1h", "verification_ttl": "30m",
        "allowed_client_ids": ["*"],
    });
    room.ok("key/k", body).await;
    assert_eq!(room.published().await, Vec::<String>::new(), "no role uses it");
    room.ok("role/r", json!({ "key": "k", "ttl": "30m" })).await;
    let first = room.token("r").await;
    let published = room.published().await;
    assert_eq!((published.len(), &published[0]), (2, &kid(&first)));
    // By hand: what was about to come signs, what signed is published still.
    room.ok("key/k/rotate", json!({})).await;
    let second = room.token("r").await;
    assert_eq!(kid(&second), published[1]);
    assert_eq!(room.published().await.len(), 3);
    room.node.clock.advance(1_799);
    assert!(room.claims(&first).await.is_some());
    assert_eq!(room.introspect(&first, None).await["active"], true);
    room.node.clock.advance(1);
    assert!(room.claims(&first).await.is_none(), "its time is over, whether or not it was tidied");
    let problem = json!({ "active": false, "error": "unable to validate the token signature" });
    assert_eq!(room.introspect(&first, None).await, problem);
    // By time, in the background.
    room.tick().await;
    assert_eq!(kid(&room.token("r").await), kid(&second));
    room.node.clock.advance(1_800);
    room.tick().await;
    let third = room.token("r").await;
    assert_ne!(kid(&third), kid(&second));
    assert_eq!(room.published().await.len(), 3);
    let log = String::from_utf8(room.node.audit.contents()).unwrap();
    assert!(log.contains("\"path\":\"identity/oidc/key/k\""), "the rotation is in the audit log");
    // At once: whoever has a token of the old one is not believed any more.
    room.ok("key/k/rotate", json!({ "verification_ttl": 0 })).await;
    assert!(room.claims(&third).await.is_none());
    // A shorter period counts from now.
    room.ok("key/k", json!({ "rotation_period": "10m" })).await;
    let before = kid(&room.token("r").await);
    room.node.clock.advance(600);
    room.tick().await;
    assert_ne!(kid(&room.token("r").await), before);
    // Deleted with its role: nothing is published.
    room.node.root("DELETE", "identity/oidc/role/r", Value::Null).await;
    assert_eq!(room.published().await, Vec::<String>::new());
}

#[tokio::test]
async fn rotations_by_hand_are_bounded() {
    let room = Room::new().await;
    room.ok("key/k", json!({ "algorithm": "EdDSA" })).await;
    for _ in 0..100 {
        room.ok("key/k/rotate", json!({})).await;
    }
    assert_eq!(room.write("key/k/rotate", json!({})).await.status, 400);
    room.node.clock.advance(DAY);
    room.ok("key/k/rotate", json!({})).await;
}

/// Threat: who may rotate one key by hand keeps all keys from being rotated by time.
#[tokio::test]
async fn rotations_by_hand_hold_up_none_by_time() {
    let room = Room::new().await;
    for name in ["a", "z"] {
        let body = json!({
            "algorithm": "EdDSA", "rotation_period": "1h", "verification_ttl": "10h",
            "allowed_client_ids": ["*"],
        });
        room.ok(&format!("key/{name}"), body).await;
        room.ok(&format!("role/{name}"), json!({ "key": name, "ttl": "1h" })).await;
    }
    for _ in 0..100 {
        room.ok("key/a/rotate", json!({})).await;
    }
    let long = room.write("key/z/rotate", json!({ "verification_ttl": 36_001 })).await;
    assert_eq!(long.status, 400, "{long:?}");
    let before = [kid(&room.token("a").await), kid(&room.token("z").await)];
    room.node.clock.advance(3_600);
    room.tick().await;
    room.tick().await;
    assert_ne!(kid(&room.token("a").await), before[0]);
    assert_ne!(kid(&room.token("z").await), before[1]);
}

#[tokio::test]
async fn what_strangers_read() {
    let room = Room::new().await;
    let read = async |namespace: &str, path: &str| {
        let path = format!("identity/oidc/.well-known/{path}");
        room.node.call_in(namespace, "READ", &path, "", Value::Null).await
    };
    let got = read("", "openid-configuration").await;
    let expect = json!({
        "issuer": ISSUER, "jwks_uri": format!("{ISSUER}/.well-known/keys"),
        "response_types_supported": ["id_token"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported":
            ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"],
    });
    assert_eq!((got.status, got.content_type, &got.body), (200, "application/json", &expect));
    assert_eq!(got.header("cache-control"), "max-age=3600");
    assert_eq!(read("", "keys").await.header("cache-control"), "");
    let body = json!({ "algorithm": "ES256", "rotation_period": "1h", "verification_ttl": "30m" });
    room.ok("key/k", body).await;
    room.ok("role/r", json!({ "key": "k", "ttl": "30m" })).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let got = read("", "keys").await;
        let seconds = got.header("cache-control").strip_prefix("max-age=").unwrap().to_owned();
        assert!(seconds.parse::<u64>().unwrap() < 1_800, "{seconds}");
        seen.insert(seconds);
        let key = &got.body["keys"][0];
        for (name, value) in [("kty", "EC"), ("crv", "P-256"), ("use", "sig"), ("alg", "ES256")] {
            assert_eq!(key[name], value);
        }
        assert!(key.get("d").is_none() && key["x"].is_string() && key["y"].is_string());
    }
    assert!(seen.len() > 1, "not all come back at once");
    // Each namespace is an issuer of its own.
    room.node.root("WRITE", "sys/namespaces/team", json!({})).await;
    let got = read("team", "openid-configuration").await;
    assert_eq!(got.body["issuer"], "https://vault.example:8200/v1/team/identity/oidc");
    assert_eq!(read("team", "keys").await.body, json!({ "keys": [] }));
    // The issuer can be another.
    assert_eq!(*room.read("config").await.data(), json!({ "issuer": "" }));
    let got = room.write("config", json!({ "issuer": "https://example.com:1234" })).await;
    assert_eq!(got.status, 200);
    assert!(got.body["warnings"][0].as_str().unwrap().starts_with("If \"issuer\" is set"));
    assert_eq!(*room.read("config").await.data(), json!({ "issuer": "https://example.com:1234" }));
    let got = read("", "openid-configuration").await;
    assert_eq!(got.body["issuer"], "https://example.com:1234/v1/identity/oidc");
    for bad in [
        "example.com",
        "ftp://x",
        "https://",
        "https://x/",
        "https://x/y",
        "https://u@x",
        "https://x?y",
        "https://:1",
    ] {
        let got = room.write("config", json!({ "issuer": bad })).await;
        assert!(got.status == 400 && got.errors().starts_with("invalid issuer"), "{bad}");
    }
    room.ok("config", json!({ "issuer": "" })).await;
    assert_eq!(read("", "openid-configuration").await.body["issuer"], ISSUER);
}

#[tokio::test]
async fn introspection() {
    let room = Room::new().await;
    room.ok("role/r", json!({ "key": "default", "client_id": "me", "ttl": "1h" })).await;
    let token = room.token("r").await;
    assert_eq!(room.introspect(&token, Some("me")).await, json!({ "active": true }));
    let refused = async |token: &str, client: Option<&str>, text: &str| {
        let answer = room.introspect(token, client).await;
        assert_eq!(answer["active"], false, "{text}");
        assert!(answer["error"].as_str().unwrap().contains(text), "{answer}");
    };
    refused(&token, Some("other"), "invalid audience claim (aud)").await;
    refused("", None, "error parsing token").await;
    refused("a.b.c", None, "error parsing token").await;
    // Somebody else's key under the name of ours, and an algorithm that is none.
    let other = PrivateKey::generate(KeyType::Ed25519).unwrap();
    let claims = json!({ "iss": ISSUER, "sub": room.entity, "aud": "me", "exp": 1_i64 << 40 });
    let algorithm = strongroom_crypto::jws::Algorithm::EdDsa;
    let text = claims.to_string();
    let forged = sign_compact(algorithm, &kid(&token), text.as_bytes(), &other).unwrap();
    refused(&forged, None, "unable to validate the token signature").await;
    let (_, rest) = token.split_once('.').unwrap();
    // {"alg":"none"} and {"alg":"HS256"}.
    for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzI1NiJ9"] {
        refused(&format!("{header}.{rest}"), None, "error parsing token").await;
    }
    let path = format!("identity/entity/id/{}", room.entity);
    room.node.root("WRITE", &path, json!({ "disabled": true })).await;
    refused(&token, None, "entity is disabled").await;
    room.node.root("DELETE", &path, Value::Null).await;
    refused(&token, None, "entity was not found").await;
    room.write("config", json!({ "issuer": "https://example.com" })).await;
    refused(&token, None, "invalid issuer claim (iss)").await;
    room.ok("config", json!({ "issuer": "" })).await;
    room.node.clock.advance(3_600);
    refused(&token, None, "token is expired (exp)").await;
}

/// Requests at the same time: no key is lost, and each token verifies.
#[tokio::test]
async fn at_the_same_time() {
    let room = Room::new().await;
    let make = |name: &'static str| {
        let room = &room;
        async move {
            room.ok(&format!("key/{name}"), json!({ "algorithm": "ES256" })).await;
            room.ok(&format!("role/{name}"), json!({ "key": "default" })).await;
        }
    };
    tokio::join!(make("a"), make("b"), make("c"), make("d"));
    for role in ["a", "b", "c", "d"] {
        assert!(room.claims(&room.token(role).await).await.is_some());
    }
    let list = room.node.root("LIST", "identity/oidc/key", Value::Null).await;
    assert_eq!(list.data()["keys"].as_array().unwrap().len(), 5);
    assert_eq!(room.published().await.len(), 2, "the default key was made once");
}
