//! Key agreement (ECDH, NIST SP 800-56A §5.7.1.2).

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, ECDH_P521, UnparsedPublicKey};
use strongroom_base::{Error, Result, Secret, SecretBytes};

use super::{Curve, KeyType, PrivateKey, PublicKey, mismatch};

impl PrivateKey {
    /// The secret that an ECDSA key shares with the owner of another one on its curve.
    pub fn agree(&self, peer: &PublicKey) -> Result<SecretBytes> {
        let KeyType::Ec(curve) = self.key_type() else { return Err(mismatch()) };
        if peer.key_type() != self.key_type() {
            return Err(Error::bad_request("the peer's public key is not on the key's curve"));
        }
        let algorithm = match curve {
            Curve::P256 => &ECDH_P256,
            Curve::P384 => &ECDH_P384,
            Curve::P521 => &ECDH_P521,
        };
        let own = agreement::PrivateKey::from_private_key_der(
            algorithm,
            self.to_pkcs8_der().expose_secret(),
        )
        .map_err(|_| Error::internal("a private key was refused"))?;
        let peer = UnparsedPublicKey::new(algorithm, peer.raw());
        let invalid = Error::bad_request("the peer's public key is not a point of its curve");
        agreement::agree(&own, peer, invalid, |secret| Ok(Secret::new(secret.to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_have_the_same_secret() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let [a, b] = [(); 2].map(|()| PrivateKey::generate(KeyType::Ec(curve)).unwrap());
            let of_a = a.agree(&b.public().unwrap()).unwrap();
            let of_b = b.agree(&a.public().unwrap()).unwrap();
            assert_eq!(of_a.expose_secret(), of_b.expose_secret());
            assert_eq!(of_a.expose_secret().len(), curve.bytes());
            let other = if curve == Curve::P256 { Curve::P384 } else { Curve::P256 };
            let other = PrivateKey::generate(KeyType::Ec(other)).unwrap().public().unwrap();
            assert!(a.agree(&other).is_err());
        }
        let edwards = PrivateKey::generate(KeyType::Ed25519).unwrap();
        assert!(edwards.agree(&edwards.public().unwrap()).is_err());
    }
}
