//! Certificates as OpenSSL judges them: chains of every kind of key, and revocation lists.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value as Json, json};

use crate::databases::Room;

/// Kinds of keys: what requests say of them.
const KINDS: [(&str, u32); 5] =
    [("rsa", 2048), ("ec", 256), ("ec", 384), ("ec", 521), ("ed25519", 0)];

fn openssl(folder: &Path, words: &[&str]) -> Output {
    Command::new("openssl").args(words).current_dir(folder).output().expect("openssl is installed")
}

/// What OpenSSL prints, where it is content.
fn content(folder: &Path, words: &[&str]) -> String {
    let done = openssl(folder, words);
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (printed(&done.stdout), printed(&done.stderr));
    assert!(done.status.success(), "openssl {words:?}: {out}{error}");
    out + &error
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap_or_default()
}

fn put(folder: &Path, name: &str, pem: &str) {
    std::fs::write(folder.join(name), format!("{pem}\n")).unwrap();
}

/// The flow of whoever sets an internal authority up, as it is typed.
#[test]
fn an_internal_authority_by_the_command_line() {
    let room = Room::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    room.ok(&["secrets", "enable", "pki"]);
    room.ok(&["secrets", "tune", "-max-lease-ttl=87600h", "pki"]);
    let root = room.ok(&[
        "write",
        "-field=certificate",
        "pki/root/generate/internal",
        "common_name=Internal Root CA",
        "key_type=ec",
        "key_bits=384",
        "ttl=87600h",
    ]);
    put(folder, "root.pem", &root);
    let address = format!("http://{}/v1/pki", room.server().address());
    room.ok(&[
        "write",
        "pki/config/urls",
        &format!("issuing_certificates={address}/ca"),
        &format!("crl_distribution_points={address}/crl"),
    ]);
    room.ok(&[
        "write",
        "pki/roles/services",
        "allowed_domains=internal,svc.cluster.local",
        "allow_subdomains=true",
        "max_ttl=720h",
    ]);
    let issued = room.ok(&[
        "write",
        "-format=json",
        "pki/issue/services",
        "common_name=db.internal",
        "alt_names=db.prod.svc.cluster.local",
        "ip_sans=10.1.2.3",
        "ttl=72h",
    ]);
    let issued: Json = serde_json::from_str(&issued).unwrap();
    let data = &issued["data"];
    put(folder, "leaf.pem", text(&data["certificate"]));
    put(folder, "leaf.key", text(&data["private_key"]));
    content(folder, &["verify", "-x509_strict", "-CAfile", "root.pem", "leaf.pem"]);
    for (flag, name) in
        [("-verify_hostname", "db.prod.svc.cluster.local"), ("-verify_ip", "10.1.2.3")]
    {
        content(folder, &["verify", flag, name, "-CAfile", "root.pem", "leaf.pem"]);
    }
    let wrong = ["verify", "-verify_hostname", "evil.org", "-CAfile", "root.pem", "leaf.pem"];
    assert!(!openssl(folder, &wrong).status.success());
    let shown = content(folder, &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    for part in [
        "CN = db.internal",
        "DNS:db.internal, DNS:db.prod.svc.cluster.local, IP Address:10.1.2.3",
        "TLS Web Server Authentication, TLS Web Client Authentication",
        "Digital Signature, Key Encipherment\n",
        &format!("CA Issuers - URI:{address}/ca"),
        &format!("URI:{address}/crl"),
        "ecdsa-with-SHA384",
    ] {
        assert!(shown.contains(part), "{part}:\n{shown}");
    }
    // The key is the certificate's.
    let of_key = content(folder, &["pkey", "-in", "leaf.key", "-pubout"]);
    assert_eq!(of_key, content(folder, &["x509", "-in", "leaf.pem", "-noout", "-pubkey"]));
    assert!(room.ok(&["list", "pki/certs"]).contains(text(&data["serial_number"])));
    let refused = room.run(&room.root, &["write", "pki/issue/services", "common_name=evil.org"]);
    assert!(!refused.status.success());
    // Revoked, it is refused with the list that strangers get.
    let serial = format!("serial_number={}", text(&data["serial_number"]));
    room.ok(&["write", "pki/revoke", &serial]);
    fetch(&room, folder, "pki/crl/pem", "list.pem");
    let checked =
        ["verify", "-crl_check", "-CRLfile", "list.pem", "-CAfile", "root.pem", "leaf.pem"];
    let done = openssl(folder, &checked);
    assert!(String::from_utf8_lossy(&done.stderr).contains("certificate revoked"), "{done:?}");
}

/// Keeps what a stranger gets.
fn fetch(room: &Room, folder: &Path, path: &str, name: &str) {
    let answer = room.server().ask("GET", path, "", &Json::Null);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    put(folder, name, text(&answer.body));
}

/// An authority of a mount: a root of this kind with a role for the same kind of leaves.
fn mount(room: &Room, path: &str, kind: (&str, u32), pss: bool) -> String {
    let api =
        |method: &str, path: &str, body: Json| room.server().must(method, path, &room.root, &body);
    let enable = json!({ "type": "pki", "config": { "max_lease_ttl": "87600h" } });
    api("POST", &format!("sys/mounts/{path}"), enable);
    let body = json!({ "common_name": format!("Root {path}"), "key_type": kind.0,
        "key_bits": kind.1, "ttl": "8760h", "use_pss": pss });
    let root = api("POST", &format!("{path}/root/generate/internal"), body);
    let role = json!({ "allow_any_name": true, "key_type": "any", "use_pss": pss });
    api("POST", &format!("{path}/roles/any"), role);
    text(&root["data"]["certificate"]).to_owned()
}

#[test]
fn chains_of_every_kind_of_key() {
    let room = Room::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let api = |path: &str, body: Json| room.server().must("POST", path, &room.root, &body);
    let kinds = KINDS.iter().map(|kind| (*kind, false)).chain([(("rsa", 2048), true)]);
    for (at, (kind, pss)) in kinds.enumerate() {
        let path = format!("pki{at}");
        put(folder, "root.pem", &mount(&room, &path, kind, pss));
        // The intermediate is of the next kind; leaves are of each.
        let next = KINDS[(at + 1) % KINDS.len()];
        let body = json!({ "common_name": "Inter", "key_type": next.0, "key_bits": next.1 });
        let csr = api(&format!("{path}/intermediate/generate/internal"), body);
        put(folder, "inter.csr", text(&csr["data"]["csr"]));
        content(folder, &["req", "-in", "inter.csr", "-verify", "-noout"]);
        let body = json!({ "csr": csr["data"]["csr"], "ttl": "4000h", "use_pss": pss });
        let inter = api(&format!("{path}/root/sign-intermediate"), body);
        put(folder, "inter.pem", text(&inter["data"]["certificate"]));
        let body = json!({ "certificate": inter["data"]["certificate"] });
        let set = api(&format!("{path}/intermediate/set-signed"), body);
        let issuer = text(&set["data"]["imported_issuers"][0]).to_owned();
        for (kind, bits) in KINDS {
            let body = json!({ "common_name": "leaf.example", "key_type": kind, "key_bits": bits,
                "ttl": "1h" });
            let leaf = api(&format!("{path}/issuer/{issuer}/issue/any"), body);
            put(folder, "leaf.pem", text(&leaf["data"]["certificate"]));
            let verify = ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted"];
            content(folder, &[&verify[..], &["inter.pem", "leaf.pem"]].concat());
        }
        // Lists of the root and of the intermediate.
        for (reference, authority) in [("default", "root.pem"), (issuer.as_str(), "inter.pem")] {
            fetch(&room, folder, &format!("{path}/issuer/{reference}/crl/pem"), "list.pem");
            let words = ["crl", "-in", "list.pem", "-noout", "-CAfile", authority];
            let said = content(folder, &words);
            assert!(said.contains("verify OK"), "{kind:?} {reference}: {said}");
        }
    }
}

#[test]
fn csrs_of_openssl_and_lists_of_what_is_revoked() {
    let room = Room::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(folder, "root.pem", &mount(&room, "pki", ("ec", 256), false));
    let api = |path: &str, body: Json| room.server().must("POST", path, &room.root, &body);
    let mut serials = Vec::new();
    for (at, key) in [
        &["-newkey", "rsa:2048"][..],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-newkey", "ed25519"],
        &["-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"],
        &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"],
    ]
    .into_iter()
    .enumerate()
    {
        let name = "/CN=www.example.com";
        let san = "subjectAltName=DNS:www.example.com,IP:10.0.0.7";
        let request = ["req", "-new", "-nodes", "-keyout", "k.pem", "-out", "r.pem", "-subj", name];
        content(folder, &[&request[..], key, &["-addext", san]].concat());
        let csr = std::fs::read_to_string(folder.join("r.pem")).unwrap();
        let body = json!({ "csr": csr, "ttl": "1h" });
        let answer = room.server().ask("POST", "pki/sign/any", &room.root, &body);
        // Keys for RSA-PSS alone, and P-224, are not taken.
        if at >= 3 {
            assert_eq!(answer.status, 400, "{answer:?}");
            continue;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        let leaf = format!("leaf{at}.pem");
        put(folder, &leaf, text(&answer.body["data"]["certificate"]));
        let verify = ["verify", "-x509_strict", "-verify_ip", "10.0.0.7", "-CAfile", "root.pem"];
        content(folder, &[&verify[..], &[&leaf]].concat());
        serials.push(text(&answer.body["data"]["serial_number"]).to_owned());
    }
    api("pki/revoke", json!({ "serial_number": serials[1] }));
    fetch(&room, folder, "pki/crl/pem", "list.pem");
    let verify = ["verify", "-crl_check", "-CRLfile", "list.pem", "-CAfile", "root.pem"];
    for at in 0..3 {
        let done = openssl(folder, &[&verify[..], &[&format!("leaf{at}.pem")]].concat());
        assert_eq!(done.status.success(), at != 1, "{at}: {done:?}");
    }
    let shown = content(folder, &["crl", "-in", "list.pem", "-noout", "-text"]);
    let serial = serials[1].replace(':', "").to_uppercase();
    assert!(shown.contains(&format!("Serial Number: {serial}")), "{shown}");
    // A delta list continues the complete one.
    let body = json!({ "auto_rebuild": true, "enable_delta": true });
    api("pki/config/crl", body);
    api("pki/revoke", json!({ "serial_number": serials[2] }));
    let rotated = room.server().ask("GET", "pki/crl/rotate-delta", &room.root, &Json::Null);
    assert_eq!(rotated.status, 200, "{rotated:?}");
    fetch(&room, folder, "pki/crl/delta/pem", "delta.pem");
    let shown = content(folder, &["crl", "-in", "delta.pem", "-noout", "-text"]);
    let serial = serials[2].replace(':', "").to_uppercase();
    assert!(shown.contains("Delta CRL Indicator: critical"), "{shown}");
    assert!(shown.contains(&format!("Serial Number: {serial}")), "{shown}");
}

/// What an authority is survives the death of its process.
#[test]
fn an_authority_survives_a_kill() {
    let mut room = Room::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    put(folder, "root.pem", &mount(&room, "pki", ("ec", 256), false));
    let body = json!({ "common_name": "a.example", "key_type": "ec", "ttl": "1h" });
    let before = room.server().must("POST", "pki/issue/any", &room.root, &body);
    let serial = json!({ "serial_number": before["data"]["serial_number"] });
    room.server().must("POST", "pki/revoke", &room.root, &serial);
    room.kill_and_start();
    let after = room.server().must("POST", "pki/issue/any", &room.root, &body);
    put(folder, "before.pem", text(&before["data"]["certificate"]));
    put(folder, "after.pem", text(&after["data"]["certificate"]));
    fetch(&room, folder, "pki/crl/pem", "list.pem");
    let verify = ["verify", "-crl_check", "-CRLfile", "list.pem", "-CAfile", "root.pem"];
    for (name, good) in [("before.pem", false), ("after.pem", true)] {
        let done = openssl(folder, &[&verify[..], &[name]].concat());
        assert_eq!(done.status.success(), good, "{name}: {done:?}");
    }
}

/// pkilint, which judges by RFC 5280, RFC 6960 and what stands behind them, finds no fault with what a
/// role issues that says no more than whom it is for; nor with authorities, lists and OCSP's answers.
#[test]
fn a_linter_finds_no_fault() {
    let python = std::env::var_os("STRONGROOM_TEST_PYTHON").expect(
        "STRONGROOM_TEST_PYTHON names a Python with pkilint: run the tests by `cargo xtask test`",
    );
    let lint = |program: &str, words: &[&str], files: &[&Path]| {
        let done = Command::new(Path::new(&python).with_file_name(program))
            .arg("lint")
            .args(words)
            .args(["-s", "WARNING"])
            .args(files)
            .output()
            .expect("pkilint is installed");
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let (out, error) = (said(&done.stdout), said(&done.stderr));
        assert!(done.status.success() && out.is_empty(), "{program} {files:?}:\n{out}{error}");
    };
    let room = Room::new();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let address = format!("http://{}/v1/pki", room.server().address());
    room.ok(&["secrets", "enable", "pki"]);
    room.ok(&["secrets", "tune", "-max-lease-ttl=87600h", "pki"]);
    room.ok(&[
        "write",
        "pki/config/urls",
        &format!("issuing_certificates={address}/ca"),
        &format!("crl_distribution_points={address}/crl"),
        &format!("ocsp_servers={address}/ocsp"),
    ]);
    for (kind, bits) in KINDS {
        let name = format!("{kind}-{bits}");
        let (key_type, key_bits) = (format!("key_type={kind}"), format!("key_bits={bits}"));
        let issuer = format!("issuer_name={name}");
        let root = room.ok(&[
            "write",
            "-field=certificate",
            "pki/root/generate/internal",
            "common_name=Internal Root CA",
            "ttl=87600h",
            &key_type,
            &key_bits,
            &issuer,
        ]);
        put(folder, "root.pem", &root);
        let (role, of) = (format!("pki/roles/{name}"), format!("issuer_ref={name}"));
        room.ok(&["write", &role, "allow_any_name=true", &key_type, &key_bits, &of]);
        let issued = room.ok(&[
            "write",
            "-format=json",
            &format!("pki/issue/{name}"),
            "common_name=db.example.com",
            "alt_names=db.internal.example.com",
            "ip_sans=10.1.2.3",
        ]);
        let issued: Json = serde_json::from_str(&issued).unwrap();
        put(folder, "leaf.pem", text(&issued["data"]["certificate"]));
        let (root, leaf) = (folder.join("root.pem"), folder.join("leaf.pem"));
        lint("lint_pkix_cert", &[], &[&root]);
        lint("lint_pkix_cert", &[], &[&leaf]);
        lint("lint_pkix_signer_signee_cert_chain", &[], &[&root, &leaf]);
        let serial = format!("serial_number={}", text(&issued["data"]["serial_number"]));
        room.ok(&["write", "pki/revoke", &serial]);
        let list = room.ok(&["read", "-field=crl", &format!("pki/issuer/{name}/crl")]);
        put(folder, "list.pem", &list);
        lint("lint_crl", &["-t", "CRL", "-p", "PKIX"], &[&folder.join("list.pem")]);
        let url = format!("{address}/ocsp");
        let ask = ["ocsp", "-issuer", "root.pem", "-cert", "leaf.pem", "-url", &url];
        let said =
            content(folder, &[&ask[..], &["-CAfile", "root.pem", "-respout", "answer"]].concat());
        assert!(said.contains("leaf.pem: revoked"), "{said}");
        lint("lint_ocsp_response", &[], &[&folder.join("answer")]);
    }
}
