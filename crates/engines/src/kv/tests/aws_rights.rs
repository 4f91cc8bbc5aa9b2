//! What each AWS operation needs, as pairs of a Vault path and a capability: the table that operators
//! write policies by.

use std::path::Path;

use strongroom_base::{Json, RawFields};
use strongroom_kernel::plug::{Protocol, Verb};

use super::*;

/// The table's file.
const FILE: &str = "../../docs/doors/aws-secrets-manager.md";
/// What stands around the table there.
const FENCE: (&str, &str) = ("<!-- rights -->\n", "<!-- /rights -->");

/// Operations on the secret `PATH` with the bodies that make a difference.
fn cases() -> Vec<(&'static str, &'static str, Value)> {
    let value = json!({"secret_string": "x"});
    let described = json!({"tags": [{"key": "a", "value": "b"}]});
    let both = json!({"secret_string": "x", "description": "d"});
    vec![
        ("AssociateCrossAccountReplica", "", json!({})),
        (
            "BatchGetSecretValue",
            "by `SecretIdList`, of each",
            json!({"secrets": [{"path": "PATH"}]}),
        ),
        ("BatchGetSecretValue", "by `Filters`, and of each found", json!({})),
        ("CancelRotateSecret", "", json!({})),
        ("CreateSecret", "with a value", value.clone()),
        ("CreateSecret", "without a value", described),
        ("CreateSecret", "with a value, and a description, key or tags", both.clone()),
        ("DeleteResourcePolicy", "", json!({})),
        ("DeleteSecret", "", json!({})),
        ("DescribeSecret", "", json!({})),
        ("DisassociateCrossAccountReplica", "", json!({})),
        ("GetRandomPassword", "", json!({})),
        ("GetResourcePolicy", "", json!({})),
        ("GetSecretValue", "", json!({})),
        ("ListResourcePolicies", "", json!({})),
        ("ListSecretVersionIds", "", json!({})),
        ("ListSecrets", "", json!({})),
        (
            "ListSecrets",
            "with one filter for names in `FOLDER/`",
            json!({"filters": [{"key": "name", "values": ["FOLDER/x"]}]}),
        ),
        ("PutResourcePolicy", "", json!({"resource_policy": "{}"})),
        ("PutSecretValue", "", value.clone()),
        ("RemoveRegionsFromReplication", "", json!({})),
        ("ReplicateSecretToRegions", "", json!({})),
        ("RestoreSecret", "", json!({})),
        ("RotateSecret", "", json!({})),
        ("StopReplicationToReplica", "", json!({})),
        ("TagResource", "", json!({})),
        ("UntagResource", "", json!({})),
        ("UpdateSecret", "with a value", value),
        ("UpdateSecret", "with a description or a key", json!({"description": "d"})),
        ("UpdateSecret", "with both", both),
        ("UpdateSecretVersionStage", "", json!({})),
        ("ValidateResourcePolicy", "", json!({"resource_policy": "{}"})),
    ]
}

/// `GetSecretValue` as `get-secret-value`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

async fn needs(room: &Room, name: &str, body: &Value) -> Vec<(String, String)> {
    let services = room.node.services();
    let table = services.router.table().await.unwrap();
    let entry = table.at(Scope::ROOT, "secret/").unwrap();
    let spec = entry.spec.as_ref().unwrap();
    let pattern = format!("aws/{}", kebab(name));
    let route = spec
        .routes
        .iter()
        .find(|r| r.pattern == pattern || r.pattern == format!("{pattern}/{{path..}}"))
        .unwrap_or_else(|| panic!("no {pattern}"));
    assert!(route.protocol == Protocol::Aws && route.verb == Verb::Write);
    let captures: &[(&'static str, String)] = match route.pattern.ends_with("{path..}") {
        true => &[("path", "PATH".to_owned())],
        false => &[],
    };
    let Json::Object(map) = body.clone() else { panic!() };
    let needs = route.needs.unwrap()(&entry.mount, captures, &RawFields::from_map(map)).unwrap();
    let shown = |c: strongroom_kernel::policy::Capability| format!("{c:?}").to_lowercase();
    let needs: Vec<_> = needs.into_iter().map(|n| (n.path, shown(n.capability))).collect();
    match name {
        // What the operation asks itself, of each secret.
        "BatchGetSecretValue" => {
            needs.into_iter().chain([("secret/data/PATH".to_owned(), "read".to_owned())]).collect()
        }
        _ => needs,
    }
}

#[tokio::test]
#[allow(clippy::disallowed_methods)]
async fn the_table_of_rights_is_true() {
    let room = Room::new().await;
    let mut table = "| operation | needs |\n|---|---|\n".to_owned();
    for (name, when, body) in cases() {
        let needs: Vec<String> = needs(&room, name, &body)
            .await
            .iter()
            .map(|(p, c)| format!("`{c}` on `{p}`"))
            .collect();
        let when = if when.is_empty() { String::new() } else { format!(", {when}") };
        table.push_str(&format!("| {name}{when} | {} |\n", needs.join(", ")));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let page = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = page.split_once(FENCE.0).expect("the table's place");
    let (shown, after) = rest.split_once(FENCE.1).expect("the table's end");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&file, format!("{before}{}{table}{}{after}", FENCE.0, FENCE.1)).unwrap();
        return;
    }
    assert_eq!(shown, table, "UPDATE_EXPECT=1 writes it anew");
}

/// Each operation is served to whom has all that it needs, and refused to whom lacks one of it.
#[tokio::test]
async fn each_right_is_enough_and_none_is_too_much() {
    let room = Room::new().await;
    for (name, when, body) in cases() {
        if name == "BatchGetSecretValue" {
            continue;
        }
        let needs = needs(&room, name, &body).await;
        let rights = |left_out: Option<usize>| -> Vec<(&str, &str)> {
            let kept = needs.iter().enumerate().filter(|(i, _)| Some(*i) != left_out);
            kept.map(|(_, (path, capability))| (path.as_str(), capability.as_str())).collect()
        };
        let listing = name == "ListSecrets";
        let alone = matches!(name, "GetRandomPassword" | "ValidateResourcePolicy");
        let path = if listing || alone { "" } else { "PATH" };
        let call = async |rights: Vec<(&str, &str)>| {
            let token = room.token(&rights).await;
            let said = room.aws_as(&token, &kebab(name), path, body.clone()).await;
            !matches!(said, Err((code, _)) if code == "403")
        };
        assert!(call(rights(None)).await, "{name} {when}");
        for (i, need) in needs.iter().enumerate() {
            assert!(!call(rights(Some(i))).await, "{name} {when} without {need:?}");
        }
    }
}

#[tokio::test]
async fn what_a_policy_forbids_holds_here_too() {
    let room = Room::new().await;
    room.put("a", json!({"k": 1})).await;
    let get = async |text: &str| {
        let token = room.token_of(text.to_owned()).await;
        let done = room.aws_as(&token, "get-secret-value", "a", json!({})).await;
        done.map(|_| ()).map_err(|e| e.0)
    };
    let read = r#"path "secret/data/*" { capabilities = ["read"] }"#;
    assert_eq!(get(read).await, Ok(()));
    let denied = format!(r#"{read} path "secret/data/a" {{ capabilities = ["deny"] }}"#);
    assert_eq!(get(&denied).await, Err("403".to_owned()));
    // A policy may speak of the door's own paths, to deny them.
    let closed = format!(r#"{read} path "secret/aws/*" {{ capabilities = ["deny"] }}"#);
    assert_eq!(get(&closed).await, Err("403".to_owned()));
    assert_eq!(
        get(r#"path "secret/aws/*" { capabilities = ["update", "sudo"] }"#).await,
        Err("403".to_owned())
    );
    // A rule that wants parameters wants those of Vault's request, which AWS's cannot give.
    let token = room
        .token_of(
            r#"path "secret/data/a" { capabilities = ["update"] required_parameters = ["options"] }"#
                .to_owned(),
        )
        .await;
    let body = json!({"secret_string": "x"});
    let said = room.aws_as(&token, "put-secret-value", "a", body).await.unwrap_err();
    assert_eq!(said.0, "403");
}

#[tokio::test]
async fn a_secret_has_one_policy_and_it_has_a_name() {
    let room = Room::new().await;
    room.put("a", json!({"k": 1})).await;
    let ask = async |operation: &str, body: Value| {
        room.aws(operation, "a", body).await.map_err(|(code, _)| code)
    };
    let listed = async || ask("list-resource-policies", json!({})).await.unwrap();
    assert_eq!(listed().await, json!({"resource_policies": []}));
    let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}"#;
    for (operation, code) in [
        ("put-resource-policy", "InvalidParameterException"),
        ("delete-resource-policy", "InvalidParameterException"),
        ("get-resource-policy", "ResourceNotFoundException"),
    ] {
        let body = json!({"resource_policy": text, "policy_name": "other"});
        assert_eq!(ask(operation, body).await, Err(code.to_owned()), "{operation}");
    }
    for name in [Value::Null, json!("default")] {
        let body = json!({"resource_policy": text, "policy_name": name});
        assert_eq!(ask("put-resource-policy", body).await.unwrap()["policy_name"], "default");
        let got = ask("get-resource-policy", json!({"policy_name": name})).await.unwrap();
        assert_eq!(
            (&got["policy_name"], &got["resource_policy"]),
            (&json!("default"), &json!(text))
        );
    }
    assert_eq!(listed().await, json!({"resource_policies": [{"policy_name": "default"}]}));
    let forged = ask("list-resource-policies", json!({"next_token": "x"})).await;
    assert_eq!(forged, Err("InvalidNextTokenException".to_owned()));
    ask("delete-resource-policy", json!({})).await.unwrap();
    assert_eq!(listed().await, json!({"resource_policies": []}));
}
