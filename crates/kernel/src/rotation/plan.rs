//! When a subject is rotated, and how.

use serde::{Deserialize, Serialize};
use strongroom_base::{Cron, Error, Recurrence, Result, Timestamp};

/// The shortest window of a schedule, in seconds (Vault's).
pub const WINDOW_SECONDS_MIN: i64 = 3_600;
/// What a window of AWS's schedules is counted in.
const SECONDS_PER_HOUR: i64 = 3_600;
/// The longest drain, in seconds.
pub const DRAIN_SECONDS_MAX: i64 = 366 * 24 * 3_600;

/// When a subject is rotated by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Schedule {
    /// Only when somebody asks.
    Never,
    /// So many seconds after the last rotation.
    Every(i64),
    /// By a `cron` schedule in UTC.
    Cron {
        /// The schedule.
        text: String,
        /// Seconds after a time of the schedule within which the rotation must come off; else it
        /// waits for the next. 0 is without end.
        window: i64,
    },
    /// By `rate(…)` or `cron(…)` as AWS has them.
    Recurrence {
        /// The expression.
        text: String,
        /// As of [`Schedule::Cron`].
        window: i64,
    },
}

/// How a subject is rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPlan {
    /// When it is rotated by itself.
    pub schedule: Schedule,
    /// Are there two accounts, so that the credential before stays good for a while? Consumers are
    /// only noted then.
    pub two_accounts: bool,
    /// For how many seconds it stays good at most, for those who have not moved on.
    pub drain_seconds: i64,
}

impl RotationPlan {
    /// A subject with one account: its credential before ends when the next is set.
    pub fn one_account(schedule: Schedule) -> Self {
        Self { schedule, two_accounts: false, drain_seconds: 0 }
    }

    /// A subject with two accounts.
    pub fn two_accounts(schedule: Schedule, drain_seconds: i64) -> Self {
        Self { schedule, two_accounts: true, drain_seconds }
    }

    /// Says what is wrong with it.
    pub fn check(&self) -> Result<()> {
        match &self.schedule {
            Schedule::Every(seconds) if *seconds < 1 => {
                return Err(Error::bad_request("the rotation period must be at least one second"));
            }
            Schedule::Cron { text, window } => {
                let cron = Cron::parse(text)?;
                if *window != 0 && *window < WINDOW_SECONDS_MIN {
                    return Err(Error::bad_request(format!(
                        "the rotation window must be at least {WINDOW_SECONDS_MIN} seconds"
                    )));
                }
                if cron.next(Timestamp::ZERO).is_none() {
                    return Err(Error::bad_request("the rotation schedule never comes about"));
                }
            }
            Schedule::Recurrence { text, window } => {
                let recurrence = Recurrence::parse(text)?;
                if *window != 0 {
                    recurrence.check_window(*window / SECONDS_PER_HOUR)?;
                }
                if recurrence.next(Timestamp::ZERO, Timestamp::ZERO, 0).is_none() {
                    return Err(Error::bad_request("the rotation schedule never comes about"));
                }
            }
            _ => {}
        }
        if !(0..=DRAIN_SECONDS_MAX).contains(&self.drain_seconds) {
            return Err(Error::bad_request(format!(
                "the drain's deadline must be within 0 and {DRAIN_SECONDS_MAX} seconds"
            )));
        }
        Ok(())
    }

    /// When the next rotation is due after one at `rotated`, seen at `now`; [`Timestamp::MAX`] is
    /// never.
    pub fn next(&self, rotated: Timestamp, now: Timestamp) -> Timestamp {
        match &self.schedule {
            Schedule::Never => Timestamp::MAX,
            Schedule::Every(seconds) if rotated.is_zero() => now.plus_seconds(*seconds),
            Schedule::Every(seconds) => rotated.plus_seconds(*seconds),
            Schedule::Cron { text, .. } => {
                // It was read when it was set.
                let next = Cron::parse(text).ok().and_then(|cron| cron.next(now));
                next.unwrap_or(Timestamp::MAX)
            }
            Schedule::Recurrence { text, window } => {
                let recurrence = Recurrence::parse(text).ok();
                let next = recurrence.and_then(|recurrence| recurrence.next(rotated, now, *window));
                next.unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Is the window of a rotation that was due at `due` over?
    pub fn is_missed(&self, due: Timestamp, now: Timestamp) -> bool {
        match self.schedule {
            Schedule::Cron { window, .. } | Schedule::Recurrence { window, .. } if window > 0 => {
                now >= due.plus_seconds(window)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str, window: i64) -> Schedule {
        Schedule::Cron { text: text.to_owned(), window }
    }

    fn recurrence(text: &str, window: i64) -> Schedule {
        Schedule::Recurrence { text: text.to_owned(), window }
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        for (schedule, drain, fine) in [
            (Schedule::Never, 0, true),
            (Schedule::Every(1), 0, true),
            (Schedule::Every(0), 0, false),
            (cron("0 0 * * *", 0), 60, true),
            (cron("0 0 * * *", WINDOW_SECONDS_MIN), 60, true),
            (cron("0 0 * * *", WINDOW_SECONDS_MIN - 1), 60, false),
            (cron("0 0 30 2 *", 0), 60, false),
            (cron("nonsense", 0), 60, false),
            (recurrence("rate(1 day)", 0), 60, true),
            (recurrence("rate(1 day)", 7_200), 60, true),
            (recurrence("rate(4 hours)", 18_000), 60, false),
            (recurrence("cron(0 0 30 2 ? *)", 0), 60, false),
            (recurrence("nonsense", 0), 60, false),
            (Schedule::Never, DRAIN_SECONDS_MAX, true),
            (Schedule::Never, DRAIN_SECONDS_MAX + 1, false),
            (Schedule::Never, -1, false),
        ] {
            let plan = RotationPlan::two_accounts(schedule, drain);
            assert_eq!(plan.check().is_ok(), fine, "{plan:?}");
        }
    }

    #[test]
    fn when_it_is_due_and_when_it_is_too_late() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let (rotated, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T05:00:00Z"));
        for (schedule, rotated, next) in [
            (Schedule::Never, rotated, Timestamp::MAX),
            (Schedule::Every(3_600), rotated, at("2026-01-01T01:00:00Z")),
            (Schedule::Every(3_600), Timestamp::ZERO, at("2026-01-01T06:00:00Z")),
            (cron("0 6 * * *", 0), rotated, at("2026-01-01T06:00:00Z")),
            (cron("0 4 * * *", 0), rotated, at("2026-01-02T04:00:00Z")),
            (recurrence("rate(2 days)", 0), rotated, at("2026-01-03T00:00:00Z")),
            (recurrence("rate(4 hours)", 0), rotated, at("2026-01-01T04:00:00Z")),
            (recurrence("rate(4 hours)", 3_600), rotated, at("2026-01-01T06:00:00Z")),
            (recurrence("cron(0 6 * * ? *)", 0), rotated, at("2026-01-01T06:00:00Z")),
        ] {
            assert_eq!(RotationPlan::one_account(schedule).next(rotated, now), next);
        }
        for (schedule, late, missed) in [
            (Schedule::Every(1), 1_000_000, false),
            (cron("0 6 * * *", 0), 1_000_000, false),
            (cron("0 6 * * *", 3_600), 3_599, false),
            (cron("0 6 * * *", 3_600), 3_600, true),
            (recurrence("rate(1 day)", 0), 1_000_000, false),
            (recurrence("rate(1 day)", 3_600), 3_600, true),
        ] {
            let plan = RotationPlan::one_account(schedule);
            assert_eq!(plan.is_missed(now, now.plus_seconds(late)), missed, "{plan:?} {late}");
        }
    }
}
