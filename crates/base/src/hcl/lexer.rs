//! Text to tokens. The cursor is shared with the JSON reader.

use super::{Error, Position};

/// One token; literals are decoded.
#[derive(Clone, PartialEq)]
pub(super) enum Token {
    Ident(String),
    Text(String),
    Number(String),
    Bool(bool),
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Comma,
    Assign,
    Other(char),
    Eof,
}

impl Token {
    /// HCL's own name for the kind; never the content.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Ident(_) => "IDENT",
            Self::Text(_) => "STRING",
            Self::Number(_) => "NUMBER",
            Self::Bool(_) => "BOOL",
            Self::OpenBrace => "LBRACE",
            Self::CloseBrace => "RBRACE",
            Self::OpenBracket => "LBRACK",
            Self::CloseBracket => "RBRACK",
            Self::Comma => "COMMA",
            Self::Assign => "ASSIGN",
            Self::Other(_) => "ILLEGAL",
            Self::Eof => "EOF",
        }
    }
}

/// A reading position in a text, with line and column.
pub(super) struct Cursor<'a> {
    rest: &'a str,
    at: Position,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, at: Position { line: 1, column: 1 } }
    }

    pub(super) fn position(&self) -> Position {
        self.at
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        self.rest.starts_with(text)
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
        if c == '\n' {
            self.at.line += 1;
            self.at.column = 1;
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    /// Takes characters while `keep` holds.
    pub(super) fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let whole = self.rest;
        while self.peek().is_some_and(&keep) {
            self.next();
        }
        whole.get(..whole.len() - self.rest.len()).unwrap_or("")
    }

    /// Exactly `count` hexadecimal (or octal) digits as a number.
    pub(super) fn digits(&mut self, count: usize, radix: u32) -> Result<u32, Error> {
        let mut value = 0_u32;
        for _ in 0..count {
            let digit = self.peek().and_then(|c| c.to_digit(radix));
            let digit = digit.ok_or_else(|| Error::new(self.at, "illegal char escape"))?;
            value = value.wrapping_mul(radix).wrapping_add(digit);
            self.next();
        }
        Ok(value)
    }
}

/// The tokens of an HCL text.
pub(super) struct Lexer<'a> {
    cursor: Cursor<'a>,
}

fn is_letter(c: char) -> bool {
    c == '_' || c.is_alphabetic()
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { cursor: Cursor::new(text) }
    }

    /// The next token and where it starts.
    pub(super) fn next(&mut self) -> Result<(Token, Position), Error> {
        self.skip_space_and_comments()?;
        let at = self.cursor.position();
        let Some(c) = self.cursor.peek() else { return Ok((Token::Eof, at)) };
        let token = match c {
            _ if is_letter(c) => self.identifier(),
            '0'..='9' => self.number()?,
            '-' | '.' => self.number()?,
            '"' => self.text()?,
            '<' => self.heredoc()?,
            _ => {
                self.cursor.next();
                match c {
                    '{' => Token::OpenBrace,
                    '}' => Token::CloseBrace,
                    '[' => Token::OpenBracket,
                    ']' => Token::CloseBracket,
                    ',' => Token::Comma,
                    '=' => Token::Assign,
                    '\0' => return Err(Error::new(at, "unexpected null character (0x00)")),
                    _ => Token::Other(c),
                }
            }
        };
        Ok((token, at))
    }

    fn skip_space_and_comments(&mut self) -> Result<(), Error> {
        loop {
            self.cursor.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            let at = self.cursor.position();
            if self.cursor.peek() == Some('#') || self.cursor.looking_at("//") {
                self.cursor.take_while(|c| c != '\n');
            } else if self.cursor.looking_at("/*") {
                self.cursor.next();
                self.cursor.next();
                while !self.cursor.looking_at("*/") {
                    if self.cursor.next().is_none() {
                        return Err(Error::new(at, "comment not terminated"));
                    }
                }
                self.cursor.next();
                self.cursor.next();
            } else if self.cursor.peek() == Some('/') {
                return Err(Error::new(at, "expected '/' for comment"));
            } else {
                return Ok(());
            }
        }
    }

    fn identifier(&mut self) -> Token {
        let name =
            self.cursor.take_while(|c| is_letter(c) || c.is_numeric() || c == '-' || c == '.');
        match name {
            "true" => Token::Bool(true),
            "false" => Token::Bool(false),
            _ => Token::Ident(name.to_owned()),
        }
    }

    fn number(&mut self) -> Result<Token, Error> {
        let at = self.cursor.position();
        let mut text = String::new();
        if self.cursor.peek() == Some('-') {
            self.cursor.next();
            text.push('-');
        }
        let body = self.cursor.take_while(|c| c.is_ascii_digit());
        text.push_str(body);
        if body == "0" && matches!(self.cursor.peek(), Some('x' | 'X')) {
            text.extend(self.cursor.next());
            let digits = self.cursor.take_while(|c| c.is_ascii_hexdigit());
            if digits.is_empty() {
                return Err(Error::new(at, "illegal hexadecimal number"));
            }
            text.push_str(digits);
        } else {
            let mut digits = body.len();
            if self.cursor.peek() == Some('.') {
                text.extend(self.cursor.next());
                let fraction = self.cursor.take_while(|c| c.is_ascii_digit());
                digits += fraction.len();
                text.push_str(fraction);
            }
            if digits == 0 {
                return Err(Error::new(at, "illegal char"));
            }
            if matches!(self.cursor.peek(), Some('e' | 'E')) {
                text.extend(self.cursor.next());
                if matches!(self.cursor.peek(), Some('-' | '+')) {
                    text.extend(self.cursor.next());
                }
                let exponent = self.cursor.take_while(|c| c.is_ascii_digit());
                if exponent.is_empty() {
                    return Err(Error::new(at, "illegal exponent of a number"));
                }
                text.push_str(exponent);
            }
        }
        // HCL's reader would take `10s` as a number and the beginning of a new key.
        if self.cursor.peek().is_some_and(is_letter) {
            return Err(Error::new(at, "a number runs into letters: write it in quotes"));
        }
        Ok(Token::Number(text))
    }

    fn text(&mut self) -> Result<Token, Error> {
        let at = self.cursor.position();
        let open = || Error::new(at, "literal not terminated");
        self.cursor.next();
        let mut bytes = Vec::new();
        loop {
            match self.cursor.next().ok_or_else(open)? {
                '"' => break,
                '\n' => return Err(open()),
                '\0' => return Err(Error::new(at, "unexpected null character (0x00)")),
                '\\' => self.escape(&mut bytes)?,
                '$' if self.cursor.peek() == Some('{') => {
                    bytes.push(b'$');
                    self.interpolation(&mut bytes).ok_or_else(open)?;
                }
                c => push(&mut bytes, c),
            }
        }
        let text =
            String::from_utf8(bytes).map_err(|_| Error::new(at, "illegal UTF-8 encoding"))?;
        Ok(Token::Text(text))
    }

    /// `{…}` after a dollar, copied as it stands: neither quotes nor escapes mean anything in it.
    fn interpolation(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let mut braces = 0_usize;
        loop {
            let c = self.cursor.next()?;
            push(bytes, c);
            match c {
                '{' => braces += 1,
                '}' => {
                    braces -= 1;
                    if braces == 0 {
                        return Some(());
                    }
                }
                _ => {}
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let at = self.cursor.position();
        let illegal = || Error::new(at, "illegal char escape");
        let c = self.cursor.peek().ok_or_else(illegal)?;
        if c.is_digit(8) {
            let value = self.cursor.digits(3, 8)?;
            bytes.push(u8::try_from(value).map_err(|_| illegal())?);
            return Ok(());
        }
        self.cursor.next();
        match c {
            'a' => bytes.push(0x07),
            'b' => bytes.push(0x08),
            'f' => bytes.push(0x0c),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(0x0b),
            '\\' => bytes.push(b'\\'),
            '"' => bytes.push(b'"'),
            'x' => bytes.push(self.cursor.digits(2, 16)? as u8),
            'u' | 'U' => {
                let value = self.cursor.digits(if c == 'u' { 4 } else { 8 }, 16)?;
                push(bytes, char::from_u32(value).ok_or_else(illegal)?);
            }
            _ => return Err(illegal()),
        }
        Ok(())
    }

    fn heredoc(&mut self) -> Result<Token, Error> {
        let at = self.cursor.position();
        self.cursor.next();
        if self.cursor.next() != Some('<') {
            return Err(Error::new(at, "heredoc expected second '<', didn't see it"));
        }
        let indented = self.cursor.peek() == Some('-');
        if indented {
            self.cursor.next();
        }
        let anchor = self.cursor.take_while(|c| is_letter(c) || c.is_numeric());
        if anchor.is_empty() {
            return Err(Error::new(at, "zero-length heredoc anchor"));
        }
        match self.cursor.next() {
            Some('\n') => {}
            Some(_) => return Err(Error::new(at, "invalid characters in heredoc anchor")),
            None => return Err(Error::new(at, "heredoc not terminated")),
        }
        let mut lines = Vec::new();
        loop {
            let line = self.cursor.take_while(|c| c != '\n');
            let body = line.trim_start_matches([' ', '\t']);
            if body.trim_end_matches('\r') == anchor {
                self.cursor.next();
                let margin = line.get(..line.len() - body.len()).unwrap_or("");
                return Ok(Token::Text(heredoc_text(&lines, margin, indented)));
            }
            if self.cursor.next().is_none() {
                return Err(Error::new(at, "heredoc not terminated"));
            }
            lines.push(line);
        }
    }
}

/// The content of a heredoc. `<<-` takes the closing anchor's indentation from every line, if
/// every line has it; after a plain `<<` that indentation belongs to the content (observed: HCL 1).
fn heredoc_text(lines: &[&str], margin: &str, indented: bool) -> String {
    let strip = indented && lines.iter().all(|line| line.starts_with(margin));
    let mut text = String::new();
    for line in lines {
        text.push_str(if strip { line.strip_prefix(margin).unwrap_or(line) } else { line });
        text.push('\n');
    }
    if !indented {
        text.push_str(margin);
    }
    text
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
