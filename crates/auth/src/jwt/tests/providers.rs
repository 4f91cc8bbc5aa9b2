//! Providers with ways of their own: Google Workspace, and the cluster that the server runs in.

use strongroom_testkit::clouds::workspace::Workspace;
use strongroom_testkit::servers::http::Asked;

use super::*;
use crate::pod;

const ADMIN: &str = "admin@shop.example";
const DIRECTORY: &str = "https://admin.googleapis.com/";
/// Where Google is asked.
const GOOGLE: &[&str] = &[
    DIRECTORY,
    "https://oauth2.googleapis.com/token",
    "https://iamcredentials.googleapis.com/",
    "http://metadata.google.internal/",
];

/// Lets tokens of programs in whose groups and fields a Workspace knows.
async fn workspace(provider_config: Value, role: Value) -> (World, Arc<Workspace>) {
    let world = World::new().await;
    let workspace = Arc::new(Workspace::new(ADMIN));
    workspace.is_in("build-7", &["a@shop.example", "b@other.example", "c@shop.example"]);
    for group in ["a@shop.example", "b@other.example"] {
        workspace.is_in(group, &[]);
    }
    workspace.is_in("c@shop.example", &["a@shop.example", "top@shop.example"]);
    workspace.is_in("top@shop.example", &["build-7", "root@shop.example"]);
    workspace.has_fields(
        "build-7",
        json!({"Education": {"year": "2021"}, "Other": {"x": "y"}, "sub": {"x": "root"}}),
    );
    for url in GOOGLE {
        let workspace = workspace.clone();
        world.web.serve(url, move |call| workspace.answer(&Asked::of(call)).into_answer());
    }
    let mut provider = json!({
        "provider": "gsuite", "gsuite_service_account": workspace.key_file(),
        "gsuite_admin_impersonate": ADMIN,
    });
    let mut whole = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": "p",
    });
    for (into, from) in [(&mut provider, provider_config), (&mut whole, role)] {
        for (name, value) in from.as_object().unwrap() {
            into[name] = value.clone();
        }
    }
    let config =
        json!({ "jwt_validation_pubkeys": [world.key.pem()], "provider_config": provider });
    world.ok("config", config).await;
    world.ok("role/r", whole).await;
    (world, workspace)
}

impl World {
    async fn log_in_as(&self, user: &str) -> Got {
        let jwt = self.key.sign(&claims(json!({ "sub": user })));
        self.log_in("r", &jwt).await
    }
}

/// What a login's groups must be one of for `groups` to fit.
fn bound(group: &str) -> Value {
    json!({ "groups_claim": "groups", "bound_claims": { "groups": group } })
}

#[tokio::test]
async fn what_a_workspace_refuses() {
    let world = World::new().await;
    let workspace = Workspace::new(ADMIN);
    for (changes, text) in [
        (json!({"gsuite_service_account": "/etc/canary"}), "reads no file that a request names"),
        (json!({"gsuite_service_account": "{\"canary\""}), "error parsing service account JSON"),
        (json!({"gsuite_service_account": "{\"type\": \"canary\"}"}), "not the key of a service"),
        (json!({"groups_recurse_max_depth": -1}), "must be a positive integer"),
        (
            json!({"groups_recurse_max_depth": "canary"}),
            "'groups_recurse_max_depth' must be a whole",
        ),
        (json!({"fetch_groups": "canary"}), "'fetch_groups' must be a boolean"),
        (json!({"user_custom_schemas": "a,SUB"}), "names a claim that tokens have"),
    ] {
        let mut provider =
            json!({"provider": "gsuite", "gsuite_service_account": workspace.key_file()});
        for (name, value) in changes.as_object().unwrap() {
            provider[name] = value.clone();
        }
        let config =
            json!({"jwt_validation_pubkeys": [world.key.pem()], "provider_config": provider});
        let got = world.write("config", config).await;
        assert_eq!(got.status, 400, "{changes}: {got:?}");
        let errors = got.errors();
        assert!(errors.contains(text) && !errors.contains("canary"), "{changes}: {errors}");
    }
}

#[tokio::test]
async fn groups_of_a_workspace() {
    for (depth, domain, group, fits) in [
        (0, "", "a@shop.example", true),
        (0, "", "c@shop.example", true),
        (0, "", "top@shop.example", false),
        (1, "", "top@shop.example", true),
        (1, "", "root@shop.example", false),
        // Groups that are in each other come to an end.
        (9, "", "root@shop.example", false),
        (0, "", "b@other.example", true),
        (0, "shop.example", "b@other.example", false),
    ] {
        let provider = json!({
            "fetch_groups": true, "groups_recurse_max_depth": depth, "domain": domain,
        });
        let (world, workspace) = workspace(provider, bound(group)).await;
        workspace.is_in("root@shop.example", &["top@shop.example"]);
        if depth == 9 {
            workspace.is_in("top@shop.example", &["a@shop.example"]);
        }
        let got = world.log_in_as("build-7").await;
        assert_eq!(got.status == 200, fits, "{depth} {domain} {group}: {got:?}");
        assert!(fits || got.errors().contains("does not match any"), "{got:?}");
        assert!(!got.errors().contains("@shop.example"), "{got:?}");
    }
}

#[tokio::test]
async fn a_workspace_that_does_not_answer_lets_nobody_in() {
    let (world, workspace) = workspace(json!({"fetch_groups": true}), bound("*")).await;
    let got = world.log_in_as("stranger").await;
    assert!(got.status == 400 && got.errors().contains("does not know the caller"), "{got:?}");
    assert_eq!(workspace.was_asked().len(), 1);
    world.web.answer(DIRECTORY, 403, "canary");
    let got = world.log_in_as("build-7").await;
    assert!(got.status == 502 && got.errors().contains("answered status 403"), "{got:?}");
    world.web.down(DIRECTORY);
    let got = world.log_in_as("build-7").await;
    assert!(got.status == 502 && !got.errors().contains("canary"), "{got:?}");
    // Pages without end.
    world.web.answer(DIRECTORY, 200, json!({"groups": [], "nextPageToken": "x"}).to_string());
    let got = world.log_in_as("build-7").await;
    assert!(got.status == 400 && got.errors().contains("there are too many"), "{got:?}");
    assert!(world.web.calls(DIRECTORY) < 300);
}

#[tokio::test]
async fn fields_of_an_organisations_own_become_claims() {
    let mapped = json!({ "claim_mappings": {
        "/Education/year": "year", "/Other/x": "other", "sub": "who",
    } });
    let provider = json!({"fetch_user_info": true, "user_custom_schemas": "Education"});
    let (world, workspace) = workspace(provider, mapped).await;
    let got = world.log_in_as("build-7").await;
    let metadata = &got.body["auth"]["metadata"];
    assert_eq!(metadata["year"], "2021", "{got:?}");
    assert_eq!((&metadata["who"], &metadata["other"]), (&json!("build-7"), &Value::Null));
    let asked = workspace.was_asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].contains("customFieldMask=Education"), "{asked:?}");
    // Without the switch nobody is asked.
    let config = json!({
        "jwt_validation_pubkeys": [world.key.pem()],
        "provider_config": {"provider": "gsuite", "user_custom_schemas": "Education"},
    });
    world.ok("config", config).await;
    assert_eq!(world.log_in_as("build-7").await.status, 200);
    assert!(workspace.was_asked().is_empty());
}

#[tokio::test]
async fn a_machine_of_googles_needs_no_key_file() {
    let (fetch, group) = (json!({"fetch_groups": true}), bound("a@shop.example"));
    let (world, workspace) = workspace(fetch, group).await;
    let config = |changes: Value| {
        let mut provider = json!({"provider": "gsuite", "fetch_groups": true});
        for (name, value) in changes.as_object().unwrap() {
            provider[name] = value.clone();
        }
        json!({ "jwt_validation_pubkeys": [world.key.pem()], "provider_config": provider })
    };
    let principal = &workspace.delegate.email;
    for (changes, status) in [
        // The machine's own account may not ask the Directory API.
        (json!({}), 502),
        (json!({"impersonate_principal": "other@home.iam.gserviceaccount.com"}), 502),
        (json!({"impersonate_principal": principal}), 200),
        (json!({"impersonate_principal": principal, "gsuite_admin_impersonate": ADMIN}), 200),
        (json!({"impersonate_principal": principal, "gsuite_admin_impersonate": "x@x"}), 502),
    ] {
        world.ok("config", config(changes.clone())).await;
        let got = world.log_in_as("build-7").await;
        assert_eq!(got.status, status, "{changes}: {got:?}");
    }
}

#[tokio::test]
async fn the_key_file_is_not_shown() {
    let (world, _) = workspace(json!({"fetch_groups": true}), json!({})).await;
    let shown = world.read("config").await;
    let expect = json!({
        "provider": "gsuite", "gsuite_admin_impersonate": ADMIN, "fetch_groups": true,
    });
    assert_eq!(shown.data()["provider_config"], expect);
    assert!(!format!("{shown:?}").contains("PRIVATE KEY"));
}

/// The API server of the cluster, as it describes itself to who has the pod's token.
fn cluster(world: &World) {
    let key = world.key.clone();
    world.web.serve(CLUSTER, move |call| {
        let asked = Asked::of(call);
        if asked.header("authorization") != "Bearer the-pod" || call.ca != CA {
            return SimWeb::reply(401, "");
        }
        let body = match asked.path() {
            "/.well-known/openid-configuration" => json!({
                "issuer": "https://kubernetes.default.svc",
                "jwks_uri": format!("{CLUSTER}/openid/v1/jwks"),
            }),
            "/openid/v1/jwks" => json!({ "keys": [key.jwk()] }),
            _ => return SimWeb::reply(404, ""),
        };
        SimWeb::reply(200, body.to_string())
    });
}

/// The pod's authority: nobody reads it here.
const CA: &str = "-----BEGIN CERTIFICATE-----";

#[tokio::test]
async fn a_cluster_is_asked_in_the_pods_name() {
    let world = World::new().await;
    let config = json!({ "provider_config": {"provider": "kubernetes"} });
    cluster(&world);
    let failed = |got: &Got, text: &str| {
        assert!(got.status == 400 && got.errors().contains(text), "{got:?}");
    };
    failed(&world.write("config", config.clone()).await, "no authority of its cluster");
    world.files.put(pod::CA, CA);
    failed(&world.write("config", config.clone()).await, "the pod has no token");
    world.files.put(pod::TOKEN, "the-other\n");
    failed(&world.write("config", config.clone()).await, "answered status 401");
    world.files.put(pod::TOKEN, "the-pod\n");
    world.ok("config", config.clone()).await;
    assert_eq!(world.read("config").await.data()["status"], "valid");
    let role = json!({ "role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault" });
    world.ok("role/r", role).await;
    assert_eq!(world.log_in_as("system:serviceaccount:a:b").await.status, 200);
    let forged = Key::new("one").sign(&claims(json!({})));
    failed(&world.log_in("r", &forged).await, "no known key");
    for (name, value) in [
        ("oidc_discovery_url", ISSUER),
        ("oidc_discovery_ca_pem", "x"),
        ("jwks_url", "https://a/"),
        ("jwks_ca_pem", "x"),
    ] {
        let mut config = config.clone();
        config[name] = json!(value);
        let got = world.write("config", config).await;
        assert_eq!(got.status, 400, "{name}: {got:?}");
    }
    // The pod's token goes nowhere without TLS.
    world.web.serve(CLUSTER, |_| {
        let described = json!({ "jwks_uri": "http://evil.example/keys" });
        SimWeb::reply(200, described.to_string())
    });
    failed(&world.write("config", config).await, "asked over TLS alone");
    assert_eq!(world.web.calls("http://evil.example"), 0);
}

#[tokio::test]
async fn outside_of_a_pod_there_is_no_cluster() {
    let world = World::outside_of_a_pod().await;
    let config = json!({
        "provider_config": {"provider": "kubernetes"}, "skip_jwks_validation": true,
    });
    let got = world.write("config", config).await;
    assert!(got.status == 400 && got.errors().contains("KUBERNETES_SERVICE_HOST"), "{got:?}");
}
