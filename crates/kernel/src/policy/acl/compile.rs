//! Rules are compiled: templates filled, those of one path merged, the others put in their order.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use strongroom_base::{Error, Result, Timestamp};

use super::{Acl, Compiled, Glob, Skipped, Source, WhySkipped};
use crate::policy::capability::Capabilities;
use crate::policy::parse::{Parameters, Permissions, Policy, Rule};
use crate::policy::pattern::Pattern;
use crate::policy::template::IdentityView;

/// Copies in lower case that one set of rules keeps.
const FOLDED_MAX: usize = 8;

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
            acl: Self::without_rules(policies.to_vec(), root),
            by_pattern: HashMap::new(),
        };
        for (index, policy) in policies.iter().enumerate() {
            for (number, rule) in policy.rules().iter().enumerate() {
                builder.add(policy, rule, Source { policy: index, rule: number }, identity, now);
            }
        }
        Ok(builder.finish())
    }

    fn without_rules(policies: Vec<Arc<Policy>>, root: bool) -> Self {
        Self {
            policies,
            root,
            rules: Vec::new(),
            exact: HashMap::with_hasher(ahash::RandomState::with_seeds(1, 2, 3, 4)),
            globs: Vec::new(),
            segmented: Vec::new(),
            skipped: Vec::new(),
            valid_until: None,
            capitals: false,
            folded: Mutex::default(),
        }
    }

    /// This policy set with one more policy, whose templates (if any) have no values.
    pub(in crate::policy) fn with_extra(&self, extra: Arc<Policy>) -> Self {
        let mut builder = Builder {
            by_pattern: self
                .rules
                .iter()
                .enumerate()
                .map(|(index, rule)| (rule.pattern.written(), index))
                .collect(),
            acl: Self {
                rules: self.rules.clone(),
                exact: self.exact.clone(),
                skipped: self.skipped.clone(),
                valid_until: self.valid_until,
                ..Self::without_rules(self.policies.clone(), self.root)
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

    /// The same rules with their paths in lower case, but for the first `fixed` segments. Rules
    /// that become the same path become one.
    pub(super) fn with_lower_case(&self, fixed: usize) -> Arc<Self> {
        let mut folded = self.folded.lock();
        if let Some((_, acl)) = folded.iter().find(|(segments, _)| *segments == fixed) {
            return acl.clone();
        }
        let mut builder = Builder {
            acl: Self {
                skipped: self.skipped.clone(),
                valid_until: self.valid_until,
                ..Self::without_rules(self.policies.clone(), self.root)
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

fn has_capitals(path: &str) -> bool {
    path.chars().any(char::is_uppercase)
}

/// `path` in lower case, but for its first `fixed` segments.
pub(super) fn lower_after(path: &str, fixed: usize) -> String {
    let segments = path.split('/').enumerate().map(|(i, segment)| match i < fixed {
        true => segment.to_owned(),
        false => segment.to_lowercase(),
    });
    segments.collect::<Vec<_>>().join("/")
}
