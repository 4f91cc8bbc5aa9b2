//! `timestamp`: times by Go's reference time, `Mon Jan 2 15:04:05 MST 2006` (package `time`, "Layout").
//! Always in UTC, where the peer takes the zone of its machine.

use jiff::tz::TimeZone;
use strongroom_base::Timestamp;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// What stands for a part of the time. Of two that begin alike, the longer is first.
const PARTS: &[(&str, Part)] = &[
    ("January", Part::Month),
    ("Jan", Part::MonthShort),
    ("Monday", Part::Day),
    ("Mon", Part::DayShort),
    ("MST", Part::Fixed("UTC")),
    ("002", Part::Of(Number::DayOfYear, b'0', 3)),
    ("01", Part::Of(Number::Month, b'0', 2)),
    ("02", Part::Of(Number::Day, b'0', 2)),
    ("03", Part::Of(Number::Hour12, b'0', 2)),
    ("04", Part::Of(Number::Minute, b'0', 2)),
    ("05", Part::Of(Number::Second, b'0', 2)),
    ("06", Part::Of(Number::YearOfCentury, b'0', 2)),
    ("15", Part::Of(Number::Hour, b'0', 2)),
    ("1", Part::Of(Number::Month, b'0', 0)),
    ("2006", Part::Of(Number::Year, b'0', 4)),
    // Not the day behind a blank, but an underscore before the year.
    ("_2006", Part::UnderscoreYear),
    ("__2", Part::Of(Number::DayOfYear, b' ', 3)),
    ("_2", Part::Of(Number::Day, b' ', 2)),
    ("2", Part::Of(Number::Day, b'0', 0)),
    ("3", Part::Of(Number::Hour12, b'0', 0)),
    ("4", Part::Of(Number::Minute, b'0', 0)),
    ("5", Part::Of(Number::Second, b'0', 0)),
    ("PM", Part::Half(["AM", "PM"])),
    ("pm", Part::Half(["am", "pm"])),
    ("-070000", Part::Fixed("+000000")),
    ("-07:00:00", Part::Fixed("+00:00:00")),
    ("-0700", Part::Fixed("+0000")),
    ("-07:00", Part::Fixed("+00:00")),
    ("-07", Part::Fixed("+00")),
    ("Z070000", Part::Fixed("Z")),
    ("Z07:00:00", Part::Fixed("Z")),
    ("Z0700", Part::Fixed("Z")),
    ("Z07:00", Part::Fixed("Z")),
    ("Z07", Part::Fixed("Z")),
];

#[derive(Clone, Copy)]
enum Part {
    Month,
    MonthShort,
    Day,
    DayShort,
    /// A number, filled up to a width.
    Of(Number, u8, usize),
    UnderscoreYear,
    Half([&'static str; 2]),
    Fixed(&'static str),
}

#[derive(Clone, Copy)]
enum Number {
    Year,
    YearOfCentury,
    Month,
    Day,
    DayOfYear,
    Hour,
    Hour12,
    Minute,
    Second,
}

/// `now` as the layout says.
pub(super) fn format(layout: &[u8], now: Timestamp) -> Result<Vec<u8>, &'static str> {
    let instant = jiff::Timestamp::from_nanosecond(i128::from(now.0))
        .map_err(|_| "the time is out of range")?;
    let time = TimeZone::UTC.to_datetime(instant);
    let mut out = Vec::with_capacity(layout.len());
    let mut rest = layout;
    while let Some((first, behind)) = rest.split_first() {
        if let Some((digits, trim, behind)) = fraction(rest) {
            append_fraction(*first, digits, trim, time.subsec_nanosecond(), &mut out);
            rest = behind;
        } else if let Some((part, behind)) = part(rest) {
            append(part, time, &mut out);
            rest = behind;
        } else {
            out.push(*first);
            rest = behind;
        }
    }
    Ok(out)
}

/// The part that `layout` begins with, and what follows. "Jan" and "Mon" within a longer word are
/// none.
fn part(layout: &[u8]) -> Option<(Part, &[u8])> {
    PARTS.iter().find_map(|(text, part)| {
        let behind = layout.strip_prefix(text.as_bytes())?;
        let short = matches!(part, Part::MonthShort | Part::DayShort);
        let within = short && behind.first().is_some_and(u8::is_ascii_lowercase);
        (!within).then_some((*part, behind))
    })
}

/// A point or comma with zeros or nines behind it that end there: how many, whether zeros at the
/// end are left out, and what follows.
fn fraction(layout: &[u8]) -> Option<(usize, bool, &[u8])> {
    let [b'.' | b',', digits @ ..] = layout else { return None };
    let digit = *digits.first().filter(|d| matches!(d, b'0' | b'9'))?;
    let count = digits.iter().take_while(|d| **d == digit).count();
    let behind = digits.get(count..)?;
    let ends = !behind.first().is_some_and(u8::is_ascii_digit);
    ends.then_some((count, digit == b'9', behind))
}

fn append_fraction(separator: u8, digits: usize, trim: bool, nanos: i32, out: &mut Vec<u8>) {
    if trim && nanos == 0 {
        return;
    }
    let mut text = format!("{nanos:09}");
    text.truncate(digits);
    if trim {
        text.truncate(text.trim_end_matches('0').len());
        if text.is_empty() {
            return;
        }
    }
    out.push(separator);
    out.extend_from_slice(text.as_bytes());
}

fn append(part: Part, time: jiff::civil::DateTime, out: &mut Vec<u8>) {
    let month = usize::try_from(time.month() - 1).ok().and_then(|n| MONTHS.get(n)).copied();
    let day = usize::try_from(time.date().weekday().to_monday_zero_offset()).ok();
    let day = day.and_then(|n| DAYS.get(n)).copied();
    let short = |name: Option<&'static str>| name.and_then(|n| n.get(..3)).unwrap_or("");
    let text = match part {
        Part::Month => month.unwrap_or("").to_owned(),
        Part::MonthShort => short(month).to_owned(),
        Part::Day => day.unwrap_or("").to_owned(),
        Part::DayShort => short(day).to_owned(),
        Part::Fixed(text) => text.to_owned(),
        Part::Half([before, after]) => {
            if time.hour() < 12 {
                before.to_owned()
            } else {
                after.to_owned()
            }
        }
        Part::UnderscoreYear => format!("_{:04}", time.year()),
        Part::Of(number, b' ', width) => format!("{:width$}", value(number, time)),
        Part::Of(number, _, width) => format!("{:0width$}", value(number, time)),
    };
    out.extend_from_slice(text.as_bytes());
}

fn value(number: Number, time: jiff::civil::DateTime) -> i16 {
    let hour12 = |hour: i8| if hour % 12 == 0 { 12 } else { hour % 12 };
    match number {
        Number::Year => time.year(),
        Number::YearOfCentury => time.year().rem_euclid(100),
        Number::Month => time.month().into(),
        Number::Day => time.day().into(),
        Number::DayOfYear => time.date().day_of_year(),
        Number::Hour => time.hour().into(),
        Number::Hour12 => hour12(time.hour()).into(),
        Number::Minute => time.minute().into(),
        Number::Second => time.second().into(),
    }
}
