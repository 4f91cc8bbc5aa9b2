//! `age` beside the original: Debian's, and the newest one for what that is too old for.

mod files;
mod passphrases;
mod words;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use strongroom_testkit::servers::guard::program;

use crate::chance::Dice;

/// A folder to work in, and the tools.
pub struct Desk {
    folder: tempfile::TempDir,
}

/// Whose tool.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Whose {
    Ours,
    Debian,
    /// The newest original: it knows hybrid keys.
    Newest,
}

impl Desk {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// `age` or `age-keygen` of somebody, in the folder.
    pub fn command(&self, whose: Whose, tool: &str) -> Command {
        let mut command = match whose {
            Whose::Ours => {
                let mut ours = Command::new(env!("CARGO_BIN_EXE_strongroom"));
                ours.args(if tool == "age" { &["age"][..] } else { &["age", "keygen"] });
                ours
            }
            Whose::Debian => Command::new(program(tool, "age")),
            Whose::Newest => Command::new(newest().join(tool)),
        };
        // Without a terminal, whoever runs the tests.
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("HOME", self.folder.path());
        command
    }

    pub fn age(&self, whose: Whose, args: &[&str]) -> Output {
        self.command(whose, "age").args(args).output().unwrap()
    }

    /// Runs `age`, which must succeed; its output.
    pub fn ok(&self, whose: Whose, args: &[&str]) -> Vec<u8> {
        self.ok_with(whose, args, b"")
    }

    /// The same with an input.
    pub fn ok_with(&self, whose: Whose, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = self.command(whose, "age");
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || pipe.write_all(input));
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success(), "{whose:?} {args:?}: {}", text(&output.stderr));
        output.stdout
    }

    /// Makes a key; its recipient.
    pub fn keygen(&self, whose: Whose, name: &str, more: &[&str]) -> String {
        let mut command = self.command(whose, "age-keygen");
        let output = command.args(more).args(["-o", name]).output().unwrap();
        let told = text(&output.stderr);
        assert!(output.status.success(), "{told}");
        told.trim().strip_prefix("Public key: ").unwrap().to_owned()
    }

    /// Makes an SSH key; its recipient.
    pub fn ssh_keygen(&self, name: &str, kind: &str, passphrase: &str, more: &[&str]) -> String {
        let mut command = Command::new(program("ssh-keygen", "openssh-client"));
        command.current_dir(self.folder.path());
        command.args(["-q", "-t", kind, "-N", passphrase, "-f", name, "-C", "somebody"]).args(more);
        assert!(command.status().unwrap().success());
        text(&self.read(&format!("{name}.pub"))).trim().to_owned()
    }

    /// Runs a command on a terminal, which gives these answers to what it asks; what was shown there,
    /// and the exit code.
    pub fn on_terminal(&self, command: &Command, answers: &[(&str, &str)]) -> (String, i32) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/age/terminal.py");
        let mut python = Command::new(program("python3", "python3"));
        python.arg(script).current_dir(self.folder.path());
        python.args(answers.iter().map(|(prompt, answer)| format!("{prompt}={answer}")));
        python.arg("--").arg(command.get_program()).args(command.get_args());
        let output = python.output().unwrap();
        let shown = text(&output.stdout) + &text(&output.stderr);
        (shown, output.status.code().unwrap_or(-1))
    }
}

/// The programs of the newest original.
pub fn newest() -> PathBuf {
    let folder = std::env::var_os("STRONGROOM_TEST_AGE")
        .expect("STRONGROOM_TEST_AGE names a folder with age: run the tests by `cargo xtask test`");
    Path::new(&folder).join("bin")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes that repeat nowhere near.
pub fn content(bytes: usize) -> Vec<u8> {
    let mut dice = Dice(88_172_645_463_325_252);
    std::iter::repeat_with(|| dice.next().to_le_bytes()).flatten().take(bytes).collect()
}
