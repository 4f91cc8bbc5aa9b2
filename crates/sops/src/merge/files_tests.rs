//! With keys of a small AWS.

use std::slice::from_ref;

use super::*;
use crate::keys::aws::testing::{VARIABLES, answer, arn};
use crate::keys::testing::machine;
use crate::merge::tests::{Dice, Leaves, changed, document};
use crate::metadata::{KeyEntry, KmsKey};
use crate::stores::Format;
use crate::tree::{Branch, Value};

const NOW: &str = "2026-11-26T12:00:00Z";

fn keys() -> Keys {
    Keys::local(machine(&VARIABLES).web(answer).build())
}

fn group(names: &[&str]) -> KeyGroup {
    let key = |name| KeyEntry::Kms(KmsKey { arn: arn("eu-west-1", name), ..KmsKey::default() });
    KeyGroup(names.iter().map(|name| key(*name)).collect())
}

/// What encrypts a file: a data key, wrapped by some keys.
struct Sealer {
    keys: Keys,
    key: DataKey,
    metadata: Metadata,
}

impl Sealer {
    fn new(names: &[&str]) -> Self {
        let keys = keys();
        let key = DataKey::generate(&*keys.machine.rng);
        let mut sealer = Self { keys, key, metadata: Metadata::default() };
        sealer.wrap(names);
        sealer
    }

    fn wrap(&mut self, names: &[&str]) {
        let mut groups = vec![group(names)];
        data_key::wrap(&self.key, &mut groups, 0, &self.keys).unwrap();
        self.metadata.key_groups = groups;
    }

    fn seal(&self, branch: &Branch) -> Vec<u8> {
        let mut tree = Tree { branches: vec![branch.clone()], metadata: self.metadata.clone() };
        let bytes = bytes_of(&self.key).unwrap();
        let mut cipher = Cipher::new(&bytes, &*self.keys.machine.rng);
        walk::encrypt_and_sign(&mut tree, &mut cipher, NOW).unwrap();
        store().emit_encrypted(&mut tree).unwrap()
    }
}

/// A document as its store reads it.
fn decrypted(store: &Store, bytes: &[u8], keys: &Keys) -> Vec<Branch> {
    open(store, bytes, keys, &mut Nonces::default()).unwrap().tree.branches
}

fn store() -> Store {
    Store::new(Format::Json)
}

fn merged(base: &[u8], ours: &[u8], theirs: &[u8]) -> Result<MergedFile> {
    merge_files(&store(), &Files { base, ours, theirs }, &keys(), NOW)
}

fn names(bytes: &[u8]) -> Vec<String> {
    let tree = store().load_encrypted(bytes).unwrap();
    let keys = tree.metadata.key_groups.iter().flat_map(|group| &group.0);
    keys.map(|key| key.shown().rsplit('/').next().unwrap().to_owned()).collect()
}

fn leaf(words: &[(&str, &str)]) -> Branch {
    let mut branch = Branch::default();
    words.iter().for_each(|(key, value)| branch.push(*key, Value::text(*value)));
    branch
}

/// The encrypted value of a key, as it stands in a file.
fn ciphertext(bytes: &[u8], key: &str) -> String {
    let tree = store().load_encrypted(bytes).unwrap();
    tree.branches[0].get(key).unwrap().as_text().unwrap().to_owned()
}

#[test]
fn a_thousand_random_merges_equal_those_of_the_plain_texts() {
    let sealer = Sealer::new(&["a"]);
    let mut dice = Dice(6_364_136_223_846_793_005);
    let mut conflicting = 0;
    for _ in 0..1_000 {
        // Each version has something: a file without any is none.
        let always = |mut leaves: Leaves| {
            leaves.insert("m9.k9".into(), "0".into());
            leaves
        };
        let base = always(changed(&changed(&Leaves::new(), &mut dice), &mut dice));
        let (ours, theirs) = (changed(&base, &mut dice), changed(&base, &mut dice));
        let [base, ours, theirs] = [&base, &ours, &theirs].map(document);
        let plain = merge(from_ref(&base), from_ref(&ours), from_ref(&theirs));
        let [base, ours, theirs] = [&base, &ours, &theirs].map(|it| sealer.seal(it));
        let file = merged(&base, &ours, &theirs).unwrap();
        assert_eq!(decrypted(&store(), &file.bytes, &sealer.keys), plain.branches);
        assert_eq!(file.conflicts, plain.conflicts);
        conflicting += usize::from(!file.conflicts.is_empty());
    }
    assert!((100..800).contains(&conflicting), "{conflicting}");
}

#[test]
fn what_was_changed_without_the_key_is_not_merged() {
    let sealer = Sealer::new(&["a"]);
    let [base, ours, theirs] =
        ["1", "2", "1"].map(|it| sealer.seal(&leaf(&[("a", it), ("b", "x")])));
    assert!(merged(&base, &ours, &theirs).is_ok());
    // A value that was taken out: the rest is as it was encrypted, the MAC is not.
    let cut = |bytes: &[u8]| {
        let mut tree = store().load_encrypted(bytes).unwrap();
        tree.branches[0].0.pop();
        store().emit_encrypted(&mut tree).unwrap()
    };
    for (at, who) in ["base", "ours", "theirs"].into_iter().enumerate() {
        let mut files = [base.clone(), ours.clone(), theirs.clone()];
        files[at] = cut(&files[at]);
        let [base, ours, theirs] = files;
        let error = merged(&base, &ours, &theirs).unwrap_err();
        assert_eq!(error.exit, Exit::MacMismatch);
        assert!(error.text.starts_with(who), "{error}");
    }
    let plain = br#"{"a": "1"}"#;
    assert!(merged(&base, plain, &theirs).unwrap_err().text.contains("not encrypted"));
    assert!(merged(&base, &ours, b"<<<<<<<").is_err());
}

#[test]
fn what_nobody_changed_stays_byte_for_byte() {
    let sealer = Sealer::new(&["a"]);
    let of = |a: &str, b: &str| sealer.seal(&leaf(&[("a", a), ("b", b), ("c", "x")]));
    let base = of("1", "1");
    // Each side from the file, as an editor writes it: with the nonces of what stays.
    let edited = |a: &str, b: &str| {
        let mut nonces = Nonces::default();
        let side = open(&store(), &base, &sealer.keys, &mut nonces).unwrap();
        let mut tree = side.tree;
        tree.branches = vec![leaf(&[("a", a), ("b", b), ("c", "x")])];
        let bytes = bytes_of(&sealer.key).unwrap();
        let mut cipher = Cipher::new(&bytes, &*sealer.keys.machine.rng).with_nonces(&mut nonces);
        walk::encrypt_and_sign(&mut tree, &mut cipher, NOW).unwrap();
        store().emit_encrypted(&mut tree).unwrap()
    };
    let (ours, theirs) = (edited("2", "1"), edited("1", "2"));
    let file = merged(&base, &ours, &theirs).unwrap();
    assert_eq!(ciphertext(&file.bytes, "a"), ciphertext(&ours, "a"));
    assert_eq!(ciphertext(&file.bytes, "b"), ciphertext(&theirs, "b"));
    assert_eq!(ciphertext(&file.bytes, "c"), ciphertext(&base, "c"));
    // Where only one side did something, its file is the result.
    assert_eq!(merged(&base, &ours, &base).unwrap().bytes, ours);
    assert_eq!(merged(&base, &base, &theirs).unwrap().bytes, theirs);
    assert_eq!(merged(b"", &ours, &ours).unwrap().bytes, ours);
}

#[test]
fn who_was_added_is_there_and_who_was_removed_is_not() {
    let mut sealer = Sealer::new(&["a", "b"]);
    let plain = leaf(&[("a", "1")]);
    let base = sealer.seal(&plain);
    sealer.wrap(&["a", "b", "ours"]);
    let ours = sealer.seal(&plain);
    sealer.wrap(&["a", "theirs"]);
    let theirs = sealer.seal(&leaf(&[("a", "2")]));
    let file = merged(&base, &ours, &theirs).unwrap();
    assert_eq!(names(&file.bytes), ["a", "ours", "theirs"]);
    assert_eq!(decrypted(&store(), &file.bytes, &keys()), [leaf(&[("a", "2")])]);
    assert!(file.conflicts.is_empty());
}

#[test]
fn a_new_data_key_is_not_given_up_for_the_old_one() {
    let old = Sealer::new(&["a", "leaver"]);
    // Another key than the old one, though the randomness of tests repeats itself.
    let key = DataKey::from_bytes(strongroom_base::Secret::new(vec![9; 32])).unwrap();
    let mut new = Sealer { keys: keys(), key, metadata: Metadata::default() };
    new.wrap(&["a"]);
    let base = old.seal(&leaf(&[("a", "1"), ("b", "1")]));
    let rotated = new.seal(&leaf(&[("a", "1"), ("b", "1")]));
    let edited = old.seal(&leaf(&[("a", "1"), ("b", "2")]));
    for (ours, theirs, new) in [(&rotated, &edited, true), (&edited, &rotated, false)] {
        let file = merged(&base, ours, theirs).unwrap();
        assert_eq!(names(&file.bytes), ["a"]);
        let tree = store().load_encrypted(&file.bytes).unwrap();
        // One that theirs brought is not encrypted with, either: it may be known to others.
        let key = data_key::recover(&tree.metadata, &keys()).unwrap();
        assert_eq!(key.bytes() == [9; 32], new);
        let expected = leaf(&[("a", "1"), ("b", "2")]);
        assert_eq!(decrypted(&store(), &file.bytes, &keys()), [expected]);
    }
    assert_eq!(merged(&base, &base, &rotated).unwrap().bytes, rotated);
}

/// A file to which somebody without its key added a recipient, as far as that goes.
fn with_stranger(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut tree = store().load_encrypted(bytes).unwrap();
    let mut stranger = group(&["stranger"]).0.remove(0);
    stranger.set_enc("AAAA".to_owned());
    NOW.clone_into(stranger.created_at_mut().unwrap());
    tree.metadata.key_groups[at].0.push(stranger);
    store().emit_encrypted(&mut tree).unwrap()
}

/// Is the data key wrapped for the stranger? A small AWS's ciphertexts open with the key they name.
fn opens_for_stranger(bytes: &[u8]) -> bool {
    let mut metadata = store().load_encrypted(bytes).unwrap().metadata;
    metadata.key_groups.truncate(1);
    for group in &mut metadata.key_groups {
        group.0.retain(|key| key.shown().ends_with("stranger"));
    }
    data_key::recover(&metadata, &keys()).is_ok()
}

#[test]
fn nothing_is_wrapped_for_a_key_that_theirs_added_without_having_the_data_key() {
    let mut sealer = Sealer::new(&["a", "b"]);
    let base = sealer.seal(&leaf(&[("a", "1")]));
    let theirs = with_stranger(&base, 0);
    sealer.wrap(&["a", "b", "ours"]);
    let ours = sealer.seal(&leaf(&[("a", "2")]));
    for ours in [&base, &ours] {
        let file = merged(&base, ours, &theirs).unwrap();
        // The record is there as it came, and wraps nothing.
        assert!(names(&file.bytes).contains(&"stranger".to_owned()));
        assert!(!opens_for_stranger(&file.bytes));
    }
    // With another data key than theirs there is no record that could be taken.
    let key = DataKey::from_bytes(strongroom_base::Secret::new(vec![9; 32])).unwrap();
    let mut rotated = Sealer { keys: keys(), key, metadata: Metadata::default() };
    rotated.wrap(&["a", "b"]);
    let plain = leaf(&[("a", "1")]);
    let known = rotated.seal(&plain);
    for (ours, theirs) in [(&known, &theirs), (&ours, &with_stranger(&known, 0))] {
        let file = merged(&base, ours, theirs).unwrap();
        assert!(!names(&file.bytes).contains(&"stranger".to_owned()));
        assert_eq!(file.refused.len(), 1);
        assert!(file.refused[0].ends_with("stranger"), "{:?}", file.refused);
    }
}

#[test]
fn a_stranger_in_one_of_several_groups_gets_no_share() {
    let keys = keys();
    let mut sealer = Sealer::new(&["a"]);
    let mut groups = vec![group(&["a"]), group(&["b"])];
    sealer.metadata.shamir_threshold = data_key::wrap(&sealer.key, &mut groups, 2, &keys).unwrap();
    sealer.metadata.key_groups = groups;
    let base = sealer.seal(&leaf(&[("a", "1")]));
    let ours = sealer.seal(&leaf(&[("a", "2")]));
    let file = merged(&base, &ours, &with_stranger(&base, 1)).unwrap();
    assert_eq!(names(&file.bytes), ["a", "b"]);
    assert_eq!(file.refused.len(), 1);
    assert_eq!(decrypted(&store(), &file.bytes, &keys), [leaf(&[("a", "2")])]);
}

#[test]
fn groups_of_theirs_do_not_make_one_key_enough_where_two_were_needed() {
    let keys = keys();
    let mut sealer = Sealer::new(&["a"]);
    let mut groups = vec![group(&["a"]), group(&["b"])];
    sealer.metadata.shamir_threshold = data_key::wrap(&sealer.key, &mut groups, 2, &keys).unwrap();
    sealer.metadata.key_groups = groups;
    let base = sealer.seal(&leaf(&[("a", "1")]));
    let ours = sealer.seal(&leaf(&[("a", "1"), ("new", "2")]));
    // Anybody can make a data key, and wrap it for others.
    let key = DataKey::from_bytes(strongroom_base::Secret::new(vec![9; 32])).unwrap();
    let mut theirs = Sealer { keys, key, metadata: Metadata::default() };
    theirs.wrap(&["a", "b"]);
    let file = merged(&base, &ours, &theirs.seal(&leaf(&[("a", "1")]))).unwrap();
    let metadata = store().load_encrypted(&file.bytes).unwrap().metadata;
    assert_eq!((metadata.key_groups.len(), metadata.shamir_threshold), (2, 2));
    assert!(file.conflicts.contains(&Conflict::changed("sops.key_groups")), "{:?}", file.conflicts);
    let expected = leaf(&[("a", "1"), ("new", "2")]);
    assert_eq!(decrypted(&store(), &file.bytes, &theirs.keys), [expected]);
}
