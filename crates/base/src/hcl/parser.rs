//! Tokens to the tree.

use super::lexer::{Lexer, Token};
use super::{Body, Budget, Error, Item, Position, Value};

pub(super) fn parse(text: &str) -> Result<Body, Error> {
    let mut parser = Parser { lexer: Lexer::new(text), ahead: None, budget: Budget::new() };
    parser.body(false)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Option<(Token, Position)>,
    budget: Budget,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<(Token, Position), Error> {
        match self.ahead.take() {
            Some(token) => Ok(token),
            None => self.lexer.next(),
        }
    }

    /// Takes the next token if it is `wanted`.
    fn take(&mut self, wanted: &Token) -> Result<bool, Error> {
        let token = self.next()?;
        let found = token.0 == *wanted;
        if !found {
            self.ahead = Some(token);
        }
        Ok(found)
    }

    /// Items until the closing brace, or until the end of the text.
    fn body(&mut self, braced: bool) -> Result<Body, Error> {
        let mut items = Vec::new();
        loop {
            let (token, at) = self.next()?;
            match token {
                Token::CloseBrace if braced => return Ok(Body { items }),
                Token::Eof if !braced => return Ok(Body { items }),
                Token::Eof => {
                    return Err(Error::new(at, "object expected closing RBRACE got: EOF"));
                }
                token @ (Token::Ident(_) | Token::Text(_)) => {
                    self.budget.count(at)?;
                    items.push(self.item(token, at)?);
                    self.take(&Token::Comma)?;
                }
                other => {
                    return Err(Error::new(
                        at,
                        format!("expected: IDENT | STRING got: {}", other.kind()),
                    ));
                }
            }
        }
    }

    /// The rest of an item after its key.
    fn item(&mut self, key: Token, at: Position) -> Result<Item, Error> {
        // A key without a value may well be a value in the wrong place, or a file of another kind:
        // no error shows it.
        let key = match key {
            Token::Ident(key) | Token::Text(key) => key,
            other => return Err(Error::new(at, format!("expected a key, got: {}", other.kind()))),
        };
        let mut labels = Vec::new();
        let value = loop {
            let (token, here) = self.next()?;
            match token {
                Token::Ident(label) | Token::Text(label) => {
                    self.budget.count(here)?;
                    labels.push(label);
                }
                Token::OpenBrace => break self.object(here)?,
                Token::Assign if labels.is_empty() => break self.value()?,
                Token::Assign => {
                    // `listener "tcp" = {`: HCL 1 has no such thing, people write it, and it can
                    // mean only one thing.
                    let (token, here) = self.next()?;
                    if token != Token::OpenBrace {
                        return Err(Error::new(
                            here,
                            format!("nested object expected: LBRACE got: {}", token.kind()),
                        ));
                    }
                    break self.object(here)?;
                }
                _ => {
                    return Err(Error::new(
                        here,
                        "key expected start of object ('{') or assignment ('=')".to_owned(),
                    ));
                }
            }
        };
        Ok(Item { key, labels, value, line: at.line, column: at.column })
    }

    fn object(&mut self, at: Position) -> Result<Value, Error> {
        self.budget.enter(at)?;
        let body = self.body(true)?;
        self.budget.leave();
        Ok(Value::Object(body))
    }

    fn value(&mut self) -> Result<Value, Error> {
        let (token, at) = self.next()?;
        match token {
            Token::Text(text) => Ok(Value::Text(text)),
            Token::Number(text) => Ok(Value::Number(text)),
            Token::Bool(value) => Ok(Value::Bool(value)),
            Token::OpenBrace => self.object(at),
            Token::OpenBracket => self.list(at),
            other => Err(Error::new(at, format!("expected a value, got: {}", other.kind()))),
        }
    }

    fn list(&mut self, at: Position) -> Result<Value, Error> {
        self.budget.enter(at)?;
        let mut values = Vec::new();
        let mut need_comma = false;
        loop {
            let (token, here) = self.next()?;
            match token {
                Token::CloseBracket => break,
                Token::Comma => need_comma = false,
                other if need_comma => {
                    return Err(Error::new(
                        here,
                        format!(
                            "error parsing list, expected comma or list end, got: {}",
                            other.kind()
                        ),
                    ));
                }
                other => {
                    self.budget.count(here)?;
                    self.ahead = Some((other, here));
                    values.push(self.value()?);
                    need_comma = true;
                }
            }
        }
        self.budget.leave();
        Ok(Value::List(values))
    }
}
