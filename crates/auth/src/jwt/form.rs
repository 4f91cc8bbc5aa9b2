//! Names and values as forms and queries write them (`application/x-www-form-urlencoded`).

use std::fmt::Write as _;

use strongroom_base::{Secret, SecretString, percent};

/// Pairs in a form.
const PAIRS_MAX: usize = 64;

/// Adds `text`, encoded.
pub fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

/// Pairs as one text.
pub fn encode(pairs: &[(&str, &str)]) -> SecretString {
    let mut out = String::with_capacity(pairs.iter().map(|(n, v)| n.len() + 2 * v.len()).sum());
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        encode_into(&mut out, name);
        out.push('=');
        encode_into(&mut out, value);
    }
    SecretString::new(out)
}

/// The pairs of a text; `None` where it is none, or has too many.
pub fn decode(text: &str) -> Option<Vec<(String, SecretString)>> {
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == PAIRS_MAX {
            return None;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent::decode_query(name)?.to_string();
        pairs.push((name, Secret::new(percent::decode_query(value)?.to_string())));
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_as_they_were() {
        let pairs = [("a b", "ä&="), ("c", ""), ("e", "+~%")];
        let text = encode(&pairs);
        assert_eq!(text.expose_secret(), "a+b=%C3%A4%26%3D&c=&e=%2B~%25");
        let back = decode(text.expose_secret()).unwrap();
        let back: Vec<_> =
            back.iter().map(|(n, v)| (n.as_str(), v.expose_secret().as_str())).collect();
        assert_eq!(back, pairs);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for text in ["a=%", "a=%2", "a=%zz", "a=%ff", &"a=b&".repeat(PAIRS_MAX + 1)] {
            assert!(decode(text).is_none(), "{text}");
        }
        assert_eq!(decode("&&a").unwrap().len(), 1);
    }
}
