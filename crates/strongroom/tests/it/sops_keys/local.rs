//! Keys without a service: age in all its kinds, and OpenPGP by the real `gpg`.

use std::process::Command;

use strongroom_testkit::servers::guard::program;

use super::{Desk, PLAIN, Whose, text};
use crate::age::newest;

#[test]
fn age_keys_of_all_kinds_go_both_ways() {
    let desk = Desk::new();
    let recipient = desk.age_key();
    desk.goes_both_ways(&["--age", &recipient]);
    // Several at once, and a comma between them.
    let other = desk.age_key_at("other.txt");
    desk.goes_both_ways(&["--age", &format!("{other},{recipient}")]);
    std::fs::create_dir(desk.path(".ssh")).unwrap();
    for kind in ["ed25519", "rsa"] {
        let name = format!(".ssh/id_{kind}");
        let mut keygen = desk.command(program("ssh-keygen", "openssh-client"));
        let done = keygen.args(["-q", "-t", kind, "-N", "", "-f", &name]).output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        let public = desk.read(&format!("{name}.pub"));
        let public = public.rsplit_once(' ').unwrap().0;
        desk.goes_both_ways(&["--age", public]);
    }
}

#[test]
fn identities_are_found_by_variables() {
    let desk = Desk::new();
    let recipient = desk.age_key_at("elsewhere.txt");
    desk.encrypt(Whose::Ours, &["--age", &recipient], "secret.yaml");
    let told = desk.refused(Whose::Ours, &["decrypt", "secret.yaml"], 128);
    let original = desk.refused(Whose::Original, &["decrypt", "secret.yaml"], 128);
    // The same words in the same order, but for how lines are broken.
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace().filter(|w| *w != "|").map(str::to_owned).collect()
    };
    assert_eq!(words(&told), words(&original));
    let identity = desk.read("elsewhere.txt");
    let identity = identity.lines().last().unwrap().to_owned();
    for (name, value) in [
        ("SOPS_AGE_KEY", identity.as_str()),
        ("SOPS_AGE_KEY_FILE", "elsewhere.txt"),
        ("SOPS_AGE_KEY_CMD", "cat elsewhere.txt"),
    ] {
        let mut sops = desk.sops(Whose::Ours);
        let done = sops.args(["decrypt", "secret.yaml"]).env(name, value).output().unwrap();
        assert_eq!(text(&done.stdout), PLAIN, "{name}: {}", text(&done.stderr));
    }
}

/// A home of GnuPG with one key; its agent goes with it.
pub struct Gpg<'d>(pub &'d Desk);

impl Gpg<'_> {
    fn run(&self, args: &[&str]) -> String {
        let mut gpg = self.0.command(program("gpg", "gpg"));
        gpg.args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]);
        let done = gpg.args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// Makes a key; its fingerprint.
    pub fn key(&self) -> String {
        let home = self.0.path("gnupg");
        std::fs::create_dir(&home).unwrap();
        let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&home, only_mine).unwrap();
        self.run(&["--quick-gen-key", "sops <sops@example.com>", "default", "default", "never"]);
        let listed = self.run(&["--with-colons", "--list-keys"]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }
}

impl Drop for Gpg<'_> {
    fn drop(&mut self) {
        let mut stop = self.0.command(Command::new("gpgconf").get_program());
        let _ = stop.args(["--kill", "all"]).output();
    }
}

#[test]
fn openpgp_keys_go_both_ways() {
    let desk = Desk::new();
    let home = desk.path("gnupg").display().to_string();
    let desk = desk.with("GNUPGHOME", &home);
    let gpg = Gpg(&desk);
    let fingerprint = gpg.key();
    desk.goes_both_ways(&["--pgp", &fingerprint]);
    let unknown = "0".repeat(40);
    let args = ["encrypt", "--pgp", &unknown, "plain.yaml"];
    let told = desk.refused(Whose::Ours, &args, 1);
    assert!(told.contains("failed to encrypt sops data key with pgp: gpg:"), "{told}");
}

#[test]
fn passphrases_of_identity_files_are_kept_by_gnupg_s_agent() {
    let holder = Desk::new();
    let home = holder.path("gnupg").display().to_string();
    let holder = holder.with("GNUPGHOME", &home);
    let _gpg = Gpg(&holder);
    std::fs::create_dir(&home).unwrap();
    let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&home, only_mine).unwrap();
    // Who sits there says something wrong at first.
    let script = format!(
        "#!/bin/sh\necho OK\nwhile read -r word rest; do\n  case $word in\n  GETPIN)\n    echo asked >> \
         {log}\n    test \"$(wc -l < {log})\" = 1 && echo D wrong || echo D hunter2\n    echo OK;;\n  BYE) \
         echo OK; exit;;\n  *) echo OK;;\n  esac\ndone\n",
        log = holder.path("log").display()
    );
    holder.write("pinentry", &script);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(holder.path("pinentry"), executable).unwrap();
    let line = format!("pinentry-program {}\n", holder.path("pinentry").display());
    std::fs::write(holder.path("gnupg/gpg-agent.conf"), line).unwrap();
    let run = |name: &str, args: &[&str]| {
        let done = holder.command(program(name, "gpg")).args(args).output().unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
        text(&done.stdout)
    };
    run("gpgconf", &["--launch", "gpg-agent"]);
    let socket = run("gpgconf", &["--list-dirs", "agent-socket"]);
    // An identity under a passphrase, armoured, as people keep it.
    let recipient = holder.age_key_at("plain.txt");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(newest()).chain(std::env::split_paths(&path));
    let mut age = holder.command(newest().join("age"));
    age.env("PATH", std::env::join_paths(folders).unwrap()).env("AGE_PASSPHRASE", "hunter2");
    age.env("AGE_PASSPHRASE_WORK_FACTOR", "10");
    let made = age.args(["-a", "-e", "-j", "batchpass", "-o", "keys.age", "plain.txt"]).output();
    assert!(made.unwrap().status.success());
    let info = format!("{}:0:1", socket.trim());
    let desk = Desk::new().with("GPG_AGENT_INFO", &info).with("SOPS_AGE_KEY_FILE", "keys.age");
    // The original says it in any case, and the agent takes no empty one.
    let desk = desk.with("TERM", "dumb");
    std::fs::copy(holder.path("keys.age"), desk.path("keys.age")).unwrap();
    desk.encrypt(Whose::Ours, &["--age", &recipient], "secret.yaml");
    let told = desk.refused(Whose::Ours, &["decrypt", "secret.yaml"], 128);
    assert!(told.contains("incorrect passphrase"), "{told}");
    // It was forgotten, is asked for once more, and remembered for both.
    for whose in [Whose::Ours, Whose::Original, Whose::Ours] {
        assert_eq!(desk.ok(whose, &["decrypt", "secret.yaml"]), PLAIN);
    }
    assert_eq!(holder.read("log").lines().count(), 2);
}
