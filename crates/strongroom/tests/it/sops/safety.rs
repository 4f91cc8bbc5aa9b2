//! What must never happen to a file or a secret.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;

use super::{Bench, Who, said};

#[test]
fn a_failure_leaves_the_file_and_says_no_secret() {
    let bench = Bench::new();
    bench.write("f.yaml", "a: canary-one\nb: canary-two\n");
    bench.encrypt(Who::Ours, "f.yaml", &[]);
    let good = bench.read("f.yaml");
    let broken = good.replacen("a: ENC", "c: ENC", 1);
    bench.write("f.yaml", &broken);
    let age = bench.recipient.clone();
    for args in [
        &["decrypt", "-i", "f.yaml"][..],
        &["rotate", "-i", "f.yaml"],
        &["set", "f.yaml", "[\"a\"]", "\"canary-three\""],
        &["unset", "f.yaml", "[\"b\"]"],
        &["encrypt", "-i", "--age", &age, "f.yaml"],
        &["edit", "f.yaml"],
        &["exec-env", "f.yaml", "echo ran"],
    ] {
        let output = bench.run(Who::Ours, args);
        assert!(!output.status.success(), "{args:?}");
        assert_eq!(bench.read("f.yaml"), broken, "{args:?}");
        assert!(!said(&output).contains("canary") && output.stdout.is_empty(), "{}", said(&output));
    }
    // What cannot be read is not shown either.
    for (name, text) in [
        ("x.yaml", "a: canary: [\n"),
        ("x.json", "{\"a\": canary}"),
        ("x.env", "canary\n"),
        ("x.ini", "canary\n"),
        ("y.yaml", "canary\n"),
        ("y.json", "\"canary\""),
    ] {
        bench.write(name, text);
        for args in [&["encrypt", "--age", &age, name][..], &["decrypt", name]] {
            let output = bench.run(Who::Ours, args);
            assert!(
                !output.status.success() && !said(&output).contains("canary"),
                "{}",
                said(&output)
            );
        }
    }
}

#[test]
fn a_file_that_is_replaced_keeps_its_mode() {
    let bench = Bench::new();
    bench.write("f.yaml", "a: 1\n");
    fs::set_permissions(bench.path("f.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    bench.encrypt(Who::Ours, "f.yaml", &[]);
    bench.good(Who::Ours, &["set", "f.yaml", "[\"a\"]", "2"]);
    bench.good(Who::Ours, &["rotate", "-i", "f.yaml"]);
    bench.good(Who::Ours, &["decrypt", "-i", "f.yaml"]);
    assert_eq!(fs::metadata(bench.path("f.yaml")).unwrap().mode() & 0o777, 0o640);
    let names: Vec<_> =
        fs::read_dir(bench.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["f.yaml"], "nothing is left beside it");
}

#[test]
fn a_signal_takes_the_decrypted_file_away() {
    for signal in ["TERM", "HUP", "INT", "QUIT", "ABRT"] {
        let bench = Bench::new();
        bench.write("f.yaml", "a: 1\n");
        bench.encrypt(Who::Ours, "f.yaml", &[]);
        let before = bench.read("f.yaml");
        let script = "#!/bin/sh\necho \"$1\"\nread nothing < pipe\n";
        bench.write("editor", script);
        fs::set_permissions(bench.path("editor"), fs::Permissions::from_mode(0o755)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(bench.path("pipe")).status().unwrap();
        assert!(made.success());
        let mut command = bench.command(Who::Ours, &["edit", "f.yaml"]);
        command.env("EDITOR", bench.path("editor")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // The editor says where the file is once it has it.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let file = std::path::PathBuf::from(line.trim());
        assert!(file.exists());
        // These end neither of both programs.
        for other in ["USR1", "USR2", "ALRM", "XCPU", "XFSZ", "VTALRM", "PROF", "IO", "PWR"] {
            let kill = std::process::Command::new("kill")
                .args([format!("-{other}"), child.id().to_string()])
                .status();
            assert!(kill.unwrap().success());
            assert_eq!(child.try_wait().unwrap(), None, "{other}");
        }
        assert!(file.exists());
        let kill = std::process::Command::new("kill")
            .args([format!("-{signal}"), child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(1), "{signal}");
        assert!(!file.exists() && !file.parent().unwrap().exists(), "{signal}");
        assert_eq!(bench.read("f.yaml"), before);
        // The editor goes on until somebody writes.
        drop(fs::OpenOptions::new().write(true).open(bench.path("pipe")));
    }
}

#[test]
fn a_large_file_takes_time_in_proportion() {
    let bench = Bench::new();
    let mut text = String::new();
    for at in 0..20_000 {
        text.push_str(&format!("key{at}: value {at}\n"));
    }
    bench.write("f.yaml", &text);
    bench.encrypt(Who::Ours, "f.yaml", &[]);
    assert_eq!(bench.good(Who::Ours, &["decrypt", "f.yaml"]), text);
}
