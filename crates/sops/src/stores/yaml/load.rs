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
const ALIAS_NODES_MAX: usize = 1_000_000;
/// What is said where they are too many.
const EXCESSIVE: &str = "document contains excessive aliasing";

/// Up to so many nodes, nearly all of them may come of aliases.
const SMALL_NODES: usize = 400_000;
/// From so many nodes on, a tenth of them may.
const LARGE_NODES: usize = 4_000_000;

/// Makes documents of nodes.
#[derive(Default)]
pub struct Loader {
    /// Is the first document behind us? The original reads it strictly: no key may stand twice or be a
    /// mapping or list, and aliases are bounded by what else is there.
    later: bool,
    /// Nodes that aliases became so far.
    expanded: usize,
    /// Nodes that were seen, and how many of them by way of an alias.
    seen: (usize, usize),
    /// Aliases that are followed at the moment.
    within: usize,
}

/// Which share of so many nodes may come of aliases (go-yaml v3's bound).
fn alias_share_max(nodes: usize) -> f64 {
    let beyond = nodes.clamp(SMALL_NODES, LARGE_NODES) - SMALL_NODES;
    0.99 - 0.89 * beyond as f64 / (LARGE_NODES - SMALL_NODES) as f64
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

/// The tag of a value, as messages have it.
fn tag_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "!!null",
        Value::Bool(_) => "!!bool",
        Value::Int(_) | Value::Unsigned(_) => "!!int",
        Value::Float(_) => "!!float",
        Value::Text(_) | Value::Comment(_) => "!!str",
        Value::Bytes(_) => "!!binary",
        Value::Time(_) => "!!timestamp",
        Value::List(_) => "!!seq",
        Value::Map(_) => "!!map",
    }
}

fn is_leaf(node: &Node) -> bool {
    match &node.content {
        Content::Scalar(..) | Content::Sealed(..) | Content::Alias(..) => true,
        Content::Anchored(inner, _) => is_leaf(inner),
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
        self.later = true;
        Ok(branch)
    }

    /// Counts a node of the first document.
    fn see(&mut self) -> Result<(), String> {
        if self.later {
            return Ok(());
        }
        let (nodes, by_alias) = &mut self.seen;
        *nodes += 1;
        *by_alias += usize::from(self.within > 0);
        let (nodes, by_alias) = self.seen;
        let many = by_alias > 100 && nodes > 1_000;
        match many && by_alias as f64 / nodes as f64 > alias_share_max(nodes) {
            true => Err(EXCESSIVE.into()),
            false => Ok(()),
        }
    }

    fn root(&mut self, mut node: Node, branch: &mut Branch) -> Result<(), String> {
        let comments = node.take_comments();
        add(branch, &comments.head, false);
        add(branch, &comments.line, false);
        let line = node.line();
        let tag = node.tag().map(str::to_owned);
        match node.content {
            Content::Anchored(inner, _) => {
                let inner = self.copy(&inner)?;
                self.root(inner, branch)?;
            }
            Content::Mapping(pairs, _) => {
                self.see()?;
                self.pairs(pairs, branch, true)?;
            }
            Content::Sequence(..) => return Err(self.no_mapping("sequences", "!!seq", line)),
            Content::Alias(..) => {
                return Err("YAML documents that are aliases are not supported".into());
            }
            // It stands behind a key only.
            Content::Sealed(..) => return Err(self.no_mapping("values", "!!str", line)),
            Content::Scalar(text, style, _) => {
                let value = resolve(tag.as_deref(), text.into_string(), style)?;
                if value != Value::Null {
                    return Err(self.no_mapping("values", tag_of(&value), line));
                }
                // As where a document is only its mark.
                return Ok(());
            }
        }
        add(branch, &comments.foot, false);
        Ok(())
    }

    /// What is said of a document that is no mapping. The value is not shown.
    fn no_mapping(&self, what: &str, tag: &str, line: u32) -> String {
        match self.later {
            true => format!("YAML documents that are {what} are not supported"),
            false => format!(
                "unmarshal errors:\n  line {line}: cannot unmarshal {tag} into map[string]interface {{}}"
            ),
        }
    }

    fn pairs(
        &mut self,
        pairs: Box<[(Node, Node)]>,
        branch: &mut Branch,
        at_root: bool,
    ) -> Result<(), String> {
        if !self.later {
            check_unique(&pairs)?;
        }
        branch.0.reserve(pairs.len());
        for (mut key, mut value) in pairs.into_vec() {
            let beside_key = key.take_comments();
            add(branch, &beside_key.head, false);
            add(branch, &beside_key.line, false);
            let leaf = is_leaf(&value);
            let beside = if leaf { value.take_comments() } else { Comments::default() };
            add(branch, &beside.head, false);
            add(branch, &beside.line, true);
            if !self.later && is_merge(&key) && !can_be_merged(&value) {
                return Err("map merge requires map or sequence of maps as the value".into());
            }
            let key = self.key(key, at_root)?;
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

    fn key(&mut self, key: Node, at_root: bool) -> Result<Result<String, OddKey>, String> {
        let shown = key.key_text().1.to_owned();
        let line = key.line();
        let kind = match self.value(key, true)? {
            Value::Text(name) => return Ok(Ok(octets::guarded(name.to_string()))),
            Value::Bytes(name) => return Ok(Ok(octets::text_of(&name))),
            Value::Null => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Unsigned(_) => "uint64",
            Value::Float(_) => "float64",
            Value::Time(_) => "time.Time",
            value @ (Value::List(_) | Value::Map(_)) if at_root && !self.later => {
                let tag = tag_of(&value);
                return Err(format!(
                    "unmarshal errors:\n  line {line}: cannot unmarshal {tag} into string"
                ));
            }
            Value::List(_) | Value::Map(_) if !self.later => {
                return Err(format!("invalid map key: line {line}: a mapping or a list"));
            }
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
            Value::Comment(_) => "string",
        };
        Ok(Err(OddKey { kind, shown }))
    }

    fn value(&mut self, mut node: Node, handled: bool) -> Result<Value, String> {
        if !matches!(node.content, Content::Anchored(..)) {
            self.see()?;
        }
        let beside = node.take_comments();
        let tag = node.tag().map(str::to_owned);
        match node.content {
            Content::Scalar(text, style, _) => resolve(tag.as_deref(), text.into_string(), style),
            Content::Sealed(packed, _) => Ok(Value::text(packed.text())),
            Content::Alias(target, _) => {
                let copy = self.copy(&target)?;
                self.within += 1;
                let value = self.value(copy, false);
                self.within -= 1;
                value
            }
            Content::Anchored(shared, _) => {
                let mut inner = match Rc::try_unwrap(shared) {
                    Ok(inner) => inner,
                    Err(shared) => self.copy(&shared)?,
                };
                if inner.comments().is_some() || !beside.is_empty() {
                    *inner.comments_mut() = beside;
                }
                self.value(inner, handled)
            }
            Content::Sequence(items, _) => self.list(items, &beside, handled).map(Value::List),
            Content::Mapping(pairs, _) => {
                let mut branch = Branch::default();
                if !handled {
                    add(&mut branch, &beside.head, false);
                    add(&mut branch, &beside.line, false);
                }
                self.pairs(pairs, &mut branch, false)?;
                if !handled {
                    add(&mut branch, &beside.foot, false);
                }
                Ok(Value::Map(branch))
            }
        }
    }

    fn list(
        &mut self,
        items: Box<[Node]>,
        beside: &Comments,
        handled: bool,
    ) -> Result<Vec<Value>, String> {
        let mut list = Vec::with_capacity(items.len());
        if !handled {
            add_to_list(&mut list, &beside.head, false);
            add_to_list(&mut list, &beside.line, false);
        }
        for mut item in items.into_vec() {
            let own = item.take_comments();
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
            return Err(EXCESSIVE.into());
        }
        let content = match &node.content {
            Content::Scalar(text, style, line) => Content::Scalar(text.clone(), *style, *line),
            Content::Sealed(packed, line) => Content::Sealed(packed.clone(), *line),
            Content::Alias(target, line) => Content::Alias(target.clone(), *line),
            Content::Anchored(target, _) => self.copy(target)?.content,
            Content::Sequence(items, line) => {
                let items = items.iter().map(|item| self.copy(item));
                Content::Sequence(items.collect::<Result<_, _>>()?, *line)
            }
            Content::Mapping(pairs, line) => {
                let pairs =
                    pairs.iter().map(|(key, value)| Ok((self.copy(key)?, self.copy(value)?)));
                Content::Mapping(pairs.collect::<Result<_, String>>()?, *line)
            }
        };
        let tag = match &node.content {
            Content::Anchored(target, _) => target.tag(),
            _ => node.tag(),
        };
        let comments = node.comments().cloned().unwrap_or_default();
        Ok(Node::new(content, tag.map(Into::into), comments))
    }
}

/// `<<`: its value is to be taken into the mapping. SOPS does not do that, but reads the file by
/// something that does.
fn is_merge(key: &Node) -> bool {
    let plain = matches!(&key.content, Content::Scalar(text, Style::Plain, _) if **text == *"<<");
    plain && matches!(key.tag(), None | Some("!" | "!!merge"))
}

/// A mapping, an alias of one, or a list of them; no list by an alias. An alias is followed once: what it
/// refers to is none itself.
fn can_be_merged(value: &Node) -> bool {
    match &value.content {
        Content::Anchored(inner, _) => is_mapping_or_list(inner),
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
        Content::Alias(inner, _) | Content::Anchored(inner, _) => {
            matches!(inner.content, Content::Mapping(..))
        }
        content => matches!(content, Content::Mapping(..)),
    }
}

fn check_unique(pairs: &[(Node, Node)]) -> Result<(), String> {
    let mut seen: HashMap<(u8, &str), u32> = HashMap::with_capacity(pairs.len());
    for (key, _) in pairs {
        if matches!(key.content, Content::Alias(..)) {
            continue;
        }
        if let Some(line) = seen.insert(key.key_text(), key.line()) {
            let name = key.key_text().1;
            return Err(format!(
                "unmarshal errors:\n  line {}: mapping key {name:?} already defined at line {line}",
                key.line()
            ));
        }
    }
    Ok(())
}
