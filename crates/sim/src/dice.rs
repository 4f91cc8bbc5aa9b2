//! The one source of chance of a run: a seed decides every choice, so a run can be replayed.

use std::sync::Arc;

use strongroom_base::Rng;
use strongroom_testkit::SimRng;

/// Small random numbers by seed.
#[derive(Clone)]
pub struct Dice(Arc<SimRng>);

impl Dice {
    /// The dice of `seed`; `what` keeps several of one run apart.
    pub fn new(seed: u64, what: u64) -> Self {
        let mixed = (seed ^ (what << 56)).wrapping_mul(0x2545_f491_4f6c_dd1d);
        Self(SimRng::new(mixed))
    }

    /// A number below `sides`.
    pub fn roll(&self, sides: u64) -> u64 {
        u64::from_le_bytes(self.0.bytes()) % sides.max(1)
    }

    /// True once in `of` times.
    pub fn one_in(&self, of: u64) -> bool {
        self.roll(of) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.roll(of.len() as u64) as usize)
    }

    /// One of these texts; "" of none.
    pub fn text<'a>(&self, of: &[&'a str]) -> &'a str {
        self.pick(of).copied().unwrap_or_default()
    }
}
