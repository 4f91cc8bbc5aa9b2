//! Percent-encoding (RFC 3986 §2.1), done and undone.

use std::fmt::Write as _;

use zeroize::Zeroizing;

/// What RFC 3986 (§2.3) leaves as it is, beside letters and digits.
const UNRESERVED: &[u8] = b"-._~";

/// Escapes all but unreserved characters.
pub fn encode(text: &str) -> String {
    encode_but(text, UNRESERVED)
}

/// Escapes all but letters, digits and the characters `kept`.
pub fn encode_but(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // A string takes whatever is written.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Undoes escapes once; what is none stays, and what comes out is taken for UTF-8 as far as it is.
pub fn decode_lossy(text: &[u8]) -> String {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let escaped = digit(more.first()).zip(digit(more.get(1))).filter(|_| *first == b'%');
        let escaped = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        out.push(escaped.unwrap_or(*first));
        rest = more.get(if escaped.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Undoes escapes once; what they stand for may be a password, so it is wiped. None where one is broken,
/// or what comes out is no UTF-8.
pub fn decode(text: &str) -> Option<Zeroizing<String>> {
    decode_with(text, b'+')
}

/// The same of a query's part, in which a `+` is a space.
pub fn decode_query(text: &str) -> Option<Zeroizing<String>> {
    decode_with(text, b' ')
}

fn decode_with(text: &str, plus: u8) -> Option<Zeroizing<String>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            b'+' => plus,
            byte => byte,
        });
    }
    std::str::from_utf8(&out).ok().map(|text| Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_is_escaped() {
        assert_eq!(encode("aZ0-._~ /+%ü"), "aZ0-._~%20%2F%2B%25%C3%BC");
        assert_eq!(encode_but("a@b-c", b"@"), "a@b%2Dc");
    }

    #[test]
    fn what_is_no_escape_may_stay() {
        for (text, plain) in [
            ("%41+%2b", "A++"),
            ("%2541", "%41"),
            ("%", "%"),
            ("%4", "%4"),
            ("%zz%4", "%zz%4"),
            ("%%41", "%A"),
            ("%C3%BC", "ü"),
            ("%ff", "\u{fffd}"),
        ] {
            assert_eq!(decode_lossy(text.as_bytes()), plain, "{text}");
        }
    }

    #[test]
    fn escapes_are_undone_once() {
        for (text, plain, query) in [
            ("", Some(""), Some("")),
            ("a+b", Some("a+b"), Some("a b")),
            ("%41%2b%2B", Some("A++"), Some("A++")),
            ("%2541", Some("%41"), Some("%41")),
            ("%C3%BC", Some("ü"), Some("ü")),
            ("%", None, None),
            ("%4", None, None),
            ("%zz", None, None),
            ("%ü1", None, None),
            ("%ff", None, None),
        ] {
            assert_eq!(decode(text).as_deref().map(String::as_str), plain, "{text}");
            assert_eq!(decode_query(text).as_deref().map(String::as_str), query, "{text}");
        }
    }
}
