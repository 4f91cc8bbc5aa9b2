//! UpdateSecretVersionStage.

use strongroom_base::{Error, Json, Result, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx, ops};
use strongroom_kernel::policy::Capability;

use super::limits::STAGES_MAX;
use super::target::{Right, Target};
use super::{given, ids, refusals};
use crate::kv::Kv;
use crate::kv::secret::{AWS_CURRENT, Head, Select, Version};
use crate::kv::store;

fields! {
    /// Puts a label on a version, takes it off one, or moves it.
    pub struct MoveStage {
        ..target: Target;
        /// The label.
        version_stage: String,
        /// The id of the version that has it.
        remove_from_version_id: Option<String>,
        /// The id of the version that gets it.
        move_to_version_id: Option<String>,
    }
}

ops! { MoveStage Json, Write, Needs; }

/// It changes what readers get.
pub(super) const RIGHTS: &[Right] = &[("data", Capability::Update)];

fn version<'h>(head: &'h Head, id: &str) -> Result<&'h Version> {
    ids::find(head, id).ok_or_else(|| {
        refusals::missing(format!(
            "Secrets Manager can't find the specified secret value for VersionId: {id}"
        ))
    })
}

/// Who has the label now must be named, so that nobody takes it from a version that he has not seen.
fn check_holder(head: &Head, stage: &str, from: Option<&str>, to: Option<u128>) -> Result<()> {
    let holder = head.staged(stage);
    let named = from.map(|id| version(head, id)).transpose()?.map(|v| v.id);
    if named == holder || named.is_none() && holder == to {
        return Ok(());
    }
    let Some(holder) = holder.and_then(|id| head.version(Select::Id(id))) else {
        return Err(refusals::invalid_parameter(format!(
            "Staging label {stage} is not attached to the version in RemoveFromVersionId."
        )));
    };
    let problem = if from.is_none() { "can't be empty" } else { "names another version" };
    Err(refusals::invalid_parameter(format!(
        "The parameter RemoveFromVersionId {problem}. Staging label {stage} is currently attached to \
         version {}, so you must explicitly reference that version in RemoveFromVersionId.",
        ids::version_id(holder)
    )))
}

impl Command<MoveStage> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: MoveStage) -> Result<Reply<Json>> {
        let stage = op.version_stage.as_str();
        given::check_stage(stage, "versionStage")?;
        let (from, to) = (op.remove_from_version_id.as_deref(), op.move_to_version_id.as_deref());
        if from.is_none() && to.is_none() {
            return Err(refusals::invalid_parameter(
                "You must specify RemoveFromVersionId, MoveToVersionId, or both.",
            ));
        }
        cx.queue(&op.target.path).await;
        let mut found = op.target.find(cx, RIGHTS).await?;
        let secret = &mut found.secret;
        let to = to.map(|id| version(&secret.head, id)).transpose()?;
        let moves = to.map(|v| (v.id, v.readable(cx.now()).is_some()));
        check_holder(&secret.head, stage, from, moves.map(|(id, _)| id))?;
        match moves {
            None if stage == AWS_CURRENT => {
                return Err(refusals::invalid_parameter(
                    "You can't remove the staging label AWSCURRENT from a version without moving it \
                     to another.",
                ));
            }
            Some((id, readable)) if stage == AWS_CURRENT => {
                // What is deleted at another door is not brought back by the way.
                if !readable {
                    return Err(refusals::invalid_request(
                        "You can't move AWSCURRENT to a version that has no value.",
                    ));
                }
                let edit = cx.edit();
                let config = store::config(&edit).await?;
                store::publish_again(&edit, secret, id, &config, cx.now())?;
            }
            _ => secret.head.set_stage(stage, moves.map(|(id, _)| id)),
        }
        if secret.head.stages.len() > STAGES_MAX {
            return Err(too_many());
        }
        secret.head.updated = cx.now();
        store::save(&cx.edit(), &found.path, &found.secret, false).await?;
        Ok(Reply::data(Json::Object(found.view())))
    }
}

fn too_many() -> Error {
    refusals::over_limit(format!(
        "The versions of a secret can have at most {STAGES_MAX} staging labels."
    ))
}
