//! Certificates, requests and lists: as OpenSSL writes them, and as we do.

use super::*;
use crate::keys::{Curve, KeyType, PrivateKey};

/// Written by OpenSSL 3: serial number 0xf1e2d3, a name in UTF-8, an end in 2136, a path length of
/// three, and alternative names of every kind.
const AUTHORITY: &str = include_str!("../../testdata/x509/authority.pem");
/// Written by OpenSSL 3, with the same key: it asks for a name and to be an authority.
const REQUEST: &str = include_str!("../../testdata/x509/request.pem");

fn der(pem: &str) -> Vec<u8> {
    pem_blocks(pem).unwrap().0[0].der.to_vec()
}

#[test]
fn what_openssl_writes_is_read() {
    let read = Certificate::from_der(&der(AUTHORITY)).unwrap();
    assert_eq!(read.serial_text(), "f1:e2:d3");
    assert_eq!(read.subject.to_string(), "CN=ca.example,OU=A,O=Größe & Co,C=DE");
    assert_eq!(read.not_after - read.not_before, 40_000 * 86_400);
    assert_eq!(read.authority(), Some(Some(3)));
    let usage = read.key_usage().unwrap();
    assert!(usage.has(KeyUsage::CERT_SIGN.with(KeyUsage::CRL_SIGN)));
    assert!(usage.has(KeyUsage::DIGITAL_SIGNATURE));
    assert_eq!(usage.0.count_ones(), 3);
    assert_eq!(read.subject_key_id().unwrap(), key_id(&read.spki).unwrap());
    assert!(read.is_self_signed());
    let names = read.alt_names().unwrap();
    assert_eq!(names.len(), 8);
    assert_eq!(names[5], GeneralName::Other("1.2.3.4".to_owned(), "hi".to_owned()));
    assert!(matches!(&names[6..], [GeneralName::Unknown(_), GeneralName::Unknown(_)]));
    let again = Extension::alt_names(&names, false).unwrap();
    assert_eq!(Some(again.value.as_slice()), read.extension(ids::ALT_NAME));
    assert_eq!(read.pem(), AUTHORITY.trim());
    let request = Request::from_der(&der(REQUEST)).unwrap();
    assert!(request.is_signed() && request.wants_authority());
    assert_eq!(request.spki, read.spki);
    assert_eq!(request.alt_names().unwrap(), [GeneralName::Dns("b.example".to_owned())]);
}

const KINDS: [KeyType; 5] = [
    KeyType::Rsa(2_048),
    KeyType::Ec(Curve::P256),
    KeyType::Ec(Curve::P384),
    KeyType::Ec(Curve::P521),
    KeyType::Ed25519,
];

#[test]
fn what_is_built_is_read_again() {
    for (at, kind) in KINDS.into_iter().enumerate() {
        let key = PrivateKey::generate(kind).unwrap();
        for pss in [false, true] {
            let algorithm = SignatureAlgorithm::for_key(kind, 384, pss);
            assert!(algorithm.fits(kind));
            assert_eq!(SignatureAlgorithm::by_name(algorithm.name()), Some(algorithm));
            let spki = key.public().unwrap().spki_der().to_vec();
            let name = NameBuilder::default()
                .step(attributes::ORGANIZATIONAL_UNIT, &["B", "A"])
                .step(attributes::COMMON_NAME, &["x@y"])
                .build();
            let template = Template {
                serial: vec![0x80 | at as u8, 1],
                issuer: name.clone(),
                subject: name.clone(),
                not_before: 0,
                not_after: 4_102_444_800,
                spki: spki.clone(),
                extensions: vec![
                    Extension::basic_constraints(true, Some(0)),
                    Extension::subject_key_id(&key_id(&spki).unwrap()),
                ],
            };
            let made = template.sign(&key, algorithm).unwrap();
            assert!(made.is_self_signed(), "{kind:?} {pss}");
            assert_eq!(made.algorithm, Some(algorithm));
            assert_eq!(made.serial(), [0x80 | at as u8, 1]);
            assert_eq!((made.not_before, made.not_after), (0, 4_102_444_800));
            assert_eq!(made.subject.all(attributes::ORGANIZATIONAL_UNIT), ["A", "B"]);
            assert_eq!(made.authority(), Some(Some(0)));
            // Another body, or another key, is not signed.
            let mut other = made.der().to_vec();
            let spot = other.windows(3).position(|w| w == b"x@y").unwrap();
            other[spot] = b'z';
            assert!(!Certificate::from_der(&other).unwrap().is_signed_by(&spki));
            let request = RequestTemplate { subject: name.clone(), extensions: Vec::new() };
            assert!(request.sign(&key, algorithm).unwrap().is_signed());
            let entries = [CrlEntry::new(vec![0xff; 20], 5)];
            let list = CrlTemplate {
                issuer: name,
                this_update: 10,
                next_update: 20,
                entries: entries.to_vec(),
                extensions: vec![Extension::crl_number(7), Extension::delta_indicator(6)],
            };
            let list = Crl::from_der(&list.sign(&key, algorithm).unwrap()).unwrap();
            assert!(list.is_signed_by(&spki));
            assert_eq!((list.number(), list.base()), (Some(7), Some(6)));
            assert_eq!((list.this_update, list.next_update), (10, 20));
            assert_eq!(list.entries, entries);
        }
    }
}

#[test]
fn object_identifiers() {
    for text in ["2.5.29.17", "1.2.840.113549.1.1.11", "0.9.2342.19200300.100.1.1", "2.999.1"] {
        let der = oid::encode(text).unwrap();
        assert_eq!(tlv::Reader::new(&der).next().unwrap().oid().unwrap(), text);
    }
    for bad in ["", "1", "1.", "3.1", "1.40", "a.b", "1.-2", "1.+2", "1.2.99999999999999999999"] {
        assert!(!is_oid(bad), "{bad}");
    }
    for bad in [&[][..], &[0x80], &[0x81], &[0xff; 20]] {
        assert!(oid::decode(bad).is_err(), "{bad:?}");
    }
}

/// Seconds, and the two forms they are written in.
#[test]
fn times() {
    for (seconds, text) in [
        (0, "700101000000Z"),
        (-1, "691231235959Z"),
        (2_524_607_999, "491231235959Z"),
        (2_524_608_000, "20500101000000Z"),
        (951_782_400, "000229000000Z"),
        (time::LAST, "99991231235959Z"),
        (-631_152_001, "19491231235959Z"),
    ] {
        let der = time::encode(seconds);
        assert_eq!(&der[2..], text.as_bytes());
        let read = tlv::Reader::new(&der).next().unwrap();
        assert_eq!(time::decode(&read).unwrap(), seconds, "{text}");
    }
    for bad in ["", "7", "701301000000Z", "700101000000", "7001010000xxZ", "700132000000Z", "ää"]
    {
        let der = tlv::tlv(tlv::UTC_TIME, bad.as_bytes());
        assert!(time::decode(&tlv::Reader::new(&der).next().unwrap()).is_err(), "{bad}");
    }
}

#[test]
fn named_bits_leave_out_their_end() {
    for (bits, der) in [
        (0, &[3, 1, 0][..]),
        (1, &[3, 2, 7, 0x80]),
        (0b110_0000, &[3, 2, 1, 0x06]),
        (1 << 8, &[3, 3, 7, 0, 0x80]),
    ] {
        assert_eq!(tlv::named_bits(bits), der);
    }
}

#[test]
fn pem_of_others() {
    let text = format!("Bag Attributes\n  x: y\n{AUTHORITY}and more\n{REQUEST}\n");
    let (blocks, rest) = pem_blocks(&text).unwrap();
    let labels: Vec<&str> = blocks.iter().map(|b| b.label.as_str()).collect();
    assert_eq!((labels, rest), (vec!["CERTIFICATE", "CERTIFICATE REQUEST"], false));
    assert!(pem_blocks("nothing here").unwrap().1);
    let headers = "-----BEGIN X-----\nProc-Type: 4\n\nAAAA\n-----END X-----";
    assert_eq!(*pem_blocks(headers).unwrap().0[0].der, [0, 0, 0]);
    for bad in [
        "-----BEGIN X-----\nAAAA",
        "-----BEGIN X-----\nA?AA\n-----END X-----",
        "-----BEGIN X\nAAAA\n-----END X-----",
        "-----BEGIN X-----\nA: b\nAAAA\n-----END X-----",
    ] {
        assert!(pem_blocks(bad).is_err(), "{bad}");
    }
}

/// Bytes of strangers are read or refused: every byte changed, and every beginning.
#[test]
fn nothing_panics_on_what_is_broken() {
    for (pem, kind) in [(AUTHORITY, 0), (REQUEST, 1)] {
        let good = der(pem);
        for at in 0..good.len() {
            for flip in [0x01, 0x20, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                look(&bad, kind);
            }
            look(&good[..at], kind);
        }
    }
}

fn look(der: &[u8], kind: u8) {
    let _ = Crl::from_der(der);
    match kind {
        0 => {
            if let Ok(read) = Certificate::from_der(der) {
                let _ = (read.alt_names(), read.key_usage(), read.authority());
                let _ = (read.subject.to_string(), read.subject_key_id(), read.authority_key_id());
                let _ = read.public_key();
            }
        }
        _ => {
            if let Ok(read) = Request::from_der(der) {
                let _ = (read.alt_names(), read.wants_authority(), read.public_key());
            }
        }
    }
}
