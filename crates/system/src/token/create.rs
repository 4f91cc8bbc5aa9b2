//! Making tokens.

use std::collections::BTreeMap;

use strongroom_base::{Error, Result, SecretString, Ttl};
use strongroom_kernel::identity::LoggedIn;
use strongroom_kernel::pipeline::{auth_block, has_sudo};
use strongroom_kernel::plug::{Command, GrantAlias, ReadCx, Reply, TokenParams, WriteCx, ops};
use strongroom_kernel::policy::ROOT;
use strongroom_kernel::tokens::{Bounds, NewToken, Token, lifetime, suffix};

use super::roles::{self, Role};
use super::{TokenMethod, own, policies};

strongroom_base::fields! {
    /// Makes a token: a child of the caller's own, an orphan, or one as a role has it.
    pub struct CreateToken {
        /// The role (in the path).
        role_name: Option<String>,
        /// A chosen text of the token; needs sudo.
        id: Option<SecretString>,
        /// Policies; the caller's own without them.
        policies: Option<Vec<String>>,
        /// Metadata shown in look-ups and the audit log.
        meta: BTreeMap<String, String>,
        /// Make an orphan; needs sudo.
        no_parent: Option<bool>,
        /// Leave the default policy out.
        no_default_policy: Option<bool>,
        /// May it be renewed? True without it.
        renewable: Option<bool>,
        /// Time to live.
        ttl (lease): Option<Ttl>,
        /// A hard maximum over all renewals.
        explicit_max_ttl: Option<Ttl>,
        /// A name for people.
        display_name: Option<String>,
        /// Uses; 0 is without limit.
        num_uses: Option<i64>,
        /// No maximum, but this period between renewals; needs sudo.
        period: Option<Ttl>,
        /// service or batch.
        r#type: Option<String>,
        /// The entity it speaks for, by an alias that the role allows.
        entity_alias: Option<String>,
    }
}

ops! { CreateToken (), Write; }

fn refused<T>(text: &str) -> Result<T> {
    Err(Error::bad_request(text))
}

/// Seconds of a duration, not below zero.
fn positive(name: &str, ttl: &Option<Ttl>) -> Result<i64> {
    match ttl {
        Some(Ttl(seconds)) if *seconds < 0 => refused(&format!("{name} must be positive")),
        ttl => Ok(ttl.map_or(0, |Ttl(seconds)| seconds)),
    }
}

impl CreateToken {
    /// Batch or not: the role may decide, or only give the default.
    fn is_batch(&self, role: Option<&Role>) -> Result<bool> {
        let asked = self.r#type.as_deref().filter(|kind| !kind.is_empty());
        let kind = match role.map_or("", |role| role.params.token_type.as_str()) {
            "service" => "service",
            "batch" => "batch",
            "default-batch" => asked.unwrap_or("batch"),
            _ => asked.unwrap_or("service"),
        };
        match kind {
            "service" => Ok(false),
            "batch" => {
                let uses = self.num_uses.unwrap_or(0);
                for (name, value) in [
                    ("explicit_max_ttl", positive("explicit_max_ttl", &self.explicit_max_ttl)?),
                    ("num_uses", uses),
                    ("period", positive("period", &self.period)?),
                ] {
                    if value != 0 {
                        return refused(&format!("batch tokens cannot have \"{name}\" set"));
                    }
                }
                Ok(true)
            }
            _ => refused("invalid 'token_type' value"),
        }
    }

    fn display_name(&self) -> String {
        let Some(name) = self.display_name.as_deref().filter(|name| !name.is_empty()) else {
            return "token".to_owned();
        };
        let clean: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let full = format!("token-{clean}");
        full.strip_suffix('-').map_or(full.clone(), str::to_owned)
    }

    /// The chosen text, if the caller may choose one.
    async fn chosen_id(&mut self, cx: &ReadCx<'_>, sudo: bool) -> Result<Option<SecretString>> {
        let Some(id) = self.id.take().filter(|id| !id.expose_secret().is_empty()) else {
            return Ok(None);
        };
        if !sudo {
            return refused("root or sudo privileges required to specify token id");
        }
        if !cx.request.namespace.is_root() {
            return refused("token IDs can only be manually specified in the root namespace");
        }
        for prefix in ["hvs.", "hvb.", "s.", "b."] {
            if id.expose_secret().starts_with(prefix) {
                return refused(&format!("custom token ID cannot have the '{prefix}' prefix"));
            }
        }
        if id.expose_secret().contains('.') {
            return refused("custom token ID cannot have a '.' in the value");
        }
        if cx.kernel().tokens.is_taken(cx.kernel_tx(), &id).await? {
            return refused("cannot create a token with a duplicate ID");
        }
        Ok(Some(id))
    }

    /// The entity of the alias asked for, if one is.
    async fn entity(&self, cx: &ReadCx<'_>, role: Option<&Role>) -> Result<LoggedIn> {
        let Some(alias) = self.entity_alias.as_deref().filter(|alias| !alias.is_empty()) else {
            return Ok(LoggedIn::default());
        };
        let Some(role) = role else {
            return refused("'entity_alias' is only allowed in combination with token role");
        };
        if !role.allows_alias(alias) {
            return refused("invalid 'entity_alias' value");
        }
        let alias = GrantAlias { name: alias.to_owned(), ..GrantAlias::default() };
        let (services, request) = (cx.kernel(), cx.request);
        let found = services
            .identity
            .login(cx.kernel_tx(), &request.namespace, &request.mount, &alias, &[])
            .await?;
        let entity = services.identity.entity(request.namespace.scope, &found.id).await?;
        if entity.is_some_and(|entity| entity.disabled) {
            return Err(Error::denied());
        }
        Ok(found)
    }

    /// Limits of its life, with warnings about what call and role both say.
    fn bounds(
        &self,
        role: Option<&Role>,
        batch: bool,
        sudo: bool,
    ) -> Result<(Bounds, Vec<String>)> {
        let mut warnings = Vec::new();
        let mut explicit_max_ttl = positive("explicit_max_ttl", &self.explicit_max_ttl)?;
        let mut period = positive("period", &self.period)?;
        if period > 0 && !sudo {
            return refused("root or sudo privileges required to create periodic token");
        }
        let asked = positive("ttl", &self.ttl)?;
        if let Some(role) = role.filter(|_| !batch) {
            let sides = [
                ("Explicit max TTL", &mut explicit_max_ttl, role.params.explicit_max_ttl),
                ("Period", &mut period, role.params.period),
            ];
            for (name, of_call, of_role) in sides {
                if of_role == 0 {
                    continue;
                }
                if *of_call == 0 {
                    *of_call = of_role;
                    continue;
                }
                *of_call = of_role.min(*of_call);
                warnings.push(format!(
                    "{name} specified both during creation call and in role; using the lesser \
                     value of {of_call} seconds"
                ));
            }
        }
        Ok((Bounds { asked, period, explicit_max_ttl, ..Bounds::default() }, warnings))
    }
}

/// The caller's token, if it may have children.
fn parent_of(cx: &ReadCx<'_>) -> Result<std::sync::Arc<Token>> {
    let parent = own(cx)?;
    if parent.inline {
        return refused("requests with inline authentication cannot create tokens");
    }
    if parent.batch {
        return refused("batch tokens cannot create more tokens");
    }
    if parent.num_uses != 0 {
        return refused("restricted use token cannot generate child tokens");
    }
    Ok(parent)
}

/// A namespace's first tokens come from above: with sudo, and never with `root`.
fn check_from_above(op: &CreateToken, sudo: bool) -> Result<()> {
    if !sudo {
        return refused(
            "root or sudo privileges required to directly generate a token in a child namespace",
        );
    }
    let asked = op.policies.iter().flatten();
    if asked.into_iter().any(|p| p.trim().eq_ignore_ascii_case(ROOT)) {
        return refused("root tokens may not be created from a parent namespace");
    }
    Ok(())
}

impl Command<CreateToken> for TokenMethod {
    async fn command(&self, cx: &mut WriteCx<'_>, mut op: CreateToken) -> Result<Reply<()>> {
        let request = cx.request;
        let parent = parent_of(cx)?;
        let role = match request.path.strip_prefix("create/") {
            Some(name) => {
                let role = roles::read(cx, name).await?;
                // The name stands in the path: it is no secret.
                Some(role.ok_or_else(|| Error::bad_request(format!("unknown role {name}")))?)
            }
            None => None,
        };
        let role = role.as_ref();
        let sudo = has_sudo(cx).await?;
        let from_above = parent.namespace != request.namespace.scope;
        if from_above {
            check_from_above(&op, sudo)?;
        }
        let batch = op.is_batch(role)?;
        let num_uses = op.num_uses.unwrap_or(0);
        if num_uses < 0 {
            return refused("number of uses cannot be negative");
        }
        let alias_entity = op.entity(cx, role).await?;
        let id = op.chosen_id(cx, sudo).await?;
        let policies = policies::resolve(policies::Asked {
            policies: op.policies.take().unwrap_or_default(),
            no_default: op.no_default_policy.unwrap_or(false),
            parent: &parent.policies,
            from_above,
            sudo,
            role,
        })?;
        let root = policies.iter().any(|p| p == ROOT);
        if root && !parent.is_root() {
            return refused("root tokens may not be created without parent token being root");
        }
        if root && batch {
            return refused("batch tokens cannot be root tokens");
        }
        let orphan = match role {
            Some(role) => role.orphan,
            None if op.no_parent.unwrap_or(false) => {
                if !sudo {
                    return refused("root or sudo privileges required to create orphan token");
                }
                true
            }
            None => request.path == "create-orphan",
        };
        let (mut bounds, mut warnings) = op.bounds(role, batch, sudo)?;
        (bounds.mount_ttl, bounds.mount_max_ttl) = cx.ttls();
        let mut ttl = 0;
        if !root || bounds.period > 0 || bounds.asked > 0 {
            let life = lifetime(bounds, request.now, request.now)
                .ok_or_else(|| Error::bad_request("max TTL must be greater than zero"))?;
            ttl = life.ttl;
            warnings.extend(life.warnings);
        } else if bounds.explicit_max_ttl > 0 {
            ttl = bounds.explicit_max_ttl;
        }
        if ttl == 0 && parent.ttl != 0 {
            return refused("expiring root tokens cannot create non-expiring root tokens");
        }
        let bound_cidrs = match role {
            _ if ttl == 0 => Vec::new(),
            Some(role) => role.params.bound_cidrs.clone(),
            None if orphan => Vec::new(),
            None => parent.bound_cidrs.clone(),
        };
        let uses_of_role = role.map_or(0, |role| role.params.num_uses);
        let mut path = request.full_path.clone();
        if let Some(suffix) = role.map(|r| &r.path_suffix).filter(|s| !s.is_empty()) {
            path = format!("{path}/{suffix}");
        }
        let new = NewToken {
            display_name: op.display_name(),
            params: TokenParams {
                bound_cidrs,
                explicit_max_ttl: positive("explicit_max_ttl", &op.explicit_max_ttl)?,
                period: positive("period", &op.period)?,
                num_uses: match (num_uses, uses_of_role) {
                    (0, of_role) => of_role,
                    (of_call, 0) => of_call,
                    (of_call, of_role) => of_call.min(of_role),
                },
                ..TokenParams::default()
            },
            policies,
            metadata: std::mem::take(&mut op.meta),
            namespace: request.namespace.scope,
            mount: request.mount.scope,
            path,
            parent: match orphan {
                true => None,
                false => Some(cx.kernel().tokens.hold_parent(cx.kernel_tx(), &parent).await?),
            },
            entity_id: match (alias_entity.id.as_str(), orphan) {
                ("", false) => parent.entity_id.clone(),
                _ => alias_entity.id.clone(),
            },
            role: role.map_or_else(String::new, |_| {
                request.path.strip_prefix("create/").unwrap_or("").to_owned()
            }),
            batch,
            renewable: op.renewable.unwrap_or(true)
                && !batch
                && ttl > 0
                && role.is_none_or(|role| role.renewable),
            ttl,
            id,
            no_identity_policies: parent.no_identity_policies && !orphan,
            ..NewToken::default()
        };
        finish(cx, new, alias_entity, warnings).await
    }
}

/// Makes the token and its answer.
async fn finish(
    cx: &ReadCx<'_>,
    new: NewToken,
    alias_entity: LoggedIn,
    mut warnings: Vec<String>,
) -> Result<Reply<()>> {
    let (services, request) = (cx.kernel(), cx.request);
    for policy in &new.policies {
        if !services.policies.has(request.namespace.scope, policy).await? {
            warnings.push(format!("Policy \"{policy}\" does not exist"));
        }
    }
    let suffix = suffix(&request.namespace);
    let created = services.tokens.create(cx.kernel_tx(), new, &suffix, request.now)?;
    let identity = if alias_entity.id.is_empty() {
        let entity = services.identity.entity(request.namespace.scope, &created.token.entity_id);
        entity.await?.map_or_else(Vec::new, |entity| entity.policies.clone())
    } else {
        alias_entity.policies()
    };
    Ok(Reply::auth(auth_block(created, identity)).warnings(warnings))
}
