//! Filters of lists: which secrets a caller wants to see (API page "Filter", and the guide's page on
//! finding secrets).
//!
//! Names, tags, regions and services are compared by their beginnings, as written. Descriptions, and
//! everything with `all`, are searched by words, whatever their case: each word of what is looked for is the
//! beginning of a word of the description, in whatever order; of all that is said of a secret one such word is
//! enough (`My_Secret` finds what has `my` or `secret`).

use strongroom_base::{Error, Json, Result};

use super::limits::{FILTER_VALUE_CHARS_MAX, FILTER_VALUES_MAX, FILTERS_MAX};
use super::refusals::{constraint, invalid_parameter, too_long};

/// The keys, as AWS lists them to who names another.
const KEYS: &str = "description, name, tag-key, tag-value, primary-region, owning-service, all";

/// What a filter looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attribute {
    /// Name, description, tags' keys and values.
    All,
    /// The description.
    Description,
    /// The name.
    Name,
    /// The tags' keys.
    TagKey,
    /// The tags' values.
    TagValue,
    /// What no secret here has: a region or a service that it belongs to.
    Nothing,
}

/// One filter.
#[derive(Debug)]
pub(super) struct Filter {
    key: Attribute,
    /// One of these must match.
    values: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    text: String,
    negated: bool,
}

/// What filters see of a secret.
#[derive(Default)]
pub(super) struct Seen<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its description.
    pub description: &'a str,
    /// Its tags.
    pub tags: Vec<(&'a str, &'a str)>,
}

/// The filters of a request; no secret need match any where there are none.
pub(super) fn read(given: Option<&Json>) -> Result<Vec<Filter>> {
    let list = match given {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(list)) => list,
        Some(_) => return Err(invalid_parameter("Filters is no list of filters.")),
    };
    if list.len() > FILTERS_MAX {
        return Err(too_long("filters", FILTERS_MAX));
    }
    list.iter().enumerate().map(|(i, filter)| one(i, filter)).collect()
}

fn one(index: usize, filter: &Json) -> Result<Filter> {
    let name = filter.get("key").and_then(Json::as_str).filter(|k| !k.is_empty());
    let name = name.ok_or_else(|| invalid_parameter("Invalid filter key"))?;
    let key = match name {
        "all" => Attribute::All,
        "description" => Attribute::Description,
        "name" => Attribute::Name,
        "tag-key" => Attribute::TagKey,
        "tag-value" => Attribute::TagValue,
        "primary-region" | "owning-service" => Attribute::Nothing,
        _ => {
            return Err(Error::bad_request(format!(
                "1 validation error detected: Value '{name}' at 'filters.{}.member.key' failed to \
                 satisfy constraint: Member must satisfy enum value set: [{KEYS}]",
                index + 1
            ))
            .called("ValidationException"));
        }
    };
    let values = filter.get("values").and_then(Json::as_array).filter(|v| !v.is_empty());
    let values = values
        .ok_or_else(|| invalid_parameter(format!("Invalid filter values for key: {name}")))?;
    if values.len() > FILTER_VALUES_MAX {
        return Err(too_long("filters.member.values", FILTER_VALUES_MAX));
    }
    let values = values.iter().map(|value| {
        let text =
            value.as_str().ok_or_else(|| invalid_parameter("A filter's value is no text."))?;
        if text.chars().count() > FILTER_VALUE_CHARS_MAX {
            return Err(too_long("filters.member.values.member", FILTER_VALUE_CHARS_MAX));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b" :_@/+=.-!".contains(&b)) {
            return Err(constraint(
                "filters.member.values.member",
                "satisfy regular expression pattern: ^\\!?[a-zA-Z0-9 :_@\\/\\+\\=\\.\\-\\!]*$",
            ));
        }
        let rest = text.strip_prefix('!');
        Ok(Pattern { text: rest.unwrap_or(text).to_owned(), negated: rest.is_some() })
    });
    Ok(Filter { key, values: values.collect::<Result<_>>()? })
}

impl Filter {
    /// Does it look at the name alone?
    pub fn is_of_names(&self) -> bool {
        self.key == Attribute::Name
    }

    /// The folder that every name it lets through lies in, as far as it says one.
    pub fn folder(&self) -> Option<&str> {
        match self.values.as_slice() {
            [one] if self.key == Attribute::Name && !one.negated => {
                one.text.rsplit_once('/').map(|(folder, _)| folder).filter(|f| !f.is_empty())
            }
            _ => None,
        }
    }

    /// Does it let a secret through?
    pub fn lets_through(&self, seen: &Seen<'_>) -> bool {
        self.values.iter().any(|p| p.negated != self.matches(seen, &p.text))
    }

    fn matches(&self, seen: &Seen<'_>, pattern: &str) -> bool {
        let mut keys = seen.tags.iter().map(|(key, _)| *key);
        let mut values = seen.tags.iter().map(|(_, value)| *value);
        match self.key {
            Attribute::Name => seen.name.starts_with(pattern),
            Attribute::TagKey => keys.any(|key| key.starts_with(pattern)),
            Attribute::TagValue => values.any(|value| value.starts_with(pattern)),
            Attribute::Description => {
                let (wanted, words) = (words(pattern), words(seen.description));
                !wanted.is_empty() && wanted.iter().all(|wanted| begins_one(&words, wanted))
            }
            Attribute::All => {
                let wanted = words(pattern);
                let texts = [seen.name, seen.description].into_iter();
                texts.chain(keys).chain(values).any(|text| {
                    let words = words(text);
                    wanted.iter().any(|wanted| begins_one(&words, wanted))
                })
            }
            Attribute::Nothing => false,
        }
    }
}

/// Is it the beginning of one of these words?
fn begins_one(words: &[String], wanted: &str) -> bool {
    words.iter().any(|word| word.starts_with(wanted))
}

/// The words of a text, in small letters: runs of letters or of digits, divided before capitals.
fn words(text: &str) -> Vec<String> {
    let pieces = text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty());
    pieces.flat_map(divided).map(str::to_lowercase).collect()
}

/// A run of letters and digits, divided between the two kinds and before its capitals: `MyHTTPServer2` is
/// `My`, `HTTP`, `Server`, `2`.
fn divided(piece: &str) -> Vec<&str> {
    let signs: Vec<(usize, char)> = piece.char_indices().collect();
    let mut starts = vec![0];
    for pair in signs.windows(2).enumerate() {
        let (at, [(_, before), (start, sign)]) = pair else { continue };
        let small_next = signs.get(at + 2).is_some_and(|(_, next)| next.is_lowercase());
        let is_begun = before.is_numeric() != sign.is_numeric()
            || sign.is_uppercase() && (!before.is_uppercase() || small_next);
        if is_begun {
            starts.push(*start);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([piece.len()]);
    starts.iter().zip(ends).filter_map(|(from, to)| piece.get(*from..to)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_of_texts() {
        for (text, expect) in [
            ("", &[][..]),
            ("secret", &["secret"]),
            ("MyTestPhrase", &["my", "test", "phrase"]),
            ("myTestPhrase", &["my", "test", "phrase"]),
            ("HTTPserver", &["htt", "pserver"]),
            ("MyHTTPServer", &["my", "http", "server"]),
            ("abc123", &["abc", "123"]),
            ("my/secret/name", &["my", "secret", "name"]),
            ("my-secret_name", &["my", "secret", "name"]),
            ("My_Secret", &["my", "secret"]),
            ("credsDatabase#892", &["creds", "database", "892"]),
            ("v2beta", &["v", "2", "beta"]),
            ("ABC", &["abc"]),
            ("aB", &["a", "b"]),
            ("two words", &["two", "words"]),
            ("my secret-name", &["my", "secret", "name"]),
            ("db/ProdMain", &["db", "prod", "main"]),
            ("/", &[]),
            ("//", &[]),
            ("/-", &[]),
            ("éÉ", &["é", "é"]),
        ] {
            assert_eq!(words(text), expect, "{text}");
        }
    }

    #[test]
    fn filters_choose_secrets() {
        let secrets = [
            ("prod/db", "The main Database", &[("team", "Alpha"), ("env", "prod")][..]),
            ("prod/web", "", &[("team", "beta")]),
            ("Test", "old database", &[]),
        ];
        for (filters, expect) in [
            (json!([]), &["prod/db", "prod/web", "Test"][..]),
            (json!([{"key": "name", "values": ["prod"]}]), &["prod/db", "prod/web"]),
            (json!([{"key": "name", "values": ["Prod"]}]), &[]),
            (json!([{"key": "name", "values": ["db"]}]), &[]),
            (json!([{"key": "name", "values": ["!prod"]}]), &["Test"]),
            (json!([{"key": "name", "values": ["prod/d", "T"]}]), &["prod/db", "Test"]),
            (
                json!([{"key": "name", "values": ["prod"]}, {"key": "name", "values": ["!prod/w"]}]),
                &["prod/db"],
            ),
            (json!([{"key": "tag-key", "values": ["te"]}]), &["prod/db", "prod/web"]),
            (json!([{"key": "tag-value", "values": ["Al"]}]), &["prod/db"]),
            (json!([{"key": "tag-value", "values": ["al"]}]), &[]),
            (json!([{"key": "tag-key", "values": ["!env"]}]), &["prod/web", "Test"]),
            (json!([{"key": "description", "values": ["data"]}]), &["prod/db", "Test"]),
            (json!([{"key": "description", "values": ["base"]}]), &[]),
            (json!([{"key": "description", "values": ["DATABASE main"]}]), &["prod/db"]),
            (json!([{"key": "all", "values": ["alpha"]}]), &["prod/db"]),
            (json!([{"key": "all", "values": ["prod"]}]), &["prod/db", "prod/web"]),
            (json!([{"key": "all", "values": ["/"]}]), &[]),
            (json!([{"key": "all", "values": ["prod-nothing"]}]), &["prod/db", "prod/web"]),
            (json!([{"key": "all", "values": ["nothing"]}]), &[]),
            (json!([{"key": "all", "values": ["Old_Web"]}]), &["prod/web", "Test"]),
            (json!([{"key": "all", "values": ["rod"]}]), &[]),
            (json!([{"key": "description", "values": ["main_THE"]}]), &["prod/db"]),
            (json!([{"key": "description", "values": ["main nothing"]}]), &[]),
            (json!([{"key": "description", "values": [""]}]), &[]),
            (json!([{"key": "all", "values": ["!prod"]}]), &["Test"]),
            (json!([{"key": "owning-service", "values": ["rds"]}]), &[]),
            (
                json!([{"key": "primary-region", "values": ["!eu"]}]),
                &["prod/db", "prod/web", "Test"],
            ),
        ] {
            let read = read(Some(&filters)).unwrap();
            let found: Vec<&str> = secrets
                .iter()
                .filter(|(name, description, tags)| {
                    let seen = Seen { name, description, tags: tags.to_vec() };
                    read.iter().all(|f| f.lets_through(&seen))
                })
                .map(|(name, ..)| *name)
                .collect();
            assert_eq!(found, expect, "{filters}");
        }
    }

    #[test]
    fn wrong_filters_are_refused_in_the_words_of_aws() {
        let many = json!(vec![json!({"key": "name", "values": ["a"]}); FILTERS_MAX + 1]);
        for (filters, code, text) in [
            (json!([{"values": ["a"]}]), "InvalidParameterException", "Invalid filter key"),
            (
                json!([{"key": "name"}]),
                "InvalidParameterException",
                "Invalid filter values for key: name",
            ),
            (
                json!([{"key": "name", "values": []}]),
                "InvalidParameterException",
                "Invalid filter values for key: name",
            ),
            (
                json!([{"key": "name", "values": ["a"]}, {"key": "no", "values": ["a"]}]),
                "ValidationException",
                "1 validation error detected: Value 'no' at 'filters.2.member.key' failed to satisfy \
                 constraint: Member must satisfy enum value set: [description, name, tag-key, tag-value, \
                 primary-region, owning-service, all]",
            ),
            (
                json!([{"key": "name", "values": ["a*"]}]),
                "ValidationException",
                "1 validation error detected: Value at 'filters.member.values.member' failed to satisfy \
                 constraint: Member must satisfy regular expression pattern: \
                 ^\\!?[a-zA-Z0-9 :_@\\/\\+\\=\\.\\-\\!]*$",
            ),
            (
                many,
                "ValidationException",
                "1 validation error detected: Value at 'filters' failed to satisfy constraint: \
                 Member must have length less than or equal to 10",
            ),
        ] {
            let error = read(Some(&filters)).unwrap_err();
            assert_eq!((error.code, error.public.join("")), (Some(code), text.to_owned()));
        }
    }
}
