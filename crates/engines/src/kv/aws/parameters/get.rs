//! GetParameter, GetParameters, and secrets of Secrets Manager that are read as parameters.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;

use super::super::target;
use super::super::value::{self as secret_value, ReadAs};
use super::find::{Which, judged, missing, shown, version};
use super::judge::{One, ask_of_none, deeds};
use super::named::{self, All, Named};
use crate::kv::Kv;

fields! {
    /// Reads a parameter.
    pub struct GetOne {
        ..one: One;
        /// A version's number or label.
        selector: Option<String>,
        /// Is it a secret of Secrets Manager?
        reference: Option<bool>,
        /// Are secrets shown in plain?
        decrypt: Option<bool>,
    }
}
fields! {
    /// Reads some parameters.
    pub struct GetMany {
        /// A list of objects with path, selector, reference, secret_arn, arn, and name, which comes back
        /// where there is none.
        parameters: Option<Json>,
        /// Names that mean no parameter: they come back as such.
        invalid: Option<Json>,
        /// Are secrets shown in plain?
        decrypt: Option<bool>,
    }
}

ops! {
    GetOne Json, Write, Needs;
    GetMany Json, Write, Needs;
}

pub(super) const RIGHT: target::Right = ("data", Capability::Read);
pub(super) const RIGHTS: &[target::Right] = &[RIGHT];

/// A secret of Secrets Manager as a parameter; a selector is a version's id or one of its labels.
async fn referenced(kv: &Kv, cx: &ReadCx<'_>, named: &Named<'_>, decrypt: bool) -> Result<JsonMap> {
    named.of(deeds::READ).judge(cx, None)?;
    if !decrypt {
        return Err(Error::bad_request(
            "WithDecryption flag must be True for retrieving a Secret Manager secret.",
        )
        .called("ValidationException"));
    }
    let (path, selector) = (named.path, named.selector);
    let arn = named.secret_arn.map(str::to_owned);
    let id = named.secret_arn.and_then(|arn| arn.split_once(":secret:")).map(|(_, name)| name);
    let asked = ReadAs { id: id.unwrap_or(path), selector };
    let target = target::Target { path: path.to_owned(), suffix: None, whole: None, arn };
    // Who reads a secret this way needs what reading it there needs.
    let found = target.find_for(cx, RIGHTS, Some(&asked)).await?;
    let found = found.filter(|found| found.secret.head.deletion.is_none()).ok_or_else(missing)?;
    let (id, stage) = asked.which(Some(&found.secret.head));
    let shown = secret_value::show(cx, &found, id, stage).await;
    let Ok(Json::Object(secret)) = shown else { return Err(missing()) };
    kv.accessed.note(found.secret.row, cx.now());
    let value = secret.get("secret_string").or_else(|| secret.get("secret_binary"));
    let mut out = JsonMap::from_iter([
        ("path".to_owned(), path.into()),
        ("reference".to_owned(), true.into()),
        ("type".to_owned(), "SecureString".into()),
        ("version".to_owned(), 0.into()),
        ("data_type".to_owned(), "text".into()),
    ]);
    out.insert("value".to_owned(), value.cloned().unwrap_or_default());
    out.insert("modified".to_owned(), secret.get("created_date").cloned().unwrap_or_default());
    out.insert("source".to_owned(), Json::Object(secret));
    Ok(out)
}

async fn read(kv: &Kv, cx: &ReadCx<'_>, named: &Named<'_>, decrypt: bool) -> Result<Json> {
    let mut out = if named.reference {
        referenced(kv, cx, named, decrypt).await?
    } else {
        let of = named.of(deeds::READ);
        let secret = judged(cx, &of, RIGHTS).await?.ok_or_else(missing)?;
        let version = version(cx, &secret.head, Which::of(named.selector))?;
        of.judge_value(cx, &secret.head, version)?;
        kv.accessed.note(secret.row, cx.now());
        shown(cx, named.path, &secret.head, version, decrypt).await?
    };
    if let Some(selector) = named.selector {
        out.insert("selector".to_owned(), format!(":{selector}").into());
    }
    Ok(Json::Object(out))
}

impl Query<GetOne> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: GetOne) -> Result<Reply<Json>> {
        let named = Named {
            path: &op.one.path,
            selector: op.selector.as_deref(),
            reference: op.reference.unwrap_or(false),
            secret_arn: op.one.secret_arn.as_deref(),
            arn: None,
            name: "",
        };
        read(self, cx, &named, op.decrypt.unwrap_or(false)).await.map(Reply::data)
    }
}

impl Query<GetMany> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: GetMany) -> Result<Reply<Json>> {
        let decrypt = op.decrypt.unwrap_or(false);
        let All { parameters, mut invalid } =
            named::read(op.parameters.as_ref(), op.invalid.as_ref())?;
        if parameters.is_empty() {
            ask_of_none(cx)?;
        }
        let mut found = Vec::new();
        for named in parameters {
            match read(self, cx, &named, decrypt).await {
                Ok(shown) => found.push(shown),
                Err(e)
                    if matches!(e.code, Some("ParameterNotFound" | "ParameterVersionNotFound")) =>
                {
                    invalid.push(named.name);
                }
                Err(e) => return Err(e),
            }
        }
        let path = |shown: &Json| shown.get("path").map(Json::to_string).unwrap_or_default();
        found.sort_by_key(path);
        Ok(Reply::data(json!({ "parameters": found, "invalid": invalid })))
    }
}
