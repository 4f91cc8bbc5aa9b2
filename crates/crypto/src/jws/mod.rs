//! JSON web signatures (RFC 7515, RFC 7517, RFC 7518, RFC 7638, RFC 8037): as ACME has them (the
//! flattened form, RFC 8555 §6.2: a request is signed by a key that it carries itself, or that an
//! account is known by), and as tokens of others (the compact form).
//!
//! Invariants:
//! * the algorithm is one of a closed list, and fits the key; `none` and MACs are never taken for a
//!   signature, nor is a public key ever the key of a MAC (threat CVE-2024-5798);
//! * a header that this code does not understand but must (`crit`) refuses the whole;
//! * one key has one form: what could be written in two ways is refused, so its thumbprint is its
//!   name.

mod compact;
mod jwk;
mod jwk_set;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_base::json::parse_bounded;
use strongroom_base::{Json, JsonMap};

use crate::keys::{Curve, Hash, KeyType, PublicKey, Salt, Scheme, ecdsa_fixed_to_der};

pub use compact::{Compact, sign_compact};
pub use jwk::Jwk;
pub use jwk_set::{SetKey, parse_set};

/// Bytes of a protected header, encoded.
pub const PROTECTED_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a payload, encoded. A request for a certificate with a hundred names has a tenth of it.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a signature, encoded: twice those of an RSA key of 8192 bits.
pub const SIGNATURE_BYTES_MAX: usize = 4 * 1024;

/// Why a signed message was refused. None of the texts holds anything of the message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It is not in the form it must have.
    Malformed(&'static str),
    /// Its algorithm is none of [`Algorithm::NAMES`], or not the key's.
    Algorithm,
    /// Its key is none that may sign.
    Key(&'static str),
    /// The signature is not the key's.
    Signature,
}

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5.
    Rs(Hash),
    /// RSASSA-PSS with a salt as long as the digest.
    Ps(Hash),
    /// ECDSA over the curve of the hash's size.
    Es(Curve),
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All names, for the answer to who took another (RFC 8555 §6.2).
    pub const NAMES: &'static [&'static str] =
        &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

    /// The algorithm of a name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs(Hash::Sha256),
            "RS384" => Self::Rs(Hash::Sha384),
            "RS512" => Self::Rs(Hash::Sha512),
            "PS256" => Self::Ps(Hash::Sha256),
            "PS384" => Self::Ps(Hash::Sha384),
            "PS512" => Self::Ps(Hash::Sha512),
            "ES256" => Self::Es(Curve::P256),
            "ES384" => Self::Es(Curve::P384),
            "ES512" => Self::Es(Curve::P521),
            "EdDSA" => Self::EdDsa,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = |name: &&str| Self::named(name) == Some(self);
        Self::NAMES.iter().copied().find(named).unwrap_or_default()
    }

    /// Is it an algorithm for such keys?
    pub fn fits(self, key: KeyType) -> bool {
        match (self, key) {
            (Self::Rs(_) | Self::Ps(_), KeyType::Rsa(_)) => true,
            (Self::Es(curve), KeyType::Ec(of)) => curve == of,
            (Self::EdDsa, KeyType::Ed25519) => true,
            _ => false,
        }
    }

    fn scheme(self) -> Scheme {
        match self {
            Self::Rs(hash) => Scheme::Pkcs1(hash),
            Self::Ps(hash) => Scheme::Pss(hash, Salt::Digest),
            Self::Es(Curve::P256) => Scheme::Ecdsa(Hash::Sha256),
            Self::Es(Curve::P384) => Scheme::Ecdsa(Hash::Sha384),
            Self::Es(Curve::P521) => Scheme::Ecdsa(Hash::Sha512),
            Self::EdDsa => Scheme::Ed25519,
        }
    }
}

/// The three members of a signature in its flattened form (RFC 7515 §7.2.2), as they came.
#[derive(Clone, Copy)]
pub struct Flattened<'a> {
    /// The protected header.
    pub protected: &'a str,
    /// The payload.
    pub payload: &'a str,
    /// The signature.
    pub signature: &'a str,
}

/// A protected header. Members that this code does not use are passed over, as RFC 7515 §4 says.
pub struct Header {
    alg: String,
    /// The URL of the account, or a key's identifier.
    pub kid: Option<String>,
    /// The key that signed.
    pub jwk: Option<Jwk>,
    /// The nonce.
    pub nonce: Option<String>,
    /// The URL that the message is for.
    pub url: Option<String>,
}

impl Header {
    /// Reads a protected header.
    pub fn parse(protected: &str) -> Result<Self, Refused> {
        let header = object(protected, PROTECTED_BYTES_MAX)?;
        // What must be understood and is not (RFC 7515 §4.1.11); a payload that is not encoded is one
        // of these (RFC 7797 §6).
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Refused::Malformed("the header names extensions that are not supported"));
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refused::Malformed("a member of the header is no text")),
        };
        let alg = text("alg")?.ok_or(Refused::Malformed("the header has no 'alg'"))?;
        let jwk = header.get("jwk").map(Jwk::parse).transpose()?;
        let (kid, nonce, url) = (text("kid")?, text("nonce")?, text("url")?);
        Ok(Self { alg, kid, jwk, nonce, url })
    }

    /// Its signature algorithm.
    pub fn algorithm(&self) -> Result<Algorithm, Refused> {
        Algorithm::named(&self.alg).ok_or(Refused::Algorithm)
    }
}

/// The bytes of the payload, where `key` signed them with the header's algorithm.
pub fn verify(message: Flattened<'_>, header: &Header, key: &Jwk) -> Result<Vec<u8>, Refused> {
    verify_by(message, header, key.public())
}

fn verify_by(
    message: Flattened<'_>,
    header: &Header,
    public: &PublicKey,
) -> Result<Vec<u8>, Refused> {
    let algorithm = header.algorithm()?;
    if !algorithm.fits(public.key_type()) {
        return Err(Refused::Algorithm);
    }
    let payload = decode(message.payload, PAYLOAD_BYTES_MAX)?;
    let mut signature = decode(message.signature, SIGNATURE_BYTES_MAX)?;
    if let Algorithm::Es(curve) = algorithm {
        signature = ecdsa_fixed_to_der(curve, &signature).map_err(|_| Refused::Signature)?;
    }
    let signed = signed(message);
    match public.verify(algorithm.scheme(), signed.as_bytes(), &signature) {
        Ok(true) => Ok(payload),
        _ => Err(Refused::Signature),
    }
}

/// The bytes of the payload of an external account binding (RFC 8555 §7.3.4), where whoever has the
/// secret `key` made its MAC by HS256.
pub fn verify_binding(
    message: Flattened<'_>,
    header: &Header,
    key: &[u8],
) -> Result<Vec<u8>, Refused> {
    if header.alg != "HS256" {
        return Err(Refused::Algorithm);
    }
    let payload = decode(message.payload, PAYLOAD_BYTES_MAX)?;
    let mac = decode(message.signature, SIGNATURE_BYTES_MAX)?;
    let signed = signed(message);
    if !crate::HmacKey::new(key).verify(&[signed.as_bytes()], &mac) {
        return Err(Refused::Signature);
    }
    Ok(payload)
}

/// What is signed: header and payload as they came (RFC 7515 §5.1).
fn signed(message: Flattened<'_>) -> String {
    format!("{}.{}", message.protected, message.payload)
}

/// base64url without padding, in its one form.
fn decode(text: &str, bytes_max: usize) -> Result<Vec<u8>, Refused> {
    if text.len() > bytes_max {
        return Err(Refused::Malformed("a part of the message is too long"));
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Refused::Malformed("a part is not base64url"))
}

/// A JSON object in base64url.
fn object(text: &str, bytes_max: usize) -> Result<JsonMap, Refused> {
    match parse_bounded(&decode(text, bytes_max)?) {
        Ok(Json::Object(map)) => Ok(map),
        _ => Err(Refused::Malformed("the header is no JSON object")),
    }
}
