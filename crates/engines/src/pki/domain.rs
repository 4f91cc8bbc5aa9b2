//! Host names, as roles look at them.

use super::bad;
use strongroom_base::Result;

/// Bytes of a whole name, and of one label (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// The ASCII form of a name: labels of other scripts in Punycode. ASCII names stay as they are; it
/// is no check of their letters.
pub fn to_ascii(name: &str) -> Result<String> {
    let ascii = if name.is_ascii() {
        name.to_owned()
    } else {
        idna::domain_to_ascii_strict(name)
            .map_err(|_| bad("a name is no internationalised domain name"))?
    };
    let whole = ascii.strip_suffix('.').unwrap_or(&ascii);
    let fits = |label: &str| !label.is_empty() && label.len() <= LABEL_BYTES_MAX;
    if whole.len() > NAME_BYTES_MAX || !whole.split('.').all(fits) {
        return Err(bad("idna: invalid label: a name, or a part of it, is empty or too long"));
    }
    Ok(ascii)
}

/// Letters, digits and inner hyphens.
fn is_label(label: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-';
    !label.is_empty()
        && label.chars().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// A host name, which `*.` may precede and a dot may end.
pub fn is_hostname(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    name.split('.').all(is_label)
}

/// A label with one `*` in it: alone, or before, after or within letters (RFC 6125 §6.4.3).
pub fn is_wildcard_label(label: &str) -> bool {
    let Some((before, after)) = label.split_once('*') else { return false };
    (before.is_empty() || is_label(before)) && (after.is_empty() || is_label(after))
}

/// The label with the wildcard and the rest of a name with `*` in it. None where it has more than
/// one, or has it elsewhere than in the first label.
pub fn split_wildcard(name: &str) -> Option<(&str, &str)> {
    let (label, rest) = name.split_once('.').unwrap_or((name, ""));
    (name.matches('*').count() == 1 && !rest.contains('*')).then_some((label, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, host) in [
            ("a", true),
            ("a.example.com", true),
            ("a.example.com.", true),
            ("*.example.com", true),
            ("-a.example.com", false),
            ("a-.example.com", false),
            ("a_b.example.com", false),
            ("a..b", false),
            ("", false),
            ("a*.example.com", false),
            ("a b", false),
        ] {
            assert_eq!(is_hostname(name), host, "{name}");
        }
        for (label, fits) in [("*", true), ("a*", true), ("*a", true), ("a*b", true), ("a", false)]
        {
            assert_eq!(is_wildcard_label(label), fits, "{label}");
        }
        assert_eq!(split_wildcard("*.a.b"), Some(("*", "a.b")));
        assert_eq!(split_wildcard("*"), Some(("*", "")));
        assert_eq!(split_wildcard("*.*.b"), None);
        assert_eq!(split_wildcard("a.*.b"), None);
        assert_eq!(to_ascii("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert!(to_ascii("a..b").is_err());
        assert!(to_ascii(&"a".repeat(64)).is_err());
    }
}
