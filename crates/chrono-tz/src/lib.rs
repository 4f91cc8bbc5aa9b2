//! Time zones by their names in the IANA database, for the CEL programs of roles
//! (`time.getHours("Europe/Berlin")`).
//!
//! This stands in the place of the library of the same name, of which `cel` uses what is here. That one
//! keeps the names of all zones' periods as texts, a megabyte of addresses that the loader must relocate
//! whenever the program starts, and that stays in memory for good. Jiff's database is bytes that nothing
//! touches before a program names a zone.

use std::fmt;
use std::str::FromStr;

use chrono::{FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone};
use jiff::tz::{self, TimeZoneDatabase};

/// Coordinated Universal Time.
pub const UTC: Tz = Tz(tz::TimeZone::UTC);

/// A time zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tz(tz::TimeZone);

/// A name that is none of a time zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseError;

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a time zone")
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Tz {
    type Err = ParseError;

    /// The zone of this name, as the database writes it.
    fn from_str(name: &str) -> Result<Self, ParseError> {
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| ParseError)?;
        if zone.iana_name() == Some(name) { Ok(Self(zone)) } else { Err(ParseError) }
    }
}

/// What a zone's clocks differ from UTC at some time.
#[derive(Clone, Debug)]
pub struct TzOffset {
    zone: Tz,
    offset: FixedOffset,
}

impl Offset for TzOffset {
    fn fix(&self) -> FixedOffset {
        self.offset
    }
}

impl Tz {
    fn offset(&self, offset: tz::Offset) -> TzOffset {
        // No zone is a day away.
        let offset = FixedOffset::east_opt(offset.seconds()).unwrap_or_else(|| chrono::Utc.fix());
        TzOffset { zone: self.clone(), offset }
    }
}

impl TimeZone for Tz {
    type Offset = TzOffset;

    fn from_offset(offset: &TzOffset) -> Self {
        offset.zone.clone()
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<TzOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<TzOffset> {
        // As if it were UTC's, to have it in the other library's form.
        let civil = jiff::Timestamp::from_second(local.and_utc().timestamp())
            .map(|at| tz::TimeZone::UTC.to_datetime(at));
        let Ok(civil) = civil else { return MappedLocalTime::None };
        match self.0.to_ambiguous_timestamp(civil).offset() {
            tz::AmbiguousOffset::Unambiguous { offset } => {
                MappedLocalTime::Single(self.offset(offset))
            }
            tz::AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
            tz::AmbiguousOffset::Fold { before, after } => {
                MappedLocalTime::Ambiguous(self.offset(before), self.offset(after))
            }
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> TzOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> TzOffset {
        let at = jiff::Timestamp::from_second(utc.and_utc().timestamp());
        // What the other library cannot say is beyond the year 9999: UTC.
        self.offset(at.map_or(tz::Offset::UTC, |at| self.0.to_offset(at)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Timelike, Utc};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn zones_have_their_names_and_summers() {
        for (zone, time, hour) in [
            ("Europe/Berlin", "2023-05-28T02:00:00Z", 4),
            ("Europe/Berlin", "2023-01-28T02:00:00Z", 3),
            ("America/New_York", "2023-05-28T02:00:00Z", 22),
            ("Asia/Kolkata", "2023-05-28T02:00:00Z", 7),
            ("America/Los_Angeles", "1930-07-01T12:00:00Z", 4),
            ("UTC", "2023-05-28T02:00:00Z", 2),
            ("Etc/GMT+5", "2023-05-28T02:00:00Z", 21),
        ] {
            let zone: Tz = zone.parse().unwrap();
            assert_eq!(at(time).with_timezone(&zone).hour(), hour, "{zone:?} {time}");
        }
        assert_eq!(at("2023-05-28T02:00:00Z").with_timezone(&UTC).hour(), 2);
        for name in ["", "Mars/Base", "europe/berlin", "../../etc/passwd", "Europe"] {
            assert_eq!(name.parse::<Tz>(), Err(ParseError), "{name}");
        }
    }

    #[test]
    fn local_times_are_there_once_twice_or_never() {
        let zone: Tz = "Europe/Berlin".parse().unwrap();
        let local = |text: &str| text.parse::<NaiveDateTime>().unwrap();
        let once = zone.offset_from_local_datetime(&local("2023-05-28T02:30:00"));
        assert_eq!(once.single().unwrap().fix().local_minus_utc(), 7_200);
        let never = zone.offset_from_local_datetime(&local("2023-03-26T02:30:00"));
        assert!(matches!(never, MappedLocalTime::None));
        let twice = zone.offset_from_local_datetime(&local("2023-10-29T02:30:00"));
        let MappedLocalTime::Ambiguous(first, second) = twice else { panic!("{twice:?}") };
        assert_eq!((first.fix().local_minus_utc(), second.fix().local_minus_utc()), (7_200, 3_600));
    }
}
