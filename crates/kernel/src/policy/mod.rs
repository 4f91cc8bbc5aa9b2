//! Policies: what a caller may do on which path, and why not.
//!
//! A pure module: texts and an identity go in, decisions and explanations come out; it has no
//! storage, no clock, no async. [`Policy::parse`] reads a text once; [`Acl::build`] compiles the
//! policies of one caller; [`Acl::decide_path`] and [`Acl::decide_parameters`] are the pipeline's
//! two steps; [`Acl::explain`] tells what they saw.
//!
//! Invariants:
//! - Nothing is allowed that no rule grants, and a denial wins over every grant of the same path;
//!   of different paths that match, only the most specific one counts, as documented for Vault.
//! - Explaining runs the function that decides, so the two cannot drift apart.
//! - No text makes the root policy, and names have one spelling ([`PolicyName`]).
//! - A decision never holds a parameter's value.
//!
//! What it deliberately does not know: tokens, namespaces (paths are relative to the token's),
//! which operations are root-protected (the caller asks for `sudo`), who may see an explanation.

mod acl;
mod builtin;
mod capability;
mod decide;
mod denied;
mod keys_filter;
mod name;
mod parameters;
mod parse;
mod pattern;
mod suggest;
mod template;
#[cfg(test)]
mod tests;
mod trace;
mod view;

pub use acl::Acl;
pub use builtin::{DEFAULT_TEXT, RESPONSE_WRAPPING_TEXT};
pub use capability::{Capabilities, Capability};
pub use decide::{Decision, Denial, Request};
pub(crate) use denied::{DeniedTrace, denied_by_policy};
pub use keys_filter::KeysFilter;
pub use name::{
    DEFAULT, POLICY_NAME_BYTES_MAX, PolicyName, RESPONSE_WRAPPING, ROOT, normalise_policies,
};
pub use parse::{Parameters, Policy};
pub use suggest::Suggestion;
pub use template::{
    AliasView, EntityView, GroupView, IdentityView, Template as IdentityTemplate,
    TemplateAllowance, Unbalanced,
};
pub use trace::{RuleTrace, Standing, Trace};
pub use view::{ResultantAcl, ResultantRule};
