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
//! Without load a step costs two uncontended locks: clocks are read only for those who waited. The
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

/// A connection's account.
#[derive(Debug, Default)]
pub struct Flow {
    level: SharedLevel,
    share: OnceLock<Arc<Share>>,
}

impl Flow {
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
        Self { line, waiting_max, cpu_nanos, began: Instant::now() }
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
        let mut place = self.enter(flow, None, true).await?;
        loop {
            let step = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
            let (level, waited) = (place.level, place.waited.is_some());
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
            place = self.enter(flow, level, false).await?;
        }
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
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    /// A line before one place, in which time passes only as requests take it.
    struct Counter {
        line: Line,
        now: f64,
    }

    impl Counter {
        fn new() -> Self {
            let mut line = Line::new(1);
            line.free = 0;
            Self { line, now: 0.0 }
        }

        fn arrive(&mut self, flow: &Flow) -> Arc<Seat> {
            self.line.queue(flow, None, true, self.now).2
        }

        fn serve(&mut self, flow: &Flow, nanos: f64) {
            self.now += nanos / 1e9;
            let guess = Guess { nanos: GUESS * flow.weight(), at: self.now };
            self.line.settle(flow, guess, self.now, nanos);
            self.line.next();
        }
    }

    fn of_peer(connections: usize) -> Vec<Flow> {
        let share = Arc::new(Share::default());
        share.connections.store(connections, Relaxed);
        let flow = || {
            let flow = Flow::default();
            flow.belongs_to(share.clone());
            flow
        };
        (0..connections).map(|_| flow()).collect()
    }

    /// Each of a peer of its own.
    fn of_peers(count: usize) -> Vec<Flow> {
        (0..count).map(|_| of_peer(1).remove(0)).collect()
    }

    /// Serves whoever is called until `turns` are over: greedy connections come again at once,
    /// and whenever `every` requests were served a polite one comes. Answers how many requests
    /// each polite one had before it. Where they are `hasty`, greedy ones come over a new
    /// connection each time.
    fn beside(
        greedy: &mut [Flow],
        hasty: bool,
        polite: &Flow,
        nanos: f64,
        every: usize,
        turns: usize,
    ) -> Vec<usize> {
        let mut counter = Counter::new();
        let mut seats: Vec<(usize, Arc<Seat>)> =
            greedy.iter().enumerate().map(|(i, flow)| (i, counter.arrive(flow))).collect();
        let (mut waits, mut waiting) = (Vec::new(), None);
        counter.line.next();
        let mut since = 0;
        for turn in 0..turns {
            if turn % every == every - 1 && waiting.is_none() {
                waiting = Some(counter.arrive(polite));
                since = 0;
            }
            if waiting.as_ref().is_some_and(|seat| seat.called.load(Relaxed)) {
                waiting = None;
                waits.push(since);
                counter.serve(polite, nanos);
                continue;
            }
            let at = seats.iter().position(|(_, seat)| seat.called.load(Relaxed)).unwrap();
            let (i, _) = seats.swap_remove(at);
            if hasty {
                greedy[i].leaves();
                let share = greedy[i].share.get().cloned().unwrap();
                greedy[i] = Flow::default();
                greedy[i].belongs_to(share);
            }
            // It asks again before it is done, so the line is never empty.
            seats.push((i, counter.arrive(&greedy[i])));
            counter.serve(&greedy[i], nanos);
            since += 1;
        }
        waits
    }

    #[test]
    fn a_polite_client_waits_for_few_of_hundreds_of_greedy_ones() {
        for (count, nanos) in [(300, 40_000.0), (1_000, 40_000.0), (300, 2_000_000.0)] {
            for (of_one, hasty) in [(true, false), (false, false), (false, true)] {
                let mut greedy = if of_one { of_peer(count) } else { of_peers(count) };
                let polite = of_peer(1).remove(0);
                // A third of its share.
                let every = if of_one { 50 } else { 3 * count };
                let mut waits = beside(&mut greedy, hasty, &polite, nanos, every, 60 * count);
                // While all are new, nobody is known to be polite.
                let new = waits.len() / 4;
                waits.drain(..new);
                let case = format!("{count} of {nanos}, {of_one}, {hasty}: {waits:?}");
                assert!(waits.len() >= 14, "{case}");
                assert!(waits.iter().max() <= Some(&2), "{case}");
            }
        }
    }

    /// As one of the greedy peer's own connections, too.
    #[test]
    fn a_polite_connection_goes_before_its_greedy_sisters() {
        let mut greedy = of_peer(301);
        let polite = greedy.remove(0);
        let mut waits = beside(&mut greedy, false, &polite, 40_000.0, 900, 60_000);
        let _ = waits.remove(0);
        assert!(waits.iter().max() <= Some(&2), "{waits:?}");
    }

    #[test]
    fn peers_share_whatever_the_number_of_their_connections() {
        let (many, few) = (of_peer(100), of_peer(2));
        let mut counter = Counter::new();
        let flows: Vec<&Flow> = many.iter().chain(&few).collect();
        let mut seats: Vec<(usize, Arc<Seat>)> =
            flows.iter().enumerate().map(|(i, flow)| (i, counter.arrive(flow))).collect();
        counter.line.next();
        let mut of_few = 0;
        for turn in 0..200_000 {
            let at = seats.iter().position(|(_, seat)| seat.called.load(Relaxed)).unwrap();
            let (i, _) = seats.swap_remove(at);
            seats.push((i, counter.arrive(flows[i])));
            counter.serve(flows[i], 40_000.0);
            of_few += usize::from(turn >= 100_000 && i >= many.len());
        }
        assert!((40_000..55_000).contains(&of_few), "{of_few} of 100000");
    }

    /// Whoever used much and finds hundreds that used nothing so far is served all the same.
    #[test]
    fn nobody_waits_for_ever() {
        let (hog, fresh) = (of_peer(1).remove(0), of_peers(50));
        let mut counter = Counter::new();
        counter.line.charge(&hog, 0.0, 20e9);
        for flow in &fresh {
            flow.level.set(Level(0.0));
        }
        let mut seats: Vec<(usize, Arc<Seat>)> =
            fresh.iter().enumerate().map(|(i, flow)| (i, counter.arrive(flow))).collect();
        let waits = counter.arrive(&hog);
        counter.line.next();
        let mut turns = 0;
        while !waits.called.load(Relaxed) {
            let at = seats.iter().position(|(_, seat)| seat.called.load(Relaxed)).unwrap();
            let (i, _) = seats.swap_remove(at);
            seats.push((i, counter.arrive(&fresh[i])));
            counter.serve(&fresh[i], 40_000.0);
            turns += 1;
            assert!(turns <= 8 * 52, "still not served");
        }
        assert!(turns >= 50, "it had used more than all others: {turns}");
    }

    #[test]
    fn what_was_used_fades_by_the_factor_e_each_second() {
        let level = Level(0.0).charged(100.0, 5e6);
        let used = |now: f64| (level.0 - now).exp();
        for (now, expected) in [(100.0, 5e6), (101.0, 5e6 / std::f64::consts::E)] {
            assert!((used(now) / expected - 1.0).abs() < 1e-6, "{now}: {}", used(now));
        }
        // Given back, it never falls below nothing.
        assert_eq!(level.charged(101.0, -1e9), Level(101.0));
    }

    #[tokio::test]
    async fn the_clock_is_read_only_for_those_who_waited() {
        use std::sync::atomic::AtomicU64;
        static READINGS: AtomicU64 = AtomicU64::new(0);
        let gate = Gate::new(1, 10, || READINGS.fetch_add(1_000, Relaxed));
        let (one, other) = (Flow::default(), Flow::default());
        assert_eq!(gate.run(&one, pin!(async {})).await, Ok(()));
        assert_eq!((READINGS.load(Relaxed), one.level()), (0, None), "nor is anything charged");
        let place = gate.enter(&one, None, true).await.unwrap();
        let work = pin!(async {});
        let mut waits = pin!(gate.run(&other, work));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err());
        drop(place);
        assert_eq!(waits.await, Ok(()));
        assert_eq!(READINGS.load(Relaxed), 2_000, "who waited was measured, from its turn on");
    }

    #[tokio::test]
    async fn each_step_needs_a_place_and_what_has_begun_comes_first() {
        let (gate, flow, other) = (Gate::new(1, 10, || 0), Flow::default(), Flow::default());
        let (release, released) = oneshot::channel::<()>();
        let work = pin!(released);
        let mut run = pin!(gate.run(&flow, work));
        assert!(tokio::time::timeout(Duration::ZERO, &mut run).await.is_err());
        let place = gate.enter(&other, None, true).await.unwrap();
        release.send(()).unwrap();
        assert!(tokio::time::timeout(Duration::ZERO, &mut run).await.is_err());
        assert_eq!(gate.line.lock().waiting.len(), 1);
        drop(place);
        assert_eq!(run.await, Ok(Ok(())));
        assert_eq!(gate.line.lock().free, 1);

        let mut counter = Counter::new();
        let (begun, fresh) = (Flow::default(), Flow::default());
        counter.line.charge(&begun, 0.0, 1e6);
        counter.line.charge(&fresh, 0.0, 1e6);
        let level = begun.level();
        // What it used since, others who begin have not paid yet.
        counter.line.charge(&begun, 0.0, 9e6);
        let first = counter.arrive(&fresh);
        let (_, _, second) = counter.line.queue(&begun, level, false, 0.0);
        counter.line.next();
        assert!(first.called.load(Relaxed) && !second.called.load(Relaxed), "as it came first");
        let third = counter.arrive(&fresh);
        counter.line.next();
        assert!(second.called.load(Relaxed) && !third.called.load(Relaxed));
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_few_come_back_and_the_line_is_bounded() {
        let gate = Arc::new(Gate::new(1, 1, || 0));
        let flow = Arc::new(Flow::default());
        // Work that waits holds no place.
        let (release, released) = oneshot::channel::<()>();
        let (one, of) = (gate.clone(), flow.clone());
        let waits = tokio::spawn(async move { one.run(&of, pin!(released)).await });
        tokio::task::yield_now().await;
        assert_eq!(gate.run(&flow, pin!(async { 1 })).await, Ok(1));
        release.send(()).unwrap();
        assert!(waits.await.unwrap().is_ok());

        // Work in its first step holds one; a second waits, a third is too many.
        let place = gate.enter(&flow, None, true).await.unwrap();
        let two = pin!(async { 2 });
        let mut second = Box::pin(gate.run(&flow, two));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
        assert_eq!(gate.run(&flow, pin!(async { 3 })).await, Err(Crowded));
        drop(place);
        assert_eq!(second.await, Ok(2));

        // Whoever gives up, called or not, leaves nothing behind.
        for called in [false, true] {
            let place = gate.enter(&flow, None, true).await.unwrap();
            let four = pin!(async { 4 });
            let mut second = Box::pin(gate.run(&flow, four));
            assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
            if called {
                drop(place);
                drop(second);
            } else {
                drop(second);
                drop(place);
            }
            assert_eq!(gate.run(&flow, pin!(async { 5 })).await, Ok(5));
            assert_eq!(gate.line.lock().free, 1);
        }
        // A panic gives its place back.
        let (one, of) = (gate.clone(), flow.clone());
        let panics =
            tokio::spawn(async move { one.run(&of, pin!(async { panic!("on purpose") })).await });
        assert!(panics.await.is_err());
        assert_eq!(gate.run(&flow, pin!(async { 6 })).await, Ok(6));
    }
}
