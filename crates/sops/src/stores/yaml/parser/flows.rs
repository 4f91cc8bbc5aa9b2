//! Sequences and mappings in brackets.

use super::super::Fault;
use super::super::node::{Comments, Content, Node};
use super::super::scanner::Kind;
use super::Parser;

impl Parser<'_> {
    pub(super) fn flow_sequence(&mut self, line: u32) -> Result<(Content, Comments), Fault> {
        let mut comments = self.take_comments();
        self.peek()?;
        self.skip();
        let mut items = Vec::new();
        while *self.kind()? != Kind::FlowSequenceEnd {
            if !items.is_empty() {
                if *self.kind()? != Kind::FlowEntry {
                    return self.fault("did not find expected ',' or ']'");
                }
                self.skip();
            }
            match self.kind()? {
                Kind::Key => {
                    let line = self.peek()?.start.line as u32 + 1;
                    self.skip();
                    items.push(self.flow_pair(line)?);
                }
                Kind::FlowSequenceEnd => break,
                _ => items.push(self.node(false, false)?),
            }
        }
        let end = self.take_comments();
        self.skip();
        comments.line = end.line;
        comments.foot = end.foot;
        Ok((Content::Sequence(items.into(), line), comments))
    }

    /// `[key: value]`: a mapping of one.
    fn flow_pair(&mut self, line: u32) -> Result<Node, Fault> {
        let key = match self.kind()? {
            Kind::Value | Kind::FlowEntry | Kind::FlowSequenceEnd => self.empty()?,
            _ => self.node(false, false)?,
        };
        let mut value = self.flow_value(&Kind::FlowSequenceEnd)?;
        let mut key = key;
        if key.foot().is_empty() && !value.foot().is_empty() {
            key.comments_mut().foot = value.take_foot();
        }
        let content = Content::Mapping([(key, value)].into(), line);
        Ok(Node::new(content, None, Comments::default()))
    }

    fn flow_value(&mut self, end: &Kind) -> Result<Node, Fault> {
        if *self.kind()? == Kind::Value {
            self.skip();
            let kind = self.kind()?;
            if *kind != Kind::FlowEntry && kind != end {
                return self.node(false, false);
            }
        }
        self.empty()
    }

    pub(super) fn flow_mapping(&mut self, line: u32) -> Result<(Content, Comments), Fault> {
        let mut comments = self.take_comments();
        self.peek()?;
        self.skip();
        let mut pairs = Vec::new();
        while *self.kind()? != Kind::FlowMappingEnd {
            if !pairs.is_empty() {
                if *self.kind()? != Kind::FlowEntry {
                    return self.fault("did not find expected ',' or '}'");
                }
                self.skip();
            }
            let (mut key, mut value) = match self.kind()? {
                Kind::Key => {
                    self.skip();
                    let key = match self.kind()? {
                        Kind::Value | Kind::FlowEntry | Kind::FlowMappingEnd => self.empty()?,
                        _ => self.node(false, false)?,
                    };
                    (key, self.flow_value(&Kind::FlowMappingEnd)?)
                }
                Kind::FlowMappingEnd => break,
                _ => (self.node(false, false)?, self.empty()?),
            };
            if key.foot().is_empty() && !value.foot().is_empty() {
                key.comments_mut().foot = value.take_foot();
            }
            pairs.push((key, value));
        }
        let end = self.take_comments();
        self.skip();
        comments.line = end.line;
        comments.foot = end.foot;
        Ok((Content::Mapping(pairs.into(), line), comments))
    }
}
