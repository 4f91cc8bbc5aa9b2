//! A template's text as tokens, by the rules of Go's text/template: what stands between `{{` and
//! `}}`, trim markers, comments.

use super::{Error, Position};

/// A token and the byte it begins at.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Item {
    pub at: usize,
    pub token: Token,
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    /// What stands outside of braces, already trimmed. Never empty.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// Blanks inside braces: they separate arguments.
    Space,
    /// A function's name or a keyword.
    Word(String),
    /// `.Name`, without the dot.
    Field(String),
    /// `$name`, without the dollar sign; empty is `$` itself.
    Variable(String),
    /// A quoted text, its escapes resolved; not always UTF-8.
    Literal(Vec<u8>),
    /// A whole number.
    Integer(i64),
    /// `|`
    Pipe,
    /// `(`
    LeftParen,
    /// `)`
    RightParen,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

/// What counts as a blank.
const BLANKS: &[char] = &[' ', '\t', '\r', '\n'];

/// The place of byte `at`.
pub(super) fn position(text: &str, at: usize) -> Position {
    let before = text.get(..at).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { line: small(line), column: small(column) }
}

/// All tokens of a template.
pub(super) fn tokens(text: &str) -> Result<Vec<Item>, Error> {
    let mut lexer = Lexer { text, at: 0, items: Vec::new() };
    lexer.outside()?;
    Ok(lexer.items)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    items: Vec<Item>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn error(&self, at: usize, message: impl Into<String>) -> Error {
        Error::new(position(self.text, at), message)
    }

    fn push(&mut self, at: usize, token: Token) {
        self.items.push(Item { at, token });
    }

    /// Texts and the actions between them.
    fn outside(&mut self) -> Result<(), Error> {
        let mut trim_next = false;
        loop {
            if trim_next {
                self.at += self.rest().len() - self.rest().trim_start_matches(BLANKS).len();
            }
            let start = self.at;
            let length = self.rest().find("{{");
            let end = length.map_or(self.text.len(), |n| start + n);
            let trim_before = self.text.get(end + 2..).is_some_and(opens_with_trim);
            let mut piece = self.text.get(start..end).unwrap_or("");
            if trim_before {
                piece = piece.trim_end_matches(BLANKS);
            }
            if !piece.is_empty() {
                let token = Token::Text(piece.to_owned());
                self.push(start, token);
            }
            if length.is_none() {
                return Ok(());
            }
            self.at = end + 2 + if trim_before { 2 } else { 0 };
            trim_next = if self.rest().starts_with("/*") {
                self.comment(end)?
            } else {
                self.push(end, Token::Open);
                self.inside(end)?
            };
        }
    }

    /// A comment; says whether the text behind it is to be trimmed.
    fn comment(&mut self, open: usize) -> Result<bool, Error> {
        let Some(length) = self.rest().get(2..).and_then(|rest| rest.find("*/")) else {
            return Err(self.error(open, "unclosed comment"));
        };
        self.at += 2 + length + 2;
        match self.close() {
            Some(trim) => Ok(trim),
            None => Err(self.error(self.at, "comment ends before closing delimiter")),
        }
    }

    /// Steps over a closing delimiter, if one is here; says whether it trims.
    fn close(&mut self) -> Option<bool> {
        let rest = self.rest();
        let trims = rest.starts_with(BLANKS) && rest.get(1..).is_some_and(|r| r.starts_with("-}}"));
        if trims {
            self.at += 4;
        } else if rest.starts_with("}}") {
            self.at += 2;
        } else {
            return None;
        }
        Some(trims)
    }

    /// The tokens of one action, up to its end; says whether the text behind it is to be trimmed.
    fn inside(&mut self, open: usize) -> Result<bool, Error> {
        loop {
            let start = self.at;
            if let Some(trims) = self.close() {
                self.push(start, Token::Close);
                return Ok(trims);
            }
            let Some(c) = self.rest().chars().next() else {
                return Err(self.error(open, "unclosed action"));
            };
            let token = match c {
                _ if BLANKS.contains(&c) => self.blanks(),
                '"' => self.quoted()?,
                '`' => self.raw()?,
                '$' => self.name(1, Token::Variable)?,
                '.' if self.rest().get(1..).is_some_and(|r| r.starts_with(is_name)) => {
                    self.number_or_field()?
                }
                '.' => return Err(self.error(start, "`.` alone is not supported")),
                '\'' => return Err(self.error(start, "character constants are not supported")),
                '+' | '-' | '0'..='9' => self.number()?,
                _ if is_name(c) => self.name(0, Token::Word)?,
                '|' => self.sign(1, Token::Pipe),
                '(' => self.sign(1, Token::LeftParen),
                ')' => self.sign(1, Token::RightParen),
                '=' => self.sign(1, Token::Assign),
                ':' if self.rest().starts_with(":=") => self.sign(2, Token::Declare),
                _ => return Err(self.error(start, "unexpected character in an action")),
            };
            self.push(start, token);
        }
    }

    fn sign(&mut self, length: usize, token: Token) -> Token {
        self.at += length;
        token
    }

    /// A run of blanks. The last of them may belong to a closing delimiter that trims.
    fn blanks(&mut self) -> Token {
        while self.rest().starts_with(BLANKS) {
            let closes = self.rest().get(1..).is_some_and(|r| r.starts_with("-}}"));
            if closes {
                break;
            }
            self.at += 1;
        }
        Token::Space
    }

    /// A name behind `prefix` bytes, which must end where a name may.
    fn name(&mut self, prefix: usize, token: fn(String) -> Token) -> Result<Token, Error> {
        let start = self.at;
        self.at += prefix;
        let name: String = self.rest().chars().take_while(|c| is_name(*c)).collect();
        self.at += name.len();
        let rest = self.rest();
        let ends = rest.is_empty()
            || rest.starts_with("}}")
            || rest.starts_with(BLANKS)
            || rest.starts_with(['.', ',', '|', ':', ')', '(']);
        if !ends {
            return Err(self.error(start, "unexpected character in a name"));
        }
        Ok(token(name))
    }

    fn number_or_field(&mut self) -> Result<Token, Error> {
        if self.rest().get(1..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit())) {
            return self.number();
        }
        self.name(1, Token::Field)
    }

    fn number(&mut self) -> Result<Token, Error> {
        let start = self.at;
        let sign = usize::from(self.rest().starts_with(['+', '-']));
        let digits: String =
            self.rest().chars().skip(sign).take_while(|c| is_name(*c) || *c == '.').collect();
        self.at += sign + digits.len();
        if digits.is_empty() {
            return Err(self.error(start, "a sign without a number: texts are in quotes"));
        }
        // Go reads a leading zero as octal, and then again as decimal if that fails.
        let plain = digits.bytes().all(|b| b.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        let value = self.text.get(start..self.at).and_then(|text| text.parse().ok());
        match value {
            Some(value) if plain => Ok(Token::Integer(value)),
            _ => Err(self.error(start, "only whole decimal numbers of 64 bits are supported")),
        }
    }

    fn raw(&mut self) -> Result<Token, Error> {
        let start = self.at;
        let Some(length) = self.rest().get(1..).and_then(|rest| rest.find('`')) else {
            return Err(self.error(start, "unterminated raw text"));
        };
        let text = self.text.get(start + 1..start + 1 + length).unwrap_or("");
        // Go's raw strings have no carriage returns.
        let bytes = text.bytes().filter(|b| *b != b'\r').collect();
        self.at += length + 2;
        Ok(Token::Literal(bytes))
    }

    fn quoted(&mut self) -> Result<Token, Error> {
        let start = self.at;
        let mut bytes = Vec::new();
        self.at += 1;
        loop {
            match self.rest().chars().next() {
                None | Some('\n') => return Err(self.error(start, "unterminated text")),
                Some('"') => {
                    self.at += 1;
                    return Ok(Token::Literal(bytes));
                }
                Some('\\') => {
                    let at = self.at;
                    let Some(length) = unescape(self.rest(), &mut bytes) else {
                        return Err(self.error(at, "unknown escape in a text"));
                    };
                    self.at += length;
                }
                Some(c) => {
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    self.at += c.len_utf8();
                }
            }
        }
    }
}

/// A letter, digit or underscore. Go takes those of all scripts, but no name that is known here has
/// any.
fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Does what stands behind `{{` trim the text before?
fn opens_with_trim(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(BLANKS))
}

/// Resolves the escape that `text` begins with (Go specification, "String literals"); its length.
fn unescape(text: &str, out: &mut Vec<u8>) -> Option<usize> {
    let kind = *text.as_bytes().get(1)?;
    let simple = match kind {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => 10,
        b'r' => 13,
        b't' => 9,
        b'v' => 11,
        b'\\' | b'"' => kind,
        _ => 0,
    };
    if simple != 0 {
        out.push(simple);
        return Some(2);
    }
    let (from, digits, radix) = match kind {
        b'0'..=b'7' => (1, 3, 8),
        b'x' => (2, 2, 16),
        b'u' => (2, 4, 16),
        b'U' => (2, 8, 16),
        _ => return None,
    };
    let digits_text = text.get(from..from + digits)?;
    if !digits_text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let value = u32::from_str_radix(digits_text, radix).ok()?;
    if matches!(kind, b'u' | b'U') {
        out.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        out.push(u8::try_from(value).ok()?);
    }
    Some(from + digits)
}
