//! `monitor`: the server's log over the wire, until the server is sealed or stops.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value as Json, json};

use crate::product::{self, Server};

#[test]
fn the_log_is_followed_until_the_server_stops() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(folder.path());
    let keys = server.with_secrets();
    let address = format!("http://{}", server.address());
    let follow = |token: &str, flags: &[&str]| {
        let mut command = product::command(folder.path());
        command.env("VAULT_ADDR", &address).env("VAULT_TOKEN", token);
        command.arg("monitor").args(flags).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut following = follow(&keys.root, &["-log-format=json"]).spawn().unwrap();
    let mut quiet = follow(&keys.root, &["-log-level=error"]).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    // A line that is written before somebody follows is not seen: it is brought about until one is.
    let (seen, more) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        while let Some(Ok(line)) = lines.next() {
            let line: Json = serde_json::from_str(&line).unwrap();
            let _ = seen.send(line["@message"].clone());
            all.push(line);
        }
        all
    });
    let mut server = server;
    server.until("a line", |server| {
        server.signal(Signal::HUP);
        more.try_iter().any(|message| message == "certificates reloaded").then_some(())
    });

    let made =
        server.must("POST", "auth/token/create", &keys.root, &json!({"policies": "default"}));
    let stranger = made["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(server.ask("GET", "sys/monitor", &stranger, &Json::Null).status, 403);
    let bad = server.ask("GET", "sys/monitor?log_level=loud", &keys.root, &Json::Null);
    assert_eq!((bad.status, bad.errors().as_str()), (400, "unknown log level"));

    // The quiet one shows nothing: that it follows, too, stands in the audit log.
    let audit = folder.path().join("data/audit");
    let followers = |count: usize| {
        let lines = product::audit_lines(&audit);
        let follows = |line: &&Json| {
            line["type"] == "response"
                && line["request"]["path"] == "sys/monitor"
                && line["error"].is_null()
        };
        (lines.iter().filter(follows).count() == count).then_some(())
    };
    server.until("both followers", |_| followers(2));

    // Whose token nobody can look up any more follows no more.
    server.must("PUT", "sys/seal", &keys.root, &Json::Null);
    assert!(following.wait().unwrap().success());
    assert!(quiet.wait().unwrap().success());

    // The server does not wait for them to its last moment.
    server.must("PUT", "sys/unseal", "", &json!({ "key": keys.share }));
    let mut last = follow(&keys.root, &["-log-level=error"]).spawn().unwrap();
    server.until("another follower", |_| followers(3));
    server.stop();
    assert!(last.wait().unwrap().success());
    let lines = reader.join().unwrap();
    assert!(lines.iter().all(|line| line["@level"] == "info" || line["@level"] == "warn"));
    let quiet = quiet.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&quiet.stdout), "", "nothing was that bad");
}
