//! Secret keys in a ring of before GnuPG 2.1 (`secring.gpg`): they open what was encrypted to them where
//! there is no `gpg` to do it.

use std::io::Read;

use ::pgp::composed::{Deserializable, Esk, Message, SignedSecretKey};
use ::pgp::types::{KeyDetails, Password};
use strongroom_base::{Secret, SecretBytes, SecretString};
use zeroize::Zeroizing;

/// Bytes of what is opened, at most.
const PLAIN_BYTES_MAX: u64 = 64 * 1024;

/// Opens an armoured message by one of the keys in `ring` (binary, one after another). `ask` is asked
/// for the passphrase of a key that has one, by the key's id as GnuPG shows it (8 digits), and may have
/// none. Nothing if the message is for none of the keys, or does not open.
pub fn open(
    ring: &[u8],
    message: &str,
    ask: &mut dyn FnMut(&str) -> Option<SecretString>,
) -> Option<SecretBytes> {
    let keys = SignedSecretKey::from_bytes_many(ring).ok()?;
    let (read, _) = Message::from_string(message).ok()?;
    let Message::Encrypted { esk, .. } = &read else { return None };
    // Those without a passphrase first: nobody need be asked.
    let mut locked = Vec::new();
    for key in keys.filter_map(Result::ok).filter(|key| is_for(esk, key)) {
        if is_locked(&key) {
            locked.push(key);
        } else if let Some(plain) = open_with(message, &key, &Password::empty()) {
            return Some(plain);
        }
    }
    locked.iter().find_map(|key| {
        let id = key.primary_key.legacy_key_id().to_string().to_uppercase();
        let short = id.get(id.len().saturating_sub(8)..).unwrap_or(&id);
        let passphrase = ask(short)?;
        open_with(message, key, &Password::from(passphrase.expose_secret().as_str()))
    })
}

fn is_for(sessions: &[Esk], key: &SignedSecretKey) -> bool {
    sessions.iter().any(|session| match session {
        Esk::PublicKeyEncryptedSessionKey(session) => {
            session.match_identity(&key.primary_key)
                || key.secret_subkeys.iter().any(|sub| session.match_identity(&sub.key))
        }
        Esk::SymKeyEncryptedSessionKey(_) => false,
    })
}

fn is_locked(key: &SignedSecretKey) -> bool {
    key.primary_key.secret_params().is_encrypted()
        || key.secret_subkeys.iter().any(|sub| sub.key.secret_params().is_encrypted())
}

fn open_with(message: &str, key: &SignedSecretKey, password: &Password) -> Option<SecretBytes> {
    let (message, _) = Message::from_string(message).ok()?;
    let mut message = message.decrypt(password, key).ok()?;
    if message.is_compressed() {
        message = message.decompress().ok()?;
    }
    let mut plain = Zeroizing::new(Vec::with_capacity(PLAIN_BYTES_MAX as usize + 1));
    // The end shows whether all of it is authentic.
    message.take(PLAIN_BYTES_MAX + 1).read_to_end(&mut plain).ok()?;
    let whole = plain.len() as u64 <= PLAIN_BYTES_MAX;
    whole.then(|| Secret::new(std::mem::take(&mut *plain)))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use strongroom_base::Timestamp;

    use super::*;
    use crate::pgp::Recipient;
    use crate::rng::TestRng;

    const RSA: &str = include_str!("../testdata/pgp/rsa.pub.b64");
    const RSA_SECRET: &str = include_str!("../testdata/pgp/rsa.sec.b64");
    const CURVE: &str = include_str!("../testdata/pgp/curve.pub.b64");
    const CURVE_SECRET: &str = include_str!("../testdata/pgp/curve.sec.b64");

    fn binary(text: &str) -> Vec<u8> {
        STANDARD.decode(text.trim()).unwrap()
    }

    fn sealed(public: &str) -> String {
        let recipient = Recipient::parse(public, Timestamp::from_seconds(1_790_000_000)).unwrap();
        recipient.encrypt_armored(b"a data key", &TestRng::new(3)).unwrap()
    }

    fn nobody(_: &str) -> Option<SecretString> {
        panic!("nobody is asked")
    }

    #[test]
    fn a_key_of_the_ring_opens_what_is_for_it() {
        let ring = [binary(RSA_SECRET), binary(CURVE_SECRET)].concat();
        for public in [RSA, CURVE] {
            let opened = open(&ring, &sealed(public), &mut nobody).unwrap();
            assert_eq!(opened.expose_secret(), b"a data key");
        }
    }

    #[test]
    fn others_do_not() {
        let message = sealed(RSA);
        assert!(open(&binary(CURVE_SECRET), &message, &mut nobody).is_none());
        assert!(open(&[], &message, &mut nobody).is_none());
        assert!(open(b"\x99nothing", &message, &mut nobody).is_none());
        assert!(open(&binary(RSA_SECRET), "no message", &mut nobody).is_none());
        // One letter of the last lines.
        let at = message.len() - 60;
        let letter = if &message[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{letter}{}", &message[..at], &message[at + 1..]);
        assert!(open(&binary(RSA_SECRET), &changed, &mut nobody).is_none());
    }
}
