//! The key of the `static` seal is replaced while the store stays, and what is left of the keys when
//! their records are damaged.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value as Json, json};

use crate::product::{self, Server, settings};

/// Settings with a seal of these keys: id and byte, the current one first.
fn sealed_by(folder: &Path, keys: &[(&str, u8)]) -> Json {
    let mut seal = json!({});
    for (which, (id, byte)) in ["current", "previous"].iter().zip(keys) {
        seal[format!("{which}_key_id")] = json!(id);
        seal[format!("{which}_key")] = json!(format!("{byte:02x}").repeat(32));
    }
    let mut settings = settings(folder);
    settings["seal"] = json!({ "static": seal });
    settings
}

const OLD: (&str, u8) = ("2025-1", 1);
const NEW: (&str, u8) = ("2026-1", 2);
const ANEW: &str = "the root key was wrapped anew";

/// A stopped store whose seal has the old key; the root token and the recovery key.
fn store(folder: &Path) -> (String, Json) {
    let server = Server::start(folder, &sealed_by(folder, &[OLD]));
    let plan = json!({"recovery_shares": 1, "recovery_threshold": 1});
    let made = server.must("PUT", "sys/init", "", &plan);
    let root = made["root_token"].as_str().unwrap().to_owned();
    server.must("POST", "sys/mounts/secret", &root, &json!({"type": "kv"}));
    server.must("PUT", "secret/kept", &root, &json!({"value": "1"}));
    assert!(!server.stop().iter().any(|line| line.contains(ANEW)));
    (root, made["recovery_keys"][0].clone())
}

/// Starts with these keys, reads the secret; the log.
fn opens(folder: &Path, root: &str, keys: &[(&str, u8)]) -> Vec<String> {
    let server = Server::start(folder, &sealed_by(folder, keys));
    let kept = server.must("GET", "secret/kept", root, &Json::Null);
    assert_eq!(kept["data"]["value"], "1");
    server.stop()
}

#[test]
fn a_replaced_key_is_needed_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let (root, _) = store(home);
    // The new one alone opens nothing yet.
    let server = Server::start(home, &sealed_by(home, &[NEW]));
    let status = server.must("GET", "sys/seal-status", "", &Json::Null);
    assert_eq!(status["sealed"], true);
    server.stop();
    let log = opens(home, &root, &[NEW, OLD]);
    let line = log.iter().find(|line| line.contains(ANEW)).expect("it says so");
    assert!(line.contains(NEW.0), "{line}");
    let lines = product::audit_lines(&home.join("data/audit"));
    let told: Vec<&Json> =
        lines.iter().filter(|line| line["request"]["operation"] == "rewrap").collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0]["request"]["path"], "sys/seal");
    // Once is enough, and the old key may go.
    for keys in [&[NEW, OLD][..], &[NEW]] {
        assert!(!opens(home, &root, keys).iter().any(|line| line.contains(ANEW)));
    }
    let server = Server::start(home, &sealed_by(home, &[OLD]));
    let status = server.must("GET", "sys/seal-status", "", &Json::Null);
    assert_eq!(status["sealed"], true);
}

#[test]
fn another_key_by_the_same_name_takes_over_once_the_recovery_key_has_opened() {
    const OTHER: (&str, u8) = (OLD.0, 3);
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let (root, recovery) = store(home);
    let server = Server::start(home, &sealed_by(home, &[OTHER]));
    assert_eq!(server.must("GET", "sys/seal-status", "", &Json::Null)["sealed"], true);
    let opened = server.must("PUT", "sys/unseal", "", &json!({ "key": recovery }));
    assert_eq!(opened["sealed"], false);
    let log = server.stop();
    assert!(log.iter().any(|line| line.contains(ANEW)), "{log:?}");
    assert!(!opens(home, &root, &[OTHER]).iter().any(|line| line.contains(ANEW)));
    let server = Server::start(home, &sealed_by(home, &[OLD]));
    assert_eq!(server.must("GET", "sys/seal-status", "", &Json::Null)["sealed"], true);
}

#[test]
fn a_crash_in_between_leaves_a_key_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let (root, _) = store(home);
    let good = home.join("good");
    copy(&home.join("data"), &good);
    for lines in 0..5 {
        fs::remove_dir_all(home.join("data")).unwrap();
        copy(&good, &home.join("data"));
        let mut command = product::configured(home, &sealed_by(home, &[NEW, OLD]));
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        for _ in 0..lines {
            if log.next().is_none_or(|line| line.unwrap().contains("ready: ")) {
                break;
            }
        }
        process.kill().unwrap();
        process.wait().unwrap();
        opens(home, &root, &[NEW, OLD]);
        opens(home, &root, &[NEW]);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Changes a bit of each copy of a record beside the keys, that many bytes after its name.
fn flip(data: &Path, name: &[u8], after: usize) {
    let mut bytes = fs::read(data).unwrap();
    let places: Vec<usize> = bytes
        .windows(name.len())
        .enumerate()
        .filter_map(|(at, found)| (found == name).then_some(at + name.len() + after))
        .collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place] ^= 1;
    }
    fs::write(data, bytes).unwrap();
}

#[test]
fn damaged_keys_are_not_told_as_wrong_shares() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(folder.path());
    let keys = server.with_secrets();
    server.stop();
    let data = folder.path().join("data/strongroom.db");
    let good = fs::read(&data).unwrap();
    for (record, told) in [
        ("keyring", "the store's key ring is damaged"),
        ("seal/shares", "record of the key shares is damaged"),
    ] {
        fs::write(&data, &good).unwrap();
        flip(&data, record.as_bytes(), 40);
        let mut server = Server::plain(folder.path());
        assert_eq!(server.must("GET", "sys/seal-status", "", &Json::Null)["sealed"], true);
        let answer = server.ask("PUT", "sys/unseal", "", &json!({"key": keys.share}));
        assert_eq!(answer.status, 500, "{record}: {}", answer.body);
        assert!(answer.errors().contains(told), "{record}: {}", answer.body);
        let line = server.await_line("a request failed");
        assert!(line.contains("sys/unseal") && line.contains(told), "{line}");
        server.stop();
    }
    // A share of somebody else's is still only that.
    fs::write(&data, &good).unwrap();
    let server = Server::plain(folder.path());
    let wrong = json!({"key": "00".repeat(32)});
    let answer = server.ask("PUT", "sys/unseal", "", &wrong);
    assert_eq!((answer.status, answer.errors().as_str()), (400, "Unseal failed, invalid key"));
    server.unseal(&keys);
}
