//! Sequences and mappings by their columns.

use super::super::Fault;
use super::super::node::{Comments, Content, Node};
use super::super::scanner::Kind;
use super::Parser;

impl Parser<'_> {
    fn stem_comments(&mut self) -> Comments {
        Comments { head: self.stem.take().unwrap_or_default(), ..Comments::default() }
    }

    /// Behind a `-`: where a block of its own follows, the comments before the `-` are that
    /// block's, not its first line's.
    fn split_stem(&mut self, length: usize) -> Result<(), Fault> {
        if length == 0 {
            return Ok(());
        }
        if matches!(self.kind()?, Kind::BlockSequenceStart | Kind::BlockMappingStart) {
            let rest = self.head.split_off(length);
            let stem = std::mem::replace(&mut self.head, rest);
            if self.head.starts_with('\n') {
                self.head.remove(0);
            }
            self.stem = Some(stem);
        }
        Ok(())
    }

    pub(super) fn block_sequence(&mut self, line: u32) -> Result<(Content, Comments), Fault> {
        let mut comments = self.stem_comments();
        self.skip();
        let mut items = Vec::new();
        loop {
            match self.kind()? {
                Kind::BlockEntry => {
                    let length = self.head.len();
                    self.skip();
                    self.split_stem(length)?;
                    items.push(match self.kind()? {
                        Kind::BlockEntry | Kind::BlockEnd => self.empty()?,
                        _ => self.node(true, false)?.packed(),
                    });
                }
                Kind::BlockEnd => break,
                _ => return self.fault("did not find expected '-' indicator"),
            }
        }
        self.skip();
        comments.line.clear();
        Ok((Content::Sequence(items.into(), line), comments))
    }

    pub(super) fn indentless_sequence(&mut self, line: u32) -> Result<(Content, Comments), Fault> {
        let mut items = Vec::new();
        while *self.kind()? == Kind::BlockEntry {
            let length = self.head.len();
            self.skip();
            self.split_stem(length)?;
            items.push(match self.kind()? {
                Kind::BlockEntry | Kind::Key | Kind::Value | Kind::BlockEnd => self.empty()?,
                _ => self.node(true, false)?.packed(),
            });
        }
        Ok((Content::Sequence(items.into(), line), Comments::default()))
    }

    pub(super) fn block_mapping(&mut self, line: u32) -> Result<(Content, Comments), Fault> {
        let mut comments = self.stem_comments();
        self.skip();
        let mut pairs: Vec<(Node, Node)> = Vec::new();
        loop {
            match self.kind()? {
                Kind::Key => {
                    self.skip();
                    let mut key = match self.kind()? {
                        Kind::Key | Kind::Value | Kind::BlockEnd => self.empty()?,
                        _ => self.node(true, true)?,
                    };
                    // What stands further left behind a value is read with the next key.
                    if !key.foot().is_empty()
                        && let Some((before, _)) = pairs.last_mut()
                    {
                        before.comments_mut().foot = key.take_foot();
                    }
                    let mut value = self.block_value()?.packed();
                    if key.foot().is_empty() && !value.foot().is_empty() {
                        key.comments_mut().foot = value.take_foot();
                    }
                    pairs.push((key, value));
                }
                Kind::BlockEnd => break,
                _ => return self.fault("did not find expected key"),
            }
        }
        let end = self.take_comments();
        self.skip();
        comments.line = end.line;
        comments.foot = end.foot;
        if !comments.foot.is_empty()
            && let Some((last, _)) = pairs.last_mut()
        {
            last.comments_mut().foot = std::mem::take(&mut comments.foot);
        }
        Ok((Content::Mapping(pairs.into(), line), comments))
    }

    fn block_value(&mut self) -> Result<Node, Fault> {
        if *self.kind()? != Kind::Value {
            return self.empty();
        }
        self.skip();
        match self.kind()? {
            Kind::Key | Kind::Value | Kind::BlockEnd => self.empty(),
            _ => self.node(true, true),
        }
    }
}
