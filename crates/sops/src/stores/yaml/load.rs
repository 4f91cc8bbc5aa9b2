//! Nodes to the document: comments become items beside what they stand beside, aliases become what
//! they refer to.

use std::collections::HashMap;
use std::rc::Rc;

use super::node::{Comments, Content, Document, Node};
use super::resolve::resolve;
use super::scanner::Style;
use crate::octets;
use crate::tree::{Branch, Comment, Item, OddKey, Value};

/// How many nodes aliases may become, all together.
pub const ALIAS_NODES_MAX: usize = 1_000_000;

/// Makes documents of nodes.
pub struct Loader {
    /// Are keys that stand twice refused? So it is in the first document.
    pub unique: bool,
    /// Nodes that aliases became so far.
    pub expanded: usize,
}

fn comments_of(text: &str, inline: bool) -> impl Iterator<Item = Comment> {
    text.split('\n').filter(|line| !line.is_empty()).map(move |line| {
        let text = octets::guarded(line.get(1..).unwrap_or_default().to_owned());
        Comment { inline, ..Comment::new(text) }
    })
}

fn add(branch: &mut Branch, text: &str, inline: bool) {
    branch.0.extend(comments_of(text, inline).map(Item::Comment));
}

fn add_to_list(list: &mut Vec<Value>, text: &str, inline: bool) {
    list.extend(comments_of(text, inline).map(Value::Comment));
}

fn is_leaf(node: &Node) -> bool {
    match &node.content {
        Content::Scalar(..) | Content::Alias(_) => true,
        Content::Anchored(inner) => is_leaf(inner),
        Content::Sequence(..) | Content::Mapping(..) => false,
    }
}

impl Loader {
    /// A document.
    pub fn document(&mut self, document: Document) -> Result<Branch, String> {
        let mut branch = Branch::default();
        add(&mut branch, &document.head, false);
        self.root(document.root, &mut branch)?;
        add(&mut branch, &document.foot, false);
        Ok(branch)
    }

    fn root(&mut self, mut node: Node, branch: &mut Branch) -> Result<(), String> {
        let comments = node.comments.take().map(|kept| *kept).unwrap_or_default();
        add(branch, &comments.head, false);
        add(branch, &comments.line, false);
        match node.content {
            Content::Anchored(inner) => {
                let inner = self.copy(&inner)?;
                self.root(inner, branch)?;
            }
            Content::Mapping(pairs, _) => self.pairs(pairs, branch)?,
            Content::Sequence(..) => {
                return Err("YAML documents that are sequences are not supported".into());
            }
            Content::Alias(_) => {
                return Err("YAML documents that are aliases are not supported".into());
            }
            Content::Scalar(text, style) => {
                if resolve(node.tag.as_deref(), text, style) != Ok(Value::Null) {
                    return Err("YAML documents that are values are not supported".into());
                }
                // As where a document is only its mark.
                return Ok(());
            }
        }
        add(branch, &comments.foot, false);
        Ok(())
    }

    fn pairs(&mut self, pairs: Vec<(Node, Node)>, branch: &mut Branch) -> Result<(), String> {
        if self.unique {
            check_unique(&pairs)?;
        }
        branch.0.reserve(pairs.len());
        for (mut key, mut value) in pairs {
            let beside_key = take(&mut key);
            add(branch, &beside_key.head, false);
            add(branch, &beside_key.line, false);
            let leaf = is_leaf(&value);
            let beside = if leaf { take(&mut value) } else { Comments::default() };
            add(branch, &beside.head, false);
            add(branch, &beside.line, true);
            if self.unique && is_merge(&key) && !can_be_merged(&value) {
                return Err("map merge requires map or sequence of maps as the value".into());
            }
            let key = self.key(key)?;
            let value = self.value(value, leaf)?;
            branch.0.push(match key {
                Ok(name) => Item::Entry(name, value),
                Err(odd) => Item::Odd(odd),
            });
            add(branch, &beside.foot, false);
            add(branch, &beside_key.foot, false);
        }
        Ok(())
    }

    fn key(&mut self, key: Node) -> Result<Result<String, OddKey>, String> {
        let shown = key.key_text().1.to_owned();
        let kind = match self.value(key, true)? {
            Value::Text(name) => return Ok(Ok(octets::guarded(name.to_string()))),
            Value::Bytes(name) => return Ok(Ok(octets::text_of(&name))),
            Value::Null => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Unsigned(_) => "uint64",
            Value::Float(_) => "float64",
            Value::Time(_) => "time.Time",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Comment(_) => "string",
        };
        Ok(Err(OddKey { kind, shown }))
    }

    fn value(&mut self, mut node: Node, handled: bool) -> Result<Value, String> {
        match node.content {
            Content::Scalar(text, style) => resolve(node.tag.as_deref(), text, style),
            Content::Alias(target) => {
                let copy = self.copy(&target)?;
                self.value(copy, false)
            }
            Content::Anchored(shared) => {
                let mut inner = match Rc::try_unwrap(shared) {
                    Ok(inner) => inner,
                    Err(shared) => self.copy(&shared)?,
                };
                inner.comments = node.comments.take();
                self.value(inner, handled)
            }
            Content::Sequence(items, _) => {
                let beside = node.comments.take().map(|kept| *kept).unwrap_or_default();
                self.list(items, &beside, handled).map(Value::List)
            }
            Content::Mapping(pairs, _) => {
                let beside = node.comments.take().map(|kept| *kept).unwrap_or_default();
                let mut branch = Branch::default();
                if !handled {
                    add(&mut branch, &beside.head, false);
                    add(&mut branch, &beside.line, false);
                }
                self.pairs(pairs, &mut branch)?;
                if !handled {
                    add(&mut branch, &beside.foot, false);
                }
                Ok(Value::Map(branch))
            }
        }
    }

    fn list(
        &mut self,
        items: Vec<Node>,
        beside: &Comments,
        handled: bool,
    ) -> Result<Vec<Value>, String> {
        let mut list = Vec::with_capacity(items.len());
        if !handled {
            add_to_list(&mut list, &beside.head, false);
            add_to_list(&mut list, &beside.line, false);
        }
        for mut item in items {
            let own = take(&mut item);
            add_to_list(&mut list, &own.head, false);
            add_to_list(&mut list, &own.line, true);
            let value = self.value(item, true)?;
            list.push(value);
            add_to_list(&mut list, &own.foot, false);
        }
        if !handled {
            add_to_list(&mut list, &beside.foot, false);
        }
        Ok(list)
    }

    /// What an alias refers to, once more. Aliases of aliases may be too many.
    fn copy(&mut self, node: &Node) -> Result<Node, String> {
        self.expanded += 1;
        if self.expanded > ALIAS_NODES_MAX {
            return Err("document contains excessive aliasing".into());
        }
        let content = match &node.content {
            Content::Scalar(text, style) => Content::Scalar(text.clone(), *style),
            Content::Alias(target) => Content::Alias(target.clone()),
            Content::Anchored(target) => self.copy(target)?.content,
            Content::Sequence(items, flow) => {
                let items = items.iter().map(|item| self.copy(item));
                Content::Sequence(items.collect::<Result<_, _>>()?, *flow)
            }
            Content::Mapping(pairs, flow) => {
                let pairs =
                    pairs.iter().map(|(key, value)| Ok((self.copy(key)?, self.copy(value)?)));
                Content::Mapping(pairs.collect::<Result<_, String>>()?, *flow)
            }
        };
        let comments = node.comments.as_ref().map(|kept| {
            Box::new(Comments {
                head: kept.head.clone(),
                line: kept.line.clone(),
                foot: kept.foot.clone(),
            })
        });
        let tag = match &node.content {
            Content::Anchored(target) => target.tag.clone(),
            _ => node.tag.clone(),
        };
        Ok(Node { content, tag, comments, line: node.line })
    }
}

/// `<<`: its value is to be taken into the mapping. SOPS does not do that, but reads the file by
/// something that does.
fn is_merge(key: &Node) -> bool {
    let plain = matches!(&key.content, Content::Scalar(text, Style::Plain) if text == "<<");
    plain && matches!(key.tag.as_deref(), None | Some("!" | "!!merge"))
}

/// A mapping, an alias of one, or a list of them; no list by an alias. An alias is followed once: what it
/// refers to is none itself.
fn can_be_merged(value: &Node) -> bool {
    match &value.content {
        Content::Anchored(inner) => is_mapping_or_list(inner),
        _ => is_mapping_or_list(value),
    }
}

fn is_mapping_or_list(value: &Node) -> bool {
    match &value.content {
        Content::Sequence(items, _) => items.iter().all(is_mapping),
        _ => is_mapping(value),
    }
}

fn is_mapping(node: &Node) -> bool {
    match &node.content {
        Content::Alias(inner) | Content::Anchored(inner) => {
            matches!(inner.content, Content::Mapping(..))
        }
        content => matches!(content, Content::Mapping(..)),
    }
}

fn take(node: &mut Node) -> Comments {
    node.comments.take().map(|kept| *kept).unwrap_or_default()
}

fn check_unique(pairs: &[(Node, Node)]) -> Result<(), String> {
    let mut seen: HashMap<(u8, &str), u32> = HashMap::with_capacity(pairs.len());
    for (key, _) in pairs {
        if matches!(key.content, Content::Alias(_)) {
            continue;
        }
        if let Some(line) = seen.insert(key.key_text(), key.line) {
            let name = key.key_text().1;
            return Err(format!(
                "unmarshal errors:\n  line {}: mapping key {name:?} already defined at line {line}",
                key.line
            ));
        }
    }
    Ok(())
}
