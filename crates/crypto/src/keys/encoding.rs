//! The forms in which keys and signatures travel: PEM (RFC 7468), and ECDSA's two.

use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};
use strongroom_base::{Error, Result, Secret};

use super::Curve;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Characters of a line of PEM.
const LINE: usize = 64;

/// `der` as PEM under `label`.
pub fn pem(label: &str, der: &[u8]) -> Secret<String> {
    pem_in_lines(label, der, LINE)
}

/// [`pem`] in lines of another length: OpenSSH's are of 70 characters.
pub fn pem_in_lines(label: &str, der: &[u8], line: usize) -> Secret<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let lines = encoded.len().div_ceil(line);
    let mut out = String::with_capacity(encoded.len() + lines + 2 * label.len() + 32);
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (written, after) = rest.split_at(rest.len().min(line));
        out.push_str(written);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    Secret::new(out)
}

/// The blocks of a PEM text, each with its label. Text around the blocks is passed over, as are
/// headers within one; what is between the marks must be base64.
pub fn pem_blocks(text: &str) -> Result<Vec<(String, Secret<Vec<u8>>)>> {
    let bad = || Error::bad_request("the PEM data does not parse");
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("-----BEGIN ") {
        rest = rest.get(at + "-----BEGIN ".len()..).ok_or_else(bad)?;
        let (label, body) = rest.split_once("-----").ok_or_else(bad)?;
        let end = Zeroizing::new(format!("-----END {label}-----"));
        let (body, after) = body.split_once(end.as_str()).ok_or_else(bad)?;
        let mut encoded = Zeroizing::new(String::with_capacity(body.len()));
        for line in body.lines().filter(|line| !line.contains(':')) {
            encoded.extend(line.chars().filter(|c| !c.is_whitespace()));
        }
        let der = STANDARD.decode(encoded.as_bytes()).map_err(|_| bad())?;
        blocks.push((label.to_owned(), Secret::new(der)));
        rest = after;
    }
    Ok(blocks)
}

/// `Ecdsa-Sig-Value` (RFC 3279 §2.2.3).
#[derive(Sequence)]
struct Signature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// An ECDSA signature in DER as JOSE and others write it: both numbers in full length.
pub fn ecdsa_der_to_fixed(curve: Curve, signature: &[u8]) -> Result<Vec<u8>> {
    let bad = || Error::bad_request("the ECDSA signature does not parse");
    let parsed = Signature::from_der(signature).map_err(|_| bad())?;
    let length = curve.bytes();
    let mut out = Vec::with_capacity(2 * length);
    for number in [parsed.r, parsed.s] {
        let bytes = number.as_bytes();
        let zeros = length.checked_sub(bytes.len()).ok_or_else(bad)?;
        out.resize(out.len() + zeros, 0);
        out.extend_from_slice(bytes);
    }
    Ok(out)
}

/// The reverse of [`ecdsa_der_to_fixed`].
pub fn ecdsa_fixed_to_der(curve: Curve, signature: &[u8]) -> Result<Vec<u8>> {
    let bad = || Error::bad_request("the ECDSA signature does not parse");
    if signature.len() != 2 * curve.bytes() {
        return Err(bad());
    }
    let (r, s) = signature.split_at(curve.bytes());
    let number = |bytes| UintRef::new(bytes).map_err(|_| bad());
    Signature { r: number(r)?, s: number(s)? }.to_der().map_err(|_| bad())
}
