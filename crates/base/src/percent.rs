//! Percent-encoding (RFC 3986 §2.1), undone. What it stands for may be a password: it is wiped.

use zeroize::Zeroizing;

/// Undoes escapes once. None where one is broken, or what comes out is no UTF-8.
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
