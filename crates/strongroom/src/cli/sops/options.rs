//! Flags as SOPS's command line takes them: with one dash or two, `-x=v` or `-x v`, before the first
//! argument; a variable of the environment stands in for a flag that is not given.

use std::collections::HashMap;

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing: it is given or not.
    Bool,
    /// Nothing; it holds unless it is given as false.
    BoolTrue,
    /// A text.
    Text,
    /// A whole number.
    Int,
    /// A text, several times.
    List,
}

/// A flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its names; the first is the one by which it is asked for.
    pub names: &'static [&'static str],
    /// What it takes.
    pub kind: Kind,
    /// The variable that stands in for it; empty for none.
    pub variable: &'static str,
    /// What it takes where nothing is said; empty for none.
    pub default: &'static str,
    /// What it is for.
    pub usage: &'static str,
}

impl Flag {
    const fn new(names: &'static [&'static str], kind: Kind, usage: &'static str) -> Self {
        Self { names, kind, variable: "", default: "", usage }
    }

    /// A flag that is given or not.
    pub const fn bool(names: &'static [&'static str], usage: &'static str) -> Self {
        Self::new(names, Kind::Bool, usage)
    }

    /// A flag that holds unless it is given as false.
    pub const fn bool_true(names: &'static [&'static str], usage: &'static str) -> Self {
        Self::new(names, Kind::BoolTrue, usage)
    }

    /// A flag with a text.
    pub const fn text(names: &'static [&'static str], usage: &'static str) -> Self {
        Self::new(names, Kind::Text, usage)
    }

    /// A flag with a whole number.
    pub const fn int(names: &'static [&'static str], usage: &'static str) -> Self {
        Self::new(names, Kind::Int, usage)
    }

    /// A flag that may be given several times.
    pub const fn list(names: &'static [&'static str], usage: &'static str) -> Self {
        Self::new(names, Kind::List, usage)
    }

    /// With a variable that stands in for it.
    pub const fn or(mut self, variable: &'static str) -> Self {
        self.variable = variable;
        self
    }

    /// With a default.
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// Why arguments are not understood, or need not be.
#[derive(PartialEq, Eq, Debug)]
pub enum Stop {
    /// Help was asked for.
    Help,
    /// The version was asked for.
    Version,
    /// What is wrong.
    Wrong(String),
}

/// The flags that were given, or stand in the environment.
#[derive(Clone, Default, Debug)]
pub struct Options {
    values: HashMap<&'static str, Vec<String>>,
    given: Vec<&'static str>,
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Options {
    /// Reads flags up to the first argument; the arguments.
    pub fn parse(
        flags: &[&'static [Flag]],
        words: &[String],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Self, Vec<String>), Stop> {
        let mut found = Self::default();
        let mut words = words.iter();
        let mut rest = Vec::new();
        while let Some(word) = words.next() {
            let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) else {
                rest.push(word.clone());
                break;
            };
            let body = body.strip_prefix('-').unwrap_or(body);
            if body.is_empty() {
                break;
            }
            let (name, value) = match body.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (body, None),
            };
            match name {
                "help" | "h" => return Err(Stop::Help),
                "version" | "v" if is_top(flags) => return Err(Stop::Version),
                _ => {}
            }
            if name.is_empty() || name.starts_with('-') {
                return Err(Stop::Wrong(format!("bad flag syntax: {word}")));
            }
            let flag = flags.iter().copied().flatten().find(|flag| flag.names.contains(&name));
            let Some(flag) = flag else {
                return Err(Stop::Wrong(format!("flag provided but not defined: -{name}")));
            };
            let value = match (flag.kind, value) {
                (Kind::Bool | Kind::BoolTrue, None) => "true".to_owned(),
                (_, Some(value)) => value,
                (_, None) => match words.next() {
                    Some(value) => value.clone(),
                    None => return Err(Stop::Wrong(format!("flag needs an argument: -{name}"))),
                },
            };
            check(flag, name, &value)?;
            found.put(flag, value);
        }
        rest.extend(words.cloned());
        found.stand_in(flags, env)?;
        Ok((found, rest))
    }

    fn put(&mut self, flag: &Flag, value: String) {
        let values = self.values.entry(flag.name()).or_default();
        if flag.kind != Kind::List {
            values.clear();
        }
        values.push(value);
        if !self.given.contains(&flag.name()) {
            self.given.push(flag.name());
        }
    }

    fn stand_in(
        &mut self,
        flags: &[&'static [Flag]],
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), Stop> {
        for flag in flags.iter().copied().flatten() {
            if self.values.contains_key(flag.name()) {
                continue;
            }
            let variable = if flag.variable.is_empty() { None } else { env(flag.variable) };
            let Some(text) = variable.filter(|text| !text.is_empty()) else {
                if !flag.default.is_empty() {
                    self.values.insert(flag.name(), vec![flag.default.to_owned()]);
                }
                continue;
            };
            check(flag, flag.name(), &text)?;
            let values = match flag.kind {
                Kind::List => text.split(',').map(|part| part.trim().to_owned()).collect(),
                _ => vec![text],
            };
            self.values.insert(flag.name(), values);
        }
        Ok(())
    }

    fn last(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// Does a flag hold?
    pub fn is(&self, name: &str) -> bool {
        self.last(name).and_then(truth).unwrap_or(false)
    }

    /// Does a flag hold that is not given as false?
    pub fn is_not_off(&self, name: &str) -> bool {
        self.last(name).and_then(truth).unwrap_or(true)
    }

    /// A text, empty where it is not given.
    pub fn text(&self, name: &str) -> &str {
        self.last(name).unwrap_or_default()
    }

    /// A whole number, 0 where it is not given.
    pub fn int(&self, name: &str) -> i64 {
        self.last(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// All values of a flag.
    pub fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Was a flag given among the arguments?
    pub fn given(&self, name: &str) -> bool {
        self.given.contains(&name)
    }
}

/// The words with the flags of a command in front: behind a command, flags may stand after its
/// arguments. What is no flag of it stays where it is, and so does all behind `--`.
pub fn in_front(flags: &[&'static [Flag]], words: &[String]) -> Vec<String> {
    let (mut front, mut rest) = (Vec::new(), Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            front.push(word.clone());
            rest.extend(words.cloned());
            break;
        }
        let body = word.strip_prefix('-').filter(|body| !body.is_empty());
        let body = body.map(|body| body.strip_prefix('-').unwrap_or(body));
        let (name, valued) = match body.and_then(|body| body.split_once('=')) {
            Some((name, _)) => (Some(name), true),
            None => (body, false),
        };
        let known = flags.iter().copied().flatten();
        let flag = name.and_then(|name| known.clone().find(|flag| flag.names.contains(&name)));
        match flag {
            Some(flag) => {
                front.push(word.clone());
                if !valued && !matches!(flag.kind, Kind::Bool | Kind::BoolTrue) {
                    front.extend(words.next().cloned());
                }
            }
            None if matches!(name, Some("help" | "h")) => front.push(word.clone()),
            None => rest.push(word.clone()),
        }
    }
    front.extend(rest);
    front
}

/// The version is asked for before all commands only.
fn is_top(flags: &[&'static [Flag]]) -> bool {
    flags.iter().copied().flatten().any(|flag| flag.names.contains(&"disable-version-check"))
}

fn check(flag: &Flag, name: &str, value: &str) -> Result<(), Stop> {
    let fine = match flag.kind {
        Kind::Bool | Kind::BoolTrue => truth(value).is_some(),
        Kind::Int => value.parse::<i64>().is_ok(),
        Kind::Text | Kind::List => return Ok(()),
    };
    if fine {
        return Ok(());
    }
    Err(Stop::Wrong(match flag.kind {
        Kind::Int => format!("invalid value {value:?} for flag -{name}: parse error"),
        _ => format!("invalid boolean value {value:?} for -{name}: parse error"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::bool(&["in-place", "i"], ""),
        Flag::bool_true(&["local"], "").or("LOCAL"),
        Flag::text(&["kms", "k"], "").or("KMS"),
        Flag::int(&["indent"], ""),
        Flag::list(&["service"], "").or("SERVICES"),
        Flag::text(&["network"], "").default("tcp"),
    ];

    fn parse(words: &[&str], env: &[(&str, &str)]) -> Result<(Options, Vec<String>), Stop> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let env = |name: &str| {
            env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Options::parse(&[FLAGS], &words, &env)
    }

    #[test]
    fn flags_end_at_the_first_argument() {
        let (options, rest) = parse(&["-i", "--kms=a", "file", "-k", "b"], &[]).unwrap();
        assert!(options.is("in-place") && options.given("in-place"));
        assert_eq!(options.text("kms"), "a");
        assert_eq!(rest, ["file", "-k", "b"]);
        let (options, rest) = parse(&["--", "-i"], &[]).unwrap();
        assert!(!options.is("in-place"));
        assert_eq!(rest, ["-i"]);
        assert_eq!(parse(&["-"], &[]).unwrap().1, ["-"]);
    }

    #[test]
    fn flags_of_a_command_may_stand_behind() {
        for (words, expected) in [
            (&["f", "-i", "--kms", "a"][..], &["-i", "--kms", "a", "f"][..]),
            (&["f", "-i", "g"], &["-i", "f", "g"]),
            (&["f", "--kms=a", "--other", "b"], &["--kms=a", "f", "--other", "b"]),
            (&["f", "--", "-i"], &["--", "f", "-i"]),
            (&["f", "-5", "-"], &["f", "-5", "-"]),
            (&["f", "--help"], &["--help", "f"]),
            (&["f", "--kms"], &["--kms", "f"]),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(in_front(&[FLAGS], &words), expected, "{words:?}");
        }
    }

    #[test]
    fn all_spellings_mean_the_same() {
        for words in [
            &["-kms", "a"][..],
            &["--kms", "a"],
            &["-k", "a"],
            &["-k=a"],
            &["--k=a"],
            &["-kms", "x", "-k", "a"],
        ] {
            assert_eq!(parse(words, &[]).unwrap().0.text("kms"), "a", "{words:?}");
        }
        assert!(!parse(&["--in-place=false"], &[]).unwrap().0.is("in-place"));
        assert!(!parse(&["--local=false"], &[]).unwrap().0.is_not_off("local"));
        let (options, _) = parse(&["-service", "a", "--service=b"], &[]).unwrap();
        assert_eq!(options.list("service"), ["a", "b"]);
    }

    #[test]
    fn the_environment_stands_in() {
        let env = [("KMS", "e"), ("SERVICES", "a, b"), ("LOCAL", "false")];
        let (options, _) = parse(&[], &env).unwrap();
        assert_eq!(options.text("kms"), "e");
        assert!(!options.given("kms") && !options.is_not_off("local"));
        assert_eq!(options.list("service"), ["a", "b"]);
        assert_eq!(options.text("network"), "tcp");
        assert_eq!(parse(&["-k", "f"], &env).unwrap().0.text("kms"), "f");
        assert!(parse(&[], &[("LOCAL", "maybe")]).is_err());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (words, text) in [
            (&["--nope"][..], "flag provided but not defined: -nope"),
            (&["-k"], "flag needs an argument: -k"),
            (&["--indent=x"], "invalid value \"x\" for flag -indent: parse error"),
            (&["-i=maybe"], "invalid boolean value \"maybe\" for -i: parse error"),
            (&["---x"], "bad flag syntax: ---x"),
        ] {
            assert_eq!(parse(words, &[]).unwrap_err(), Stop::Wrong(text.into()));
        }
        assert_eq!(parse(&["-h"], &[]).unwrap_err(), Stop::Help);
    }
}
