//! Versions of SOPS as files name them: semantic versions (semver.org 2.0), compared as SOPS does.

use std::cmp::Ordering;

/// The first version that sends encryption contexts of AWS KMS as they are (SOPS's pull request 435).
pub const CONTEXTS_SINCE: &str = "3.3.0";

/// One identifier of what stands before a release. Numbers are before words.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Identifier<'t> {
    Number(u64),
    Word(&'t str),
}

#[derive(Debug)]
struct Version<'t> {
    numbers: [u64; 3],
    before: Vec<Identifier<'t>>,
}

/// Is the version `a` newer than that of a file? The text of the failure says why one of both is none.
pub fn is_newer(a: &str, of_file: &str) -> Result<bool, String> {
    // The first versions of SOPS named themselves otherwise.
    if of_file.starts_with("1.") {
        return Ok(true);
    }
    let [a, b] = [a, of_file].map(|text| parse(text.strip_prefix('v').unwrap_or(text)));
    Ok(a?.order(&b?) == Ordering::Greater)
}

impl Version<'_> {
    fn order(&self, other: &Self) -> Ordering {
        let before = || match (self.before.is_empty(), other.before.is_empty()) {
            (true, true) => Ordering::Equal,
            // What stands before a release is older than it.
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.before.cmp(&other.before),
        };
        self.numbers.cmp(&other.numbers).then_with(before)
    }
}

fn parse(text: &str) -> Result<Version<'_>, String> {
    if text.is_empty() {
        return Err("Version string empty".into());
    }
    let (text, build) = text.split_once('+').map_or((text, None), |(text, it)| (text, Some(it)));
    let (core, before) = text.split_once('-').map_or((text, None), |(core, it)| (core, Some(it)));
    let parts: Vec<&str> = core.split('.').collect();
    let [major, minor, patch] = parts.as_slice() else {
        return Err("No Major.Minor.Patch elements found".into());
    };
    let numbers = [number(major)?, number(minor)?, number(patch)?];
    for part in build.into_iter().flat_map(|build| build.split('.')) {
        word(part)?;
    }
    let before = before.into_iter().flat_map(|before| before.split('.'));
    Ok(Version { numbers, before: before.map(identifier).collect::<Result<_, _>>()? })
}

fn number(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = text.len() > 1 && text.starts_with('0');
    let number = text.parse().ok().filter(|_| digits && !padded);
    number.ok_or_else(|| format!("Invalid number in a version: {text:?}"))
}

fn word(text: &str) -> Result<&str, String> {
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    good.then_some(text).ok_or_else(|| format!("Invalid identifier in a version: {text:?}"))
}

fn identifier(text: &str) -> Result<Identifier<'_>, String> {
    let text = word(text)?;
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => number(text).map(Identifier::Number),
        false => Ok(Identifier::Word(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_the_specification_says() {
        let ascending = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "2.0.0",
            "2.1.0",
            "2.1.10",
            "2.11.0",
        ];
        for (at, a) in ascending.iter().enumerate() {
            for (other, b) in ascending.iter().enumerate() {
                let (a, b) = (parse(a).unwrap(), parse(b).unwrap());
                assert_eq!(a.order(&b), at.cmp(&other), "{a:?} {b:?}");
            }
        }
        assert_eq!(is_newer("3.3.0", "3.3.0+build.007"), Ok(false));
    }

    #[test]
    fn what_is_no_version_is_told() {
        for (version, newer) in [
            ("3.2.9", true),
            ("v3.2.9", true),
            ("1.whatever", true),
            ("3.3.0", false),
            ("v3.3.1", false),
        ] {
            assert_eq!(is_newer("3.3.0", version), Ok(newer), "{version}");
        }
        for wrong in [
            "", "3", "3.1", "v", "3.1.1.1", "a.b.c", "3.01.1", "3.1.1-", "3.1.1-01", "3.1.1+",
            "3.1.+1", "3.1.1 ",
        ] {
            assert!(is_newer("3.3.0", wrong).is_err(), "{wrong}");
        }
    }
}
