//! Tokens of instances.

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_testkit::clouds::google::Account;

use super::{World, refused};

const INSTANCE: &str = "projects/shop/zones/europe-west1-b/instances/web";
const LINK: &str =
    "https://www.googleapis.com/compute/v1/projects/shop/zones/europe-west1-b/instances/web";

fn facts() -> Value {
    json!({
        "project_id": "shop", "project_number": 42, "zone": "europe-west1-b",
        "instance_id": "9876543210", "instance_name": "web",
        "instance_creation_timestamp": 1_700_000_000,
    })
}

/// An instance with the account `app`, and a role `gce` of these bindings.
async fn world(body: Value) -> (World, Arc<Account>) {
    let world = World::new().await;
    let app = world.google.has(Account::new("app", "shop", "111"));
    let found = json!({
        "id": "9876543210", "name": "web", "selfLink": LINK, "status": "RUNNING",
        "zone": "https://www.googleapis.com/compute/v1/projects/shop/zones/europe-west1-b",
        "labels": { "tier": "front" },
    });
    world.google.compute(INSTANCE, found);
    let mut role = json!({ "type": "gce", "token_ttl": 60 });
    role.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    world.must("role/gce", role).await;
    (world, app)
}

impl World {
    fn token(&self, account: &Account, role: &str, facts: &Value) -> String {
        self.google.own.sign(&self.google.instance_claims(account, role, facts))
    }
}

#[tokio::test]
async fn an_instance_is_believed_where_google_signed() {
    let (world, app) = world(json!({ "bound_projects": "shop" })).await;
    let claims = world.google.instance_claims(&app, "gce", &facts());
    for token in world.google.own.tricks(&claims) {
        let got = world.login("gce", &token).await;
        assert!(got.status == 400 && got.body["auth"].is_null(), "{token}: {got:?}");
    }
    // The account's own key is good for its own name, not for what an instance is.
    refused(&world.login("gce", &app.signer.sign(&claims)).await, 400, "no key of Google's");
    let mut other = claims.clone();
    other["iss"] = json!("https://evil.example");
    refused(&world.login("gce", &world.google.own.sign(&other)).await, 400, "issuer is not Google");
    other["iss"] = json!("accounts.google.com");
    other["google"] = json!({});
    refused(&world.login("gce", &world.google.own.sign(&other)).await, 400, "GCE metadata");
    let got = world.login("gce", &world.google.own.sign(&claims)).await;
    assert_eq!(got.status, 200, "{got:?}");
    let auth = &got.body["auth"];
    assert_eq!(auth["metadata"]["instance_id"], "9876543210");
    assert_eq!(auth["metadata"]["project_number"], "42");
    assert_eq!(auth["metadata"].as_object().unwrap().len(), 9);
    world.must("config", json!({ "gce_alias": "instance_id", "gce_metadata": "zone" })).await;
    let got = world.login("gce", &world.google.own.sign(&claims)).await;
    assert_eq!(got.body["auth"]["metadata"], json!({ "zone": "europe-west1-b" }));
    let alias = json!({
        "alias_name": "gce-9876543210", "alias_mount_accessor": world.accessor,
    });
    let found = world.node.root("WRITE", "identity/lookup/entity", alias).await;
    assert_eq!(found.data()["id"], got.body["auth"]["entity_id"]);
}

#[tokio::test]
async fn an_instance_must_be_the_very_one() {
    let (world, app) = world(json!({})).await;
    let token = world.token(&app, "gce", &facts());
    let found = |id: &str| json!({ "id": id, "name": "web", "selfLink": LINK });
    world.google.compute(INSTANCE, found("1"));
    refused(&world.login("gce", &token).await, 400, "instance of the JWT is not there");
    world.google.compute(INSTANCE, Value::Null);
    refused(&world.login("gce", &token).await, 400, "instance of the JWT is not there");
    world.google.compute(INSTANCE, found("9876543210"));
    let token = world.login("gce", &token).await.token();
    assert_eq!(world.renew(&token).await, Ok(()));
    world.google.compute(INSTANCE, Value::Null);
    assert!(world.renew(&token).await.unwrap_err().contains("is not there"));
    for (name, value) in [("zone", ".."), ("project_id", "."), ("instance_name", "../x")] {
        let mut odd = facts();
        odd[name] = json!(value);
        let got = world.login("gce", &world.token(&app, "gce", &odd)).await;
        assert!(got.status == 400 && got.body["auth"].is_null(), "{name}: {got:?}");
    }
}

#[tokio::test]
async fn every_binding_holds() {
    let (world, app) = world(json!({})).await;
    let none = json!({
        "bound_projects": [], "bound_service_accounts": [], "bound_zones": [], "bound_regions": [],
        "bound_labels": [], "bound_instance_groups": [],
    });
    for (body, text) in [
        (json!({ "bound_projects": "shop", "bound_zones": "europe-west1-b" }), ""),
        (json!({ "bound_regions": "europe-west1" }), ""),
        (json!({ "bound_labels": "tier:front", "bound_service_accounts": "111" }), ""),
        (json!({ "bound_service_accounts": app.email }), ""),
        (json!({ "bound_zones": "europe-west1-b", "bound_regions": "us-east1" }), ""),
        (json!({ "bound_projects": "shop2" }), "not in bound projects"),
        (json!({ "bound_zones": "europe-west1-c" }), "not in bound zones"),
        (json!({ "bound_regions": "europe-west" }), "not in bound regions"),
        (json!({ "bound_labels": "tier:back" }), "missing bound label"),
        (json!({ "bound_labels": ["tier:front", "more:x"] }), "missing bound label"),
        (json!({ "bound_service_accounts": "222" }), "not in bound service accounts"),
        (json!({ "bound_service_accounts": "*" }), "not in bound service accounts"),
    ] {
        world.must("role/gce", none.clone()).await;
        world.must("role/gce", body.clone()).await;
        let got = world.login("gce", &world.token(&app, "gce", &facts())).await;
        match text {
            "" => assert_eq!(got.status, 200, "{body}: {got:?}"),
            text => refused(&got, 400, text),
        }
    }
}

#[tokio::test]
async fn groups_are_those_of_the_zone_or_region() {
    let list = |place: &str| format!("projects/shop/{place}/instanceGroups/web/listInstances");
    let has = |link: &str| json!({ "items": [{ "instance": "x" }, { "instance": link }] });
    for (body, place, members, good) in [
        (json!({ "bound_zones": "europe-west1-b" }), "zones/europe-west1-b", has(LINK), true),
        (json!({ "bound_regions": "europe-west1" }), "zones/europe-west1-b", has(LINK), true),
        (json!({ "bound_regions": "europe-west1" }), "regions/europe-west1", has(LINK), true),
        (json!({ "bound_zones": "europe-west1-b" }), "regions/europe-west1", has(LINK), false),
        (json!({ "bound_regions": "europe-west1" }), "zones/europe-west1-c", has(LINK), false),
        (json!({ "bound_zones": "europe-west1-b" }), "zones/europe-west1-b", json!({}), false),
        (
            json!({ "bound_zones": "europe-west1-b" }),
            "zones/europe-west1-b",
            has(&format!("{LINK}2")),
            false,
        ),
    ] {
        let mut bound = body.clone();
        bound["bound_instance_groups"] = json!("web");
        let (world, app) = world(bound).await;
        world.google.compute(&list(place), members);
        let got = world.login("gce", &world.token(&app, "gce", &facts())).await;
        match good {
            true => assert_eq!(got.status, 200, "{body} {place}: {got:?}"),
            false => refused(&got, 400, "not part of bound instance groups"),
        }
    }
}

#[tokio::test]
async fn an_instance_may_stand_for_its_account() {
    let (world, app) = world(json!({})).await;
    world.must("role/app", json!({ "type": "iam", "bound_service_accounts": app.email })).await;
    let token = world.token(&app, "app", &facts());
    let given = world.login("app", &token).await;
    assert_eq!(given.status, 200, "{given:?}");
    // A token of the same server that does not say what instance it is of.
    let standard = world.google.instance_claims(&app, "app", &Value::Null);
    let standard = world.google.own.sign(&standard);
    world.must("role/app", json!({ "allow_gce_inference": false, "max_jwt_exp": "1h" })).await;
    for token in [&token, &standard] {
        refused(&world.login("app", token).await, 400, "does not allow GCE inference");
    }
    assert!(world.renew(&given.token()).await.unwrap_err().contains("no longer allowed"));
}
