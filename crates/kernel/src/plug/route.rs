//! The paths of a plug-in, and which operation each leads to.

use strongroom_base::FieldSpec;

use super::handler::Handler;
use super::{AliasFn, NeedsFn, Op, Protocol, Rule, Verb};

/// One route of a plug-in.
pub struct Route {
    /// The pattern as `spec()` wrote it: `roles/{name}`, `data/{path..}`.
    pub pattern: &'static str,
    segments: Vec<Segment>,
    /// What every path of it begins with: the pattern up to its first capture.
    beginning: &'static str,
    /// The verb.
    pub verb: Verb,
    /// The protocol that reaches it.
    pub protocol: Protocol,
    /// Does it ask a verified caller's [`super::Access`] itself?
    pub judges_access: bool,
    /// Who may call it.
    pub rule: Rule,
    /// Is it served in the root namespace only?
    pub root_namespace_only: bool,
    /// Is it served on a full disk, from the room that is kept back?
    pub on_full_disk: bool,
    /// Is it carried out to its end, though it is a query and its time is over?
    pub to_the_end: bool,
    /// Is it served in a locked namespace?
    pub while_locked: bool,
    /// Its fields.
    pub fields: &'static [FieldSpec],
    /// What it does.
    pub help: &'static str,
    /// How it runs.
    pub handler: Handler,
    /// What it needs, where its rule is [`Rule::Needs`].
    pub needs: Option<NeedsFn>,
    /// Bytes of a body that is taken as it comes, whatever it is; `None` where it is JSON.
    pub raw_body_max: Option<usize>,
    /// Who a login names: its failures are counted for the lockout.
    pub alias: Option<AliasFn>,
}

#[derive(Debug)]
enum Segment {
    Literal(&'static str),
    Capture(&'static str),
    Greedy(&'static str),
}

impl Route {
    pub(super) fn new<O: Op>(pattern: &'static str, handler: Handler) -> Self {
        let segments = pattern
            .trim_end_matches('/')
            .split('/')
            .filter(|s| !s.is_empty())
            .map(|s| match s.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) => match name.strip_suffix("..") {
                    Some(name) => Segment::Greedy(name),
                    None => Segment::Capture(name),
                },
                None => Segment::Literal(s),
            })
            .collect();
        Self {
            pattern,
            segments,
            beginning: pattern.split('{').next().unwrap_or_default().trim_end_matches('/'),
            verb: O::VERB,
            protocol: Protocol::Vault,
            judges_access: false,
            rule: O::RULE,
            root_namespace_only: O::ROOT_NAMESPACE_ONLY,
            on_full_disk: false,
            to_the_end: false,
            while_locked: false,
            fields: O::SPECS,
            help: O::HELP,
            handler,
            needs: None,
            raw_body_max: None,
            alias: None,
        }
    }

    /// The captures of `path` if the pattern matches it, and how literal the match is (for each
    /// segment: literal before capture before greedy; a greedy capture that literals follow comes
    /// before one at the end).
    ///
    /// Invariant: policy judges `a` and `a/` apart, so `a/` never reads or changes what `a` names
    /// (threat CVE-2026-3605): where it is no list, a greedy capture keeps the slash, and nothing
    /// else takes one.
    pub(super) fn matches(&self, path: &str) -> Option<(Captures, u64)> {
        // Most of an engine's routes part here, before anything is built.
        if !path.starts_with(self.beginning) {
            return None;
        }
        let mut captures = Captures::new();
        let mut rank = 0_u64;
        let mut rest = path.strip_suffix('/').unwrap_or(path);
        let listing = matches!(self.verb, Verb::List | Verb::Scan);
        let slash = !listing && rest.len() != path.len();
        for (i, segment) in self.segments.iter().enumerate() {
            rank <<= 2;
            if let Segment::Greedy(name) = segment {
                let tail = &self.segments[i + 1..];
                let rest = cut_tail(rest, tail)?;
                // Only lists have a root: the empty path.
                if rest.is_empty() && !(listing && tail.is_empty()) {
                    return None;
                }
                if slash && !tail.is_empty() {
                    return None;
                }
                captures.push((name, if slash { format!("{rest}/") } else { rest.to_owned() }));
                rank = rank << (2 * tail.len()) | tail.len() as u64;
                return Some((captures, self.normal_rank(rank)));
            }
            if rest.is_empty() {
                return None;
            }
            let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
            match segment {
                Segment::Literal(text) if *text == head => rank |= 2,
                Segment::Capture(name) => {
                    rank |= 1;
                    captures.push((name, head.to_owned()));
                }
                _ => return None,
            }
            rest = tail;
        }
        (rest.is_empty() && !slash).then(|| (captures, self.normal_rank(rank)))
    }

    /// Does it serve `path`, whatever the verb?
    pub(crate) fn serves(&self, path: &str) -> bool {
        self.matches(path).is_some()
    }

    /// The names of its captures.
    pub fn capture_names(&self) -> Vec<&'static str> {
        let names = self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Capture(name) | Segment::Greedy(name) => Some(*name),
        });
        names.collect()
    }

    /// Ranks of patterns with different numbers of segments, made comparable.
    fn normal_rank(&self, rank: u64) -> u64 {
        rank << (2 * (24 - self.segments.len().min(24)))
    }
}

/// `path` without the literals of `tail` at its end.
fn cut_tail<'p>(path: &'p str, tail: &[Segment]) -> Option<&'p str> {
    tail.iter().rev().try_fold(path, |rest, segment| {
        let Segment::Literal(text) = segment else { return None };
        rest.strip_suffix(text)?.strip_suffix('/')
    })
}

impl Route {
    /// `path` with the captures called one of `names` in lower case; `None` where that changes
    /// nothing.
    pub(super) fn fold_case(&self, path: &str, names: &[&str]) -> Option<String> {
        let mut folded = String::new();
        let mut changed = false;
        let mut segments = self.segments.iter();
        let mut greedy = false;
        for (i, segment) in path.split('/').enumerate() {
            if i > 0 {
                folded.push('/');
            }
            let fold = match segments.next() {
                Some(Segment::Capture(name)) => names.contains(name),
                Some(Segment::Greedy(name)) => {
                    greedy = names.contains(name);
                    greedy
                }
                Some(Segment::Literal(_)) => false,
                None => greedy,
            };
            if fold {
                let lower = segment.to_lowercase();
                changed |= lower != segment;
                folded.push_str(&lower);
            } else {
                folded.push_str(segment);
            }
        }
        changed.then_some(folded)
    }
}

/// Path captures by name.
pub type Captures = Vec<(&'static str, String)>;

/// What a path leads to within a mount.
pub enum Matched<'a> {
    /// An operation.
    Route(&'a Route, Captures),
    /// The path is served, but not with this verb.
    OtherVerb,
    /// Nothing serves the path.
    Nothing,
}
