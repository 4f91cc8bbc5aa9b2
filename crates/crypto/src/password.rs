//! Passwords as userpass stores them: bcrypt, as Vault does (cost 10).
//!
//! Each call costs tens of milliseconds by design: callers run it off the request's thread.

use strongroom_base::{Error, Result, Rng};

/// The cost that new hashes get (Go's `bcrypt.DefaultCost`, which Vault uses).
pub const COST: u32 = 10;
/// The largest cost taken from outside: each step doubles the time, 16 is some seconds.
pub const COST_MAX: u32 = 16;
/// Bytes of a password; bcrypt would silently ignore what is beyond.
pub const PASSWORD_BYTES_MAX: usize = 72;

/// What is compared against when there is no such user, so that an unknown user costs the same as
/// a wrong password (threat: CVE-2025-6011). It is the hash of a random password nobody kept.
const DUMMY: &str = "$2a$10$hsbmzgDH6bRhoTXeeDPiZ.Z9FkGdXkR/cfCKDOLRBpwtbxoVGshlm";

/// The bcrypt hash of `password`, in the `$2a$` form that Vault's import and export know.
pub fn hash(password: &[u8], rng: &dyn Rng) -> Result<String> {
    hash_with_cost(password, COST, rng)
}

/// As [`hash`], with a cost of the caller's choice up to [`COST_MAX`].
pub fn hash_with_cost(password: &[u8], cost: u32, rng: &dyn Rng) -> Result<String> {
    hash_with_salt(password, cost, rng.array())
}

/// As [`hash_with_cost`], with a salt drawn by the caller: for a thread that has no generator.
pub fn hash_with_salt(password: &[u8], cost: u32, salt: [u8; 16]) -> Result<String> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Error::bad_request("password length exceeds 72 bytes"));
    }
    if cost > COST_MAX {
        return Err(Error::bad_request("bcrypt cost is too high"));
    }
    let parts = bcrypt::hash_with_salt(password, cost, salt)
        .map_err(|_| Error::bad_request("bcrypt cost is out of range"))?;
    Ok(parts.format_for_version(bcrypt::Version::TwoA))
}

/// Is this a bcrypt hash that [`verify`] takes? For hashes that come from outside.
pub fn check_hash(hash: &str) -> Result<()> {
    match hash.parse::<bcrypt::HashParts>() {
        Ok(parts) if (4..=COST_MAX).contains(&parts.get_cost()) => Ok(()),
        _ => Err(Error::bad_request("not a usable bcrypt hash")),
    }
}

/// The cost of a bcrypt hash; `None` where it is none.
pub fn cost(hash: &str) -> Option<u32> {
    hash.parse::<bcrypt::HashParts>().ok().map(|parts| parts.get_cost())
}

/// As [`verify`], with the work of a hash of `cost` in every case: whether the user is there, and
/// what his own hash costs, does not show in the time (threat: CVE-2025-6011).
pub fn verify_at_cost(password: &[u8], hash: Option<&str>, cost: u32) -> bool {
    let own = hash.and_then(self::cost).unwrap_or(COST);
    let equal = verify(password, hash);
    // The work of costs c, c, c + 1, … n - 1 adds up to that of cost n.
    let part = password.get(..PASSWORD_BYTES_MAX).unwrap_or(password);
    for step in own..cost.min(COST_MAX) {
        std::hint::black_box(bcrypt::hash_with_salt(part, step, [0; 16]).is_ok());
    }
    equal
}

/// Is `password` the one that was hashed? `None` stands for an unknown user: it costs what a
/// comparison with a fresh hash costs, and is false.
pub fn verify(password: &[u8], hash: Option<&str>) -> bool {
    let usable = hash.filter(|hash| check_hash(hash).is_ok());
    let equal = bcrypt::verify(password, usable.unwrap_or(DUMMY)).unwrap_or(false);
    // Hashing refuses longer passwords; here one is refused only after the same work.
    equal & usable.is_some() & (password.len() <= PASSWORD_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::TestRng;

    /// From the jBCrypt test suite (Damien Miller): cost 6, password, hash.
    #[test]
    fn jbcrypt_vectors() {
        for (password, hash) in [
            ("", "$2a$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s."),
            ("a", "$2a$06$m0CrhHm10qJ3lXRY.5zDGO3rS2KdeeWLuGmsfGlMfOxih58VYVfxe"),
            ("abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"),
        ] {
            assert!(verify(password.as_bytes(), Some(hash)), "{password:?}");
            assert!(!verify(b"another", Some(hash)));
        }
    }

    #[test]
    fn a_new_hash_has_vaults_cost_and_a_salt_of_its_own() {
        let rng = TestRng::new(4);
        let first = hash(b"correct horse", &rng).unwrap();
        assert!(first.starts_with("$2a$10$"), "{first}");
        assert!(verify(b"correct horse", Some(&first)));
        assert!(!verify(b"correct hors", Some(&first)));
        assert_ne!(hash_with_cost(b"x", 4, &rng).unwrap(), hash_with_cost(b"x", 4, &rng).unwrap());
    }

    #[test]
    fn an_unknown_user_costs_the_same_hash_cve_2025_6011() {
        // The work is the same because the dummy is a real hash of the cost that new hashes get.
        let parts: bcrypt::HashParts = DUMMY.parse().unwrap();
        assert_eq!(parts.get_cost(), COST);
        assert!(!verify(b"anything", None));
        assert!(!verify(b"anything", Some("not a hash")));
    }

    #[test]
    fn a_verification_at_a_cost_says_the_same() {
        let rng = TestRng::new(6);
        let cheap = hash_with_cost(b"x", 4, &rng).unwrap();
        assert_eq!(cost(&cheap), Some(4));
        assert_eq!(cost("not a hash"), None);
        assert!(verify_at_cost(b"x", Some(&cheap), 6));
        assert!(!verify_at_cost(b"y", Some(&cheap), 6));
        assert!(!verify_at_cost(&[b'p'; 100], Some(&cheap), 5));
        assert!(!verify_at_cost(b"x", None, 4));
    }

    #[test]
    fn bounds() {
        let rng = TestRng::new(5);
        let longest = [b'p'; PASSWORD_BYTES_MAX];
        let stored = hash_with_cost(&longest, 4, &rng).unwrap();
        assert!(verify(&longest, Some(&stored)));
        let longer = [b'p'; PASSWORD_BYTES_MAX + 1];
        assert!(hash_with_cost(&longer, 4, &rng).is_err());
        assert!(!verify(&longer, Some(&stored)), "what is beyond 72 bytes is not ignored");
        assert!(hash_with_cost(b"x", COST_MAX + 1, &rng).is_err());
        assert!(hash_with_cost(b"x", 3, &rng).is_err());
        for (hash, good) in [
            (stored.as_str(), true),
            ("$2a$16$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", true),
            ("$2a$17$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", false),
            ("$2a$31$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", false),
            ("$1$06$DCq7YPn5Rq63x1Lad4cll.TV4S6ytwfsfvkgY8jIucDrjc8deX1s.", false),
            ("", false),
        ] {
            assert_eq!(check_hash(hash).is_ok(), good, "{hash}");
        }
    }
}
