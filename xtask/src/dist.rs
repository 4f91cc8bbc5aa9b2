//! The binary that is handed out (`cargo xtask dist`): built twice, the second time with a profile of
//! what a server under the benchmark's requests runs through. The compiler then knows which of its code
//! is used together, and a request waits less for instructions (docs/performance.md).
//!
//! `cargo build --release` gives the same server without that; it needs half the time and no profile.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache;
use crate::stages::{Stages, run};

/// Where the binary lies when it is done.
pub fn binary() -> PathBuf {
    folder().join("strongroom")
}

fn folder() -> PathBuf {
    cache::folder().join("dist")
}

/// Builds it.
pub fn build(stages: &mut Stages) -> Result<(), String> {
    let tool = stages.run("profile tools", profdata)?;
    let raw = folder().join("profiles");
    let counting = folder().join("counting");
    let flags = format!("-Cprofile-generate={}", raw.display());
    stages.command("build that counts", cargo(&counting, &flags, "strongroom"))?;
    let bench = cache::target();
    stages.command("benchmark", cargo(&bench, "", "strongroom-bench"))?;
    // What an earlier build left would be mixed in, and what build scripts did in this one.
    let _ = fs::remove_dir_all(&raw);
    fs::create_dir_all(&raw).map_err(|e| format!("{}: {e}", raw.display()))?;
    let mut training = Command::new(bench.join("release/strongroom-bench"));
    training.env_remove("LLVM_PROFILE_FILE");
    training.arg("--binary").arg(counting.join("release/strongroom"));
    training.args(["--seconds", "3", "--rounds", "1", "--no-restart"]);
    stages.command("training", training)?;

    let profile = stages.run("profile", || merge(&tool, &raw))?;
    let optimised = folder().join("optimised");
    // Cargo does not look into the profile: what was built with another one must go.
    let _ = fs::remove_dir_all(&optimised);
    let flags = format!("-Cprofile-use={}", profile.display());
    stages.command("build with the profile", cargo(&optimised, &flags, "strongroom"))?;
    // Beside it first: an older one may be running.
    let fresh = folder().join("fresh");
    fs::copy(optimised.join("release/strongroom"), &fresh).map_err(|e| e.to_string())?;
    fs::rename(&fresh, binary()).map_err(|e| e.to_string())?;
    println!("{}", binary().display());
    stages.report();
    Ok(())
}

fn cargo(target: &Path, flags: &str, package: &str) -> Command {
    let mut cargo = cache::cargo(&["build", "--release", "--locked", "--package", package]);
    cargo.env("CARGO_TARGET_DIR", target);
    if !flags.is_empty() {
        // This form may hold spaces, and goes before `RUSTFLAGS`.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags);
    }
    cargo
}

/// The toolchain's own `llvm-profdata`, which reads what its compiler's programs write.
fn profdata() -> Result<PathBuf, String> {
    let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
    let about = rustc(&["-vV"])?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not tell its host")?;
    let tool = sysroot.join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !tool.is_file() {
        let mut add = Command::new("rustup");
        add.args(["component", "add", "llvm-tools"]);
        run(add)?;
    }
    if tool.is_file() { Ok(tool) } else { Err(format!("{} is not there", tool.display())) }
}

fn rustc(args: &[&str]) -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let out = Command::new(rustc).args(args).current_dir(cache::root()).output();
    let out = out.map_err(|e| format!("rustc: {e}"))?;
    String::from_utf8(out.stdout).map_err(|e| e.to_string())
}

/// One profile of all that were written.
fn merge(tool: &Path, raw: &Path) -> Result<PathBuf, String> {
    let merged = raw.join("merged.profdata");
    let mut command = Command::new(tool);
    command.arg("merge").arg("-o").arg(&merged);
    let files = fs::read_dir(raw).map_err(|e| e.to_string())?;
    let files = files.filter_map(|entry| Some(entry.ok()?.path()));
    command.args(files.filter(|path| path.extension().is_some_and(|end| end == "profraw")));
    run(command)?;
    Ok(merged)
}
