//! Inputs for parsers of outside bytes, by seed: the same in each run. Part are samples that were
//! changed in a few places, part is noise.
//!
//! A smoke run, for `cargo test`: it finds what a short search finds, and keeps it found.

use strongroom_base::Rng;

use crate::SimRng;

/// Texts that parsers stumble over.
const PIECES: &[&str] = &[
    "",
    "\0",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    ",",
    ":",
    ";",
    "=",
    "==",
    "/",
    "//",
    "/../",
    "..",
    ".",
    "*",
    "+",
    "%",
    "%00",
    "%2f",
    "%2e%2e",
    "%zz",
    "${",
    "{{",
    "}}",
    "<<EOF\n",
    "/*",
    "#",
    "-",
    "-1",
    "0",
    "00",
    "1e999",
    "1e-999",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775808",
    "0.1",
    "NaN",
    "null",
    "true",
    "s",
    "h",
    "ms",
    "d",
    "1d1h",
    "\u{feff}",
    "é",
    "\u{202e}",
    "\u{10ffff}",
    "hvs.",
    "hvb.",
    "s.",
    "path",
    "capabilities",
];

/// Longest run of one byte that is put in.
const RUN_MAX: u64 = 600;
/// Changes of one sample at most.
const CHANGES_MAX: u64 = 6;
/// Bytes of noise at most.
const NOISE_MAX: u64 = 200;

/// A source of inputs.
pub struct Fuzz {
    rng: std::sync::Arc<SimRng>,
}

impl Fuzz {
    /// The inputs of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { rng: SimRng::new(seed) }
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.rng.fill(&mut bytes);
        u64::from_le_bytes(bytes).checked_rem(end).unwrap_or(0)
    }

    fn place(&self, bytes: &[u8]) -> usize {
        self.below(bytes.len() as u64 + 1) as usize
    }

    /// Some of the bytes, in one piece.
    fn range(&self, bytes: &[u8]) -> std::ops::Range<usize> {
        let (a, b) = (self.place(bytes), self.place(bytes));
        a.min(b)..a.max(b)
    }

    /// One input made of these samples.
    pub fn input(&self, samples: &[&[u8]]) -> Vec<u8> {
        if samples.is_empty() || self.below(10) == 0 {
            let mut noise = vec![0; self.below(NOISE_MAX) as usize];
            self.rng.fill(&mut noise);
            return noise;
        }
        let one = |fuzz: &Self| samples[fuzz.below(samples.len() as u64) as usize];
        let mut bytes = one(self).to_vec();
        for _ in 0..=self.below(CHANGES_MAX) {
            let at = self.place(&bytes);
            match self.below(9) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.below(256) as u8,
                2 => drop(bytes.drain(self.range(&bytes))),
                3 => bytes.truncate(at),
                4 => {
                    let again = bytes[self.range(&bytes)].to_vec();
                    bytes.splice(at..at, again);
                }
                5 => {
                    let other = one(self);
                    let part = other[self.range(other)].to_vec();
                    bytes.splice(at..at, part);
                }
                6 => {
                    let (byte, run) = (self.below(256) as u8, self.below(RUN_MAX));
                    bytes.splice(at..at, std::iter::repeat_n(byte, run as usize));
                }
                _ => {
                    let piece = PIECES[self.below(PIECES.len() as u64) as usize];
                    bytes.splice(at..at, piece.bytes());
                }
            }
        }
        bytes
    }

    /// The same as a text; what is no UTF-8 is replaced.
    pub fn text(&self, samples: &[&str]) -> String {
        let samples: Vec<&[u8]> = samples.iter().map(|sample| sample.as_bytes()).collect();
        String::from_utf8_lossy(&self.input(&samples)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_the_same_by_seed_and_differ_among_themselves() {
        let make = |seed| {
            let fuzz = Fuzz::new(seed);
            (0..1_000).map(|_| fuzz.text(&["{\"a\": [1, 2]}", "x"])).collect::<Vec<_>>()
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        let different: std::collections::BTreeSet<_> = make(1).into_iter().collect();
        assert!(different.len() > 800, "{}", different.len());
    }
}
