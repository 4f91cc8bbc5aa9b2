//! Search: what it finds, and for whom.

use super::*;

async fn filled() -> Room {
    let room = Room::new().await;
    room.put("team/db/prod", json!({"password": "canary", "host": "h"})).await;
    room.put("team/db/dev", json!({"token": "canary"})).await;
    room.put("team/hidden/prod", json!({"password": "canary"})).await;
    room.put("Prod", json!({"key": "canary"})).await;
    room
}

#[tokio::test]
async fn it_finds_paths_and_field_names() {
    let room = filled().await;
    for (path, keys) in [
        ("secret/search?query=prod", vec!["Prod", "team/db/prod", "team/hidden/prod"]),
        ("secret/search?query=DB/P", vec!["team/db/prod"]),
        ("secret/search/team/db?query=prod", vec!["prod"]),
        ("secret/search/team?query=password", vec![]),
        ("secret/search/team?query=PASS&fields=true", vec!["db/prod", "hidden/prod"]),
        ("secret/search?query=canary&fields=true", vec![]),
        ("secret/search?query=prod&limit=1", vec!["Prod"]),
        ("secret/search/none?query=prod", vec![]),
    ] {
        let got = room.call("READ", path, json!(null)).await;
        assert_eq!(keys_of(&got), keys, "{path} {got:?}");
        assert_eq!(got.status, if keys.is_empty() { 404 } else { 200 }, "{path}");
        assert!(!got.body.to_string().contains("canary"), "{path} shows a value");
    }
    let got = room.ok("READ", "secret/search/team/db?query=o&fields=true", json!(null)).await;
    assert_eq!(
        got["key_info"],
        json!({"dev": {"fields": ["token"]}, "prod": {"fields": ["password", "host"]}})
    );
    for path in ["secret/search", "secret/search?query="] {
        assert_eq!(room.call("READ", path, json!(null)).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn it_tells_nothing_of_what_may_not_be_listed() {
    // threat: "search and lists never tell of a path the caller may not list"
    let room = filled().await;
    let list = [("secret/metadata/*", "list"), ("secret/metadata/team/hidden/*", "deny")];
    let with_read =
        [&list[..], &[("secret/data/team/*", "read"), ("secret/data/team/hidden/*", "read")]]
            .concat();
    let team = [("secret/metadata/team/*", "list")];
    for (what, rules, path, status, keys) in [
        ("no right", &[][..], "secret/search?query=prod", 403, vec![]),
        (
            "a right on the endpoint alone",
            &[("secret/search*", "read")],
            "secret/search?query=prod",
            403,
            vec![],
        ),
        ("lists", &list, "secret/search?query=prod", 200, vec!["Prod", "team/db/prod"]),
        ("the hidden folder", &list, "secret/search/team/hidden?query=prod", 403, vec![]),
        ("above its folder", &team, "secret/search?query=prod", 403, vec![]),
        (
            "within its folder",
            &team,
            "secret/search/team?query=prod",
            200,
            vec!["db/prod", "hidden/prod"],
        ),
        ("fields without read", &list, "secret/search?query=password&fields=true", 404, vec![]),
        (
            "fields with read, but not where it may not list",
            &with_read,
            "secret/search?query=password&fields=true",
            200,
            vec!["team/db/prod"],
        ),
        (
            "a denied endpoint",
            &[("secret/metadata/*", "list"), ("secret/search", "deny")],
            "secret/search?query=prod",
            403,
            vec![],
        ),
    ] {
        let token = room.token(rules).await;
        let got = room.node.call("READ", path, &token, json!(null)).await;
        assert_eq!((got.status, keys_of(&got)), (status, own(&keys)), "{what}: {got:?}");
    }
}

fn own(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|k| (*k).to_owned()).collect()
}

#[tokio::test]
async fn a_filter_on_keys_holds_for_lists_scans_and_searches() {
    let room = filled().await;
    let text = r#"
        path "secret/metadata/*" {
            capabilities = ["list", "scan"]
            list_scan_response_keys_filter_path = "secret/data/{{ .key }}"
        }
        path "secret/detailed-metadata/*" {
            capabilities = ["list"]
            list_scan_response_keys_filter_path = "secret/data/{{ .key }}"
        }
        path "secret/data/team/" { capabilities = ["list"] }
        path "secret/data/db/" { capabilities = ["list"] }
        path "secret/data/dev" { capabilities = ["read"] }
    "#;
    let token = room.token_of(text.to_owned()).await;
    for (method, path, keys) in [
        ("LIST", "secret/metadata", vec!["team/"]),
        ("LIST", "secret/metadata/team", vec!["db/"]),
        ("LIST", "secret/metadata/team/db", vec!["dev"]),
        ("LIST", "secret/metadata/team/hidden", vec![]),
        ("SCAN", "secret/metadata/team/db", vec!["dev"]),
        ("LIST", "secret/detailed-metadata/team/db", vec!["dev"]),
        ("READ", "secret/search?query=d", vec!["team/db/dev"]),
    ] {
        let got = room.node.call(method, path, &token, json!(null)).await;
        assert_eq!(keys_of(&got), own(&keys), "{method} {path} {got:?}");
        assert_eq!(got.status, if keys.is_empty() { 404 } else { 200 }, "{method} {path}");
        assert!(!got.body.to_string().contains("prod"), "{method} {path} {got:?}");
    }
}
