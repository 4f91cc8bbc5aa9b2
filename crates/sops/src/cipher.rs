//! One value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.
//!
//! The type is not authenticated: who can write to the file can make the text `1` of the number 1,
//! as in SOPS.
//!
//! Invariant: what is decrypted is never in an error.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use strongroom_base::{Rng, SecretBytes};
use strongroom_crypto::sealed_value::{NONCE_BYTES, ValueKey};
use zeroize::{Zeroize as _, Zeroizing};

use crate::numbers::{plain_float, rfc3339};
use crate::octets;
use crate::tree::{Comment, Value};

/// Bytes of a data key.
pub const DATA_KEY_BYTES: usize = 32;

/// Bytes of the text of an encrypted value that are the same in all.
pub(crate) const FIXED_BYTES: usize = PREFIX.len() + ",iv:,tag:,type:]".len();

/// Bytes of the tag that authenticates a value.
pub(crate) const TAG_BYTES: usize = 16;

const PREFIX: &str = "ENC[AES256_GCM,data:";

/// base64 as Go reads it: with padding, whatever the last bits are.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Nonces of values that were decrypted in this run. The same value at the same place gets the same
/// nonce again, so that what was not changed stays the same in the file.
#[derive(Default)]
pub struct Nonces(HashMap<[u8; 32], [u8; NONCE_BYTES]>);

impl Nonces {
    /// Adds those of another run, which go before these.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The value itself is not kept.
    fn place(kind: &str, plain: &[u8], aad: &str) -> [u8; 32] {
        let mut hash = strongroom_crypto::Sha256::new();
        hash.update(kind.as_bytes());
        hash.update(&(aad.len() as u64).to_be_bytes()).update(aad.as_bytes()).update(plain);
        hash.finish()
    }
}

/// Encrypts and decrypts values with one data key.
pub struct Cipher<'a> {
    key: ValueKey,
    rng: &'a dyn Rng,
    /// Whether nonces are kept for the next encryption.
    nonces: Option<&'a mut Nonces>,
}

/// A value in pieces.
pub(crate) struct Parts<'a> {
    pub(crate) data: &'a str,
    pub(crate) iv: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) kind: &'a str,
}

/// Takes an encrypted text apart. The expression is SOPS's: it is anchored at the start only, and
/// greedy.
pub(crate) fn parts(text: &str) -> Option<Parts<'_>> {
    let line = text.strip_prefix(PREFIX)?;
    let line = line.split('\n').next()?;
    let (line, _) = line.rsplit_once(']')?;
    let (line, kind) = line.rsplit_once(",type:")?;
    let (line, tag) = line.rsplit_once(",tag:")?;
    let (data, iv) = line.rsplit_once(",iv:")?;
    let whole = [data, iv, tag, kind].iter().all(|part| !part.is_empty());
    whole.then_some(Parts { data, iv, tag, kind })
}

/// The text of an encrypted value.
pub(crate) fn text_of(kind: &str, nonce: &[u8], tag: &[u8], data: &[u8]) -> String {
    let base64 = [data, nonce, tag].map(|bytes| bytes.len().div_ceil(3) * 4);
    // Of this length exactly: a large file has a million of them.
    let mut text = String::with_capacity(FIXED_BYTES + kind.len() + base64.iter().sum::<usize>());
    text.push_str(PREFIX);
    BASE64.encode_string(data, &mut text);
    text.push_str(",iv:");
    BASE64.encode_string(nonce, &mut text);
    text.push_str(",tag:");
    BASE64.encode_string(tag, &mut text);
    text.push_str(",type:");
    text.push_str(kind);
    text.push(']');
    text
}

/// Has a text the form of an encrypted value?
pub fn is_encrypted(text: &str) -> bool {
    parts(text).is_some()
}

/// The nonce of an encrypted text, as it stands there.
pub fn nonce_of(text: &str) -> Option<&str> {
    parts(text).map(|parts| parts.iv)
}

/// The kind of a value and its bytes: what is encrypted, and what counts for the MAC.
pub fn plain(value: &Value) -> Option<(&'static str, Zeroizing<Vec<u8>>)> {
    let of = |text: String| Zeroizing::new(text.into_bytes());
    Some(match value {
        Value::Text(text) => ("str", Zeroizing::new(text.as_bytes().to_vec())),
        Value::Bytes(bytes) => ("str", bytes.clone()),
        Value::Int(number) => ("int", of(number.to_string())),
        Value::Float(number) => ("float", of(plain_float(*number))),
        Value::Bool(true) => ("bool", of("True".into())),
        Value::Bool(false) => ("bool", of("False".into())),
        Value::Time(time) => ("time", of(time.clone())),
        Value::Comment(comment) => {
            ("comment", Zeroizing::new(octets::bytes_of(&comment.text).into_owned()))
        }
        Value::Null | Value::Unsigned(_) | Value::List(_) | Value::Map(_) => return None,
    })
}

fn typed(kind: &str, plain: &SecretBytes) -> Result<Value, String> {
    let bytes = plain.expose_secret();
    let text = || std::str::from_utf8(bytes).unwrap_or_default();
    let wrong = || format!("the value is no {kind}");
    Ok(match kind {
        "str" | "bytes" => Value::of_bytes(bytes.clone()),
        "int" => Value::Int(text().parse().map_err(|_| wrong())?),
        "float" => Value::Float(text().parse().map_err(|_| wrong())?),
        "bool" => match text() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Value::Bool(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Value::Bool(false),
            _ => return Err(wrong()),
        },
        "time" => Value::Time(rfc3339(text()).ok_or_else(wrong)?),
        "comment" => Value::Comment(Comment::new(octets::text_of(bytes))),
        _ => return Err("Unknown datatype".into()),
    })
}

impl<'a> Cipher<'a> {
    /// With a data key.
    pub fn new(key: &[u8; DATA_KEY_BYTES], rng: &'a dyn Rng) -> Self {
        Self { key: ValueKey::new(key), rng, nonces: None }
    }

    /// Keeps the nonces of what it decrypts, and uses them again.
    pub fn with_nonces(mut self, nonces: &'a mut Nonces) -> Self {
        self.nonces = Some(nonces);
        self
    }

    /// Encrypts a value; an empty text stays empty. Nothing for what cannot be encrypted.
    pub fn encrypt(&self, value: &Value, aad: &str) -> Option<String> {
        let (kind, plain) = plain(value)?;
        self.encrypt_plain(kind, plain, aad)
    }

    /// Encrypts a text.
    pub fn encrypt_text(&self, text: &str, aad: &str) -> Option<String> {
        self.encrypt_plain("str", Zeroizing::new(text.as_bytes().to_vec()), aad)
    }

    fn encrypt_plain(
        &self,
        kind: &str,
        mut plain: Zeroizing<Vec<u8>>,
        aad: &str,
    ) -> Option<String> {
        if plain.is_empty() {
            return Some(String::new());
        }
        let kept = self.nonces.as_ref().filter(|nonces| !nonces.0.is_empty());
        let kept = kept.and_then(|nonces| nonces.0.get(&Nonces::place(kind, &plain, aad)).copied());
        let nonce = kept.unwrap_or_else(|| self.rng.array());
        let tag = self.key.seal(&nonce, &octets::bytes_of(aad), &mut plain)?;
        Some(text_of(kind, &nonce, &tag, &plain))
    }

    /// Decrypts a value; an empty text is one. The text of the failure says what is wrong without
    /// the value.
    pub fn decrypt(&mut self, text: &str, aad: &str) -> Result<Value, String> {
        if text.is_empty() {
            return Ok(Value::text(""));
        }
        let Some(parts) = parts(text) else {
            return Err("Input string does not match sops' data format".into());
        };
        let decode = |what: &str, part: &str| {
            let part: String = part.chars().filter(|letter| *letter != '\r').collect();
            BASE64.decode(part).map_err(|_| format!("Error base64-decoding {what}"))
        };
        let mut data = decode("data", parts.data)?;
        let (iv, tag) = (decode("iv", parts.iv)?, decode("tag", parts.tag)?);
        let plain = self.key.open(&iv, &octets::bytes_of(aad), &data, &tag);
        data.zeroize();
        let plain = plain.ok_or("Could not decrypt with AES_GCM: message authentication failed")?;
        let value = typed(parts.kind, &plain)?;
        if let Some(nonces) = &mut self.nonces
            && let Ok(nonce) = <[u8; NONCE_BYTES]>::try_from(iv.as_slice())
        {
            // As it will be encrypted again.
            let kind = if parts.kind == "bytes" { "str" } else { parts.kind };
            nonces.0.insert(Nonces::place(kind, plain.expose_secret(), aad), nonce);
        }
        Ok(value)
    }
}
