//! The merge of encrypted files: both are decrypted and their MACs compared, the documents are merged,
//! and the result is encrypted and signed anew.
//!
//! Invariants:
//! * a file whose MAC does not fit is not merged;
//! * a value that neither side changed keeps its ciphertext, where the data key stays;
//! * a data key that one side made new is not given up for the old one: it was made for a reason;
//! * nothing is wrapped for a key that ours did not have: who may open a file is not under its MAC, so
//!   theirs may be by somebody who cannot open it. Nor is anything encrypted anew with a data key that
//!   theirs brought.

use zeroize::Zeroizing;

use super::{Conflict, merge};
use crate::cipher::{Cipher, DATA_KEY_BYTES, Nonces};
use crate::error::{Error, Exit, Result};
use crate::keys::{DataKey, Keys, data_key};
use crate::metadata::{KeyGroup, Metadata};
use crate::stores::Store;
use crate::tree::Tree;
use crate::walk;

/// The bytes of three files.
pub struct Files<'f> {
    /// What both came from; empty where they have nothing in common.
    pub base: &'f [u8],
    /// Ours.
    pub ours: &'f [u8],
    /// Theirs.
    pub theirs: &'f [u8],
}

/// A merged file.
#[derive(Debug)]
pub struct MergedFile {
    /// Its bytes, encrypted.
    pub bytes: Vec<u8>,
    /// What both sides changed differently.
    pub conflicts: Vec<Conflict>,
    /// Master keys that theirs adds and that were not taken.
    pub refused: Vec<String>,
}

/// A side, decrypted.
struct Side {
    tree: Tree,
    key: Option<DataKey>,
}

impl Side {
    fn key_bytes(&self) -> Option<&[u8]> {
        self.key.as_ref().map(DataKey::bytes)
    }

    fn has_key_of(&self, other: &Self) -> bool {
        match (self.key_bytes(), other.key_bytes()) {
            (Some(a), Some(b)) => strongroom_crypto::constant_time_eq(a, b),
            _ => false,
        }
    }
}

/// The key in the form that ciphers take.
fn bytes_of(key: &DataKey) -> Result<Zeroizing<[u8; DATA_KEY_BYTES]>> {
    let bytes: Result<[u8; DATA_KEY_BYTES], _> = key.bytes().try_into();
    bytes
        .map(Zeroizing::new)
        .map_err(|_| Error::new(Exit::DataKey, "the data key has a wrong length"))
}

/// Decrypts a side, if it is encrypted; its nonces are kept in `nonces`.
fn open(store: &Store, bytes: &[u8], keys: &Keys, nonces: &mut Nonces) -> Result<Side> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Side { tree: Tree::default(), key: None });
    }
    let Some(mut tree) = store.load_if_encrypted(bytes)? else {
        let branches = store.load_plain(bytes)?;
        return Ok(Side { tree: Tree { branches, ..Tree::default() }, key: None });
    };
    let key = data_key::recover(&tree.metadata, keys)?;
    let rng = &*keys.machine.rng;
    let mut cipher = Cipher::new(&*bytes_of(&key)?, rng).with_nonces(nonces);
    walk::decrypt_and_verify(&mut tree, &mut cipher, false)?;
    Ok(Side { tree, key: Some(key) })
}

/// Merges files of one format. `now` is the time of the change, as files have it.
///
/// # Errors
/// A side that is not encrypted, that no key opens, or whose MAC does not fit.
pub fn merge_files(store: &Store, files: &Files<'_>, keys: &Keys, now: &str) -> Result<MergedFile> {
    let named = |name: &'static str| move |error: Error| error.within(name);
    let mut their_nonces = Nonces::default();
    let mut our_nonces = Nonces::default();
    let base = open(store, files.base, keys, &mut Nonces::default()).map_err(named("base"))?;
    let theirs = open(store, files.theirs, keys, &mut their_nonces).map_err(named("theirs"))?;
    let ours = open(store, files.ours, keys, &mut our_nonces).map_err(named("ours"))?;
    if ours.key.is_none() || theirs.key.is_none() {
        return Err(Error::general("one of both files is not encrypted"));
    }
    let merged = merge(&base.tree.branches, &ours.tree.branches, &theirs.tree.branches);
    let mut conflicts = merged.conflicts;
    let takes_theirs = !ours.has_key_of(&theirs) && ours.has_key_of(&base);
    let (side, mut nonces) = match takes_theirs {
        true => (&theirs, their_nonces),
        false if ours.has_key_of(&theirs) => (&ours, {
            let mut both = their_nonces;
            both.extend(our_nonces);
            both
        }),
        false => (&ours, our_nonces),
    };
    let mut refused = Vec::new();
    let (metadata, rewrap) =
        merge_metadata(&base, &ours, &theirs, side, &mut conflicts, &mut refused);
    // What one side has as it is now, bytes and all, is not written anew.
    let same = |tree: &Tree| {
        tree.branches == merged.branches && !rewrap && same_but_signature(&tree.metadata, &metadata)
    };
    let unchanged = match (same(&ours.tree) && !takes_theirs, same(&theirs.tree)) {
        (true, _) => Some(files.ours),
        (false, true) if takes_theirs || ours.has_key_of(&theirs) => Some(files.theirs),
        _ => None,
    };
    if let Some(bytes) = unchanged {
        return Ok(MergedFile { bytes: bytes.to_vec(), conflicts, refused });
    }
    let mut tree = Tree { branches: merged.branches, metadata };
    // Their data key is one that perhaps others know.
    let fresh = takes_theirs.then(|| DataKey::generate(&*keys.machine.rng));
    let Some(key) = fresh.as_ref().or(side.key.as_ref()) else {
        return Err(Error::general("there is no data key"));
    };
    if rewrap || takes_theirs {
        let metadata = &mut tree.metadata;
        let groups = std::mem::take(&mut metadata.key_groups);
        metadata.key_groups = own_records(groups, &ours.tree.metadata.key_groups);
        metadata.shamir_threshold =
            data_key::wrap(key, &mut metadata.key_groups, metadata.shamir_threshold, keys)?;
        if takes_theirs {
            nonces = Nonces::default();
        }
    }
    let mut cipher = Cipher::new(&*bytes_of(key)?, &*keys.machine.rng).with_nonces(&mut nonces);
    walk::encrypt_and_sign(&mut tree, &mut cipher, now)?;
    Ok(MergedFile { bytes: store.emit_encrypted(&mut tree)?, conflicts, refused })
}

/// The metadata of the result, on that of the side whose data key it has; and whether the data key has
/// to be wrapped anew.
fn merge_metadata(
    base: &Side,
    ours: &Side,
    theirs: &Side,
    side: &Side,
    conflicts: &mut Vec<Conflict>,
    refused: &mut Vec<String>,
) -> (Metadata, bool) {
    let wrapped_alike = ours.has_key_of(theirs);
    let [base, our, their] = [base, ours, theirs].map(|side| &side.tree.metadata);
    let mut metadata = side.tree.metadata.clone();
    metadata.rule = three_ways(
        &base.rule,
        &our.rule,
        &their.rule,
        "sops: which values are encrypted",
        conflicts,
    );
    metadata.mac_only_encrypted = three_ways(
        &base.mac_only_encrypted,
        &our.mac_only_encrypted,
        &their.mac_only_encrypted,
        "sops.mac_only_encrypted",
        conflicts,
    );
    metadata.shamir_threshold = three_ways(
        &base.shamir_threshold,
        &our.shamir_threshold,
        &their.shamir_threshold,
        "sops.shamir_threshold",
        conflicts,
    );
    let groups = own_records(merge_groups(base, our, their, conflicts), &our.key_groups);
    // Each record of a single group wraps the data key itself: it is taken as it stands.
    let one = |groups: &[KeyGroup]| groups.len() == 1;
    if wrapped_alike && one(&groups) && one(&our.key_groups) && one(&their.key_groups) {
        if !same_keys(&groups, &metadata.key_groups) {
            metadata.key_groups = groups;
        }
        return (metadata, false);
    }
    // With other groups, or fewer that are needed, somebody alone could open what took two before.
    if metadata.shamir_threshold != our.shamir_threshold {
        metadata.shamir_threshold = our.shamir_threshold;
        conflict("sops.shamir_threshold", conflicts);
    }
    let groups = match groups.len() == our.key_groups.len() {
        true => without_strangers(groups, &our.key_groups, refused),
        false => {
            conflict("sops.key_groups", conflicts);
            our.key_groups.clone()
        }
    };
    let rewrap = !same_keys(&groups, &metadata.key_groups)
        || metadata.shamir_threshold != side.tree.metadata.shamir_threshold;
    if rewrap {
        metadata.key_groups = groups;
    }
    (metadata, rewrap)
}

/// Adds a conflict, if it is not there.
fn conflict(what: &str, conflicts: &mut Vec<Conflict>) {
    if !conflicts.iter().any(|it| it.path == what) {
        conflicts.push(Conflict::changed(what));
    }
}

/// The same keys, with our records where we have them.
fn own_records(mut groups: Vec<KeyGroup>, ours: &[KeyGroup]) -> Vec<KeyGroup> {
    for (group, ours) in groups.iter_mut().zip(ours) {
        for key in &mut group.0 {
            if let Some(own) = ours.0.iter().find(|own| own.is_same_key(key)) {
                key.clone_from(own);
            }
        }
    }
    groups
}

/// Without the keys that our group of the same number did not have; they are named in `refused`.
fn without_strangers(
    mut groups: Vec<KeyGroup>,
    ours: &[KeyGroup],
    refused: &mut Vec<String>,
) -> Vec<KeyGroup> {
    let before = refused.len();
    for (group, ours) in groups.iter_mut().zip(ours) {
        group.0.retain(|key| {
            let known = ours.0.iter().any(|it| it.is_same_key(key));
            if !known {
                refused.push(key.shown());
            }
            known
        });
    }
    match refused.len() > before && groups.iter().any(|group| group.0.is_empty()) {
        true => ours.to_vec(),
        false => groups,
    }
}

/// Do two files say the same of themselves, beside when and by what they were written?
fn same_but_signature(a: &Metadata, b: &Metadata) -> bool {
    let unsigned = |it: &Metadata| Metadata {
        last_modified: String::new(),
        mac: String::new(),
        version: String::new(),
        ..it.clone()
    };
    unsigned(a) == unsigned(b)
}

fn three_ways<T: Clone + PartialEq>(
    base: &T,
    ours: &T,
    theirs: &T,
    what: &str,
    conflicts: &mut Vec<Conflict>,
) -> T {
    if ours == base {
        return theirs.clone();
    }
    if theirs != base && ours != theirs {
        conflicts.push(Conflict::changed(what));
    }
    ours.clone()
}

fn same_keys(a: &[KeyGroup], b: &[KeyGroup]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            a.0.len() == b.0.len() && a.0.iter().zip(&b.0).all(|(a, b)| a.is_same_key(b))
        })
}

/// The master keys: those that one side added are there, those that one side removed are not.
fn merge_groups(
    base: &Metadata,
    ours: &Metadata,
    theirs: &Metadata,
    conflicts: &mut Vec<Conflict>,
) -> Vec<KeyGroup> {
    let [base, ours, theirs] = [base, ours, theirs].map(|side| side.key_groups.as_slice());
    if same_keys(ours, base) {
        return theirs.to_vec();
    }
    if same_keys(theirs, base) || same_keys(ours, theirs) {
        return ours.to_vec();
    }
    if ours.len() != theirs.len() || base.len() != ours.len() {
        conflicts.push(Conflict::changed("sops.key_groups"));
        return ours.to_vec();
    }
    let groups = ours.iter().zip(theirs).zip(base).map(|((ours, theirs), base)| {
        let has = |group: &KeyGroup, key| group.0.iter().any(|it| it.is_same_key(key));
        let kept = ours.0.iter().filter(|key| has(theirs, key) || !has(base, key));
        let new = theirs.0.iter().filter(|key| !has(ours, key) && !has(base, key));
        KeyGroup(kept.chain(new).cloned().collect())
    });
    let groups: Vec<KeyGroup> = groups.collect();
    if groups.iter().any(|group| group.0.is_empty()) {
        conflicts.push(Conflict::changed("sops.key_groups"));
        return ours.to_vec();
    }
    groups
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
