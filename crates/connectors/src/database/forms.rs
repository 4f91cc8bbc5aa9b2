//! The forms in which Vault's SQL plug-ins take an operator's text of statements: SQL with `;`
//! between the statements, a JSON list with one statement in each member, and the base64 of either.
//!
//! Which of them a text is, is decided as there, in this order: what decodes as base64 is its
//! content, what then reads as a JSON list of texts is that list, all else is SQL.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// SQL of an operator's.
#[derive(PartialEq, Eq, Debug)]
pub struct Sql {
    /// The text.
    pub text: String,
    /// Is it one statement, whatever `;` there is in it?
    pub whole: bool,
}

/// The SQL of a text.
pub fn read(text: &str) -> Vec<Sql> {
    let text = text.trim();
    let decoded = decoded(text);
    let text = decoded.as_deref().unwrap_or(text);
    match serde_json::from_str::<Option<Vec<Option<String>>>>(text) {
        Ok(list) => list
            .into_iter()
            .flatten()
            .flatten()
            .map(|text| Sql { text: text.trim().to_owned(), whole: true })
            .filter(|sql| !sql.text.is_empty())
            .collect(),
        Err(_) => vec![Sql { text: text.to_owned(), whole: false }],
    }
}

/// The content of base64. Go's decoder skips line ends, and does not mind bits beyond the last byte.
///
/// A word that is base64 by chance (`ROLLBACK`) has mostly no text for content: there it is a
/// statement that fails, here it stays the word.
fn decoded(text: &str) -> Option<String> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let digits: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    let content = GeneralPurpose::new(&STANDARD, CONFIG).decode(digits).ok()?;
    String::from_utf8(content).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(texts: &[&str]) -> Vec<Sql> {
        texts.iter().map(|text| Sql { text: (*text).to_owned(), whole: true }).collect()
    }

    fn cut(text: &str) -> Vec<Sql> {
        vec![Sql { text: text.to_owned(), whole: false }]
    }

    #[test]
    fn the_form_of_a_text_is_seen() {
        for (text, expected) in [
            ("SELECT 1; SELECT 2;", cut("SELECT 1; SELECT 2;")),
            ("  SELECT 1 \n", cut("SELECT 1")),
            ("", cut("")),
            // SELECT 1; SELECT 2
            ("U0VMRUNUIDE7IFNFTEVDVCAy", cut("SELECT 1; SELECT 2")),
            (" U0VMRUNU\r\nIDE7IFNF\nTEVDVCAy\n", cut("SELECT 1; SELECT 2")),
            // SELECT 1, with padding; without it, it is no base64.
            ("U0VMRUNUIDE=", cut("SELECT 1")),
            ("U0VMRUNUIDF=", cut("SELECT 1")),
            ("U0VMRUNUIDE", cut("U0VMRUNUIDE")),
            ("U0VMRUNU IDE=", cut("U0VMRUNU IDE=")),
            // The other alphabet (a-_b) is none.
            ("YS1-_w==", cut("YS1-_w==")),
            (r#"["SELECT 1; SELECT 2"," SELECT 3 "]"#, whole(&["SELECT 1; SELECT 2", "SELECT 3"])),
            ("\n[ \"SELECT '\\u0061\\\"'\" ]\n", whole(&["SELECT 'a\"'"])),
            (r#"["", null, "SELECT 1"]"#, whole(&["SELECT 1"])),
            ("[]", vec![]),
            ("null", vec![]),
            // ["SELECT 1;", "SELECT 2"], and [].
            ("WyJTRUxFQ1QgMTsiLCAiU0VMRUNUIDIiXQ==", whole(&["SELECT 1;", "SELECT 2"])),
            ("W10=", vec![]),
            // Once, not twice: this is the base64 of base64.
            ("VTBWTVJVTlVJREU9", cut("U0VMRUNUIDE=")),
            // JSON, but no list of texts.
            ("[\"SELECT 1\", 2]", cut("[\"SELECT 1\", 2]")),
            ("\"SELECT 1\"", cut("\"SELECT 1\"")),
            ("{\"a\": \"b\"}", cut("{\"a\": \"b\"}")),
            ("[\"SELECT 1\"", cut("[\"SELECT 1\"")),
            ("[\"SELECT 1\"] x", cut("[\"SELECT 1\"] x")),
            // Base64 whose content is no text.
            ("ROLLBACK", cut("ROLLBACK")),
            ("SHOW", cut("SHOW")),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
