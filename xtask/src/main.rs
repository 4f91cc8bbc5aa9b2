//! The only build helper: `cargo xtask test | ci | bench | dist | sim | mutants | check`.
//!
//! It exists so that a clean clone with git, a C compiler and Rust can build, check and measure
//! everything with one command, and so that a second run is quick: tools and build products lie
//! in a cache outside the tree (`${XDG_CACHE_HOME:-~/.cache}/strongroom`).
//!
//! Invariant: checks that need no built product are tests of this package, so `cargo test` alone
//! runs them too.

mod cache;
mod dist;
mod edges;
mod licences;
mod mutants;
mod readme;
mod stages;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

use stages::Stages;

const USAGE: &str = "\
usage: cargo xtask COMMAND
  test [ARGS]     install what the tests need, run all of them (ARGS go to `cargo test`)
  ci              formatting, lints, tests, release build, the README's commands
  readme          the release build and the README's commands alone
  bench [ARGS]    build the release binary and measure it (ARGS: see `cargo xtask bench --help`;
                  with --dist first, what `dist` has built)
  dist            build the binary that is handed out: optimised by a profile of a benchmark run
  sim [ARGS]      run the simulator (ARGS: --seed N, --minutes M, --steps S)
  mutants [NAMES] plant bugs in a copy of the tree; each must be caught
  check           the checks that need no build: crate edges, licences, tidiness; lists open ends";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let command = args.next();
    let rest: Vec<String> = args.collect();
    let mut stages = Stages::new();
    let done = match command.as_deref() {
        Some("test") => test(&mut stages, &rest),
        Some("ci") => ci(&mut stages),
        Some("readme") => readme(&mut stages),
        Some("bench") => bench(&mut stages, &rest),
        Some("dist") => dist::build(&mut stages),
        Some("sim") => sim(&mut stages, &rest),
        Some("mutants") => mutants::run(&rest),
        Some("check") => check(),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that `test` runs; its last lines are the test runner's own.
fn test(stages: &mut Stages, args: &[String]) -> Result<(), String> {
    let tools = stages.run("tools for tests", tools::install)?;
    stages.report();
    let mut cargo = cache::cargo(&["test", "--workspace", "--locked"]);
    cargo.args(args).envs(tools);
    stages.command("tests", cargo)
}

fn ci(stages: &mut Stages) -> Result<(), String> {
    stages.command("formatting", cache::cargo(&["fmt", "--all", "--check"]))?;
    stages.run("checks without a build", check)?;
    let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    stages.command("lints", cache::cargo(&lints))?;
    test(stages, &[])?;
    readme(stages)?;
    stages.report();
    Ok(())
}

fn readme(stages: &mut Stages) -> Result<(), String> {
    let release = ["build", "--release", "--locked", "--package", "strongroom"];
    stages.command("release build", cache::cargo(&release))?;
    stages.run("the README's commands", readme::check)
}

fn bench(stages: &mut Stages, args: &[String]) -> Result<(), String> {
    let (dist, args) = match args.split_first() {
        Some((first, rest)) if first == "--dist" => (true, rest),
        _ => (false, args),
    };
    let mut build = cache::cargo(&["build", "--release", "--locked", "--package"]);
    build.arg("strongroom-bench");
    if !dist {
        build.args(["--package", "strongroom"]);
    }
    stages.command("release build", build)?;
    let folder = cache::target().join("release");
    let binary = if dist { dist::binary() } else { folder.join("strongroom") };
    let mut bench = std::process::Command::new(folder.join("strongroom-bench"));
    bench.arg("--binary").arg(binary).args(args);
    stages.command("bench", bench)
}

/// The simulator is a package of its own: it must not be in the shipped binary.
fn sim(stages: &mut Stages, args: &[String]) -> Result<(), String> {
    let mut cargo = cache::cargo(&["run", "--release", "--locked", "--package"]);
    cargo.args(["strongroom-sim", "--"]).args(args);
    stages.command("simulator", cargo)
}

fn check() -> Result<(), String> {
    let workspace = workspace::Workspace::load()?;
    let mut wrong = edges::check(&workspace);
    wrong.extend(licences::check(&workspace));
    wrong.extend(tidy::check(&workspace));
    for line in tidy::notes(&workspace) {
        println!("{line}");
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}
