//! `list_scan_response_keys_filter_path`: the path whose rights decide whether one entry of a list
//! answer is shown. OpenBao takes any Go template with a set of helpers; here `{{ .key }}` and
//! `{{ .path }}` work, with `lowercase`, `uppercase` and `replace` behind a `|`. Anything else is
//! refused when the policy is written: a filter that cannot be kept must not be stored.

/// A read filter path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeysFilter {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Literal(String),
    Value { key: bool, steps: Vec<Step> },
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Lowercase,
    Uppercase,
    Replace(String, String),
}

impl KeysFilter {
    /// Reads a filter path.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!("unable to compile template for list_scan_response_keys_filter_path: {what}")
        };
        let mut pieces = text.split("{{");
        let mut parts = vec![Part::Literal(pieces.next().unwrap_or("").to_owned())];
        for piece in pieces {
            let (action, literal) =
                piece.split_once("}}").ok_or_else(|| wrong("unclosed action"))?;
            parts.push(Part::parse(action.trim()).ok_or_else(|| {
                wrong(
                    "only .key and .path, piped into lowercase, uppercase \
                                           or replace, are supported",
                )
            })?);
            parts.push(Part::Literal(literal.to_owned()));
        }
        if !parts.iter().any(|part| matches!(part, Part::Value { key: true, .. })) {
            return Err(
                "list_scan_response_keys_filter_path resulted in same path for two different keys"
                    .to_owned(),
            );
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The filter as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The path that decides about `key` in the list at `path`.
    pub fn path_for(&self, path: &str, key: &str) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Value { key: is_key, steps } => {
                    let value = if *is_key { key } else { path }.to_owned();
                    out.push_str(&steps.iter().fold(value, |value, step| step.apply(value)));
                }
            }
        }
        out
    }
}

impl Part {
    fn parse(action: &str) -> Option<Self> {
        // `{{- ` and ` -}}` trim the literals beside them in Go; none of our parts needs that.
        let mut stages = action.split('|');
        let key = match stages.next()?.trim() {
            ".key" => true,
            ".path" => false,
            _ => return None,
        };
        let steps = stages.map(|stage| Step::parse(stage.trim())).collect::<Option<_>>()?;
        Some(Self::Value { key, steps })
    }
}

impl Step {
    fn parse(stage: &str) -> Option<Self> {
        let mut words = stage.split_whitespace();
        let step = match words.next()? {
            "lowercase" => Self::Lowercase,
            "uppercase" => Self::Uppercase,
            "replace" => Self::Replace(quoted(words.next()?)?, quoted(words.next()?)?),
            _ => return None,
        };
        words.next().is_none().then_some(step)
    }

    fn apply(&self, value: String) -> String {
        match self {
            Self::Lowercase => value.to_lowercase(),
            Self::Uppercase => value.to_uppercase(),
            Self::Replace(from, to) => value.replace(from, to),
        }
    }
}

/// A quoted word without escapes or spaces.
fn quoted(word: &str) -> Option<String> {
    let inner = word.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then(|| inner.to_owned())
}
