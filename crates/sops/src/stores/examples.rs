//! What the editor shows for a new file.

use super::Format;
use crate::tree::{Branch, Comment, Item, Value};

/// The greeting.
pub const WELCOME: &str = "Welcome to SOPS! Edit this file as you please!";

/// The document of a format.
pub fn of(format: Format) -> Branch {
    match format {
        Format::Yaml | Format::Json | Format::Binary => nested(),
        Format::Dotenv => {
            let mut branch = Branch(vec![comment(" This is an example file.")]);
            branch.push("hello", Value::text(WELCOME));
            branch.push("example_key", Value::text("example_value"));
            branch.push("example_multiline", Value::text("foo\nbar\nbaz"));
            branch
        }
        Format::Ini => {
            let mut section = Branch(vec![comment(" This is an example file.")]);
            section.push("hello", Value::text(WELCOME));
            section.push("example_key", Value::text("example_value"));
            let mut branch = Branch::default();
            branch.push("Welcome!", Value::Map(section));
            branch
        }
    }
}

fn comment(text: &str) -> Item {
    Item::Comment(Comment::new(text))
}

fn nested() -> Branch {
    let texts = |texts: [&str; 2]| Value::List(texts.map(Value::text).into());
    let mut branch = Branch::default();
    branch.push("hello", Value::text(WELCOME));
    branch.push("example_key", Value::text("example_value"));
    branch.0.push(comment(" Example comment"));
    branch.push("example_array", texts(["example_value1", "example_value2"]));
    branch.push("example_number", Value::Float(1234.56789));
    branch.push("example_booleans", Value::List(vec![Value::Bool(true), Value::Bool(false)]));
    branch
}
