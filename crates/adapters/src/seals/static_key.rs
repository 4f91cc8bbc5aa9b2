//! The `static` seal: a 256-bit key that lies beside the server, in a file or the environment
//! (OpenBao's configuration page "static seal").
//!
//! A wrapped root key begins with the id of the key that wrapped it, so that a key can be replaced:
//! the previous one opens what it wrapped, the current one wraps.

use std::sync::Arc;

use strongroom_base::{Error, Result, Rng, Secret, SecretBytes};
use strongroom_crypto::aead::Key256;
use strongroom_kernel::seal::{RootKey, Seal};
use strongroom_storage::BoxFuture;

/// A named key.
pub struct NamedKey {
    id: String,
    key: Key256,
}

impl NamedKey {
    /// A key of 32 bytes, called `id`.
    pub fn new(id: &str, bytes: &SecretBytes) -> Result<Self> {
        let key: &[u8; 32] = bytes
            .expose_secret()
            .as_slice()
            .try_into()
            .map_err(|_| Error::bad_request("a static seal's key must be 32 bytes"))?;
        if id.is_empty() || id.len() > 255 {
            return Err(Error::bad_request("a static seal's key needs an id of 1 to 255 bytes"));
        }
        Ok(Self { id: id.to_owned(), key: Key256::new(key) })
    }
}

/// The seal.
pub struct StaticSeal {
    current: NamedKey,
    previous: Option<NamedKey>,
    rng: Arc<dyn Rng>,
}

impl StaticSeal {
    /// A seal that wraps with `current` and opens what either key wrapped.
    pub fn new(current: NamedKey, previous: Option<NamedKey>, rng: Arc<dyn Rng>) -> Self {
        Self { current, previous, rng }
    }

    fn seal(&self, root: &RootKey) -> Result<Vec<u8>> {
        let id = self.current.id.as_bytes();
        let nonce = self.rng.array::<12>();
        let mut out = vec![id.len() as u8];
        out.extend_from_slice(id);
        out.extend_from_slice(&nonce);
        self.current.key.seal_into(nonce, id, root.expose_secret(), &mut out)?;
        Ok(out)
    }

    fn open(&self, wrapped: &[u8]) -> Result<RootKey> {
        let damaged = || Error::internal("the static seal's record is damaged");
        let length = usize::from(*wrapped.first().ok_or_else(damaged)?);
        let id = wrapped.get(1..1 + length).ok_or_else(damaged)?;
        let nonce: [u8; 12] = wrapped
            .get(1 + length..13 + length)
            .and_then(|n| n.try_into().ok())
            .ok_or_else(damaged)?;
        let key = std::iter::once(&self.current)
            .chain(&self.previous)
            .find(|k| k.id.as_bytes() == id)
            .ok_or_else(|| {
                Error::unavailable("the store was sealed with a static key of another id")
            })?;
        let plain = key
            .key
            .open(nonce, id, &wrapped[13 + length..])
            .map_err(|_| Error::unavailable("the static seal's key does not open the store"))?;
        let bytes = plain.expose_secret().as_slice().try_into().map_err(|_| damaged())?;
        Ok(Secret::new(bytes))
    }
}

impl Seal for StaticSeal {
    fn kind(&self) -> &'static str {
        "static"
    }
    fn wrap<'a>(&'a self, key: &'a RootKey) -> BoxFuture<'a, Result<Vec<u8>>> {
        Box::pin(async move { self.seal(key) })
    }
    fn unwrap<'a>(&'a self, wrapped: &'a [u8]) -> BoxFuture<'a, Result<RootKey>> {
        Box::pin(async move { self.open(wrapped) })
    }
    fn key_id(&self) -> Option<&str> {
        Some(&self.current.id)
    }
    fn is_current(&self, wrapped: &[u8]) -> bool {
        let length = wrapped.first().map_or(0, |length| usize::from(*length));
        wrapped.get(1..1 + length) == Some(self.current.id.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter;
    impl Rng for Counter {
        fn fill(&self, out: &mut [u8]) {
            out.fill(7);
        }
    }

    fn key(id: &str, byte: u8) -> NamedKey {
        NamedKey::new(id, &vec![byte; 32].into()).unwrap()
    }

    #[test]
    fn a_replaced_key_still_opens_and_a_strange_one_does_not() {
        let rng: Arc<dyn Rng> = Arc::new(Counter);
        let root: RootKey = Secret::new([9; 32]);
        let old = StaticSeal::new(key("a", 1), None, rng.clone());
        let wrapped = old.seal(&root).unwrap();
        let new = StaticSeal::new(key("b", 2), Some(key("a", 1)), rng.clone());
        assert_eq!(new.open(&wrapped).unwrap().expose_secret(), &[9; 32]);
        assert!(old.is_current(&wrapped) && !new.is_current(&wrapped));
        assert!(new.is_current(&new.seal(&root).unwrap()));
        for damaged in [&[][..], &[0], &wrapped[..1], &[9, b'b']] {
            assert!(!new.is_current(damaged));
        }
        let other = StaticSeal::new(key("b", 2), None, rng.clone());
        assert!(other.open(&wrapped).is_err());
        let wrong = StaticSeal::new(key("a", 3), None, rng);
        assert!(wrong.open(&wrapped).is_err());
        assert!(new.open(&wrapped[..5]).is_err());
        assert!(NamedKey::new("a", &vec![0; 31].into()).is_err());
    }
}
