//! Points in time, as nanoseconds since the Unix epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Nanoseconds per second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A point in time (UTC). Displays as RFC 3339 with the nanoseconds that are there, as Go's
/// `time.RFC3339Nano` does.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The Unix epoch; stands for "never" where a record has no time.
    pub const ZERO: Self = Self(0);
    /// Later than any time that occurs.
    pub const MAX: Self = Self(i64::MAX);

    /// From whole seconds since the epoch, saturating.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Whole seconds since the epoch.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// Is this the "never" value?
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This time plus whole seconds, saturating.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(NANOS_PER_SECOND)))
    }

    /// Seconds from `self` until `later`, rounded up, never below zero. A lease that has a part of
    /// a second to live has one second.
    pub fn seconds_until(self, later: Self) -> i64 {
        let nanos = later.0.saturating_sub(self.0).max(0);
        nanos / NANOS_PER_SECOND + i64::from(nanos % NANOS_PER_SECOND > 0)
    }

    /// Reads RFC 3339 text, or whole seconds since the epoch.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse::<i64>() {
            return Some(Self::from_seconds(seconds));
        }
        let parsed: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(parsed.as_nanosecond()).ok().map(Self)
    }

    /// RFC 3339 text, or Go's zero time (`0001-01-01T00:00:00Z`) for "never".
    pub fn to_go_string(self) -> String {
        if self.is_zero() { "0001-01-01T00:00:00Z".to_owned() } else { self.to_string() }
    }
}

/// A [`Timestamp`]'s text on the stack: every audit line has several.
pub struct TimeText {
    bytes: [u8; TIME_BYTES],
    length: usize,
}

/// Bytes of `2006-01-02T15:04:05.999999999Z`.
const TIME_BYTES: usize = 30;

impl TimeText {
    /// The text.
    pub fn as_str(&self) -> &str {
        // Only digits and punctuation are ever written.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl Timestamp {
    /// RFC 3339 text, as `Display` shows it.
    pub fn text(self) -> TimeText {
        let (seconds, nanos) = (self.seconds(), self.0.rem_euclid(NANOS_PER_SECOND));
        let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        let mut bytes = *b"0000-00-00T00:00:00.000000000Z";
        for (at, digits, value) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, second / 3600),
            (14, 2, second / 60 % 60),
            (17, 2, second % 60),
            (20, 9, nanos),
        ] {
            put_digits(&mut bytes[at..at + digits], value);
        }
        let mut length = TIME_BYTES - 1;
        while bytes[length - 1] == b'0' && length > 20 {
            length -= 1;
        }
        // A fraction of nothing has no point either.
        if length == 20 {
            length = 19;
        }
        bytes[length] = b'Z';
        TimeText { bytes, length: length + 1 }
    }
}

const SECONDS_PER_DAY: i64 = 86_400;

fn put_digits(out: &mut [u8], mut value: i64) {
    for byte in out.iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of a day since the epoch, in the proleptic Gregorian calendar. Years are
/// counted from March, so that the leap day is a year's last.
fn civil(day: i64) -> (i64, i64, i64) {
    // Days from 0000-03-01 to the epoch, and in 400 years.
    const EPOCH: i64 = 719_468;
    const ERA: i64 = 146_097;
    let day = day + EPOCH;
    let era = day.div_euclid(ERA);
    let of_era = day.rem_euclid(ERA);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA - 1)) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_rfc3339_and_round_trips() {
        let t = Timestamp(1_700_000_000_123_456_789);
        assert_eq!(t.to_string(), "2023-11-14T22:13:20.123456789Z");
        assert_eq!(Timestamp::parse(&t.to_string()), Some(t));
        assert_eq!(Timestamp::ZERO.to_go_string(), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn every_time_shows_as_the_calendar_has_it() {
        let days = (-106_000..106_000).step_by(23).map(|day: i64| day * 86_400);
        let odd = [0, 1, -1, 86_399, 951_782_400, 4_107_542_399, i64::MAX, i64::MIN];
        for second in days.chain(odd) {
            for nanos in [0, 1, 999_999_999, 120_000_000, 1_000] {
                let t = Timestamp(second.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos));
                let expect = jiff::Timestamp::from_nanosecond(i128::from(t.0)).unwrap();
                assert_eq!(t.to_string(), expect.to_string());
            }
        }
    }

    #[test]
    fn part_of_a_second_counts_as_one() {
        let t = Timestamp::from_seconds(10);
        assert_eq!(t.seconds_until(Timestamp(10_000_000_001)), 1);
        assert_eq!(t.seconds_until(Timestamp(9_000_000_000)), 0);
    }
}
