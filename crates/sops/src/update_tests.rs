//! With keys of a small AWS.

use super::*;
use crate::error::Exit;
use crate::keys::aws::testing::{VARIABLES, answer, arn};
use crate::keys::testing::machine;
use crate::metadata::KmsKey;

fn keys() -> Keys {
    Keys::local(machine(&VARIABLES).web(answer).build())
}

fn key(name: &str) -> KeyEntry {
    KeyEntry::Kms(KmsKey { arn: arn("eu-west-1", name), ..KmsKey::default() })
}

fn group(names: &[&str]) -> KeyGroup {
    KeyGroup(names.iter().map(|name| key(name)).collect())
}

/// A file whose data key is wrapped by these.
fn file(groups: &[&[&str]]) -> (Metadata, DataKey) {
    let keys = keys();
    let data_key = DataKey::generate(&*keys.machine.rng);
    let mut metadata = Metadata { mac: "a MAC".into(), ..Metadata::default() };
    let groups = groups.iter().map(|names| group(names)).collect();
    set(&mut metadata, groups, 0, &data_key, &keys).unwrap();
    (metadata, data_key)
}

/// The names in the groups, without what their ARNs have in common.
fn names(metadata: &Metadata) -> Vec<Vec<String>> {
    let short = |key: &KeyEntry| key.shown().rsplit('/').next().unwrap().to_owned();
    metadata.key_groups.iter().map(|group| group.0.iter().map(short).collect()).collect()
}

#[test]
fn a_plan_says_what_comes_and_what_goes() {
    let (metadata, _) = file(&[&["a", "b"], &["c"]]);
    let plan = Plan::new(&metadata, &[group(&["b", "d"])], 0);
    assert_eq!(plan.threshold, (2, 1));
    let shown: Vec<(Colour, String)> = plan
        .lines()
        .into_iter()
        .map(|(colour, line)| (colour, line.replace("arn:aws:kms:eu-west-1:111122223333:key/", "")))
        .collect();
    let expected = [
        (Colour::Green, "+++ shamir_threshold: 1"),
        (Colour::Red, "--- shamir_threshold: 2"),
        (Colour::Underlined, "Group 1"),
        (Colour::Plain, "    b"),
        (Colour::Green, "+++ d"),
        (Colour::Red, "--- a"),
        (Colour::Underlined, "Group 2"),
        (Colour::Red, "--- c"),
    ];
    assert_eq!(shown, expected.map(|(colour, line)| (colour, line.to_owned())));
    assert_eq!(Colour::Green.paint("x"), "\u{1b}[32mx\u{1b}[0m");
    assert_eq!(Colour::Plain.paint("x"), "x");
}

#[test]
fn nothing_to_do_is_no_plan() {
    let (metadata, _) = file(&[&["a", "b"]]);
    assert!(!Plan::new(&metadata, &[group(&["b", "a"])], 0).changes(), "the order does not matter");
    assert!(Plan::new(&metadata, &[group(&["b"])], 0).changes());
    assert!(Plan::new(&metadata, &[group(&["a", "b"])], 1).changes());
    let (metadata, _) = file(&[&["a"], &["b"]]);
    let plan = Plan::new(&metadata, &[group(&["a"]), group(&["b"])], 0);
    assert!(!plan.changes());
    assert_eq!(plan.lines()[0], (Colour::Plain, "shamir_threshold: 2".to_owned()));
}

#[test]
fn an_update_keeps_the_data_key_and_the_mac() {
    let (mut metadata, data_key) = file(&[&["a"]]);
    let groups = vec![group(&["b"]), group(&["c", "d"])];
    Plan::new(&metadata, &groups, 0).apply(&mut metadata, groups, &keys()).unwrap();
    assert_eq!(names(&metadata), [vec!["b"], vec!["c", "d"]]);
    assert_eq!((metadata.shamir_threshold, metadata.mac.as_str()), (2, "a MAC"));
    assert_eq!(data_key::recover(&metadata, &keys()).unwrap().bytes(), data_key.bytes());
}

#[test]
fn an_update_that_fails_leaves_the_file_as_it_was() {
    let (mut metadata, _) = file(&[&["a"]]);
    let before = metadata.clone();
    let groups = vec![group(&["b", "denied"])];
    let plan = Plan::new(&metadata, &groups, 0);
    let error = plan.apply(&mut metadata, groups, &keys()).unwrap_err();
    assert!(error.text.starts_with("error updating one or more master keys: "), "{error}");
    assert_eq!(metadata, before);
    // Whoever can't open the file can't change its keys.
    let KeyEntry::Kms(key) = &mut metadata.key_groups[0].0[0] else { panic!() };
    key.arn = arn("eu-west-1", "denied");
    let groups = vec![group(&["b"])];
    let plan = Plan::new(&metadata, &groups, 0);
    assert_eq!(plan.apply(&mut metadata, groups, &keys()).unwrap_err().exit, Exit::DataKey);
}

#[test]
fn groups_are_added_and_deleted() {
    let (mut metadata, data_key) = file(&[&["a"]]);
    let recovered = |metadata: &Metadata| {
        data_key::recover(metadata, &keys()).unwrap().bytes() == data_key.bytes()
    };
    add_group(&mut metadata, group(&["b"]), 0, &keys()).unwrap();
    assert_eq!((names(&metadata).len(), metadata.shamir_threshold), (2, 2));
    add_group(&mut metadata, group(&["c"]), 2, &keys()).unwrap();
    assert_eq!((names(&metadata).len(), metadata.shamir_threshold), (3, 2));
    assert!(recovered(&metadata));
    delete_group(&mut metadata, 0, 0, &keys()).unwrap();
    assert_eq!(names(&metadata), [["b"], ["c"]]);
    assert!(recovered(&metadata));
    let before = metadata.clone();
    for (at, threshold, text) in [
        (2, 0, "there is no key group 2: the groups of the file are 0 to 1"),
        (
            0,
            0,
            "removing this key group will make the Shamir threshold impossible to satisfy: Shamir \
             threshold is 2, but we only have 1 key groups",
        ),
    ] {
        let error = delete_group(&mut metadata, at, threshold, &keys()).unwrap_err();
        assert_eq!(error.text, text);
    }
    assert!(add_group(&mut metadata, KeyGroup::default(), 0, &keys()).is_err());
    assert_eq!(metadata, before);
    delete_group(&mut metadata, 0, 1, &keys()).unwrap();
    assert!(recovered(&metadata));
    assert!(delete_group(&mut metadata, 0, 0, &keys()).is_err(), "one group stays");
}

#[test]
fn rotation_changes_keys_by_name() {
    let (mut metadata, _) = file(&[&["a", "b"], &["a"], &["c"]]);
    change_keys(&mut metadata, vec![key("d"), key("b")], &[key("a"), key("unheard-of")]);
    assert_eq!(names(&metadata), [vec!["b", "d"], vec![], vec!["c"]]);
    let data_key = DataKey::generate(&*keys().machine.rng);
    let mut groups = metadata.key_groups.clone();
    let error = data_key::wrap(&data_key, &mut groups, 2, &keys()).unwrap_err();
    assert_eq!(error.text, "empty key group provided");
}
