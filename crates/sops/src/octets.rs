//! Keys and comments that are no UTF-8: INI and ENV keep whatever bytes stand in a file, and everything
//! else here has texts.
//!
//! A byte that is part of no character stands in a text as one of 128 characters at the end of Unicode's
//! private use; those characters themselves stand there byte by byte, so that nothing is ambiguous.
//!
//! Invariant: `bytes_of(&text_of(bytes))` is `bytes`.

use std::borrow::Cow;

/// The character of the byte 0.
const FIRST: u32 = 0x10_ff00;

/// How many bytes of UTF-8 each of the characters has.
const STAND_IN_BYTES: usize = 4;

fn byte_of(letter: char) -> Option<u8> {
    let byte = u8::try_from(u32::from(letter).checked_sub(FIRST)?).ok()?;
    (byte >= 0x80).then_some(byte)
}

/// Does a text stand for bytes, or has characters that would?
fn is_special(text: &str) -> bool {
    // The characters begin with this byte, which is rare.
    text.as_bytes().contains(&0xf4) && text.chars().any(|letter| byte_of(letter).is_some())
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    text.extend(bytes.iter().filter_map(|byte| char::from_u32(FIRST + u32::from(*byte))));
}

/// Bytes as a text.
pub fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        if is_special(valid) {
            let mut letter_bytes = [0; STAND_IN_BYTES];
            for letter in valid.chars() {
                match byte_of(letter) {
                    Some(_) => {
                        push_bytes(&mut text, letter.encode_utf8(&mut letter_bytes).as_bytes())
                    }
                    None => text.push(letter),
                }
            }
        } else {
            text.push_str(valid);
        }
        push_bytes(&mut text, chunk.invalid());
    }
    text
}

/// The same of what is UTF-8.
pub fn guarded(text: String) -> String {
    if is_special(&text) { text_of(text.as_bytes()) } else { text }
}

/// The bytes that a text stands for.
pub fn bytes_of(text: &str) -> Cow<'_, [u8]> {
    if !is_special(text) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut letter_bytes = [0; STAND_IN_BYTES];
    for letter in text.chars() {
        match byte_of(letter) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(letter.encode_utf8(&mut letter_bytes).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// The characters that a text stands for, where all of its bytes are some.
pub fn characters_of(text: &str) -> Option<Cow<'_, str>> {
    match bytes_of(text) {
        Cow::Borrowed(_) => Some(Cow::Borrowed(text)),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// The characters that a text stands for, with the mark for those that are none.
pub fn shown(text: &str) -> Cow<'_, str> {
    match bytes_of(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let reserved = "\u{10ff80}\u{10ffff}";
        for bytes in [
            &b""[..],
            b"plain",
            b"caf\xe9",
            b"\xff\xfe\x80",
            "äöü€".as_bytes(),
            reserved.as_bytes(),
            &[reserved.as_bytes(), b"\xe9x"].concat(),
            // Characters beside those that are taken.
            "\u{10ff7f}\u{10fe00}\u{fffd}".as_bytes(),
            // Cut off within a character.
            &"\u{10ff80}".as_bytes()[..3],
        ] {
            let text = text_of(bytes);
            assert_eq!(&*bytes_of(&text), bytes, "{bytes:?}");
            let utf8 = std::str::from_utf8(bytes).ok();
            assert_eq!(characters_of(&text).as_deref(), utf8, "{bytes:?}");
            if let Some(utf8) = utf8 {
                assert_eq!(guarded(utf8.to_owned()), text);
            }
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(&*bytes_of(&text_of(&all)), all);
        assert_eq!(shown(&text_of(b"caf\xe9")), "caf\u{fffd}");
    }
}
