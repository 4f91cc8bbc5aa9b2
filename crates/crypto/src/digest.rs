//! Hashes: SHA-256 for our own formats, and the set that `sys/tools/hash` offers by name.

use aws_lc_rs::digest;
use sha3::Digest as _;

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

/// SHA-1 of `data`: only for protocols that prescribe it (key identifiers, TOTP's default), never
/// for a decision of ours.
pub fn sha1(data: &[u8]) -> [u8; 20] {
    let mut out = [0; 20];
    out.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, data).as_ref());
    out
}

/// The names of [`hash`], as Vault's API page "/sys/tools" lists them.
pub const ALGORITHMS: &[&str] = &[
    "sha2-224", "sha2-256", "sha2-384", "sha2-512", "sha3-224", "sha3-256", "sha3-384", "sha3-512",
];

/// The digest of `data` by the algorithm that Vault calls `algorithm`; `None` for a name that is
/// not in [`ALGORITHMS`].
pub fn hash(algorithm: &str, data: &[u8]) -> Option<Vec<u8>> {
    let algorithm = match algorithm {
        "sha2-224" => &digest::SHA224,
        "sha2-256" => &digest::SHA256,
        "sha2-384" => &digest::SHA384,
        "sha2-512" => &digest::SHA512,
        // aws-lc-rs has no SHA3-224.
        "sha3-224" => return Some(sha3::Sha3_224::digest(data).to_vec()),
        "sha3-256" => &digest::SHA3_256,
        "sha3-384" => &digest::SHA3_384,
        "sha3-512" => &digest::SHA3_512,
        _ => return None,
    };
    Some(digest::digest(algorithm, data).as_ref().to_vec())
}

/// SHA-256 of data that comes in pieces. A clone goes on from where the original is.
#[derive(Clone)]
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// A hash of nothing yet.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Takes the next piece.
    pub fn update(&mut self, data: &[u8]) -> &mut Self {
        self.0.update(data);
        self
    }

    /// The digest of all pieces.
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

/// SHA-512 of data that comes in pieces.
pub struct Sha512(digest::Context);

impl Default for Sha512 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha512 {
    /// A hash of nothing yet.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA512))
    }

    /// Takes the next piece.
    pub fn update(&mut self, data: &[u8]) -> &mut Self {
        self.0.update(data);
        self
    }

    /// The digest of all pieces.
    pub fn finish(self) -> [u8; 64] {
        let mut out = [0; 64];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digests of the three bytes "abc": FIPS 180-4 and FIPS 202 example values (NIST CSRC,
    /// "Cryptographic Standards and Guidelines: Examples with Intermediate Values").
    #[test]
    fn nist_examples() {
        for (name, digest) in [
            ("sha2-224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
            ("sha2-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "sha2-384",
                "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed\
                 8086072ba1e7cc2358baeca134c825a7",
            ),
            (
                "sha2-512",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            ("sha3-224", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
            ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
            (
                "sha3-384",
                "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2\
                 98d88cea927ac7f539f1edf228376d25",
            ),
            (
                "sha3-512",
                "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e\
                 10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
            ),
        ] {
            assert_eq!(hex::encode(hash(name, b"abc").unwrap()), digest, "{name}");
            assert!(ALGORITHMS.contains(&name));
        }
        assert_eq!(ALGORITHMS.len(), 8);
        assert_eq!(hex::encode(sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        for unknown in ["", "sha256", "SHA2-256", "md5"] {
            assert!(hash(unknown, b"abc").is_none());
        }
    }

    #[test]
    fn pieces_and_the_whole_agree() {
        let mut pieces = Sha256::new();
        pieces.update(b"a").update(b"").update(b"b");
        let fork = pieces.clone();
        pieces.update(b"c");
        assert_eq!(pieces.finish(), sha256(b"abc"));
        assert_eq!(fork.finish(), sha256(b"ab"));
        assert_eq!(Sha256::default().finish(), sha256(b""));
    }
}
