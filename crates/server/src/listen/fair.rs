//! Whose turn it is, when more is asked than the machine can do at once.
//!
//! It exists so that hundreds of greedy clients cannot starve a polite one. Each step of a request's
//! work, up to where it waits for something, needs one of a few places; those who find none wait in
//! a line, and whoever used least of late comes first. What a connection used is the CPU time of its
//! requests that had to wait in the line, and a part of the time they waited for the disk, times the
//! number of connections that its peer has open; it fades with time ([`Level`]). So a peer gets one
//! share whatever the number of its connections, whoever asks for less than its share goes before all
//! who ask for more, and what was used while nobody waited is held against nobody. Each eighth turn
//! goes to whoever waits longest: nobody waits for ever.
//!
//! Invariant: those who wait to begin are bounded; who comes beyond the bound is refused at once. What
//! has begun is not refused, and was bounded when it began.
//!
//! Where few connections are open, and no step was long of late, there is no line, and nothing is charged:
//! whoever comes waits for a short step of each of the others at most, which is a few milliseconds, and the
//! line costs a tenth of an ordinary request. With more, but without load, a step costs two uncontended
//! locks: clocks are read for those who waited, and for one step in [`LOOK_EVERY`]. The
//! wall clock alone would not do: a thread that the system took off its core in the middle of a
//! request would charge its client for the time of others.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Peer;
use super::watch::peer_key;

/// What a request is charged until its cost is known, in nanoseconds.
const GUESS: f64 = 50_000.0;

/// While a request waits for something, which is mostly the disk, it is charged this part of the time: the
/// disk is scarcer than CPU time, and those who wait for one sync share it.
const WAIT_SHARE: f64 = 1.0 / 16.0;

/// So many seconds of a wait are free: a request that waits for nothing but its thread's turn waits as
/// long on a busy machine.
const WAIT_FREE: f64 = 0.002;

/// The most that it is charged for one wait, in nanoseconds.
const WAIT_MAX: f64 = 1_000_000.0;

/// One turn in so many goes to whoever waits longest.
const OLDEST_EVERY: u64 = 8;

/// What somebody used, told as the second of the gate's clock at which it will have faded to one
/// nanosecond; it fades by the factor e each second. Told so, it need not be told anew as time passes,
/// and of two levels the greater is the greater at any time. (Forward decay: Cormode, Shkapenyuk,
/// Srivastava, Xu: "Forward decay: a practical time decay model for streaming systems", 2009.)
#[derive(Clone, Copy, PartialEq, Debug)]
struct Level(f64);

impl Level {
    /// With so many nanoseconds more, at this second.
    fn charged(self, now: f64, nanos: f64) -> Self {
        let used = (self.0 - now).exp();
        Self(now + (used + nanos).max(1.0).ln())
    }
}

/// A level that many threads see; 0 as long as it is not known.
#[derive(Debug, Default)]
struct SharedLevel(AtomicU64);

impl SharedLevel {
    fn get(&self) -> Option<Level> {
        Some(self.0.load(Relaxed)).filter(|bits| *bits != 0).map(|bits| Level(f64::from_bits(bits)))
    }

    fn set(&self, level: Level) {
        self.0.store(level.0.to_bits(), Relaxed);
    }

    /// Sets it to this one if that is greater: levels are no less than 0, so their bits are in order.
    fn raise(&self, level: Level) {
        self.0.fetch_max(level.0.to_bits(), Relaxed);
    }
}

/// What the connections of one peer have in common.
#[derive(Debug, Default)]
pub struct Share {
    /// How many it has open.
    pub(super) connections: AtomicUsize,
    /// The greatest level of those that were closed: the next one does not begin with a clean slate.
    left: SharedLevel,
}

/// With so many connections (and requests that outlived theirs), nobody needs a line for short steps.
const FEW: usize = 24;

/// A step that takes so many nanoseconds of CPU is long.
const LONG: f64 = 500_000.0;

/// For so many seconds after a long step there is a line, however few there are.
const LONG_COUNTS: f64 = 1.0;

/// Of the steps of a connection, one in so many is measured.
const LOOK_EVERY: usize = 8;

/// A connection's account.
#[derive(Debug, Default)]
pub struct Flow {
    level: SharedLevel,
    share: OnceLock<Arc<Share>>,
    /// How many connections there are; `None` where one may carry any number of requests.
    open: Option<Arc<AtomicUsize>>,
    has_streams: AtomicBool,
    steps: AtomicUsize,
}

impl Flow {
    /// The account of one of these connections.
    pub(super) fn of(open: Arc<AtomicUsize>) -> Self {
        Self { open: Some(open), ..Self::default() }
    }

    /// The connection turns out to carry many requests at once.
    pub(super) fn has_streams(&self) {
        self.has_streams.store(true, Relaxed);
    }

    /// Is it one of a few, whose requests come one by one?
    fn is_of_few(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.load(Relaxed) <= FEW)
            && !self.has_streams.load(Relaxed)
    }

    /// Is its next step one of those that are measured?
    fn is_looked_at(&self) -> bool {
        self.steps.fetch_add(1, Relaxed).is_multiple_of(LOOK_EVERY)
    }

    /// The account of a peer with this share; what is set once stays.
    pub(super) fn belongs_to(&self, share: Arc<Share>) {
        let _ = self.share.set(share);
    }

    /// The connection is closed.
    pub(super) fn leaves(&self) {
        if let (Some(share), Some(level)) = (self.share.get(), self.level.get()) {
            share.left.raise(level);
        }
    }

    fn level(&self) -> Option<Level> {
        self.level.get().or_else(|| self.share.get()?.left.get())
    }

    fn weight(&self) -> f64 {
        let connections = self.share.get().map_or(1, |share| share.connections.load(Relaxed));
        connections.max(1) as f64
    }
}

/// Accounts of addresses that trusted proxies tell: many clients share such a proxy's connections.
#[derive(Default)]
pub(super) struct Accounts(Mutex<HashMap<IpAddr, Arc<Flow>>>);

/// Accounts kept; with more, all begin anew.
const ACCOUNTS_MAX: usize = 4_096;

impl Accounts {
    /// The peer with the account of the address it was told to have.
    pub(super) fn told(&self, before: &Peer, told: Arc<Peer>) -> Arc<Peer> {
        let Some(address) = told.address.ip() else { return told };
        if before.address.ip() == Some(address) {
            return told;
        }
        let mut accounts = self.0.lock();
        if accounts.len() >= ACCOUNTS_MAX {
            accounts.clear();
        }
        let flow = accounts.entry(peer_key(address)).or_default().clone();
        drop(accounts);
        Arc::new(Peer { flow, ..Arc::unwrap_or_clone(told) })
    }
}

/// The places, and the line before them.
pub struct Gate {
    line: Mutex<Line>,
    waiting_max: usize,
    cpu_nanos: fn() -> u64,
    began: Instant,
    /// The second of the last long step, as the bits of a number; 0 where there was none.
    long_at: AtomicU64,
}

struct Line {
    free: usize,
    /// Who used least comes first; of those who used the same, who came first.
    waiting: BTreeMap<Turn, Arc<Seat>>,
    /// The same, by their arrival.
    by_arrival: BTreeMap<u64, Level>,
    /// How many of them have not begun yet.
    newcomers: usize,
    arrivals: u64,
    turns: u64,
    /// What the last one used who came first.
    usual: Level,
}

/// What was charged in advance, and at which second.
#[derive(Clone, Copy)]
struct Guess {
    nanos: f64,
    at: f64,
}

#[derive(Clone, Copy)]
struct Turn {
    level: Level,
    arrival: u64,
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Turn {}
impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        self.level.0.total_cmp(&other.level.0).then(self.arrival.cmp(&other.arrival))
    }
}

/// Where one who waits is called.
#[derive(Default)]
struct Seat {
    newcomer: bool,
    called: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// The line is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crowded;

impl Line {
    fn new(places: usize) -> Self {
        Self {
            free: places.max(1),
            waiting: BTreeMap::new(),
            by_arrival: BTreeMap::new(),
            newcomers: 0,
            arrivals: 0,
            turns: 0,
            usual: Level(0.0),
        }
    }

    /// The level of this account. One of which nothing is known begins with half of what is usual:
    /// it need not wait behind all at first, and those whose use is small stay before it.
    fn level(&self, flow: &Flow) -> Level {
        flow.level().unwrap_or(Level(self.usual.0 - std::f64::consts::LN_2))
    }

    /// Charges so many nanoseconds, or gives them back, whatever the weight.
    fn charge_plain(&self, flow: &Flow, now: f64, nanos: f64) {
        flow.level.set(self.level(flow).charged(now, nanos));
    }

    /// Charges so many nanoseconds.
    fn charge(&self, flow: &Flow, now: f64, nanos: f64) {
        self.charge_plain(flow, now, nanos * flow.weight());
    }

    /// Charges the cost in place of what is left of the guess.
    fn settle(&self, flow: &Flow, guess: Guess, now: f64, nanos: f64) {
        let left = guess.nanos * (guess.at - now).exp();
        self.charge_plain(flow, now, nanos * flow.weight() - left);
    }

    /// Waits, with the level of its first step if it has begun: what has begun comes before what others
    /// with the same use would begin. A guess is charged at once: of many requests on one connection
    /// each counts.
    fn queue(
        &mut self,
        flow: &Flow,
        begun: Option<Level>,
        newcomer: bool,
        now: f64,
    ) -> (Turn, Guess, Arc<Seat>) {
        self.arrivals += 1;
        let level = begun.unwrap_or_else(|| self.level(flow));
        let turn = Turn { level, arrival: self.arrivals };
        let guess = Guess { nanos: GUESS * flow.weight(), at: now };
        self.charge_plain(flow, now, guess.nanos);
        let seat = Arc::new(Seat { newcomer, ..Seat::default() });
        self.newcomers += usize::from(newcomer);
        self.waiting.insert(turn, seat.clone());
        self.by_arrival.insert(turn.arrival, turn.level);
        (turn, guess, seat)
    }

    fn leaves(&mut self, turn: Turn) -> Option<Arc<Seat>> {
        self.by_arrival.remove(&turn.arrival);
        let seat = self.waiting.remove(&turn)?;
        self.newcomers -= usize::from(seat.newcomer);
        Some(seat)
    }

    /// Gives a place to whoever is next.
    fn next(&mut self) {
        self.turns += 1;
        let turn = if self.turns.is_multiple_of(OLDEST_EVERY) {
            let oldest = self.by_arrival.first_key_value();
            oldest.map(|(arrival, level)| Turn { level: *level, arrival: *arrival })
        } else {
            let first = self.waiting.first_key_value().map(|(turn, _)| *turn);
            self.usual = first.map_or(self.usual, |turn| turn.level);
            first
        };
        let Some(seat) = turn.and_then(|turn| self.leaves(turn)) else {
            self.free += 1;
            return;
        };
        let waker = {
            let mut waker = seat.waker.lock();
            seat.called.store(true, Relaxed);
            waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Gate {
    /// A gate with so many places, and a line of at most `waiting_max`; `cpu_nanos` tells how much CPU
    /// this thread has used.
    pub fn new(places: usize, waiting_max: usize, cpu_nanos: fn() -> u64) -> Self {
        let line = Mutex::new(Line::new(places));
        Self { line, waiting_max, cpu_nanos, began: Instant::now(), long_at: AtomicU64::new(0) }
    }

    /// The second of this gate's clock.
    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Runs `work`, each step of it when it is the turn of `flow`: the place is given back as soon as
    /// the work waits for something itself.
    pub async fn run<F: Future>(
        &self,
        flow: &Flow,
        mut work: Pin<&mut F>,
    ) -> Result<F::Output, Crowded> {
        let mut place = self.place(flow, None, true).await?;
        loop {
            let looked_at = flow.is_looked_at().then(self.cpu_nanos);
            let step = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
            if looked_at.is_some_and(|began| self.since(began) >= LONG) {
                self.long_at.store(self.now().to_bits(), Relaxed);
            }
            let level = place.as_ref().and_then(|place| place.level);
            let waited = place.as_ref().is_some_and(|place| place.waited.is_some());
            drop(place);
            if let Poll::Ready(done) = step {
                return Ok(done);
            }
            let left = waited.then(|| self.now());
            woken().await;
            if let Some(left) = left {
                let now = self.now();
                let nanos = (now - left - WAIT_FREE).max(0.0) * 1e9 * WAIT_SHARE;
                self.line.lock().charge(flow, now, nanos.min(WAIT_MAX));
            }
            place = self.place(flow, level, false).await?;
        }
    }

    /// As [`Gate::enter`]; no place at all where there is no line.
    async fn place<'a>(
        &'a self,
        flow: &'a Flow,
        begun: Option<Level>,
        newcomer: bool,
    ) -> Result<Option<Place<'a>>, Crowded> {
        if flow.is_of_few() && !self.has_long_steps() {
            return Ok(None);
        }
        self.enter(flow, begun, newcomer).await.map(Some)
    }

    fn has_long_steps(&self) -> bool {
        let at = self.long_at.load(Relaxed);
        at != 0 && self.now() - f64::from_bits(at) < LONG_COUNTS
    }

    /// Waits for a place, with the level of the first step if the work has begun. `newcomer` tells
    /// whether it has not: what has begun is not refused.
    async fn enter<'a>(
        &'a self,
        flow: &'a Flow,
        begun: Option<Level>,
        newcomer: bool,
    ) -> Result<Place<'a>, Crowded> {
        let (turn, guess, seat) = {
            let mut line = self.line.lock();
            if line.free > 0 {
                line.free -= 1;
                return Ok(Place { gate: self, flow, level: begun, waited: None });
            }
            if newcomer && line.newcomers >= self.waiting_max {
                return Err(Crowded);
            }
            line.queue(flow, begun, newcomer, self.now())
        };
        // Dropped while it waits, it hands on the call that comes to it.
        let mut called = Called { gate: self, flow, turn, guess, seat: &seat, taken: false };
        poll_fn(|cx| {
            if seat.called.load(Relaxed) {
                return Poll::Ready(());
            }
            let mut waker = seat.waker.lock();
            if seat.called.load(Relaxed) {
                return Poll::Ready(());
            }
            *waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        called.taken = true;
        let waited = Some(Waited { guess, began: (self.cpu_nanos)() });
        Ok(Place { gate: self, flow, level: Some(turn.level), waited })
    }

    /// The nanoseconds of CPU that this thread has used since then.
    fn since(&self, began: u64) -> f64 {
        (self.cpu_nanos)().saturating_sub(began) as f64
    }
}

/// Waits until this task is polled again, by whoever holds its waker.
async fn woken() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

/// A place that is being used, within one poll: on one thread.
struct Place<'a> {
    gate: &'a Gate,
    flow: &'a Flow,
    /// The level with which it waited, now or at its first step.
    level: Option<Level>,
    /// Of one who waited for it.
    waited: Option<Waited>,
}

#[derive(Clone, Copy)]
struct Waited {
    guess: Guess,
    /// The thread's CPU time when it began.
    began: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let used = self.waited.map(|waited| (self.gate.since(waited.began), self.gate.now()));
        let mut line = self.gate.line.lock();
        if let (Some((nanos, now)), Some(waited)) = (used, self.waited) {
            line.settle(self.flow, waited.guess, now, nanos);
        }
        line.next();
    }
}

/// One who waits.
struct Called<'a> {
    gate: &'a Gate,
    flow: &'a Flow,
    turn: Turn,
    guess: Guess,
    seat: &'a Seat,
    taken: bool,
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut line = self.gate.line.lock();
        line.settle(self.flow, self.guess, self.gate.now(), 0.0);
        if self.seat.called.load(Relaxed) {
            line.next();
        } else {
            line.leaves(self.turn);
        }
    }
}

#[cfg(test)]
mod tests;
