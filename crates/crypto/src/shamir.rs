//! Shamir's secret sharing in Vault's share form: for each byte of the secret the value of a random
//! polynomial over GF(2^8) (reduced by 0x11b), and at the end one byte with the share's x
//! coordinate. Shares made here combine in Vault and the other way round.
//!
//! The field arithmetic (vsss-rs) is free of look-ups and branches on secrets
//! (threats: GHSA-34fc-gh42-pj53, CVE-2023-25000); x coordinates are random, distinct and not zero.

use strongroom_base::{Error, Result, Rng, SecretBytes};
use vsss_rs::{Gf256, IdentifierGf256};
use zeroize::Zeroize;

use crate::rng::Adapter;

/// The most shares a secret can be split into.
pub const SHARES_MAX: usize = 255;

/// Splits `secret` into `parts` shares of which any `threshold` give it back; both at least 2. A
/// single share of a single key holder is the key itself and no matter of this module.
pub fn split(
    secret: &[u8],
    parts: usize,
    threshold: usize,
    rng: &dyn Rng,
) -> Result<Vec<SecretBytes>> {
    split_at(secret, parts, threshold, coordinates(rng), rng)
}

/// As [`split`], with the x coordinates 1, 2, 3 and so on in the order of the shares, as SOPS numbers
/// its groups of keys.
pub fn split_in_order(
    secret: &[u8],
    parts: usize,
    threshold: usize,
    rng: &dyn Rng,
) -> Result<Vec<SecretBytes>> {
    split_at(secret, parts, threshold, in_order(), rng)
}

fn split_at(
    secret: &[u8],
    parts: usize,
    threshold: usize,
    coordinates: [u8; SHARES_MAX],
    rng: &dyn Rng,
) -> Result<Vec<SecretBytes>> {
    let refused = |text| Err(Error::bad_request(text));
    match () {
        () if parts < threshold => return refused("parts cannot be less than threshold"),
        () if parts > SHARES_MAX => return refused("parts cannot exceed 255"),
        () if threshold < 2 => return refused("threshold must be at least 2"),
        () if secret.is_empty() => return refused("cannot split an empty secret"),
        () => {}
    }
    let ids = coordinates.iter().map(|x| IdentifierGf256(Gf256(*x)));
    let shares =
        Gf256::split_bytes_with_participant_ids_iter(threshold, parts, secret, Adapter(rng), ids)
            .map_err(|_| Error::internal("a secret could not be split"))?;
    Ok(shares
        .into_iter()
        .map(|mut share| {
            share.rotate_left(1);
            SecretBytes::new(share)
        })
        .collect())
}

/// Gives back the secret of which `shares` are shares. With fewer than the threshold, or with
/// shares of different secrets, the answer is another secret: only its use can tell.
pub fn combine(shares: &[&[u8]]) -> Result<SecretBytes> {
    let refused = |text| Err(Error::bad_request(text));
    if shares.len() < 2 {
        return refused("less than two parts cannot be used to reconstruct the secret");
    }
    if shares[0].len() < 2 {
        return refused("parts must be at least two bytes");
    }
    if shares.iter().any(|share| share.len() != shares[0].len()) {
        return refused("all parts must be the same length");
    }
    // vsss-rs wants the coordinate in front.
    let mut turned: Vec<Vec<u8>> = shares
        .iter()
        .map(|share| {
            let mut share = share.to_vec();
            share.rotate_right(1);
            share
        })
        .collect();
    let combined = Gf256::combine_bytes(&turned);
    turned.iter_mut().for_each(Zeroize::zeroize);
    match combined {
        Ok(secret) => Ok(SecretBytes::new(secret)),
        Err(vsss_rs::Error::SharingDuplicateIdentifier) => refused("duplicate part detected"),
        Err(_) => refused("a part is not a share"),
    }
}

/// All x coordinates: each but zero, which is the secret's.
fn in_order() -> [u8; SHARES_MAX] {
    let mut all = [0; SHARES_MAX];
    for (x, at) in (1..=u8::MAX).zip(&mut all) {
        *at = x;
    }
    all
}

/// All x coordinates in random order (Fisher–Yates, each order equally likely).
fn coordinates(rng: &dyn Rng) -> [u8; SHARES_MAX] {
    let mut all = in_order();
    for last in (1..SHARES_MAX).rev() {
        all.swap(last, below(last + 1, rng));
    }
    all
}

/// A random number below `bound` (at most 256), each equally likely.
fn below(bound: usize, rng: &dyn Rng) -> usize {
    let whole = 256 - 256 % bound;
    loop {
        let [byte] = rng.array::<1>();
        if usize::from(byte) < whole {
            return usize::from(byte) % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::TestRng;

    fn refs(shares: &[SecretBytes]) -> Vec<&[u8]> {
        shares.iter().map(|share| share.expose_secret().as_slice()).collect()
    }

    /// Observed: the unseal keys of one `operator init -key-shares=5 -key-threshold=3` of a real
    /// server (bao 2.6), and what they combine to, computed apart from this code by schoolbook
    /// interpolation.
    const OBSERVED: [&str; 5] = [
        "3ee7b80daa1167a15591d9417e5676e9ec2500b1b42a6e82db038295d4f2232a9c",
        "6d3d283a3d1a16a7e3808d635c5c01f78436f22dc88d332c394a9c5fc0247ead6f",
        "da7400a1dc767387b3fa2b81da43d809c461fb87cf1345b8ca01500932b7840732",
        "ffab2694ae2dd467778a66b44a57dc85be82a8f80a85dcaea7ec033c9b48338d78",
        "a24801098eec017be1b82c1f9d0db2dfc3fb55769a3976ffc26c67b9ed13d69471",
    ];
    const OBSERVED_SECRET: &str =
        "845a131e3fb274d15a8cad029f7a026b570950c43db0f8b11da651c3be6e0d1c";

    #[test]
    fn shares_of_a_real_server_combine() {
        let shares = OBSERVED.map(|share| hex::decode(share).unwrap());
        let combined = |picked: &[usize]| {
            let picked: Vec<&[u8]> = picked.iter().map(|i| shares[*i].as_slice()).collect();
            hex::encode(combine(&picked).unwrap().expose_secret())
        };
        for a in 0..5 {
            for b in (0..5).filter(|b| *b != a) {
                assert_ne!(combined(&[a, b]), OBSERVED_SECRET);
                for c in (0..5).filter(|c| *c != a && *c != b) {
                    assert_eq!(combined(&[a, b, c]), OBSERVED_SECRET);
                }
            }
        }
        assert_eq!(combined(&[4, 3, 2, 1, 0]), OBSERVED_SECRET);
    }

    #[test]
    fn every_choice_of_enough_shares_gives_the_secret_back() {
        let rng = TestRng::new(6);
        let secret: [u8; 32] = (&rng as &dyn Rng).array();
        for (parts, threshold) in [(2, 2), (3, 2), (5, 3), (7, 7), (255, 2), (255, 255)] {
            let shares = split(&secret, parts, threshold, &rng).unwrap();
            assert_eq!(shares.len(), parts);
            let shares = refs(&shares);
            let mut seen = std::collections::BTreeSet::new();
            for share in &shares {
                assert_eq!(share.len(), secret.len() + 1);
                assert_ne!(share[secret.len()], 0);
                assert!(seen.insert(share[secret.len()]), "x coordinates are distinct");
            }
            for window in shares.windows(threshold) {
                assert_eq!(*combine(window).unwrap().expose_secret(), secret);
            }
            if threshold > 2 {
                let few = combine(&shares[..threshold - 1]).unwrap();
                assert_ne!(*few.expose_secret(), secret);
            }
        }
    }

    #[test]
    fn shares_can_be_numbered_in_order() {
        let rng = TestRng::new(9);
        let secret: [u8; 32] = (&rng as &dyn Rng).array();
        let shares = split_in_order(&secret, 3, 2, &rng).unwrap();
        let shares = refs(&shares);
        assert_eq!(shares.iter().map(|share| share[secret.len()]).collect::<Vec<_>>(), [1, 2, 3]);
        for two in [[0, 1], [0, 2], [2, 1]] {
            let combined = combine(&two.map(|at| shares[at])).unwrap();
            assert_eq!(*combined.expose_secret(), secret);
        }
        assert!(split_in_order(&secret, 2, 1, &rng).is_err());
    }

    #[test]
    fn coordinates_are_a_random_order_of_all() {
        let rng = TestRng::new(7);
        let (first, second) = (coordinates(&rng), coordinates(&rng));
        assert_ne!(first, second);
        let mut sorted = first;
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(1..=255));
    }

    #[test]
    fn refuses_what_vault_refuses() {
        let rng = TestRng::new(8);
        for (secret, parts, threshold, text) in [
            (&b"key"[..], 2, 3, "parts cannot be less than threshold"),
            (b"key", 256, 3, "parts cannot exceed 255"),
            (b"key", 3, 1, "threshold must be at least 2"),
            (b"key", 1, 1, "threshold must be at least 2"),
            (b"", 3, 2, "cannot split an empty secret"),
        ] {
            assert_eq!(split(secret, parts, threshold, &rng).unwrap_err().public, [text]);
        }
        for (shares, text) in [
            (&[][..], "less than two parts cannot be used to reconstruct the secret"),
            (&[&b"ab"[..]][..], "less than two parts cannot be used to reconstruct the secret"),
            (&[&b"a"[..], b"b"][..], "parts must be at least two bytes"),
            (&[&b"ab"[..], b"abc"][..], "all parts must be the same length"),
            (&[&b"ab"[..], b"cb"][..], "duplicate part detected"),
            (&[&b"ab"[..], b"c\0"][..], "a part is not a share"),
        ] {
            assert_eq!(combine(shares).unwrap_err().public, [text]);
        }
    }
}
