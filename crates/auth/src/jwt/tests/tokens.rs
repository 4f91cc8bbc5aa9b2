//! Logging in by a token.

use serde_json::{Value, json};
use strongroom_crypto::hmac::hmac;
use strongroom_crypto::keys::{Hash, KeyType, PrivateKey};

use super::*;

/// A mount that takes tokens of one key, with a role for the audience `vault`.
async fn static_world() -> World {
    let world = World::new().await;
    let config = json!({ "jwt_validation_pubkeys": [world.key.pem()], "bound_issuer": ISSUER });
    world.ok("config", config).await;
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault" });
    world.ok("role/r", role).await;
    world
}

fn encoded(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn a_token_that_is_none_of_ours_is_refused() {
    let world = static_world().await;
    let (key, stranger) = (world.key.clone(), Key::new("one"));
    let signed = |other: Value| key.sign(&claims(other));
    let payload = encoded(&claims(json!({})).to_string());
    let unsigned = format!("{}.{payload}.", encoded("{\"alg\":\"none\"}"));
    // Threat CVE-2024-5798: the public key as the key of a MAC.
    let head = format!("{}.{payload}", encoded("{\"alg\":\"HS256\",\"kid\":\"one\"}"));
    let mac = hmac(Hash::Sha256, key.pem().as_bytes(), head.as_bytes());
    let by_mac = format!("{head}.{}", URL_SAFE_NO_PAD.encode(mac));
    let good = signed(json!({}));
    let (head, tail) = good.split_once('.').unwrap();
    let forged = format!("{head}.{}.{}", encoded("{}"), tail.split_once('.').unwrap().1);
    for (what, jwt, text) in [
        ("no token", String::new(), "missing token"),
        ("nonsense", "canary".to_owned(), "token is malformed"),
        ("two parts", "e30.e30".to_owned(), "token is malformed"),
        ("none", unsigned, "token signed with unexpected algorithm"),
        ("a MAC", by_mac, "token signed with unexpected algorithm"),
        ("another key", stranger.sign(&claims(json!({}))), "no known key successfully"),
        ("changed", forged, "no known key successfully"),
        ("expired", signed(json!({"exp": now() - 61})), "token is expired"),
        ("not yet", signed(json!({"nbf": now() + 61})), "token not yet valid"),
        ("from the future", signed(json!({"iat": now() + 61, "nbf": 1})), "issued in the future"),
        ("no times", signed(json!({"exp": null, "iat": null})), "no issued at (iat)"),
        ("another issuer", signed(json!({"iss": "https://evil.example"})), "invalid issuer"),
        ("no issuer", signed(json!({"iss": null})), "invalid issuer"),
        ("another audience", signed(json!({"aud": "other"})), "invalid audience"),
        ("no audience", signed(json!({"aud": null})), "invalid audience"),
        ("an object for an audience", signed(json!({"aud": {"a": "vault"}})), "invalid audience"),
        ("no user", signed(json!({"sub": null})), "claim \"sub\" not found in token"),
        ("a number for a user", signed(json!({"sub": 7})), "could not be converted to string"),
        ("an empty user", signed(json!({"sub": ""})), "could not be converted to string"),
        ("twice the subject", signed(json!({"\u{17f}ub": "root"})), "ambiguous claim"),
    ] {
        let got = world.log_in("r", &jwt).await;
        assert_eq!(got.status, 400, "{what}: {got:?}");
        assert!(got.errors().contains(text), "{what}: {}", got.errors());
        assert!(!got.errors().contains("canary"), "{what}");
    }
    for (role, text) in [("none", "role could not be found"), ("", "missing role")] {
        let got = world.log_in(role, &good).await;
        assert!(got.status == 400 && got.errors().contains(text), "{got:?}");
    }
    assert_eq!(world.log_in("R", &good).await.status, 200);
}

#[tokio::test]
async fn a_good_token_gives_what_the_role_says() {
    let world = static_world().await;
    world
        .ok(
            "role/r",
            json!({
                "role_type": "jwt", "user_claim": "/user/name", "user_claim_json_pointer": true,
                "bound_audiences": ["x", "vault"], "claim_mappings": {"/user/team": "team", "no": "no"},
                "token_policies": "build", "token_ttl": "10m", "token_num_uses": 3,
            }),
        )
        .await;
    let jwt = world.key.sign(&claims(json!({
        "aud": ["other", "vault"], "user": {"name": "build-7", "team": "web"},
    })));
    let got = world.log_in("r", &jwt).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(auth["policies"], json!(["build", "default"]));
    assert_eq!(auth["metadata"], json!({"role": "r", "team": "web"}));
    assert_eq!((&auth["lease_duration"], &auth["num_uses"]), (&json!(600), &json!(3)));
    assert_ne!(auth["entity_id"], "");
    let again = world.log_in("r", &jwt).await;
    assert_eq!(again.body["auth"]["entity_id"], auth["entity_id"], "one caller is one entity");
}

#[tokio::test]
async fn what_a_role_binds() {
    let world = static_world().await;
    let cases = [
        ("bound_subject", json!("build-7"), json!({}), ""),
        ("bound_subject", json!("build-8"), json!({}), "invalid subject (sub) claim"),
        ("bound_claims", json!({"ref": "main"}), json!({"ref": "main"}), ""),
        ("bound_claims", json!("{\"ref\": \"main\"}"), json!({"ref": "main"}), ""),
        (
            "bound_claims",
            json!({"ref": "main"}),
            json!({"ref": "x"}),
            "claim \"ref\" does not match",
        ),
        ("bound_claims", json!({"ref": "main"}), json!({}), "claim \"ref\" is missing"),
        ("groups_claim", json!("groups"), json!({"groups": ["a", "b"]}), ""),
        ("groups_claim", json!("groups"), json!({}), "\"groups\" claim not found in token"),
        ("groups_claim", json!("groups"), json!({"groups": [1]}), "could not be parsed as string"),
        ("claim_mappings", json!({"x": "y"}), json!({"x": 1}), "error converting claim 'x'"),
    ];
    for (field, value, token, text) in cases {
        let mut role =
            json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault" });
        role[field] = value;
        world.node.root("DELETE", "auth/jwt/role/b", Value::Null).await;
        world.ok("role/b", role).await;
        let got = world.log_in("b", &world.key.sign(&claims(token))).await;
        assert_eq!(got.status, if text.is_empty() { 200 } else { 400 }, "{field}: {got:?}");
        assert!(got.errors().contains(text), "{field}: {}", got.errors());
    }
    // An audience that the role does not name.
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_subject": "build-7" });
    world.ok("role/s", role).await;
    let got = world.log_in("s", &world.key.sign(&claims(json!({})))).await;
    assert!(got.errors().contains("no audiences bound to the role"), "{got:?}");
    let got = world.log_in("s", &world.key.sign(&claims(json!({"aud": 5})))).await;
    assert!(got.errors().contains("no audiences bound to the role"), "{got:?}");
    let got = world.log_in("s", &world.key.sign(&claims(json!({"aud": null})))).await;
    assert_eq!(got.status, 200, "{got:?}");
    // An address.
    let cidrs = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault",
        "token_bound_cidrs": "10.0.0.0/8",
    });
    world.ok("role/c", cidrs).await;
    let jwt = world.key.sign(&claims(json!({})));
    assert_eq!(world.log_in("c", &jwt).await.status, 403);
    world.node.come_from("10.1.2.3");
    assert_eq!(world.log_in("c", &jwt).await.status, 200);
}

#[tokio::test]
async fn the_leeways_are_the_roles() {
    let world = static_world().await;
    let role = |skew: Value| {
        json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault",
            "clock_skew_leeway": skew, "expiration_leeway": "-1", "not_before_leeway": -1,
        })
    };
    for (skew, expired_for, good) in [
        (json!(0), 60, true),
        (json!(0), 61, false),
        (json!(-1), 0, true),
        (json!("-1"), 1, false),
        (json!("5m"), 300, true),
        (json!("5m"), 301, false),
    ] {
        world.ok("role/l", role(skew.clone())).await;
        let jwt = world.key.sign(&claims(json!({"exp": now() - expired_for, "iat": now() - 900})));
        let got = world.log_in("l", &jwt).await;
        assert_eq!(got.status == 200, good, "{skew} {expired_for}: {got:?}");
    }
}

#[tokio::test]
async fn only_chosen_algorithms_count() {
    let world = World::new().await;
    let rsa = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
    let pem = rsa.public().unwrap().to_pem();
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault" });
    world.ok("role/r", role).await;
    let claims = claims(json!({})).to_string();
    let by = |algorithm| sign_compact(algorithm, "k", claims.as_bytes(), &rsa).unwrap();
    let (rs, ps) = (by(Algorithm::Rs(Hash::Sha256)), by(Algorithm::Ps(Hash::Sha256)));
    for (algorithms, rs_good, ps_good) in [
        (json!([]), true, true),
        (json!("RS256"), true, false),
        (json!(["PS256", "ES256"]), false, true),
    ] {
        let config = json!({ "jwt_validation_pubkeys": [pem], "jwt_supported_algs": algorithms });
        world.ok("config", config).await;
        for (jwt, good) in [(&rs, rs_good), (&ps, ps_good)] {
            let got = world.log_in("r", jwt).await;
            assert_eq!(got.status == 200, good, "{algorithms}: {got:?}");
            assert!(good || got.errors().contains("unexpected algorithm"), "{got:?}");
        }
    }
}

/// Threat: answers of outside services are bounded, and asked for once.
#[tokio::test]
async fn many_logins_fetch_keys_once() {
    let world = World::new().await;
    let config = json!({ "oidc_discovery_url": ISSUER, "default_role": "R" });
    world.ok("config", config).await;
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault" });
    world.ok("role/r", role).await;
    let keys = format!("{ISSUER}/keys");
    let well_known = format!("{ISSUER}/.well-known");
    let before = world.web.calls(&well_known);
    assert_eq!(world.web.calls(&keys), 0);
    let jwt = world.key.sign(&claims(json!({})));
    let logins = (0..40).map(|_| {
        let (node, jwt) = (world.node.clone(), jwt.clone());
        // The role is the configured one.
        tokio::spawn(async move {
            node.call("WRITE", "auth/jwt/login", "", json!({ "jwt": jwt })).await.status
        })
    });
    for login in logins.collect::<Vec<_>>() {
        assert_eq!(login.await.unwrap(), 200);
    }
    assert_eq!((world.web.calls(&keys), world.web.calls(&well_known) - before), (1, 1));
    // A flood of tokens of unknown keys asks once, too.
    let stranger = Key::new("two");
    world.node.clock.advance(20);
    for _ in 0..20 {
        let got = world.log_in("r", &stranger.sign(&claims(json!({})))).await;
        assert!(got.errors().contains("no known key"), "{got:?}");
    }
    assert_eq!(world.web.calls(&keys), 2);
    // The key is published, and found.
    world.publish(&[&world.key, &stranger]);
    world.node.clock.advance(20);
    assert_eq!(world.log_in("r", &stranger.sign(&claims(json!({})))).await.status, 200);
}

#[tokio::test]
async fn a_provider_that_is_down_is_said_to_be() {
    let world = World::new().await;
    let keys = format!("{ISSUER}/keys");
    world.ok("config", json!({ "jwks_url": keys })).await;
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault" });
    world.ok("role/r", role).await;
    world.web.down(&keys);
    let jwt = world.key.sign(&claims(json!({})));
    let got = world.log_in("r", &jwt).await;
    assert_eq!(got.status, 502, "{got:?}");
    assert!(got.errors().contains("the provider's keys can't be had"), "{got:?}");
    let read = world.read("config").await;
    assert_eq!(read.data()["status"], "invalid", "{read:?}");
    world.publish(&[&world.key]);
    world.node.clock.advance(31);
    assert_eq!(world.log_in("r", &jwt).await.status, 200);
    assert_eq!(world.read("config").await.data()["status"], "valid");
}

#[tokio::test]
async fn policies_can_be_made_of_claims() {
    let world = static_world().await;
    let role = |policies: Value| {
        json!({
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault",
            "token_policies_template_claims": true, "token_policies": policies,
        })
    };
    world.ok("role/p", role(json!(["p_{{.project}}", "{{if eq .env \"prod\"}}prod{{end}}"]))).await;
    let jwt = |other: Value| world.key.sign(&claims(other));
    let got = world.log_in("p", &jwt(json!({"project": "web", "env": "test"}))).await;
    assert_eq!(got.body["auth"]["policies"], json!(["default", "p_web"]), "{got:?}");
    // Threat GHSA-59w7-v8rr-pr4p.
    for project in [json!("a/b"), json!("*"), json!("a,root"), Value::Null] {
        let got = world.log_in("p", &jwt(json!({"project": project, "env": "x"}))).await;
        assert_eq!(got.status, 400, "{project}: {got:?}");
    }
    let got = world.write("role/q", role(json!("{{.a"))).await;
    assert!(got.errors().contains("failed to parse template policy"), "{got:?}");
    // Threat CVE-2025-5999.
    world.ok("role/p", role(json!("{{.project}}"))).await;
    let got = world.log_in("p", &jwt(json!({"project": "root"}))).await;
    assert_eq!(got.status, 400, "{got:?}");
    let got = world.log_in("p", &jwt(json!({"project": "ROOT"}))).await;
    assert_eq!(got.status, 400, "{got:?}");
}
