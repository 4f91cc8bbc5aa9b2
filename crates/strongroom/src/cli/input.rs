//! What a command reads beside its flags: `key=value`, `key=@file`, `key=-`, `@file` and `-` with
//! a JSON object (at a terminal, `-` is asked for and stays hidden), and secrets asked for on the terminal, so that none has to stand in the argument
//! list where other users of the machine can see it.

use std::io::Read;
use std::sync::Arc;

use strongroom_base::json::{Json, JsonMap, parse_bounded};

use super::command::io_reason;
use super::context::Terminal;

/// What stands behind `-`.
pub struct Input<'i> {
    /// The standard input, until it was read.
    stdin: Option<Box<dyn Read + 'i>>,
    /// Set where a person types the standard input.
    terminal: Option<Arc<dyn Terminal>>,
}

impl<'i> Input<'i> {
    /// The standard input, and the terminal if that is where it comes from.
    pub fn new(stdin: Box<dyn Read + 'i>, terminal: Option<Arc<dyn Terminal>>) -> Self {
        Self { stdin: Some(stdin), terminal }
    }

    /// All of it. At a terminal it is asked for by `name`, as often as it is wanted, and one line
    /// comes without its end: people end a line to send it. From a pipe it comes once, as it is.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let problem = |error| format!("error reading stdin: {}", io_reason(&error));
        if let Some(terminal) = &self.terminal {
            let typed = terminal.typed(&format!("{name} (Ctrl-D ends it): ")).map_err(problem)?;
            return Ok(one_line(typed.expose_secret()).as_bytes().to_vec());
        }
        let mut reader = self.stdin.take().ok_or("stdin already consumed")?;
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(problem)?;
        Ok(bytes)
    }
}

/// A text of one line without its end; any other as it is.
fn one_line(text: &str) -> &str {
    match text.strip_suffix('\n') {
        Some(line) if !line.contains('\n') => line.strip_suffix('\r').unwrap_or(line),
        _ => text,
    }
}

/// Data given on the command line, in the order given.
pub fn parse_data(input: &mut Input<'_>, words: &[String]) -> Result<JsonMap, String> {
    let mut data = JsonMap::new();
    for word in words {
        add(&mut data, input, word)
            .map_err(|problem| format!("invalid key/value pair {}: {problem}", shown(word)))?;
    }
    Ok(data)
}

/// The same, every value a text.
pub fn parse_texts(
    input: &mut Input<'_>,
    words: &[String],
) -> Result<Vec<(String, String)>, String> {
    let data = parse_data(input, words)?;
    data.into_iter()
        .map(|(key, value)| match value {
            Json::String(text) => Ok((key, text)),
            Json::Bool(bit) => Ok((key, u8::from(bit).to_string())),
            Json::Number(number) => Ok((key, number.to_string())),
            Json::Null => Ok((key, String::new())),
            Json::Array(_) | Json::Object(_) => Err(format!("the value of {key:?} is not a text")),
        })
        .collect()
}

/// The same for a query: every value one or more texts.
pub fn parse_query(
    input: &mut Input<'_>,
    words: &[String],
) -> Result<Vec<(String, String)>, String> {
    let mut query = Vec::new();
    for (key, value) in parse_data(input, words)? {
        match value {
            Json::Array(items) => {
                query.extend(items.iter().map(|item| (key.clone(), super::gotext::go_value(item))));
            }
            other => query.push((key, super::gotext::go_value(&other))),
        }
    }
    query.sort();
    Ok(query)
}

/// How a word appears in a complaint: without the value, which may be a secret.
fn shown(word: &str) -> String {
    match word.split_once('=') {
        Some((key, _)) => format!("{:?}", format!("{key}=…")),
        None => format!("{word:?}"),
    }
}

fn add(data: &mut JsonMap, input: &mut Input<'_>, word: &str) -> Result<(), String> {
    if word.is_empty() {
        return Ok(());
    }
    let Some((key, value)) = word.split_once('=') else {
        if word == "-" {
            return merge(data, &input.read("JSON object")?);
        }
        if let Some(path) = word.strip_prefix('@') {
            return merge(data, &read_file(path)?);
        }
        return Err("format must be key=value".into());
    };
    let value = if let Some(path) = value.strip_prefix('@') {
        text(read_file(path)?)?
    } else if value.starts_with("\\@") {
        value[1..].to_owned()
    } else if value == "-" {
        text(input.read(key)?)?
    } else {
        value.to_owned()
    };
    let value = Json::String(value);
    match data.get_mut(key) {
        // A key given again makes a list.
        Some(Json::Array(items)) => items.push(value),
        Some(first) => {
            let items = vec![first.take(), value];
            *first = Json::Array(items);
        }
        None => {
            data.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

fn merge(data: &mut JsonMap, bytes: &[u8]) -> Result<(), String> {
    match parse_bounded(bytes) {
        Ok(Json::Object(members)) => {
            data.extend(members);
            Ok(())
        }
        Ok(_) => Err("the JSON document is not an object".into()),
        Err(bad) => Err(bad.to_string()),
    }
}

fn read_file(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("error reading file {path}: {}", io_reason(&error)))
}

fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes)
        .map_err(|_| "the content is not UTF-8 text; encode it, for instance as base64".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_base::SecretString;

    fn read(stdin: &str, words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        parse_data(&mut Input::new(Box::new(stdin.as_bytes()), None), &words)
            .map(|data| Json::Object(data).to_string())
    }

    #[test]
    fn data_comes_from_words_files_and_stdin() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("v");
        std::fs::write(&file, "{\"n\": 1.50, \"t\": true}\n").unwrap();
        let (whole, part) = (format!("@{}", file.display()), format!("k=@{}", file.display()));
        for (stdin, words, data) in [
            ("", &["b=1", "a=x=y", "c="][..], r#"{"b":"1","a":"x=y","c":""}"#),
            ("from stdin\n", &["k=-"], r#"{"k":"from stdin\n"}"#),
            (r#"{"a":{"b":[1]}}"#, &["-", "c=d"], r#"{"a":{"b":[1]},"c":"d"}"#),
            ("", &[&whole], r#"{"n":1.50,"t":true}"#),
            ("", &[&part], r#"{"k":"{\"n\": 1.50, \"t\": true}\n"}"#),
            ("", &["k=\\@x"], r#"{"k":"@x"}"#),
            ("", &["k=1", "k=2", "k=3"], r#"{"k":["1","2","3"]}"#),
            ("", &["-x=1", ""], r#"{"-x":"1"}"#),
        ] {
            assert_eq!(read(stdin, words).as_deref(), Ok(data), "{words:?}");
        }
    }

    struct Typed(&'static str);

    impl Terminal for Typed {
        fn secret(&self, prompt: &str) -> std::io::Result<SecretString> {
            assert!(prompt.ends_with(" (Ctrl-D ends it): "), "{prompt}");
            Ok(SecretString::new(self.0.to_owned()))
        }
        fn line(&self, _: &str) -> std::io::Result<String> {
            Err(std::io::Error::other("not asked"))
        }
        fn tell(&self, _: &str) -> std::io::Result<()> {
            Err(std::io::Error::other("not asked"))
        }
        fn note(&self, _: &str) {}
    }

    #[test]
    fn what_a_person_types_is_asked_for_and_comes_without_its_line_end() {
        let read = |typed, words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            let mut input =
                Input::new(Box::new("the pipe".as_bytes()), Some(Arc::new(Typed(typed))));
            parse_data(&mut input, &words).map(|data| Json::Object(data).to_string())
        };
        for (typed, words, data) in [
            ("hunter2\n", &["k=-"][..], r#"{"k":"hunter2"}"#),
            ("hunter2\r\n", &["k=-"], r#"{"k":"hunter2"}"#),
            ("hunter2", &["k=-"], r#"{"k":"hunter2"}"#),
            (" a \n", &["k=-"], r#"{"k":" a "}"#),
            ("\n", &["k=-"], r#"{"k":""}"#),
            ("-----BEGIN\nx\n", &["k=-"], r#"{"k":"-----BEGIN\nx\n"}"#),
            ("x\n\n", &["k=-"], r#"{"k":"x\n\n"}"#),
            ("x\n", &["a=-", "b=-"], r#"{"a":"x","b":"x"}"#),
            ("{\"a\":1}\n", &["-"], r#"{"a":1}"#),
        ] {
            assert_eq!(read(typed, words).as_deref(), Ok(data), "{typed:?}");
        }
    }

    #[test]
    fn complaints_never_repeat_a_value() {
        for (stdin, words, complaint) in [
            ("", &["foo"][..], "invalid key/value pair \"foo\": format must be key=value"),
            ("x", &["a=-", "b=-"], "invalid key/value pair \"b=…\": stdin already consumed"),
            ("hunter2", &["-"], "invalid key/value pair \"-\": error parsing JSON"),
            ("[1]", &["-"], "invalid key/value pair \"-\": the JSON document is not an object"),
        ] {
            assert_eq!(read(stdin, words).err().as_deref(), Some(complaint), "{words:?}");
        }
        let error = read("", &["k=@/nonexistent/x"]).unwrap_err();
        assert!(error.contains("error reading file /nonexistent/x"), "{error}");
    }

    #[test]
    fn queries_hold_texts_only() {
        let words = ["b=2".to_owned(), "a=1".to_owned(), "a=0".to_owned()];
        let query = parse_query(&mut Input::new(Box::new(std::io::empty()), None), &words).unwrap();
        let pairs: Vec<_> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(pairs, ["a=0", "a=1", "b=2"]);
    }
}
