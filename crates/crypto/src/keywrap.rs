//! AES key wrap with padding (RFC 5649, NIST SP 800-38F §6.3): how keys travel between systems.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use strongroom_base::{Error, Result, SecretBytes};
use zeroize::Zeroize;

/// Bytes of what wraps.
pub const WRAPPING_KEY_BYTES: usize = 32;
/// Most bytes of a key that is wrapped or unwrapped here: any key is far shorter.
pub const WRAPPED_BYTES_MAX: usize = 64 * 1024;

fn kek(wrapping: &[u8; WRAPPING_KEY_BYTES]) -> Result<AesKek> {
    AesKek::new(&AES_256, wrapping).map_err(|_| Error::internal("AES takes every 32 bytes"))
}

/// `key`, wrapped.
pub fn wrap(wrapping: &[u8; WRAPPING_KEY_BYTES], key: &[u8]) -> Result<Vec<u8>> {
    let failed = |_| Error::internal("a key could not be wrapped");
    let mut out = vec![0; key.len() + 15];
    let length = kek(wrapping)?.wrap_with_padding(key, &mut out).map_err(failed)?.len();
    out.truncate(length);
    Ok(out)
}

/// The key that [`wrap`] has wrapped; `None` where it was wrapped by another one or is damaged.
pub fn unwrap(wrapping: &[u8; WRAPPING_KEY_BYTES], wrapped: &[u8]) -> Option<SecretBytes> {
    if wrapped.len() > WRAPPED_BYTES_MAX {
        return None;
    }
    let mut out = vec![0; wrapped.len()];
    let length = kek(wrapping).ok()?.unwrap_with_padding(wrapped, &mut out).map(|key| key.len());
    match length {
        Ok(length) => {
            out.truncate(length);
            Some(SecretBytes::new(out))
        }
        Err(_) => {
            out.zeroize();
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrapped_is_unwrapped_by_the_same_key_alone() {
        for length in [1, 7, 8, 9, 16, 32, 64, 121, 2_400] {
            let key: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let wrapped = wrap(&[3; 32], &key).unwrap();
            assert_eq!(wrapped.len(), key.len().div_ceil(8) * 8 + 8);
            assert_eq!(*unwrap(&[3; 32], &wrapped).unwrap().expose_secret(), key);
            assert!(unwrap(&[4; 32], &wrapped).is_none());
            assert!(unwrap(&[3; 32], &wrapped[..wrapped.len() - 1]).is_none());
            let mut changed = wrapped.clone();
            changed[0] ^= 1;
            assert!(unwrap(&[3; 32], &changed).is_none());
        }
        assert!(unwrap(&[3; 32], &[]).is_none());
        assert!(unwrap(&[3; 32], &vec![0; WRAPPED_BYTES_MAX + 8]).is_none());
    }
}
