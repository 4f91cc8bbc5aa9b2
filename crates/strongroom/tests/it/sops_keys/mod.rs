//! The master keys of `sops` beside the original: what one wrapped, the other unwraps.

mod clouds;
mod commands;
mod generated;
mod groups;
mod local;
mod room;
mod service;
mod vault;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use strongroom_testkit::servers::guard::program;

use crate::sops::original;

/// What a file says before it is encrypted.
pub const PLAIN: &str = "password: hunter2\nuser: app\n";

/// Whose program.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Whose {
    Ours,
    Original,
}

/// Who encrypts and who decrypts: each for the other, and ours for itself.
pub const WAYS: [(Whose, Whose); 3] =
    [(Whose::Ours, Whose::Original), (Whose::Original, Whose::Ours), (Whose::Ours, Whose::Ours)];

/// A folder to work in, with the variables that both programs get.
pub struct Desk {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl Desk {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        let variables = vec![
            ("HOME".into(), home),
            (
                "PATH".into(),
                std::env::var_os("PATH").unwrap_or_default().to_string_lossy().into_owned(),
            ),
            ("SOPS_DISABLE_VERSION_CHECK".into(), "true".into()),
            ("AWS_EC2_METADATA_DISABLED".into(), "true".into()),
        ];
        let desk = Self { folder, variables };
        desk.write("plain.yaml", PLAIN);
        desk
    }

    /// With one more variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A program in the folder, with the variables and nothing else of the environment.
    pub fn command(&self, path: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(path);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env_clear();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub fn sops(&self, whose: Whose) -> Command {
        match whose {
            Whose::Original => self.command(original()),
            Whose::Ours => {
                let mut ours = self.command(env!("CARGO_BIN_EXE_strongroom"));
                ours.arg("sops");
                ours
            }
        }
    }

    pub fn run(&self, whose: Whose, args: &[&str]) -> Output {
        self.sops(whose).args(args).output().unwrap()
    }

    /// Runs what must succeed; its output.
    pub fn ok(&self, whose: Whose, args: &[&str]) -> String {
        let done = self.run(whose, args);
        assert!(done.status.success(), "{whose:?} {args:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// Runs what must end with this code; what it complains of.
    pub fn refused(&self, whose: Whose, args: &[&str], code: i32) -> String {
        let done = self.run(whose, args);
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{whose:?} {args:?}: {told}");
        assert_eq!(text(&done.stdout), "", "{whose:?} {args:?}");
        told
    }

    /// Encrypts `plain.yaml` for keys that flags name, to `name`.
    pub fn encrypt(&self, whose: Whose, flags: &[&str], name: &str) {
        let args = [&["encrypt"], flags, &["--output", name, "plain.yaml"]].concat();
        self.ok(whose, &args);
    }

    /// Each program encrypts for these keys, and the other decrypts.
    pub fn goes_both_ways(&self, flags: &[&str]) {
        for (wraps, unwraps) in WAYS {
            self.encrypt(wraps, flags, "secret.yaml");
            let plain = self.ok(unwraps, &["decrypt", "secret.yaml"]);
            assert_eq!(plain, PLAIN, "{wraps:?} {unwraps:?}");
        }
    }

    /// Makes a key for age in the usual place; its recipient.
    pub fn age_key(&self) -> String {
        let folder = self.path(".config/sops/age");
        std::fs::create_dir_all(&folder).unwrap();
        self.age_key_at(".config/sops/age/keys.txt")
    }

    /// Makes a key for age; its recipient.
    pub fn age_key_at(&self, name: &str) -> String {
        let mut keygen = self.command(program("age-keygen", "age"));
        let done = keygen.args(["-o", name]).output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stderr).trim().strip_prefix("Public key: ").unwrap().to_owned()
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
