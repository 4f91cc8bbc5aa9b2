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

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(t) => write!(f, "{t}"),
            Err(_) => f.write_str("9999-12-31T23:59:59Z"),
        }
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
    fn part_of_a_second_counts_as_one() {
        let t = Timestamp::from_seconds(10);
        assert_eq!(t.seconds_until(Timestamp(10_000_000_001)), 1);
        assert_eq!(t.seconds_until(Timestamp(9_000_000_000)), 0);
    }
}
