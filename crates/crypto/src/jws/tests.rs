use serde_json::json;

use super::*;
use crate::keys::{PrivateKey, ecdsa_der_to_fixed};

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// RFC 7638 §3.1, and RFC 8037 appendices A.2 and A.3.
#[test]
fn thumbprints_of_the_rfcs() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS\
             oc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65\
             YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyr\
             dkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK\
             nqDKgw";
    for (key, thumbprint) in [
        (
            json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" }),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        ),
        (
            json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            }),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ] {
        let key = Jwk::parse(&key).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(key.thumbprint(), thumbprint);
        // What is stored reads as the same key.
        let stored = parse_bounded(key.canonical().as_bytes()).unwrap();
        assert_eq!(
            Jwk::parse(&stored).unwrap_or_else(|e| panic!("{e:?}")).thumbprint(),
            thumbprint
        );
    }
}

/// RFC 7515 appendix A.3 and A.4, RFC 8037 appendix A.4: messages of other people.
#[test]
fn messages_of_the_rfcs() {
    for (key, protected, payload, signature) in [
        (
            json!({
                "kty": "EC",
                "crv": "P-256",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            }),
            "eyJhbGciOiJFUzI1NiJ9",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb29\
             0Ijp0cnVlfQ",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6N\
             U1Q",
        ),
        (
            json!({
                "kty": "EC",
                "crv": "P-521",
                "x": "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4\
                      qUxcWceqwQGk",
                "y": "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9u\
                      bmf63e3kyMj2",
            }),
            "eyJhbGciOiJFUzUxMiJ9",
            "UGF5bG9hZA",
            "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_\
             7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXo\
             lLzeO_Jn",
        ),
        (
            json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            }),
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0K\
             Ag",
        ),
    ] {
        let key = Jwk::parse(&key).unwrap_or_else(|e| panic!("{e:?}"));
        let header = Header::parse(protected).unwrap_or_else(|e| panic!("{e:?}"));
        let message = Flattened { protected, payload, signature };
        assert!(verify(message, &header, &key).is_ok(), "{protected}");
        let other = Flattened { payload: "eyJpc3MiOiJqb2UifQ", ..message };
        assert_eq!(verify(other, &header, &key), Err(Refused::Signature));
    }
}

/// A message signed by `key` under the name `alg`, whatever they have to do with each other.
fn message(key: &PrivateKey, scheme: Scheme, alg: &str) -> (String, String, String) {
    let protected = encode(json!({ "alg": alg, "nonce": "n", "url": "u" }).to_string());
    let payload = encode("{}");
    let signed = format!("{protected}.{payload}");
    let mut signature = key.sign(scheme, signed.as_bytes()).unwrap();
    if let KeyType::Ec(curve) = key.key_type() {
        signature = ecdsa_der_to_fixed(curve, &signature).unwrap();
    }
    (protected, payload, encode(signature))
}

/// Each algorithm verifies what its key signed, and nothing that another key or algorithm did.
#[test]
fn algorithms_and_keys_fit_or_are_refused() {
    let rsa = PrivateKey::generate(KeyType::Rsa(2_048)).unwrap();
    let made = [Curve::P256, Curve::P384, Curve::P521]
        .map(|curve| PrivateKey::generate(KeyType::Ec(curve)).unwrap());
    let [p256, p384, p521] = &made;
    let ed = PrivateKey::generate(KeyType::Ed25519).unwrap();
    let rows = [
        ("RS256", &rsa),
        ("RS384", &rsa),
        ("RS512", &rsa),
        ("PS256", &rsa),
        ("PS384", &rsa),
        ("PS512", &rsa),
        ("ES256", p256),
        ("ES384", p384),
        ("ES512", p521),
        ("EdDSA", &ed),
    ];
    assert_eq!(rows.map(|(name, _)| name), Algorithm::NAMES);
    for (name, key) in rows {
        let scheme = Algorithm::named(name).unwrap().scheme();
        let (protected, payload, signature) = message(key, scheme, name);
        let message = Flattened { protected: &protected, payload: &payload, signature: &signature };
        let header = Header::parse(&protected).unwrap_or_else(|e| panic!("{e:?}"));
        let jwk = Jwk::of(key.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(verify(message, &header, &jwk), Ok(b"{}".to_vec()), "{name}");
        for (other, with) in rows.iter().filter(|(other, _)| *other != name) {
            // The same signature said to be another algorithm's.
            let protected = encode(json!({ "alg": other }).to_string());
            let header = Header::parse(&protected).unwrap_or_else(|e| panic!("{e:?}"));
            let message = Flattened { protected: &protected, ..message };
            assert!(verify(message, &header, &jwk).is_err(), "{name} as {other}");
            // And another key's.
            if with.key_type() != key.key_type() {
                let jwk = Jwk::of(with.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
                let header = Header::parse(message.protected).unwrap_or_else(|e| panic!("{e:?}"));
                assert!(verify(message, &header, &jwk).is_err(), "{name} by {other}");
            }
        }
    }
}

/// threat CVE-2024-5798: no `none`, and no MAC with what everybody knows.
#[test]
fn nothing_but_signatures_is_a_signature() {
    let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let jwk = Jwk::of(key.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
    for alg in ["none", "None", "", "HS256", "HS384", "HS512", "ES256K", "RS1", "dir", "es256"] {
        let protected = encode(json!({ "alg": alg }).to_string());
        let payload = encode("{}");
        let signed = format!("{protected}.{payload}");
        for secret in [jwk.canonical().as_bytes(), jwk.public().spki_der(), b""] {
            let mac = crate::HmacKey::new(secret).mac(&[signed.as_bytes()]);
            for signature in [encode(mac), String::new()] {
                let message =
                    Flattened { protected: &protected, payload: &payload, signature: &signature };
                let header = Header::parse(&protected).unwrap_or_else(|e| panic!("{e:?}"));
                assert_eq!(verify(message, &header, &jwk), Err(Refused::Algorithm), "{alg}");
            }
        }
    }
}

#[test]
fn headers_that_are_refused() {
    let big = "a".repeat(PROTECTED_BYTES_MAX);
    for header in [
        json!({}),
        json!({ "alg": 1 }),
        json!({ "alg": "ES256", "crit": ["b64"], "b64": false }),
        json!({ "alg": "ES256", "crit": [] }),
        json!({ "alg": "ES256", "b64": true }),
        json!({ "alg": "ES256", "kid": 5 }),
        json!({ "alg": "ES256", "nonce": ["n"] }),
        json!({ "alg": "ES256", "url": null }),
        json!({ "alg": "ES256", "jwk": "key" }),
        json!({ "alg": "ES256", "kid": big }),
        json!([]),
        json!("ES256"),
    ] {
        let refused = Header::parse(&encode(header.to_string())).err();
        assert!(matches!(refused, Some(Refused::Malformed(_))), "{header}: {refused:?}");
    }
    let good = encode(json!({ "alg": "ES256", "x-other": 1 }).to_string());
    assert!(Header::parse(&good).is_ok());
    // Padding, the other alphabet, space, bits beyond the last byte.
    for bad in [format!("{good}=="), format!("{good} "), "e30=".to_owned(), "e31".to_owned()] {
        assert!(Header::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn keys_that_are_refused() {
    let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    let y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    let modulus = |bytes: usize| encode(vec![0xc1; bytes]);
    for key in [
        json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "d": "AQ" }),
        json!({ "kty": "oct", "k": "AQ" }),
        json!({ "kty": "EC", "crv": "P-256", "x": x }),
        json!({ "kty": "EC", "crv": "P-256", "x": y, "y": x }),
        json!({ "kty": "EC", "crv": "P-384", "x": x, "y": y }),
        json!({ "kty": "EC", "crv": "secp256k1", "x": x, "y": y }),
        json!({ "kty": "EC", "crv": "P-256", "x": format!("AA{x}"), "y": y }),
        json!({ "kty": "OKP", "crv": "X25519", "x": x }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AQ" }),
        json!({ "kty": "RSA", "n": modulus(128), "e": "AQAB" }),
        json!({ "kty": "RSA", "n": modulus(1_025), "e": "AQAB" }),
        json!({ "kty": "RSA", "n": modulus(256), "e": "AQ" }),
        json!({ "kty": "RSA", "n": modulus(256), "e": "Ag" }),
        json!({ "kty": "RSA", "n": modulus(256), "e": "AAEAAQ" }),
        json!({ "kty": "RSA", "n": modulus(256), "e": "AQAAAAAB" }),
        json!({ "kty": "RSA", "n": encode(vec![0; 256]), "e": "AQAB" }),
        json!({ "kty": "RSA", "n": "", "e": "AQAB" }),
        json!({ "n": modulus(256), "e": "AQAB" }),
        json!({}),
        json!([]),
    ] {
        assert!(Jwk::parse(&key).is_err(), "{key}");
    }
}

#[test]
fn bindings() {
    let key = b"a secret of whoever may bind";
    let protected = encode(json!({ "alg": "HS256", "kid": "k", "url": "u" }).to_string());
    let payload = encode("{}");
    let signed = format!("{protected}.{payload}");
    let mac = encode(crate::HmacKey::new(key).mac(&[signed.as_bytes()]));
    let message = Flattened { protected: &protected, payload: &payload, signature: &mac };
    let header = Header::parse(&protected).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(verify_binding(message, &header, key), Ok(b"{}".to_vec()));
    assert_eq!(verify_binding(message, &header, b"another"), Err(Refused::Signature));
    let cut = mac.get(..20).unwrap();
    let shortened = Flattened { signature: cut, ..message };
    assert_eq!(verify_binding(shortened, &header, key), Err(Refused::Signature));
    for alg in ["HS384", "HS512", "none", "ES256", "HS1"] {
        let protected = encode(json!({ "alg": alg, "kid": "k", "url": "u" }).to_string());
        let header = Header::parse(&protected).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(verify_binding(message, &header, key), Err(Refused::Algorithm), "{alg}");
    }
}

#[test]
fn a_token_says_who_signed_it() {
    for (kind, algorithm) in [
        (KeyType::Rsa(2048), Algorithm::Rs(Hash::Sha256)),
        (KeyType::Rsa(2048), Algorithm::Ps(Hash::Sha512)),
        (KeyType::Ec(Curve::P384), Algorithm::Es(Curve::P384)),
        (KeyType::Ed25519, Algorithm::EdDsa),
    ] {
        let key = PrivateKey::generate(kind).unwrap();
        let token = sign_compact(algorithm, "key-1", b"{\"sub\":\"app\"}", &key).unwrap();
        let compact = Compact::parse(&token).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(compact.kid(), Some("key-1"));
        assert_eq!(compact.algorithm(), Ok(algorithm));
        let claims = compact.verify(&key.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(claims["sub"], "app");
        let other = PrivateKey::generate(kind).unwrap().public().unwrap();
        assert_eq!(compact.verify(&other).err(), Some(Refused::Signature));
    }
}

/// Threat CVE-2024-5798 and its kin: the token does not choose how it is verified.
#[test]
fn a_token_without_a_signature_or_with_a_mac_is_none() {
    let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let public = key.public().unwrap();
    for alg in ["none", "None", "HS256", "ES384", "RS256", ""] {
        let header = encode(format!("{{\"alg\":\"{alg}\"}}"));
        let signed = format!("{header}.{}", encode("{\"sub\":\"app\"}"));
        let mac = crate::HmacKey::new(public.spki_der()).mac(&[signed.as_bytes()]);
        for signature in [String::new(), encode(mac)] {
            let token = format!("{signed}.{signature}");
            let compact = Compact::parse(&token).unwrap_or_else(|e| panic!("{e:?}"));
            assert!(compact.verify(&public).is_err(), "{alg}");
        }
    }
    for token in ["", "a.b", "a.b.c.d", "..", "e30.e30.", "eyJhbGciOiJFUzI1NiIsImNyaXQiOltdfQ.e30."]
    {
        assert!(Compact::parse(token).is_err(), "{token}");
    }
}

#[test]
fn a_set_passes_over_what_does_not_sign() {
    let key = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let mut json = parse_bounded(
        Jwk::of(key.public().unwrap()).unwrap_or_else(|e| panic!("{e:?}")).canonical().as_bytes(),
    )
    .unwrap();
    json["kid"] = json!("one");
    json["alg"] = json!("ES256");
    let mut encrypts = json.clone();
    encrypts["use"] = json!("enc");
    let mut secret = json.clone();
    secret["d"] = json!("AAAA");
    let mut other = json.clone();
    other["alg"] = json!("HS256");
    let set = json!({ "keys": [encrypts, { "kty": "oct", "k": "AAAA" }, secret, other, json, 7] });
    let keys = parse_set(&set).unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(keys.len(), 1);
    assert!(keys[0].may_sign(Some("one"), Algorithm::Es(Curve::P256)));
    assert!(keys[0].may_sign(None, Algorithm::Es(Curve::P256)));
    assert!(!keys[0].may_sign(Some("two"), Algorithm::Es(Curve::P256)));
    assert!(!keys[0].may_sign(Some("one"), Algorithm::Es(Curve::P384)));
    assert!(parse_set(&json!({})).is_err());
}
