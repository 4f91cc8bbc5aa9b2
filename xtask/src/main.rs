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
mod kubernetes;
mod licences;
mod mutants;
mod originals;
mod readme;
mod stages;
mod tidy;
mod tools;
mod workspace;

use std::ffi::OsString;
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

/// What tests need beside their own programs: variables that they read, and what is still being
/// built.
struct Needed {
    variables: Vec<(OsString, OsString)>,
    kubernetes: kubernetes::Build,
}

fn needed(stages: &mut Stages) -> Result<Needed, String> {
    let mut variables = stages.run("tools for tests", tools::install)?;
    variables.push(stages.run("age and its test vectors", || originals::AGE.install())?);
    variables.push(stages.run("the original sops", || originals::SOPS.install())?);
    let kubernetes = stages.run("the build of Kubernetes begins", kubernetes::Build::begin)?;
    Ok(Needed { variables, kubernetes })
}

/// Everything that `test` runs; its last lines are the test runner's own.
fn test(stages: &mut Stages, args: &[String]) -> Result<(), String> {
    let needed = needed(stages)?;
    test_with(stages, needed, args)
}

fn test_with(stages: &mut Stages, needed: Needed, args: &[String]) -> Result<(), String> {
    cache::take_over()?;
    // A named package alone is built, if one is named.
    let named =
        args.iter().take_while(|arg| *arg != "--").any(|arg| arg == "--package" || arg == "-p");
    let all: &[&str] =
        if named { &["test", "--locked"] } else { &["test", "--locked", "--workspace"] };
    let mut build = cache::cargo(all);
    // What stands behind `--` is for the tests themselves.
    build.args(args.iter().take_while(|arg| *arg != "--"));
    if !args.iter().any(|arg| arg == "--no-run") {
        build.arg("--no-run");
    }
    stages.command("the tests are built", build)?;
    let kubernetes = stages.run("Kubernetes is built", || needed.kubernetes.wait())?;
    stages.report();
    let mut cargo = cache::cargo(all);
    cargo.args(args).envs(needed.variables).envs([kubernetes]);
    stages.command("tests", cargo)
}

fn ci(stages: &mut Stages) -> Result<(), String> {
    stages.command("formatting", cache::cargo(&["fmt", "--all", "--check"]))?;
    stages.run("checks without a build", check)?;
    let needed = needed(stages)?;
    let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    stages.command("lints", cache::cargo(&lints))?;
    test_with(stages, needed, &[])?;
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
    // A word that says what is measured comes first.
    let (word, args) = match args.split_first() {
        Some((word, rest)) if !word.starts_with('-') => (Some(word), rest),
        _ => (None, args),
    };
    let mut bench = std::process::Command::new(folder.join("strongroom-bench"));
    bench.args(word).arg("--binary").arg(binary).args(args);
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
