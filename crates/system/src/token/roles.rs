//! Token roles: what tokens made through one may be, set apart from what their maker may.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Result, Ttl, glob};
use strongroom_kernel::plug::{Command, Exists, Query, ReadCx, Reply, TokenParams, WriteCx, ops};
use strongroom_kernel::record::Record;
use strongroom_kernel::tokens::{normalise_policies, parse_cidr};

use super::TokenMethod;
use super::accessors::Keys;

/// A token role as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Role {
    /// Policies its tokens may have.
    pub allowed_policies: Vec<String>,
    /// As globs.
    pub allowed_policies_glob: Vec<String>,
    /// Policies its tokens may not have.
    pub disallowed_policies: Vec<String>,
    /// As globs.
    pub disallowed_policies_glob: Vec<String>,
    /// Are its tokens orphans?
    pub orphan: bool,
    /// May its tokens be renewed?
    pub renewable: bool,
    /// Follows the path of its tokens.
    pub path_suffix: String,
    /// Entity aliases that may be asked for, lower case; `None` was never set.
    pub allowed_entity_aliases: Option<Vec<String>>,
    /// `token_*`.
    pub params: TokenParams,
    /// The period under its old name.
    pub period: i64,
    /// The explicit maximum under its old name.
    pub explicit_max_ttl: i64,
    /// The CIDR blocks under their old name.
    pub bound_cidrs: Vec<String>,
}

impl Record for Role {
    const KIND: u8 = 1;
}

impl Role {
    /// Does it say anything about policies?
    pub fn limits_policies(&self) -> bool {
        self.allows_some()
            || !self.disallowed_policies.is_empty()
            || !self.disallowed_policies_glob.is_empty()
    }

    /// Does it list policies that may be had?
    pub fn allows_some(&self) -> bool {
        !self.allowed_policies.is_empty() || !self.allowed_policies_glob.is_empty()
    }

    /// Does one of its globs allow `policy`?
    pub fn allows_by_glob(&self, policy: &str) -> bool {
        self.allowed_policies_glob.iter().any(|g| glob(g, policy))
    }

    /// Does it forbid `policy`?
    pub fn disallows(&self, policy: &str) -> bool {
        self.disallowed_policies.iter().any(|p| p == policy)
            || self.disallowed_policies_glob.iter().any(|g| glob(g, policy))
    }

    /// May a caller ask for the entity of `alias`?
    pub fn allows_alias(&self, alias: &str) -> bool {
        let alias = alias.to_lowercase();
        self.allowed_entity_aliases.iter().flatten().any(|g| glob(g, &alias))
    }
}

/// The role called `name` of this mount.
pub async fn read(cx: &ReadCx<'_>, name: &str) -> Result<Option<Role>> {
    cx.view().named::<Role>(0, name).await
}

strongroom_base::fields! {
    /// Creates or changes a token role.
    pub struct PutRole {
        /// The role's name.
        role_name: String,
        /// Policies its tokens may have, instead of their maker's.
        allowed_policies: Option<Vec<String>>,
        /// The same, as globs.
        allowed_policies_glob: Option<Vec<String>>,
        /// Policies its tokens may not have.
        disallowed_policies: Option<Vec<String>>,
        /// The same, as globs.
        disallowed_policies_glob: Option<Vec<String>>,
        /// Are its tokens orphans?
        orphan: Option<bool>,
        /// May its tokens be renewed? True without it.
        renewable: Option<bool>,
        /// Follows the path of its tokens, for revocation by prefix.
        path_suffix: Option<String>,
        /// Entity aliases that may be asked for; globs.
        allowed_entity_aliases: Option<Vec<String>>,
        /// Addresses its tokens may be used from.
        token_bound_cidrs: Option<Vec<String>>,
        /// Older name of token_bound_cidrs.
        bound_cidrs: Option<Vec<String>>,
        /// A hard maximum over all renewals.
        token_explicit_max_ttl: Option<Ttl>,
        /// Older name of token_explicit_max_ttl.
        explicit_max_ttl: Option<Ttl>,
        /// Its tokens have no maximum, but this period between renewals.
        token_period: Option<Ttl>,
        /// Older name of token_period.
        period: Option<Ttl>,
        /// Do its tokens go without the default policy?
        token_no_default_policy: Option<bool>,
        /// Uses of its tokens; 0 is without limit.
        token_num_uses: Option<i64>,
        /// service, batch, default-service or default-batch.
        token_type: Option<String>,
    }
}

ops! { PutRole (), Write; }

impl Exists<PutRole> for TokenMethod {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.first().map_or("", |(_, name)| name.as_str());
        Ok(read(cx, name).await?.is_some())
    }
}

/// A suffix that Vault's `\w[\w-.]+\w` takes: three characters at least.
fn check_suffix(suffix: &str) -> Result<()> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let inner = suffix.chars().all(|c| word(c) || matches!(c, '-' | '.'));
    if suffix.is_empty() {
        return Ok(());
    }
    if suffix.contains("..") {
        return Err(Error::bad_request(
            "error registering path suffix: path cannot contain parent references",
        ));
    }
    if !inner || suffix.len() < 3 || !suffix.starts_with(word) || !suffix.ends_with(word) {
        return Err(Error::bad_request(
            "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w",
        ));
    }
    Ok(())
}

/// CIDR blocks in one spelling: a single address without its length.
fn cidrs(name: &str, list: &[String]) -> Result<Vec<String>> {
    list.iter()
        .map(|text| match parse_cidr(text) {
            Some(net) if net.prefix_len() == net.max_prefix_len() => Ok(net.addr().to_string()),
            Some(net) => Ok(net.trunc().to_string()),
            None => Err(Error::bad_request(format!(
                "error parsing {name}: an entry is neither an address nor a CIDR block"
            ))),
        })
        .collect()
}

fn seconds(name: &str, ttl: Option<Ttl>) -> Result<Option<i64>> {
    match ttl {
        Some(Ttl(seconds)) if seconds < 0 => {
            Err(Error::bad_request(format!("'{name}' cannot be negative")))
        }
        ttl => Ok(ttl.map(|Ttl(seconds)| seconds)),
    }
}

fn both(name: &str) -> String {
    format!(
        "Both 'token_{name}' and deprecated '{name}' value supplied, ignoring the deprecated value"
    )
}

fn lower(names: Vec<String>) -> Vec<String> {
    normalise_policies(names)
}

impl PutRole {
    /// Changes `role`; answers warnings.
    fn apply(self, role: &mut Role, max_lease_ttl: i64) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        if let Some(suffix) = self.path_suffix {
            check_suffix(&suffix)?;
            role.path_suffix = suffix;
        }
        let lists = [
            (self.allowed_policies, &mut role.allowed_policies),
            (self.allowed_policies_glob, &mut role.allowed_policies_glob),
            (self.disallowed_policies, &mut role.disallowed_policies),
            (self.disallowed_policies_glob, &mut role.disallowed_policies_glob),
        ];
        for (given, kept) in lists {
            if let Some(given) = given {
                *kept = lower(given);
            }
        }
        role.orphan = self.orphan.unwrap_or(role.orphan);
        role.renewable = self.renewable.unwrap_or(role.renewable);
        if let Some(aliases) = self.allowed_entity_aliases {
            role.allowed_entity_aliases = Some(lower(aliases));
        }
        match (self.token_bound_cidrs, self.bound_cidrs) {
            (Some(new), old) => {
                role.params.bound_cidrs = cidrs("token_bound_cidrs", &new)?;
                role.bound_cidrs.clear();
                warnings.extend(old.map(|_| both("bound_cidrs")));
            }
            (None, Some(old)) => {
                role.bound_cidrs = cidrs("bound_cidrs", &old)?;
                role.params.bound_cidrs.clone_from(&role.bound_cidrs);
            }
            (None, None) => {}
        }
        let old = seconds("period", self.period)?;
        match (seconds("token_period", self.token_period)?, old) {
            (Some(new), old) => {
                (role.params.period, role.period) = (new, 0);
                warnings.extend(old.map(|_| both("period")));
            }
            (None, Some(old)) => (role.params.period, role.period) = (old, old),
            (None, None) => {}
        }
        let old = seconds("explicit_max_ttl", self.explicit_max_ttl)?;
        match (seconds("token_explicit_max_ttl", self.token_explicit_max_ttl)?, old) {
            (Some(new), old) => {
                (role.params.explicit_max_ttl, role.explicit_max_ttl) = (new, 0);
                warnings.extend(old.map(|_| both("explicit_max_ttl")));
            }
            (None, Some(old)) => (role.params.explicit_max_ttl, role.explicit_max_ttl) = (old, old),
            (None, None) => {}
        }
        if max_lease_ttl > 0 && role.params.explicit_max_ttl > max_lease_ttl {
            warnings.push(format!(
                "Given explicit max TTL of {} is greater than system/mount allowed value of \
                 {max_lease_ttl} seconds; until this is fixed attempting to create tokens against \
                 this role will result in an error",
                role.params.explicit_max_ttl
            ));
        }
        if let Some(uses) = self.token_num_uses {
            if uses < 0 {
                return Err(Error::bad_request(
                    "error parsing role fields: 'token_num_uses' cannot be negative",
                ));
            }
            role.params.num_uses = uses;
        }
        if let Some(on) = self.token_no_default_policy {
            role.params.no_default_policy = on;
        }
        if let Some(kind) = self.token_type {
            if !["service", "batch", "default-service", "default-batch"].contains(&kind.as_str()) {
                return Err(Error::bad_request("invalid 'token_type' value"));
            }
            role.params.token_type = kind;
        }
        check_batch(role)?;
        Ok(warnings)
    }
}

/// A role of batch tokens cannot promise what they cannot do.
fn check_batch(role: &Role) -> Result<()> {
    if role.params.token_type != "batch" {
        return Ok(());
    }
    let what = if !role.orphan {
        "non-orphan tokens"
    } else if role.params.period != 0 {
        "periodic tokens"
    } else if role.renewable {
        "renewable tokens"
    } else if role.params.explicit_max_ttl != 0 {
        "tokens with an explicit max TTL"
    } else {
        return Ok(());
    };
    Err(Error::bad_request(format!(
        "'token_type' cannot be 'batch' when role is set to generate {what}"
    )))
}

impl Command<PutRole> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let mut role = read(cx, &op.role_name).await?.unwrap_or_else(|| Role {
            renewable: true,
            params: TokenParams {
                token_type: "default-service".to_owned(),
                ..TokenParams::default()
            },
            ..Role::default()
        });
        let name = op.role_name.clone();
        let warnings = op.apply(&mut role, cx.ttls().1)?;
        cx.edit().put_named(0, &name, &role)?;
        Ok(Reply::none().warnings(warnings))
    }
}

strongroom_base::fields! {
    /// Shows a token role.
    pub struct ReadRole {
        /// The role's name.
        role_name: String,
    }
}

ops! { ReadRole RoleView, Read; }

/// A token role as it is shown.
#[derive(Serialize)]
pub struct RoleView {
    allowed_entity_aliases: Option<Vec<String>>,
    allowed_policies: Vec<String>,
    allowed_policies_glob: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bound_cidrs: Vec<String>,
    disallowed_policies: Vec<String>,
    disallowed_policies_glob: Vec<String>,
    explicit_max_ttl: i64,
    name: String,
    orphan: bool,
    path_suffix: String,
    period: i64,
    renewable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    token_bound_cidrs: Vec<String>,
    token_explicit_max_ttl: i64,
    token_no_default_policy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_num_uses: Option<i64>,
    token_period: i64,
    token_type: String,
}

impl Query<ReadRole> for TokenMethod {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<RoleView>> {
        let role = read(cx, &op.role_name).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(RoleView {
            allowed_entity_aliases: role.allowed_entity_aliases,
            allowed_policies: role.allowed_policies,
            allowed_policies_glob: role.allowed_policies_glob,
            bound_cidrs: role.bound_cidrs,
            disallowed_policies: role.disallowed_policies,
            disallowed_policies_glob: role.disallowed_policies_glob,
            explicit_max_ttl: role.explicit_max_ttl,
            name: op.role_name,
            orphan: role.orphan,
            path_suffix: role.path_suffix,
            period: role.period,
            renewable: role.renewable,
            token_bound_cidrs: role.params.bound_cidrs,
            token_explicit_max_ttl: role.params.explicit_max_ttl,
            token_no_default_policy: role.params.no_default_policy,
            token_num_uses: (role.params.num_uses > 0).then_some(role.params.num_uses),
            token_period: role.params.period,
            token_type: role.params.token_type,
        }))
    }
}

strongroom_base::fields! {
    /// Lists token roles.
    pub struct ListRoles {}
}

ops! { ListRoles Keys, List; }

impl Query<ListRoles> for TokenMethod {
    async fn query(&self, cx: &ReadCx<'_>, _: ListRoles) -> Result<Reply<Keys>> {
        let names = cx.view().names::<Role>(0).await?;
        if names.is_empty() {
            return Err(Error::not_found());
        }
        Ok(Reply::data(Keys { keys: names.to_vec() }))
    }
}

strongroom_base::fields! {
    /// Deletes a token role. Its tokens live on, but are not renewed any more.
    pub struct DeleteRole {
        /// The role's name.
        role_name: String,
    }
}

ops! { DeleteRole (), Delete; }

impl Command<DeleteRole> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.edit().delete_named::<Role>(0, &op.role_name);
        Ok(Reply::none())
    }
}
