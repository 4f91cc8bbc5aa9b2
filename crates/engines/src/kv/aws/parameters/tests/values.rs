//! Writing and reading.

use super::*;

#[tokio::test]
async fn what_is_no_parameter_is_refused_by_its_name() {
    let room = Room::new().await;
    const INVALID: &str = "ValidationException";
    let long = "canary".repeat(1_000);
    let path = "put-parameter/ssm/app/db";
    for (body, code) in [
        (json!({ "value": "canary" }), INVALID),
        (json!({ "type": "String" }), INVALID),
        (json!({ "type": "String", "value": "" }), INVALID),
        (json!({ "type": "Canary", "value": "x" }), INVALID),
        (json!({ "type": "String", "value": "{{ssm:canary}}" }), INVALID),
        (json!({ "type": "String", "value": long }), INVALID),
        (
            json!({ "type": "String", "value": format!("{long}{long}"), "tier": "Advanced" }),
            INVALID,
        ),
        (json!({ "type": "String", "value": "x", "tier": "Canary" }), INVALID),
        (json!({ "type": "String", "value": "x", "key": "canary" }), INVALID),
        (json!({ "type": "String", "value": "x", "description": "canary".repeat(171) }), INVALID),
        (
            json!({ "type": "String", "value": "x", "pattern": "(canary" }),
            "InvalidAllowedPatternException",
        ),
        (
            json!({ "type": "String", "value": "canary", "pattern": "^\\d+$" }),
            "ParameterPatternMismatchException",
        ),
        (
            json!({ "type": "String", "value": "x", "pattern": "(canary{900}){900}" }),
            "InvalidAllowedPatternException",
        ),
        (json!({ "type": "String", "value": "canary", "data_type": "aws:ec2:image" }), INVALID),
        (json!({ "type": "String", "value": "canary", "data_type": "integer" }), INVALID),
        (json!({ "type": "String", "value": "x", "data_type": "canary" }), INVALID),
        (json!({ "type": "String", "value": "x", "overwrite": true, "tags": [] }), INVALID),
        (
            json!({ "type": "String", "value": "x", "tags": [{ "key": "aws:canary", "value": "" }] }),
            INVALID,
        ),
    ] {
        room.refused(path, body, code).await;
    }
    for path in
        ["get-parameter", "get-parameter-history", "delete-parameter", "label-parameter-version"]
    {
        let body = json!({ "labels": ["x"] });
        room.refused(&format!("{path}/ssm/app/db"), body, "ParameterNotFound").await;
    }
    room.ok(path, json!({ "type": "String", "value": "1", "pattern": "^\\d+$" })).await;
    let again = json!({ "type": "String", "value": "2" });
    room.refused(path, again, "ParameterAlreadyExists").await;
    for (body, code) in [
        // The pattern holds on.
        (json!({ "value": "canary", "overwrite": true }), "ParameterPatternMismatchException"),
        (
            json!({ "value": "2", "type": "SecureString", "overwrite": true }),
            "HierarchyTypeMismatchException",
        ),
    ] {
        room.refused(path, body, code).await;
    }
    for selector in ["2", "0", "-1", "label"] {
        let body = json!({ "selector": selector });
        room.refused("get-parameter/ssm/app/db", body, "ParameterVersionNotFound").await;
    }
}

#[tokio::test]
async fn versions_are_publications() {
    let room = Room::new().await;
    let path = "put-parameter/ssm/app/db";
    let made =
        room.ok(path, json!({ "value": "one", "type": "StringList", "description": "d" })).await;
    assert_eq!(made, json!({ "version": 1, "tier": "Standard" }));
    room.node.clock.advance(60);
    let body = json!({ "value": "two,three", "overwrite": true });
    assert_eq!(room.ok(path, body).await["version"], 2);
    let shown = room.get("app/db", json!({})).await;
    assert_eq!(
        shown,
        json!({
            "path": "ssm/app/db", "rooted": false, "type": "StringList", "version": 2,
            "modified": 1_767_225_660.0, "data_type": "text", "value": "two,three",
        })
    );
    let first = room.get("app/db", json!({ "selector": "1" })).await;
    assert_eq!((&first["value"], &first["selector"]), (&json!("one"), &json!(":1")));
    let history = room.ok("get-parameter-history/ssm/app/db", json!({})).await;
    assert_eq!(each(&history["parameters"], "value"), ["one", "two,three"]);
    assert_eq!(history["parameters"][1]["description"], "d");
    // It is a secret at Vault's door, and what is written there is the next version here.
    let read = room.vault("READ", "data/ssm/app/db", Value::Null).await;
    assert_eq!(read.data()["data"], json!({ "value": "two,three" }));
    let body = json!({ "data": { "value": "four" } });
    room.vault("WRITE", "data/ssm/app/db", body).await;
    let shown = room.get("app/db", json!({})).await;
    assert_eq!((&shown["value"], &shown["version"]), (&json!("four"), &json!(3)));
    assert_eq!(shown["type"], "StringList");
    let history = room.ok("get-parameter-history/ssm/app/db", json!({ "max_results": 2 })).await;
    let next = json!({ "next_token": history["next"] });
    let rest = room.ok("get-parameter-history/ssm/app/db", next.clone()).await;
    assert_eq!(each(&rest["parameters"], "value"), ["four"]);
    room.put("other", "String", "x").await;
    room.refused("get-parameter-history/ssm/other", next, "InvalidNextToken").await;
    // What Vault's door deletes is not there, and comes back there.
    room.vault("DELETE", "data/ssm/app/db", Value::Null).await;
    room.refused("get-parameter/ssm/app/db", json!({}), "ParameterNotFound").await;
    let body = json!({ "selector": "3" });
    room.refused("get-parameter/ssm/app/db", body, "ParameterVersionNotFound").await;
    room.vault("WRITE", "undelete/ssm/app/db", json!({ "versions": [3] })).await;
    assert_eq!(room.get("app/db", json!({})).await["value"], "four");
}

#[tokio::test]
async fn secrets_are_shown_to_who_asks_for_them() {
    let room = Room::new().await;
    let body = json!({ "value": "canary value", "type": "SecureString", "key": "alias/mine" });
    room.ok("put-parameter/ssm/app/db", body).await;
    room.vault("WRITE", "data/ssm/app/kv", json!({ "data": { "b": 1, "a": "canary" } })).await;
    for (path, plain) in [("app/db", "canary value"), ("app/kv", r#"{"b":1,"a":"canary"}"#)] {
        let shown = room.get(path, json!({ "decrypt": true })).await;
        assert_eq!((&shown["value"], &shown["type"]), (&json!(plain), &json!("SecureString")));
        let hidden = room.get(path, json!({})).await["value"].clone();
        assert!(!hidden.to_string().contains("canary") && hidden.as_str().unwrap().len() > 20);
        // It is the same each time, and another one for each version.
        assert_eq!(room.get(path, json!({ "decrypt": false })).await["value"], hidden);
        room.put(path, "SecureString", plain).await;
        assert_ne!(room.get(path, json!({})).await["value"], hidden);
    }
    let described = room.ok("describe-parameters/ssm", json!({})).await;
    assert_eq!(each(&described["parameters"], "key"), ["alias/mine", "alias/aws/ssm"]);
    assert!(!described.to_string().contains("canary"));
    // An object that is written over an object stays one.
    let read = room.vault("READ", "data/ssm/app/kv", Value::Null).await;
    assert_eq!(read.data()["data"], json!({ "b": 1, "a": "canary" }));
    let log = String::from_utf8(room.node.audit.contents()).unwrap();
    assert!(!log.contains("canary value"));
}

#[tokio::test]
async fn tiers() {
    let room = Room::new().await;
    let path = "put-parameter/ssm/a";
    let put = async |bytes: usize, tier: &str| {
        let body = json!({
            "value": "x".repeat(bytes), "type": "String", "overwrite": true, "tier": tier,
        });
        room.named(&room.node.root, path, body).await
    };
    for (bytes, tier, expect) in [
        (4_096, "Standard", "Standard"),
        (4_097, "Standard", ""),
        (4_096, "Intelligent-Tiering", "Standard"),
        (4_097, "Intelligent-Tiering", "Advanced"),
        (10, "Standard", ""),
        (8_192, "Advanced", "Advanced"),
        (8_193, "Advanced", ""),
        (10, "Intelligent-Tiering", "Advanced"),
    ] {
        let (got, name) = put(bytes, tier).await;
        match expect {
            "" => assert_eq!(name, "ValidationException", "{bytes} {tier}: {got:?}"),
            expect => assert_eq!(got.data()["tier"], expect, "{bytes} {tier}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn several_at_once() {
    let room = Room::new().await;
    for (path, value) in [("b", "2"), ("a/x", "1")] {
        room.put(path, "String", value).await;
    }
    let named = |path: &str| json!({ "path": format!("ssm/{path}"), "name": path });
    let mut versioned = named("b");
    versioned["selector"] = json!("9");
    let asked = json!({ "parameters": [named("none"), named("b"), named("a/x"), versioned] });
    let got = room.ok("get-parameters", asked).await;
    assert_eq!(each(&got["parameters"], "path"), ["ssm/a/x", "ssm/b"]);
    assert_eq!(got["invalid"], json!(["none", "b"]));
    for list in [
        json!([]),
        json!(vec![named("a"); 11]),
        json!([{ "name": "x" }]),
        json!("x"),
        json!([{ "path": "../x" }]),
    ] {
        for path in ["get-parameters", "delete-parameters"] {
            room.refused(path, json!({ "parameters": list }), "ValidationException").await;
        }
    }
    let asked = json!({ "parameters": [named("b")], "invalid": ["?", "x:"] });
    let got = room.ok("get-parameters", asked).await;
    assert_eq!(each(&got["parameters"], "path"), ["ssm/b"], "one bad name is no other's fault");
    assert_eq!(got["invalid"], json!(["?", "x:"]));
    let none = json!({ "parameters": [], "invalid": ["?"] });
    let got = room.ok("get-parameters", none).await;
    assert_eq!(got, json!({ "parameters": [], "invalid": ["?"] }));
    let asked = json!({ "parameters": [named("none"), named("b")] });
    let gone = room.ok("delete-parameters", asked).await;
    assert_eq!(gone, json!({ "deleted": ["b"], "invalid": ["none"] }));
    room.refused("get-parameter/ssm/b", json!({}), "ParameterNotFound").await;
}

#[tokio::test]
async fn secrets_of_secrets_manager_are_read_by_reference() {
    let room = Room::new().await;
    room.vault("WRITE", "data/app/db", json!({ "data": { "password": "x" } })).await;
    let path = "get-parameter/app/db";
    let body = json!({ "reference": true });
    room.refused(path, body, "ValidationException").await;
    let body = json!({ "reference": true, "decrypt": true });
    let shown = room.ok(path, body.clone()).await;
    assert_eq!((&shown["value"], &shown["version"]), (&json!(r#"{"password":"x"}"#), &json!(0)));
    assert_eq!(shown["type"], "SecureString");
    room.refused("get-parameter/none", body.clone(), "ParameterNotFound").await;
    let id = shown["source"]["version_id"].clone();
    for selector in [id, json!("AWSCURRENT")] {
        let body = json!({ "reference": true, "decrypt": true, "selector": selector });
        assert_eq!(room.ok(path, body).await["value"], shown["value"]);
    }
    let body = json!({ "reference": true, "decrypt": true, "selector": "AWSPREVIOUS" });
    room.refused(path, body, "ParameterNotFound").await;
}

#[tokio::test]
async fn neither_a_reference_nor_a_version_is_removed() {
    let room = Room::new().await;
    room.put("x", "String", "1").await;
    let whole = json!({ "path": "ssm/x", "name": "/x" });
    for odd in [
        json!({ "path": "ssm/x", "name": "/x:1", "selector": "1" }),
        json!({ "path": "ssm/x", "name": "/aws/reference/secretsmanager/x", "reference": true }),
    ] {
        let asked = json!({ "parameters": [whole, odd] });
        room.refused("delete-parameters", asked, "ParameterNotFound").await;
        assert_eq!(room.get("x", json!({})).await["value"], "1");
    }
    let unfit = json!({ "parameters": [], "invalid": ["/x:1"] });
    let said = room.ok("delete-parameters", unfit).await;
    assert_eq!(said, json!({ "deleted": [], "invalid": ["/x:1"] }));
    room.refused("delete-parameters", json!({ "parameters": [] }), "ValidationException").await;
}
