//! Why a request was decided as it was, as a value that can be shown.

use serde::Serialize;

use super::acl::{Acl, Recorder, Source, WhySkipped};
use super::decide::{Decision, Denial, Request};
use super::suggest::{Suggestion, suggest};

/// The explanation of one decision. It holds paths, names of policies, capabilities and
/// parameters, never a parameter's value; who may see which part is the caller's rule (the rules'
/// own texts need `read` on the policy).
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct Trace {
    /// The path as it was judged.
    pub path: String,
    /// The capability that was asked for.
    pub capability: &'static str,
    /// Was `sudo` needed as well?
    pub needs_sudo: bool,
    /// The decision.
    pub allowed: bool,
    /// Was it the root policy?
    pub root: bool,
    /// Why it was denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<Denial>,
    /// The same in words.
    pub reason: String,
    /// The names of the policies that were considered.
    pub policies: Vec<String>,
    /// Every rule of these policies, the deciding ones first, then by policy and line.
    pub rules: Vec<RuleTrace>,
    /// What would make it allowed; absent where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
}

impl Trace {
    /// What a reader may see who may read only some of the policies, as `may_read` says by name:
    /// the path, the capability and the policies' names always; a rule only where its policy may
    /// be read; the cause only where the deciding rules may; the suggestion, which may repeat what
    /// other rules say, only where all may.
    #[must_use]
    pub fn for_reader(mut self, may_read: impl Fn(&str) -> bool) -> Self {
        if !self.policies.iter().all(|name| may_read(name)) {
            self.suggestion = None;
        }
        let hidden = |rule: &RuleTrace| !may_read(&rule.policy);
        if self.rules.iter().any(|rule| rule.standing == Standing::Decided && hidden(rule)) {
            self.denial = None;
            let verb = if self.allowed { "grant" } else { "do not grant" };
            self.reason = format!("the policies {verb} {} on {}", self.capability, self.path);
        }
        self.rules.retain(|rule| !hidden(rule));
        self
    }
}

/// One rule, and what became of it.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct RuleTrace {
    /// Its policy.
    pub policy: String,
    /// The line of the policy's text.
    pub line: u32,
    /// The path as the policy writes it.
    pub path: String,
    /// What the rule itself grants, before others are merged in.
    pub capabilities: Vec<&'static str>,
    /// What became of it.
    pub standing: Standing,
}

/// What became of a rule.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It decided, alone or merged with others for the same path.
    Decided,
    /// It matches, but a more specific rule decided.
    Outranked,
    /// It matches the path without its trailing slash, which counts for LIST and SCAN, and for
    /// denials, only.
    OtherSpelling,
    /// It does not match the path.
    PathDiffers,
    /// It has expired.
    Expired,
    /// Its path asks for a value of the identity that is missing or not admitted.
    NoTemplateValue,
}

/// Takes every match.
#[derive(Default)]
struct Matches(Vec<usize>);

impl Recorder for Matches {
    const ALL: bool = true;
    fn matched(&mut self, rule: usize) {
        self.0.push(rule);
    }
}

impl Acl {
    /// Decides `request` and tells why. It runs the same function as [`Acl::decide`].
    pub fn explain(&self, request: &Request<'_>) -> Trace {
        let mut matches = Matches::default();
        let decision = self.run(request, &mut matches);
        let path = request.judged_path().into_owned();
        let reason = reason(&decision, request, &path);
        let rules = self.rule_traces(&decision, &matches.0, &path);
        let suggestion = if decision.allowed { None } else { suggest(self, request, &decision) };
        Trace {
            capability: request.capability.name(),
            needs_sudo: request.needs_sudo,
            allowed: decision.allowed,
            root: decision.root,
            denial: decision.denial,
            reason,
            policies: self.policies.iter().map(|policy| policy.name().to_string()).collect(),
            rules,
            suggestion,
            path,
        }
    }

    fn rule_traces(&self, decision: &Decision, matches: &[usize], path: &str) -> Vec<RuleTrace> {
        let mut traces = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            let standing = if decision.rule == Some(index) {
                Standing::Decided
            } else if !matches.contains(&index) {
                Standing::PathDiffers
            } else if rule.pattern.matches(path) {
                Standing::Outranked
            } else {
                Standing::OtherSpelling
            };
            for source in &rule.sources {
                traces.extend(self.rule_trace(*source, standing.clone()));
            }
        }
        for skipped in &self.skipped {
            let standing = match skipped.why {
                WhySkipped::Expired => Standing::Expired,
                WhySkipped::NoTemplateValue => Standing::NoTemplateValue,
            };
            traces.extend(self.rule_trace(skipped.source, standing));
        }
        traces.sort_by(|a, b| {
            let decided = |trace: &RuleTrace| trace.standing != Standing::Decided;
            (decided(a), &a.policy, a.line).cmp(&(decided(b), &b.policy, b.line))
        });
        traces
    }

    fn rule_trace(&self, source: Source, standing: Standing) -> Option<RuleTrace> {
        let policy = self.policies.get(source.policy)?;
        let rule = policy.rules().get(source.rule)?;
        Some(RuleTrace {
            policy: policy.name().to_string(),
            line: rule.line,
            path: rule.path.clone(),
            capabilities: rule.permissions.capabilities.names(),
            standing,
        })
    }
}

/// The decision in one sentence.
fn reason(decision: &Decision, request: &Request<'_>, path: &str) -> String {
    let Some(denial) = &decision.denial else {
        return if decision.root {
            "the root policy allows everything".to_owned()
        } else {
            format!("a rule grants {} on {path}", request.capability.name())
        };
    };
    match denial {
        Denial::NoRule => format!("no rule matches {path}"),
        Denial::Deny => format!("the most specific rule for {path} is a denial"),
        Denial::CapabilityMissing { capability } => {
            format!("the most specific rule for {path} does not grant {capability}")
        }
        Denial::SudoMissing => {
            format!("{path} is root-protected, and its most specific rule does not grant sudo")
        }
        Denial::WrappingRequired => "the rule requires the answer to be wrapped".to_owned(),
        Denial::WrappingTtlTooLong { max_seconds } => {
            format!("the wrapping TTL is longer than the rule's {max_seconds} seconds")
        }
        Denial::WrappingTtlTooShort { min_seconds } => {
            format!("the wrapping TTL is shorter than the rule's {min_seconds} seconds")
        }
        Denial::WrappingLimitsContradict => {
            "the rules for this path leave no wrapping TTL that fits".to_owned()
        }
        Denial::ParameterRequired { parameter } => {
            format!("the rule requires the parameter {parameter}")
        }
        Denial::AllParametersDenied => "the rule denies all parameters".to_owned(),
        Denial::ParameterDenied { parameter } => {
            format!("the rule denies the parameter {parameter}")
        }
        Denial::ValueDenied { parameter } => {
            format!("the rule denies the value of the parameter {parameter}")
        }
        Denial::ParameterNotAllowed { parameter } => {
            format!("the rule does not allow the parameter {parameter}")
        }
        Denial::ValueNotAllowed { parameter } => {
            format!("the rule does not allow the value of the parameter {parameter}")
        }
        Denial::LimitRequired => "the rule requires the parameter limit".to_owned(),
        Denial::LimitNotANumber => "the parameter limit is neither a number nor max".to_owned(),
        Denial::LimitOutOfRange { max } => {
            format!("the parameter limit is not between 0 and the rule's {max}")
        }
    }
}
