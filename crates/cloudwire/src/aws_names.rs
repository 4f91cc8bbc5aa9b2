//! AWS's names as paths of the kv engine, and back: each name is one path and each path one name.
//!
//! A name is made of `[A-Za-z0-9/_+=.@-]`, those that AWS's services make of `!`, too (`rds!cluster-…`); it may
//! begin or end with a slash, or have several. A path has no empty segment and no `.` or `..`, but may have
//! other characters.
//!
//! * A segment that a path cannot have (`""`, `.`, `..`) stands in a path behind a tilde; a path's own
//!   segment that looks so has one tilde more.
//! * A byte that a name cannot have stands in a name as `=` and two capital hex digits; a name's own
//!   text that looks so has one `3D` more behind its `=`.
//!
//! Both are shifts by one, so that nothing is ambiguous: `a=20b` is the path `a b`, `a=3D20b` the path
//! `a=20b`, and `a=3Db` is `a=3Db`.
//!
//! The folder `ssm/` of paths is Parameter Store's: no name of Secrets Manager lies in it, or who may not use
//! the one service would read by the other. A name that begins so stands behind a tilde, too, and by the same
//! shift: the secret `ssm/x` is the path `~ssm/x`, and `~ssm/x` at another door is the secret `=7Essm/x`.

use std::fmt::Write;

/// Bytes of a secret's name (API page "CreateSecret").
pub const NAME_BYTES_MAX: usize = 512;

/// The folder of paths that Parameter Store's parameters lie in.
pub const PARAMETERS: &str = "ssm";

/// May a name have this byte?
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/_+=.@-!".contains(&byte)
}

/// Is it a name that AWS allows, whatever path it is?
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain)
}

/// May a secret be made by this name? Those with a `!` are names that only AWS's services give.
pub fn may_be_made(name: &str) -> bool {
    is_name(name) && !name.contains('!')
}

/// The path of a name; `None` where it is no name, or stands for bytes that are no text.
pub fn to_path(name: &str) -> Option<String> {
    if name.is_empty() || !name.bytes().all(is_plain) {
        return None;
    }
    if !name.contains('=') && !name.split('/').any(is_odd) {
        return Some(name.to_owned());
    }
    let segments: Option<Vec<String>> = name.split('/').map(segment_to_path).collect();
    segments.map(|segments| segments.join("/"))
}

/// The name of a path. It may be longer than AWS allows; that of `~` alone is empty, which no name is.
pub fn to_name(path: &str) -> String {
    // Without a tilde, which is no plain byte, no segment stands for an odd one.
    if path.bytes().all(|byte| is_plain(byte) && byte != b'=') {
        return path.to_owned();
    }
    path.split('/').map(segment_to_name).collect::<Vec<_>>().join("/")
}

/// The path of a secret's name; `None` as of [`to_path`]. It is never below [`PARAMETERS`].
pub fn to_secret_path(name: &str) -> Option<String> {
    let path = to_path(name)?;
    Some(if is_below_parameters(path.trim_start_matches('~')) { format!("~{path}") } else { path })
}

/// The path, with a slash at its end, of the folder that all secrets lie in whose names begin with `folder`
/// and a slash.
pub fn to_secret_folder(folder: &str) -> Option<String> {
    let mut path = to_secret_path(&format!("{folder}/-"))?;
    path.pop();
    Some(path)
}

/// The name of the secret at a path; `None` where that is a parameter.
pub fn to_secret_name(path: &str) -> Option<String> {
    if !is_below_parameters(path.trim_start_matches('~')) {
        return Some(to_name(path));
    }
    path.strip_prefix('~').map(to_name)
}

/// Is it a path in the folder of parameters?
fn is_below_parameters(path: &str) -> bool {
    path.strip_prefix(PARAMETERS).is_some_and(|rest| rest.starts_with('/'))
}

/// Does a segment, without the tildes before it, need one to stand in a path?
fn is_odd(segment: &str) -> bool {
    matches!(segment.trim_start_matches('~'), "" | "." | "..")
}

fn segment_to_path(segment: &str) -> Option<String> {
    let plain = String::from_utf8(unescape(segment.as_bytes())).ok()?;
    Some(if is_odd(&plain) { format!("~{plain}") } else { plain })
}

fn segment_to_name(segment: &str) -> String {
    let plain = match segment.strip_prefix('~') {
        Some(rest) if is_odd(rest) => rest,
        _ => segment,
    };
    escape(plain.as_bytes())
}

/// What follows a `=` where it is an escape, or looks like one: how many `3D` come first, and the byte
/// of the two digits behind them.
fn escaped(after: &[u8]) -> Option<(usize, u8)> {
    let mut rest = after;
    let mut shifts = 0;
    loop {
        let (digits, more) = rest.split_at_checked(2)?;
        let byte = byte_of(digits)?;
        if byte != b'=' {
            // A slash would make two segments of one.
            return (!is_plain(byte)).then_some((shifts, byte));
        }
        (rest, shifts) = (more, shifts + 1);
    }
}

fn byte_of(digits: &[u8]) -> Option<u8> {
    let capital = digits.iter().all(|d| d.is_ascii_digit() || (b'A'..=b'F').contains(d));
    let text = std::str::from_utf8(digits).ok().filter(|_| capital)?;
    u8::from_str_radix(text, 16).ok()
}

fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (*byte, escaped(after)) {
            (b'=', Some((0, byte))) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            // One shift less; what follows has no `=` of its own.
            (b'=', Some(_)) => {
                out.push(b'=');
                rest = after.get(2..).unwrap_or_default();
            }
            (byte, _) => out.push(byte),
        }
    }
    out
}

fn escape(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match *byte {
            b'=' if escaped(after).is_some() => out.push_str("=3D"),
            byte if is_plain(byte) => out.push(char::from(byte)),
            byte => {
                let _ = write!(out, "={byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_one_path() {
        for (name, path) in [
            ("app/db", "app/db"),
            ("/app//db/", "~/app/~/db/~"),
            ("/", "~/~"),
            ("a/./..", "a/~./~.."),
            ("...", "..."),
            ("a=20b", "a b"),
            ("a=3D20b", "a=20b"),
            ("a=3D3D20b", "a=3D20b"),
            ("a=3Db", "a=3Db"),
            ("a=41", "a=41"),
            ("a=2F", "a=2F"),
            ("a=2f=", "a=2f="),
            ("=C3=A9", "é"),
            ("=7E", "~~"),
            ("=7E=7E.", "~~~."),
            ("=7Ex", "~x"),
            ("=00", "\0"),
            ("rds!cluster-1", "rds!cluster-1"),
            ("a=21", "a=21"),
        ] {
            assert_eq!(to_path(name).as_deref(), Some(path), "{name}");
            assert_eq!(to_name(path), name, "{path}");
        }
        for name in ["", "a b", "é", "a~", "a%20", "=C3", "=FF", "a\\b"] {
            assert_eq!(to_path(name), None, "{name}");
        }
    }

    #[test]
    fn services_names_are_read_and_not_made() {
        assert!(is_name("rds!cluster-1") && !may_be_made("rds!cluster-1"));
        assert!(may_be_made("rds-cluster-1") && !may_be_made(""));
    }

    #[test]
    fn no_secret_is_called_what_a_parameter_is() {
        for (name, path) in [
            ("app/ssm/x", "app/ssm/x"),
            ("ssm", "ssm"),
            ("ssm/x", "~ssm/x"),
            ("ssm/", "~ssm/~"),
            ("ssm//x", "~ssm/~/x"),
            ("=7Essm/x", "~~ssm/x"),
            ("=7E=7Essm/x", "~~~ssm/x"),
            ("=7Essm", "~ssm"),
            ("/ssm/x", "~/ssm/x"),
            ("SSM/x", "SSM/x"),
            ("ssmx/y", "ssmx/y"),
        ] {
            assert_eq!(to_secret_path(name).as_deref(), Some(path), "{name}");
            assert_eq!(to_secret_name(path).as_deref(), Some(name), "{path}");
        }
        assert_eq!(to_secret_name("ssm/x"), None);
        assert_eq!(to_secret_name("ssm/ssm/x"), None);
        for (folder, path) in [("ssm", "~ssm/"), ("a", "a/"), ("", "~/"), ("ssm/a", "~ssm/a/")] {
            assert_eq!(to_secret_folder(folder).as_deref(), Some(path), "{folder}");
        }
    }

    #[test]
    fn nothing_is_lost_either_way() {
        // All short texts over the characters that matter.
        let signs = ["/", ".", "=", "3D", "20", "7E", "~", "a", " ", "2", "D", "ssm"];
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            let longer: Vec<String> =
                texts.iter().flat_map(|t| signs.map(|sign| format!("{t}{sign}"))).collect();
            for text in &longer {
                if let Some(path) = to_path(text) {
                    assert_eq!(&to_name(&path), text, "name {text:?}, path {path:?}");
                }
                if let Some(path) = to_secret_path(text) {
                    assert!(!is_below_parameters(&path), "name {text:?}, path {path:?}");
                    let name = to_secret_name(&path);
                    assert_eq!(name.as_ref(), Some(text), "secret {text:?}, path {path:?}");
                }
                let is_path = text.split('/').all(|s| !matches!(s, "" | "." | ".."));
                if is_path && text != "~" {
                    let name = to_name(text);
                    assert_eq!(to_path(&name).as_ref(), Some(text), "path {text:?}, name {name:?}");
                    match to_secret_name(text) {
                        Some(name) => {
                            assert_eq!(to_secret_path(&name).as_ref(), Some(text), "{name:?}")
                        }
                        None => assert!(text.starts_with("ssm/"), "path {text:?}"),
                    }
                }
            }
            texts = longer;
        }
    }
}
