//! Characters to tokens, as libyaml and its descendants cut them, with the comments beside them.
//!
//! The scanner runs two tokens ahead of the parser: so far a comment's place has to be known
//! before the parser asks for it. A simple key is known as such only at its `:`; its token is put
//! into the queue afterwards.

mod characters;
mod comments;
mod indents;
mod scalars;
mod tags;

use std::collections::{HashMap, VecDeque};

use super::Fault;
pub use comments::Remark;

/// How deep mappings and sequences may lie in each other.
pub const DEPTH_MAX: usize = 256;
/// How far the `:` of a simple key may be from its start, in characters (YAML 1.2 §7.4).
const SIMPLE_KEY_MAX: usize = 1_024;

/// A place in the input.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Mark {
    /// In characters, from the start.
    pub index: usize,
    /// From 0.
    pub line: usize,
    /// In characters, from 0.
    pub column: usize,
}

/// How a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`
    Single,
    /// `"…"`
    Double,
    /// `|` or `>`
    Block,
}

/// What a token is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    StreamStart,
    StreamEnd,
    VersionDirective(u8, u8),
    TagDirective { handle: String, prefix: String },
    DocumentStart,
    DocumentEnd,
    BlockSequenceStart,
    BlockMappingStart,
    BlockEnd,
    FlowSequenceStart,
    FlowSequenceEnd,
    FlowMappingStart,
    FlowMappingEnd,
    BlockEntry,
    FlowEntry,
    Key,
    Value,
    Alias(String),
    Anchor(String),
    Tag { handle: String, suffix: String },
    Scalar(String, Style),
}

/// A token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it starts.
    pub start: Mark,
}

/// The shape of a token, without its texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    SequenceStart,
    BlockEntry,
    FlowEntry,
    Value,
    Other,
}

impl Token {
    fn shape(&self) -> Shape {
        match self.kind {
            Kind::BlockSequenceStart => Shape::SequenceStart,
            Kind::BlockEntry => Shape::BlockEntry,
            Kind::FlowEntry => Shape::FlowEntry,
            Kind::Value => Shape::Value,
            _ => Shape::Other,
        }
    }
}

/// A place where a simple key may have started.
#[derive(Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    required: bool,
    number: usize,
    mark: Mark,
}

/// The scanner.
pub struct Scanner<'a> {
    text: &'a [u8],
    pos: usize,
    mark: Mark,
    /// Line ends since the last character that is no blank.
    newlines: usize,
    tokens: VecDeque<Token>,
    taken: usize,
    /// The last two tokens that the parser took, older first.
    gone: [Option<(Shape, Mark)>; 2],
    /// Comments that no token has claimed yet.
    pub remarks: VecDeque<Remark>,
    started: bool,
    flow_level: usize,
    /// Column of the innermost block; -1 outside of all.
    indent: i64,
    indents: Vec<i64>,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    keys_by_token: HashMap<usize, usize>,
}

impl<'a> Scanner<'a> {
    /// A scanner of text in UTF-8.
    pub fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            pos: 0,
            mark: Mark::default(),
            newlines: 0,
            tokens: VecDeque::new(),
            taken: 0,
            gone: [None, None],
            remarks: VecDeque::new(),
            started: false,
            flow_level: 0,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: false,
            simple_keys: Vec::new(),
            keys_by_token: HashMap::new(),
        }
    }

    /// The next token, which stays.
    pub fn peek(&mut self) -> Result<&Token, Fault> {
        loop {
            if self.tokens.len() > 2 {
                let Some(key) = self.keys_by_token.get(&self.taken).copied() else { break };
                if !self.simple_key_is_valid(key)? {
                    break;
                }
            }
            if self.tokens.back().is_some_and(|token| token.kind == Kind::StreamEnd) {
                break;
            }
            self.fetch()?;
        }
        self.tokens.front().ok_or(Fault::new("the end was passed", self.mark))
    }

    /// Takes the token that was peeked.
    pub fn take(&mut self) -> Option<Token> {
        let token = self.tokens.pop_front()?;
        self.taken += 1;
        self.gone = [self.gone[1], Some((token.shape(), token.start))];
        Some(token)
    }

    /// The token `back` places from the end of all that were scanned, consumed ones too.
    fn recent(&self, back: usize) -> Option<(Shape, Mark)> {
        match self.tokens.len().checked_sub(back + 1) {
            Some(at) => self.tokens.get(at).map(|token| (token.shape(), token.start)),
            None => match back - self.tokens.len() {
                0 => self.gone[1],
                1 => self.gone[0],
                _ => None,
            },
        }
    }

    fn fault<T>(&self, problem: &str) -> Result<T, Fault> {
        Err(Fault::new(problem, self.mark))
    }

    fn push(&mut self, kind: Kind, start: Mark) {
        self.tokens.push_back(Token { kind, start });
    }

    /// `---` or `...` at the start of a line.
    fn at_document_mark(&self) -> Option<Kind> {
        if self.mark.column != 0 || !self.is_blank_or_end(3) {
            return None;
        }
        match [self.at(0), self.at(1), self.at(2)] {
            [b'-', b'-', b'-'] => Some(Kind::DocumentStart),
            [b'.', b'.', b'.'] => Some(Kind::DocumentEnd),
            _ => None,
        }
    }

    fn fetch(&mut self) -> Result<(), Fault> {
        if !self.started {
            self.started = true;
            self.simple_keys.push(SimpleKey::default());
            self.simple_key_allowed = true;
            self.push(Kind::StreamStart, self.mark);
            return Ok(());
        }
        let scan_mark = self.mark;
        self.scan_to_next_token()?;
        self.unroll_indent(self.mark.column as i64, scan_mark);
        if self.at_end() {
            return self.fetch_stream_end();
        }
        if self.mark.column == 0 && self.at(0) == b'%' {
            return self.fetch_directive();
        }
        if let Some(kind) = self.at_document_mark() {
            self.end_blocks()?;
            self.push(kind, self.mark);
            self.skip_many(3);
            return Ok(());
        }
        // What follows a `:`, or a `,` of a flow, belongs to what stands before it.
        let behind = match self.at(0) {
            b':' => self.flow_level == 0,
            b',' => self.flow_level > 0,
            _ => false,
        };
        let own = self.mark;
        let mark = if behind { self.recent(0).map_or(own, |(_, start)| start) } else { own };
        self.fetch_content()?;
        // A lone `-` has no comment on its line: that one is the head of what follows.
        if self.recent(0).is_some_and(|(shape, _)| shape != Shape::BlockEntry) {
            self.scan_line_comment(mark);
        }
        Ok(())
    }

    fn fetch_content(&mut self) -> Result<(), Fault> {
        let in_flow = self.flow_level > 0;
        match self.at(0) {
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if self.is_blank_or_end(1) => self.fetch_block_entry(),
            b'?' if in_flow || self.is_blank_or_end(1) => self.fetch_key(),
            b':' if in_flow || self.is_blank_or_end(1) => self.fetch_value(),
            b'*' | b'&' => self.fetch_anchor(),
            b'!' => self.fetch_tag(),
            b'|' if !in_flow => self.fetch_block_scalar(true),
            b'>' if !in_flow => self.fetch_block_scalar(false),
            b'\'' => self.fetch_quoted(true),
            b'"' => self.fetch_quoted(false),
            first if self.starts_plain(first) => self.fetch_plain(),
            _ => self.fault("found character that cannot start any token"),
        }
    }

    fn starts_plain(&self, first: u8) -> bool {
        match first {
            b'-' => !self.is_blank(1),
            b'?' | b':' => self.flow_level == 0 && !self.is_blank_or_end(1),
            b',' | b'[' | b']' | b'{' | b'}' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\''
            | b'"' | b'%' | b'@' | b'`' => false,
            _ => !self.is_blank_or_end(0),
        }
    }

    fn fetch_stream_end(&mut self) -> Result<(), Fault> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.end_blocks()?;
        self.push(Kind::StreamEnd, self.mark);
        Ok(())
    }

    /// Ends all blocks: a document begins or ends here.
    fn end_blocks(&mut self) -> Result<(), Fault> {
        self.unroll_indent(-1, self.mark);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: Kind) -> Result<(), Fault> {
        self.save_simple_key()?;
        self.simple_keys.push(SimpleKey { mark: self.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > DEPTH_MAX {
            return self.fault(&format!("exceeded max depth of {DEPTH_MAX}"));
        }
        self.simple_key_allowed = true;
        self.push(kind, self.mark);
        self.skip();
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind) -> Result<(), Fault> {
        self.remove_simple_key()?;
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(key) = self.simple_keys.pop() {
                self.keys_by_token.remove(&key.number);
            }
        }
        self.simple_key_allowed = false;
        self.push(kind, self.mark);
        self.skip();
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<(), Fault> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push(Kind::FlowEntry, self.mark);
        self.skip();
        Ok(())
    }
}
