//! BatchGetSecretValue: some secrets by their names, or those that filters find.

use strongroom_base::{Error, ErrorKind, Json, JsonMap, RawFields, Result, fields};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::{Need, Query, ReadCx, Reply, ops};

use super::limits::BATCH_MAX;
use super::list::{Listing, Page};
use super::target::{Found, Target};
use super::value::ReadAs;
use super::{filters, list, refusals, target, value};
use crate::kv::Kv;
use crate::kv::store::Secret;

fields! {
    /// Reads the current values of several secrets.
    pub struct BatchGet {
        /// The folder in which filters look; the whole mount without.
        path: Option<String>,
        /// What stands before a name in an ARN.
        arn: Option<String>,
        /// The secrets: a list of `id` (as the answer names it in an error), `path`, `suffix`, `whole`
        /// and `arn`; of one that is none, `error_code` and `message` in place of the path.
        secrets: Option<Json>,
        /// Filters: a list of a key and values each.
        filters: Option<Json>,
        /// How many at most.
        max_results: Option<i64>,
        /// Where the page before ended.
        next_token: Option<String>,
    }
}

ops! { BatchGet Json, Write, Needs; }

/// AWS's text for a secret that the caller may not read.
fn not_allowed(cx: &ReadCx<'_>, arn: Option<&str>, id: &str) -> String {
    let who = cx.request.access.as_ref().map(|access| access.principal().to_owned());
    let who = who.map_or_else(|| "User".to_owned(), |who| format!("User: {who}"));
    let (action, resource) = (ReadAs::ACTION, arn.unwrap_or(id));
    format!(
        "{who} is not authorized to perform: {action} on resource: {resource} because no \
         identity-based policy allows the {action} action"
    )
}

/// Each secret of a list by itself is refused or not, in the answer; filters need what a list needs.
pub(super) fn needs(
    mount: &Mount,
    captures: &[(&'static str, String)],
    raw: &RawFields,
) -> Result<Vec<Need>> {
    match raw.get("secrets") {
        Some(Json::Array(secrets)) if !secrets.is_empty() => Ok(Vec::new()),
        _ => list::needs(mount, captures, raw),
    }
}

/// A secret that a request names, or why that names none.
struct Named {
    id: String,
    target: Result<Target, Json>,
}

/// What the answer says of an id that names no secret.
fn unfit(id: &str, code: &str, text: &str) -> Json {
    serde_json::json!({ "secret_id": id, "error_code": code, "message": text })
}

/// The secrets that a request names.
fn named(list: &Json) -> Result<Vec<Named>> {
    let wrong = || refusals::invalid_parameter("SecretIdList is no list of secrets.");
    let list = list.as_array().ok_or_else(wrong)?;
    if list.len() > BATCH_MAX {
        return Err(refusals::too_long("secretIdList", BATCH_MAX));
    }
    let mut out = Vec::with_capacity(list.len());
    for entry in list {
        let text = |name: &str| entry.get(name).and_then(Json::as_str).map(str::to_owned);
        let id = text("id").ok_or_else(wrong)?;
        if let Some(code) = text("error_code") {
            let target = Err(unfit(&id, &code, &text("message").unwrap_or_default()));
            out.push(Named { id, target });
            continue;
        }
        let target = match target::path(&text("path").ok_or_else(wrong)?) {
            Ok(path) => {
                Ok(Target { path, suffix: text("suffix"), whole: text("whole"), arn: text("arn") })
            }
            Err(e) => Err(unfit(&id, e.code.unwrap_or("ValidationException"), &e.public.join(" "))),
        };
        out.push(Named { id, target });
    }
    Ok(out)
}

/// What the answer says of a secret that could not be read; a failure of the server is the whole
/// request's.
fn said(cx: &ReadCx<'_>, id: String, arn: Option<&str>, error: Error) -> Result<Json> {
    let code = match error.kind {
        ErrorKind::PermissionDenied => "AccessDeniedException",
        ErrorKind::NotFound => "ResourceNotFoundException",
        ErrorKind::BadRequest => error.code.unwrap_or("InvalidRequestException"),
        _ => return Err(error),
    };
    let text = match error.kind {
        // What policy says of a denial speaks of Vault's paths.
        ErrorKind::PermissionDenied if error.code.is_none() => not_allowed(cx, arn, &id),
        _ => error.public.join(" "),
    };
    Ok(serde_json::json!({ "secret_id": id, "error_code": code, "message": text }))
}

impl Query<BatchGet> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: BatchGet) -> Result<Reply<Json>> {
        let named = op.secrets.as_ref().map(named).transpose()?.filter(|n| !n.is_empty());
        let filtered =
            op.filters.as_ref().is_some_and(|f| f.as_array().is_some_and(|f| !f.is_empty()));
        if named.is_some() == filtered {
            return Err(refusals::invalid_parameter(
                "Either 'SecretIdList' or 'Filters' must be provided, but not both.",
            ));
        }
        let Some(named) = named else { return by_filters(self, cx, op).await };
        if op.max_results.is_some() {
            return Err(refusals::invalid_parameter(
                "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is \
                 provided.",
            ));
        }
        let (mut values, mut errors) = (Vec::new(), Vec::new());
        for Named { id, target } in named {
            let target = match target {
                Ok(target) => target,
                Err(said) => {
                    errors.push(said);
                    continue;
                }
            };
            match one(self, cx, &target, &id).await {
                Ok(value) => values.push(value),
                Err(e) => errors.push(said(cx, id, target.arn.as_deref(), e)?),
            }
        }
        Ok(answer(values, errors, None))
    }
}

async fn one(kv: &Kv, cx: &ReadCx<'_>, target: &Target, id: &str) -> Result<Json> {
    let read = ReadAs { id, selector: None };
    let found = target.find_for(cx, value::RIGHTS, Some(&read)).await?;
    let found = found.ok_or_else(refusals::no_secret)?;
    if found.secret.head.deletion.is_some() {
        return Err(refusals::invalid_request(
            "You tried to perform the operation on a secret that's currently marked deleted.",
        ));
    }
    let shown = value::show(cx, &found, None, None).await?;
    kv.accessed.note(found.secret.row, cx.now());
    Ok(shown)
}

async fn by_filters(kv: &Kv, cx: &ReadCx<'_>, op: BatchGet) -> Result<Reply<Json>> {
    let listing = Listing {
        operation: "BatchGetSecretValue",
        folder: op.path.unwrap_or_default(),
        filters: filters::read(op.filters.as_ref())?,
        planned: false,
        sort: list::Sort::Created,
        descending: false,
        most: list::page_size(op.max_results, BATCH_MAX)?,
    };
    let Page { entries, next } = listing.page(kv, cx, op.next_token.as_deref()).await?;
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    for entry in entries {
        let arn = op.arn.as_ref().map(|before| format!("{before}{}", entry.name));
        let secret = Secret { row: entry.row, head: entry.head };
        let found = Found { path: entry.path, arn, secret };
        // The request names none: its ARN is all that it can be called by.
        let id = found.shown();
        let asked = ReadAs { id: &id, selector: None };
        let about = target::Named { arn: found.arn.as_deref(), called: None };
        let allowed = target::require(cx, &found.path, value::RIGHTS)
            .and_then(|()| about.judge(cx, Some(&asked), &found.secret.head));
        let read = match allowed {
            Ok(()) => value::show(cx, &found, None, None).await,
            Err(e) => Err(e),
        };
        match read {
            Ok(value) => {
                kv.accessed.note(found.secret.row, cx.now());
                values.push(value);
            }
            Err(e) => {
                // The door makes the caller's name of it.
                let mut said = said(cx, String::new(), found.arn.as_deref(), e)?;
                if let Json::Object(said) = &mut said {
                    said.extend(found.view());
                }
                errors.push(said);
            }
        }
    }
    Ok(answer(values, errors, next))
}

fn answer(values: Vec<Json>, errors: Vec<Json>, next: Option<String>) -> Reply<Json> {
    let mut data = JsonMap::from_iter([
        ("secret_values".to_owned(), Json::Array(values)),
        ("errors".to_owned(), Json::Array(errors)),
    ]);
    if let Some(next) = next {
        data.insert("next_token".to_owned(), next.into());
    }
    Reply::data(Json::Object(data))
}
