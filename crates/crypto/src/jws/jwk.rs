//! Public keys in JSON (RFC 7517) and their thumbprints (RFC 7638).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_base::Json;

use super::Refused;
use crate::keys::{Curve, KeyType, PublicKey};

/// Bits of an RSA key that may sign: fewer are too weak, more cost too much to verify.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2_048..=8_192;
/// Bytes of an RSA key's public exponent.
const EXPONENT_BYTES_MAX: usize = 4;
/// Bytes of a number of a key, encoded.
const NUMBER_BYTES_MAX: usize = 2 * 1_024;

/// A public key.
pub struct Jwk {
    public: PublicKey,
    canonical: String,
}

impl Jwk {
    /// Reads a key. One that tells its private half is refused: whoever sent it should not go on
    /// using it.
    pub fn parse(json: &Json) -> Result<Self, Refused> {
        let Json::Object(members) = json else {
            return Err(Refused::Malformed("the key is no JSON object"));
        };
        if members.contains_key("d") || members.contains_key("k") {
            return Err(Refused::Key("the key holds a secret"));
        }
        let text = |name: &str| {
            let text = members.get(name).and_then(Json::as_str);
            text.ok_or(Refused::Malformed("the key lacks a member that its type has"))
        };
        let public = match text("kty")? {
            "RSA" => rsa(text("n")?, text("e")?)?,
            "EC" => ec(text("crv")?, text("x")?, text("y")?)?,
            "OKP" if text("crv")? == "Ed25519" => {
                let bytes = number(text("x")?)?;
                PublicKey::from_ed25519(&bytes)
                    .map_err(|_| Refused::Key("the key is no Ed25519 key"))?
            }
            _ => return Err(Refused::Key("keys are RSA, EC or Ed25519 keys")),
        };
        Self::of(public)
    }

    /// A key in JSON.
    pub fn of(public: PublicKey) -> Result<Self, Refused> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let canonical = match public.key_type() {
            KeyType::Rsa(bits) if !RSA_BITS.contains(&bits) => {
                return Err(Refused::Key("RSA keys have 2048 to 8192 bits"));
            }
            KeyType::Rsa(_) => {
                let (n, e) = public.rsa().ok_or(Refused::Key("the key is no RSA key"))?;
                format!("{{\"e\":\"{}\",\"kty\":\"RSA\",\"n\":\"{}\"}}", encode(&e), encode(&n))
            }
            KeyType::Ec(curve) => {
                let point = public.raw().get(1..).unwrap_or_default();
                let (x, y) = point
                    .split_at_checked(curve.bytes())
                    .ok_or(Refused::Key("the key is no point of its curve"))?;
                format!(
                    "{{\"crv\":\"{}\",\"kty\":\"EC\",\"x\":\"{}\",\"y\":\"{}\"}}",
                    curve_name(curve),
                    encode(x),
                    encode(y)
                )
            }
            KeyType::Ed25519 => {
                format!(
                    "{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{}\"}}",
                    encode(public.raw())
                )
            }
        };
        Ok(Self { public, canonical })
    }

    /// The key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Its required members in their one order and form: what its thumbprint is of, and what it can
    /// be stored as.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The SHA-256 thumbprint in base64url.
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(crate::sha256(self.canonical.as_bytes()))
    }

    /// Is it the key of this SubjectPublicKeyInfo?
    pub fn is_spki(&self, spki_der: &[u8]) -> bool {
        self.public.spki_der() == spki_der
    }
}

fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
    }
}

/// The bytes of a number or point.
fn number(text: &str) -> Result<Vec<u8>, Refused> {
    super::decode(text, NUMBER_BYTES_MAX)
}

fn rsa(n: &str, e: &str) -> Result<PublicKey, Refused> {
    let (n, e) = (number(n)?, number(e)?);
    // RFC 7518 §6.3.1: as few bytes as the number has.
    if n.first().is_none_or(|b| *b == 0) || e.first().is_none_or(|b| *b == 0) {
        return Err(Refused::Malformed("a number of the key begins with zeros"));
    }
    let weak = Refused::Key("the RSA key's exponent must be an odd number of at least 3");
    if e.len() > EXPONENT_BYTES_MAX || e.last().is_none_or(|b| b % 2 == 0) || e == [1] {
        return Err(weak);
    }
    PublicKey::from_rsa(&n, &e).map_err(|_| Refused::Key("the key is no RSA key"))
}

fn ec(crv: &str, x: &str, y: &str) -> Result<PublicKey, Refused> {
    let curves = [Curve::P256, Curve::P384, Curve::P521];
    let curve = curves.into_iter().find(|curve| curve_name(*curve) == crv);
    let curve = curve.ok_or(Refused::Key("EC keys are on P-256, P-384 or P-521"))?;
    let mut point = vec![4];
    for coordinate in [x, y] {
        let bytes = number(coordinate)?;
        // RFC 7518 §6.2.1.2: the full length of the field.
        if bytes.len() != curve.bytes() {
            return Err(Refused::Malformed("a coordinate has another length than its curve's"));
        }
        point.extend(bytes);
    }
    PublicKey::from_point(curve, &point)
        .map_err(|_| Refused::Key("the key is no point of its curve"))
}
