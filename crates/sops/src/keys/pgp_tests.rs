//! With the real `gpg`, in a home of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use strongroom_base::Secret;

use super::*;
use crate::keys::testing::{Says, machine};

const PART: &[u8] = b"a data key of thirty-two bytes!!";

/// A home of GnuPG with one key; its agent goes with it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.gpg(&["--quick-gen-key", "sops <sops@example.com>", "default", "default", "never"]);
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn gpg(&self, args: &[&str]) -> Vec<u8> {
        let made = Command::new("gpg")
            .args(["--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(args)
            .env("GNUPGHOME", self.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout
    }

    fn fingerprint(&self) -> String {
        let listed = String::from_utf8(self.gpg(&["--with-colons", "--list-keys"])).unwrap();
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ =
            Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.path()).output();
    }
}

#[test]
fn gpg_wraps_and_unwraps() {
    let home = Home::new();
    let folder = home.path().display().to_string();
    let machine = machine(&[("GNUPGHOME", &folder)]).build();
    let fp = home.fingerprint();
    let key = PgpKey { fp: fp.clone(), ..PgpKey::default() };
    let part = Secret::new(PART.to_vec());
    let enc = key.encrypt(&part, &machine).unwrap();
    assert!(enc.starts_with("-----BEGIN PGP MESSAGE-----") && !enc.ends_with('\n'), "{enc}");
    assert_eq!(key.decrypt(&enc, &machine).unwrap().expose_secret(), PART);

    // The same key in a ring as of before GnuPG 2.1: encrypted by our own hands, read by gpg.
    std::fs::write(home.path().join("pubring.gpg"), home.gpg(&["--export"])).unwrap();
    let without = crate::keys::testing::machine(&[
        ("GNUPGHOME", &folder),
        ("SOPS_GPG_EXEC", "/no/such/program"),
    ]);
    let enc = key.encrypt(&part, &without.build()).unwrap();
    std::fs::remove_file(home.path().join("pubring.gpg")).unwrap();
    assert_eq!(key.decrypt(&enc, &machine).unwrap().expose_secret(), PART);

    let stranger = PgpKey { fp: "0".repeat(40), ..PgpKey::default() };
    let failure = stranger.encrypt(&part, &machine).unwrap_err();
    assert!(failure.0.starts_with("failed to encrypt sops data key with pgp: gpg:"), "{failure}");
    let failure = key.decrypt("no message", &machine).unwrap_err();
    assert!(failure.0.starts_with("failed to decrypt sops data key with pgp: gpg:"), "{failure}");
}

#[test]
fn what_begins_with_a_dash_is_no_fingerprint() {
    let machine = machine(&[("SOPS_GPG_EXEC", "false")]).build();
    for fp in ["", "--output=/etc/passwd", "-r"] {
        let key = PgpKey { fp: fp.into(), ..PgpKey::default() };
        let failure = key.encrypt(&Secret::new(PART.to_vec()), &machine).unwrap_err();
        assert_eq!(failure.0, "no OpenPGP fingerprint");
    }
}

#[test]
fn a_program_that_says_nothing_gives_no_key() {
    let machine = machine(&[("SOPS_GPG_EXEC", "true")]).build();
    let key = PgpKey { fp: "ABCD".into(), ..PgpKey::default() };
    let failure = key.decrypt("x", &machine).unwrap_err();
    assert_eq!(failure.0, "failed to decrypt sops data key with pgp: zero bytes returned");
    assert!(key.encrypt(&Secret::new(PART.to_vec()), &machine).is_err());
    let gone = crate::keys::testing::machine(&[("SOPS_GPG_EXEC", "/no/such/gpg")]).build();
    assert!(key.decrypt("x", &gone).unwrap_err().0.starts_with("/no/such/gpg: "));
}

#[test]
fn keys_are_trusted_by_the_end_of_their_fingerprint() {
    let fp = "85D77543B3D624B63CEA9E6DBC17301B491B3F21";
    assert_eq!(last_digits(fp), "BC17301B491B3F21");
    assert_eq!(last_digits(&format!("{fp}!")), "BC17301B491B3F21!");
    assert_eq!(last_digits("491B3F21"), "491B3F21");
}

#[test]
fn an_old_ring_of_secret_keys_needs_no_program() {
    let home = Home::new();
    let key = PgpKey { fp: home.fingerprint(), ..PgpKey::default() };
    let folder = home.path().display().to_string();
    let by_gpg = machine(&[("GNUPGHOME", &folder)]).build();
    let enc = key.encrypt(&Secret::new(PART.to_vec()), &by_gpg).unwrap();
    let old = tempfile::tempdir().unwrap();
    let place = old.path().display().to_string();
    let without = [("GNUPGHOME", place.as_str()), ("SOPS_GPG_EXEC", "/no/such/gpg")];
    assert!(key.decrypt(&enc, &machine(&without).build()).is_err());
    std::fs::write(old.path().join("secring.gpg"), home.gpg(&["--export-secret-keys"])).unwrap();
    let opened = key.decrypt(&enc, &machine(&without).build()).unwrap();
    assert_eq!(opened.expose_secret(), PART);
    // A key with a passphrase: it is asked for on the terminal, where no agent runs.
    let args = ["--passphrase", "hunter2", "--quick-gen-key", "b <b@example.com>", "rsa2048"];
    home.gpg(&[&args[..], &["default", "never"]].concat());
    let listed = String::from_utf8(home.gpg(&["--with-colons", "--list-keys", "b@example.com"]));
    let listed = listed.unwrap();
    let fp = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
    let locked = PgpKey { fp: fp.split(':').nth(9).unwrap().to_owned(), ..PgpKey::default() };
    // It is made to sign only: a subkey encrypts.
    home.gpg(&[
        "--passphrase",
        "hunter2",
        "--quick-add-key",
        &locked.fp,
        "rsa2048",
        "encr",
        "never",
    ]);
    let enc = locked.encrypt(&Secret::new(PART.to_vec()), &by_gpg).unwrap();
    let args = ["--passphrase", "hunter2", "--export-secret-keys"];
    std::fs::write(old.path().join("secring.gpg"), home.gpg(&args)).unwrap();
    for (said, good) in [("hunter2", true), ("hunter3", false)] {
        let machine = machine(&without).person(Says::new(vec![said])).build();
        let opened = locked.decrypt(&enc, &machine);
        assert_eq!(opened.is_ok_and(|opened| opened.expose_secret() == PART), good, "{said}");
    }
}
