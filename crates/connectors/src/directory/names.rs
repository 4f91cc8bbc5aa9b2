//! Distinguished names (RFC 4514): their parts, and values put into them.

/// The parts of a name, the entry's own first; each is one or more types with their values.
pub type Parts = Vec<Vec<(String, String)>>;

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 16 * 1024;

/// `value` as it stands in a distinguished name for itself. `#` is escaped wherever it stands, as
/// Active Directory wants it.
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.len().saturating_sub(1);
    for (at, byte) in value.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' | b'#' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' ' if at == 0 || at == last => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                out.push('\\');
                out.push_str(&hex::encode([byte]));
            }
        }
    }
    out
}

/// The parts of a distinguished name; `None` for what is none.
pub fn parse(text: &str) -> Option<Parts> {
    if text.len() > NAME_BYTES_MAX {
        return None;
    }
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut parts = vec![Vec::new()];
    let mut rest = text.as_bytes();
    loop {
        let end = rest.iter().position(|byte| *byte == b'=')?;
        let (kind, after) = rest.split_at(end);
        let kind = std::str::from_utf8(kind).ok()?.trim();
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if kind.is_empty() || !kind.chars().all(good) {
            return None;
        }
        let (value, after) = value(after.get(1..)?)?;
        parts.last_mut()?.push((kind.to_owned(), value));
        match after.split_first() {
            None => return Some(parts),
            Some((b'+', after)) => rest = after,
            Some((_, after)) => {
                parts.push(Vec::new());
                rest = after;
            }
        }
    }
}

/// A value, and what begins with the separator after it.
fn value(text: &[u8]) -> Option<(String, &[u8])> {
    let text = text.trim_ascii_start();
    if let Some(digits) = text.strip_prefix(b"#") {
        let end = digits.iter().position(|b| matches!(b, b',' | b';' | b'+'));
        let (digits, rest) = digits.split_at(end.unwrap_or(digits.len()));
        let bytes = hex::decode(digits.trim_ascii_end()).ok()?;
        // An octet or character string in BER; others have no text.
        let (_, length) = super::ber::header(&bytes).ok()??;
        let content = bytes.get(bytes.len().checked_sub(length)?..)?;
        return Some((String::from_utf8(content.to_vec()).ok()?, rest));
    }
    let mut out = Vec::new();
    // Bytes up to the last that no trimming may take.
    let mut kept = 0;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b',' | b';' | b'+' => break,
            b'\\' => {
                let next = *text.get(at + 1)?;
                let mut plain = [0];
                match text.get(at + 1..at + 3).map(|d| hex::decode_to_slice(d, &mut plain)) {
                    Some(Ok(())) => {
                        out.extend(plain);
                        at += 3;
                    }
                    _ if b" \"#+,;<=>\\".contains(&next) => {
                        out.push(next);
                        at += 2;
                    }
                    _ => return None,
                }
                kept = out.len();
            }
            b'"' | 0 => return None,
            _ => {
                out.push(*byte);
                at += 1;
                if *byte != b' ' {
                    kept = out.len();
                }
            }
        }
    }
    out.truncate(kept);
    Some((String::from_utf8(out).ok()?, text.get(at..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let parts = |text| {
            let parts = parse(text)?;
            let one = |p: &Vec<(String, String)>| {
                p.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("+")
            };
            Some(parts.iter().map(one).collect::<Vec<_>>().join("|"))
        };
        for (text, expect) in [
            ("", ""),
            ("cn=a", "cn=a"),
            ("CN = a b , dc=x; dc=y", "CN=a b|dc=x|dc=y"),
            (r"cn=Smith\, Jane,ou=a\+b", "cn=Smith, Jane|ou=a+b"),
            (r"cn=\c3\a9\20,o=x", "cn=é |o=x"),
            (r"cn=a\ ,o=x", "cn=a |o=x"),
            ("cn=a+uid=b,o=", "cn=a+uid=b|o="),
            ("cn=#04026869,o=x", "cn=hi|o=x"),
            ("2.5.4.3=x", "2.5.4.3=x"),
        ] {
            assert_eq!(parts(text).as_deref(), Some(expect), "{text}");
        }
        for text in
            ["a", "admins", "=a", "c n=a", r"cn=\zz", r"cn=a\", "cn=a,", "cn=#0", "cn=\"a\""]
        {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn an_escaped_value_stands_for_itself_and_nothing_else() {
        // threat GHSA-6mwx-4547-5vc9
        for value in [
            "bob",
            " bob ",
            " ",
            "bob,ou=admins",
            "a+uid=b",
            "#04026869",
            "a\\,b",
            "é\0\n",
            "\"<>;=",
            "a  b",
        ] {
            let text = format!("cn={},dc=x", escape(value));
            let expect = vec![
                vec![("cn".to_owned(), value.to_owned())],
                vec![("dc".to_owned(), "x".to_owned())],
            ];
            assert_eq!(parse(&text), Some(expect), "{text}");
        }
        assert_eq!(escape("a#b, é"), r"a\#b\, \c3\a9");
    }
}
