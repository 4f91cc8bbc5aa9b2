//! JSON, ENV, INI, binary, and where each keeps the metadata.

use super::*;
use crate::metadata::{AgeKey, HcVaultKey, KeyEntry, KeyGroup, KmsKey, Rule};

fn again(format: Format, text: &str) -> String {
    let store = Store::new(format);
    let branches = store.load_plain(text.as_bytes()).unwrap();
    String::from_utf8(store.emit_plain(&branches).unwrap()).unwrap()
}

#[test]
fn json_is_written_as_go_writes_it() {
    for (text, expected) in [
        ("{}", "{}\n"),
        (r#"{"b": [], "a": {}}"#, "{\n\t\"b\": [],\n\t\"a\": {}\n}\n"),
        (r#"{"a":1,"a":2}"#, "{\n\t\"a\": 1,\n\t\"a\": 2\n}\n"),
        (
            r#"{"a":"<&>\u2028\u0001\b/"}"#,
            "{\n\t\"a\": \"\\u003c\\u0026\\u003e\\u2028\\u0001\\b/\"\n}\n",
        ),
        (
            r#"{"a":[1.0,1e21,1e-7,-0.5]}"#,
            "{\n\t\"a\": [\n\t\t1,\n\t\t1e+21,\n\t\t1e-7,\n\t\t-0.5\n\t]\n}\n",
        ),
        (
            r#"{"a":9223372036854775807,"b":9223372036854775808}"#,
            "{\n\t\"a\": 9223372036854775807,\n\t\"b\": 9223372036854776000\n}\n",
        ),
        (r#"{"a":"\ud83d\ude00\ud800x"}"#, "{\n\t\"a\": \"😀\u{fffd}x\"\n}\n"),
        ("{\"a\":null} trailing", "{\n\t\"a\": null\n}\n"),
    ] {
        assert_eq!(again(Format::Json, text), expected, "{text}");
    }
    for wrong in [
        "",
        "[1]",
        "1",
        "\"x\"",
        "{",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":1e999}",
        "{\"a\":\"\u{1}\"}",
        "{\"a\":tru}",
    ] {
        assert!(Store::new(Format::Json).load_plain(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(300), "]".repeat(300));
    assert!(Store::new(Format::Json).load_plain(deep.as_bytes()).is_err());
    let store = Store { format: Format::Json, indent: 2 };
    let branches = store.load_plain(b"{\"a\":{\"b\":1}}").unwrap();
    assert_eq!(store.emit_plain(&branches).unwrap(), b"{\n  \"a\": {\n    \"b\": 1\n  }\n}\n");
}

#[test]
fn errors_of_json_show_nothing_of_the_file() {
    let error = Store::new(Format::Json).load_plain(b"{\"password\": hunter2}").unwrap_err();
    assert!(!error.text.contains("hunter2") && !error.text.contains("'h'"), "{error}");
    let error = Store::new(Format::Dotenv).load_plain(b"a=1\nhunter2\n").unwrap_err();
    assert!(!error.text.contains("hunter2") && error.text.contains("line 2"), "{error}");
}

#[test]
fn env_files_keep_every_character() {
    let text = "# c\nA=1=2\nB= 'x' \nC=\nD=a\\nb\n";
    assert_eq!(again(Format::Dotenv, text), text);
    let store = Store::new(Format::Dotenv);
    let branch = &store.load_plain(text.as_bytes()).unwrap()[0];
    assert_eq!(branch.get("D").unwrap().as_text(), Some("a\nb"));
    assert!(store.load_plain(b"no equals sign").is_err());
    let nested = Store::new(Format::Json).load_plain(b"{\"a\":{\"b\":1}}").unwrap();
    assert_eq!(store.emit_plain(&nested).unwrap_err().exit, Exit::Emit);
    let scalars = Store::new(Format::Yaml).load_plain(b"a: true\nb: 1.0\nc: 1e21\nd: 2020-01-02\n");
    let out = store.emit_plain(&scalars.unwrap()).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "a=true\nb=1.0\nc=1E+21\nd=2020-01-02T00:00:00Z\n");
}

#[test]
fn ini_files_are_written_as_their_library_writes_them() {
    for (text, expected) in [
        ("[s]\na=1\nlonger = 2 ; inline\n", "[s]\na      = 1\n; inline\nlonger = 2\n"),
        ("top = 1\n\n# about s\n[s]\nb: x\n", "top = 1\n\n; about s\n[s]\nb = x\n"),
        ("[s]\na=`x;y`\nb=\"  z \"\nc='q'\n", "[s]\na = `x;y`\nb = \"  z \"\nc = q\n"),
        ("[s]\na = \"\"\"one\ntwo\"\"\"\n", "[s]\na = \"\"\"one\ntwo\"\"\"\n"),
        ("[s]\na=1\n[s]\na=2\n", "[s]\na = 1\n\n[s]\na = 2\n"),
        ("[s]\na=1 \\\n  2\n", "[s]\na = 1 2\n"),
        ("[s]\n`k=x`=1\n", "[s]\n`k=x` = 1\n"),
    ] {
        assert_eq!(again(Format::Ini, text), expected, "{text}");
    }
    for wrong in ["[s\n", "[]\n", "no delimiter\n", "=x\n", "[s]\na=`x\n"] {
        assert!(Store::new(Format::Ini).load_plain(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn binary_files_survive_as_they_are() {
    let store = Store::new(Format::Binary);
    let bytes: Vec<u8> = (0..=255).collect();
    let branches = store.load_plain(&bytes).unwrap();
    assert_eq!(store.emit_plain(&branches).unwrap(), bytes);
    let other = Store::new(Format::Json).load_plain(b"{\"a\":1}").unwrap();
    assert!(store.emit_plain(&other).unwrap_err().text.contains("--output-type"));
}

#[test]
fn formats_are_known_by_the_end_of_the_name() {
    for (path, format) in [
        ("a.yaml", Format::Yaml),
        ("a.yml", Format::Yaml),
        ("a.json", Format::Json),
        (".env", Format::Dotenv),
        ("a.ini", Format::Ini),
        ("a.YAML", Format::Binary),
        ("a.yaml.txt", Format::Binary),
        ("a", Format::Binary),
    ] {
        assert_eq!(Format::of_path(path), format, "{path}");
    }
}

fn metadata() -> Metadata {
    let age = AgeKey { recipient: "age1x".into(), enc: "-----BEGIN\nx\n-----END\n".into() };
    Metadata {
        key_groups: vec![KeyGroup(vec![KeyEntry::Age(age)])],
        last_modified: "2026-01-02T03:04:05Z".into(),
        mac: "ENC[x]".into(),
        rule: Rule::UnencryptedSuffix("_unencrypted".into()),
        version: "3.13.3".into(),
        ..Metadata::default()
    }
}

fn several() -> Metadata {
    let kms = KmsKey {
        arn: "arn:aws:kms:x".into(),
        role: "arn:aws:iam::x".into(),
        context: vec![("a".into(), "b".into())],
        created_at: "2026-01-02T03:04:05Z".into(),
        enc: "x".into(),
        aws_profile: String::new(),
    };
    let vault = HcVaultKey {
        vault_address: "http://v".into(),
        engine_path: "transit".into(),
        key_name: "k".into(),
        created_at: "2026-01-02T03:04:05Z".into(),
        enc: "vault:v1:x".into(),
    };
    let mut metadata = metadata();
    metadata.key_groups.push(KeyGroup(vec![KeyEntry::Kms(kms), KeyEntry::HcVault(vault)]));
    metadata.shamir_threshold = 2;
    metadata.mac_only_encrypted = true;
    metadata.rule = Rule::EncryptedRegex("^x$".into());
    metadata
}

#[test]
fn metadata_comes_back_from_each_format() {
    for metadata in [metadata(), several()] {
        for format in [Format::Yaml, Format::Json, Format::Dotenv, Format::Ini, Format::Binary] {
            let store = Store::new(format);
            let plain: &[u8] = match format {
                Format::Yaml => b"a: x\n---\nb: y\n",
                Format::Json | Format::Binary => b"{\"data\": \"x\"}",
                Format::Dotenv => b"a=x\n",
                Format::Ini => b"[s]\na=x\n",
            };
            let mut tree =
                Tree { branches: store.load_plain(plain).unwrap(), metadata: metadata.clone() };
            let out = store.emit_encrypted(&mut tree).unwrap();
            assert!(!store.has_metadata_key(&tree.branches[0]), "{format:?}: it is as before");
            let read = store.load_encrypted(&out).unwrap();
            assert_eq!(read.metadata, metadata, "{format:?}");
            assert_eq!(read.branches, tree.branches, "{format:?}");
            assert!(store.load_encrypted(plain).is_err() || format == Format::Binary);
        }
    }
}

#[test]
fn metadata_is_written_sorted() {
    let yaml = Store::new(Format::Yaml);
    let mut tree = Tree { branches: vec![Branch::default()], metadata: several() };
    let out = String::from_utf8(yaml.emit_encrypted(&mut tree).unwrap()).unwrap();
    assert_eq!(
        out,
        "sops:
    encrypted_regex: ^x$
    key_groups:
        - age:
            - enc: |
                -----BEGIN
                x
                -----END
              recipient: age1x
          hc_vault: []
        - age: []
          hc_vault:
            - created_at: \"2026-01-02T03:04:05Z\"
              enc: vault:v1:x
              engine_path: transit
              key_name: k
              vault_address: http://v
          kms:
            - arn: arn:aws:kms:x
              aws_profile: \"\"
              context:
                a: b
              created_at: \"2026-01-02T03:04:05Z\"
              enc: x
              role: arn:aws:iam::x
    lastmodified: \"2026-01-02T03:04:05Z\"
    mac: ENC[x]
    mac_only_encrypted: true
    shamir_threshold: 2
    version: 3.13.3
"
    );
    let env = Store::new(Format::Dotenv);
    let mut tree = Tree { branches: vec![Branch::default()], metadata: metadata() };
    let out = String::from_utf8(env.emit_encrypted(&mut tree).unwrap()).unwrap();
    assert!(out.contains("sops_age__list_0__map_enc=-----BEGIN\\nx\\n-----END\\n\n"), "{out}");
}

#[test]
fn reading_is_lenient_about_types_and_not_about_sense() {
    let yaml = Store::new(Format::Yaml);
    let with = |fields: &str| {
        let text = format!(
            "a: x\nsops:\n  age:\n  - recipient: r\n    enc: e\n  kms: []\n  mac: m\n  \
                            lastmodified: 2026-01-02T03:04:05+00:00\n  version: 3.7\n{fields}"
        );
        yaml.load_encrypted(text.as_bytes())
    };
    let read =
        with("  shamir_threshold: \"2\"\n  mac_only_encrypted: \"true\"\n  unknown: 1\n").unwrap();
    assert_eq!((read.metadata.shamir_threshold, read.metadata.mac_only_encrypted), (2, true));
    assert_eq!(read.metadata.version, "3.7");
    assert_eq!(read.metadata.last_modified, "2026-01-02T03:04:05Z");
    assert_eq!(read.metadata.rule, Rule::UnencryptedSuffix("_unencrypted".into()));
    assert!(with("  encrypted_suffix: a\n  encrypted_regex: b\n").is_err());
    assert!(with("  shamir_threshold: x\n").is_err());
    for wrong in [
        "a: 1\nsops: 1\n",
        "a: 1\nsops: {mac: m, version: v, lastmodified: \"2026-01-02T03:04:05Z\"}\n",
        "a: 1\nsops: {age: [{recipient: r, enc: e}], lastmodified: yesterday}\n",
        "a: 1\n",
    ] {
        assert!(yaml.load_encrypted(wrong.as_bytes()).is_err(), "{wrong}");
    }
    // Groups count only where there are no keys at the top.
    let both = with("  key_groups:\n  - age: [{recipient: g, enc: e}]\n").unwrap();
    assert_eq!(both.metadata.key_groups.len(), 1);
    for gap in ["sops_age__list_1__map_enc=x\n", "sops_age=x\nsops_age__list_0__map_enc=x\n"] {
        assert!(Store::new(Format::Dotenv).load_encrypted(gap.as_bytes()).is_err(), "{gap}");
    }
}

#[test]
fn reserved_keys_are_not_written_over() {
    let yaml = Store::new(Format::Yaml);
    let branches = yaml.load_plain(b"a: 1\n---\nsops: 1\n").unwrap();
    let mut tree = Tree { branches, metadata: metadata() };
    assert_eq!(yaml.emit_encrypted(&mut tree).unwrap_err().exit, Exit::Emit);
}

#[test]
fn bytes_that_are_no_utf8_stay_as_they_are() {
    for (format, bytes) in [
        (
            Format::Ini,
            &b"; c\xe9\n[s\xe9]\n; d\xe9\na\xe9        = caf\xe9\n; i\xe9\nlong_name = x\n"[..],
        ),
        (Format::Dotenv, b"#c\xe9\nk\xe9=v\xe9\n"),
        // Characters that stand for bytes elsewhere are themselves here.
        (Format::Ini, "[s]\na\u{10ffe9} = \u{10ff80}\n".as_bytes()),
        (Format::Dotenv, "#\u{10ffff}\na\u{10ffe9}=\u{10ff80}\n".as_bytes()),
    ] {
        let store = Store::new(format);
        let branches = store.load_plain(bytes).unwrap();
        let again = store.emit_plain(&branches).unwrap();
        assert_eq!(again, bytes, "{}", again.escape_ascii());
    }
}

#[test]
fn formats_without_bytes_say_so_or_write_what_they_can() {
    let ini = Store::new(Format::Ini);
    let branches = ini.load_plain(b"[s\xe9]\na\xe9=caf\xe9\n").unwrap();
    let yaml = Store::new(Format::Yaml);
    let text = yaml.emit_plain(&branches).unwrap();
    let expected = "DEFAULT: {}\n!!binary c+k=:\n    !!binary Yek=: !!binary Y2Fm6Q==\n";
    assert_eq!(String::from_utf8(text.clone()).unwrap(), expected);
    // And back.
    let back = ini.emit_plain(&yaml.load_plain(&text).unwrap()).unwrap();
    assert_eq!(back, b"[s\xe9]\na\xe9 = caf\xe9\n");
    let json = Store::new(Format::Json).emit_plain(&branches).unwrap();
    assert!(String::from_utf8(json).unwrap().contains(r#""a\ufffd": "caf\ufffd""#));
    // A comment cannot be said in YAML.
    let branches = ini.load_plain(b"[s]\n# c\xe9\na=1\n").unwrap();
    assert_eq!(yaml.emit_plain(&branches).unwrap_err().exit, Exit::Emit);
    // What is a character there is one in every format.
    let text = "\u{10ffe9}: \u{10ff80}\n#\u{10ffff}\n";
    let branches = yaml.load_plain(text.as_bytes()).unwrap();
    let escaped = "\"\\U0010FFE9\": \"\\U0010FF80\"\n#\u{10ffff}\n";
    assert_eq!(String::from_utf8(yaml.emit_plain(&branches).unwrap()).unwrap(), escaped);
    let json = Store::new(Format::Json);
    let branches = json.load_plain("{\"\u{10ffe9}\":1}".as_bytes()).unwrap();
    assert_eq!(json.emit_plain(&branches).unwrap(), "{\n\t\"\u{10ffe9}\": 1\n}\n".as_bytes());
}
