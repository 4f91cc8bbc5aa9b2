//! RSA keys for those who log in with one.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Error, Result, SecretString};
use zeroize::Zeroizing;

/// A new key pair.
pub struct RsaPair {
    /// SubjectPublicKeyInfo, PEM.
    pub public_pem: String,
    /// PKCS#8, PEM.
    pub private_pem: SecretString,
}

/// A new pair of 2,048, 3,072 or 4,096 bits. The randomness is the library's own: a key of which
/// a simulation knew the randomness would be no secret, and its length is all that a caller sees.
pub fn generate(bits: usize) -> Result<RsaPair> {
    let size = match bits {
        2_048 => KeySize::Rsa2048,
        3_072 => KeySize::Rsa3072,
        4_096 => KeySize::Rsa4096,
        _ => return Err(Error::bad_request("invalid key_bits")),
    };
    let failed = |_| Error::internal("an RSA key could not be generated");
    let pair = RsaKeyPair::generate(size).map_err(failed)?;
    let private: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(failed)?;
    Ok(RsaPair {
        public_pem: pem("PUBLIC KEY", public.as_ref()).to_string(),
        private_pem: SecretString::new(pem("PRIVATE KEY", private.as_ref()).to_string()),
    })
}

/// RFC 7468, in lines of 64 characters.
fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    let mut out = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::RsaKeyPair;

    #[test]
    fn a_pair_is_what_it_says() {
        let made = generate(2_048).unwrap();
        let private = made.private_pem.expose_secret();
        let body: String = private.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(body).unwrap();
        let read = RsaKeyPair::from_pkcs8(&der).unwrap();
        let public: PublicKeyX509Der<'_> = read.public_key().as_der().unwrap();
        assert_eq!(*pem("PUBLIC KEY", public.as_ref()), made.public_pem);
        assert_eq!(read.public_modulus_len(), 256);
        assert!(private.lines().all(|line| line.len() <= 64));
        assert!(generate(1_024).is_err());
    }
}
