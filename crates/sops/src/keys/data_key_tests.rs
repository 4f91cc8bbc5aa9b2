//! With keys of a small AWS.

use std::sync::Arc;

use super::*;
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

/// Groups that wrap a data key, and that key.
fn wrapped(groups: &[&[&str]], threshold: usize) -> (Metadata, DataKey) {
    let keys = keys();
    let data_key = DataKey::generate(&*keys.machine.rng);
    let mut key_groups: Vec<KeyGroup> = groups.iter().map(|names| group(names)).collect();
    let shamir_threshold = wrap(&data_key, &mut key_groups, threshold, &keys).unwrap();
    (Metadata { key_groups, shamir_threshold, ..Metadata::default() }, data_key)
}

/// Makes a key refuse from now on.
fn deny(metadata: &mut Metadata, group: usize, at: usize) {
    let KeyEntry::Kms(key) = &mut metadata.key_groups[group].0[at] else { panic!() };
    key.arn = key.arn.replace("key/", "key/denied");
}

#[test]
fn any_key_of_the_only_group_gives_the_data_key() {
    let (mut metadata, data_key) = wrapped(&[&["a", "b"]], 0);
    assert_eq!(metadata.shamir_threshold, 0);
    assert_eq!(recover(&metadata, &keys()).unwrap().bytes(), data_key.bytes());
    deny(&mut metadata, 0, 0);
    assert_eq!(recover(&metadata, &keys()).unwrap().bytes(), data_key.bytes());
    deny(&mut metadata, 0, 1);
    assert_eq!(recover(&metadata, &keys()).unwrap_err().exit, Exit::DataKey);
}

#[test]
fn as_many_groups_as_the_threshold_says_give_the_data_key() {
    for (threshold, denied, good) in [
        (2, &[][..], true),
        (2, &[1], true),
        (2, &[0, 2], false),
        (3, &[1], false),
        (0, &[], true),
        (0, &[2], false),
    ] {
        let (mut metadata, data_key) = wrapped(&[&["a"], &["b"], &["c"]], threshold);
        assert_eq!(metadata.shamir_threshold, if threshold == 0 { 3 } else { threshold });
        for at in denied {
            deny(&mut metadata, *at, 0);
        }
        let outcome = recover(&metadata, &keys());
        assert_eq!(outcome.is_ok(), good, "{threshold} {denied:?}");
        if let Ok(found) = outcome {
            assert_eq!(found.bytes(), data_key.bytes());
        }
    }
}

#[test]
fn a_file_without_a_threshold_needs_all_groups() {
    let (mut metadata, data_key) = wrapped(&[&["a"], &["b"]], 2);
    metadata.shamir_threshold = 0;
    assert_eq!(recover(&metadata, &keys()).unwrap().bytes(), data_key.bytes());
    deny(&mut metadata, 1, 0);
    let error = recover(&metadata, &keys()).unwrap_err();
    assert!(error.text.contains("threshold of\n2, but only 1 part(s)"), "{error}");
    // One share is no secret, whatever the file says.
    metadata.shamir_threshold = 1;
    assert_eq!(recover(&metadata, &keys()).unwrap_err().exit, Exit::DataKey);
}

#[test]
fn the_same_share_twice_is_none() {
    let (mut metadata, _) = wrapped(&[&["a"], &["b"]], 2);
    metadata.key_groups[1] = metadata.key_groups[0].clone();
    let error = recover(&metadata, &keys()).unwrap_err();
    assert_eq!(error.text, "could not get data key from shamir parts: duplicate part detected");
}

#[test]
fn failures_name_who_was_tried_and_what_each_said() {
    let (mut metadata, _) = wrapped(&[&["a"], &["b", "c"]], 2);
    deny(&mut metadata, 1, 0);
    deny(&mut metadata, 1, 1);
    let error = recover(&metadata, &keys()).unwrap_err();
    assert_eq!(
        error.text,
        "Failed to get the data key required to decrypt the SOPS file.\n\
         \n\
         Group 0: SUCCESS\n\
         \n\
         Group 1: FAILED\n  \
           arn:aws:kms:eu-west-1:111122223333:key/deniedb: FAILED\n    \
             - | failed to decrypt sops data key with AWS KMS: HTTP status\n      \
               | 400: AccessDeniedException: User is not authorized\n  \
           \n  \
           arn:aws:kms:eu-west-1:111122223333:key/deniedc: FAILED\n    \
             - | failed to decrypt sops data key with AWS KMS: HTTP status\n      \
               | 400: AccessDeniedException: User is not authorized\n\
         \n\
         Recovery failed because the file was encrypted with a Shamir threshold of\n\
         2, but only 1 part(s) were successfully recovered, one for each successful\n\
         key group. In order for SOPS to recover the file, at least 2 groups have to\n\
         be successful. In order for a group to be successful, decryption has to\n\
         succeed with any of the keys in that key group."
    );
}

#[test]
fn groups_that_would_lose_a_share_are_refused_and_nothing_changes() {
    let data_key = DataKey::generate(&*keys().machine.rng);
    for (groups, threshold, text) in [
        (vec![], 0, "no key groups provided"),
        (vec![group(&[])], 0, "empty key group provided"),
        (vec![group(&["a"]), group(&[])], 0, "empty key group provided"),
        (
            vec![group(&["a"]), group(&["b"])],
            3,
            "could not split data key into parts for Shamir: parts cannot be less than threshold",
        ),
        (
            vec![group(&["a"]), group(&["b"])],
            1,
            "could not split data key into parts for Shamir: threshold must be at least 2",
        ),
        (
            vec![group(&["a", "denied"])],
            0,
            "failed to encrypt new data key with master key \
             \"arn:aws:kms:eu-west-1:111122223333:key/denied\": failed to encrypt sops data key with \
             AWS KMS: HTTP status 400: AccessDeniedException: User is not authorized",
        ),
    ] {
        let mut changed = groups.clone();
        let error = wrap(&data_key, &mut changed, threshold, &keys()).unwrap_err();
        assert_eq!((error.text.as_str(), error.exit), (text, Exit::General));
        assert!(changed == groups, "nothing was changed");
    }
    let nobody = Keys { services: Vec::new(), ..keys() };
    assert!(wrap(&data_key, &mut [group(&["a"])], 0, &nobody).is_err());
}

#[test]
fn records_say_when_they_were_made() {
    let (metadata, _) = wrapped(&[&["a"]], 0);
    let KeyEntry::Kms(key) = &metadata.key_groups[0].0[0] else { panic!() };
    assert_eq!(key.created_at, "2026-11-26T12:00:00Z");
}

#[test]
fn a_data_key_has_thirty_two_bytes() {
    assert!(DataKey::from_bytes(Secret::new(vec![0; 31])).is_none());
    assert!(DataKey::from_bytes(Secret::new(vec![0; 33])).is_none());
    assert_eq!(
        format!("{:?}", DataKey::from_bytes(Secret::new(vec![7; 32])).unwrap()),
        "DataKey(Secret(…))"
    );
    let keys = keys();
    let short = Secret::new(vec![1; 16]);
    let mut entry = key("a");
    let enc = entry.master_key().encrypt(&short, &keys.machine).unwrap();
    entry.set_enc(enc);
    let metadata = Metadata { key_groups: vec![KeyGroup(vec![entry])], ..Metadata::default() };
    assert_eq!(recover(&metadata, &keys).unwrap_err().text, "the data key does not have 32 bytes");
}

#[test]
fn contexts_of_old_versions_are_found_again() {
    let keys = keys();
    let data_key = DataKey::generate(&*keys.machine.rng);
    let context =
        |pairs: [(&str, &str); 2]| pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
    let KeyEntry::Kms(mut wrapping) = key("a") else { panic!() };
    // What such a version sent in place of one: a, and two: b.
    wrapping.context = context([("one", "b"), ("two", "b")]);
    let mut groups = vec![KeyGroup(vec![KeyEntry::Kms(wrapping)])];
    wrap(&data_key, &mut groups, 0, &keys).unwrap();
    let KeyEntry::Kms(record) = &mut groups[0].0[0] else { panic!() };
    record.context = context([("one", "a"), ("two", "b")]);
    for (version, good) in [("3.2.0", true), ("3.3.0", false), ("3.13.2", false), ("", false)] {
        let version = version.to_owned();
        let metadata = Metadata { key_groups: groups.clone(), version, ..Metadata::default() };
        assert_eq!(recover(&metadata, &keys).is_ok(), good, "{}", metadata.version);
    }
}

#[test]
fn wrapped_keys_are_bounded() {
    let mut entry = key("a");
    entry.set_enc("x".repeat(crate::keys::WRAPPED_BYTES_MAX + 1));
    let metadata = Metadata { key_groups: vec![KeyGroup(vec![entry])], ..Metadata::default() };
    let error = recover(&metadata, &keys()).unwrap_err();
    assert!(error.text.contains("the wrapped data key is too long"), "{error}");
}

#[test]
fn lines_are_folded_at_words() {
    assert_eq!(folded("aaa bbb ccc", 7), "aaa bbb\nccc");
    assert_eq!(folded("a-word-that-is-longer b", 5), "a-word-that-is-longer\nb");
    assert_eq!(folded("a\nb", 5), "a\nb");
    assert_eq!(indented("a\nb", "> "), "> a\n> b");
    assert!(Arc::strong_count(&keys().machine) == 1);
}
