//! Templates of account names (`username_template`), in the part of Go's text/template that such
//! templates are written in (OpenBao's concept page "Username templating").
//!
//! The subset: fields (`.RoleName`, `$.RoleName`), texts, whole numbers, `true` and `false`, pipes,
//! parentheses, variables, `if`/`else if`/`else`, comments, trim markers, the functions of that page
//! and of Go that make sense for texts ([`functions`]). No loops, no templates within templates, no
//! access to anything but the fields.
//!
//! Invariants:
//! * whatever is outside the subset is refused by [`Template::parse`], with its place: every name
//!   and every kind of value is known then, so that a configuration that was taken makes names;
//! * what is inside gives the bytes that Go gives. The one difference: a character that was cut in
//!   two is left out of the result, where Go hands on half of it;
//! * work and memory are bounded by the constants here, whatever the template is;
//! * no I/O: randomness and time are arguments. `timestamp` is in UTC;
//! * no error repeats a field's value or a text of the template; names of functions and fields it
//!   does name.
//!
//! It lives here because drivers declare their default templates and engines above them render
//! them; `base`, the lower place, may not hash.

mod eval;
mod format;
pub mod functions;
mod layout;
mod lex;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;

pub use strongroom_base::hcl::Position;
use strongroom_base::{Rng, Timestamp};

/// Bytes of a template.
pub const TEMPLATE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of the result, and of each value on the way to it.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// Bytes that all functions of one rendering take and give together.
pub const WORK_BYTES_MAX: usize = 1024 * 1024;
/// How deep conditions, parentheses and pipes may be nested.
pub const DEPTH_MAX: usize = 64;
/// Characters that one `random` gives.
pub const RANDOM_MAX: i64 = 1024;
/// Width and precision of a verb of `printf`.
pub const WIDTH_MAX: usize = 1024;

/// The fields of a database's account names.
pub const DATABASE_FIELDS: &[&str] = &["DisplayName", "RoleName"];

/// A template that can be rendered.
#[derive(Clone, Debug)]
pub struct Template {
    nodes: Vec<parse::Node>,
    fields: Vec<String>,
    variables: usize,
}

impl Template {
    /// Reads a template whose fields are called `fields`.
    pub fn parse(text: &str, fields: &[&str]) -> Result<Self, Error> {
        let fields = fields.iter().map(|f| (*f).to_owned()).collect();
        Self::read(text, fields, false)
    }

    /// Reads a template whose fields may be called anything; [`Template::fields`] tells how.
    pub fn parse_open(text: &str) -> Result<Self, Error> {
        Self::read(text, Vec::new(), true)
    }

    /// The names of its fields.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    fn read(text: &str, fields: Vec<String>, open: bool) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::new(Position { line: 1, column: 1 }, "missing template"));
        }
        if text.len() > TEMPLATE_BYTES_MAX {
            let message = format!("the template is longer than {TEMPLATE_BYTES_MAX} bytes");
            return Err(Error::new(Position { line: 1, column: 1 }, message));
        }
        let (nodes, variables, fields) = parse::parse(text, fields, open)?;
        Ok(Self { nodes, fields, variables })
    }

    /// The text for these values, which are called as at [`Template::parse`]; a field that is not
    /// among them is empty.
    pub fn render(
        &self,
        values: &[(&str, &str)],
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<String, Error> {
        self.render_where(values, rng, now, |_| true)
    }

    /// As [`Template::render`], where each value that goes to the result must be one that `may_stand`
    /// lets through; the template's own text need not.
    pub fn render_where(
        &self,
        values: &[(&str, &str)],
        rng: &dyn Rng,
        now: Timestamp,
        may_stand: fn(&[u8]) -> bool,
    ) -> Result<String, Error> {
        let value = |field: &String| {
            values.iter().find(|(name, _)| name == field).map_or("", |(_, value)| *value)
        };
        let fields = self.fields.iter().map(value).collect();
        let bytes = eval::run(&self.nodes, self.variables, fields, rng, now, may_stand)?;
        Ok(whole_characters(&bytes))
    }
}

/// The bytes as text, without those that are no character.
fn whole_characters(bytes: &[u8]) -> String {
    bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

/// Why a template was refused, or could not be rendered, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// The place in the template.
    pub position: Position,
    /// What is wrong. Invariant: no value of a field, no text of the template.
    pub message: String,
}

impl Error {
    fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: message.into() }
    }
}

/// `At line:column: message`, as other configuration texts are refused.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At {}:{}: {}", self.position.line, self.position.column, self.message)
    }
}

impl std::error::Error for Error {}
