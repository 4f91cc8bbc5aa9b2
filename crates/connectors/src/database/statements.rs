//! An operator's SQL: taken apart into single statements, with values put into its placeholders.
//!
//! A placeholder (`{{name}}`, `{{password}}`, …) stands where the operator put it, within quotes of some
//! kind or without. The value is written by the rules of exactly that place, so that a name or a
//! password with a quote in it neither breaks the statement nor becomes part of it (threat
//! CVE-2026-39946). Where no rule makes a value safe, it is refused.

use strongroom_base::{SecretString, Timestamp};
use zeroize::Zeroizing;

use super::forms::{self, Sql};
use super::{DatabaseError, wrong};

/// Whose quoting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// PostgreSQL: `"identifier"`, `'text'`, `E'text'`, `$tag$text$tag$`; comments nest.
    Postgresql,
    /// MySQL and MariaDB: `` `identifier` ``, `'text'`, `"text"`, backslashes escape in texts.
    Mysql,
}

/// Where in a statement a place is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Plain,
    /// Within this quote; `escapes` tells whether backslashes escape there.
    Quoted {
        quote: char,
        escapes: bool,
    },
    LineComment,
    /// How deep.
    BlockComment(u32),
}

impl Dialect {
    /// An identifier, quoted.
    pub fn identifier(self, name: &str) -> String {
        let quote = if self == Self::Postgresql { '"' } else { '`' };
        let mut out = String::with_capacity(name.len() + 2);
        out.push(quote);
        Place::Quoted { quote, escapes: false }.write(&mut out, name);
        out.push(quote);
        out
    }

    /// A text, quoted.
    pub fn text(self, value: &str) -> Zeroizing<String> {
        let escapes = self == Self::Mysql;
        let mut out = Zeroizing::new(String::with_capacity(2 * value.len() + 2));
        out.push('\'');
        Place::Quoted { quote: '\'', escapes }.write(&mut out, value);
        out.push('\'');
        out
    }

    fn quotes(self, quote: char, before: &str) -> Option<Place> {
        let escapes = match (self, quote) {
            (Self::Postgresql, '\'') => is_escape_prefix(before),
            (Self::Postgresql, '"') | (Self::Mysql, '`') => false,
            (Self::Mysql, '\'' | '"') => true,
            _ => return None,
        };
        Some(Place::Quoted { quote, escapes })
    }
}

/// Does a text that begins here have PostgreSQL's escapes (`E'…'`)? The E must be a word of its own.
fn is_escape_prefix(before: &str) -> bool {
    let mut back = before.chars().rev();
    matches!(back.next(), Some('e' | 'E'))
        && back.next().is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == '$'))
}

impl Place {
    /// Writes a value as it must stand here. Only called for quoted places.
    fn write(self, out: &mut String, value: &str) {
        let Self::Quoted { quote, escapes } = self else { return out.push_str(value) };
        for c in value.chars() {
            if c == quote || c == '\\' && escapes {
                out.push(c);
            }
            out.push(c);
        }
    }
}

/// No placeholder is longer, with its spaces: whatever is in a text, it is read in one go.
const PLACEHOLDER_CHARS_MAX: usize = 64;
/// Dollar quotes stand in each other at most so deep.
const DOLLAR_QUOTES_MAX: usize = 16;

/// Values for placeholders, by their names without the braces.
pub type Values<'a> = [(&'a str, &'a str)];

/// The value of `{{expiration}}`, in UTC: `2006-01-02 15:04:05+0000`.
pub fn expiration(at: Timestamp) -> String {
    let whole = Timestamp::from_seconds(at.seconds()).to_string();
    format!("{}+0000", whole.trim_end_matches('Z').replace('T', " "))
}

/// The single statements of an operator's texts, with the values in their places.
///
/// A text has any of the forms of [`forms`]. SQL is cut at each `;` outside of quotes, comments and
/// dollar quotes; a member of a list is not cut. What is comment alone is no statement.
pub fn fill(
    dialect: Dialect,
    texts: &[String],
    values: &Values<'_>,
) -> Result<Vec<SecretString>, DatabaseError> {
    let mut statements = Vec::new();
    for Sql { text, whole } in texts.iter().flat_map(|text| forms::read(text)) {
        let mut scan = Scan::new(dialect, &text);
        let mut current = Zeroizing::new(String::new());
        // Is there more than comments?
        let mut says = false;
        while let Some(c) = scan.rest.chars().next() {
            if scan.place == Place::Plain && scan.tags.is_empty() && c == ';' && !whole {
                scan.skip(1);
                finish(&mut current, &mut says, &mut statements);
                continue;
            }
            says |= scan.says();
            if scan.tags.len() > DOLLAR_QUOTES_MAX {
                return Err(wrong("a statement has too many dollar quotes in each other"));
            }
            if let Some((name, value, length)) = placeholder(scan.rest, values) {
                scan.put(&mut current, name, value, length)?;
                scan.skip(length);
                continue;
            }
            current.push_str(scan.step());
        }
        if matches!(scan.place, Place::Quoted { .. }) || !scan.tags.is_empty() {
            return Err(wrong("a statement has an opening quote without its closing one"));
        }
        finish(&mut current, &mut says, &mut statements);
    }
    Ok(statements)
}

fn finish(current: &mut Zeroizing<String>, says: &mut bool, statements: &mut Vec<SecretString>) {
    let statement = std::mem::take(current);
    if std::mem::take(says) {
        statements.push(SecretString::new(statement.trim().to_owned()));
    }
}

/// The placeholder that begins here, its value, and its length.
fn placeholder<'v>(rest: &str, values: &'v Values<'_>) -> Option<(&'v str, &'v str, usize)> {
    let inner = rest.strip_prefix("{{")?;
    let mut ends = inner.char_indices().take(PLACEHOLDER_CHARS_MAX).map(|(at, _)| at);
    let name = &inner[..ends.find(|at| inner[*at..].starts_with("}}"))?];
    let (known, value) = values.iter().find(|(known, _)| *known == name.trim())?;
    Some((known, value, name.len() + 4))
}

/// A walk over a text that knows where it is.
struct Scan<'t> {
    dialect: Dialect,
    text: &'t str,
    rest: &'t str,
    place: Place,
    /// Where the quotes that are open have their first character.
    opened: usize,
    /// Are quotes open within the quotes that are open: `"`, `''`?
    inner: (bool, bool),
    /// Dollar quotes that are open, outermost first.
    tags: Vec<&'t str>,
}

impl<'t> Scan<'t> {
    fn new(dialect: Dialect, text: &'t str) -> Self {
        Self {
            dialect,
            text,
            rest: text,
            place: Place::Plain,
            opened: 0,
            inner: (false, false),
            tags: Vec::new(),
        }
    }

    fn before(&self) -> &'t str {
        &self.text[..self.text.len() - self.rest.len()]
    }

    fn skip(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    /// Does a statement begin here at the latest?
    fn says(&self) -> bool {
        match self.place {
            Place::LineComment | Place::BlockComment(_) => false,
            Place::Quoted { .. } => true,
            Place::Plain if self.comment().is_some() => self.is_executable(),
            Place::Plain => !self.rest.starts_with(char::is_whitespace),
        }
    }

    /// Writes a value where the walk is, for a placeholder of this length.
    fn put(
        &self,
        out: &mut String,
        name: &str,
        value: &str,
        length: usize,
    ) -> Result<(), DatabaseError> {
        if value.contains('\0') {
            return Err(wrong(format!("the value for {{{{{name}}}}} has a NUL in it")));
        }
        if self.tags.iter().any(|tag| completes(tag, out, value, &self.rest[length..])) {
            return Err(wrong(format!(
                "the value for {{{{{name}}}}} would end the dollar quotes that it stands in"
            )));
        }
        if self.is_statement_in_text(length) && !self.stands_in_statement(value) {
            return Err(wrong(format!(
                "the value for {{{{{name}}}}} cannot stand in a statement that is a text itself"
            )));
        }
        match self.place {
            Place::Quoted { .. } => self.place.write(out, value),
            Place::Plain if joins(out, &self.rest[length..]) => {
                return Err(wrong(format!(
                    "a statement has {{{{{name}}}}} outside of quotes, at quotes"
                )));
            }
            Place::Plain if is_word(value) => out.push_str(value),
            Place::Plain => {
                return Err(wrong(format!(
                    "a statement has {{{{{name}}}}} outside of quotes, where this value cannot stand"
                )));
            }
            // A comment is for people; a value could end it.
            Place::LineComment | Place::BlockComment(_) => {}
        }
        Ok(())
    }

    /// Is the placeholder but a part of a text within dollar quotes? Such texts are executed mostly
    /// (`EXECUTE 'CREATE ROLE "{{name}}"'`), and then our quoting is that of the text only.
    fn is_statement_in_text(&self, length: usize) -> bool {
        let Place::Quoted { quote: '\'', .. } = self.place else { return false };
        let alone = self.before().len() == self.opened && self.rest[length..].starts_with('\'');
        !self.tags.is_empty() && !alone
    }

    /// May a value stand in there: within quotes without having any, else as one word?
    fn stands_in_statement(&self, value: &str) -> bool {
        if self.inner.0 || self.inner.1 {
            !value.contains(['"', '\'', '\\'])
        } else {
            let fits = |c: char| c.is_ascii_alphanumeric() || "_-.:@+".contains(c);
            value.chars().all(fits) && !value.contains("--")
        }
    }

    /// Takes what belongs together here: mostly one character.
    fn step(&mut self) -> &'t str {
        let rest = self.rest;
        let one = rest.chars().next().map_or(0, char::len_utf8);
        match self.place {
            Place::Quoted { quote, escapes } => {
                let next = rest[one..].chars().next();
                if escapes && rest.starts_with('\\') {
                    return self.skip(one + next.map_or(0, char::len_utf8));
                }
                if rest.starts_with(quote) {
                    if next == Some(quote) {
                        self.inner.1 = !self.inner.1;
                        return self.skip(2 * one);
                    }
                    self.place = Place::Plain;
                }
                self.inner.0 ^= rest.starts_with('"');
                self.skip(one)
            }
            Place::LineComment => {
                if rest.starts_with('\n') {
                    self.place = Place::Plain;
                }
                self.skip(one)
            }
            Place::BlockComment(depth) => {
                if rest.starts_with("*/") {
                    self.place = match depth {
                        0 | 1 => Place::Plain,
                        _ => Place::BlockComment(depth - 1),
                    };
                    return self.skip(2);
                }
                if rest.starts_with("/*") && self.dialect == Dialect::Postgresql {
                    self.place = Place::BlockComment(depth + 1);
                    return self.skip(2);
                }
                self.skip(one)
            }
            Place::Plain => self.step_plain(one),
        }
    }

    /// The comment that begins here.
    fn comment(&self) -> Option<Place> {
        let mysql = self.dialect == Dialect::Mysql;
        if self.rest.starts_with("/*") {
            return Some(Place::BlockComment(1));
        }
        let line = match self.rest.strip_prefix("--") {
            Some(after) => {
                !mysql || !after.starts_with(|c: char| !(c.is_whitespace() || c.is_control()))
            }
            None => mysql && self.rest.starts_with('#'),
        };
        line.then_some(Place::LineComment)
    }

    /// Does a comment begin here that MySQL or MariaDB executes?
    fn is_executable(&self) -> bool {
        self.dialect == Dialect::Mysql
            && ["/*!", "/*M!"].iter().any(|start| self.rest.starts_with(start))
    }

    fn step_plain(&mut self, one: usize) -> &'t str {
        let rest = self.rest;
        if let Some(comment) = self.comment() {
            self.place = comment;
            return self.skip(if comment == Place::LineComment { one } else { 2 });
        }
        if let Some(tag) = self.dollar_tag() {
            // Within dollar quotes there is mostly SQL, too: its quotes count.
            match self.tags.last() {
                Some(open) if *open == tag => drop(self.tags.pop()),
                _ => self.tags.push(tag),
            }
            return self.skip(tag.len());
        } else if let Some(c) = rest.chars().next()
            && let Some(place) = self.dialect.quotes(c, self.before())
        {
            self.place = place;
            self.opened = self.before().len() + one;
            self.inner = (false, false);
        }
        self.skip(one)
    }

    /// `$tag$` that begins here, in PostgreSQL.
    fn dollar_tag(&self) -> Option<&'t str> {
        if self.dialect != Dialect::Postgresql {
            return None;
        }
        let after_word =
            self.before().chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let inner = self.rest.strip_prefix('$').filter(|_| !after_word)?;
        let end = inner.find('$')?;
        let tag = &inner[..end];
        let is_tag = !tag.starts_with(|c: char| c.is_ascii_digit())
            && tag.chars().all(|c| c.is_alphanumeric() || c == '_');
        is_tag.then(|| &self.rest[..end + 2])
    }
}

/// Is there a tag of dollar quotes in a value, or does the value make one with what is around it?
fn completes(tag: &str, before: &str, value: &str, after: &str) -> bool {
    if !value.contains('$') && !before.ends_with('$') && !after.starts_with('$') {
        return false;
    }
    // Of what is around it, too little for a tag without the value.
    let around = tag.chars().count() - 1;
    let start = before.char_indices().rev().take(around).last().map_or(before.len(), |(at, _)| at);
    let near: String = after.chars().take(around).collect();
    let whole = Zeroizing::new(format!("{}{value}{near}", &before[start..]));
    whole.contains(tag)
}

/// Would a word here be a part of what opens quotes: `E'`, `$tag$`?
fn joins(before: &str, after: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    after.starts_with(['\'', '$']) || before.trim_end_matches(is_word).ends_with('$')
}

/// May it stand without quotes: letters, digits, underscores?
fn is_word(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(dialect: Dialect, text: &str, name: &str) -> Result<Vec<String>, String> {
        let values = [("name", name), ("username", name), ("password", "p'w\\d")];
        let statements = fill(dialect, &[text.to_owned()], &values);
        let texts =
            |all: Vec<SecretString>| all.iter().map(|s| s.expose_secret().clone()).collect();
        statements.map(texts).map_err(|e| e.text)
    }

    /// Threat CVE-2026-39946: names and passwords are data wherever they stand.
    #[test]
    fn values_are_written_by_the_quoting_of_their_place() {
        use Dialect::{Mysql, Postgresql};
        let evil = "x\"; DROP ROLE a; --'`\\";
        let cases: &[(Dialect, &str, &[&str])] = &[
            (
                Postgresql,
                "CREATE ROLE \"{{name}}\"",
                &["CREATE ROLE \"x\"\"; DROP ROLE a; --'`\\\""],
            ),
            (Postgresql, "SELECT '{{name}}'", &["SELECT 'x\"; DROP ROLE a; --''`\\'"]),
            (Postgresql, "SELECT E'{{name}}'", &["SELECT E'x\"; DROP ROLE a; --''`\\\\'"]),
            (Postgresql, "SELECT NAME'{{password}}'", &["SELECT NAME'p''w\\d'"]),
            (
                Mysql,
                "CREATE USER '{{name}}'@'%'",
                &["CREATE USER 'x\"; DROP ROLE a; --''`\\\\'@'%'"],
            ),
            (Mysql, "CREATE USER `{{ name }}`", &["CREATE USER `x\"; DROP ROLE a; --'``\\`"]),
            (Mysql, "SELECT \"{{username}}\"", &["SELECT \"x\"\"; DROP ROLE a; --'`\\\\\""]),
            (Postgresql, "-- for {{name}}\nSELECT 1", &["-- for \nSELECT 1"]),
            (Postgresql, "/* {{name}} /* */ ; */ SELECT 1", &["/*  /* */ ; */ SELECT 1"]),
            (
                Postgresql,
                "DO $x$ BEGIN PERFORM '{{name}}'; END $x$; SELECT 2;",
                &["DO $x$ BEGIN PERFORM 'x\"; DROP ROLE a; --''`\\'; END $x$", "SELECT 2"],
            ),
            (Postgresql, "SELECT 'a;b'; ; SELECT \"c;d\" ;", &["SELECT 'a;b'", "SELECT \"c;d\""]),
            (Postgresql, "SELECT '{{other}}'", &["SELECT '{{other}}'"]),
            (
                Postgresql,
                "SELECT '{{ü}}{{{{name }}'",
                &["SELECT '{{ü}}{{x\"; DROP ROLE a; --''`\\'"],
            ),
            (Postgresql, "SELECT 1; -- {{name}}\n /* ; {{name}} */ ;", &["SELECT 1"]),
            (Postgresql, "/* a */ SELECT 1 - -1", &["/* a */ SELECT 1 - -1"]),
            (Mysql, "SELECT 1; # a\n; -- b\n; --1; --", &["SELECT 1", "--1"]),
            (
                Mysql,
                "/*!50000 SELECT 1 */; /*M!1 SELECT 2 */; /* M! */",
                &["/*!50000 SELECT 1 */", "/*M!1 SELECT 2 */"],
            ),
            (Mysql, "SELECT 'it\\'s; {{password}}'", &["SELECT 'it\\'s; p''w\\\\d'"]),
        ];
        for (dialect, text, expected) in cases {
            let got = filled(*dialect, text, evil).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(got, *expected, "{text}");
        }
    }

    #[test]
    fn what_no_quoting_makes_safe_is_refused_without_the_value() {
        let nested: String = (0..=DOLLAR_QUOTES_MAX + 1).map(|n| format!("$t{n}$ ")).collect();
        let cases = [
            ("CREATE ROLE {{name}}", "x y", "outside of quotes"),
            ("CREATE ROLE {{name}}", "", "outside of quotes"),
            ("SELECT {{name}}'a\\'", "E", "at quotes"),
            ("SELECT {{name}}$$a$$", "e", "at quotes"),
            ("SELECT $a_{{name}}$ ; $a_e$", "e", "at quotes"),
            ("CREATE ROLE \"{{name}}\"", "a\0secret", "has a NUL"),
            ("DO $$ BEGIN PERFORM '{{name}}'; END $$", "a$$secret", "would end the dollar quotes"),
            (
                "DO $x$ BEGIN PERFORM '$x{{name}}'; END $x$",
                "$secret",
                "would end the dollar quotes",
            ),
            (
                "DO $x$ BEGIN PERFORM '{{name}}x$'; END $x$",
                "secret$",
                "would end the dollar quotes",
            ),
            ("CREATE ROLE \"{{name}}", "a", "without its closing one"),
            ("DO $$ BEGIN", "a", "without its closing one"),
            (&nested, "a", "too many dollar quotes"),
        ];
        for (text, name, expected) in cases {
            let error = filled(Dialect::Postgresql, text, name).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
        let verifier = "SCRAM-SHA-256$4096:c2FsdA==$a:b";
        assert_eq!(
            filled(Dialect::Postgresql, "DO $$ BEGIN PERFORM '{{name}}'; END $$", verifier)
                .unwrap(),
            [format!("DO $$ BEGIN PERFORM '{verifier}'; END $$")]
        );
        assert_eq!(
            filled(Dialect::Postgresql, "CREATE ROLE {{name}}", "v_token_1").unwrap(),
            ["CREATE ROLE v_token_1"]
        );
    }

    /// Threat CVE-2026-39946, one level down.
    #[test]
    fn a_value_in_a_statement_that_is_a_text_has_nothing_to_end_it_with() {
        let within = |inner: &str| format!("DO $$ BEGIN EXECUTE {inner}; END $$");
        let cases = [
            ("'CREATE ROLE \"{{name}}\"'", "v-a.b 1", true),
            ("'CREATE ROLE \"{{name}}\"'", "x\" SUPERUSER; --", false),
            ("'ALTER ROLE x PASSWORD ''{{name}}'''", "a b$c", true),
            ("'ALTER ROLE x PASSWORD ''{{name}}'''", "a''; DROP ROLE y; --", false),
            ("'ALTER ROLE x PASSWORD E''{{name}}'''", "a\\", false),
            ("'GRANT x TO {{name}}'", "v_1", true),
            ("'this is for {{name}}'", "v-a@b.c-1", true),
            ("'ALTER ROLE {{name}} NOLOGIN'", "x--", false),
            ("'GRANT x TO {{name}}'", "x, y", false),
            ("format('GRANT x TO %I', '{{name}}')", "x\"'; y", true),
        ];
        for (inner, name, good) in cases {
            let got = filled(Dialect::Postgresql, &within(inner), name);
            assert_eq!(got.is_ok(), good, "{inner} {name}: {got:?}");
        }
    }

    /// Threat CVE-2026-39946: in whatever form a statement was written, values are data in it.
    #[test]
    fn statements_come_in_lists_and_in_base64_too() {
        let evil = "x\"; DROP ROLE a; --";
        let role = "CREATE ROLE \"x\"\"; DROP ROLE a; --\"";
        let cases: &[(&str, &[&str])] = &[
            (r#"["CREATE ROLE \"{{name}}\"", "SELECT 1;"]"#, &[role, "SELECT 1;"]),
            (r#"["CREATE ROLE \"{{name}}\"; SELECT 1"]"#, &[&format!("{role}; SELECT 1")]),
            (r#"["-- nothing", "/* at all */"]"#, &[]),
            ("[]", &[]),
            // CREATE ROLE "{{name}}"; SELECT 1
            ("Q1JFQVRFIFJPTEUgInt7bmFtZX19IjsgU0VMRUNUIDE=", &[role, "SELECT 1"]),
            // ["CREATE ROLE \"{{name}}\"; SELECT 1"]
            (
                "WyJDUkVBVEUgUk9MRSBcInt7bmFtZX19XCI7IFNFTEVDVCAxIl0=",
                &[&format!("{role}; SELECT 1")],
            ),
            (
                r#"["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END"]"#,
                &["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END"],
            ),
        ];
        for (text, expected) in cases {
            let got = filled(Dialect::Postgresql, text, evil);
            assert_eq!(got.as_deref().unwrap(), *expected, "{text}");
        }
        let error = filled(Dialect::Postgresql, r#"["CREATE ROLE {{name}}"]"#, evil).unwrap_err();
        assert!(error.contains("outside of quotes"), "{error}");
    }

    #[test]
    fn an_end_is_written_in_utc_without_parts_of_seconds() {
        for (nanos, expected) in [
            (0, "1970-01-01 00:00:00+0000"),
            (1_800_000_000_999_999_999, "2027-01-15 08:00:00+0000"),
            (-1, "1969-12-31 23:59:59+0000"),
            (i64::MAX, "2262-04-11 23:47:16+0000"),
        ] {
            assert_eq!(expiration(Timestamp(nanos)), expected);
        }
    }

    #[test]
    fn identifiers_and_texts_of_our_own_statements() {
        assert_eq!(Dialect::Postgresql.identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(Dialect::Mysql.identifier("a`b"), "`a``b`");
        assert_eq!(*Dialect::Postgresql.text("a'b\\"), "'a''b\\'");
        assert_eq!(*Dialect::Mysql.text("a'b\\"), "'a''b\\\\'");
    }
}
