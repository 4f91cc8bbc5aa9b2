//! A YAML document as it stands in the file: nodes with the comments beside them.

use std::rc::Rc;

use super::scanner::Style;

/// A node.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// The tag as written, with `!!` for YAML's own; empty for none.
    pub tag: Option<Box<str>>,
    /// The comments beside it, if there are any.
    pub comments: Option<Box<Comments>>,
    /// The line it starts on, from 1.
    pub line: u32,
}

/// What a node is.
#[derive(Debug)]
pub enum Content {
    /// A scalar.
    Scalar(String, Style),
    /// A list; the flag tells the flow style.
    Sequence(Vec<Node>, bool),
    /// Keys and values; the flag tells the flow style.
    Mapping(Vec<(Node, Node)>, bool),
    /// Another node once more.
    Alias(Rc<Node>),
    /// What aliases refer to, where it stands itself.
    Anchored(Rc<Node>),
}

/// The comments beside a node, with their marks, lines apart by line feeds.
#[derive(Debug, Default)]
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
    /// In a box, if there are any.
    pub fn kept(self) -> Option<Box<Self>> {
        let none = self.head.is_empty() && self.line.is_empty() && self.foot.is_empty();
        (!none).then(|| Box::new(self))
    }
}

impl Node {
    /// The comments, to be changed.
    pub fn comments_mut(&mut self) -> &mut Comments {
        self.comments.get_or_insert_default()
    }

    /// The comment behind it.
    pub fn foot(&self) -> &str {
        self.comments.as_ref().map_or("", |comments| &comments.foot)
    }

    /// Takes the comment behind it away.
    pub fn take_foot(&mut self) -> String {
        self.comments
            .as_mut()
            .map(|comments| std::mem::take(&mut comments.foot))
            .unwrap_or_default()
    }

    /// What makes two keys the same: the kind of node and the text.
    pub fn key_text(&self) -> (u8, &str) {
        match &self.content {
            Content::Scalar(text, _) => (0, text),
            Content::Sequence(..) => (1, ""),
            Content::Mapping(..) => (2, ""),
            Content::Alias(_) => (3, ""),
            Content::Anchored(node) => node.key_text(),
        }
    }
}
