//! What clients may not do, over real sockets: each is a clear 4xx (or the end of the connection),
//! and nothing is changed.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::product::{self, Server, Wire};

/// A server with narrow limits and one secret.
fn narrow(folder: &std::path::Path) -> (Server, String) {
    let mut settings = product::settings(folder);
    let listener = &mut settings["listener"]["tcp"];
    for (key, value) in [
        ("max_request_size", json!(50_000)),
        ("max_request_duration", json!("5s")),
        ("max_request_json_strings", json!(40)),
        ("max_json_depth", json!(5)),
        ("max_json_array_element_count", json!(10)),
        ("max_token_header_size", json!(200)),
        ("http_read_header_timeout", json!("1s")),
        ("http_read_timeout", json!("1s")),
    ] {
        listener[key] = value;
    }
    let server = Server::start(folder, &settings);
    let root = server.with_secrets().root;
    server.must("PUT", "secret/kept", &root, &json!({"value": "1"}));
    (server, root)
}

/// All that is there is what was there before.
fn nothing_changed(server: &Server, root: &str) {
    let keys = server.must("LIST", "secret/", root, &Json::Null);
    assert_eq!(keys["data"]["keys"], json!(["kept"]));
    assert_eq!(server.must("GET", "secret/kept", root, &Json::Null)["data"]["value"], "1");
}

fn head(method: &str, target: &str, root: &str, more: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {root}\r\nContent-Length: \
         {}\r\n{more}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Threat CVE-2026-3605 among others: the path that is judged is the path that is executed.
#[test]
fn malformed_requests() {
    let folder = tempfile::tempdir().unwrap();
    let (server, root) = narrow(folder.path());
    let value = r#"{"value":"2"}"#;
    let put = |target: &str| head("PUT", target, &root, "", value);
    let with = |more: &str| head("PUT", "/v1/secret/new", &root, more, value);
    let body = |body: &str| head("PUT", "/v1/secret/new", &root, "", body);
    let deep = format!("{}1{}", r#"{"a":"#.repeat(6), "}".repeat(6));
    let many = (0..21).fold(String::new(), |mut all, i| {
        let _ = write!(all, "\"k{i}\":\"v\",");
        all
    });
    let long_token = "t".repeat(300);
    for (what, bytes, status) in [
        ("dots", put("/v1/secret/../secret/kept"), 400),
        ("one dot", put("/v1/secret/./kept"), 400),
        ("encoded dots", put("/v1/secret/%2e%2e/secret/kept"), 400),
        ("an encoded slash", put("/v1/secret%2fkept"), 400),
        ("a doubled slash", put("/v1/secret//kept"), 400),
        ("an encoded NUL", put("/v1/secret/a%00b"), 400),
        ("a raw NUL", put("/v1/secret/a\0b"), 400),
        ("a bad escape", put("/v1/secret/a%zz"), 400),
        ("a bad query", put("/v1/secret/new?a=%zz"), 400),
        ("a slash at the end", put("/v1/secret/new/"), 400),
        ("an unknown mount", put("/v1/nowhere/new"), 404),
        ("outside of the API", put("/v2/secret/new"), 404),
        ("an unknown method", head("BREW", "/v1/secret/kept", &root, "", ""), 405),
        ("a NUL in a header", with("X-Vault-Namespace: a\0b\r\n"), 400),
        ("a second token", with("X-Vault-Token: other\r\n"), 400),
        ("a second namespace", with("X-Vault-Namespace: \r\nX-Vault-Namespace: a\r\n"), 400),
        ("a second length", with("Content-Length: 3\r\n"), 400),
        ("a second wrap TTL", with("X-Vault-Wrap-TTL: 1m\r\nX-Vault-Wrap-TTL: 2m\r\n"), 400),
        ("a wrap TTL that is none", with("X-Vault-Wrap-TTL: soon\r\n"), 400),
        ("an unknown namespace", with("X-Vault-Namespace: nobody/\r\n"), 404),
        ("a huge header", with(&format!("X-A: {}\r\n", "a".repeat(70_000))), 431),
        ("many headers", with(&"X-A: a\r\n".repeat(5_000)), 431),
        ("a long token", head("PUT", "/v1/secret/new", &long_token, "", value), 400),
        ("no JSON", body("value=2"), 400),
        ("half a JSON", body(r#"{"value":"#), 400),
        ("two JSONs", body(r#"{"value":"2"}{}"#), 400),
        ("no object", body(r#"["value"]"#), 400),
        ("too deep", body(&deep), 400),
        ("too many strings", body(&format!("{{{}\"z\":1}}", many)), 400),
        ("too many elements", body(&format!(r#"{{"a":[{}1]}}"#, "1,".repeat(10))), 400),
        ("too large", body(&format!(r#"{{"a":"{}"}}"#, "v".repeat(60_000))), 413),
        ("TLS where there is none", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
    ] {
        let mut wire = server.connect();
        // The server may answer, and close, before all is sent.
        let _ = wire.send(&bytes);
        let answer = wire.answer().unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        if status != 404 && answer.body.is_object() {
            assert!(!answer.errors().is_empty(), "{what}: {}", answer.body);
        }
    }
    nothing_changed(&server, &root);
    // Wrong types, and a parameter that is given twice.
    for (method, path, body) in [
        ("POST", "auth/token/create", json!({"num_uses": "many"})),
        ("POST", "auth/token/create", json!({"ttl": {}})),
        ("POST", "sys/policies/acl/new", json!({"policy": ["a"]})),
        ("GET", "sys/health?activecode=200&activecode=404", Json::Null),
    ] {
        let answer = server.ask(method, path, &root, &body);
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.body);
    }
    assert_eq!(server.ask("GET", "sys/policies/acl/new", &root, &Json::Null).status, 404);
}

/// A body that is passed over would be another request: a token with all rights in place of one with few.
#[test]
fn bodies_are_objects_or_forms() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &product::settings(folder.path()));
    let root = server.with_secrets().root;
    let create = |more: &str, body: &[u8]| {
        let mut wire = server.connect();
        let mut bytes = head("POST", "/v1/auth/token/create", &root, more, "");
        let length = format!("Content-Length: {}", body.len());
        bytes =
            String::from_utf8(bytes).unwrap().replace("Content-Length: 0", &length).into_bytes();
        bytes.extend_from_slice(body);
        wire.send(&bytes).unwrap();
        wire.answer().unwrap()
    };
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let json = "Content-Type: application/json\r\n";
    let bad: &[&[u8]] = &[
        b"zz",
        b"policies=default",
        b"[]",
        b"true",
        b"1",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"\x1f\x8b",
    ];
    for body in bad {
        for more in ["", json, "Content-Type: text/plain\r\n"] {
            let answer = create(more, body);
            assert_eq!(answer.status, 400, "{body:?} {more}: {}", answer.body);
        }
    }
    // A secret without a name is none, and stands nowhere in clear.
    let many = "a=1&".repeat(1_001);
    for body in [
        &b"policies=%zz"[..],
        b"[]",
        b"\xff=1",
        b"hunter2",
        b"5",
        b"\"hunter2\"",
        b"aHVudGVyMg=",
        b"=x",
        b"a b=x",
        b"a=1&hunter2",
        many.as_bytes(),
    ] {
        let answer = create(form, body);
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.body);
        assert!(!answer.body.to_string().contains("hunter2"), "{}", answer.body);
    }
    for (more, body, policies, lease) in [
        (form, "policies=default&ttl=1h", json!(["default"]), 3_600),
        (form, "policies=a%2Fb&policies=c&ttl=3%30", json!(["a/b", "c", "default"]), 30),
        (form, r#" {"policies": "default", "ttl": 60}"#, json!(["default"]), 60),
        ("", r#"{"policies": "default", "ttl": 61}"#, json!(["default"]), 61),
        ("", " \r\n", json!(["root"]), 0),
    ] {
        let answer = create(more, body.as_bytes());
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        assert_eq!(answer.body["auth"]["token_policies"], policies, "{body}");
        assert_eq!(answer.body["auth"]["lease_duration"], lease, "{body}");
    }
    // What changes all is not done either.
    let mut wire = server.connect();
    wire.send(&head("POST", "/v1/auth/token/revoke-self", &root, "", "zz")).unwrap();
    assert_eq!(wire.answer().unwrap().status, 400);
    server.must("GET", "auth/token/lookup-self", &root, &Json::Null);
    for number in ["99999999999999999999", "1.5"] {
        let answer = create("", format!("{{\"num_uses\": {number}}}").as_bytes());
        assert_eq!(answer.status, 400, "{number}: {}", answer.body);
    }
}

#[test]
fn one_value_may_fill_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = product::Server::plain(folder.path());
    let keys = server.with_secrets();
    for bytes in [16_777_216, (32 << 20) - 100] {
        let value = "v".repeat(bytes);
        let answer = server.ask("PUT", "secret/large", &keys.root, &json!({"value": value}));
        assert_eq!(answer.status, 204, "{bytes}");
        let kept = server.must("GET", "secret/large", &keys.root, &Json::Null);
        assert!(kept["data"]["value"] == value, "{bytes}");
    }
}

#[test]
fn clients_that_do_not_finish() {
    let folder = tempfile::tempdir().unwrap();
    let (server, root) = narrow(folder.path());
    let whole = head("PUT", "/v1/secret/new", &root, "", r#"{"value":"2"}"#);
    // Half a head, all but a body's end, nothing at all: each is closed by the server.
    for length in [30, whole.len() - 3, 0] {
        let mut wire = server.connect();
        wire.send(&whole[..length]).unwrap();
        let said = String::from_utf8_lossy(&wire.rest()).into_owned();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{length}: {said}");
    }
    // Who hangs up in the middle of a body has asked for nothing.
    let mut wire = server.connect();
    wire.send(&whole[..whole.len() - 3]).unwrap();
    drop(wire);
    nothing_changed(&server, &root);
    // Who hangs up right after a whole request has: it is done, and its line is there.
    let mut wire = server.connect();
    wire.send(&head("PUT", "/v1/secret/late", &root, "", r#"{"value":"2"}"#)).unwrap();
    drop(wire);
    let mut server = server;
    server.until("the write", |server| {
        let found = server.ask("GET", "secret/late", &root, &Json::Null);
        (found.status == 200).then_some(())
    });
    server.stop();
    let lines = product::audit_lines(&folder.path().join("data/audit"));
    let of_it = |line: &&Json| line["request"]["path"] == "secret/late";
    assert!(lines.iter().filter(of_it).any(|line| line["request"]["operation"] != "read"));
}

#[test]
fn many_requests_on_one_connection_are_answered_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (server, root) = narrow(folder.path());
    let mut wire = server.connect();
    let mut all = Vec::new();
    for n in 0..50 {
        all.extend(head("PUT", "/v1/secret/kept", &root, "", &json!({"n": n}).to_string()));
        all.extend(head("GET", "/v1/secret/kept", &root, "", ""));
    }
    wire.send(&all).unwrap();
    for n in 0..50 {
        assert_eq!(wire.answer().unwrap().status, 204);
        assert_eq!(wire.answer().unwrap().body["data"]["n"], n);
    }
}

/// Connections beyond what one address may have are closed; those that are there go on.
#[test]
fn connections_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = product::settings(folder.path());
    settings["strongroom"] = json!({"connections_max": 20, "connections_per_peer_max": 10});
    let server = Server::start(folder.path(), &settings);
    let mut open: Vec<Wire<_>> = (0..10)
        .map(|_| {
            let mut wire = server.connect();
            assert_eq!(wire.ask("GET", "sys/seal-status", "", &Json::Null).unwrap().status, 200);
            wire
        })
        .collect();
    let mut eleventh = server.connect();
    let _ = eleventh.request("GET", "sys/seal-status", "", &Json::Null);
    assert!(eleventh.answer().is_err(), "one too many");
    for wire in &mut open {
        assert_eq!(wire.ask("GET", "sys/seal-status", "", &Json::Null).unwrap().status, 200);
    }
}
