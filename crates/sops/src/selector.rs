//! Which values of a document are encrypted: a rule, ready for a walk.

use regex::Regex;

use crate::error::{Error, Result};
use crate::expression::compile;
use crate::metadata::Rule;

/// A rule with its expression compiled.
#[derive(Debug)]
pub enum Selector {
    /// Everything is encrypted.
    All,
    /// By the keys above.
    Keys {
        /// How keys are looked at.
        find: Find,
        /// Are those below encrypted, or all others?
        encrypted: bool,
    },
    /// By the comments before.
    Comments {
        /// How comments are looked at.
        find: Regex,
        /// Are those behind encrypted, or all others?
        encrypted: bool,
    },
}

/// How a key is looked at.
#[derive(Debug)]
pub enum Find {
    /// By its end.
    Suffix(String),
    /// By an expression.
    Regex(Regex),
}

/// What is known of the way to a value.
#[derive(Default, Debug)]
pub struct Way {
    /// For each key on the path: does it, or one above, match?
    keys: Vec<bool>,
    /// For each mapping or list around: its comments since the last element.
    levels: Vec<Level>,
}

#[derive(Default, Clone, Copy, Debug)]
struct Level {
    /// Does a level around match?
    outer: bool,
    /// Does one of the comments match?
    any: bool,
    /// Does one match that is not the last?
    before_last: bool,
}

impl Selector {
    /// Of a rule. A rule that cannot be understood is refused: nothing would be encrypted by it, or
    /// everything.
    pub fn new(rule: &Rule) -> Result<Self> {
        let regex = |text: &str| compile(text).map_err(Error::general);
        let keys = |find, encrypted| Self::Keys { find, encrypted };
        Ok(match rule {
            Rule::All => Self::All,
            Rule::UnencryptedSuffix(suffix) => keys(Find::Suffix(suffix.clone()), false),
            Rule::EncryptedSuffix(suffix) => keys(Find::Suffix(suffix.clone()), true),
            Rule::UnencryptedRegex(text) => keys(Find::Regex(regex(text)?), false),
            Rule::EncryptedRegex(text) => keys(Find::Regex(regex(text)?), true),
            Rule::UnencryptedCommentRegex(text) => {
                Self::Comments { find: regex(text)?, encrypted: false }
            }
            Rule::EncryptedCommentRegex(text) => {
                Self::Comments { find: regex(text)?, encrypted: true }
            }
        })
    }

    /// The expression of the comments that leave values readable.
    pub fn readable_comments(&self) -> Option<&Regex> {
        match self {
            Self::Comments { find, encrypted: false } => Some(find),
            _ => None,
        }
    }

    fn key_matches(&self, key: &str) -> bool {
        match self {
            Self::Keys { find: Find::Suffix(suffix), .. } => key.ends_with(suffix.as_str()),
            Self::Keys { find: Find::Regex(regex), .. } => regex.is_match(key),
            Self::All | Self::Comments { .. } => false,
        }
    }

    /// Goes below a key.
    pub fn enter_key(&self, way: &mut Way, key: &str) {
        let above = way.keys.last().copied().unwrap_or(false);
        way.keys.push(above || self.key_matches(key));
    }

    /// Comes up again.
    pub fn leave_key(&self, way: &mut Way) {
        way.keys.pop();
    }

    /// Goes into a mapping or list.
    pub fn enter_level(&self, way: &mut Way) {
        let outer = way.levels.last().is_some_and(|level| level.outer || level.any);
        way.levels.push(Level { outer, ..Level::default() });
    }

    /// Comes out again.
    pub fn leave_level(&self, way: &mut Way) {
        way.levels.pop();
    }

    /// Meets a comment.
    pub fn comment(&self, way: &mut Way, text: &str) {
        if let (Self::Comments { find, .. }, Some(level)) = (self, way.levels.last_mut()) {
            level.before_last = level.any;
            level.any |= find.is_match(text);
        }
    }

    /// Has met an element: comments before it are done with.
    pub fn element(&self, way: &mut Way) {
        if let Some(level) = way.levels.last_mut() {
            (level.any, level.before_last) = (false, false);
        }
    }

    /// Is the value at the end of the way encrypted? A comment that makes others encrypted stays
    /// readable itself.
    pub fn encrypts(&self, way: &Way, is_comment: bool) -> bool {
        let level = way.levels.last().copied().unwrap_or_default();
        match self {
            Self::All => true,
            Self::Keys { encrypted, .. } => way.keys.last().copied().unwrap_or(false) == *encrypted,
            Self::Comments { encrypted: false, .. } => !(level.outer || level.any),
            Self::Comments { encrypted: true, .. } => {
                level.outer || if is_comment { level.before_last } else { level.any }
            }
        }
    }
}
