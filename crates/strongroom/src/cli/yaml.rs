//! YAML for output only, in the form Vault's tools print: sorted names, lists flush with their
//! name, texts quoted only where a reader could take them for something else. That includes the
//! words of YAML 1.1 (`y`, `no`, `on`), which many readers still know.

use strongroom_base::json::{Json, JsonMap};

/// A document as YAML, without a line end.
pub fn to_yaml(value: &Json) -> String {
    let mut out = String::new();
    match value {
        Json::Object(members) if !members.is_empty() => mapping(&mut out, members, 0),
        Json::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => scalar(&mut out, other, 0),
    }
    out.trim_end_matches('\n').to_owned()
}

fn mapping(out: &mut String, members: &JsonMap, depth: usize) {
    let mut names: Vec<&String> = members.keys().collect();
    names.sort();
    for (i, name) in names.into_iter().enumerate() {
        if i > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        text(out, name, None);
        out.push(':');
        match &members[name] {
            Json::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, inner, depth + 1);
            }
            Json::Array(items) if !items.is_empty() => {
                out.push('\n');
                sequence(out, items, depth);
            }
            other => {
                out.push(' ');
                scalar(out, other, depth);
                out.push('\n');
            }
        }
    }
}

fn sequence(out: &mut String, items: &[Json], depth: usize) {
    for (i, item) in items.iter().enumerate() {
        if i > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        out.push_str("- ");
        match item {
            Json::Object(inner) if !inner.is_empty() => mapping(out, inner, depth + 1),
            Json::Array(inner) if !inner.is_empty() => sequence(out, inner, depth + 1),
            other => {
                scalar(out, other, depth);
                out.push('\n');
            }
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    out.push_str(&"  ".repeat(depth));
}

fn scalar(out: &mut String, value: &Json, depth: usize) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(bit) => out.push_str(if *bit { "true" } else { "false" }),
        Json::Number(number) => out.push_str(&number.to_string()),
        Json::String(string) => text(out, string, Some(depth)),
        Json::Array(_) => out.push_str("[]"),
        Json::Object(_) => out.push_str("{}"),
    }
}

/// A text; `depth` is given where a block of lines may stand.
fn text(out: &mut String, string: &str, depth: Option<usize>) {
    let control = |c: char| c.is_control() && c != '\n';
    if string.chars().any(control) || (string.contains('\n') && !fits_block(string, depth)) {
        out.push_str(&quoted(string));
    } else if string.contains('\n') {
        block(out, string, depth.unwrap_or_default());
    } else if string.is_empty() || means_something_else(string) {
        out.push_str(&quoted(string));
    } else if reads_as_syntax(string) {
        out.push_str(&format!("'{}'", string.replace('\'', "''")));
    } else {
        out.push_str(string);
    }
}

/// A block can hold whole lines whose first does not begin with a space, and which are not all
/// empty.
fn fits_block(string: &str, depth: Option<usize>) -> bool {
    depth.is_some() && !string.starts_with([' ', '\n']) && !string.contains(" \n")
}

fn block(out: &mut String, string: &str, depth: usize) {
    let body = string.trim_end_matches('\n');
    let ends = string.len() - body.len();
    out.push_str(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(out, depth + 1);
            out.push_str(line);
        }
    }
    out.push_str(&"\n".repeat(ends.saturating_sub(1)));
}

/// JSON's quoting is YAML's, too.
fn quoted(string: &str) -> String {
    Json::String(string.to_owned()).to_string()
}

/// A number, a time, a truth value, nothing: in any version of YAML.
fn means_something_else(string: &str) -> bool {
    const WORDS: [&str; 13] =
        ["~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf", "-.inf"];
    let lower = string.to_ascii_lowercase();
    if WORDS.contains(&lower.as_str()) || string == "=" || string == "<<" {
        return true;
    }
    let digits = lower.trim_start_matches(['+', '-']);
    let first = digits.trim_start_matches('.').chars().next();
    if !first.is_some_and(|c| c.is_ascii_digit()) {
        return false;
    }
    let plain = digits.replace('_', "");
    let number = plain.parse::<f64>().is_ok();
    let based = ["0x", "0o", "0b"].iter().any(|start| {
        plain.strip_prefix(start).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()))
    });
    // 12:30:45 was a number once, and 2026-01-02… is a time.
    let sexagesimal =
        plain.contains(':') && plain.chars().all(|c| c.is_ascii_digit() || c == ':' || c == '.');
    let date = plain.len() >= 8
        && plain.get(4..5) == Some("-")
        && plain.get(..4).is_some_and(|year| year.bytes().all(|b| b.is_ascii_digit()))
        && plain.chars().all(|c| c.is_ascii_digit() || "-:tz+. ".contains(c));
    number || based || sexagesimal || date
}

/// Something a reader would take for YAML's own signs.
fn reads_as_syntax(string: &str) -> bool {
    let starts = string.starts_with([
        '!', '&', '*', '{', '}', '[', ']', ',', '#', '|', '>', '@', '`', '"', '\'', '%', ' ', ':',
    ]);
    let dash =
        string.starts_with("- ") || string.starts_with("? ") || string == "-" || string == "?";
    let marker = string.starts_with("---") || string.starts_with("...");
    starts
        || dash
        || marker
        || string.ends_with([' ', ':'])
        || string.contains(": ")
        || string.contains(" #")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_have_vaults_form() {
        let value = json!({
            "b": {"list": ["x", 1, null, {"k": "v", "a": []}, ["p", "q"]], "empty": {}},
            "a": true,
            "n": 1.50
        });
        assert_eq!(
            to_yaml(&value),
            "a: true\nb:\n  empty: {}\n  list:\n  - x\n  - 1\n  - null\n  - a: []\n    k: v\n  \
             - - p\n    - q\n\"n\": 1.5"
        );
        assert_eq!(to_yaml(&json!([])), "[]");
        assert_eq!(to_yaml(&json!("1")), "\"1\"");
    }

    #[test]
    fn texts_are_quoted_only_where_they_must() {
        for (string, yaml) in [
            ("plain text", "plain text"),
            ("", "\"\""),
            ("1", "\"1\""),
            ("-1.5e3", "\"-1.5e3\""),
            ("0x1F", "\"0x1F\""),
            ("12:30", "\"12:30\""),
            ("2026-01-02T03:04:05.6Z", "\"2026-01-02T03:04:05.6Z\""),
            ("2026-01-02", "\"2026-01-02\""),
            ("1.2.3", "1.2.3"),
            ("768h", "768h"),
            ("v2.6.2+x", "v2.6.2+x"),
            ("Yes", "\"Yes\""),
            ("n", "\"n\""),
            ("null", "\"null\""),
            ("hvs.CAES", "hvs.CAES"),
            ("a: b", "'a: b'"),
            ("it's", "it's"),
            ("*", "'*'"),
            ("- a", "'- a'"),
            ("#x", "'#x'"),
            ("a\tb", "\"a\\tb\""),
            ("ends: ", "'ends: '"),
        ] {
            assert_eq!(to_yaml(&json!(string)), yaml);
        }
        assert_eq!(to_yaml(&json!({"k": "a\n b\n\nc\n"})), "k: |\n  a\n   b\n\n  c");
        assert_eq!(to_yaml(&json!({"k": "a\nb", "l": 1})), "k: |-\n  a\n  b\nl: 1");
        assert_eq!(to_yaml(&json!({"k": " a\nb"})), "k: \" a\\nb\"");
    }
}
