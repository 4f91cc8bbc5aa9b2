//! Tokens of service accounts.

use serde_json::{Value, json};
use strongroom_testkit::clouds::google::Account;
use strongroom_testkit::servers::http::Asked;

use super::{API, CRM, IAM, TOKEN, World, refused};

#[tokio::test]
async fn a_token_is_signed_by_its_subject_and_as_it_must_be() {
    // threat CVE-2024-5798
    let world = World::new().await;
    let app = world.app().await;
    let other = world.google.has(Account::new("other", "shop", "222"));
    let claims =
        |sub: &str| json!({ "sub": sub, "aud": "http://vault/app", "exp": world.now() + 600 });
    let own = claims(&app.email);
    for token in app.signer.tricks(&own) {
        let got = world.login("app", &token).await;
        assert!(got.status == 400 && got.body["auth"].is_null(), "{token}: {got:?}");
    }
    refused(&world.login("app", "").await, 400, "unable to parse signed JWT");
    refused(&world.login("app", &"a".repeat(20_000)).await, 400, "unable to parse signed JWT");
    // Somebody else's key, which says it is the right one.
    refused(&world.login("app", &other.signer.sign(&own)).await, 400, "no key of Google's");
    let stolen = strongroom_testkit::clouds::Signer::new(&app.signer.kid);
    refused(&world.login("app", &stolen.sign(&own)).await, 400, "no key of Google's");
    // One's own key for somebody else's name.
    refused(
        &world.login("app", &other.signer.sign(&claims(&other.email))).await,
        400,
        "not authorized",
    );
    // A subject that would lead elsewhere.
    for sub in ["../../v1/jwk/x", "a b", "", "app@shop?x"] {
        refused(&world.login("app", &app.signer.sign(&claims(sub))).await, 400, "'sub' claim");
    }
    assert_eq!(world.login("app", &app.signer.sign(&own)).await.status, 200);
}

#[tokio::test]
async fn times_and_audiences_hold() {
    let world = World::new().await;
    let app = world.app().await;
    let now = world.now();
    let with = |name: &str, value: Value| {
        let mut claims = json!({ "sub": app.email, "aud": "http://vault/app", "exp": now + 600 });
        claims[name] = value;
        if claims[name].is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        app.signer.sign(&claims)
    };
    for (name, value, text) in [
        ("exp", Value::Null, "JWT is expired"),
        ("exp", json!(now - 61), "JWT is expired"),
        ("exp", json!("soon"), "is no number"),
        ("exp", json!(now + 16 * 60), "expire within 900 seconds"),
        ("exp", json!(now + 3_661), "must expire in 60 minutes"),
        ("nbf", json!(now + 61), "not valid yet"),
        ("iat", json!(now + 61), "not valid yet"),
        ("aud", Value::Null, "claim 'aud' must end in"),
        ("aud", json!([]), "claim 'aud' must end in"),
        ("aud", json!("http://vault/other"), "claim 'aud' must end in"),
        ("aud", json!("http://vault/app/"), "claim 'aud' must end in"),
        ("aud", json!("http://vault/apple"), "claim 'aud' must end in"),
        ("aud", json!(["http://vault/app", "http://vault/other"]), "claim 'aud' must end in"),
        ("aud", json!(["http://vault/app", 1]), "claim 'aud' must end in"),
        ("aud", json!({ "vault/app": 1 }), "claim 'aud' must end in"),
        ("sub", Value::Null, "'sub' claim"),
    ] {
        refused(&world.login("app", &with(name, value.clone())).await, 400, text);
    }
    for (name, value) in [
        ("exp", json!(now - 59)),
        ("aud", json!("vault/app")),
        ("aud", json!(["https://a.example/vault/app", "vault/APP"])),
        ("nbf", json!(now)),
    ] {
        assert_eq!(world.login("app", &with(name, value.clone())).await.status, 200, "{value}");
    }
    world.must("role/app", json!({ "max_jwt_exp": "1h" })).await;
    assert_eq!(world.login("app", &with("exp", json!(now + 3_600))).await.status, 200);
}

#[tokio::test]
async fn a_login_gives_a_token_of_the_role() {
    let world = World::new().await;
    let app = world.app().await;
    world.must("config", json!({ "iam_alias": "unique_id" })).await;
    world.must("role/app", json!({ "add_group_aliases": true })).await;
    let got = world.login("APP", &world.google.account_token(&app, "app", 600)).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(
        auth["metadata"],
        json!({
            "role": "app", "project_id": "shop", "service_account_id": "111",
            "service_account_email": "app@shop.iam.gserviceaccount.com",
        })
    );
    assert_eq!(auth["policies"], json!(["default", "p"]));
    let alias = json!({ "alias_name": "111", "alias_mount_accessor": world.accessor });
    let found = world.node.root("WRITE", "identity/lookup/entity", alias).await;
    assert_eq!(found.data()["id"], auth["entity_id"]);
    assert_eq!(world.web.calls(CRM), 1);
    for _ in 0..3 {
        let token = world.google.account_token(&app, "app", 600);
        assert_eq!(world.login("app", &token).await.status, 200);
    }
    assert_eq!(world.web.calls(TOKEN), 1, "one access token for all of them");
    assert_eq!(world.web.calls(&format!("{API}service_accounts/")), 1);
    world.must("role/app", json!({ "token_bound_cidrs": "10.0.0.0/8" })).await;
    let token = world.google.account_token(&app, "app", 600);
    assert_eq!(world.login("app", &token).await.status, 403);
}

#[tokio::test]
async fn accounts_and_projects_are_bound() {
    let world = World::new().await;
    let app = world.app().await;
    let login = |role: &'static str| {
        let token = world.google.account_token(&app, role, 600);
        let world = &world;
        async move { world.login(role, &token).await }
    };
    for (body, good) in [
        (json!({ "bound_service_accounts": "111" }), true),
        (json!({ "bound_service_accounts": "*" }), true),
        (json!({ "bound_service_accounts": "other@shop.iam.gserviceaccount.com" }), false),
        (json!({ "bound_service_accounts": "*", "bound_projects": "other" }), false),
        (json!({ "bound_service_accounts": "*", "bound_projects": "other,shop" }), true),
    ] {
        world.must("role/app", body.clone()).await;
        assert_eq!(login("app").await.status, if good { 200 } else { 400 }, "{body}");
    }
    world.google.disable(&app.email, false);
    refused(&login("app").await, 400, "not there, or disabled");
    world.google.disable(&app.email, true);
    refused(&login("app").await, 400, "not there, or disabled");
    refused(&login("none").await, 400, "role not found");
}

#[tokio::test]
async fn without_google_nobody_logs_in() {
    let world = World::without_credentials().await;
    let app = world.app().await;
    let token = || world.google.account_token(&app, "app", 600);
    refused(&world.login("app", &token()).await, 400, "config has no credentials");
    let mut wrong: Value = serde_json::from_str(&world.google.credentials("")).unwrap();
    wrong["private_key"] = json!(app.signer.key.to_pkcs8_pem().expose_secret());
    world.must("config", json!({ "credentials": wrong })).await;
    refused(&world.login("app", &token()).await, 502, "Google gives no access token");
    world.must("config", json!({ "credentials": world.google.credentials("") })).await;
    world.web.answer(IAM, 403, "{}");
    refused(&world.login("app", &token()).await, 502, "the service account can't be looked up");
    world.web.down(IAM);
    refused(&world.login("app", &token()).await, 502, "the service account can't be looked up");
    let fresh = World::new().await;
    let app = fresh.app().await;
    fresh.web.down(API);
    let token = fresh.google.account_token(&app, "app", 600);
    refused(&fresh.login("app", &token).await, 502, "the provider's keys can't be had");
}

#[tokio::test]
async fn strangers_can_not_wear_google_out() {
    // Threat: what strangers can make the server do is bounded in total.
    let world = World::new().await;
    let app = world.app().await;
    let token = || world.google.account_token(&app, "app", 600);
    let stranger = strongroom_testkit::clouds::Signer::new("unknown");
    let certs = format!("{API}oauth2/v3/certs");
    for n in 0..300 {
        let claims = json!({ "sub": n.to_string(), "aud": "vault/app", "exp": world.now() + 60 });
        let got = world.login("app", &stranger.sign(&claims)).await;
        assert!(got.status >= 400 && got.body["auth"].is_null(), "{got:?}");
    }
    assert!(world.web.calls(&certs) <= 2, "{}", world.web.calls(&certs));
    // One that gives no access token is asked once for all who want one in the next seconds.
    world.web.answer(TOKEN, 500, "{}");
    for _ in 0..5 {
        refused(&world.login("app", &token()).await, 502, "Google gives no access token");
    }
    assert_eq!(world.web.calls(TOKEN), 1);
    let google = world.google.clone();
    world.web.serve(TOKEN, move |call| google.answer(&Asked::of(call)).into_answer());
    world.node.clock.advance(crate::access_tokens::RETRY_SECONDS);
    assert_eq!(world.login("app", &token()).await.status, 200);
}

#[tokio::test]
async fn a_renewal_asks_google_again() {
    let world = World::new().await;
    let app = world.app().await;
    let token = world.login("app", &world.google.account_token(&app, "app", 600)).await.token();
    assert_eq!(world.renew(&token).await, Ok(()));
    world.must("role/app", json!({ "token_policies": "q" })).await;
    assert!(world.renew(&token).await.unwrap_err().contains("policies on role have changed"));
    world.must("role/app", json!({ "token_policies": "p" })).await;
    world.must("role/app", json!({ "bound_service_accounts": "222" })).await;
    assert!(world.renew(&token).await.unwrap_err().contains("not authorized"));
    world.must("role/app", json!({ "bound_service_accounts": "111" })).await;
    assert_eq!(world.renew(&token).await, Ok(()));
    world.google.disable(&app.email, true);
    assert!(world.renew(&token).await.unwrap_err().contains("not there"));
    world.node.root("DELETE", "auth/gcp/role/app", Value::Null).await;
    assert!(world.renew(&token).await.unwrap_err().contains("role no longer exists"));
}
