//! Other programs: what they read and say goes through pipes, and is wiped.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use strongroom_base::{Secret, SecretBytes};
use zeroize::Zeroizing;

use super::{Failure, Machine, reason};

/// Bytes of what a program says, at most.
const OUTPUT_BYTES_MAX: u64 = 1024 * 1024;
/// Bytes of what a program complains of, at most.
const COMPLAINT_BYTES_MAX: u64 = 64 * 1024;

/// How a program ended.
pub struct Ended {
    /// Did it succeed?
    pub success: bool,
    /// How it ended, in words.
    pub how: String,
    /// What it said.
    pub output: SecretBytes,
    /// What it complained of.
    pub complaint: String,
}

/// Runs a program with `input` to read, until it ends. `more` are variables beside this process's own.
pub fn run(
    program: &str,
    args: &[&str],
    input: &[u8],
    more: &[(&str, &str)],
    machine: &Machine,
) -> Result<Ended, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{program}: {}", reason(&error)));
    let mut child = Command::new(program)
        .args(args)
        .envs(machine.variables())
        .envs(more.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (output, complaint) = std::thread::scope(|scope| {
        scope.spawn(move || {
            if let Some(mut stdin) = stdin {
                // A program need not read all of it.
                let _ = stdin.write_all(input);
            }
        });
        let complaint = scope.spawn(move || {
            let mut bytes = Vec::new();
            if let Some(stderr) = stderr {
                let _ = stderr.take(COMPLAINT_BYTES_MAX).read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).trim().to_owned()
        });
        let output = read_bounded(stdout);
        (output, complaint.join().unwrap_or_default())
    });
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(error));
        }
    };
    let status = child.wait().map_err(failed)?;
    let how = match status.code() {
        Some(code) => format!("exit status {code}"),
        None => "a signal ended it".to_owned(),
    };
    Ok(Ended { success: status.success(), how, output, complaint })
}

/// Reads all of `source`, and no more than is allowed. The buffer has its size from the beginning: one
/// that grows leaves copies behind.
fn read_bounded(source: Option<impl Read>) -> std::io::Result<SecretBytes> {
    let too_long = || std::io::Error::other("it said too much");
    let Some(source) = source else { return Ok(Secret::new(Vec::new())) };
    let mut source = source.take(OUTPUT_BYTES_MAX + 1);
    let mut bytes = Secret::new(Vec::new());
    let mut piece = Zeroizing::new([0; 8 * 1024]);
    loop {
        let read = source.read(&mut *piece)?;
        if read == 0 {
            return Ok(bytes);
        }
        let mut longer = Vec::with_capacity(bytes.expose_secret().len() + read);
        longer.extend_from_slice(bytes.expose_secret());
        longer.extend_from_slice(piece.get(..read).unwrap_or_default());
        if longer.len() as u64 > OUTPUT_BYTES_MAX {
            return Err(too_long());
        }
        bytes = Secret::new(longer);
    }
}
