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
async fn nothing_is_charged_to_those_who_did_not_wait() {
    use std::sync::atomic::AtomicU64;
    static READINGS: AtomicU64 = AtomicU64::new(0);
    let gate = Gate::new(1, 10, || READINGS.fetch_add(1_000, Relaxed));
    let (one, other) = (Flow::default(), Flow::default());
    assert_eq!(gate.run(&one, pin!(async {})).await, Ok(()));
    assert_eq!((READINGS.load(Relaxed), one.level()), (2_000, None), "a look, and no charge");
    for _ in 1..LOOK_EVERY {
        assert_eq!(gate.run(&one, pin!(async {})).await, Ok(()));
    }
    assert_eq!(READINGS.swap(0, Relaxed), 2_000, "the others are not measured");
    let place = gate.enter(&one, None, true).await.unwrap();
    let work = pin!(async {});
    let mut waits = pin!(gate.run(&other, work));
    assert!(tokio::time::timeout(Duration::ZERO, &mut waits).await.is_err());
    drop(place);
    assert_eq!(waits.await, Ok(()));
    assert_eq!(READINGS.load(Relaxed), 4_000, "who waited was measured, from its turn on");
    assert!(other.level().is_some());
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

#[tokio::test]
async fn a_few_connections_need_no_line_and_streams_do() {
    let open = Arc::new(AtomicUsize::new(FEW));
    let (one, other) = (Flow::of(open.clone()), Flow::of(open.clone()));
    let gate = Gate::new(1, 0, || 0);
    let held = gate.enter(&other, None, true).await.unwrap();
    assert_eq!(gate.run(&one, pin!(async { 1 })).await, Ok(1));
    open.store(FEW + 1, Relaxed);
    assert_eq!(gate.run(&one, pin!(async { 2 })).await, Err(Crowded));
    open.store(FEW, Relaxed);
    assert_eq!(gate.run(&one, pin!(async { 3 })).await, Ok(3));
    // What has begun waits as soon as there are many.
    let (release, released) = oneshot::channel::<()>();
    let work = pin!(released);
    let mut run = pin!(gate.run(&one, work));
    assert!(tokio::time::timeout(Duration::ZERO, &mut run).await.is_err());
    open.store(FEW + 1, Relaxed);
    release.send(()).unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, &mut run).await.is_err());
    drop(held);
    assert_eq!(run.await, Ok(Ok(())));
    let _held = gate.enter(&other, None, true).await.unwrap();
    open.store(FEW, Relaxed);
    one.has_streams();
    assert_eq!(gate.run(&one, pin!(async { 4 })).await, Err(Crowded));
}

#[tokio::test(start_paused = true)]
async fn after_a_long_step_there_is_a_line_for_a_while() {
    static NANOS: AtomicU64 = AtomicU64::new(0);
    let gate = Gate::new(1, 0, || NANOS.load(Relaxed));
    let open = Arc::new(AtomicUsize::new(2));
    let (short, long) = (Flow::of(open.clone()), Flow::of(open));
    tokio::time::advance(Duration::from_secs(5)).await;
    let _held = gate.enter(&short, None, true).await.unwrap();
    let works = async |nanos: u64| {
        for _ in 0..LOOK_EVERY {
            let step = pin!(async { NANOS.fetch_add(nanos, Relaxed) });
            gate.run(&long, step).await?;
        }
        Ok(())
    };
    assert_eq!(works(LONG as u64 - 1).await, Ok(()));
    assert_eq!(works(LONG as u64).await, Err(Crowded));
    assert_eq!(gate.run(&short, pin!(async {})).await, Err(Crowded));
    tokio::time::advance(Duration::from_secs_f64(LONG_COUNTS)).await;
    assert_eq!(gate.run(&short, pin!(async {})).await, Ok(()));
}
