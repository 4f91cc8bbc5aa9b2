//! SIGTERM: what is under way is answered, and there is no effect without its answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};

use serde_json::{Value as Json, json};

use crate::product::{Server, Wire};

/// Clients that write at once.
const CLIENTS: usize = 12;
/// Writes that each client has had acknowledged before the server is told to stop.
const BEFORE: usize = 20;

/// What one client saw: the highest number that was acknowledged, and whether the one after it was
/// sent without an answer.
struct Seen {
    acknowledged: usize,
    unanswered: bool,
}

/// Writes 1, 2, 3, … to one path until the server goes.
fn write_on(address: &str, path: &str, token: &str, busy: &AtomicUsize, go: &Barrier) -> Seen {
    go.wait();
    let mut wire = Wire::open(address).unwrap();
    let mut acknowledged = 0;
    loop {
        let n = acknowledged + 1;
        if wire.request("PUT", path, token, &json!({"n": n})).is_err() {
            return Seen { acknowledged, unanswered: true };
        }
        match wire.answer() {
            Ok(answer) => {
                assert_eq!(answer.status, 204, "{path} {n}: {}", answer.body);
                acknowledged = n;
                if n == BEFORE {
                    busy.fetch_add(1, Relaxed);
                }
                let close = answer.header("connection").is_some_and(|v| v == "close");
                if close {
                    // Told to go: a new connection is refused from now on.
                    match Wire::open(address) {
                        Ok(again) => wire = again,
                        Err(_) => return Seen { acknowledged, unanswered: false },
                    }
                }
            }
            Err(_) => return Seen { acknowledged, unanswered: true },
        }
    }
}

#[test]
fn a_drained_server_keeps_what_it_acknowledged_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::plain(folder.path());
    let keys = server.with_secrets();
    let (busy, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(CLIENTS)));
    let clients: BTreeMap<String, _> = (0..CLIENTS)
        .map(|i| {
            let path = format!("secret/client-{i}");
            let (address, token) = (server.address().to_owned(), keys.root.clone());
            let (busy, go, name) = (busy.clone(), go.clone(), path.clone());
            (path, std::thread::spawn(move || write_on(&address, &name, &token, &busy, &go)))
        })
        .collect();
    server.until("all clients' writes", |_| (busy.load(Relaxed) == CLIENTS).then_some(()));
    let log = server.stop();
    assert!(log.iter().any(|line| line.contains("stopping")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("cut off")), "{log:?}");
    let seen: BTreeMap<String, Seen> =
        clients.into_iter().map(|(path, client)| (path, client.join().unwrap())).collect();

    let server = Server::plain(folder.path());
    server.unseal(&keys);
    for (path, seen) in seen {
        assert!(seen.acknowledged >= BEFORE);
        let found = server.must("GET", &path, &keys.root, &Json::Null);
        let found = found["data"]["n"].as_u64().unwrap() as usize;
        // A request that reached the server was answered: what the client sent into a closed
        // connection had no effect.
        assert_eq!(found, seen.acknowledged, "{path}, unanswered: {}", seen.unanswered);
    }
}

#[test]
fn a_request_under_way_is_answered_though_the_server_stops() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::plain(folder.path());
    let keys = server.with_secrets();
    // Half of a request is there when the signal comes.
    let body = json!({"k": "v"}).to_string();
    let head = format!(
        "PUT /v1/secret/half HTTP/1.1\r\nHost: x\r\nX-Vault-Token: {}\r\nContent-Length: {}\r\n\r\n",
        keys.root,
        body.len()
    );
    let mut half = server.connect();
    half.send(head.as_bytes()).unwrap();
    half.send(&body.as_bytes()[..3]).unwrap();
    let mut idle = server.connect();
    assert_eq!(idle.ask("GET", "sys/health", "", &Json::Null).unwrap().status, 200);
    server.signal(rustix::process::Signal::TERM);
    server.await_line("stopping");
    assert!(idle.rest().is_empty(), "an idle connection is closed");
    half.send(&body.as_bytes()[3..]).unwrap();
    let answer = half.answer().unwrap();
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("connection"), Some("close"));
    let address = server.address().to_owned();
    let (status, _) = server.wait();
    assert!(status.success());
    assert!(Wire::open(&address).is_err(), "nobody listens any more");

    let server = Server::plain(folder.path());
    server.unseal(&keys);
    let found = server.must("GET", "secret/half", &keys.root, &Json::Null);
    assert_eq!(found["data"], json!({"k": "v"}));
}
