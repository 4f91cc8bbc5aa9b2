//! Schedules as AWS writes them (Secrets Manager's guide, page "Rotation schedules"): `rate(N hours)`,
//! `rate(N days)`, and `cron(…)` with six fields: minutes, hours, day of month, month, day of week (1 is
//! Sunday), year. All in UTC.
//!
//! A rate begins at the hour, one in days at midnight. Of the two day fields one is `?`; steps without a
//! beginning (`/8`) begin at the field's least value. Beyond what that page allows, minutes and years may be
//! said, and `W` as EventBridge has it.

use jiff::civil::Date;

use crate::cron::{self, Bounds, DAY, DAYS, Field, HOUR, MINUTE, MONTH};
use crate::{Error, Result, Timestamp};

/// Bytes of an expression.
pub const RECURRENCE_BYTES_MAX: usize = 256;
/// Years looked ahead: what does not occur in them never does.
const YEARS_MAX: i16 = 60;
const YEAR_MIN: i16 = 1970;
const YEAR_MAX: i16 = 2199;
const SECONDS_PER_HOUR: i64 = 3_600;
const SECONDS_PER_DAY: i64 = 86_400;
const HOURS_PER_DAY: i64 = 24;
/// Hours between two times of a rate at least.
const RATE_HOURS_MIN: i64 = 4;
/// Days between two times of a rate at most.
const RATE_DAYS_MAX: i64 = 1_000;

const WEEKDAY: Bounds = Bounds { name: "day of week", min: 1, max: 7, names: DAYS };

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recurrence {
    /// So many hours after the last time.
    Hours(i64),
    /// So many days after the day of the last time.
    Days(i64),
    /// By the calendar.
    Calendar(Box<Calendar>),
}

/// The fields of `cron(…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    minutes: Field,
    hours: Field,
    months: Field,
    day: Day,
    /// From, to and step; none for all.
    years: Vec<(i16, i16, usize)>,
}

/// Which days.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Day {
    OfMonth(Field),
    LastOfMonth,
    LastWeekdayOfMonth,
    /// The day from Monday to Friday that is nearest to this one, within the month.
    Nearest(u32),
    /// Days of the week, Sunday as 1.
    OfWeek(Field),
    /// The last of these in a month.
    LastOfWeek(u32),
    /// The n-th of these in a month.
    Nth(u32, u32),
}

impl Recurrence {
    /// Reads an expression. The error does not repeat it.
    pub fn parse(text: &str) -> Result<Self> {
        let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
        let read = match (inside("rate"), inside("cron")) {
            _ if text.len() > RECURRENCE_BYTES_MAX => None,
            (Some(text), _) => rate(text),
            (_, Some(text)) => {
                return Calendar::parse(text).map(|calendar| Self::Calendar(Box::new(calendar)));
            }
            _ => None,
        };
        read.ok_or_else(|| {
            Error::bad_request(format!(
                "a schedule is rate(N hours) from {RATE_HOURS_MIN} on, rate(N days) up to \
                 {RATE_DAYS_MAX}, or cron(minutes hours day-of-month month day-of-week year)"
            ))
        })
    }

    /// The first time after `now` for something that was done at `last`; a rate whose time has come and
    /// whose window of so many seconds is over waits for the next day or hour. `None` where there is none
    /// for years.
    pub fn next(&self, last: Timestamp, now: Timestamp, window: i64) -> Option<Timestamp> {
        let (unit, count) = match self {
            Self::Calendar(calendar) => return calendar.next(now),
            Self::Hours(hours) => (SECONDS_PER_HOUR, *hours),
            Self::Days(days) => (SECONDS_PER_DAY, *days),
        };
        let last = if last.is_zero() { now } else { last };
        let due = (last.seconds().div_euclid(unit) + count) * unit;
        let missed = window > 0 && now.seconds() >= due.saturating_add(window);
        Some(Timestamp::from_seconds(match missed {
            true => (now.seconds().div_euclid(unit) + 1) * unit,
            false => due,
        }))
    }

    /// Says what is wrong with windows of so many hours: they may reach neither into the next day nor
    /// into the next window.
    pub fn check_window(&self, hours: i64) -> Result<()> {
        let fits = match self {
            Self::Hours(every) => hours <= (*every).min(HOURS_PER_DAY),
            Self::Days(_) => hours <= HOURS_PER_DAY,
            Self::Calendar(calendar) => calendar.fits_window(hours),
        };
        if (1..=HOURS_PER_DAY).contains(&hours) && fits {
            return Ok(());
        }
        Err(Error::bad_request(
            "a window has at least an hour and ends before the next one and before the next day",
        ))
    }
}

fn rate(text: &str) -> Option<Recurrence> {
    let (count, unit) = text.trim().split_once(' ')?;
    let digits = count.bytes().all(|b| b.is_ascii_digit());
    let count = count.parse::<i64>().ok().filter(|_| digits)?;
    let hours_max = RATE_DAYS_MAX * HOURS_PER_DAY;
    match unit.trim() {
        "hour" | "hours" if (RATE_HOURS_MIN..=hours_max).contains(&count) => {
            Some(Recurrence::Hours(count))
        }
        "day" | "days" if (1..=RATE_DAYS_MAX).contains(&count) => Some(Recurrence::Days(count)),
        _ => None,
    }
}

impl Calendar {
    fn parse(text: &str) -> Result<Self> {
        let fields: Vec<String> = text.split_whitespace().map(with_beginnings).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let [minutes, hours, day, month, weekday, year] = fields.as_slice() else {
            return Err(Error::bad_request(format!(
                "cron() has 6 fields (minutes, hours, day of month, month, day of week, year); this has {}",
                fields.len()
            )));
        };
        let day = match (*day, *weekday) {
            ("?", "?") | ("", _) => None,
            ("?", weekday) => of_week(weekday),
            (day, "?") => of_month(day),
            _ => None,
        };
        let day = day.ok_or_else(|| {
            Error::bad_request(
                "of day of month and day of week one is ?, and the other a list of ranges, a last day \
                 (L, 5L), the n-th (2#1), or the nearest workday (15W)",
            )
        })?;
        let plain = |bounds: &Bounds, text: &str| match text.contains('?') {
            true => Err(Error::bad_request(format!("only days can be ?, not the {}", bounds.name))),
            false => bounds.parse(text),
        };
        let calendar = Self {
            minutes: plain(&MINUTE, minutes)?,
            hours: plain(&HOUR, hours)?,
            months: plain(&MONTH, month)?,
            day,
            years: years(year).ok_or_else(|| {
                Error::bad_request(format!(
                    "the year is not a list of ranges within {YEAR_MIN}-{YEAR_MAX}"
                ))
            })?,
        };
        Ok(calendar)
    }

    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let minute = after.seconds().div_euclid(60) + 1;
        let mut date = cron::date_of(minute.div_euclid(24 * 60))?;
        let mut from = u32::try_from(minute.rem_euclid(24 * 60)).ok()?;
        let last = date.year().checked_add(YEARS_MAX)?;
        while date.year() <= last {
            if !self.is_year(date.year()) {
                date = date.last_of_year().tomorrow().ok()?;
                from = 0;
                continue;
            }
            if !self.months.has(unsigned(date.month())) {
                date = date.last_of_month().tomorrow().ok()?;
                from = 0;
                continue;
            }
            if self.day.is(date)
                && let Some(minute) =
                    (from..24 * 60).find(|m| self.hours.has(m / 60) && self.minutes.has(m % 60))
            {
                let seconds = cron::days_of(date) * SECONDS_PER_DAY + i64::from(minute) * 60;
                return Some(Timestamp::from_seconds(seconds)).filter(|next| *next > after);
            }
            date = date.tomorrow().ok()?;
            from = 0;
        }
        None
    }

    fn is_year(&self, year: i16) -> bool {
        let within = |(from, to, step): &(i16, i16, usize)| {
            (*from..=*to).contains(&year)
                && usize::try_from(year - from).is_ok_and(|past| past % step == 0)
        };
        self.years.is_empty() || self.years.iter().any(within)
    }

    /// Ends a window of so many hours before the next of the same day, and before the day?
    fn fits_window(&self, hours: i64) -> bool {
        let starts: Vec<i64> = (0..24_u32)
            .flat_map(|hour| (0..60_u32).map(move |minute| (hour, minute)))
            .filter(|(hour, minute)| self.hours.has(*hour) && self.minutes.has(*minute))
            .map(|(hour, minute)| i64::from(hour * 60 + minute))
            .collect();
        let length = hours * 60;
        let ends = starts.iter().skip(1).copied().chain([HOURS_PER_DAY * 60]);
        starts.iter().zip(ends).all(|(start, next)| start + length <= next)
    }
}

/// A field whose bare steps say where they begin.
fn with_beginnings(field: &str) -> String {
    let begun =
        |part: &str| if part.starts_with('/') { format!("*{part}") } else { part.to_owned() };
    field.split(',').map(begun).collect::<Vec<_>>().join(",")
}

fn unsigned(number: i8) -> u32 {
    u32::from(number.unsigned_abs())
}

fn of_month(text: &str) -> Option<Day> {
    match text {
        "L" => return Some(Day::LastOfMonth),
        "LW" | "WL" => return Some(Day::LastWeekdayOfMonth),
        _ => {}
    }
    if let Some(day) = text.strip_suffix('W') {
        return DAY.value(day).filter(|day| (1..=31).contains(day)).map(Day::Nearest);
    }
    DAY.parse(text).ok().map(Day::OfMonth)
}

fn of_week(text: &str) -> Option<Day> {
    let day = |text: &str| WEEKDAY.value(text).filter(|day| (1..=7).contains(day));
    if text == "L" {
        // The last day of the week.
        return Some(Day::OfWeek(Field { bits: 1 << 7, any: false }));
    }
    if let Some(which) = text.strip_suffix('L') {
        return day(which).map(Day::LastOfWeek);
    }
    if let Some((which, nth)) = text.split_once('#') {
        let nth = nth.parse().ok().filter(|n| (1..=5).contains(n))?;
        return Some(Day::Nth(day(which)?, nth));
    }
    WEEKDAY.parse(text).ok().map(Day::OfWeek)
}

fn years(text: &str) -> Option<Vec<(i16, i16, usize)>> {
    if text == "*" {
        return Some(Vec::new());
    }
    let year = |text: &str| {
        let year = text.parse::<i16>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
        (YEAR_MIN..=YEAR_MAX).contains(&year).then_some(year)
    };
    let one = |text: &str| {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<usize>().ok().filter(|s| *s > 0)?)),
            None => (text, None),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (YEAR_MIN, YEAR_MAX),
            Some((from, to)) => (year(from)?, year(to)?),
            None if step.is_some() => (year(range)?, YEAR_MAX),
            None => (year(range)?, year(range)?),
        };
        (from <= to).then_some((from, to, step.unwrap_or(1)))
    };
    text.split(',').map(one).collect()
}

impl Day {
    fn is(&self, date: Date) -> bool {
        let day = unsigned(date.day());
        let last = unsigned(date.last_of_month().day());
        // Sunday is 1.
        let weekday = |date: Date| unsigned(date.weekday().to_sunday_zero_offset()) + 1;
        match self {
            Self::OfMonth(days) => days.has(day),
            Self::LastOfMonth => day == last,
            Self::LastWeekdayOfMonth => day == nearest(last, last, weekday(date.last_of_month())),
            Self::Nearest(wanted) if *wanted > last => false,
            Self::Nearest(wanted) => {
                // The weekday of the one that is wanted, counted from this one's.
                let at = (weekday(date) - 1 + 35 + wanted - day) % 7 + 1;
                day == nearest(*wanted, last, at)
            }
            Self::OfWeek(days) => days.has(weekday(date)),
            Self::LastOfWeek(wanted) => weekday(date) == *wanted && day + 7 > last,
            Self::Nth(wanted, nth) => weekday(date) == *wanted && (day - 1) / 7 + 1 == *nth,
        }
    }
}

/// The workday nearest to a day of a month with so many, which falls on this day of the week.
fn nearest(day: u32, last: u32, weekday: u32) -> u32 {
    match weekday {
        1 if day == last => day - 2,
        1 => day + 1,
        7 if day == 1 => day + 2,
        7 => day - 1,
        _ => day,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    /// The examples of the guide's page, and its rules.
    #[test]
    fn when_it_is_next() {
        // A Thursday.
        let now = at("2026-01-01T10:30:00Z");
        for (text, next) in [
            ("rate(4 hours)", "2026-01-01T14:00:00Z"),
            ("rate(1 day)", "2026-01-02T00:00:00Z"),
            ("rate(10 days)", "2026-01-11T00:00:00Z"),
            ("cron(0 8 * * ? *)", "2026-01-02T08:00:00Z"),
            ("cron(0 8/8 * * ? *)", "2026-01-01T16:00:00Z"),
            ("cron(0 4/12 * * ? *)", "2026-01-01T16:00:00Z"),
            ("cron(0 8 1 * ? *)", "2026-02-01T08:00:00Z"),
            ("cron(0 8 1 JAN,APR,JUL,OCT ? *)", "2026-04-01T08:00:00Z"),
            ("cron(0 16 L * ? *)", "2026-01-31T16:00:00Z"),
            ("cron(0 8 ? * MON-FRI *)", "2026-01-02T08:00:00Z"),
            ("cron(0 8 ? * 1 *)", "2026-01-04T08:00:00Z"),
            ("cron(0 8 ? * 7,2-3 *)", "2026-01-03T08:00:00Z"),
            ("cron(0 8 ? * L *)", "2026-01-03T08:00:00Z"),
            ("cron(0 8 ? * 5L *)", "2026-01-29T08:00:00Z"),
            ("cron(0 8 ? * FRIL *)", "2026-01-30T08:00:00Z"),
            ("cron(0 8 ? * SUN#1 *)", "2026-01-04T08:00:00Z"),
            ("cron(0 8 ? * 5#1 *)", "2026-02-05T08:00:00Z"),
            ("cron(0 8 ? * 5#5 *)", "2026-01-29T08:00:00Z"),
            // The 4th is a Sunday, the 10th a Saturday, 31 January one, 28 February one.
            ("cron(0 8 4W * ? *)", "2026-01-05T08:00:00Z"),
            ("cron(0 8 10W * ? *)", "2026-01-09T08:00:00Z"),
            ("cron(0 8 31W * ? *)", "2026-01-30T08:00:00Z"),
            ("cron(0 8 LW 2 ? *)", "2026-02-27T08:00:00Z"),
            // 1 August 2026 is a Saturday, 31 May a Sunday.
            ("cron(0 8 1W 8 ? *)", "2026-08-03T08:00:00Z"),
            ("cron(0 8 31W 5 ? *)", "2026-05-29T08:00:00Z"),
            ("cron(0 8 1 1 ? 2030)", "2030-01-01T08:00:00Z"),
            ("cron(0 8 1 1 ? 2027/10,2029-2031)", "2027-01-01T08:00:00Z"),
            ("cron(45 10 1 1 ? *)", "2026-01-01T10:45:00Z"),
            ("cron(0 8 29 2 ? *)", "2028-02-29T08:00:00Z"),
        ] {
            let next_is = Recurrence::parse(text).unwrap().next(now, now, 0);
            assert_eq!(next_is, Some(at(next)), "{text}");
        }
        let never = |text: &str| Recurrence::parse(text).unwrap().next(now, now, 0);
        assert_eq!(never("cron(0 8 30 2 ? *)"), None);
        assert_eq!(never("cron(0 8 1 1 ? 2020)"), None);
    }

    /// The tables of the guide's page, each row of them.
    #[test]
    fn whatever_the_guide_names_is_read() {
        let now = at("2026-01-01T10:30:00Z");
        for (text, next) in [
            ("cron(0 /8 * * ? *)", "2026-01-01T16:00:00Z"),
            ("cron(0 8/8 * * ? *)", "2026-01-01T16:00:00Z"),
            ("cron(0 2/10 * * ? *)", "2026-01-01T12:00:00Z"),
            ("cron(0 10 * * ? *)", "2026-01-02T10:00:00Z"),
            ("cron(0 18 ? * SAT *)", "2026-01-03T18:00:00Z"),
            ("cron(0 8 1 * ? *)", "2026-02-01T08:00:00Z"),
            ("cron(0 1 ? 1/3 SUN#1 *)", "2026-01-04T01:00:00Z"),
            ("cron(0 17 L * ? *)", "2026-01-31T17:00:00Z"),
            ("cron(0 8 ? * MON-FRI *)", "2026-01-02T08:00:00Z"),
            ("cron(0 16 1,15 * ? *)", "2026-01-01T16:00:00Z"),
            ("cron(0 0 ? * SUN#1 *)", "2026-01-04T00:00:00Z"),
            ("cron(0 8 /2 * ? *)", "2026-01-03T08:00:00Z"),
            ("cron(0 4/12 * * ? *)", "2026-01-01T16:00:00Z"),
            // What the table of wildcards names.
            ("cron(0 8 1-15 * ? *)", "2026-01-02T08:00:00Z"),
            ("cron(0 8 1/2 * ? *)", "2026-01-03T08:00:00Z"),
            ("cron(0 8 1 JAN,APR,JUL,OCT ? *)", "2026-04-01T08:00:00Z"),
            ("cron(0 8 1 1-3 ? *)", "2026-02-01T08:00:00Z"),
            ("cron(0 8 1 1/3 ? *)", "2026-04-01T08:00:00Z"),
            ("cron(0 8 1 /3 ? *)", "2026-04-01T08:00:00Z"),
            ("cron(0 8 ? * SUNL *)", "2026-01-25T08:00:00Z"),
            ("cron(0 8 ? * TUE#3 *)", "2026-01-20T08:00:00Z"),
            ("cron(0 8 ? * 1,4 *)", "2026-01-04T08:00:00Z"),
            ("cron(0 8 ? * 1-4 *)", "2026-01-04T08:00:00Z"),
            ("cron(0 8 ? * 1/2 *)", "2026-01-03T08:00:00Z"),
            ("cron(0 8 ? * /2 *)", "2026-01-03T08:00:00Z"),
            ("cron(0 8 ? * L *)", "2026-01-03T08:00:00Z"),
            ("rate(4 hours)", "2026-01-01T14:00:00Z"),
            ("rate(1 day)", "2026-01-02T00:00:00Z"),
            ("rate(10 days)", "2026-01-11T00:00:00Z"),
        ] {
            let next_is = Recurrence::parse(text).unwrap().next(now, now, 0);
            assert_eq!(next_is, Some(at(next)), "{text}");
        }
    }

    #[test]
    fn a_rate_counts_from_the_last_time_and_waits_for_a_window() {
        let (last, now) = (at("2026-01-01T10:30:00Z"), at("2026-01-05T10:30:00Z"));
        let days = Recurrence::parse("rate(2 days)").unwrap();
        assert_eq!(days.next(last, now, 0), Some(at("2026-01-03T00:00:00Z")), "it is late");
        assert_eq!(days.next(last, now, 3_600), Some(at("2026-01-06T00:00:00Z")));
        assert_eq!(days.next(last, last, 3_600), Some(at("2026-01-03T00:00:00Z")));
        assert_eq!(days.next(Timestamp::ZERO, now, 0), Some(at("2026-01-07T00:00:00Z")));
        let hours = Recurrence::parse("rate(6 hours)").unwrap();
        assert_eq!(hours.next(last, now, 3_600), Some(at("2026-01-05T11:00:00Z")));
    }

    #[test]
    fn windows_do_not_reach_into_each_other() {
        for (text, most) in [
            ("rate(4 hours)", 4),
            ("rate(36 hours)", 24),
            ("rate(1 day)", 24),
            ("cron(0 20 * * ? *)", 4),
            ("cron(0 8/6 * * ? *)", 4),
            ("cron(0 0/2 * * ? *)", 2),
            ("cron(30 22 * * ? *)", 1),
        ] {
            let recurrence = Recurrence::parse(text).unwrap();
            for hours in 1..=most {
                assert!(recurrence.check_window(hours).is_ok(), "{text} {hours}");
            }
            assert!(recurrence.check_window(most + 1).is_err(), "{text}");
            assert!(recurrence.check_window(0).is_err());
        }
        assert!(Recurrence::parse("cron(0/30 8 * * ? *)").unwrap().check_window(1).is_err());
    }

    /// Texts of pieces that mean something somewhere, by a fixed seed.
    #[test]
    fn whatever_is_read_comes_after_now() {
        const PIECES: [&str; 24] = [
            "*", "?", "/", ",", "-", "L", "W", "#", "0", "1", "3", "7", "15", "31", "59", "2030",
            "SUN", "FRI", "JAN", "DEC", "*", "?", "8", "0",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut roll = |end: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(end).unwrap()).unwrap()
        };
        let (now, mut read) = (at("2026-01-01T10:30:00Z"), 0);
        for _ in 0..20_000 {
            let mut fields = ["0", "8", "1", "*", "?", "*"].map(str::to_owned);
            for _ in 0..2 {
                let field = roll(fields.len());
                let pieces = (0..=roll(3)).map(|_| PIECES[roll(PIECES.len())]);
                fields[field] = pieces.collect();
            }
            let text = format!("cron({})", fields.join(" "));
            let Ok(recurrence) = Recurrence::parse(&text) else { continue };
            read += 1;
            let next = recurrence.next(now, now, 0);
            assert!(next.is_none_or(|next| next > now), "{text}");
            let _ = recurrence.check_window(1);
        }
        assert!(read > 20, "{read}");
    }

    #[test]
    fn what_is_no_schedule_is_refused_without_being_repeated() {
        for text in [
            "",
            "rate()",
            "rate(0 days)",
            "rate(3 hours)",
            "rate(1 minute)",
            "rate(1001 days)",
            "rate(+4 days)",
            "rate(24001 hours)",
            "every day",
            "cron(0 8 * * *)",
            "cron(0 8 * * * *)",
            "cron(0 8 ? * ? *)",
            "cron(0 8 1 * 2 *)",
            "cron(? 8 1 * ? *)",
            "cron(0 8 32 * ? *)",
            "cron(0 8 0W * ? *)",
            "cron(0 8 32W * ? *)",
            "cron(0 8 1-5W * ? *)",
            "cron(0 8 ? * 8 *)",
            "cron(0 8 ? * 0 *)",
            "cron(0 8 ? * 2#0 *)",
            "cron(0 8 ? * 2#6 *)",
            "cron(0 8 ? * FUNDAY *)",
            "cron(0 8 L,1 * ? *)",
            "cron(0 / * * ? *)",
            "cron(0 /0 * * ? *)",
            "cron(0 //8 * * ? *)",
            "cron(0 24 * * ? *)",
            "cron(0 8 * 13 ? *)",
            "cron(0 8 * * ? 1969)",
            "cron(0 8 * * ? 2200)",
            "cron(0 8 * * ? 2030-2029)",
            "cron(0 8 * * ? 2030/0)",
            "cron(0 8 * * ?)",
        ] {
            let error = Recurrence::parse(text).unwrap_err().public.join("; ");
            assert!(!error.contains("FUNDAY") && !error.contains("1001"), "{error}");
        }
        assert!(Recurrence::parse(&format!("cron({})", " ".repeat(300))).is_err());
    }
}
