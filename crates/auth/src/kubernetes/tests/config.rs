use super::*;

#[tokio::test]
async fn a_configuration_is_read_without_its_secret() {
    let bed = Bed::bare().await;
    assert_eq!(bed.read("config").await.status, 404);
    bed.put("config", config(json!({"issuer": "x", "disable_iss_validation": false}))).await;
    let got = bed.read("config").await;
    assert_eq!(
        *got.data(),
        json!({
            "kubernetes_host": HOST, "kubernetes_ca_cert": CA, "pem_keys": [], "issuer": "x",
            "disable_iss_validation": false, "disable_local_ca_jwt": false,
            "token_reviewer_jwt_set": true, "use_annotations_as_alias_metadata": false,
        })
    );
    assert!(!format!("{got:?}").contains("the-reviewer"));
    // What is not written again is at its default.
    let body = json!({"kubernetes_host": "cluster.example:6443", "kubernetes_ca_cert": CA});
    bed.put("config", body).await;
    let got = bed.read("config").await;
    let shown = |name: &str| got.data()[name].clone();
    assert_eq!(shown("disable_iss_validation"), json!(true));
    assert_eq!(shown("token_reviewer_jwt_set"), json!(false));
    assert_eq!(shown("issuer"), json!(""));
}

#[tokio::test]
async fn what_is_no_configuration_is_refused() {
    let bed = Bed::bare().await;
    let no_key = "pem_keys has an entry that is no public key in PEM";
    let private = bed.cluster.key.to_pkcs8_pem();
    for (changes, text) in [
        (json!({"kubernetes_host": ""}), "no host provided"),
        (json!({"kubernetes_host": "ftp://x"}), "kubernetes_host is no URL, host or host:port"),
        (json!({"kubernetes_ca_cert": "x"}), "kubernetes_ca_cert holds no certificates in PEM"),
        (json!({"pem_keys": ["x"]}), no_key),
        (json!({"pem_keys": [private.expose_secret()]}), no_key),
        (
            json!({"pem_keys": vec![bed.cluster.public().to_pem(); 65]}),
            "pem_keys holds more than 64 keys",
        ),
    ] {
        let got = bed.write("config", config(changes.clone())).await;
        assert_eq!((got.status, got.errors().as_str()), (400, text), "{changes}");
    }
    assert_eq!(bed.read("config").await.status, 404);
}

#[tokio::test]
async fn roles_are_written_read_listed_and_deleted() {
    let bed = Bed::bare().await;
    let body = json!({
        "bound_service_account_names": "a,b*", "bound_service_account_namespaces": ["n"],
        "policies": "P", "ttl": "1h",
    });
    bed.put("role/App", body).await;
    let expect = json!({
        "bound_service_account_names": ["a", "b*"], "bound_service_account_namespaces": ["n"],
        "bound_service_account_namespace_selector": "", "alias_name_source": "serviceaccount_uid",
        "token_bound_cidrs": [], "token_explicit_max_ttl": 0, "token_max_ttl": 0,
        "token_no_default_policy": false, "token_period": 0, "token_policies": ["p"],
        "policies": ["p"], "token_type": "default", "token_ttl": 3600, "ttl": 3600,
        "token_num_uses": 0, "token_strictly_bind_ip": false,
    });
    assert_eq!(*bed.read("role/APP").await.data(), expect);
    // A change leaves the rest.
    let selector = "matchLabels: {env: prod}";
    let change = json!({
        "audience": "vault", "bound_service_account_namespace_selector": selector,
        "alias_name_source": "serviceaccount_name",
    });
    bed.put("role/app", change).await;
    let got = bed.read("role/app").await;
    assert_eq!(got.data()["audience"], "vault");
    assert_eq!(got.data()["bound_service_account_namespace_selector"], selector);
    assert_eq!(got.data()["bound_service_account_names"], json!(["a", "b*"]));
    assert_eq!(got.data()["alias_name_source"], "serviceaccount_name");
    bed.put("role/b", role(json!({}))).await;
    let list = |query: &'static str| {
        let path = format!("auth/kubernetes/role{query}");
        async { bed.node.root("LIST", &{ path }, Value::Null).await.data()["keys"].clone() }
    };
    assert_eq!(list("").await, json!(["app", "b"]));
    assert_eq!(list("?after=app").await, json!(["b"]));
    let got = bed.node.root("DELETE", "auth/kubernetes/role/APP", Value::Null).await;
    assert_eq!(got.status, 204);
    assert_eq!(bed.read("role/app").await.status, 404);
}

#[tokio::test]
async fn what_is_no_role_is_refused() {
    let bed = Bed::bare().await;
    let selector = "bound_service_account_namespace_selector";
    let no_namespaces = "\"bound_service_account_namespaces\" can not be empty if \
                         \"bound_service_account_namespace_selector\" is not set";
    let bad_selector = "invalid \"bound_service_account_namespace_selector\" configured";
    for (changes, text) in [
        (
            json!({"bound_service_account_names": []}),
            "\"bound_service_account_names\" can not be empty",
        ),
        (json!({"bound_service_account_namespaces": ""}), no_namespaces),
        (json!({"bound_service_account_names": "*,a"}), "can not mix \"*\" with values"),
        (json!({"bound_service_account_namespaces": "a,*"}), "can not mix \"*\" with values"),
        (json!({selector: "env=prod"}), bad_selector),
        (json!({selector: "matchExpressions: [{key: a, operator: Exists}]"}), bad_selector),
        (
            json!({"alias_name_source": "x"}),
            "invalid alias_name_source, must be one of: serviceaccount_uid, serviceaccount_name",
        ),
        (
            json!({"token_ttl": 2, "token_max_ttl": 1}),
            "'token_ttl' cannot be greater than 'token_max_ttl'",
        ),
        (
            json!({"token_period": "1000h"}),
            "token period of '\"1000h0m0s\"' is greater than the backend's maximum lease TTL of \
             '\"768h0m0s\"'",
        ),
    ] {
        let got = bed.write("role/a", role(changes.clone())).await;
        assert_eq!((got.status, got.errors().as_str()), (400, text), "{changes}");
    }
    assert_eq!(bed.read("role/a").await.status, 404);
    // Without namespaces there may be labels.
    let body = json!({"bound_service_account_namespaces": "", selector: "{}"});
    bed.put("role/a", role(body)).await;
}

#[tokio::test]
async fn a_denial_means_every_spelling_of_a_role() {
    // threat: where a name is case-insensitive, a deny can't be passed by another spelling
    let bed = Bed::new().await;
    bed.put("role/other", role(json!({}))).await;
    bed.node
        .policy(
            "p",
            r#"path "auth/kubernetes/role/*" { capabilities = ["read"] }
               path "auth/kubernetes/role/App" { capabilities = ["deny"] }"#,
        )
        .await;
    let token = bed.login("app", &bed.token(json!({}))).await.token();
    for (name, status) in [("app", 403), ("APP", 403), ("other", 200), ("Other", 200)] {
        let path = format!("auth/kubernetes/role/{name}");
        assert_eq!(
            bed.node.call("READ", &path, &token, Value::Null).await.status,
            status,
            "{name}"
        );
    }
}
