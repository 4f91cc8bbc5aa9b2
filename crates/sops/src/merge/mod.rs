//! The merge of two changed documents by key, with what both came from.
//!
//! A key that one side changed has that side's value; one that both sides changed alike has it, too;
//! mappings are merged key by key. Where both sides changed one key to different values is a
//! conflict: ours stands, and it is told. Where one side removed what the other changed is one, too: the
//! changed value stays, whose ever it is. A list is one value.
//!
//! Comments belong to the key behind them, or before them on its line. They never conflict: where
//! both sides changed them, both are kept.
//!
//! Invariant: what neither side removed is there.

mod files;

use crate::tree::{Branch, Comment, Item, Value};

pub use files::{Files, MergedFile, merge_files};

/// What both sides changed, and whose value stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Conflict {
    /// The key, as a path with points.
    pub path: String,
    /// What became of it.
    pub clash: Clash,
}

/// How two sides are at odds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Clash {
    /// Both changed it: ours stands.
    Changed,
    /// Ours removed what theirs changed: theirs stands.
    OursRemoved,
    /// Theirs removed what ours changed: ours stands.
    TheirsRemoved,
}

impl Conflict {
    /// Of a key that both changed.
    pub fn changed(path: impl Into<String>) -> Self {
        Self { path: path.into(), clash: Clash::Changed }
    }
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = &self.path;
        match self.clash {
            Clash::Changed => write!(f, "both changed {path}; the file has ours"),
            Clash::OursRemoved => {
                write!(f, "ours removed {path}, and theirs changed it; the file has theirs")
            }
            Clash::TheirsRemoved => {
                write!(f, "theirs removed {path}, and ours changed it; the file has ours")
            }
        }
    }
}

/// What a merge gives: the documents, and the conflicts.
#[derive(Debug, Default)]
pub struct Merged {
    /// The documents.
    pub branches: Vec<Branch>,
    /// What both sides changed differently.
    pub conflicts: Vec<Conflict>,
}

/// Merges the documents of a file.
pub fn merge(base: &[Branch], ours: &[Branch], theirs: &[Branch]) -> Merged {
    let mut conflicts = Vec::new();
    let branches = match (ours == base, theirs == base || ours == theirs) {
        (_, true) => ours.to_vec(),
        (true, false) => theirs.to_vec(),
        (false, false) if ours.len() == theirs.len() => {
            let nothing = Branch::default();
            let pairs = ours.iter().zip(theirs).enumerate();
            let merged = pairs.map(|(at, (ours, theirs))| {
                let base = base.get(at).unwrap_or(&nothing);
                merge_branch(base, ours, theirs, &mut Vec::new(), &mut conflicts)
            });
            merged.collect()
        }
        // Documents that came and went are not told apart.
        (false, false) => {
            conflicts.push(Conflict::changed("the number of documents"));
            ours.to_vec()
        }
    };
    Merged { branches, conflicts }
}

/// A key with the comments that belong to it; without a key, the comments at the end.
#[derive(Clone, Default)]
struct Slot<'t> {
    before: Vec<&'t Comment>,
    item: Option<&'t Item>,
    inline: Vec<&'t Comment>,
}

impl<'t> Slot<'t> {
    /// What tells it from its neighbours: a key that is no text is another than the text.
    fn key(&self) -> Option<(&'t str, bool)> {
        match self.item? {
            Item::Entry(key, _) => Some((key, true)),
            Item::Odd(odd) => Some((&odd.shown, false)),
            Item::Comment(_) => None,
        }
    }

    fn value(&self) -> Option<&'t Value> {
        match self.item? {
            Item::Entry(_, value) => Some(value),
            Item::Odd(_) | Item::Comment(_) => None,
        }
    }
}

fn slots(branch: &Branch) -> Vec<Slot<'_>> {
    let mut slots: Vec<Slot<'_>> = Vec::new();
    let mut before = Vec::new();
    for item in &branch.0 {
        match (item, slots.last_mut()) {
            (Item::Comment(comment), Some(last)) if comment.inline && before.is_empty() => {
                last.inline.push(comment);
            }
            (Item::Comment(comment), _) => before.push(comment),
            (item, _) => {
                let before = std::mem::take(&mut before);
                slots.push(Slot { before, item: Some(item), inline: Vec::new() });
            }
        }
    }
    slots.push(Slot { before, ..Slot::default() });
    slots
}

/// Comments of both sides: those of the side that changed them, else ours and what is new in theirs.
fn comments<'t>(
    base: &[&'t Comment],
    ours: &[&'t Comment],
    theirs: &[&'t Comment],
) -> Vec<&'t Comment> {
    if ours == base {
        return theirs.to_vec();
    }
    let new = theirs.iter().filter(|it| !base.contains(it) && !ours.contains(it));
    ours.iter().chain(new).copied().collect()
}

fn merge_branch(
    base: &Branch,
    ours: &Branch,
    theirs: &Branch,
    path: &mut Vec<String>,
    conflicts: &mut Vec<Conflict>,
) -> Branch {
    let (base, ours, theirs) = (slots(base), slots(ours), slots(theirs));
    let find = |slots: &[Slot<'_>], key| slots.iter().position(|slot| slot.key() == Some(key));
    // Our order, with what is only theirs behind its neighbour there.
    let mut order: Vec<Option<(&str, bool)>> = ours.iter().map(Slot::key).collect();
    let mut at = 0;
    for key in theirs.iter().map_while(Slot::key) {
        match order.iter().position(|known| *known == Some(key)) {
            Some(place) => at = place + 1,
            None => {
                order.insert(at, Some(key));
                at += 1;
            }
        }
    }
    let mut merged = Branch::default();
    for key in order {
        let place = |slots: &[Slot<'_>]| match key {
            Some(key) => find(slots, key),
            None => slots.len().checked_sub(1),
        };
        let [b, o, t] = [&base, &ours, &theirs].map(|slots| slots.get(place(slots)?));
        let empty = Slot::default();
        let before = comments(
            &b.unwrap_or(&empty).before,
            &o.unwrap_or(b.unwrap_or(&empty)).before,
            &t.unwrap_or(b.unwrap_or(&empty)).before,
        );
        let inline = comments(
            &b.unwrap_or(&empty).inline,
            &o.unwrap_or(b.unwrap_or(&empty)).inline,
            &t.unwrap_or(b.unwrap_or(&empty)).inline,
        );
        let item = match key {
            None => None,
            Some((name, false)) => odd(name, b, o, t),
            Some((name, true)) => {
                path.push(name.to_owned());
                let values = [b, o, t].map(|slot| slot.and_then(Slot::value));
                let value = merge_value(values, path, conflicts);
                path.pop();
                value.map(|value| Item::Entry(name.to_owned(), value))
            }
        };
        if key.is_some() && item.is_none() {
            continue;
        }
        merged.0.extend(before.into_iter().cloned().map(Item::Comment));
        merged.0.extend(item);
        merged.0.extend(inline.into_iter().cloned().map(Item::Comment));
    }
    merged
}

/// A key that is no text has no value that is known: it is there or not.
fn odd(
    name: &str,
    base: Option<&Slot<'_>>,
    ours: Option<&Slot<'_>>,
    theirs: Option<&Slot<'_>>,
) -> Option<Item> {
    let removed = base.is_some() && (ours.is_none() || theirs.is_none());
    let item = ours.or(theirs).and_then(|slot| slot.item).filter(|_| !removed);
    debug_assert!(item.is_none_or(|it| matches!(it, Item::Odd(odd) if odd.shown == name)));
    item.cloned()
}

/// The value of a key, if it stays.
fn merge_value(
    [base, ours, theirs]: [Option<&Value>; 3],
    path: &mut Vec<String>,
    conflicts: &mut Vec<Conflict>,
) -> Option<Value> {
    if ours == theirs || theirs == base {
        return ours.cloned();
    }
    if ours == base {
        return theirs.cloned();
    }
    // A mapping that one side removed is one without keys there: what the other changed in it counts.
    let nothing = Branch::default();
    let mapping = |side: Option<&'_ Value>| match (side, base) {
        (Some(Value::Map(branch)), _) => Some(branch.clone()),
        (None, Some(Value::Map(_))) => Some(nothing.clone()),
        _ => None,
    };
    if let (Some(our), Some(their)) = (mapping(ours), mapping(theirs)) {
        let base = match base {
            Some(Value::Map(base)) => base,
            _ => &nothing,
        };
        let merged = merge_branch(base, &our, &their, path, conflicts);
        let removed = (ours.is_none() || theirs.is_none()) && merged.entries().next().is_none();
        return (!removed).then_some(Value::Map(merged));
    }
    let clash = match (ours, theirs) {
        (None, _) => Clash::OursRemoved,
        (_, None) => Clash::TheirsRemoved,
        _ => Clash::Changed,
    };
    conflicts.push(Conflict { path: path.join("."), clash });
    // What one side removed and the other changed is not lost.
    ours.or(theirs).cloned()
}

#[cfg(test)]
mod tests;
