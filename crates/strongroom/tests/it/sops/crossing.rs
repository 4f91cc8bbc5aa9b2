//! Files cross over in both directions, in each format and with each rule.

use super::{BOTH, Bench, Who};

const YAML: &str = "# about\ntitle: \"n\u{e4}me: x\" # inline\ncount: 42\nratio: 2.5\nbig: 1e21\nwhen: \
                    2020-01-02T03:04:05.6Z\n\"yes\": true\nnothing: ~\nempty: \"\"\nlist:\n  # first\n  - \
                    a\n  - b # last\n  - [1, {c: d}]\nshared: &x\n  # sops:enc\n  k_unencrypted: \
                    readable\n  secret_k: |\n    two\n    lines\nagain: *x\n# foot\n---\nsecond: \
                    {document: true}\n";
const JSON: &str = "{\"a\": [1, 2.0, \"x<>\", null, {}], \"b_unencrypted\": {\"c\": true}, \"secret_k\": 12345678901234567890}";
const ENV: &str = "# comment\nA=1=2\nsecret_B= spaces \nEMPTY=\nLINES=a\\nb\n";
const INI: &str =
    "top = 1\n; about\n[section]\nkey = value ; inline\nsecret_k = \"  quoted \"\n[other]\nn=2\n";

fn other(who: Who) -> Who {
    if who == Who::Ours { Who::Original } else { Who::Ours }
}

#[test]
fn what_one_encrypts_the_other_decrypts() {
    let bench = Bench::new();
    let rules: &[&[&str]] = &[
        &[],
        &["--unencrypted-suffix", "_k"],
        &["--encrypted-suffix", "_k"],
        &["--encrypted-regex", "^(secret_|sec|b)"],
        &["--unencrypted-regex", "list|top"],
    ];
    for (name, text) in
        [("f.yaml", YAML), ("f.json", JSON), ("f.env", ENV), ("f.ini", INI), ("f.bin", YAML)]
    {
        for rule in rules {
            let mut plain = Vec::new();
            for who in BOTH {
                bench.write(name, text);
                bench.encrypt(who, name, rule);
                for reader in [other(who), who] {
                    plain.push(bench.good(reader, &["decrypt", name]));
                }
            }
            assert!(plain.iter().all(|text| *text == plain[0]), "{name} {rule:?}: {plain:#?}");
        }
    }
}

#[test]
fn what_is_readable_stands_in_the_same_places() {
    let bench = Bench::new();
    // What a ciphertext, a time and a wrapped key are is chance; all else is not.
    let outline = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .take_while(|line| !line.trim_matches(['\t', '"', '[']).starts_with("sops"));
        lines.map(|line| line.split("ENC[").next().unwrap().to_owned()).collect()
    };
    for (name, text) in [("f.yaml", YAML), ("f.json", JSON), ("f.env", ENV), ("f.ini", INI)] {
        for rule in [&[][..], &["--encrypted-regex", "^secret_"]] {
            let [ours, theirs] = BOTH.map(|who| {
                bench.write(name, text);
                bench.encrypt(who, name, rule);
                outline(&bench.read(name))
            });
            assert_eq!(ours, theirs, "{name} {rule:?}");
        }
    }
}

#[test]
fn metadata_is_written_with_the_same_fields() {
    let bench = Bench::new();
    let fields = |text: &str| -> Vec<String> {
        let lines = text.lines().skip_while(|line| !line.starts_with("sops"));
        let lines = lines.filter(|line| line.contains(':') && !line.trim_start().starts_with('-'));
        lines.map(|line| line.split(':').next().unwrap().to_owned()).collect()
    };
    let [ours, theirs] = BOTH.map(|who| {
        bench.write("f.yaml", "a: 1\n");
        let args = ["--mac-only-encrypted", "encrypt", "-i", "--age", &bench.recipient, "f.yaml"];
        bench.good(who, &args);
        fields(&bench.read("f.yaml"))
    });
    assert_eq!(ours, theirs);
}

#[test]
fn formats_turn_into_each_other() {
    let bench = Bench::new();
    bench.write("f.yaml", "a: 1\nb: true\nc: 2.0\nd: 2020-01-02\ne: [x, {f: 1}]\n");
    bench.encrypt(Who::Original, "f.yaml", &[]);
    bench.write("flat.env", "A=1\nB=x y\n");
    bench.encrypt(Who::Original, "flat.env", &[]);
    bench.write("f.ini", "[s]\na = 1\n");
    bench.encrypt(Who::Original, "f.ini", &[]);
    for name in ["f.yaml", "flat.env", "f.ini"] {
        for kind in ["yaml", "json", "dotenv", "ini", "binary", "nonsense"] {
            bench.same(&["decrypt", "--output-type", kind, name]);
        }
    }
    for indent in ["0", "2", "3", "-1"] {
        bench.same(&["--indent", indent, "decrypt", "f.yaml"]);
        bench.same(&["--indent", indent, "decrypt", "--output-type", "json", "f.yaml"]);
    }
}

#[test]
fn all_old_and_new_spellings_read() {
    let bench = Bench::new();
    bench.write("f.yaml", YAML);
    bench.encrypt(Who::Original, "f.yaml", &[]);
    for args in [
        &["decrypt", "f.yaml"][..],
        &["-d", "f.yaml"],
        &["--decrypt", "f.yaml"],
        &["--decrypt=true", "f.yaml"],
        &["-decrypt", "f.yaml"],
        &["decrypt", "f.yaml", "--extract", "[\"count\"]"],
        &["decrypt", "f.yaml", "--ignore-mac"],
        &["decrypt", "--extract", "[\"title\"]", "f.yaml"],
        &["-d", "--extract", "[\"list\"][1]", "f.yaml"],
        &["decrypt", "--extract", "[\"list\"]", "f.yaml"],
        &["decrypt", "--extract", "[\"list\"][4][1]['c']", "f.yaml"],
        &["decrypt", "--extract", "[\"shared\"]", "f.yaml"],
        &["decrypt", "--extract", "[\"count\"]", "f.yaml"],
        &["decrypt", "--extract", "[\"nothing\"]", "f.yaml"],
        &["decrypt", "--extract", "[\"ratio\"]", "--output-type", "json", "f.yaml"],
        &["decrypt", "--ignore-mac", "f.yaml"],
        &["decrypt", "--input-type", "yaml", "--output-type", "json", "f.yaml"],
    ] {
        assert_eq!(bench.same(args), 0, "{args:?}");
    }
}
