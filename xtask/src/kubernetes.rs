//! The control plane of the tests with Kubernetes: etcd, kube-apiserver and kubectl, built once from
//! their Go modules into the cache.
//!
//! That takes ten minutes of a core and more, so it goes on beside the Rust build, which has the
//! right of way. What the build says is in a log, whose end is shown where it fails.

use std::{
    ffi::OsString,
    fs::{self, File},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{cache, tools};

/// What it is built from, by the names of the files.
const SOURCES: &[(&str, &str)] = &[
    ("main.go", include_str!("../kubernetes/main.go")),
    ("go.mod", include_str!("../kubernetes/go.mod")),
    ("go.sum", include_str!("../kubernetes/go.sum")),
];

/// The one program, and the names that it goes by.
const PROGRAM: &str = "control-plane";
const LINKS: &[&str] = &["etcd", "kube-apiserver", "kubectl"];

/// The oldest Go that takes the modules.
const GO: (u32, u32) = (1, 26);

/// The variable by which tests find the programs.
const VARIABLE: &str = "STRONGROOM_TEST_KUBERNETES";

/// Lines of the log that a failure shows.
const LINES_SHOWN: usize = 30;

/// A build that may still go on.
pub struct Build(Option<Child>);

impl Build {
    /// Begins, where there is something to build.
    pub fn begin() -> Result<Self, String> {
        let made_of = made_of();
        if fs::read_to_string(stamp()).is_ok_and(|stamp| stamp == made_of) {
            return Ok(Self(None));
        }
        let go = go()?;
        let fresh = fresh();
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(|e| text(&fresh, &e))?;
        }
        fs::create_dir_all(&fresh).map_err(|e| text(&fresh, &e))?;
        let output = File::create(log()).map_err(|e| text(&log(), &e))?;
        let errors = output.try_clone().map_err(|e| text(&log(), &e))?;
        let mut build = Command::new("nice");
        build.args(["-n", "19"]).arg(go).args(["build", "-trimpath", "-ldflags", &link_flags()]);
        build.arg("-o").arg(fresh.join(PROGRAM)).arg(".");
        build.current_dir(cache::root().join("xtask/kubernetes"));
        build.env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOTOOLCHAIN", "local");
        build.env("GOFLAGS", "-mod=readonly -buildvcs=false");
        build.env("GOCACHE", objects());
        build.stdin(Stdio::null()).stdout(output).stderr(errors);
        let child = build.spawn().map_err(|e| format!("nice: {e}"))?;
        eprintln!("   kube-apiserver and etcd are being built, once; log: {}", log().display());
        Ok(Self(Some(child)))
    }

    /// Waits for its end; the variable that tests read.
    pub fn wait(mut self) -> Result<(OsString, OsString), String> {
        if let Some(mut child) = self.0.take() {
            let status = child.wait().map_err(|e| format!("go build: {e}"))?;
            if !status.success() {
                drop(fs::remove_dir_all(fresh()));
                return Err(format!("go build: {status}\n{}", end_of_log()));
            }
            install()?;
        }
        Ok((VARIABLE.into(), folder().into_os_string()))
    }
}

impl Drop for Build {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // What failed before is said; this is only in its way.
            drop(child.kill());
            drop(child.wait());
            drop(fs::remove_dir_all(fresh()));
        }
    }
}

/// The folder with the programs.
fn folder() -> PathBuf {
    cache::folder().join("kubernetes")
}

/// Where this process builds.
fn fresh() -> PathBuf {
    cache::folder().join(format!("kubernetes-{}", std::process::id()))
}

/// What Go has compiled: kept as long as the build may have to go on from there. It is twenty times
/// what comes out.
fn objects() -> PathBuf {
    cache::folder().join("go-build")
}

fn stamp() -> PathBuf {
    folder().join("made-of")
}

fn log() -> PathBuf {
    cache::folder().join("kubernetes.log")
}

/// All that decides what comes out.
fn made_of() -> String {
    SOURCES.iter().map(|(_, text)| *text).chain([link_flags().as_str()]).collect()
}

/// The version of Kubernetes, as `go.mod` says.
fn version() -> &'static str {
    let lines = SOURCES.iter().flat_map(|(_, text)| text.lines());
    let mut found = lines.filter_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    found.next().unwrap_or_default()
}

/// Without symbols; with the version, which the API tells its clients.
fn link_flags() -> String {
    let mut flags = "-s -w".to_owned();
    let version = version();
    let mut numbers = version.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or(""), numbers.next().unwrap_or(""));
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        ] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

/// Puts what was built where tests look for it.
fn install() -> Result<(), String> {
    let (fresh, folder) = (fresh(), folder());
    for link in LINKS {
        symlink(PROGRAM, fresh.join(link)).map_err(|e| text(&fresh, &e))?;
    }
    fs::write(fresh.join("made-of"), made_of()).map_err(|e| text(&fresh, &e))?;
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| text(&folder, &e))?;
    }
    fs::rename(&fresh, &folder).map_err(|e| text(&folder, &e))?;
    // Another build may be at it.
    drop(fs::remove_dir_all(objects()));
    Ok(())
}

fn end_of_log() -> String {
    let log = fs::read_to_string(log()).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}

/// Go: the machine's own where it is new enough, else the one that a Python package brings.
pub fn go() -> Result<PathBuf, String> {
    let said = Command::new("go").arg("version").env("GOTOOLCHAIN", "local").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if said.is_ok_and(|said| is_new_enough(&said)) {
        return Ok("go".into());
    }
    Ok(tools::environment("go", include_str!("../go.txt"))?.join("bin/go"))
}

/// Is `go version go1.26.8 linux/amd64` new enough?
fn is_new_enough(said: &str) -> bool {
    let version = said.split(' ').nth(2).and_then(|word| word.strip_prefix("go"));
    let mut numbers = version.unwrap_or_default().split('.').map_while(|n| n.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= GO
}

fn text(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_modules() {
        assert!(version().starts_with("v1."), "{:?}", version());
        let version = format!("gitVersion={} ", version());
        assert_eq!(link_flags().matches(&version).count(), 2, "{}", link_flags());
    }

    #[test]
    fn an_old_go_is_not_taken() {
        for (said, expect) in [
            ("go version go1.26.8 linux/amd64\n", true),
            ("go version go1.27 linux/arm64\n", true),
            ("go version go2.0.1 linux/amd64\n", true),
            ("go version go1.25.9 linux/amd64\n", false),
            ("go version devel linux/amd64\n", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(said), expect, "{said}");
        }
    }
}
