//! A disk that is full, read-only, or loses files: requests fail clearly, nothing that was
//! acknowledged is lost, and the server recovers when the cause goes.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::product::{self, Answer, Server};

/// Runs a test of this program again, where it may mount file systems that nobody else sees.
pub fn in_own_mounts(test: &str) {
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .output()
        .expect("unshare (of util-linux)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{test}:\n{text}");
}

/// A small file system in memory.
fn small_disk(at: &Path, megabytes: usize) {
    fs::create_dir_all(at).unwrap();
    mount(&["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0700"), "tmpfs"], at);
}

pub fn mount(options: &[&str], at: &Path) {
    let output = Command::new("mount").args(options).arg(at).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Takes all room that is left.
fn fill(at: &Path) {
    let mut file = OpenOptions::new().append(true).create(true).open(at.join("filler")).unwrap();
    for size in [1 << 16, 1 << 12, 1 << 9, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}

fn small_reserves(disk: &Path) -> Json {
    let mut settings = product::settings(disk);
    settings["strongroom"] =
        json!({"audit_reserve_bytes": 1 << 20, "storage_reserve_bytes": 4 << 20});
    settings
}

fn is_refusal(answer: &Answer) -> bool {
    let text = answer.errors();
    match answer.status {
        200 | 204 => false,
        503 if text.contains("full") || text.contains("cannot be recorded") => true,
        status => panic!("{status} {text}"),
    }
}

#[test]
fn a_full_disk() {
    in_own_mounts("disk::full_disk_inside");
}

#[test]
#[ignore = "runs in a mount namespace of its own, started by another test"]
fn full_disk_inside() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    small_disk(&disk, 24);
    let settings = small_reserves(&disk);
    let mut server = Server::start(folder.path(), &settings);
    let keys = server.with_secrets();
    let root = keys.root.as_str();
    let child = || {
        let made = server.must("POST", "auth/token/create", root, &json!({"policies": "default"}));
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let (first, second) = (child(), child());
    let device = json!({"type": "file", "options": {"file_path": folder.path().join("sink")}});
    server.must("POST", "sys/audit/sink", root, &device);

    fill(&disk);
    // Room that the files had already is used up; from some write on all are refused.
    let value = "v".repeat(100_000);
    let mut wire = server.connect();
    let mut acknowledged = 0;
    loop {
        let path = format!("secret/n-{}", acknowledged + 1);
        let answer = wire.ask("PUT", &path, root, &json!({"value": value})).unwrap();
        if is_refusal(&answer) {
            break;
        }
        acknowledged += 1;
        assert!(acknowledged < 1_000, "the disk is never full");
    }
    let refused = "the disk is full: until there is room, only revocation, sealing and the repair \
                   of the audit log are served";
    for (method, path) in
        [("PUT", "secret/x"), ("POST", "auth/token/create"), ("GET", "secret/n-1")]
    {
        let answer = server.ask(method, path, root, &json!({}));
        assert_eq!((answer.status, answer.errors().as_str()), (503, refused), "{method} {path}");
    }
    assert_eq!(server.ask("GET", "sys/health", "", &Json::Null).status, 503);
    assert_eq!(server.must("GET", "sys/seal-status", "", &Json::Null)["sealed"], false);
    server.await_line("a request failed");
    for _ in 0..200 {
        server.ask("GET", "secret/n-1", root, &Json::Null);
    }
    server.logged.extend(server.log.try_iter());
    let lines = server.logged.iter().filter(|line| line.contains("a request failed")).count();
    // Twenty at once, and one a second.
    assert!(lines < 100, "{lines} lines");

    // What takes away or repairs goes on.
    server.must("POST", "auth/token/revoke", root, &json!({"token": first}));
    server.must("DELETE", "sys/audit/sink", root, &Json::Null);
    server.must("PUT", "sys/seal", root, &Json::Null);
    assert_eq!(server.ask("GET", "secret/n-1", root, &Json::Null).status, 503);
    server.unseal(&keys);
    server.must("POST", "auth/token/revoke-self", &second, &Json::Null);
    // Strangers cannot use the room up.
    let stranger = server.ask("POST", "auth/token/revoke-self", "hvs.nobody", &Json::Null);
    assert_eq!(stranger.status, 403);

    // It even starts on a full disk.
    server.stop();
    server = Server::start(folder.path(), &settings);
    server.unseal(&keys);
    fs::remove_file(disk.join("filler")).unwrap();
    server.until("room", |server| {
        let answer = server.ask("PUT", "secret/after", root, &json!({"value": "there"}));
        (!is_refusal(&answer)).then_some(())
    });
    for n in 1..=acknowledged {
        let found = server.must("GET", &format!("secret/n-{n}"), root, &Json::Null);
        assert_eq!(found["data"]["value"], value, "{n} of {acknowledged}");
    }
    assert_eq!(
        server.ask("GET", &format!("secret/n-{}", acknowledged + 1), root, &Json::Null).status,
        404
    );
    for token in [first, second] {
        assert_eq!(server.ask("GET", "auth/token/lookup-self", &token, &Json::Null).status, 403);
    }
    assert_eq!(server.must("GET", "sys/audit", root, &Json::Null)["data"], json!({}));
    assert_eq!(server.ask("GET", "sys/health", "", &Json::Null).status, 200);
    server.stop();
    verify_audit(folder.path(), &disk.join("data/audit"));
}

/// `audit verify` of a node's own log.
fn verify_audit(home: &Path, audit: &Path) {
    let mut command = product::command(home);
    command.args(["audit", "verify"]);
    let mut files: Vec<_> = fs::read_dir(audit)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect();
    files.sort();
    let (code, text) = product::refused({
        command.args(files);
        command
    });
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_removed_data_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::plain(folder.path());
    let keys = server.with_secrets();
    let root = keys.root.as_str();
    server.must("PUT", "secret/before", root, &json!({"value": "1"}));
    let data = folder.path().join("data/strongroom.db");
    let aside = folder.path().join("aside");
    fs::rename(&data, &aside).unwrap();
    let answer = server.ask("PUT", "secret/lost", root, &json!({"value": "2"}));
    assert_eq!(answer.status, 503, "{}", answer.body);
    // Whichever notices first: this write, or the look that needs none.
    let told = ["storage is not available", "whether it was made is not known"];
    assert!(told.iter().any(|text| answer.errors().contains(text)), "{}", answer.errors());
    let health = server.ask("GET", "sys/health", "", &Json::Null);
    assert_eq!(health.status, 503);
    assert!(!health.body.to_string().contains("strongroom.db"), "{}", health.body);
    let line = server.await_line("was removed or replaced");
    assert!(line.contains("data/strongroom.db"), "{line}");
    let line = server.await_line("a request failed");
    assert!(line.contains("Write secret/{path..}"), "{line}");
    // Nothing is served from memory either.
    let read = server.ask("GET", "secret/before", root, &Json::Null);
    assert_eq!((read.status, read.errors().as_str()), (503, "the storage is not available"));
    fs::rename(&aside, &data).unwrap();
    server.until("the store", |server| {
        let answer = server.ask("PUT", "secret/after", root, &json!({"value": "3"}));
        (answer.status == 204).then_some(())
    });
    for (path, value) in [("secret/before", "1"), ("secret/after", "3")] {
        assert_eq!(server.must("GET", path, root, &Json::Null)["data"]["value"], value);
    }
}

#[test]
fn a_removed_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::plain(folder.path());
    let keys = server.with_secrets();
    fs::remove_dir_all(folder.path().join("data/audit")).unwrap();
    server.must("PUT", "secret/unseen", &keys.root, &json!({"value": "1"}));
    server.await_line("it was written again");
    server.stop();
    let lines = product::audit_lines(&folder.path().join("data/audit"));
    assert!(lines.iter().any(|line| line["request"]["path"] == "secret/unseen"));
    verify_audit(folder.path(), &folder.path().join("data/audit"));
}

#[test]
fn a_read_only_disk() {
    in_own_mounts("disk::read_only_inside");
}

#[test]
#[ignore = "runs in a mount namespace of its own, started by another test"]
fn read_only_inside() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    small_disk(&disk, 64);
    let settings = product::settings(&disk);
    let server = Server::start(folder.path(), &settings);
    let keys = server.with_secrets();
    server.must("PUT", "secret/kept", &keys.root, &json!({"value": "1"}));
    server.stop();
    mount(&["-o", "remount,ro"], &disk);
    let (code, text) = product::refused(product::configured(folder.path(), &settings));
    assert_eq!(code, 1, "{text}");
    let last = text.trim_end().lines().last().unwrap();
    assert!(last.contains("disk/data") && last.contains("read-only"), "{text}");
    mount(&["-o", "remount,rw"], &disk);
    let server = Server::start(folder.path(), &settings);
    server.unseal(&keys);
    assert_eq!(server.must("GET", "secret/kept", &keys.root, &Json::Null)["data"]["value"], "1");
}

/// Builds the library that makes a folder read-only for a running server.
fn read_only_library(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/read_only.c");
    let library = folder.join("read_only.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
    let output = compiler.arg("-ldl").output().expect("a C compiler, as the build needs one");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

#[test]
fn a_disk_that_becomes_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().canonicalize().unwrap();
    let switch = home.join("switch");
    let mut command = product::configured(&home, &product::settings(&home));
    command.env("LD_PRELOAD", read_only_library(&home));
    command.env("READ_ONLY_SWITCH", &switch).env("READ_ONLY_FOLDER", home.join("data"));
    let mut server = Server::run(command);
    let keys = server.with_secrets();
    let root = keys.root.as_str();
    let put = |server: &Server, n: u32| {
        server.ask("PUT", &format!("secret/n-{n}"), root, &json!({"value": n.to_string()}))
    };
    for n in 0..20 {
        assert_eq!(put(&server, n).status, 204);
    }

    fs::write(&switch, "").unwrap();
    for n in 20..30 {
        let answer = put(&server, n);
        let text = answer.errors();
        assert_eq!(answer.status, 503, "{text}");
        let told = ["cannot be recorded", "read-only", "not available", "is not known"];
        assert!(told.iter().any(|part| text.contains(part)), "{text}");
        // What cannot be recorded is not served either.
        assert_eq!(server.ask("GET", "secret/n-1", root, &Json::Null).status, 503);
    }
    assert_eq!(server.ask("GET", "sys/health", "", &Json::Null).status, 503);
    // Nor is another state told than the one that cannot be read.
    assert_eq!(server.ask("GET", "sys/seal-status", "", &Json::Null).status, 503);

    fs::remove_file(&switch).unwrap();
    server.until("the disk", |server| (put(server, 30).status == 204).then_some(()));
    for n in (0..20).chain([30]) {
        let found = server.must("GET", &format!("secret/n-{n}"), root, &Json::Null);
        assert_eq!(found["data"]["value"], n.to_string());
    }
    // Of those whose outcome was not told each is there or not; none is half there.
    let outcome = |server: &Server, n: u32| {
        let answer = server.ask("GET", &format!("secret/n-{n}"), root, &Json::Null);
        let value = answer.body["data"]["value"].as_str();
        (answer.status == 200).then(|| value == Some(&n.to_string()))
    };
    let before: Vec<_> = (20..30).map(|n| outcome(&server, n)).collect();
    assert!(!before.contains(&Some(false)));
    assert_eq!(server.ask("GET", "sys/health", "", &Json::Null).status, 200);

    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let server = Server::plain(&home);
    server.unseal(&keys);
    let after: Vec<_> = (20..30).map(|n| outcome(&server, n)).collect();
    assert_eq!(after, before);
    for n in (0..20).chain([30]) {
        let found = server.must("GET", &format!("secret/n-{n}"), root, &Json::Null);
        assert_eq!(found["data"]["value"], n.to_string());
    }
    server.stop();
    verify_audit(&home, &home.join("data/audit"));
}

#[test]
fn a_damaged_data_file_is_named_and_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(folder.path());
    server.with_secrets();
    server.stop();
    let data = folder.path().join("data/strongroom.db");
    let good = fs::read(&data).unwrap();
    for (damage, keep) in [("a torn file", 1000), ("a short file", good.len() / 2 + 7)] {
        fs::write(&data, &good[..keep]).unwrap();
        let (code, text) =
            product::refused(product::configured(folder.path(), &product::settings(folder.path())));
        assert_eq!(code, 1, "{damage}: {text}");
        assert!(text.contains("strongroom.db"), "{damage}: {text}");
    }
    let mut header = good.clone();
    header[..16].copy_from_slice(b"no such database");
    File::create(&data).unwrap().write_all(&header).unwrap();
    let (code, text) =
        product::refused(product::configured(folder.path(), &product::settings(folder.path())));
    assert_eq!((code, text.contains("strongroom.db")), (1, true), "{text}");
    fs::remove_file(&data).unwrap();
    let (code, text) =
        product::refused(product::configured(folder.path(), &product::settings(folder.path())));
    assert_eq!((code, text.contains("strongroom.db is missing")), (1, true), "{text}");
    fs::write(&data, &good).unwrap();
    drop(Server::plain(folder.path()));
}
