//! Policies and an identity, compiled for deciding.
//!
//! Building is the slow half (once per set of policies and identity, then cached); deciding is the
//! fast one: a hash look-up, a binary search among the globs, and a walk over the `+` rules that
//! stops at the first match, since they lie best first.

mod compile;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::Timestamp;

use self::compile::lower_after;
use super::capability::{Capabilities, Capability};
use super::decide::{Denial, Request};
use super::parse::{Permissions, Policy};
use super::pattern::Pattern;

/// What a set of policies allows one identity. It knows neither tokens nor namespaces: paths are
/// relative to the token's namespace.
#[derive(Debug)]
pub struct Acl {
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) root: bool,
    pub(super) rules: Vec<Compiled>,
    exact: HashMap<String, usize, ahash::RandomState>,
    globs: Vec<Glob>,
    /// Rules with `+`, the highest priority first.
    segmented: Vec<usize>,
    pub(super) skipped: Vec<Skipped>,
    valid_until: Option<Timestamp>,
    /// Does some rule's path hold a capital letter?
    capitals: bool,
    /// Copies with paths in lower case, by the number of segments that keep their case.
    folded: Mutex<Vec<(usize, Arc<Acl>)>>,
}

/// All rules for one pattern, merged.
#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub(super) pattern: Pattern,
    pub(super) permissions: Arc<Permissions>,
    pub(super) sources: Vec<Source>,
    /// Position in the order of priority among patterns that are not exact; higher wins.
    pub(super) rank: usize,
}

/// Where a rule comes from: indexes into [`Acl::policies`] and its rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) policy: usize,
    pub(super) rule: usize,
}

/// A rule that does not apply to this identity at this time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skipped {
    pub(super) source: Source,
    pub(super) why: WhySkipped,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum WhySkipped {
    Expired,
    NoTemplateValue,
}

/// A glob without `+`; sorted by text. `parent` is the longest other glob that is a prefix of it.
#[derive(Debug)]
struct Glob {
    rule: usize,
    parent: Option<usize>,
}

/// What a look-up looks at. The hot path passes [`NoTrace`], which compiles to nothing; whoever
/// explains passes a recorder and gets every match, found by the very same code.
pub(super) trait Recorder {
    /// Must all matches be found, not only the winner?
    const ALL: bool;
    /// A rule matches the path.
    fn matched(&mut self, rule: usize);
}

/// Records nothing.
pub(super) struct NoTrace;

impl Recorder for NoTrace {
    const ALL: bool = false;
    fn matched(&mut self, _rule: usize) {}
}

impl Acl {
    /// Does a rule deny what `request` asks, where the case of names does not matter: of all
    /// segments of the path but the first `fixed`? Answers the rules that say so. A denial written
    /// with capitals holds for every spelling of the name that it means.
    pub fn denies_whatever_case(&self, request: &Request<'_>, fixed: usize) -> Option<Arc<Self>> {
        if !self.capitals {
            return None;
        }
        let acl = self.with_lower_case(fixed);
        let path = lower_after(request.path, fixed);
        let denial = acl.decide_path(&Request { path: &path, ..*request }).denial;
        (denial == Some(Denial::Deny)).then_some(acl)
    }

    /// Does it hold the root policy?
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// When the next rule expires; from then on it must be built again.
    pub fn valid_until(&self) -> Option<Timestamp> {
        self.valid_until
    }

    /// The policies it was built of.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// The rule that decides about `path`. `folder` is set for LIST and SCAN.
    ///
    /// A path with a trailing slash is looked up with and without it. The spelling without one
    /// serves LIST and SCAN where nothing better matches; for every verb a denial found that way
    /// holds if it is more specific than what matches with the slash (threat: GHSA-xp3c-3jw3-4vcr).
    pub(super) fn find<R: Recorder>(
        &self,
        path: &str,
        folder: bool,
        recorder: &mut R,
    ) -> Option<usize> {
        let path = path.trim_start_matches('/');
        let bare = path.strip_suffix('/');
        let denies = |rule: usize| self.capabilities_of(rule).is_deny();
        let counts = |rule: usize| folder || denies(rule);

        let exact = self.exact_match(path, recorder);
        if exact.is_some() && !R::ALL {
            return exact;
        }
        let exact_bare =
            bare.and_then(|bare| self.exact_match(bare, recorder)).filter(|rule| counts(*rule));
        if exact_bare.is_some() && !R::ALL {
            return exact_bare;
        }
        let wild = self.wild_match(path, recorder);
        let wild_bare = bare.and_then(|bare| self.wild_match(bare, recorder));
        let best_wild = match (wild, wild_bare) {
            (None, None) => None,
            (Some(rule), None) => Some(rule),
            (None, Some(rule)) => Some(rule).filter(|rule| counts(*rule)),
            (Some(with), Some(without)) => {
                let narrower = self.rank(without) > self.rank(with);
                Some(if denies(without) && narrower { without } else { with })
            }
        };
        exact.or(exact_bare).or(best_wild)
    }

    pub(super) fn capabilities_of(&self, rule: usize) -> Capabilities {
        self.rules.get(rule).map_or(Capabilities::NONE, |rule| rule.permissions.capabilities)
    }

    pub(super) fn rank(&self, rule: usize) -> usize {
        self.rules.get(rule).map_or(0, |rule| rule.rank)
    }

    fn exact_match<R: Recorder>(&self, path: &str, recorder: &mut R) -> Option<usize> {
        let found = self.exact.get(path).copied()?;
        recorder.matched(found);
        Some(found)
    }

    /// The highest-ranking match among the patterns that are not exact.
    fn wild_match<R: Recorder>(&self, path: &str, recorder: &mut R) -> Option<usize> {
        let mut best = self.longest_glob(path, recorder);
        let floor = best.map(|rule| self.rank(rule));
        for &rule in &self.segmented {
            let Some(compiled) = self.rules.get(rule) else { continue };
            let better = floor.is_none_or(|floor| compiled.rank > floor);
            if !better && !R::ALL {
                break;
            }
            if compiled.pattern.matches(path) {
                recorder.matched(rule);
                if better && best.is_none_or(|best| compiled.rank > self.rank(best)) {
                    best = Some(rule);
                }
                if !R::ALL {
                    break;
                }
            }
        }
        best
    }

    /// The longest glob that is a prefix of `path`: the greatest text not above `path`, or else one
    /// of those that are prefixes of it.
    fn longest_glob<R: Recorder>(&self, path: &str, recorder: &mut R) -> Option<usize> {
        let after = self.globs.partition_point(|glob| self.glob_text(glob) <= path);
        let mut next = after.checked_sub(1);
        let mut found = None;
        while let Some(glob) = next.and_then(|index| self.globs.get(index)) {
            if path.starts_with(self.glob_text(glob)) {
                recorder.matched(glob.rule);
                found = found.or(Some(glob.rule));
                if !R::ALL {
                    break;
                }
            }
            next = glob.parent;
        }
        found
    }

    fn glob_text(&self, glob: &Glob) -> &str {
        self.rules.get(glob.rule).map_or("", |rule| &rule.pattern.text)
    }
}

impl Acl {
    /// The capabilities at `path` as `sys/capabilities` answers them: sorted; `root` alone for the
    /// root policy, `deny` alone where nothing is granted.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.root { vec!["root"] } else { self.capability_set(path).names() }
    }

    /// As [`Acl::capabilities`], as a set (empty for the root policy).
    pub(super) fn capability_set(&self, path: &str) -> Capabilities {
        // Vault asks as LIST does, so that a folder's path finds the rule without the slash.
        let folder = Capability::List.is_folder_wide();
        self.find(path, folder, &mut NoTrace)
            .map_or(Capabilities::NONE, |rule| self.capabilities_of(rule))
    }
}
