//! The hybrid recipient `age1pq1…` and its identity `AGE-SECRET-KEY-PQ-1…` (C2SP age.md, "The
//! MLKEM768-X25519 hybrid post-quantum recipient type"): safe while one of both halves is.

use std::collections::HashSet;
use std::fmt;

use age::{DecryptError, EncryptError};
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{bech32_decode, bech32_encode};
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use bech32::Hrp;
use strongroom_base::{Rng, SecretString};
use strongroom_crypto::xwing::{self, XWingKey};
use zeroize::Zeroize;

use crate::recipients::Wrapped;
use crate::{Error, Result};

/// How a recipient begins.
pub const RECIPIENT_PREFIX: &str = "age1pq1";
/// How an identity begins.
pub const IDENTITY_PREFIX: &str = "AGE-SECRET-KEY-PQ-1";
const RECIPIENT_HRP: &str = "age1pq";
const IDENTITY_HRP: &str = "age-secret-key-pq-";
const TAG: &str = "mlkem768x25519";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
/// Recipients that a quantum computer breaks are not mixed with these.
const LABEL: &str = "postquantum";
/// A sealed file key.
const BODY_BYTES: usize = FILE_KEY_BYTES + 16;

/// Whom a file is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HybridRecipient(Vec<u8>);

fn decode(text: &str, hrp: &str) -> Result<Vec<u8>, String> {
    bech32_decode(
        text,
        |error| error.to_string(),
        |found| match found.as_str().eq_ignore_ascii_case(hrp) {
            true => Ok(()),
            false => Err(format!("invalid type {:?}", found.as_str())),
        },
        |_, bytes| Ok(bytes.collect()),
    )
}

impl HybridRecipient {
    /// Reads `age1pq1…`.
    pub fn parse(text: &str) -> Result<Self> {
        let malformed = |why| Error::new(format!("malformed recipient {text:?}: {why}"));
        let bytes = decode(text, RECIPIENT_HRP).map_err(malformed)?;
        match xwing::is_public_key(&bytes) && !text.contains(|c: char| c.is_ascii_uppercase()) {
            true => Ok(Self(bytes)),
            false => Err(malformed("invalid MLKEM768-X25519 public key".into())),
        }
    }
}

impl fmt::Display for HybridRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bech32_encode(Hrp::parse_unchecked(RECIPIENT_HRP), &self.0))
    }
}

impl age::Recipient for HybridRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<Wrapped, EncryptError> {
        let failed = |error: strongroom_base::Error| {
            EncryptError::Io(Error::new(error.to_string()).carried())
        };
        let (encapsulation, body) =
            xwing::seal(&self.0, INFO, file_key.expose_secret()).map_err(failed)?;
        let args = vec![BASE64_STANDARD_NO_PAD.encode(encapsulation)];
        let stanza = Stanza { tag: TAG.to_owned(), args, body };
        Ok((vec![stanza], HashSet::from([LABEL.to_owned()])))
    }
}

/// What opens a file.
#[derive(Debug)]
pub struct HybridIdentity(XWingKey);

impl HybridIdentity {
    /// A new one.
    pub fn generate(rng: &dyn Rng) -> Result<Self> {
        XWingKey::generate(rng).map(Self).map_err(|error| Error::new(error.to_string()))
    }

    /// Reads `AGE-SECRET-KEY-PQ-1…`.
    pub fn parse(text: &str) -> Result<Self> {
        // What a decoder says of a secret is not told: it may name a part of it.
        let malformed = || Error::new("malformed secret key");
        let mut bytes = decode(text, IDENTITY_HRP).map_err(|_| malformed())?;
        let seed = <&[u8; xwing::SEED_BYTES]>::try_from(bytes.as_slice());
        let key = seed.ok().map(XWingKey::from_seed);
        bytes.zeroize();
        match (key, text.starts_with(IDENTITY_PREFIX)) {
            (Some(Ok(key)), true) => Ok(Self(key)),
            _ => Err(malformed()),
        }
    }

    /// Its text.
    pub fn to_text(&self) -> SecretString {
        let mut lower =
            bech32_encode(Hrp::parse_unchecked(IDENTITY_HRP), self.0.seed().expose_secret());
        let upper = SecretString::new(lower.to_ascii_uppercase());
        lower.zeroize();
        upper
    }

    /// Whom to encrypt for, so that this opens it.
    pub fn to_recipient(&self) -> HybridRecipient {
        HybridRecipient(self.0.public_bytes().to_vec())
    }
}

impl age::Identity for HybridIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != TAG {
            return None;
        }
        let encapsulation = match stanza.args.as_slice() {
            [one] => BASE64_STANDARD_NO_PAD.decode(one).ok(),
            _ => None,
        };
        let encapsulation = encapsulation.filter(|it| it.len() == xwing::ENCAPSULATION_BYTES);
        // The length is looked at before anything is decrypted, as the specification demands.
        let (Some(encapsulation), BODY_BYTES) = (encapsulation, stanza.body.len()) else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        let opened = match self.0.open(INFO, &encapsulation, &stanza.body) {
            Ok(opened) => opened?,
            Err(_) => return Some(Err(DecryptError::InvalidHeader)),
        };
        let key = <&[u8; FILE_KEY_BYTES]>::try_from(opened.expose_secret().as_slice()).ok()?;
        Some(Ok(FileKey::init_with_mut(|place| place.copy_from_slice(key))))
    }
}

#[cfg(test)]
mod tests {
    use age::{Identity as _, Recipient as _};

    use super::*;

    struct Counted;
    impl Rng for Counted {
        fn fill(&self, out: &mut [u8]) {
            (0..).zip(out).for_each(|(n, byte)| *byte = n);
        }
    }

    /// The pair that stands in C2SP age.md.
    #[test]
    fn texts_are_those_of_the_specification() {
        let text = "AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06SE84UN3VPM33W6HWDX0H3SK3ZQFR";
        let identity = HybridIdentity::parse(text).unwrap();
        assert_eq!(identity.to_text().expose_secret(), text);
        let recipient = identity.to_recipient().to_string();
        assert!(recipient.starts_with("age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jzxsh"));
        assert!(recipient.ends_with("pyyzk3tlhl53k2ykx3qheyty7saeq0d3fzv49zc0k"));
        assert_eq!(HybridRecipient::parse(&recipient).unwrap(), identity.to_recipient());
        for wrong in [&recipient[..400], &recipient.to_ascii_uppercase(), "age1pq1", "age1pq1qqqq"]
        {
            assert!(HybridRecipient::parse(wrong).is_err(), "{wrong}");
        }
        for wrong in [&text.to_ascii_lowercase(), &text[..70], &text.replace("PQ-", "")] {
            let error = HybridIdentity::parse(wrong).unwrap_err();
            assert_eq!(error.text(), "malformed secret key");
        }
    }

    #[test]
    fn a_file_key_goes_there_and_back() {
        let identity = HybridIdentity::generate(&Counted).unwrap();
        let key = FileKey::new(Box::new([9; 16]));
        let (stanzas, labels) = identity.to_recipient().wrap_file_key(&key).unwrap();
        assert_eq!(labels, HashSet::from(["postquantum".to_owned()]));
        let unwrapped = identity.unwrap_stanzas(&stanzas).unwrap().unwrap();
        assert_eq!(unwrapped.expose_secret(), &[9; 16]);
        let other = HybridIdentity(XWingKey::from_seed(&[1; 32]).unwrap());
        assert!(other.unwrap_stanzas(&stanzas).is_none());
        let mut long = stanzas;
        long[0].body.push(0);
        let refused = identity.unwrap_stanzas(&long);
        assert!(matches!(refused, Some(Err(DecryptError::InvalidHeader))));
    }
}
