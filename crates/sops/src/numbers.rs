//! Numbers and times as Go's standard library reads and writes them: the bytes of the MAC, and what
//! stands in files, hang on it.

/// The shortest decimal digits of a number and where its point is: `0.d1d2… × 10^point`.
fn digits(number: f64) -> (String, i32) {
    let text = format!("{:e}", number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    (mantissa.replace('.', ""), exponent + 1)
}

fn not_finite(number: f64) -> Option<&'static str> {
    match number {
        _ if number.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// The shortest decimal text without an exponent (`strconv.FormatFloat(x, 'f', -1, 64)`).
pub fn plain_float(number: f64) -> String {
    not_finite(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// The shortest text, with an exponent of at least two digits.
fn exponent_float(number: f64, letter: char) -> String {
    let (digits, point) = digits(number);
    let sign = if number.is_sign_negative() { "-" } else { "" };
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    let exponent = point - 1;
    let direction = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{first}{dot}{rest}{letter}{direction}{:02}", exponent.abs())
}

/// The shortest text, with an exponent below 10^-4 and from 10^6
/// (`strconv.FormatFloat(x, 'g', -1, 64)`). The letter is that of the exponent.
pub fn general_float(number: f64, letter: char) -> String {
    if let Some(text) = not_finite(number) {
        return text.to_owned();
    }
    let exponent = if number == 0.0 { 0 } else { digits(number).1 - 1 };
    if (-4..6).contains(&exponent) {
        return plain_float(number);
    }
    exponent_float(number, letter)
}

/// As Go's JSON encoder has it: an exponent below 10^-6 and from 10^21, of as few digits as can be.
/// Nothing for what JSON cannot say.
pub fn json_float(number: f64) -> Option<String> {
    if !number.is_finite() {
        return None;
    }
    let size = number.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Some(plain_float(number));
    }
    Some(exponent_float(number, 'e').replace("e-0", "e-"))
}

/// A whole number with its prefix, as `strconv.ParseInt(x, 0, 64)` reads it: decimal, `0x`, `0o`,
/// `0b`, and octal behind a bare `0`.
pub fn go_int(text: &str) -> Option<i128> {
    let (negative, rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let lower = rest.to_ascii_lowercase();
    let (digits, radix) = match lower.get(..2) {
        Some("0x") => (lower.get(2..)?, 16),
        Some("0o") => (lower.get(2..)?, 8),
        Some("0b") => (lower.get(2..)?, 2),
        _ if lower.len() > 1 && lower.starts_with('0') => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    if digits.is_empty() || !digits.bytes().all(|digit| char::from(digit).is_digit(radix)) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

/// A point in time in one of YAML's forms, as RFC 3339 with the fraction of a second that is there.
pub fn yaml_time(text: &str) -> Option<String> {
    let four = text.bytes().take_while(u8::is_ascii_digit).count();
    if four != 4 || text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let mut reader = TimeReader { rest: text };
    let date = reader.date()?;
    if reader.rest.is_empty() {
        return Some(format!("{date}T00:00:00Z"));
    }
    let separator = reader.letter()?;
    let clock = reader.clock()?;
    let offset = match separator {
        'T' | 't' => reader.offset()?,
        ' ' => "Z".to_owned(),
        _ => return None,
    };
    reader.rest.is_empty().then(|| format!("{date}T{clock}{offset}"))
}

/// RFC 3339, normalised: the zone `Z` where it is UTC, no zeros at the end of a fraction.
pub fn rfc3339(text: &str) -> Option<String> {
    let strict = text.len() >= 20
        && [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')]
            .iter()
            .all(|(at, mark)| text.as_bytes().get(*at) == Some(&(*mark as u8)));
    if strict { yaml_time(text) } else { None }
}

/// The same without the fraction of a second.
pub fn whole_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((before, fraction)) => {
            let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{before}{zone}")
        }
        None => time.to_owned(),
    }
}

struct TimeReader<'a> {
    rest: &'a str,
}

impl TimeReader<'_> {
    fn letter(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = self.rest.get(letter.len_utf8()..)?;
        Some(letter)
    }

    fn mark(&mut self, mark: char) -> Option<()> {
        (self.letter()? == mark).then_some(())
    }

    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if digits < least {
            return None;
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        number.parse().ok()
    }

    fn date(&mut self) -> Option<String> {
        let year = self.number(4, 4)?;
        self.mark('-')?;
        let month = self.number(1, 2)?;
        self.mark('-')?;
        let day = self.number(1, 2)?;
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => return None,
        };
        ((1..=days).contains(&day)).then(|| format!("{year:04}-{month:02}-{day:02}"))
    }

    fn clock(&mut self) -> Option<String> {
        let hour = self.number(1, 2)?;
        self.mark(':')?;
        let minute = self.number(1, 2)?;
        self.mark(':')?;
        let second = self.number(1, 2)?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let fraction = match self.rest.strip_prefix(['.', ',']) {
            Some(rest) if rest.starts_with(|digit: char| digit.is_ascii_digit()) => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let (fraction, rest) = rest.split_at(digits);
                self.rest = rest;
                fraction.get(..9).unwrap_or(fraction).trim_end_matches('0')
            }
            _ => "",
        };
        let dot = if fraction.is_empty() { "" } else { "." };
        Some(format!("{hour:02}:{minute:02}:{second:02}{dot}{fraction}"))
    }

    fn offset(&mut self) -> Option<String> {
        let sign = self.letter()?;
        if sign == 'Z' {
            return Some("Z".to_owned());
        }
        let hours = self.number(2, 2)?;
        self.mark(':')?;
        let minutes = self.number(2, 2)?;
        if !matches!(sign, '+' | '-') || hours > 23 || minutes > 59 {
            return None;
        }
        let utc = hours == 0 && minutes == 0;
        Some(if utc { "Z".to_owned() } else { format!("{sign}{hours:02}:{minutes:02}") })
    }
}
