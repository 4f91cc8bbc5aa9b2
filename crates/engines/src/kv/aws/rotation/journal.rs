//! What a run writes into the kernel's journal before anything is done outside: enough to make the next
//! credential good and to take it back, even when its secret is gone.

use serde::{Deserialize, Serialize};
use strongroom_base::{Json, Result, SecretString};
use strongroom_crypto::constant_time_eq;
use zeroize::Zeroize;

use super::damaged;
use super::rotators::BuiltIn;
use crate::kv::aws::ids;
use crate::kv::secret::{AWS_CURRENT, Head};

/// A run.
#[derive(Serialize, Deserialize)]
pub struct Run {
    /// The secret's path.
    pub path: String,
    /// The function's name, as the request gave it.
    pub function: String,
    /// The secret's ARN.
    pub arn: String,
    /// Its region.
    pub region: String,
    /// The id of the version in the making.
    pub token: String,
    /// Is a function only tried?
    pub probe: bool,
    /// The account of a rotator that is built in.
    pub account: Option<Account>,
}

/// A name with its password.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    /// The account.
    pub name: String,
    password: String,
}

impl Login {
    /// A login.
    pub fn new(name: &str, password: &SecretString) -> Self {
        Self { name: name.to_owned(), password: password.expose_secret().clone() }
    }

    /// Is it the same name with the same password?
    pub fn is(&self, other: &Self) -> bool {
        let same = constant_time_eq(self.password.as_bytes(), other.password.as_bytes());
        same && self.name == other.name
    }

    /// The password.
    pub fn password(&self) -> SecretString {
        SecretString::new(self.password.clone())
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

/// An account whose password is changed.
#[derive(Serialize, Deserialize)]
pub struct Account {
    /// The rotator's name.
    pub rotator: String,
    /// The database's host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database in it; empty for the server's own.
    pub database: String,
    /// The account with the password that it is to get, or that is to be taken back.
    pub login: Login,
    /// What AWSCURRENT was when the run began.
    pub current: Option<Login>,
    /// What AWSPREVIOUS was then, of the same account.
    pub previous: Option<Login>,
    /// The path of the secret whose account makes others; empty for none.
    pub master: String,
    /// The publication that AWSCURRENT was when the run began; none of a run of before this was kept.
    #[serde(default)]
    pub base: Option<u64>,
}

impl Account {
    /// Who changes it.
    pub fn rotator(&self) -> Result<BuiltIn> {
        BuiltIn::of(&self.rotator).ok_or_else(damaged)
    }
}

impl Run {
    /// Is AWSCURRENT what it was when the run chose, or what the run has made? Whoever has published
    /// another since means that one to stay.
    pub fn stands_on(&self, head: &Head) -> bool {
        let base = self.account.as_ref().and_then(|account| account.base);
        let made = ids::find(head, &self.token).map(|version| version.id);
        base.is_none_or(|base| base == head.current)
            || made.is_some() && head.staged(AWS_CURRENT) == made
    }

    /// From the journal.
    pub fn read(json: &Json) -> Result<Self> {
        Self::deserialize(json).map_err(|_| damaged())
    }

    /// For the journal.
    pub fn write(&self) -> Result<Json> {
        serde_json::to_value(self).map_err(|_| damaged())
    }
}
