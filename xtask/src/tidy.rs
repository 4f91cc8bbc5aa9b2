//! Small signs of order that a person would otherwise have to look for.

use crate::workspace::{Source, Workspace};

/// What is wrong.
pub fn check(workspace: &Workspace) -> Vec<String> {
    let mut wrong: Vec<String> = workspace.sources.iter().flat_map(check_source).collect();
    wrong.extend(check_kinds(workspace));
    wrong
}

/// Records of namespaces are told apart by their kinds: no two types have one.
fn check_kinds(workspace: &Workspace) -> Vec<String> {
    let mut seen = std::collections::BTreeMap::new();
    let mut wrong = Vec::new();
    let namespaced = |path: &str| {
        path.starts_with("crates/kernel/src/") || path.starts_with("crates/system/src/")
    };
    for source in workspace.sources.iter().filter(|s| namespaced(&s.path)) {
        let kinds = source.text.lines().filter_map(|line| {
            line.trim().strip_prefix("const KIND: u8 = ")?.strip_suffix(';')?.parse::<u8>().ok()
        });
        for kind in kinds.filter(|kind| *kind >= 200) {
            if let Some(other) = seen.insert(kind, &source.path) {
                wrong.push(format!("{}: kind {kind} is that of a record in {other}", source.path));
            }
        }
    }
    wrong
}

/// Words that belong to one machine or one package registry. They are put together here, so that
/// this file does not hold them.
fn foreign_words() -> Vec<String> {
    let mut words: Vec<String> =
        ["work", "root"].iter().map(|folder| format!("/{folder}/")).collect();
    for (name, end) in [
        ("static.crates", "io"),
        ("index.crates", "io"),
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry.npmjs", "org"),
        ("proxy.golang", "org"),
    ] {
        words.push(format!("{name}.{end}"));
    }
    words
}

/// Does a line hold the word by itself, not inside of a longer path?
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '}'))
    })
}

fn check_source(source: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let path = &source.path;
    if path == "Cargo.lock" || path == "LICENSE" {
        return wrong;
    }
    // Data of foreign programs stays as it is.
    let data = path.contains("testdata/");
    let words = foreign_words();
    for (number, line) in source.text.lines().enumerate() {
        let number = number + 1;
        if let Some(word) = words.iter().find(|word| names(line, word)) {
            wrong.push(format!("{path}:{number}: {word} belongs to one machine or registry"));
        }
        if line.ends_with([' ', '\t']) && !path.ends_with(".md") && !data {
            wrong.push(format!("{path}:{number}: trailing space"));
        }
        // A known wrong must say what is wrong.
        let bare = format!("FIX{}", "ME");
        if let Some((_, reason)) = line.split_once(&bare)
            && reason.trim_matches([':', ' ']).len() < 10
        {
            wrong.push(format!("{path}:{number}: {bare} without a reason"));
        }
    }
    let documented = source.text.starts_with("//!") || source.text.starts_with("#!");
    if path.ends_with(".rs") && !documented && !is_test(path) {
        wrong.push(format!("{path}: says not why it exists (//! at its top)"));
    }
    if !data && !source.text.is_empty() && !source.text.ends_with('\n') {
        wrong.push(format!("{path}: no line end at its end"));
    }
    wrong
}

/// Modules of tests belong to the module that they test, and to its documentation.
fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// What is only told: open ends, and files that have become long.
pub fn notes(workspace: &Workspace) -> Vec<String> {
    let marks = [format!("TO{}", "DO"), format!("FIX{}", "ME")];
    let mut notes = Vec::new();
    for source in workspace.sources.iter().filter(|source| source.path.ends_with(".rs")) {
        for (number, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                notes.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
        let lines = source.text.lines().count();
        if lines > 700 {
            notes.push(format!("{}: {lines} lines", source.path));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let wrong = check(&Workspace::load().unwrap());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_check_itself_sees_disorder() {
        let path = "crates/base/src/x.rs".to_owned();
        for (text, count) in [
            ("//! Why.\n".to_owned(), 0),
            ("fn f() {}\n".to_owned(), 1),
            ("//! Why. \n".to_owned(), 1),
            ("//! Why.".to_owned(), 1),
            (format!("//! See {}x.\n", foreign_words()[0]), 1),
            (format!("//! FIX{}: x\n", "ME"), 1),
            (format!("//! FIX{}: the peer answers 404 here\n", "ME"), 0),
        ] {
            let wrong = check_source(&Source { path: path.clone(), text: text.clone() });
            assert_eq!(wrong.len(), count, "{text:?}: {wrong:?}");
        }
    }
}
