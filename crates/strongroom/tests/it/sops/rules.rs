//! `.sops.yaml`, key groups and exit codes, beside the original.

use super::{BOTH, Bench, Who};

#[test]
fn the_configuration_says_the_same_to_both() {
    let bench = Bench::new();
    let config = format!(
        "creation_rules:
  - path_regex: \\.json$
    encrypted_regex: ^secret
    age: {recipient}
  - path_regex: groups
    shamir_threshold: 1
    key_groups:
      - age: [{recipient}]
      - age: [{recipient}]
  - path_regex: \\.env$
    age: ['{recipient}']
    unencrypted_suffix: _PLAIN
  - path_regex: marked
    age: {recipient}
    encrypted_comment_regex: sops:enc
    mac_only_encrypted: true
stores:
  yaml: {{indent: 2}}
  json: {{indent: 3}}
",
        recipient = bench.recipient
    );
    bench.write(".sops.yaml", config);
    for (name, text) in [
        ("a.json", "{\"secret_a\": 1, \"b\": {\"c\": 2}}"),
        ("b.env", "A=1\nB_PLAIN=2\n"),
        ("marked.yaml", "# sops:enc\na: 1\nb:\n  - 2\n  # sops:enc\n  - 3\n"),
    ] {
        let texts = BOTH.map(|who| {
            bench.write(name, text);
            bench.good(who, &["encrypt", "-i", name]);
            let outline: Vec<String> = bench
                .read(name)
                .lines()
                .filter(|line| !line.contains("sops"))
                .map(|line| line.split("ENC[").next().unwrap().to_owned())
                .take(4)
                .collect();
            let plain = BOTH.map(|reader| bench.good(reader, &["decrypt", name]));
            assert_eq!(plain[0], plain[1]);
            (outline, plain)
        });
        assert_eq!(texts[0], texts[1], "{name}");
    }
    // No rule for it, and no keys: nothing is encrypted.
    bench.write("other.yaml", "a: 1\n");
    assert_eq!(bench.same(&["encrypt", "other.yaml"]), 1);
    assert_eq!(bench.same(&["-e", "other.yaml"]), 1);
}

#[test]
fn groups_cross_over() {
    let bench = Bench::new();
    let others = [Bench::new(), Bench::new()];
    let config = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - age: [{}]\n      - age: \
         [{}]\n      - age: [{}]\n",
        bench.recipient, others[0].recipient, others[1].recipient
    );
    bench.write(".sops.yaml", config);
    for who in BOTH {
        bench.write("f.yaml", "a: 1\n");
        bench.good(who, &["encrypt", "-i", "f.yaml"]);
        // One of three parts is too little, two are enough.
        assert_eq!(bench.same(&["decrypt", "f.yaml"]), 128);
        let key = |bench: &Bench| std::fs::read_to_string(bench.path("../key")).unwrap();
        let keys = format!("{}{}", key(&bench), key(&others[1]));
        for reader in BOTH {
            let mut command = bench.command(reader, &["decrypt", "f.yaml"]);
            let output = command.env("SOPS_AGE_KEY", &keys).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "a: 1\n", "{who:?} {reader:?}");
        }
    }
}

#[test]
fn failures_have_the_same_exit_codes() {
    let bench = Bench::new();
    bench.write("plain.yaml", "a: 1\n");
    bench.write("enc.yaml", "a: 1\nb: [x]\n");
    bench.encrypt(Who::Original, "enc.yaml", &[]);
    let enc = bench.read("enc.yaml");
    bench.write("moved.yaml", enc.replacen("a: ENC", "c: ENC", 1));
    bench.write("nomac.yaml", enc.replacen("mac: ENC", "nomac: ENC", 1));
    bench.write("cut.yaml", enc.replacen(",tag:", ",tag:x", 1));
    bench.write("open.yaml", enc.replacen("a: ENC", "a: 1 #ENC", 1));
    bench.write("bad.yaml", "a: [\n");
    bench.write("twice.yaml", "a: 1\na: 2\n");
    bench.write("list.yaml", "- a\n");
    bench.write("odd.yaml", "1: a\n");
    bench.write("large.yaml", "a: 9223372036854775808\n");
    bench.write("none.yaml", "");
    bench.write("sops.yaml", "a: 1\nsops: x\n");
    bench.write("list.json", "[1]");
    bench.write("sops.env", "sops_a=1\n");
    bench.write("bad.env", "no equals sign\n");
    bench.write("nested.yaml", "a: {b: 1}\n");
    let age = bench.recipient.clone();
    for (args, code) in [
        (&["encrypt", "--age", &age, "bad.yaml"][..], 2),
        (&["encrypt", "--age", &age, "twice.yaml"], 2),
        (&["encrypt", "--age", &age, "list.yaml"], 2),
        (&["encrypt", "--age", &age, "list.json"], 2),
        (&["encrypt", "--age", &age, "bad.env"], 2),
        (&["encrypt", "--age", &age, "odd.yaml"], 23),
        (&["encrypt", "--age", &age, "large.yaml"], 23),
        (&["encrypt", "--age", &age, "none.yaml"], 92),
        (&["encrypt", "--age", &age, "sops.yaml"], 203),
        (&["encrypt", "--age", &age, "sops.env"], 203),
        (&["encrypt", "--age", &age, "enc.yaml"], 203),
        (&["encrypt", "--age", &age, "--output-type", "dotenv", "nested.yaml"], 4),
        (&["encrypt", "--age", &age, "missing.yaml"], 100),
        (&["encrypt", "--age", "age1nokey", "plain.yaml"], 1),
        (&["encrypt", "plain.yaml"], 1),
        (&["encrypt", "--age", &age, "-i", "--output", "x", "plain.yaml"], 8),
        (
            &[
                "encrypt",
                "--age",
                &age,
                "--encrypted-suffix",
                "a",
                "--encrypted-regex",
                "b",
                "plain.yaml",
            ],
            8,
        ),
        (&["encrypt"], 8),
        (&["-e"], 100),
        (&["decrypt", "-i"], 8),
        (&["decrypt", "missing.yaml"], 100),
        (&["decrypt", "plain.yaml"], 1),
        (&["decrypt", "moved.yaml"], 25),
        (&["decrypt", "open.yaml"], 25),
        (&["decrypt", "cut.yaml"], 25),
        (&["decrypt", "nomac.yaml"], 51),
        (&["decrypt", "--ignore-mac", "nomac.yaml"], 0),
        (&["decrypt", "--extract", "a", "enc.yaml"], 91),
        (&["decrypt", "--extract", "[\"z\"]", "enc.yaml"], 1),
        (&["decrypt", "--extract", "[\"b\"][3]", "enc.yaml"], 1),
        (&["decrypt", "--decryption-order", "age,age", "enc.yaml"], 112),
        (&["decrypt", "--output-type", "binary", "enc.yaml"], 4),
        (&["rotate", "missing.yaml"], 2),
        (&["rotate", "missing.yaml", "--add-age", &age], 49),
        (&["decrypt", "enc.yaml", "--extract", "[\"z\"]"], 1),
        (&["-d", "enc.yaml", "--extract", "[\"z\"]"], 0),
        (&["rotate", "--add-age", &age, "missing.yaml"], 49),
        (&["rotate"], 100),
        (&["set", "enc.yaml", "[\"a\"]", "not json"], 7),
        (&["set", "enc.yaml", "a", "1"], 7),
        (&["set", "enc.yaml", "[\"a\"]"], 100),
        (&["--set", "nonsense", "enc.yaml"], 7),
        (&["unset", "enc.yaml", "[\"z\"]"], 1),
        (&["unset", "--idempotent", "enc.yaml", "[\"z\"]"], 0),
        (&["unset", "enc.yaml"], 100),
        (&["updatekeys", "enc.yaml"], 1),
        (&["filestatus", "enc.yaml"], 0),
        (&["filestatus", "plain.yaml"], 0),
        (&["filestatus", "missing.yaml"], 1),
        (&["filestatus"], 100),
        (&["exec-env", "enc.yaml"], 1),
        (&["exec-env", "enc.yaml", "true"], 1),
        (&["--add-age", &age, "missing.yaml"], 49),
        (&["publish", "enc.yaml"], 1),
    ] {
        assert_eq!(bench.same(args), code, "{args:?}");
    }
    for args in [
        &["--nonsense"][..],
        &["decrypt", "--nonsense"],
        &["decrypt", "--extract"],
        &["--indent=x", "f"],
    ] {
        for who in BOTH {
            assert_eq!(bench.run(who, args).status.code(), Some(1), "{who:?} {args:?}");
        }
    }
}

#[test]
fn versions_of_files_are_read_as_the_original_reads_them() {
    let bench = Bench::new();
    bench.write("enc.yaml", "a: 1\n");
    bench.encrypt(Who::Original, "enc.yaml", &[]);
    let enc = bench.read("enc.yaml");
    let (before, version) = enc.rsplit_once("version: ").unwrap();
    assert_eq!(version, "3.13.3\n");
    for (version, code) in [
        ("3.2.0", 0),
        ("v3.7.1", 0),
        ("1.14", 0),
        ("99.0.0", 0),
        ("3.13.3-rc.1+build", 0),
        ("3.13", 1),
        ("\"\"", 1),
        ("latest", 1),
        ("3.013.0", 1),
    ] {
        bench.write("enc.yaml", format!("{before}version: {version}\n"));
        for args in [
            &["decrypt", "enc.yaml"][..],
            &["-d", "enc.yaml"],
            &["set", "enc.yaml", "[\"a\"]", "2"],
            &["unset", "enc.yaml", "[\"a\"]"],
            &["exec-env", "enc.yaml", "true"],
            &["rotate", "-i", "enc.yaml"],
        ] {
            assert_eq!(bench.same(args), code, "{version} {args:?}");
        }
        assert_eq!(bench.same(&["filestatus", "enc.yaml"]), 0, "{version}");
    }
}

#[test]
fn the_version_is_the_one_that_is_followed() {
    let bench = Bench::new();
    let first =
        |who| bench.good(who, &["--version"]).split(' ').take(2).collect::<Vec<_>>().join(" ");
    assert_eq!(first(Who::Ours).trim(), first(Who::Original).trim());
}
