//! Encrypted values as bytes: half of what their text takes. A large file has a million of them, and while
//! it is read they are there beside its text.
//!
//! Invariant: what is packed comes back as the text it was; what would not is not packed.

use base64::Engine as _;
// Of each text there is one that is read by it: what is read is written just so.
use base64::engine::general_purpose::STANDARD;
use strongroom_crypto::sealed_value::NONCE_BYTES;

use crate::cipher::{self, TAG_BYTES};

/// The kinds of values, in the order of their numbers.
const KINDS: [&str; 7] = ["str", "int", "float", "bool", "bytes", "time", "comment"];

/// A packed value: the number of its kind, the nonce, the tag, and what is sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// Packs a text, if it is an encrypted value as this program writes it.
    pub fn of(text: &str) -> Option<Self> {
        let parts = cipher::parts(text)?;
        let kind = KINDS.iter().position(|kind| *kind == parts.kind)?;
        let lengths = [parts.data, parts.iv, parts.tag, parts.kind].map(str::len);
        // Is nothing else there?
        (lengths.iter().sum::<usize>() + cipher::FIXED_BYTES == text.len()).then_some(())?;
        let mut packed = Vec::with_capacity(1 + NONCE_BYTES + TAG_BYTES + parts.data.len() / 4 * 3);
        packed.push(u8::try_from(kind).ok()?);
        STANDARD.decode_vec(parts.iv, &mut packed).ok()?;
        (packed.len() == 1 + NONCE_BYTES).then_some(())?;
        STANDARD.decode_vec(parts.tag, &mut packed).ok()?;
        (packed.len() == 1 + NONCE_BYTES + TAG_BYTES).then_some(())?;
        STANDARD.decode_vec(parts.data, &mut packed).ok()?;
        Some(Self(packed.into()))
    }

    /// The text.
    pub fn text(&self) -> String {
        let (kind, rest) = self.0.split_at_checked(1).unwrap_or_default();
        let (nonce, rest) = rest.split_at_checked(NONCE_BYTES).unwrap_or_default();
        let (tag, data) = rest.split_at_checked(TAG_BYTES).unwrap_or_default();
        let kind = kind.first().and_then(|kind| KINDS.get(usize::from(*kind)));
        cipher::text_of(kind.copied().unwrap_or_default(), nonce, tag, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_nothing_else_is_packed() {
        for kind in KINDS {
            for length in [1, 2, 3, 4, 100] {
                let text =
                    cipher::text_of(kind, &[7; NONCE_BYTES], &[9; TAG_BYTES], &vec![5; length]);
                let packed = Packed::of(&text).unwrap();
                assert_eq!(packed.text(), text);
                assert!(packed.0.len() < text.len());
                for other in [
                    format!("{text} "),
                    format!("{text}\n"),
                    text.replace(kind, "else"),
                    text.replace("iv:", "iv:B"),
                    text.replace("tag:", "tag:BBBB"),
                    text.replace("data:", "data:="),
                    text.replace("AES256", "AES128"),
                ] {
                    assert_eq!(Packed::of(&other), None, "{other}");
                }
            }
        }
        // The last bits of base64 that say nothing are not kept by bytes.
        let odd = cipher::text_of("str", &[0; NONCE_BYTES], &[0; TAG_BYTES], &[0]);
        assert!(Packed::of(&odd).is_some());
        assert_eq!(Packed::of(&odd.replace("data:AA==", "data:AB==")), None);
    }
}
