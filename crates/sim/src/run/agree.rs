//! Do the answers of requests that were sent together fit the model, in some order?

use std::collections::BTreeSet;

use super::{Asked, Outcome, Run};
use crate::disk::Applied;
use crate::model::{ANY, EITHER, Model, Said, shown};
use crate::ops::{Op, Who};

impl Run {
    /// Some order of the requests must explain all the answers.
    pub(super) fn agree(
        &mut self,
        batch: &[Asked],
        outcomes: &[Outcome],
        now: i64,
    ) -> Result<(), String> {
        let paths: Vec<String> = batch.iter().map(|asked| self.wire(asked).1.path).collect();
        let mut after: Vec<Model> = Vec::new();
        let mut reason = String::new();
        for order in orders(batch.len()) {
            for world in &self.worlds {
                let mut worlds = vec![world.clone()];
                let mut cut_off = BTreeSet::new();
                for index in &order {
                    let (asked, outcome) = (&batch[*index], &outcomes[*index]);
                    let mut next = Vec::new();
                    for world in &worlds {
                        let said =
                            world.step(asked.number, asked.who, &asked.op, &paths[*index], now);
                        if batch.len() > 1
                            && let (Some(token), Some(model)) = loses(asked, &said, outcome)
                        {
                            cut_off.insert(token);
                            next.push(model);
                            continue;
                        }
                        match fits(&asked.op, said, outcome, world, batch.len() > 1) {
                            Ok(model) => next.push(model),
                            Err(why) => reason = format!("{asked:?}: {why}"),
                        }
                    }
                    worlds = next;
                }
                worlds.retain(|model| cut_off.iter().all(|token| model.is_used_up(*token)));
                for model in worlds {
                    if !after.contains(&model) {
                        after.push(model);
                    }
                }
            }
        }
        if after.is_empty() {
            return Err(format!("no order of the requests explains the answers: {reason}"));
        }
        self.worlds = after;
        Ok(())
    }
}

/// The use-limited token that a request beside its last use has lost, and the model then: whoever
/// takes the last use ends the token, and what needs the token's record until its own end is refused.
fn loses(asked: &Asked, said: &Said, outcome: &Outcome) -> (Option<u64>, Option<Model>) {
    match (asked.who, outcome) {
        (Who::Token(token), Outcome::Answered(got))
            if matches!(said.status, 200..400) && matches!(got.status, 400 | 403) =>
        {
            // Not the one who takes the last use: it is served.
            let model = said.used.as_ref().filter(|model| !model.is_used_up(token));
            (Some(token), model.cloned())
        }
        _ => (None, None),
    }
}

/// The model after an operation whose outcome this is; why not, if the model says otherwise.
/// One of several at a time may learn late that its token is gone: any refusal will do then.
fn fits(
    op: &Op,
    said: Said,
    outcome: &Outcome,
    before: &Model,
    together: bool,
) -> Result<Model, String> {
    match outcome {
        Outcome::Answered(got) => {
            let status = got.status;
            let as_said = match said.status {
                ANY => status < 500,
                EITHER => matches!(status, 200 | 204 | 400),
                0 => (400..500).contains(&status) && status != 403,
                403 if together => status == 403 || status == 400,
                want => want == status,
            };
            if !as_said {
                return Err(format!("the model says {}, the answer is {got:?}", said.status));
            }
            if said.status == EITHER && status == 400 {
                return Ok(said.nothing(before));
            }
            let data = shown(op, &got.body);
            if said.status == 200 && !said.data.is_null() && said.data != data {
                return Err(format!("the model says {}, the answer shows {data}", said.data));
            }
            Ok(said.next)
        }
        Outcome::Unknown(Applied { effect: true, .. }) => match said.status {
            ANY | EITHER | 200..400 => Ok(said.next),
            status => Err(format!("the model says {status}, yet something was committed")),
        },
        Outcome::Unknown(Applied { other, .. }) => match said.used {
            Some(used) if *other > 0 => Ok(used),
            _ => Ok(before.clone()),
        },
    }
}

/// All orders of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut out = vec![Vec::new()];
    for thing in 0..count {
        let mut longer = Vec::new();
        for order in &out {
            for place in 0..=order.len() {
                let mut order: Vec<usize> = order.clone();
                order.insert(place, thing);
                longer.push(order);
            }
        }
        out = longer;
    }
    out
}
