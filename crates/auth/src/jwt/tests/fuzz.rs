//! What strangers send, by fixed seeds.

use serde_json::json;
use strongroom_testkit::fuzz::Fuzz;

use super::*;
use crate::jwt::{form, redirect};

/// Inputs for each parser.
const ROUNDS: usize = 1_500;

#[tokio::test]
async fn no_token_and_no_form_is_a_failure_of_ours() {
    let world = World::new().await;
    let config = json!({
        "oidc_discovery_url": ISSUER, "oidc_client_id": "client", "oidc_client_secret": "s",
        "oidc_response_mode": "form_post", "jwt_supported_algs": "ES256",
    });
    world.ok("config", config).await;
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault" });
    world.ok("role/r", role).await;
    let good = world.key.sign(&claims(json!({})));
    let odd = world.key.sign(&json!({"aud": [["vault"]], "exp": 1e308, "sub": {"a": null}}));
    let fuzz = Fuzz::new(40);
    for _ in 0..ROUNDS {
        let jwt = fuzz.text(&[&good, &odd]);
        let got = world.log_in("r", &jwt).await;
        let same = jwt.trim() == good;
        assert_eq!(got.status, if same { 200 } else { 400 }, "{jwt}: {got:?}");
    }
    let form = b"state=st_a%2Cns%3Db&code=x&id_token=e30.e30.e30".as_slice();
    for _ in 0..ROUNDS {
        let body = fuzz.input(&[form, good.as_bytes()]);
        let got = world.node.call_raw("WRITE", "auth/jwt/oidc/callback", &body).await;
        assert_eq!(got.status, 400, "{body:?}: {got:?}");
        assert!(!String::from_utf8_lossy(&got.raw).contains("<script"));
    }
}

#[test]
fn no_address_but_the_roles_own_is_allowed() {
    let allowed = ["https://vault.example/ui/callback?a=b", "http://localhost:8250/oidc/callback"];
    let roles = allowed.map(str::to_owned);
    let fuzz = Fuzz::new(41);
    let samples = ["http://[::1]:80/x", "https://vault.example@evil.example/ui/callback?a=b"];
    let samples = [&allowed[..], &samples].concat();
    for _ in 0..20 * ROUNDS {
        let uri = fuzz.text(&samples);
        if redirect::is_allowed(&uri, &roles) && !roles.contains(&uri) {
            let port = uri.strip_prefix("http://localhost").unwrap();
            let port = port.strip_suffix("/oidc/callback").unwrap().trim_start_matches(':');
            assert!(port.bytes().all(|b| b.is_ascii_digit()), "{uri}");
        }
        if let Some((left, _)) = redirect::take_namespace(&uri) {
            assert!(left.len() <= uri.len(), "{uri}");
        }
        let _ = form::decode(&uri);
    }
}
