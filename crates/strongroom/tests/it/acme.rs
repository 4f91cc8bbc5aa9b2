//! Certificates by ACME and answers by OCSP, with clients of other people: `certbot` gets, renews and
//! revokes by http-01 and dns-01, `openssl` verifies what it got and asks whether it was revoked.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};
use strongroom_testkit::servers::dns::{Data, DnsServer, Kind};

use crate::databases::Room;

/// Where certbot's own web server listens: http-01 is at port 80 of whatever the name resolves to.
const WEB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 80);

/// A room with a certificate authority, a zone that a file says, and certbot's folder.
struct Authority {
    room: Room,
    folder: tempfile::TempDir,
    _dns: DnsServer,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let zone = folder.path().join("zone");
        std::fs::write(&zone, "").unwrap();
        // Below `test` each name is at the web server; texts are what certbot's hook has written.
        let dns = DnsServer::start(move |name, kind| {
            let written = std::fs::read_to_string(&zone).unwrap_or_default();
            let texts: Vec<Data> = written
                .lines()
                .filter_map(|line| line.split_once(' '))
                .filter(|(at, _)| *at == name)
                .map(|(_, text)| Data::Text(vec![text.to_owned()]))
                .collect();
            match kind {
                Kind::Txt => Some(texts),
                Kind::A if name.ends_with(".test") => Some(vec![Data::Address(WEB.into())]),
                _ => Some(Vec::new()),
            }
        });
        let room = Room::new();
        room.ok(&["secrets", "enable", "pki"]);
        room.ok(&["secrets", "tune", "-max-lease-ttl=87600h", "pki/"]);
        room.ok(&[
            "write",
            "pki/root/generate/internal",
            "common_name=Root",
            "key_type=ec",
            "key_bits=384",
            "ttl=87600h",
        ]);
        let path = format!("path=http://{}/v1/pki", room.server().address());
        room.ok(&["write", "pki/config/cluster", &path]);
        let resolver = format!("dns_resolver={}", dns.address);
        room.ok(&["write", "pki/config/acme", "enabled=true", &resolver]);
        let authority = Self { room, folder, _dns: dns };
        let ca = authority.room.ok(&["read", "-field=certificate", "pki/cert/ca"]);
        std::fs::write(authority.ca(), ca).unwrap();
        authority
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v1/pki/{path}", self.room.server().address())
    }

    /// certbot with a configuration of this name; what it printed, and whether it was content.
    fn try_certbot(&self, config: &str, words: &[&str]) -> Result<String, String> {
        let folder = self.folder.path().join(config);
        let mut certbot = Command::new("certbot");
        certbot.args(words).args(["--non-interactive", "--server", &self.url("acme/directory")]);
        for flag in ["--config-dir", "--work-dir", "--logs-dir"] {
            certbot.arg(flag).arg(&folder);
        }
        let done = plain(&mut certbot).output().unwrap();
        let printed = format!("{}{}", text(&done.stdout), text(&done.stderr));
        if done.status.success() {
            return Ok(printed);
        }
        let log = std::fs::read_to_string(folder.join("letsencrypt.log")).unwrap_or_default();
        let end: Vec<&str> = log.lines().rev().take(60).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        Err(format!("{printed}\n{}", end.join("\n")))
    }

    fn certbot(&self, config: &str, words: &[&str]) -> String {
        self.try_certbot(config, words).unwrap_or_else(|e| panic!("certbot {words:?}: {e}"))
    }

    /// A file of a certificate that certbot keeps.
    fn live(&self, config: &str, name: &str, file: &str) -> PathBuf {
        self.folder.path().join(config).join("live").join(name).join(file)
    }

    /// A hook that writes what certbot is to prove into the zone.
    fn hook(&self) -> String {
        let hook = self.folder.path().join("hook");
        let zone = self.folder.path().join("zone");
        let line = "_acme-challenge.$CERTBOT_DOMAIN $CERTBOT_VALIDATION";
        let script = format!("#!/bin/sh\necho \"{line}\" >> {}\n", zone.display());
        std::fs::write(&hook, script).unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
        hook.to_str().unwrap().to_owned()
    }

    /// OpenSSL finds the chain whole; the certificate's serial number and names.
    fn verified(&self, config: &str, name: &str) -> (String, String) {
        let file = |file| self.live(config, name, file);
        let ca = self.ca();
        let (chain, leaf) = (file("chain.pem"), file("cert.pem"));
        let said = openssl(&["verify", "-CAfile", at(&ca), "-untrusted", at(&chain), at(&leaf)]);
        assert!(said.trim_end().ends_with("OK"), "{said}");
        let shown =
            openssl(&["x509", "-in", at(&leaf), "-noout", "-serial", "-ext", "subjectAltName"]);
        let (serial, names) = shown.split_once('\n').unwrap();
        (serial.to_owned(), names.to_owned())
    }

    /// What our OCSP responder says of a certificate, as OpenSSL understands it: by POST with a
    /// nonce, and by GET.
    fn status(&self, leaf: &Path) -> String {
        let ca = self.ca();
        let ask = ["ocsp", "-issuer", at(&ca), "-cert", at(leaf), "-CAfile", at(&ca)];
        let url = self.url("ocsp");
        let posted = openssl(&[&ask[..], &["-url", &url]].concat());
        assert!(posted.contains("Response verify OK"), "{posted}");
        assert!(!posted.contains("no nonce"), "{posted}");
        let (request, response) = (self.folder.path().join("req"), self.folder.path().join("resp"));
        for hash in ["-sha1", "-sha256"] {
            let about = ["ocsp", hash, "-issuer", at(&ca), "-cert", at(leaf)];
            openssl(&[&about[..], &["-reqout", at(&request)]].concat());
            let encoded = percent(&base64(&std::fs::read(&request).unwrap()));
            let url = self.url(&format!("ocsp/{encoded}"));
            let told = "%{http_code} %{content_type}";
            let mut curl = Command::new("curl");
            curl.args(["-s", "-o", at(&response), "-w", told, &url]);
            let done = plain(&mut curl).output().unwrap();
            assert_eq!(text(&done.stdout), "200 application/ocsp-response", "{url}");
            // The nonce is of the request that was sent, which it does not know.
            let read = ["-CAfile", at(&ca), "-no_nonce", "-respin", at(&response)];
            let read = openssl(&[&about[..], &read].concat());
            assert!(read.contains("Response verify OK"), "{read}");
            assert_eq!(said_of(&read, leaf), said_of(&posted, leaf), "POST and GET agree");
        }
        said_of(&posted, leaf)
    }
}

/// `FILE: good`.
fn said_of(printed: &str, leaf: &Path) -> String {
    let prefix = format!("{}: ", leaf.display());
    let line = printed.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("{printed}")).to_owned()
}

fn at(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A client without a way around the test's own network.
fn plain(command: &mut Command) -> &mut Command {
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "127.0.0.1").stdin(Stdio::null())
}

fn openssl(words: &[&str]) -> String {
    let done = plain(Command::new("openssl").args(words)).output().unwrap();
    let printed = format!("{}{}", text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "openssl {words:?}: {printed}");
    printed
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

fn percent(text: &str) -> String {
    let special = BTreeMap::from([('+', "%2B"), ('/', "%2F"), ('=', "%3D")]);
    text.chars().map(|c| special.get(&c).map_or(c.to_string(), |s| (*s).to_owned())).collect()
}

/// What each new account of certbot says.
const NEW: [&str; 2] = ["--agree-tos", "--register-unsafely-without-email"];

#[test]
fn certbot_gets_renews_and_revokes_by_dns() {
    let authority = Authority::new();
    let hook = authority.hook();
    let names = ["-d", "a.example.test", "-d", "*.b.example.test"];
    let by_dns = ["certonly", "--manual", "--preferred-challenges", "dns", "--manual-auth-hook"];
    authority.certbot("dns", &[&by_dns[..], &[&hook], &names, &NEW].concat());
    let (first, shown) = authority.verified("dns", "a.example.test");
    for name in ["DNS:a.example.test", "DNS:*.b.example.test"] {
        assert!(shown.contains(name), "{shown}");
    }
    assert_eq!(authority.status(&authority.live("dns", "a.example.test", "cert.pem")), "good");
    authority.certbot("dns", &["renew", "--force-renewal", "--no-random-sleep-on-renew"]);
    let (second, _) = authority.verified("dns", "a.example.test");
    assert_ne!(first, second, "renewing gets another certificate");
    let leaf = authority.folder.path().join("kept.pem");
    std::fs::copy(authority.live("dns", "a.example.test", "cert.pem"), &leaf).unwrap();
    assert_eq!(authority.status(&leaf), "good");
    authority.certbot("dns", &["revoke", "--cert-name", "a.example.test", "--delete-after-revoke"]);
    assert_eq!(authority.status(&leaf), "revoked");
    let serial = second.trim_start_matches("serial=");
    let pairs: Vec<&str> = (0..serial.len() / 2).map(|i| &serial[2 * i..2 * i + 2]).collect();
    let path = format!("pki/cert/{}", pairs.join(":").to_lowercase());
    let read = authority.room.ok(&["read", "-field=revocation_time", &path]);
    assert!(read.trim().parse::<i64>().unwrap() > 0, "{read}");
}

#[test]
fn certbot_gets_by_http_and_revokes_with_the_certificates_key() {
    if let Err(e) = TcpListener::bind((WEB, 80)) {
        panic!(
            "http-01 is at port 80, and this test serves it at {WEB}: {e}; run it as root, or with \
             net.ipv4.ip_unprivileged_port_start=80"
        );
    }
    let authority = Authority::new();
    let web = WEB.to_string();
    let by_http = ["certonly", "--standalone", "--http-01-address", &web, "-d", "web.example.test"];
    authority.certbot("http", &[&by_http[..], &NEW].concat());
    let (_, names) = authority.verified("http", "web.example.test");
    assert!(names.contains("DNS:web.example.test"), "{names}");
    let leaf = authority.live("http", "web.example.test", "cert.pem");
    let key = authority.live("http", "web.example.test", "privkey.pem");
    assert_eq!(authority.status(&leaf), "good");
    // Another account, with the key in its hand.
    let revoke = ["revoke", "--cert-path", at(&leaf), "--key-path", at(&key)];
    authority.certbot("http", &[&revoke[..], &["--no-delete-after-revoke"]].concat());
    assert_eq!(authority.status(&leaf), "revoked");
}

#[test]
fn an_external_account_lets_certbot_in() {
    let authority = Authority::new();
    authority.room.ok(&["write", "pki/config/acme", "eab_policy=always-required"]);
    let register = ["register", NEW[0], NEW[1]];
    assert!(authority.try_certbot("eab", &register).is_err());
    let made = authority.room.ok(&["write", "-f", "-format=json", "pki/acme/new-eab"]);
    let made: Json = serde_json::from_str(&made).unwrap();
    let part = |name: &str| made["data"][name].as_str().unwrap().to_owned();
    let (id, key) = (part("id"), part("key"));
    let bound = ["--eab-kid", &id, "--eab-hmac-key", &key];
    authority.certbot("eab", &[&register[..], &bound].concat());
    assert!(authority.try_certbot("again", &[&register[..], &bound].concat()).is_err(), "once");
    let listed = authority.room.run(&authority.room.root, &["list", "-format=json", "pki/eab"]);
    assert_ne!(text(&listed.stdout).trim(), json!([id]).to_string());
}
