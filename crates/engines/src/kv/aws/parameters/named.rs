//! Several parameters that one request names.

use strongroom_base::{Json, RequestPath, Result};

use super::super::refusals::constraint;
use super::limits::NAMED_MAX;

/// One of them.
pub(super) struct Named<'j> {
    /// Its path.
    pub path: &'j str,
    /// A version's number or label.
    pub selector: Option<&'j str>,
    /// Is it a secret of Secrets Manager?
    pub reference: bool,
    /// That secret's ARN without its six characters.
    pub secret_arn: Option<&'j str>,
    /// Its ARN, where several are named.
    pub arn: Option<&'j str>,
    /// What the request calls it.
    pub name: &'j str,
}

/// The parameters that a request names: a list of objects.
pub(super) fn read(parameters: Option<&Json>) -> Result<Vec<Named<'_>>> {
    let list = parameters.and_then(Json::as_array);
    let list = list.filter(|list| (1..=NAMED_MAX).contains(&list.len()));
    let named: Option<Vec<Named<'_>>> = list.and_then(|list| list.iter().map(one).collect());
    named.ok_or_else(|| constraint("names", &format!("have length between 1 and {NAMED_MAX}")))
}

fn one(entry: &Json) -> Option<Named<'_>> {
    let text = |name: &str| entry.get(name).and_then(Json::as_str);
    let path = text("path")?;
    RequestPath::parse(path).ok().filter(|parsed| parsed.as_str() == path && !path.is_empty())?;
    Some(Named {
        path,
        selector: text("selector"),
        reference: entry.get("reference").and_then(Json::as_bool).unwrap_or(false),
        secret_arn: text("secret_arn"),
        arn: text("arn"),
        name: text("name").unwrap_or_default(),
    })
}
