//! What documents say of a parameter.
//!
//! A parameter is no secret of Secrets Manager, which lists and reads none below `ssm/`. It was one once, and
//! may have a resource policy of then, which nobody can put there any more. That speaks of Secrets Manager's
//! actions and of the secret's ARN: so it is asked what it says of the deed that is the same there, and goes
//! on holding.
//!
//! Invariant: whom nothing would allow what he asks of a parameter that is not there, is told the very same
//! of one that is.

use strongroom_base::{Result, fields};
use strongroom_kernel::plug::{About, ReadCx};

use super::super::{ids, target};
use crate::kv::secret::{AWS_CURRENT, Head, Version};

fields! {
    /// The parameter that a request names.
    pub struct One {
        /// Its path.
        path: String,
        /// What its ARN as a secret of Secrets Manager was, without the six characters.
        secret_arn: Option<String>,
    }
}

/// Actions of Secrets Manager that are what an operation here does.
pub(super) mod deeds {
    pub const READ: &str = "secretsmanager:GetSecretValue";
    pub const WRITE: &str = "secretsmanager:PutSecretValue";
    pub const DELETE: &str = "secretsmanager:DeleteSecret";
    pub const DESCRIBE: &str = "secretsmanager:DescribeSecret";
    pub const LABEL: &str = "secretsmanager:UpdateSecretVersionStage";
    pub const TAG: &str = "secretsmanager:TagResource";
    pub const UNTAG: &str = "secretsmanager:UntagResource";
}

/// A parameter, and what is done with it.
#[derive(Clone, Copy)]
pub(super) struct Of<'a> {
    /// Its path.
    pub path: &'a str,
    /// Its ARN, where the request names several.
    pub arn: Option<&'a str>,
    /// Its ARN as a secret, without the six characters.
    pub secret_arn: Option<&'a str>,
    /// The action of Secrets Manager that does the same.
    pub deed: &'static str,
}

impl One {
    /// It, with what is done with it.
    pub(super) fn of(&self, deed: &'static str) -> Of<'_> {
        Of { path: &self.path, arn: None, secret_arn: self.secret_arn.as_deref(), deed }
    }
}

impl Of<'_> {
    /// Asks the IAM documents of the caller and of the parameter, where there are such. What is said of the
    /// values of versions, [`Of::judge_value`] asks.
    pub fn judge(&self, cx: &ReadCx<'_>, head: Option<&Head>) -> Result<()> {
        let Some(access) = &cx.request.access else { return Ok(()) };
        let missing = || access.judge(&About { resource: self.arn, ..About::default() });
        let Some(head) = head else { return missing() };
        let (policy, tags) = (target::policy(head), target::tags(head));
        let about = About { resource: self.arn, policy, tags: &tags, ..About::default() };
        let judged = match access.judge(&about) {
            Ok(()) if self.deed != deeds::READ => self.judge_deed(cx, head, &[]),
            judged => judged,
        };
        if judged.is_err() {
            missing()?;
        }
        judged
    }

    /// Asks the policy of a parameter about the value of one of its versions.
    pub fn judge_value(&self, cx: &ReadCx<'_>, head: &Head, version: &Version) -> Result<()> {
        let key = match head.staged(AWS_CURRENT) == Some(version.id) {
            true => ("secretsmanager:VersionStage", AWS_CURRENT.to_owned()),
            false => ("secretsmanager:VersionId", ids::version_id(version)),
        };
        self.judge_deed(cx, head, &[(key.0, vec![key.1])])
    }

    fn judge_deed(&self, cx: &ReadCx<'_>, head: &Head, keys: &[(&str, Vec<String>)]) -> Result<()> {
        let (Some(access), Some(policy)) = (&cx.request.access, target::policy(head)) else {
            return Ok(());
        };
        let arn = self.secret_arn.map(|arn| format!("{arn}-{}", ids::suffix(head.id)));
        let name = self.secret_arn.and_then(|arn| arn.split_once(":secret:"));
        let id = name.map(|(_, name)| ("secretsmanager:SecretId", vec![name.to_owned()]));
        let keys: Vec<_> = keys.iter().cloned().chain(id).collect();
        access.judge(&About {
            action: Some(self.deed),
            resource: arn.as_deref(),
            called: self.secret_arn,
            policy: Some(policy),
            policy_alone: true,
            tags: &target::tags(head),
            keys: &keys,
            ..About::default()
        })
    }
}

/// Asks the caller's documents about a request that names no parameter at all.
pub(super) fn ask_of_none(cx: &ReadCx<'_>) -> Result<()> {
    let access = cx.request.access.as_ref();
    access.map_or(Ok(()), |access| access.judge(&About::default()))
}
