//! `--engines`: what the cryptographic engines and logins cost, beside the bare primitive and a peer.
//!
//! A table of workloads, each engine's and those of logins in files of their own ([`all`] names them). A workload says how a
//! server is made ready for it, what its requests are, and what the primitive is that it stands for;
//! it is measured on ours and on the peer round by round, and its figures are set beside what one core
//! does of the bare primitive.

mod logins;
mod pki;
mod ssh;
pub mod transit;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    Options,
    http::Way,
    load::{self, Figure},
    report::Report,
    server::{Kind, Server},
    work::Random,
};

/// What the requests of a workload are made by, on one server.
pub type Requests = Box<dyn Fn(&mut Random) -> Vec<u8> + Send + Sync>;
/// The bare primitive: each call is one operation.
pub type Primitive = Box<dyn FnMut()>;

/// One kind of request to an engine.
pub struct Workload {
    /// For tables and `--only`; it begins with the engine's name.
    pub name: &'static str,
    /// Operations in one request.
    pub operations: usize,
    /// Connections at once, where the load's own number would be wrong.
    pub connections: Option<usize>,
    /// Promised: the CPU of a request is so many times below the peer's.
    pub below_peer: Option<f64>,
    /// Promised: the CPU of an operation is at most so many times the primitive's.
    pub of_primitive: Option<f64>,
    /// Is it measured only where `--only` names it? It takes long.
    pub named_only: bool,
    /// Makes a server ready, as root; the token is that of the requests' caller.
    pub prepare: fn(&Server, &str) -> Result<Requests, String>,
    /// The way its requests go, once it is prepared.
    pub way: fn(&Server) -> Result<Way, String>,
    /// Makes the primitive ready.
    pub primitive: Option<fn() -> Primitive>,
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            name: "",
            operations: 1,
            connections: None,
            below_peer: None,
            of_primitive: None,
            named_only: false,
            prepare: |_, _| Err("a workload without requests".to_owned()),
            way: |server| Ok(server.way()),
            primitive: None,
        }
    }
}

/// The engines' types, which are where they are mounted, too.
const ENGINES: [&str; 3] = ["pki", "ssh", "transit"];

/// All workloads.
fn all() -> Vec<Workload> {
    [pki::workloads(), ssh::workloads(), transit::workloads(), logins::workloads()]
        .into_iter()
        .flatten()
        .collect()
}

/// For how long a primitive is tried.
const PRIMITIVE_MEASURE: Duration = Duration::from_millis(700);

/// A server with a caller who is no root, so that policies are evaluated.
struct Subject {
    server: Server,
    token: String,
}

impl Subject {
    fn new(kind: Kind, binary: &std::path::Path, options: &Options) -> Result<Self, String> {
        let server = Server::fresh_with_tls(kind, binary, &options.dir)?;
        let mut policy = String::new();
        for engine in ENGINES {
            let path = format!("sys/mounts/{engine}");
            let body = json!({ "type": engine, "config": { "max_lease_ttl": "87600h" } });
            server.call("POST", &path, &server.root, &body)?;
            policy.push_str(&format!(
                "path \"{engine}/*\" {{ capabilities = [\"create\", \"read\", \"update\"] }}\n"
            ));
        }
        let body = json!({ "policy": policy });
        server.call("PUT", "sys/policies/acl/bench", &server.root, &body)?;
        let body = json!({ "policies": ["bench"], "ttl": "24h" });
        let made = server.call("POST", "auth/token/create", &server.root, &body)?.json();
        let token = made["auth"]["client_token"].as_str().unwrap_or_default().to_owned();
        Ok(Self { server, token })
    }
}

/// What came of one workload.
struct Row {
    workload: Workload,
    ours: Result<Figure, String>,
    peer: Option<Result<Figure, String>>,
    /// Operations a second of the primitive on one core.
    primitive: Option<f64>,
}

/// Measures every workload that `--only` names; all without it.
pub fn run(options: &Options) -> Result<(), String> {
    let ours = Subject::new(Kind::Strongroom, &options.binary, options)?;
    let peer = match &options.peer {
        Some(binary) => Some(Subject::new(Kind::Peer, binary, options)?),
        None => None,
    };
    let wanted = |workload: &Workload| {
        (options.only.is_empty() && !workload.named_only)
            || options.only.iter().any(|word| workload.name.contains(word.as_str()))
    };
    let mut rows = Vec::new();
    for workload in all().into_iter().filter(wanted) {
        rows.push(measure(workload, &ours, peer.as_ref(), options)?);
    }
    print(&rows);
    if let Some(file) = &options.json {
        let all: Vec<Value> = rows.iter().map(Row::json).collect();
        let text = json!({ "engines": all }).to_string();
        std::fs::write(file, text).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn measure(
    workload: Workload,
    ours: &Subject,
    peer: Option<&Subject>,
    options: &Options,
) -> Result<Row, String> {
    eprintln!("measuring {}", workload.name);
    let primitive = workload.primitive.map(|make| per_second(&mut make()));
    let subjects: Vec<&Subject> = std::iter::once(ours).chain(peer).collect();
    let mut makers = Vec::new();
    for subject in &subjects {
        let made = (workload.prepare)(&subject.server, &subject.token);
        let made = made.and_then(|maker| Ok((maker, (workload.way)(&subject.server)?)));
        makers.push(made.map_err(|why| format!("{}: {why}", workload.name))?);
    }
    let connections = workload.connections.unwrap_or(options.connections);
    let mut figures: Vec<Vec<Result<Figure, String>>> = vec![Vec::new(); subjects.len()];
    for _ in 0..options.rounds {
        for ((subject, (maker, way)), figures) in subjects.iter().zip(&makers).zip(&mut figures) {
            figures.push(load::measure_by(
                (&subject.server, way),
                workload.name,
                maker,
                connections,
                options.measure,
            ));
        }
    }
    let mut figures = figures.into_iter().map(Report::middle);
    let ours = figures.next().unwrap_or_else(|| Err("nothing measured".to_owned()));
    Ok(Row { workload, ours, peer: figures.next(), primitive })
}

/// How often a second one core carries the primitive out.
fn per_second(primitive: &mut Primitive) -> f64 {
    let mut done = 0_u64;
    let mut batch = 1_u64;
    let began = Instant::now();
    while began.elapsed() < PRIMITIVE_MEASURE {
        // Some primitives take less than asking for the time does.
        (0..batch).for_each(|_| primitive());
        done += batch;
        batch = (done / 8).clamp(1, 1_000);
    }
    done as f64 / began.elapsed().as_secs_f64()
}

impl Row {
    /// CPU of one operation beside that of the primitive.
    fn times_primitive(&self) -> Option<f64> {
        let figure = self.ours.as_ref().ok()?;
        let of_one = figure.cpu_micros / self.workload.operations as f64;
        Some(of_one * self.primitive? / 1e6)
    }

    /// The share of what all cores would do of the primitive.
    fn share_of_cores(&self) -> Option<f64> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let figure = self.ours.as_ref().ok()?;
        Some(figure.rate * self.workload.operations as f64 / (self.primitive? * cores))
    }

    /// How many times less CPU than the peer.
    fn below_peer(&self) -> Option<f64> {
        let (ours, peer) = (self.ours.as_ref().ok()?, self.peer.as_ref()?.as_ref().ok()?);
        Some(peer.cpu_micros / ours.cpu_micros)
    }

    fn verdict(&self) -> String {
        let mut words = Vec::new();
        let said = |met: bool| if met { "met" } else { "MISSED" };
        if let Some(times) = self.below_peer() {
            let promised = self.workload.below_peer.map_or(String::new(), |promised| {
                format!(" (≥ {promised:.0} {})", said(times >= promised))
            });
            words.push(format!("{times:.1}× below the peer{promised}"));
        }
        if let Some(times) = self.times_primitive() {
            let promised = self.workload.of_primitive.map_or(String::new(), |promised| {
                format!(" (≤ {promised} {})", said(times <= promised))
            });
            words.push(format!("{times:.2}× the primitive{promised}"));
        }
        if let Some(share) = self.share_of_cores() {
            words.push(format!("{:.1} % of the cores' primitive", share * 100.0));
        }
        words.join(", ")
    }

    fn json(&self) -> Value {
        json!({
            "workload": self.workload.name,
            "operations": self.workload.operations,
            "ours": load::json_of(&self.ours),
            "peer": self.peer.as_ref().map(load::json_of),
            "primitive_per_second": self.primitive,
            "times_primitive": self.times_primitive(),
            "share_of_cores": self.share_of_cores(),
            "below_peer": self.below_peer(),
        })
    }
}

fn print(rows: &[Row]) {
    println!(
        "{:<24} {:<11} {:>9} {:>9} {:>10} {:>9} {:>9}",
        "workload", "server", "cpu µs", "req/s", "ops/s", "p50 µs", "p99 µs"
    );
    for row in rows {
        let name = row.workload.name;
        let ours = std::iter::once((Kind::Strongroom, &row.ours));
        for (kind, figure) in ours.chain(row.peer.as_ref().map(|peer| (Kind::Peer, peer))) {
            let kind = kind.name();
            match figure {
                Ok(figure) => println!(
                    "{name:<24} {kind:<11} {:>9.1} {:>9.0} {:>10.0} {:>9.0} {:>9.0}",
                    figure.cpu_micros,
                    figure.rate,
                    figure.rate * row.workload.operations as f64,
                    figure.p50_micros,
                    figure.p99_micros,
                ),
                Err(why) => println!("{name:<24} {kind:<11} INVALID: {why}"),
            }
        }
        if let Some(primitive) = row.primitive {
            println!("{:<24} {:<11} {:>29.0}", "", "primitive", primitive);
        }
        println!("{:<24} {}", "", row.verdict());
    }
}
