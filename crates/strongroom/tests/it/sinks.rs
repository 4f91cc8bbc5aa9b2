//! Audit devices that stall, fail, or are no files: requests do not notice; operators see it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value as Json, json};

use crate::product::{self, Keys, Server};

/// A metric's value.
fn metric(server: &Server, keys: &Keys, name: &str) -> u64 {
    let all = server.must("GET", "sys/metrics?format=prometheus", &keys.root, &Json::Null);
    let line = all.as_str().unwrap().lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no metric {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn indexes(lines: impl Iterator<Item = String>) -> BTreeSet<u64> {
    let of = |line: String| {
        let line: Json = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
        line["strongroom"]["index"].as_u64().unwrap()
    };
    lines.map(of).collect()
}

#[test]
fn a_peer_that_never_reads_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::plain(folder.path());
    let keys = server.with_secrets();
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    // Little fits into the sockets, so that it is soon full.
    rustix::net::sockopt::set_socket_recv_buffer_size(&peer, 4_096).unwrap();
    let device = json!({"type": "socket", "options": {
        "address": peer.local_addr().unwrap().to_string(), "write_timeout": "1s"}});
    server.must("PUT", "sys/audit/stalled", &keys.root, &device);
    let mut wide = serde_json::Map::new();
    for i in 0..400 {
        wide.insert(format!("field-{i}"), json!("value"));
    }
    let wide = Json::Object(wide);
    let (lag, failing) = (
        "strongroom_audit_sink_lag{device=\"stalled/\"}",
        "strongroom_audit_sink_failing{device=\"stalled/\"}",
    );
    let mut written = 0;
    let mut wire = server.connect();
    server.until("the stall", |server| {
        for _ in 0..20 {
            let path = format!("secret/wide-{written}");
            assert_eq!(wire.ask("PUT", &path, &keys.root, &wide).unwrap().status, 204);
            let answer = wire.ask("GET", &path, &keys.root, &Json::Null).unwrap();
            assert_eq!(answer.status, 200);
            written += 1;
        }
        (metric(server, &keys, failing) == 1).then_some(())
    });
    assert!(metric(&server, &keys, lag) > 0);
    let health = server.ask("GET", "sys/health", "", &Json::Null);
    assert_eq!((health.status, &health.body["audit_devices_failing"]), (200, &json!(1)));

    // Once somebody reads, every line comes, some of them twice.
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = peer.accept() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = BufReader::new(stream).split(b'\n').map_while(Result::ok);
                lines.for_each(|line| {
                    let _ = sender.send(String::from_utf8(line).unwrap());
                });
            });
        }
    });
    server
        .until("the sink's recovery", |server| (metric(server, &keys, failing) == 0).then_some(()));
    let last = product::audit_lines(&folder.path().join("data/audit"));
    let last = last.last().unwrap()["strongroom"]["index"].as_u64().unwrap();
    let mut got = BTreeSet::new();
    server.until("all lines", |_| {
        // A line that a broken connection cut off has no end, and comes again.
        got.extend(indexes(lines.try_iter().filter(|line| line.ends_with('}'))));
        got.contains(&last).then_some(())
    });
    let first = *got.first().unwrap();
    assert_eq!(got.len() as u64, last - first + 1, "none is missing");
    let health = server.ask("GET", "sys/health", "", &Json::Null);
    assert_eq!(health.body.get("audit_devices_failing"), None);
}

#[test]
fn a_file_device_takes_no_fifo() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::plain(folder.path());
    let keys = server.init();
    let fifo = folder.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let device = json!({"type": "file", "options": {"file_path": fifo}});
    let answer = server.ask("PUT", "sys/audit/fifo", &keys.root, &device);
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.errors().contains("unable to open the file"), "{}", answer.errors());
    assert_eq!(server.must("GET", "sys/audit", &keys.root, &Json::Null)["data"], json!({}));
}

fn declared(folder: &Path, devices: &Json) -> Json {
    let mut settings = product::settings(folder);
    settings["audit"] = devices.clone();
    settings
}

#[test]
fn declared_devices_come_and_go_with_their_stanzas() {
    let folder = tempfile::tempdir().unwrap();
    let (good, late) = (folder.path().join("good.log"), folder.path().join("later/late.log"));
    let devices = json!([
        {"file": {"good": {"description": "by file", "options": {"file_path": good}}}},
        {"file": {"late": {"options": {"file_path": late}}}},
    ]);
    let mut server = Server::start(folder.path(), &declared(folder.path(), &devices));
    let keys = server.with_secrets();
    let listed = server.must("GET", "sys/audit", &keys.root, &Json::Null)["data"].clone();
    assert_eq!(listed["good/"]["description"], "by file");
    assert_eq!(listed["late/"]["options"]["file_path"], json!(late));
    server.until("the line", |_| {
        let text = fs::read_to_string(&good).unwrap_or_default();
        text.contains("sys/mounts/secret").then_some(())
    });
    // One that cannot be opened keeps nobody out, is seen, and recovers.
    let failing = "strongroom_audit_sink_failing{device=\"late/\"}";
    server
        .until("the failing device", |server| (metric(server, &keys, failing) == 1).then_some(()));
    fs::create_dir(late.parent().unwrap()).unwrap();
    server.until("the late file", |server| {
        let text = fs::read_to_string(&late).unwrap_or_default();
        let there = text.contains("sys/mounts/secret");
        (there && metric(server, &keys, failing) == 0).then_some(())
    });
    let refused = server.ask("DELETE", "sys/audit/good", &keys.root, &Json::Null);
    assert_eq!(
        (refused.status, refused.errors().as_str()),
        (400, "cannot disable configuration-managed audit device")
    );
    server.stop();

    let mut settings = declared(folder.path(), &json!([devices[0]]));
    settings["unsafe_allow_api_audit_creation"] = json!(false);
    let server = Server::start(folder.path(), &settings);
    server.unseal(&keys);
    let listed = server.must("GET", "sys/audit", &keys.root, &Json::Null)["data"].clone();
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), ["good/"]);
    let device = json!({"type": "file", "options": {"file_path": folder.path().join("api.log")}});
    let refused = server.ask("PUT", "sys/audit/api", &keys.root, &device);
    assert_eq!(refused.status, 400);
    assert!(refused.errors().starts_with("cannot enable audit device via API"));
    server.stop();
    let lines = fs::read_to_string(&good).unwrap();
    let got = indexes(lines.lines().map(str::to_owned));
    assert_eq!(got.len(), lines.lines().count(), "no line comes twice");
}
