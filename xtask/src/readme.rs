//! The README's commands are run as they stand there, against the release binary.
//!
//! `cargo run --release -- up` is started as the built binary on a free port, with an empty home;
//! then each code block that follows a mark is given to a shell that stops at the first failure.
//! A block is to be typed by a person, so it has no other helper; what a person would type at a
//! prompt, the password that `up` has made, is on the standard input.
//!
//! | mark | what is expected |
//! |---|---|
//! | `<!-- run -->` | the block succeeds |
//! | `<!-- run: refused -->` | its last command is refused by the server (exit code 2) |
//! | `<!-- run: with bao -->` | as the first where there is a `bao`; else it is left out, aloud |
//! | `<!-- run: with bao, refused -->` | as the second, likewise |

use std::{
    ffi::OsString,
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::RecvTimeoutError,
    time::Duration,
};

use crate::{cache, tools};

/// How long the server may take to say where it is, on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The exit code of a command that the server refused.
const REFUSED: i32 = 2;

/// What a mark says of its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// Its last command is refused.
    refused: bool,
    /// It needs a `bao`.
    with_bao: bool,
}

impl Mark {
    /// Reads a line that is one.
    fn parse(line: &str) -> Option<Self> {
        let (refused, with_bao) = match line.trim() {
            "<!-- run -->" => (false, false),
            "<!-- run: refused -->" => (true, false),
            "<!-- run: with bao -->" => (false, true),
            "<!-- run: with bao, refused -->" => (true, true),
            _ => return None,
        };
        Some(Self { refused, with_bao })
    }
}

/// Runs them all.
pub fn check() -> Result<(), String> {
    let text = fs::read_to_string(cache::root().join("README.md"))
        .map_err(|e| format!("README.md: {e}"))?;
    for command in ["cargo run --release -- up", "cargo xtask test"] {
        if !text.contains(command) {
            return Err(format!("README.md does not say `{command}`"));
        }
    }
    let blocks = blocks(&text)?;
    let home = cache::folder().join("readme-home");
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
    }
    fs::create_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
    let mut server = Up::start(&home)?;
    for (mark, block) in &blocks {
        if mark.with_bao && !tools::has("bao") {
            println!("left out, for there is no `bao` here:\n{block}\n");
            continue;
        }
        shell(mark.refused, block, &home, &server.address)?;
    }
    server.stop()
}

/// The code blocks behind a mark.
fn blocks(text: &str) -> Result<Vec<(Mark, String)>, String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(mark) = Mark::parse(line) else {
            match line.trim_start().starts_with("<!-- run") {
                true => return Err(format!("README.md has an unknown mark: {line}")),
                false => continue,
            }
        };
        let block: Vec<&str> = lines
            .by_ref()
            .skip_while(|line| !line.starts_with("```"))
            .skip(1)
            .take_while(|line| !line.starts_with("```"))
            .collect();
        found.push((mark, block.join("\n")));
    }
    if found.is_empty() { Err("README.md has no block to run".to_owned()) } else { Ok(found) }
}

fn binary() -> PathBuf {
    cache::target().join("release/strongroom")
}

/// A program in a home of its own: neither the caller's settings nor its terminal reach it.
fn at_home(program: impl Into<OsString>, home: &Path) -> Command {
    let mut command = Command::new(program.into());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["VAULT_", "BAO_", "STRONGROOM_", "XDG_"].iter().any(|start| text.starts_with(start)) {
            command.env_remove(&name);
        }
    }
    command.current_dir(home).env("HOME", home);
    command
}

fn shell(refused: bool, block: &str, home: &Path, address: &str) -> Result<(), String> {
    let mut path = cache::target().join("release").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let password = password_file(home)?;
    let typed = fs::File::open(&password).map_err(|e| format!("{}: {e}", password.display()))?;
    // In a session of its own there is no terminal to ask on, so that the password is read from
    // the standard input also where a person runs this.
    let status = at_home("setsid", home)
        .args(["--wait", "bash", "-veuo", "pipefail", "-c", block])
        .env("PATH", path)
        .env("VAULT_ADDR", format!("http://{address}"))
        .stdin(typed)
        .status()
        .map_err(|e| format!("setsid bash: {e}"))?;
    let wanted = if refused { REFUSED } else { 0 };
    if status.code() == Some(wanted) {
        return Ok(());
    }
    Err(format!("this block ended with {status} instead of {wanted}:\n{block}"))
}

/// Where `up` keeps the first password when no person reads its words.
fn password_file(home: &Path) -> Result<PathBuf, String> {
    let keys = home.join(".config/strongroom/keys");
    let told = |e: std::io::Error| format!("{}: {e}", keys.display());
    for entry in fs::read_dir(&keys).map_err(told)? {
        let file = entry.map_err(told)?.path().join("admin-password");
        if file.is_file() {
            return Ok(file);
        }
    }
    Err(format!("{}: `up` has kept no password there", keys.display()))
}

/// The server that `up` starts.
struct Up {
    child: Child,
    address: String,
}

impl Up {
    fn start(home: &Path) -> Result<Self, String> {
        let address = free_address()?;
        let mut child = at_home(binary(), home)
            .args(["up", "-address", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", binary().display()))?;
        let (tell, told) = std::sync::mpsc::channel();
        let output = child.stdout.take().map(BufReader::new);
        let wanted = address.clone();
        // The pipe is read to its end, or the server's later words would fail.
        std::thread::spawn(move || {
            for line in output.into_iter().flat_map(BufRead::lines).map_while(Result::ok) {
                println!("{line}");
                if line.contains(&wanted) {
                    // Nobody listens any more after the first time.
                    let _ = tell.send(());
                }
            }
        });
        // It says where it can be reached when it is ready; the channel closes if it ends.
        let mut server = Self { child, address };
        match told.recv_timeout(START_TIMEOUT) {
            Ok(()) => Ok(server),
            Err(RecvTimeoutError::Timeout) => Err("`up` does not get ready".to_owned()),
            Err(RecvTimeoutError::Disconnected) => {
                let status = server.child.wait().map_err(|e| e.to_string())?;
                Err(format!("`up` ended by itself with {status}"))
            }
        }
    }

    /// Ends it in order.
    fn stop(&mut self) -> Result<(), String> {
        let mut kill = Command::new("kill");
        kill.arg(self.child.id().to_string());
        crate::stages::run(kill)?;
        let status = self.child.wait().map_err(|e| e.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}")) }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // After `stop` it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    listener.local_addr().map(|address| address.to_string()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_blocks_are_run() {
        let text = "a\n```sh\nno\n```\n<!-- run -->\n\n```sh\none\ntwo\n```\n```\nno\n```\n\
                    <!-- run: refused -->\n```\nthree\n```\n\
                    <!-- run: with bao, refused -->\n```\nfour\n```\n";
        let mark = |refused, with_bao| Mark { refused, with_bao };
        let expected = [
            (mark(false, false), "one\ntwo".to_owned()),
            (mark(true, false), "three".to_owned()),
            (mark(true, true), "four".to_owned()),
        ];
        assert_eq!(blocks(text).unwrap(), expected);
    }

    #[test]
    fn a_page_without_blocks_or_with_a_wrong_mark_is_a_failure() {
        assert!(blocks("```sh\nno\n```\n").is_err());
        assert!(blocks("<!-- run: always -->\n```sh\nx\n```\n").unwrap_err().contains("always"));
    }
}
