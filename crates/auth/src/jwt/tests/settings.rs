//! The configuration and roles.

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn a_configuration_reads_as_it_was_written() {
    let world = World::new().await;
    assert_eq!(world.read("config").await.status, 404);
    world
        .ok(
            "config",
            json!({
                "oidc_discovery_url": ISSUER, "oidc_client_id": "client",
                "oidc_client_secret": "canary-secret", "default_role": "Dev",
                "jwt_supported_algs": "RS256,ES256", "provider_config": {"provider": "azure"},
            }),
        )
        .await;
    let got = world.read("config").await;
    assert_eq!(
        *got.data(),
        json!({
            "oidc_discovery_url": ISSUER, "oidc_discovery_ca_pem": "", "oidc_client_id": "client",
            "oidc_response_mode": "", "oidc_response_types": [], "default_role": "dev",
            "jwt_validation_pubkeys": [], "jwt_supported_algs": ["RS256", "ES256"], "jwks_url": "",
            "jwks_ca_pem": "", "bound_issuer": "", "provider_config": {"provider": "azure"},
            "override_allowed_server_names": [], "namespace_in_state": true, "status": "valid",
        })
    );
    assert!(!format!("{got:?}").contains("canary-secret"));
    // What is not given is set back, but for one.
    let config = json!({ "oidc_discovery_url": ISSUER, "namespace_in_state": false });
    world.ok("config", config).await;
    world.ok("config", json!({ "oidc_discovery_url": ISSUER })).await;
    let data = world.read("config").await.data().clone();
    assert_eq!((&data["oidc_client_id"], &data["namespace_in_state"]), (&json!(""), &json!(false)));
}

#[tokio::test]
async fn what_a_configuration_refuses() {
    let world = World::new().await;
    let pem = world.key.pem();
    world.web.answer("https://other.example/", 200, json!({"issuer": ISSUER}).to_string());
    world.web.answer("https://broken.example/", 500, "canary");
    let plain = json!({
        "issuer": "https://plain.example", "jwks_uri": "https://plain.example/keys",
        "token_endpoint": "http://plain.example/token",
    });
    world.web.answer("https://plain.example/", 200, plain.to_string());
    let oidc = |other: Value| {
        let mut config = json!({
            "oidc_discovery_url": ISSUER, "oidc_client_id": "a", "oidc_client_secret": "canary",
        });
        for (name, value) in other.as_object().unwrap() {
            config[name] = value.clone();
        }
        config
    };
    for (config, text) in [
        (json!({}), "exactly one of"),
        (json!({"jwks_url": "https://a/", "oidc_discovery_url": ISSUER}), "exactly one of"),
        (json!({"jwt_validation_pubkeys": pem, "oidc_discovery_url": ISSUER}), "exactly one of"),
        (json!({"oidc_discovery_url": ISSUER, "oidc_client_id": "a"}), "both 'oidc_client_id'"),
        (json!({"oidc_discovery_url": ISSUER, "oidc_client_secret": "canary"}), "both 'oidc_cl"),
        (
            json!({"jwks_url": "https://a/", "oidc_client_id": "a", "oidc_client_secret": "canary"}),
            "'oidc_discovery_url' must be set for OIDC",
        ),
        (
            json!({"oidc_discovery_url": format!("{ISSUER}/.well-known/openid-configuration")}),
            "contains '.well-known' component",
        ),
        (json!({"oidc_discovery_url": "https://nobody.example"}), "error checking oidc discovery"),
        (json!({"oidc_discovery_url": "https://broken.example"}), "answered status 500"),
        (json!({"oidc_discovery_url": "https://other.example"}), "issuer did not match"),
        (json!({"oidc_discovery_url": "https://plain.example"}), "endpoints are without TLS"),
        (json!({"jwks_url": "https://nobody.example"}), "error checking jwks URL"),
        (json!({"jwks_url": "https://other.example/"}), "the answer is no set of keys"),
        (json!({"jwt_validation_pubkeys": ["canary"]}), "error parsing public key"),
        (json!({"jwks_url": "https://a/", "jwks_ca_pem": "canary"}), "could not parse CA PEM"),
        (oidc(json!({"oidc_discovery_ca_pem": "canary"})), "could not parse CA PEM"),
        (oidc(json!({"jwt_supported_algs": "HS256"})), "invalid jwt_supported_algs"),
        (oidc(json!({"jwt_supported_algs": "none"})), "invalid jwt_supported_algs"),
        (oidc(json!({"oidc_response_mode": "canary"})), "invalid response_mode"),
        (oidc(json!({"oidc_response_types": "canary"})), "invalid response_types"),
        (oidc(json!({"oidc_response_types": "id_token"})), "query response_mode may not be used"),
        (oidc(json!({"provider_config": {"x": 1}})), "'provider' field not found"),
        (oidc(json!({"provider_config": {"provider": "canary"}})), "not found in custom providers"),
        (oidc(json!({"provider_config": {"provider": "kubernetes"}})), "exactly one of"),
    ] {
        let got = world.write("config", config.clone()).await;
        assert_eq!(got.status, 400, "{config}: {got:?}");
        assert!(got.errors().contains(text), "{config}: {}", got.errors());
        assert!(!got.errors().contains("canary"), "{}", got.errors());
    }
    assert_eq!(world.read("config").await.status, 404, "nothing of it was kept");
    let config = json!({"jwks_url": "https://nobody.example", "skip_jwks_validation": true});
    let got = world.write("config", config).await;
    assert!(
        got.body["warnings"][0].as_str().unwrap().contains("error checking jwks URL"),
        "{got:?}"
    );
    assert_eq!(world.read("config").await.data()["status"], "invalid");
}

#[tokio::test]
async fn a_role_reads_as_it_was_written() {
    let world = World::new().await;
    assert_eq!(world.node.root("LIST", "auth/jwt/role/", Value::Null).await.status, 404);
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": "a,b", "bound_subject": "s",
        "bound_claims": {"x": ["y"]}, "claim_mappings": {"c": "d"}, "policies": "p", "ttl": "1h",
        "clock_skew_leeway": "90s", "poll_interval": 3, "max_age": "1m", "oidc_scopes": "email",
    });
    world.ok("role/Build", role).await;
    let got = world.read("role/build").await;
    assert_eq!(
        *got.data(),
        json!({
            "role_type": "jwt", "expiration_leeway": 0, "not_before_leeway": 0,
            "clock_skew_leeway": 90, "bound_audiences": ["a", "b"], "bound_subject": "s",
            "bound_claims_type": "string", "bound_claims": {"x": ["y"]},
            "claim_mappings": {"c": "d"}, "oauth2_metadata": null, "user_claim": "sub",
            "user_claim_json_pointer": false, "groups_claim": "", "allowed_redirect_uris": null,
            "callback_mode": "client", "oidc_scopes": ["email"], "verbose_oidc_logging": false,
            "max_age": 60, "token_policies_template_claims": false,
            "oidc_disable_confirmation": false, "poll_interval": 3,
            "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0,
            "token_no_default_policy": false, "token_period": 0, "token_policies": ["p"],
            "policies": ["p"], "token_type": "default", "token_ttl": 3600, "ttl": 3600,
            "token_num_uses": 0, "token_strictly_bind_ip": false,
        })
    );
    let list = world.node.root("LIST", "auth/jwt/role", Value::Null).await;
    assert_eq!(list.data()["keys"], json!(["build"]));
    // A change keeps what it does not give.
    world.ok("role/build", json!({ "role_type": "jwt", "bound_subject": "t" })).await;
    let data = world.read("role/build").await.data().clone();
    assert_eq!((&data["bound_subject"], &data["user_claim"]), (&json!("t"), &json!("sub")));
    let gone = world.node.root("DELETE", "auth/jwt/role/BUILD", Value::Null).await;
    assert_eq!(gone.status, 204);
    assert_eq!(world.read("role/build").await.status, 404);
}

#[tokio::test]
async fn what_a_role_refuses() {
    let world = World::new().await;
    let jwt = |other: Value| {
        let mut role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "a" });
        for (name, value) in other.as_object().unwrap() {
            role[name] = value.clone();
        }
        role
    };
    for (role, text) in [
        (json!({"user_claim": "sub"}), "'allowed_redirect_uris' must be set"),
        (json!({"role_type": "oidc", "user_claim": "sub"}), "'allowed_redirect_uris' must be set"),
        (json!({"role_type": "jwt", "user_claim": "sub"}), "at least one bound constraint"),
        (json!({"role_type": "jwt", "bound_audiences": "a"}), "a user claim must be defined"),
        (jwt(json!({"role_type": "canary"})), "invalid 'role_type'"),
        (jwt(json!({"bound_claims_type": "canary"})), "invalid 'bound_claims_type'"),
        (jwt(json!({"bound_claims": "canary"})), "expected an object"),
        (jwt(json!({"bound_claims": {"a": {"b": 1}}})), "claim is not a string or list"),
        (jwt(json!({"bound_claims": {"a": 1}, "bound_claims_type": "glob"})), "not a string"),
        (jwt(json!({"claim_mappings": {"a": "role"}})), "is reserved"),
        (jwt(json!({"claim_mappings": {"a": "x", "b": "x"}})), "multiple keys are mapped"),
        (jwt(json!({"oauth2_metadata": "canary"})), "Unrecognized oauth2 metadata name"),
        (jwt(json!({"callback_mode": "canary"})), "invalid 'callback_mode'"),
        (jwt(json!({"poll_interval": -1})), "cannot be negative"),
        (jwt(json!({"token_ttl": 10, "token_max_ttl": 5})), "cannot be greater"),
        (jwt(json!({"period": "10000h"})), "is greater than the backend's maximum lease TTL"),
        (jwt(json!({"clock_skew_leeway": "canary"})), "expected"),
    ] {
        let got = world.write("role/r", role.clone()).await;
        assert_eq!(got.status, 400, "{role}: {got:?}");
        assert!(got.errors().contains(text), "{role}: {}", got.errors());
        assert!(!got.errors().contains("canary"), "{}", got.errors());
    }
    let device = json!({"user_claim": "sub", "callback_mode": "device"});
    assert_eq!(world.write("role/r", device).await.status, 204, "nobody is sent anywhere");
    let got = world.write("role/r", jwt(json!({"verbose_oidc_logging": true}))).await;
    assert!(got.body["warnings"][0].as_str().unwrap().contains("has no effect"), "{got:?}");
}
