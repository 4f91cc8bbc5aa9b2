//! Tokens to nodes, and each comment to its node.
//!
//! A comment is claimed when a token at or behind its place is looked at; it waits as head, line or
//! foot until a node takes it. The rules are go-yaml v3's.

mod blocks;
mod flows;

use std::collections::HashMap;
use std::rc::Rc;

use super::Fault;
use super::node::{Comments, Content, Document, Node};
use super::scanner::{DEPTH_MAX, Kind, Mark, Scanner, Style, Token};

const YAML_PREFIX: &str = "tag:yaml.org,2002:";

/// The parser.
pub struct Parser<'a> {
    scanner: Scanner<'a>,
    head: String,
    line: String,
    foot: String,
    /// The head of a `-` whose content is a block of its own.
    stem: Option<String>,
    tags: Vec<(String, String)>,
    anchors: HashMap<String, Option<Anchor>>,
    depth: usize,
    /// How deep the node that is read reaches so far, with what its aliases stand for.
    deepest: usize,
    first: bool,
}

/// What aliases refer to.
struct Anchor {
    node: Rc<Node>,
    /// How deep it is itself, with what its own aliases stand for.
    height: usize,
}

/// What stands before a node.
#[derive(Default)]
struct Properties {
    anchor: Option<String>,
    tag: Option<Box<str>>,
}

fn join(into: &mut String, more: &str) {
    if more.is_empty() {
        return;
    }
    if !into.is_empty() {
        into.push('\n');
    }
    into.push_str(more);
}

impl<'a> Parser<'a> {
    /// A parser of text in UTF-8.
    pub fn new(text: &'a str) -> Self {
        Self {
            scanner: Scanner::new(text),
            head: String::new(),
            line: String::new(),
            foot: String::new(),
            stem: None,
            tags: Vec::new(),
            anchors: HashMap::new(),
            depth: 0,
            deepest: 0,
            first: true,
        }
    }

    fn peek(&mut self) -> Result<&Token, Fault> {
        let token = self.scanner.peek()?;
        let (index, ends) = (token.start.index, token.kind == Kind::BlockEnd);
        while let Some(remark) = self.scanner.remarks.front() {
            // The end of a block has no head: that one is for what follows.
            if index < remark.token.index || (ends && !remark.head.is_empty()) {
                break;
            }
            join(&mut self.head, &remark.head);
            join(&mut self.foot, &remark.foot);
            join(&mut self.line, &remark.line);
            self.scanner.remarks.pop_front();
        }
        self.scanner.peek()
    }

    fn kind(&mut self) -> Result<&Kind, Fault> {
        Ok(&self.peek()?.kind)
    }

    fn skip(&mut self) {
        self.scanner.take();
    }

    fn fault<T>(&mut self, problem: &str) -> Result<T, Fault> {
        let mark = self.peek()?.start;
        Err(Fault::new(problem, mark))
    }

    fn take_comments(&mut self) -> Comments {
        self.stem = None;
        Comments {
            head: std::mem::take(&mut self.head),
            line: std::mem::take(&mut self.line),
            foot: std::mem::take(&mut self.foot),
        }
    }

    /// The next document, or nothing at the end.
    pub fn document(&mut self) -> Result<Option<Document>, Fault> {
        if std::mem::take(&mut self.first) {
            self.peek()?;
            self.skip();
            self.anchors.clear();
            let start = self.kind()?;
            let implicit = !matches!(
                start,
                Kind::VersionDirective(..)
                    | Kind::TagDirective { .. }
                    | Kind::DocumentStart
                    | Kind::StreamEnd
            );
            if implicit {
                self.directives()?;
                let head = self.split_document_head();
                let root = self.node(true, false)?;
                return Ok(Some(self.end_document(head, root)?));
            }
        }
        while *self.kind()? == Kind::DocumentEnd {
            self.skip();
        }
        if *self.kind()? == Kind::StreamEnd {
            return Ok(None);
        }
        self.directives()?;
        if *self.kind()? != Kind::DocumentStart {
            return self.fault("did not find expected <document start>");
        }
        self.skip();
        let root = match self.kind()? {
            Kind::VersionDirective(..)
            | Kind::TagDirective { .. }
            | Kind::DocumentStart
            | Kind::DocumentEnd
            | Kind::StreamEnd => self.empty()?,
            _ => self.node(true, false)?,
        };
        Ok(Some(self.end_document(String::new(), root)?))
    }

    /// Of the comments before a document without a mark, what an empty line sets apart is the
    /// document's.
    fn split_document_head(&mut self) -> String {
        let bytes = self.head.as_bytes();
        let last = bytes.len().saturating_sub(1);
        let split = (1..bytes.len()).rev().find_map(|at| match bytes.get(at) {
            Some(b'\n') if at == last => Some((at, at + 1)),
            Some(b'\n') if bytes.get(at - 1) == Some(&b'\n') => Some((at - 1, at + 1)),
            _ => None,
        });
        let Some((end, rest)) = split else { return String::new() };
        let rest = self.head.split_off(rest);
        let mut head = std::mem::replace(&mut self.head, rest);
        head.truncate(end);
        head
    }

    fn end_document(&mut self, head: String, root: Node) -> Result<Document, Fault> {
        if *self.kind()? == Kind::DocumentEnd {
            self.skip();
        }
        self.tags.clear();
        let comments = self.take_comments();
        let foot = if comments.foot.is_empty() { comments.head } else { comments.foot };
        Ok(Document { head, root, foot })
    }

    fn directives(&mut self) -> Result<(), Fault> {
        let mut version = false;
        loop {
            match self.kind()?.clone() {
                Kind::VersionDirective(..) if version => {
                    return self.fault("found duplicate %YAML directive");
                }
                Kind::VersionDirective(1, 1) => version = true,
                Kind::VersionDirective(..) => {
                    return self.fault("found incompatible YAML document");
                }
                Kind::TagDirective { handle, prefix } => {
                    if self.tags.iter().any(|(known, _)| *known == handle) {
                        return self.fault("found duplicate %TAG directive");
                    }
                    self.tags.push((handle, prefix));
                }
                _ => break,
            }
            self.skip();
        }
        for (handle, prefix) in [("!", "!"), ("!!", YAML_PREFIX)] {
            if !self.tags.iter().any(|(known, _)| known == handle) {
                self.tags.push((handle.into(), prefix.into()));
            }
        }
        Ok(())
    }

    fn empty(&mut self) -> Result<Node, Fault> {
        let line = self.peek()?.start.line as u32 + 1;
        let content = Content::Scalar("".into(), Style::Plain, line);
        Ok(Node::new(content, None, Comments::default()))
    }

    fn properties(&mut self) -> Result<Properties, Fault> {
        let mut found = Properties::default();
        for _ in 0..2 {
            match self.kind()?.clone() {
                Kind::Anchor(name) if found.anchor.is_none() => found.anchor = Some(name),
                Kind::Tag { handle, suffix } if found.tag.is_none() => {
                    found.tag = Some(self.resolve_tag(&handle, suffix)?);
                }
                _ => break,
            }
            self.skip();
        }
        Ok(found)
    }

    fn resolve_tag(&mut self, handle: &str, suffix: String) -> Result<Box<str>, Fault> {
        let tag = if handle.is_empty() {
            suffix
        } else {
            let Some((_, prefix)) = self.tags.iter().find(|(known, _)| known == handle) else {
                return self.fault("found undefined tag handle");
            };
            format!("{prefix}{suffix}")
        };
        Ok(match tag.strip_prefix(YAML_PREFIX) {
            Some(own) => format!("!!{own}").into(),
            None => tag.into(),
        })
    }

    fn node(&mut self, block: bool, indentless: bool) -> Result<Node, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.fault(&format!("exceeded max depth of {DEPTH_MAX}"));
        }
        let outer = std::mem::replace(&mut self.deepest, self.depth);
        let node = self.node_at(block, indentless);
        self.deepest = self.deepest.max(outer);
        self.depth -= 1;
        node
    }

    fn node_at(&mut self, block: bool, indentless: bool) -> Result<Node, Fault> {
        let start = self.peek()?.start;
        if let Kind::Alias(name) = self.kind()? {
            let name = name.clone();
            return self.alias(&name, start);
        }
        let properties = self.properties()?;
        if let Some(name) = &properties.anchor {
            // Until it is whole, it cannot be referred to.
            self.anchors.insert(name.clone(), None);
        }
        let line = start.line as u32 + 1;
        let (content, comments) = self.content(block, indentless, &properties, line)?;
        let Some(name) = properties.anchor else {
            return Ok(Node::new(content, properties.tag, comments));
        };
        // What is said again elsewhere has its comments, but for what stands behind it here.
        let again = Comments {
            head: comments.head.clone(),
            line: comments.line.clone(),
            foot: String::new(),
        };
        let shared = Rc::new(Node::new(content, properties.tag, again));
        let height = 1 + self.deepest.saturating_sub(self.depth);
        self.anchors.insert(name, Some(Anchor { node: shared.clone(), height }));
        Ok(Node::new(Content::Anchored(shared, line), None, comments))
    }

    fn alias(&mut self, name: &str, start: Mark) -> Result<Node, Fault> {
        let target = match self.anchors.get(name) {
            Some(Some(anchor)) if self.depth + anchor.height > DEPTH_MAX => {
                return Err(Fault::new(&format!("exceeded max depth of {DEPTH_MAX}"), start));
            }
            Some(Some(anchor)) => {
                self.deepest = self.deepest.max(self.depth + anchor.height);
                anchor.node.clone()
            }
            Some(None) => {
                return Err(Fault::new(&format!("anchor '{name}' value contains itself"), start));
            }
            None => return Err(Fault::new(&format!("unknown anchor '{name}' referenced"), start)),
        };
        let comments = self.take_comments();
        self.skip();
        let line = start.line as u32 + 1;
        Ok(Node::new(Content::Alias(target, line), None, comments))
    }

    fn content(
        &mut self,
        block: bool,
        indentless: bool,
        properties: &Properties,
        line: u32,
    ) -> Result<(Content, Comments), Fault> {
        match self.kind()? {
            Kind::BlockEntry if indentless => self.indentless_sequence(line),
            Kind::Scalar(..) => {
                let comments = self.take_comments();
                match self.scanner.take().map(|token| token.kind) {
                    Some(Kind::Scalar(text, style)) => {
                        Ok((Content::Scalar(text.into(), style, line), comments))
                    }
                    _ => self.fault("did not find expected node content"),
                }
            }
            Kind::FlowSequenceStart => self.flow_sequence(line),
            Kind::FlowMappingStart => self.flow_mapping(line),
            Kind::BlockSequenceStart if block => self.block_sequence(line),
            Kind::BlockMappingStart if block => self.block_mapping(line),
            _ if properties.anchor.is_some() || properties.tag.is_some() => {
                Ok((Content::Scalar("".into(), Style::Plain, line), Comments::default()))
            }
            _ => self.fault("did not find expected node content"),
        }
    }
}
