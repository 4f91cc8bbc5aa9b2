//! How commands end: exit codes and last words are the original's.

use std::process::{Command, Stdio};

use super::{BOTH, Bench, Who, said};

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("f.yaml", "a: 1\nb: two\n");
    bench.encrypt(Who::Original, "f.yaml", &[]);
    bench
}

#[test]
fn what_is_no_command_of_a_group_has_no_help() {
    let bench = bench();
    for args in [&["groups", "bogus"][..], &["completion", "bogus"], &["help", "bogus"]] {
        assert_eq!(bench.same(args), 3, "{args:?}");
        for who in BOTH {
            assert!(said(&bench.run(who, args)).contains("No help topic for 'bogus'"), "{args:?}");
        }
    }
}

#[test]
fn a_data_key_that_groups_cannot_have_is_code_1() {
    let bench = bench();
    let age = bench.recipient.clone();
    for args in [
        &["groups", "add", "--file", "f.yaml", "--age", &age][..],
        &["groups", "delete", "--file", "f.yaml", "0"],
    ] {
        let mut without = bench.command(Who::Ours, args);
        let output = without.env("SOPS_AGE_KEY_FILE", "/nonexistent").output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    }
}

#[test]
fn signals_of_programs_are_named() {
    let bench = bench();
    for (signal, name) in [("TERM", "terminated"), ("KILL", "killed"), ("USR1", "user defined")] {
        let script = format!("kill -{signal} $$");
        for who in BOTH {
            let output = bench.run(who, &["exec-env", "f.yaml", &script]);
            assert_eq!(output.status.code(), Some(255), "{who:?}");
            assert!(
                said(&output).contains(&format!("signal: {name}")),
                "{who:?} {}",
                said(&output)
            );
        }
    }
}

#[test]
fn a_reader_that_goes_ends_the_command_in_silence() {
    let bench = Bench::new();
    // More than a pipe holds.
    bench.write("f.yaml", format!("a: {}\n", "x".repeat(1 << 20)));
    bench.encrypt(Who::Ours, "f.yaml", &[]);
    let gone = |mut command: Command| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    };
    let sops = gone(bench.command(Who::Ours, &["decrypt", "f.yaml"]));
    let mut age = Command::new(env!("CARGO_BIN_EXE_strongroom"));
    age.args(["age", "-r", &bench.recipient]).arg(bench.path("f.yaml"));
    for output in [sops, gone(age)] {
        assert_eq!(output.status.code(), Some(141), "{}", said(&output));
        assert!(output.stderr.is_empty(), "{}", said(&output));
    }
}

#[test]
fn a_full_disk_is_code_1() {
    let bench = bench();
    assert_eq!(bench.same(&["decrypt", "--output", "/dev/full", "f.yaml"]), 1);
}

#[test]
fn metadata_may_be_written_in_other_cases() {
    let bench = bench();
    let text = bench.read("f.yaml");
    bench.write("f.yaml", text.replace("age:", "AGE:").replace("lastmodified", "lastModified"));
    assert_eq!(bench.same(&["decrypt", "f.yaml"]), 0);
}

#[test]
fn a_rule_that_makes_no_sense_hinders_no_decryption() {
    let bench = bench();
    let rules = "creation_rules:\n- path_regex: '['\n  age: x\n- age: bogus\n  kms: [1]\n";
    bench.write(".sops.yaml", rules);
    assert_eq!(bench.same(&["decrypt", "f.yaml"]), 0);
    bench.write(".sops.yaml", "creation_rules:\n- age: bogus\n  kms: [1]\n");
    bench.write("plain.yaml", "a: 1\n");
    assert_eq!(bench.same(&["encrypt", "plain.yaml"]), 1);
}

#[test]
fn warnings_have_the_form_of_the_original_s_log() {
    let bench = bench();
    let lines = BOTH.map(|who| {
        let output = bench.run(who, &["decrypt", "f.yaml", "more"]);
        let line = String::from_utf8(output.stderr).unwrap();
        // The time differs.
        let (begin, rest) = line.split_once("time=\"").unwrap();
        let (time, rest) = rest.split_once('"').unwrap();
        assert_eq!(time.len(), "2026-01-01T00:00:00Z".len(), "{time}");
        format!("{begin}{rest}")
    });
    assert_eq!(lines[0], lines[1]);
}
