//! Several parameters that one request names.

use strongroom_base::{Json, RawFields, RequestPath, Result};
use strongroom_kernel::mounts::Mount;
use strongroom_kernel::plug::Need;
use strongroom_kernel::policy::Capability;

use super::super::refusals::constraint;
use super::judge::Of;
use super::limits::NAMED_MAX;

/// One of them.
pub(super) struct Named<'j> {
    /// Its path.
    pub path: &'j str,
    /// A version's number or label.
    pub selector: Option<&'j str>,
    /// Is it a secret of Secrets Manager?
    pub reference: bool,
    /// Its ARN as a secret of Secrets Manager, without the six characters.
    pub secret_arn: Option<&'j str>,
    /// Its ARN, where several are named.
    pub arn: Option<&'j str>,
    /// What the request calls it.
    pub name: &'j str,
}

impl<'j> Named<'j> {
    /// It, with what is done with it.
    pub fn of(&self, deed: &'static str) -> Of<'j> {
        Of { path: self.path, arn: self.arn, secret_arn: self.secret_arn, deed }
    }
}

/// What a request names.
#[derive(Default)]
pub(super) struct All<'j> {
    /// Parameters.
    pub parameters: Vec<Named<'j>>,
    /// Names that mean none: the answer gives them back.
    pub invalid: Vec<&'j str>,
}

/// What a request names: a list of objects, and a list of names that mean no parameter.
pub(super) fn read<'j>(parameters: Option<&'j Json>, invalid: Option<&'j Json>) -> Result<All<'j>> {
    let list =
        |json: Option<&'j Json>| json.and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    let invalid: Vec<&str> = list(invalid).iter().filter_map(Json::as_str).collect();
    let named: Option<Vec<Named<'_>>> = list(parameters).iter().map(one).collect();
    let named = named.filter(|named| (1..=NAMED_MAX).contains(&(named.len() + invalid.len())));
    match named {
        Some(parameters) => Ok(All { parameters, invalid }),
        None => Err(constraint("names", &format!("have length between 1 and {NAMED_MAX}"))),
    }
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

/// What an operation on several parameters needs.
pub(super) fn needs(
    mount: &Mount,
    raw: &RawFields,
    (endpoint, capability): (&str, Capability),
) -> Vec<Need> {
    let need = |path: &str| Need::new(format!("{}{endpoint}/{path}", mount.path), capability);
    match read(raw.get("parameters"), raw.get("invalid")) {
        Ok(all) => all.parameters.iter().map(|named| need(named.path)).collect(),
        // What names none is told so to those who may do it with any.
        Err(_) => vec![need("")],
    }
}
