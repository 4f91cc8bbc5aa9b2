//! Tests whose course is drawn: by which seed, and how long they go on.

/// Chances, all of one seed (xorshift).
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: usize) -> usize {
        usize::try_from(self.next() % sides as u64).unwrap()
    }

    /// One of these.
    pub fn of<T: Clone>(&mut self, some: &[T]) -> T {
        some[self.roll(some.len())].clone()
    }
}

/// A number from the environment: a test's size comes from whoever runs it.
#[allow(clippy::disallowed_methods)]
pub fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}
