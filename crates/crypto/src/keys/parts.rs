//! Keys as the numbers that they consist of, for formats that write them so.

use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair as _};
use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};
use num_bigint::BigUint;
use sec1::{EcParameters, EcPrivateKey};
use strongroom_base::{Error, Result, Secret, SecretBytes};

use super::private::{curve_oid, signing};
use super::{Curve, KeyType, PrivateKey, mismatch};

/// The numbers of an RSA key, big-endian.
pub struct RsaParts {
    /// Modulus.
    pub n: Vec<u8>,
    /// Public exponent.
    pub e: Vec<u8>,
    /// Private exponent.
    pub d: SecretBytes,
    /// The two primes.
    pub primes: [SecretBytes; 2],
    /// The private exponent by each prime less one.
    pub exponents: [SecretBytes; 2],
    /// The inverse of the second prime by the first.
    pub coefficient: SecretBytes,
}

/// `RSAPrivateKey` of two primes (RFC 8017, appendix A.1.2).
#[derive(Sequence)]
struct RsaPrivateKey<'a> {
    version: u8,
    n: UintRef<'a>,
    e: UintRef<'a>,
    d: UintRef<'a>,
    p: UintRef<'a>,
    q: UintRef<'a>,
    dp: UintRef<'a>,
    dq: UintRef<'a>,
    qinv: UintRef<'a>,
}

fn broken() -> Error {
    Error::bad_request("the key's numbers are none of a key")
}

impl PrivateKey {
    /// The numbers of an RSA key.
    pub fn rsa_parts(&self) -> Result<RsaParts> {
        let KeyType::Rsa(_) = self.key_type() else { return Err(mismatch()) };
        let der = self.to_traditional_der()?;
        let key = RsaPrivateKey::from_der(der.expose_secret()).map_err(|_| broken())?;
        let secret = |number: UintRef<'_>| Secret::new(number.as_bytes().to_vec());
        Ok(RsaParts {
            n: key.n.as_bytes().to_vec(),
            e: key.e.as_bytes().to_vec(),
            d: secret(key.d),
            primes: [secret(key.p), secret(key.q)],
            exponents: [secret(key.dp), secret(key.dq)],
            coefficient: secret(key.qinv),
        })
    }

    /// The RSA key of these numbers, which are checked against each other.
    pub fn from_rsa_parts(parts: &RsaParts) -> Result<Self> {
        fn number(bytes: &[u8]) -> Result<UintRef<'_>> {
            UintRef::new(bytes).map_err(|_| broken())
        }
        let [p, q] = &parts.primes;
        let [dp, dq] = &parts.exponents;
        let key = RsaPrivateKey {
            version: 0,
            n: number(&parts.n)?,
            e: number(&parts.e)?,
            d: number(parts.d.expose_secret())?,
            p: number(p.expose_secret())?,
            q: number(q.expose_secret())?,
            dp: number(dp.expose_secret())?,
            dq: number(dq.expose_secret())?,
            qinv: number(parts.coefficient.expose_secret())?,
        };
        let der = Secret::new(key.to_der().map_err(|_| broken())?);
        Self::from_pkcs1_der(der.expose_secret())
    }

    /// The private number of an ECDSA key, as long as its curve's.
    pub fn ec_scalar(&self) -> Result<SecretBytes> {
        let KeyType::Ec(_) = self.key_type() else { return Err(mismatch()) };
        let der = self.to_traditional_der()?;
        let key = EcPrivateKey::from_der(der.expose_secret()).map_err(|_| broken())?;
        Ok(Secret::new(key.private_key.to_vec()))
    }

    /// The ECDSA key of a private number of at most the curve's length.
    pub fn from_ec_scalar(curve: Curve, scalar: &[u8]) -> Result<Self> {
        let zeros = curve.bytes().checked_sub(scalar.len()).ok_or_else(broken)?;
        let mut padded = vec![0; zeros];
        padded.reserve_exact(scalar.len());
        padded.extend_from_slice(scalar);
        let padded = Secret::new(padded);
        let mut key = EcPrivateKey {
            private_key: padded.expose_secret(),
            parameters: Some(EcParameters::NamedCurve(curve_oid(curve))),
            public_key: None,
        };
        let der = Secret::new(key.to_der().map_err(|_| broken())?);
        let pair = EcdsaKeyPair::from_private_key_der(signing(curve), der.expose_secret())
            .map_err(|_| broken())?;
        // With its public half, as everybody writes it.
        key.public_key = Some(pair.public_key().as_ref());
        let der = Secret::new(key.to_der().map_err(|_| broken())?);
        Self::from_sec1_der(der.expose_secret())
    }
}

/// A big-endian number in decimal.
pub fn to_decimal(number: &[u8]) -> String {
    BigUint::from_bytes_be(number).to_string()
}

/// A decimal number as big-endian bytes without leading zeros; none where it is none, or longer than
/// any key's.
pub fn from_decimal(text: &str) -> Option<Vec<u8>> {
    const DIGITS_MAX: usize = 2_500;
    let fits = !text.is_empty() && text.len() <= DIGITS_MAX;
    if !fits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    BigUint::parse_bytes(text.as_bytes(), 10).map(|number| number.to_bytes_be())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_again_of_its_numbers() {
        let key = PrivateKey::generate(KeyType::Rsa(2_048)).unwrap();
        let parts = key.rsa_parts().unwrap();
        let again = PrivateKey::from_rsa_parts(&parts).unwrap();
        assert_eq!(again.to_pkcs8_der().expose_secret(), key.to_pkcs8_der().expose_secret());
        let other = PrivateKey::generate(KeyType::Rsa(2_048)).unwrap().rsa_parts().unwrap();
        assert!(PrivateKey::from_rsa_parts(&RsaParts { n: other.n, ..parts }).is_err());
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let key = PrivateKey::generate(KeyType::Ec(curve)).unwrap();
            let scalar = key.ec_scalar().unwrap();
            assert_eq!(scalar.expose_secret().len(), curve.bytes());
            let short: Vec<u8> =
                scalar.expose_secret().iter().copied().skip_while(|byte| *byte == 0).collect();
            let again = PrivateKey::from_ec_scalar(curve, &short).unwrap();
            assert_eq!(again.to_pkcs8_der().expose_secret(), key.to_pkcs8_der().expose_secret());
            assert!(PrivateKey::from_ec_scalar(curve, &[]).is_err());
            assert!(PrivateKey::from_ec_scalar(curve, &vec![0xff; curve.bytes()]).is_err());
            assert!(key.rsa_parts().is_err());
        }
        assert!(key.ec_scalar().is_err());
    }

    #[test]
    fn decimal_numbers() {
        for (bytes, text) in
            [(vec![0], "0"), (vec![1, 0], "256"), (vec![255; 8], "18446744073709551615")]
        {
            assert_eq!(to_decimal(&bytes), text);
            assert_eq!(from_decimal(text), Some(bytes));
        }
        for text in ["", "-1", "1.0", "1e3", "x", &"9".repeat(2_501)] {
            assert_eq!(from_decimal(text), None);
        }
    }
}
