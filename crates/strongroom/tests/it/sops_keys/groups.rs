//! Groups of keys, and how the keys of a file are changed.

use super::{Desk, PLAIN, Whose};

/// Three keys for age, each in a file of its own.
fn three(desk: &Desk) -> [String; 3] {
    ["0.txt", "1.txt", "2.txt"].map(|name| desk.age_key_at(name))
}

/// Decrypts with some of the keys.
fn with_keys(desk: &Desk, whose: Whose, names: &[&str]) -> Option<String> {
    let keys: Vec<String> = names
        .iter()
        .map(|name| desk.read(name).lines().last().unwrap_or_default().to_owned())
        .collect();
    let mut sops = desk.sops(whose);
    let done = sops.args(["decrypt", "secret.yaml"]).env("SOPS_AGE_KEY", keys.join("\n")).output();
    let done = done.unwrap();
    match done.status.code() {
        Some(0) => Some(String::from_utf8(done.stdout).unwrap()),
        Some(128) => None,
        other => panic!("{other:?}: {}", String::from_utf8_lossy(&done.stderr)),
    }
}

#[test]
fn as_many_groups_as_the_threshold_says_open_a_file() {
    let desk = Desk::new();
    let [a, b, c] = three(&desk);
    desk.write(
        ".sops.yaml",
        &format!(
            "creation_rules:\n- shamir_threshold: 2\n  key_groups:\n  - age: [{a}]\n  - age: [{b}]\n  \
             - age: [{c}]\n"
        ),
    );
    for wraps in [Whose::Ours, Whose::Original] {
        desk.encrypt(wraps, &[], "secret.yaml");
        for unwraps in [Whose::Ours, Whose::Original] {
            for (names, good) in [
                (&["0.txt", "1.txt"][..], true),
                (&["0.txt", "2.txt"], true),
                (&["2.txt", "1.txt"], true),
                (&["0.txt", "1.txt", "2.txt"], true),
                (&["1.txt"], false),
                (&[], false),
            ] {
                let plain = with_keys(&desk, unwraps, names);
                assert_eq!(
                    plain.as_deref(),
                    good.then_some(PLAIN),
                    "{wraps:?} {unwraps:?} {names:?}"
                );
            }
        }
    }
}

/// The lines of a file that hold neither keys nor their groups.
fn values_and_mac(text: &str) -> Vec<String> {
    let values = text.lines().take_while(|line| !line.starts_with("sops:"));
    let rest = text.lines().filter(|line| {
        let line = line.trim_start();
        line.starts_with("mac:") || line.starts_with("lastmodified:")
    });
    values.chain(rest).map(str::to_owned).collect()
}

#[test]
fn updatekeys_changes_keys_and_nothing_else() {
    let desk = Desk::new();
    let [a, b, c] = three(&desk);
    let mine = desk.age_key();
    desk.encrypt(Whose::Ours, &["--age", &format!("{mine},{a}")], "secret.yaml");
    let before = values_and_mac(&desk.read("secret.yaml"));
    let rule = |keys: &str| desk.write(".sops.yaml", &format!("creation_rules:\n- age: {keys}\n"));
    rule(&format!("{mine},{b}"));
    let shown = desk.ok(Whose::Ours, &["updatekeys", "-y", "secret.yaml"]);
    assert_eq!(
        shown,
        format!(
            "The following changes will be made to the file's groups:\nGroup 1\n    {mine}\n+++ {b}\n\
             --- {a}\n"
        )
    );
    assert_eq!(values_and_mac(&desk.read("secret.yaml")), before);
    assert_eq!(desk.ok(Whose::Original, &["decrypt", "secret.yaml"]), PLAIN);
    assert!(with_keys(&Desk::copy(&desk), Whose::Ours, &["1.txt"]).is_some());
    assert!(with_keys(&Desk::copy(&desk), Whose::Ours, &["0.txt"]).is_none());
    // Nothing to do.
    assert_eq!(desk.ok(Whose::Ours, &["updatekeys", "-y", "secret.yaml"]), "");
    // More groups: the original changes what ours made, and the other way round.
    desk.write(
        ".sops.yaml",
        &format!("creation_rules:\n- key_groups:\n  - age: [{mine}]\n  - age: [{c}]\n"),
    );
    for whose in [Whose::Original, Whose::Ours] {
        let keys = ["SOPS_AGE_KEY_FILE", "2.txt"];
        let mut sops = desk.sops(whose);
        sops.args(["updatekeys", "-y", "secret.yaml"]).env(keys[0], keys[1]);
        assert!(sops.output().unwrap().status.success(), "{whose:?}");
        let mut sops = desk.sops(Whose::Ours);
        let done = sops.args(["decrypt", "secret.yaml"]).env(keys[0], keys[1]).output().unwrap();
        assert_eq!(String::from_utf8(done.stdout).unwrap(), PLAIN, "{whose:?}");
        desk.refused(Whose::Original, &["decrypt", "secret.yaml"], 128);
        if whose == Whose::Original {
            desk.encrypt(Whose::Original, &["--age", &mine], "secret.yaml");
        }
    }
}

#[test]
fn whoever_does_not_agree_keeps_the_file() {
    let desk = Desk::new();
    let [a, _, _] = three(&desk);
    let mine = desk.age_key();
    desk.encrypt(Whose::Ours, &["--age", &mine], "secret.yaml");
    desk.write(".sops.yaml", &format!("creation_rules:\n- age: {mine},{a}\n"));
    let before = desk.read("secret.yaml");
    for (answer, code, changed) in [("n\n", 0, false), ("", 1, false), ("what\ny\n", 0, true)] {
        let mut sops = desk.sops(Whose::Ours);
        desk.write("answer", answer);
        let input = std::fs::File::open(desk.path("answer")).unwrap();
        let done = sops.args(["updatekeys", "secret.yaml"]).stdin(input).output().unwrap();
        assert_eq!(done.status.code(), Some(code), "{answer:?}");
        assert!(super::text(&done.stdout).contains("Is this okay? (y/n):"));
        assert_eq!(desk.read("secret.yaml") != before, changed, "{answer:?}");
    }
}

#[test]
fn groups_are_added_and_deleted() {
    let desk = Desk::new();
    let [a, _, _] = three(&desk);
    let mine = desk.age_key();
    let desk = desk.with("SOPS_AGE_KEY_FILE", "0.txt");
    for whose in [Whose::Ours, Whose::Original] {
        desk.encrypt(whose, &["--age", &mine], "secret.yaml");
        let add = ["groups", "add", "--file", "secret.yaml", "--age", &a, "--in-place"];
        desk.ok(whose, &add);
        for reads in [Whose::Ours, Whose::Original] {
            assert_eq!(desk.ok(reads, &["decrypt", "secret.yaml"]), PLAIN);
        }
        assert!(desk.read("secret.yaml").contains("shamir_threshold: 2"));
        let delete = |more: &[&str], at: &str| -> Vec<String> {
            let words = [&["groups", "delete", "--file", "secret.yaml"], more, &[at]].concat();
            words.into_iter().map(str::to_owned).collect()
        };
        let refused = delete(&[], "0");
        let refused: Vec<&str> = refused.iter().map(String::as_str).collect();
        let told = desk.refused(whose, &refused, 1);
        assert!(told.contains("impossible to satisfy"), "{told}");
        let good = delete(&["--in-place", "--shamir-secret-sharing-threshold", "1"], "0");
        desk.ok(whose, &good.iter().map(String::as_str).collect::<Vec<_>>());
        for reads in [Whose::Ours, Whose::Original] {
            assert_eq!(desk.ok(reads, &["decrypt", "secret.yaml"]), PLAIN);
        }
        assert!(!desk.read("secret.yaml").contains(&mine));
    }
    let told = desk.refused(Whose::Ours, &["groups", "delete", "--file", "secret.yaml", "7"], 1);
    assert!(told.contains("there is no key group 7"), "{told}");
}

#[test]
fn a_rotation_adds_and_removes_keys() {
    let desk = Desk::new();
    let [a, b, _] = three(&desk);
    let mine = desk.age_key();
    for whose in [Whose::Ours, Whose::Original] {
        desk.encrypt(whose, &["--age", &format!("{mine},{a}")], "secret.yaml");
        let before = desk.read("secret.yaml");
        desk.ok(whose, &["rotate", "-i", "--rm-age", &a, "--add-age", &b, "secret.yaml"]);
        let after = desk.read("secret.yaml");
        assert!(after.contains(&b) && !after.contains(&a) && after.contains(&mine));
        assert_ne!(values_and_mac(&before), values_and_mac(&after));
        for reads in [Whose::Ours, Whose::Original] {
            assert_eq!(desk.ok(reads, &["decrypt", "secret.yaml"]), PLAIN);
        }
        assert!(with_keys(&Desk::copy(&desk), Whose::Ours, &["1.txt"]).is_some());
        assert!(with_keys(&Desk::copy(&desk), Whose::Ours, &["0.txt"]).is_none());
    }
    let both = format!("{mine},{b}");
    let told = desk.refused(Whose::Ours, &["rotate", "-i", "--rm-age", &both, "secret.yaml"], 1);
    assert!(told.contains("empty key group provided"), "{told}");
    assert_eq!(desk.ok(Whose::Ours, &["decrypt", "secret.yaml"]), PLAIN);
}

impl Desk {
    /// A desk with the same files, but without the key in the usual place.
    fn copy(of: &Desk) -> Self {
        let copy = Self::new();
        for name in ["secret.yaml", "0.txt", "1.txt", "2.txt"] {
            std::fs::copy(of.path(name), copy.path(name)).unwrap();
        }
        copy
    }
}
