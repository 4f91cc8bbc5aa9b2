//! Names of roles, users and connections: the one alphabet that Vault's paths take.

use strongroom_base::{Error, ErrorKind, Result};

/// Bytes of a name (OpenBao's bound for role names).
pub const NAME_BYTES_MAX: usize = 4_096;

/// Refuses a name that Vault would not route: it begins and ends with a letter, digit or `_`, and
/// has besides these only `-`, `.` and `@` (`framework.GenericNameRegex`).
pub fn check(name: &str) -> Result<()> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = name.starts_with(word)
        && name.ends_with(word)
        && name.chars().all(|c| word(c) || matches!(c, '-' | '.' | '@'))
        && name.len() <= NAME_BYTES_MAX;
    if good { Ok(()) } else { Err(Error::new(ErrorKind::NoRoute, "unsupported path")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vaults_alphabet() {
        for name in ["a", "web-1", "x.y@z", "_", &"a".repeat(NAME_BYTES_MAX)] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a-", "a b", "ä", "a*b", "a+", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
