use strongroom_crypto::HmacKey;
use strongroom_crypto::keys::Hash;

use super::*;

/// Unsigned or signed by whoever likes: header and claims as given.
fn raw(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = encode(&sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let bed = Bed::bare().await;
    let token = bed.token(json!({}));
    assert_refused(&bed.login("", &token).await, 400, "missing role");
    assert_refused(&bed.login("app", " ").await, 400, "missing jwt");
    assert_refused(&bed.login("app", &token).await, 400, "invalid role name");
    bed.put("role/app", role(json!({}))).await;
    let no_config = "could not load backend configuration";
    assert_refused(&bed.login("app", &token).await, 400, no_config);
}

#[tokio::test]
async fn the_token_does_not_choose_how_it_is_verified() {
    // threat CVE-2024-5798
    let bed = Bed::new().await;
    let claims = bed.claims(json!({}));
    let public = bed.cluster.public();
    let unsupported = "unsupported signing algorithm";
    for keys in [json!([]), json!([public.to_pem()])] {
        bed.put("config", config(json!({ "pem_keys": keys }))).await;
        for alg in ["none", "None", "HS256", "HS512", "PS256", "EdDSA", "", "ES256K"] {
            let header = json!({"alg": alg, "typ": "JWT"});
            for secret in [public.to_pem().into_bytes(), public.spki_der().to_vec(), Vec::new()] {
                let mac = HmacKey::new(&secret);
                let forged = raw(&header, &claims, |text| mac.mac(&[text]).to_vec());
                assert_refused(&bed.login("app", &forged).await, 403, unsupported);
            }
            let unsigned = raw(&header, &claims, |_| Vec::new());
            assert_refused(&bed.login("app", &unsigned).await, 403, unsupported);
        }
    }
    bed.put("config", config(json!({}))).await;
    let malformed = "malformed jwt: must have three parts";
    let good = bed.token(json!({}));
    let extension = raw(&json!({"alg": "ES256", "crit": ["x"]}), &claims, |_| Vec::new());
    for token in ["x", "a.b", "a.b.c", &format!("{good}.x"), &good.replace('.', ". "), &extension] {
        assert_refused(&bed.login("app", token).await, 403, malformed);
    }
    // What nobody verifies here is bounded all the same.
    let long = format!("{good}{}", "A".repeat(64 * 1024));
    assert_refused(&bed.login("app", &long).await, 403, "the token is too long");
    let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
    let many = bed.token(json!({ "aud": many }));
    assert_refused(&bed.login("app", &many).await, 403, "the token has too many audiences");
    assert_eq!(bed.questions(), 0);
}

#[tokio::test]
async fn with_keys_a_token_of_another_is_refused_before_anyone_is_asked() {
    let bed = Bed::new().await;
    let other = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let keys = json!({"pem_keys": [bed.cluster.public().to_pem()]});
    bed.put("config", config(keys)).await;
    let claims = bed.claims(json!({}));
    let forged = sign(&claims, &other, Algorithm::Es(Curve::P256));
    assert_refused(&bed.login("app", &forged).await, 403, "permission denied");
    let rsa = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
    let forged = sign(&claims, &rsa, Algorithm::Rs(Hash::Sha256));
    assert_refused(&bed.login("app", &forged).await, 403, "permission denied");
    // Other claims under the cluster's signature.
    let good = bed.token(json!({}));
    let (_, signature) = good.rsplit_once('.').unwrap();
    let more = bed.token(json!({"exp": 4_000_000_000_u64}));
    let (changed, _) = more.rsplit_once('.').unwrap();
    let spliced = format!("{changed}.{signature}");
    assert_refused(&bed.login("app", &spliced).await, 403, "permission denied");
    assert_eq!(bed.questions(), 0);
    assert_eq!(bed.login("app", &good).await.status, 200);
    assert_eq!(bed.questions(), 1, "the API server has the last word");
    // Any of several keys will do.
    let keys = [rsa.public().unwrap().to_pem(), bed.cluster.public().to_pem()];
    bed.put("config", config(json!({ "pem_keys": keys }))).await;
    assert_eq!(bed.login("app", &good).await.status, 200);
}

#[tokio::test]
async fn without_keys_the_api_server_finds_the_forger() {
    let bed = Bed::new().await;
    let other = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let forged = sign(&bed.claims(json!({})), &other, Algorithm::Es(Curve::P256));
    assert_refused(&bed.login("app", &forged).await, 403, "permission denied");
    assert_eq!(bed.questions(), 1);
}

#[tokio::test]
async fn wrong_claims_are_refused_before_anyone_is_asked() {
    let bed = Bed::new().await;
    let check_issuer = json!({"disable_iss_validation": false, "issuer": "https://issuer.example"});
    bed.put("config", config(check_issuer)).await;
    bed.put("role/app", role(json!({"audience": "vault"}))).await;
    let now = bed.node.clock.now().seconds();
    let audience =
        "invalid audience (aud) claim: audience claim does not match any expected audience";
    let issuer = "invalid issuer (iss) claim";
    let account = |namespace: &str, name: &str, uid: &str| {
        json!({"kubernetes.io":
            {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}})
    };
    for (changes, text) in [
        (json!({"exp": now - 61}), "invalid expiration time (exp) claim: token is expired"),
        (json!({"nbf": now + 61}), "invalid not before (nbf) claim: token not yet valid"),
        (json!({"iat": now + 61}), "invalid issued at (iat) claim: token issued in the future"),
        (json!({"exp": "soon"}), "a time of the token is no number"),
        (json!({"aud": ["other"]}), audience),
        (json!({"aud": "vaul"}), audience),
        (json!({"aud": []}), audience),
        (json!({"aud": null}), audience),
        (json!({"aud": {"vault": true}}), audience),
        (json!({"iss": "https://other.example"}), issuer),
        (json!({"iss": null}), issuer),
        (json!({"iss": ["https://issuer.example"]}), issuer),
        (account("production", "other", "uid-1"), "service account name not authorized"),
        (account("production", "myapp-sa2", "uid-1"), "service account name not authorized"),
        (account("staging", "myapp-sa", "uid-1"), "namespace not authorized"),
        (account("production-2", "myapp-sa", "uid-1"), "namespace not authorized"),
        (account("", "myapp-sa", "uid-1"), "the token names no service account"),
        (account("production", "", "uid-1"), "the token names no service account"),
        (account("production", "myapp-sa", ""), "could not parse UID from claims"),
        (json!({"kubernetes.io": null}), "the token names no service account"),
    ] {
        let got = bed.login("app", &bed.token(changes.clone())).await;
        assert_refused(&got, 403, text);
        assert_eq!(bed.questions(), 0, "{changes}");
    }
    // The clocks may differ by a minute.
    for changes in [json!({"exp": now - 60}), json!({"nbf": now + 60}), json!({})] {
        assert_eq!(bed.login("app", &bed.token(changes.clone())).await.status, 200, "{changes}");
    }
    // The default issuer is that of old tokens.
    bed.put("config", config(json!({"disable_iss_validation": false}))).await;
    assert_refused(&bed.login("app", &bed.token(json!({}))).await, 403, issuer);
    let old = bed.token(json!({"iss": "kubernetes/serviceaccount"}));
    assert_eq!(bed.login("app", &old).await.status, 200);
}

#[tokio::test]
async fn what_the_api_server_does_not_take_is_denied() {
    let bed = Bed::new().await;
    let token = bed.token(json!({}));
    assert_eq!(bed.login("app", &token).await.status, 200);
    bed.cluster.accounts.lock().clear();
    assert_refused(&bed.login("app", &token).await, 403, "permission denied");
    // Whatever the API server says but an unmistakable yes is a no.
    let user = |username: &str, uid: &str| json!({"username": username, "uid": uid});
    let account = "system:serviceaccount:production:myapp-sa";
    let good = json!({
        "authenticated": true, "audiences": ["vault"], "user": user(account, "uid-1"),
    });
    let but = |name: &str, value: Value| merged(good.clone(), &json!({ name: value }));
    for status in [
        but("authenticated", json!(false)),
        but("authenticated", json!("true")),
        but("error", json!("not now")),
        but("audiences", json!([])),
        but("audiences", json!(["other"])),
        but("user", user(account, "uid-2")),
        but("user", user(account, "")),
        but("user", user("system:serviceaccount:production:other", "uid-1")),
        but("user", user("system:serviceaccount:staging:myapp-sa", "uid-1")),
        but("user", user("system:serviceaccount:production:myapp-sa:x", "uid-1")),
        but("user", user("myapp-sa", "uid-1")),
        json!({}),
    ] {
        bed.web.answer(REVIEWS, 201, json!({"status": status}).to_string());
        assert_refused(&bed.login("app", &token).await, 403, "permission denied");
    }
    bed.web.answer(REVIEWS, 201, json!({"status": good}).to_string());
    assert_eq!(bed.login("app", &token).await.status, 200);
    for status in [401, 403, 404, 302] {
        bed.web.answer(REVIEWS, status, json!({"status": good}).to_string());
        assert_refused(&bed.login("app", &token).await, 403, "permission denied");
    }
}

#[tokio::test]
async fn an_api_server_that_can_t_be_asked_is_a_failure_of_its_own() {
    let bed = Bed::new().await;
    let token = bed.token(json!({}));
    for status in [429, 500, 503] {
        bed.web.answer(REVIEWS, status, "canary");
        let text = format!("the Kubernetes API can't be asked: it answered status {status}");
        assert_refused(&bed.login("app", &token).await, 502, &text);
    }
    let odd = "the Kubernetes API answered something else than it was asked";
    let nested = "[".repeat(100_000);
    for body in ["canary", "", "[]", "{}", "{\"status\":\"Failure\"}", &nested] {
        bed.web.answer(REVIEWS, 200, body);
        assert_refused(&bed.login("app", &token).await, 502, odd);
    }
    bed.web.down(REVIEWS);
    let got = bed.login("app", &token).await;
    assert_refused(&got, 502, "the Kubernetes API can't be asked: nobody answers there");
}

#[tokio::test]
async fn a_login_from_elsewhere_is_denied() {
    let bed = Bed::new().await;
    bed.put("role/app", role(json!({"token_bound_cidrs": "10.0.0.0/8"}))).await;
    let token = bed.token(json!({}));
    assert_refused(&bed.login("app", &token).await, 403, "permission denied");
    assert_eq!(bed.questions(), 0);
    bed.node.come_from("10.1.1.1");
    assert_eq!(bed.login("app", &token).await.status, 200);
}

#[tokio::test]
async fn no_token_of_a_caller_is_in_the_audit_log_or_an_error() {
    let bed = Bed::new().await;
    let good = bed.token(json!({}));
    let bad = bed.token(json!({"exp": 1}));
    let mut said = String::new();
    for token in [&good, &bad] {
        said += &format!("{:?}", bed.login("app", token).await.body["errors"]);
    }
    bed.web.down(REVIEWS);
    said += &format!("{:?}", bed.login("app", &good).await.body["errors"]);
    let log = String::from_utf8(bed.node.audit.contents()).unwrap();
    assert_eq!(log.matches("auth/kubernetes/login").count(), 6, "{log}");
    said += &log;
    for canary in [good.as_str(), &bad, "the-reviewer"] {
        assert!(!said.contains(canary), "{said}");
    }
}
