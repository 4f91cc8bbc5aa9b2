//! Snapshots over real sockets: saved under load and restored elsewhere, refused where they must be,
//! and a server that is killed while it restores one.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value as Json, json};

use crate::product::{self, Keys, Server, Wire};

/// The command line, with a server and a token.
fn cli(home: &Path, server: &Server, token: &str) -> Command {
    let mut command = product::command(home);
    command.env("VAULT_ADDR", format!("http://{}", server.address())).env("VAULT_TOKEN", token);
    command
}

fn save(home: &Path, server: &Server, token: &str) -> PathBuf {
    let file = home.join(format!("{}.snap", server.process.id()));
    let mut command = cli(home, server, token);
    command.args(["operator", "raft", "snapshot", "save"]).arg(&file);
    let (code, text) = product::refused(command);
    assert_eq!((code, text.as_str()), (0, ""));
    file
}

fn restore(home: &Path, server: &Server, token: &str, file: &Path, force: bool) -> (i32, String) {
    let mut command = cli(home, server, token);
    command.args(["operator", "raft", "snapshot", "restore"]);
    if force {
        command.arg("-force");
    }
    product::refused({
        command.arg(file);
        command
    })
}

/// A server with a store of its own in `folder`.
fn fresh(folder: &Path, name: &str) -> (Server, Keys, PathBuf) {
    let home = folder.join(name);
    fs::create_dir_all(&home).unwrap();
    let server = Server::plain(&home);
    let keys = server.with_secrets();
    (server, keys, home)
}

fn value(server: &Server, path: &str, token: &str) -> Option<String> {
    let answer = server.ask("GET", path, token, &Json::Null);
    match answer.status {
        200 => Some(answer.body["data"]["value"].as_str().unwrap().to_owned()),
        404 => None,
        status => panic!("{status} {}", answer.body),
    }
}

fn is_sealed(server: &Server) -> bool {
    server.must("GET", "sys/seal-status", "", &Json::Null)["sealed"].as_bool().unwrap()
}

fn term(server: &Server, root: &str) -> u64 {
    server.must("GET", "sys/key-status", root, &Json::Null)["data"]["term"].as_u64().unwrap()
}

fn verify_audit(home: &Path) {
    let mut command = product::command(home);
    command.args(["audit", "verify"]).arg(home.join("data/audit"));
    let (code, text) = product::refused(command);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn an_older_state_comes_back_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (server, keys, home) = fresh(folder.path(), "one");
    let root = keys.root.as_str();
    let policy =
        |path: &str| json!({"policy": format!("path \"{path}\" {{ capabilities = [\"read\"] }}")});
    server.must("PUT", "sys/policies/acl/reads", root, &policy("secret/kept"));
    server.must("PUT", "secret/kept", root, &json!({"value": "old"}));
    let token = || {
        let made = server.must("POST", "auth/token/create", root, &json!({"policies": "reads"}));
        let auth = &made["auth"];
        let text = |name: &str| auth[name].as_str().unwrap().to_owned();
        (text("client_token"), text("accessor"))
    };
    let before = token();
    let file = save(&home, &server, root);

    server.must("PUT", "secret/kept", root, &json!({"value": "new"}));
    server.must("PUT", "secret/later", root, &json!({"value": "x"}));
    server.must("PUT", "sys/policies/acl/reads", root, &policy("secret/later"));
    server.must("POST", "sys/mounts/other", root, &json!({"type": "kv"}));
    let after = token();
    assert_eq!(server.ask("GET", "secret/kept", &before.0, &Json::Null).status, 403);
    let old_term = term(&server, root);

    assert_eq!(restore(&home, &server, root, &file, false), (0, String::new()));
    // All that was derived is of the older state: values, policies, mounts, tokens.
    assert_eq!(value(&server, "secret/kept", root).as_deref(), Some("old"));
    assert_eq!(value(&server, "secret/later", root), None);
    assert_eq!(value(&server, "secret/kept", &before.0).as_deref(), Some("old"));
    assert_eq!(server.ask("GET", "secret/later", &before.0, &Json::Null).status, 403);
    assert_eq!(server.ask("GET", "auth/token/lookup-self", &after.0, &Json::Null).status, 403);
    assert_eq!(server.ask("GET", "other/x", root, &Json::Null).status, 404);
    let mounts = server.must("GET", "sys/mounts", root, &Json::Null);
    assert!(mounts["data"].get("other/").is_none(), "{mounts}");
    assert_eq!(term(&server, root), old_term + 1, "no key goes on that was used since");
    // What named something before names nothing now.
    let lookup = json!({"accessor": after.1});
    for _ in 0..3 {
        token();
    }
    assert_eq!(server.ask("POST", "auth/token/lookup-accessor", root, &lookup).status, 400);
    server.must("PUT", "secret/kept", root, &json!({"value": "newer"}));

    server.stop();
    let server = Server::plain(&home);
    server.unseal(&keys);
    assert_eq!(value(&server, "secret/kept", root).as_deref(), Some("newer"));
    assert_eq!(value(&server, "secret/later", root), None);
    server.stop();
    verify_audit(&home);
    let lines = product::audit_lines(&home.join("data/audit"));
    let done: Vec<&Json> =
        lines.iter().filter(|l| l["request"]["operation"] == "restore").collect();
    assert_eq!(done.len(), 2, "request and response: {done:?}");
    assert_eq!(done[0]["request"]["data"]["reason"], "a snapshot was restored");
    for path in ["secret/later", "sys/storage/raft/snapshot"] {
        assert!(lines.iter().any(|l| l["request"]["path"] == path), "{path} is not forgotten");
    }
    assert!(!home.join("data/strongroom.db-staged").exists());
}

#[test]
fn a_snapshot_under_load_is_restored_on_another_server() {
    let folder = tempfile::tempdir().unwrap();
    let (server, keys, home) = fresh(folder.path(), "one");
    let root = keys.root.as_str();
    let done = AtomicBool::new(false);
    let (file, acknowledged) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (address, done) = (server.address().to_owned(), &done);
                scope.spawn(move || {
                    let mut wire = Wire::open(&address).unwrap();
                    let mut n = 0;
                    while !done.load(Ordering::SeqCst) {
                        n += 1;
                        let path = format!("secret/{writer}-{n}");
                        let body = json!({"value": n.to_string()});
                        let answer = wire.ask("PUT", &path, root, &body).unwrap();
                        assert_eq!(answer.status, 204, "writers do not wait for a snapshot");
                    }
                    n
                })
            })
            .collect();
        let mut acknowledged = Vec::new();
        while acknowledged.len() < 4 {
            // Once each has written something.
            acknowledged = (0..4)
                .filter(|writer| value(&server, &format!("secret/{writer}-1"), root).is_some())
                .collect();
        }
        let file = save(&home, &server, root);
        done.store(true, Ordering::SeqCst);
        (file, writers.into_iter().map(|w| w.join().unwrap()).collect::<Vec<u64>>())
    });

    let (mut other, other_keys, other_home) = fresh(folder.path(), "two");
    other.must("PUT", "secret/own", &other_keys.root, &json!({"value": "own"}));
    let sink = other_home.join("sink.log");
    let device = json!({"type": "file", "options": {"file_path": sink}});
    other.must("POST", "sys/audit/file", &other_keys.root, &device);
    let (code, text) = restore(&other_home, &other, &other_keys.root, &file, false);
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("possibly the snapshot is using a different set of unseal keys"),
        "{text}"
    );
    assert_eq!(value(&other, "secret/own", &other_keys.root).as_deref(), Some("own"));

    assert_eq!(restore(&other_home, &other, &other_keys.root, &file, true), (0, String::new()));
    assert!(is_sealed(&other), "its keys are not here");
    other.await_line("it opens with the snapshot's keys");
    other.stop();
    let other = Server::plain(&other_home);
    let wrong = other.ask("PUT", "sys/unseal", "", &json!({"key": other_keys.share}));
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    other.unseal(&keys);
    assert_eq!(value(&other, "secret/own", root), None);
    for (writer, last) in acknowledged.iter().enumerate() {
        // Of what one connection wrote in turn the snapshot has all up to some point.
        let has = |n: u64| value(&other, &format!("secret/{writer}-{n}"), root).is_some();
        let held = (1..=*last).take_while(|n| has(*n)).count() as u64;
        assert!(held >= 1, "{writer}");
        assert!((held + 1..=*last).all(|n| !has(n)), "{writer}: a gap after {held}");
    }
    other.must("PUT", "secret/own", root, &json!({"value": "again"}));
    let devices = other.must("GET", "sys/audit", root, &Json::Null);
    assert_eq!(devices["data"], json!({}), "devices are of the restored store");
    other.stop();
    // The chain goes on under another key, and the lines of before are still proven.
    verify_audit(&other_home);
    let keys = fs::read_to_string(other_home.join("data/audit/public-key")).unwrap();
    assert_eq!(keys.lines().count(), 2);
}

#[test]
fn what_is_no_whole_snapshot_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, keys, home) = fresh(folder.path(), "one");
    let root = keys.root.as_str();
    server.must("PUT", "secret/kept", root, &json!({"value": "old"}));
    let good = fs::read(save(&home, &server, root)).unwrap();
    server.must("PUT", "secret/kept", root, &json!({"value": "new"}));
    let bad = home.join("bad.snap");
    let mut changed = good.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for (what, bytes) in [
        ("cut", good[..good.len() - 1].to_vec()),
        ("half", good[..middle].to_vec()),
        ("nothing", Vec::new()),
        ("changed", changed),
        ("foreign", b"{\"value\": 1}".to_vec()),
    ] {
        fs::write(&bad, bytes).unwrap();
        for force in [false, true] {
            let (code, text) = restore(&home, &server, root, &bad, force);
            assert_eq!(code, 2, "{what}: {text}");
            assert!(text.contains("Code: 400"), "{what}: {text}");
            assert!(text.contains("the snapshot cannot be restored: it "), "{what}: {text}");
        }
        assert_eq!(value(&server, "secret/kept", root).as_deref(), Some("new"), "{what}");
    }
    // Who may not restore is told so before a byte of the body was looked at.
    let made = server.must("POST", "auth/token/create", root, &json!({"policies": "default"}));
    let token = made["auth"]["client_token"].as_str().unwrap();
    for (method, path) in [("POST", "snapshot"), ("PUT", "snapshot-force"), ("GET", "snapshot")] {
        let answer = server.ask(method, &format!("sys/storage/raft/{path}"), token, &Json::Null);
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    // One that breaks off in the middle.
    let mut wire = TcpStream::connect(server.address()).unwrap();
    let head = format!(
        "POST /v1/sys/storage/raft/snapshot HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {root}\r\n\
         Content-Length: {}\r\n\r\n",
        good.len()
    );
    wire.write_all(head.as_bytes()).unwrap();
    wire.write_all(&good[..middle]).unwrap();
    drop(wire);
    let mut server = server;
    server.until("its staged file to go", |_| {
        (!home.join("data/strongroom.db-staged").exists()).then_some(())
    });
    assert_eq!(value(&server, "secret/kept", root).as_deref(), Some("new"));
}

/// Killed at moments all over a restoration, a server has either store afterwards, whole.
#[test]
fn killed_while_it_restores() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, keys, home) = fresh(folder.path(), "one");
    let root = keys.root.clone();
    for n in 0..40 {
        let body = json!({"value": "o".repeat(50_000)});
        server.must("PUT", &format!("secret/n-{n}"), &root, &body);
    }
    server.must("PUT", "secret/which", &root, &json!({"value": "old"}));
    let file = save(&home, &server, &root);
    let staged = home.join("data/strongroom.db-staged");
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..8_u64 {
        server.must("PUT", "secret/which", &root, &json!({"value": "new"}));
        let mut restoring = cli(&home, &server, &root);
        restoring.args(["operator", "raft", "snapshot", "restore"]).arg(&file);
        restoring.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut restoring = restoring.spawn().unwrap();
        server.until("the restoration", |_| {
            // The later rounds wait until it has begun, has all bytes, or is done.
            let begun = staged.metadata().is_ok_and(|m| m.len() > round * 400_000);
            (begun || restoring.try_wait().unwrap().is_some()).then_some(())
        });
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        restoring.wait().unwrap();
        server = Server::plain(&home);
        server.unseal(&keys);
        let which = value(&server, "secret/which", &root).unwrap();
        assert!(which == "old" || which == "new", "{which}");
        for n in 0..40 {
            let found = value(&server, &format!("secret/n-{n}"), &root).unwrap();
            assert_eq!(found.len(), 50_000);
        }
        assert!(!staged.exists());
        seen.insert(which);
    }
    server.stop();
    verify_audit(&home);
    assert!(!seen.is_empty());
}
