//! `sign`, `verify`, `hmac`.

use serde_json::{Value, json};

use super::{Room, b64};

const HASHES: [&str; 9] = [
    "sha1", "sha2-224", "sha2-256", "sha2-384", "sha2-512", "sha3-224", "sha3-256", "sha3-384",
    "sha3-512",
];
const CURVES: [&str; 3] = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521"];

impl Room {
    /// Does `verify` find the signature of `sign` good, and that of another input not?
    async fn signs(&self, key: &str, more: Value) {
        let mut body = more.clone();
        body["input"] = json!(b64("message"));
        let made = self.write(&format!("sign/{key}"), body.clone()).await;
        assert_eq!(made["key_version"], 1, "{key} {more}");
        body["signature"] = made["signature"].clone();
        let verify = format!("verify/{key}");
        let valid = self.write(&verify, body.clone()).await;
        assert_eq!(valid, json!({ "valid": true }), "{key} {more} {made}");
        body["input"] = json!(b64("massage"));
        assert_eq!(self.write(&verify, body).await["valid"], false, "{key} {more}");
    }
}

#[tokio::test]
async fn every_type_signs_and_verifies() {
    let room = Room::new().await;
    for kind in CURVES {
        room.key(kind, json!({ "type": kind })).await;
        for hash in HASHES {
            for marshaling in ["asn1", "jws"] {
                let more = json!({ "hash_algorithm": hash, "marshaling_algorithm": marshaling });
                room.signs(kind, more).await;
            }
        }
        // Without effect, as with the peers.
        let body = json!({ "input": b64("message"), "algorithm": "sha2-512" });
        let made = room.write(&format!("sign/{kind}"), body).await["signature"].clone();
        let body = json!({ "input": b64("message"), "signature": made });
        assert_eq!(room.write(&format!("verify/{kind}"), body).await["valid"], true);
        room.signs(&format!("{kind}/sha2-384"), json!({})).await;
    }
    room.key("ed", json!({ "type": "ed25519" })).await;
    room.signs("ed", json!({})).await;
    room.signs("ed", json!({ "marshaling_algorithm": "jws", "salt_length": "1" })).await;
    room.key("rsa", json!({ "type": "rsa-2048" })).await;
    for hash in ["sha2-256", "sha2-384", "sha2-512"] {
        for algorithm in ["pss", "pkcs1v15", ""] {
            for salt in ["auto", "hash", "0", "-1", "1", "100", "HASH"] {
                let more = json!({
                    "hash_algorithm": hash, "signature_algorithm": algorithm, "salt_length": salt,
                });
                room.signs("rsa", more).await;
            }
        }
    }
    for kind in ["aes256-gcm96", "hmac"] {
        room.key(kind, json!({ "type": kind })).await;
        let why = format!("key type {kind} does not support signing");
        room.refused(&format!("sign/{kind}"), json!({ "input": "" }), &why).await;
        let body = json!({ "input": "", "signature": "vault:v1:AAAA" });
        room.refused(&format!("verify/{kind}"), body, "does not support verification").await;
    }
}

#[tokio::test]
async fn digests_are_signed_as_their_messages() {
    let room = Room::new().await;
    let digest =
        |hash: &str| json!({ "input": b64("message"), "format": "base64", "algorithm": hash });
    room.key("rsa-2048", json!({ "type": "rsa-2048" })).await;
    for kind in CURVES {
        room.key(kind, json!({ "type": kind })).await;
    }
    for kind in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"] {
        for hash in ["sha2-256", "sha2-384", "sha2-512"] {
            let sum = room.write("hash", digest(hash)).await["sum"].clone();
            let body = json!({ "input": sum, "prehashed": true, "hash_algorithm": hash });
            let made = room.write(&format!("sign/{kind}"), body).await["signature"].clone();
            let body =
                json!({ "input": b64("message"), "hash_algorithm": hash, "signature": made });
            let valid = room.write(&format!("verify/{kind}"), body).await;
            assert_eq!(valid["valid"], true, "{kind} {hash}");
        }
        let mut more = json!({ "prehashed": true });
        if kind == "rsa-2048" {
            let body = json!({ "input": b64("short"), "prehashed": true });
            room.refused("sign/rsa-2048", body, "digest's length").await;
            continue;
        }
        // Curves take a digest of whatever length.
        room.signs(kind, more.clone()).await;
        more["hash_algorithm"] = json!("none");
        more["signature_algorithm"] = json!("pkcs1v15");
        room.signs(kind, more).await;
    }
}

#[tokio::test]
async fn rsa_refuses_to_sign_with_hashes_it_can_only_verify() {
    let room = Room::new().await;
    room.key("k", json!({ "type": "rsa-2048" })).await;
    for hash in ["sha1", "sha2-224", "sha3-224", "sha3-256", "sha3-384", "sha3-512"] {
        for algorithm in ["pss", "pkcs1v15"] {
            let body =
                json!({ "input": "", "hash_algorithm": hash, "signature_algorithm": algorithm });
            room.refused("sign/k", body, "RSA keys sign with SHA2-256, SHA2-384 or").await;
        }
    }
    let none = json!({
        "input": "", "hash_algorithm": "none", "prehashed": true,
        "signature_algorithm": "pkcs1v15",
    });
    room.refused("sign/k", none, "RSA keys sign with SHA2-256, SHA2-384 or SHA2-512").await;
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let room = Room::new().await;
    for kind in ["ed25519", "ecdsa-p256", "rsa-2048"] {
        room.key(kind, json!({ "type": kind })).await;
        for (more, why) in [
            (json!({ "hash_algorithm": "md5" }), "invalid hash algorithm"),
            (json!({ "hash_algorithm": "none" }), "requires both prehashed=true and"),
            (json!({ "hash_algorithm": "none", "prehashed": true }), "requires both prehashed"),
            (json!({ "marshaling_algorithm": "x" }), "invalid marshaling type"),
            (json!({ "salt_length": "-2" }), "salt length is invalid"),
            (json!({ "salt_length": "x" }), "salt length neither 'auto', 'hash', nor an int"),
            (json!({ "input": "*" }), "unable to decode input as base64"),
            (json!({ "key_version": 2 }), "higher than the latest key version"),
            (json!({ "key_version": -1 }), "requested version for signing is negative"),
        ] {
            let mut body = json!({ "input": "" });
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            room.refused(&format!("sign/{kind}"), body, why).await;
        }
        for (signature, why) in [
            ("v1:AAAA", "invalid signature: no prefix"),
            ("vault:v1", "invalid signature: wrong number of fields"),
            ("vault:vx:AAAA", "invalid signature: version number could not be decoded"),
            ("vault:v2:AAAA", "invalid signature: version is too new"),
            ("vault:v0:AAAA", "too old"),
            ("vault:v1:*", "invalid base64 signature value"),
        ] {
            let body = json!({ "input": "", "signature": signature });
            room.refused(&format!("verify/{kind}"), body, why).await;
        }
        // Bytes that are no signature are a wrong one.
        for signature in ["vault:v1:", "vault:v1:AAAA"] {
            for marshaling in ["asn1", "jws"] {
                let body = json!({
                    "input": "", "signature": signature, "marshaling_algorithm": marshaling,
                });
                if kind == "ecdsa-p256" && marshaling == "asn1" {
                    let why = "supplied signature is invalid";
                    room.refused("verify/ecdsa-p256", body, why).await;
                    continue;
                }
                let valid = room.write(&format!("verify/{kind}"), body).await;
                assert_eq!(valid["valid"], false, "{kind} {signature}");
            }
        }
    }
    for (length, why) in [("223", "requested salt length 223 is invalid"), ("99999", "invalid")] {
        let body = json!({ "input": "", "salt_length": length });
        room.refused("sign/rsa-2048", body.clone(), why).await;
        let mut body = body;
        body["signature"] = json!("vault:v1:AAAA");
        room.refused("verify/rsa-2048", body, why).await;
    }
    let body = json!({ "input": "", "signature_algorithm": "x" });
    room.refused("sign/rsa-2048", body, "unsupported rsa signature algorithm").await;
    room.refused("sign/none", json!({ "input": "" }), "signing key not found").await;
    let body = json!({ "input": "", "signature": "vault:v1:AAAA" });
    room.refused("verify/none", body, "signature verification key not found").await;
    for (body, why) in [
        (json!({ "input": "" }), "neither a 'signature' nor an 'hmac' were given to verify"),
        // With both it is a signature.
        (json!({ "signature": "a", "hmac": "b" }), "invalid signature: no prefix"),
        (json!({ "batch_input": [{}] }), "no batch_input elements have 'signature' or 'hmac'"),
        (
            json!({ "batch_input": [{ "signature": "a" }, {}] }),
            "some elements of batch_input are missing 'signature'",
        ),
        (
            json!({ "batch_input": [{ "hmac": "a" }, {}] }),
            "some elements of batch_input are missing 'hmac'",
        ),
        (
            json!({ "batch_input": [{ "hmac": "a" }, { "signature": "a" }] }),
            "must all provide 'signature' or all provide 'hmac'",
        ),
    ] {
        room.refused("verify/ed25519", body, why).await;
    }
}

#[tokio::test]
async fn derived_ed25519_keys_sign_alike_for_each_context() {
    let room = Room::new().await;
    room.key("k", json!({ "type": "ed25519", "derived": true })).await;
    assert_eq!(room.read("keys/k").await["keys"]["1"]["public_key"], "");
    let body = |context: &str| json!({ "input": b64("message"), "context": b64(context) });
    let made = room.write("sign/k", body("abc")).await;
    assert_eq!(room.write("sign/k", body("abc")).await, made);
    assert_ne!(room.write("sign/k", body("b")).await["signature"], made["signature"]);
    let path = format!("keys/k?context={}", b64("abc"));
    assert_eq!(room.read(&path).await["keys"]["1"]["public_key"], made["public_key"]);
    for (context, valid) in [("abc", true), ("b", false)] {
        let mut body = body(context);
        body["signature"] = made["signature"].clone();
        assert_eq!(room.write("verify/k", body).await["valid"], valid);
    }
    room.refused("sign/k", json!({ "input": "" }), "missing 'context'").await;
    let items = json!([{ "input": "", "context": b64("abc") }]);
    let done = room.write("sign/k", json!({ "batch_input": items })).await;
    assert_eq!(done["batch_results"][0]["publickey"], made["public_key"]);
}

#[tokio::test]
async fn batches_of_signatures() {
    let room = Room::new().await;
    room.key("k", json!({ "type": "ecdsa-p256" })).await;
    let items = json!([
        { "input": b64("one"), "reference": "a" },
        { "input": "*", "reference": "b" },
        { "reference": "c" },
    ]);
    let done = room.write("sign/k", json!({ "batch_input": items })).await;
    let results = done["batch_results"].as_array().unwrap();
    let signature = &results[0]["signature"];
    let expected = json!({ "key_version": 1, "signature": signature, "reference": "a" });
    assert_eq!(results[0], expected);
    assert_eq!(results[1]["key_version"], 0);
    assert!(results[1]["error"].as_str().unwrap().starts_with("unable to decode input"));
    let expected = json!({ "key_version": 0, "error": "missing input", "reference": "c" });
    assert_eq!(results[2], expected);
    let items = json!([
        { "input": b64("one"), "signature": signature, "reference": "a" },
        { "input": b64("two"), "signature": signature },
        { "input": b64("one"), "signature": "vault:v9:AAAA" },
    ]);
    let expected = json!({ "batch_results": [
        { "valid": true, "reference": "a" },
        { "valid": false, "reference": "" },
        { "valid": false, "error": "invalid signature: version is too new", "reference": "" },
    ] });
    assert_eq!(room.write("verify/k", json!({ "batch_input": items })).await, expected);
}

#[tokio::test]
async fn hmacs_of_every_type_and_hash() {
    let room = Room::new().await;
    for kind in ["aes256-gcm96", "ed25519", "ecdsa-p256", "rsa-2048", "hmac"] {
        room.key(kind, json!({ "type": kind })).await;
        for hash in HASHES {
            let path = format!("hmac/{kind}/{hash}");
            let made = room.write(&path, json!({ "input": b64("message") })).await;
            let mac = made["hmac"].as_str().unwrap();
            assert!(mac.starts_with("vault:v1:"), "{mac}");
            for (input, valid) in [("message", true), ("massage", false)] {
                let body = json!({ "input": b64(input), "hmac": mac, "hash_algorithm": hash });
                let got = room.write(&format!("verify/{kind}"), body).await;
                assert_eq!(got, json!({ "valid": valid }), "{kind} {hash}");
            }
        }
    }
    room.key("k", json!({ "type": "hmac", "key_size": 512 })).await;
    assert_eq!(room.read("keys/k").await["key_size"], 512);
    let first = room.write("hmac/k", json!({ "input": "" })).await["hmac"].clone();
    room.write("keys/k/rotate", json!({})).await;
    let second = room.write("hmac/k", json!({ "input": "" })).await["hmac"].clone();
    assert!(second.as_str().unwrap().starts_with("vault:v2:"));
    let asked = json!({ "input": "", "key_version": 1 });
    assert_eq!(room.write("hmac/k", asked.clone()).await["hmac"], first);
    let items = json!([{ "input": "", "hmac": first }, { "input": "", "hmac": second }]);
    let done = room.write("verify/k", json!({ "batch_input": items })).await;
    assert_eq!(done["batch_results"][0]["valid"], true);
    assert_eq!(done["batch_results"][1]["valid"], true);
    let items = json!([{ "input": "", "reference": "r" }, {}]);
    let done = room.write("hmac/k", json!({ "batch_input": items })).await;
    assert_eq!(done["batch_results"][0], json!({ "hmac": second, "reference": "r" }));
    assert_eq!(done["batch_results"][1]["error"], "missing input for HMAC");
    let bounds = json!({ "min_encryption_version": 2, "min_decryption_version": 2 });
    room.write("keys/k/config", bounds).await;
    room.refused("hmac/k", asked, "version is too old (disallowed by policy)").await;
    for (body, why) in [
        (json!({}), "missing input for HMAC"),
        (json!({ "input": "", "key_version": 3 }), "latest key version is 2"),
        (json!({ "input": "", "key_version": -1 }), "cannot be negative"),
        (json!({ "input": "", "algorithm": "none" }), "unsupported algorithm"),
        (json!({ "input": "", "algorithm": "md5" }), "unsupported algorithm"),
    ] {
        room.refused("hmac/k", body, why).await;
    }
    let old = json!({ "input": "", "hmac": first });
    room.refused("verify/k", old, "cannot verify HMAC: version is too old").await;
    let none = json!({ "input": "", "hmac": "x" });
    room.refused("verify/k", none, "invalid HMAC to verify: no prefix").await;
    // A shortened HMAC is none.
    let short = json!({ "input": "", "hmac": "vault:v2:AAAA" });
    assert_eq!(room.write("verify/k", short).await["valid"], false);
}
