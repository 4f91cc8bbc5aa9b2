//! The README's commands are run as they stand there, against the release binary.
//!
//! `cargo run --release -- up` is started as the built binary on a free port and an empty folder;
//! then each code block that follows a line `<!-- run -->` is given to a shell that stops at the
//! first failure. A block is to be typed by a person, so it has no other helper.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::cache;

/// The mark before a block that is run.
const MARK: &str = "<!-- run -->";

/// Runs them all.
pub fn check() -> Result<(), String> {
    let text = fs::read_to_string(cache::root().join("README.md"))
        .map_err(|e| format!("README.md: {e}"))?;
    for command in ["cargo run --release -- up", "cargo xtask test"] {
        if !text.contains(command) {
            return Err(format!("README.md does not say `{command}`"));
        }
    }
    let blocks = blocks(&text);
    let home = cache::folder().join("readme-home");
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
    }
    fs::create_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
    let mut server = Up::start(&home)?;
    for block in &blocks {
        shell(block, &home, &server.address)?;
    }
    server.stop()
}

/// The code blocks behind a mark.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while lines.by_ref().any(|line| line.trim() == MARK) {
        let block: Vec<&str> = lines
            .by_ref()
            .skip_while(|line| !line.starts_with("```"))
            .skip(1)
            .take_while(|line| !line.starts_with("```"))
            .collect();
        found.push(block.join("\n"));
    }
    found
}

fn binary() -> PathBuf {
    cache::target().join("release/strongroom")
}

fn shell(block: &str, home: &Path, address: &str) -> Result<(), String> {
    let mut path = cache::target().join("release").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let status = Command::new("bash")
        .args(["-euo", "pipefail", "-c", block])
        .current_dir(home)
        .env("HOME", home)
        .env("PATH", path)
        .env("VAULT_ADDR", format!("http://{address}"))
        .status()
        .map_err(|e| format!("bash: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("this block failed:\n{block}")) }
}

/// The server that `up` starts.
struct Up {
    child: Child,
    address: String,
}

impl Up {
    fn start(home: &Path) -> Result<Self, String> {
        let address = free_address()?;
        let mut child = Command::new(binary())
            .args(["up", "-address", &address, "-data"])
            .arg(home.join("data"))
            .current_dir(home)
            .env("HOME", home)
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
        match told.recv() {
            Ok(()) => Ok(Self { child, address }),
            Err(_) => Err("`up` ended by itself".to_owned()),
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
                    <!-- run -->\n```\nthree\n```\n";
        assert_eq!(blocks(text), ["one\ntwo", "three"]);
    }
}
