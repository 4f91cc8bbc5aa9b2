//! Identities from every place, and what is told where none fits.

use strongroom_base::Secret;

use super::*;
use crate::keys::testing::{Says, machine};

/// The pair of C2SP's age.md, and another identity.
const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const OTHER: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
const PART: &[u8] = b"a data key of thirty-two bytes!!";

fn wrapped(recipient: &str) -> (AgeKey, String) {
    let key = AgeKey { recipient: recipient.to_owned(), ..AgeKey::default() };
    let enc = key.encrypt(&Secret::new(PART.to_vec()), &machine(&[]).build()).unwrap();
    (key, enc)
}

#[test]
fn a_wrapped_key_is_an_armoured_file_with_its_final_line_end() {
    let (_, enc) = wrapped(RECIPIENT);
    assert!(enc.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"), "{enc}");
    assert!(enc.ends_with("\n-----END AGE ENCRYPTED FILE-----\n"), "{enc}");
}

#[test]
fn identities_are_found_in_every_place() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().display().to_string();
    let file = folder.path().join("keys file.txt");
    std::fs::write(&file, format!("# mine\n{IDENTITY}\n")).unwrap();
    let usual = folder.path().join(".config/sops/age");
    let file = file.display().to_string();
    let command = format!("cat '{file}'");
    let told = format!("sh -c 'test \"$SOPS_AGE_RECIPIENT\" = {RECIPIENT} && cat \"{file}\"'");
    let broken = "/no/such/key";
    let (key, enc) = wrapped(RECIPIENT);
    for (name, value) in [
        ("SOPS_AGE_KEY", IDENTITY),
        ("SOPS_AGE_KEY", &format!("# comment\n{IDENTITY} {IDENTITY}\n")),
        ("SOPS_AGE_KEY_FILE", &file),
        ("SOPS_AGE_KEY_CMD", &command),
        ("SOPS_AGE_KEY_CMD", &told),
        ("HOME", &home),
        ("XDG_CONFIG_HOME", &format!("{home}/.config")),
    ] {
        if matches!(name, "HOME" | "XDG_CONFIG_HOME") {
            std::fs::create_dir_all(&usual).unwrap();
            std::fs::write(usual.join("keys.txt"), IDENTITY).unwrap();
        }
        // A broken identity in another place does not stand in the way.
        let machine = machine(&[(name, value), ("SOPS_AGE_SSH_PRIVATE_KEY_FILE", broken)]).build();
        let outcome = key.decrypt(&enc, &machine);
        let opened = outcome.as_ref().map(|part| part.expose_secret().as_slice() == PART);
        assert_eq!(opened, Ok(true), "{name}={value}");
    }
}

#[test]
fn places_without_keys_are_named() {
    let (key, enc) = wrapped(RECIPIENT);
    let failure = key.decrypt(&enc, &machine(&[("HOME", "/no/home")]).build()).unwrap_err();
    assert_eq!(
        failure.0,
        "failed to load age identities. Did not find keys in locations \
         'SOPS_AGE_SSH_PRIVATE_KEY_FILE', 'SOPS_AGE_SSH_PRIVATE_KEY_CMD', '/no/home/.ssh/id_ed25519', \
         '/no/home/.ssh/id_rsa', 'SOPS_AGE_KEY', 'SOPS_AGE_KEY_FILE', 'SOPS_AGE_KEY_CMD', and \
         '/no/home/.config/sops/age/keys.txt'."
    );
    // What is there and empty stands last, and where there is any the usual file is not missed.
    let machine = machine(&[("SOPS_AGE_KEY", "# none"), ("HOME", "/no/home")]).build();
    let failure = key.decrypt(&enc, &machine).unwrap_err();
    assert!(failure.0.ends_with("'SOPS_AGE_KEY_FILE', 'SOPS_AGE_KEY_CMD', and 'SOPS_AGE_KEY'."));
}

#[test]
fn failures_hold_no_identity() {
    let (key, enc) = wrapped(RECIPIENT);
    for (name, value, text) in [
        ("SOPS_AGE_KEY", "AGE-SECRET-KEY-1CANARY", "failed to parse 'SOPS_AGE_KEY' age identities"),
        ("SOPS_AGE_KEY", "canary", "unknown identity type"),
        ("SOPS_AGE_KEY_FILE", "/no/such/file", "failed to open SOPS_AGE_KEY_FILE file"),
        (
            "SOPS_AGE_KEY_CMD",
            "false",
            "failed to execute command of SOPS_AGE_KEY_CMD: exit status 1",
        ),
        ("SOPS_AGE_KEY_CMD", "'", "failed to parse command of SOPS_AGE_KEY_CMD"),
        ("SOPS_AGE_KEY_CMD", "echo canary", "failed to parse 'SOPS_AGE_KEY_CMD' age identities"),
        ("SOPS_AGE_KEY", OTHER, NOT_THIS_ONE),
        ("SOPS_AGE_KEY", &format!("{OTHER} {OTHER}"), files::NO_MATCH),
    ] {
        let failure = key.decrypt(&enc, &machine(&[(name, value)]).build()).unwrap_err().0;
        assert!(failure.contains(text), "{name}: {failure}");
        assert!(
            !failure.to_lowercase().contains("canary") && !failure.contains(OTHER),
            "{failure}"
        );
    }
}

#[test]
fn an_identity_under_a_passphrase_is_asked_for() {
    let passphrase = SecretString::new("correct horse".to_owned());
    let recipient = strongroom_age::passphrase_recipient(&passphrase, 10).unwrap();
    let armored = files::encrypt_all(&[recipient], true, IDENTITY.as_bytes()).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), armored).unwrap();
    let path = file.path().display().to_string();
    let (key, enc) = wrapped(RECIPIENT);
    for (answers, good) in [(vec!["correct horse"], true), (vec!["wrong"], false), (vec![], false)]
    {
        let person = Says::new(answers);
        let machine = machine(&[("SOPS_AGE_KEY_FILE", &path)]).person(person.clone()).build();
        assert_eq!(key.decrypt(&enc, &machine).is_ok(), good);
        assert!(!person.1.lock().unwrap().is_empty(), "somebody was asked");
    }
}

#[test]
fn a_recipient_that_is_none_is_refused() {
    for bad in ["", "age1", "ssh-dss AAAA", "canary"] {
        assert!(check_recipient(bad).is_err(), "{bad}");
        let key = AgeKey { recipient: bad.into(), ..AgeKey::default() };
        assert!(key.encrypt(&Secret::new(PART.to_vec()), &machine(&[]).build()).is_err());
    }
}

#[test]
fn what_is_too_long_to_be_a_part_is_refused() {
    let recipient = recipients::parse(RECIPIENT, &ui(&machine(&[]).build())).unwrap();
    let long = files::encrypt_all(&[recipient], true, &[0; 1025]).unwrap();
    let key = AgeKey { recipient: RECIPIENT.into(), ..AgeKey::default() };
    let machine = machine(&[("SOPS_AGE_KEY", IDENTITY)]).build();
    let failure = key.decrypt(&String::from_utf8(long).unwrap(), &machine).unwrap_err();
    assert!(failure.0.contains("file too long"), "{failure}");
}
