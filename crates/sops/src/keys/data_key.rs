//! The data key: how it is wrapped by groups of master keys, and won back.
//!
//! One group: each of its keys wraps the data key. Several: the data key is split by Shamir's scheme,
//! and each key of group *i* wraps share *i*; as many groups as the threshold says give it back.
//!
//! Invariants:
//! * fewer shares than the threshold never count as a data key, though they combine to something;
//! * a group without keys is never written: its share would be lost.

use strongroom_base::{Rng, Secret, SecretBytes};
use strongroom_crypto::shamir;

use super::{Failure, Keys, Told};
use crate::error::{Error, Exit, Result};
use crate::metadata::version::{CONTEXTS_SINCE, is_newer};
use crate::metadata::{KeyEntry, KeyGroup, Metadata};

/// Bytes of a data key.
pub const DATA_KEY_BYTES: usize = 32;
/// Columns of a message about one key.
const MESSAGE_COLUMNS: usize = 60;
/// Columns of the last words.
const TRAILER_COLUMNS: usize = 75;

/// What a file's values are encrypted with.
#[derive(Debug)]
pub struct DataKey(SecretBytes);

impl DataKey {
    /// A new one.
    pub fn generate(rng: &dyn Rng) -> Self {
        Self(Secret::new(rng.array::<DATA_KEY_BYTES>().to_vec()))
    }

    /// Takes bytes for one; nothing where they are too few or too many.
    pub fn from_bytes(bytes: SecretBytes) -> Option<Self> {
        (bytes.expose_secret().len() == DATA_KEY_BYTES).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }
}

/// What became of one key: its name, and what each service said.
struct Tried {
    shown: String,
    failures: Vec<Failure>,
}

/// Wins the data key back from what the keys of `metadata` wrap.
pub fn recover(metadata: &Metadata, keys: &Keys) -> Result<DataKey> {
    let groups = &metadata.key_groups;
    let needed = threshold(metadata);
    let mut parts = Vec::new();
    let mut outcomes = Vec::new();
    for group in groups {
        match part_of(group, metadata, keys) {
            Ok(part) => {
                parts.push(part);
                outcomes.push(None);
            }
            Err(tried) => outcomes.push(Some(tried)),
        }
    }
    if parts.len() < needed || parts.is_empty() {
        return Err(Error::new(Exit::DataKey, told(metadata.shamir_threshold, &outcomes)));
    }
    let unusable = |text: String| Error::new(Exit::DataKey, text);
    let whole = if groups.len() == 1 {
        parts.pop().unwrap_or_default()
    } else {
        let shares: Vec<&[u8]> = parts.iter().map(|part| part.expose_secret().as_slice()).collect();
        let combined = shamir::combine(&shares);
        combined.map_err(|e| {
            unusable(format!("could not get data key from shamir parts: {}", said(&e)))
        })?
    };
    let wrong = || unusable(format!("the data key does not have {DATA_KEY_BYTES} bytes"));
    let key = DataKey::from_bytes(whole).ok_or_else(wrong)?;
    keys.machine.person.log(&Told::new("SOPS", "info", "Data key recovered successfully"));
    Ok(key)
}

/// How many groups it takes.
fn threshold(metadata: &Metadata) -> usize {
    match (metadata.key_groups.len(), metadata.shamir_threshold) {
        (0 | 1, _) => 1,
        (groups, 0) => groups,
        // Two shares at least make a secret: a file that says less was not written by this scheme.
        (_, threshold) => threshold.max(2),
    }
}

fn said(error: &strongroom_base::Error) -> String {
    error.public.join("; ")
}

/// What the keys of `group` wrap, by the first that gives it.
fn part_of(group: &KeyGroup, metadata: &Metadata, keys: &Keys) -> Result<SecretBytes, Vec<Tried>> {
    let mut tried = Vec::new();
    for key in keys.order.sorted(&group.0) {
        let mut failures = Vec::new();
        for service in &keys.services {
            match service.decrypt(key, &keys.machine) {
                Ok(part) => return Ok(part),
                Err(failure) => failures.push(failure),
            }
        }
        for other in in_other_contexts(key, &metadata.version) {
            for service in &keys.services {
                if let Ok(part) = service.decrypt(&other, &keys.machine) {
                    return Ok(part);
                }
            }
        }
        tried.push(Tried { shown: key.shown(), failures });
    }
    Err(tried)
}

/// Before [`CONTEXTS_SINCE`], an encryption context with several values was sent with one of them under all
/// names: the record as it may have been wrapped, for each of the values.
fn in_other_contexts(key: &KeyEntry, version: &str) -> Vec<KeyEntry> {
    let KeyEntry::Kms(key) = key else { return Vec::new() };
    if !is_newer(CONTEXTS_SINCE, version).unwrap_or(false) {
        return Vec::new();
    }
    let mut values: Vec<&String> = key.context.iter().map(|(_, value)| value).collect();
    values.sort();
    values.dedup();
    if values.len() < 2 {
        return Vec::new();
    }
    let with = |value: &&String| {
        let context = key.context.iter().map(|(name, _)| (name.clone(), (*value).clone()));
        let mut key = key.clone();
        key.context = context.collect();
        KeyEntry::Kms(key)
    };
    values.iter().map(with).collect()
}

/// Wraps `data_key` by all keys of `groups` anew, and gives the threshold that holds then. The records
/// are changed only when all of them can be.
pub fn wrap(
    data_key: &DataKey,
    groups: &mut [KeyGroup],
    threshold: usize,
    keys: &Keys,
) -> Result<usize> {
    if keys.services.is_empty() {
        return Err(Error::general("no key services provided, cannot update master keys"));
    }
    if groups.is_empty() {
        return Err(Error::general("no key groups provided"));
    }
    if groups.iter().any(|group| group.0.is_empty()) {
        return Err(Error::general("empty key group provided"));
    }
    let (parts, threshold) = parts(data_key, groups.len(), threshold, keys)?;
    let now = strongroom_base::Timestamp::from_seconds(keys.machine.now().seconds()).to_string();
    let mut wrapped = Vec::new();
    let mut failures = Vec::new();
    for (group, part) in groups.iter().zip(&parts) {
        for key in &group.0 {
            match wrapped_by(key, part, keys) {
                Ok(enc) => wrapped.push(enc),
                Err(texts) => failures.extend(texts),
            }
        }
    }
    if !failures.is_empty() {
        return Err(Error::general(failures.join("\n")));
    }
    let records = groups.iter_mut().flat_map(|group| &mut group.0);
    for (record, enc) in records.zip(wrapped) {
        record.set_enc(enc);
        if let Some(created) = record.created_at_mut() {
            created.clone_from(&now);
        }
    }
    Ok(threshold)
}

/// The part of each group, and the threshold.
fn parts(
    data_key: &DataKey,
    groups: usize,
    threshold: usize,
    keys: &Keys,
) -> Result<(Vec<SecretBytes>, usize)> {
    if groups == 1 {
        return Ok((vec![data_key.0.duplicate()], threshold));
    }
    let threshold = if threshold == 0 { groups } else { threshold };
    let told = Told::new("SOPS", "info", "Splitting data key with Shamir Secret Sharing");
    let told = told.with("parts", groups.to_string()).with("quorum", threshold.to_string());
    keys.machine.person.log(&told);
    let parts = shamir::split_in_order(data_key.bytes(), groups, threshold, &*keys.machine.rng);
    let parts = parts.map_err(|error| {
        let text = said(&error);
        Error::general(format!("could not split data key into parts for Shamir: {text}"))
    })?;
    Ok((parts, threshold))
}

fn wrapped_by(key: &KeyEntry, part: &SecretBytes, keys: &Keys) -> Result<String, Vec<String>> {
    let mut failures = Vec::new();
    for service in &keys.services {
        match service.encrypt(key, part, &keys.machine) {
            Ok(enc) => return Ok(enc),
            Err(failure) => failures.push(format!(
                "failed to encrypt new data key with master key {:?}: {failure}",
                key.shown()
            )),
        }
    }
    Err(failures)
}

/// What people read when there is no data key: who was tried, and what each said.
fn told(threshold: usize, outcomes: &[Option<Vec<Tried>>]) -> String {
    let mut text = "Failed to get the data key required to decrypt the SOPS file.".to_owned();
    for (at, outcome) in outcomes.iter().enumerate() {
        let status = if outcome.is_some() { "FAILED" } else { "SUCCESS" };
        text.push_str(&format!("\n\nGroup {at}: {status}"));
        let tried: Vec<String> = outcome.iter().flatten().map(key_told).collect();
        if outcome.is_some() {
            text.push('\n');
            text.push_str(&indented(&tried.join("\n\n"), "  "));
        }
    }
    let good = outcomes.iter().filter(|outcome| outcome.is_none()).count();
    let trailer = if threshold == 0 && outcomes.len() < 2 {
        "Recovery failed because no master key was able to decrypt the file. In order for SOPS to \
         recover the file, at least one key has to be successful, but none were."
            .to_owned()
    } else {
        let threshold = if threshold == 0 { outcomes.len() } else { threshold };
        format!(
            "Recovery failed because the file was encrypted with a Shamir threshold of {threshold}, \
             but only {good} part(s) were successfully recovered, one for each successful key \
             group. In order for SOPS to recover the file, at least {threshold} groups have to be \
             successful. In order for a group to be successful, decryption has to succeed with any \
             of the keys in that key group."
        )
    };
    text.push_str("\n\n");
    text.push_str(&folded(&trailer, TRAILER_COLUMNS));
    text
}

fn key_told(tried: &Tried) -> String {
    let messages: Vec<String> = tried
        .failures
        .iter()
        .map(|failure| {
            let message = indented(&folded(&failure.0, MESSAGE_COLUMNS), "  | ");
            format!("-{}", message.get(1..).unwrap_or_default())
        })
        .collect();
    format!("{}: FAILED\n{}", tried.shown, indented(&messages.join("\n\n"), "  "))
}

fn indented(text: &str, by: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| format!("{by}{line}")).collect();
    lines.join("\n")
}

/// Breaks lines at spaces, so that they have no more columns than that unless a word is longer.
fn folded(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let mut used = 0;
        for word in line.split(' ') {
            let length = word.chars().count();
            if used > 0 && used + 1 + length > columns {
                out.push('\n');
                used = 0;
            } else if used > 0 {
                out.push(' ');
                used += 1;
            }
            out.push_str(word);
            used += length;
        }
    }
    out
}

#[cfg(test)]
#[path = "data_key_tests.rs"]
mod tests;
