//! Requests that are sent together, what they answer, and the machine's death in the middle.

use std::collections::BTreeSet;

use serde_json::Value;
use strongroom_testkit::Got;
use tokio::task::JoinHandle;

use super::{Asked, Outcome, Run};
use crate::check::{Due, check, no_canary};
use crate::disk::{Applied, turns};
use crate::machine::send;
use crate::ops::Op;

/// When the machine dies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Crash {
    /// After so many turns; the dice say whether the power goes.
    Turns(u64),
    /// After so many steps of what the process waits for.
    Step { after: u64, power_cut: bool },
}

/// Was a lease revoked while its account was being made? Its request then answers so.
fn ended_meanwhile(op: &Op, got: &Got) -> bool {
    matches!(op, Op::Give { .. }) && got.errors().contains("revoked while it was being made")
}

impl Run {
    /// Sends requests together and compares; the machine may die in the middle.
    pub(super) async fn batch(
        &mut self,
        batch: Vec<Asked>,
        crash: Option<Crash>,
        tick: bool,
    ) -> Result<(), String> {
        let now = self.machine.now()?;
        self.accounts.begin(&batch);
        if let Some(Crash::Step { after, .. }) = crash {
            self.machine.outside.stop.after(after);
        }
        let mut running: Vec<JoinHandle<Got>> = Vec::new();
        for asked in &batch {
            let (token, wire) = self.wire(asked);
            let node = self.machine.node.clone();
            running.push(tokio::spawn(send(node, asked.number, token, wire)));
        }
        let ticking = tick.then(|| {
            let services = self.machine.node.active().ok();
            let to_the_end = matches!(crash, Some(Crash::Step { .. }));
            tokio::spawn(async move {
                if let Some(services) = services {
                    strongroom_kernel::reconcile::run_due(&services).await;
                    if to_the_end {
                        services.leases.idle().await;
                        services.rotations.idle().await;
                    }
                }
            })
        });
        let mut answers: Vec<Option<Got>> = Vec::new();
        match crash {
            Some(Crash::Turns(after)) => turns(after).await,
            Some(Crash::Step { .. }) => {
                let done =
                    |running: &[JoinHandle<Got>]| running.iter().all(JoinHandle::is_finished);
                let ticked = || ticking.as_ref().is_none_or(JoinHandle::is_finished);
                let stop = self.machine.outside.stop.clone();
                while !(stop.is_reached() || done(&running) && ticked()) {
                    turns(1).await;
                }
            }
            None => {}
        }
        for handle in running {
            if crash.is_some() && !handle.is_finished() {
                handle.abort();
                // Aborted or answered in this very turn: both are waited for.
                answers.push(handle.await.ok());
            } else {
                answers.push(Some(handle.await.map_err(|e| format!("a request panicked: {e}"))?));
            }
        }
        if let Some(ticking) = ticking {
            if crash.is_some() {
                ticking.abort();
            }
            let _ = ticking.await;
        }
        let mut outcomes = Vec::new();
        for (asked, answer) in batch.iter().zip(answers) {
            outcomes.push(self.judge(asked, answer)?);
        }
        for asked in &batch {
            self.give_up_turned(asked);
        }
        let before = self.worlds.clone();
        self.agree(&batch, &outcomes, now)?;
        for (asked, outcome) in batch.iter().zip(&outcomes) {
            if let (Op::RevokePrefix { role, .. }, Outcome::Unknown(_)) = (&asked.op, outcome) {
                self.worlds.iter_mut().for_each(|world| world.doubt(role));
            }
            if self.worlds.iter().any(|world| world.doubts(asked.number)) {
                self.accounts.give_up(asked.number);
            }
        }
        self.taken_back(&before)?;
        if let Some(crash) = crash {
            self.crashes += 1;
            let power_cut = match crash {
                Crash::Turns(_) => self.dice.one_in(2),
                Crash::Step { power_cut, .. } => power_cut,
            };
            self.tell(format!("{crash:?}, power cut {power_cut}"));
            self.stopped = self.machine.outside.stop.clear();
            if matches!(crash, Crash::Turns(_)) {
                check(&self.machine, &self.ledger).await?;
            }
            let answered: BTreeSet<u64> =
                batch.iter().map(|a| a.number).filter(|n| self.ledger.0.contains_key(n)).collect();
            if power_cut {
                self.ledger.power_cut();
            }
            for (asked, outcome) in batch.iter().zip(&outcomes) {
                let told = self.ledger.0.contains_key(&asked.number);
                if let (Outcome::Unknown(Applied { effect: true, .. }), false) = (outcome, told) {
                    // Its line is moved to the log at the next start, unless one of its answer,
                    // which said that nobody knows, is there still.
                    let answered = answered.contains(&asked.number);
                    let due =
                        Due { success: !answered, lasting: true, hidden: answered, cut: answered };
                    self.ledger.0.insert(asked.number, due);
                }
            }
            self.machine.restart(power_cut).await?;
            check(&self.machine, &self.ledger).await?;
        }
        Ok(())
    }

    /// What one answer says, and what the audit log must say of it.
    fn judge(&mut self, asked: &Asked, answer: Option<Got>) -> Result<Outcome, String> {
        let applied = self.machine.disk.applied(asked.number);
        let Some(got) = answer else {
            self.unknown += 1;
            self.accounts.unanswered(asked, &self.machine.outside);
            self.note(asked, &format!("no answer, {applied:?}"));
            return Ok(Outcome::Unknown(applied));
        };
        self.note(asked, &format!("{} {}", got.status, got.body));
        let name = format!("{:?}", asked.op);
        let name = name.split([' ', '{']).next().unwrap_or_default().to_owned();
        *self.answers.entry((name, got.status)).or_default() += 1;
        // A deleted version is 404 with what is left of it: an answer, not a failure.
        let success = got.status < 400 || !got.body["data"].is_null();
        if !success {
            no_canary("an error", got.body.to_string().as_bytes())?;
        }
        let due = Due {
            success,
            lasting: success && applied.effect,
            hidden: !success && applied.effect,
            cut: false,
        };
        self.ledger.0.insert(asked.number, due);
        let outside = &self.machine.outside;
        let refused_outside = matches!(got.status, 400 | 502) && outside.has_failed(asked.number);
        if refused_outside && applied.effect && !applied.failed {
            return Err(format!("{asked:?} answers {got:?}, yet something was committed"));
        }
        if got.status >= 500 || refused_outside {
            if !(applied.failed || refused_outside || ended_meanwhile(&asked.op, &got)) {
                return Err(format!("{asked:?} answers {got:?} without a fault"));
            }
            self.unknown += 1;
            self.accounts.unanswered(asked, &self.machine.outside);
            return Ok(Outcome::Unknown(applied));
        }
        self.accounts.answered(asked, &got, outside)?;
        if let (Op::Unwrap { wrap }, 200) = (&asked.op, got.status) {
            self.unwrapped.push(*wrap);
        }
        let data = &got.body["data"];
        self.note_turned(asked, data);
        if let (Op::Give { .. }, 200) = (&asked.op, got.status) {
            let id = got.body["lease_id"].as_str().unwrap_or_default();
            self.texts.insert(asked.number, id.to_owned());
        }
        let text = [&got.body["auth"]["client_token"], &got.body["wrap_info"]["token"]]
            .into_iter()
            .chain([&data["secret_id"]])
            .find_map(Value::as_str);
        // A renewal shows the text of the token that was there.
        if let (Some(text), false) = (text, matches!(asked.op, Op::RenewSelf { .. })) {
            self.texts.insert(asked.number, text.to_owned());
        }
        Ok(Outcome::Answered(got))
    }
}
