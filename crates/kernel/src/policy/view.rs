//! Views of a compiled policy set for the system's endpoints.

use std::collections::BTreeMap;

use serde::Serialize;

use super::acl::{Acl, Compiled};
use super::capability::{Capabilities, Capability};
use super::parse::Parameters;

/// What `sys/internal/ui/resultant-acl` answers.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct ResultantAcl {
    /// Is it the root policy? Then there are no paths.
    pub root: bool,
    /// Rules for one path each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact_paths: Option<BTreeMap<String, ResultantRule>>,
    /// Rules that end in `*`, without the `*`. Rules with `+` are not shown, as in OpenBao.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob_paths: Option<BTreeMap<String, ResultantRule>>,
}

/// One rule of a [`ResultantAcl`].
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct ResultantRule {
    /// Capability names; `deny` alone where nothing is granted.
    pub capabilities: Vec<&'static str>,
    /// Seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub min_wrapping_ttl: i64,
    /// Seconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub max_wrapping_ttl: i64,
    /// Allowed parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_parameters: Option<Parameters>,
    /// Denied parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_parameters: Option<Parameters>,
    /// Required parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_parameters: Vec<String>,
}

fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

/// The order in which OpenBao lists them here (observed: bao 2.6.2), unlike `sys/capabilities`.
fn in_resultant_order(set: Capabilities) -> Vec<&'static str> {
    const ORDER: [Capability; 9] = [
        Capability::Create,
        Capability::Delete,
        Capability::List,
        Capability::Read,
        Capability::Sudo,
        Capability::Update,
        Capability::Patch,
        Capability::Scan,
        Capability::Move,
    ];
    if !set.grants() {
        return vec!["deny"];
    }
    ORDER.into_iter().filter(|c| set.has(*c)).map(Capability::name).collect()
}

impl ResultantRule {
    fn of(rule: &Compiled) -> Self {
        let permissions = &rule.permissions;
        let some = |map: &Option<Parameters>| map.clone().filter(|map| !map.is_empty());
        Self {
            capabilities: in_resultant_order(permissions.capabilities),
            min_wrapping_ttl: permissions.min_wrapping_ttl,
            max_wrapping_ttl: permissions.max_wrapping_ttl,
            allowed_parameters: some(&permissions.allowed),
            denied_parameters: some(&permissions.denied),
            required_parameters: permissions.required.clone(),
        }
    }
}

impl Acl {
    /// The rights altogether, for user interfaces.
    pub fn resultant(&self) -> ResultantAcl {
        if self.root {
            return ResultantAcl { root: true, exact_paths: None, glob_paths: None };
        }
        let (mut exact, mut glob) = (BTreeMap::new(), BTreeMap::new());
        for rule in self.rules.iter().filter(|rule| !rule.pattern.segmented) {
            let map = if rule.pattern.glob { &mut glob } else { &mut exact };
            map.insert(rule.pattern.text.clone(), ResultantRule::of(rule));
        }
        ResultantAcl { root: false, exact_paths: Some(exact), glob_paths: Some(glob) }
    }

    /// May the caller know of the mount at `mount` (with its trailing slash)? Yes if any rule
    /// grants anything at it or below it.
    pub fn has_access_to_mount(&self, mount: &str) -> bool {
        self.root
            || self.capability_set(mount).grants()
            || self.rules.iter().any(|rule| {
                rule.permissions.capabilities.grants() && rule.pattern.reaches_below(mount)
            })
    }
}
