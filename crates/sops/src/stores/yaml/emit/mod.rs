//! The document to YAML, byte for byte as go-yaml v3 writes it: four spaces, lists indented in
//! their mappings, nothing wrapped.
//!
//! A comment waits as head, line, foot or tail until the place comes where that is written. What
//! waits may be written later than where it stood, as go-yaml does it, too.

mod output;
mod scalars;

use std::io::Write;

use scalars::{key_scalar, scalar};

use crate::octets;
use crate::tree::{Branch, Comment, Item, Value};

/// The longest text of a key that stands before its `:` on one line, in bytes.
const KEY_BYTES_MAX: usize = 128;

/// Bytes that are written at a time.
const PIECE_BYTES: usize = 1024 * 1024;

/// A writer of YAML.
pub struct Emitter<'s> {
    out: String,
    /// Where the text goes as it is written; nothing where all of it is kept.
    sink: Option<&'s mut dyn Write>,
    /// How that went so far.
    written: std::io::Result<()>,
    step: i64,
    indent: i64,
    column: i64,
    /// Was the last character a blank, or is this the start of a line?
    whitespace: bool,
    /// Is there nothing on the line but indentation and marks of lists?
    indention: bool,
    /// Behind a foot at this column an empty line follows.
    foot_indent: i64,
    head: String,
    line: String,
    foot: String,
    tail: String,
    key_line: String,
    documents: usize,
}

/// Comments that stand beside a value.
#[derive(Default)]
struct Beside {
    head: String,
    line: String,
    foot: String,
}

/// What is to be written.
#[derive(Clone, Copy)]
pub enum Of<'a> {
    /// A mapping.
    Map(&'a Branch),
    /// A list.
    List(&'a [Value]),
    /// Anything else.
    Leaf(&'a Value),
}

impl<'a> Of<'a> {
    /// A value.
    pub fn value(value: &'a Value) -> Self {
        match value {
            Value::Map(branch) => Self::Map(branch),
            Value::List(list) => Self::List(list),
            leaf => Self::Leaf(leaf),
        }
    }
}

fn joined(comments: &mut Vec<&Comment>) -> String {
    let mut text = String::new();
    for comment in comments.drain(..) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push('#');
        text.push_str(&octets::shown(&comment.text));
    }
    text
}

/// Lets a comment wait, behind what waits already.
fn wait(waiting: &mut String, new: String) {
    if waiting.is_empty() {
        *waiting = new;
    } else if !new.is_empty() {
        waiting.push('\n');
        waiting.push_str(&new);
    }
}

/// The elements of a mapping or list with the comments beside them.
struct Around<T> {
    /// Before all.
    head: String,
    items: Vec<(Option<Box<Beside>>, T)>,
}

/// Where a value stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the top of the document.
    Root,
    /// Behind a `-`.
    Item,
    /// Behind a key.
    Value,
    /// Behind a key that was written with `?`.
    ComplexValue,
}

/// Sorts comments to the elements they stand beside.
fn around<'a, T>(items: impl Iterator<Item = Result<T, &'a Comment>>) -> Around<T> {
    let mut found = Around { head: String::new(), items: Vec::new() };
    let (mut heads, mut lines) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Err(comment) if comment.inline => lines.push(comment),
            Err(comment) => heads.push(comment),
            Ok(value) => {
                if found.items.is_empty() {
                    found.head = joined(&mut heads);
                }
                // Most have none, and of a large mapping all are here.
                let beside = (!heads.is_empty() || !lines.is_empty()).then(|| {
                    let (head, line) = (joined(&mut heads), joined(&mut lines));
                    Box::new(Beside { head, line, foot: String::new() })
                });
                found.items.push((beside, value));
            }
        }
    }
    heads.append(&mut lines);
    let rest = joined(&mut heads);
    match found.items.last_mut() {
        Some((beside, _)) if !rest.is_empty() => beside.get_or_insert_default().foot = rest,
        Some(_) => {}
        None => found.head = rest,
    }
    found
}

fn pairs(branch: &Branch) -> Around<(&str, &Value)> {
    around(branch.0.iter().map(|item| match item {
        Item::Comment(comment) => Err(comment),
        Item::Entry(key, value) => Ok((key.as_str(), value)),
        Item::Odd(odd) => Ok((odd.shown.as_str(), &Value::Null)),
    }))
}

fn elements(list: &[Value]) -> Around<&Value> {
    around(list.iter().map(|value| match value {
        Value::Comment(comment) => Err(comment),
        value => Ok(value),
    }))
}

impl<'s> Emitter<'s> {
    /// A writer with so many spaces to a step (from 2 to 9, else 2) and room for so many bytes.
    pub fn new(step: i64, room: usize) -> Self {
        Self {
            out: String::with_capacity(room),
            sink: None,
            written: Ok(()),
            step: if (2..=9).contains(&step) { step } else { 2 },
            indent: -1,
            column: 0,
            whitespace: true,
            indention: true,
            foot_indent: -1,
            head: String::new(),
            line: String::new(),
            foot: String::new(),
            tail: String::new(),
            key_line: String::new(),
            documents: 0,
        }
    }

    /// One that gives the text out in pieces.
    pub fn into_sink(step: i64, sink: &'s mut dyn Write) -> Self {
        Self { sink: Some(sink), ..Self::new(step, PIECE_BYTES + PIECE_BYTES / 8) }
    }

    /// The text that was not given out.
    pub fn finish(self) -> String {
        self.out
    }

    /// Gives out the rest, and tells how all of it went.
    pub fn finish_sink(mut self) -> std::io::Result<()> {
        self.give_out(0);
        self.written
    }

    /// Gives out what there is, if it is as much as that.
    fn give_out(&mut self, bytes_min: usize) {
        let Some(sink) = self.sink.as_mut().filter(|_| self.out.len() >= bytes_min) else { return };
        if self.written.is_ok() {
            self.written = sink.write_all(self.out.as_bytes());
        }
        self.out.clear();
    }

    /// Writes a document of any value.
    pub fn document(&mut self, value: Of<'_>) {
        if self.documents > 0 {
            self.write_indent();
            self.indicator("---", true, false, false);
            self.write_indent();
        }
        self.documents += 1;
        self.child(value, Beside::default(), Place::Root);
        self.foot_indent = 0;
        self.write_foot();
        self.foot_indent = -1;
        self.write_indent();
    }

    /// A value with the comments beside it.
    fn child(&mut self, value: Of<'_>, beside: Beside, place: Place) {
        match value {
            Of::Map(branch) => {
                let Around { head, items } = pairs(branch);
                let empty = items.is_empty();
                self.collection(beside, head, place, empty, |own| own.mapping(items, place));
            }
            Of::List(list) => {
                let Around { head, items } = elements(list);
                let empty = items.is_empty();
                self.collection(beside, head, place, empty, |own| own.sequence(items, place));
            }
            Of::Leaf(value) => {
                wait(&mut self.head, beside.head);
                wait(&mut self.line, beside.line);
                wait(&mut self.foot, beside.foot);
                self.start(place, false);
                self.scalar(&scalar(value), place, false);
                self.write_line(false);
                self.write_foot();
            }
        }
    }

    /// A mapping or a list, of which `body` writes the elements, with the comments beside it and `head`,
    /// which stands before all of them.
    fn collection(
        &mut self,
        beside: Beside,
        head: String,
        place: Place,
        empty: bool,
        body: impl FnOnce(&mut Self),
    ) {
        wait(&mut self.head, beside.head);
        wait(&mut self.head, head);
        self.start(place, true);
        self.write_line(false);
        self.write_foot();
        body(self);
        // These wait for what comes next: the end of a collection writes nothing.
        wait(&mut self.line, beside.line);
        wait(&mut self.foot, beside.foot);
        if empty {
            self.write_line(false);
            self.write_foot();
        }
    }

    /// What stands before a value.
    fn start(&mut self, place: Place, block: bool) {
        match place {
            Place::Root => return self.write_head(),
            Place::Item => {
                self.write_head();
                self.write_indent();
                return self.indicator("-", true, false, true);
            }
            Place::Value => self.indicator(":", false, false, false),
            Place::ComplexValue => {
                self.write_indent();
                self.indicator(":", true, false, true);
            }
        }
        if self.key_line.is_empty() {
            return;
        }
        if block {
            std::mem::swap(&mut self.line, &mut self.key_line);
            self.write_line(false);
            std::mem::swap(&mut self.line, &mut self.key_line);
        } else if self.line.is_empty() {
            self.line = std::mem::take(&mut self.key_line);
        }
    }

    /// Moves the indentation in; gives back what it was.
    fn indent_in(&mut self, place: Place, flow: bool) -> i64 {
        let before = self.indent;
        self.indent = match place {
            _ if before < 0 => {
                if flow {
                    self.step
                } else {
                    0
                }
            }
            Place::Item => before + 2,
            _ => self.step * ((before + self.step) / self.step),
        };
        before
    }

    fn mapping(&mut self, items: Vec<(Option<Box<Beside>>, (&str, &Value))>, place: Place) {
        if items.is_empty() {
            self.indicator("{", true, true, false);
            let before = self.indent_in(place, true);
            self.write_head();
            self.indent = before;
            return self.indicator("}", false, false, false);
        }
        let before = self.indent_in(place, false);
        for (beside, (key, value)) in items {
            let beside = beside.map(|it| *it).unwrap_or_default();
            wait(&mut self.head, beside.head);
            self.write_head();
            self.write_indent();
            if !self.line.is_empty() {
                self.key_line = std::mem::take(&mut self.line);
            }
            let key = key_scalar(key);
            let simple = key.text.len() + key.tag.len() <= KEY_BYTES_MAX && !key.lines;
            if !simple {
                self.indicator("?", true, false, true);
            }
            self.scalar(&key, Place::Value, simple);
            let beside_value = Beside { line: beside.line, ..Beside::default() };
            let place = if simple { Place::Value } else { Place::ComplexValue };
            self.child(Of::value(value), beside_value, place);
            // The foot of a key stands behind all of its value.
            wait(&mut self.tail, beside.foot);
            self.give_out(PIECE_BYTES);
        }
        self.write_head();
        self.indent = before;
    }

    fn sequence(&mut self, items: Vec<(Option<Box<Beside>>, &Value)>, place: Place) {
        if items.is_empty() {
            self.indicator("[", true, true, false);
            if self.column == 0 {
                self.write_indent();
            }
            return self.indicator("]", false, false, false);
        }
        let before = self.indent_in(place, false);
        for (beside, value) in items {
            let beside = beside.map(|it| *it).unwrap_or_default();
            self.child(Of::value(value), beside, Place::Item);
            self.give_out(PIECE_BYTES);
        }
        self.indent = before;
    }
}
