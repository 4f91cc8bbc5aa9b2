//! One run: a seed's requests, faults and checks, in order.

mod agree;
mod draw;
mod turned;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use strongroom_crypto::digest::Sha256;
use strongroom_testkit::Got;
use tokio::task::JoinHandle;

use crate::check::{Due, Ledger, check, no_canary};
use crate::dice::Dice;
use crate::disk::{Applied, Mood, turns};
use crate::giver::{LEASE_MAX, TakenBack};
use crate::machine::{Machine, send};
use crate::model::Model;
use crate::ops::{Op, Who, Wire};
use crate::turner;
use draw::everything;

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
    /// Requests whose outcome nobody was told.
    pub unknown: u64,
    /// How often each operation was answered with each status.
    pub answers: BTreeMap<(String, u16), u64>,
}

/// Runs a seed twice; the traces must be equal.
pub fn run_twice(plan: Plan) -> Result<Report, Failure> {
    let (first, trace) = traced(plan)?;
    let (second, other) = traced(plan)?;
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
    traced(plan).map(|(report, _)| report)
}

/// Runs a seed once; tells also its requests, answers and audit lines.
fn traced(plan: Plan) -> Result<(Report, Vec<String>), Failure> {
    let failed = |what: String| Failure { seed: plan.seed, step: 0, what, history: Vec::new() };
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
            let mut run = Run::start(plan).await.map_err(failed)?;
            match run.all(plan.steps).await {
                Ok(()) => {
                    let report = run.report();
                    let log = run.machine.medium.contents();
                    let log = String::from_utf8_lossy(&log);
                    run.history.extend(log.lines().map(str::to_owned));
                    Ok((report, run.history))
                }
                Err(what) => {
                    let history = run.history.split_off(run.history.len().saturating_sub(40));
                    Err(Failure { seed: plan.seed, step: run.step, what, history })
                }
            }
        })
    });
    // Nothing of this run may go on into the next one.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    no_canary("the server's log", &log.0.lock()).map_err(failed)?;
    outcome
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
    /// Credentials by number: the request whose lease it is.
    credentials: BTreeMap<i64, u64>,
    /// Wrapping tokens whose values were given out, in order.
    unwrapped: Vec<u64>,
    /// Leases that somebody asked to revoke, with whatever answer.
    given_up: BTreeSet<u64>,
    /// What consumers hold of what is rotated.
    holders: turned::Holders,
}

impl Run {
    async fn start(plan: Plan) -> Result<Self, String> {
        let mut run = Self {
            machine: Machine::start(plan.seed).await?,
            dice: Dice::new(plan.seed, 1),
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
            credentials: BTreeMap::new(),
            unwrapped: Vec::new(),
            given_up: BTreeSet::new(),
            holders: turned::Holders::default(),
        };
        let begun = turner::SUBJECTS.map(|subject| (format!("tu/begin/{subject}"), ""));
        let mounts = [
            ("sys/auth/userpass", "userpass"),
            ("sys/mounts/db", "giver"),
            ("sys/mounts/tu", "turner"),
        ];
        let mounts = mounts.map(|(path, kind)| (path.to_owned(), kind));
        for (path, kind) in mounts.into_iter().chain(begun) {
            let body = serde_json::json!({ "type": kind });
            let wire = Wire { method: "WRITE", path: path.clone(), body, wrap_ttl: None };
            let got = run.machine.send(0, &run.machine.root, wire).await;
            if got.body["errors"].is_array() {
                return Err(format!("{path} is not made: {got:?}"));
            }
        }
        run.machine.turned.lock().faults = Some(Dice::new(plan.seed, 3));
        for op in [
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

    fn report(&self) -> Report {
        let mut trace = Sha256::new();
        trace.update(&self.trace.clone().finish()).update(&self.machine.medium.contents());
        Report {
            trace: trace.finish(),
            requests: self.number,
            crashes: self.crashes,
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
        self.machine.disk.set_mood(Mood::default());
        self.machine.turned.lock().faults = None;
        // What failed is tried again an hour later at most.
        for seconds in [0, 3_600, 3_600, 60] {
            self.machine.advance(seconds);
            let before = self.worlds.clone();
            self.machine.tick().await;
            self.taken_back(&before)?;
        }
        self.nothing_is_left()?;
        check(&self.machine, &self.ledger).await?;
        // No lease outlives this: whatever was made outside, told of or not, is gone then.
        for seconds in [LEASE_MAX, 3_600, 3_600] {
            self.machine.advance(seconds);
            let before = self.worlds.clone();
            self.machine.tick().await;
            self.taken_back(&before)?;
        }
        self.one_account_each().await?;
        match self.machine.outside.lock().there().as_slice() {
            [] => Ok(()),
            left => Err(format!("credentials {left:?} are still there, without a lease")),
        }
    }

    /// No credential was taken back early, or again without need.
    fn taken_back(&mut self, before: &[Model]) -> Result<(), String> {
        let now = self.machine.now()?;
        let news = self.machine.outside.lock().news();
        for TakenBack { credential, times, excused } in news {
            // What nobody was told of is taken back twice, to be sure.
            let Some(lease) = self.credentials.get(&credential) else { continue };
            if !excused {
                return Err(format!("credential {credential} was taken back {times} times"));
            }
            let mut worlds = before.iter().chain(&self.worlds);
            let due = worlds.any(|world| !world.holds_lease(*lease, now));
            if !due && !self.given_up.contains(lease) {
                return Err(format!("the credential of request {lease} was taken back early"));
            }
        }
        self.nobody_is_cut_off(before)
    }

    /// Every credential whose lease has ended was taken back.
    fn nothing_is_left(&self) -> Result<(), String> {
        let now = self.machine.now()?;
        let outside = self.machine.outside.lock();
        for (credential, lease) in &self.credentials {
            let due = self.worlds.iter().all(|world| !world.holds_lease(*lease, now));
            if due && !outside.is_revoked(*credential) {
                return Err(format!("the credential of request {lease} was not taken back"));
            }
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<(), String> {
        match self.dice.roll(40) {
            0 => self.machine.advance(self.dice.roll(400) as i64),
            1 => self.machine.step_wall(-(self.dice.roll(7_200) as i64)),
            2 if self.dice.one_in(3) => self.machine.step_wall(self.dice.roll(900) as i64),
            3..=6 => self.machine.advance(self.dice.roll(20) as i64),
            7..=9 => {
                self.machine.disk.set_mood(Mood::default());
                let before = self.worlds.clone();
                self.machine.tick().await;
                self.taken_back(&before)?;
            }
            10 => return self.seal().await,
            11 => {
                self.failing = !self.failing;
            }
            _ => {}
        }
        let count = if self.dice.one_in(3) { 2 + self.dice.roll(2) } else { 1 };
        let slow = if count > 1 { self.dice.roll(4) } else { 0 };
        let failing = if self.failing { 6 } else { 0 };
        self.machine.disk.set_mood(Mood { failing, slow });
        let batch: Vec<Asked> = (0..count).map(|_| self.draw(count > 1)).collect();
        let crash = self.dice.one_in(25).then(|| self.dice.roll(30));
        let tick = self.dice.one_in(5);
        self.batch(batch, crash, tick).await
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
        self.machine.unseal().await
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
        let line = format!("{asked:?} -> {outcome}");
        self.trace.update(line.as_bytes());
        self.history.push(line);
    }

    /// Sends requests together and compares; the machine may die after some turns.
    async fn batch(
        &mut self,
        batch: Vec<Asked>,
        crash: Option<u64>,
        tick: bool,
    ) -> Result<(), String> {
        let now = self.machine.now()?;
        let mut running: Vec<JoinHandle<Got>> = Vec::new();
        for asked in &batch {
            let (token, wire) = self.wire(asked);
            let node = self.machine.node.clone();
            running.push(tokio::spawn(send(node, asked.number, token, wire)));
        }
        let ticking = tick.then(|| {
            let services = self.machine.node.active().ok();
            tokio::spawn(async move {
                if let Some(services) = services {
                    strongroom_kernel::reconcile::run_due(&services).await;
                }
            })
        });
        let mut answers: Vec<Option<Got>> = Vec::new();
        if let Some(after) = crash {
            turns(after).await;
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
        self.taken_back(&before)?;
        if crash.is_some() {
            self.crashes += 1;
            let power_cut = self.dice.one_in(2);
            check(&self.machine, &self.ledger).await?;
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
        if let Op::RevokeLease { lease } = asked.op {
            self.given_up.insert(lease);
        }
        let Some(got) = answer else {
            self.unknown += 1;
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
        if got.status >= 500 {
            if !applied.failed {
                return Err(format!("{asked:?} answers {got:?} without a fault"));
            }
            self.unknown += 1;
            return Ok(Outcome::Unknown(applied));
        }
        if let (Op::Unwrap { wrap }, 200) = (&asked.op, got.status) {
            self.unwrapped.push(*wrap);
        }
        let data = &got.body["data"];
        self.note_turned(asked, data);
        if let (Op::Give { .. }, Some(number)) = (&asked.op, data["number"].as_i64()) {
            self.credentials.insert(number, asked.number);
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
