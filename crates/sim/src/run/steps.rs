//! A crash at every step of what makes, renews and takes back one account, and of what rotates a
//! credential: before and after each call to the disk and to the outside, until all of it is done.

use strongroom_testkit::databases::Fault;

use super::accounts::TTLS;
use super::batch::Crash;
use super::draw::everything;
use super::{Asked, Failure, Run, Work, traced};
use crate::model::Model;
use crate::ops::{Op, Who};
use crate::outside::SERVER;
use crate::turner::{DRAIN, PERIOD, SUBJECTS};

/// What is done with an account, or with a credential that is rotated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scenario {
    /// It is made.
    Give,
    /// Its lease is renewed.
    Renew,
    /// Its lease is revoked.
    Revoke,
    /// All leases of its role are revoked, while the caller waits.
    RevokePrefix,
    /// All leases of its role are revoked, without waiting.
    RevokeLater,
    /// Its lease ends.
    Expire,
    /// It was made, and the answer that told of it was lost.
    Unfinished,
    /// Its request was given up, and it is made after all, later.
    Late,
    /// A credential's time has come: the next one is made, tested and published.
    Rotate,
    /// It does not pass its test, and is taken back.
    RotateInVain,
    /// Its last consumer reads the new one: the old one is revoked.
    Drained,
    /// A consumer does not read until the deadline.
    DrainEnds,
}

impl Scenario {
    /// All there are.
    pub const ALL: [Self; 12] = [
        Self::Give,
        Self::Renew,
        Self::Revoke,
        Self::RevokePrefix,
        Self::RevokeLater,
        Self::Expire,
        Self::Unfinished,
        Self::Late,
        Self::Rotate,
        Self::RotateInVain,
        Self::Drained,
        Self::DrainEnds,
    ];
}

/// More steps than anything takes.
const STEPS_MAX: u64 = 500;
/// Seconds after which all is taken back that nobody was told of.
const UNFINISHED_SECONDS: i64 = 301;

/// Lets the process die, or the power go, at each step of a scenario in turn, each time on a machine
/// of its own. Answers how many steps there are.
pub fn crash_at_each_step(scenario: Scenario, power_cut: bool) -> Result<u64, Failure> {
    let mut after = 0;
    loop {
        let (report, _) = traced(after + 1, Work::Step { scenario, after, power_cut })?;
        if !report.stopped {
            return Ok(after);
        }
        after += 1;
    }
}

impl Run {
    pub(super) async fn crash_at_step(
        &mut self,
        scenario: Scenario,
        after: u64,
        power_cut: bool,
    ) -> Result<(), String> {
        if after >= STEPS_MAX {
            return Err(format!("{scenario:?} takes more than {STEPS_MAX} steps"));
        }
        self.step = after;
        let batch = self.prepare(scenario).await?;
        let tick = batch.is_empty() || scenario == Scenario::Drained;
        self.batch(batch, Some(Crash::Step { after, power_cut }), tick).await?;
        let stopped = self.stopped;
        match self.is_rotating {
            true => self.come_to_rest().await?,
            false => self.come_round().await?,
        }
        if stopped { Ok(()) } else { self.settle().await }
    }

    /// What is asked when the machine dies; nothing is background work.
    async fn prepare(&mut self, scenario: Scenario) -> Result<Vec<Asked>, String> {
        let [(role, ttl), _] = TTLS;
        let lease = self.number + 1;
        match scenario {
            Scenario::Give => {}
            Scenario::Rotate | Scenario::RotateInVain | Scenario::Drained | Scenario::DrainEnds => {
                return self.prepare_rotation(scenario).await;
            }
            Scenario::Unfinished | Scenario::Late => {
                let late = scenario == Scenario::Late;
                let fault = if late { Fault::Late } else { Fault::AnswerLost };
                self.machine.outside.servers.fail(SERVER, &[fault]);
                self.alone(Op::Give { role }).await?;
                // Background work looks once a second.
                self.machine.advance(1);
            }
            _ => self.alone(Op::Give { role }).await?,
        }
        let op = match scenario {
            Scenario::Give => Op::Give { role },
            Scenario::Renew => Op::RenewLease { lease, increment: 2 * ttl },
            Scenario::Revoke => Op::RevokeLease { lease },
            Scenario::RevokePrefix => Op::RevokePrefix { role, sync: true },
            Scenario::RevokeLater => Op::RevokePrefix { role, sync: false },
            Scenario::Expire => {
                self.machine.advance(ttl);
                return Ok(Vec::new());
            }
            _ => return Ok(Vec::new()),
        };
        Ok(vec![self.ask(Who::Root, op)])
    }

    /// A consumer holds a credential whose time has come.
    async fn prepare_rotation(&mut self, scenario: Scenario) -> Result<Vec<Asked>, String> {
        if !self.is_rotating {
            self.rotate(None).await?;
            self.alone(Op::SetPolicy { name: "p2", policy: everything("tu/*") }).await?;
        }
        let [subject, _] = SUBJECTS;
        let consumer = Who::Token(self.number + 1);
        self.alone(Op::CreateToken {
            policies: vec!["p2"],
            ttl: 2 * (PERIOD + DRAIN),
            explicit_max: 0,
            uses: 0,
            orphan: true,
            batch: false,
            pod: 0,
        })
        .await?;
        let read = self.ask(consumer, Op::ReadTurned { subject });
        self.batch(vec![read], None, false).await?;
        match scenario {
            Scenario::Drained => {
                self.pass(PERIOD).await?;
                return Ok(vec![self.ask(consumer, Op::ReadTurned { subject })]);
            }
            Scenario::DrainEnds => {
                self.pass(PERIOD).await?;
                self.machine.advance(DRAIN);
            }
            _ => {
                self.machine.turned.lock().fails_test = scenario == Scenario::RotateInVain;
                self.machine.advance(PERIOD);
            }
        }
        Ok(Vec::new())
    }

    /// After the restart a rotation goes on, and nobody who lives is cut off; once the consumer is
    /// gone each credential has one account.
    async fn come_to_rest(&mut self) -> Result<(), String> {
        for seconds in [0, 60, 3_600, 3_600] {
            self.pass(seconds).await?;
        }
        let outside = self.machine.turned.lock();
        for subject in SUBJECTS {
            let users = outside.users(subject);
            if users.len() != 1 {
                return Err(format!("{subject} has the accounts {users:?}"));
            }
        }
        Ok(())
    }

    /// After the restart there are as many accounts as leases soon, told of or not.
    async fn come_round(&mut self) -> Result<(), String> {
        self.pass(0).await?;
        // What is late comes when all was taken back once already.
        self.machine.outside.servers.arrive();
        for seconds in [UNFINISHED_SECONDS, 0] {
            self.pass(seconds).await?;
        }
        self.nothing_is_left()?;
        let now = self.machine.now()?;
        let there = self.machine.outside.there();
        // A revocation that nobody answered has taken its account or not.
        let gone = self.accounts.gone(&there);
        let held = |world: &Model| {
            let mut leases = world.leases();
            leases.retain(|lease| world.holds_lease(*lease, now) && !gone.contains(lease));
            leases.len()
        };
        if !self.worlds.iter().any(|world| held(world) == there.len()) {
            let held: Vec<usize> = self.worlds.iter().map(held).collect();
            return Err(format!("there are {} accounts, and leases: {held:?}", there.len()));
        }
        Ok(())
    }
}
