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
    assert!(!merged && said.contains("both changed password; the file has ours"), "{said}");
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
    // The nonces are those of before, and the ciphertexts are not: the data key is another.
    assert!(!said.contains(&leaver), "{said}");
    assert!(team.plain().contains("password: one"));
    // Nobody is locked out, and nobody unknown is looked for in vain without a word.
    let (code, said) = team.sops(&["rotate-leaver", &team.mine]);
    assert!(code != 0 && said.contains("nobody else could open it"), "{said}");
    let (code, said) = team.sops(&["rotate-leaver", "age1nobody"]);
    assert!(code == 1 && said.contains("No file has the key age1nobody"), "{said}");
    for words in [&["rotate-leaver", &leaver, "nowhere"][..], &["status", "nowhere"]] {
        let (code, said) = team.sops(words);
        assert!(code == 100 && said.contains("no such file or directory"), "{said}");
    }
}

#[test]
fn keys_that_differ_from_the_configuration_are_told() {
    let team = Team::new();
    let other = team.desk.keygen(Whose::Ours, "other", &[]);
    let rules = format!("creation_rules:\n- path_regex: ^secrets/\n  age: {other}\n");
    team.copy.write(".sops.yaml", rules.as_bytes());
    team.copy.commit("another key is to open it");
    let (code, said) = team.sops(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&format!("  + {other} cannot open it")), "{said}");
    assert!(said.contains(&format!("  - {} can open it", team.mine)), "{said}");
    assert!(said.contains("1 file has other keys than .sops.yaml says"), "{said}");
    let rules = format!("creation_rules:\n- path_regex: ^secrets/\n  age: {}\n", team.mine);
    team.copy.write(".sops.yaml", rules.as_bytes());
    team.sops_ok(&["status"]);
    // No rule is for it.
    team.copy.write(".sops.yaml", b"creation_rules:\n- path_regex: ^x$\n  age: age1nobody\n");
    team.sops_ok(&["status"]);
}

#[test]
fn a_tree_outside_of_git_has_a_status_too() {
    let team = Team::new();
    let plain = team.desk.path("elsewhere");
    std::fs::create_dir_all(plain.join("deep")).unwrap();
    std::fs::write(plain.join("deep/app.yaml"), team.copy.read(FILE)).unwrap();
    std::fs::write(plain.join("readme"), "nothing").unwrap();
    let said = team.sops_ok(&["status", plain.to_str().unwrap()]);
    assert!(said.contains(&format!("deep/app.yaml\n    {}\n", team.mine)), "{said}");
    assert!(said.contains("no Git repository") && !said.contains("readme"), "{said}");
    // Settings for all repositories need none.
    let mut ours = team.copy.command(env!("CARGO_BIN_EXE_strongroom"));
    let output =
        ours.current_dir(&plain).args(["sops", "install-git", "--global"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let settings = std::fs::read_to_string(team.desk.path(".gitconfig")).unwrap();
    assert!(settings.contains("merge-driver") && settings.contains("textconv"), "{settings}");
}

#[test]
fn what_one_side_removed_and_the_other_changed_stays() {
    let team = Team::new();
    team.copy.git(&["checkout", "--quiet", "-b", "theirs"]);
    team.set("old", "\"changed\"");
    team.copy.git(&["checkout", "--quiet", "main"]);
    team.sops_ok(&["unset", FILE, "[\"old\"]"]);
    team.copy.commit("old is gone");
    let (merged, said) = team.git(&["merge", "--no-edit", "theirs"]);
    let told = "ours removed old, and theirs changed it; the file has theirs";
    assert!(!merged && said.contains(told), "{said}");
    assert!(team.plain().contains("old: changed"), "{}", team.plain());
}

#[test]
fn a_vault_that_only_a_file_names_is_not_asked_by_what_git_calls() {
    let team = Team::new();
    let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    theirs.set_nonblocking(true).unwrap();
    let address = theirs.local_addr().unwrap();
    let file = String::from_utf8(team.copy.read(FILE)).unwrap();
    let begin = file.find("    age:\n").unwrap();
    let end = begin + file[begin..].find("    lastmodified:").unwrap();
    let record = format!(
        "    hc_vault:\n        - vault_address: http://{address}\n          engine_path: transit\n          \
         key_name: k\n          created_at: \"2026-11-26T12:00:00Z\"\n          enc: vault:v1:AAAA\n"
    );
    let file = format!("{}{record}{}", &file[..begin], &file[end..]);
    team.copy.write(FILE, file.as_bytes());
    let mut ours = team.copy.command(env!("CARGO_BIN_EXE_strongroom"));
    ours.env("VAULT_ADDR", "https://127.0.0.1:1").env("VAULT_TOKEN", "of-the-user");
    // Without the rule, it would be asked, and not answer.
    ours.env("VAULT_CLIENT_TIMEOUT", "1s");
    let output = ours.args(["sops", "textconv", "--", FILE]).output().unwrap();
    assert_eq!(text(&output.stdout), file, "{}", text(&output.stderr));
    let asked = theirs.accept().map(drop).unwrap_err();
    assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_recipient_that_a_branch_adds_by_hand_gets_no_data_key() {
    let team = Team::new();
    let stranger = team.desk.keygen(Whose::Ours, "stranger", &[]);
    team.copy.git(&["checkout", "--quiet", "-b", "theirs"]);
    // Somebody without a key can write a record, and no wrapped key.
    let file = String::from_utf8(team.copy.read(FILE)).unwrap();
    let begin = file.find("        - ").unwrap();
    let end = begin + file[begin..].find("    lastmodified:").unwrap();
    let record = file[begin..end].replace(&team.mine, &stranger);
    let file = format!("{}{record}{}", &file[..end], &file[end..]);
    team.copy.write(FILE, file.as_bytes());
    team.copy.commit("let the stranger in");
    team.copy.git(&["checkout", "--quiet", "main"]);
    team.sops_ok(&["rotate", "-i", FILE]);
    team.copy.commit("rotated");
    let (merged, said) = team.git(&["merge", "--no-edit", "theirs"]);
    assert!(!merged && said.contains(&format!("theirs adds the key {stranger}")), "{said}");
    assert!(!String::from_utf8(team.copy.read(FILE)).unwrap().contains(&stranger));
    assert!(team.plain().contains("password: one"));
}

#[test]
fn decrypted_files_are_for_their_owner_and_names_may_look_like_flags() {
    use std::os::unix::fs::PermissionsExt;
    let team = Team::new();
    team.sops_ok(&["decrypt", "--output", "plain", FILE]);
    let mode = std::fs::metadata(team.copy.folder.join("plain")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(team.copy.folder.join("plain")).unwrap();
    // At the top, and read by Git from a file of its own.
    team.copy.write(".gitattributes", b"*.yaml merge=sops diff=sops\n");
    let file = team.copy.read(FILE);
    team.copy.write("--output-type=json.yaml", &file);
    team.copy.commit("an odd name");
    for (branch, key) in [("theirs", "port"), ("main", "name")] {
        if branch == "theirs" {
            team.copy.git(&["checkout", "--quiet", "-b", branch]);
        } else {
            team.copy.git(&["checkout", "--quiet", branch]);
        }
        let odd = "./--output-type=json.yaml";
        team.sops_ok(&["set", odd, &format!("[\"{key}\"]"), "7"]);
        team.copy.commit(key);
    }
    let (merged, said) = team.git(&["merge", "--no-edit", "theirs"]);
    assert!(merged, "{said}");
    let plain = team.sops_ok(&["decrypt", "./--output-type=json.yaml"]);
    assert!(plain.contains("name: 7") && plain.contains("port: 7"), "{plain}");
}
