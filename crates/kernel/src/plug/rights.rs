//! What a caller may do beside the path it came by.

use std::sync::Arc;

use strongroom_base::{Error, Json, JsonMap};

use crate::policy::{Acl, Capability};

/// The caller's rights, for operations that touch more than the path they are called by.
#[derive(Clone)]
pub struct Rights {
    pub(crate) acl: Arc<Acl>,
    /// What stands before a path of the request's namespace for the token's policies.
    pub(crate) prefix: String,
    pub(crate) wrap_ttl: Option<i64>,
    /// The decision about a list and its path, where the deciding rule filters the keys.
    pub(crate) filtered: Option<(crate::policy::Decision, String)>,
}

impl Rights {
    /// Does policy allow `capability` on `path` (within the request's namespace)? `fields` are the
    /// parameters by which a rule's parameter constraints are judged.
    pub fn allow(&self, path: &str, capability: Capability, fields: Option<&JsonMap>) -> bool {
        let path = format!("{}{path}", self.prefix);
        let mut ask = crate::policy::Request::new(&path, capability);
        ask.wrap_ttl_seconds = self.wrap_ttl;
        ask.fields = fields;
        self.acl.decide(&ask).allowed
    }

    /// The refusal of what [`Rights::allow`] does not allow, with what an explanation needs.
    pub fn denied(&self, path: &str, capability: Capability, fields: Option<&JsonMap>) -> Error {
        let path = format!("{}{path}", self.prefix);
        let mut ask = crate::policy::Request::new(&path, capability);
        ask.wrap_ttl_seconds = self.wrap_ttl;
        ask.fields = fields;
        crate::policy::denied_by_policy(&self.acl, &ask)
    }

    /// Takes out of a list's answer what the deciding rule hides; `needs_sudo` says whether a path
    /// is root-protected. False where nothing is left.
    pub(crate) fn filter_list(&self, data: &mut Json, needs_sudo: impl Fn(&str) -> bool) -> bool {
        let Some((decision, path)) = &self.filtered else { return true };
        let Some(Json::Array(keys)) = data.get_mut("keys") else { return true };
        let shown = |key: &Json| {
            let key = key.as_str().unwrap_or_default();
            self.acl.may_show(decision, path, key, &needs_sudo)
        };
        keys.retain(shown);
        let left: Vec<String> = keys.iter().filter_map(|k| k.as_str().map(str::to_owned)).collect();
        if let Some(Json::Object(info)) = data.get_mut("key_info") {
            info.retain(|key, _| left.contains(key));
        }
        !left.is_empty()
    }

    /// The right to list (or scan) the folder at `path`, with what its rule hides of it.
    /// `fields` may hold the `limit` of the page.
    pub fn list(
        &self,
        path: &str,
        capability: Capability,
        fields: Option<&JsonMap>,
    ) -> Option<ListRight<'_>> {
        let path = format!("{}{path}", self.prefix);
        let mut ask = crate::policy::Request::new(&path, capability);
        ask.fields = fields;
        let decision = self.acl.decide(&ask);
        decision.allowed.then_some(ListRight { acl: &self.acl, decision, path })
    }
}

/// The right to list one folder.
pub struct ListRight<'a> {
    acl: &'a Acl,
    decision: crate::policy::Decision,
    path: String,
}

impl ListRight<'_> {
    /// May this entry of the folder be shown?
    pub fn may_show(&self, key: &str) -> bool {
        // What an engine lists itself lies below its own mount, where nothing is root-protected.
        self.acl.may_show(&self.decision, &self.path, key, |_| false)
    }
}
