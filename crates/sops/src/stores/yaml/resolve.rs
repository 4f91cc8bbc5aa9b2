//! What a scalar means, as go-yaml v3 has it: YAML 1.2's core, with numbers and times of 1.1.
//! `yes` and `on` are texts; `0x1F`, `0o17`, `017`, `0b101` and `1_000` are numbers.

use base64::Engine as _;

use super::scanner::Style;
use crate::numbers::{go_int, yaml_time};
use crate::tree::Value;

/// What a scalar means; the text of the failure if its tag forbids what it is.
pub fn resolve(tag: Option<&str>, text: String, style: Style) -> Result<Value, String> {
    let tag = tag.filter(|tag| *tag != "!").unwrap_or_default();
    if tag == "!!str" || (tag.is_empty() && style != Style::Plain) {
        return Ok(Value::text(text));
    }
    if tag == "!!binary" {
        let packed: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(packed);
        let bytes = bytes.map_err(|_| "!!binary value contains invalid base64 data".to_owned())?;
        return Ok(Value::of_bytes(bytes));
    }
    let expected = match tag {
        "" => None,
        "!!bool" | "!!int" | "!!float" | "!!null" | "!!timestamp" => Some(tag),
        _ => return Ok(Value::text(text)),
    };
    let found = plain(&text, tag.is_empty() || tag == "!!timestamp");
    let kind = match &found {
        None => "!!str",
        Some(Value::Bool(_)) => "!!bool",
        Some(Value::Int(_) | Value::Unsigned(_)) => "!!int",
        Some(Value::Float(_)) => "!!float",
        Some(Value::Time(_)) => "!!timestamp",
        Some(_) => "!!null",
    };
    match (found, expected) {
        (found, None) => Ok(found.unwrap_or_else(|| Value::text(text))),
        (Some(Value::Int(number)), Some("!!float")) => Ok(Value::Float(number as f64)),
        (Some(found), Some(expected)) if kind == expected => Ok(found),
        (_, Some(expected)) => Err(format!("cannot decode {kind} as a {expected}")),
    }
}

/// Would a text without quotes be read as something else? `y`, `no`, `1:30` and the like are
/// texts here, and not for readers of YAML 1.1.
pub fn needs_quotes(text: &str) -> bool {
    plain(text, true).is_some() || is_old_bool(text) || is_base_60(text)
}

fn is_old_bool(text: &str) -> bool {
    matches!(
        text,
        "y" | "Y"
            | "yes"
            | "Yes"
            | "YES"
            | "on"
            | "On"
            | "ON"
            | "n"
            | "N"
            | "no"
            | "No"
            | "NO"
            | "off"
            | "Off"
            | "OFF"
    )
}

/// `190:20:30` and `190:20:30.15`.
fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = text.split(':');
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let first = parts.next().unwrap_or_default();
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !digits(first) {
        return false;
    }
    let rest: Vec<&str> = parts.collect();
    let sixty = |part: &str| match part.as_bytes() {
        [one] => one.is_ascii_digit(),
        [ten @ b'0'..=b'5', one] => ten.is_ascii_digit() && one.is_ascii_digit(),
        _ => false,
    };
    let Some((last, between)) = rest.split_last() else { return false };
    let (whole, fraction) = last.split_once('.').unwrap_or((last, ""));
    between.iter().all(|part| sixty(part)) && sixty(whole) && digits(fraction)
}

/// What an unquoted text is, if it is no text.
fn plain(text: &str, times: bool) -> Option<Value> {
    let Some(first) = text.bytes().next() else { return Some(Value::Null) };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => word(text).or_else(|| point_float(text)),
        b'0'..=b'9' | b'+' | b'-' => word(text).or_else(|| number(text, times)),
        _ => None,
    }
}

fn word(text: &str) -> Option<Value> {
    Some(match text {
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        "~" | "null" | "Null" | "NULL" => Value::Null,
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => return None,
    })
}

fn number(text: &str, times: bool) -> Option<Value> {
    if times && let Some(time) = yaml_time(text) {
        return Some(Value::Time(time));
    }
    let joined = text.replace('_', "");
    if let Some(number) = go_int(&joined) {
        if let Ok(number) = i64::try_from(number) {
            return Some(Value::Int(number));
        }
        if let Ok(number) = u64::try_from(number) {
            return Some(Value::Unsigned(number));
        }
    }
    float(&joined)
}

/// `.5`: what starts with a point keeps its underscores.
fn point_float(text: &str) -> Option<Value> {
    float(text)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn float(text: &str) -> Option<Value> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let some = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    let fine = some && digits(whole) && fraction.is_none_or(digits);
    let exponent_fine = exponent.is_none_or(|exponent| {
        let bare = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !bare.is_empty() && digits(bare)
    });
    if !fine || !exponent_fine {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(Value::Float(number))
}
