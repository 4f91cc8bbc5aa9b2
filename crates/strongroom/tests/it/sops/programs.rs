//! `exec-env`, `exec-file`, `keyservice` and the standard streams.

use std::io::Write as _;
use std::process::Stdio;

use super::{BOTH, Bench, Who, said};

#[test]
fn programs_get_what_is_decrypted() {
    let bench = Bench::new();
    bench.write("f.env", "A=one two\nB=3\nLINES=a\\nb\n");
    bench.encrypt(Who::Original, "f.env", &[]);
    bench.write("g.yaml", "a: true\nb: 2.0\n# c\nd: x\n");
    bench.encrypt(Who::Original, "g.yaml", &[]);
    for (args, code) in [
        (&["exec-env", "f.env", "printf '%s|' \"$A\" \"$B\" \"$LINES\" \"$HOME\""][..], 0),
        (&["exec-env", "g.yaml", "echo $a $b $d"], 0),
        (&["exec-env", "--pristine", "g.yaml", "echo \"[$HOME]\" $a"], 0),
        (&["exec-env", "--same-process", "g.yaml", "echo $a; exit 4"], 4),
        (&["exec-env", "f.env", "exit 7"], 7),
        (&["exec-env", "f.env", "kill -9 $$"], 255),
        (&["exec-file", "f.env", "cat {}"], 0),
        (&["exec-file", "--no-fifo", "f.env", "cat {}; stat -c %a {}"], 0),
        (&["exec-file", "--filename", "named", "f.env", "basename {}; cat {} > /dev/null"], 0),
        (&["exec-file", "--output-type", "json", "g.yaml", "cat {}"], 0),
        (&["exec-file", "--filename", "../x", "f.env", "cat {}"], 1),
        (&["exec-file", "f.env", "cat {} > /dev/null; exit 3"], 3),
        (&["exec-file", "--no-fifo", "f.env", "true"], 0),
    ] {
        assert_eq!(bench.same(args), code, "{args:?}");
    }
    assert_eq!(std::fs::read_dir(bench.tmp()).unwrap().count(), 0);
}

#[test]
fn the_standard_streams_are_files_too() {
    let bench = Bench::new();
    for (name, text) in [("x.yaml", "a: 1\n"), ("x.txt", "any text")] {
        for (one, other) in [(Who::Ours, Who::Original), (Who::Original, Who::Ours)] {
            let through = |who, args: &[&str], input: &[u8]| {
                let mut command = bench.command(who, args);
                let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
                let mut child = command.spawn().unwrap();
                child.stdin.take().unwrap().write_all(input).unwrap();
                let output = child.wait_with_output().unwrap();
                assert!(output.status.success(), "{who:?} {args:?} {}", said(&output));
                output.stdout
            };
            let args = ["encrypt", "--age", &bench.recipient, "--filename-override", name];
            let sealed = through(one, &args, text.as_bytes());
            let opened = through(other, &["decrypt", "--filename-override", name], &sealed);
            assert_eq!(opened, text.as_bytes(), "{name} {one:?}");
        }
    }
}

#[test]
fn outputs_go_where_they_are_sent() {
    let bench = Bench::new();
    bench.write("f.yaml", "a: 1\n");
    bench.encrypt(Who::Ours, "f.yaml", &[]);
    for who in BOTH {
        assert_eq!(bench.good(who, &["decrypt", "--output", "out.yaml", "f.yaml"]), "");
        assert_eq!(bench.read("out.yaml"), "a: 1\n");
        let failed = bench.run(who, &["decrypt", "--output", "no/folder", "f.yaml"]);
        assert_eq!(failed.status.code(), Some(3), "{}", said(&failed));
    }
}

#[test]
fn completion_knows_the_commands() {
    let bench = Bench::new();
    let out = bench.good(Who::Ours, &["--generate-bash-completion"]);
    for name in ["encrypt", "decrypt", "edit", "updatekeys", "groups", "exec-env", "keyservice"] {
        assert!(out.lines().any(|line| line == name), "{name}: {out}");
    }
    for shell in ["bash", "zsh"] {
        assert!(bench.good(Who::Ours, &["completion", shell]).contains("sops"));
    }
    let help = bench.good(Who::Ours, &["decrypt", "--help"]);
    assert!(help.contains("--ignore-mac") && help.contains("SOPS_DECRYPTION_ORDER"));
}

/// What `helm secrets` runs: the old spellings, with the error output in the same place, so that nothing
/// but the document may be said.
#[test]
fn helm_s_plugin_gets_what_it_expects() {
    let bench = Bench::new();
    bench.write(".sops.yaml", format!("creation_rules:\n  - age: {}\n", bench.recipient));
    let typed = |mode, kind| [mode, "--input-type", kind, "--output-type", kind];
    for (one, other) in [(Who::Ours, Who::Original), (Who::Original, Who::Ours)] {
        let whole = |who, args: &[&str], input: &str| {
            bench.write("input", input);
            let mut command = bench.command(who, args);
            command.stdin(std::fs::File::open(bench.path("input")).unwrap());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{who:?} {args:?} {}", said(&output));
            let both = [output.stdout, output.stderr].concat();
            String::from_utf8(both).unwrap()
        };
        let plain = "db:\n    password: hunter2\n";
        bench.write("secrets.yaml", plain);
        let encrypt = [&typed("--encrypt", "yaml")[..], &["secrets.yaml"]].concat();
        let sealed = whole(one, &encrypt, "");
        // By this it knows that a file is encrypted, and as what.
        assert!(sealed.lines().any(|line| line.contains("mac") && line.contains(",type:str]")));
        assert!(sealed.lines().any(|line| line == "sops:"));
        bench.write("secrets.enc.yaml", &sealed);
        let decrypt = [&typed("--decrypt", "yaml")[..], &["secrets.enc.yaml"]].concat();
        assert_eq!(whole(other, &decrypt, ""), plain);
        let out = bench.path("out.yaml").display().to_string();
        let to_file =
            [&typed("--decrypt", "yaml")[..], &["--output", &out, "secrets.enc.yaml"]].concat();
        assert_eq!(whole(other, &to_file, ""), "");
        assert_eq!(bench.read("out.yaml"), plain);
        let in_place = [&typed("--encrypt", "yaml")[..], &["--in-place", &out]].concat();
        assert_eq!(whole(one, &in_place, ""), "");
        let in_place = [&typed("--decrypt", "yaml")[..], &["--in-place", &out]].concat();
        assert_eq!(whole(other, &in_place, ""), "");
        assert_eq!(bench.read("out.yaml"), plain);
        // A value of the command line, which comes by the standard input under its name.
        bench.write("value.json", "{\"a\": 1}");
        let encrypt = [&typed("--encrypt", "json")[..], &["value.json"]].concat();
        let sealed = whole(one, &encrypt, "");
        let decrypt = [&typed("--decrypt", "json")[..], &["/dev/stdin"]].concat();
        assert_eq!(whole(other, &decrypt, &sealed), "{\n\t\"a\": 1\n}\n");
    }
}
