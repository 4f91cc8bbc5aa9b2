//! Namespaces: tenants within the store, each with mounts, policies, identity and quotas of its
//! own. A namespace is a scope; its record lies in its parent's scope.
//!
//! Invariant: a deleted namespace is a tombstone that every look-up sees at once; what it held is
//! removed afterwards by a resumable reconciler.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::limits::NAMESPACE_DEPTH_MAX;
use strongroom_base::{Error, Result, Timestamp};

use crate::record::{Record, Scope};

/// A namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Namespace {
    /// Its scope; the root namespace's is [`Scope::ROOT`].
    pub scope: Scope,
    /// Its parent's scope; its own for the root.
    pub parent: Scope,
    /// Full path with a trailing slash; "" for the root.
    pub path: String,
    /// The short id that tokens, leases and the audit log name it by; `root` for the root.
    pub id: String,
    /// A UUID.
    pub uuid: String,
    /// `custom_metadata`.
    pub custom_metadata: BTreeMap<String, String>,
    /// When its deletion began.
    pub deleted: Option<Timestamp>,
    /// A digest of the key that unlocks it, while it is locked.
    #[serde(default)]
    pub lock: Option<Vec<u8>>,
}

impl Record for Namespace {
    const KIND: u8 = 201;
}

impl Namespace {
    /// The root namespace, which is there from the start.
    pub fn root() -> Self {
        Self {
            scope: Scope::ROOT,
            parent: Scope::ROOT,
            path: String::new(),
            id: "root".to_owned(),
            uuid: String::new(),
            custom_metadata: BTreeMap::new(),
            deleted: None,
            lock: None,
        }
    }

    /// Is this the root namespace?
    pub fn is_root(&self) -> bool {
        self.scope == Scope::ROOT
    }

    /// The last segment of its path: the name of its record in its parent's scope. "" for the root.
    pub fn name(&self) -> &str {
        self.path.trim_end_matches('/').rsplit('/').next().unwrap_or("")
    }

    /// Does it lie at or below `other`?
    pub fn is_within(&self, other: &Self) -> bool {
        self.path.starts_with(&other.path)
    }
}

/// A namespace path as callers write it, in one spelling: no slash at the front, one at the end,
/// `root` and "/" mean the root (threat GHSA-mwr2-wmgp-crj6).
pub fn canonical(path: &str) -> Result<String> {
    let path = path.trim_matches('/');
    if path.is_empty() || path == "root" {
        return Ok(String::new());
    }
    let mut depth = 0;
    for segment in path.split('/') {
        check_name(segment)?;
        depth += 1;
    }
    if depth > NAMESPACE_DEPTH_MAX {
        return Err(Error::bad_request("namespaces are nested too deeply"));
    }
    Ok(format!("{path}/"))
}

/// Names a namespace cannot have: they are paths of every namespace (OpenBao's API page
/// "Namespaces").
const RESERVED: &[&str] = &["root", "sys", "audit", "auth", "cubbyhole", "identity"];

/// Checks one segment of a namespace's path.
pub fn check_name(name: &str) -> Result<()> {
    let well_formed = !name.is_empty()
        && name.len() <= 256
        && name != "."
        && name != ".."
        && !name.contains(|c: char| {
            c.is_control() || c.is_whitespace() || matches!(c, '/' | '+' | '*')
        });
    if !well_formed {
        return Err(Error::bad_request("the name of the namespace is not allowed"));
    }
    if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(Error::bad_request(format!(
            "{name:?} is a reserved path and cannot be used as a namespace"
        )));
    }
    Ok(())
}

/// All namespaces, by path.
#[derive(Clone, Debug, Default)]
pub struct NamespaceTable {
    by_path: BTreeMap<String, Arc<Namespace>>,
    by_scope: ahash::AHashMap<Scope, Arc<Namespace>>,
}

impl NamespaceTable {
    /// A table of `all`.
    pub fn new(all: impl IntoIterator<Item = Namespace>) -> Self {
        let mut table = Self::default();
        for namespace in all {
            let namespace = Arc::new(namespace);
            table.by_scope.insert(namespace.scope, namespace.clone());
            table.by_path.insert(namespace.path.clone(), namespace);
        }
        table
    }

    /// The namespace of exactly this canonical path, deleted ones left out.
    pub fn get(&self, path: &str) -> Option<&Arc<Namespace>> {
        self.by_path.get(path).filter(|n| n.deleted.is_none())
    }

    /// The namespace that owns a scope, deleted ones included.
    pub fn of_scope(&self, scope: Scope) -> Option<&Arc<Namespace>> {
        self.by_scope.get(&scope)
    }

    /// The namespace with a short id.
    pub fn of_id(&self, id: &str) -> Option<&Arc<Namespace>> {
        self.by_path.values().find(|n| n.id == id && n.deleted.is_none())
    }

    /// The namespace of `scope`, its parent, and so on up to the root.
    pub fn upward(&self, scope: Scope) -> impl Iterator<Item = &Arc<Namespace>> {
        let parent =
            |of: &&Arc<Namespace>| (!of.is_root()).then(|| self.by_scope.get(&of.parent)).flatten();
        std::iter::successors(self.by_scope.get(&scope), parent)
    }

    /// Is the namespace of `scope`, and every one above it, in use?
    pub fn is_live(&self, scope: Scope) -> bool {
        let Some(mut namespace) = self.by_scope.get(&scope) else { return false };
        loop {
            if namespace.deleted.is_some() {
                return false;
            }
            if namespace.is_root() {
                return true;
            }
            match self.by_scope.get(&namespace.parent) {
                Some(parent) => namespace = parent,
                None => return false,
            }
        }
    }

    /// The uppermost locked namespace at or above `namespace`.
    pub fn locked(&self, namespace: &Namespace) -> Option<&Arc<Namespace>> {
        if namespace.is_root() {
            return None;
        }
        let above = self.by_scope.get(&namespace.parent).and_then(|parent| self.locked(parent));
        above.or_else(|| self.by_scope.get(&namespace.scope).filter(|n| n.lock.is_some()))
    }

    /// The deepest namespace whose path begins `path`, starting at `base`, and the rest of the
    /// path. So `ns1/secret/a` names `secret/a` of `ns1`.
    pub fn split<'p>(&self, base: &Arc<Namespace>, path: &'p str) -> (Arc<Namespace>, &'p str) {
        let (mut namespace, mut rest) = (base.clone(), path);
        if self.by_path.len() == 1 {
            return (namespace, rest);
        }
        while let Some((head, tail)) = rest.split_once('/') {
            let Some(child) = self.get(&format!("{}{head}/", namespace.path)) else { break };
            (namespace, rest) = (child.clone(), tail);
        }
        (namespace, rest)
    }

    /// All namespaces, by path, deleted ones included.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Namespace>> {
        self.by_path.values()
    }
}

/// The namespace suffix of tokens and lease ids outside the root namespace.
pub fn suffix(namespace: &Namespace) -> String {
    if namespace.is_root() { String::new() } else { format!(".{}", namespace.id) }
}
