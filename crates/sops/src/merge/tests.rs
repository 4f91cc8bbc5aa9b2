//! Random documents against a model that knows leaves only, and the cases that such documents lack.

use std::collections::BTreeMap;
use std::slice::from_ref;

use super::*;

fn text(value: &str) -> Value {
    Value::text(value)
}

/// `key=value` words; `key{ … }` is a mapping, `#word` a comment.
fn branch(words: &str) -> Branch {
    fn read<'w>(words: &mut impl Iterator<Item = &'w str>) -> Branch {
        let mut branch = Branch::default();
        while let Some(word) = words.next() {
            if word == "}" {
                break;
            } else if let Some(comment) = word.strip_prefix('#') {
                branch.0.push(Item::Comment(Comment::new(comment)));
            } else if let Some(comment) = word.strip_prefix('~') {
                let comment = Comment { inline: true, ..Comment::new(comment) };
                branch.0.push(Item::Comment(comment));
            } else if let Some(key) = word.strip_suffix('{') {
                let inner = read(words);
                branch.push(key, Value::Map(inner));
            } else {
                let (key, value) = word.split_once('=').unwrap();
                branch.push(key, text(value));
            }
        }
        branch
    }
    read(&mut words.split_whitespace())
}

fn shown(branch: &Branch) -> String {
    let words = branch.0.iter().map(|item| match item {
        Item::Comment(comment) if comment.inline => format!("~{}", comment.text.as_str()),
        Item::Comment(comment) => format!("#{}", comment.text.as_str()),
        Item::Entry(key, Value::Map(inner)) => format!("{key}{{ {} }}", shown(inner)),
        Item::Entry(key, value) => format!("{key}={}", value.as_text().unwrap_or("?")),
        Item::Odd(odd) => odd.shown.clone(),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn check(base: &str, ours: &str, theirs: &str, expect: &str, conflicts: &[&str]) {
    let [base, ours, theirs] = [base, ours, theirs].map(|words| [branch(words)]);
    let merged = merge(&base, &ours, &theirs);
    assert_eq!(shown(&merged.branches[0]), expect);
    assert_eq!(paths(&merged), conflicts, "{expect}");
}

fn paths(merged: &Merged) -> Vec<&str> {
    merged.conflicts.iter().map(|conflict| conflict.path.as_str()).collect()
}

#[test]
fn a_conflict_says_whose_value_stands() {
    for (base, ours, theirs, said) in [
        ("a=1", "a=2", "a=3", "both changed a; the file has ours"),
        ("a=1 b=1", "b=1", "a=2 b=1", "ours removed a, and theirs changed it; the file has theirs"),
        ("a=1 b=1", "a=2 b=1", "b=1", "theirs removed a, and ours changed it; the file has ours"),
    ] {
        let [base, ours, theirs] = [base, ours, theirs].map(|words| [branch(words)]);
        let merged = merge(&base, &ours, &theirs);
        let conflicts: Vec<String> = merged.conflicts.iter().map(ToString::to_string).collect();
        assert_eq!(conflicts, [said]);
    }
}

#[test]
fn one_side_s_changes_are_taken_and_both_sides_conflict() {
    check("a=1", "a=1", "a=1", "a=1", &[]);
    check("a=1 b=1", "a=2 b=1", "a=1 b=2", "a=2 b=2", &[]);
    check("a=1", "a=2", "a=2", "a=2", &[]);
    check("a=1", "a=2", "a=3", "a=2", &["a"]);
    check("", "a=1", "a=2", "a=1", &["a"]);
    check("a=1 b=1", "b=1", "a=1 b=2", "b=2", &[]);
    // Removed here, changed there: it stays.
    check("a=1 b=1", "b=1", "a=2 b=1", "a=2 b=1", &["a"]);
    check("a=1 b=1", "a=2 b=1", "b=1", "a=2 b=1", &["a"]);
}

#[test]
fn mappings_are_merged_key_by_key() {
    check("m{ a=1 b=1 }", "m{ a=2 b=1 }", "m{ a=1 b=2 }", "m{ a=2 b=2 }", &[]);
    check("", "m{ a=1 }", "m{ b=1 }", "m{ b=1 a=1 }", &[]);
    check("m{ a=1 }", "m{ a=2 }", "m{ a=3 }", "m{ a=2 }", &["m.a"]);
    check("m=1", "m{ a=1 }", "m=2", "m{ a=1 }", &["m"]);
    check("m{ n{ a=1 } }", "m{ n{ a=1 c=1 } }", "m{ n{ } }", "m{ n{ c=1 } }", &[]);
    check("m{ a=1 b=1 }", "", "m{ a=1 b=1 }", "", &[]);
    check("m{ a=1 b=1 }", "", "m{ a=2 b=1 }", "m{ a=2 }", &["m.a"]);
}

#[test]
fn what_is_new_stands_behind_its_neighbour() {
    check("a=1 c=1", "a=1 c=1 d=1", "a=1 b=1 c=1", "a=1 b=1 c=1 d=1", &[]);
    check("a=1", "a=1", "z=1 a=1", "z=1 a=1", &[]);
    check("a=1", "b=1 a=1", "c=1 a=1", "c=1 b=1 a=1", &[]);
}

#[test]
fn comments_stay_with_their_keys() {
    check("#x a=1 b=1", "#x a=1 b=1", "#y a=1 b=2", "#y a=1 b=2", &[]);
    check("#x a=1", "#o a=1", "#t a=1", "#o #t a=1", &[]);
    check("a=1", "a=1", "a=2 ~i b=1 #end", "a=2 ~i b=1 #end", &[]);
    check("#x a=1 #y b=1", "#y b=1", "#x a=1 #y b=2", "#y b=2", &[]);
    check("a=1 #end", "a=1 #end b=1", "a=1 #end", "a=1 #end b=1", &[]);
}

#[test]
fn documents_are_merged_one_by_one_or_not_at_all() {
    let [one, two, three] = ["a=1", "a=2", "b=1"].map(branch);
    let merged = merge(
        &[one.clone(), three.clone()],
        &[two.clone(), three.clone()],
        &[one.clone(), two.clone()],
    );
    assert_eq!(merged.branches.iter().map(shown).collect::<Vec<_>>(), ["a=2", "a=2"]);
    let merged = merge(from_ref(&one), from_ref(&two), &[one.clone(), three]);
    assert_eq!(paths(&merged), ["the number of documents"]);
    assert_eq!(merged.branches, [two]);
}

/// Leaves of a document by their paths.
pub(super) type Leaves = BTreeMap<String, String>;

pub(super) struct Dice(pub u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Two levels of mappings and leaves, so that every change is one of a leaf.
pub(super) fn document(leaves: &Leaves) -> Branch {
    let mut top = Branch::default();
    for (path, value) in leaves {
        let (map, key) = path.split_once('.').unwrap();
        let known = top.0.iter_mut().find_map(|item| match item {
            Item::Entry(name, Value::Map(inner)) if name == map => Some(inner),
            _ => None,
        });
        match known {
            Some(inner) => inner.push(key, text(value)),
            None => {
                let mut inner = Branch::default();
                inner.push(key, text(value));
                top.push(map, Value::Map(inner));
            }
        }
    }
    top
}

fn leaves(branch: &Branch) -> Leaves {
    let mut all = Leaves::new();
    for (map, value) in branch.entries() {
        let Value::Map(inner) = value else { panic!("{map}") };
        for (key, value) in inner.entries() {
            all.insert(format!("{map}.{key}"), value.as_text().unwrap().to_owned());
        }
    }
    all
}

pub(super) fn changed(leaves: &Leaves, dice: &mut Dice) -> Leaves {
    let mut leaves = leaves.clone();
    for _ in 0..dice.roll(6) {
        let path = format!("m{}.k{}", dice.roll(3), dice.roll(5));
        if dice.roll(4) == 0 {
            leaves.remove(&path);
        } else {
            leaves.insert(path, dice.roll(4).to_string());
        }
    }
    leaves
}

#[test]
fn a_thousand_random_merges_are_those_of_the_leaves() {
    let mut dice = Dice(88_172_645_463_325_252);
    let (mut clean, mut conflicting) = (0, 0);
    for _ in 0..1_000 {
        let base = changed(&changed(&Leaves::new(), &mut dice), &mut dice);
        let (ours, theirs) = (changed(&base, &mut dice), changed(&base, &mut dice));
        let merged = merge(&[document(&base)], &[document(&ours)], &[document(&theirs)]);
        let mut expected = Leaves::new();
        let mut conflicts = Vec::new();
        let all = base.keys().chain(ours.keys()).chain(theirs.keys());
        for path in all.collect::<std::collections::BTreeSet<_>>() {
            let [b, o, t] = [&base, &ours, &theirs].map(|side| side.get(path));
            let value = if o == t || t == b {
                o
            } else if o == b {
                t
            } else {
                conflicts.push(path.clone());
                o.or(t)
            };
            expected.extend(value.map(|value| (path.clone(), value.clone())));
        }
        let mut told = paths(&merged);
        told.sort();
        assert_eq!(told, conflicts, "{base:?} {ours:?} {theirs:?}");
        assert_eq!(leaves(&merged.branches[0]), expected, "{base:?} {ours:?} {theirs:?}");
        match told.is_empty() {
            true => clean += 1,
            false => conflicting += 1,
        }
    }
    assert!(clean > 200 && conflicting > 100, "{clean} {conflicting}");
}
