//! `strongroom operator diagnose`: what would keep a server from starting, said before it is
//! started. It reads the configuration as `server` does, looks at what it names, and changes
//! nothing: no file is made, no address is kept.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use strongroom_storage::sqlite::SqliteStorage;

use crate::config;
use crate::listen::Bind;
use crate::listen::tls::Reloadable;
use crate::real::environment;

/// How a check ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Ok,
    Warning,
    Failure,
}

/// One check.
struct Check {
    name: &'static str,
    verdict: Verdict,
    text: String,
}

/// Checks a configuration and its surroundings. The exit code: 0 all well, 2 with warnings, 1 with
/// failures, as Vault's.
pub fn diagnose(configs: &[PathBuf], skip: &[String], as_json: bool) -> i32 {
    let checks: Vec<Check> =
        all(configs).into_iter().filter(|check| !skip.iter().any(|s| s == check.name)).collect();
    if as_json {
        println!("{}", document(&checks));
    } else {
        for check in &checks {
            println!("{}", line(check));
        }
    }
    let has = |verdict| checks.iter().any(|check| check.verdict == verdict);
    if has(Verdict::Failure) { 1 } else { i32::from(has(Verdict::Warning)) * 2 }
}

fn line(check: &Check) -> String {
    let mark = match check.verdict {
        Verdict::Ok => "[ ok ]",
        Verdict::Warning => "[warn]",
        Verdict::Failure => "[fail]",
    };
    format!("{mark} {}: {}", check.name, check.text.replace('\n', "\n       "))
}

fn document(checks: &[Check]) -> Json {
    let list: Vec<Json> = checks
        .iter()
        .map(|check| {
            let status = match check.verdict {
                Verdict::Ok => "ok",
                Verdict::Warning => "warn",
                Verdict::Failure => "fail",
            };
            json!({"name": check.name, "status": status, "message": check.text})
        })
        .collect();
    json!({"checks": list})
}

fn all(configs: &[PathBuf]) -> Vec<Check> {
    let told = |problems: &[config::Problem]| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    if configs.is_empty() {
        let text = "name the configuration by -config".to_owned();
        return vec![Check { name: "configuration", verdict: Verdict::Failure, text }];
    }
    let loaded = match config::load(configs, &environment) {
        Ok(loaded) => loaded,
        Err(problems) => {
            let text = told(&problems);
            return vec![Check { name: "configuration", verdict: Verdict::Failure, text }];
        }
    };
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let verdict = if warnings.is_empty() { Verdict::Ok } else { Verdict::Warning };
    let text = if warnings.is_empty() { "read".to_owned() } else { warnings.join("\n") };
    let mut checks = vec![Check { name: "configuration", verdict, text }];
    checks.extend(surroundings(&loaded.config));
    checks
}

fn surroundings(config: &config::ServerConfig) -> Vec<Check> {
    let mut checks = Vec::new();
    match &config.storage {
        config::Storage::Memory => checks.push(Check {
            name: "storage",
            verdict: Verdict::Warning,
            text: "everything is kept in memory and gone at the end".to_owned(),
        }),
        config::Storage::Folder { path, .. } => {
            checks.push(folder("storage", path));
            checks.extend(store(path));
        }
    }
    if let Some(path) = &config.own.audit_dir {
        checks.push(folder("audit log", path));
    }
    for listener in &config.listeners {
        checks.push(address(&listener.bind, listener.tls.is_some()));
        if let Some(source) = &listener.tls {
            let loaded = Reloadable::load(source);
            let verdict = if loaded.is_ok() { Verdict::Ok } else { Verdict::Failure };
            let text = loaded.err().unwrap_or_else(|| "certificate and key fit".to_owned());
            checks.push(Check { name: "certificate", verdict, text });
        }
    }
    if config.listeners.is_empty() {
        let text = "no listener: nobody could reach the server".to_owned();
        checks.push(Check { name: "listener", verdict: Verdict::Failure, text });
    }
    if config.seals.is_empty() {
        let text = "unseal keys are needed after each start".to_owned();
        checks.push(Check { name: "seal", verdict: Verdict::Ok, text });
    }
    checks
}

/// The store that lies in a folder already: all of its pages fit together. One that a server has
/// open is left alone.
fn store(path: &Path) -> Option<Check> {
    if !path.join("strongroom.db").exists() && !path.join("lock").exists() {
        return None;
    }
    let (verdict, text) = match SqliteStorage::verify(path) {
        Ok(()) => (Verdict::Ok, "every page is whole".to_owned()),
        Err(e) => {
            let text = e.to_string();
            let open = text.contains("in use by another server");
            (if open { Verdict::Warning } else { Verdict::Failure }, text)
        }
    };
    Some(Check { name: "store", verdict, text })
}

/// A folder to write to: it is there or can be made, and has room.
fn folder(name: &'static str, path: &Path) -> Check {
    let shown = path.display();
    let existing = path.ancestors().find(|ancestor| ancestor.exists());
    let (verdict, text) = match existing {
        None => (Verdict::Failure, format!("{shown} cannot be made")),
        Some(there) if !there.is_dir() => {
            (Verdict::Failure, format!("{} is not a folder", there.display()))
        }
        Some(there) => match rustix::fs::access(there, rustix::fs::Access::WRITE_OK) {
            Err(error) => (Verdict::Failure, format!("{}: {error}", there.display())),
            Ok(()) => room(there, &shown.to_string()),
        },
    };
    Check { name, verdict, text }
}

/// Bytes that should be free: below that, a day of audit lines may fill the disk.
const FREE_BYTES_MIN: u64 = 1 << 30;

fn room(there: &Path, shown: &str) -> (Verdict, String) {
    match rustix::fs::statvfs(there) {
        Err(error) => (Verdict::Warning, format!("{shown}: free space is unknown: {error}")),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let mib = free >> 20;
            if free < FREE_BYTES_MIN {
                (Verdict::Warning, format!("{shown}: only {mib} MiB are free"))
            } else {
                (Verdict::Ok, format!("{shown}, {mib} MiB free"))
            }
        }
    }
}

/// An address to listen on: it is free, and what goes over it is encrypted or stays here.
fn address(bind: &Bind, encrypted: bool) -> Check {
    let (verdict, text) = match bind {
        Bind::Unix { path, .. } => match path.parent() {
            Some(folder) if folder.is_dir() => (Verdict::Ok, format!("unix {}", path.display())),
            _ => (Verdict::Failure, format!("the folder of {} is missing", path.display())),
        },
        Bind::Tcp(address) => match TcpListener::bind(address) {
            Err(error) => (Verdict::Failure, format!("{address}: {error}")),
            Ok(listener) => {
                let local = listener.local_addr().is_ok_and(|a| a.ip().is_loopback());
                if encrypted || local {
                    (Verdict::Ok, address.clone())
                } else {
                    (Verdict::Warning, format!("{address}: without TLS, others can read along"))
                }
            }
        },
    };
    Check { name: "listener", verdict, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_fail_at_the_start_is_told_before() {
        let here = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let busy = taken.local_addr().unwrap().to_string();
        for (check, verdict, text) in [
            (folder("storage", &here.path().join("a/b")), Verdict::Ok, "MiB free"),
            (address(&Bind::Tcp("127.0.0.1:0".into()), false), Verdict::Ok, "127.0.0.1:0"),
            (address(&Bind::Tcp("0.0.0.0:0".into()), true), Verdict::Ok, "0.0.0.0:0"),
            (address(&Bind::Tcp("0.0.0.0:0".into()), false), Verdict::Warning, "without TLS"),
            (address(&Bind::Tcp(busy), true), Verdict::Failure, "in use"),
        ] {
            let enough = check.verdict == verdict || check.text.contains("only");
            assert!(enough && check.text.contains(text), "{}", check.text);
        }
        assert!(!here.path().join("a").exists(), "nothing is made");
        let file = here.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(folder("storage", &file.join("x")).text.contains("is not a folder"));
        let none = all(&[]);
        assert_eq!((none.len(), none[0].verdict), (1, Verdict::Failure));
        assert_eq!(line(&none[0]), "[fail] configuration: name the configuration by -config");
        assert_eq!(document(&none)["checks"][0]["status"], "fail");
    }
}
