//! `RotationRules`: when a secret is rotated (API page "RotationRulesType", and the guide's page
//! "Schedule expressions").

use strongroom_base::{Cron, Result, Timestamp};

use super::super::limits::{ROTATION_DAYS_MAX, SCHEDULE_CHARS_MAX};
use super::super::refusals::{invalid_parameter, too_long};

const SECONDS_PER_HOUR: i64 = 3_600;
const SECONDS_PER_DAY: i64 = 86_400;

/// When a secret is rotated.
#[derive(Debug)]
pub enum Rules {
    /// So many seconds after the last time.
    Every(i64),
    /// At these times (UTC).
    Cron(Cron),
}

impl Rules {
    /// Reads rules; none where nothing is said. `days` 0 stands for nothing.
    pub fn read(days: i64, schedule: &str) -> Result<Option<Self>> {
        if days != 0 && !(1..=ROTATION_DAYS_MAX).contains(&days) {
            return Err(invalid_parameter(format!(
                "RotationRules.AutomaticallyAfterDays must be within 1-{ROTATION_DAYS_MAX}."
            )));
        }
        match (days, schedule) {
            (0, "") => Ok(None),
            (days, "") => Ok(Some(Self::Every(days * SECONDS_PER_DAY))),
            (0, schedule) => expression(schedule).map(Some),
            _ => Err(invalid_parameter(
                "You can't specify both AutomaticallyAfterDays and ScheduleExpression in \
                 RotationRules.",
            )),
        }
    }

    /// The first time after `now`.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(seconds) => Some(now.plus_seconds(*seconds)),
            Self::Cron(cron) => cron.next(now),
        }
    }
}

fn expression(text: &str) -> Result<Rules> {
    if text.chars().count() > SCHEDULE_CHARS_MAX {
        return Err(too_long("rotationRules.scheduleExpression", SCHEDULE_CHARS_MAX));
    }
    let inside = |name: &str| text.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    let read = match (inside("rate"), inside("cron")) {
        (Some(rate), _) => self::rate(rate),
        (_, Some(cron)) => self::cron(cron),
        _ => None,
    };
    read.ok_or_else(|| {
        invalid_parameter("RotationRules.ScheduleExpression is no schedule that is served here.")
    })
}

fn rate(text: &str) -> Option<Rules> {
    let (count, unit) = text.trim().split_once(' ')?;
    let count: i64 = count.parse().ok().filter(|n| (1..=SECONDS_PER_DAY).contains(n))?;
    let seconds = match unit.trim() {
        "hour" | "hours" => SECONDS_PER_HOUR,
        "day" | "days" => SECONDS_PER_DAY,
        _ => return None,
    };
    let seconds = count * seconds;
    (seconds <= ROTATION_DAYS_MAX * SECONDS_PER_DAY).then_some(Rules::Every(seconds))
}

/// AWS's six fields as the five of cron: without a year, and with days of the week from 0.
fn cron(text: &str) -> Option<Rules> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday, "*"] = fields.as_slice() else { return None };
    let day = if *day == "?" { "*" } else { day };
    let weekday = if *weekday == "?" { "*".to_owned() } else { weekdays(weekday)? };
    let five = format!("{minute} {hour} {day} {month} {weekday}");
    Cron::parse(&five).ok().map(Rules::Cron)
}

/// Days of the week by AWS's numbers (1 is Sunday) as cron's.
fn weekdays(text: &str) -> Option<String> {
    let one = |day: &str| match day.parse::<u8>() {
        Ok(n @ 1..=7) => Some((n - 1).to_string()),
        Ok(_) => None,
        Err(_) => Some(day.to_owned()),
    };
    let part = |part: &str| {
        let (range, step) = part.split_once('/').map_or((part, None), |(r, s)| (r, Some(s)));
        let range: Option<Vec<String>> = range.split('-').map(one).collect();
        let range = range?.join("-");
        Some(step.map_or(range.clone(), |step| format!("{range}/{step}")))
    };
    let parts: Option<Vec<String>> = text.split(',').map(part).collect();
    Some(parts?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_as_aws_writes_them() {
        // A Thursday.
        let now = Timestamp::parse("2026-01-01T10:30:00Z").unwrap();
        for (days, schedule, next) in [
            (0, "", None),
            (1, "", Some("2026-01-02T10:30:00Z")),
            (1_000, "", Some("2028-09-27T10:30:00Z")),
            (0, "rate(4 hours)", Some("2026-01-01T14:30:00Z")),
            (0, "rate(1 day)", Some("2026-01-02T10:30:00Z")),
            (0, "cron(0 8 * * ? *)", Some("2026-01-02T08:00:00Z")),
            (0, "cron(0 0/4 * * ? *)", Some("2026-01-01T12:00:00Z")),
            (0, "cron(0 8 ? * 1 *)", Some("2026-01-04T08:00:00Z")),
            (0, "cron(0 8 ? * MON-FRI *)", Some("2026-01-02T08:00:00Z")),
            (0, "cron(0 8 ? * 7,2-3 *)", Some("2026-01-03T08:00:00Z")),
            (0, "cron(0 8 1 * ? *)", Some("2026-02-01T08:00:00Z")),
        ] {
            let rules = Rules::read(days, schedule).unwrap();
            let got = rules.and_then(|r| r.next(now)).map(|t| t.to_string());
            assert_eq!(got.as_deref(), next, "{days} {schedule}");
        }
        for (days, schedule) in [
            (-1, ""),
            (1_001, ""),
            (1, "rate(1 day)"),
            (0, "rate(0 days)"),
            (0, "rate(1 minute)"),
            (0, "rate(1001 days)"),
            (0, "cron(0 8 * * *)"),
            (0, "cron(0 8 * * ? 2030)"),
            (0, "cron(0 8 L * ? *)"),
            (0, "cron(0 8 ? * 2#1 *)"),
            (0, "every day"),
            (0, &format!("cron({})", "0".repeat(300))),
        ] {
            let code = Rules::read(days, schedule).map(|_| ()).unwrap_err().code.unwrap();
            assert!(matches!(code, "InvalidParameterException" | "ValidationException"));
        }
    }
}
