//! Roles and the configuration.

use serde_json::{Value, json};
use strongroom_testkit::clouds::azure::{CLIENT_ID, RESOURCE, TENANT};

use super::{OID, World, refused};

#[tokio::test]
async fn a_role_reads_as_it_was_written() {
    let world = World::new().await;
    let body = json!({
        "bound_service_principal_ids": [OID], "bound_locations": "eastus,westus", "num_uses": 3,
    });
    world.must("role/App", body).await;
    let got = world.read("role/app").await;
    for (name, value) in [
        ("bound_service_principal_ids", json!([OID])),
        ("bound_group_ids", json!([])),
        ("bound_subscription_ids", json!([])),
        ("bound_resource_groups", json!([])),
        ("bound_locations", json!(["eastus", "westus"])),
        ("bound_scale_sets", json!([])),
        ("token_num_uses", json!(3)),
        ("num_uses", json!(3)),
    ] {
        assert_eq!(got.data()[name], value, "{name}");
    }
    let got = world.node.root("LIST", "auth/azure/role", Value::Null).await;
    assert_eq!(got.data()["keys"], json!(["app"]));
    for (body, text) in [
        (json!({}), "must have at least one bound constraint"),
        (json!({ "bound_locations": "" }), "must have at least one bound constraint"),
        (json!({ "bound_locations": "x", "period": "10000h" }), "maximum lease TTL"),
        (json!({ "bound_locations": "x", "ttl": 10, "max_ttl": 5 }), "cannot be greater"),
    ] {
        refused(&world.write("role/x", body).await, 400, text);
    }
    let gone = world.node.root("DELETE", "auth/azure/role/app", Value::Null).await;
    assert_eq!((gone.status, world.read("role/app").await.status), (204, 404));
}

#[tokio::test]
async fn the_configuration_never_shows_its_secret() {
    let world = World::new().await;
    let got = world.read("config").await;
    assert_eq!(
        *got.data(),
        json!({
            "tenant_id": TENANT, "resource": RESOURCE, "environment": "", "client_id": CLIENT_ID,
            "root_password_ttl": 15_768_000, "retry_delay": 4_000_000_000i64,
            "max_retry_delay": 60_000_000_000i64, "max_retries": 3,
        })
    );
    for (body, text) in [
        (json!({ "tenant_id": "" }), "tenant_id is required"),
        (json!({ "tenant_id": "common" }), "one tenant"),
        (json!({ "tenant_id": "a/b" }), "one tenant"),
        (json!({ "resource": "" }), "resource is required"),
        (json!({ "environment": "AzureGermanCloud" }), "no cloud configuration"),
        (json!({ "authority_endpoint": "http://x.example" }), "authority_endpoint must be"),
        (json!({ "resource_manager_endpoint": "x" }), "resource_manager_endpoint must be"),
    ] {
        refused(&world.write("config", body).await, 400, text);
    }
    // Whoever may change addresses and not read the secret does not get it.
    for body in [
        json!({ "tenant_id": "other.example" }),
        json!({ "environment": "AzureChinaCloud" }),
        json!({ "authority_endpoint": "https://x.example" }),
        json!({ "resource_manager_endpoint": "https://x.example" }),
    ] {
        refused(&world.write("config", body).await, 400, "takes the client_secret");
    }
    let body = json!({ "environment": "AzureUSGovernmentCloud", "client_secret": "s" });
    world.must("config", body).await;
    world.must("config", json!({ "resource": "https://other.example" })).await;
    let gone = world.node.root("DELETE", "auth/azure/config", Value::Null).await;
    assert_eq!((gone.status, world.read("config").await.status), (204, 404));
}
