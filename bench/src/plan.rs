//! The order of a run: servers are started once and kept; each workload is measured in turn on
//! all of them; then what needs a restart.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    Options, aws, engines, leases, load, process,
    report::{Report, Row},
    server::{Kind, Server},
    sync,
    work::{self, Material, Work},
};

/// Greedy clients beside the polite one.
const GREEDY: usize = 300;
/// As many where each of their requests takes seconds of a core.
const GREEDY_FOR_KEYS: usize = 16;
/// As many as are served without a line.
const GREEDY_FEW: usize = 20;

/// A server with what is known of it.
struct Subject {
    server: Server,
    material: Material,
    secrets: usize,
}

impl Subject {
    fn new(kind: Kind, binary: &Path, options: &Options) -> Result<Self, String> {
        let server = Server::fresh(kind, binary, &options.dir)?;
        let material = work::prepare(&server)?;
        Ok(Self { server, material, secrets: 0 })
    }

    fn fill(&mut self, count: usize) -> Result<(), String> {
        eprintln!("filling {} with {count} secrets", self.server.kind.name());
        let began = Instant::now();
        work::fill(&self.server, &mut self.material, count)?;
        self.secrets = count;
        eprintln!("  {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    }

    fn measure(&self, work: Work, options: &Options) -> Result<load::Figure, String> {
        // A list of ten thousand is long; fewer at once measure the same CPU with less waiting.
        let connections = if work == Work::List { 2 } else { options.connections };
        load::measure(&self.server, work, &self.material, connections, options.measure)
    }
}

const WORKS: &[Work] = &[
    Work::KvRead,
    Work::LookupSelf,
    Work::KvWrite,
    Work::TokenCreate,
    Work::AppRoleLogin,
    Work::List,
];

/// Runs it all and prints the report.
pub fn run(options: &Options) -> Result<(), String> {
    if options.fairness {
        return fairness(options);
    }
    if options.engines {
        return engines::run(options);
    }
    if options.aws {
        return aws::run(options);
    }
    if options.only_leases {
        return leases::run(options);
    }
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut report = Report::default();
    let mut limits = vec![Subject::new(Kind::Responder, &own, options)?];
    if let Some(binary) = &options.accept_loop {
        limits.push(Subject::new(Kind::Loop, binary, options)?);
    }
    let mut ours = Subject::new(Kind::Strongroom, &options.binary, options)?;
    memory(&mut report, &ours, "idle");
    let mut peer = match &options.peer {
        Some(binary) => Some(Subject::new(Kind::Peer, binary, options)?),
        None => None,
    };
    if let Some(peer) = &mut peer {
        memory(&mut report, peer, "idle");
        peer.fill(options.peer_size)?;
    }
    for (i, &size) in options.sizes.iter().enumerate() {
        ours.fill(size)?;
        let others = if i == 0 { peer.as_ref() } else { None };
        let limits: &[Subject] = if i == 0 { &limits } else { &[] };
        workloads(&mut report, options, &ours, others, limits);
        memory(&mut report, &ours, &format!("with {size} secrets"));
    }
    extras(&mut report, options, &ours);
    if options.tokens > 0 {
        eprintln!("creating {} tokens", options.tokens);
        work::create_tokens(&ours.server, &ours.material, options.tokens)?;
        memory(&mut report, &ours, &format!("with {} tokens more", options.tokens));
    }
    if let Some(peer) = &peer {
        extras(&mut report, options, peer);
    }
    if options.restart {
        restart(&mut report, &mut ours)?;
        if let Some(peer) = &mut peer {
            restart(&mut report, peer)?;
        }
    }
    report.print();
    if let Some(file) = &options.json {
        std::fs::write(file, report.json().to_string()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Those of the workloads that `--only` names; all without it.
fn wanted(options: &Options, works: &[Work]) -> Vec<Work> {
    let named = |work: &Work| {
        options.only.is_empty()
            || options.only.iter().any(|word| work.name().contains(word.as_str()))
    };
    works.iter().copied().filter(named).collect()
}

/// Every workload, in rounds: first the limit, then ours, then the peer, and again.
fn workloads(
    report: &mut Report,
    options: &Options,
    ours: &Subject,
    peer: Option<&Subject>,
    limits: &[Subject],
) {
    let mut plan: Vec<(Work, Vec<&Subject>)> = Vec::new();
    if !limits.is_empty() {
        plan.push((Work::Respond, limits.iter().collect()));
    }
    for work in wanted(options, WORKS) {
        plan.push((work, std::iter::once(ours).chain(peer).collect()));
    }
    for (work, subjects) in plan {
        eprintln!("measuring {} at {} secrets", work.name(), ours.secrets);
        let mut figures: Vec<Vec<Result<load::Figure, String>>> =
            subjects.iter().map(|_| Vec::new()).collect();
        for _ in 0..options.rounds {
            for (subject, figures) in subjects.iter().zip(&mut figures) {
                figures.push(subject.measure(work, options));
            }
        }
        for (subject, figures) in subjects.iter().zip(figures) {
            let figure = Report::middle(figures);
            if let Ok(figure) = &figure {
                // A long run that is broken off has shown this much.
                eprintln!("  {}: {:.1} µs", subject.server.kind.name(), figure.cpu_micros);
            }
            report.rows.push(Row {
                kind: subject.server.kind,
                work,
                secrets: subject.secrets,
                figure,
            });
        }
    }
}

fn memory(report: &mut Report, subject: &Subject, when: &str) {
    let name = format!("{}: resident memory, {when}", subject.server.kind.name());
    let value = match process::resident(subject.server.pid()) {
        Ok(bytes) => format!("{:.1} MB", bytes as f64 / 1e6),
        Err(why) => why,
    };
    report.others.push((name, value));
}

/// Syncs per write, alone and shared; the polite client beside greedy ones; the disk.
fn extras(report: &mut Report, options: &Options, subject: &Subject) {
    let (server, material) = (&subject.server, &subject.material);
    let kind = server.kind.name();
    let mut add = |name: String, value: Result<String, String>| {
        report.others.push((format!("{kind}: {name}"), value.unwrap_or_else(|why| why)));
    };
    for connections in [1, options.connections] {
        let alone = load::measure(server, Work::KvWrite, material, connections, options.measure);
        add(
            format!("kv-write over {connections} connections, p50"),
            alone.map(|figure| format!("{:.0} µs, {:.0}/s", figure.p50_micros, figure.rate)),
        );
        let syncs = sync::per_request(server, Work::KvWrite, material, connections, &options.dir);
        add(
            format!("syncs per kv-write over {connections} connections"),
            syncs.map(|syncs| format!("{syncs:.2}")),
        );
    }
    for (name, value) in beside_greedy(options, subject, &[Work::KvRead], GREEDY) {
        add(name, value);
    }
    add("on disk".to_owned(), Ok(format!("{:.1} MB", server.disk() as f64 / 1e6)));
}

/// One who asks now and then, beside hundreds who never stop: the promise is a p99 of 20 ms.
fn beside_greedy(
    options: &Options,
    subject: &Subject,
    works: &[Work],
    greedy: usize,
) -> Vec<(String, Result<String, String>)> {
    let figure = |work: &Work| {
        let (server, material) = (&subject.server, &subject.material);
        let beside = load::beside_greedy(server, material, *work, greedy, options.measure);
        let name = format!("polite reader beside {greedy} of {}, p50 and p99", work.name());
        let text = beside.and_then(|(p50, p99)| {
            let bytes = process::resident(server.pid())? as f64;
            let (p50, p99) = (p50 / 1e3, p99 / 1e3);
            Ok(format!("{p50:.1} ms, {p99:.1} ms; resident then {:.1} MB", bytes / 1e6))
        });
        (name, text)
    };
    works.iter().map(figure).collect()
}

/// `--fairness`: nothing but that, for every kind of greed, and the memory it takes.
fn fairness(options: &Options) -> Result<(), String> {
    let mut subject = Subject::new(Kind::Strongroom, &options.binary, options)?;
    subject.fill(options.sizes.first().copied().unwrap_or(1_000))?;
    work::prepare_rsa(&subject.server)?;
    for (works, greedy) in
        [(WORKS, GREEDY), (WORKS, GREEDY_FEW), (&[Work::IssueRsa4096], GREEDY_FOR_KEYS)]
    {
        for (name, value) in beside_greedy(options, &subject, &wanted(options, works), greedy) {
            println!("{name}: {}", value?);
        }
    }
    Ok(())
}

/// kill -9, then start, unseal, first read.
fn restart(report: &mut Report, subject: &mut Subject) -> Result<(), String> {
    let kind = subject.server.kind.name();
    let (listens, reads) = restarts(&mut subject.server, &subject.material)?;
    let at = format!("after kill -9 at {} secrets", subject.secrets);
    let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    report.others.push((format!("{kind}: listens {at}"), seconds(listens)));
    report.others.push((format!("{kind}: first read {at}"), seconds(reads)));
    memory(report, subject, "after the restart");
    Ok(())
}

/// The middle of three times until a killed server listens, and until its first read.
pub fn restarts(server: &mut Server, material: &Material) -> Result<(Duration, Duration), String> {
    let read = work::bytes(Work::KvRead, material, &mut work::Random::new(5));
    let mut times = Vec::new();
    for _ in 0..3 {
        server.kill();
        times.push(server.restart(&read)?);
        // Let it settle, so that the next kill does not meet it half started.
        thread::sleep(Duration::from_millis(500));
    }
    times.sort();
    Ok(times.get(1).copied().unwrap_or_default())
}
