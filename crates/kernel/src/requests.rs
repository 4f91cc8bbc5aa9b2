//! How many requests there were, of mounts of which type and with which outcome, and how long they
//! took.
//!
//! Invariant: what is kept does not grow with requests: types of mounts are the binary's plug-ins, and
//! durations are counted in classes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};
use strongroom_base::ErrorKind;

/// Classes of status codes: 1xx to 5xx.
const CLASSES: usize = 5;
/// Classes of durations: four for each power of two of microseconds.
const DURATIONS: usize = 128;
/// Nanoseconds after which the durations of before are forgotten: quantiles are of the last one to two
/// of these.
const WINDOW_NANOS: u64 = 60_000_000_000;

type Classes = [AtomicU64; CLASSES];

/// What is counted of requests.
#[derive(Default)]
pub struct Requests {
    kinds: RwLock<BTreeMap<String, Arc<Classes>>>,
    durations: Mutex<Durations>,
}

struct Durations {
    count: u64,
    nanos: u64,
    began: u64,
    now: [u32; DURATIONS],
    before: [u32; DURATIONS],
}

impl Default for Durations {
    fn default() -> Self {
        Self { count: 0, nanos: 0, began: 0, now: [0; DURATIONS], before: [0; DURATIONS] }
    }
}

/// How long requests took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// How many there were.
    pub count: u64,
    /// Nanoseconds of all of them together.
    pub nanos: u64,
    /// Microseconds within which the half, nine tenths and ninety-nine hundredths of those of the last
    /// minute or two were answered, rounded up to a class.
    pub quantiles: [u64; 3],
}

/// Which hundredths [`Took::quantiles`] are.
pub const QUANTILES: [&str; 3] = ["0.5", "0.9", "0.99"];
const HUNDREDTHS: [u64; 3] = [50, 90, 99];

/// The class of a failure's status.
pub(crate) fn class_of(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::Sealed
        | ErrorKind::Standby
        | ErrorKind::Unavailable
        | ErrorKind::InDoubt
        | ErrorKind::Upstream
        | ErrorKind::Internal => 500,
        _ => 400,
    }
}

impl Requests {
    /// Counts a request of a mount of type `kind` that was answered at `now` (monotonic nanoseconds).
    pub(crate) fn note(&self, kind: &str, status: u16, began: u64, now: u64) {
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        let known = self.kinds.read().get(kind).cloned();
        let classes =
            known.unwrap_or_else(|| self.kinds.write().entry(kind.to_owned()).or_default().clone());
        if let Some(counter) = classes.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.durations.lock().note(now.saturating_sub(began), now);
    }

    /// Requests by type of mount and class of status (`2xx`).
    pub fn counts(&self) -> Vec<(String, &'static str, u64)> {
        const NAMES: [&str; CLASSES] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        let kinds = self.kinds.read();
        let all = kinds.iter().flat_map(|(kind, classes)| {
            let counted = NAMES.iter().zip(classes.iter());
            counted.map(|(class, n)| (kind.clone(), *class, n.load(Ordering::Relaxed)))
        });
        all.filter(|(_, _, n)| *n > 0).collect()
    }

    /// How long requests took, as of `now` (monotonic nanoseconds).
    pub fn took(&self, now: u64) -> Took {
        let mut durations = self.durations.lock();
        durations.turn(now);
        durations.took()
    }
}

impl Durations {
    fn turn(&mut self, now: u64) {
        let windows = now.saturating_sub(self.began) / WINDOW_NANOS;
        if windows == 0 {
            return;
        }
        self.before = if windows == 1 { self.now } else { [0; DURATIONS] };
        self.now = [0; DURATIONS];
        self.began = self.began.saturating_add(windows.saturating_mul(WINDOW_NANOS));
    }

    fn note(&mut self, took: u64, now: u64) {
        self.turn(now);
        self.count += 1;
        self.nanos = self.nanos.saturating_add(took);
        if let Some(counter) = self.now.get_mut(class(took / 1_000)) {
            *counter = counter.saturating_add(1);
        }
    }

    fn took(&self) -> Took {
        let counts = self.now.iter().zip(&self.before).map(|(a, b)| u64::from(*a) + u64::from(*b));
        let all: u64 = counts.clone().sum();
        let quantiles = HUNDREDTHS.map(|hundredths| {
            let wanted = (all * hundredths).div_ceil(100);
            let mut seen = 0;
            let found = counts.clone().position(|n| {
                seen += n;
                seen >= wanted
            });
            if all == 0 { 0 } else { found.map_or(0, bound) }
        });
        Took { count: self.count, nanos: self.nanos, quantiles }
    }
}

/// The class of a duration in microseconds.
fn class(micros: u64) -> usize {
    if micros < 4 {
        return micros as usize;
    }
    let power = micros.ilog2();
    let quarter = (micros >> (power - 2)) & 3;
    (4 * (power as usize - 1) + quarter as usize).min(DURATIONS - 1)
}

/// The first duration, in microseconds, that is too long for a class.
fn bound(class: usize) -> u64 {
    if class < 4 {
        return class as u64 + 1;
    }
    let (power, quarter) = (class / 4 + 1, class % 4);
    (quarter as u64 + 5) << (power - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_within_its_class() {
        for micros in (0..5_000).chain([1 << 20, (1 << 25) + 7, 3 << 28]) {
            let class = class(micros);
            assert!(micros < bound(class), "{micros}");
            assert!(class == 0 || micros >= bound(class - 1), "{micros}");
        }
        assert_eq!(class(u64::MAX), DURATIONS - 1);
    }

    #[test]
    fn requests_are_counted_by_type_and_outcome() {
        let requests = Requests::default();
        let second = 1_000_000_000;
        for n in 0..100 {
            let micros = if n < 95 { 50 } else { 9_000 };
            requests.note("kv", 200, second, second + micros * 1_000);
        }
        requests.note("kv", 404, second, second);
        requests.note("system", 503, second, second);
        assert_eq!(
            requests.counts(),
            [
                ("kv".to_owned(), "2xx", 100),
                ("kv".to_owned(), "4xx", 1),
                ("system".to_owned(), "5xx", 1),
            ]
        );
        let took = requests.took(2 * second);
        assert_eq!((took.count, took.nanos), (102, 95 * 50_000 + 5 * 9_000_000));
        assert_eq!(took.quantiles, [56, 56, 10_240]);
        // What was longer ago than two minutes counts for the sums alone.
        let took = requests.took(200 * second);
        assert_eq!((took.count, took.quantiles), (102, [0; 3]));
    }
}
