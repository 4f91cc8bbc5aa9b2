//! Private keys as files of SSH have them: OpenSSH's own format (PROTOCOL.key) beside PEM's.

use strongroom_base::{Error, Result, Secret, SecretString};
use zeroize::Zeroizing;

use super::PublicKey;
use super::wire::{Reader, Writer};
use crate::keys::{Curve, KeyType, PrivateKey, RsaParts, pem_blocks, pem_in_lines};

const LABEL: &str = "OPENSSH PRIVATE KEY";
/// Characters of a line of the file; some readers take no other number.
const LINE: usize = 70;
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// What the private part is padded to where it is not encrypted.
const BLOCK: usize = 8;
/// Bytes of a number of an RSA key: 16,384 bits, OpenSSH's bound.
const NUMBER_BYTES_MAX: usize = 2_048;

fn unreadable() -> Error {
    Error::bad_request("the private key does not parse")
}

/// The private key of a file: OpenSSH's format, PKCS#8, PKCS#1 or SEC 1, unencrypted.
pub fn read_private(text: &str) -> Result<PrivateKey> {
    for (label, body) in pem_blocks(text)? {
        if label == LABEL {
            return decode(body.expose_secret());
        }
    }
    PrivateKey::from_pem(text)
}

/// A private key as OpenSSH's programs read it: PKCS#1 for RSA, SEC 1 for ECDSA, and for Ed25519
/// OpenSSH's format, as they know no other one.
pub fn write_private(key: &PrivateKey) -> Result<SecretString> {
    if key.key_type() != KeyType::Ed25519 {
        return key.to_traditional_pem();
    }
    let public = PublicKey::of(&key.public()?)?;
    let seed = key.ed25519_seed()?;
    let mut point = Reader(public.numbers());
    let point = point.string().ok_or_else(unreadable)?;
    let mut both = Writer::new();
    both.raw(seed.expose_secret()).raw(point);
    // Twice the same number: it shows whether a decryption went well. Nothing is encrypted here.
    let check = crate::sha256(public.wire());
    let check = check.get(..4).unwrap_or_default();
    let mut inner = Writer::new();
    inner.raw(check).raw(check).string(b"ssh-ed25519").string(point).string(both.bytes());
    inner.string(b"");
    let mut pad = 1;
    while !inner.bytes().len().is_multiple_of(BLOCK) {
        inner.raw(&[pad]);
        pad += 1;
    }
    let mut out = Writer::new();
    out.raw(MAGIC).string(b"none").string(b"none").string(b"").u32(1);
    out.string(public.wire()).string(inner.bytes());
    Ok(pem_in_lines(LABEL, out.bytes(), LINE))
}

fn decode(bytes: &[u8]) -> Result<PrivateKey> {
    let mut reader = Reader(bytes.strip_prefix(MAGIC).ok_or_else(unreadable)?);
    let cipher = reader.string().ok_or_else(unreadable)?;
    if cipher != b"none" {
        return Err(Error::bad_request("encrypted private keys are not supported"));
    }
    let mut inner = Reader(inner_part(&mut reader).ok_or_else(unreadable)?);
    let (one, two) = (inner.u32(), inner.u32());
    let algorithm = inner.string().ok_or_else(unreadable)?;
    if one.is_none() || one != two {
        return Err(unreadable());
    }
    match algorithm {
        b"ssh-rsa" => rsa(&mut inner),
        b"ssh-ed25519" => ed25519(&mut inner),
        b"ecdsa-sha2-nistp256" => ec(&mut inner, Curve::P256),
        b"ecdsa-sha2-nistp384" => ec(&mut inner, Curve::P384),
        b"ecdsa-sha2-nistp521" => ec(&mut inner, Curve::P521),
        _ => Err(Error::bad_request("the private key is of a type that is not supported")),
    }
}

/// Derivation of the cipher's key and its settings, the number of keys, the public key; then it.
fn inner_part<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let (_derivation, _settings) = (reader.string()?, reader.string()?);
    if reader.u32()? != 1 {
        return None;
    }
    let _public = reader.string()?;
    reader.string()
}

fn ed25519(reader: &mut Reader<'_>) -> Result<PrivateKey> {
    // PKCS#8 (RFC 8410 §7) up to the seed.
    const PREFIX: [u8; 16] = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let mut parts = || Some((reader.string()?, reader.string()?));
    let (public, both) = parts().ok_or_else(unreadable)?;
    let (seed, again) = both.split_at_checked(32).ok_or_else(unreadable)?;
    let mut der = Writer::new();
    der.raw(&PREFIX).raw(seed);
    let key = PrivateKey::from_pkcs8_der(der.bytes())?;
    if again != public || key.public()?.raw() != public {
        return Err(unreadable());
    }
    Ok(key)
}

fn ec(reader: &mut Reader<'_>, curve: Curve) -> Result<PrivateKey> {
    let mut parts = || Some((reader.string()?, reader.string()?, reader.mpint()?));
    let (_name, point, scalar) = parts().ok_or_else(unreadable)?;
    let key = PrivateKey::from_ec_scalar(curve, scalar).map_err(|_| unreadable())?;
    if key.public()?.raw() != point {
        return Err(unreadable());
    }
    Ok(key)
}

fn rsa(reader: &mut Reader<'_>) -> Result<PrivateKey> {
    let mut numbers = [[].as_slice(); 6];
    for number in &mut numbers {
        *number = reader.mpint().filter(|n| n.len() <= NUMBER_BYTES_MAX).ok_or_else(unreadable)?;
    }
    let [n, e, d, coefficient, p, q] = numbers;
    // SSH does not store what PKCS#1 does besides: d mod p-1 and d mod q-1.
    let exponents = [p, q].map(|prime| {
        let mut less = Zeroizing::new(prime.to_vec());
        if let Some(last) = less.last_mut() {
            *last &= 0xfe;
        }
        remainder(d, &less)
    });
    let secret = |bytes: &[u8]| Secret::new(bytes.to_vec());
    PrivateKey::from_rsa_parts(&RsaParts {
        n: n.to_vec(),
        e: e.to_vec(),
        d: secret(d),
        primes: [p, q].map(secret),
        exponents: exponents.map(|exponent| secret(&exponent)),
        coefficient: secret(coefficient),
    })
    .map_err(|_| unreadable())
}

/// `number` modulo `modulus`, both big-endian, by long division. What it does and where it reads
/// depends on the lengths alone.
fn remainder(number: &[u8], modulus: &[u8]) -> Zeroizing<Vec<u8>> {
    // One byte more, for what doubling carries over.
    let mut rest = Zeroizing::new(vec![0_u8; modulus.len() + 1]);
    let mut less = Zeroizing::new(rest.clone());
    for byte in number {
        for bit in (0..8).rev() {
            let mut carry = (byte >> bit) & 1;
            for digit in rest.iter_mut().rev() {
                let top = *digit >> 7;
                *digit = (*digit << 1) | carry;
                carry = top;
            }
            let mut borrow = 0_u16;
            let subtrahend = std::iter::once(&0).chain(modulus);
            for ((out, digit), taken) in
                less.iter_mut().zip(rest.iter()).rev().zip(subtrahend.rev())
            {
                let difference =
                    u16::from(*digit).wrapping_sub(u16::from(*taken)).wrapping_sub(borrow);
                *out = difference.to_le_bytes()[0];
                borrow = (difference >> 8) & 1;
            }
            // All ones where nothing was borrowed: the difference is then what is left.
            let take = (borrow.to_le_bytes()[0] & 1).wrapping_sub(1);
            for (digit, lesser) in rest.iter_mut().zip(less.iter()) {
                *digit = (*digit & !take) | (lesser & take);
            }
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::remainder;

    #[test]
    fn long_division() {
        for (number, modulus, expect) in [
            (0_u128, 7_u128, 0_u128),
            (6, 7, 6),
            (7, 7, 0),
            (u128::MAX, 1, 0),
            (u128::MAX, 0xffff_fffe, u128::MAX % 0xffff_fffe),
            (
                0x1234_5678_9abc_def0_1122_3344,
                0xfedc_ba98_7654,
                0x1234_5678_9abc_def0_1122_3344 % 0xfedc_ba98_7654,
            ),
            (1 << 127, (1 << 127) - 1, 1),
        ] {
            let rest = remainder(&number.to_be_bytes(), &modulus.to_be_bytes());
            let (top, rest) = rest.split_first().unwrap();
            assert_eq!((*top, u128::from_be_bytes(rest.try_into().unwrap())), (0, expect));
        }
    }
}
