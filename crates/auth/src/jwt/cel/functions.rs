//! The functions that programs have beside the language's own: OpenBao's, and those whose library form
//! is not bounded.

use std::sync::Arc;

use cel::extractors::This;
use cel::{Context, ExecutionError, Value};
use regex::RegexBuilder;

use super::meter::{LOOPED, Meter, USED};
use super::values::{from_json, to_json};

/// Bytes of a text that a function makes.
const TEXT_BYTES_MAX: usize = 64 * 1_024;
/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 64 * 1_024;
/// What a pattern costs.
const PATTERN_UNITS: u64 = 2_000;

/// Our forms of functions, by the names that programs use and those in their trees.
pub const OURS: &[(&str, &str)] =
    &[("matches", "@matches"), ("replace", "@replace"), ("join", "@join")];

type Text = Arc<String>;

fn refuse<T>(function: &str, why: &str) -> Result<T, ExecutionError> {
    Err(ExecutionError::function_error(function, why))
}

/// Gives `cx` the functions.
pub fn add(cx: &mut Context<'_, '_>, meter: &Meter) -> Result<(), cel::DeclarationError> {
    let of = meter.clone();
    cx.add_function(USED, move |value: Value| of.used(value))?;
    let of = meter.clone();
    cx.add_function(LOOPED, move |value: Value, body: i64| of.looped(value, body))?;
    let of = meter.clone();
    cx.add_function("@matches", move |This(text): This<Text>, pattern: Text| {
        of.pay(PATTERN_UNITS)?;
        matches(&text, &pattern)
    })?;
    cx.add_function("@replace", |This(text): This<Text>, from: Text, to: Text| {
        replace(&text, &from, &to)
    })?;
    cx.add_function("@join", |This(list): This<Value>, between: Text| join(&list, &between))?;
    cx.add_function("encode_json", |value: Value| match (&value, to_json(&value)) {
        (Value::Map(_), Some(json)) => Value::String(Arc::new(json.to_string())),
        _ => Value::Bool(false),
    })?;
    cx.add_function("decode_json", |text: Text| {
        let json = strongroom_base::json::parse_bounded(text.as_bytes());
        json.map_or(Value::Bool(false), |json| from_json(&json))
    })?;
    cx.add_function("check_valid_email", |text: Text| is_email(&text))
}

fn matches(text: &str, pattern: &str) -> Result<bool, ExecutionError> {
    let compiled = RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build();
    match compiled {
        Ok(compiled) => Ok(compiled.is_match(text)),
        Err(_) => refuse("matches", "the pattern is none, or too large"),
    }
}

fn replace(text: &str, from: &str, to: &str) -> Result<Value, ExecutionError> {
    let times = text.matches(from).count();
    if text.len().saturating_add(times.saturating_mul(to.len())) > TEXT_BYTES_MAX {
        return refuse("replace", "the text is too long");
    }
    Ok(Value::String(Arc::new(text.replace(from, to))))
}

fn join(list: &Value, between: &str) -> Result<Value, ExecutionError> {
    let Value::List(list) = list else { return refuse("join", "what is joined is no list") };
    let mut joined = String::new();
    for (n, part) in list.iter().enumerate() {
        let Value::String(part) = part else { return refuse("join", "a part is no string") };
        if n > 0 {
            joined.push_str(between);
        }
        joined.push_str(part);
        if joined.len() > TEXT_BYTES_MAX {
            return refuse("join", "the text is too long");
        }
    }
    Ok(Value::String(Arc::new(joined)))
}

/// Is it an address of mail (RFC 5322 §3.4), with a name before it or without? Quoted and commented
/// forms, which no identity provider sends, are not.
fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<').map_or("", |(_, address)| address),
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let is_atom = |atom: &str| {
        let fits = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        !atom.is_empty() && atom.chars().all(fits)
    };
    local.split('.').all(is_atom) && domain.split('.').all(is_atom)
}

#[cfg(test)]
mod tests {
    use super::is_email;

    #[test]
    fn addresses_of_mail() {
        for (text, is) in [
            ("a@b.example", true),
            ("first.last+tag@b.example", true),
            ("A Name <a@b.example>", true),
            ("", false),
            ("a", false),
            ("@b", false),
            ("a@", false),
            ("a..b@c", false),
            (".a@c", false),
            ("a b@c", false),
            ("a@b@c", false),
            ("<a@b", false),
        ] {
            assert_eq!(is_email(text), is, "{text}");
        }
    }
}
