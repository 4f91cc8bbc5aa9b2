//! Time and randomness as arguments: production hands in the operating system's, the simulator
//! its own.

use crate::Timestamp;

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time (UTC). It may step in either direction; callers that decide about expiry
    /// use the kernel's guarded clock, which never goes back.
    fn now(&self) -> Timestamp;

    /// Nanoseconds on a clock that never goes back, from an arbitrary start.
    fn monotonic_nanos(&self) -> u64;
}

/// Where random bytes come from: a cryptographically secure generator outside of simulation.
pub trait Rng: Send + Sync + 'static {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);

    /// An array of random bytes.
    fn bytes<const N: usize>(&self) -> [u8; N]
    where
        Self: Sized,
    {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }
}

impl dyn Rng {
    /// An array of random bytes.
    pub fn array<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random version-4 UUID in its usual text form (RFC 9562 §5.4).
    pub fn uuid(&self) -> String {
        let mut b = self.array::<16>();
        b[6] = (b[6] & 0x0f) | 0x40;
        b[8] = (b[8] & 0x3f) | 0x80;
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut out = String::with_capacity(36);
        for (i, byte) in b.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                out.push('-');
            }
            out.push(HEX[usize::from(byte >> 4)] as char);
            out.push(HEX[usize::from(byte & 15)] as char);
        }
        out
    }
}
