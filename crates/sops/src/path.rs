//! Ways into a document, as the command line names them: `["a"][0]['b']`.

use crate::error::{Error, Result};
use crate::tree::{Branch, Item, Value};

/// A step of a way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// The element at a place, from 0.
    Place(usize),
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Place(at) => at.fmt(f),
        }
    }
}

/// The longest list that [`set`] goes through to its end is as long as there are elements; a way
/// itself has no more steps than this.
const STEPS_MAX: usize = 1_000;

/// Reads a way. An empty text is the document itself.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    for component in text.split('[').filter(|component| !component.is_empty()) {
        let Some(inner) = component.strip_suffix(']') else {
            return Err(format!("component {component} doesn't end with ]"));
        };
        let quoted = inner.starts_with(['"', '\'']);
        steps.push(if quoted {
            let mut letters = inner.chars();
            letters.next();
            if letters.next_back().is_none() {
                return Err(format!("component {component} has an open quote"));
            }
            Step::Key(letters.as_str().to_owned())
        } else {
            let place = inner.parse();
            Step::Place(place.map_err(|_| format!("component {component} is no place in a list"))?)
        });
    }
    if steps.len() > STEPS_MAX {
        return Err(format!("a path has {STEPS_MAX} components at most"));
    }
    Ok(steps)
}

/// Takes the value at the end of a way out of a document.
pub fn take(branch: Branch, steps: &[Step]) -> Result<Value> {
    let mut value = Value::Map(branch);
    for step in steps {
        value = match (step, value) {
            (Step::Key(key), Value::Map(branch)) => {
                let found = branch.0.into_iter().find_map(|item| match item {
                    Item::Entry(name, value) if name == *key => Some(value),
                    _ => None,
                });
                found.ok_or_else(|| missing(&format!("component ['{key}'] not found")))?
            }
            (Step::Key(key), _) => {
                return Err(missing(&format!("component ['{key}'] not found")));
            }
            (Step::Place(at), Value::List(list)) => {
                let found = list.into_iter().nth(*at);
                found.ok_or_else(|| missing(&format!("component [{at}] accesses out of bounds")))?
            }
            (Step::Place(at), _) => {
                return Err(missing(&format!(
                    "component [{at}] is integer, but tree part is not a slice"
                )));
            }
        };
    }
    Ok(value)
}

fn missing(text: &str) -> Error {
    Error::general(format!("error truncating tree: {text}"))
}

/// The mappings and lists that a way needs, around a value.
fn built(steps: &[Step], value: Value) -> Value {
    steps.iter().rev().fold(value, |inner, step| match step {
        Step::Key(key) => Value::Map(Branch(vec![Item::Entry(key.clone(), inner)])),
        Step::Place(_) => Value::List(vec![inner]),
    })
}

/// Sets a value. What is missing on the way is made; a place behind a list's end is the one at its
/// end; a simple value on the way gives way. Was anything changed?
pub fn set(branch: &mut Branch, steps: &[Step], value: Value) -> Result<bool> {
    let mut root = Value::Map(std::mem::take(branch));
    let changed = set_in(&mut root, steps, value);
    if let Value::Map(map) = root {
        *branch = map;
    }
    changed
}

fn set_in(at: &mut Value, steps: &[Step], value: Value) -> Result<bool> {
    let Some((step, rest)) = steps.split_first() else {
        let changed = !same(at, &value);
        *at = value;
        return Ok(changed);
    };
    match (at, step) {
        (Value::Map(branch), Step::Key(key)) => {
            for item in &mut branch.0 {
                if let Item::Entry(name, inner) = item
                    && name == key
                {
                    return set_in(inner, rest, value);
                }
            }
            branch.push(key, built(rest, value));
            Ok(true)
        }
        (Value::Map(_), Step::Place(at)) => Err(Error::general(format!(
            "component [{at}] is integer, but tree part is not a slice"
        ))),
        (Value::List(list), Step::Place(at)) => match list.get_mut(*at) {
            Some(inner) => set_in(inner, rest, value),
            None => {
                list.push(built(rest, value));
                Ok(true)
            }
        },
        (Value::List(_), Step::Key(key)) => {
            Err(Error::general(format!("component ['{key}'] is a key, but tree part is a list")))
        }
        (other, _) => {
            *other = built(steps, value);
            Ok(true)
        }
    }
}

/// Are two values the same? Comments count by their text.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Comment(one), Value::Comment(other)) => one.text == other.text,
        (one, other) => one == other,
    }
}

/// What `unset` found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unset {
    /// It is gone.
    Done,
    /// It was not there; what is to be said of it.
    Missing(String),
}

/// Takes a value away.
pub fn unset(branch: &mut Branch, steps: &[Step]) -> Result<Unset> {
    let mut root = Value::Map(std::mem::take(branch));
    let done = unset_in(&mut root, steps);
    if let Value::Map(map) = root {
        *branch = map;
    }
    done
}

fn unset_in(at: &mut Value, steps: &[Step]) -> Result<Unset> {
    let Some((step, rest)) = steps.split_first() else {
        return Err(Error::general("the path of what is to be unset is empty"));
    };
    match (at, step) {
        (Value::Map(branch), Step::Key(key)) => {
            let found = branch
                .0
                .iter()
                .position(|item| matches!(item, Item::Entry(name, _) if name == key));
            let missing = || Ok(Unset::Missing(format!("Key not found: {key}")));
            let Some(place) = found else { return missing() };
            if rest.is_empty() {
                branch.0.remove(place);
                return Ok(Unset::Done);
            }
            match branch.0.get_mut(place) {
                Some(Item::Entry(_, inner)) => unset_in(inner, rest),
                _ => missing(),
            }
        }
        (Value::Map(_), Step::Place(at)) => Ok(Unset::Missing(format!("Key not found: {at}"))),
        (Value::List(list), Step::Place(at)) => {
            if *at >= list.len() {
                return Ok(Unset::Missing(format!("Index {at} out of bounds")));
            }
            if rest.is_empty() {
                list.remove(*at);
                return Ok(Unset::Done);
            }
            match list.get_mut(*at) {
                Some(inner) => unset_in(inner, rest),
                None => Ok(Unset::Missing(format!("Index {at} out of bounds"))),
            }
        }
        (Value::List(_), Step::Key(key)) => {
            Err(Error::general(format!("component ['{key}'] is a key, but tree part is a list")))
        }
        (other, Step::Key(key)) => {
            Err(Error::general(format!("Unsupported type: {} for item '{key}'", other.kind())))
        }
        (other, Step::Place(at)) => {
            Err(Error::general(format!("Unsupported type: {} for item '{at}'", other.kind())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::json;

    fn document(text: &str) -> Branch {
        json::load(text.as_bytes()).unwrap()
    }

    fn shown(branch: &Branch) -> String {
        let text = json::emit_compact(&Value::Map(branch.clone())).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn ways_are_read() {
        let key = |text: &str| Step::Key(text.into());
        assert_eq!(parse(r#"["a"][0]['b']"#).unwrap(), [key("a"), Step::Place(0), key("b")]);
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse(r#"["a.b"]['']"#).unwrap(), [key("a.b"), key("")]);
        for wrong in ["[\"a\"", "a", "[a]", "[-1]", "[\"]", "[1.5]", "[\"a\"] [0]"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_taken() {
        let text = r#"{"a": [{"b": 1}, 2], "c": null}"#;
        for (way, found) in [
            (r#"["a"][0]["b"]"#, Some("1")),
            (r#"["a"][1]"#, Some("2")),
            (r#"["a"]"#, Some(r#"[{"b":1},2]"#)),
            (r#"["c"]"#, Some("null")),
            (r#"["a"][2]"#, None),
            (r#"["a"]["b"]"#, None),
            (r#"["d"]"#, None),
            ("[0]", None),
            (r#"["c"]["d"]"#, None),
        ] {
            let value = take(document(text), &parse(way).unwrap());
            let value = value.ok().map(|value| json::emit_compact(&value).unwrap());
            assert_eq!(value.as_deref(), found.map(str::as_bytes), "{way}");
        }
    }

    #[test]
    fn values_are_set() {
        let text = r#"{"a":[1,2],"b":{"c":"x"}}"#;
        for (way, value, after, changed) in [
            (r#"["a"][0]"#, "9", r#"{"a":[9,2],"b":{"c":"x"}}"#, true),
            (r#"["a"][7]"#, "9", r#"{"a":[1,2,9],"b":{"c":"x"}}"#, true),
            (r#"["a"][7][3]"#, "9", r#"{"a":[1,2,[9]],"b":{"c":"x"}}"#, true),
            (r#"["b"]["c"]"#, r#""x""#, text, false),
            (r#"["b"]["d"]["e"]"#, "true", r#"{"a":[1,2],"b":{"c":"x","d":{"e":true}}}"#, true),
            (r#"["b"]["c"]["e"]"#, "0", r#"{"a":[1,2],"b":{"c":{"e":0}}}"#, true),
            (r#"["n"][0]["k"]"#, "1", r#"{"a":[1,2],"b":{"c":"x"},"n":[{"k":1}]}"#, true),
        ] {
            let mut branch = document(text);
            let value = json::value(value).unwrap();
            assert_eq!(set(&mut branch, &parse(way).unwrap(), value).unwrap(), changed, "{way}");
            assert_eq!(shown(&branch), after, "{way}");
        }
        for wrong in ["[0]", r#"["a"]["b"]"#] {
            let mut branch = document(text);
            assert!(set(&mut branch, &parse(wrong).unwrap(), Value::Null).is_err(), "{wrong}");
            assert_eq!(shown(&branch), text);
        }
    }

    #[test]
    fn values_are_taken_away() {
        let text = r#"{"a":[1,2],"b":{"c":"x"}}"#;
        for (way, after, done) in [
            (r#"["a"]"#, r#"{"b":{"c":"x"}}"#, true),
            (r#"["a"][0]"#, r#"{"a":[2],"b":{"c":"x"}}"#, true),
            (r#"["b"]["c"]"#, r#"{"a":[1,2],"b":{}}"#, true),
            (r#"["b"]["d"]"#, text, false),
            (r#"["a"][2]"#, text, false),
            (r#"["z"]["d"]"#, text, false),
        ] {
            let mut branch = document(text);
            let found = unset(&mut branch, &parse(way).unwrap()).unwrap();
            assert_eq!(found == Unset::Done, done, "{way}");
            assert_eq!(shown(&branch), after, "{way}");
        }
        assert!(unset(&mut document(text), &parse(r#"["b"]["c"]["d"]"#).unwrap()).is_err());
        assert!(unset(&mut document(text), &[]).is_err());
    }
}
