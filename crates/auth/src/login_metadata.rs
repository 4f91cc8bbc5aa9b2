//! Which facts of a login become metadata of its token and alias, as an operator chooses them
//! (Vault's `iam_metadata`, `ec2_metadata`, `gce_metadata`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result};

/// A field by which facts are chosen.
pub struct Choices {
    /// Its wire name.
    pub field: &'static str,
    /// Facts that are told unless others are chosen.
    pub default: &'static [&'static str],
    /// Facts that may be told besides.
    pub more: &'static [&'static str],
}

/// What was chosen; `None` is the default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Chosen(Option<Vec<String>>);

impl Choices {
    /// Takes over what a request gives; `default` stands for the default facts.
    pub fn choose(&self, chosen: &mut Chosen, given: Option<Vec<String>>) -> Result<()> {
        let Some(given) = given else { return Ok(()) };
        let mut names: Vec<String> = Vec::new();
        for name in given {
            if name == "default" {
                names.extend(self.default.iter().map(|n| (*n).to_owned()));
            } else if self.default.contains(&name.as_str()) || self.more.contains(&name.as_str()) {
                names.push(name);
            } else {
                // Clients look for these words.
                return Err(Error::bad_request(format!(
                    "{:?} contains an unavailable field, please select from {:?}",
                    self.field,
                    [self.default, self.more].concat().join(", "),
                )));
            }
        }
        names.sort();
        names.dedup();
        *chosen = Chosen(Some(names));
        Ok(())
    }

    /// The names of the facts that are told.
    pub fn names(&self, chosen: &Chosen) -> Vec<String> {
        let default = || self.default.iter().map(|n| (*n).to_owned()).collect();
        chosen.0.clone().unwrap_or_else(default)
    }

    /// Those of `facts` that are told. Empty ones never are.
    pub fn pick(&self, chosen: &Chosen, facts: &[(&str, &str)]) -> BTreeMap<String, String> {
        let names = self.names(chosen);
        let told = |(name, value): &&(&str, &str)| {
            !value.is_empty() && names.iter().any(|chosen| chosen == name)
        };
        facts.iter().filter(told).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Choices, Chosen};

    const CHOICES: Choices = Choices { field: "metadata", default: &["a", "b"], more: &["c"] };

    #[test]
    fn what_is_chosen_is_told() {
        let facts = [("a", "1"), ("b", ""), ("c", "3"), ("d", "4")];
        for (given, names, told) in [
            (None, "a b", "a=1"),
            (Some("c"), "c", "c=3"),
            (Some("default,c"), "a b c", "a=1 c=3"),
            (Some("default"), "a b", "a=1"),
            (Some(""), "", ""),
        ] {
            let mut chosen = Chosen::default();
            let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
            let given = given.map(|text| if text.is_empty() { Vec::new() } else { list(text) });
            CHOICES.choose(&mut chosen, given).unwrap();
            assert_eq!(CHOICES.names(&chosen).join(" "), names);
            let picked = CHOICES.pick(&chosen, &facts);
            let picked: Vec<_> = picked.iter().map(|(n, v)| format!("{n}={v}")).collect();
            assert_eq!(picked.join(" "), told);
        }
        let refused = CHOICES.choose(&mut Chosen::default(), Some(vec!["hunter2".to_owned()]));
        let text = refused.unwrap_err().public.join("");
        assert!(text.contains("a, b, c") && !text.contains("hunter2"), "{text}");
    }
}
