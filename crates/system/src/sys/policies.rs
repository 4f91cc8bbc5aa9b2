//! ACL policies (API page "/sys/policies/acl", and the older "/sys/policy").
//!
//! Names have one spelling: lower case. Policy judges that spelling too.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use strongroom_base::limits::POLICY_BYTES_MAX;
use strongroom_base::{Error, Result, Timestamp, Ttl, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::policies::{PolicyRecord, settings};
use strongroom_kernel::policy::{PolicyName, ROOT};
use strongroom_kernel::record::{ReadView, WriteView};

use super::System;

/// Adds the operations of this file.
pub fn add_policies(spec: EngineSpec<System>) -> EngineSpec<System> {
    spec.query::<ListAcl>("policies/acl")
        .query::<ReadAclList>("policies/acl")
        .query::<ListAclBelow>("policies/acl/{policy_name..}")
        .command::<PatchAcl>("policies/acl/{policy_name..}")
        .query::<ListDetailed>("policies/detailed/acl")
        .query::<ListDetailedBelow>("policies/detailed/acl/{policy_name..}")
        .query::<ReadAcl>("policies/acl/{policy_name..}")
        .command::<PutAcl>("policies/acl/{policy_name..}")
        .command::<DeleteAcl>("policies/acl/{policy_name..}")
        .query::<ListOld>("policy")
        .query::<ReadOldList>("policy")
        .query::<ReadOld>("policy/{policy_name..}")
        .command::<PutOld>("policy/{policy_name..}")
        .command::<DeleteOld>("policy/{policy_name..}")
        .case_insensitive("policy_name")
}

fn view<'a>(cx: &ReadCx<'a>) -> ReadView<'a> {
    cx.kernel_tx().read(cx.request.namespace.scope)
}

fn edit<'a>(cx: &WriteCx<'a>) -> WriteView<'a> {
    cx.kernel_tx().write(cx.request.namespace.scope)
}

async fn names(cx: &ReadCx<'_>) -> Result<Vec<String>> {
    let mut names = (*view(cx).names::<PolicyRecord>(0).await?).clone();
    if cx.request.namespace.is_root() {
        names.push(ROOT.to_owned());
    }
    Ok(names)
}

/// `sys/policies/acl`.
#[derive(Serialize)]
pub struct Names {
    keys: Vec<String>,
}

/// `sys/policy`: the names twice, as it always was.
#[derive(Serialize)]
pub struct OldNames {
    keys: Vec<String>,
    policies: Vec<String>,
}

/// Defines an operation without fields.
macro_rules! bare_op {
    ($name:ident, $verb:ident, $reply:ty, $help:literal) => {
        fields! {
            #[doc = $help]
            pub struct $name {}
        }
        ops! { $name $reply, $verb; }
    };
}

bare_op!(ListAcl, List, Names, " Lists the policies.");
bare_op!(ListDetailed, List, Details, " Lists the policies with all that is known of them.");
bare_op!(ReadAclList, Read, Names, " Lists the policies.");
bare_op!(ListOld, List, OldNames, " Lists the policies.");
bare_op!(ReadOldList, Read, OldNames, " Lists the policies.");

impl Query<ListAcl> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListAcl) -> Result<Reply<Names>> {
        Ok(Reply::data(Names { keys: names(cx).await? }).flat())
    }
}

impl Query<ReadAclList> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadAclList) -> Result<Reply<Names>> {
        Ok(Reply::data(Names { keys: names(cx).await? }).flat())
    }
}

impl Query<ListOld> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListOld) -> Result<Reply<OldNames>> {
        let keys = names(cx).await?;
        Ok(Reply::data(OldNames { policies: keys.clone(), keys }).flat())
    }
}

impl Query<ReadOldList> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadOldList) -> Result<Reply<OldNames>> {
        let keys = names(cx).await?;
        Ok(Reply::data(OldNames { policies: keys.clone(), keys }).flat())
    }
}

/// `sys/policies/acl/:name`.
#[derive(Serialize)]
pub struct PolicyView {
    name: String,
    policy: String,
}

/// `sys/policy/:name`.
#[derive(Serialize)]
pub struct OldPolicyView {
    name: String,
    rules: String,
}

/// Defines an operation on one policy.
macro_rules! named_op {
    ($name:ident, $verb:ident, $reply:ty, $help:literal) => {
        fields! {
            #[doc = $help]
            pub struct $name {
                /// The policy's name.
                policy_name: String,
            }
        }
        ops! { $name $reply, $verb; }
    };
}

named_op!(ReadAcl, Read, PolicyView, " Reads a policy.");
named_op!(ListAclBelow, List, Names, " Lists the policies whose names begin so.");
named_op!(ListDetailedBelow, List, Details, " Lists the policies whose names begin so.");
named_op!(ReadOld, Read, OldPolicyView, " Reads a policy.");
named_op!(DeleteAcl, Delete, (), " Deletes a policy.");
named_op!(DeleteOld, Delete, (), " Deletes a policy.");

/// A policy's text; the root policy has none.
async fn text(cx: &ReadCx<'_>, name: &str) -> Result<String> {
    if name == ROOT && cx.request.namespace.is_root() {
        return Ok(String::new());
    }
    let record = view(cx).named::<PolicyRecord>(0, name).await?;
    record.map(|r| r.text).ok_or_else(Error::not_found)
}

impl Query<ReadAcl> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadAcl) -> Result<Reply<PolicyView>> {
        let policy = text(cx, &op.policy_name).await?;
        Ok(Reply::data(PolicyView { name: op.policy_name, policy }).flat())
    }
}

impl Query<ReadOld> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadOld) -> Result<Reply<OldPolicyView>> {
        let rules = text(cx, &op.policy_name).await?;
        Ok(Reply::data(OldPolicyView { name: op.policy_name, rules }).flat())
    }
}

/// The policies whose names stand below `folder`.
async fn below(cx: &ReadCx<'_>, folder: &str) -> Result<Vec<String>> {
    let prefix = format!("{}/", folder.trim_end_matches('/'));
    let mut keys = names(cx).await?;
    keys.retain(|name| name.starts_with(&prefix));
    if keys.is_empty() { Err(Error::not_found()) } else { Ok(keys) }
}

impl Query<ListAclBelow> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ListAclBelow) -> Result<Reply<Names>> {
        Ok(Reply::data(Names { keys: below(cx, &op.policy_name).await? }))
    }
}

/// `sys/policies/detailed/acl`.
#[derive(Serialize)]
pub struct Details {
    keys: Vec<String>,
    key_info: BTreeMap<String, Detail>,
}

/// All that is known of a policy.
#[derive(Serialize)]
pub struct Detail {
    name: String,
    policy: String,
    version: u64,
    cas_required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    allow_wildcards_in_identity_templates: bool,
    allow_slashes_in_identity_templates: bool,
}

async fn details(cx: &ReadCx<'_>, keys: Vec<String>) -> Result<Reply<Details>> {
    let mut key_info = BTreeMap::new();
    for name in &keys {
        let record = view(cx).named::<PolicyRecord>(0, name).await?;
        let is_on = |setting| record.as_ref().is_some_and(|r| r.is_on(setting));
        let detail = Detail {
            name: name.clone(),
            version: record.as_ref().map_or(0, |r| r.version),
            cas_required: is_on(settings::CAS_REQUIRED),
            modified: record.as_ref().map(|r| r.written.to_string()),
            expiration: record.as_ref().and_then(|r| r.expiration()).map(|t| t.to_string()),
            allow_wildcards_in_identity_templates: is_on(settings::WILDCARDS),
            allow_slashes_in_identity_templates: is_on(settings::SLASHES),
            policy: record.map(|r| r.text).unwrap_or_default(),
        };
        key_info.insert(name.clone(), detail);
    }
    Ok(Reply::data(Details { keys, key_info }))
}

impl Query<ListDetailed> for System {
    async fn query(&self, cx: &ReadCx<'_>, _: ListDetailed) -> Result<Reply<Details>> {
        details(cx, names(cx).await?).await
    }
}

impl Query<ListDetailedBelow> for System {
    async fn query(&self, cx: &ReadCx<'_>, op: ListDetailedBelow) -> Result<Reply<Details>> {
        details(cx, below(cx, &op.policy_name).await?).await
    }
}

async fn delete(cx: &mut WriteCx<'_>, name: &str) -> Result<Reply<()>> {
    PolicyName::parse(name)?.check_deletable()?;
    edit(cx).delete_named::<PolicyRecord>(0, name);
    Ok(Reply::none())
}

impl Command<DeleteAcl> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteAcl) -> Result<Reply<()>> {
        delete(cx, &op.policy_name).await
    }
}

impl Command<DeleteOld> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteOld) -> Result<Reply<()>> {
        delete(cx, &op.policy_name).await
    }
}

fields! {
    /// What is said of a policy.
    pub struct Said {
        /// Its text: HCL or JSON, plain or in Base64.
        policy (rules): Option<String>,
        /// The version it must have; -1: it must not be there.
        cas: Option<i64>,
        /// Every later write must name the version it replaces.
        cas_required: Option<bool>,
        /// When the policy ends, RFC 3339.
        expiration: Option<Timestamp>,
        /// How long until it ends.
        ttl: Option<Ttl>,
        /// May values of templates bring in `+` and `*`?
        allow_wildcards_in_identity_templates: Option<bool>,
        /// May values of templates bring in `/`?
        allow_slashes_in_identity_templates: Option<bool>,
    }
}

fields! {
    /// Creates or replaces a policy.
    pub struct PutAcl {
        ..said: Said;
        /// Its name.
        policy_name: String,
    }
}

ops! { PutAcl (), Write; }

fields! {
    /// Changes what is said of a policy; the rest stays as it was.
    pub struct PatchAcl {
        ..said: Said;
        /// Its name.
        policy_name: String,
    }
}

ops! { PatchAcl (), Patch; }

fields! {
    /// Creates or replaces a policy.
    pub struct PutOld {
        /// Its name.
        policy_name: String,
        /// Its text: HCL or JSON, plain or in Base64.
        policy (rules): Option<String>,
    }
}

ops! { PutOld (), Write; }

/// The text as it was written: Base64 is unpacked, where it holds text.
fn plain(text: &str) -> String {
    STANDARD
        .decode(text.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_else(|| text.to_owned())
}

/// Writes a policy; with `patch`, what is not said stays as it was.
async fn put(cx: &mut WriteCx<'_>, name: &str, said: Said, patch: bool) -> Result<Reply<()>> {
    let name = PolicyName::parse(name)?;
    name.check_writable()?;
    if name.as_str().ends_with('/') {
        return Err(Error::bad_request("a policy's name does not end in '/'"));
    }
    let view = edit(cx);
    let before = view.named::<PolicyRecord>(0, name.as_str()).await?;
    if patch && before.is_none() {
        return Err(Error::not_found());
    }
    let text = match (said.policy.filter(|t| !t.is_empty()), &before) {
        (Some(text), _) => plain(&text),
        (None, Some(before)) if patch => before.text.clone(),
        _ => return Err(Error::bad_request("'policy' parameter not supplied or empty")),
    };
    if text.len() > POLICY_BYTES_MAX {
        return Err(Error::bad_request("the policy is too long"));
    }
    let version = before.as_ref().map_or(0, |r| r.version);
    let must = before.as_ref().is_some_and(|r| r.is_on(settings::CAS_REQUIRED));
    match said.cas {
        None if must => {
            return Err(Error::bad_request("check-and-set parameter required for this call"));
        }
        Some(-1) if before.is_some() => {
            return Err(Error::bad_request("check-and-set parameter set to -1 on existing entry"));
        }
        Some(cas) if cas >= 0 && cas.cast_unsigned() != version => {
            return Err(Error::bad_request(
                "check-and-set parameter did not match the current version",
            ));
        }
        _ => {}
    }
    let mut kept: BTreeMap<String, String> = before.map(|r| r.settings).unwrap_or_default();
    if let Some(required) = said.cas_required {
        kept.insert(settings::CAS_REQUIRED.to_owned(), required.to_string());
    }
    for (setting, value) in [
        (settings::WILDCARDS, said.allow_wildcards_in_identity_templates),
        (settings::SLASHES, said.allow_slashes_in_identity_templates),
    ] {
        match value {
            Some(value) => kept.insert(setting.to_owned(), value.to_string()),
            None if patch => continue,
            None => kept.remove(setting),
        };
    }
    let ends = match (said.expiration, said.ttl) {
        (Some(_), Some(_)) => {
            return Err(Error::bad_request("only one of expiration and ttl may be given"));
        }
        (None, Some(Ttl(seconds))) if seconds < 0 => {
            return Err(Error::bad_request("ttl must not be negative"));
        }
        (None, Some(Ttl(seconds))) => Some(cx.now().plus_seconds(seconds)).filter(|_| seconds > 0),
        (at, None) => at,
    };
    match ends {
        Some(at) => _ = kept.insert(settings::EXPIRATION.to_owned(), at.to_string()),
        None if patch && said.ttl.is_none() => {}
        None => _ = kept.remove(settings::EXPIRATION),
    }
    let record = PolicyRecord { text, written: cx.now(), version: version + 1, settings: kept };
    let parsed = record.parse(name.as_str())?;
    let warnings = parsed.warnings().to_vec();
    view.put_named(0, name.as_str(), &record)?;
    let mut reply = Reply::none();
    if cx.request.respelled {
        reply = reply.warn(format!("policy name was converted to {}", name.as_str()));
    }
    let reply = reply.warnings(warnings);
    // A patch answers an envelope, a write nothing (observed: bao 2.6.2).
    Ok(if patch { reply.status(200) } else { reply })
}

impl Command<PutAcl> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutAcl) -> Result<Reply<()>> {
        put(cx, &op.policy_name, op.said, false).await
    }
}

impl Command<PatchAcl> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PatchAcl) -> Result<Reply<()>> {
        put(cx, &op.policy_name, op.said, true).await
    }
}

impl Command<PutOld> for System {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutOld) -> Result<Reply<()>> {
        let said = Said {
            policy: op.policy,
            cas: None,
            cas_required: None,
            expiration: None,
            ttl: None,
            allow_wildcards_in_identity_templates: None,
            allow_slashes_in_identity_templates: None,
        };
        put(cx, &op.policy_name, said, false).await
    }
}
