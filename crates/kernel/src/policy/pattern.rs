//! Rule paths: how they match and which of two matches comes first.

use std::cmp::{Ordering, Reverse};

/// A rule's path, ready to be matched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    /// The path without the trailing `*`.
    pub(super) text: String,
    /// Does a `*` stand at the end?
    pub(super) glob: bool,
    /// Is there a `+` in place of a segment? (Any `+` at a segment's beginning makes Vault match
    /// segment by segment.)
    pub(super) segmented: bool,
    /// Bytes before the first `+` that stands for a segment or for itself; what is before it must
    /// be there as it is, which refuses most paths with one comparison.
    literal: usize,
}

impl Pattern {
    /// Reads a path as a policy gives it; `None` for a `+*`, which is forbidden.
    pub(super) fn parse(path: &str) -> Option<Self> {
        if path.contains("+*") {
            return None;
        }
        let path = path.strip_prefix('/').unwrap_or(path);
        let segmented = path == "+" || path.starts_with("+/") || path.contains("/+");
        let (text, glob) = match path.strip_suffix('*') {
            Some(text) => (text, true),
            None => (path, false),
        };
        let literal = if segmented { text.find('+') } else { None }.unwrap_or(text.len());
        Some(Self { text: text.to_owned(), glob, segmented, literal })
    }

    /// Neither `*` nor `+`?
    pub(super) fn is_exact(&self) -> bool {
        !self.glob && !self.segmented
    }

    /// The path as a policy writes it.
    pub(super) fn written(&self) -> String {
        format!("{}{}", self.text, if self.glob { "*" } else { "" })
    }

    /// Does it match `path`?
    pub(super) fn matches(&self, path: &str) -> bool {
        match (self.segmented, self.glob) {
            (false, false) => self.text == path,
            (false, true) => path.starts_with(&self.text),
            (true, _) => {
                let literal = self.text.as_bytes().get(..self.literal).unwrap_or_default();
                path.as_bytes().starts_with(literal) && self.matches_segments(path)
            }
        }
    }

    fn matches_segments(&self, path: &str) -> bool {
        let mut rule = self.text.split('/').peekable();
        let mut given = path.split('/');
        while let Some(want) = rule.next() {
            let Some(have) = given.next() else { return false };
            let last = rule.peek().is_none();
            let fits = want == "+" || want == have || (self.glob && last && have.starts_with(want));
            if !fits {
                return false;
            }
        }
        self.glob || given.next().is_none()
    }

    /// Does it speak of paths below `mount` (which ends with a slash)? A glob that covers the whole
    /// mount does not count: it matches the mount's own path already.
    pub(super) fn reaches_below(&self, mount: &str) -> bool {
        if !self.segmented {
            return self.text.starts_with(mount);
        }
        let mut rule = self.text.split('/').peekable();
        for have in mount.trim_end_matches('/').split('/') {
            let Some(want) = rule.next() else { return false };
            if self.glob && rule.peek().is_none() && have.starts_with(want) {
                return true;
            }
            if want != "+" && want != have {
                return false;
            }
        }
        true
    }

    /// The order of several matches that are not exact, the last one wins; as documented under
    /// "policy syntax": a later first wildcard, no glob at the end, fewer `+`, longer, and last
    /// the greater text.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }

    fn rank(&self) -> (usize, bool, Reverse<usize>, usize, &str) {
        let plus = if self.segmented {
            self.text.split('/').filter(|segment| *segment == "+").count()
        } else {
            0
        };
        (self.literal, !self.glob, Reverse(plus), self.text.len(), &self.text)
    }
}
