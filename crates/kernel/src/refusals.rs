//! How many lines of the audit log strangers may fill whose requests ask nothing of anybody: a request that
//! is signed by nobody, or that no door understands, costs its sender nothing.
//!
//! Invariant: what is left out is counted, and the next line that is written says how much it was.

use parking_lot::Mutex;

/// Lines that may be written at once.
const BURST: u64 = 100;
/// Nanoseconds after which there may be one more.
const NANOS_PER_LINE: u64 = 100_000_000;

#[derive(Default)]
struct Spent {
    /// Lines of the burst that are used up.
    lines: u64,
    /// Until when that was counted, in monotonic nanoseconds.
    at: u64,
    /// Refusals without a line since the last one that has one.
    left_out: u64,
}

/// The lines that such refusals have used up lately.
pub struct Refusals {
    spent: Mutex<Spent>,
    burst: u64,
    nanos_per_line: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self::bounded(BURST, NANOS_PER_LINE)
    }
}

impl Refusals {
    /// At most `burst` lines at once, and one more after so many nanoseconds.
    pub(crate) fn bounded(burst: u64, nanos_per_line: u64) -> Self {
        Self { spent: Mutex::default(), burst, nanos_per_line }
    }

    /// May there be a line at `now` (monotonic nanoseconds)? Then how many were left out before it.
    pub(crate) fn take(&self, now: u64) -> Option<u64> {
        let mut spent = self.spent.lock();
        let back = now.saturating_sub(spent.at) / self.nanos_per_line;
        if back > 0 {
            spent.lines = spent.lines.saturating_sub(back);
            spent.at = spent.at.saturating_add(back.saturating_mul(self.nanos_per_line));
        }
        if spent.lines >= self.burst {
            spent.left_out += 1;
            return None;
        }
        if spent.lines == 0 {
            spent.at = now;
        }
        spent.lines += 1;
        Some(std::mem::take(&mut spent.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let refusals = Refusals::default();
        let start = 1_000 * NANOS_PER_LINE;
        let lines = (0..1_000).filter(|_| refusals.take(start).is_some()).count();
        assert_eq!(lines, 100);
        assert_eq!(refusals.take(start + NANOS_PER_LINE - 1), None);
        assert_eq!(refusals.take(start + NANOS_PER_LINE), Some(901));
        assert_eq!(refusals.take(start + NANOS_PER_LINE), None);
        // A quiet time gives the whole burst back, and no more.
        let later = start + 10_000 * NANOS_PER_LINE;
        let lines = (0..1_000).filter(|_| refusals.take(later).is_some()).count();
        assert_eq!(lines, 100);
    }
}
