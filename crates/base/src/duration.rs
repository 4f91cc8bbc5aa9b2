//! Durations as Vault's wire and configuration write them: seconds, or Go's `1h30m`, with days.

use std::fmt;

/// A duration in whole seconds, as TTL fields take it: `3600`, `"3600"`, `"1h"`, `"1h30m"`, `"7d"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ttl(pub i64);

/// Reads a duration in seconds. Takes bare numbers (seconds), Go durations (`ns us µs ms s m h`)
/// and, as Vault does beyond Go, whole days (`7d`). Parts of a second are cut off.
pub fn parse_duration(text: &str) -> Option<i64> {
    parse_duration_nanos(text).map(|nanos| nanos / 1_000_000_000)
}

/// As [`parse_duration`], in nanoseconds.
pub fn parse_duration_nanos(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let (negative, mut rest) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut total: f64 = 0.0;
    let mut exact: i128 = 0;
    if rest.bytes().all(|b| b.is_ascii_digit()) {
        exact = rest.parse::<i128>().ok()?.checked_mul(1_000_000_000)?;
    } else {
        while !rest.is_empty() {
            let number_end =
                rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|end| *end > 0)?;
            let (number, tail) = rest.split_at(number_end);
            let unit_end =
                tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, next) = tail.split_at(unit_end);
            let scale: i128 = match unit {
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                "d" => 86_400_000_000_000,
                _ => return None,
            };
            match number.parse::<i128>() {
                Ok(n) => exact = exact.checked_add(n.checked_mul(scale)?)?,
                Err(_) => total += number.parse::<f64>().ok()? * scale as f64,
            }
            rest = next;
        }
    }
    let nanos = exact.checked_add(total as i128)?;
    let nanos = i64::try_from(nanos).ok()?;
    Some(if negative { -nanos } else { nanos })
}

/// Go's text form of a duration in seconds: `720h0m0s`, `1m30s`, `0s`.
pub fn format_go_seconds(seconds: i64) -> String {
    let (sign, s) = if seconds < 0 { ("-", -seconds) } else { ("", seconds) };
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    match (h, m) {
        (0, 0) => format!("{sign}{s}s"),
        (0, _) => format!("{sign}{m}m{s}s"),
        _ => format!("{sign}{h}h{m}m{s}s"),
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_go_seconds(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_vault_reads() {
        for (text, seconds) in [
            ("0", 0),
            ("3600", 3600),
            ("1h", 3600),
            ("1h30m", 5400),
            ("7d", 604_800),
            ("1.5h", 5400),
            ("90s", 90),
            ("1500ms", 1),
            ("-1s", -1),
        ] {
            assert_eq!(parse_duration(text), Some(seconds), "{text}");
        }
        for bad in ["", "h", "1x", "1h-", "abc", "1h 30m", "99999999999999999999h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn prints_as_go_does() {
        assert_eq!(format_go_seconds(0), "0s");
        assert_eq!(format_go_seconds(90), "1m30s");
        assert_eq!(format_go_seconds(2_592_000), "720h0m0s");
    }
}
