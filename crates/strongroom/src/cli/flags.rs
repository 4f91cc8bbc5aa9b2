//! Command-line flags the way Go's `flag` package reads them, because scripts written for Vault's
//! command line depend on it: one or two dashes, `-name=value` or `-name value`, booleans without
//! a value, and **no flag after the first argument** — what follows belongs to the command
//! (`kv put secret/a -x=1` writes a key named `-x`).
//!
//! A command's flags are a table of [`Flag`]s; parsing, help and shell completion read the same
//! table. (A general parser library knows neither single-dash long names nor that rule, so it would
//! need a pre-pass, a second help renderer and a second completion generator.)

use std::collections::BTreeMap;

use strongroom_base::duration::parse_duration_nanos;
use strongroom_client::parse_bool;

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing, or `=true`/`=false`.
    Bool,
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// A duration.
    Duration,
    /// A text, as often as wanted.
    List,
    /// `key=value`, as often as wanted.
    Map,
}

/// One flag of a command.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its name without dashes.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// What it does, one or more whole sentences.
    pub help: &'static str,
    /// What holds when it is not given, as the help shows it.
    pub default: &'static str,
    /// The variable that sets it, without prefix.
    pub env: &'static str,
    /// The word for its value in the help.
    pub value: &'static str,
    /// Not shown in the help.
    pub hidden: bool,
}

impl Flag {
    const fn new(name: &'static str, kind: Kind, value: &'static str, help: &'static str) -> Self {
        Self { name, aliases: &[], kind, help, default: "", env: "", value, hidden: false }
    }
    /// A switch.
    pub const fn bool(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Bool, "", help)
    }
    /// A text.
    pub const fn text(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Text, "string", help)
    }
    /// A number.
    pub const fn int(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Int, "int", help)
    }
    /// A duration.
    pub const fn duration(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Duration, "duration", help)
    }
    /// A repeatable text.
    pub const fn list(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::List, "string", help)
    }
    /// Repeatable pairs.
    pub const fn map(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Map, "key=value", help)
    }
    /// With further names.
    #[must_use]
    pub const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }
    /// With a default for the help.
    #[must_use]
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }
    /// With a variable.
    #[must_use]
    pub const fn env(mut self, env: &'static str) -> Self {
        self.env = env;
        self
    }
    /// Without a place in the help.
    #[must_use]
    pub const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.contains(&name)
    }
}

/// The flags that were given. A look-up names the flag as the command's table does.
#[derive(Default, Debug)]
pub struct Flags {
    given: BTreeMap<&'static str, Vec<String>>,
}

impl Flags {
    /// True if the flag was given, whatever its value.
    pub fn given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// A text, if given.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.given.get(name)?.last().map(String::as_str)
    }

    /// A text, empty if not given.
    pub fn text_or_empty(&self, name: &str) -> &str {
        self.text(name).unwrap_or_default()
    }

    /// A switch, off if not given.
    pub fn is(&self, name: &str) -> bool {
        self.bool(name).unwrap_or(false)
    }

    /// A switch, if given.
    pub fn bool(&self, name: &str) -> Option<bool> {
        parse_bool(self.text(name)?)
    }

    /// A number, if given.
    pub fn int(&self, name: &str) -> Option<i64> {
        parse_int(self.text(name)?)
    }

    /// A duration in nanoseconds, if given.
    pub fn nanos(&self, name: &str) -> Option<i64> {
        parse_duration_nanos(self.text(name)?)
    }

    /// A duration as the API takes it, if given.
    pub fn duration(&self, name: &str) -> Option<String> {
        self.nanos(name).map(super::gotext::go_duration)
    }

    /// A duration in whole seconds, zero if not given.
    pub fn seconds(&self, name: &str) -> i64 {
        self.nanos(name).unwrap_or(0) / 1_000_000_000
    }

    /// All values of a repeatable flag.
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.given.get(name).map(Vec::as_slice).unwrap_or_default();
        values.iter().map(|value| value.trim().to_owned()).collect()
    }

    /// All pairs of a repeatable flag.
    pub fn map(&self, name: &str) -> BTreeMap<String, String> {
        let values = self.given.get(name).map(Vec::as_slice).unwrap_or_default();
        values
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Splits a command's words into flags and arguments.
pub fn parse(table: &[&Flag], words: &[String]) -> Result<(Flags, Vec<String>), String> {
    let mut flags = Flags::default();
    let mut rest = words.iter();
    while let Some(word) = rest.as_slice().first() {
        if word == "--" {
            rest.next();
            break;
        }
        let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) else { break };
        rest.next();
        let body = body.strip_prefix('-').unwrap_or(body);
        let (name, inline) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(format!("bad flag syntax: {word}"));
        }
        let Some(flag) = table.iter().find(|flag| flag.is_called(name)) else {
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let value = match (inline, flag.kind) {
            (Some(value), _) => value.to_owned(),
            (None, Kind::Bool) => "true".to_owned(),
            (None, _) => match rest.next() {
                Some(value) => value.clone(),
                None => return Err(format!("flag needs an argument: -{name}")),
            },
        };
        check(flag, name, &value)?;
        flags.given.entry(flag.name).or_default().push(value);
    }
    Ok((flags, rest.cloned().collect()))
}

/// The complaint never repeats the value: it may be a secret in the wrong place.
fn check(flag: &Flag, name: &str, value: &str) -> Result<(), String> {
    let problem = match flag.kind {
        Kind::Bool if parse_bool(value).is_none() => "not a boolean (true or false)",
        Kind::Int if parse_int(value).is_none() => "not a whole number",
        Kind::Duration if parse_duration_nanos(value).is_none() => {
            "not a duration (such as 30s, 1h30m or 3600)"
        }
        Kind::Map if !value.contains('=') => "not of the form key=value",
        _ => return Ok(()),
    };
    Err(format!("invalid value for flag -{name}: {problem}"))
}

/// Go reads numbers with a prefix for their base.
fn parse_int(text: &str) -> Option<i64> {
    match text.get(..2) {
        Some("0x" | "0X") => i64::from_str_radix(&text[2..], 16).ok(),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Flag] = &[
        Flag::bool("force", "").alias(&["f"]),
        Flag::text("field", ""),
        Flag::int("version", ""),
        Flag::duration("ttl", ""),
        Flag::list("policy", ""),
        Flag::map("metadata", ""),
    ];

    fn split(words: &str) -> Result<(Flags, Vec<String>), String> {
        let table: Vec<&Flag> = TABLE.iter().collect();
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        parse(&table, &words)
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        for (words, field, force, args) in [
            ("-field=x a", Some("x"), false, "a"),
            ("-field x a", Some("x"), false, "a"),
            ("--field x --force a", Some("x"), true, "a"),
            ("-f a -field=x", None, true, "a -field=x"),
            ("-force=false a b=-", None, false, "a b=-"),
            ("-force=0 -force -", None, true, "-"),
            ("-field= -- -f", Some(""), false, "-f"),
            ("-field=a=b", Some("a=b"), false, ""),
            ("- -f", None, false, "- -f"),
        ] {
            let (flags, rest) = split(words).unwrap();
            assert_eq!(flags.text("field"), field, "{words}");
            assert_eq!(flags.is("force"), force, "{words}");
            assert_eq!(rest.join(" "), args, "{words}");
        }
    }

    #[test]
    fn values_are_typed() {
        let (flags, _) = split("-version=3 -ttl=90m -policy=a -policy b -metadata=k=v=w").unwrap();
        assert_eq!(flags.int("version"), Some(3));
        assert_eq!(flags.duration("ttl").as_deref(), Some("1h30m0s"));
        assert_eq!(flags.seconds("ttl"), 5400);
        assert_eq!(flags.list("policy"), ["a", "b"]);
        assert_eq!(flags.map("metadata").get("k").map(String::as_str), Some("v=w"));
        assert!(!flags.given("force") && flags.bool("force").is_none());
    }

    #[test]
    fn mistakes_are_named_without_the_value() {
        for (words, complaint) in [
            ("-nope a", "flag provided but not defined: -nope"),
            ("-field", "flag needs an argument: -field"),
            ("-force=hunter2", "invalid value for flag -force: not a boolean (true or false)"),
            ("-version=hunter2", "invalid value for flag -version: not a whole number"),
            (
                "-ttl=hunter2",
                "invalid value for flag -ttl: not a duration (such as 30s, 1h30m or 3600)",
            ),
            ("-metadata=hunter2", "invalid value for flag -metadata: not of the form key=value"),
            ("---x", "bad flag syntax: ---x"),
            ("-=x", "bad flag syntax: -=x"),
        ] {
            assert_eq!(split(words).err().as_deref(), Some(complaint), "{words}");
        }
    }
}
