//! Resource policies of secrets. What they say of a request is judged where the secret is found
//! ([`super::target`]); a document that is not understood wholly is never kept.

use strongroom_base::{Error, ErrorKind, Json, JsonMap, RawFields, Result, fields};
use strongroom_cloudwire::iam::{Document, Kind};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Command, Need, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::limits::{PAGE_MAX, POLICY_CHARS_MAX};
use super::target::{self, Right, Target};
use super::{describe, list, refusals};
use crate::kv::Kv;
use crate::kv::secret::Head;
use crate::kv::store;

fields! {
    /// Attaches a policy to a secret, in place of the one before.
    pub struct PutPolicy {
        ..target: Target;
        /// Its name.
        policy_name: Option<String>,
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
        /// Its name.
        policy_name: Option<String>,
    }
}

fields! {
    /// Lists the names of a secret's policies.
    pub struct ListPolicies {
        ..target: Target;
        /// At most so many.
        max_results: Option<i64>,
        /// Where to go on.
        next_token: Option<String>,
    }
}

fields! {
    /// Takes a secret's policy away.
    pub struct DeletePolicy {
        ..target: Target;
        /// Its name.
        policy_name: Option<String>,
    }
}

fields! {
    /// Checks a policy without keeping it.
    pub struct ValidatePolicy {
        /// The secret that it is for, if any.
        path: Option<String>,
        /// As of a [`Target`].
        suffix: Option<String>,
        /// As of a [`Target`].
        whole: Option<String>,
        /// As of a [`Target`].
        arn: Option<String>,
        /// The document.
        resource_policy: String,
    }
}

ops! {
    PutPolicy Json, Write, Needs;
    GetPolicy Json, Write, Needs;
    ListPolicies Json, Write, Needs;
    DeletePolicy Json, Write, Needs;
    ValidatePolicy Json, Write, Needs;
}

/// The one policy that a secret can have.
const DEFAULT: &str = "default";

/// A policy decides who gets at the secret at AWS's door, as its removal does at every door.
pub(super) const RIGHTS: &[Right] =
    &[("metadata", Capability::Update), ("metadata", Capability::Delete)];

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

/// Another policy than the one can neither be attached nor taken away.
fn only_default(name: Option<&str>) -> Result<()> {
    match name {
        None | Some(DEFAULT) => Ok(()),
        Some(_) => {
            Err(refusals::invalid_parameter("Only the policy named default can be changed."))
        }
    }
}

impl Command<PutPolicy> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutPolicy) -> Result<Reply<Json>> {
        only_default(op.policy_name.as_deref())?;
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
        only_default(op.policy_name.as_deref())?;
        change(cx, &op.target, String::new()).await
    }
}

async fn change(cx: &mut WriteCx<'_>, target: &Target, text: String) -> Result<Reply<Json>> {
    cx.queue(&target.path).await;
    let mut found = target.find(cx, RIGHTS).await?;
    // The same again changes nothing, and so does the removal of what is not there.
    if target::policy(&found.secret.head).unwrap_or_default() != text {
        set(&mut found.secret.head, text);
        found.secret.head.updated = cx.now();
        store::save(&cx.edit(), &found.path, &found.secret, false).await?;
    }
    let mut view = found.view();
    view.insert("policy_name".to_owned(), DEFAULT.into());
    Ok(Reply::data(Json::Object(view)))
}

impl Query<GetPolicy> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: GetPolicy) -> Result<Reply<Json>> {
        let found = op.target.find(cx, describe::RIGHTS).await?;
        if op.policy_name.is_some_and(|name| name != DEFAULT) {
            return Err(refusals::missing("Secrets Manager can't find the resource policy."));
        }
        let mut view = found.view();
        if let Some(policy) = target::policy(&found.secret.head) {
            view.insert("resource_policy".to_owned(), policy.into());
        }
        view.insert("policy_name".to_owned(), DEFAULT.into());
        Ok(Reply::data(Json::Object(view)))
    }
}

impl Query<ListPolicies> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ListPolicies) -> Result<Reply<Json>> {
        let found = op.target.find(cx, describe::RIGHTS).await?;
        // One page has them all.
        list::page_size(op.max_results, PAGE_MAX)?;
        if op.next_token.is_some() {
            return Err(refusals::bad_next_token());
        }
        let names = target::policy(&found.secret.head).map(|_| DEFAULT);
        let names = names.iter().map(|name| serde_json::json!({ "policy_name": name }));
        let names = ("resource_policies".to_owned(), names.collect::<Vec<_>>().into());
        Ok(Reply::data(Json::Object(JsonMap::from_iter([names]))))
    }
}

impl Query<ValidatePolicy> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: ValidatePolicy) -> Result<Reply<Json>> {
        let ValidatePolicy { path, suffix, whole, arn, .. } = &op;
        if let Some(path) = path.clone() {
            let (suffix, whole, arn) = (suffix.clone(), whole.clone(), arn.clone());
            let target = Target { path, suffix, whole, arn };
            match target.find_any(cx, describe::RIGHTS).await {
                Ok(None) => return Err(refusals::no_secret()),
                // Who may not see it is not told whether it is there.
                Ok(Some(_)) => {}
                Err(e) if e.kind == ErrorKind::PermissionDenied => {}
                Err(e) => return Err(e),
            }
        }
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
