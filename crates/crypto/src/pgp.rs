//! OpenPGP, as `operator init -pgp-keys` and rekeying use it: a share is encrypted to its holder's
//! public key, so that nobody else ever reads it.
//!
//! The message is of the most widely read kind (version 3 session key packet, AES-256 with
//! modification detection), so that any GnuPG opens it. Only public keys are ever handled here.

use ::pgp::composed::{
    ArmorOptions, Deserializable, MessageBuilder, SignedPublicKey, SignedPublicSubKey,
};
use ::pgp::crypto::sym::SymmetricKeyAlgorithm;
use ::pgp::packet::{Signature, SignatureType};
use ::pgp::types::{EncryptionKey, KeyDetails, Tag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Error, Result, Rng, Timestamp};

use crate::rng::Adapter;

/// Bytes of a public key as text.
pub const KEY_TEXT_BYTES_MAX: usize = 512 * 1024;

/// A public key that shares can be encrypted to.
#[derive(Debug)]
pub struct Recipient {
    key: SignedPublicKey,
    /// Which key of it encrypts: a subkey, or the primary key itself.
    subkey: Option<usize>,
}

impl Recipient {
    /// Reads a public key: base64 of its binary form (Vault's `pgp_keys`) or ASCII armor. `now`
    /// decides whether it has expired.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self> {
        if text.len() > KEY_TEXT_BYTES_MAX {
            return Err(Error::bad_request("error parsing given PGP key: it is too long"));
        }
        let text = text.trim();
        let parsed = if text.starts_with("-----BEGIN PGP") {
            SignedPublicKey::from_string(text).map(|(key, _)| key)
        } else {
            let binary = STANDARD.decode(text).map_err(|_| {
                Error::bad_request("error decoding given PGP key: illegal base64 data")
            })?;
            SignedPublicKey::from_bytes(binary.as_slice())
        };
        // rPGP's error may quote the input; it stays in the log.
        let key = parsed.map_err(|e| {
            Error::bad_request("error parsing given PGP key: not an OpenPGP public key").because(e)
        })?;
        Self::of(key, now)
    }

    fn of(key: SignedPublicKey, now: Timestamp) -> Result<Self> {
        let subkey = encrypting_key(&key, now)?;
        Ok(Self { key, subkey })
    }

    /// The primary key's fingerprint in lower-case hex, as `pgp_fingerprints` shows it.
    pub fn fingerprint(&self) -> String {
        hex::encode(self.key.fingerprint().as_bytes())
    }

    /// Encrypts `plaintext` to the key: base64 of the binary message. (Vault encrypts a share's hex
    /// text, not its bytes: the caller passes that.)
    pub fn encrypt(&self, plaintext: &[u8], rng: &dyn Rng) -> Result<String> {
        Ok(STANDARD.encode(self.encrypt_binary(plaintext, rng)?))
    }

    /// As [`Recipient::encrypt`]: the binary message itself.
    pub fn encrypt_binary(&self, plaintext: &[u8], rng: &dyn Rng) -> Result<Vec<u8>> {
        self.message(plaintext, false, rng)
    }

    /// As [`Recipient::encrypt`]: the message in ASCII armor.
    pub fn encrypt_armored(&self, plaintext: &[u8], rng: &dyn Rng) -> Result<String> {
        let message = self.message(plaintext, true, rng)?;
        String::from_utf8(message).map_err(Error::internal)
    }

    fn message(&self, plaintext: &[u8], armored: bool, rng: &dyn Rng) -> Result<Vec<u8>> {
        match self.subkey.and_then(|at| self.key.public_subkeys.get(at)) {
            Some(subkey) => encrypt_to(&subkey.key, plaintext, armored, rng),
            None => encrypt_to(&self.key.primary_key, plaintext, armored, rng),
        }
    }
}

/// The key of `ring` (binary public keys, one after another) whose primary key has this fingerprint (hex
/// in any case), if it is there and can be encrypted to.
pub fn in_ring(ring: &[u8], fingerprint: &str, now: Timestamp) -> Option<Recipient> {
    let keys = SignedPublicKey::from_bytes_many(ring).ok()?;
    let named = |key: &SignedPublicKey| {
        hex::encode(key.fingerprint().as_bytes()).eq_ignore_ascii_case(fingerprint)
    };
    let key = keys.filter_map(|key| key.ok()).find(named)?;
    Recipient::of(key, now).ok()
}

fn encrypt_to(
    key: &impl EncryptionKey,
    plaintext: &[u8],
    armored: bool,
    rng: &dyn Rng,
) -> Result<Vec<u8>> {
    let failed = |e| Error::bad_request("error encrypting to given PGP key").because(e);
    let mut builder = MessageBuilder::from_bytes("", plaintext.to_vec())
        .seipd_v1(Adapter(rng), SymmetricKeyAlgorithm::AES256);
    builder.encrypt_to_key(Adapter(rng), key).map_err(failed)?;
    if armored {
        let text = builder.to_armored_string(Adapter(rng), ArmorOptions::default());
        return text.map(String::into_bytes).map_err(failed);
    }
    builder.to_vec(Adapter(rng)).map_err(failed)
}

/// Chooses the key that encrypts: the newest usable subkey meant for encryption, else the primary
/// key where its holder's signature allows that (RFC 9580 §5.2.3.29, key flags).
fn encrypting_key(key: &SignedPublicKey, now: Timestamp) -> Result<Option<usize>> {
    let refused =
        |text: &str| Err(Error::bad_request(format!("error parsing given PGP key: {text}")));
    let primary = &key.primary_key;
    let revoked =
        key.details.revocation_signatures.iter().any(|sig| sig.verify_key(primary).is_ok());
    if revoked {
        return refused("it is revoked");
    }
    let Some(own) = self_signature(key) else {
        return refused("it has no valid self-signature");
    };
    if expired(primary, own, now) {
        return refused("it has expired");
    }
    let usable = key.public_subkeys.iter().enumerate().filter(|(_, sub)| encrypts(sub, key, now));
    if let Some((at, _)) = usable.max_by_key(|(_, sub)| sub.key.created_at()) {
        return Ok(Some(at));
    }
    if primary.algorithm().can_encrypt() && allows_encryption(own) {
        return Ok(None);
    }
    refused("it has no key for encryption")
}

/// The newest valid signature by which the key's holder describes the primary key.
fn self_signature(key: &SignedPublicKey) -> Option<&Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter().filter(|sig| sig.verify_key(primary).is_ok());
    let users = key.details.users.iter().flat_map(|user| {
        user.signatures.iter().filter(|sig| {
            sig.typ() != Some(SignatureType::CertRevocation)
                && sig.verify_certification(primary, Tag::UserId, &user.id).is_ok()
        })
    });
    users.chain(direct).max_by_key(|sig| sig.created())
}

fn encrypts(sub: &SignedPublicSubKey, key: &SignedPublicKey, now: Timestamp) -> bool {
    let valid = |kind: SignatureType| {
        sub.signatures.iter().filter(move |sig| {
            sig.typ() == Some(kind) && sig.verify_subkey_binding(&key.primary_key, &sub.key).is_ok()
        })
    };
    let binding = valid(SignatureType::SubkeyBinding).max_by_key(|sig| sig.created());
    sub.key.algorithm().can_encrypt()
        && valid(SignatureType::SubkeyRevocation).next().is_none()
        && binding.is_some_and(|sig| allows_encryption(sig) && !expired(&sub.key, sig, now))
}

fn allows_encryption(sig: &Signature) -> bool {
    let flags = sig.key_flags();
    flags.encrypt_comms() || flags.encrypt_storage()
}

fn expired(key: &impl KeyDetails, sig: &Signature, now: Timestamp) -> bool {
    match sig.key_expiration_time().map(|lifetime| lifetime.as_secs()) {
        None | Some(0) => false,
        Some(lifetime) => {
            now.seconds() >= i64::from(key.created_at().as_secs()) + i64::from(lifetime)
        }
    }
}

#[cfg(test)]
mod tests {
    use ::pgp::composed::{Message, SignedSecretKey};
    use ::pgp::types::Password;

    use super::*;
    use crate::rng::TestRng;

    const NOW: Timestamp = Timestamp(1_800_000_000 * 1_000_000_000);

    /// Made for these tests by GnuPG 2.4 (`--quick-gen-key`): RSA-2048 with an RSA subkey, and
    /// Ed25519 with a Curve25519 subkey; their secret halves protect nothing.
    const RSA: &str = include_str!("../testdata/pgp/rsa.pub.b64");
    const RSA_ARMORED: &str = include_str!("../testdata/pgp/rsa.asc");
    const RSA_SECRET: &str = include_str!("../testdata/pgp/rsa.sec.b64");
    const CURVE: &str = include_str!("../testdata/pgp/curve.pub.b64");
    const CURVE_SECRET: &str = include_str!("../testdata/pgp/curve.sec.b64");
    /// A key that can only sign.
    const SIGN_ONLY: &str = include_str!("../testdata/pgp/sign-only.pub.b64");
    /// Expired one day after it was made.
    const EXPIRED: &str = include_str!("../testdata/pgp/expired.pub.b64");
    /// Revoked by its own holder.
    const REVOKED: &str = include_str!("../testdata/pgp/revoked.pub.b64");

    fn decrypt(message: &str, secret_key: &str) -> Vec<u8> {
        let key = STANDARD.decode(secret_key.trim()).unwrap();
        let key = SignedSecretKey::from_bytes(key.as_slice()).unwrap();
        let message = STANDARD.decode(message).unwrap();
        let message = Message::from_bytes(message.as_slice()).unwrap();
        message.decrypt(&Password::empty(), &key).unwrap().as_data_vec().unwrap()
    }

    #[test]
    fn only_the_holder_reads_the_share() {
        let rng = TestRng::new(9);
        let share = b"845a131e3fb274d15a8cad029f7a026b570950c43db0f8b11da651c3be6e0d1c9c";
        for (public, secret, fingerprint) in [
            (RSA, RSA_SECRET, "7b0d0cec60158a5106118a9086ec307fc5bb4aa6"),
            (RSA_ARMORED, RSA_SECRET, "7b0d0cec60158a5106118a9086ec307fc5bb4aa6"),
            (CURVE, CURVE_SECRET, "2a4f33f323eb1d40fd1af528ec5bf4cb3ffd0d15"),
        ] {
            let recipient = Recipient::parse(public, NOW).unwrap();
            assert_eq!(recipient.fingerprint(), fingerprint);
            let message = recipient.encrypt(share, &rng).unwrap();
            assert_eq!(decrypt(&message, secret), share);
            assert_ne!(message, recipient.encrypt(share, &rng).unwrap());
        }
    }

    #[test]
    fn keys_are_found_in_a_ring_and_messages_armoured() {
        let rng = TestRng::new(10);
        let binary = |text: &str| STANDARD.decode(text.trim()).unwrap();
        let ring = [binary(RSA), binary(SIGN_ONLY), binary(CURVE)].concat();
        let curve = "2A4F33F323EB1D40FD1AF528EC5BF4CB3FFD0D15";
        let recipient = in_ring(&ring, curve, NOW).unwrap();
        let armored = recipient.encrypt_armored(b"part", &rng).unwrap();
        let (message, _) = Message::from_string(&armored).unwrap();
        let key = SignedSecretKey::from_bytes(binary(CURVE_SECRET).as_slice()).unwrap();
        let read = message.decrypt(&Password::empty(), &key).unwrap().as_data_vec().unwrap();
        assert_eq!(read, b"part");
        assert!(in_ring(&ring, "EC5BF4CB3FFD0D15", NOW).is_none(), "no whole fingerprint");
        assert!(in_ring(b"\x99nothing", curve, NOW).is_none());
    }

    #[test]
    fn refuses_keys_that_cannot_or_may_not_encrypt() {
        let canary = "Y2FuYXJ5LWNhbmFyeS1jYW5hcnk=";
        let cut = &RSA.trim()[..400];
        for (text, problem) in [
            (SIGN_ONLY, "error parsing given PGP key: it has no key for encryption"),
            (EXPIRED, "error parsing given PGP key: it has expired"),
            (REVOKED, "error parsing given PGP key: it is revoked"),
            ("", "error parsing given PGP key: not an OpenPGP public key"),
            (canary, "error parsing given PGP key: not an OpenPGP public key"),
            (RSA_SECRET, "error parsing given PGP key: not an OpenPGP public key"),
            (cut, "error parsing given PGP key: not an OpenPGP public key"),
            ("keybase:someone", "error decoding given PGP key: illegal base64 data"),
            ("-----BEGIN PGP", "error parsing given PGP key: not an OpenPGP public key"),
        ] {
            let error = Recipient::parse(text, NOW).err().unwrap();
            assert_eq!(error.public, [problem]);
        }
    }

    #[test]
    fn a_subkey_that_its_primary_key_did_not_sign_is_not_used() {
        let binary = |text: &str| STANDARD.decode(text.trim()).unwrap();
        let mut victim = SignedPublicKey::from_bytes(binary(SIGN_ONLY).as_slice()).unwrap();
        let stranger = SignedPublicKey::from_bytes(binary(RSA).as_slice()).unwrap();
        victim.public_subkeys = stranger.public_subkeys;
        let error = encrypting_key(&victim, NOW).unwrap_err();
        assert_eq!(error.public, ["error parsing given PGP key: it has no key for encryption"]);
        victim.details = stranger.details;
        let error = encrypting_key(&victim, NOW).unwrap_err();
        assert_eq!(error.public, ["error parsing given PGP key: it has no valid self-signature"]);
    }

    #[test]
    fn text_is_bounded() {
        let long = "A".repeat(KEY_TEXT_BYTES_MAX + 1);
        let error = Recipient::parse(&long, NOW).err().unwrap();
        assert_eq!(error.public, ["error parsing given PGP key: it is too long"]);
        let longest = "A".repeat(KEY_TEXT_BYTES_MAX);
        let error = Recipient::parse(&longest, NOW).err().unwrap();
        assert_ne!(error.public, ["error parsing given PGP key: it is too long"]);
    }
}
