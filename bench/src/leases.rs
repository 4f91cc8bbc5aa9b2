//! Leases: many of them at rest, many that end at once, and what an account in PostgreSQL costs
//! beside what PostgreSQL itself takes for it.
//!
//! Leases at rest and in storms are of a stand-in for Redis ([`crate::standin`]), each made by an
//! ordinary `creds` request: the figures are the server's own, with nothing loaded past it.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    Options,
    http::{Connection, request},
    load, plan,
    postgres::{CREATION, Postgres},
    process,
    report::Report,
    server::{Kind, Server},
    standin::Standin,
    work::{self, Material, Random, Work},
};

/// Secrets that are read meanwhile.
const SECRETS: usize = 1_000;
/// Those who read meanwhile, and how long each thinks between two reads.
const READERS: usize = 4;
const THINKS: Duration = Duration::from_millis(10);
/// Leases of a storm that get the same time to live.
const CHUNK: usize = 5_000;
/// Between the last lease of a storm and its end.
const CALM: Duration = Duration::from_secs(15);
/// How long the leases of a storm may take to go.
const PATIENCE: Duration = Duration::from_secs(600);

/// `--leases N`: N leases and N tokens at rest, storms of a tenth of it.
pub fn run(options: &Options) -> Result<(), String> {
    let mut report = Report::default();
    if options.leases > 0 {
        at_rest(options, &mut report)?;
    }
    beside_postgres(options, &mut report)?;
    report.print();
    if let Some(file) = &options.json {
        std::fs::write(file, report.json().to_string()).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// A server with a `database` mount.
struct Subject {
    server: Server,
    material: Material,
}

impl Subject {
    fn start(kind: Kind, binary: &std::path::Path, options: &Options) -> Result<Self, String> {
        let server = Server::fresh(kind, binary, &options.dir)?;
        let material = work::prepare(&server)?;
        let mount = json!({ "type": "database" });
        server.call("POST", "sys/mounts/database", &server.root, &mount)?;
        Ok(Self { server, material })
    }

    fn put(&self, path: &str, body: &Value) -> Result<(), String> {
        self.server.call("POST", path, &self.server.root, body).map(drop)
    }

    fn role(&self, name: &str, ttl: u64) -> Result<(), String> {
        let body = json!({
            "db_name": "main", "creation_statements": ["[\"~*\", \"+@read\"]"],
            "default_ttl": ttl, "max_ttl": "48h",
        });
        self.put(&format!("database/roles/{name}"), &body)
    }

    /// Makes so many leases of a role.
    fn lease(&self, role: &str, count: usize) -> Result<(), String> {
        let path = format!("database/creds/{role}");
        let creds = request("GET", &path, self.material.token(), "");
        work::send_all(self.server.address, 0..count, &|_, _| creds.clone())
    }

    fn resident(&self) -> Result<String, String> {
        let bytes = process::resident(self.server.pid())?;
        Ok(format!("{:.0} MB", bytes as f64 / 1e6))
    }
}

/// Memory, restart and storms.
fn at_rest(options: &Options, report: &mut Report) -> Result<(), String> {
    let count = options.leases;
    let standin = Standin::start()?;
    let mut subject = Subject::start(Kind::Strongroom, &options.binary, options)?;
    work::fill(&subject.server, &mut subject.material, SECRETS)?;
    let config = json!({
        "plugin_name": "redis-database-plugin", "host": "127.0.0.1", "port": standin.port,
        "username": "admin", "password": "admin", "allowed_roles": "*",
    });
    subject.put("database/config/main", &config)?;
    subject.role("rest", 24 * 3600)?;
    let mut add = |name: &str, value: String| {
        eprintln!("{name}: {value}");
        report.others.push((name.to_owned(), value));
    };
    let began = Instant::now();
    subject.lease("rest", count)?;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    add(&format!("{count} leases made through creds"), format!("{rate:.0}/s"));
    let began = Instant::now();
    work::create_tokens(&subject.server, &subject.material, count)?;
    let tokens = count as f64 / began.elapsed().as_secs_f64();
    add(&format!("{count} tokens made"), format!("{tokens:.0}/s"));
    add("resident memory right after", subject.resident()?);
    add("on disk, with the audit log", format!("{:.0} MB", subject.server.disk() as f64 / 1e6));
    let (listens, reads) = plan::restarts(&mut subject.server, &subject.material)?;
    add("listens after kill -9", format!("{:.3} s", listens.as_secs_f64()));
    add("first read after kill -9", format!("{:.3} s", reads.as_secs_f64()));
    add("resident memory after the restart", subject.resident()?);
    let many = if options.storm > 0 { options.storm } else { (count / 10).max(1) };
    let ends = expiring(&subject, &standin, many, rate)?;
    let calm = read_meanwhile(&subject, || thread::sleep(options.measure))?;
    add("reads before, p50 and p99", calm);
    thread::sleep(ends.saturating_duration_since(Instant::now()));
    let mut took = Ok(Duration::ZERO);
    let storm = read_meanwhile(&subject, || took = gone(&standin, count, ends))?;
    add(&format!("{many} leases end at once: all revoked after"), seconds(took?));
    add("reads meanwhile, p50 and p99", storm);
    subject.role("prefix", 24 * 3600)?;
    subject.lease("prefix", many)?;
    let mut took = Ok(Duration::ZERO);
    let mut answered = Ok(());
    let began = Instant::now();
    let storm = read_meanwhile(&subject, || {
        answered =
            subject.put("sys/leases/revoke-prefix/database/creds/prefix", &json!({"sync": false}));
        took = gone(&standin, count, began);
    })?;
    answered?;
    add(&format!("revoke-prefix of {many}: all revoked after"), seconds(took?));
    add("reads meanwhile, p50 and p99", storm);
    add("resident memory at the end", subject.resident()?);
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Makes leases that all end at about the same time, and answers when that is.
fn expiring(
    subject: &Subject,
    standin: &Standin,
    count: usize,
    rate: f64,
) -> Result<Instant, String> {
    let fill = Duration::from_secs_f64(count as f64 / rate.max(1.0));
    let ends = Instant::now() + fill * 3 / 2 + CALM * 2;
    let before = standin.users();
    let mut made = 0;
    while made < count {
        let left = ends.saturating_duration_since(Instant::now());
        subject.role("storm", left.as_secs().max(1))?;
        let some = CHUNK.min(count - made);
        subject.lease("storm", some)?;
        made += some;
    }
    if standin.users() < before + count || Instant::now() + CALM / 3 > ends {
        return Err("the leases of the storm ended before they were all there".to_owned());
    }
    Ok(ends)
}

/// Waits until no more than `left` users are there; answers how long after `began` that was.
fn gone(standin: &Standin, left: usize, began: Instant) -> Result<Duration, String> {
    while standin.users() > left {
        if began.elapsed() > PATIENCE {
            return Err(format!("{} leases are still there", standin.users() - left));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(began.elapsed())
}

/// What some readers see while `doing` goes on: p50 and p99.
fn read_meanwhile(subject: &Subject, doing: impl FnOnce()) -> Result<String, String> {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                scope.spawn({
                    let stop = &stop;
                    move || read(subject, reader, stop)
                })
            })
            .collect();
        doing();
        stop.store(true, Relaxed);
        let mut times = Vec::new();
        for reader in readers {
            let seen = reader.join().unwrap_or_else(|_| Err("a reader panicked".to_owned()))?;
            times.extend(seen);
        }
        times.sort_unstable();
        let at = |share: f64| {
            let index = (times.len().saturating_sub(1) as f64 * share) as usize;
            times.get(index).map_or(0.0, |time: &Duration| time.as_secs_f64() * 1e3)
        };
        Ok(format!("{:.2} ms, {:.2} ms of {} reads", at(0.5), at(0.99), times.len()))
    })
}

fn read(subject: &Subject, reader: usize, stop: &AtomicBool) -> Result<Vec<Duration>, String> {
    let mut connection = Connection::open(subject.server.address).map_err(|e| e.to_string())?;
    let mut random = Random::new(reader as u64 + 1);
    let mut times = Vec::new();
    while !stop.load(Relaxed) {
        let bytes = work::bytes(Work::KvRead, &subject.material, &mut random);
        let began = Instant::now();
        let answer = connection.send(&bytes, false).map_err(|e| e.to_string())?;
        if !answer.is_good() {
            return Err(format!("a read: status {}", answer.status));
        }
        times.push(began.elapsed());
        thread::sleep(THINKS);
    }
    Ok(times)
}

/// `creds` against a PostgreSQL, and the same statements sent by `pgbench`: over one connection, and
/// over as many as were asked for.
fn beside_postgres(options: &Options, report: &mut Report) -> Result<(), String> {
    let postgres = Postgres::start(&options.dir)?;
    let mut subjects = vec![Subject::start(Kind::Strongroom, &options.binary, options)?];
    if let Some(peer) = &options.peer {
        subjects.push(Subject::start(Kind::Peer, peer, options)?);
    }
    for connections in [1, options.connections] {
        for subject in &subjects {
            configure(subject, &postgres, connections)?;
        }
        let mut own = Vec::new();
        let mut rates: Vec<Vec<f64>> = vec![Vec::new(); subjects.len()];
        for _ in 0..options.rounds {
            own.push(postgres.accounts_a_second(connections, options.measure)?);
            for (subject, rates) in subjects.iter().zip(&mut rates) {
                let (server, material) = (&subject.server, &subject.material);
                let figure =
                    load::measure(server, Work::Creds, material, connections, options.measure)?;
                rates.push(figure.rate);
            }
        }
        let own = middle(own);
        let name = format!("accounts over {connections} connections");
        report.others.push((format!("{name}, pgbench"), format!("{own:.0}/s")));
        for (subject, rates) in subjects.iter().zip(rates) {
            let rate = middle(rates);
            let value = format!("{rate:.0}/s, {:.2} of pgbench's", rate / own);
            report.others.push((format!("{name}, {}", subject.server.kind.name()), value));
        }
    }
    Ok(())
}

fn configure(subject: &Subject, postgres: &Postgres, connections: usize) -> Result<(), String> {
    let port = postgres.port;
    let config = json!({
        "plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
        "connection_url": format!(
            "postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{port}/postgres?sslmode=disable"
        ),
        "username": "postgres", "password": "postgres",
        "max_open_connections": connections, "max_idle_connections": connections,
    });
    subject.put("database/config/main", &config)?;
    let role = json!({
        "db_name": "main", "creation_statements": CREATION, "default_ttl": "24h", "max_ttl": "48h",
    });
    subject.put(&format!("database/roles/{}", work::ROLE), &role)
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(0.0)
}
