//! Resource policies of secrets. What they say of a request is judged where the secret is found
//! ([`super::target`]); a document that is not understood wholly is never kept.

use strongroom_base::{Error, Json, JsonMap, RawFields, Result, fields};
use strongroom_cloudwire::iam::{Document, Kind};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::limits::POLICY_CHARS_MAX;
use super::target::{self, Right, Target};
use super::{describe, refusals};
use crate::kv::Kv;
use crate::kv::secret::Head;
use crate::kv::store;

fields! {
    /// Attaches a policy to a secret, in place of the one before.
    pub struct PutPolicy {
        ..target: Target;
        /// The document.
        resource_policy: String,
        /// Refuse one that allows something to everybody?
        block_public_policy: Option<bool>,
    }
}

fields! {
    /// Reads a secret's policy.
    pub struct GetPolicy {
        ..target: Target;
    }
}

fields! {
    /// Takes a secret's policy away.
    pub struct DeletePolicy {
        ..target: Target;
    }
}

fields! {
    /// Checks a policy without keeping it.
    pub struct ValidatePolicy {
        /// The secret that it is for, if any.
        path: Option<String>,
        /// The document.
        resource_policy: String,
    }
}

ops! {
    PutPolicy Json, Write, Needs;
    GetPolicy Json, Write, Needs;
    DeletePolicy Json, Write, Needs;
    ValidatePolicy Json, Write, Needs;
}

/// A policy decides who gets at the secret at AWS's door, as its removal does at every door.
const RIGHTS: &[Right] = &[("metadata", Capability::Update), ("metadata", Capability::Delete)];

pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    Ok(target::needs(mount, captures, raw, RIGHTS))
}

pub(super) fn needs_of_get(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    Ok(target::needs(mount, captures, raw, describe::RIGHTS))
}

/// A check tells of no secret.
pub(super) fn needs_of_check(
    mount: &Mount,
    _: &[(&'static str, String)],
    _: &RawFields,
) -> Result<Vec<Need>> {
    Ok(vec![Need::new(format!("{}metadata/", mount.path), Capability::List)])
}

fn read(text: &str) -> Result<Document> {
    if text.chars().count() > POLICY_CHARS_MAX {
        return Err(refusals::too_long("resourcePolicy", POLICY_CHARS_MAX));
    }
    Document::parse(text, Kind::Resource).map_err(|e| {
        Error::bad_request(format!("This resource policy is not valid: {e}."))
            .called("MalformedPolicyDocumentException")
    })
}

/// Sets the policy of a head.
fn set(head: &mut Head, text: String) {
    if !text.is_empty() || head.of_aws.is_some() {
        head.of_aws.get_or_insert_default().policy = text;
    }
}

impl Command<PutPolicy> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutPolicy) -> Result<Reply<Json>> {
        let document = read(&op.resource_policy)?;
        if op.block_public_policy.unwrap_or(false) && document.is_public() {
            return Err(Error::bad_request(
                "You can't attach a resource policy that allows broad access to the secret.",
            )
            .called("PublicPolicyException"));
        }
        change(cx, &op.target, op.resource_policy).await
    }
}

impl Command<DeletePolicy> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeletePolicy) -> Result<Reply<Json>> {
        change(cx, &op.target, String::new()).await
    }
}

async fn change(cx: &mut WriteCx<'_>, target: &Target, text: String) -> Result<Reply<Json>> {
    cx.queue(&target.path).await;
    let mut found = target.find(cx, RIGHTS).await?;
    set(&mut found.secret.head, text);
    found.secret.head.updated = cx.now();
    store::save(&cx.edit(), &found.path, &found.secret, false).await?;
    Ok(Reply::data(Json::Object(found.view())))
}

impl Query<GetPolicy> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: GetPolicy) -> Result<Reply<Json>> {
        let found = op.target.find(cx, describe::RIGHTS).await?;
        let mut view = found.view();
        let of_aws = found.secret.head.of_aws.as_ref();
        if let Some(policy) = of_aws.map(|a| a.policy.as_str()).filter(|p| !p.is_empty()) {
            view.insert("resource_policy".to_owned(), policy.into());
        }
        Ok(Reply::data(Json::Object(view)))
    }
}

impl Query<ValidatePolicy> for Kv {
    async fn query(&self, _: &ReadCx<'_>, op: ValidatePolicy) -> Result<Reply<Json>> {
        let public = read(&op.resource_policy)?.is_public();
        let errors = public.then(|| {
            serde_json::json!({
                "check_name": "PublicPolicyCheck",
                "error_message": "The resource policy allows broad access to the secret.",
            })
        });
        let errors: Vec<Json> = errors.into_iter().collect();
        Ok(Reply::data(Json::Object(JsonMap::from_iter([
            ("policy_validation_passed".to_owned(), Json::Bool(!public)),
            ("validation_errors".to_owned(), Json::Array(errors)),
        ]))))
    }
}
