use super::*;

fn all() -> Vec<PrivateKey> {
    [
        KeyType::Rsa(2_048),
        KeyType::Ec(Curve::P256),
        KeyType::Ec(Curve::P384),
        KeyType::Ec(Curve::P521),
        KeyType::Ed25519,
    ]
    .into_iter()
    .map(|kind| PrivateKey::generate(kind).unwrap())
    .collect()
}

const HASHES: [Hash; 9] = [
    Hash::Sha1,
    Hash::Sha224,
    Hash::Sha256,
    Hash::Sha384,
    Hash::Sha512,
    Hash::Sha3_224,
    Hash::Sha3_256,
    Hash::Sha3_384,
    Hash::Sha3_512,
];

#[test]
fn every_form_of_a_key_is_read_back() {
    for key in all() {
        let public = key.public().unwrap();
        assert_eq!(public.key_type(), key.key_type());
        assert_eq!(PublicKey::from_pem(&public.to_pem()).unwrap(), public);
        assert_eq!(PublicKey::from_spki_der(public.spki_der()).unwrap(), public);
        let pkcs8 = key.to_pkcs8_pem();
        let traditional = key.to_traditional_pem().unwrap();
        for pem in [&pkcs8, &traditional] {
            let read = PrivateKey::from_pem(pem.expose_secret()).unwrap();
            assert_eq!(read.public().unwrap(), public, "{:?}", key.key_type());
            assert_eq!(read.key_type(), key.key_type());
            assert_eq!(
                read.to_pkcs8_der().expose_secret(),
                key.to_pkcs8_der().expose_secret(),
                "{:?}",
                key.key_type()
            );
        }
        for der in [key.to_pkcs8_der().duplicate(), key.to_traditional_der().unwrap()] {
            assert_eq!(
                PrivateKey::from_der(der.expose_secret()).unwrap().public().unwrap(),
                public
            );
        }
        assert_eq!(format!("{key:?}"), "PrivateKey(…)");
    }
}

#[test]
fn signatures_of_every_curve_and_hash() {
    for key in all() {
        let KeyType::Ec(curve) = key.key_type() else { continue };
        let public = key.public().unwrap();
        for hash in HASHES {
            let scheme = Scheme::Ecdsa(hash);
            let signature = key.sign(scheme, b"message").unwrap();
            assert!(public.verify(scheme, b"message", &signature).unwrap(), "{curve:?} {hash:?}");
            assert!(!public.verify(scheme, b"massage", &signature).unwrap());
            let digest = hash.digest(b"message");
            assert!(public.verify_digest(scheme, &digest, &signature).unwrap());
            let signature = key.sign_digest(scheme, &digest).unwrap();
            assert!(public.verify(scheme, b"message", &signature).unwrap());
            let fixed = ecdsa_der_to_fixed(curve, &signature).unwrap();
            assert_eq!(fixed.len(), 2 * curve.bytes());
            assert_eq!(ecdsa_fixed_to_der(curve, &fixed).unwrap(), signature);
            assert!(key.sign_digest(scheme, &digest[1..]).is_err());
            let signature = key.sign_any_digest(&digest).unwrap();
            assert!(public.verify(scheme, b"message", &signature).unwrap());
            let part = &digest[..digest.len() - 3];
            let signature = key.sign_any_digest(part).unwrap();
            assert!(public.verify_any_digest(part, &signature).unwrap());
            let cut = digest.len() - 3 > curve.bytes();
            assert_eq!(public.verify_any_digest(&digest, &signature).unwrap(), cut);
        }
    }
}

/// A digest longer than the curve is cut and a shorter one is filled: the library's own verifiers
/// of such pairs agree.
#[test]
fn digests_of_other_lengths_are_what_others_take_them_for() {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA1_ASN1, ECDSA_P256_SHA384_ASN1, ECDSA_P256_SHA512_ASN1,
        ECDSA_P384_SHA256_ASN1, ECDSA_P384_SHA512_ASN1, ECDSA_P521_SHA1_ASN1,
        ECDSA_P521_SHA224_ASN1, ECDSA_P521_SHA384_ASN1, UnparsedPublicKey,
    };
    for (curve, hash, algorithm) in [
        (Curve::P256, Hash::Sha1, &ECDSA_P256_SHA1_ASN1),
        (Curve::P256, Hash::Sha384, &ECDSA_P256_SHA384_ASN1),
        (Curve::P256, Hash::Sha512, &ECDSA_P256_SHA512_ASN1),
        (Curve::P384, Hash::Sha256, &ECDSA_P384_SHA256_ASN1),
        (Curve::P384, Hash::Sha512, &ECDSA_P384_SHA512_ASN1),
        (Curve::P521, Hash::Sha1, &ECDSA_P521_SHA1_ASN1),
        (Curve::P521, Hash::Sha224, &ECDSA_P521_SHA224_ASN1),
        (Curve::P521, Hash::Sha384, &ECDSA_P521_SHA384_ASN1),
    ] {
        let key = PrivateKey::generate(KeyType::Ec(curve)).unwrap();
        let signature = key.sign(Scheme::Ecdsa(hash), b"message").unwrap();
        let public = key.public().unwrap();
        let theirs = UnparsedPublicKey::new(algorithm, public.raw());
        assert!(theirs.verify(b"message", &signature).is_ok(), "{curve:?} {hash:?}");
    }
}

#[test]
fn signatures_of_rsa_and_ed25519() {
    let keys = all();
    let [rsa, .., edwards] = keys.as_slice() else { panic!() };
    let public = rsa.public().unwrap();
    assert_eq!(public.rsa().unwrap().0.len(), 256);
    assert_eq!(public.rsa().unwrap().1, [1, 0, 1]);
    let (n, e) = public.rsa().unwrap();
    assert_eq!(PublicKey::from_rsa(&n, &e).unwrap(), public);
    for hash in HASHES {
        for scheme in [
            Scheme::Pkcs1(hash),
            Scheme::Pss(hash, Salt::Digest),
            Scheme::Pss(hash, Salt::Max),
            Scheme::Pss(hash, Salt::Exactly(0)),
            Scheme::Pss(hash, Salt::Exactly(17)),
        ] {
            let Ok(signature) = rsa.sign(scheme, b"message") else {
                assert!(!matches!(hash, Hash::Sha256 | Hash::Sha384 | Hash::Sha512));
                continue;
            };
            assert!(public.verify(scheme, b"message", &signature).unwrap(), "{scheme:?}");
            assert!(!public.verify(scheme, b"massage", &signature).unwrap());
            let digest = hash.digest(b"message");
            let signature = rsa.sign_digest(scheme, &digest).unwrap();
            assert!(public.verify_digest(scheme, &digest, &signature).unwrap());
        }
    }
    let signature = edwards.sign(Scheme::Ed25519, b"message").unwrap();
    let public = edwards.public().unwrap();
    assert!(public.verify(Scheme::Ed25519, b"message", &signature).unwrap());
    assert!(!public.verify(Scheme::Ed25519, b"massage", &signature).unwrap());
    assert!(edwards.sign_digest(Scheme::Ed25519, &[0; 64]).is_err());
    assert_eq!(edwards.ed25519_seed().unwrap().expose_secret().len(), 32);
    assert!(rsa.sign(Scheme::Ed25519, b"message").is_err());
    assert!(edwards.sign(Scheme::Ecdsa(Hash::Sha256), b"message").is_err());
    assert!(public.verify(Scheme::Pkcs1(Hash::Sha256), b"message", &signature).is_err());
}

#[test]
fn what_is_no_key_is_refused_without_being_repeated() {
    let ec = PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap();
    let good = ec.to_pkcs8_pem();
    let good = good.expose_secret();
    let cut = good.replacen("MIG", "MI", 1);
    for text in ["", "plain", cut.as_str(), "-----BEGIN PRIVATE KEY-----\nAAAA\n"] {
        let error = PrivateKey::from_pem(text).unwrap_err();
        assert!(!format!("{error:?}").contains("AAAA"));
    }
    for (name, bits) in [("ec", 224), ("rsa", 1_024), ("rsa", 2_047), ("dsa", 0)] {
        assert!(KeyType::named(name, bits).is_err(), "{name} {bits}");
    }
    for (name, bits, kind) in [
        ("rsa", 0, KeyType::Rsa(2_048)),
        ("ec", 0, KeyType::Ec(Curve::P256)),
        ("ec", 521, KeyType::Ec(Curve::P521)),
        ("ed25519", 0, KeyType::Ed25519),
    ] {
        assert_eq!(KeyType::named(name, bits).unwrap(), kind);
        assert_eq!(kind.name(), name);
    }
    assert!(PublicKey::from_point(Curve::P256, &[4; 64]).is_err());
    assert!(PublicKey::from_ed25519(&[0; 31]).is_err());
    assert!(PublicKey::from_spki_der(b"\x30\x00").is_err());
    let around = format!("comment\n{good}\ntrailing");
    assert!(PrivateKey::from_pem(&around).is_ok());
}
