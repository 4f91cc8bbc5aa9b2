//! What the running process looks like from outside: no core dumps, closed to debuggers, its memory
//! locked where that is allowed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;

use serde_json::json;

use crate::product::{self, Server};

/// Somebody who is not root.
const NOBODY: u32 = 65_534;

fn of_process(server: &Server, file: &str, line: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/{file}", server.process.id())).unwrap();
    let found = text.lines().find_map(|l| l.strip_prefix(line));
    found.unwrap_or_else(|| panic!("no {line} in {file}:\n{text}")).trim().to_owned()
}

#[test]
fn no_core_is_dumped_and_nobody_looks_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = product::configured(folder.path(), &product::settings(folder.path()));
    let mine = rustix::process::geteuid();
    if mine.is_root() {
        // As root the files in /proc are root's anyway: another user shows whether they changed.
        let program = folder.path().join("strongroom");
        fs::copy(env!("CARGO_BIN_EXE_strongroom"), &program).unwrap();
        let owner = Some(NOBODY);
        for path in [folder.path(), &folder.path().join("server.json")] {
            std::os::unix::fs::chown(path, owner, owner).unwrap();
        }
        let old = command;
        command = std::process::Command::new(program);
        command.args(old.get_args()).env("HOME", folder.path()).stdin(std::process::Stdio::null());
        command.uid(NOBODY).gid(NOBODY);
    }
    let server = Server::run(command);
    let limit = of_process(&server, "limits", "Max core file size");
    assert!(limit.starts_with("0 "), "{limit}");
    // A process that may not be dumped has its files in /proc given to root (proc(5)).
    let owner = fs::metadata(format!("/proc/{}/environ", server.process.id())).unwrap().uid();
    assert_eq!(owner, 0);
    let real = of_process(&server, "status", "Uid:");
    assert!(!real.starts_with("0\t"), "{real}");
}

#[test]
fn memory_is_locked_or_the_log_says_why_not() {
    for disabled in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = product::settings(folder.path());
        settings["disable_mlock"] = json!(disabled);
        let server = Server::start(folder.path(), &settings);
        let locked = of_process(&server, "status", "VmLck:") != "0 kB";
        let told = server.logged.iter().any(|line| line.contains("memory is not locked"));
        assert_eq!((locked || told, told && locked), (!disabled, false), "{:?}", server.logged);
    }
}
