//! Roles and the configuration.

use serde_json::{Value, json};

use super::{World, refused};

#[tokio::test]
async fn a_role_reads_as_it_was_written() {
    let world = World::new().await;
    let body = json!({
        "type": "iam", "bound_service_accounts": ["b@x", "a@x", "a@x"], "project_id": null,
        "policies": "p", "ttl": "1h",
    });
    world.must("role/App", body).await;
    let got = world.read("role/app").await;
    let data = got.data();
    for (name, value) in [
        ("type", json!("iam")),
        ("bound_service_accounts", json!(["a@x", "b@x"])),
        ("max_jwt_exp", json!(900)),
        ("allow_gce_inference", json!(true)),
        ("add_group_aliases", json!(false)),
        ("policies", json!(["p"])),
        ("token_ttl", json!(3600)),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    assert!(data.get("bound_zones").is_none() && data["role_id"].as_str().unwrap().len() == 36);
    let edit = json!({ "add": "c@x", "remove": ["a@x"] });
    world.must("role/APP/service-accounts", edit).await;
    let got = world.read("role/app").await;
    assert_eq!(got.data()["bound_service_accounts"], json!(["b@x", "c@x"]));
    world.must("role/gce", json!({ "type": "gce", "bound_labels": "a:1,b:2" })).await;
    world.must("role/gce/labels", json!({ "add": "c:3", "remove": "a" })).await;
    let got = world.read("role/gce").await;
    assert_eq!(got.data()["bound_labels"], json!({ "b": "2", "c": "3" }));
    for path in ["role", "roles"] {
        let got = world.node.root("LIST", &format!("auth/gcp/{path}"), Value::Null).await;
        assert_eq!(got.data()["keys"], json!(["app", "gce"]));
    }
    let gone = world.node.root("DELETE", "auth/gcp/role/app", Value::Null).await;
    assert_eq!((gone.status, world.read("role/app").await.status), (204, 404));
}

#[tokio::test]
async fn what_a_role_refuses() {
    let world = World::new().await;
    world.must("role/gce", json!({ "type": "gce" })).await;
    world.must("role/iam", json!({ "type": "iam", "bound_service_accounts": "a" })).await;
    for (path, body, text) in [
        ("role/x", json!({}), "role type cannot be empty"),
        ("role/x", json!({ "type": "x" }), "role type is invalid"),
        ("role/gce", json!({ "type": "iam" }), "role type cannot be changed"),
        ("role/x", json!({ "type": "iam" }), "at least one service account"),
        (
            "role/x",
            json!({ "type": "iam", "bound_service_accounts": "*,a" }),
            "cannot provide IAM service account wildcard",
        ),
        ("role/iam", json!({ "max_jwt_exp": 3601 }), "cannot be more than 60 minutes"),
        ("role/iam", json!({ "max_jwt_exp": -1 }), "cannot be more than 60 minutes"),
        ("role/iam", json!({ "bound_zones": "z" }), "invalid args found for role of type iam"),
        ("role/gce", json!({ "max_jwt_exp": 60 }), "invalid args found for role of type gce"),
        ("role/gce", json!({ "bound_instance_groups": "g" }), "region or zone information"),
        ("role/gce", json!({ "bound_labels": "a" }), "invalid labels given"),
        ("role/gce", json!({ "bound_zone": "a", "bound_zones": "b" }), "only one of bound_zones"),
        ("role/gce/service-accounts", json!({ "add": "a" }), "cannot edit attribute"),
        ("role/iam/labels", json!({ "add": "a:b" }), "cannot edit attribute"),
        ("role/iam/service-accounts", json!({}), "at least one value to add or remove"),
        ("role/iam/service-accounts", json!({ "remove": "a" }), "at least one service account"),
        ("role/none/labels", json!({ "add": "a:b" }), "role not found"),
        ("role/gce", json!({ "period": "10000h" }), "maximum lease TTL"),
    ] {
        refused(&world.write(path, body).await, 400, text);
    }
    let warned = world.write("role/gce", json!({ "bound_zone": "z", "bound_region": "r" })).await;
    assert_eq!(warned.body["warnings"].as_array().unwrap().len(), 4);
    let warned = world.write("role/gce", json!({ "bound_zones": "z", "bound_regions": [] })).await;
    assert!(warned.body["warnings"][0].as_str().unwrap().contains("instances of any project"));
    assert_eq!(world.write("role/gce", json!({ "bound_projects": "p" })).await.status, 204);
}

#[tokio::test]
async fn the_configuration_never_shows_its_key() {
    let world = World::without_credentials().await;
    let got = world.read("config").await;
    assert_eq!((got.status, got.data()["gce_metadata"].as_array().unwrap().len()), (200, 9));
    let credentials: Value = serde_json::from_str(&world.google.credentials("")).unwrap();
    for wrong in [
        json!("no json"),
        json!({}),
        json!({ "type": "authorized_user" }),
        json!({ "client_email": "a", "private_key_id": "b", "private_key": "hunter2" }),
    ] {
        let got = world.write("config", json!({ "credentials": wrong })).await;
        refused(&got, 400, "failed to read credentials");
        assert!(!got.errors().contains("hunter2"));
    }
    let mut elsewhere = credentials.clone();
    elsewhere["token_uri"] = json!("http://evil.example/token");
    let got = world.write("config", json!({ "credentials": elsewhere })).await;
    refused(&got, 400, "token_uri must be");
    for (body, text) in [
        (json!({ "iam_alias": "x" }), "invalid IAM alias type"),
        (json!({ "gce_alias": "unique_id" }), "invalid GCE alias type"),
        (json!({ "custom_endpoint": { "x": "https://y" } }), "invalid custom endpoint type"),
        (json!({ "custom_endpoint": { "api": "http://y" } }), "must be an https URL"),
    ] {
        refused(&world.write("config", body).await, 400, text);
    }
    // Whoever may change addresses and not read the key gets neither it nor what it gives.
    world.must("config", json!({ "credentials": credentials })).await;
    for name in ["iam", "compute", "crm"] {
        let got = world.write("config", json!({ "custom_endpoint": { name: "https://x" } })).await;
        refused(&got, 400, "takes the credentials in the same request");
    }
    let body = json!({
        "credentials": credentials, "iam_alias": "unique_id", "google_certs_endpoint": "x",
        "custom_endpoint": { "iam": "https://iam.example/" },
    });
    world.must("config", body).await;
    let got = world.read("config").await;
    assert!(!got.body.to_string().contains("PRIVATE KEY"));
    for (name, value) in [
        ("client_email", json!("server@home.iam.gserviceaccount.com")),
        ("client_id", json!("100")),
        ("private_key_id", json!("key of server")),
        ("project_id", json!("home")),
        ("iam_alias", json!("unique_id")),
        ("custom_endpoint", json!({ "iam": "https://iam.example" })),
    ] {
        assert_eq!(got.data()[name], value, "{name}");
    }
}
