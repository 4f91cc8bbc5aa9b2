//! `RotationRules`: when a secret is rotated (API page "RotationRulesType", and the guide's page
//! "Rotation schedules").

use strongroom_base::{Recurrence, Result};
use strongroom_kernel::rotation::Schedule;

use super::super::limits::{ROTATION_DAYS_MAX, SCHEDULE_CHARS_MAX};
use super::super::refusals::{invalid_parameter, too_long};

const SECONDS_PER_HOUR: i64 = 3_600;

/// The schedule of rules; `days` 0 and empty texts stand for nothing.
pub fn schedule(days: i64, expression: &str, duration: &str) -> Result<Schedule> {
    if days != 0 && !(1..=ROTATION_DAYS_MAX).contains(&days) {
        return Err(invalid_parameter(format!(
            "RotationRules.AutomaticallyAfterDays must be within 1-{ROTATION_DAYS_MAX}."
        )));
    }
    let text = match (days, expression) {
        (0, "") if duration.is_empty() => return Ok(Schedule::Never),
        (0, "") => {
            return Err(invalid_parameter(
                "RotationRules.Duration is the length of a window, and there is no schedule.",
            ));
        }
        (days, "") => format!("rate({days} days)"),
        (0, expression) => expression.to_owned(),
        _ => {
            return Err(invalid_parameter(
                "You can't specify both AutomaticallyAfterDays and ScheduleExpression in \
                 RotationRules.",
            ));
        }
    };
    if text.chars().count() > SCHEDULE_CHARS_MAX {
        return Err(too_long("rotationRules.scheduleExpression", SCHEDULE_CHARS_MAX));
    }
    let recurrence = Recurrence::parse(&text).map_err(|e| {
        let why = e.public.join("; ");
        invalid_parameter(format!("RotationRules.ScheduleExpression is not valid: {why}."))
    })?;
    let window = match duration {
        "" => 0,
        duration => {
            let hours = hours(duration)
                .ok_or_else(|| invalid_parameter("RotationRules.Duration must be hours, as 3h."))?;
            recurrence.check_window(hours).map_err(|e| {
                let why = e.public.join("; ");
                invalid_parameter(format!(
                    "RotationRules.Duration does not fit the schedule: {why}."
                ))
            })?;
            hours * SECONDS_PER_HOUR
        }
    };
    Ok(Schedule::Recurrence { text, window })
}

/// `3h`: from 1 to 24.
fn hours(duration: &str) -> Option<i64> {
    let digits = duration.strip_suffix('h')?;
    let fits = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|hours| fits && (1..=24).contains(hours))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_as_requests_give_them() {
        let recurrence =
            |text: &str, window| Schedule::Recurrence { text: text.to_owned(), window };
        for (days, expression, duration, expected) in [
            (0, "", "", Schedule::Never),
            (1, "", "", recurrence("rate(1 days)", 0)),
            (1_000, "", "24h", recurrence("rate(1000 days)", 86_400)),
            (0, "rate(4 hours)", "4h", recurrence("rate(4 hours)", 14_400)),
            (0, "cron(0 8 L * ? *)", "", recurrence("cron(0 8 L * ? *)", 0)),
        ] {
            assert_eq!(
                schedule(days, expression, duration).unwrap(),
                expected,
                "{days} {expression}"
            );
        }
        for (days, expression, duration) in [
            (-1, "", ""),
            (1_001, "", ""),
            (1, "rate(1 day)", ""),
            (0, "", "1h"),
            (0, "rate(1 minute)", ""),
            (0, "rate(1 day)", "25h"),
            (0, "rate(1 day)", "0h"),
            (0, "rate(1 day)", "+1h"),
            (0, "rate(1 day)", "1"),
            (0, "rate(1 day)", "1d"),
            (0, "rate(4 hours)", "5h"),
            (0, "cron(0 8 * * *)", ""),
            (0, "cron(0 22 * * ? *)", "3h"),
            (0, &format!("cron({})", "0".repeat(300)), ""),
        ] {
            let code = schedule(days, expression, duration).map(|_| ()).unwrap_err().code.unwrap();
            assert!(matches!(code, "InvalidParameterException" | "ValidationException"));
        }
    }
}
