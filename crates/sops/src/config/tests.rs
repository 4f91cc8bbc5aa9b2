//! `.sops.yaml` as people write it.

use super::*;
use crate::metadata::{KeyEntry, Rule};

const AGE: &str = "age1lzd99uklcjnc0e7d860axevet2cz99ce9pq6tzuzd05l5nr28ams36nvun";

fn rule_for(text: &str, file: &str) -> Result<Option<CreationRule>> {
    let config = Config::parse(text.as_bytes())?;
    Ok(config.creation_rule(Path::new("/repo/.sops.yaml"), Path::new(file))?.cloned())
}

fn shown(rule: &CreationRule) -> Vec<Vec<String>> {
    let groups = rule.keys.records(&[]).unwrap();
    groups.iter().map(|group| group.0.iter().map(KeyEntry::shown).collect()).collect()
}

#[test]
fn the_first_rule_that_matches_wins() {
    let text = "creation_rules:\n  - path_regex: ^prod/.*\\.yaml$\n    pgp: FBC7\n  - path_regex: \
                \\.json$\n    pgp: [85D7, '1234']\n  - pgp: 'AAAA, BBBB'\n";
    for (file, keys) in [
        ("/repo/prod/a.yaml", &["FBC7"][..]),
        ("/repo/x/prod/a.yaml", &["AAAA", "BBBB"]),
        ("/repo/a.json", &["85D7", "1234"]),
        ("/elsewhere/a.json", &["85D7", "1234"]),
        ("/repo/other", &["AAAA", "BBBB"]),
    ] {
        let rule = rule_for(text, file).unwrap().unwrap();
        assert_eq!(shown(&rule), [keys], "{file}");
    }
}

#[test]
fn without_a_rule_there_is_none_or_an_error() {
    assert_eq!(rule_for("", "/repo/a").unwrap(), None);
    assert_eq!(rule_for("# nothing\n", "/repo/a").unwrap(), None);
    assert_eq!(rule_for("destination_rules: []\n", "/repo/a").unwrap(), None);
    let only = "creation_rules:\n  - path_regex: x\n    pgp: A\n";
    assert!(rule_for(only, "/repo/a").unwrap_err().text.contains("no matching creation rules"));
    assert!(rule_for("creation_rules: []\n", "/repo/a").is_err());
    for wrong in [
        "creation_rules: 1\n",
        "creation_rules: [1]\n",
        "creation_rules:\n  - path_regex: (\n",
        "creation_rules:\n  - pgp: A\n    shamir_threshold: many\n",
        "creation_rules:\n  - pgp: {a: b}\n",
        "creation_rules:\n  - pgp: [1]\n",
        "creation_rules: [\n",
    ] {
        assert!(rule_for(wrong, "/repo/a").is_err(), "{wrong}");
    }
}

#[test]
fn groups_win_and_have_an_order() {
    let text = format!(
        "creation_rules:
  - pgp: FLAT
    shamir_threshold: 2
    mac_only_encrypted: true
    encrypted_regex: ^data$
    unknown: field
    key_groups:
      - hc_vault: ['https://v:8200/v1/transit/keys/k']
        kms:
          - arn: arn:aws:kms:eu:1:key/x
            role: arn:aws:iam::1:role/r
            context: {{b: '2', a: '1'}}
        pgp: [FBC7, FBC7]
        age: [{AGE}]
        azure_keyvault:
          - vaultUrl: https://v.vault.azure.net
            key: k
            version: '1'
        gcp_kms:
          - resource_id: projects/p
        merge:
          - pgp: [MERGED]
      - pgp: [OTHER]
"
    );
    let rule = rule_for(&text, "/repo/a").unwrap().unwrap();
    assert_eq!((rule.shamir_threshold, rule.mac_only_encrypted), (2, true));
    assert_eq!(rule.rule().unwrap(), Rule::EncryptedRegex("^data$".into()));
    let groups = rule.keys.records(&[]).unwrap();
    let kinds: Vec<&str> = groups[0].0.iter().map(KeyEntry::kind).collect();
    assert_eq!(kinds, ["pgp", "age", "pgp", "kms", "gcp_kms", "azure_kv", "hc_vault"]);
    assert_eq!(shown(&rule)[0][0], "MERGED");
    assert_eq!(groups[1].0.len(), 1);
    let KeyEntry::Kms(kms) = &groups[0].0[3] else { panic!() };
    assert_eq!(kms.context, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
}

#[test]
fn one_rule_about_values_is_enough() {
    let text = "creation_rules:\n  - pgp: A\n    encrypted_suffix: a\n    encrypted_regex: b\n";
    assert!(rule_for(text, "/repo/a").unwrap().unwrap().rule().is_err());
    let text = "creation_rules:\n  - pgp: A\n    encrypted_comment_regex: sops:enc\n";
    let rule = rule_for(text, "/repo/a").unwrap().unwrap();
    assert_eq!(rule.rule().unwrap(), Rule::EncryptedCommentRegex("sops:enc".into()));
}

#[test]
fn stores_say_how_files_are_indented() {
    let text = "stores:\n  yaml: {indent: 2}\n  json: {indent: 0}\n  json_binary:\n    indent: 3\n";
    let config = Config::parse(text.as_bytes()).unwrap();
    assert_eq!(config.indents, Indents { yaml: 2, json: 0, json_binary: 3 });
    assert_eq!(Config::parse(b"a: 1\n").unwrap().indents, Indents::default());
    assert_eq!(config.indents.store(Format::Binary).indent, 3);
    assert_eq!(Indents::all(5).store(Format::Ini).indent, 0);
    assert!(Config::parse(b"stores: {yaml: {indent: x}}\n").is_err());
}

#[test]
fn destinations_are_one_each() {
    let text = "destination_rules:
  - path_regex: ^s3/
    s3_bucket: b
    s3_prefix: p/
  - path_regex: (
    gcs_bucket: never
  - path_regex: ^two/
    s3_bucket: b
    vault_path: v/
  - path_regex: ^none/
  - vault_path: app/
    omit_extensions: true
    recreation_rule:
      pgp: FBC7
";
    let config = Config::parse(text.as_bytes()).unwrap();
    assert!(config.destination_rule("s3/x").unwrap().destination().is_ok());
    assert!(config.destination_rule("two/x").unwrap().destination().is_err());
    assert!(config.destination_rule("none/x").unwrap().destination().is_err());
    let vault = config.destination_rule("x").unwrap();
    assert!(vault.destination().unwrap().takes_values() && vault.omit_extensions);
    assert_eq!(shown(&vault.recreation_rule), [["FBC7"]]);
    assert!(Config::parse(b"a: 1\n").unwrap().destination_rule("x").is_err());
}

#[test]
fn the_nearest_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(folder.path().join(".sops.yaml"), "").unwrap();
    assert_eq!(find(&inner).path, Some(folder.path().join(".sops.yaml")));
    std::fs::write(inner.join(".sops.yml"), "").unwrap();
    let found = find(&inner);
    assert_eq!(found.path, Some(folder.path().join(".sops.yaml")));
    assert!(found.warning.unwrap().contains(".sops.yml"));
    std::fs::write(inner.join(".sops.yaml"), "").unwrap();
    assert_eq!(find(&inner), Found { path: Some(inner.join(".sops.yaml")), warning: None });
}
