//! Configuration files as people write them: several listeners, TLS and client certificates, reloads,
//! several files; and what is wrong with them is told by file, line and key.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};

use crate::product::{self, PATIENCE, Server, Wire, config_flag};

/// An authority in `folder`, and certificates that it signed for `server` and `client`.
fn certificates(folder: &Path, name: &str) {
    fs::create_dir_all(folder).unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    fs::write(folder.join("ca.pem"), authority).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    for (file, names) in [("server", ["localhost", "127.0.0.1"]), ("client", ["client", "c"])] {
        let params = rcgen::CertificateParams::new(names.map(str::to_owned).to_vec()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &issuer).unwrap();
        fs::write(folder.join(format!("{file}.pem")), signed.pem()).unwrap();
        fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }
}

/// `strongroom status` of a TLS listener; a sealed server's is 2.
fn status(home: &Path, address: &str, more: &[String]) -> (i32, String) {
    let mut command = product::command(home);
    command.args(["status", &format!("-address=https://{address}")]).args(more);
    product::refused(command)
}

fn file_flag(name: &str, folder: &Path, file: &str) -> String {
    format!("-{name}={}", folder.join(file).display())
}

#[test]
fn several_listeners_unix_sockets_tls_and_client_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let (home, tls) = (folder.path(), folder.path().join("tls"));
    certificates(&tls, "first");
    let socket = home.join("socket");
    let encrypted = |require: bool| {
        json!({"tcp": {
            "address": "127.0.0.1:0",
            "tls_cert_file": tls.join("server.pem"),
            "tls_key_file": tls.join("server.key"),
            "tls_client_ca_file": tls.join("ca.pem"),
            "tls_require_and_verify_client_cert": require,
        }})
    };
    let mut settings = product::settings(home);
    // Two listeners may not have one address; port 0 stands for two.
    let mut second = encrypted(true);
    second["tcp"]["address"] = json!("localhost:0");
    settings["listener"] = json!([
        encrypted(false),
        second,
        {"unix": {"address": socket, "socket_mode": "0660"}},
    ]);
    settings["log_level"] = json!("info");
    let mut server = Server::start(home, &settings);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let stream = UnixStream::connect(&socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut wire = Wire { stream: std::io::BufReader::new(stream) };
    assert_eq!(wire.ask("GET", "sys/seal-status", "", &Json::Null).unwrap().status, 200);

    let ca = file_flag("ca-cert", &tls, "ca.pem");
    let own = ["client-cert=client.pem", "client-key=client.key"].map(|pair| {
        let (flag, file) = pair.split_once('=').unwrap();
        file_flag(flag, &tls, file)
    });
    let (open, closed) = (server.addresses[0].clone(), server.addresses[1].clone());
    let (code, text) = status(home, &open, std::slice::from_ref(&ca));
    assert_eq!(code, 2, "{text}");
    assert_eq!(status(home, &open, &[]).0, 1, "an authority that nobody trusts");
    assert_eq!(status(home, &closed, std::slice::from_ref(&ca)).0, 1, "without a certificate");
    let with_own = [&[ca][..], &own].concat();
    let (code, text) = status(home, &closed, &with_own);
    assert_eq!(code, 2, "{text}");

    // New certificates and another log level, without a restart.
    let old = home.join("old");
    fs::rename(&tls, &old).unwrap();
    certificates(&tls, "second");
    settings["log_level"] = json!("debug");
    fs::write(home.join("server.json"), settings.to_string()).unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.await_line("log level set: level=debug");
    let (new_ca, old_ca) =
        (file_flag("ca-cert", &tls, "ca.pem"), file_flag("ca-cert", &old, "ca.pem"));
    assert_eq!(status(home, &open, std::slice::from_ref(&new_ca)).0, 2);
    assert_eq!(status(home, &open, &[old_ca]).0, 1);
    // What is wrong at a reload leaves all as it was, and is told.
    fs::write(tls.join("server.pem"), "no certificate").unwrap();
    fs::write(home.join("server.json"), "{").unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.await_line("a certificate was not reloaded");
    server.await_line("the configuration was not reloaded");
    assert_eq!(status(home, &open, &[new_ca]).0, 2);
    server.stop();
    assert!(!socket.exists(), "the socket goes with the server");
}

#[test]
fn a_raft_stanza_is_a_single_node() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = product::settings(folder.path());
    settings["storage"] =
        json!({"raft": {"path": folder.path().join("raft"), "node_id": "node-7"}});
    settings["cluster_addr"] = json!("https://127.0.0.1:8201");
    settings["enable_response_header_raft_node_id"] = json!(true);
    settings["enable_response_header_hostname"] = json!(true);
    let server = Server::start(folder.path(), &settings);
    let keys = server.init();
    let answer = server.ask("GET", "sys/seal-status", "", &Json::Null);
    assert_eq!(answer.body["storage_type"], "raft");
    assert_eq!(answer.header("x-vault-raft-node-id"), Some("node-7"));
    assert!(answer.header("x-vault-hostname").is_some_and(|name| !name.is_empty()));
    let raft = server.must("GET", "sys/storage/raft/configuration", &keys.root, &Json::Null);
    assert_eq!(raft["data"]["config"]["servers"][0]["node_id"], "node-7", "{raft}");
}

#[test]
fn strangers_are_told_what_the_listener_allows() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = product::settings(folder.path());
    settings["cluster_name"] = json!("canary-cluster");
    for key in ["redact_version", "redact_cluster_name", "redact_addresses"] {
        settings["listener"]["tcp"][key] = json!(true);
    }
    settings["listener"]["tcp"]["custom_response_headers"] =
        json!({"default": {"X-Own": ["a"]}, "404": {"X-Own": ["b"]}});
    settings["api_addr"] = json!("http://canary-address:8200");
    let server = Server::start(folder.path(), &settings);
    let keys = server.init();
    for path in ["sys/health", "sys/seal-status", "sys/leader"] {
        let stranger = server.ask("GET", path, "", &Json::Null);
        assert!(!stranger.body.to_string().contains("canary"), "{path}: {}", stranger.body);
        assert!(stranger.body.get("version").is_none_or(|v| v == ""), "{path}: {}", stranger.body);
        assert_eq!(stranger.header("x-own"), Some("a"));
    }
    let known = server.ask("GET", "sys/health", &keys.root, &Json::Null);
    assert_eq!(known.body["cluster_name"], "canary-cluster");
    let missing = server.ask("GET", "nowhere/x", &keys.root, &Json::Null);
    assert_eq!((missing.status, missing.header("x-own")), (404, Some("b")));
}

#[test]
fn several_files_and_folders_and_what_is_wrong_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let more = folder.path().join("conf.d");
    fs::create_dir(&more).unwrap();
    let data = folder.path().join("data");
    let store =
        format!("storage \"file\" {{\n  path = \"{}\"\n}}\ndisable_mlock = true\n", data.display());
    fs::write(more.join("a.hcl"), store).unwrap();
    fs::write(more.join("b.json"), json!({"cluster_name": "from-b"}).to_string()).unwrap();
    let last = folder.path().join("last.hcl");
    let listener = "listener \"tcp\" {\n  address = \"127.0.0.1:0\"\n  tls_disable = true\n}\n";
    fs::write(&last, format!("{listener}cluster_name = \"from-last\"\n")).unwrap();
    let start = |files: &[&Path]| -> Command {
        let mut command = product::command(folder.path());
        command.arg("server").args(files.iter().map(|file| config_flag(file)));
        command
    };
    let server = Server::run(start(&[&more, &last]));
    server.init();
    let status = server.must("GET", "sys/seal-status", "", &Json::Null);
    assert_eq!(status["cluster_name"], "from-last");
    drop(server);

    let wrong = folder.path().join("wrong.hcl");
    fs::write(&wrong, "\nlog_levle = \"info\"\ndefault_lease_ttl = \"canary\"\n").unwrap();
    let missing = folder.path().join("missing.hcl");
    for (files, expected) in [
        (vec![&more, &last, &wrong], "wrong.hcl:2:1: unknown key `log_levle`; did you mean"),
        (vec![&more, &last, &wrong], "wrong.hcl:3:1: `default_lease_ttl`"),
        (vec![&more], "no `listener` stanza"),
        (vec![&last], "no `storage` stanza"),
        (vec![&missing], "missing.hcl: cannot be read"),
    ] {
        let files: Vec<&Path> = files.into_iter().map(PathBuf::as_path).collect();
        let (code, text) = product::refused(start(&files));
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(expected), "lacks {expected:?}:\n{text}");
        assert!(!text.contains("canary"), "{text}");
        // `operator diagnose` says the same before anything is started.
        let mut diagnose = product::command(folder.path());
        diagnose.args(["operator", "diagnose"]);
        diagnose.args(files.iter().map(|file| config_flag(file)));
        let (code, text) = product::refused(diagnose);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(expected), "diagnose lacks {expected:?}:\n{text}");
    }
}

#[test]
fn diagnose_looks_at_what_the_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    let settings = product::settings(folder.path());
    let server = Server::start(folder.path(), &settings);
    server.init();
    let diagnose = |settings: &Json| {
        let config = folder.path().join("diagnosed.json");
        fs::write(&config, settings.to_string()).unwrap();
        let mut command = product::command(folder.path());
        command.args(["operator", "diagnose", "-format=json", &config_flag(&config)]);
        let (code, text) = product::refused(command);
        let checks: Json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let find = |name: &str| {
            let all = checks["checks"].as_array().unwrap().iter();
            let of_name = all.filter(|check| check["name"] == name);
            of_name.map(|check| check["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        (code, find("store"), find("listener"))
    };
    let mut busy = settings.clone();
    busy["listener"]["tcp"]["address"] = json!(server.address());
    let (code, store, listener) = diagnose(&busy);
    assert_eq!((code, store, listener), (1, vec!["warn".to_owned()], vec!["fail".to_owned()]));
    server.stop();
    let (_, store, listener) = diagnose(&settings);
    assert_eq!((store, listener), (vec!["ok".to_owned()], vec!["ok".to_owned()]));
    // Pages in the middle that are not what was written.
    let data = folder.path().join("data/strongroom.db");
    let mut bytes = fs::read(&data).unwrap();
    let (start, end) = (bytes.len() / 2, bytes.len() - 100);
    bytes[start..end].fill(0x5a);
    fs::write(&data, bytes).unwrap();
    let (code, store, _) = diagnose(&settings);
    assert_eq!((code, store), (1, vec!["fail".to_owned()]));
}

#[test]
fn dev_mode_with_tls() {
    let folder = tempfile::tempdir().unwrap();
    let tls = folder.path().join("tls");
    let mut command = product::command(folder.path());
    command.args(["server", "-dev-tls", "-dev-root-token-id=root", "-dev-no-store-token"]);
    command.arg(format!("-dev-tls-cert-dir={}", tls.display()));
    command.arg("-dev-listen-address=127.0.0.1:0");
    let server = Server::run(command);
    let mode = fs::metadata(tls.join("vault-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ca = file_flag("ca-cert", &tls, "vault-ca.pem");
    let (code, text) = status(folder.path(), server.address(), &[ca]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(status(folder.path(), server.address(), &[]).0, 1);
}
