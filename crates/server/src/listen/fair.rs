//! Whose turn it is, when more is asked than the machine can do at once.
//!
//! It exists so that hundreds of greedy clients cannot starve a polite one. A request's work until
//! it first waits for something (which is all of a read, and nearly all of a write) needs one of a
//! few places; those who find none wait in a line, and the line is ordered by start-time fair
//! queueing (Goyal, Vin, Cheng: "Start-time fair queueing", 1996): each connection is charged the
//! CPU time its requests took, times the number of connections that its peer has open, and whoever
//! was charged least comes first. So a peer gets one share whatever the number of its connections, and
//! whoever asks for less than its share finds the line empty before it.
//!
//! Invariant: the line is bounded; who comes beyond the bound is refused at once.
//!
//! Without load a request costs two uncontended locks, and is charged a guess: the thread's CPU clock,
//! which is a system call, is read only for those who waited. The wall clock would not do: a thread
//! that the system took off its core in the middle of a request would charge its client for the time
//! of others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use parking_lot::Mutex;

use super::Peer;
use super::watch::peer_key;

/// What a request is charged until its cost is known, in nanoseconds.
const GUESS: u64 = 50_000;

/// A connection's account.
#[derive(Debug, Default)]
pub struct Flow {
    /// The virtual time at which all it was charged for is paid.
    paid: AtomicU64,
    /// How many connections its peer has open.
    share: OnceLock<Arc<AtomicUsize>>,
}

impl Flow {
    /// The account of a peer with so many connections; what is set once stays.
    pub(super) fn belongs_to(&self, connections: Arc<AtomicUsize>) {
        let _ = self.share.set(connections);
    }

    fn weight(&self) -> u64 {
        self.share.get().map_or(1, |share| share.load(Relaxed).max(1)) as u64
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
}

struct Line {
    /// The virtual time: the start of whoever went in last.
    now: u64,
    free: usize,
    waiting: BinaryHeap<Reverse<Waiting>>,
    arrivals: u64,
    departures: u64,
}

struct Waiting {
    start: u64,
    /// What its connection had paid for when it came: of two with one start, whoever asked for less
    /// than its share comes first.
    paid: u64,
    arrival: u64,
    seat: Arc<Seat>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.start, self.paid, self.arrival).cmp(&(other.start, other.paid, other.arrival))
    }
}

/// Where one who waits is called.
#[derive(Default)]
struct Seat {
    called: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// The line is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crowded;

impl Line {
    /// Half to one and a half of a cost, the cost itself on average. Connections that began together
    /// and ask for the same would stay in step otherwise, and whoever comes twice while one step
    /// lasts would wait for all of them.
    fn dither(&mut self, cost: u64) -> u64 {
        self.departures = self.departures.wrapping_add(1);
        // Fibonacci hashing: evenly spread, and nobody gains by foreseeing it.
        let draw = self.departures.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        (cost / 1_024).saturating_mul(512 + draw)
    }

    /// The start of a new request of `flow`, which is charged a guess for it; what it had paid for
    /// before; and the guess.
    fn charge(&mut self, flow: &Flow) -> (u64, u64, u64) {
        let paid = flow.paid.load(Relaxed);
        let (start, guess) = (self.now.max(paid), GUESS.saturating_mul(flow.weight()));
        flow.paid.store(start.saturating_add(guess), Relaxed);
        (start, paid, guess)
    }
}

impl Gate {
    /// A gate with so many places, and a line of at most `waiting_max`; `cpu_nanos` tells how much CPU
    /// this thread has used.
    pub fn new(places: usize, waiting_max: usize, cpu_nanos: fn() -> u64) -> Self {
        let line = Line {
            now: 0,
            free: places.max(1),
            waiting: BinaryHeap::new(),
            arrivals: 0,
            departures: 0,
        };
        Self { line: Mutex::new(line), waiting_max, cpu_nanos }
    }

    /// Runs `work` when it is the turn of `flow`; the place is given back as soon as the work waits
    /// for something itself.
    pub async fn run<F: Future>(
        &self,
        flow: &Flow,
        mut work: Pin<&mut F>,
    ) -> Result<F::Output, Crowded> {
        let mut place = Some(self.enter(flow).await?);
        let done = poll_fn(|cx| {
            let polled = work.as_mut().poll(cx);
            drop(place.take());
            polled
        });
        Ok(done.await)
    }

    async fn enter<'a>(&'a self, flow: &'a Flow) -> Result<Place<'a>, Crowded> {
        let (seat, guess) = {
            let mut line = self.line.lock();
            if line.free == 0 && line.waiting.len() >= self.waiting_max {
                return Err(Crowded);
            }
            let (start, paid, guess) = line.charge(flow);
            if line.free > 0 {
                line.free -= 1;
                line.now = line.now.max(start);
                (None, guess)
            } else {
                line.arrivals += 1;
                let (arrival, seat) = (line.arrivals, Arc::new(Seat::default()));
                line.waiting.push(Reverse(Waiting { start, paid, arrival, seat: seat.clone() }));
                (Some(seat), guess)
            }
        };
        let waited = seat.is_some();
        if let Some(seat) = seat {
            // Dropped while it waits, it hands on the call that comes to it.
            let mut called = Called { gate: self, seat: &seat, taken: false };
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
        }
        Ok(Place { gate: self, flow, guess, began: waited.then(self.cpu_nanos) })
    }

    /// Gives a place to whoever is next.
    fn next(&self, line: &mut Line) {
        match line.waiting.pop() {
            Some(Reverse(next)) => {
                line.now = line.now.max(next.start);
                let waker = {
                    let mut waker = next.seat.waker.lock();
                    next.seat.called.store(true, Relaxed);
                    waker.take()
                };
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            None => line.free += 1,
        }
    }

    /// Gives a place back. Where its use was measured, in nanoseconds, that takes the place of the
    /// guess that was charged.
    fn leave(&self, flow: &Flow, guess: u64, cost: Option<u64>) {
        let mut line = self.line.lock();
        if let Some(cost) = cost {
            let charge = line.dither(cost).saturating_mul(flow.weight());
            let paid = flow.paid.load(Relaxed).saturating_add(charge);
            flow.paid.store(paid.saturating_sub(guess), Relaxed);
        }
        self.next(&mut line);
    }
}

/// A place that is being used, within one poll: on one thread.
struct Place<'a> {
    gate: &'a Gate,
    flow: &'a Flow,
    /// What was charged for it.
    guess: u64,
    /// The thread's CPU time when it began, of one who waited for it.
    began: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let cost = self.began.map(|began| (self.gate.cpu_nanos)().saturating_sub(began));
        self.gate.leave(self.flow, self.guess, cost);
    }
}

/// One who waits.
struct Called<'a> {
    gate: &'a Gate,
    seat: &'a Arc<Seat>,
    taken: bool,
}

impl Drop for Called<'_> {
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut line = self.gate.line.lock();
        if self.seat.called.load(Relaxed) {
            self.gate.next(&mut line);
        } else {
            line.waiting.retain(|Reverse(waiting)| !Arc::ptr_eq(&waiting.seat, self.seat));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    /// A line in which time passes only as requests take it: each is served to its end before the
    /// next, and costs what it says.
    struct Counter {
        gate: Gate,
        served: Vec<&'static str>,
    }

    impl Counter {
        fn new() -> Self {
            Self { gate: Gate::new(1, 10_000, || 0), served: Vec::new() }
        }

        fn arrive(&self, flow: &Flow) -> Arc<Seat> {
            let mut line = self.gate.line.lock();
            line.free = 0;
            line.arrivals += 1;
            let ((start, paid, _), arrival) = (line.charge(flow), line.arrivals);
            let seat = Arc::new(Seat::default());
            line.waiting.push(Reverse(Waiting { start, paid, arrival, seat: seat.clone() }));
            seat
        }

        fn serve(&mut self, name: &'static str, flow: &Flow, cost: u64) {
            let guess = GUESS * flow.weight();
            self.gate.leave(flow, guess, Some(cost));
            self.served.push(name);
        }
    }

    fn of_peer(connections: usize) -> Vec<Flow> {
        let share = Arc::new(AtomicUsize::new(connections));
        let flow = || {
            let flow = Flow::default();
            flow.belongs_to(share.clone());
            flow
        };
        (0..connections).map(|_| flow()).collect()
    }

    /// Serves whoever is called until `turns` are over: greedy connections come again at once,
    /// and whenever `every` of their requests were served a polite one comes. Answers how many
    /// requests each polite one had before it.
    fn beside(greedy: &[Flow], polite: &Flow, cost: u64, every: usize, turns: usize) -> Vec<usize> {
        let mut counter = Counter::new();
        let mut seats: Vec<(usize, Arc<Seat>)> =
            greedy.iter().enumerate().map(|(i, flow)| (i, counter.arrive(flow))).collect();
        let (mut waits, mut waiting) = (Vec::new(), None);
        {
            let mut line = counter.gate.line.lock();
            counter.gate.next(&mut line);
        }
        let mut since = 0;
        for turn in 0..turns {
            if turn % every == every - 1 && waiting.is_none() {
                waiting = Some(counter.arrive(polite));
                since = 0;
            }
            if waiting.as_ref().is_some_and(|seat| seat.called.load(Relaxed)) {
                waiting = None;
                waits.push(since);
                counter.serve("polite", polite, cost);
                continue;
            }
            let at = seats.iter().position(|(_, seat)| seat.called.load(Relaxed)).unwrap();
            let (i, _) = seats.swap_remove(at);
            // It asks again before it is done, so the line is never empty.
            seats.push((i, counter.arrive(&greedy[i])));
            counter.serve("greedy", &greedy[i], cost);
            since += 1;
        }
        waits
    }

    #[test]
    fn a_polite_client_waits_for_few_of_hundreds_of_greedy_ones() {
        for (connections, cost) in [(300, 40_000), (1_000, 40_000), (300, 2_000_000)] {
            let (greedy, polite) = (of_peer(connections), of_peer(1).remove(0));
            let mut waits = beside(&greedy, &polite, cost, 50, 60 * connections);
            // The first rounds, in which all begin at once, aside.
            let count = waits.len();
            waits.drain(..count / 3);
            waits.sort_unstable();
            let p99 = waits[waits.len() * 99 / 100];
            assert!(count > 60 * connections / 100, "{connections}: {count} requests");
            assert!(p99 <= 10, "{connections} of {cost}: {p99}, at most {:?}", waits.last());
        }
    }

    /// As one of the greedy peer's own connections, it still never waits for a whole round.
    #[test]
    fn a_polite_connection_waits_less_than_a_round() {
        let mut greedy = of_peer(301);
        let polite = greedy.remove(0);
        let mut waits = beside(&greedy, &polite, 40_000, 600, 60_000);
        waits.drain(..20);
        waits.sort_unstable();
        assert!(waits[waits.len() / 2] <= 10, "{waits:?}");
        assert!(waits.last() <= Some(&300), "{waits:?}");
    }

    #[test]
    fn peers_share_whatever_the_number_of_their_connections() {
        let (many, few) = (of_peer(100), of_peer(2));
        let mut counter = Counter::new();
        let flows: Vec<&Flow> = many.iter().chain(&few).collect();
        let mut seats: Vec<(usize, Arc<Seat>)> =
            flows.iter().enumerate().map(|(i, flow)| (i, counter.arrive(flow))).collect();
        {
            let mut line = counter.gate.line.lock();
            counter.gate.next(&mut line);
        }
        for _ in 0..20_000 {
            let at = seats.iter().position(|(_, seat)| seat.called.load(Relaxed)).unwrap();
            let (i, _) = seats.swap_remove(at);
            seats.push((i, counter.arrive(flows[i])));
            let name = if i < many.len() { "many" } else { "few" };
            counter.serve(name, flows[i], 40_000);
        }
        let of_few = counter.served.iter().filter(|name| **name == "few").count();
        assert!((9_000..11_000).contains(&of_few), "{of_few} of 20000");
    }

    #[tokio::test]
    async fn the_clock_is_read_only_for_those_who_waited() {
        use std::sync::atomic::AtomicU64;
        static READINGS: AtomicU64 = AtomicU64::new(0);
        let gate = Gate::new(1, 10, || READINGS.fetch_add(1_000, Relaxed));
        let (one, other) = (Flow::default(), Flow::default());
        assert_eq!(gate.run(&one, pin!(async {})).await, Ok(()));
        assert_eq!((READINGS.load(Relaxed), one.paid.load(Relaxed)), (0, GUESS));
        let place = gate.enter(&one).await.unwrap();
        let work = pin!(async {});
        let mut waits = pin!(gate.run(&other, work));
        assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err());
        drop(place);
        assert_eq!(waits.await, Ok(()));
        assert_eq!(READINGS.load(Relaxed), 2_000, "who waited was measured, from its turn on");
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
        let place = gate.enter(&flow).await.unwrap();
        let two = pin!(async { 2 });
        let mut second = Box::pin(gate.run(&flow, two));
        assert!(tokio::time::timeout(Duration::ZERO, &mut second).await.is_err());
        assert_eq!(gate.run(&flow, pin!(async { 3 })).await, Err(Crowded));
        drop(place);
        assert_eq!(second.await, Ok(2));

        // Whoever gives up, called or not, leaves nothing behind.
        for called in [false, true] {
            let place = gate.enter(&flow).await.unwrap();
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
