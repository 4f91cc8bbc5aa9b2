//! Nested metadata in formats that are flat: `__map_` goes before the key of an inner mapping,
//! `__list_` before a place in a list, as in `sops_age__list_0__map_enc`.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::tree::{Branch, Item, Value};

const MAP: &str = "__map_";
const LIST: &str = "__list_";
/// The most elements of a list that are read back.
const LIST_MAX: usize = 10_000;

/// A mapping without inner ones.
pub fn flatten(branch: &Branch, prefix: &str) -> Result<Branch> {
    let mut flat = Branch::default();
    flatten_map(branch, prefix, &mut flat)?;
    let mut seen = std::collections::HashSet::new();
    for (key, _) in flat.entries() {
        if !seen.insert(key) {
            return Err(Error::general(format!("Found key collision {key:?} while flattening")));
        }
    }
    Ok(flat)
}

fn flatten_map(branch: &Branch, prefix: &str, flat: &mut Branch) -> Result<()> {
    branch
        .entries()
        .try_for_each(|(key, value)| flatten_value(value, format!("{prefix}{key}"), flat))
}

fn flatten_value(value: &Value, key: String, flat: &mut Branch) -> Result<()> {
    match value {
        Value::Map(branch) => flatten_map(branch, &format!("{key}{MAP}"), flat),
        Value::List(list) => {
            let values = list.iter().filter(|value| !matches!(value, Value::Comment(_)));
            for (at, value) in values.enumerate() {
                flatten_value(value, format!("{key}{LIST}{at}"), flat)?;
            }
            Ok(())
        }
        value => {
            flat.push(key, value.clone());
            Ok(())
        }
    }
}

#[derive(Default)]
struct Node {
    value: Option<Value>,
    keys: BTreeMap<String, Node>,
    places: BTreeMap<usize, Node>,
}

enum Step<'a> {
    Key(&'a str),
    Place(usize),
}

/// The way that a flat key says.
fn steps(key: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut rest = key;
    let mut list = false;
    loop {
        let next = [MAP, LIST].into_iter().filter_map(|mark| Some((rest.find(mark)?, mark)));
        let next = next.min_by_key(|(at, _)| *at);
        let here = rest.get(..next.map_or(rest.len(), |(at, _)| at)).unwrap_or_default();
        steps.push(if list { Step::Place(here.parse().unwrap_or(0)) } else { Step::Key(here) });
        let Some((at, mark)) = next else { return steps };
        list = mark == LIST;
        rest = rest.get(at + mark.len()..).unwrap_or_default();
    }
}

/// The mapping that was made flat.
pub fn unflatten(flat: Branch) -> Result<Branch> {
    let mut root = Node::default();
    for item in flat.0 {
        let Item::Entry(key, value) = item else { continue };
        let mut node = &mut root;
        for step in steps(&key) {
            node = match step {
                Step::Key(name) => node.keys.entry(name.to_owned()).or_default(),
                Step::Place(at) => node.places.entry(at).or_default(),
            };
        }
        if node.value.replace(value).is_some() {
            let text = format!("Error while unflattening {key:?}: Duplicate value");
            return Err(Error::general(text));
        }
    }
    match build(root).map_err(|error| error.within("Error while unflattening"))? {
        Value::Map(branch) => Ok(branch),
        _ => Err(Error::general("Internal error: cannot find root")),
    }
}

fn build(node: Node) -> Result<Value> {
    let kinds = [node.value.is_some(), !node.keys.is_empty(), !node.places.is_empty()];
    if kinds.iter().filter(|kind| **kind).count() > 1 {
        return Err(Error::general("Type mismatch"));
    }
    if let Some(value) = node.value {
        return Ok(value);
    }
    if node.places.is_empty() {
        let mut branch = Branch::default();
        for (key, inner) in node.keys {
            branch.push(key, build(inner)?);
        }
        return Ok(Value::Map(branch));
    }
    let whole = node.places.keys().copied().eq(0..node.places.len());
    if !whole || node.places.len() > LIST_MAX {
        return Err(Error::general("Incomplete list"));
    }
    Ok(Value::List(node.places.into_values().map(build).collect::<Result<_>>()?))
}
