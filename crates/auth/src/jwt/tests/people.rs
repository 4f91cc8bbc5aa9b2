//! Logging people in, in a browser and on another device.

use serde_json::{Value, json};

use super::*;
use crate::jwt::QUESTIONS_AT_A_TIME;
use crate::jwt::flows::{FLOW_SECONDS, FLOWS_MAX};

/// A mount that logs people in by the provider, with the role `dev`.
async fn world_of(config: Value, role: Value) -> World {
    let world = World::new().await;
    let mut whole = json!({
        "oidc_discovery_url": ISSUER, "oidc_client_id": "client",
        "oidc_client_secret": "canary-secret", "jwt_supported_algs": "ES256",
    });
    let mut dev = json!({
        "user_claim": "email", "allowed_redirect_uris": CALLBACK, "token_policies": "dev",
    });
    for (into, from) in [(&mut whole, config), (&mut dev, role)] {
        for (name, value) in from.as_object().unwrap() {
            into[name] = value.clone();
        }
    }
    world.ok("config", whole).await;
    world.ok("role/dev", dev).await;
    world
}

/// The parameters of an address.
fn parameters(url: &str) -> Value {
    let query = url.split_once('?').unwrap().1;
    let pairs = crate::jwt::form::decode(query).unwrap();
    pairs.into_iter().map(|(n, v)| (n, json!(v.expose_secret().clone()))).collect()
}

impl World {
    /// Begins a login; the address's parameters. The provider will know the challenge and the nonce.
    async fn begin(&self, body: Value) -> Value {
        let got = self.call("WRITE", "oidc/auth_url", body).await;
        assert_eq!(got.status, 200, "{got:?}");
        let url = got.data()["auth_url"].as_str().unwrap();
        assert!(url.starts_with(&format!("{ISSUER}/authorize?client_id=client&")), "{url}");
        let mut parameters = parameters(url);
        let mut said = self.said.lock();
        said.challenge = parameters["code_challenge"].as_str().unwrap_or_default().to_owned();
        said.claims = json!({ "nonce": parameters["nonce"] });
        parameters["given"] = got.data().clone();
        parameters
    }

    async fn begin_as_usual(&self) -> Value {
        self.begin(json!({"role": "dev", "redirect_uri": CALLBACK, "client_nonce": "n"})).await
    }

    async fn end(&self, state: &Value, code: &str, more: &str) -> Got {
        let state = state.as_str().unwrap();
        let path = format!("oidc/callback?state={state}&code={code}{more}");
        self.call("READ", &path, Value::Null).await
    }
}

#[tokio::test]
async fn a_person_logs_in_by_a_code() {
    let world = world_of(json!({}), json!({"oidc_scopes": "email", "max_age": 0})).await;
    let parameters = world.begin_as_usual().await;
    assert_eq!(parameters["given"], json!({ "auth_url": parameters["given"]["auth_url"] }));
    for (name, value) in [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", "openid email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(parameters[name], value, "{name}");
    }
    assert_eq!(parameters["state"].as_str().unwrap().len(), 46);
    assert_ne!(parameters["nonce"], parameters["state"]);
    let got = world.end(&parameters["state"], "good-code", "&client_nonce=n").await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(auth["policies"], json!(["default", "dev"]));
    assert_eq!(auth["metadata"], json!({"role": "dev"}));
    let said = world.said.lock();
    let form = said.forms.first().unwrap();
    let value = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()).unwrap();
    assert_eq!(value("redirect_uri"), CALLBACK);
    // "client:canary-secret"
    assert_eq!(value("authorization"), "Basic Y2xpZW50OmNhbmFyeS1zZWNyZXQ=");
}

/// Threat CVE-2026-33757.
#[tokio::test]
async fn a_state_is_good_once_for_who_began_and_for_a_while() {
    let world = world_of(json!({}), json!({})).await;
    let gone = "Vault login failed. Expired or missing OAuth state.";
    let got = world.end(&json!("st_made-up"), "good-code", "").await;
    assert_eq!((got.status, got.errors().as_str()), (400, gone));
    // Once, if it was good.
    let p = world.begin_as_usual().await;
    assert_eq!(world.end(&p["state"], "good-code", "&client_nonce=n").await.status, 200);
    let got = world.end(&p["state"], "good-code", "&client_nonce=n").await;
    assert_eq!((got.status, got.errors().as_str()), (400, gone), "a replay");
    // Once, if it was not.
    let p = world.begin_as_usual().await;
    let got = world.end(&p["state"], "good-code", "&client_nonce=other").await;
    assert_eq!(got.errors(), "Vault login failed. invalid client_nonce");
    let got = world.end(&p["state"], "good-code", "&client_nonce=n").await;
    assert_eq!(got.errors(), gone);
    let p = world.begin_as_usual().await;
    let got = world.end(&p["state"], "bad-code", "&client_nonce=n").await;
    assert!(got.errors().contains("Error exchanging oidc code: \"invalid_grant\""), "{got:?}");
    assert_eq!(world.end(&p["state"], "good-code", "&client_nonce=n").await.errors(), gone);
    // Not for long.
    let p = world.begin_as_usual().await;
    world.node.clock.advance(FLOW_SECONDS);
    assert_eq!(world.end(&p["state"], "good-code", "&client_nonce=n").await.errors(), gone);
    // Nobody polls for a login that comes back to its client.
    let p = world.begin_as_usual().await;
    let body = json!({"state": p["state"], "client_nonce": "n"});
    assert_eq!(world.call("WRITE", "oidc/poll", body).await.errors(), gone);
}

#[tokio::test]
async fn who_began_twice_at_once_logs_in_once() {
    let world = world_of(json!({}), json!({})).await;
    let p = world.begin_as_usual().await;
    let state = p["state"].as_str().unwrap().to_owned();
    let path = format!("auth/jwt/oidc/callback?state={state}&code=good-code&client_nonce=n");
    let calls = (0..8).map(|_| {
        let (node, path) = (world.node.clone(), path.clone());
        tokio::spawn(async move { node.call("READ", &path, "", Value::Null).await.status })
    });
    let mut statuses = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        statuses.push(call.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(world.said.lock().forms.len(), 1, "the code was sent once");
}

/// Threat: redirects to others.
#[tokio::test]
async fn a_foreign_redirect_gives_no_address() {
    let world = world_of(json!({}), json!({})).await;
    for uri in [
        "https://evil.example/oidc/callback",
        "http://localhost.evil.example:8250/oidc/callback",
        "http://localhost:8250@evil.example/oidc/callback",
        "http://localhost:8250/oidc/callback/..",
        "http://localhost:8250/other",
    ] {
        let body = json!({"role": "dev", "redirect_uri": uri});
        let got = world.call("WRITE", "oidc/auth_url", body).await;
        assert_eq!((got.status, &got.data()["auth_url"]), (200, &json!("")), "{uri}");
    }
    let got = world.call("WRITE", "oidc/auth_url", json!({"role": "dev"})).await;
    assert_eq!(got.errors(), "missing redirect_uri");
    world.begin(json!({"role": "dev", "redirect_uri": "http://localhost:4/oidc/callback"})).await;
}

#[tokio::test]
async fn what_is_no_login_of_a_person() {
    let world = World::new().await;
    let body = json!({"role": "dev", "redirect_uri": CALLBACK});
    let got = world.call("WRITE", "oidc/auth_url", body.clone()).await;
    assert_eq!(got.errors(), "could not load configuration");
    world.ok("config", json!({"jwt_validation_pubkeys": [world.key.pem()]})).await;
    let got = world.call("WRITE", "oidc/auth_url", body.clone()).await;
    assert_eq!(got.errors(), "OIDC login is not configured for this mount");
    let world = world_of(json!({}), json!({})).await;
    let got = world.call("WRITE", "oidc/auth_url", json!({"role": "none"})).await;
    assert_eq!(got.errors(), "role could not be found");
    let got = world.log_in("dev", "x").await;
    assert_eq!(got.errors(), "role with oidc role_type is not allowed");
    let jwt = json!({"role_type": "jwt", "user_claim": "sub", "bound_subject": "x"});
    world.ok("role/jwt", jwt).await;
    let body = json!({"role": "jwt", "redirect_uri": CALLBACK});
    let got = world.call("WRITE", "oidc/auth_url", body).await;
    assert_eq!(got.data()["auth_url"], "");
    assert_eq!(world.call("WRITE", "oidc/callback", json!({})).await.status, 405);
}

#[tokio::test]
async fn an_id_token_must_be_this_providers_for_this_client_and_flow() {
    let world = world_of(json!({}), json!({"bound_audiences": "client,x", "max_age": 100})).await;
    let fresh = json!({ "auth_time": now() });
    for (what, claims, text) in [
        ("another nonce", json!({"nonce": "other"}), "The nonce is another."),
        ("no nonce", json!({"nonce": null}), "The nonce is another."),
        ("another issuer", json!({"iss": "https://evil.example"}), "The issuer is another."),
        ("another client", json!({"aud": "other"}), "for another audience"),
        ("several", json!({"aud": ["client", "other"]}), "for another audience"),
        ("another party", json!({"azp": "other"}), "for another party"),
        ("no subject", json!({"sub": ""}), "has no subject"),
        ("expired", json!({"exp": now() - 61}), "token is expired"),
        ("no end", json!({"exp": null}), "has no end"),
        ("of the future", json!({"iat": now() + 61}), "token not yet valid"),
        ("no auth_time", json!({"auth_time": null}), "has no auth_time"),
        ("asked long ago", json!({"auth_time": now() - 160}), "asked too long ago"),
        ("another access token", json!({"at_hash": "AAAA"}), "The access token is another's."),
        ("another code", json!({"c_hash": "AAAA"}), "of another code"),
        ("odd names", json!({"EXP": 1}), "ambiguous claim"),
        ("good", json!({}), ""),
        ("good, for several", json!({"aud": ["client", "x"], "azp": "client"}), ""),
        ("good, just so", json!({"auth_time": now() - 159}), ""),
    ] {
        let p = world.begin_as_usual().await;
        for part in [&fresh, &claims] {
            for (name, value) in part.as_object().unwrap() {
                world.said.lock().claims[name] = value.clone();
            }
        }
        let got = world.end(&p["state"], "good-code", "&client_nonce=n").await;
        assert_eq!(got.status, if text.is_empty() { 200 } else { 400 }, "{what}: {got:?}");
        assert!(got.errors().contains(text), "{what}: {}", got.errors());
    }
    // A key that is not the provider's.
    let p = world.begin_as_usual().await;
    world.said.lock().claims["auth_time"] = json!(now());
    world.publish(&[&Key::new("one")]);
    world.node.clock.advance(601);
    let p2 = world.begin_as_usual().await;
    drop(p);
    let got = world.end(&p2["state"], "good-code", "&client_nonce=n").await;
    assert!(got.errors().contains("The signature is none of the provider's."), "{got:?}");
}

#[tokio::test]
async fn what_the_provider_says_went_wrong_is_told_in_known_words_only() {
    let world = world_of(json!({}), json!({})).await;
    for (error, text) in [
        ("access_denied", "Vault login failed. access_denied"),
        ("%3Cscript%3E", "Vault login failed. An unknown error occurred"),
    ] {
        let p = world.begin_as_usual().await;
        let more = format!("&client_nonce=n&error={error}&error_description=canary");
        let got = world.end(&p["state"], "", &more).await;
        assert!(got.status == 400 && got.errors().starts_with(text), "{got:?}");
        assert!(!got.errors().contains("canary"));
    }
}

#[tokio::test]
async fn what_the_provider_says_of_a_person_must_be_of_that_person() {
    let world =
        world_of(json!({}), json!({"user_claim": "sub", "claim_mappings": {"email": "mail"}}))
            .await;
    let userinfo = format!("{ISSUER}/userinfo");
    for (status, info, mail) in [
        (200, json!({"sub": "kim", "email": "kim@idp.example"}), Some("kim@idp.example")),
        (200, json!({"sub": "other", "email": "other@idp.example"}), None),
        (200, json!({"email": "other@idp.example"}), None),
        (200, json!({"sub": "kim", "iss": "https://evil.example", "email": "x"}), None),
        (500, json!({}), None),
    ] {
        world.web.answer(&userinfo, status, info.to_string());
        let p = world.begin_as_usual().await;
        let got = world.end(&p["state"], "good-code", "&client_nonce=n").await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.body["auth"]["metadata"]["mail"].as_str(), mail, "{info}");
    }
}

/// Threat CVE-2026-33758: a direct callback asks before anything is done, and shows nothing of what
/// it got unescaped.
#[tokio::test]
async fn a_direct_callback_asks_first_and_the_caller_polls() {
    let direct = "https://vault.example/v1/auth/jwt/oidc/callback";
    let role = json!({"callback_mode": "direct", "allowed_redirect_uris": direct});
    let world = world_of(json!({}), role).await;
    let got = world.call("WRITE", "oidc/auth_url", json!({"role": "dev", "redirect_uri": direct}));
    assert_eq!(got.await.errors(), "missing client_nonce");
    world.node.come_from("10.9.8.7");
    let body = json!({"role": "dev", "redirect_uri": direct, "client_nonce": "n"});
    let p = world.begin(body.clone()).await;
    assert_eq!(p["given"]["poll_interval"], "5");
    assert_eq!(p["given"]["state"], p["state"]);
    let poll = |nonce: &str| {
        let body = json!({"state": p["state"], "client_nonce": nonce});
        world.call("WRITE", "oidc/poll", body)
    };
    assert_eq!(poll("n").await.errors(), "authorization_pending");
    world.node.come_from("10.1.1.1");
    let page = world.end(&p["state"], "good-code", "").await;
    assert_eq!((page.status, page.content_type), (200, "text/html; charset=utf-8"));
    let text = String::from_utf8(page.raw.clone()).unwrap();
    assert!(text.contains("10.9.8.7") && text.contains(">dev<"), "{text}");
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(world.said.lock().forms.is_empty(), "nothing was done");
    assert_eq!(poll("n").await.errors(), "authorization_pending");
    let page = world.end(&p["state"], "good-code", "&confirmation=1").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.body["auth"].is_null(), "the browser gets no token");
    assert!(String::from_utf8(page.raw).unwrap().contains("Signed in"));
    let again = world.end(&p["state"], "good-code", "&confirmation=1").await;
    assert!(again.status == 400, "{again:?}");
    assert_eq!(poll("").await.errors(), "invalid client_nonce");
    assert_eq!(poll("m").await.errors(), "invalid client_nonce");
    let got = poll("n").await;
    assert_eq!(got.body["auth"]["policies"], json!(["default", "dev"]), "{got:?}");
    assert!(poll("n").await.errors().contains("Expired or missing OAuth state."), "once");
    // What went wrong is a page, and ends it.
    let p = world.begin(body).await;
    let page = world.end(&p["state"], "", "&confirmation=1&error=%3Cscript%3E").await;
    let text = String::from_utf8(page.raw).unwrap();
    assert!(page.status == 400 && !text.contains("<script"), "{text}");
    let body = json!({"state": p["state"], "client_nonce": "n"});
    let got = world.call("WRITE", "oidc/poll", body).await;
    assert!(got.errors().contains("Expired or missing OAuth state."), "{got:?}");
}

#[tokio::test]
async fn a_role_can_do_without_the_question() {
    let direct = "https://vault.example/v1/auth/jwt/oidc/callback";
    let world = world_of(
        json!({}),
        json!({
            "callback_mode": "direct", "allowed_redirect_uris": direct, "poll_interval": 2,
            "oidc_disable_confirmation": true, "bound_claims": {"email": "kim@idp.example"},
        }),
    )
    .await;
    let body = json!({"role": "dev", "redirect_uri": direct, "client_nonce": "n"});
    let p = world.begin(body.clone()).await;
    assert_eq!(p["given"]["poll_interval"], "2");
    let page = world.end(&p["state"], "good-code", "").await;
    assert!(String::from_utf8(page.raw).unwrap().contains("Signed in"));
    let body = json!({"state": p["state"], "client_nonce": "n"});
    assert_eq!(world.call("WRITE", "oidc/poll", body).await.status, 200);
}

#[tokio::test]
async fn a_person_confirms_on_another_device() {
    let role = json!({"callback_mode": "device", "allowed_redirect_uris": []});
    let world = world_of(json!({}), role).await;
    world.said.lock().pending = "authorization_pending".to_owned();
    let got = world.call("WRITE", "oidc/auth_url", json!({"role": "dev"})).await;
    assert_eq!(got.errors(), "missing client_nonce");
    let begin =
        || world.call("WRITE", "oidc/auth_url", json!({"role": "dev", "client_nonce": "n"}));
    let got = begin().await;
    let state = got.data()["state"].clone();
    assert_eq!(
        *got.data(),
        json!({
            "auth_url": format!("{ISSUER}/activate"), "state": state, "poll_interval": "7",
            "user_code": "AB-CD",
        })
    );
    let poll = |state: &Value, nonce: &str| {
        let body = json!({"state": state, "client_nonce": nonce});
        world.call("WRITE", "oidc/poll", body)
    };
    assert_eq!(poll(&state, "other").await.errors(), "invalid client_nonce");
    assert_eq!(poll(&state, "n").await.errors(), "authorization_pending");
    // Whoever asks too often does not make the server ask too often.
    let asked = world.web.calls(&format!("{ISSUER}/token"));
    assert_eq!(poll(&state, "n").await.errors(), "slow_down");
    assert_eq!(world.web.calls(&format!("{ISSUER}/token")), asked);
    world.node.clock.advance(7);
    world.said.lock().pending.clear();
    world.said.lock().claims = json!({});
    let got = poll(&state, "n").await;
    assert_eq!(got.body["auth"]["metadata"], json!({"role": "dev"}), "{got:?}");
    assert!(poll(&state, "n").await.errors().contains("Expired or missing"), "once");
    // The person says no.
    let state = begin().await.data()["state"].clone();
    world.said.lock().pending = "access_denied".to_owned();
    let got = poll(&state, "n").await;
    assert_eq!(got.errors(), "Vault login failed. authorization failed: access_denied");
    assert!(poll(&state, "n").await.errors().contains("Expired or missing"));
    // Nobody is sent anywhere, so nobody comes back.
    let state = begin().await.data()["state"].clone();
    let got = world.end(&state, "good-code", "&client_nonce=n").await;
    assert!(got.errors().contains("Expired or missing"), "{got:?}");
}

#[tokio::test]
async fn a_provider_can_answer_by_a_form() {
    let ui = "https://vault.example/ui/vault/auth/jwt/oidc/callback";
    let config = json!({"oidc_response_mode": "form_post"});
    let world = world_of(config, json!({"allowed_redirect_uris": ui})).await;
    let body = json!({"role": "dev", "redirect_uri": ui, "client_nonce": "n"});
    let p = world.begin(body).await;
    assert_eq!(p["redirect_uri"], "https://vault.example/v1/auth/jwt/oidc/callback");
    assert_eq!(p["response_mode"], "form_post");
    let state = p["state"].as_str().unwrap();
    let form = format!("code=good-code&state={state}");
    let page = world.node.call_raw("WRITE", "auth/jwt/oidc/callback", form.as_bytes()).await;
    let text = String::from_utf8(page.raw).unwrap();
    assert_eq!(page.status, 200, "{text}");
    assert!(text.contains("path: \"jwt\", code: \"no_code\""), "{text}");
    let got = world.end(&p["state"], "no_code", "&client_nonce=n").await;
    assert_eq!(got.status, 200, "{got:?}");
    for form in ["", "state=st_none&code=x", "state=%zz"] {
        let page = world.node.call_raw("WRITE", "auth/jwt/oidc/callback", form.as_bytes()).await;
        assert_eq!((page.status, page.content_type), (400, "text/html; charset=utf-8"), "{form}");
    }
}

#[tokio::test]
async fn a_provider_can_answer_by_an_id_token() {
    let config = json!({"oidc_response_mode": "form_post", "oidc_response_types": "id_token"});
    let world = world_of(config, json!({"user_claim": "sub"})).await;
    let p = world.begin_as_usual().await;
    assert_eq!(p["response_type"], "id_token");
    assert!(p["code_challenge"].is_null());
    let state = p["state"].as_str().unwrap();
    let signed = |nonce: &Value| {
        world.key.sign(&json!({
            "iss": ISSUER, "aud": "client", "sub": "kim", "iat": now(), "exp": now() + 60,
            "nonce": nonce,
        }))
    };
    // Nothing is kept that the provider did not sign for this flow.
    let stranger = Key::new("one").sign(&json!({"sub": "kim"}));
    for token in [stranger, signed(&json!("other"))] {
        let form = format!("state={state}&id_token={token}");
        let page = world.node.call_raw("WRITE", "auth/jwt/oidc/callback", form.as_bytes()).await;
        assert_eq!(page.status, 400);
    }
    let form = format!("state={state}&id_token={}", signed(&p["nonce"]));
    let page = world.node.call_raw("WRITE", "auth/jwt/oidc/callback", form.as_bytes()).await;
    assert_eq!(page.status, 200);
    let got = world.end(&p["state"], "", "&client_nonce=n").await;
    assert_eq!(got.body["auth"]["metadata"], json!({"role": "dev"}), "{got:?}");
    let p = world.begin_as_usual().await;
    let got = world.end(&p["state"], "good-code", "&client_nonce=n").await;
    assert!(got.errors().contains("No code or id_token received."), "{got:?}");
}

#[tokio::test]
async fn the_namespace_goes_along_in_the_state() {
    let ui = "https://vault.example/ui/vault/auth/jwt/oidc/callback";
    let world = world_of(json!({}), json!({"allowed_redirect_uris": ui})).await;
    let body = json!({"role": "dev", "redirect_uri": format!("{ui}?namespace=team%2Fa")});
    let p = world.begin(body).await;
    assert_eq!(p["redirect_uri"], ui);
    let state = p["state"].as_str().unwrap();
    assert!(state.ends_with(",ns=team/a"), "{state}");
    assert_eq!(world.end(&p["state"], "good-code", "").await.status, 200);
}

/// Threat: what strangers can make the server hold is bounded in total, and a flood does not push
/// out others.
#[tokio::test]
async fn a_flood_of_logins_leaves_others_alone() {
    let world = world_of(json!({}), json!({})).await;
    world.node.come_from("10.0.0.1");
    let p = world.begin_as_usual().await;
    let claims = world.said.lock().claims.clone();
    let challenge = world.said.lock().challenge.clone();
    world.node.come_from("10.0.0.2");
    for _ in 0..FLOWS_MAX + 10 {
        let body = json!({"role": "dev", "redirect_uri": CALLBACK});
        assert_eq!(world.call("WRITE", "oidc/auth_url", body).await.status, 200);
    }
    (world.said.lock().claims, world.said.lock().challenge) = (claims, challenge);
    let got = world.end(&p["state"], "good-code", "&client_nonce=n").await;
    assert_eq!(got.status, 200, "{got:?}");
}

/// Threat: a provider that does not answer is not asked by all who come.
#[tokio::test]
async fn so_many_ask_the_provider_at_a_time_and_the_others_wait() {
    let world = world_of(json!({}), json!({"callback_mode": "device"})).await;
    let device = format!("{ISSUER}/device");
    let begin = |node: Arc<TestNode>| async move {
        let body = json!({"role": "dev", "client_nonce": "n"});
        node.call("WRITE", "auth/jwt/oidc/auth_url", "", body).await.status
    };
    assert_eq!(begin(world.node.clone()).await, 200);
    let release = world.web.hold(&device);
    let begun = (0..QUESTIONS_AT_A_TIME + 8).map(|_| tokio::spawn(begin(world.node.clone())));
    let begun: Vec<_> = begun.collect();
    while world.web.calls(&device) < QUESTIONS_AT_A_TIME + 1 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.web.calls(&device), QUESTIONS_AT_A_TIME + 1);
    drop(release);
    for status in begun {
        assert_eq!(status.await.unwrap(), 200);
    }
}

#[tokio::test]
async fn a_providers_tokens_are_in_no_log() {
    let world = world_of(
        json!({}),
        json!({"oauth2_metadata": "access_token", "verbose_oidc_logging": true}),
    )
    .await;
    let p = world.begin_as_usual().await;
    let got = world.end(&p["state"], "good-code", "&client_nonce=n").await;
    assert_eq!(got.body["auth"]["metadata"]["oauth2_access_token"], "canary-access", "{got:?}");
    let log = world.node.audit.contents();
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("auth/jwt/oidc/callback"));
    for secret in ["canary-access", "canary-secret", "good-code", p["state"].as_str().unwrap()] {
        assert!(!log.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn groups_of_who_is_in_too_many() {
    let graph = "https://graph.microsoft.com/v1.0/t/users/kim/getMemberObjects";
    let world = world_of(
        json!({"provider_config": {"provider": "azure"}}),
        json!({"groups_claim": "groups", "bound_claims": {"groups": "ops"}}),
    )
    .await;
    world.web.serve(graph, |call| match call.headers.get("authorization") {
        Some(value) if value == "Bearer canary-access" => {
            SimWeb::reply(200, json!({"value": ["dev", "ops"]}).to_string())
        }
        _ => SimWeb::reply(401, ""),
    });
    for (endpoint, status) in [
        ("https://graph.windows.net/t/users/kim/getMemberObjects", 200),
        (graph, 200),
        ("https://evil.example/t/users/kim/getMemberObjects", 400),
    ] {
        let p = world.begin_as_usual().await;
        let source = json!({ "src1": { "endpoint": endpoint } });
        world.said.lock().claims["_claim_names"] = json!({ "groups": "src1" });
        world.said.lock().claims["_claim_sources"] = source;
        let got = world.end(&p["state"], "good-code", "&client_nonce=n").await;
        assert_eq!(got.status, status, "{endpoint}: {got:?}");
    }
    assert_eq!(world.web.calls("https://evil.example"), 0);
}
