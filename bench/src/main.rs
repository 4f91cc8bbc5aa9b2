//! Measures the server from outside: what a request costs it, how fast it answers, how soon it is
//! there, how much memory it takes.
//!
//! It exists to hold the figures the project promises, against the same figures of a peer in the
//! same run: each workload is measured on one and then on the other, round by round, so that the
//! machine's moods meet both. The load comes from this process, over kept-alive connections with
//! one thread each and a client of a few hundred lines, which costs less than the server it
//! measures. CPU is the server process's own, from the kernel's account of it.
//!
//! Invariant: an answer that is not 2xx makes its figure invalid; it is never counted.
//!
//! Everything is set up through Vault's HTTP API, so a Vault or OpenBao binary can be measured too.
#![allow(clippy::disallowed_methods)]

mod aws;
mod crowd;
mod engines;
mod files;
mod http;
mod leases;
mod load;
mod plan;
mod postgres;
mod process;
mod report;
mod responder;
mod server;
mod standin;
mod sync;
mod tls;
mod work;

use std::{path::PathBuf, process::ExitCode, time::Duration};

const USAGE: &str = "\
usage: strongroom-bench --binary PATH [options]
       strongroom-bench sops --binary PATH [--peer SOPS]: files with encrypted values
       strongroom-bench age --binary PATH [--peer AGE]: files of age
  --binary PATH        the server to measure
  --peer PATH          a bao (or vault) binary, measured beside it on raft with a file audit device
  --sizes A,B          numbers of secrets (default 1000; the promise is 1000,100000,1000000)
  --peer-size N        secrets of the peer, which fills slowly (default 1000)
  --seconds S          length of one measurement (default 4)
  --rounds R           measurements of each workload; the middle one counts (default 3)
  --connections N      kept-alive connections (default 16)
  --tokens N           so many live tokens more before the restart (default none)
  --only A,B           only workloads whose name contains one of these
  --accept-loop PATH   the server crate's `responder` example, to set beside the bare one
  --dir PATH           where data lies while measuring (default: the temporary folder)
  --json FILE          also write the figures as JSON
  --leases N           only leases: N of them and N tokens at rest, a tenth of N that end at once, and
                       accounts a second beside PostgreSQL (with 0 only these); the promise is 1000000
  --storm N            so many leases that end at once, in place of a tenth
  --engines            only the cryptographic engines, beside the bare primitives, and logins; --only
                       takes names of theirs
  --aws                only AWS's door, beside Vault's for the same deeds
  --moto PATH          moto_server, or a Python that has moto: measured beside AWS's door
  --fairness           only one polite client beside hundreds of greedy ones
  --no-restart         leave out start-up, kill -9 and memory";

/// What was asked.
pub struct Options {
    binary: PathBuf,
    peer: Option<PathBuf>,
    accept_loop: Option<PathBuf>,
    moto: Option<PathBuf>,
    sizes: Vec<usize>,
    peer_size: usize,
    measure: Duration,
    rounds: usize,
    connections: usize,
    only: Vec<String>,
    dir: PathBuf,
    json: Option<PathBuf>,
    restart: bool,
    fairness: bool,
    engines: bool,
    aws: bool,
    tokens: usize,
    leases: usize,
    storm: usize,
    only_leases: bool,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("responder") => responder::run(args.get(1)),
        Some("age") => files::age::run(args.get(1..).unwrap_or_default()),
        Some("sops") => files::sops::run(args.get(1..).unwrap_or_default()),
        _ => parse(&args).and_then(|options| plan::run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<Options, String> {
    let mut binary = None;
    let mut options = Options {
        binary: PathBuf::new(),
        peer: None,
        accept_loop: None,
        moto: None,
        sizes: vec![1000],
        peer_size: 1000,
        measure: Duration::from_secs(4),
        rounds: 3,
        connections: 16,
        only: Vec::new(),
        dir: std::env::temp_dir(),
        json: None,
        restart: true,
        fairness: false,
        engines: false,
        aws: false,
        tokens: 0,
        leases: 0,
        storm: 0,
        only_leases: false,
    };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--fairness" {
            options.fairness = true;
            continue;
        }
        if arg == "--engines" {
            options.engines = true;
            continue;
        }
        if arg == "--aws" {
            options.aws = true;
            continue;
        }
        if arg == "--no-restart" {
            options.restart = false;
            continue;
        }
        let (true, Some(value)) = (arg.starts_with("--"), args.next()) else {
            return Err(USAGE.to_owned());
        };
        let number = || value.parse::<usize>().map_err(|_| format!("{arg} takes a number"));
        match arg.as_str() {
            "--binary" => binary = Some(PathBuf::from(value)),
            "--peer" => options.peer = Some(value.into()),
            "--moto" => options.moto = Some(value.into()),
            "--accept-loop" => options.accept_loop = Some(value.into()),
            "--sizes" => {
                let sizes: Result<Vec<usize>, _> = value.split(',').map(str::parse).collect();
                options.sizes = sizes.map_err(|_| "--sizes takes numbers".to_owned())?;
            }
            "--peer-size" => options.peer_size = number()?,
            "--seconds" => options.measure = Duration::from_secs(number()?.max(1) as u64),
            "--rounds" => options.rounds = number()?.max(1),
            "--connections" => options.connections = number()?.max(1),
            "--tokens" => options.tokens = number()?,
            "--storm" => options.storm = number()?,
            "--leases" => {
                options.leases = number()?;
                options.only_leases = true;
            }
            "--only" => options.only = value.split(',').map(str::to_owned).collect(),
            "--dir" => options.dir = value.into(),
            "--json" => options.json = Some(value.into()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    options.binary = binary.ok_or(USAGE)?;
    Ok(options)
}
