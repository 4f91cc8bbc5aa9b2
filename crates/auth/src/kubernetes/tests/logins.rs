use strongroom_crypto::keys::Hash;

use super::super::LOGINS_AT_A_TIME;
use super::*;

#[tokio::test]
async fn an_account_logs_in() {
    let bed = Bed::new().await;
    let got = bed.login("App", &format!("{}\n", bed.token(json!({})))).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(auth["policies"], json!(["default", "p"]));
    assert_eq!(
        auth["metadata"],
        json!({
            "role": "app", "service_account_name": "myapp-sa",
            "service_account_namespace": "production", "service_account_secret_name": "",
            "service_account_uid": "uid-1",
        })
    );
    assert_eq!(*bed.cluster.asked.lock(), [("the-reviewer".to_owned(), json!(["vault"]))]);
    let services = bed.node.services();
    let table = services.router.table().await.unwrap();
    let token = services.tokens.check(&table, &got.token().into(), bed.node.clock.now()).await;
    let token = token.unwrap().unwrap();
    assert_eq!(token.display_name, "kubernetes-production-myapp-sa");
}

#[tokio::test]
async fn an_old_token_without_times_logs_in() {
    let bed = Bed::new().await;
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:production:myapp-sa",
        "kubernetes.io/serviceaccount/namespace": "production",
        "kubernetes.io/serviceaccount/service-account.name": "myapp-sa",
        "kubernetes.io/serviceaccount/service-account.uid": "uid-1",
        "kubernetes.io/serviceaccount/secret.name": "myapp-sa-token-1",
    });
    let status = json!({"authenticated": true, "user":
        {"username": "system:serviceaccount:production:myapp-sa", "uid": "uid-1"}});
    bed.web.serve(REVIEWS, move |call| {
        let body: Value = serde_json::from_slice(call.body.expose_secret()).unwrap();
        assert!(body["spec"].get("audiences").is_none(), "none stands for the API server's own");
        SimWeb::reply(200, json!({"status": status}).to_string())
    });
    let rsa = PrivateKey::generate(KeyType::Rsa(2048)).unwrap();
    let keys = json!({"pem_keys": [rsa.public().unwrap().to_pem()]});
    bed.put("config", config(keys)).await;
    let got = bed.login("app", &sign(&claims, &rsa, Algorithm::Rs(Hash::Sha256))).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.body["auth"]["metadata"]["service_account_secret_name"], "myapp-sa-token-1");
}

#[tokio::test]
async fn an_audience_of_the_role_is_asked_for_alone() {
    let bed = Bed::new().await;
    bed.put("role/app", role(json!({"audience": "vault"}))).await;
    let token = bed.token(json!({"aud": ["other", "vault"]}));
    assert_eq!(bed.login("app", &token).await.status, 200);
    bed.put("role/app", role(json!({"audience": ""}))).await;
    assert_eq!(bed.login("app", &token).await.status, 200);
    let asked: Vec<Value> = bed.cluster.asked.lock().iter().map(|(_, a)| a.clone()).collect();
    assert_eq!(asked, [json!(["vault"]), json!(["other", "vault"])]);
}

#[tokio::test]
async fn names_and_namespaces_are_patterns() {
    let bed = Bed::new().await;
    for (names, namespaces, namespace, name, gets_in) in [
        ("*", "*", "any", "one", true),
        ("my*", "prod*", "production", "myapp", true),
        ("my*", "prod*", "production", "app", false),
        ("*-sa", "*", "n", "my-sa", true),
        ("*-sa", "*", "n", "my-sb", false),
        ("a,b", "x,y*", "yes", "b", true),
        ("a,b", "x,y*", "no", "b", false),
        ("a", "x", "X", "a", false),
    ] {
        let body = json!({
            "bound_service_account_names": names, "bound_service_account_namespaces": namespaces,
        });
        bed.put("role/app", role(body)).await;
        let got = bed.login("app", &bed.token_of(namespace, name, "uid-1")).await;
        assert_eq!(got.status == 200, gets_in, "{names} {namespaces}: {namespace}/{name}: {got:?}");
    }
}

#[tokio::test]
async fn labels_let_a_namespace_in() {
    let bed = Bed::new().await;
    let selector = "matchLabels:\n  env: prod\n";
    let body = json!({
        "bound_service_account_namespaces": "staging",
        "bound_service_account_namespace_selector": selector,
    });
    bed.put("role/app", role(body)).await;
    let namespace = |labels: Value| json!({"metadata": {"labels": labels}}).to_string();
    let token = bed.token(json!({}));
    let not_authorized = "namespace not authorized";
    // Who says no is the API server.
    for labels in [json!({"env": "test"}), json!({}), json!(null), json!(["env"])] {
        bed.web.answer(NAMESPACE, 200, namespace(labels));
        assert_refused(&bed.login("app", &token).await, 403, not_authorized);
    }
    bed.web.answer(NAMESPACE, 403, "{}");
    assert_refused(&bed.login("app", &token).await, 403, "permission denied");
    bed.web.down(NAMESPACE);
    assert_eq!(bed.login("app", &token).await.status, 502);
    bed.web.serve(NAMESPACE, move |call| {
        assert_eq!(bearer(call), "the-reviewer");
        SimWeb::reply(200, namespace(json!({"env": "prod", "x": "y"})))
    });
    assert_eq!(bed.login("app", &token).await.status, 200);
    // A namespace that the role names is not asked for.
    let before = bed.web.calls(HOST);
    let other = bed.token_of("staging", "myapp-sa", "uid-1");
    assert_eq!(bed.login("app", &other).await.status, 200);
    assert_eq!(bed.web.calls(HOST), before + 1);
    // Nobody is asked in the name of a token that is none, nor by a caller.
    let forger = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let claims = bed.claims(json!({"kubernetes.io": {"namespace": "../../secrets",
        "serviceaccount": {"name": "myapp-sa", "uid": "uid-1"}}}));
    let before = bed.web.calls(REVIEWS);
    let forged = sign(&claims, &forger, Algorithm::Es(Curve::P256));
    assert_refused(&bed.login("app", &forged).await, 403, "permission denied");
    assert_eq!(bed.web.calls(REVIEWS), before + 1);
    assert_eq!(bed.web.calls("https://cluster.example:6443/api/v1/namespaces/.."), 0);
    let no_reviewer = json!({"token_reviewer_jwt": "", "disable_local_ca_jwt": true});
    bed.put("config", config(no_reviewer)).await;
    assert_refused(&bed.login("app", &token).await, 403, not_authorized);
}

#[tokio::test]
async fn the_api_server_is_asked_as_the_reviewer_the_pod_or_the_caller() {
    let bed = Bed::new().await;
    let token = bed.token(json!({}));
    bed.files.put(POD_CA, CA);
    bed.files.put(POD_TOKEN, "the-pod\n");
    let mut expect = Vec::new();
    for (changes, asked_as) in [
        (json!({}), "the-reviewer"),
        (json!({"token_reviewer_jwt": "", "kubernetes_ca_cert": CA}), "the-pod"),
        (json!({"token_reviewer_jwt": "", "kubernetes_ca_cert": ""}), "the-pod"),
        // Threat: who may configure a mount gets the pod's token sent to a server of theirs.
        (
            json!({"token_reviewer_jwt": "", "kubernetes_ca_cert": format!("{CA}{CA}")}),
            token.as_str(),
        ),
        (json!({"token_reviewer_jwt": "", "disable_local_ca_jwt": true}), token.as_str()),
    ] {
        bed.put("config", config(changes)).await;
        assert_eq!(bed.login("app", &token).await.status, 200, "{asked_as}");
        expect.push(asked_as.to_owned());
    }
    // Kubernetes changes the pod's token.
    bed.put("config", config(json!({"token_reviewer_jwt": "", "kubernetes_ca_cert": ""}))).await;
    bed.files.put(POD_TOKEN, "the-pod-later");
    assert_eq!(bed.login("app", &token).await.status, 200);
    expect.push("the-pod-later".to_owned());
    bed.files.remove(POD_TOKEN);
    assert_eq!(bed.login("app", &token).await.status, 200);
    expect.push(token.clone());
    let asked: Vec<String> = bed.cluster.asked.lock().iter().map(|(by, _)| by.clone()).collect();
    assert_eq!(asked, expect);
    // Without an authority nobody is asked, least of all somebody that the machine happens to trust.
    bed.files.put(POD_CA, " \n");
    assert_refused(&bed.login("app", &token).await, 403, "permission denied");
    bed.files.remove(POD_CA);
    assert_refused(&bed.login("app", &token).await, 403, "permission denied");
    assert_eq!(bed.cluster.asked.lock().len(), expect.len());
}

/// An API server behind a certificate that everybody trusts: a managed cluster's, a load balancer's.
#[tokio::test]
async fn without_an_authority_outside_of_a_pod_the_machines_own_count() {
    let bed = Bed::new().await;
    let token = bed.token(json!({}));
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    bed.web.serve(REVIEWS, move |call| {
        let by = call.headers[AUTHORIZATION].to_str().unwrap().to_owned();
        seen.lock().push((call.ca.clone(), by));
        let user = json!({"username": "system:serviceaccount:production:myapp-sa", "uid": "uid-1"});
        let status = json!({"authenticated": true, "audiences": ["vault"], "user": user});
        SimWeb::reply(201, json!({ "status": status }).to_string())
    });
    let none = json!({"kubernetes_ca_cert": "", "token_reviewer_jwt": ""});
    let by_caller = (String::new(), format!("Bearer {token}"));
    let by_pod = (CA.to_owned(), "Bearer the-pod".to_owned());
    // Outside of a pod; in one that begins to be a pod's, and must not give its token away.
    bed.put("config", config(none.clone())).await;
    assert_eq!(bed.login("app", &token).await.status, 200);
    bed.files.put(POD_CA, CA);
    bed.files.put(POD_TOKEN, "the-pod");
    assert_eq!(bed.login("app", &token).await.status, 200);
    // In a pod the pod's counts, unless that is switched off.
    bed.put("config", config(none.clone())).await;
    assert_eq!(bed.login("app", &token).await.status, 200);
    let mut off = none;
    off["disable_local_ca_jwt"] = json!(true);
    bed.put("config", config(off)).await;
    assert_eq!(bed.login("app", &token).await.status, 200);
    assert_eq!(*asked.lock(), [by_caller.clone(), by_caller.clone(), by_pod, by_caller]);
}

#[tokio::test]
async fn an_account_made_anew_is_somebody_else_unless_the_role_goes_by_names() {
    let bed = Bed::new().await;
    bed.cluster.accounts.lock().insert("uid-2".to_owned());
    let tokens = ["uid-1", "uid-2"].map(|uid| bed.token_of("production", "myapp-sa", uid));
    for (source, same) in [("serviceaccount_uid", false), ("serviceaccount_name", true)] {
        bed.put("role/app", role(json!({"alias_name_source": source}))).await;
        let mut entities = Vec::new();
        for token in &tokens {
            let got = bed.login("app", token).await;
            entities.push(got.body["auth"]["entity_id"].as_str().unwrap().to_owned());
        }
        assert!(!entities[0].is_empty());
        assert_eq!(entities[0] == entities[1], same, "{source}");
    }
}

#[tokio::test]
async fn annotations_are_metadata_of_the_alias() {
    let bed = Bed::new().await;
    bed.put("config", config(json!({"use_annotations_as_alias_metadata": true}))).await;
    bed.node
        .policy(
            "p",
            r#"path "auth/kubernetes/role/{{identity.entity.aliases.ACCESSOR.metadata.team}}" {
                 capabilities = ["read"]
               }"#
            .replace("ACCESSOR", &bed.accessor)
            .as_str(),
        )
        .await;
    let prefix = "vault.hashicorp.com/alias-metadata-";
    let account =
        |annotations: Value| json!({"metadata": {"annotations": annotations}}).to_string();
    let token = bed.token(json!({}));
    let annotations = json!({ format!("{prefix}team"): "app", "other": "x" });
    let body = account(annotations);
    bed.web.serve(ACCOUNT, move |call| {
        assert_eq!(bearer(call), "the-reviewer");
        SimWeb::reply(200, body.clone())
    });
    let got = bed.login("app", &token).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(got.body["auth"]["metadata"].get("team").is_none(), "the token's is not the alias's");
    let read = bed.node.call("READ", "auth/kubernetes/role/app", &got.token(), Value::Null).await;
    assert_eq!(read.status, 200, "{read:?}");
    // An account can't say that it is another one.
    let reserved = "entity alias metadata keys for only internal use found from the client token's \
                    associated service account annotations";
    bed.web.answer(ACCOUNT, 200, account(json!({ format!("{prefix}service_account_uid"): "x" })));
    assert_refused(&bed.login("app", &token).await, 400, reserved);
    let many = (0..65).map(|n| (format!("{prefix}{n}"), json!("x"))).collect();
    for annotations in [
        Value::Object(many),
        json!({ format!("{prefix}{}", "k".repeat(129)): "x" }),
        json!({ format!("{prefix}k"): "v".repeat(513) }),
    ] {
        bed.web.answer(ACCOUNT, 200, account(annotations));
        let got = bed.login("app", &token).await;
        assert_eq!(got.status, 400, "{got:?}");
        assert!(got.errors().contains("more or longer annotations"), "{got:?}");
    }
    bed.web.down(ACCOUNT);
    assert_eq!(bed.login("app", &token).await.status, 502);
}

/// Threat: an API server that does not answer is not asked by all who come.
#[tokio::test]
async fn so_many_ask_at_a_time_and_the_others_wait() {
    let bed = Arc::new(Bed::new().await);
    let token = bed.token(json!({}));
    assert_eq!(bed.login("app", &token).await.status, 200);
    let release = bed.web.hold(REVIEWS);
    let logins = (0..LOGINS_AT_A_TIME + 8).map(|_| {
        let (bed, token) = (bed.clone(), token.clone());
        tokio::spawn(async move { bed.login("app", &token).await.status })
    });
    let logins: Vec<_> = logins.collect();
    while bed.questions() < LOGINS_AT_A_TIME + 1 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bed.questions(), LOGINS_AT_A_TIME + 1);
    drop(release);
    for login in logins {
        assert_eq!(login.await.unwrap(), 200);
    }
}
