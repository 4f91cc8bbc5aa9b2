//! Where a login comes from.

use serde_json::{Value, json};
use strongroom_testkit::clouds::azure::{CLIENT_ID, CLIENT_SECRET};

use super::{MANAGER, OID, SUBSCRIPTION, World, refused};

const OTHER: &str = "cccccccc-0000-0000-0000-000000000002";

fn id(group: &str, rest: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/{rest}")
}

fn vm() -> String {
    id("rg", "Microsoft.Compute/virtualMachines/vm")
}

/// Where the machine `vm` says it is.
fn place() -> Value {
    json!({
        "role": "r", "subscription_id": SUBSCRIPTION, "resource_group_name": "rg", "vm_name": "vm",
    })
}

fn changed(name: &str, value: &str) -> Value {
    let mut place = place();
    place[name] = json!(value);
    place
}

/// A world with the machine `vm`, whose own identity it is.
async fn world(role: Value) -> World {
    let world = World::new().await;
    let machine = json!({ "location": "eastus", "identity": { "principalId": OID } });
    world.azure.has(&vm(), machine);
    let mut body = json!({ "bound_service_principal_ids": "*" });
    body.as_object_mut().unwrap().extend(role.as_object().unwrap().clone());
    world.must("role/r", body).await;
    world
}

#[tokio::test]
async fn a_machine_is_the_tokens_and_the_managers() {
    // threat CVE-2025-3879
    let world = world(json!({ "bound_locations": "EastUS" })).await;
    let mine = || world.token(json!({ "xms_mirid": vm() }));
    let got = world.login_with(&mine(), place()).await;
    assert_eq!(got.status, 200, "{got:?}");
    let told = json!({
        "role": "r", "vm_name": "vm", "resource_group_name": "rg", "subscription_id": SUBSCRIPTION,
    });
    assert_eq!(got.body["auth"]["metadata"], told);
    let calls = world.web.calls(MANAGER);
    for (body, text) in [
        (json!({ "role": "r" }), "subscription_id and resource_group_name are required"),
        (changed("subscription_id", ""), "subscription_id and resource_group_name are required"),
        (changed("subscription_id", "x/../y"), "invalid subscription id"),
        (changed("resource_group_name", "rg/../x"), "invalid resource group name"),
        (changed("vm_name", "vm?x"), "invalid vm name"),
        (changed("vmss_name", "../x"), "invalid vmss_name"),
        (changed("vm_name", "v"), "not given to that machine"),
        (changed("vm_name", "other"), "not given to that machine"),
        (changed("resource_group_name", "r"), "not given to that machine"),
        (changed("subscription_id", OTHER), "not given to that machine"),
        (changed("vmss_name", "vm"), "not given to that scale set"),
        (changed("vm_name", ""), "one of vm_name, vmss_name or resource_id"),
    ] {
        refused(&world.login_with(&mine(), body).await, 400, text);
    }
    refused(&world.login_with(&world.token(json!({})), place()).await, 400, "not given to that");
    assert_eq!(world.web.calls(MANAGER), calls, "nobody was asked");
    // The machine has another identity by now, none, or is gone.
    for (machine, text) in [
        (json!({ "location": "eastus", "identity": { "principalId": "x" } }), "does not match"),
        (json!({ "location": "eastus" }), "has no identity"),
        (json!({ "location": "westus", "identity": { "principalId": OID } }), "location not"),
        (json!({ "identity": { "principalId": OID } }), "location not authorized"),
        (Value::Null, "it is not there"),
    ] {
        world.azure.has(&vm(), machine);
        refused(&world.login_with(&mine(), place()).await, 400, text);
    }
}

#[tokio::test]
async fn what_nobody_confirms_is_not_told() {
    // In the spirit of CVE-2025-3879: templated policies may stand on it.
    let world = world(json!({ "bound_service_principal_ids": OID })).await;
    let victim = json!({
        "role": "r", "subscription_id": SUBSCRIPTION, "resource_group_name": "victim-rg",
        "vm_name": "victim", "vmss_name": "victims", "resource_id": id("victim-rg", "A.B/c/victim"),
    });
    for (claims, body, told) in [
        (json!({}), victim.clone(), json!({ "role": "r" })),
        (json!({ "xms_mirid": vm() }), victim, json!({ "role": "r" })),
        (
            json!({ "xms_mirid": vm() }),
            changed("vmss_name", "victims"),
            json!({
                "role": "r", "subscription_id": SUBSCRIPTION, "resource_group_name": "rg",
                "vm_name": "vm",
            }),
        ),
    ] {
        let got = world.login_with(&world.token(claims), body).await;
        assert_eq!((got.status, &got.body["auth"]["metadata"]), (200, &told), "{got:?}");
    }
}

#[tokio::test]
async fn subscriptions_and_groups_are_bound() {
    for (role, text) in [
        (json!({ "bound_subscription_ids": SUBSCRIPTION, "bound_resource_groups": "RG" }), ""),
        (json!({ "bound_subscription_ids": OTHER }), "subscription not authorized"),
        (json!({ "bound_resource_groups": "rg2,r" }), "resource group not authorized"),
        (json!({ "bound_scale_sets": "vm" }), "no vmss_name given"),
    ] {
        let world = world(role.clone()).await;
        let token = world.token(json!({ "xms_az_rid": vm() }));
        let got = world.login_with(&token, place()).await;
        match text {
            "" => assert_eq!(got.status, 200, "{role}: {got:?}"),
            text => refused(&got, 400, text),
        }
    }
}

#[tokio::test]
async fn scale_sets_and_their_identities() {
    let world = world(json!({ "bound_scale_sets": "set", "bound_resource_groups": "rg" })).await;
    let set = id("rg", "Microsoft.Compute/virtualMachineScaleSets/set");
    let identity = id("ids", "Microsoft.ManagedIdentity/userAssignedIdentities/app");
    // A scale set names its identities only.
    let found = json!({ "location": "eastus", "identity": { "userAssignedIdentities": {
        identity.clone(): {},
    }}});
    world.azure.has(&set, found);
    world.azure.has(&identity, json!({ "properties": { "principalId": OID, "clientId": "c" } }));
    let token = |rid: String| world.token(json!({ "xms_az_rid": rid, "xms_mirid": identity }));
    let mut body = place();
    body["vmss_name"] = json!("set");
    for rid in
        [format!("{set}/virtualMachines/0"), format!("{}_set_1", vm()).replace("vm_set", "set")]
    {
        let got = world.login_with(&token(rid.clone()), body.clone()).await;
        assert_eq!(got.status, 200, "{rid}: {got:?}");
    }
    refused(&world.login_with(&token(vm()), body.clone()).await, 400, "to that scale set");
    let other = id("rg", "Microsoft.Compute/virtualMachineScaleSets/other");
    body["vmss_name"] = json!("other");
    let got = world.login_with(&token(other), body).await;
    refused(&got, 400, "scale set not authorized");
}

#[tokio::test]
async fn other_resources_are_looked_up_by_their_id() {
    let world = world(json!({ "bound_resource_groups": "rg", "bound_locations": "eastus" })).await;
    let site = id("rg", "Microsoft.Web/sites/app");
    let provider = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Web");
    let versions = json!(["2024-11-01-preview", "2024-04-01"]);
    let types = json!([{ "resourceType": "sites", "apiVersions": versions }]);
    world.azure.has(&provider, json!({ "resourceTypes": types }));
    world.azure.has(&site, json!({ "location": "eastus", "identity": { "principalId": OID } }));
    let mut body = changed("vm_name", "");
    body["resource_id"] = json!(site);
    let got = world.login_with(&world.token(json!({})), body.clone()).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(world.web.calls(&format!("{MANAGER}{site}?api-version=2024-04-01")), 1);
    for (resource, text) in [
        ("/x", "invalid resource_id"),
        (id("other", "Microsoft.Web/sites/app").as_str(), "does not match resource_group_name"),
        (id("rg", "Microsoft.Web/sites/none").as_str(), "it is not there"),
    ] {
        body["resource_id"] = json!(resource);
        refused(&world.login_with(&world.token(json!({})), body.clone()).await, 400, text);
    }
}

#[tokio::test]
async fn a_workload_identity_is_one_of_a_bound_group() {
    let world = world(json!({ "bound_resource_groups": "ids" })).await;
    let list = |group: &str| id(group, "Microsoft.ManagedIdentity/userAssignedIdentities");
    let has = |client: &str| json!({ "value": [{ "properties": { "clientId": client } }] });
    world.azure.has(&vm(), json!({ "location": "x", "identity": { "principalId": "node's" } }));
    world.azure.has(&list("ids"), has("app-1"));
    // The caller's own group does not count: the role is not bound to it.
    world.azure.has(&list("rg"), has("app-2"));
    let token = |app: &str| world.token(json!({ "xms_az_rid": vm(), "appid": app }));
    assert_eq!(world.login_with(&token("app-1"), place()).await.status, 200);
    refused(&world.login_with(&token("app-2"), place()).await, 400, "match expected identities");
    refused(&world.login_with(&token(""), place()).await, 400, "does not match expected");
    world.must("role/r", json!({ "bound_locations": "x" })).await;
    refused(&world.login_with(&token("app-1"), place()).await, 400, "does not match expected");
}

#[tokio::test]
async fn the_manager_is_asked_with_credentials_or_not_at_all() {
    let world = world(json!({ "bound_locations": "eastus" })).await;
    let token = || world.token(json!({ "xms_mirid": vm() }));
    for _ in 0..2 {
        assert_eq!(world.login_with(&token(), place()).await.status, 200);
    }
    assert_eq!(world.web.calls(&format!("{}/{}/oauth2", super::AUTHORITY, super::TENANT)), 1);
    world.must("config", json!({ "client_secret": "wrong" })).await;
    let got = world.login_with(&token(), place()).await;
    refused(&got, 502, "Azure gives no access token");
    assert!(!got.errors().contains("wrong"));
    world.must("config", json!({ "client_id": "" })).await;
    refused(&world.login_with(&token(), place()).await, 400, "config has no client_id");
    let good = json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET });
    world.must("config", good).await;
    world.web.answer(MANAGER, 500, "{}");
    refused(&world.login_with(&token(), place()).await, 502, "unable to retrieve");
    world.web.down(MANAGER);
    refused(&world.login_with(&token(), place()).await, 502, "unable to retrieve");
}
