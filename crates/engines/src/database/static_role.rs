//! What is stored of a static role: its one account or two, how their password is changed and when,
//! and the credential that is published.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, SecretString, Timestamp, Ttl};
use strongroom_connectors::database::CredentialKind;
use strongroom_kernel::record::Record;
use strongroom_kernel::rotation::{RotationPlan, Schedule};
use zeroize::Zeroize;

use super::role::CredentialSettings;

/// Vault's shortest rotation period, in seconds.
const PERIOD_SECONDS_MIN: i64 = 5;
/// For how many seconds the account before stays good where nothing is said: a day.
const DRAIN_SECONDS: i64 = 24 * 3_600;

/// A static role's record.
#[derive(Default, Serialize, Deserialize)]
pub struct StaticRole {
    /// The connection's name.
    pub db_name: String,
    /// Its account, or the two that take turns.
    pub usernames: Vec<String>,
    /// Statements that change a password; empty is the driver's way.
    pub rotation: Vec<String>,
    /// Statements that make an account of the two that is not there; empty makes none.
    pub creation: Vec<String>,
    /// How the accounts prove themselves.
    pub credential: CredentialSettings,
    /// Seconds between two rotations; 0 where there is a schedule.
    pub period: i64,
    /// A `cron` schedule, or "".
    pub schedule: String,
    /// Seconds after a time of the schedule within which it must come off; 0 is without end.
    pub window: i64,
    /// Seconds for which the account before stays good at most.
    pub drain: i64,
    /// What callers get.
    pub published: Option<Published>,
}

impl Record for StaticRole {
    const KIND: u8 = 3;
}

/// The credential that callers get.
#[derive(Serialize, Deserialize)]
pub struct Published {
    /// The version it was published under.
    pub version: u64,
    /// The account.
    pub username: String,
    /// When it was published.
    pub rotated: Timestamp,
    secret: String,
}

impl Drop for Published {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Published {
    /// A credential, published now.
    pub fn new(version: u64, username: &str, secret: &SecretString, rotated: Timestamp) -> Self {
        let secret = secret.expose_secret().clone();
        Self { version, username: username.to_owned(), rotated, secret }
    }

    /// The password, or the private key.
    pub fn secret(&self) -> SecretString {
        SecretString::new(self.secret.clone())
    }
}

/// What a request says of when a role is rotated.
pub struct Timing {
    pub period: Option<Ttl>,
    pub schedule: Option<String>,
    pub window: Option<Ttl>,
    pub drain: Option<Ttl>,
}

impl StaticRole {
    /// Does it have two accounts?
    pub fn has_two(&self) -> bool {
        self.usernames.len() == 2
    }

    /// Applies what a request said of when it is rotated.
    pub fn set_timing(&mut self, said: Timing) -> Result<()> {
        let schedule = said.schedule.filter(|schedule| !schedule.is_empty());
        match (said.period, schedule) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_request(
                    "mutually exclusive fields rotation_period and rotation_schedule were both \
                     specified; only one of them can be provided",
                ));
            }
            (Some(Ttl(seconds)), None) => {
                if seconds < PERIOD_SECONDS_MIN {
                    return Err(Error::bad_request(format!(
                        "rotation_period must be {PERIOD_SECONDS_MIN} seconds or more"
                    )));
                }
                (self.period, self.schedule, self.window) = (seconds, String::new(), 0);
            }
            (None, Some(schedule)) => (self.period, self.schedule) = (0, schedule),
            (None, None) => {}
        }
        if self.period == 0 && self.schedule.is_empty() {
            return Err(Error::bad_request(
                "one of rotation_schedule or rotation_period must be provided to create a static \
                 account",
            ));
        }
        if let Some(Ttl(seconds)) = said.window {
            if self.schedule.is_empty() {
                return Err(Error::bad_request(
                    "rotation_window is invalid with use of rotation_period",
                ));
            }
            self.window = seconds;
        }
        match said.drain {
            Some(_) if !self.has_two() => {
                return Err(Error::bad_request("drain_deadline is for roles with two accounts"));
            }
            Some(Ttl(seconds)) => self.drain = seconds,
            None if self.has_two() && self.drain == 0 => self.drain = DRAIN_SECONDS,
            None => {}
        }
        Ok(())
    }

    /// Refuses accounts whose passwords can't be changed this way.
    pub fn check_accounts(&self, administrator: &str) -> Result<()> {
        if self.usernames.iter().any(|name| name == administrator) {
            // The connection would go on with the password before.
            return Err(Error::bad_request(
                "the account is the connection's administrator: its password is changed by \
                 rotate-root",
            ));
        }
        if self.has_two() && self.credential.kind() != CredentialKind::Password {
            // Nobody could see that a key of before is refused.
            return Err(Error::bad_request("two accounts that take turns have passwords"));
        }
        Ok(())
    }

    /// When and how the kernel rotates it.
    pub fn plan(&self) -> RotationPlan {
        let schedule = match self.schedule.as_str() {
            "" => Schedule::Every(self.period),
            text => Schedule::Cron { text: text.to_owned(), window: self.window },
        };
        match self.has_two() {
            true => RotationPlan::two_accounts(schedule, self.drain),
            false => RotationPlan::one_account(schedule),
        }
    }

    /// The account whose turn it is next.
    pub fn next_username(&self) -> Result<&str> {
        let current = self.published.as_ref().map(|p| p.username.as_str());
        let other = self.usernames.iter().find(|name| Some(name.as_str()) != current);
        let next = other.or(self.usernames.first());
        next.map(String::as_str).ok_or_else(|| Error::internal("a static role has no account"))
    }
}
