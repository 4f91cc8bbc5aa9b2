//! Times of signatures, and how long one is good.

use strongroom_base::Timestamp;

use super::amz_date;

/// How far the clocks of who signs and who verifies may be apart: AWS's five minutes.
pub const SKEW_SECONDS: i64 = 300;

/// The time that `X-Amz-Date` says; `None` where it says none.
pub fn read_date(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(8)?;
    let time = rest.strip_prefix('T')?.strip_suffix('Z')?;
    if time.len() != 6 || !date.bytes().chain(time.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let two = |text: &str, at: usize| text.get(at..at + 2)?.parse::<u8>().ok();
    let year = date.get(..4)?.parse().ok()?;
    Timestamp::from_civil(
        [year, two(date, 4)?.into(), two(date, 6)?.into()],
        [two(time, 0)?, two(time, 2)?, two(time, 4)?],
    )
}

/// Is a signature of `date` good at `now`? One in a query is for `expires` seconds. The failure is
/// AWS's text.
pub fn check_fresh(date: Timestamp, now: Timestamp, expires: Option<i64>) -> Result<(), String> {
    let latest = now.plus_seconds(SKEW_SECONDS);
    if date > latest {
        return Err(format!(
            "Signature not yet current: {} is still later than {} ({} + 5 min.)",
            amz_date(date),
            amz_date(latest),
            amz_date(now)
        ));
    }
    let life = expires.unwrap_or(SKEW_SECONDS);
    // To the second, as it is written: a part of one makes no difference.
    let earliest = Timestamp::from_seconds(now.seconds()).plus_seconds(-life);
    if date < earliest {
        let minutes = life / 60;
        return Err(format!(
            "Signature expired: {} is now earlier than {} ({} - {minutes} min.)",
            amz_date(date),
            amz_date(earliest),
            amz_date(now)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_their_bounds() {
        let now = read_date("20261126T140000Z").unwrap();
        assert_eq!(amz_date(now), "20261126T140000Z");
        for bad in ["", "20261126", "2026-11-26T14:00:00Z", "20261126T140000", "20261326T140000Z"] {
            assert_eq!(read_date(bad), None, "{bad}");
        }
        for (seconds, expires, expect) in [
            (0, None, None),
            (-300, None, None),
            (300, None, None),
            (
                -301,
                None,
                Some(
                    "Signature expired: 20261126T135459Z is now earlier than 20261126T135500Z \
                     (20261126T140000Z - 5 min.)",
                ),
            ),
            (
                301,
                None,
                Some(
                    "Signature not yet current: 20261126T140501Z is still later than \
                     20261126T140500Z (20261126T140000Z + 5 min.)",
                ),
            ),
            (-60, Some(60), None),
            (-61, Some(60), Some("Signature expired")),
            (-3_600, Some(3_600), None),
            (301, Some(3_600), Some("not yet current")),
        ] {
            let verdict = check_fresh(now.plus_seconds(seconds), now, expires);
            match expect {
                None => assert_eq!(verdict, Ok(())),
                Some(text) => assert!(verdict.unwrap_err().contains(text), "{seconds}"),
            }
        }
    }
}
