//! Arguments as Go's `flag` package reads them for tools whose flags are few: one or two dashes, a
//! value behind `=` or in the next word, no flag behind the first argument.

/// A flag's names, and whether it takes a value.
pub struct Spec {
    /// Its names, without dashes.
    pub names: &'static [&'static str],
    /// Does it take a value?
    pub takes_value: bool,
}

/// A flag that was given: its first name, and its value (of a switch, whether it is on).
#[derive(Debug, PartialEq, Eq)]
pub struct Given {
    /// Its first name.
    pub name: &'static str,
    /// Its value; empty for a switch.
    pub value: String,
    /// False for a switch turned off.
    pub on: bool,
}

/// Why the arguments are not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help was asked for.
    Help,
    /// They are wrong.
    Wrong(String),
}

/// The flags in their order, and the arguments behind them.
pub fn read<'w>(words: &'w [String], specs: &[Spec]) -> Result<(Vec<Given>, &'w [String]), Stop> {
    let mut given = Vec::new();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let Some(body) = word.strip_prefix('-').filter(|body| !body.is_empty()) else { break };
        rest = after;
        let body = body.strip_prefix('-').unwrap_or(body);
        if body.is_empty() {
            break;
        }
        if body.starts_with(['-', '=']) {
            return Err(Stop::Wrong(format!("bad flag syntax: {word}")));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        let Some(spec) = specs.iter().find(|spec| spec.names.contains(&name)) else {
            return Err(match name {
                "h" | "help" => Stop::Help,
                _ => Stop::Wrong(format!("flag provided but not defined: -{name}")),
            });
        };
        let first = spec.names.first().copied().unwrap_or_default();
        let (value, on) = match (spec.takes_value, value) {
            (true, Some(value)) => (value.to_owned(), true),
            (true, None) => {
                let (next, after) = rest
                    .split_first()
                    .ok_or_else(|| Stop::Wrong(format!("flag needs an argument: -{name}")))?;
                rest = after;
                (next.clone(), true)
            }
            (false, None) => (String::new(), true),
            (false, Some(value)) => (String::new(), switch(name, value)?),
        };
        given.push(Given { name: first, value, on });
    }
    Ok((given, rest))
}

fn switch(name: &str, value: &str) -> Result<bool, Stop> {
    strongroom_client::parse_bool(value).ok_or_else(|| {
        Stop::Wrong(format!("invalid boolean value {value:?} for -{name}: parse error"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[Spec] = &[
        Spec { names: &["d", "decrypt"], takes_value: false },
        Spec { names: &["r", "recipient"], takes_value: true },
    ];

    fn check(words: &str, expected: Result<&str, Stop>) {
        let all: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let read = read(&all, SPECS).map(|(given, rest)| {
            let flags = given.iter().map(|it| format!("{}={}{}", it.name, it.value, it.on));
            flags.chain(rest.iter().cloned()).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(read, expected.map(str::to_owned), "{words}");
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        check("", Ok(""));
        check("-d x", Ok("d=true x"));
        check("--decrypt=false --recipient=a -r b", Ok("d=false r=atrue r=btrue"));
        check("-r -d -d", Ok("r=-dtrue d=true"));
        check("x -d", Ok("x -d"));
        check("- -d", Ok("- -d"));
        check("-d -- -d", Ok("d=true -d"));
        let wrong = |text: &str| Err(Stop::Wrong(text.into()));
        check("-x", wrong("flag provided but not defined: -x"));
        check("-da", wrong("flag provided but not defined: -da"));
        check("-r", wrong("flag needs an argument: -r"));
        check("---d", wrong("bad flag syntax: ---d"));
        check("-=d", wrong("bad flag syntax: -=d"));
        check("-d=maybe", wrong("invalid boolean value \"maybe\" for -d: parse error"));
        check("--help", Err(Stop::Help));
    }
}
