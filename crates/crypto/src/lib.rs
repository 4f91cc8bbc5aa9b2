//! The one crate that names cryptographic primitives: everything else of the workspace asks for
//! "seal this record", "split this key", "is this the password" and never sees a cipher.
//!
//! * No I/O and no clock. Randomness is an argument (`&dyn strongroom_base::Rng`), so that a
//!   simulation is repeatable. There is one exception, which no caller can see in a result:
//!   aws-lc-rs may draw blinding values from its own system generator.
//! * Secrets come back under [`strongroom_base::Secret`] or in types that wipe themselves and show
//!   nothing in `Debug`.
//! * Equality of secrets, MACs and shares is always decided in constant time
//!   (threats: GHSA-34fc-gh42-pj53, CVE-2023-25000).

pub mod aead;
pub mod cipher;
pub mod digest;
pub mod hmac;
pub mod jws;
pub mod keys;
pub mod keywrap;
pub mod ml_dsa;
pub mod ml_kem;
pub mod ocsp;
pub mod otp;
pub mod password;
pub mod pgp;
pub mod pgp_ring;
mod rng;
pub mod sealed_value;
pub mod shamir;
pub mod sign;
pub mod ssh;
pub mod totp;
pub mod x509;
pub mod xwing;

pub use aead::Key256;
pub use digest::{Sha256, Sha512, hash, sha256};
pub use hmac::{HmacKey, hkdf_sha256};

/// Are the two byte strings equal? The time taken depends on their lengths only.
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    a.ct_eq(b).into()
}

#[cfg(test)]
mod wycheproof_tests;

#[cfg(test)]
mod tests {
    use super::constant_time_eq;

    #[test]
    fn equality_sees_every_byte_and_the_length() {
        for (a, b, equal) in [
            (&b"same"[..], &b"same"[..], true),
            (b"", b"", true),
            (b"same", b"samf", false),
            (b"same", b"rame", false),
            (b"same", b"samee", false),
            (b"", b"s", false),
        ] {
            assert_eq!(constant_time_eq(a, b), equal);
        }
    }
}
