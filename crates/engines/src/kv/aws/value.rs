//! GetSecretValue.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Query, ReadCx, Reply, ops};
use strongroom_kernel::policy::Capability;

use super::target::{Found, Right, Target};
use super::{ids, refusals, rotation, shown_time};
use crate::kv::Kv;
use crate::kv::secret::{AWS_CURRENT, Head, Representation, Select, Version};
use crate::kv::store;

fields! {
    /// Reads a version's value: the current one's unless another is named.
    pub struct GetValue {
        ..target: Target;
        /// The version's id.
        version_id: Option<String>,
        /// The version's label.
        version_stage: Option<String>,
    }
}

ops! { GetValue Json, Write, Needs; }

pub(super) const RIGHTS: &[Right] = &[("data", Capability::Read)];

/// The version that an id or a label means.
fn select<'h>(head: &'h Head, id: Option<&str>, stage: Option<&str>) -> Result<&'h Version> {
    let Some(id) = id else {
        let stage = stage.unwrap_or(AWS_CURRENT);
        return head.version(Select::Stage(stage)).ok_or_else(|| no_value("staging label", stage));
    };
    let version = ids::find(head, id).ok_or_else(|| no_value("VersionId", id))?;
    if stage.is_some_and(|stage| head.staged(stage) != Some(version.id)) {
        return Err(refusals::invalid_request(
            "You provided a VersionStage that is not associated to the provided VersionId.",
        ));
    }
    Ok(version)
}

fn no_value(what: &str, which: &str) -> Error {
    refusals::missing(format!(
        "Secrets Manager can't find the specified secret value for {what}: {which}"
    ))
}

/// A value that another operation than GetSecretValue reads: the documents of the caller are asked as it
/// would ask them.
pub(super) struct ReadAs<'a> {
    /// What the request calls the secret.
    pub id: &'a str,
    /// A version's label, or its id; the current one without.
    pub selector: Option<&'a str>,
}

impl ReadAs<'_> {
    /// What it is called in documents.
    pub const ACTION: &'static str = "secretsmanager:GetSecretValue";

    /// The id and the label that the selector means: a label where there is such.
    pub fn which(&self, head: Option<&Head>) -> (Option<&str>, Option<&str>) {
        let is_id = |text: &&str| {
            head.is_some_and(|head| head.staged(text).is_none() && ids::find(head, text).is_some())
        };
        let id = self.selector.filter(is_id);
        (id, self.selector.filter(|_| id.is_none()))
    }

    /// What conditions see of it.
    pub fn keys(&self, head: Option<&Head>) -> [(&'static str, Vec<String>); 2] {
        let version = match self.which(head) {
            (Some(id), _) => ("secretsmanager:VersionId", vec![id.to_owned()]),
            (None, stage) => {
                ("secretsmanager:VersionStage", vec![stage.unwrap_or(AWS_CURRENT).to_owned()])
            }
        };
        [("secretsmanager:SecretId", vec![self.id.to_owned()]), version]
    }
}

/// A version's value with what AWS tells of the version. What is deleted or disabled at another door
/// is not there.
pub(super) async fn show(
    cx: &ReadCx<'_>,
    found: &Found,
    id: Option<&str>,
    stage: Option<&str>,
) -> Result<Json> {
    let head = &found.secret.head;
    let version = select(head, id, stage)?;
    let row = version.readable(cx.now()).ok_or_else(|| match id {
        Some(id) => no_value("VersionId", id),
        None => no_value("staging label", stage.unwrap_or(AWS_CURRENT)),
    })?;
    let bytes = store::value(&cx.view(), row).await?;
    rotation::note_reader(cx, head, version.id);
    let mut view = found.view();
    view.insert("version_id".to_owned(), ids::version_id(version).into());
    let (member, text) = match version.representation {
        Representation::Binary => ("secret_binary", STANDARD.encode(bytes.expose_secret())),
        Representation::Object | Representation::Text => {
            let text = std::str::from_utf8(bytes.expose_secret())
                .map_err(|_| Error::internal("a stored value is not what it is marked as"))?;
            ("secret_string", text.to_owned())
        }
    };
    view.insert(member.to_owned(), text.into());
    let stages = ids::stages(head, version.id);
    if !stages.is_empty() {
        view.insert("version_stages".to_owned(), stages.into());
    }
    view.insert("created_date".to_owned(), shown_time(version.made()));
    Ok(Json::Object(view))
}

impl Query<GetValue> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, op: GetValue) -> Result<Reply<Json>> {
        let found = op.target.find(cx, RIGHTS).await?;
        let (id, stage) = (op.version_id.as_deref(), op.version_stage.as_deref());
        let shown = show(cx, &found, id, stage).await?;
        self.accessed.note(found.secret.row, cx.now());
        Ok(Reply::data(shown))
    }
}
