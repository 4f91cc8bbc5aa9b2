//! Whether somebody who can no longer open a file still has its data key.
//!
//! A data key is not seen, but a value keeps its ciphertext as long as it and the data key stay: so a
//! version of the file that has a ciphertext in common with today's had today's data key. Whoever could
//! open such a version and cannot open today's has kept the key, perhaps.
//!
//! Invariant: nothing is decrypted for it, and nothing of a document is in what it says.

use std::collections::{BTreeSet, HashSet};

use crate::tree::{Branch, Item, Tree, Value};

/// Commits that are looked at for a file.
pub const COMMITS_MAX: usize = 1_000;

/// A file's data key, back through its versions.
#[derive(Debug)]
pub struct Tenure {
    /// Hashes of the ciphertexts of versions that have the data key.
    known: HashSet<[u8; 32]>,
    /// Who can open the file today.
    today: BTreeSet<String>,
    /// Who could.
    ever: BTreeSet<String>,
}

impl Tenure {
    /// Begins with today's version.
    pub fn of(tree: &Tree) -> Self {
        let mut known = HashSet::new();
        ciphertexts(tree, &mut known);
        Self { known, today: shown(tree), ever: BTreeSet::new() }
    }

    /// Adds the next older version. False where it has another data key: older ones need not be
    /// looked at. One without any value in common may be taken for that, too.
    pub fn add(&mut self, older: &Tree) -> bool {
        let mut theirs = HashSet::new();
        ciphertexts(older, &mut theirs);
        if self.known.is_disjoint(&theirs) {
            return false;
        }
        self.known.extend(theirs);
        self.ever.extend(shown(older));
        true
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

fn ciphertexts(tree: &Tree, into: &mut HashSet<[u8; 32]>) {
    tree.branches.iter().for_each(|branch| of_branch(branch, into));
}

fn of_branch(branch: &Branch, into: &mut HashSet<[u8; 32]>) {
    for item in &branch.0 {
        if let Item::Entry(_, value) = item {
            of_value(value, into);
        }
    }
}

fn of_value(value: &Value, into: &mut HashSet<[u8; 32]>) {
    match value {
        Value::Text(text) if crate::cipher::is_encrypted(text) => {
            into.insert(strongroom_crypto::sha256(text.as_bytes()));
        }
        Value::List(items) => items.iter().for_each(|item| of_value(item, into)),
        Value::Map(branch) => of_branch(branch, into),
        _ => {}
    }
}
