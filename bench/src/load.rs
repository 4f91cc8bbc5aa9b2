//! Load: so many connections, each as fast as it is answered, for so long.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    crowd,
    http::{Connection, Way},
    process,
    server::Server,
    work::{Material, Random, Work, bytes},
};

/// One measurement.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Server CPU per request, in microseconds.
    pub cpu_micros: f64,
    /// Requests a second.
    pub rate: f64,
    /// Half of the requests took at most so many microseconds.
    pub p50_micros: f64,
    /// 99 of 100 did.
    pub p99_micros: f64,
    /// The requests counted.
    pub requests: usize,
}

/// A measurement, or why there is none, for files.
pub fn json_of(figure: &Result<Figure, String>) -> Value {
    match figure {
        Ok(figure) => json!({
            "cpu_micros": figure.cpu_micros,
            "requests_per_second": figure.rate,
            "p50_micros": figure.p50_micros,
            "p99_micros": figure.p99_micros,
        }),
        Err(why) => json!({ "invalid": why }),
    }
}

/// What the threads of a measurement tell each other.
#[derive(Clone, Default)]
pub struct Signals {
    /// The end.
    pub stop: Arc<AtomicBool>,
    /// Answers count now.
    pub counting: Arc<AtomicBool>,
    /// How many connections have had their first answer.
    pub ready: Arc<AtomicUsize>,
}

/// What one connection has seen.
type Seen = Result<Vec<u32>, String>;

/// Loads `server` with one kind of request over `connections`. Failures, and answers that are no
/// success, are an error: such a figure would say nothing.
pub fn measure(
    server: &Server,
    work: Work,
    material: &Material,
    connections: usize,
    measure: Duration,
) -> Result<Figure, String> {
    let request = |random: &mut Random| bytes(work, material, random);
    measure_requests(server, work.name(), &request, connections, measure)
}

/// The same with requests that `request` makes.
pub fn measure_requests(
    server: &Server,
    name: &str,
    request: &(dyn Fn(&mut Random) -> Vec<u8> + Sync),
    connections: usize,
    measure: Duration,
) -> Result<Figure, String> {
    measure_by((server, &server.way()), name, request, connections, measure)
}

/// The same, and the requests go to the server by this way.
pub fn measure_by(
    (server, way): (&Server, &Way),
    name: &str,
    request: &(dyn Fn(&mut Random) -> Vec<u8> + Sync),
    connections: usize,
    measure: Duration,
) -> Result<Figure, String> {
    let signals = Signals::default();
    let Signals { stop, counting, ready } = &signals;
    let pid = server.pid();
    let (mut seen, cpu, took) = thread::scope(|scope| {
        let mut threads = Vec::new();
        for i in 0..connections {
            let signals = &signals;
            threads.push(scope.spawn(move || one(way, name, request, i as u64 + 1, signals)));
        }
        // Warm-up: every connection has had its first answer, and a while more.
        while ready.load(Relaxed) < connections && !threads.iter().any(|t| t.is_finished()) {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(measure / 10);
        let before = process::cpu_nanos(pid);
        let began = Instant::now();
        counting.store(true, Relaxed);
        thread::sleep(measure);
        counting.store(false, Relaxed);
        let took = began.elapsed();
        let cpu = process::cpu_nanos(pid).and_then(|after| Ok(after - before?));
        stop.store(true, Relaxed);
        let seen: Vec<Seen> = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
            .collect();
        (seen, cpu, took)
    });
    let mut times: Vec<u32> = Vec::new();
    for one in seen.drain(..) {
        times.extend(one?);
    }
    times.sort_unstable();
    let requests = times.len();
    if requests == 0 {
        return Err("no request ended in time".to_owned());
    }
    let at = |share: f64| f64::from(times[((requests - 1) as f64 * share) as usize]) / 10.0;
    Ok(Figure {
        cpu_micros: cpu? as f64 / 1000.0 / requests as f64,
        rate: requests as f64 / took.as_secs_f64(),
        p50_micros: at(0.5),
        p99_micros: at(0.99),
        requests,
    })
}

/// One connection's loop; times are in tenths of a microsecond.
fn one(
    way: &Way,
    name: &str,
    request: &(dyn Fn(&mut Random) -> Vec<u8> + Sync),
    seed: u64,
    Signals { stop, counting, ready }: &Signals,
) -> Seen {
    let mut connection = Connection::by(way).map_err(|e| e.to_string())?;
    let mut random = Random::new(seed);
    let mut times = Vec::with_capacity(1 << 16);
    let mut first = true;
    while !stop.load(Relaxed) {
        let request = request(&mut random);
        let began = Instant::now();
        let answer = connection.send(&request, false);
        let took = began.elapsed();
        let answer = answer.map_err(|e| format!("{name}: {e}"))?;
        if !answer.is_good() {
            return Err(format!("{name}: status {}", answer.status));
        }
        if counting.load(Relaxed) {
            times.push(u32::try_from(took.as_nanos() / 100).unwrap_or(u32::MAX));
        }
        if first {
            first = false;
            ready.fetch_add(1, Relaxed);
        }
    }
    Ok(times)
}

/// How long the polite client thinks between an answer and its next question. Of two cores, of which
/// the crowd itself takes a half, three hundred greedy ones leave each client some 3 ms of a second;
/// a read each 100 ms asks for about one. Whoever asks for more than its share waits for its turn, as
/// it should.
const THINKS: Duration = Duration::from_millis(100);

/// The latency of one polite client (a read each [`THINKS`]) while `greedy` others work as
/// fast as they are answered: its median and 99th percentile in microseconds.
pub fn beside_greedy(
    server: &Server,
    material: &Material,
    work: Work,
    greedy: usize,
    measure: Duration,
) -> Result<(f64, f64), String> {
    let signals = Signals::default();
    thread::scope(|scope| {
        let crowd = scope.spawn(|| crowd::run(server.address, work, material, greedy, &signals));
        while signals.ready.load(Relaxed) < greedy && !crowd.is_finished() {
            thread::sleep(Duration::from_millis(1));
        }
        let polite = polite(server, material, measure);
        signals.stop.store(true, Relaxed);
        crowd.join().unwrap_or_else(|_| Err("a thread panicked".to_owned()))?;
        polite
    })
}

/// As a hundredth of so few answers would say nothing, it is measured for so long at least.
const POLITE_MEASURE: Duration = Duration::from_secs(30);

/// It is nobody who filled the server before, and not of the crowd.
const POLITE_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 2, 0, 1);

fn polite(server: &Server, material: &Material, measure: Duration) -> Result<(f64, f64), String> {
    let connection = Connection::open_from(POLITE_ADDRESS, server.address);
    let mut connection = connection.map_err(|e| e.to_string())?;
    let mut random = Random::new(77);
    let mut times = Vec::new();
    let began = Instant::now();
    while began.elapsed() < measure.max(POLITE_MEASURE) {
        let request = bytes(Work::KvRead, material, &mut random);
        let sent = Instant::now();
        let answer = connection.send(&request, true).map_err(|e| e.to_string())?;
        if !answer.is_good() {
            let body = String::from_utf8_lossy(&answer.body);
            return Err(format!("the polite client: status {}: {body}", answer.status));
        }
        times.push(sent.elapsed().as_secs_f64() * 1e6);
        thread::sleep(THINKS);
    }
    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok((at(0.5), at(0.99)))
}
