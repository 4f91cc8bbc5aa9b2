//! One spelling of names, by the rules by which directories compare them.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Characters that directories take for nothing (RFC 4518 §2.2) beside control characters.
const NOTHING: &[std::ops::RangeInclusive<char>] = &[
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{1806}'..='\u{1806}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fffc}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0000}'..='\u{e0fff}',
];

/// A name as it is looked for, counted and remembered: composed letters, one space for many, none
/// around, and lower case unless case matters. `None` where nothing is left, or where it holds
/// characters that a directory would not see.
pub(super) fn one_spelling(name: &str, case_sensitive: bool) -> Option<String> {
    let composed: String = name.nfkc().collect();
    let unseen = |c: char| {
        !c.is_whitespace() && (c.is_control() || NOTHING.iter().any(|range| range.contains(&c)))
    };
    if composed.chars().any(unseen) {
        return None;
    }
    let spaced = composed.split_whitespace().collect::<Vec<_>>().join(" ");
    let spelled = if case_sensitive { spaced } else { spaced.to_lowercase() };
    (!spelled.is_empty()).then_some(spelled)
}

/// A name as wrong guesses are counted by. It takes for the same whatever any directory does (accents
/// and all, as Active Directory): to count two people as one costs less than to let one guess twice.
pub(super) fn for_counting(name: &str) -> String {
    let spelled = one_spelling(name, false).unwrap_or_else(|| name.to_lowercase());
    let bare = spelled.nfkd().filter(|c| !is_combining_mark(*c));
    // Lower case of upper case folds what has several lower cases, or is two letters.
    let folded: String = bare.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    folded.replace('ς', "σ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_directory_takes_for_the_same_is_spelled_the_same() {
        // threats CVE-2025-6004, CVE-2025-6013
        for name in ["ann lee", " Ann  Lee ", "ANN\u{a0}LEE", "ａｎｎ lee", "ann\tlee"] {
            assert_eq!(one_spelling(name, false).as_deref(), Some("ann lee"), "{name:?}");
        }
        assert_eq!(one_spelling("e\u{301}va", false), one_spelling("É\u{76}A", false));
        assert_eq!(one_spelling(" Ann  Lee ", true).as_deref(), Some("Ann Lee"));
        for (name, same) in [
            ("Οδος", "ΟΔΟΣ"),
            ("straße", "STRASSE"),
            ("é", "e"),
            ("İ", "i"),
            ("ſ", "s"),
            (" Ann  Lee", "ann lee"),
        ] {
            assert_eq!(for_counting(name), for_counting(same), "{name}");
        }
        for name in ["", "  ", "an\u{ad}n", "a\u{200b}nn", "ann\0", "ann\u{fe0f}", "\u{feff}ann"] {
            assert_eq!(one_spelling(name, false), None, "{name:?}");
        }
    }
}
