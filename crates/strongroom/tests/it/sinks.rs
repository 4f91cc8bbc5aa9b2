//! Audit devices that stall, fail, or are no files: requests do not notice; operators see it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::disk::{in_own_mounts, mount};
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

/// Waits until the receiver has every line up to the newest; `news` are the lines since the last look.
fn every_line_comes(server: &mut Server, folder: &Path, mut news: impl FnMut() -> Vec<String>) {
    let last = product::audit_lines(&folder.join("data/audit"));
    let last = last.last().unwrap()["strongroom"]["index"].as_u64().unwrap();
    let mut got = BTreeSet::new();
    server.until("all lines", |_| {
        got.extend(indexes(news().into_iter()));
        got.contains(&last).then_some(())
    });
    let first = *got.first().unwrap();
    // A signed head may have come meanwhile.
    assert_eq!(got.range(..=last).count() as u64, last - first + 1, "none is missing");
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
    every_line_comes(&mut server, folder.path(), || {
        // What a broken connection cut off is no JSON, wherever the cut is, and comes again.
        let whole = |line: &String| serde_json::from_str::<Json>(line).is_ok();
        lines.try_iter().filter(whole).collect()
    });
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

/// Reads POSTs and answers them; tells their heads and bodies.
fn take_posts(peer: TcpListener) -> std::sync::mpsc::Receiver<(String, String)> {
    let (sender, posts) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = peer.accept() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                loop {
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") {
                        match stream.read_line(&mut head) {
                            Ok(1..) => {}
                            _ => return,
                        }
                    }
                    let head = head.to_ascii_lowercase();
                    let (_, length) = head.split_once("content-length: ").unwrap();
                    let length = length.split_once('\r').unwrap().0.parse().unwrap();
                    let mut body = vec![0; length];
                    if stream.read_exact(&mut body).is_err() {
                        return;
                    }
                    let _ = sender.send((head, String::from_utf8(body).unwrap()));
                    if stream.get_mut().write_all(b"HTTP/1.1 204 X\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    posts
}

#[test]
fn an_http_receiver_that_stalls_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    // Connections come in, and nobody reads them yet.
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/audit", peer.local_addr().unwrap());
    let devices = json!([{"http": {"siem": {"options": {
        "uri": address,
        "write_timeout": "1s",
        "headers": "{\"Authorization\": [\"env://SIEM_TOKEN\"]}",
    }}}}]);
    let mut command = product::configured(folder.path(), &declared(folder.path(), &devices));
    command.env("SIEM_TOKEN", "Bearer of-the-siem");
    let mut server = Server::run(command);
    let keys = server.with_secrets();
    let failing = "strongroom_audit_sink_failing{device=\"siem/\"}";
    let mut wire = server.connect();
    let mut written = 0;
    server.until("the stall", |server| {
        let path = format!("secret/n-{written}");
        let answer = wire.ask("PUT", &path, &keys.root, &json!({"a": "b"})).unwrap();
        assert_eq!(answer.status, 204);
        written += 1;
        (metric(server, &keys, failing) == 1).then_some(())
    });
    let shown = server.must("GET", "sys/audit", &keys.root, &Json::Null)["data"].to_string();
    assert!(!shown.contains("of-the-siem"), "{shown}");

    let posts = take_posts(peer);
    server
        .until("the sink's recovery", |server| (metric(server, &keys, failing) == 0).then_some(()));
    every_line_comes(&mut server, folder.path(), || {
        let line = |(head, body): (String, String)| {
            assert!(head.starts_with("post /audit "), "{head}");
            assert!(head.contains("authorization: bearer of-the-siem\r\n"), "{head}");
            assert_eq!(body.lines().count(), 1);
            body.trim_end().to_owned()
        };
        posts.try_iter().map(line).collect()
    });

    // Threat CVE-2025-6000: through the API nothing of the host can be referred to.
    let device = json!({"type": "http", "options": {"uri": "http://127.0.0.1:1/", "headers":
        "{\"A\": [\"file:///etc/hostname\"]}"}});
    let refused = server.ask("PUT", "sys/audit/api", &keys.root, &device);
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.errors().contains("that the configuration declares"), "{}", refused.errors());
}

#[test]
fn lines_reach_the_syslog() {
    in_own_mounts("sinks::syslog_inside");
}

#[test]
#[ignore = "runs in a mount namespace of its own, started by another test"]
fn syslog_inside() {
    let folder = tempfile::tempdir().unwrap();
    // Where the daemons of this machine listen, a socket of ours does in this namespace.
    let run = Path::new("/var/run").canonicalize().unwrap();
    mount(&["-t", "tmpfs", "tmpfs"], &run);
    let at = run.join("log");
    let daemon = |n: u32| {
        let socket = UnixDatagram::bind(&at).unwrap_or_else(|e| panic!("{n}: {e}"));
        socket.set_nonblocking(true).unwrap();
        socket
    };
    let socket = daemon(0);
    if Path::new("/dev/log").exists() {
        let output = Command::new("mount").args(["--bind"]).arg(&at).arg("/dev/log").output();
        assert!(output.unwrap().status.success());
    }
    let mut server = Server::plain(folder.path());
    let keys = server.with_secrets();
    let device = json!({"type": "syslog", "options": {"facility": "LOCAL0", "tag": "strongroom"}});
    server.must("PUT", "sys/audit/syslog", &keys.root, &device);
    let read = |socket: &UnixDatagram, lines: &mut Vec<Json>| {
        let mut bytes = vec![0; 1 << 20];
        while let Ok(length) = socket.recv(&mut bytes) {
            let text = std::str::from_utf8(&bytes[..length]).unwrap();
            // LOCAL0 is 16, "informational" 6 (RFC 3164 §4.1.1).
            let line = text.strip_prefix("<134>strongroom: ").unwrap_or_else(|| panic!("{text}"));
            lines.push(serde_json::from_str(line).unwrap());
        }
    };
    let mut lines = Vec::new();
    let has = |lines: &[Json], path: &str| lines.iter().any(|l| l["request"]["path"] == path);
    server.must("PUT", "secret/first", &keys.root, &json!({"value": "not to be seen"}));
    server.until("the line", |_| {
        read(&socket, &mut lines);
        has(&lines, "secret/first").then_some(())
    });

    // The daemon goes, and comes back: nobody waits, and nothing is missing.
    drop(socket);
    fs::remove_file(&at).unwrap();
    let failing = "strongroom_audit_sink_failing{device=\"syslog/\"}";
    server.until("the failing device", |server| {
        server.must("PUT", "secret/meanwhile", &keys.root, &json!({"value": "x"}));
        (metric(server, &keys, failing) == 1).then_some(())
    });
    let socket = daemon(1);
    server.until("what was written meanwhile", |_| {
        read(&socket, &mut lines);
        has(&lines, "secret/meanwhile").then_some(())
    });
    // A line that no datagram can hold is told of, and holds up none that comes after it.
    let wide: serde_json::Map<String, Json> =
        (0..6_000).map(|n| (format!("field-{n}"), json!("value"))).collect();
    server.must("PUT", "secret/wide", &keys.root, &Json::Object(wide));
    server.must("PUT", "secret/last", &keys.root, &json!({"value": "x"}));
    server.until("the last line", |_| {
        read(&socket, &mut lines);
        has(&lines, "secret/last").then_some(())
    });
    let omitted: Vec<&Json> = lines.iter().filter(|line| line["type"] == "omitted").collect();
    assert!(
        !omitted.is_empty() && omitted.iter().all(|line| line["bytes"].as_u64() > Some(100_000))
    );
    assert!(!Json::Array(lines.clone()).to_string().contains("not to be seen"));
    let numbers: BTreeSet<u64> =
        lines.iter().map(|line| line["strongroom"]["index"].as_u64().unwrap()).collect();
    let (first, last) = (numbers.first().unwrap(), numbers.last().unwrap());
    assert_eq!(numbers.len() as u64, last - first + 1, "none is missing");
}
