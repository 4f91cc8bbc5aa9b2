//! `config/identity`: what names a login in identity, and which facts it tells.

use strongroom_base::{Error, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::{Aws, stored};
use crate::login_metadata::Choices;

/// Facts of a login.
pub(super) const IAM: Choices = Choices {
    field: "iam_metadata",
    default: &["account_id", "auth_type"],
    more: &[
        "canonical_arn",
        "client_arn",
        "client_user_id",
        "inferred_aws_region",
        "inferred_entity_id",
        "inferred_entity_type",
    ],
};

/// Facts of EC2's logins: kept for those who read them back.
const EC2: Choices = Choices {
    field: "ec2_metadata",
    default: &["account_id", "auth_type"],
    more: &["ami_id", "instance_id", "region"],
};

const IAM_ALIASES: &[&str] = &["role_id", "unique_id", "canonical_arn", "full_arn"];
const EC2_ALIASES: &[&str] = &["role_id", "instance_id", "image_id"];

fields! {
    /// Configures what names a login.
    pub struct PutIdentity {
        /// `role_id` (the default), `unique_id`, `canonical_arn` or `full_arn`.
        iam_alias: Option<String>,
        /// Facts that a login tells as metadata; `default` stands for account_id and auth_type.
        iam_metadata: Option<Vec<String>>,
        /// As iam_alias, for EC2's logins, which are not there.
        ec2_alias: Option<String>,
        /// As iam_metadata, for EC2's logins, which are not there.
        ec2_metadata: Option<Vec<String>>,
    }
}
fields! {
    /// Reads what names a login.
    pub struct ReadIdentity {
    }
}

ops! {
    PutIdentity (), Write;
    ReadIdentity JsonMap, Read;
}

pub(super) fn add(spec: EngineSpec<Aws>) -> EngineSpec<Aws> {
    spec.query::<ReadIdentity>("config/identity").command::<PutIdentity>("config/identity")
}

fn choose(
    field: &str,
    value: &mut String,
    given: Option<String>,
    of: &'static [&'static str],
) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    if !of.contains(&given.as_str()) {
        return Err(Error::bad_request(format!(
            "{field} not in set of allowed values: {}",
            of.join(", ")
        )));
    }
    *value = given;
    Ok(())
}

impl Command<PutIdentity> for Aws {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutIdentity) -> Result<Reply<()>> {
        let mut identity = (*stored::identity(&cx.view()).await?).clone();
        choose("iam_alias", &mut identity.iam_alias, op.iam_alias, IAM_ALIASES)?;
        choose("ec2_alias", &mut identity.ec2_alias, op.ec2_alias, EC2_ALIASES)?;
        IAM.choose(&mut identity.iam_metadata, op.iam_metadata)?;
        EC2.choose(&mut identity.ec2_metadata, op.ec2_metadata)?;
        cx.edit().put_named(0, "", &identity)?;
        Ok(Reply::none())
    }
}

impl Query<ReadIdentity> for Aws {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadIdentity) -> Result<Reply<JsonMap>> {
        let identity = stored::identity(&cx.view()).await?;
        let mut map = JsonMap::new();
        for (name, value) in [
            ("iam_alias", identity.iam_alias.as_str().into()),
            ("iam_metadata", IAM.names(&identity.iam_metadata).into()),
            ("ec2_alias", identity.ec2_alias.as_str().into()),
            ("ec2_metadata", EC2.names(&identity.ec2_metadata).into()),
        ] {
            map.insert(name.to_owned(), value);
        }
        Ok(Reply::data(map))
    }
}
