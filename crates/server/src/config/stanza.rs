//! Reading one stanza: each key is asked for by name, and what nobody asked for is an error with
//! file, line and key, and with the name that was probably meant.

use std::{cell::RefCell, fmt};

use strongroom_base::{
    hcl::{Body, Item, Position, Value},
    parse_duration,
};

/// Something in a configuration that is wrong, or has no effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The file as it was named; empty for what concerns all files together.
    pub file: String,
    /// The line and column in it, if it is about one place.
    pub place: Option<Position>,
    /// What is wrong, with the key. Invariant: never a value.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
        }
        if let Some(place) = self.place {
            write!(f, "{}:{}:", place.line, place.column)?;
        }
        if !self.file.is_empty() {
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

/// What was found while reading: all of it is told at once.
#[derive(Default)]
pub struct Findings {
    /// These stop the server.
    pub errors: RefCell<Vec<Problem>>,
    /// These are logged.
    pub warnings: RefCell<Vec<Problem>>,
}

impl Findings {
    /// An error about no place in particular.
    pub fn error(&self, message: impl Into<String>) {
        let problem = Problem { file: String::new(), place: None, message: message.into() };
        self.errors.borrow_mut().push(problem);
    }
}

/// A stanza (or a whole file) being read.
pub struct Stanza<'a> {
    findings: &'a Findings,
    file: &'a str,
    /// For messages: `listener "tcp"`; empty for the top level.
    name: String,
    place: Position,
    body: &'a Body,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Stanza<'a> {
    /// A file's top level.
    pub fn top(findings: &'a Findings, file: &'a str, body: &'a Body) -> Self {
        Self {
            findings,
            file,
            name: String::new(),
            place: Position { line: 1, column: 1 },
            body,
            asked: RefCell::default(),
        }
    }

    /// Notes an error at `place`.
    fn error_at(&self, place: Position, message: String) {
        self.findings.errors.borrow_mut().push(self.problem(place, message));
    }

    fn problem(&self, place: Position, message: String) -> Problem {
        let name = if self.name.is_empty() { "" } else { &format!("{}: ", self.name) };
        Problem {
            file: self.file.to_owned(),
            place: Some(place),
            message: format!("{name}{message}"),
        }
    }

    /// Notes an error about the stanza as a whole.
    pub fn error(&self, message: impl Into<String>) {
        self.error_at(self.place, message.into());
    }

    /// Notes an error about `key`, at its place.
    pub fn error_of(&self, key: &'static str, message: impl Into<String>) {
        let place = self.find(key).map_or(self.place, Item::position);
        self.error_at(place, format!("`{key}` {}", message.into()));
    }

    /// What would be said about `key`, at its place, if something turns out to be wrong with it.
    pub fn reserve(&self, key: &'static str, message: impl Into<String>) -> Option<Problem> {
        let place = self.find(key)?.position();
        Some(self.problem(place, format!("`{key}` {}", message.into())))
    }

    /// Notes that `key` has no effect.
    pub fn warn_of(&self, key: &'static str, message: impl Into<String>) {
        let place = self.find(key).map_or(self.place, Item::position);
        let problem = self.problem(place, format!("`{key}` {}", message.into()));
        self.findings.warnings.borrow_mut().push(problem);
    }

    /// Notes a warning about the stanza as a whole.
    pub fn warn(&self, message: impl Into<String>) {
        let problem = self.problem(self.place, message.into());
        self.findings.warnings.borrow_mut().push(problem);
    }

    /// The last item of that key; keys compare without case, as in HCL 1.
    fn find(&self, key: &'static str) -> Option<&'a Item> {
        self.asked.borrow_mut().push(key);
        self.body.items.iter().rev().find(|item| item.key.eq_ignore_ascii_case(key))
    }

    /// Is the key there?
    pub fn has(&self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// Reads one value by `read`; null counts as absent, a failure is noted.
    fn read<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a Item) -> Result<T, strongroom_base::hcl::Error>,
    ) -> Option<T> {
        let item = self.find(key).filter(|item| item.value != Value::Null)?;
        match read(item) {
            Ok(value) => Some(value),
            Err(error) => {
                let place = Position { line: error.line, column: error.column };
                self.error_at(place, error.message);
                None
            }
        }
    }

    /// A text that is not empty.
    pub fn text(&self, key: &'static str) -> Option<String> {
        self.read(key, |item| item.text().map(str::to_owned)).filter(|text| !text.is_empty())
    }

    /// A boolean, also `"true"` or `1`.
    pub fn flag(&self, key: &'static str) -> Option<bool> {
        self.read(key, Item::boolean)
    }

    /// A number that is not negative.
    pub fn count(&self, key: &'static str) -> Option<u64> {
        let number = self.read(key, Item::integer)?;
        match u64::try_from(number) {
            Ok(count) => Some(count),
            Err(_) => {
                self.error_of(key, "must not be negative");
                None
            }
        }
    }

    /// A duration in seconds that is not negative.
    pub fn seconds(&self, key: &'static str) -> Option<u64> {
        let seconds = self.read(key, Item::seconds)?;
        match u64::try_from(seconds) {
            Ok(seconds) => Some(seconds),
            Err(_) => {
                self.error_of(key, "must not be negative");
                None
            }
        }
    }

    /// A list, or one comma-separated text.
    pub fn list(&self, key: &'static str) -> Option<Vec<String>> {
        let texts = self.read(key, Item::texts)?;
        let split = texts.iter().flat_map(|text| text.split(','));
        Some(split.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect())
    }

    /// A text each piece of which is one of the given ones, with what it stands for.
    pub fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.error_of(key, format!("must be one of {}", names.join(", ")));
        }
        found.map(|(_, value)| *value)
    }

    /// Values read by `parse`; the first that is none is an error that says what was `expected`.
    pub fn parsed<T>(
        &self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        let texts = self.list(key)?;
        let values: Option<Vec<T>> = texts.iter().map(|text| parse(text)).collect();
        if values.is_none() {
            self.error_of(key, format!("must hold {expected}"));
        }
        values
    }

    /// A duration given as text that may also say `none`.
    pub fn seconds_or_none(&self, key: &'static str) -> Option<u64> {
        let text = self.text(key)?;
        if text == "none" {
            return Some(0);
        }
        let seconds = parse_duration(&text).and_then(|seconds| u64::try_from(seconds).ok());
        if seconds.is_none() {
            self.error_of(key, "must be a duration or \"none\"");
        }
        seconds
    }

    /// A map of texts: `options { a = "b" }`.
    pub fn texts(&self, key: &'static str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for stanza in self.blocks(key, 0) {
            for item in &stanza.1.body.items {
                match item.value {
                    Value::Bool(value) => found.push((item.key.clone(), value.to_string())),
                    _ => match item.text() {
                        Ok(text) => found.push((item.key.clone(), text.to_owned())),
                        Err(error) => self.error_at(item.position(), error.message),
                    },
                }
            }
        }
        found
    }

    /// The only block of that key without labels.
    pub fn block(&self, key: &'static str) -> Option<Stanza<'a>> {
        let mut blocks = self.blocks(key, 0);
        if let Some((_, second)) = blocks.get(1) {
            self.error_at(second.place, format!("only one `{key}` block is permitted"));
        }
        (!blocks.is_empty()).then(|| blocks.swap_remove(0).1)
    }

    /// All blocks of that key with up to `depth` labels, however they are written: HCL labels,
    /// nested objects, JSON lists.
    pub fn blocks(&self, key: &'static str, depth: usize) -> Vec<(Vec<String>, Stanza<'a>)> {
        self.asked.borrow_mut().push(key);
        let mut found = Vec::new();
        for item in self.body.items.iter().filter(|item| item.key.eq_ignore_ascii_case(key)) {
            let labels = item.labels.clone();
            self.unfold(key, depth, labels, item.position(), &item.value, &mut found);
        }
        found
    }

    fn unfold(
        &self,
        key: &'static str,
        depth: usize,
        labels: Vec<String>,
        place: Position,
        value: &'a Value,
        found: &mut Vec<(Vec<String>, Stanza<'a>)>,
    ) {
        match value {
            Value::Null => {}
            Value::List(values) => {
                for value in values {
                    self.unfold(key, depth, labels.clone(), place, value, found);
                }
            }
            // A block may say its type inside instead of in a label.
            Value::Object(body) if labels.len() < depth && body.get("type").is_none() => {
                for item in &body.items {
                    let mut labels = labels.clone();
                    labels.push(item.key.clone());
                    labels.extend(item.labels.iter().cloned());
                    self.unfold(key, depth, labels, item.position(), &item.value, found);
                }
            }
            Value::Object(body) if labels.len() <= depth => {
                let quoted: String = labels.iter().map(|label| format!(" {label:?}")).collect();
                let outer =
                    if self.name.is_empty() { String::new() } else { format!("{}: ", self.name) };
                let stanza = Stanza {
                    findings: self.findings,
                    file: self.file,
                    name: format!("{outer}{key}{quoted}"),
                    place,
                    body,
                    asked: RefCell::default(),
                };
                found.push((labels, stanza));
            }
            Value::Object(_) => self.error_at(place, format!("`{key}` has too many labels")),
            _ => self.error_at(place, format!("`{key}` must be a block")),
        }
    }

    /// Each header of a `custom_response_headers` rule: its name and its values.
    pub fn headers(&self) -> Vec<(String, Vec<String>, Position)> {
        let mut found = Vec::new();
        for item in &self.body.items {
            match item.texts() {
                Ok(values) => {
                    let values = values.into_iter().map(|value| value.trim().to_owned());
                    let values = values.filter(|value| !value.is_empty()).collect();
                    found.push((item.key.clone(), values, item.position()));
                }
                Err(error) => self.error_at(item.position(), error.message),
            }
        }
        found
    }

    /// As [`Stanza::error`], at one of [`Stanza::headers`]' places.
    pub fn error_in(&self, place: Position, message: String) {
        self.error_at(place, message);
    }

    /// Known keys whose feature is not there: told once, with their common `reason`.
    pub fn without_effect(&self, keys: &[&'static str], reason: &str) {
        for key in keys {
            if self.has(key) {
                self.warn_of(key, format!("has no effect: {reason}"));
            }
        }
    }

    /// Known keys of Vault that say nothing here and need no word.
    pub fn accept(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// Refuses what was not asked for.
    pub fn finish(self) {
        let asked = self.asked.borrow();
        for item in &self.body.items {
            if asked.iter().any(|key| item.key.eq_ignore_ascii_case(key)) {
                continue;
            }
            let hint = nearest(&item.key, &asked)
                .map_or(String::new(), |key| format!("; did you mean `{key}`?"));
            self.error_at(item.position(), format!("unknown key `{}`{hint}", item.key));
        }
    }
}

/// The known key that a misspelt one is probably meant to be.
fn nearest(wrong: &str, known: &[&'static str]) -> Option<&'static str> {
    let wrong = wrong.to_ascii_lowercase();
    let best = known.iter().map(|key| (distance(&wrong, key), *key)).min()?;
    (best.0 <= 1 + wrong.len() / 5).then_some(best.1)
}

/// Levenshtein's distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let above = row[j + 1];
            row[j + 1] = (diagonal + usize::from(x != y)).min(row[j] + 1).min(above + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}
