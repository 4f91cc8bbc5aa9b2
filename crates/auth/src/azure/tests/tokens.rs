//! Tokens, and whose they are.

use serde_json::{Value, json};
use strongroom_testkit::clouds::Signer;
use strongroom_testkit::clouds::azure::{RESOURCE, TENANT};

use super::{AUTHORITY, MANAGER, OID, World, refused};

#[tokio::test]
async fn a_token_is_the_tenants() {
    // threat CVE-2024-5798
    let world = World::new().await;
    world.must("role/app", json!({ "bound_service_principal_ids": OID })).await;
    let claims = world.azure.claims(OID, &json!({}));
    for token in world.azure.signer.tricks(&claims) {
        let got = world.login("app", &token).await;
        assert!(got.status == 400 && got.body["auth"].is_null(), "{token}: {got:?}");
    }
    let other = Signer::new(&world.azure.signer.kid);
    refused(&world.login("app", &other.sign(&claims)).await, 400, "no key of the tenant");
    let now = world.now();
    for (name, value, text) in [
        ("iss", json!("https://sts.windows.net/other/"), "issuer is not the tenant's"),
        ("iss", json!(AUTHORITY), "issuer is not the tenant's"),
        ("iss", Value::Null, "issuer is not the tenant's"),
        ("tid", json!("99999999-2222-3333-4444-555555555555"), "another tenant"),
        ("aud", json!("https://management.azure.com/"), "its audience is not"),
        ("aud", json!(format!("{RESOURCE}/")), "its audience is not"),
        ("aud", json!(RESOURCE.to_uppercase()), "its audience is not"),
        ("aud", Value::Null, "its audience is not"),
        ("exp", Value::Null, "it has no end"),
        ("exp", json!("never"), "it has no end"),
        ("exp", json!(now - 61), "token is expired"),
        ("nbf", json!(now + 61), "not yet valid"),
        ("iat", json!(now + 61), "issued in the future"),
        ("oid", Value::Null, "it has no 'oid'"),
        ("oid", json!(""), "it has no 'oid'"),
        ("oid", json!("other"), "service principal not authorized"),
    ] {
        refused(&world.login("app", &world.token(json!({ name: value }))).await, 400, text);
    }
    refused(&world.login("app", "").await, 400, "jwt is required");
    refused(&world.login("", &world.token(json!({}))).await, 400, "role is required");
    refused(&world.login("none", &world.token(json!({}))).await, 400, "invalid role name");
    assert_eq!(world.login("app", &world.token(json!({}))).await.status, 200);
    assert_eq!(world.web.calls(MANAGER), 0);
}

#[tokio::test]
async fn a_login_gives_a_token_of_the_role() {
    let world = World::new().await;
    let body = json!({ "bound_service_principal_ids": OID, "policies": "p", "token_ttl": 60 });
    world.must("role/App", body).await;
    let token = world.token(json!({ "appid": "an-app", "groups": ["g1", "", "g2"] }));
    let got = world.login("APP", &token).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    let told = json!({
        "role": "app", "app_id": "an-app",
    });
    assert_eq!(auth["metadata"], told);
    assert_eq!(auth["policies"], json!(["default", "p"]));
    let renew = || {
        world.node.call(
            "WRITE",
            "auth/token/renew-self",
            got.body["auth"]["client_token"].as_str().unwrap(),
            json!({}),
        )
    };
    assert_eq!(renew().await.status, 200);
    world.node.root("DELETE", "auth/azure/role/app", Value::Null).await;
    refused(&renew().await, 400, "role does not exist");
}

#[tokio::test]
async fn principals_and_groups_are_bound() {
    let world = World::new().await;
    let token = || world.token(json!({ "groups": ["g1", "g2"] }));
    for (principals, groups, text) in [
        (json!([OID]), json!([]), ""),
        (json!([OID.to_uppercase()]), json!([]), ""),
        (json!([]), json!(["g2"]), ""),
        (json!(["*"]), json!(["g2"]), ""),
        (json!([OID]), json!(["*"]), ""),
        (json!(["other"]), json!(["g1"]), "service principal not authorized"),
        (json!([OID]), json!(["g3"]), "groups not authorized"),
    ] {
        let body = json!({ "bound_service_principal_ids": principals, "bound_group_ids": groups });
        world.must("role/r", body.clone()).await;
        let got = world.login("r", &token()).await;
        match text {
            "" => assert_eq!(got.status, 200, "{body}: {got:?}"),
            text => refused(&got, 400, text),
        }
    }
    for (principals, groups) in [("*", ""), ("", "*"), ("*", "*")] {
        let body = json!({ "bound_service_principal_ids": principals, "bound_group_ids": groups });
        refused(&world.write("role/r", body).await, 400, "any identity of the tenant");
    }
    let both = json!({
        "bound_service_principal_ids": "*", "bound_group_ids": "*", "bound_locations": "eastus",
    });
    world.must("role/b", both).await;
    refused(&world.login("b", &token()).await, 400, "both cannot be empty or '*'");
    let warned = world.write("role/l", json!({ "bound_locations": "eastus" })).await;
    assert!(warned.body["warnings"][0].as_str().unwrap().contains("nobody can log in"));
    refused(&world.login("l", &token()).await, 400, "both cannot be empty or '*'");
}

#[tokio::test]
async fn a_tenant_that_is_down_or_odd_is_said() {
    let world = World::new().await;
    world.must("role/app", json!({ "bound_service_principal_ids": OID })).await;
    let discovery = format!("{AUTHORITY}/{TENANT}/.well-known/openid-configuration");
    for body in [
        json!({}),
        json!({ "issuer": "https://sts.windows.net/{tenantid}/", "jwks_uri": "https://x" }),
        json!({ "issuer": "", "jwks_uri": "https://x" }),
        json!({ "issuer": "x" }),
    ] {
        world.web.answer(&discovery, 200, body.to_string());
        refused(
            &world.login("app", &world.token(json!({}))).await,
            502,
            "names no issuer and keys",
        );
        world.node.clock.advance(3_700);
    }
    let http = json!({ "issuer": "x", "jwks_uri": "http://evil.example/keys" });
    world.web.answer(&discovery, 200, http.to_string());
    refused(&world.login("app", &world.token(json!({}))).await, 400, "must be an https URL");
    world.node.clock.advance(3_700);
    world.web.answer(&discovery, 500, "");
    refused(&world.login("app", &world.token(json!({}))).await, 502, "keys can't be had");
    world.node.root("DELETE", "auth/azure/config", Value::Null).await;
    refused(&world.login("app", &world.token(json!({}))).await, 400, "tenant_id is required");
}
