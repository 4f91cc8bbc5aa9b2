//! What is said on the error output: scripts look for it, people search for it.

use std::io::Write as _;
use std::process::Stdio;

use super::{BOTH, Bench, Who, said};

/// A text without what no two runs have in common: times.
fn timeless(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = String::new();
    for line in text.lines() {
        let line = match line.split_once(" time=\"") {
            Some((speaker, rest)) => {
                format!("{speaker} {}", rest.split_once("\" ").map_or(rest, |(_, said)| said))
            }
            None if line.starts_with("20") => {
                line.chars().skip("2026/11/27 00:42:28".len()).collect()
            }
            None => line.to_owned(),
        };
        // An address in memory.
        if !line.contains("Master keys available") {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

/// Both say the same to the same arguments and input.
fn same_words(bench: &Bench, args: &[&str], env: &[(&str, &str)], input: &str) -> String {
    let before = bench.read("enc.yaml");
    let [ours, theirs] = BOTH.map(|who| {
        let mut command = bench.command(who, args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, value) in env {
            match value.is_empty() {
                true => command.env_remove(name),
                false => command.env(name, value),
            };
        }
        let mut child = command.spawn().unwrap();
        // Whoever asks for nothing reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        bench.write("enc.yaml", &before);
        output
    });
    assert_eq!(ours.status.code(), theirs.status.code(), "{args:?} {}", said(&ours));
    let (ours, theirs) = (timeless(&ours.stderr), timeless(&theirs.stderr));
    assert_eq!(ours, theirs, "{args:?} {env:?} {input:?}");
    ours
}

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("enc.yaml", "a: 1\nb: two\n");
    bench.encrypt(Who::Original, "enc.yaml", &[]);
    bench.write("plain.yaml", "a: 1\n");
    bench
}

#[test]
fn failures_that_the_original_logs_are_logged() {
    let bench = bench();
    bench.write("odd.yaml", "a: 1\nsops: 3\n");
    for args in [
        &["filestatus", "missing.yaml"][..],
        &["filestatus", "odd.yaml"],
        &["encrypt", "--age", "nobody", "plain.yaml"],
        &["encrypt", "--age", &bench.recipient, "enc.yaml"],
        &["keyservice", "--address", "192.0.2.1:1"],
        &["filestatus", "."],
        &["decrypt", "."],
        &["groups", "delete", "--file", "plain.yaml", "0"],
        &["groups", "delete", "--file", "missing.yaml", "0"],
        &["exec-file", "--user", "nobody-is-called-so", "enc.yaml", "true"],
        &["exec-env", "--user", "nobody-is-called-so", "enc.yaml", "true"],
    ] {
        same_words(&bench, args, &[], "");
    }
    bench.write(".sops.yaml", "creation_rules: []\n");
    let told = same_words(&bench, &["publish", "."], &[], "");
    assert!(told.contains("level=fatal msg=\"can't operate on a directory"), "{told}");
}

#[test]
fn documents_that_are_none_are_told_of_as_the_original_does() {
    let bench = bench();
    let age = bench.recipient.clone();
    let list = vec!["x"; 1_000].join(", ");
    let aliases: String = (0..200).map(|at| format!("b{at}: *a\n")).collect();
    for text in [
        "- a\n",
        "a: 1\n---\n- b\n",
        "a: 1\n---\nb\n",
        "? [x]\n: 1\n",
        "? {x: y}\n: 1\n",
        "a: 1\na: 2\n",
        "a: \u{1}\n",
        "a: 1\n b: 2\n",
        &format!("a: &a [{list}]\n{aliases}"),
    ] {
        bench.write("f.yaml", text);
        same_words(&bench, &["encrypt", "--age", &age, "f.yaml"], &[], "");
    }
    // A key within is named by its line only; what was accepted before is refused with the same code.
    bench.write("f.yaml", "a: {? [x] : 1}\n");
    assert_eq!(bench.same(&["encrypt", "--age", &age, "f.yaml"]), 2);
}

#[test]
fn keys_that_do_not_fit_are_told_of_as_the_original_does() {
    let bench = bench();
    bench.write("empty", "# none\n");
    let other = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
    const FILE: &str = "SOPS_AGE_KEY_FILE";
    for env in [
        &[(FILE, "")][..],
        &[(FILE, "/no/such/file")],
        &[(FILE, "empty")],
        &[(FILE, ""), ("SOPS_AGE_KEY", other)],
        &[(FILE, ""), ("SOPS_AGE_KEY", &format!("{other} {other}"))],
        &[(FILE, ""), ("SOPS_AGE_KEY", "# none")],
        &[(FILE, ""), ("SOPS_AGE_KEY", "something")],
    ] {
        let told = same_words(&bench, &["decrypt", "enc.yaml"], env, "");
        let first =
            "Failed to get the data key required to decrypt the SOPS file.\n\nGroup 0: FAILED\n";
        assert!(told.starts_with(first), "{told}");
        same_words(&bench, &["--verbose", "-d", "enc.yaml"], env, "");
    }
}

#[test]
fn what_happens_is_told_where_that_is_asked_for() {
    let bench = bench();
    let age = bench.recipient.clone();
    for args in [
        &["--verbose", "-d", "enc.yaml"][..],
        &["--verbose", "-d", "--extract", "[\"b\"]", "enc.yaml"],
        &["--verbose", "-r", "-i", "enc.yaml"],
        &["--verbose", "-e", "--age", &age, "plain.yaml"],
        &["--verbose", "--set", "[\"a\"] 2", "enc.yaml"],
    ] {
        let told = same_words(&bench, args, &[], "");
        assert!(told.contains("level=info msg=\"") && !told.contains("two"), "{told}");
    }
    assert_eq!(same_words(&bench, &["--verbose", "decrypt", "enc.yaml"], &[], ""), "");
}

#[test]
fn answers_are_read_as_the_original_reads_them() {
    let bench = bench();
    let age = bench.recipient.clone();
    let other = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";
    bench.write(".sops.yaml", format!("creation_rules:\n  - age: {age},{other}\n"));
    for input in ["", "y", "y\n", "n\n", "x\nn\n", "\n", "yes\n", "y z\n", " y\n", "x"] {
        same_words(&bench, &["updatekeys", "enc.yaml"], &[], input);
    }
    for args in [&["updatekeys", "-y", "enc.yaml"][..], &["updatekeys", "plain.yaml"]] {
        same_words(&bench, args, &[], "");
    }
}

#[test]
fn an_editor_that_leaves_the_same_nonsense_again_ends_where_nobody_reads_it() {
    let bench = bench();
    let before = bench.read("enc.yaml");
    for input in ["", "\n"] {
        let mut command = bench.command(Who::Ours, &["edit", "enc.yaml"]);
        command.env("EDITOR", "sh -c 'echo [ > \"$0\"'").stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told = "msg=\"Could not load tree, probably due to invalid syntax. Press enter to return to \
                    the editor, or Ctrl+C to exit.\" error=\"yaml: ";
        assert_eq!(said(&output).matches(told).count(), 2, "{}", said(&output));
        assert_eq!(bench.read("enc.yaml"), before);
    }
    assert_eq!(std::fs::read_dir(bench.tmp()).unwrap().count(), 0);
    // What is mended meanwhile is taken, though nobody is there to press a key.
    let mark = bench.tmp().with_file_name("mended");
    let script = format!(
        "sh -c 'test -e {mark} && echo mended: 1 > \"$0\" || {{ touch {mark}; echo [ > \"$0\"; }}'",
        mark = mark.display()
    );
    let mut command = bench.command(Who::Ours, &["edit", "enc.yaml"]);
    let output = command.env("EDITOR", script).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(bench.read("enc.yaml").contains("mended: ENC["));
}

#[test]
fn a_program_in_the_background_says_nothing() {
    let bench = bench();
    let args = ["exec-env", "--background", "enc.yaml", "echo heard; echo heard >&2"];
    let told = same_words(&bench, &args, &[], "");
    assert!(!told.contains("heard"), "{told}");
    assert_eq!(bench.same(&args), 0);
}
