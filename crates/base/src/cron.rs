//! Schedules as `cron` has them: five fields (minute, hour, day of month, month, day of week), in
//! UTC. What is accepted and when it falls due follows Vault's `rotation_schedule`, which is the
//! standard form of Go's robfig/cron: a day fits when both day fields fit, or, where both say
//! something, when one of them does.

use jiff::civil::Date;

use crate::{Error, Result, Timestamp};

/// Bytes of a schedule's text.
pub const CRON_BYTES_MAX: usize = 256;
/// Years looked ahead: a schedule that does not occur in them never does.
const YEARS_MAX: i16 = 9;
const SECONDS_PER_DAY: i64 = 86_400;

/// The names of one field's values, from its smallest on.
pub(crate) const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
pub(crate) const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// Short forms of whole schedules.
const SHORT: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Field,
    hours: Field,
    days: Field,
    months: Field,
    weekdays: Field,
}

/// The values of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub bits: u64,
    /// Does it say nothing (`*`)?
    pub any: bool,
}

/// What a field may hold.
pub(crate) struct Bounds {
    pub name: &'static str,
    pub min: u32,
    pub max: u32,
    pub names: &'static [&'static str],
}

pub(crate) const MINUTE: Bounds = Bounds { name: "minute", min: 0, max: 59, names: &[] };
pub(crate) const HOUR: Bounds = Bounds { name: "hour", min: 0, max: 23, names: &[] };
pub(crate) const DAY: Bounds = Bounds { name: "day of month", min: 1, max: 31, names: &[] };
pub(crate) const MONTH: Bounds = Bounds { name: "month", min: 1, max: 12, names: MONTHS };
const WEEKDAY: Bounds = Bounds { name: "day of week", min: 0, max: 6, names: DAYS };

impl Cron {
    /// Reads a schedule. The error says which field is wrong, and does not repeat it.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > CRON_BYTES_MAX {
            return Err(Error::bad_request("the schedule is too long"));
        }
        let text = text.trim();
        let text = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
            Some(zoned) => match zoned.split_once(char::is_whitespace) {
                Some(("UTC" | "Etc/UTC", rest)) => rest.trim(),
                _ => return Err(Error::bad_request("schedules are in UTC, and in no other zone")),
            },
            None => text,
        };
        let short = SHORT.iter().find(|(name, _)| *name == text).map(|(_, meaning)| *meaning);
        let fields: Vec<&str> = short.unwrap_or(text).split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(Error::bad_request(format!(
                "a schedule has 5 fields (minute, hour, day of month, month, day of week); this has {}",
                fields.len()
            )));
        };
        Ok(Self {
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            weekdays: WEEKDAY.parse(weekday)?,
        })
    }

    /// The first time after `after` that fits; `None` where there is none for years (30 February).
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let minute = after.seconds().div_euclid(60) + 1;
        let mut date = date_of(minute.div_euclid(24 * 60))?;
        let mut from = minute.rem_euclid(24 * 60) as u32;
        let last = date.year().checked_add(YEARS_MAX)?;
        while date.year() <= last {
            if !self.months.has(date.month() as u32) {
                date = date.last_of_month().tomorrow().ok()?;
                from = 0;
                continue;
            }
            if self.fits(date)
                && let Some(minute) = self.minute_of_day(from)
            {
                let seconds = days_of(date) * SECONDS_PER_DAY + i64::from(minute) * 60;
                return Some(Timestamp::from_seconds(seconds)).filter(|next| *next > after);
            }
            date = date.tomorrow().ok()?;
            from = 0;
        }
        None
    }

    fn fits(&self, date: Date) -> bool {
        let day = self.days.has(date.day() as u32);
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset() as u32);
        if self.days.any || self.weekdays.any { day && weekday } else { day || weekday }
    }

    /// The first fitting minute of a day from `from` on.
    fn minute_of_day(&self, from: u32) -> Option<u32> {
        (from / 60..24).filter(|hour| self.hours.has(*hour)).find_map(|hour| {
            let first = if hour == from / 60 { from % 60 } else { 0 };
            (first..60).find(|minute| self.minutes.has(*minute)).map(|minute| hour * 60 + minute)
        })
    }
}

/// The date so many days after the epoch.
pub(crate) fn date_of(days: i64) -> Option<Date> {
    let span = jiff::Span::new().try_days(days).ok()?;
    jiff::civil::date(1970, 1, 1).checked_add(span).ok()
}

pub(crate) fn days_of(date: Date) -> i64 {
    date.duration_since(jiff::civil::date(1970, 1, 1)).as_secs() / SECONDS_PER_DAY
}

impl Field {
    pub fn has(self, value: u32) -> bool {
        self.bits & (1 << value) != 0
    }
}

impl Bounds {
    pub fn parse(&self, text: &str) -> Result<Field> {
        let mut field = Field { bits: 0, any: false };
        for piece in text.split(',') {
            let Field { bits, any } = self.range(piece).ok_or_else(|| self.bad())?;
            field.bits |= bits;
            field.any |= any;
        }
        Ok(field)
    }

    fn bad(&self) -> Error {
        Error::bad_request(format!(
            "the schedule's {} is not a list of ranges within {}-{}",
            self.name, self.min, self.max
        ))
    }

    /// `*`, `a`, `a-b`, each with `/step`. A single value with a step runs to the field's end.
    fn range(&self, text: &str) -> Option<Field> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u32>().ok().filter(|s| *s > 0)?)),
            None => (text, None),
        };
        let any = matches!(range, "*" | "?");
        let (from, to) = match range.split_once('-') {
            _ if any => (self.min, self.max),
            Some((from, to)) => (self.value(from)?, self.value(to)?),
            None if step.is_some() => (self.value(range)?, self.max),
            None => (self.value(range)?, self.value(range)?),
        };
        if from < self.min || to > self.max || from > to {
            return None;
        }
        let step = step.unwrap_or(1);
        let bits = (from..=to).step_by(step as usize).fold(0, |bits, value| bits | 1 << value);
        Some(Field { bits, any: any && step == 1 })
    }

    /// One value, by number or name.
    pub fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        match named {
            Some(place) => u32::try_from(place).ok().map(|place| place + self.min),
            // A sign is no digit.
            None if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    /// Expectations as robfig/cron documents them.
    #[test]
    fn the_next_time_after_another() {
        for (schedule, after, next) in [
            ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
            ("* * * * *", "2025-12-31T23:59:59.5Z", "2026-01-01T00:00:00Z"),
            ("0 0 * * *", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("30 8 * * *", "2026-01-01T08:29:59Z", "2026-01-01T08:30:00Z"),
            ("30 8 * * *", "2026-01-01T08:30:01Z", "2026-01-02T08:30:00Z"),
            ("*/15 * * * *", "2026-01-01T00:44:00Z", "2026-01-01T00:45:00Z"),
            ("5/20 * * * *", "2026-01-01T00:26:00Z", "2026-01-01T00:45:00Z"),
            ("10-30/10 1,13 * * *", "2026-01-01T01:30:00Z", "2026-01-01T13:10:00Z"),
            // A Thursday.
            ("0 0 * * sat", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"),
            ("0 0 * * 0", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 12 * FEB-mar Mon-Fri", "2026-01-01T00:00:00Z", "2026-02-02T12:00:00Z"),
            // Both days say something: one is enough.
            ("0 0 15 * sun", "2026-01-12T00:00:00Z", "2026-01-15T00:00:00Z"),
            ("0 0 15 * sun", "2026-01-15T00:00:00Z", "2026-01-18T00:00:00Z"),
            // A step makes a star say something.
            ("0 0 */10 * sun", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 0 ? * sun", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 0 31 * *", "2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"),
            ("@hourly", "2026-01-01T00:59:00Z", "2026-01-01T01:00:00Z"),
            ("@weekly", "2026-01-01T00:59:00Z", "2026-01-04T00:00:00Z"),
            ("@yearly", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("TZ=UTC 0 6 * * *", "2026-01-01T00:00:00Z", "2026-01-01T06:00:00Z"),
        ] {
            let cron = Cron::parse(schedule).unwrap();
            assert_eq!(cron.next(at(after)), Some(at(next)), "{schedule} after {after}");
        }
        assert_eq!(Cron::parse("0 0 30 2 *").unwrap().next(at("2026-01-01T00:00:00Z")), None);
        assert_eq!(Cron::parse("* * * * *").unwrap().next(Timestamp::MAX), None);
    }

    #[test]
    fn what_is_no_schedule_is_refused_without_being_repeated() {
        for (text, names) in [
            ("", "this has 0"),
            ("* * * *", "this has 4"),
            ("0 * * * * *", "this has 6"),
            ("@every 1h", "this has 2"),
            ("@reboot", "this has 1"),
            ("60 * * * *", "minute"),
            ("-1 * * * *", "minute"),
            ("+1 * * * *", "minute"),
            ("*/0 * * * *", "minute"),
            ("1/2/3 * * * *", "minute"),
            ("1,,2 * * * *", "minute"),
            ("* 24 * * *", "hour"),
            ("* 5-3 * * *", "hour"),
            ("* * 0 * *", "day of month"),
            ("* * 32 * *", "day of month"),
            ("* * * 13 *", "month"),
            ("* * * sun *", "month"),
            ("* * * * 7", "day of week"),
            ("* * * * funday", "day of week"),
            ("TZ=Europe/Berlin * * * * *", "UTC"),
            ("99999999999999999999 * * * *", "minute"),
        ] {
            let error = Cron::parse(text).unwrap_err().public.join("; ");
            assert!(error.contains(names), "{text}: {error}");
            assert!(!error.contains("funday") && !error.contains("9999"), "{error}");
        }
        assert!(Cron::parse(&" ".repeat(CRON_BYTES_MAX + 1)).is_err());
    }
}
