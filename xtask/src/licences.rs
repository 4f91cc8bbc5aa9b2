//! Licences of everything in the lock file: only permissive ones (MPL-2.0 for one named crate).

use crate::workspace::{Package, Workspace};

const ALLOWED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "bzip2-1.0.6",
    "Unlicense",
    "OpenSSL",
];

/// Crates that may have another licence.
const EXCEPTIONS: &[(&str, &str)] = &[("uluru", "MPL-2.0")];

/// What is wrong.
pub fn check(workspace: &Workspace) -> Vec<String> {
    workspace
        .packages
        .iter()
        .filter(|package| !fine(package))
        .map(|package| {
            let licence = package.licence.as_deref().unwrap_or("none");
            format!("{} {}: licence {licence}", package.name, package.version)
        })
        .collect()
}

fn fine(package: &Package) -> bool {
    let licence = package.licence.as_deref().unwrap_or_default();
    EXCEPTIONS.contains(&(package.name.as_str(), licence)) || allowed(licence)
}

/// Reads an SPDX expression: of `OR` one side must be allowed, of `AND` both. `/` is the old way
/// to write `OR`.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let value = either(&mut rest);
    value && rest.is_empty()
}

fn either(words: &mut &[&str]) -> bool {
    let mut value = both(words);
    while let ["OR", rest @ ..] = words {
        *words = rest;
        value |= both(words);
    }
    value
}

fn both(words: &mut &[&str]) -> bool {
    let mut value = one(words);
    while let ["AND", rest @ ..] = words {
        *words = rest;
        value &= one(words);
    }
    value
}

fn one(words: &mut &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let value = either(words);
            if let [")", rest @ ..] = *words {
                *words = rest;
                return value;
            }
            false
        }
        [name, "WITH", exception, rest @ ..] => {
            *words = rest;
            ALLOWED.contains(&format!("{name} WITH {exception}").as_str())
        }
        [name, rest @ ..] => {
            *words = rest;
            ALLOWED.contains(name)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_licences_are_permissive() {
        let wrong = check(&Workspace::load().unwrap());
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn expressions_are_read_as_spdx_says() {
        for (expression, fine) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("MIT/Apache-2.0", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND LGPL-2.1", false),
            ("Apache-2.0 WITH LLVM-exception OR GPL-2.0", true),
            ("GPL-3.0", false),
            ("", false),
            ("MIT (", false),
        ] {
            assert_eq!(allowed(expression), fine, "{expression}");
        }
    }
}
