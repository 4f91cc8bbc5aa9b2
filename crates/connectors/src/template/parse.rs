//! Tokens as a tree in which every name is resolved and every kind is known.

use super::format::Format;
use super::functions::{self, Function, Kind};
use super::lex::{self, Item, Token};
use super::{DEPTH_MAX, Error, Position};

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Goes to the result as it is.
    Text(String),
    /// The value goes to the result.
    Print(Expr),
    /// The value goes to a variable.
    Set(usize, Expr),
    /// One of two lists.
    If { condition: Expr, then: Vec<Node>, otherwise: Vec<Node> },
}

/// What has a value.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    Text(Vec<u8>),
    Integer(i64),
    Truth(bool),
    Field(usize),
    Variable(usize),
    /// A function, where it stands, and its arguments, which are of the kinds that it takes.
    Call(&'static Function, Position, Vec<Expr>),
    /// `printf` with a format that fits the arguments.
    Format(Format, Position, Vec<Expr>),
    /// The first argument that decides, or the last: `and` (false), `or` (true).
    Decide(bool, Vec<Expr>),
}

/// An expression with what is known about it.
#[derive(Clone)]
pub(super) struct Typed {
    pub expr: Expr,
    pub kind: Kind,
    /// How deep it is nested: evaluation recurses.
    depth: usize,
}

/// Words that have a meaning of their own in Go.
const RESERVED: &[&str] =
    &["range", "with", "define", "template", "block", "break", "continue", "nil"];

/// A template's parts, the number of its variables, and the names of its fields: those that were
/// given, and where it is `open` those that it has besides.
pub(super) fn parse(
    text: &str,
    fields: Vec<String>,
    open: bool,
) -> Result<(Vec<Node>, usize, Vec<String>), Error> {
    let (items, scope) = (lex::tokens(text)?, Vec::new());
    let mut parser = Parser { text, fields, open, items, next: 0, scope, slots: 0, depth: 0 };
    let mut nodes = Vec::new();
    let (stop, at) = parser.list(&mut nodes)?;
    match stop {
        Stop::EndOfText => Ok((nodes, parser.slots, parser.fields)),
        Stop::End => Err(parser.error(at, "`end` without an `if`")),
        Stop::Else | Stop::ElseIf => Err(parser.error(at, "`else` without an `if`")),
    }
}

struct Parser<'a> {
    text: &'a str,
    fields: Vec<String>,
    /// May there be other fields?
    open: bool,
    items: Vec<Item>,
    next: usize,
    /// The variables that can be seen here, and where their values are.
    scope: Vec<(String, usize, Kind)>,
    slots: usize,
    depth: usize,
}

/// What ended a list of parts.
#[derive(PartialEq)]
enum Stop {
    EndOfText,
    End,
    Else,
    ElseIf,
}

impl Parser<'_> {
    fn error(&self, at: usize, message: impl Into<String>) -> Error {
        Error::new(lex::position(self.text, at), message)
    }

    fn peek(&self) -> Option<&Token> {
        self.items.get(self.next).map(|item| &item.token)
    }

    /// Where the next token begins.
    fn at(&self) -> usize {
        self.items.get(self.next).map_or(self.text.len(), |item| item.at)
    }

    fn skip_space(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.next += 1;
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(w)) if w == word)
    }

    fn deeper(&mut self) -> Result<(), Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(self.too_deep(self.at())) } else { Ok(()) }
    }

    fn too_deep(&self, at: usize) -> Error {
        self.error(at, format!("nested deeper than {DEPTH_MAX}"))
    }

    /// Parts up to the end of the text, or an `end` or `else` of the list around. Says where the
    /// word that stopped it stands.
    fn list(&mut self, nodes: &mut Vec<Node>) -> Result<(Stop, usize), Error> {
        loop {
            match self.peek().cloned() {
                None => return Ok((Stop::EndOfText, self.text.len())),
                Some(Token::Text(text)) => {
                    self.next += 1;
                    nodes.push(Node::Text(text));
                }
                Some(_) => {
                    self.next += 1;
                    self.skip_space();
                    if let Some(stop) = self.action(nodes)? {
                        return Ok(stop);
                    }
                }
            }
        }
    }

    /// What stands behind `{{`.
    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<Option<(Stop, usize)>, Error> {
        let at = self.at();
        if self.is_word("if") {
            self.next += 1;
            self.condition(at, nodes)?;
        } else if self.is_word("end") {
            self.next += 1;
            self.close("`end`")?;
            return Ok(Some((Stop::End, at)));
        } else if self.is_word("else") {
            self.next += 1;
            self.skip_space();
            if self.is_word("if") {
                self.next += 1;
                return Ok(Some((Stop::ElseIf, at)));
            }
            self.close("`else`")?;
            return Ok(Some((Stop::Else, at)));
        } else if self.binding(nodes)?.is_none() {
            let value = self.pipeline("an action")?;
            self.close("the action")?;
            nodes.push(Node::Print(value.expr));
        }
        Ok(None)
    }

    /// The end of an action.
    fn close(&mut self, of: &str) -> Result<(), Error> {
        self.skip_space();
        if self.peek() != Some(&Token::Close) {
            return Err(self.error(self.at(), format!("unexpected token in {of}")));
        }
        self.next += 1;
        Ok(())
    }

    /// From behind `if` up to behind its `end`. A variable that the condition declares is seen in
    /// all branches, what a branch declares in this branch.
    fn condition(&mut self, at: usize, nodes: &mut Vec<Node>) -> Result<(), Error> {
        self.deeper()?;
        let outer = self.scope.len();
        self.skip_space();
        let condition = match self.binding(nodes)? {
            Some(slot) => Expr::Variable(slot),
            None => {
                let value = self.pipeline("`if`")?;
                self.close("`if`")?;
                value.expr
            }
        };
        let inner = self.scope.len();
        let mut then = Vec::new();
        let mut otherwise = Vec::new();
        let (stop, stop_at) = self.list(&mut then)?;
        self.scope.truncate(inner);
        let missing = "`if` without an `end`";
        match stop {
            Stop::End => {}
            Stop::EndOfText => return Err(self.error(at, missing)),
            Stop::ElseIf => self.condition(stop_at, &mut otherwise)?,
            Stop::Else => match self.list(&mut otherwise)? {
                (Stop::End, _) => {}
                (Stop::EndOfText, _) => return Err(self.error(at, missing)),
                (_, second) => return Err(self.error(second, "a second `else` of one `if`")),
            },
        }
        self.scope.truncate(outer);
        self.depth -= 1;
        nodes.push(Node::If { condition, then, otherwise });
        Ok(())
    }

    /// `$x := …` or `$x = …` up to the end of its action, if that is what stands here; the variable.
    fn binding(&mut self, nodes: &mut Vec<Node>) -> Result<Option<usize>, Error> {
        let (start, at) = (self.next, self.at());
        let Some(Token::Variable(name)) = self.peek().cloned() else { return Ok(None) };
        self.next += 1;
        self.skip_space();
        let declares = match self.peek() {
            Some(Token::Declare) => true,
            Some(Token::Assign) => false,
            _ => {
                self.next = start;
                return Ok(None);
            }
        };
        self.next += 1;
        if name.is_empty() {
            return Err(self.error(at, "`$` cannot be assigned to"));
        }
        let value = self.pipeline("an assignment")?;
        self.close("an assignment")?;
        let slot = if declares {
            let slot = self.slots;
            self.slots += 1;
            self.scope.push((name, slot, value.kind));
            slot
        } else {
            let (slot, kind) = self.variable(&name, at)?;
            if kind != value.kind {
                let (had, gets) = (kind.name(), value.kind.name());
                return Err(self.error(at, format!("variable ${name} is {had}, not {gets}")));
            }
            slot
        };
        nodes.push(Node::Set(slot, value.expr));
        Ok(Some(slot))
    }

    fn variable(&self, name: &str, at: usize) -> Result<(usize, Kind), Error> {
        match self.scope.iter().rev().find(|(n, _, _)| n == name) {
            Some((_, slot, kind)) => Ok((*slot, *kind)),
            None => Err(self.error(at, format!("undefined variable ${name}"))),
        }
    }

    /// Commands with pipes between them: the value of each is the last argument of the next. Stops
    /// before what ends it.
    fn pipeline(&mut self, of: &str) -> Result<Typed, Error> {
        let mut value = None;
        loop {
            self.skip_space();
            if matches!(
                self.peek(),
                None | Some(Token::Close | Token::Pipe | Token::RightParen | Token::Text(_))
            ) {
                return Err(self.error(self.at(), format!("missing value for {of}")));
            }
            let piped = value.take();
            let result = self.command(piped)?;
            self.skip_space();
            if self.peek() != Some(&Token::Pipe) {
                return Ok(result);
            }
            self.next += 1;
            value = Some(result);
        }
    }

    /// A function with its arguments, or one value.
    fn command(&mut self, piped: Option<Typed>) -> Result<Typed, Error> {
        let at = self.at();
        let head = match self.peek() {
            Some(Token::Word(word)) if !matches!(word.as_str(), "true" | "false") => {
                let word = word.clone();
                self.next += 1;
                Err(word)
            }
            _ => Ok(self.operand()?),
        };
        let mut arguments = Vec::new();
        loop {
            let spaced = self.peek() == Some(&Token::Space);
            self.skip_space();
            match self.peek() {
                Some(Token::Pipe | Token::Close | Token::RightParen) => break,
                _ if !spaced => {
                    let message = match self.peek() {
                        Some(Token::Field(_)) => "a field of a value is not supported",
                        _ => "unexpected token: arguments are separated by blanks",
                    };
                    return Err(self.error(self.at(), message));
                }
                _ => arguments.push(self.operand()?),
            }
        }
        match head {
            Ok(_) if piped.is_some() => {
                Err(self.error(at, "what stands behind a pipe must be a function"))
            }
            Ok(_) if !arguments.is_empty() => {
                Err(self.error(at, "arguments to what is no function"))
            }
            Ok(value) => Ok(value),
            Err(name) => {
                arguments.extend(piped);
                self.call(&name, at, arguments)
            }
        }
    }

    /// One value, or a function without arguments.
    fn operand(&mut self) -> Result<Typed, Error> {
        let at = self.at();
        let Some(token) = self.peek().cloned() else {
            return Err(self.error(at, "unclosed action"));
        };
        self.next += 1;
        let leaf = |expr, kind| Ok(Typed { expr, kind, depth: 1 });
        match token {
            Token::Literal(bytes) => leaf(Expr::Text(bytes), Kind::Text),
            Token::Integer(value) => leaf(Expr::Integer(value), Kind::Integer),
            Token::Field(name) => self.field(&name, at),
            Token::Word(word) if word == "true" => leaf(Expr::Truth(true), Kind::Truth),
            Token::Word(word) if word == "false" => leaf(Expr::Truth(false), Kind::Truth),
            Token::Word(word) => self.call(&word, at, Vec::new()),
            Token::Variable(name) if name.is_empty() => match self.peek().cloned() {
                Some(Token::Field(field)) => {
                    self.next += 1;
                    self.field(&field, at)
                }
                _ => Err(self.error(at, "`$` alone is not supported")),
            },
            Token::Variable(name) => {
                let (slot, kind) = self.variable(&name, at)?;
                leaf(Expr::Variable(slot), kind)
            }
            Token::LeftParen => {
                self.deeper()?;
                let value = self.pipeline("parentheses")?;
                if self.peek() != Some(&Token::RightParen) {
                    return Err(self.error(at, "unclosed left parenthesis"));
                }
                self.next += 1;
                self.depth -= 1;
                Ok(value)
            }
            Token::RightParen => Err(self.error(at, "unexpected right parenthesis")),
            Token::Declare | Token::Assign => {
                Err(self.error(at, "an assignment is not supported here"))
            }
            Token::Text(_) | Token::Open | Token::Close | Token::Space | Token::Pipe => {
                Err(self.error(at, "unexpected token"))
            }
        }
    }

    fn field(&mut self, name: &str, at: usize) -> Result<Typed, Error> {
        if self.open && !self.fields.iter().any(|field| field == name) {
            self.fields.push(name.to_owned());
        }
        match self.fields.iter().position(|field| *field == name) {
            Some(index) => Ok(Typed { expr: Expr::Field(index), kind: Kind::Text, depth: 1 }),
            None => {
                let known = self.fields.join(", .");
                Err(self.error(at, format!("field .{name} does not exist (there are .{known})")))
            }
        }
    }

    /// A call, its arguments checked.
    fn call(&self, name: &str, at: usize, arguments: Vec<Typed>) -> Result<Typed, Error> {
        if RESERVED.contains(&name) || matches!(name, "if" | "else" | "end") {
            return Err(self.error(at, format!("`{name}` is not supported here")));
        }
        let depth = 1 + arguments.iter().map(|a| a.depth).max().unwrap_or(0);
        if depth > DEPTH_MAX {
            return Err(self.too_deep(at));
        }
        let position = lex::position(self.text, at);
        let (expr, kind) =
            functions::call(name, position, arguments).map_err(|why| self.error(at, why))?;
        Ok(Typed { expr, kind, depth })
    }
}
