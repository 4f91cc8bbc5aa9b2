//! A YAML document as it stands in the file: nodes with the comments beside them.

use std::rc::Rc;

use super::scanner::Style;
use crate::packed::Packed;

/// A node. A large file has millions, so what few of them have stands apart.
#[derive(Debug)]
pub struct Node {
    /// What it is, and the line it starts on, from 1.
    pub content: Content,
    beside: Option<Box<Beside>>,
}

/// What few nodes have.
#[derive(Debug, Default)]
struct Beside {
    tag: Option<Box<str>>,
    comments: Comments,
}

/// What a node is, with the line it starts on.
#[derive(Debug)]
pub enum Content {
    /// A scalar.
    Scalar(Box<str>, Style, u32),
    /// A plain scalar that is an encrypted value.
    Sealed(Packed, u32),
    /// A list.
    Sequence(Box<[Node]>, u32),
    /// Keys and values.
    Mapping(Box<[(Node, Node)]>, u32),
    /// Another node once more.
    Alias(Rc<Node>, u32),
    /// What aliases refer to, where it stands itself.
    Anchored(Rc<Node>, u32),
}

// What a pair of a large file takes.
const _: () = assert!(size_of::<Node>() == 32);

/// The comments beside a node, with their marks, lines apart by line feeds.
#[derive(Clone, Debug, Default)]
pub struct Comments {
    /// Before it.
    pub head: String,
    /// On its line.
    pub line: String,
    /// Behind it.
    pub foot: String,
}

/// A document.
#[derive(Debug)]
pub struct Document {
    /// Comments before the root that are apart from it.
    pub head: String,
    /// The root.
    pub root: Node,
    /// Comments at the end.
    pub foot: String,
}

impl Comments {
    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.line.is_empty() && self.foot.is_empty()
    }
}

impl Node {
    /// A node with its tag, as written (with `!!` for YAML's own), and the comments beside it.
    pub fn new(content: Content, tag: Option<Box<str>>, comments: Comments) -> Self {
        let plain = tag.is_none() && comments.is_empty();
        let beside = (!plain).then(|| Box::new(Beside { tag, comments }));
        Self { content, beside }
    }

    /// The line it starts on.
    pub fn line(&self) -> u32 {
        match self.content {
            Content::Scalar(_, _, line)
            | Content::Sealed(_, line)
            | Content::Sequence(_, line)
            | Content::Mapping(_, line)
            | Content::Alias(_, line)
            | Content::Anchored(_, line) => line,
        }
    }

    /// Takes less room for a value that is encrypted; keys are looked at by their text.
    #[must_use]
    pub fn packed(mut self) -> Self {
        if let Content::Scalar(text, Style::Plain, line) = &self.content
            && self.tag().is_none()
            && let Some(packed) = Packed::of(text)
        {
            self.content = Content::Sealed(packed, *line);
        }
        self
    }

    /// Its tag, if it has one.
    pub fn tag(&self) -> Option<&str> {
        self.beside.as_ref().and_then(|beside| beside.tag.as_deref())
    }

    /// The comments beside it, if there are any.
    pub fn comments(&self) -> Option<&Comments> {
        self.beside.as_ref().map(|beside| &beside.comments)
    }

    /// Takes the comments away.
    pub fn take_comments(&mut self) -> Comments {
        self.beside.as_mut().map(|it| std::mem::take(&mut it.comments)).unwrap_or_default()
    }

    /// The comments, to be changed.
    pub fn comments_mut(&mut self) -> &mut Comments {
        &mut self.beside.get_or_insert_default().comments
    }

    /// The comment behind it.
    pub fn foot(&self) -> &str {
        self.comments().map_or("", |comments| &comments.foot)
    }

    /// Takes the comment behind it away.
    pub fn take_foot(&mut self) -> String {
        self.beside.as_mut().map(|it| std::mem::take(&mut it.comments.foot)).unwrap_or_default()
    }

    /// What makes two keys the same: the kind of node and the text.
    pub fn key_text(&self) -> (u8, &str) {
        match &self.content {
            Content::Scalar(text, ..) => (0, text),
            // No key is.
            Content::Sealed(..) => (0, ""),
            Content::Sequence(..) => (1, ""),
            Content::Mapping(..) => (2, ""),
            Content::Alias(..) => (3, ""),
            Content::Anchored(node, _) => node.key_text(),
        }
    }
}
