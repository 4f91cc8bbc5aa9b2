//! Logins by certificate over real TLS, by curl, by hvac and by the command line: whom the server
//! lets in, and above all whom not. And requests that bring their login along.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};
use strongroom_testkit::certificates::{Owner, Wish};

use crate::product::{self, Server};

/// Seconds since 1970: what the server under test goes by.
#[allow(clippy::disallowed_methods)]
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A server with a plain listener, by which it is set up, and one with TLS at another address: two
/// may not have the same one.
struct Room {
    server: Server,
    root: String,
    folder: tempfile::TempDir,
    authority: Owner,
}

/// An answer as curl shows it.
#[derive(Debug)]
struct Got {
    status: String,
    body: Json,
    headers: String,
}

impl Got {
    fn errors(&self) -> String {
        let texts = self.body["errors"].as_array().into_iter().flatten();
        texts.filter_map(Json::as_str).collect::<Vec<_>>().join("; ")
    }

    fn token(&self) -> &str {
        self.body["auth"]["client_token"].as_str().unwrap_or_default()
    }
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        let host = rcgen::generate_simple_self_signed(vec!["127.0.0.2".to_owned()]).unwrap();
        std::fs::write(home.join("server.pem"), host.cert.pem()).unwrap();
        std::fs::write(home.join("server.key"), host.signing_key.serialize_pem()).unwrap();
        let mut settings = product::settings(home);
        let plain = settings["listener"].clone();
        settings["listener"] = json!([plain, { "tcp": {
            "address": "127.0.0.2:0",
            "tls_cert_file": home.join("server.pem"),
            "tls_key_file": home.join("server.key"),
        }}]);
        let server = Server::start(home, &settings);
        let root = server.init().root;
        let room = Self { server, root, folder, authority: Owner::root(now(), "clients") };
        room.api("POST", "sys/auth/cert", json!({ "type": "cert" }));
        room.api(
            "PUT",
            "sys/policies/acl/p",
            json!({ "policy":
            "path \"auth/token/*\" { capabilities = [\"update\", \"read\"] }" }),
        );
        room
    }

    fn api(&self, method: &str, path: &str, body: Json) -> Json {
        self.server.must(method, path, &self.root, &body)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Keeps a certificate (and those behind it) and its key for clients; their name.
    fn keep<'n>(&self, name: &'n str, owner: &Owner, behind: &[&Owner]) -> &'n str {
        let mut pem = owner.pem();
        for one in behind {
            pem = format!("{pem}\n{}", one.pem());
        }
        std::fs::write(self.path(&format!("{name}.pem")), pem).unwrap();
        let key = owner.key.to_pkcs8_pem();
        std::fs::write(self.path(&format!("{name}.key")), key.expose_secret()).unwrap();
        name
    }

    /// A client of the authority.
    fn client<'n>(&self, name: &'n str) -> &'n str {
        self.keep(name, &self.authority.issue(&Wish::client(now(), name)), &[])
    }

    fn tls(&self) -> String {
        format!("https://{}", self.server.addresses[1])
    }

    /// Asks by curl, showing the certificate kept as `own`.
    fn curl(&self, own: Option<&str>, method: &str, path: &str, more: &[&str]) -> Got {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--include", "--http1.1"]);
        curl.arg("--cacert").arg(self.path("server.pem"));
        if let Some(own) = own {
            curl.arg("--cert").arg(self.path(&format!("{own}.pem")));
            curl.arg("--key").arg(self.path(&format!("{own}.key")));
        }
        curl.args(["--request", method, &format!("{}/v1/{path}", self.tls())]).args(more);
        let done = curl.env("NO_PROXY", "*").output().expect("curl is installed");
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let (headers, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| {
            panic!("no answer: {}", String::from_utf8_lossy(&done.stderr));
        });
        let status = headers.split(' ').nth(1).unwrap_or_default().to_owned();
        let body = serde_json::from_str(body).unwrap_or(Json::Null);
        Got { status, body, headers: headers.to_lowercase() }
    }

    fn login(&self, own: Option<&str>) -> Got {
        self.curl(own, "POST", "auth/cert/login", &["--data", "{}"])
    }

    fn check(&self, own: &str, status: &str, text: &str) {
        let got = self.login(Some(own));
        assert_eq!(got.status, status, "{own}: {got:?}");
        assert!(got.errors().contains(text), "{own}: {got:?}");
        assert_eq!(got.body["auth"].is_null(), status != "200", "{own}");
    }
}

const INVALID: &str = "invalid certificate or no client certificate supplied";
const NO_CHAIN: &str = "no chain matching all constraints";

#[test]
fn whom_a_certificate_lets_in() {
    let room = Room::new();
    let kim = room.client("kim");
    // Any certificate reaches the server, whoever issued it: what it is worth is the mount's say.
    room.check(kim, "400", INVALID);
    assert_eq!(room.login(None).errors(), "no client certificate found");
    let entry = json!({ "certificate": room.authority.pem(), "token_policies": "p",
                        "allowed_common_names": "kim,lee", "token_ttl": "1h" });
    room.api("POST", "auth/cert/certs/web", entry);
    room.check(kim, "200", "");
    // Over the plain listener nobody shows anything.
    let answer = room.server.ask("POST", "auth/cert/login", "", &json!({}));
    assert_eq!((answer.status, answer.errors().as_str()), (400, "no client certificate found"));

    let (time, twin) = (now(), Owner::root(now(), "clients"));
    let wish = || Wish::client(time, "kim");
    for (name, owner, text) in [
        ("stranger", twin.issue(&wish()), INVALID),
        ("own", Owner::self_signed(&wish()), INVALID),
        (
            "expired",
            room.authority.issue(&Wish { days: (-9, -1), ..wish() }),
            "has expired or is not yet valid",
        ),
        (
            "serves",
            room.authority.issue(&Wish { usages: &["1.3.6.1.5.5.7.3.1"], ..wish() }),
            "incompatible key usage",
        ),
        ("max", room.authority.issue(&Wish::client(time, "max")), NO_CHAIN),
    ] {
        room.keep(name, &owner, &[]);
        room.check(name, "400", text);
    }
    room.keep("forged", &twin.issue(&wish()), &[&room.authority]);
    room.check("forged", "400", INVALID);
    let middle = room.authority.issue(&Wish::authority(time, "middle"));
    room.keep("below", &middle.issue(&wish()), &[&middle]);
    room.check("below", "200", "");

    // A certificate that is trusted itself is that very one, and not its key.
    let alone = Owner::self_signed(&Wish::client(time, "alone"));
    room.keep("alone", &alone, &[]);
    room.api("POST", "auth/cert/certs/alone", json!({ "certificate": alone.pem() }));
    room.check("alone", "200", "");
    let again = twin.issue_for(&Wish::client(time, "alone"), alone.key);
    room.keep("again", &again, &[]);
    room.check("again", "400", INVALID);
    room.server.stop();
}

#[test]
fn renewal_takes_the_same_certificate() {
    let room = Room::new();
    let entry = json!({ "certificate": room.authority.pem(), "token_policies": "p",
                        "token_ttl": "1h" });
    room.api("POST", "auth/cert/certs/web", entry.clone());
    let (kim, lee) = (room.client("kim"), room.client("lee"));
    let got = room.login(Some(kim));
    let token = format!("X-Vault-Token: {}", got.token());
    let renew = |own: Option<&str>| {
        let got = room.curl(own, "POST", "auth/token/renew-self", &["--header", &token]);
        (got.status.clone(), got.errors())
    };
    assert_eq!(renew(Some(kim)).0, "200");
    // threat CVE-2024-2048 and those beside it
    let (status, text) = renew(Some(lee));
    assert!(status == "400" && text.contains("not matching client identity"), "{text}");
    let (status, text) = renew(None);
    assert!(status == "400" && text.contains("no client certificate found"), "{text}");
    room.api("POST", "auth/cert/config", json!({ "disable_binding": true }));
    assert_eq!(renew(None).0, "200");
    room.api("POST", "auth/cert/config", json!({ "disable_binding": false }));
    room.api("POST", "auth/cert/certs/web", json!({ "token_policies": "q" }));
    let (status, text) = renew(Some(kim));
    assert!(status == "400" && text.contains("policies have changed"), "{text}");
    room.api("POST", "auth/cert/certs/web", entry);
    room.api("DELETE", "auth/cert/certs/web", Json::Null);
    assert_eq!(renew(Some(kim)).0, "400");
    room.server.stop();
}

/// The server's own authority issues, revokes, publishes its list and answers about status; the
/// mount fetches the one and asks the other, over HTTP.
#[test]
fn what_was_revoked_stays_outside() {
    let room = Room::new();
    let plain = format!("http://{}/v1/pki", room.server.address());
    room.api("POST", "sys/mounts/pki", json!({ "type": "pki" }));
    room.api("POST", "pki/config/urls", json!({ "ocsp_servers": format!("{plain}/ocsp") }));
    let root = room.api(
        "POST",
        "pki/root/generate/internal",
        json!({ "common_name": "root", "key_type": "ec" }),
    );
    let root = root["data"]["certificate"].as_str().unwrap().to_owned();
    let role = json!({ "allow_any_name": true, "enforce_hostnames": false, "key_type": "ec",
                       "server_flag": false, "client_flag": true });
    room.api("POST", "pki/roles/clients", role);
    let issue = |name: &'static str| {
        let made =
            room.api("POST", "pki/issue/clients", json!({ "common_name": name, "ttl": "1h" }));
        for (field, end) in [("certificate", "pem"), ("private_key", "key")] {
            let text = made["data"][field].as_str().unwrap();
            std::fs::write(room.path(&format!("{name}.{end}")), format!("{text}\n")).unwrap();
        }
        made["data"]["serial_number"].as_str().unwrap().to_owned()
    };
    let (kim, lee) = (issue("kim"), issue("lee"));
    let revoke = |serial: &str| {
        room.api("POST", "pki/revoke", json!({ "serial_number": serial }));
    };
    room.api("POST", "auth/cert/certs/web", json!({ "certificate": root }));
    for name in ["kim", "lee"] {
        room.check(name, "200", "");
    }
    // By its list, fetched from where it is published.
    revoke(&kim);
    room.check("kim", "200", "");
    room.api("POST", "auth/cert/crls/root", json!({ "url": format!("{plain}/crl") }));
    room.check("kim", "400", NO_CHAIN);
    room.check("lee", "200", "");
    let shown = room.api("GET", "auth/cert/crls/root", Json::Null);
    assert_eq!(shown["data"]["serials"].as_object().unwrap().len(), 1, "{shown}");
    // By what the responder says, which the certificate names.
    room.api("DELETE", "auth/cert/crls/root", Json::Null);
    room.api("POST", "auth/cert/certs/web", json!({ "ocsp_enabled": true }));
    room.check("lee", "200", "");
    room.check("kim", "400", NO_CHAIN);
    // A responder that is not there.
    room.api(
        "POST",
        "auth/cert/certs/web",
        json!({ "ocsp_servers_override": "http://127.0.0.1:9/" }),
    );
    room.check("lee", "502", "could not be found out");
    room.api("POST", "auth/cert/certs/web", json!({ "ocsp_fail_open": true }));
    room.check("lee", "200", "");
    revoke(&lee);
    room.api(
        "POST",
        "auth/cert/certs/web",
        json!({ "ocsp_servers_override": format!("{plain}/ocsp") }),
    );
    room.check("lee", "400", NO_CHAIN);
    room.server.stop();
}

/// OpenSSL's responder, which signs with a certificate that its issuer gave it for that.
#[test]
fn a_foreign_responder_is_understood() {
    let room = Room::new();
    let time = now();
    let responder = Wish { usages: &["1.3.6.1.5.5.7.3.9"], ..Wish::client(time, "responder") };
    room.keep("authority", &room.authority, &[]);
    room.keep("responder", &room.authority.issue(&responder), &[]);
    let good = room.authority.issue(&Wish::client(time, "good"));
    let bad = room.authority.issue(&Wish::client(time, "bad"));
    let line = |status: &str, revoked: &str, owner: &Owner| {
        let serial = hex::encode_upper(owner.certificate.serial());
        let name = owner.certificate.subject.to_string();
        format!("{status}\t401231000000Z\t{revoked}\t{serial}\tunknown\t/{name}\n")
    };
    let index = line("V", "", &good) + &line("R", "250101000000Z", &bad);
    std::fs::write(room.path("index.txt"), index).unwrap();
    let mut process = Command::new("openssl")
        .args(["ocsp", "-port", "0", "-index", "index.txt", "-CA", "authority.pem"])
        .args(["-rsigner", "responder.pem", "-rkey", "responder.key", "-ndays", "1"])
        .current_dir(room.folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is installed");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(process.stdout.take().unwrap()));
    // It says where it listens: `ACCEPT 0.0.0.0:PORT PID=…`, or `[::]:PORT`.
    let port = lines.map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.strip_prefix("ACCEPT ")?.split_once(':')?;
        let port = rest.rsplit(':').next()?.split(' ').next()?;
        port.parse::<u16>().ok()
    });
    let entry = json!({
        "certificate": room.authority.pem(), "ocsp_enabled": true,
        "ocsp_servers_override": format!("http://localhost:{}/", port.expect("a port")),
    });
    room.api("POST", "auth/cert/certs/web", entry);
    room.keep("good", &good, &[]);
    room.keep("bad", &bad, &[]);
    room.check("good", "200", "");
    room.check("bad", "400", NO_CHAIN);
    // One that it does not know.
    room.check(room.client("unknown"), "502", "could not be found out");
    process.kill().unwrap();
    process.wait().unwrap();
    room.server.stop();
}

#[test]
fn the_command_line_logs_in() {
    let room = Room::new();
    room.api("POST", "auth/cert/certs/web", json!({ "certificate": room.authority.pem() }));
    let kim = room.client("kim");
    let flag = |name: &str, file: String| format!("-{name}={}", room.path(&file).display());
    let run = |own: bool, more: &[&str]| {
        let mut command = product::command(room.folder.path());
        command.args(["login", "-method=cert", "-token-only"]);
        command.arg(format!("-address={}", room.tls())).arg(flag("ca-cert", "server.pem".into()));
        if own {
            command.arg(flag("client-cert", format!("{kim}.pem")));
            command.arg(flag("client-key", format!("{kim}.key")));
        }
        product::refused({
            command.args(more);
            command
        })
    };
    let (code, token) = run(true, &["name=web"]);
    assert!(code == 0 && token.starts_with("hvs."), "{code} {token}");
    let answer = room.server.must("GET", "auth/token/lookup-self", token.trim(), &Json::Null);
    assert_eq!(answer["data"]["meta"]["common_name"], "kim");
    let (code, text) = run(true, &["name=none"]);
    assert!(code != 0 && text.contains(INVALID), "{text}");
    let (code, text) = run(false, &[]);
    assert!(code != 0 && text.contains("no client certificate found"), "{text}");
    room.server.stop();
}

#[test]
fn hvac_logs_in() {
    let room = Room::new();
    room.keep("authority", &room.authority, &[]);
    room.client("kim");
    let folder = |path: &Path| path.display().to_string();
    crate::hvac::script_on(
        &room.server,
        room.folder.path(),
        "certs.py",
        &[
            ("ROOT_TOKEN", &room.root),
            ("TLS_ADDR", &room.tls()),
            ("CERTIFICATES", &folder(room.folder.path())),
        ],
    );
    room.server.stop();
}

/// A proxy that ends TLS says whose certificate it saw. From anybody else nothing of it is believed.
#[test]
fn a_proxy_passes_certificates_on() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let mut settings = product::settings(home);
    let listener = |address: &str, proxies: &str| {
        json!({ "tcp": {
            "address": address,
            "tls_disable": true,
            "x_forwarded_for_authorized_addrs": proxies,
            "x_forwarded_for_reject_not_present": false,
            "x_forwarded_for_reject_not_authorized": false,
            "x_forwarded_for_client_cert_header": "Client-Cert",
            "x_forwarded_for_client_cert_decoders": ["RFC9440"],
        }})
    };
    settings["listener"] =
        json!([listener("127.0.0.1:0", "10.9.9.9"), listener("127.0.0.2:0", "127.0.0.0/8")]);
    let server = Server::start(home, &settings);
    let root = server.init().root;
    let authority = Owner::root(now(), "clients");
    server.must("POST", "sys/auth/cert", &root, &json!({ "type": "cert" }));
    let entry = json!({ "certificate": authority.pem() });
    server.must("POST", "auth/cert/certs/web", &root, &entry);
    let kim = authority.issue(&Wish::client(now(), "kim"));
    let shown = base64::engine::general_purpose::STANDARD.encode(kim.der());
    let login = |address: &str| {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "60", "--data", "{}"]);
        curl.args(["--header", &format!("Client-Cert: :{shown}:")]);
        curl.args(["--header", "X-Forwarded-For: 10.1.2.3"]);
        curl.arg(format!("http://{address}/v1/auth/cert/login"));
        let done = curl.env("NO_PROXY", "*").output().expect("curl is installed");
        serde_json::from_slice::<Json>(&done.stdout).expect("an answer")
    };
    let believed = login(&server.addresses[1]);
    assert_eq!(believed["auth"]["metadata"]["common_name"], "kim", "{believed}");
    let stranger = login(&server.addresses[0]);
    assert_eq!(stranger["errors"][0], "no client certificate found", "{stranger}");
    server.stop();
}

/// A header that carries one parameter of a login.
fn parameter(name: &str, value: &Json) -> String {
    let text = json!({ "key": name, "value": value }).to_string();
    format!("X-Vault-Inline-Auth-Parameter-{name}: {}", URL_SAFE_NO_PAD.encode(text))
}

#[test]
fn requests_bring_their_login_along() {
    let room = Room::new();
    room.api("POST", "sys/mounts/secret", json!({ "type": "kv" }));
    let policy = "path \"secret/app\" { capabilities = [\"create\", \"read\", \"update\"] }";
    room.api("PUT", "sys/policies/acl/app", json!({ "policy": policy }));
    let entry = json!({ "certificate": room.authority.pem(), "token_policies": "app" });
    room.api("POST", "auth/cert/certs/web", entry);
    room.api("POST", "sys/auth/userpass", json!({ "type": "userpass" }));
    let user = json!({ "password": "correct horse", "token_policies": "app" });
    room.api("POST", "auth/userpass/users/kim", user);

    // By a certificate: nothing secret is sent at all.
    let kim = room.client("kim");
    let by_certificate = ["--header", "X-Vault-Inline-Auth-Path: auth/cert/login"];
    let write = [&by_certificate[..], &["--data", "{\"a\":\"b\"}"]].concat();
    assert_eq!(room.curl(Some(kim), "POST", "secret/app", &write).status, "204");
    let got = room.curl(Some(kim), "GET", "secret/app", &by_certificate);
    assert_eq!((got.status.as_str(), &got.body["data"]["a"]), ("200", &json!("b")));
    assert!(got.body["auth"].is_null());
    let got = room.curl(None, "GET", "secret/app", &by_certificate);
    assert_eq!(
        (got.status.as_str(), got.errors().as_str()),
        ("400", "no client certificate found")
    );
    assert!(got.headers.contains("x-vault-inline-auth-failed: true"), "{got:?}");
    let got = room.curl(Some(kim), "GET", "secret/other", &by_certificate);
    assert_eq!(got.status, "403");
    assert!(!got.headers.contains("x-vault-inline-auth-failed"), "{got:?}");

    // By a password.
    let path = "X-Vault-Inline-Auth-Path: auth/userpass/login/kim";
    for (password, status) in [("correct horse", "200"), ("wrong", "400")] {
        let password = parameter("password", &json!(password));
        let got = room.curl(None, "GET", "secret/app", &["--header", path, "--header", &password]);
        assert_eq!(got.status, status, "{got:?}");
    }
    let token = format!("X-Vault-Token: {}", room.root);
    let both = ["--header", path, "--header", &token];
    let got = room.curl(None, "GET", "secret/app", &both);
    assert!(got.status == "400" && got.errors().contains("cannot layer"), "{got:?}");
    let other = "X-Vault-Inline-Auth-Operation: alias-lookahead";
    let got = room.curl(None, "GET", "secret/app", &["--header", path, "--header", other]);
    assert!(got.status == "400" && got.errors().contains("valid login operation"), "{got:?}");
    room.server.stop();
}
