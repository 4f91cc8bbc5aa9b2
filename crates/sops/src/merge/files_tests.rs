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
    for (ours, theirs) in [(&rotated, &edited), (&edited, &rotated)] {
        let file = merged(&base, ours, theirs).unwrap();
        assert_eq!(names(&file.bytes), ["a"]);
        let tree = store().load_encrypted(&file.bytes).unwrap();
        assert_eq!(data_key::recover(&tree.metadata, &keys()).unwrap().bytes(), [9; 32]);
        let expected = leaf(&[("a", "1"), ("b", "2")]);
        assert_eq!(decrypted(&store(), &file.bytes, &keys()), [expected]);
    }
}
