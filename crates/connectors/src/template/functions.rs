//! The functions that templates may call, as a table: what each takes and gives is data, so that a
//! call is checked when the template is read.
//!
//! Those of OpenBao's page "Username templating", its `decode_base64`, `hex`, `decode_hex` and
//! `glob`, and of Go `and or not len eq ne lt le gt ge print printf println`.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use strongroom_base::{Rng, Timestamp};
use strongroom_crypto::sha256;

use super::eval::Value;
use super::format::Format;
use super::parse::{Expr, Typed};
use super::{OUTPUT_BYTES_MAX, Position, RANDOM_MAX, layout};

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Bytes, mostly characters.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// `true` or `false`.
    Truth,
}

impl Kind {
    /// How errors call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a number",
            Self::Truth => "a truth value",
        }
    }
}

/// A function of templates.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What it gives.
    pub gives: Kind,
    /// What its first argument, a number, may be.
    pub(super) range: Option<RangeInclusive<i64>>,
    pub(super) body: Body,
}

/// The arguments of a function.
#[derive(Debug)]
pub enum Takes {
    /// One of each kind, in this order.
    These(&'static [Kind]),
    /// At least so many and at most so many of whatever kind.
    Any(usize, usize),
    /// At least so many and at most so many, all of the kind of the first, which is one of these.
    Alike(usize, usize, &'static [Kind]),
}

/// What a function does. Arguments are of the kinds that it takes.
type Body = fn(&Surroundings<'_>, &[Value]) -> Result<Value, &'static str>;

/// What there is beside the arguments.
pub(super) struct Surroundings<'a> {
    pub rng: &'a dyn Rng,
    pub now: Timestamp,
}

const TEXT: &[Kind] = &[Kind::Text];
const LENGTH_AND_TEXT: &[Kind] = &[Kind::Integer, Kind::Text];
const ORDERED: &[Kind] = &[Kind::Text, Kind::Integer];
const EVERY: &[Kind] = &[Kind::Text, Kind::Integer, Kind::Truth];

const fn function(name: &'static str, takes: Takes, gives: Kind, body: Body) -> Function {
    Function { name, takes, gives, range: None, body }
}

const fn of_text(name: &'static str, body: Body) -> Function {
    function(name, Takes::These(TEXT), Kind::Text, body)
}

const fn ordering(name: &'static str, body: Body) -> Function {
    function(name, Takes::Alike(2, 2, ORDERED), Kind::Truth, body)
}

const fn ranged(mut function: Function, from: i64, to: i64) -> Function {
    function.range = Some(RangeInclusive::new(from, to));
    function
}

/// All but `and`, `or` and `printf`, whose arguments are another matter.
pub static FUNCTIONS: &[Function] = &[
    of_text("lowercase", |_, a| each_character(a, lower)),
    of_text("uppercase", |_, a| each_character(a, upper)),
    function("replace", Takes::These(&[Kind::Text; 3]), Kind::Text, |_, a| replace(a)),
    ranged(
        function("truncate", Takes::These(LENGTH_AND_TEXT), Kind::Text, |_, a| truncate(a)),
        1,
        i64::MAX,
    ),
    ranged(
        function("truncate_sha256", Takes::These(LENGTH_AND_TEXT), Kind::Text, |_, a| {
            truncate_sha256(a)
        }),
        9,
        i64::MAX,
    ),
    of_text("sha256", |_, a| Ok(digest(text(a)?))),
    of_text("base64", |_, a| Ok(Value::text(STANDARD.encode(text(a)?)))),
    of_text("decode_base64", |_, a| decode_base64(text(a)?)),
    of_text("hex", |_, a| Ok(Value::text(hex::encode(text(a)?)))),
    of_text("decode_hex", |_, a| {
        hex::decode(text(a)?).map(Value::Text).map_err(|_| "the text is no hex")
    }),
    ranged(function("random", Takes::These(&[Kind::Integer]), Kind::Text, random), 0, RANDOM_MAX),
    function("uuid", Takes::These(&[]), Kind::Text, |s, _| Ok(Value::text(s.rng.uuid()))),
    function("unix_time", Takes::These(&[]), Kind::Text, |s, _| {
        Ok(Value::text(s.now.seconds().to_string()))
    }),
    function("unix_time_millis", Takes::These(&[]), Kind::Text, |s, _| {
        // Like Go's division: towards zero.
        Ok(Value::text((s.now.0 / 1_000_000).to_string()))
    }),
    of_text("timestamp", |s, a| layout::format(text(a)?, s.now).map(Value::Text)),
    function("glob", Takes::These(&[Kind::Text; 2]), Kind::Truth, |_, a| match a {
        [Value::Text(pattern), Value::Text(subject)] => Ok(Value::Truth(glob(pattern, subject))),
        _ => Err(MISTYPED),
    }),
    function("not", Takes::Any(1, 1), Kind::Truth, |_, a| {
        Ok(Value::Truth(!a.first().is_some_and(Value::is_true)))
    }),
    function("len", Takes::These(TEXT), Kind::Integer, |_, a| {
        Ok(Value::Integer(i64::try_from(text(a)?.len()).unwrap_or(i64::MAX)))
    }),
    function("eq", Takes::Alike(2, usize::MAX, EVERY), Kind::Truth, |_, a| match a {
        [first, others @ ..] => Ok(Value::Truth(others.contains(first))),
        [] => Err(MISTYPED),
    }),
    function("ne", Takes::Alike(2, 2, EVERY), Kind::Truth, |_, a| match a {
        [one, other] => Ok(Value::Truth(one != other)),
        _ => Err(MISTYPED),
    }),
    ordering("lt", |_, a| compare(a, Ordering::is_lt)),
    ordering("le", |_, a| compare(a, Ordering::is_le)),
    ordering("gt", |_, a| compare(a, Ordering::is_gt)),
    ordering("ge", |_, a| compare(a, Ordering::is_ge)),
    function("print", Takes::Any(0, usize::MAX), Kind::Text, |_, a| print(a, false)),
    function("println", Takes::Any(0, usize::MAX), Kind::Text, |_, a| print(a, true)),
];

/// Functions of Go's that are not here, so that the error can say so.
const LEFT_OUT: &[&str] = &["call", "html", "index", "js", "slice", "urlquery"];

/// Cannot happen: calls are checked before.
const MISTYPED: &str = "an argument is of the wrong kind";

/// A call as an expression and the kind of its value, or why it is none.
pub(super) fn call(
    name: &str,
    position: Position,
    arguments: Vec<Typed>,
) -> Result<(Expr, Kind), String> {
    match name {
        "and" | "or" => {
            let kind = alike(name, &arguments, 1, EVERY)?;
            Ok((Expr::Decide(name == "or", values(arguments)), kind))
        }
        "printf" => {
            let mut arguments = arguments.into_iter();
            let Some(Typed { expr: Expr::Text(format), .. }) = arguments.next() else {
                return Err("the first argument of printf must be a literal text".to_owned());
            };
            let arguments: Vec<Typed> = arguments.collect();
            let kinds: Vec<Kind> = arguments.iter().map(|a| a.kind).collect();
            let format = Format::parse(&format, &kinds)?;
            Ok((Expr::Format(format, position, values(arguments)), Kind::Text))
        }
        _ => {
            let Some(function) = FUNCTIONS.iter().find(|f| f.name == name) else {
                let left_out = LEFT_OUT.contains(&name);
                let why = if left_out { "is not supported" } else { "is not defined" };
                return Err(format!("function \"{name}\" {why}"));
            };
            check(function, &arguments)?;
            Ok((Expr::Call(function, position, values(arguments)), function.gives))
        }
    }
}

fn values(arguments: Vec<Typed>) -> Vec<Expr> {
    arguments.into_iter().map(|a| a.expr).collect()
}

/// Can the function be called with these?
fn check(function: &Function, arguments: &[Typed]) -> Result<(), String> {
    let name = function.name;
    match &function.takes {
        Takes::These(kinds) => {
            count(name, arguments.len(), kinds.len(), kinds.len())?;
            for (n, (argument, kind)) in arguments.iter().zip(*kinds).enumerate() {
                if argument.kind != *kind {
                    let (wants, has) = (kind.name(), argument.kind.name());
                    return Err(format!("argument {} of {name} is {has}, not {wants}", n + 1));
                }
            }
        }
        Takes::Any(min, max) => count(name, arguments.len(), *min, *max)?,
        Takes::Alike(min, max, kinds) => {
            count(name, arguments.len(), *min, *max)?;
            alike(name, arguments, *min, kinds)?;
        }
    }
    match (&function.range, arguments.first().map(|a| &a.expr)) {
        (Some(range), Some(Expr::Integer(value))) if !range.contains(value) => {
            Err(out_of_range(name, range))
        }
        _ => Ok(()),
    }
}

/// What is said of a number that a function cannot take.
pub(super) fn out_of_range(name: &str, range: &RangeInclusive<i64>) -> String {
    match (*range.start(), *range.end()) {
        (from, i64::MAX) => format!("the length for {name} must be at least {from}"),
        (from, to) => format!("the length for {name} must be from {from} to {to}"),
    }
}

fn count(name: &str, has: usize, min: usize, max: usize) -> Result<(), String> {
    if (min..=max).contains(&has) {
        return Ok(());
    }
    let wants = if min == max { format!("{min}") } else { format!("at least {min}") };
    Err(format!("wrong number of arguments for {name}: it takes {wants}, not {has}"))
}

/// The one kind of all arguments, which is one of `kinds`.
fn alike(name: &str, arguments: &[Typed], min: usize, kinds: &[Kind]) -> Result<Kind, String> {
    count(name, arguments.len(), min, usize::MAX)?;
    let kind = arguments.first().map_or(Kind::Text, |a| a.kind);
    if let Some(other) = arguments.iter().find(|a| a.kind != kind) {
        let (one, other) = (kind.name(), other.kind.name());
        return Err(format!("the arguments of {name} differ in kind: {one} and {other}"));
    }
    if !kinds.contains(&kind) {
        return Err(format!("{name} does not take {}", kind.name()));
    }
    Ok(kind)
}

fn text(arguments: &[Value]) -> Result<&[u8], &'static str> {
    match arguments {
        [Value::Text(text)] => Ok(text),
        _ => Err(MISTYPED),
    }
}

/// The characters as Go's `range` over a string gives them: each byte that belongs to none is one
/// U+FFFD.
pub(super) fn characters(bytes: &[u8]) -> impl Iterator<Item = (char, usize)> + '_ {
    bytes.utf8_chunks().flat_map(|chunk| {
        let whole = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        whole.chain(chunk.invalid().iter().map(|_| (char::REPLACEMENT_CHARACTER, 1)))
    })
}

fn each_character(a: &[Value], change: fn(char) -> char) -> Result<Value, &'static str> {
    Ok(Value::text(characters(text(a)?).map(|(c, _)| change(c)).collect::<String>()))
}

/// Go maps characters one to one ("simple" mappings of UnicodeData.txt), where Rust has the full
/// ones.
fn upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(one), None) => one,
        // Greek with iota subscript: the simple mapping is the title case.
        _ => match c {
            '\u{1f80}'..='\u{1faf}' if u32::from(c) & 8 == 0 => offset(c, 8),
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => offset(c, 9),
            _ => c,
        },
    }
}

fn offset(c: char, by: u32) -> char {
    char::from_u32(u32::from(c) + by).unwrap_or(c)
}

fn lower(c: char) -> char {
    // The one lower case of two characters begins with the simple one (U+0130).
    c.to_lowercase().next().unwrap_or(c)
}

/// All occurrences, from the left. An empty text occurs before each character and at the end.
fn replace(a: &[Value]) -> Result<Value, &'static str> {
    let [Value::Text(find), Value::Text(with), Value::Text(subject)] = a else {
        return Err(MISTYPED);
    };
    let mut out = Vec::with_capacity(subject.len());
    let mut rest = subject.as_slice();
    if find.is_empty() {
        for (_, length) in characters(subject) {
            out.extend_from_slice(with);
            let (character, others) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            out.extend_from_slice(character);
            rest = others;
            bounded(&out)?;
        }
        out.extend_from_slice(with);
        return Ok(Value::Text(out));
    }
    while let Some(first) = rest.first() {
        if let Some(behind) = rest.strip_prefix(find.as_slice()) {
            out.extend_from_slice(with);
            rest = behind;
            bounded(&out)?;
        } else {
            out.push(*first);
            rest = rest.get(1..).unwrap_or(&[]);
        }
    }
    Ok(Value::Text(out))
}

fn bounded(bytes: &[u8]) -> Result<(), &'static str> {
    if bytes.len() > OUTPUT_BYTES_MAX { Err("the value becomes too long") } else { Ok(()) }
}

fn truncate(a: &[Value]) -> Result<Value, &'static str> {
    let [Value::Integer(length), Value::Text(subject)] = a else { return Err(MISTYPED) };
    let length = usize::try_from(*length).unwrap_or(usize::MAX);
    Ok(Value::Text(subject.get(..length).unwrap_or(subject).to_vec()))
}

/// Hexadecimal digits of the hash that stand for what was cut off.
const HASH_DIGITS: usize = 8;

fn truncate_sha256(a: &[Value]) -> Result<Value, &'static str> {
    let [Value::Integer(length), Value::Text(subject)] = a else { return Err(MISTYPED) };
    let length = usize::try_from(*length).unwrap_or(usize::MAX);
    if subject.len() <= length {
        return Ok(Value::Text(subject.clone()));
    }
    let (kept, cut) = subject.split_at_checked(length - HASH_DIGITS).ok_or(MISTYPED)?;
    let mut out = kept.to_vec();
    out.extend(hex::encode(sha256(cut)).bytes().take(HASH_DIGITS));
    Ok(Value::Text(out))
}

fn digest(subject: &[u8]) -> Value {
    Value::text(hex::encode(sha256(subject)))
}

/// Go's decoder skips line ends, and does not mind bits beyond the last byte.
fn decode_base64(subject: &[u8]) -> Result<Value, &'static str> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
    let digits: Vec<u8> = subject.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    GeneralPurpose::new(&ALPHABET, CONFIG)
        .decode(digits)
        .map(Value::Text)
        .map_err(|_| "the text is no base64")
}

/// What names are drawn from.
const CHARSET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Letters and digits, each equally likely: bytes above the last multiple of their number are
/// drawn again.
fn random(surroundings: &Surroundings<'_>, a: &[Value]) -> Result<Value, &'static str> {
    let [Value::Integer(length)] = a else { return Err(MISTYPED) };
    let length = usize::try_from(*length).map_err(|_| MISTYPED)?;
    let mut out = Vec::with_capacity(length);
    let limit = u8::MAX - u8::MAX % CHARSET.len() as u8;
    while out.len() < length {
        let mut bytes = vec![0; length - out.len()];
        surroundings.rng.fill(&mut bytes);
        let usable = bytes.iter().filter(|b| **b < limit);
        out.extend(usable.filter_map(|b| CHARSET.get(usize::from(*b) % CHARSET.len())));
    }
    Ok(Value::Text(out))
}

/// Does the pattern match, in which `*` stands for any bytes?
fn glob(pattern: &[u8], subject: &[u8]) -> bool {
    let mut parts: Vec<&[u8]> = pattern.split(|b| *b == b'*').collect();
    let Some(last) = parts.pop() else { return subject.is_empty() };
    let Some((first, middle)) = parts.split_first() else { return subject == last };
    let Some(mut rest) = subject.strip_prefix(*first) else { return false };
    for part in middle.iter().filter(|part| !part.is_empty()) {
        let found = rest.windows(part.len()).position(|window| window == *part);
        let Some(behind) = found.and_then(|at| rest.get(at + part.len()..)) else { return false };
        rest = behind;
    }
    rest.ends_with(last)
}

fn compare(a: &[Value], holds: fn(Ordering) -> bool) -> Result<Value, &'static str> {
    let ordering = match a {
        [Value::Text(one), Value::Text(other)] => one.cmp(other),
        [Value::Integer(one), Value::Integer(other)] => one.cmp(other),
        _ => return Err(MISTYPED),
    };
    Ok(Value::Truth(holds(ordering)))
}

/// Go's `Sprint` has blanks between two values that are no texts, `Sprintln` between all.
fn print(a: &[Value], line: bool) -> Result<Value, &'static str> {
    let mut out = Vec::new();
    let mut before: Option<&Value> = None;
    for value in a {
        let is_text = |value: &Value| matches!(value, Value::Text(_));
        if before.is_some_and(|before| line || !(is_text(before) || is_text(value))) {
            out.push(b' ');
        }
        value.append_to(&mut out);
        bounded(&out)?;
        before = Some(value);
    }
    if line {
        out.push(b'\n');
    }
    Ok(Value::Text(out))
}
