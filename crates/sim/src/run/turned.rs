//! Rotated credentials: no consumer that lives loses one, but at the deadline or by force; and
//! nothing is left behind.

use std::collections::BTreeMap;

use serde_json::Value;
use strongroom_base::time::NANOS_PER_SECOND;

use super::{Asked, Run};
use crate::model::Model;
use crate::ops::{Op, Who};
use crate::turner::{DRAIN, SUBJECTS};

/// A credential as a token got it.
#[derive(Clone, Debug)]
struct Got {
    version: u64,
    user: String,
    password: String,
}

/// What consumers hold.
#[derive(Default)]
pub(super) struct Holders {
    /// The newest that each token was told, by subject.
    holds: BTreeMap<(u64, &'static str), Got>,
}

impl Run {
    /// Notes what an answer hands out, and what a request may take from others.
    pub(super) fn note_turned(&mut self, asked: &Asked, data: &Value) {
        let (Who::Token(token), Op::ReadTurned { subject }) = (asked.who, &asked.op) else {
            return;
        };
        let Some(version) = data["version"].as_u64() else { return };
        let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        let got = Got { version, user: text("user"), password: text("password") };
        let held = self.holders.holds.entry((token, subject)).or_insert_with(|| got.clone());
        if held.version < version {
            *held = got;
        }
    }

    /// Whoever is forced or acknowledged, with whatever answer, may lose what they hold.
    pub(super) fn give_up_turned(&mut self, asked: &Asked) {
        match &asked.op {
            Op::ForceTurned { subject } => self.holders.holds.retain(|(_, s), _| s != subject),
            Op::AckTurned { subject } => {
                let own = |token: u64| asked.who == Who::Token(token);
                self.holders.holds.retain(|(t, s), _| s != subject || !own(*t));
            }
            _ => {}
        }
    }

    /// Does everybody who lives still log in with what they hold?
    pub(super) fn nobody_is_cut_off(&mut self, before: &[Model]) -> Result<(), String> {
        let now = self.machine.now()?;
        let outside = self.machine.turned.lock();
        let mut spent = Vec::new();
        for ((token, subject), got) in &self.holders.holds {
            let next = outside.published(subject, got.version + 1);
            let over = next.is_some_and(|at| now >= at + DRAIN * NANOS_PER_SECOND);
            let mut worlds = before.iter().chain(&self.worlds);
            let ended = worlds.any(|world| !world.is_live(*token, now));
            if over || ended {
                // From here on it may go at any time.
                spent.push((*token, *subject));
            } else if !outside.logs_in(&got.user, &got.password) {
                return Err(format!(
                    "token {token} lives and holds version {} of {subject}, which is revoked",
                    got.version
                ));
            }
        }
        for key in spent {
            self.holders.holds.remove(&key);
        }
        Ok(())
    }

    /// Once nobody holds anything, each subject has one account, and what is read works.
    pub(super) async fn one_account_each(&mut self) -> Result<(), String> {
        for subject in SUBJECTS {
            let asked = self.ask(Who::Root, Op::ReadTurned { subject });
            let (token, wire) = self.wire(&asked);
            let got = self.machine.send(0, &token, wire).await;
            let data = &got.body["data"];
            let text = |name: &str| data[name].as_str().unwrap_or_default();
            let outside = self.machine.turned.lock();
            if !outside.logs_in(text("user"), text("password")) {
                return Err(format!("the credential of {subject} does not log in: {}", got.status));
            }
            let users = outside.users(subject);
            if users.len() != 1 {
                return Err(format!("{subject} has left {users:?} behind"));
            }
            if data["version"].as_u64().unwrap_or(0) < 2 {
                return Err(format!("{subject} was never rotated"));
            }
        }
        Ok(())
    }
}
