//! Against `ssh-key`'s own parser; OpenSSH's programs judge in the product's tests.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::{Decode, Sequence, asn1::UintRef};
use sec1::EcPrivateKey;

use super::wire::{Reader, Writer};
use super::*;
use crate::keys::{
    self, Curve, Hash, KeyType, PrivateKey, Scheme, ecdsa_fixed_to_der, pem, pem_blocks,
};

const TYPES: [KeyType; 5] = [
    KeyType::Ed25519,
    KeyType::Ec(Curve::P256),
    KeyType::Ec(Curve::P384),
    KeyType::Ec(Curve::P521),
    KeyType::Rsa(2_048),
];

fn key(kind: KeyType) -> (PrivateKey, PublicKey) {
    let private = PrivateKey::generate(kind).unwrap();
    let public = PublicKey::of(&private.public().unwrap()).unwrap();
    (private, public)
}

#[test]
fn public_keys_are_those_that_others_read() {
    for kind in TYPES {
        let (_, public) = key(kind);
        let line = public.line();
        let parsed = ssh_key::PublicKey::from_openssh(&line).unwrap();
        assert_eq!(parsed.algorithm().as_str(), public.algorithm());
        assert_eq!(parsed.to_bytes().unwrap(), public.wire());
        let encoded = line.split(' ').nth(1).unwrap().trim();
        for text in [line.as_str(), encoded, &format!("x {encoded} somebody@somewhere\n")] {
            let again = PublicKey::parse(text).unwrap();
            assert_eq!((again.wire(), again.kind()), (public.wire(), public.kind()));
        }
    }
}

#[test]
fn what_is_no_public_key_is_refused() {
    let (_, ec) = key(KeyType::Ec(Curve::P256));
    let mut off_the_curve = ec.wire().to_vec();
    *off_the_curve.last_mut().unwrap() ^= 1;
    let (_, rsa) = key(KeyType::Rsa(2_048));
    let short = &rsa.wire()[..rsa.wire().len() - 1];
    let long = [rsa.wire(), &[0]].concat();
    let mut even = Writer::new();
    even.string(b"ssh-rsa").mpint(&[2]).mpint(&[0xff; 256]);
    let mut unknown = Writer::new();
    unknown.string(b"ssh-new").string(b"1");
    for wire in [&off_the_curve, short, &long, even.bytes(), unknown.bytes(), b"", b"\0\0\0\x07ssh"]
    {
        assert!(PublicKey::parse(&STANDARD.encode(wire)).is_err(), "{wire:02x?}");
    }
    for text in
        ["", "  ", "ssh-rsa", "ssh-rsa !!!", "-----BEGIN PUBLIC KEY-----", &"A".repeat(30_000)]
    {
        assert!(PublicKey::parse(text).is_err(), "{text:.40}");
    }
}

#[test]
fn sizes_and_security_keys_are_told() {
    let mut modulus = [0xff; 128];
    modulus[0] = 0x7f;
    let mut rsa = Writer::new();
    rsa.string(b"ssh-rsa").mpint(&[1, 0, 1]).mpint(&modulus);
    let mut dsa = Writer::new();
    dsa.string(b"ssh-dss").mpint(&[0xff; 128]).mpint(&[0xff; 20]).mpint(&[3]).mpint(&[5]);
    let (_, ed) = key(KeyType::Ed25519);
    let mut sk = Writer::new();
    sk.string(b"sk-ssh-ed25519@openssh.com").raw(ed.numbers()).string(b"ssh:");
    let (_, ec) = key(KeyType::Ec(Curve::P256));
    let mut sk_ec = Writer::new();
    sk_ec.string(b"sk-ecdsa-sha2-nistp256@openssh.com").raw(ec.numbers()).string(b"ssh:");
    for (wire, kind) in [
        (&rsa, Kind::Rsa(1_023)),
        (&dsa, Kind::Dsa(1_024)),
        (&sk, Kind::SecurityKeyEd25519),
        (&sk_ec, Kind::SecurityKeyEc),
    ] {
        let parsed = PublicKey::parse(&STANDARD.encode(wire.bytes())).unwrap();
        assert_eq!(parsed.kind(), kind);
    }
}

/// RFC 8017, appendix A.1.2.
#[derive(Sequence)]
struct Rsa<'a> {
    version: u8,
    n: UintRef<'a>,
    e: UintRef<'a>,
    d: UintRef<'a>,
    p: UintRef<'a>,
    q: UintRef<'a>,
    dp: UintRef<'a>,
    dq: UintRef<'a>,
    inverse: UintRef<'a>,
}

/// A key in OpenSSH's format, as `ssh-keygen` writes it.
fn openssh(key: &PrivateKey, cipher: &[u8]) -> String {
    let public = PublicKey::of(&key.public().unwrap()).unwrap();
    let der = key.to_traditional_der().unwrap();
    let mut inner = Writer::new();
    inner.u32(7).u32(7).string(public.algorithm().as_bytes());
    match key.key_type() {
        KeyType::Rsa(_) => {
            let rsa = Rsa::from_der(der.expose_secret()).unwrap();
            for number in [rsa.n, rsa.e, rsa.d, rsa.inverse, rsa.p, rsa.q] {
                inner.mpint(number.as_bytes());
            }
        }
        KeyType::Ec(_) => {
            let ec = EcPrivateKey::from_der(der.expose_secret()).unwrap();
            inner.raw(public.numbers()).mpint(ec.private_key);
        }
        KeyType::Ed25519 => {
            let public = key.public().unwrap();
            let mut both = key.ed25519_seed().unwrap().expose_secret().clone();
            both.extend_from_slice(public.raw());
            inner.string(public.raw()).string(&both);
        }
    }
    inner.string(b"a comment");
    for pad in 1..=(8 - inner.bytes().len() % 8) % 8 {
        inner.raw(&[u8::try_from(pad).unwrap()]);
    }
    let mut out = Writer::new();
    out.raw(b"openssh-key-v1\0").string(cipher).string(b"none").string(b"").u32(1);
    out.string(public.wire()).string(inner.bytes());
    pem("OPENSSH PRIVATE KEY", out.bytes()).expose_secret().clone()
}

#[test]
fn private_keys_of_all_forms_are_read() {
    for kind in TYPES {
        let (private, public) = key(kind);
        for text in [
            openssh(&private, b"none"),
            private.to_pkcs8_pem().expose_secret().clone(),
            write_private(&private).unwrap().expose_secret().clone(),
        ] {
            let again = read_private(&text).unwrap();
            assert_eq!(again.public().unwrap().spki_der(), private.public().unwrap().spki_der());
            // It signs: all its parts fit.
            let scheme = Scheme::usual(kind);
            let signature = again.sign(scheme, b"m").unwrap();
            assert!(private.public().unwrap().verify(scheme, b"m", &signature).unwrap());
        }
        let refused = read_private(&openssh(&private, b"aes256-ctr")).unwrap_err();
        assert_eq!(refused.public, ["encrypted private keys are not supported"]);
        if kind == KeyType::Ed25519 {
            let written = write_private(&private).unwrap();
            let parsed = ssh_key::PrivateKey::from_openssh(written.expose_secret()).unwrap();
            assert_eq!(parsed.public_key().to_bytes().unwrap(), public.wire());
        }
    }
}

/// OpenSSH writes a scalar as a number, without leading zeros.
#[test]
fn short_scalars_are_read() {
    let short = std::iter::repeat_with(|| PrivateKey::generate(KeyType::Ec(Curve::P521)).unwrap());
    let short = short.take(1_000).find(|key| {
        let der = key.to_traditional_der().unwrap();
        let key = EcPrivateKey::from_der(der.expose_secret()).unwrap();
        key.private_key[0] == 0 && key.private_key[1] < 0x80
    });
    let short = short.unwrap();
    let again = read_private(&openssh(&short, b"none")).unwrap();
    assert_eq!(again.public().unwrap().raw(), short.public().unwrap().raw());
}

#[test]
fn damaged_private_keys_are_refused() {
    for kind in TYPES {
        let (private, _) = key(kind);
        let text = openssh(&private, b"none");
        let body = pem_blocks(&text).unwrap().remove(0).1;
        let body = body.expose_secret();
        for end in (0..body.len()).step_by(7) {
            let cut = pem("OPENSSH PRIVATE KEY", &body[..end]);
            assert!(read_private(cut.expose_secret()).is_err(), "{kind:?} cut at {end}");
        }
    }
    for text in
        ["", "x", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----"]
    {
        assert!(read_private(text).is_err(), "{text}");
    }
}

fn verifies(issuer: &keys::PublicKey, message: &[u8], signature: &ssh_key::Signature) -> bool {
    let bytes = signature.as_bytes();
    match issuer.key_type() {
        KeyType::Rsa(_) => {
            let hash = match signature.algorithm().as_str() {
                "rsa-sha2-256" => Hash::Sha256,
                "rsa-sha2-512" => Hash::Sha512,
                other => panic!("{other}"),
            };
            issuer.verify(Scheme::Pkcs1(hash), message, bytes).unwrap()
        }
        KeyType::Ec(curve) => {
            let mut halves = Reader(bytes);
            let mut fixed = Vec::new();
            for _ in 0..2 {
                let half = halves.mpint().unwrap();
                fixed.resize(fixed.len() + curve.bytes() - half.len(), 0);
                fixed.extend_from_slice(half);
            }
            let der = ecdsa_fixed_to_der(curve, &fixed).unwrap();
            issuer.verify(Scheme::usual(issuer.key_type()), message, &der).unwrap()
        }
        KeyType::Ed25519 => issuer.verify(Scheme::Ed25519, message, bytes).unwrap(),
    }
}

#[test]
fn certificates_say_what_was_asked_and_are_signed() {
    let options = BTreeMap::from([("force-command".to_owned(), "/bin/true".to_owned())]);
    let extensions = BTreeMap::from(
        [("permit-pty", ""), ("a@b", "v")].map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    let principals = ["ann".to_owned(), "bob".to_owned()];
    for issuer_kind in TYPES {
        let (issuer, issuer_key) = key(issuer_kind);
        for (subject_kind, host) in TYPES.into_iter().zip([false, true, false, true, false]) {
            let (_, subject) = key(subject_kind);
            let certificate = Certificate {
                nonce: [9; 32],
                key: &subject,
                serial: u64::MAX - 1,
                host,
                key_id: "who",
                principals: &principals,
                valid_after: 1_700_000_000,
                valid_before: 1_700_000_060,
                critical_options: &options,
                extensions: &extensions,
            };
            let line = certificate.sign(&issuer, &issuer_key, None).unwrap();
            let parsed = ssh_key::Certificate::from_openssh(&line).unwrap();
            assert_eq!(parsed.nonce(), [9; 32]);
            assert_eq!(parsed.serial(), u64::MAX - 1);
            assert_eq!(parsed.cert_type().is_host(), host);
            assert_eq!(parsed.key_id(), "who");
            assert_eq!(parsed.valid_principals(), principals);
            assert_eq!(
                (parsed.valid_after(), parsed.valid_before()),
                (1_700_000_000, 1_700_000_060)
            );
            assert_eq!(parsed.critical_options().0, options);
            assert_eq!(parsed.extensions().0, extensions);
            let told = ssh_key::PublicKey::from(parsed.public_key().clone());
            assert_eq!(told.to_bytes().unwrap(), subject.wire());
            let signer = ssh_key::PublicKey::from(parsed.signature_key().clone());
            assert_eq!(signer.to_bytes().unwrap(), issuer_key.wire());
            // What is signed is all but the signature, which stands last.
            let whole = STANDARD.decode(line.split(' ').nth(1).unwrap().trim()).unwrap();
            let signature = 4
                + parsed.signature().algorithm().as_str().len()
                + 4
                + parsed.signature().as_bytes().len();
            let (message, _) = whole.split_at(whole.len() - 4 - signature);
            let public = issuer.public().unwrap();
            assert!(verifies(&public, message, parsed.signature()), "{issuer_kind:?}");
            let mut other = message.to_vec();
            *other.last_mut().unwrap() ^= 1;
            assert!(!verifies(&public, &other, parsed.signature()));
        }
    }
}

#[test]
fn issuers_sign_with_what_they_can() {
    let none = BTreeMap::new();
    let (_, subject) = key(KeyType::Ed25519);
    let many = vec!["x".to_owned(); PRINCIPALS_MAX + 1];
    for kind in TYPES {
        let (issuer, issuer_key) = key(kind);
        let sign = |hash, principals: &[String]| {
            let certificate = Certificate {
                nonce: [0; 32],
                key: &subject,
                serial: 1,
                host: false,
                key_id: "",
                principals,
                valid_after: 0,
                valid_before: 1,
                critical_options: &none,
                extensions: &none,
            };
            certificate.sign(&issuer, &issuer_key, hash)
        };
        let algorithm = |line: &str| {
            let parsed = ssh_key::Certificate::from_openssh(line).unwrap();
            parsed.signature().algorithm().as_str().to_owned()
        };
        let rsa = matches!(kind, KeyType::Rsa(_));
        for (hash, name) in [(RsaHash::Sha256, "rsa-sha2-256"), (RsaHash::Sha512, "rsa-sha2-512")] {
            let signed = sign(Some(hash), &[]);
            assert_eq!(signed.is_ok(), rsa, "{kind:?}");
            assert!(signed.is_err() || algorithm(&signed.unwrap()) == name);
        }
        let usual = algorithm(&sign(None, &[]).unwrap());
        assert_eq!(usual, if rsa { "rsa-sha2-256" } else { issuer_key.algorithm() });
        assert!(sign(None, &many[1..]).is_ok());
        assert!(sign(None, &many).is_err());
    }
}
