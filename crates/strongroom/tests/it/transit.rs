//! Transit by the command line as people type it, and by other programs: what OpenSSL makes of its
//! keys and signatures, and that keys outlive the process.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use crate::databases::Room;

/// Standard base64, by the program that everybody has.
fn base64(bytes: &[u8], decode: bool) -> Vec<u8> {
    let mut child = Command::new("base64")
        .args(if decode { ["-d"] } else { ["-w0"] })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    done.stdout
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The `data` of what a command answers as JSON.
fn data(room: &Room, words: &[&str]) -> Json {
    let (first, rest) = words.split_first().unwrap();
    let mut all = vec![*first, "-format=json"];
    all.extend(rest);
    serde_json::from_str::<Json>(&room.ok(&all)).unwrap()["data"].clone()
}

#[test]
fn what_is_encrypted_outlives_the_process() {
    let mut room = Room::new();
    room.ok(&["secrets", "enable", "transit"]);
    room.ok(&["write", "-f", "transit/keys/orders"]);
    let plaintext = text(base64(b"4111 1111 1111 1111", false));
    let field = format!("plaintext={plaintext}");
    let sealed = data(&room, &["write", "transit/encrypt/orders", &field]);
    let sealed = sealed["ciphertext"].as_str().unwrap().to_owned();
    assert!(sealed.starts_with("vault:v1:"));
    room.kill_and_start();
    let field = format!("ciphertext={sealed}");
    let opened = data(&room, &["write", "transit/decrypt/orders", &field]);
    assert_eq!(opened["plaintext"], plaintext.as_str());
    let done = room.run("", &["read", "transit/keys/orders"]);
    assert!(!done.status.success());
    // The log names the plaintext nowhere.
    room.ok(&["write", "-f", "transit/keys/orders/rotate"]);
    let shown = data(&room, &["read", "transit/keys/orders"]);
    assert_eq!(shown["latest_version"], 2);
}

#[test]
fn openssl_verifies_what_is_signed() {
    let room = Room::new();
    room.ok(&["secrets", "enable", "transit"]);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("message"), "a message").unwrap();
    let input = format!("input={}", text(base64(b"a message", false)));
    for (kind, more, options) in [
        ("ecdsa-p256", "hash_algorithm=sha2-256", &["-sha256"][..]),
        ("ecdsa-p384", "hash_algorithm=sha2-512", &["-sha512"]),
        ("ecdsa-p521", "hash_algorithm=sha3-384", &["-sha3-384"]),
        ("rsa-2048", "signature_algorithm=pkcs1v15", &["-sha256"]),
        (
            "rsa-3072",
            "salt_length=hash",
            &["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:-1"],
        ),
    ] {
        room.ok(&["write", &format!("transit/keys/{kind}"), &format!("type={kind}")]);
        let key = data(&room, &["read", &format!("transit/keys/{kind}")]);
        let public = key["keys"]["1"]["public_key"].as_str().unwrap().to_owned();
        std::fs::write(at("public.pem"), public).unwrap();
        let signed = data(&room, &["write", &format!("transit/sign/{kind}"), &input, more]);
        let signature = signed["signature"].as_str().unwrap().strip_prefix("vault:v1:").unwrap();
        std::fs::write(at("signature"), base64(signature.as_bytes(), true)).unwrap();
        let done = Command::new("openssl")
            .arg("dgst")
            .args(options)
            .arg("-verify")
            .arg(at("public.pem"))
            .arg("-signature")
            .arg(at("signature"))
            .arg(at("message"))
            .output()
            .unwrap();
        assert!(done.status.success(), "{kind}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// A key goes from OpenSSL into the engine as an operator brings it, wrapped by OpenSSL alone, and
/// what it signs there OpenSSL verifies by its own half.
#[test]
fn a_key_of_openssl_s_is_imported() {
    let room = Room::new();
    room.ok(&["secrets", "enable", "transit"]);
    let folder = tempfile::tempdir().unwrap();
    let openssl = |words: &[&str]| {
        let done = Command::new("openssl").args(words).current_dir(folder.path()).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    let under = data(&room, &["read", "transit/wrapping_key"]);
    let under = under["public_key"].as_str().unwrap();
    std::fs::write(folder.path().join("under.pem"), under).unwrap();
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "k"]);
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "k", "-outform", "DER", "-out", "k.der"]);
    let aes = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let raw: Vec<u8> = (0..32).collect();
    std::fs::write(folder.path().join("aes"), raw).unwrap();
    openssl(&[
        "pkeyutl",
        "-encrypt",
        "-pubin",
        "-inkey",
        "under.pem",
        "-in",
        "aes",
        "-out",
        "one",
        "-pkeyopt",
        "rsa_padding_mode:oaep",
        "-pkeyopt",
        "rsa_oaep_md:sha256",
        "-pkeyopt",
        "rsa_mgf1_md:sha256",
    ]);
    openssl(&[
        "enc",
        "-id-aes256-wrap-pad",
        "-e",
        "-K",
        aes,
        "-iv",
        "A65959A6",
        "-in",
        "k.der",
        "-out",
        "two",
    ]);
    let mut both = std::fs::read(folder.path().join("one")).unwrap();
    both.extend(std::fs::read(folder.path().join("two")).unwrap());
    let body = json!({ "type": "ecdsa-p256", "ciphertext": text(base64(&both, false)) });
    room.server().must("PUT", "transit/keys/mine/import", &room.root, &body);
    let input = format!("input={}", text(base64(b"a message", false)));
    let signed = data(&room, &["write", "transit/sign/mine", &input]);
    let signature = signed["signature"].as_str().unwrap().strip_prefix("vault:v1:").unwrap();
    std::fs::write(folder.path().join("s"), base64(signature.as_bytes(), true)).unwrap();
    std::fs::write(folder.path().join("m"), "a message").unwrap();
    openssl(&["pkey", "-in", "k", "-pubout", "-out", "p.pem"]);
    openssl(&["dgst", "-sha256", "-verify", "p.pem", "-signature", "s", "m"]);
}

/// `strongroom transit import`: a key from elsewhere is wrapped here and unwrapped there.
#[test]
fn keys_are_imported_by_the_command_line() {
    let room = Room::new();
    room.ok(&["secrets", "enable", "transit"]);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let write = |name: &str, bytes: &[u8]| std::fs::write(at(name), bytes).unwrap();
    // A symmetric key, as base64 with a line's end.
    let key: Vec<u8> = (0..32).collect();
    write("aes", &[base64(&key, false), b"\n".to_vec()].concat());
    let (path, file) = ("transit/keys/aes", format!("@{}", at("aes")));
    let said = room.ok(&["transit", "import", path, &file, "type=aes256-gcm96", "exportable=true"]);
    assert!(said.ends_with("Success!\n"), "{said}");
    let exported = data(&room, &["read", "transit/export/encryption-key/aes"]);
    assert_eq!(exported["keys"]["1"], text(base64(&key, false)));
    write("next", &base64(&[9; 32], false));
    let file = format!("@{}", at("next"));
    room.ok(&["transit", "import-version", path, &file]);
    assert_eq!(data(&room, &["read", path])["latest_version"], 2);
    // A private key in PEM, as OpenSSL makes it, under another hash.
    let pem = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .output()
        .unwrap();
    assert!(pem.status.success());
    write("pem", &pem.stdout);
    let (path, file) = ("transit/keys/ec", format!("@{}", at("pem")));
    room.ok(&["transit", "import", path, &file, "type=ecdsa-p256", "hash_function=SHA512"]);
    assert_eq!(data(&room, &["read", path])["imported_key"], true);
    for (words, code, why) in [
        (&["transit", "import", "transit/keys/x"][..], 1, "Incorrect argument count"),
        (&["transit", "import", "transit/x", "AAAA"], 1, "expected transit path and key name"),
        (&["transit", "import", "transit/keys/x", "!"], 1, "error base64 decoding"),
        (&["transit", "import", "none/keys/x", "AAAA"], 3, "failed to fetch wrapping key"),
        (&["transit", "import", "transit/keys/x", "AAAA"], 3, "failed to call import"),
    ] {
        let done = room.run(&room.root, words);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(why), "{words:?}: {said}");
    }
}
