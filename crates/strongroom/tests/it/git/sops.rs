//! Files of SOPS in real Git repositories: merged by key, shown in plain text, and taken from those
//! who left.

use super::Copy;
use crate::age::{Desk, Whose, text};

/// A repository with an encrypted file, and the recipient that opens it.
struct Team {
    desk: Desk,
    copy: Copy,
    mine: String,
}

const FILE: &str = "secrets/app.yaml";

impl Team {
    fn new() -> Self {
        let desk = Desk::new();
        let mine = desk.keygen(Whose::Ours, "key", &[]);
        let copy = Copy::new(&desk, "origin");
        let team = Self { desk, copy, mine };
        team.sops_ok(&["install-git"]);
        team.copy.write(".gitattributes", b"secrets/*.yaml merge=sops diff=sops\n");
        team.copy.write(FILE, b"# who may log in\nname: app\npassword: one\nport: 1\nold: x\n");
        team.sops_ok(&["encrypt", "--age", &team.mine, "-i", FILE]);
        team.copy.commit("first");
        team
    }

    fn sops(&self, words: &[&str]) -> (i32, String) {
        let mut ours = self.copy.command(env!("CARGO_BIN_EXE_strongroom"));
        ours.env("SOPS_AGE_KEY_FILE", self.desk.path("key"));
        let output = ours.arg("sops").args(words).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    fn sops_ok(&self, words: &[&str]) -> String {
        let (code, said) = self.sops(words);
        assert_eq!(code, 0, "{words:?}: {said}");
        said
    }

    /// Git, with the key in reach of what it calls.
    fn git(&self, words: &[&str]) -> (bool, String) {
        let mut git = self.copy.command("git");
        let output =
            git.env("SOPS_AGE_KEY_FILE", self.desk.path("key")).args(words).output().unwrap();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    }

    fn set(&self, key: &str, value: &str) {
        self.sops_ok(&["set", FILE, &format!("[\"{key}\"]"), value]);
        self.copy.commit(&format!("{key} is changed"));
    }

    fn plain(&self) -> String {
        self.sops_ok(&["decrypt", FILE])
    }
}

#[test]
fn branches_that_change_other_keys_merge_by_themselves() {
    let team = Team::new();
    team.copy.git(&["checkout", "--quiet", "-b", "theirs"]);
    team.set("port", "2");
    team.set("new", "\"theirs\"");
    team.sops_ok(&["unset", FILE, "[\"old\"]"]);
    team.copy.commit("old is gone");
    team.copy.git(&["checkout", "--quiet", "main"]);
    team.set("password", "\"two\"");
    // Git alone would not: the MAC and the time of both differ.
    let (merged, said) = team.git(&["merge", "--no-edit", "theirs"]);
    assert!(merged, "{said}");
    let plain = team.plain();
    assert_eq!(plain, "# who may log in\nname: app\npassword: two\nport: 2\nnew: theirs\n");
    assert!(team.copy.is_clean());
}

#[test]
fn one_key_that_both_changed_is_a_conflict() {
    let team = Team::new();
    team.copy.git(&["checkout", "--quiet", "-b", "theirs"]);
    team.set("password", "\"theirs\"");
    team.set("port", "2");
    team.copy.git(&["checkout", "--quiet", "main"]);
    team.set("password", "\"ours\"");
    let (merged, said) = team.git(&["merge", "--no-edit", "theirs"]);
    assert!(!merged && said.contains("both changed password"), "{said}");
    assert!(!said.contains("theirs\""), "no value is told: {said}");
    // It opens all the same: ours, and what does not conflict.
    assert!(team.plain().contains("password: ours\nport: 2\n"));
    let status = text(&team.copy.git(&["status", "--porcelain"]));
    assert!(status.contains(&format!("UU {FILE}")), "{status}");
}

#[test]
fn a_file_that_was_tampered_with_is_not_merged() {
    let team = Team::new();
    team.copy.git(&["checkout", "--quiet", "-b", "theirs"]);
    let file = String::from_utf8(team.copy.read(FILE)).unwrap();
    let without: Vec<&str> = file.lines().filter(|line| !line.starts_with("old:")).collect();
    team.copy.write(FILE, (without.join("\n") + "\n").as_bytes());
    team.copy.commit("taken out by hand");
    team.copy.git(&["checkout", "--quiet", "main"]);
    team.set("port", "2");
    let before = team.copy.read(FILE);
    let (merged, said) = team.git(&["merge", "--no-edit", "theirs"]);
    assert!(!merged && said.contains("MAC mismatch"), "{said}");
    assert_eq!(team.copy.read(FILE), before);
}

#[test]
fn differences_are_shown_in_plain_text() {
    let team = Team::new();
    team.set("password", "\"two\"");
    let (_, shown) = team.git(&["log", "-p", "-1", "--format=%s"]);
    assert!(shown.contains("-password: one\n+password: two\n"), "{shown}");
    assert!(!shown.contains("ENC["), "{shown}");
    // Who has no key sees the file as it is.
    let without = text(&team.copy.git(&["log", "-p", "-1", "--format=%s"]));
    assert!(without.contains("ENC[") && !without.contains("password: two"), "{without}");
}

#[test]
fn whoever_left_is_told_until_the_data_key_is_new() {
    let team = Team::new();
    let leaver = team.desk.keygen(Whose::Ours, "leaver", &[]);
    team.copy.write("secrets/other.yaml", b"token: abc\n");
    team.sops_ok(&["encrypt", "--age", &team.mine, "-i", "secrets/other.yaml"]);
    team.sops_ok(&["rotate", "--add-age", &leaver, "-i", FILE]);
    team.copy.commit("somebody comes");
    let said = team.sops_ok(&["status"]);
    assert!(said.contains(&format!("{FILE}\n")) && said.contains(&leaver), "{said}");
    // Taken out of the list, with the data key they know.
    let config = format!("creation_rules:\n  - age: {}\n", team.mine);
    team.copy.write(".sops.yaml", config.as_bytes());
    team.sops_ok(&["updatekeys", "--yes", FILE]);
    team.copy.commit("somebody goes");
    let (code, said) = team.sops(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains(&format!("  ! {leaver} left, and the data key is still theirs\n")),
        "{said}"
    );
    let said = team.sops_ok(&["rotate-leaver", &leaver]);
    assert!(
        said.contains(&format!("{FILE}: new data key")) && !said.contains("other.yaml"),
        "{said}"
    );
    team.copy.commit("a new data key");
    let said = team.sops_ok(&["status"]);
    assert!(!said.contains(&leaver), "{said}");
    assert!(team.plain().contains("password: one"));
    // Nobody is locked out, and nobody unknown is looked for in vain without a word.
    let (code, said) = team.sops(&["rotate-leaver", &team.mine]);
    assert!(code != 0 && said.contains("nobody else could open it"), "{said}");
    assert!(team.sops_ok(&["rotate-leaver", &leaver]).contains("No file has or had that key"));
}
