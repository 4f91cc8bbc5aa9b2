//! `sops` beside the original: the same arguments in copies of the same folder have the same outcome,
//! and what one of them wrote, the other reads.

mod changes;
mod crossing;
mod endings;
mod octets;
mod programs;
mod rules;
mod safety;
mod words;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// This program, by the name of a link.
    Ours,
    /// The original.
    Original,
}

/// Both.
pub const BOTH: [Who; 2] = [Who::Ours, Who::Original];

/// A folder with a key, and both programs.
pub struct Bench {
    folder: tempfile::TempDir,
    /// The recipient of the key.
    pub recipient: String,
}

/// The original `sops`.
pub fn original() -> PathBuf {
    let folder = std::env::var_os("STRONGROOM_TEST_SOPS").expect(
        "STRONGROOM_TEST_SOPS names a folder with sops: run the tests by `cargo xtask test`",
    );
    PathBuf::from(folder).join("bin/sops")
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_strongroom"), folder.path().join("sops")).unwrap();
        let mut keygen = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        keygen.args(["age", "keygen", "-o"]).arg(folder.path().join("key"));
        let made = keygen.output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let key = fs::read_to_string(folder.path().join("key")).unwrap();
        let line = key.lines().find_map(|line| line.strip_prefix("# public key: "));
        let recipient = line.unwrap().to_owned();
        for name in ["work", "home", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, recipient }
    }

    /// A file in the working folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// Where temporary files go.
    pub fn tmp(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap()).unwrap()
    }

    pub fn command(&self, who: Who, args: &[&str]) -> Command {
        let program = match who {
            Who::Ours => self.folder.path().join("sops"),
            Who::Original => original(),
        };
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder.path().join("work"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path().join("home")).env("TMPDIR", self.tmp());
        command.env("SOPS_AGE_KEY_FILE", self.folder.path().join("key"));
        command.env("SOPS_DISABLE_VERSION_CHECK", "1");
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, who: Who, args: &[&str]) -> Output {
        self.command(who, args).output().unwrap()
    }

    /// Runs what has to succeed; its output.
    pub fn good(&self, who: Who, args: &[&str]) -> String {
        let output = self.run(who, args);
        assert!(output.status.success(), "{who:?} {args:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Encrypts a file for the key, in place.
    pub fn encrypt(&self, who: Who, name: &str, more: &[&str]) {
        let mut args = vec!["encrypt", "--age", &self.recipient, "-i"];
        args.extend_from_slice(more);
        args.push(name);
        self.good(who, &args);
    }

    /// Runs both with the same arguments in the same state of the folder: the exit codes, and the
    /// standard outputs, are the same.
    pub fn same(&self, args: &[&str]) -> i32 {
        let before = files(&self.folder.path().join("work"));
        let outputs = BOTH.map(|who| {
            let output = self.run(who, args);
            restore(&self.folder.path().join("work"), &before);
            output
        });
        let [ours, theirs] = &outputs;
        assert_eq!(
            ours.status.code(),
            theirs.status.code(),
            "{args:?}: ours {} theirs {}",
            said(ours),
            said(theirs)
        );
        let (ours, theirs) = (&ours.stdout, &theirs.stdout);
        assert_eq!(String::from_utf8_lossy(ours), String::from_utf8_lossy(theirs), "{args:?}");
        outputs[0].status.code().unwrap_or(-1)
    }
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

fn restore(folder: &Path, before: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in files(folder) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in before {
        fs::write(path, bytes).unwrap();
    }
}

/// What an output says, for messages of tests.
pub fn said(output: &Output) -> String {
    format!(
        "{:?} {} {}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
