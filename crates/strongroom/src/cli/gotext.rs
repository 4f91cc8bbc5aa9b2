//! Values as Go prints them: tables show `map[a:1 b:[x y]]`, `<nil>` and `768h`, and scripts that
//! cut tables apart depend on it.

use strongroom_base::json::Json;

/// A value as Go's `%v` prints it.
pub fn go_value(value: &Json) -> String {
    match value {
        Json::Null => "<nil>".into(),
        Json::Bool(bit) => bit.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(go_value).collect();
            format!("[{}]", items.join(" "))
        }
        Json::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            let pairs: Vec<String> =
                names.iter().map(|name| format!("{name}:{}", go_value(&members[*name]))).collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// A list of texts as Go's `%q` prints it.
pub fn go_quoted_list(items: Option<&Vec<String>>) -> String {
    let items: Vec<String> = items.into_iter().flatten().map(|item| go_quote(item)).collect();
    format!("[{}]", items.join(" "))
}

/// A text in Go's double quotes.
pub fn go_quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Seconds for a person: Go's form without the zeros at its end (`768h`, `1m30s`, `0s`).
pub fn human_seconds(seconds: i64) -> String {
    let text = strongroom_base::duration::format_go_seconds(seconds);
    let text = match text.strip_suffix("m0s") {
        Some(start) => format!("{start}m"),
        None => text,
    };
    text.replace("h0m", "h")
}

/// A member of an answer for a table: what looks like seconds is shown as a duration.
pub fn member_text(name: &str, value: &Json) -> String {
    match value.as_i64() {
        Some(seconds) if looks_like_seconds(name) => human_seconds(seconds),
        _ => go_value(value),
    }
}

fn looks_like_seconds(name: &str) -> bool {
    ["period", "ttl", "duration"]
        .iter()
        .any(|word| name == *word || name.strip_suffix(word).is_some_and(|s| s.ends_with('_')))
        || name == "lease_max"
        || name == "ttl_max"
}

/// Go's text of a duration in nanoseconds: `1h0m0s`, `1.5s`, `250ms`.
pub fn go_duration(nanos: i64) -> String {
    let second = 1_000_000_000;
    if nanos % second == 0 {
        return strongroom_base::duration::format_go_seconds(nanos / second);
    }
    let (sign, nanos) =
        if nanos < 0 { ("-", nanos.unsigned_abs()) } else { ("", nanos.unsigned_abs()) };
    let fraction = |value: u64, unit: u64, suffix: &str| {
        let digits = unit.ilog10() as usize;
        let rest = format!("{:0digits$}", value % unit);
        let rest = rest.trim_end_matches('0');
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{}{dot}{rest}{suffix}", value / unit)
    };
    let text = match nanos {
        n if n < 1_000 => format!("{n}ns"),
        n if n < 1_000_000 => fraction(n, 1_000, "µs"),
        n if n < 1_000_000_000 => fraction(n, 1_000_000, "ms"),
        n => {
            let (minutes, rest) = (n / 60_000_000_000, n % 60_000_000_000);
            let seconds = fraction(rest, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, m) => format!("{m}m{seconds}"),
                (h, m) => format!("{h}h{m}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_look_as_in_go() {
        for (value, text) in [
            (json!(null), "<nil>"),
            (json!(true), "true"),
            (json!(12), "12"),
            (json!("a b"), "a b"),
            (json!(["a", 1, null]), "[a 1 <nil>]"),
            (json!({"b": 1, "a": {"x": []}}), "map[a:map[x:[]] b:1]"),
            (json!({}), "map[]"),
        ] {
            assert_eq!(go_value(&value), text);
        }
        let number: Json = serde_json::from_str("1.50").unwrap();
        assert_eq!(go_value(&number), "1.50", "a number keeps its text");
    }

    #[test]
    fn durations_look_as_in_go() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (90, "1m30s"),
            (3600, "1h"),
            (3601, "1h1s"),
            (5400, "1h30m"),
            (2_764_800, "768h"),
        ] {
            assert_eq!(human_seconds(seconds), text);
        }
        for (nanos, text) in [
            (1_500_000_000, "1.5s"),
            (250_000_000, "250ms"),
            (61_000_000_000, "1m1s"),
            (1_500, "1.5µs"),
            (61_250_000_000, "1m1.25s"),
            (-500_000_000, "-500ms"),
        ] {
            assert_eq!(go_duration(nanos), text);
        }
        assert_eq!(member_text("max_ttl", &json!(3600)), "1h");
        assert_eq!(member_text("period", &json!(60)), "1m");
        assert_eq!(member_text("subttl", &json!(60)), "60");
        assert_eq!(member_text("ttl", &json!("60")), "60");
    }

    #[test]
    fn lists_of_policies_are_quoted() {
        let policies = vec!["default".to_owned(), "a\"b".to_owned()];
        assert_eq!(go_quoted_list(Some(&policies)), r#"["default" "a\"b"]"#);
        assert_eq!(go_quoted_list(None), "[]");
    }
}
