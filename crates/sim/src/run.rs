//! One run: a seed's requests, faults and checks, in order.

mod accounts;
mod agree;
mod batch;
mod draw;
mod steps;
mod turned;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use strongroom_crypto::digest::Sha256;
use strongroom_testkit::Got;

use crate::check::{Ledger, check, no_canary};
use crate::dice::Dice;
use crate::disk::{Applied, Mood, turns};
use crate::machine::Machine;
use crate::model::Model;
use crate::ops::{Op, Who, Wire};
use crate::outside;
use crate::turner;
use accounts::{Accounts, LEASE_MAX, TTLS};
use batch::Crash;
use draw::everything;

pub use steps::{Scenario, crash_at_each_step};

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Rounds of requests.
    pub steps: u64,
}

/// A finding.
#[derive(Debug)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// The round in which it showed.
    pub step: u64,
    /// What is wrong.
    pub what: String,
    /// The last requests and answers before.
    pub history: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in &self.history {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {} step {}: {}", self.seed, self.step, self.what)
    }
}

/// What a good run saw.
#[derive(Debug, PartialEq, Eq, Clone, Default)]
pub struct Report {
    /// The hash of all requests, answers and audit lines.
    pub trace: [u8; 32],
    /// Requests sent.
    pub requests: u64,
    /// Crashes and power cuts.
    pub crashes: u64,
    /// Did the last crash come before all was done?
    pub stopped: bool,
    /// Requests whose outcome nobody was told.
    pub unknown: u64,
    /// How often each operation was answered with each status.
    pub answers: BTreeMap<(String, u16), u64>,
}

/// Runs a seed twice; the traces must be equal.
pub fn run_twice(plan: Plan) -> Result<Report, Failure> {
    let (first, trace) = traced(plan.seed, Work::Rounds(plan.steps))?;
    let (second, other) = traced(plan.seed, Work::Rounds(plan.steps))?;
    if first == second {
        return Ok(first);
    }
    let at = trace.iter().zip(&other).take_while(|(one, two)| one == two).count();
    let around =
        |trace: &[String]| trace.iter().skip(at.saturating_sub(4)).take(8).cloned().collect();
    let history = [around(&trace), vec!["the second run:".to_owned()], around(&other)].concat();
    let what = "two runs of one seed differ".to_owned();
    Err(Failure { seed: plan.seed, step: plan.steps, what, history })
}

/// Runs a seed once.
pub fn run(plan: Plan) -> Result<Report, Failure> {
    traced(plan.seed, Work::Rounds(plan.steps)).map(|(report, _)| report)
}

/// What is run.
#[derive(Clone, Copy)]
enum Work {
    /// So many rounds.
    Rounds(u64),
    /// A crash after so many steps of a scenario; does the power go?
    Step { scenario: Scenario, after: u64, power_cut: bool },
}

/// Runs a seed once; tells also its requests, answers and audit lines.
fn traced(seed: u64, work: Work) -> Result<(Report, Vec<String>), Failure> {
    let failed = |what: String| Failure { seed, step: 0, what, history: Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|e| failed(format!("no runtime: {e}")))?;
    let log = Captured::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .without_time()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let outcome = tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let mut run = Run::start(seed).await.map_err(failed)?;
            let done = match work {
                Work::Rounds(steps) => {
                    run.rotate(Some(Dice::new(seed, 3))).await.map_err(failed)?;
                    run.all(steps).await
                }
                Work::Step { scenario, after, power_cut } => {
                    run.crash_at_step(scenario, after, power_cut).await
                }
            };
            match done {
                Ok(()) => {
                    let report = run.report();
                    let log = run.machine.medium.contents();
                    let log = String::from_utf8_lossy(&log);
                    run.history.extend(log.lines().map(str::to_owned));
                    Ok((report, run.history, run.accounts))
                }
                Err(what) => {
                    let history = run.history.split_off(run.history.len().saturating_sub(40));
                    Err(Failure { seed, step: run.step, what, history })
                }
            }
        })
    });
    // Nothing of this run may go on into the next one.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    no_canary("the server's log", &log.0.lock()).map_err(failed)?;
    let (report, history, accounts) = outcome?;
    accounts.no_password("the server's log", &log.0.lock()).map_err(failed)?;
    Ok((report, history))
}

/// The server's log, kept.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Turns in which all that was under way outside has come to its end.
const AFTERMATH_TURNS: u64 = 60;

/// A request and who sent it.
#[derive(Clone, Debug)]
struct Asked {
    number: u64,
    who: Who,
    op: Op,
}

/// What became of a request.
#[derive(Clone, Debug)]
enum Outcome {
    Answered(Got),
    /// Its answer never came, or said that nobody knows.
    Unknown(Applied),
}

struct Run {
    machine: Machine,
    dice: Dice,
    /// What may be true: more than one model where the order of requests left no trace.
    worlds: Vec<Model>,
    texts: BTreeMap<u64, String>,
    ledger: Ledger,
    number: u64,
    step: u64,
    crashes: u64,
    unknown: u64,
    trace: Sha256,
    history: Vec<String>,
    answers: BTreeMap<(String, u16), u64>,
    failing: bool,
    /// The weather outside, and whether somebody changed the administrator's password by hand.
    stormy: bool,
    down: bool,
    password_changed: bool,
    accounts: Accounts,
    /// Did the last crash come before all was done?
    stopped: bool,
    /// Wrapping tokens whose values were given out, in order.
    unwrapped: Vec<u64>,
    /// What consumers hold of what is rotated.
    holders: turned::Holders,
    /// Is anything rotated?
    is_rotating: bool,
}

impl Run {
    async fn start(seed: u64) -> Result<Self, String> {
        let mut run = Self {
            machine: Machine::start(seed).await?,
            dice: Dice::new(seed, 1),
            worlds: vec![Model::default()],
            texts: BTreeMap::new(),
            ledger: Ledger::default(),
            number: 0,
            step: 0,
            crashes: 0,
            unknown: 0,
            trace: Sha256::new(),
            history: Vec::new(),
            answers: BTreeMap::new(),
            failing: false,
            stormy: false,
            down: false,
            password_changed: false,
            accounts: Accounts::default(),
            stopped: false,
            unwrapped: Vec::new(),
            holders: turned::Holders::default(),
            is_rotating: false,
        };
        let body = serde_json::json!({ "type": "userpass" });
        run.made("sys/auth/userpass", body).await?;
        let role = |(role, ttl)| Op::PutAccountRole { role, ttl, max: LEASE_MAX };
        let [short, long] = TTLS.map(role);
        for op in [
            Op::EnableDatabase,
            Op::PutConnection { verify: true },
            short,
            long,
            Op::Enable { mount: "kv" },
            Op::Enable { mount: "kw" },
            Op::EnableAppRole,
            Op::SetRole { policies: vec!["p0"] },
            Op::SetUser { policies: vec!["p1"] },
            Op::SetPolicy { name: "p0", policy: everything("kv/*") },
            Op::SetPolicy { name: "p1", policy: everything("kw/*") },
            Op::SetPolicy { name: "p2", policy: everything("auth/token/create") },
        ] {
            let asked = run.ask(Who::Root, op);
            run.batch(vec![asked], None, false).await?;
        }
        Ok(run)
    }

    /// Root has the server make something that the model knows nothing of.
    async fn made(&self, path: &str, body: Value) -> Result<(), String> {
        let wire = Wire { method: "WRITE", path: path.to_owned(), body, wrap_ttl: None };
        let got = self.machine.send(0, &self.machine.root, wire).await;
        match got.body["errors"].is_array() {
            true => Err(format!("{path} is not made: {got:?}")),
            false => Ok(()),
        }
    }

    /// Rotates credentials beside everything else, in an outside with these faults.
    async fn rotate(&mut self, faults: Option<Dice>) -> Result<(), String> {
        self.made("sys/mounts/tu", serde_json::json!({ "type": "turner" })).await?;
        for subject in turner::SUBJECTS {
            self.made(&format!("tu/begin/{subject}"), Value::Null).await?;
        }
        self.machine.turned.lock().faults = faults;
        self.is_rotating = true;
        Ok(())
    }

    fn report(&self) -> Report {
        let mut trace = Sha256::new();
        trace.update(&self.trace.clone().finish()).update(&self.machine.medium.contents());
        Report {
            trace: trace.finish(),
            requests: self.number,
            crashes: self.crashes,
            stopped: self.stopped,
            unknown: self.unknown,
            answers: self.answers.clone(),
        }
    }

    async fn all(&mut self, steps: u64) -> Result<(), String> {
        while self.step < steps {
            self.step += 1;
            self.round().await?;
            if self.step.is_multiple_of(25) {
                check(&self.machine, &self.ledger).await?;
            }
        }
        self.settle().await
    }

    /// All faults end, and what is due comes about: nothing is left behind, at last not even of
    /// what nobody was told of.
    async fn settle(&mut self) -> Result<(), String> {
        self.machine.disk.set_mood(Mood::default());
        self.machine.turned.lock().faults = None;
        self.machine.outside.set_mood(outside::Mood::default());
        self.machine.outside.change_password(false);
        self.machine.outside.servers.arrive();
        // Without its connection nothing is taken back.
        self.alone(Op::PutConnection { verify: true }).await?;
        // What failed is tried again an hour later at most.
        for seconds in [0, 3_600, 3_600, 60] {
            self.pass(seconds).await?;
        }
        self.nothing_is_left()?;
        check(&self.machine, &self.ledger).await?;
        // No lease outlives this: whatever was made outside, told of or not, is gone then.
        for seconds in [LEASE_MAX, 3_600, 3_600] {
            self.pass(seconds).await?;
        }
        if self.is_rotating {
            self.one_account_each().await?;
        }
        let log = self.machine.medium.contents();
        self.accounts.no_password("the audit log", &log)?;
        match self.machine.outside.there().as_slice() {
            [] => Ok(()),
            left => Err(format!("accounts {left:?} are still there, without a lease")),
        }
    }

    /// Time goes on, and background work comes to its end.
    async fn pass(&mut self, seconds: i64) -> Result<(), String> {
        self.machine.advance(seconds);
        self.tell(format!("{seconds} seconds later"));
        let before = self.worlds.clone();
        self.machine.tick().await;
        self.taken_back(&before)
    }

    /// Root asks, and nobody beside.
    async fn alone(&mut self, op: Op) -> Result<(), String> {
        let asked = self.ask(Who::Root, op);
        self.batch(vec![asked], None, false).await
    }

    async fn round(&mut self) -> Result<(), String> {
        match self.dice.roll(40) {
            0 => self.machine.advance(self.dice.roll(400) as i64),
            1 => self.machine.step_wall(-(self.dice.roll(7_200) as i64)),
            2 if self.dice.one_in(3) => self.machine.step_wall(self.dice.roll(900) as i64),
            3..=6 => self.machine.advance(self.dice.roll(20) as i64),
            7..=9 => {
                self.machine.disk.set_mood(Mood::default());
                self.pass(0).await?;
            }
            10 => return self.seal().await,
            11 => self.failing = !self.failing,
            12 | 13 => self.turn_weather(),
            _ => {}
        }
        let count = if self.dice.one_in(3) { 2 + self.dice.roll(2) } else { 1 };
        let slow = if count > 1 { self.dice.roll(4) } else { 0 };
        let failing = if self.failing { 6 } else { 0 };
        self.machine.disk.set_mood(Mood { failing, slow });
        let failing = if self.stormy { 3 } else { 0 };
        let slow = if self.dice.one_in(2) { self.dice.roll(6) } else { 0 };
        self.machine.outside.set_mood(outside::Mood { failing, slow, down: self.down });
        let batch: Vec<Asked> = (0..count).map(|_| self.draw(count > 1)).collect();
        let crash = self.dice.one_in(25).then(|| Crash::Turns(self.dice.roll(30)));
        let tick = self.dice.one_in(5);
        self.batch(batch, crash, tick).await
    }

    /// Something changes outside, or something late arrives.
    fn turn_weather(&mut self) {
        match self.dice.roll(6) {
            0 | 1 => self.stormy = !self.stormy,
            2 => self.down = !self.down,
            3 => {
                self.password_changed = !self.password_changed;
                self.machine.outside.change_password(self.password_changed);
            }
            _ => self.machine.outside.servers.arrive(),
        }
        // It is fine for most of the time.
        if self.down && self.dice.one_in(2) {
            self.down = false;
        }
    }

    /// Seals, asks, opens again.
    async fn seal(&mut self) -> Result<(), String> {
        self.machine.disk.set_mood(Mood::default());
        let seal = |path: &str| Wire {
            method: "WRITE",
            path: path.to_owned(),
            body: Value::Null,
            wrap_ttl: None,
        };
        let got = self.machine.send(0, &self.machine.root, seal("sys/seal")).await;
        if got.status != 204 {
            return Err(format!("sealing answers {got:?}"));
        }
        for _ in 0..2 {
            let asked = self.draw(false);
            let (token, wire) = self.wire(&asked);
            let got = self.machine.send(asked.number, &token, wire).await;
            self.note(&asked, &format!("sealed: {}", got.status));
            if got.status != 503 {
                return Err(format!("a sealed server answers {asked:?} with {got:?}"));
            }
        }
        self.machine.unseal().await?;
        // What was under way when the keys went comes to its end, and can't be noted.
        turns(AFTERMATH_TURNS).await;
        self.machine.outside.note_lost();
        Ok(())
    }

    fn ask(&mut self, who: Who, op: Op) -> Asked {
        self.number += 1;
        Asked { number: self.number, who, op }
    }

    fn wire(&self, asked: &Asked) -> (String, Wire) {
        let text = |n: u64| self.texts.get(&n).cloned().unwrap_or_else(|| "unknown".to_owned());
        let token = match asked.who {
            Who::Root => self.machine.root.clone(),
            Who::Token(n) | Who::Wrapping(n) => text(n),
            Who::Nobody => String::new(),
        };
        (token, asked.op.wire(asked.who, &text))
    }

    fn note(&mut self, asked: &Asked, outcome: &str) {
        self.tell(format!("{asked:?} -> {outcome}"));
    }

    fn tell(&mut self, line: String) {
        self.trace.update(line.as_bytes());
        self.history.push(line);
    }
}
