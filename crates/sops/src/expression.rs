//! Regular expressions as Go writes them (RE2), for the engine of Rust: the two differ in what is a
//! digit (ASCII there), and in which marks need an escape.

use regex::Regex;

/// How large a compiled expression may become, in bytes.
const COMPILED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Compiles an expression of Go's. The error is a text for people.
pub fn compile(expression: &str) -> Result<Regex, String> {
    let mut builder = regex::RegexBuilder::new(&translate(expression));
    builder.size_limit(COMPILED_BYTES_MAX);
    builder.build().map_err(|_| format!("error parsing regexp: `{expression}`"))
}

/// The same expression in Rust's words.
fn translate(expression: &str) -> String {
    let letters: Vec<char> = expression.chars().collect();
    let mut out = String::with_capacity(expression.len() + 16);
    let mut at = 0;
    let mut in_class = false;
    while let Some(letter) = letters.get(at) {
        let next = letters.get(at + 1).copied();
        at += 1;
        match (letter, next) {
            ('\\', Some('Q')) => {
                let rest: String = letters.get(at + 1..).unwrap_or_default().iter().collect();
                let (literal, _) = rest.split_once("\\E").unwrap_or((&rest, ""));
                out.push_str(&regex::escape(literal));
                at += 1 + literal.chars().count() + 2;
            }
            ('\\', Some('p' | 'P' | 'x')) if letters.get(at + 1) == Some(&'{') => {
                // What stands in these braces is a name or a number.
                let kind = letters.get(at).unwrap_or(letter);
                let rest = letters.get(at + 2..).unwrap_or_default();
                let Some(length) = rest.iter().position(|letter| *letter == '}') else {
                    out.push('\\');
                    continue;
                };
                let inner: String = rest.iter().take(length).collect();
                out.push_str(&braced(*kind, &inner));
                at += 2 + length + 1;
            }
            ('\\', Some(escaped)) => {
                out.push_str(&escape(escaped, in_class));
                at += 1;
            }
            ('[', Some(':')) if in_class => {
                // A named class, to its end.
                let rest = letters.get(at..).unwrap_or_default();
                let length = rest.iter().position(|letter| *letter == ']').map_or(0, |end| end + 1);
                out.push('[');
                out.extend(rest.iter().take(length));
                at += length;
            }
            ('[', _) if in_class => out.push_str("\\["),
            ('[', _) => {
                in_class = true;
                out.push('[');
                // A bracket at the start of a class is one of its letters.
                if letters.get(at) == Some(&'^') {
                    out.push('^');
                    at += 1;
                }
                if letters.get(at) == Some(&']') {
                    out.push_str("\\]");
                    at += 1;
                }
            }
            (']', _) if in_class => {
                in_class = false;
                out.push(']');
            }
            ('&' | '~', _) if in_class => {
                out.push('\\');
                out.push(*letter);
            }
            ('-', Some('-')) if in_class => out.push_str("\\-"),
            ('{', _) if !in_class && !is_repetition(letters.get(at..).unwrap_or_default()) => {
                out.push_str("\\{");
            }
            _ => out.push(*letter),
        }
    }
    out
}

/// `\p{…}`, `\P{…}`, `\x{…}`. Go also says "not" by a mark within.
fn braced(kind: char, inner: &str) -> String {
    match (kind, inner.strip_prefix('^')) {
        ('p', Some(name)) => format!("\\P{{{name}}}"),
        ('P', Some(name)) => format!("\\p{{{name}}}"),
        _ => format!("\\{kind}{{{inner}}}"),
    }
}

fn escape(letter: char, in_class: bool) -> String {
    let (open, close) = if in_class { ("", "") } else { ("[", "]") };
    match letter {
        'd' => format!("{open}0-9{close}"),
        'w' => format!("{open}0-9A-Za-z_{close}"),
        's' => format!("{open}\\t\\n\\f\\r {close}"),
        'D' => "[^0-9]".into(),
        'W' => "[^0-9A-Za-z_]".into(),
        'S' => "[^\\t\\n\\f\\r ]".into(),
        'b' if !in_class => "(?-u:\\b)".into(),
        'B' if !in_class => "(?-u:\\B)".into(),
        letter => format!("\\{letter}"),
    }
}

/// Behind a `{`: digits, perhaps a comma and digits, and `}`.
fn is_repetition(rest: &[char]) -> bool {
    let Some(end) = rest.iter().position(|letter| *letter == '}') else { return false };
    let inner: String = rest.iter().take(end).collect();
    let (least, most) = inner.split_once(',').unwrap_or((&inner, ""));
    let digits = |text: &str| text.chars().all(|letter| letter.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn expressions_mean_what_go_means() {
        for (expression, text, matches) in [
            ("^(data|stringData)$", "data", true),
            ("^(data|stringData)$", "database", false),
            (r"^\d+$", "١٢٣", false),
            (r"^\d+$", "123", true),
            (r"\.enc\.yaml$", "a/b.enc.yaml", true),
            (r"[[]x", "[x", true),
            (r"[[a]", "[", true),
            (r"[]a]", "]", true),
            (r"[^]a]", "]", false),
            (r"[a&&b]", "&", true),
            (r"[[:alpha:]]{2}", "ab", true),
            (r"[\d_]+x", "1_x", true),
            (r"a{", "a{", true),
            (r"a{2}", "aa", true),
            (r"a{,2}", "a{,2}", true),
            (r"\Qa.b\E$", "a.b", true),
            (r"\Qa.b\E$", "axb", false),
            (r"(?i)secret", "SECRET", true),
            (r"\bkey\b", "a key b", true),
            (r"(?P<x>a)b", "ab", true),
            (r"^\p{L}+$", "añb", true),
            (r"^\p{L}+$", "a1", false),
            (r"^\P{L}{2}$", "12", true),
            (r"^\p{^L}$", "1", true),
            (r"^\p{Greek}$", "λ", true),
            (r"^\pL$", "x", true),
            (r"^\x{41}{2}$", "AA", true),
            (r"^\x{41}$", "x{41}", false),
            (r"^[\p{Lu}\x{30}]+$", "A0", true),
            ("", "anything", true),
        ] {
            assert_eq!(compile(expression).unwrap().is_match(text), matches, "{expression} {text}");
        }
        for wrong in [r"\p{L", r"\p{None such}", r"\x{", "(", "[", "*", r"\1", "(?=a)"] {
            assert!(compile(wrong).is_err(), "{wrong}");
        }
    }
}
