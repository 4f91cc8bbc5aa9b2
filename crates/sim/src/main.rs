//! `strongroom-sim [--seed N] [--minutes M] [--steps S]`: runs seeds until the time is over, each
//! twice. Without `--seed` a crash at each step of a lease's life comes first. A finding prints its seed, the last requests, and how to see it again.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use strongroom_sim::{Failure, Plan, Scenario, crash_at_each_step, run_twice};

const USAGE: &str = "usage: sim [--seed N] [--minutes M] [--steps S]";

/// Rounds of a seed, unless it is said otherwise.
const STEPS: u64 = 600;

struct Args {
    /// The first seed; the only one unless there are minutes.
    seed: Option<u64>,
    minutes: Option<u64>,
    steps: u64,
}

fn args() -> Result<Args, String> {
    let mut args = Args { seed: None, minutes: None, steps: STEPS };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|v| v.parse::<u64>().ok()).ok_or(USAGE)?;
        match word.as_str() {
            "--seed" => args.seed = Some(value),
            "--minutes" => args.minutes = Some(value),
            "--steps" => args.steps = value,
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(args)
}

/// Each scenario with a crash at each of its steps; answers how many there were.
fn crashes_at_each_step() -> Result<u64, Failure> {
    let mut crashes = 0;
    for scenario in Scenario::ALL {
        for power_cut in [false, true] {
            crashes += crash_at_each_step(scenario, power_cut)?;
        }
    }
    Ok(crashes)
}

// A development tool may look at the wall clock: only to know when to stop.
#[allow(clippy::disallowed_methods)]
fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::FAILURE;
        }
    };
    let minutes = args.minutes.unwrap_or(u64::from(args.seed.is_none()));
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let (mut seed, mut seeds, mut requests) = (args.seed.unwrap_or(1), 0, 0);
    let (mut crashes, mut unknown) = (0, 0);
    let mut answers: BTreeMap<(String, u16), u64> = BTreeMap::new();
    if args.seed.is_none() {
        match crashes_at_each_step() {
            Ok(count) => println!("{count} crashes, one at each step of a lease's life"),
            Err(failure) => {
                eprintln!("{failure}");
                return ExitCode::FAILURE;
            }
        }
    }
    loop {
        match run_twice(Plan { seed, steps: args.steps }) {
            Ok(report) => {
                seeds += 1;
                requests += report.requests;
                crashes += report.crashes;
                unknown += report.unknown;
                for (answer, count) in report.answers {
                    *answers.entry(answer).or_default() += count;
                }
            }
            Err(failure) => {
                eprintln!("{failure}");
                eprintln!("again: cargo xtask sim --seed {seed} --steps {}", args.steps);
                return ExitCode::FAILURE;
            }
        }
        if Instant::now() >= end {
            break;
        }
        seed += 1;
    }
    for ((operation, status), count) in answers {
        println!("{operation:16} {status} {count:8}");
    }
    println!(
        "{seeds} seeds without a finding: {requests} requests, {crashes} crashes, {unknown} \
         requests of unknown outcome; each seed ran twice with equal traces"
    );
    ExitCode::SUCCESS
}
