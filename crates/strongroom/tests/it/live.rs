//! The built program as both sides: a server in dev mode, and its command line as people type it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// A server in dev mode with the root token `root`; it ends with the value.
pub struct Dev {
    process: Child,
    address: String,
    home: tempfile::TempDir,
}

/// What a command left behind.
pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Dev {
    /// Starts on a port of the system's choice.
    pub fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token"])
            .arg("-dev-listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // The banner is printed once the listener is open.
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("VAULT_ADDR='")?.1.trim_end_matches('\'').into()))
            .expect("the server ended without saying where it listens");
        // The pipe is read to its end, or the server's later words would fail.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { process, address, home: tempfile::tempdir().unwrap() }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Runs a command with the root token.
    pub fn run(&self, words: &[&str]) -> Done {
        self.run_as("root", words)
    }

    /// Runs a command with a token.
    pub fn run_as(&self, token: &str, words: &[&str]) -> Done {
        let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_strongroom"))
            .args(words)
            .env_clear()
            .env("HOME", self.home.path())
            .env("VAULT_ADDR", &self.address)
            .env("VAULT_TOKEN", token)
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub fn ok(&self, words: &[&str]) -> String {
        let done = self.run(words);
        assert_eq!(done.code, 0, "{words:?}: {}{}", done.out, done.err);
        done.out
    }

    /// Runs commands that must print exactly this.
    pub fn check(&self, table: &[(&str, &str)]) {
        for (line, out) in table {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(self.ok(&words), *out, "{line}");
        }
    }

    /// Runs commands that must end with this code and say this on the error output.
    pub fn refused(&self, table: &[(&str, i32, &str)]) {
        for (line, code, err) in table {
            let words: Vec<&str> = line.split(' ').collect();
            let done = self.run(&words);
            assert_eq!((done.code, done.out.as_str()), (*code, ""), "{line}: {}", done.err);
            assert!(done.err.contains(err), "{line}: {}", done.err);
        }
    }

    /// A token with a policy.
    pub fn token(&self, name: &str, policy: &str) -> String {
        let file = self.home.path().join(name);
        std::fs::write(&file, policy).unwrap();
        self.ok(&["policy", "write", name, file.to_str().unwrap()]);
        let policy = format!("-policy={name}");
        self.ok(&["token", "create", &policy, "-no-default-policy", "-field=token"])
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn secrets_are_moved_and_copied() {
    let dev = Dev::start();
    dev.ok(&["secrets", "enable", "-path=archive", "-version=2", "kv"]);
    dev.ok(&["secrets", "enable", "-path=plain", "kv"]);
    dev.ok(&["kv", "put", "secret/app/db", "password=one"]);
    dev.ok(&["kv", "put", "secret/app/db", "password=two"]);
    dev.ok(&["kv", "put", "secret/app/sub/api", "key=x"]);
    dev.check(&[
        ("kv mv secret/app/db secret/app/pg", "Success! Moved secret/app/db to secret/app/pg\n"),
        ("kv cp secret/app/pg archive/", "Success! Copied secret/app/pg to archive/pg\n"),
        ("kv cp secret/app/pg archive/old/", "Success! Copied secret/app/pg to archive/old/pg\n"),
        (
            "kv cp -mount=secret -to-mount=archive app/pg db",
            "Success! Copied secret/app/pg to archive/db\n",
        ),
        (
            "kv cp -r secret/app secret/copy",
            "Success! Copied 2 secrets from secret/app/ to secret/copy/\n",
        ),
        (
            "kv mv -mount=secret -recursive copy/ moved/",
            "Success! Moved 2 secrets from secret/copy/ to secret/moved/\n",
        ),
        ("kv get -field=password -version=1 archive/old/pg", "one"),
        ("kv get -field=password secret/moved/pg", "two"),
    ]);
    let json = dev.ok(&["kv", "mv", "-format=json", "archive/db", "archive/db2"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let told = serde_json::json!({"from": "archive/db", "secrets": 1, "to": "archive/db2"});
    assert_eq!(json["data"], told);
    dev.refused(&[
        ("kv mv secret/app/db secret/x", 2, "No secret found at secret/app/db. For a folder"),
        ("kv cp -r secret/none secret/x", 2, "No folder found at secret/none\n"),
        ("kv mv secret/app/pg archive/pg", 2, "* there is a secret at the destination already"),
        ("kv cp secret/app/ secret/x", 1, "secret/app/ is a folder: use -recursive"),
        ("kv cp secret/app/pg plain/x", 2, "must be version 2 to take other secrets"),
        ("kv mv plain/x secret/x", 2, "must be version 2 to move or copy its secrets"),
        ("kv mv -to-mount=archive secret/app/pg x", 1, "-to-mount needs -mount"),
        ("kv mv secret/app/pg", 1, "Not enough arguments (expected 2, got 1)"),
    ]);
    // What the dry run says is needed is enough.
    let policy = dev.ok(&["kv", "mv", "-output-policy", "secret/app/pg", "archive/there/"]);
    let mover = dev.token("mover", &policy);
    let moved = dev.run_as(&mover, &["kv", "mv", "secret/app/pg", "archive/there/"]);
    assert_eq!((moved.code, moved.err.as_str()), (0, ""));
    let policy = dev.ok(&["kv", "cp", "-r", "-output-policy", "secret/moved", "archive/tree"]);
    let copier = dev.token("copier", &policy);
    let copied = dev.run_as(&copier, &["kv", "cp", "-r", "secret/moved", "archive/tree"]);
    assert_eq!((copied.code, copied.err.as_str()), (0, ""));
    let refused = dev.run_as(&copier, &["kv", "cp", "secret/app/sub/api", "archive/api"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("To see which rule decided: strongroom why "), "{}", refused.err);
}

#[test]
fn secrets_are_found_by_paths_and_field_names() {
    let dev = Dev::start();
    dev.ok(&["secrets", "enable", "-path=archive", "-version=2", "kv"]);
    dev.ok(&["kv", "put", "secret/app/db", "Password=one", "host=a"]);
    dev.ok(&["kv", "put", "archive/old-db", "user=x"]);
    dev.check(&[
        ("kv search db", "Path\n----\narchive/old-db\nsecret/app/db\n"),
        ("kv search DB secret/app", "Path\n----\nsecret/app/db\n"),
        ("kv search -mount=archive db", "Path\n----\narchive/old-db\n"),
        (
            "kv search -fields passw",
            "Path             Fields\n----             ------\nsecret/app/db    Password\n",
        ),
        (
            "kv search -format=yaml -fields passw",
            "- fields:\n  - Password\n  path: secret/app/db\n",
        ),
    ]);
    dev.refused(&[
        ("kv search nothing", 2, "Nothing found\n"),
        ("kv search db secret/none", 2, "Nothing found\n"),
        ("kv search", 1, "Not enough arguments (expected 1 or 2, got 0)"),
    ]);
    let none = dev.run(&["kv", "search", "-format=json", "nothing"]);
    assert_eq!((none.code, none.out.as_str()), (2, "[]\n"));
    // Who may list one store finds nothing of the other, and is not told of it either.
    let policy = dev.ok(&["kv", "search", "-mount=secret", "-output-policy", "db"]);
    let lister = dev.token("lister", &policy);
    let found = dev.run_as(&lister, &["kv", "search", "db"]);
    assert_eq!((found.code, found.out.as_str()), (0, "Path\n----\nsecret/app/db\n"));
    let refused = dev.run_as(&lister, &["kv", "search", "-mount=archive", "db"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("Code: 403"), "{}", refused.err);
}

#[test]
fn what_was_disabled_comes_back_by_its_path() {
    let dev = Dev::start();
    dev.ok(&["kv", "put", "secret/app", "a=1"]);
    dev.ok(&["secrets", "disable", "secret"]);
    dev.refused(&[
        ("secrets restore nothing", 2, "Nothing of that path or ID can be restored\n"),
        ("auth restore secret", 2, "Nothing of that path or ID can be restored\n"),
    ]);
    dev.check(&[
        ("secrets restore secret/", "Success! Restored at: secret/\n"),
        ("kv get -field=a secret/app", "1"),
        ("secrets deleted", "Nothing that could be restored.\n"),
    ]);
}

#[test]
fn why_needs_no_id_after_a_refusal() {
    let dev = Dev::start();
    let none = dev.run(&["why"]);
    assert_eq!(none.code, 1);
    assert!(none.err.contains("No refusal is remembered here"), "{}", none.err);
    let reader = dev.token("reader", "path \"secret/data/app\" { capabilities = [\"read\"] }");
    let refused = dev.run_as(&reader, &["kv", "put", "secret/app", "a=1"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("permission denied\n\nTo see which rule"), "{}", refused.err);
    let why = dev.ok(&["why"]);
    assert!(why.starts_with("Denied: create secret/data/app\n"), "{why}");
    assert!(why.contains("capabilities = [\"create\"]"), "{why}");
    std::fs::write(dev.home.path().join("token"), &reader).unwrap();
    for (path, code, says) in [
        ("secret/data/app", 0, "Allowed: read secret/data/app\n"),
        ("secret/app", 2, "policies name this secret secret/data/app, and its lists"),
    ] {
        let can = dev.run(&["can", "-token-file=token", "read", path]);
        assert_eq!(can.code, code, "{}", can.err);
        assert!(can.out.contains(says), "{}", can.out);
    }
}
