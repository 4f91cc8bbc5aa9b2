//! Policies and an identity, compiled for deciding.
//!
//! Building is the slow half (once per set of policies and identity, then cached); deciding is the
//! fast one: a hash look-up, a binary search among the globs, and a walk over the `+` rules that
//! stops at the first match, since they lie best first.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{Error, Result, Timestamp};

use super::capability::{Capabilities, Capability};
use super::decide::{Denial, Request};
use super::parse::{Parameters, Permissions, Policy, Rule};
use super::pattern::Pattern;
use super::template::IdentityView;

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
    /// Compiles `policies` for `identity`. Rules that have expired at `now` are left out;
    /// [`Acl::valid_until`] says when the next one will.
    pub fn build(
        policies: &[Arc<Policy>],
        identity: &IdentityView,
        now: Timestamp,
    ) -> Result<Self> {
        let root = policies.iter().any(|policy| policy.is_root());
        if root && policies.len() != 1 {
            return Err(Error::bad_request("other policies present along with root"));
        }
        let mut builder = Builder {
            acl: Self {
                policies: policies.to_vec(),
                root,
                rules: Vec::new(),
                exact: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
                globs: Vec::new(),
                segmented: Vec::new(),
                skipped: Vec::new(),
                valid_until: None,
                capitals: false,
                folded: Mutex::default(),
            },
            by_pattern: HashMap::new(),
        };
        for (index, policy) in policies.iter().enumerate() {
            for (number, rule) in policy.rules().iter().enumerate() {
                builder.add(policy, rule, Source { policy: index, rule: number }, identity, now);
            }
        }
        Ok(builder.finish())
    }

    /// This policy set with one more policy, whose templates (if any) have no values.
    pub(super) fn with_extra(&self, extra: Arc<Policy>) -> Self {
        let mut builder = Builder {
            by_pattern: self
                .rules
                .iter()
                .enumerate()
                .map(|(index, rule)| (rule.pattern.written(), index))
                .collect(),
            acl: Self {
                policies: self.policies.clone(),
                root: self.root,
                rules: self.rules.clone(),
                exact: self.exact.clone(),
                globs: Vec::new(),
                segmented: Vec::new(),
                skipped: self.skipped.clone(),
                valid_until: self.valid_until,
                capitals: false,
                folded: Mutex::default(),
            },
        };
        let index = builder.acl.policies.len();
        for (number, rule) in extra.rules().iter().enumerate() {
            let source = Source { policy: index, rule: number };
            let nobody = IdentityView::default();
            builder.add(&extra, rule, source, &nobody, Timestamp::ZERO);
        }
        builder.acl.policies.push(extra);
        builder.finish()
    }

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

    /// The same rules with their paths in lower case, but for the first `fixed` segments. Rules
    /// that become the same path become one.
    fn with_lower_case(&self, fixed: usize) -> Arc<Self> {
        let mut folded = self.folded.lock();
        if let Some((_, acl)) = folded.iter().find(|(segments, _)| *segments == fixed) {
            return acl.clone();
        }
        let mut builder = Builder {
            acl: Self {
                policies: self.policies.clone(),
                root: self.root,
                rules: Vec::new(),
                exact: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
                globs: Vec::new(),
                segmented: Vec::new(),
                skipped: self.skipped.clone(),
                valid_until: self.valid_until,
                capitals: false,
                folded: Mutex::default(),
            },
            by_pattern: HashMap::new(),
        };
        for rule in &self.rules {
            let written = lower_after(&rule.pattern.written(), fixed);
            if let Some(pattern) = Pattern::parse(&written) {
                builder.merge_compiled(pattern, rule);
            }
        }
        let acl = Arc::new(builder.finish());
        // Mounts lie at few depths; the bound is for who makes policies of many.
        if folded.len() < FOLDED_MAX {
            folded.push((fixed, acl.clone()));
        }
        acl
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

/// Copies in lower case that one set of rules keeps.
const FOLDED_MAX: usize = 8;

fn has_capitals(path: &str) -> bool {
    path.chars().any(char::is_uppercase)
}

/// `path` in lower case, but for its first `fixed` segments.
fn lower_after(path: &str, fixed: usize) -> String {
    let segments = path.split('/').enumerate().map(|(i, segment)| match i < fixed {
        true => segment.to_owned(),
        false => segment.to_lowercase(),
    });
    segments.collect::<Vec<_>>().join("/")
}

struct Builder {
    acl: Acl,
    by_pattern: HashMap<String, usize>,
}

impl Builder {
    fn add(
        &mut self,
        policy: &Policy,
        rule: &Rule,
        source: Source,
        identity: &IdentityView,
        now: Timestamp,
    ) {
        if let Some(expiration) = rule.expiration {
            if now > expiration {
                self.skip(source, WhySkipped::Expired);
                return;
            }
            let earliest = self.acl.valid_until.map_or(expiration, |until| until.min(expiration));
            self.acl.valid_until = Some(earliest);
        }
        let filled = match &rule.template {
            None => Some(rule.path.clone()),
            Some(template) => template.fill(identity, policy.allowance()),
        };
        // A value that is admitted may still make a `+*` with what stands beside it.
        match filled.as_deref().and_then(Pattern::parse) {
            None => self.skip(source, WhySkipped::NoTemplateValue),
            Some(pattern) => self.merge(pattern, rule, source),
        }
    }

    fn skip(&mut self, source: Source, why: WhySkipped) {
        self.acl.skipped.push(Skipped { source, why });
    }

    fn merge_compiled(&mut self, pattern: Pattern, rule: &Compiled) {
        let known = self.by_pattern.get(&pattern.written()).copied();
        match known.and_then(|index| self.acl.rules.get_mut(index)) {
            Some(existing) => {
                existing.sources.extend(rule.sources.iter().copied());
                merge_permissions(&mut existing.permissions, &rule.permissions);
            }
            None => {
                self.by_pattern.insert(pattern.written(), self.acl.rules.len());
                self.acl.rules.push(Compiled { pattern, ..rule.clone() });
            }
        }
    }

    fn merge(&mut self, pattern: Pattern, rule: &Rule, source: Source) {
        let known = self.by_pattern.get(&pattern.written()).copied();
        match known.and_then(|index| self.acl.rules.get_mut(index)) {
            Some(existing) => {
                existing.sources.push(source);
                merge_permissions(&mut existing.permissions, &rule.permissions);
            }
            None => {
                self.by_pattern.insert(pattern.written(), self.acl.rules.len());
                let permissions = Arc::clone(&rule.permissions);
                let sources = vec![source];
                self.acl.rules.push(Compiled { pattern, permissions, sources, rank: 0 });
            }
        }
    }

    fn finish(self) -> Acl {
        let Self { mut acl, .. } = self;
        let (exact, mut wild): (Vec<_>, Vec<_>) =
            (0..acl.rules.len()).partition(|index| acl.rules[*index].pattern.is_exact());
        wild.sort_by(|a, b| acl.rules[*a].pattern.compare(&acl.rules[*b].pattern));
        for (rank, index) in wild.iter().enumerate() {
            acl.rules[*index].rank = rank;
        }
        for index in exact {
            acl.exact.insert(acl.rules[index].pattern.text.clone(), index);
        }
        let (segmented, mut globs): (Vec<_>, Vec<_>) =
            wild.into_iter().rev().partition(|index| acl.rules[*index].pattern.segmented);
        acl.segmented = segmented;
        globs.sort_by(|a, b| acl.rules[*a].pattern.text.cmp(&acl.rules[*b].pattern.text));
        acl.globs = link_prefixes(&acl.rules, &globs);
        acl.capitals = acl.rules.iter().any(|rule| has_capitals(&rule.pattern.text));
        acl
    }
}

/// Gives each of the sorted globs its parent: of all texts before it, those on the stack are the
/// prefixes of the one before.
fn link_prefixes(rules: &[Compiled], sorted: &[usize]) -> Vec<Glob> {
    let mut globs = Vec::with_capacity(sorted.len());
    let mut stack: Vec<usize> = Vec::new();
    for (position, &rule) in sorted.iter().enumerate() {
        while let Some(&top) = stack.last() {
            if rules[rule].pattern.text.starts_with(&rules[sorted[top]].pattern.text) {
                break;
            }
            stack.pop();
        }
        globs.push(Glob { rule, parent: stack.last().copied() });
        stack.push(position);
    }
    globs
}

/// Two rules for the same path become one. Capabilities add up and a denial wins; parameter lists
/// grow, and an empty list ("any value") swallows the others; the smaller of two wrapping limits
/// and of two page limits counts; the first list filter counts.
fn merge_permissions(existing: &mut Arc<Permissions>, new: &Permissions) {
    if existing.capabilities.is_deny() {
        return;
    }
    let existing = Arc::make_mut(existing);
    if new.capabilities.is_deny() {
        existing.capabilities = Capabilities::DENY;
        existing.allowed = None;
        existing.denied = None;
        return;
    }
    existing.capabilities = existing.capabilities.union(new.capabilities);
    smaller_limit(&mut existing.max_wrapping_ttl, new.max_wrapping_ttl);
    smaller_limit(&mut existing.min_wrapping_ttl, new.min_wrapping_ttl);
    smaller_limit(&mut existing.pagination_limit, new.pagination_limit);
    merge_parameters(&mut existing.allowed, new.allowed.as_ref());
    merge_parameters(&mut existing.denied, new.denied.as_ref());
    for name in &new.required {
        if !existing.required.contains(name) {
            existing.required.push(name.clone());
        }
    }
    if existing.keys_filter.is_none() {
        existing.keys_filter.clone_from(&new.keys_filter);
    }
}

fn smaller_limit(existing: &mut i64, new: i64) {
    if new > 0 && (*existing <= 0 || new.cmp(existing) == Ordering::Less) {
        *existing = new;
    }
}

fn merge_parameters(existing: &mut Option<Parameters>, new: Option<&Parameters>) {
    let Some(new) = new.filter(|new| !new.is_empty()) else { return };
    let Some(existing) = existing else {
        *existing = Some(new.clone());
        return;
    };
    for (name, values) in new {
        match existing.get_mut(name) {
            None => _ = existing.insert(name.clone(), values.clone()),
            Some(known) if values.is_empty() || known.is_empty() => known.clear(),
            Some(known) => known.extend(values.iter().cloned()),
        }
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
