//! Times of certificates: whole seconds, in two forms (RFC 5280 §4.1.2.5).

use strongroom_base::Timestamp;

use super::tlv::{self, Tlv};
use super::{Malformed, Result};

/// The last second of 9999, which stands for "never" (RFC 5280 §4.1.2.5).
pub const LAST: i64 = 253_402_300_799;

/// A time of whole seconds since 1970.
pub fn encode(seconds: i64) -> Vec<u8> {
    let (year, month, day, second) = civil(seconds.clamp(-62_135_596_800, LAST));
    let clock = format!("{:02}{:02}{:02}Z", second / 3600, second / 60 % 60, second % 60);
    match year {
        1950..=2049 => {
            let text = format!("{:02}{month:02}{day:02}{clock}", year % 100);
            tlv::tlv(tlv::UTC_TIME, text.as_bytes())
        }
        _ => {
            let text = format!("{year:04}{month:02}{day:02}{clock}");
            tlv::tlv(tlv::GENERALIZED_TIME, text.as_bytes())
        }
    }
}

/// Seconds since 1970 of an RFC 3339 time, also of one later than clocks go; the years 1678 to 9999.
pub fn rfc3339_seconds(text: &str) -> Option<i64> {
    if let Some(time) = Timestamp::parse(text).filter(|_| text.contains('T')) {
        return Some(time.seconds());
    }
    // Such a far one must be UTC, in whole seconds.
    let digits = text.strip_suffix('Z')?;
    let (date, clock) = digits.split_once('T')?;
    let numbers = |text: &str, by: char| -> Option<Vec<i64>> {
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        text.split(by).map(|part| part.parse().ok().filter(|_| digits(part))).collect()
    };
    let (date, clock) = (numbers(date, '-')?, numbers(clock, ':')?);
    let (
        [year @ 2_262..=9_999, month @ 1..=12, day @ 1..=31],
        [hour @ 0..=23, minute @ 0..=59, second @ 0..=59],
    ) = (date.as_slice(), clock.as_slice())
    else {
        return None;
    };
    let seconds = days(*year, *month, *day) * 86_400 + hour * 3_600 + minute * 60 + second;
    // The 31st of a shorter month is none.
    (civil(seconds).2 == *day).then_some(seconds)
}

/// RFC 3339 text of a time, also of one later than clocks go.
pub fn rfc3339(seconds: i64) -> String {
    let (year, month, day, second) = civil(seconds.clamp(-62_135_596_800, LAST));
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month, day and second of the day.
fn civil(seconds: i64) -> (i64, i64, i64, i64) {
    let days = seconds.div_euclid(86_400);
    // Howard Hinnant's `civil_from_days`, with years that begin in March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day, seconds.rem_euclid(86_400))
}

/// Whole seconds since 1970 of a UTCTime or GeneralizedTime.
pub fn decode(time: &Tlv<'_>) -> Result<i64> {
    const BAD: Malformed = Malformed("a time is malformed");
    let text = std::str::from_utf8(time.value).map_err(|_| BAD)?;
    if !text.is_ascii() {
        return Err(BAD);
    }
    let (year, rest): (i64, &str) = match time.tag {
        tlv::UTC_TIME if text.len() >= 2 => {
            let (year, rest) = text.split_at(2);
            let year: i64 = year.parse().map_err(|_| BAD)?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
        }
        tlv::GENERALIZED_TIME if text.len() >= 4 => {
            let (year, rest) = text.split_at(4);
            (year.parse().map_err(|_| BAD)?, rest)
        }
        _ => return Err(BAD),
    };
    let digits = rest.strip_suffix('Z').ok_or(BAD)?;
    // Seconds may be missing in old UTCTimes; parts of seconds are cut off.
    let digits = digits.split_once('.').map_or(digits, |(whole, _)| whole);
    let part = |at: usize| digits.get(at..at + 2);
    let (Some(month), Some(day), Some(hour), Some(minute)) = (part(0), part(2), part(4), part(6))
    else {
        return Err(BAD);
    };
    let second = part(8).unwrap_or("00");
    let clock = format!("{hour}:{minute}:{second}Z");
    let text = format!("{year:04}-{month}-{day}T{clock}");
    rfc3339_seconds(&text).ok_or(BAD)
}

/// Days since 1970, by the reverse of [`civil`].
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
