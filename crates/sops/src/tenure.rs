//! Whether somebody who can no longer open a file still has its data key.
//!
//! A data key is not seen, but a value keeps its ciphertext as long as it and the data key stay: so a
//! version of the file that has a ciphertext in common with today's had today's data key. So had one that
//! has a master key's record in common, with the wrapped data key in it. Whoever could open such a version
//! and cannot open today's has kept the key, perhaps. Where a version has neither in common with any, it
//! is not known which data key it had, but for one case: a rotation keeps the nonces of values, and with one
//! data key no nonce is used for two values. So a version that has nonces in common and not their ciphertexts
//! had another data key.
//!
//! Invariant: nothing is decrypted for it, and nothing of a document is in what it says.

use std::collections::{BTreeSet, HashSet};

use crate::tree::{Branch, Item, Tree, Value};

/// Commits that are looked at for a file.
pub const COMMITS_MAX: usize = 1_000;

/// A file's data key, back through its versions.
#[derive(Debug)]
pub struct Tenure {
    /// Hashes of the ciphertexts and wrapped data keys of versions that have the data key.
    known: HashSet<[u8; 32]>,
    /// The same of nonces.
    nonces: HashSet<[u8; 32]>,
    /// Who can open the file today.
    today: BTreeSet<String>,
    /// Who could.
    ever: BTreeSet<String>,
    /// The data key before, if it is another.
    before: Option<Before>,
}

/// The versions that are linked with each other, but not with today's.
#[derive(Debug)]
struct Before {
    known: HashSet<[u8; 32]>,
    /// Who could open them.
    could: BTreeSet<String>,
    /// Is it certain that they had another data key than today's?
    other: bool,
}

impl Tenure {
    /// Begins with today's version.
    pub fn of(tree: &Tree) -> Self {
        let Marks { known, nonces } = Marks::of(tree);
        Self { known, nonces, today: shown(tree), ever: BTreeSet::new(), before: None }
    }

    /// Adds the next older version. False where it has neither today's data key nor that of the versions
    /// before, so that older ones need not be looked at. One without any value in common may be taken for
    /// that, too.
    pub fn add(&mut self, older: &Tree) -> bool {
        let Marks { known: theirs, nonces } = Marks::of(older);
        let other = !self.nonces.is_disjoint(&nonces);
        match &mut self.before {
            None if !self.known.is_disjoint(&theirs) => {
                self.known.extend(theirs);
                self.nonces.extend(nonces);
                self.ever.extend(shown(older));
            }
            None => {
                self.before = Some(Before { known: theirs, could: shown(older), other });
            }
            Some(before) if !before.known.is_disjoint(&theirs) => {
                before.known.extend(theirs);
                before.could.extend(shown(older));
            }
            Some(_) => return false,
        }
        true
    }

    /// Who could open a version of which it is not known whether it had the data key, and cannot open the
    /// file any more. A rotation leaves such versions, and so does a change of everything.
    pub fn unknown(&self) -> Vec<String> {
        let before = self.before.iter().filter(|before| !before.other);
        let before = before.flat_map(|before| &before.could);
        let gone = before.filter(|who| !self.today.contains(*who) && !self.ever.contains(*who));
        gone.cloned().collect()
    }

    /// Who had the data key and cannot open the file any more, as people know them.
    pub fn left(&self) -> Vec<String> {
        self.ever.difference(&self.today).cloned().collect()
    }
}

fn shown(tree: &Tree) -> BTreeSet<String> {
    let keys = tree.metadata.key_groups.iter().flat_map(|group| &group.0);
    keys.map(crate::metadata::KeyEntry::shown).collect()
}

/// What tells the data key of a version, as hashes.
#[derive(Default)]
struct Marks {
    /// Ciphertexts and wrapped data keys.
    known: HashSet<[u8; 32]>,
    nonces: HashSet<[u8; 32]>,
}

impl Marks {
    fn of(tree: &Tree) -> Self {
        let mut marks = Self::default();
        tree.branches.iter().for_each(|branch| of_branch(branch, &mut marks));
        let records = tree.metadata.keys().map(|(_, key)| key.enc()).filter(|enc| !enc.is_empty());
        marks.known.extend(records.map(|enc| strongroom_crypto::sha256(enc.as_bytes())));
        marks
    }
}

fn of_branch(branch: &Branch, into: &mut Marks) {
    for item in &branch.0 {
        if let Item::Entry(_, value) = item {
            of_value(value, into);
        }
    }
}

fn of_value(value: &Value, into: &mut Marks) {
    match value {
        Value::Text(text) if crate::cipher::is_encrypted(text) => {
            into.known.insert(strongroom_crypto::sha256(text.as_bytes()));
            let nonce = crate::cipher::nonce_of(text).unwrap_or_default();
            into.nonces.insert(strongroom_crypto::sha256(nonce.as_bytes()));
        }
        Value::List(items) => items.iter().for_each(|item| of_value(item, into)),
        Value::Map(branch) => of_branch(branch, into),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{AgeKey, KeyEntry, KeyGroup};

    /// A version: its ciphertexts, and who can open it with which record.
    fn version(values: &[&str], keys: &[(&str, &str)]) -> Tree {
        let values: Vec<_> = values.iter().map(|value| (*value, *value)).collect();
        with_nonces(&values, keys)
    }

    fn with_nonces(values: &[(&str, &str)], keys: &[(&str, &str)]) -> Tree {
        let mut branch = Branch::default();
        for (value, nonce) in values {
            let text = format!("ENC[AES256_GCM,data:{value},iv:{nonce},tag:AAAA,type:str]");
            branch.push(*value, Value::text(text));
        }
        let keys = keys.iter().map(|(recipient, enc)| {
            KeyEntry::Age(AgeKey { recipient: (*recipient).into(), enc: (*enc).into() })
        });
        let mut tree = Tree { branches: vec![branch], ..Tree::default() };
        tree.metadata.key_groups = vec![KeyGroup(keys.collect())];
        tree
    }

    #[test]
    fn versions_are_linked_by_values_and_by_wrapped_data_keys() {
        // All values are others, the data key is not: our record tells.
        let mut tenure = Tenure::of(&version(&["two"], &[("me", "w1")]));
        assert!(tenure.add(&version(&["one"], &[("me", "w1"), ("leaver", "w2")])));
        assert_eq!(tenure.left(), ["leaver"]);
        assert!(tenure.unknown().is_empty());
        // By a value, though all was wrapped anew.
        let mut tenure = Tenure::of(&version(&["one"], &[("me", "w3")]));
        assert!(tenure.add(&version(&["one"], &[("me", "w1"), ("leaver", "w2")])));
        assert_eq!(tenure.left(), ["leaver"]);
    }

    #[test]
    fn a_rotation_is_known_by_its_nonces() {
        let today = with_nonces(&[("new", "n1"), ("more", "n2")], &[("me", "w3")]);
        let rotated = with_nonces(&[("new", "n1")], &[("me", "w3")]);
        let before = with_nonces(&[("old", "n1")], &[("me", "w1"), ("leaver", "w2")]);
        let long_before = with_nonces(&[("old", "n1"), ("x", "n0")], &[("gone", "w0")]);
        let mut tenure = Tenure::of(&today);
        assert!(tenure.add(&rotated) && tenure.add(&before) && tenure.add(&long_before));
        assert!(tenure.left().is_empty() && tenure.unknown().is_empty());
        // Only the one that both versions have tells: with another nonce it may be a change.
        let mut tenure = Tenure::of(&with_nonces(&[("new", "n3")], &[("me", "w3")]));
        assert!(tenure.add(&before));
        assert_eq!(tenure.unknown(), ["leaver"]);
        // Where a ciphertext is the same, the key is the same.
        let mixed = with_nonces(&[("old", "n1"), ("new", "n2")], &[("me", "w3")]);
        let mut tenure = Tenure::of(&mixed);
        assert!(tenure.add(&before));
        assert_eq!(tenure.left(), ["leaver"]);
    }

    #[test]
    fn what_is_not_linked_is_unknown_and_not_clean() {
        let mut tenure = Tenure::of(&version(&["two"], &[("me", "w3")]));
        assert!(tenure.add(&version(&["one"], &[("me", "w1")])));
        // Of the same data key as that one, and of another one.
        assert!(tenure.add(&version(&["one"], &[("me", "w1"), ("leaver", "w2")])));
        assert!(!tenure.add(&version(&["zero"], &[("me", "w0"), ("long gone", "w0")])));
        assert!(tenure.left().is_empty());
        assert_eq!(tenure.unknown(), ["leaver"]);
        // Records without a wrapped key have nothing in common.
        let mut tenure = Tenure::of(&version(&["two"], &[("me", "")]));
        assert!(tenure.add(&version(&["one"], &[("me", "")])));
        assert!(tenure.unknown().is_empty());
    }
}
