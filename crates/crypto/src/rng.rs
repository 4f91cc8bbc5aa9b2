//! Our randomness in the shapes that the primitive crates ask for (two versions of `rand_core`).

use std::convert::Infallible;

use strongroom_base::Rng;

/// `&dyn Rng` as a generator of `rand_core` 0.10 and of `rand_core` 0.6.
pub(crate) struct Adapter<'a>(pub &'a dyn Rng);

impl rand_core::TryRng for Adapter<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.0.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.0.array()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

// `strongroom_base::Rng` promises a cryptographically secure generator.
impl rand_core::TryCryptoRng for Adapter<'_> {}

impl rand_core_06::RngCore for Adapter<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.0.array())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.0.array())
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.0.fill(out);
        Ok(())
    }
}

impl rand_core_06::CryptoRng for Adapter<'_> {}

/// A repeatable generator for this crate's tests: SHA-256 over a counter.
#[cfg(test)]
pub(crate) struct TestRng(pub std::sync::atomic::AtomicU64);

#[cfg(test)]
impl TestRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(std::sync::atomic::AtomicU64::new(seed << 32))
    }
}

#[cfg(test)]
impl Rng for TestRng {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let n = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let block = crate::sha256(&n.to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}
