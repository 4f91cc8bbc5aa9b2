//! Which master keys a file has, against those it should have: shown as a difference, and made so. The
//! data key stays, and with it every value.

use crate::error::{Error, Result};
use crate::keys::{DataKey, Keys, data_key};
use crate::metadata::{KeyEntry, KeyGroup, Metadata};

/// What differs in one group. Keys are named as people know them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Difference {
    /// Keys that both have.
    pub common: Vec<String>,
    /// Keys that the file should have, and has not.
    pub added: Vec<String>,
    /// Keys that the file has, and should not.
    pub removed: Vec<String>,
}

/// The differences of two lists of groups, by their places.
pub fn differences(ours: &[KeyGroup], theirs: &[KeyGroup]) -> Vec<Difference> {
    let names = |groups: &[KeyGroup], at: usize| -> Vec<String> {
        groups
            .get(at)
            .map(|group| group.0.iter().map(KeyEntry::shown).collect())
            .unwrap_or_default()
    };
    (0..ours.len().max(theirs.len()))
        .map(|at| {
            let (ours, theirs) = (names(ours, at), names(theirs, at));
            let mut difference = Difference::default();
            for name in &theirs {
                let common = ours.contains(name);
                let list = if common { &mut difference.common } else { &mut difference.added };
                list.push(name.clone());
            }
            difference.removed = ours.into_iter().filter(|name| !theirs.contains(name)).collect();
            difference
        })
        .collect()
}

/// Does anything differ?
pub fn any_change(differences: &[Difference]) -> bool {
    differences.iter().any(|d| !d.added.is_empty() || !d.removed.is_empty())
}

/// A line of a difference, and how it is coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Colour {
    /// As it is.
    Plain,
    /// What comes: green.
    Green,
    /// What goes: red.
    Red,
    /// A heading: underlined.
    Underlined,
}

impl Colour {
    /// A line in this colour, for a terminal that shows it.
    pub fn paint(self, line: &str) -> String {
        let code = match self {
            Self::Plain => return line.to_owned(),
            Self::Green => "32",
            Self::Red => "31",
            Self::Underlined => "4",
        };
        format!("\u{1b}[{code}m{line}\u{1b}[0m")
    }
}

/// The lines that show differences.
pub fn lines(differences: &[Difference]) -> Vec<(Colour, String)> {
    let mut lines = Vec::new();
    for (at, difference) in differences.iter().enumerate() {
        lines.push((Colour::Underlined, format!("Group {}", at + 1)));
        for (mark, colour, names) in [
            ("   ", Colour::Plain, &difference.common),
            ("+++", Colour::Green, &difference.added),
            ("---", Colour::Red, &difference.removed),
        ] {
            lines.extend(names.iter().map(|name| (colour, format!("{mark} {name}"))));
        }
    }
    lines
}

/// What an update of a file's keys would change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// By group.
    pub differences: Vec<Difference>,
    /// The threshold before, and after.
    pub threshold: (usize, usize),
}

impl Plan {
    /// What has to change in `metadata` for it to have `groups`. A threshold that was asked for
    /// replaces the file's; neither can be more than there are groups.
    pub fn new(metadata: &Metadata, groups: &[KeyGroup], asked: usize) -> Self {
        let before = metadata.shamir_threshold;
        let after = if asked == 0 { before } else { asked };
        Self {
            differences: differences(&metadata.key_groups, groups),
            threshold: (before, after.min(groups.len())),
        }
    }

    /// Is there anything to do?
    pub fn changes(&self) -> bool {
        any_change(&self.differences) || self.threshold.0 != self.threshold.1
    }

    /// The lines that show it.
    pub fn lines(&self) -> Vec<(Colour, String)> {
        let (before, after) = self.threshold;
        let mut shown = Vec::new();
        if before > 0 && before == after {
            shown.push((Colour::Plain, format!("shamir_threshold: {after}")));
        } else {
            if after > 0 {
                shown.push((Colour::Green, format!("+++ shamir_threshold: {after}")));
            }
            if before > 0 {
                shown.push((Colour::Red, format!("--- shamir_threshold: {before}")));
            }
        }
        shown.extend(lines(&self.differences));
        shown
    }

    /// Wins the data key back, and wraps it by `groups`. Values, MAC and the time of the last change
    /// stay as they are.
    pub fn apply(self, metadata: &mut Metadata, groups: Vec<KeyGroup>, keys: &Keys) -> Result<()> {
        let data_key = data_key::recover(metadata, keys)?;
        set(metadata, groups, self.threshold.1, &data_key, keys)
            .map_err(|error| error.within("error updating one or more master keys"))
    }
}

/// Gives a file these groups, and wraps its data key by them.
fn set(
    metadata: &mut Metadata,
    mut groups: Vec<KeyGroup>,
    threshold: usize,
    data_key: &DataKey,
    keys: &Keys,
) -> Result<()> {
    metadata.shamir_threshold = data_key::wrap(data_key, &mut groups, threshold, keys)?;
    metadata.key_groups = groups;
    Ok(())
}

/// Adds a group. A threshold of 0 leaves the file's.
pub fn add_group(
    metadata: &mut Metadata,
    group: KeyGroup,
    threshold: usize,
    keys: &Keys,
) -> Result<()> {
    let data_key = data_key::recover(metadata, keys)?;
    let mut groups = metadata.key_groups.clone();
    groups.push(group);
    let threshold = if threshold == 0 { metadata.shamir_threshold } else { threshold };
    set(metadata, groups, threshold, &data_key, keys)
}

/// Deletes the group at this place, counted from 0. A threshold of 0 leaves the file's.
pub fn delete_group(
    metadata: &mut Metadata,
    at: usize,
    threshold: usize,
    keys: &Keys,
) -> Result<()> {
    let data_key = data_key::recover(metadata, keys)?;
    let mut groups = metadata.key_groups.clone();
    if at >= groups.len() {
        let last = groups.len().saturating_sub(1);
        return Err(Error::general(format!(
            "there is no key group {at}: the groups of the file are 0 to {last}"
        )));
    }
    groups.remove(at);
    let threshold = if threshold == 0 { metadata.shamir_threshold } else { threshold };
    if groups.len() < threshold {
        return Err(Error::general(format!(
            "removing this key group will make the Shamir threshold impossible to satisfy: Shamir \
             threshold is {threshold}, but we only have {} key groups",
            groups.len()
        )));
    }
    set(metadata, groups, threshold, &data_key, keys)
}

/// Adds keys to the first group and removes keys from every group, as `rotate` does. The data key is not
/// wrapped here: a rotation makes a new one.
pub fn change_keys(metadata: &mut Metadata, add: Vec<KeyEntry>, remove: &[KeyEntry]) {
    if metadata.key_groups.is_empty() {
        metadata.key_groups.push(KeyGroup::default());
    }
    if let Some(first) = metadata.key_groups.first_mut() {
        for key in add {
            if !first.0.iter().any(|there| there.is_same_key(&key)) {
                first.0.push(key);
            }
        }
    }
    for group in &mut metadata.key_groups {
        group.0.retain(|key| !remove.iter().any(|gone| gone.is_same_key(key)));
    }
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
