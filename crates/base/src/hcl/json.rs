//! JSON to the same tree, by an own small reader: serde_json keeps neither positions nor repeated
//! keys.

use super::lexer::Cursor;
use super::{Body, Budget, Error, Item, Value};

pub(super) fn parse(text: &str) -> Result<Body, Error> {
    let mut reader = Reader { cursor: Cursor::new(text), budget: Budget::new() };
    reader.space();
    let value = reader.value()?;
    reader.space();
    match value {
        Value::Object(body) if reader.cursor.peek().is_none() => Ok(body),
        _ => Err(reader.error("unexpected text after the JSON object")),
    }
}

struct Reader<'a> {
    cursor: Cursor<'a>,
    budget: Budget,
}

impl Reader<'_> {
    fn error(&self, message: &str) -> Error {
        Error::new(self.cursor.position(), message)
    }

    fn space(&mut self) {
        self.cursor.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
    }

    fn expect(&mut self, wanted: char) -> Result<(), Error> {
        self.space();
        if self.cursor.peek() != Some(wanted) {
            return Err(self.error(&format!("expected '{wanted}'")));
        }
        self.cursor.next();
        self.space();
        Ok(())
    }

    fn value(&mut self) -> Result<Value, Error> {
        match self.cursor.peek() {
            Some('{') => self.object(),
            Some('[') => self.list(),
            Some('"') => Ok(Value::Text(self.text()?)),
            Some('-' | '0'..='9') => self.number(),
            Some('t' | 'f' | 'n') => {
                let at = self.cursor.position();
                match self.cursor.take_while(|c| c.is_ascii_alphabetic()) {
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    "null" => Ok(Value::Null),
                    _ => Err(Error::new(at, "expected a value")),
                }
            }
            _ => Err(self.error("expected a value")),
        }
    }

    fn object(&mut self) -> Result<Value, Error> {
        self.budget.enter(self.cursor.position())?;
        let mut items = Vec::new();
        self.expect('{')?;
        if self.cursor.peek() == Some('}') {
            self.cursor.next();
        } else {
            loop {
                let at = self.cursor.position();
                self.budget.count(at)?;
                if self.cursor.peek() != Some('"') {
                    return Err(self.error("expected: STRING"));
                }
                let key = self.text()?;
                self.expect(':')?;
                let value = self.value()?;
                let labels = Vec::new();
                items.push(Item { key, labels, value, line: at.line, column: at.column });
                if self.end('}', "object expected ',' or '}'")? {
                    break;
                }
            }
        }
        self.budget.leave();
        Ok(Value::Object(Body { items }))
    }

    fn list(&mut self) -> Result<Value, Error> {
        self.budget.enter(self.cursor.position())?;
        let mut values = Vec::new();
        self.expect('[')?;
        if self.cursor.peek() == Some(']') {
            self.cursor.next();
        } else {
            loop {
                self.budget.count(self.cursor.position())?;
                values.push(self.value()?);
                if self.end(']', "error parsing list, expected comma or list end")? {
                    break;
                }
            }
        }
        self.budget.leave();
        Ok(Value::List(values))
    }

    /// After a member: is it the last one? A comma leads to the next.
    fn end(&mut self, close: char, message: &str) -> Result<bool, Error> {
        self.space();
        match self.cursor.peek() {
            Some(',') => {
                self.cursor.next();
                self.space();
                Ok(false)
            }
            Some(c) if c == close => {
                self.cursor.next();
                Ok(true)
            }
            _ => Err(self.error(message)),
        }
    }

    fn number(&mut self) -> Result<Value, Error> {
        let at = self.cursor.position();
        let text = self
            .cursor
            .take_while(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'));
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::Number(text.to_owned())),
            _ => Err(Error::new(at, "illegal number")),
        }
    }

    fn text(&mut self) -> Result<String, Error> {
        let at = self.cursor.position();
        let open = || Error::new(at, "literal not terminated");
        self.cursor.next();
        let mut text = String::new();
        loop {
            match self.cursor.next().ok_or_else(open)? {
                '"' => return Ok(text),
                '\\' => text.push(self.escape()?),
                c if c < ' ' => return Err(open()),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let illegal = self.error("illegal char escape");
        Ok(match self.cursor.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let mut code = self.cursor.digits(4, 16)?;
                if (0xd800..0xdc00).contains(&code) {
                    if !self.cursor.looking_at("\\u") {
                        return Err(illegal);
                    }
                    self.cursor.next();
                    self.cursor.next();
                    let low = self.cursor.digits(4, 16)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(illegal);
                    }
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(code).ok_or(illegal)?
            }
            _ => return Err(illegal),
        })
    }
}
