//! `PutKeyPolicy`, `GetKeyPolicy`, `ListKeyPolicies` (API pages of those names).
//!
//! What callers may do with a key is said by Strongroom's policies and by the documents of their key
//! pairs. That is what AWS's default key policy says, too: it leaves everything to the account. So a
//! key's policy may say that, in any words, and a policy that says anything else is refused when it is
//! written: none is kept and not heeded.

use strongroom_base::{Error, Json, Result, fields, json};
use strongroom_kernel::plug::{Command, EngineSpec, Protocol, Query, ReadCx, Reply, WriteCx, ops};

use super::super::Transit;
use super::super::limits::KEY_POLICY_BYTES_MAX;
use super::find::{self, CONFIGURE, check_stays};
use super::keys::{change, found_about, to_change};

fields! {
    /// Sets a key's policy.
    pub struct PutPolicy {
        /// The key's id.
        key: String,
        /// The document.
        policy: Option<String>,
    }
}
fields! {
    /// Shows a key's policy.
    pub struct ReadPolicy {
        /// The key's id.
        key: String,
    }
}

ops! {
    PutPolicy (), Write, Needs;
    ReadPolicy Json, Write, Needs;
}

pub(super) fn add(spec: EngineSpec<Transit>) -> EngineSpec<Transit> {
    spec.command::<PutPolicy>("aws/put-policy/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/put-policy/{key..}", find::asked_within)
        .query::<ReadPolicy>("aws/get-policy/{key..}")
        .only_for(Protocol::Aws)
        .judges_access()
        .needs("aws/get-policy/{key..}", find::asked_within)
}

fn malformed(text: &str) -> Error {
    Error::bad_request(text).called("MalformedPolicyDocumentException")
}

/// A policy that may be kept.
pub(super) fn checked(policy: String) -> Result<String> {
    if policy.len() > KEY_POLICY_BYTES_MAX {
        let text = format!("a key policy has at most {KEY_POLICY_BYTES_MAX} bytes");
        return Err(Error::bad_request(text).called("LimitExceededException"));
    }
    let document = json::parse_bounded(policy.as_bytes());
    let document = document.map_err(|_| malformed("the key policy is no JSON"))?;
    let statements = match document.get("Statement") {
        Some(Json::Array(list)) if !list.is_empty() => list.iter().collect(),
        Some(one @ Json::Object(_)) => vec![one],
        _ => return Err(malformed("the key policy has no statement")),
    };
    for statement in statements {
        check_statement(statement)?;
    }
    Ok(policy)
}

fn check_statement(statement: &Json) -> Result<()> {
    let text = |name: &str| statement.get(name).and_then(Json::as_str);
    let effect = text("Effect");
    if !matches!(effect, Some("Allow" | "Deny")) {
        return Err(malformed("a statement's effect is Allow or Deny"));
    }
    if statement.get("Principal").is_none() && statement.get("NotPrincipal").is_none() {
        return Err(malformed("a statement of a key policy has a principal"));
    }
    if statement.get("Action").is_none() && statement.get("NotAction").is_none() {
        return Err(malformed("a statement has an action"));
    }
    let known = ["Sid", "Effect", "Principal", "Action", "Resource"];
    let plain = statement
        .as_object()
        .is_some_and(|members| members.keys().all(|name| known.contains(&name.as_str())));
    let principal = statement.get("Principal").and_then(|principal| principal.get("AWS"));
    let leaves_it = plain && effect == Some("Allow") && all(principal, is_account);
    if leaves_it {
        return Ok(());
    }
    Err(Error::bad_request(
        "a key policy can leave the key to its account, and nothing else: what callers may do with a \
         key is said by policies of the server and by the documents of their key pairs",
    )
    .called("UnsupportedOperationException"))
}

/// Are these one text or several, all of this kind?
fn all(texts: Option<&Json>, is: fn(&str) -> bool) -> bool {
    match texts {
        Some(Json::String(text)) => is(text),
        Some(Json::Array(list)) => {
            !list.is_empty() && list.iter().all(|text| text.as_str().is_some_and(is))
        }
        _ => false,
    }
}

/// Is this principal an account?
fn is_account(principal: &str) -> bool {
    let number = match principal.strip_prefix("arn:aws:iam::") {
        Some(rest) => rest.strip_suffix(":root").unwrap_or_default(),
        None => principal,
    };
    number.len() == 12 && number.bytes().all(|digit| digit.is_ascii_digit())
}

impl Command<PutPolicy> for Transit {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutPolicy) -> Result<Reply<()>> {
        let (name, key) = to_change(cx, &op.key, CONFIGURE).await?;
        check_stays(cx, &key)?;
        let policy = checked(op.policy.unwrap_or_default())?;
        change(cx, &name, |about| {
            about.policy = policy;
            Ok(())
        })
        .await
    }
}

impl Query<ReadPolicy> for Transit {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadPolicy) -> Result<Reply<Json>> {
        let (found, about) = found_about(cx, &op.key).await?;
        let id = found.id().text();
        Ok(Reply::data(serde_json::json!({ "key_id": id, "policy": about.policy })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_leaves_the_key_to_its_account_is_kept() {
        let root = "arn:aws:iam::123456789012:root";
        let of = |statement: Json| json!({ "Version": "2012-10-17", "Statement": statement });
        let statement = |effect: &str, principal: Json| json!({ "Effect": effect, "Principal": principal, "Action": "kms:*", "Resource": "*" });
        let kept = |document: Json| checked(document.to_string()).map_err(|e| e.code.unwrap());
        let allow = statement("Allow", json!({ "AWS": root }));
        assert!(kept(of(json!([allow]))).is_ok() && kept(of(allow.clone())).is_ok());
        assert!(kept(of(statement("Allow", json!({ "AWS": [root, "123456789012"] })))).is_ok());
        const MALFORMED: &str = "MalformedPolicyDocumentException";
        const UNSUPPORTED: &str = "UnsupportedOperationException";
        let mut conditional = allow.clone();
        conditional["Condition"] = json!({});
        let mut without = allow.clone();
        without.as_object_mut().unwrap().shift_remove("Action");
        for (document, code) in [
            (json!("x"), MALFORMED),
            (json!({}), MALFORMED),
            (of(json!([])), MALFORMED),
            (of(json!([1])), MALFORMED),
            (of(json!([{ "Effect": "Maybe" }])), MALFORMED),
            (of(json!([{ "Effect": "Allow", "Action": "kms:*" }])), MALFORMED),
            (of(without), MALFORMED),
            (of(statement("Deny", json!({ "AWS": root }))), UNSUPPORTED),
            (of(statement("Allow", json!("*"))), UNSUPPORTED),
            (of(statement("Allow", json!({ "AWS": "*" }))), UNSUPPORTED),
            (of(statement("Allow", json!({ "AWS": [] }))), UNSUPPORTED),
            (of(statement("Allow", json!({ "Service": "x" }))), UNSUPPORTED),
            (
                of(statement("Allow", json!({ "AWS": "arn:aws:iam::123456789012:user/x" }))),
                UNSUPPORTED,
            ),
            (of(conditional), UNSUPPORTED),
            (of(json!([allow, statement("Deny", json!("*"))])), UNSUPPORTED),
        ] {
            assert_eq!(kept(document.clone()), Err(code), "{document}");
        }
        assert_eq!(checked("{".to_owned()).map_err(|e| e.code), Err(Some(MALFORMED)));
        let long = format!("{allow}{}", " ".repeat(KEY_POLICY_BYTES_MAX));
        assert_eq!(checked(long).map_err(|e| e.code), Err(Some("LimitExceededException")));
    }
}
