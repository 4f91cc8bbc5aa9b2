//! Points in time, as nanoseconds since the Unix epoch.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Nanoseconds per second.
pub const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// The form of dates in HTTP's headers.
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

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
    pub const fn from_seconds(seconds: i64) -> Self {
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

    /// A date and a time of day, in UTC; `None` where there is no such.
    pub fn from_civil(
        [year, month, day]: [u16; 3],
        [hour, minute, second]: [u8; 3],
    ) -> Option<Self> {
        let small = |number: u16| i8::try_from(number).ok();
        let year = i16::try_from(year).ok()?;
        let date = jiff::civil::Date::new(year, small(month)?, small(day)?).ok()?;
        let [hour, minute, second] = [hour, minute, second].map(i8::try_from);
        let time = jiff::civil::Time::new(hour.ok()?, minute.ok()?, second.ok()?, 0).ok()?;
        let at = jiff::tz::Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?;
        Some(Self::from_seconds(at.as_second()))
    }

    /// Reads RFC 3339 text, or whole seconds since the epoch.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.parse::<i64>() {
            return Some(Self::from_seconds(seconds));
        }
        let parsed: jiff::Timestamp = text.parse().ok()?;
        i64::try_from(parsed.as_nanosecond()).ok().map(Self)
    }

    /// As HTTP's headers have it, in whole seconds (RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`).
    pub fn to_http_date(self) -> String {
        let seconds = jiff::Timestamp::from_second(self.seconds());
        seconds.map_or_else(|_| String::new(), |at| at.strftime(HTTP_DATE).to_string())
    }

    /// Reads a date of an HTTP header in the form that is written today.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let mut read = jiff::fmt::strtime::parse(HTTP_DATE, text.trim()).ok()?;
        read.set_offset(Some(jiff::tz::Offset::UTC));
        Some(Self::from_seconds(read.to_timestamp().ok()?.as_second()))
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
    fn dates_of_http() {
        let t = Timestamp(784_111_777_500_000_000);
        assert_eq!(t.to_http_date(), "Sun, 06 Nov 1994 08:49:37 GMT");
        let whole = Timestamp::from_seconds(784_111_777);
        assert_eq!(Timestamp::parse_http_date(&t.to_http_date()), Some(whole));
        for none in ["", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov"] {
            assert_eq!(Timestamp::parse_http_date(none), None, "{none}");
        }
    }

    #[test]
    fn part_of_a_second_counts_as_one() {
        let t = Timestamp::from_seconds(10);
        assert_eq!(t.seconds_until(Timestamp(10_000_000_001)), 1);
        assert_eq!(t.seconds_until(Timestamp(9_000_000_000)), 0);
    }
}
