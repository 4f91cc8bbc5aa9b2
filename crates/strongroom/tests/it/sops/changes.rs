//! `set`, `unset`, `rotate` and the editor, beside the original.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{BOTH, Bench, Who, said};

const PLAIN: &str = "a: one\nb:\n    - 1\n    - 2\nc:\n    d: x\n";

#[test]
fn what_is_set_is_there_for_both() {
    for (path, value) in [
        ("[\"a\"]", "\"two\""),
        ("[\"b\"][1]", "\"x\""),
        ("[\"b\"][9]", "true"),
        ("[\"c\"][\"e\"]", "{\"f\": [1, null], \"g\": 1.5}"),
        ("[\"n\"][0][\"m\"]", "\"deep\""),
        ("[\"a\"][\"z\"]", "\"over a text\""),
    ] {
        let mut plain = Vec::new();
        for who in BOTH {
            let bench = Bench::new();
            bench.write("f.yaml", PLAIN);
            bench.encrypt(Who::Original, "f.yaml", &[]);
            bench.good(who, &["set", "f.yaml", path, value]);
            for reader in BOTH {
                plain.push(bench.good(reader, &["decrypt", "f.yaml"]));
            }
            // Behind the end of a list, each time is one more.
            if !path.contains("[9]") {
                let (old, new) = (format!("{path} {value}"), bench.read("f.yaml"));
                bench.good(who, &["--set", &old, "f.yaml"]);
                assert_eq!(values(&bench.read("f.yaml")), values(&new), "{path}: set once more");
            }
        }
        assert!(plain.iter().all(|text| *text == plain[0]), "{path}: {plain:#?}");
    }
}

/// The lines before the metadata.
fn values(text: &str) -> String {
    text.split("\nsops:").next().unwrap().to_owned()
}

#[test]
fn what_did_not_change_keeps_its_bytes() {
    let bench = Bench::new();
    bench.write("f.yaml", PLAIN);
    bench.encrypt(Who::Original, "f.yaml", &[]);
    let before = bench.read("f.yaml");
    bench.good(Who::Ours, &["set", "f.yaml", "[\"a\"]", "\"two\""]);
    let after = bench.read("f.yaml");
    let changed: Vec<_> = values(&before)
        .lines()
        .zip(values(&after).lines())
        .filter(|(one, other)| one != other)
        .map(|(one, _)| one.split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(changed, ["a"]);
    bench.good(Who::Ours, &["unset", "f.yaml", "[\"b\"][0]"]);
    bench.good(Who::Ours, &["unset", "f.yaml", "[\"c\"]"]);
    assert_eq!(bench.good(Who::Original, &["decrypt", "f.yaml"]), "a: two\nb:\n    - 2\n");
}

#[test]
fn values_come_from_files_and_the_standard_input() {
    use std::io::Write as _;
    let bench = Bench::new();
    bench.write("f.yaml", PLAIN);
    bench.encrypt(Who::Ours, "f.yaml", &[]);
    bench.write("value", "\"from a file\"");
    bench.good(Who::Ours, &["set", "--value-file", "f.yaml", "[\"a\"]", "value"]);
    let mut command = bench.command(Who::Ours, &["set", "--value-stdin", "f.yaml", "[\"c\"]"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\"typed\"").unwrap();
    assert!(child.wait().unwrap().success());
    let plain = bench.good(Who::Original, &["decrypt", "f.yaml"]);
    assert_eq!(plain, "a: from a file\nb:\n    - 1\n    - 2\nc: typed\n");
}

#[test]
fn a_rotation_makes_a_new_key_and_changes_who_can_read() {
    let bench = Bench::new();
    bench.write("f.yaml", PLAIN);
    bench.encrypt(Who::Original, "f.yaml", &[]);
    let before = bench.read("f.yaml");
    let other = Bench::new();
    bench.good(Who::Ours, &["rotate", "-i", "--add-age", &other.recipient, "f.yaml"]);
    let both = bench.read("f.yaml");
    assert!(both.contains(&other.recipient) && both.contains(&bench.recipient));
    assert_ne!(values(&before), values(&both));
    other.write("f.yaml", &both);
    assert_eq!(other.good(Who::Original, &["decrypt", "f.yaml"]), PLAIN);
    let out = bench.good(Who::Ours, &["-r", "--rm-age", &bench.recipient, "f.yaml"]);
    other.write("f.yaml", out);
    assert_eq!(other.good(Who::Original, &["decrypt", "f.yaml"]), PLAIN);
    bench.write("g.yaml", other.read("f.yaml"));
    assert_eq!(bench.run(Who::Ours, &["decrypt", "g.yaml"]).status.code(), Some(128));
    // Without keys nobody could read it any more.
    let gone = other.run(Who::Ours, &["rotate", "--rm-age", &other.recipient, "f.yaml"]);
    assert_eq!(gone.status.code(), Some(1), "{}", said(&gone));
}

#[test]
fn the_editor_sees_a_private_file_that_goes_away() {
    let bench = Bench::new();
    bench.write("f.yaml", PLAIN);
    bench.encrypt(Who::Original, "f.yaml", &[]);
    bench.write(
        "editor",
        "#!/bin/sh\nstat -c '%a %n' \"$1\" \"$(dirname \"$1\")\" > seen\nsed -i 's/one/edited/' \"$1\"\n",
    );
    fs::set_permissions(bench.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
    let editor = bench.path("editor");
    let edited = bench.command(Who::Ours, &["edit", "f.yaml"]).env("EDITOR", &editor).output();
    let edited = edited.unwrap();
    assert!(edited.status.success(), "{}", said(&edited));
    assert_eq!(bench.good(Who::Original, &["decrypt", "f.yaml"]), PLAIN.replace("one", "edited"));
    let seen = bench.read("seen");
    let mut lines = seen.lines();
    assert!(lines.next().unwrap().starts_with("600 "), "{seen}");
    let folder = lines.next().unwrap().strip_prefix("700 ").expect(&seen);
    assert!(!std::path::Path::new(folder).exists());
    assert_eq!(fs::read_dir(bench.tmp()).unwrap().count(), 0);
    // Nothing changed, and an editor that fails: the file stays as it is.
    let before = bench.read("f.yaml");
    for (editor, code) in [("true", 200), ("false", 201), ("/no/such/editor", 201)] {
        let mut command = bench.command(Who::Ours, &["f.yaml"]);
        assert_eq!(
            command.env("SOPS_EDITOR", editor).status().unwrap().code(),
            Some(code),
            "{editor}"
        );
        assert_eq!(bench.read("f.yaml"), before);
    }
    assert_eq!(fs::read_dir(bench.tmp()).unwrap().count(), 0);
}

#[test]
fn a_new_file_begins_with_the_same_example() {
    let bench = Bench::new();
    for name in ["n.yaml", "n.json", "n.env", "n.ini", "n.txt"] {
        let [ours, theirs] = BOTH.map(|who| {
            bench.write("editor", "#!/bin/sh\ncp \"$1\" example\necho >> \"$1\"\n");
            fs::set_permissions(bench.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
            let mut command = bench.command(who, &["edit", "--age", &bench.recipient, name]);
            let output = command.env("EDITOR", bench.path("editor")).output().unwrap();
            assert!(output.status.success(), "{who:?} {name}: {}", said(&output));
            let plain = bench.good(Who::Original, &["decrypt", name]);
            fs::remove_file(bench.path(name)).unwrap();
            (bench.read("example"), plain)
        });
        assert_eq!(ours, theirs, "{name}");
    }
}

#[test]
fn what_cannot_be_encrypted_is_edited_again() {
    use std::io::Write as _;
    let bench = Bench::new();
    bench.write("f.yaml", PLAIN);
    bench.encrypt(Who::Ours, "f.yaml", &[]);
    bench.write(
        "editor",
        "#!/bin/sh\nif [ -e once ]; then echo 'a: good' > \"$1\"; else echo 'a: [' > \"$1\"; touch once; fi\n",
    );
    fs::set_permissions(bench.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = bench.command(Who::Ours, &["edit", "f.yaml"]);
    command.env("EDITOR", bench.path("editor")).stdin(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.good(Who::Original, &["decrypt", "f.yaml"]), "a: good\n");
}
