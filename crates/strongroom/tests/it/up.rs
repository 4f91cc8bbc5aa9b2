//! `strongroom up`: what it makes and for whom, that it resumes, and what keeps it from starting.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::product::{self, Server};

/// `up` of the user who lives in `home`.
fn up(home: &Path, data: &Path) -> Command {
    let mut command = product::command(home);
    command.args(["up", "-address=127.0.0.1:0", "-log-level=info"]);
    command.arg(format!("-data={}", data.display()));
    command
}

/// The folder with the keys of the one store of `home`.
fn keys_of(home: &Path) -> PathBuf {
    let all = home.join(".config/strongroom/keys");
    let mut found: Vec<PathBuf> = fs::read_dir(all).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// Every file below a folder, with its permission bits.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.clone(), fs::metadata(&path).unwrap().permissions().mode() & 0o777));
        if path.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

fn login(server: &Server, keys: &Path) -> String {
    let password = fs::read_to_string(keys.join("admin-password")).unwrap();
    let body = json!({ "password": password });
    let answer = server.must("PUT", "auth/userpass/login/admin", "", &body);
    answer["auth"]["client_token"].as_str().unwrap().to_owned()
}

#[test]
fn what_it_makes_is_for_its_owner_and_a_later_start_resumes() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Server::run(up(home.path(), &data));
    let keys = keys_of(home.path());
    let token = login(&server, &keys);
    server.must("PUT", "secret/data/hello", &token, &json!({"data": {"message": "world"}}));
    // The store's folder can be copied: nothing in it opens it.
    let seal_key = fs::read_to_string(keys.join("seal.key")).unwrap();
    for (path, mode) in
        modes(&data).into_iter().chain(modes(&home.path().join(".config/strongroom")))
    {
        // What a folder of 0700 holds is out of reach whatever its own bits.
        let open = mode & 0o077 != 0 && !path.ends_with("public-key");
        assert!(!open, "{}: {mode:o}", path.display());
        if path.starts_with(&data) && path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let held = bytes.windows(seal_key.len()).any(|w| w == seal_key.as_bytes());
            assert!(!held, "{} holds the seal's key", path.display());
        }
    }
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    server.stop();

    let server = Server::run(up(home.path(), &data));
    let token = login(&server, &keys);
    let found = server.must("GET", "secret/data/hello", &token, &Json::Null);
    assert_eq!(found["data"]["data"]["message"], "world");
    drop(server);
    // Also after an end without notice.
    let server = Server::run(up(home.path(), &data));
    let found = server.must("GET", "secret/data/hello", &token, &Json::Null);
    assert_eq!(found["data"]["data"]["message"], "world");
}

/// What a start that must fail prints; the data is as it was.
fn fails(command: Command, expected: &[&str]) {
    let (code, text) = product::refused(command);
    assert_eq!(code, 1, "{text}");
    for part in expected {
        assert!(text.contains(part), "lacks {part:?}:\n{text}");
    }
}

#[test]
fn a_wrong_or_missing_seal_key_is_told_and_harms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    Server::run(up(home.path(), &data)).stop();
    let keys = keys_of(home.path());
    let key = keys.join("seal.key");
    let good = fs::read(&key).unwrap();
    fs::write(&key, "ab".repeat(32)).unwrap();
    fails(up(home.path(), &data), &["seal"]);
    fs::write(&key, "too short").unwrap();
    fails(up(home.path(), &data), &["static key \"up-1\" must be 32 bytes"]);
    fs::remove_file(&key).unwrap();
    fails(up(home.path(), &data), &["its seal key", "is missing", "seal.key", "recovery key"]);
    assert!(!key.exists(), "no other key is made for a store that has one");
    fs::write(&key, good).unwrap();
    let server = Server::run(up(home.path(), &data));
    login(&server, &keys);
}

#[test]
fn one_store_has_one_server_and_one_address_one_listener() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Server::run(up(home.path(), &data));
    let keys = keys_of(home.path());
    fails(up(home.path(), &data), &["data", "is in use by another server"]);
    let address = server.address().to_owned();
    let other = home.path().join("other");
    let mut command = product::command(home.path());
    command.args(["up", &format!("-address={address}")]);
    command.arg(format!("-data={}", other.display()));
    fails(command, &[&address, "in use"]);
    assert!(!other.join("strongroom.db").exists(), "no store is begun");
    login(&server, &keys);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = product::settings(home.path());
    let taken = taken.local_addr().unwrap().to_string();
    settings["listener"]["tcp"]["address"] = json!(taken);
    settings["storage"]["file"]["path"] = json!(home.path().join("third"));
    fails(product::configured(home.path(), &settings), &["listener tcp", &taken, "in use"]);
}

#[test]
fn damage_is_named() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    Server::run(up(home.path(), &data)).stop();
    let file = data.join("strongroom.db");
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    fails(up(home.path(), &data), &["strongroom.db"]);
    fs::write(&file, &good).unwrap();
    // A folder that is a file.
    let wrong = home.path().join("wrong");
    fs::write(&wrong, "").unwrap();
    fails(up(home.path(), &wrong), &["wrong"]);
    drop(Server::run(up(home.path(), &data)));
}
