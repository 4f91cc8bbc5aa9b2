//! Roles: create, change, read, delete, list.

use serde_json::json;
use strongroom_base::{Error, Json, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, ReadCx, Reply, WriteCx};

use super::Aws;
use super::arn::{self, Principal};
use super::stored::{self, Role};
use crate::roles;
use crate::token_params::{TokenFields, TokenSettings};

/// ARNs of a role: each may take a call to IAM.
const ARNS_MAX: usize = 64;

fields! {
    /// Creates or changes a role.
    pub struct PutRole {
        ..token: TokenFields;
        /// The role's name; its case does not matter.
        role: String,
        /// `iam`, the only type there is.
        auth_type: Option<String>,
        /// ARNs of IAM users and roles that may log in. Each may end in `*`, after the account.
        bound_iam_principal_arn: Option<Vec<String>>,
        /// Accounts whose principals may log in.
        bound_account_id: Option<Vec<String>>,
        /// Are the ARNs resolved to IAM's unique ids, so that a later user or role of the same name is
        /// another one? True unless said otherwise when the role is made; it can't be unset.
        resolve_aws_unique_ids: Option<bool>,
        /// Must be empty: EC2 instances are not inferred.
        inferred_entity_type: Option<String>,
        /// Must be empty: EC2 instances are not inferred.
        inferred_aws_region: Option<String>,
        /// Must be empty: for EC2 instances.
        bound_ami_id: Vec<String>,
        /// Must be empty: for EC2 instances.
        bound_region: Vec<String>,
        /// Must be empty: for EC2 instances.
        bound_vpc_id: Vec<String>,
        /// Must be empty: for EC2 instances.
        bound_subnet_id: Vec<String>,
        /// Must be empty: for EC2 instances.
        bound_iam_role_arn: Vec<String>,
        /// Must be empty: for EC2 instances.
        bound_iam_instance_profile_arn: Vec<String>,
        /// Must be empty: for EC2 instances.
        bound_ec2_instance_id: Vec<String>,
        /// Must be empty: for EC2 instances.
        role_tag: Option<String>,
        /// Must be false: for EC2 instances.
        allow_instance_migration: Option<bool>,
        /// Must be false: for EC2 instances.
        disallow_reauthentication: Option<bool>,
    }
}
roles::operations!(Aws, Role, role);

/// Refuses what is for EC2 instances.
fn check_no_ec2(op: &PutRole) -> Result<()> {
    match op.auth_type.as_deref() {
        None | Some("" | "iam") => {}
        Some("ec2") => return Err(Error::bad_request(super::ec2::NOT_THERE)),
        Some(_) => return Err(Error::bad_request("unrecognized auth_type")),
    }
    let given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    for (field, there) in [
        ("inferred_entity_type", given(&op.inferred_entity_type)),
        ("inferred_aws_region", given(&op.inferred_aws_region)),
        ("bound_ami_id", !op.bound_ami_id.is_empty()),
        ("bound_region", !op.bound_region.is_empty()),
        ("bound_vpc_id", !op.bound_vpc_id.is_empty()),
        ("bound_subnet_id", !op.bound_subnet_id.is_empty()),
        ("bound_iam_role_arn", !op.bound_iam_role_arn.is_empty()),
        ("bound_iam_instance_profile_arn", !op.bound_iam_instance_profile_arn.is_empty()),
        ("bound_ec2_instance_id", !op.bound_ec2_instance_id.is_empty()),
        ("role_tag", given(&op.role_tag)),
        ("allow_instance_migration", op.allow_instance_migration == Some(true)),
        ("disallow_reauthentication", op.disallow_reauthentication == Some(true)),
    ] {
        if there {
            return Err(Error::bad_request(format!("{field}: {}", super::ec2::NOT_THERE)));
        }
    }
    Ok(())
}

impl Command<PutRole> for Aws {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        check_no_ec2(&op)?;
        let (name, old) = roles::begin::<Role>(cx, &op.role).await?;
        let mut role = old.as_deref().cloned().unwrap_or_else(|| Role {
            role_id: cx.rng().uuid(),
            bound_arns: Vec::new(),
            bound_ids: Vec::new(),
            bound_accounts: Vec::new(),
            resolve_ids: true,
            token: TokenSettings::default(),
        });
        if let Some(resolve) = op.resolve_aws_unique_ids {
            if old.is_some() && role.resolve_ids && !resolve {
                return Err(Error::bad_request(
                    "changing resolve_aws_unique_ids from true to false is not allowed",
                ));
            }
            role.resolve_ids = resolve;
        }
        if let Some(arns) = op.bound_iam_principal_arn {
            role.bound_arns = arns;
            role.bound_ids.clear();
        }
        if let Some(accounts) = op.bound_account_id {
            if !accounts.iter().all(|account| arn::is_account(account)) {
                return Err(Error::bad_request("bound_account_id: an account has twelve digits"));
            }
            role.bound_accounts = accounts;
        }
        if role.bound_arns.is_empty() && role.bound_accounts.is_empty() {
            return Err(Error::bad_request(
                "at least one bound parameter should be specified on the role",
            ));
        }
        if role.bound_arns.len() > ARNS_MAX {
            return Err(Error::bad_request("bound_iam_principal_arn has too many entries"));
        }
        for bound in &role.bound_arns {
            arn::check_bound(bound, role.resolve_ids)?;
        }
        let mut warnings = role.token.apply(op.token)?;
        roles::check(cx, &role, &mut warnings)?;
        cx.outside(self.resolve(cx, &mut role)).await?;
        roles::put(cx, &name, &role, warnings)
    }
}

impl Aws {
    /// Finds the unique ids of a role's ARNs, where they are not known yet.
    async fn resolve(&self, cx: &ReadCx<'_>, role: &mut Role) -> Result<()> {
        if !role.resolve_ids || !role.bound_ids.is_empty() {
            return Ok(());
        }
        let client = stored::client(&cx.view()).await?.unwrap_or_default();
        for bound in role.bound_arns.iter().filter(|bound| !arn::is_wildcard(bound)) {
            let Some(principal) = Principal::parse(bound) else { continue };
            let why = "resolve_aws_unique_ids (on unless it is set to false)";
            role.bound_ids.push(self.look_up(cx, &client, &principal, why).await?.id);
        }
        Ok(())
    }
}

impl roles::Role for Role {
    fn token(&self) -> &TokenSettings {
        &self.token
    }

    fn show(&self, into: &mut JsonMap) {
        let shown = json!({
            "auth_type": "iam",
            "bound_ami_id": [],
            "bound_account_id": self.bound_accounts,
            "bound_ec2_instance_id": null,
            "bound_iam_principal_arn": self.bound_arns,
            "bound_iam_principal_id": self.bound_ids,
            "bound_iam_role_arn": [],
            "bound_iam_instance_profile_arn": [],
            "bound_region": [],
            "bound_subnet_id": [],
            "bound_vpc_id": [],
            "inferred_entity_type": "",
            "inferred_aws_region": "",
            "resolve_aws_unique_ids": self.resolve_ids,
            "role_id": self.role_id,
            "role_tag": "",
            "allow_instance_migration": false,
            "disallow_reauthentication": false,
        });
        if let Json::Object(shown) = shown {
            into.extend(shown);
        }
        self.token.show(into);
    }

    fn period_beyond(period: &str, most: &str) -> String {
        format!(
            "period of \"{period}\" is greater than the backend's maximum lease TTL of \"{most}\""
        )
    }
}
