//! The `identity/` mount: entities, their aliases and groups; second factors of logins; identity
//! tokens.
//!
//! Invariants:
//! * everything belongs to the namespace of the request; an id of another one is not there;
//! * no entity and no group gets the `root` policy (threats: CVE-2025-5999, CVE-2024-9180);
//! * names are unique whatever their case, and policy judges paths in lower case.

mod aliases;
mod entities;
mod group_aliases;
mod groups;
mod lookup;
mod merge;
mod mfa;
mod oidc;
#[cfg(test)]
mod tests;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;

use strongroom_base::{Error, Json, Result};
use strongroom_kernel::identity::Directory;
use strongroom_kernel::mounts::{MountEntry, MountTable};
use strongroom_kernel::plug::{Class, EngineSpec, ReadCx, Spec};
use strongroom_kernel::tokens::{normalise_policies, suffix};

/// The `identity/` mount of one namespace. It holds nothing: all is in records.
pub struct IdentityStore;

/// The surface of `identity/`.
pub fn spec() -> Spec {
    let spec = EngineSpec::new("identity", Class::System, |_| Ok(IdentityStore));
    let spec = entities::add(spec);
    let spec = merge::add(spec);
    let spec = aliases::add(spec);
    let spec = groups::add(spec);
    let spec = group_aliases::add(spec);
    let spec = lookup::add(spec);
    let spec = mfa::add(spec);
    let spec = oidc::add(spec);
    spec.case_shown("name")
        .docs("Entities, their aliases, groups, second factors of logins, and identity tokens.")
        .build()
}

/// Pairs of metadata.
const METADATA_PAIRS_MAX: usize = 64;
/// Bytes of a key of metadata.
const METADATA_KEY_BYTES_MAX: usize = 128;
/// Bytes of a value of metadata.
const METADATA_VALUE_BYTES_MAX: usize = 512;
/// Bytes of a name of an entity, group or alias.
const NAME_BYTES_MAX: usize = 1_024;

/// The request's namespace' entities and groups.
fn directory<'a>(cx: &ReadCx<'a>) -> Directory<'a> {
    Directory::new(cx.kernel_tx(), cx.request.namespace.scope)
}

/// A fresh id in the request's namespace.
fn new_id(cx: &ReadCx<'_>) -> String {
    directory(cx).new_id(&suffix(&cx.request.namespace))
}

/// The mounts.
async fn mounts(cx: &ReadCx<'_>) -> Result<Arc<MountTable>> {
    cx.kernel().router.table().await
}

/// The mount of the request's namespace with this accessor.
async fn mount(cx: &ReadCx<'_>, accessor: &str) -> Result<Arc<MountEntry>> {
    let table = mounts(cx).await?;
    let entry = table.of_accessor(accessor).filter(|e| {
        e.namespace.scope == cx.request.namespace.scope && e.mount.class == Class::Auth
    });
    entry.cloned().ok_or_else(|| Error::bad_request("invalid mount accessor"))
}

/// Policies for an entity or a group.
fn policies(given: Vec<String>) -> Result<Vec<String>> {
    let policies = normalise_policies(given);
    if policies.iter().any(|p| p == "root") {
        return Err(Error::bad_request("policies cannot contain root"));
    }
    Ok(policies)
}

/// Checks a name: bounded, and nothing a terminal or a policy would read as something else.
fn check_name(name: &str) -> Result<()> {
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::bad_request("the name is too long or has control characters"));
    }
    Ok(())
}

/// Checks metadata of `what`.
fn check_metadata(what: &str, metadata: &BTreeMap<String, String>) -> Result<()> {
    let refuse = |why: &str| Err(Error::bad_request(format!("invalid {what}: {why}")));
    if metadata.len() > METADATA_PAIRS_MAX {
        return refuse("metadata cannot contain more than 64 key/value pairs");
    }
    for (key, value) in metadata {
        if key.is_empty() || key.len() > METADATA_KEY_BYTES_MAX {
            return refuse("a key is empty or longer than 128 bytes");
        }
        if value.len() > METADATA_VALUE_BYTES_MAX {
            return refuse("a value is longer than 512 bytes");
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return refuse("a key or value contains unprintable characters");
        }
    }
    Ok(())
}

/// Metadata, or null where there is none, as Vault shows it.
fn pairs(metadata: &BTreeMap<String, String>) -> Json {
    if metadata.is_empty() { Json::Null } else { serde_json::json!(metadata) }
}

/// A list, or null where it is empty, as Vault shows what was never set.
fn list(items: &[String]) -> Json {
    if items.is_empty() { Json::Null } else { serde_json::json!(items) }
}

/// A text that was given and is not empty.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.is_empty())
}
