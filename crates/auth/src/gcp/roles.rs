//! Roles: create, change, read, delete, list.

use std::collections::BTreeMap;

use strongroom_base::{Error, JsonMap, Result, Ttl, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx};

use super::stored::{Kind, Role};
use super::{Gcp, token};
use crate::roles;
use crate::token_params::{TokenFields, TokenSettings};

/// Seconds until the end of a service account's token unless the role says otherwise.
const MAX_JWT_EXP: i64 = 15 * 60;

fields! {
    /// Creates or changes a role.
    pub struct PutRole {
        ..token: TokenFields;
        /// The role's name; its case does not matter.
        name: String,
        /// `iam` for service accounts, `gce` for instances; it can't be changed.
        r#type: Option<String>,
        /// Emails or unique ids of service accounts; for `iam`, a single `*` is all.
        bound_service_accounts (service_accounts): Option<Vec<String>>,
        /// Projects that accounts or instances must be of.
        bound_projects: Option<Vec<String>>,
        /// Older name of bound_projects, for one.
        project_id: Option<String>,
        /// Do logins belong to groups named by what their project lies in?
        add_group_aliases: Option<bool>,
        /// Seconds in which a token must end, at most an hour. For `iam`.
        max_jwt_exp: Option<Ttl>,
        /// May an instance's token stand for its service account? For `iam`.
        allow_gce_inference: Option<bool>,
        /// Zones. For `gce`.
        bound_zones: Option<Vec<String>>,
        /// Regions; without effect beside zones. For `gce`.
        bound_regions: Option<Vec<String>>,
        /// Instance groups in the zones or regions. For `gce`.
        bound_instance_groups: Option<Vec<String>>,
        /// Labels as `name:value`. For `gce`.
        bound_labels: Option<Vec<String>>,
        /// Older name of bound_zones, for one.
        bound_zone: Option<String>,
        /// Older name of bound_regions, for one.
        bound_region: Option<String>,
        /// Older name of bound_instance_groups, for one.
        bound_instance_group: Option<String>,
    }
}
roles::operations!(Gcp, Role, name);

/// Each once, sorted, without the empty one.
pub(super) fn tidy(mut list: Vec<String>) -> Vec<String> {
    list.retain(|text| !text.is_empty());
    list.sort();
    list.dedup();
    list
}

/// A list by its name, or its older name for one.
fn list(
    new: (&str, Option<Vec<String>>),
    old: (&str, Option<String>),
    warnings: &mut Vec<String>,
) -> Result<Option<Vec<String>>> {
    let Some(one) = old.1.filter(|one| !one.is_empty()) else { return Ok(new.1.map(tidy)) };
    if new.1.is_some() {
        return Err(Error::bad_request(format!(
            "only one of {} and {} can be given",
            new.0, old.0
        )));
    }
    warnings.push(format!("The {:?} field is deprecated. Please use {:?} instead.", old.0, new.0));
    Ok(Some(vec![one]))
}

/// Labels as `name:value`.
pub(super) fn labels(list: Vec<String>) -> Result<BTreeMap<String, String>> {
    let one = |text: &String| {
        let (name, value) = text.split_once(':')?;
        let (name, value) = (name.trim(), value.trim());
        (!name.is_empty() && !value.contains(':')).then(|| (name.to_owned(), value.to_owned()))
    };
    let labels = list.iter().filter(|text| !text.is_empty()).map(one).collect::<Option<_>>();
    labels.ok_or_else(|| Error::bad_request("invalid labels given: each is name:value"))
}

impl Command<PutRole> for Gcp {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let (name, old) = roles::begin::<Role>(cx, &op.name).await?;
        let kind = kind(old.as_deref(), op.r#type.as_deref())?;
        refuse_of_other(kind, &op)?;
        let mut role = old.as_deref().cloned().unwrap_or_else(|| fresh(cx.rng().uuid(), kind));
        let mut warnings = role.token.apply(op.token)?;
        let set = |value: &mut Vec<String>, given: Option<Vec<String>>| {
            if let Some(given) = given {
                *value = given;
            }
        };
        set(&mut role.service_accounts, op.bound_service_accounts.map(tidy));
        let projects = ("bound_projects", op.bound_projects);
        set(&mut role.projects, list(projects, ("project_id", op.project_id), &mut warnings)?);
        let zones = ("bound_zones", op.bound_zones);
        set(&mut role.zones, list(zones, ("bound_zone", op.bound_zone), &mut warnings)?);
        let regions = ("bound_regions", op.bound_regions);
        set(&mut role.regions, list(regions, ("bound_region", op.bound_region), &mut warnings)?);
        let groups = ("bound_instance_groups", op.bound_instance_groups);
        let group = ("bound_instance_group", op.bound_instance_group);
        set(&mut role.instance_groups, list(groups, group, &mut warnings)?);
        if let Some(given) = op.bound_labels {
            role.labels = labels(given)?;
        }
        role.add_group_aliases = op.add_group_aliases.unwrap_or(role.add_group_aliases);
        role.allow_gce_inference = op.allow_gce_inference.unwrap_or(role.allow_gce_inference);
        role.max_jwt_exp = op.max_jwt_exp.map_or(role.max_jwt_exp, |ttl| ttl.0);
        check(&role, &mut warnings)?;
        warnings.extend(open_to_all(&role));
        roles::check(cx, &role, &mut warnings)?;
        roles::put(cx, &name, &role, warnings)
    }
}

/// A role with Vault's defaults.
fn fresh(role_id: String, kind: Kind) -> Role {
    Role {
        role_id,
        kind,
        service_accounts: Vec::new(),
        projects: Vec::new(),
        add_group_aliases: false,
        max_jwt_exp: MAX_JWT_EXP,
        allow_gce_inference: true,
        zones: Vec::new(),
        regions: Vec::new(),
        instance_groups: Vec::new(),
        labels: BTreeMap::new(),
        token: TokenSettings::default(),
    }
}

fn kind(old: Option<&Role>, given: Option<&str>) -> Result<Kind> {
    let given = match given {
        None | Some("") => None,
        Some("iam") => Some(Kind::Iam),
        Some("gce") => Some(Kind::Gce),
        Some(_) => return Err(Error::bad_request("role type is invalid: it is iam or gce")),
    };
    match (old.map(|role| role.kind), given) {
        (Some(old), Some(given)) if old != given => {
            Err(Error::bad_request("role type cannot be changed for an existing role"))
        }
        (old, given) => {
            given.or(old).ok_or_else(|| Error::bad_request("role type cannot be empty"))
        }
    }
}

/// Refuses what is for roles of the other type.
fn refuse_of_other(kind: Kind, op: &PutRole) -> Result<()> {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let of_iam = [
        ("max_jwt_exp", op.max_jwt_exp.is_some()),
        ("allow_gce_inference", op.allow_gce_inference.is_some()),
    ];
    let of_gce = [
        ("bound_zones", some(&op.bound_zones)),
        ("bound_regions", some(&op.bound_regions)),
        ("bound_instance_groups", some(&op.bound_instance_groups)),
        ("bound_labels", some(&op.bound_labels)),
        ("bound_zone", text(&op.bound_zone)),
        ("bound_region", text(&op.bound_region)),
        ("bound_instance_group", text(&op.bound_instance_group)),
    ];
    let others = if kind == Kind::Iam { of_gce.as_slice() } else { of_iam.as_slice() };
    let given: Vec<&str> =
        others.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
    if given.is_empty() {
        return Ok(());
    }
    let (kind, given) = (kind.name(), given.join(","));
    Err(Error::bad_request(format!("invalid args found for role of type {kind}: {given}")))
}

/// Refuses what does not fit together.
pub(super) fn check(role: &Role, warnings: &mut Vec<String>) -> Result<()> {
    let refused = |why: String| Err(Error::bad_request(why));
    let (zones, regions) = (!role.zones.is_empty(), !role.regions.is_empty());
    match role.kind {
        Kind::Iam if role.service_accounts.is_empty() => {
            refused("IAM role type must have at least one service account".to_owned())
        }
        Kind::Iam
            if role.service_accounts.len() > 1
                && role.service_accounts.iter().any(|a| a == "*") =>
        {
            refused(
                "cannot provide IAM service account wildcard '*' (for all service accounts) with \
                 other service accounts"
                    .to_owned(),
            )
        }
        Kind::Iam if !(0..=token::MAX_MINUTES * 60).contains(&role.max_jwt_exp) => {
            refused(format!("max_jwt_exp cannot be more than {} minutes", token::MAX_MINUTES))
        }
        Kind::Gce if !role.instance_groups.is_empty() && !zones && !regions => refused(
            "region or zone information must be specified if an instance group is given".to_owned(),
        ),
        Kind::Gce if zones && regions => {
            warnings.push(
                "Given both \"bound_regions\" and \"bound_zones\" fields for role type \"gce\", \
                 \"bound_regions\" will be ignored in favor of the more specific \"bound_zones\" \
                 field."
                    .to_owned(),
            );
            Ok(())
        }
        Kind::Iam | Kind::Gce => Ok(()),
    }
}

/// What is said of a role that instances of anybody's projects fit.
fn open_to_all(role: &Role) -> Option<String> {
    let open =
        role.kind == Kind::Gce && role.projects.is_empty() && role.service_accounts.is_empty();
    let said = "the role has neither bound_projects nor bound_service_accounts: instances of any project \
                that the configured credentials may look into can log in";
    open.then(|| said.to_owned())
}

impl roles::Role for Role {
    fn token(&self) -> &TokenSettings {
        &self.token
    }

    fn show(&self, into: &mut JsonMap) {
        self.token.show(into);
        into.insert("role_id".to_owned(), self.role_id.as_str().into());
        into.insert("type".to_owned(), self.kind.name().into());
        into.insert("add_group_aliases".to_owned(), self.add_group_aliases.into());
        let lists = [
            ("bound_service_accounts", &self.service_accounts),
            ("bound_projects", &self.projects),
            ("bound_zones", &self.zones),
            ("bound_regions", &self.regions),
            ("bound_instance_groups", &self.instance_groups),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            into.insert(name.to_owned(), list.clone().into());
        }
        if !self.labels.is_empty() {
            let labels = self.labels.iter().map(|(n, v)| (n.clone(), v.as_str().into()));
            into.insert("bound_labels".to_owned(), labels.collect::<JsonMap>().into());
        }
        if self.kind == Kind::Iam {
            if self.max_jwt_exp != 0 {
                into.insert("max_jwt_exp".to_owned(), self.max_jwt_exp.into());
            }
            into.insert("allow_gce_inference".to_owned(), self.allow_gce_inference.into());
        }
    }

    fn period_beyond(period: &str, most: &str) -> String {
        format!(
            "'period' of '{period}' is greater than the backend's maximum lease TTL of '{most}'"
        )
    }
}
