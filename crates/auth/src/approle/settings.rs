//! A role's settings one by one: each can be read, written and set back by a path of its own.

use strongroom_base::{Error, Json, JsonMap, Result, Ttl, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::tokens::normalise_policies;

use super::AppRole;
use super::roles::{check_period, no_such_role};
use super::stored::{self, Role};
use crate::token_params::{TokenFields, TokenSettings, read_cidrs};

async fn read(cx: &ReadCx<'_>, name: &str, show: fn(&Role) -> JsonMap) -> Result<Reply<JsonMap>> {
    let role = stored::role(&cx.view(), name).await?.ok_or_else(Error::not_found)?;
    Ok(Reply::data(show(&role)))
}

async fn change(
    cx: &mut WriteCx<'_>,
    name: &str,
    change: impl FnOnce(&mut Role) -> Result<()>,
) -> Result<Reply<()>> {
    cx.queue(&name.to_lowercase()).await;
    let old = stored::role(&cx.view(), name).await?.ok_or_else(no_such_role)?;
    let mut role = (*old).clone();
    change(&mut role)?;
    check_period(&role, cx.ttls().1)?;
    stored::put_role(cx, &role, Some(&old.role_id)).await?;
    Ok(Reply::none())
}

async fn set_back(cx: &mut WriteCx<'_>, name: &str, clear: fn(&mut Role)) -> Result<Reply<()>> {
    if stored::role(&cx.view(), name).await?.is_none() {
        return Ok(Reply::none());
    }
    change(cx, name, |role| {
        clear(role);
        Ok(())
    })
    .await
}

fn map(members: impl IntoIterator<Item = (&'static str, Json)>) -> JsonMap {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The members called `names` of what reading the whole role shows of its token parameters.
fn token(role: &Role, names: &[&str]) -> JsonMap {
    let mut all = JsonMap::new();
    role.token.show(&mut all);
    all.into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect()
}

fn missing(name: &str) -> Error {
    Error::bad_request(format!("missing {name}"))
}

fn apply(settings: &mut TokenSettings, fields: TokenFields) -> Result<()> {
    settings.apply(fields).map(|_| ())
}

/// Defines the three operations of one setting.
macro_rules! setting {
    (
        $read:ident, $put:ident, $reset:ident, $help:literal,
        { $( $field:ident : $ty:ty ),+ },
        show: $show:expr, set: $set:expr, clear: $clear:expr
    ) => {
        fields! {
            #[doc = "Reads the setting of a role: "]
            #[doc = $help]
            pub struct $read {
                /// The role's name.
                role_name: String,
            }
        }
        fields! {
            #[doc = "Sets the setting of a role: "]
            #[doc = $help]
            pub struct $put {
                /// The role's name.
                role_name: String,
                $(
                    #[doc = $help]
                    $field: Option<$ty>
                ),+
            }
        }
        fields! {
            #[doc = "Sets back to its default the setting of a role: "]
            #[doc = $help]
            pub struct $reset {
                /// The role's name.
                role_name: String,
            }
        }
        ops! {
            $read JsonMap, Read;
            $put (), Write;
            $reset (), Delete;
        }
        impl Query<$read> for AppRole {
            async fn query(&self, cx: &ReadCx<'_>, op: $read) -> Result<Reply<JsonMap>> {
                read(cx, &op.role_name, $show).await
            }
        }
        impl Command<$put> for AppRole {
            async fn command(&self, cx: &mut WriteCx<'_>, op: $put) -> Result<Reply<()>> {
                let set: fn(&mut Role, $put) -> Result<()> = $set;
                let name = op.role_name.clone();
                change(cx, &name, |role| set(role, op)).await
            }
        }
        impl Command<$reset> for AppRole {
            async fn command(&self, cx: &mut WriteCx<'_>, op: $reset) -> Result<Reply<()>> {
                set_back(cx, &op.role_name, $clear).await
            }
        }
    };
}

setting!(ReadPolicies, PutPolicies, ResetPolicies, "policies of its tokens.",
    { token_policies: Vec<String>, policies: Vec<String> },
    show: |role| token(role, &["token_policies", "policies"]),
    set: |role, op| {
        if op.token_policies.is_none() && op.policies.is_none() {
            return Err(missing("token_policies"));
        }
        let token_policies = op.token_policies.map(normalise_policies);
        apply(&mut role.token, TokenFields { token_policies, policies: op.policies, ..TokenFields::none() })
    },
    clear: |role| {
        role.token.params.policies.clear();
    }
);
setting!(ReadBoundCidrList, PutBoundCidrList, ResetBoundCidrList,
    "older name of secret_id_bound_cidrs.",
    { bound_cidr_list: Vec<String> },
    show: |role| map([("bound_cidr_list", super::list_or_null(role.secret_id_bound_cidrs.clone()))]),
    set: |role, op| {
        let cidrs = op.bound_cidr_list.filter(|c| !c.is_empty());
        let cidrs = cidrs.ok_or_else(|| missing("bound_cidr_list"))?;
        role.secret_id_bound_cidrs = read_cidrs("bound_cidr_list", cidrs)?;
        Ok(())
    },
    clear: |role| role.secret_id_bound_cidrs.clear()
);
setting!(ReadSecretIdBoundCidrs, PutSecretIdBoundCidrs, ResetSecretIdBoundCidrs,
    "CIDR blocks that logins may come from.",
    { secret_id_bound_cidrs: Vec<String> },
    show: |role| {
        let cidrs = role.secret_id_bound_cidrs.clone();
        map([("secret_id_bound_cidrs", super::list_or_null(cidrs))])
    },
    set: |role, op| {
        let cidrs = op.secret_id_bound_cidrs.filter(|c| !c.is_empty());
        let cidrs = cidrs.ok_or_else(|| missing("bound_cidr_list"))?;
        role.secret_id_bound_cidrs = read_cidrs("secret_id_bound_cidrs", cidrs)?;
        Ok(())
    },
    clear: |role| role.secret_id_bound_cidrs.clear()
);
setting!(ReadTokenBoundCidrs, PutTokenBoundCidrs, ResetTokenBoundCidrs,
    "CIDR blocks from which its tokens may be used.",
    { token_bound_cidrs: Vec<String> },
    show: |role| token(role, &["token_bound_cidrs"]),
    set: |role, op| {
        apply(&mut role.token, TokenFields { token_bound_cidrs: op.token_bound_cidrs, ..TokenFields::none() })
    },
    clear: |role| role.token.params.bound_cidrs.clear()
);
setting!(ReadBindSecretId, PutBindSecretId, ResetBindSecretId, "must a login bring a secret id?",
    { bind_secret_id: bool },
    show: |role| map([("bind_secret_id", role.bind_secret_id.into())]),
    set: |role, op| {
        role.bind_secret_id = op.bind_secret_id.ok_or_else(|| missing("bind_secret_id"))?;
        Ok(())
    },
    clear: |role| role.bind_secret_id = true
);
setting!(ReadSecretIdNumUses, PutSecretIdNumUses, ResetSecretIdNumUses, "uses of each secret id.",
    { secret_id_num_uses: i64 },
    show: |role| map([("secret_id_num_uses", role.secret_id_num_uses.into())]),
    set: |role, op| {
        let uses = op.secret_id_num_uses.ok_or_else(|| missing("secret_id_num_uses"))?;
        if uses < 0 {
            return Err(Error::bad_request("secret_id_num_uses cannot be negative"));
        }
        role.secret_id_num_uses = uses;
        Ok(())
    },
    clear: |role| role.secret_id_num_uses = 0
);
setting!(ReadSecretIdTtl, PutSecretIdTtl, ResetSecretIdTtl, "seconds that each secret id lives.",
    { secret_id_ttl: Ttl },
    show: |role| map([("secret_id_ttl", role.secret_id_ttl.into())]),
    set: |role, op| {
        role.secret_id_ttl = op.secret_id_ttl.ok_or_else(|| missing("secret_id_ttl"))?.0;
        Ok(())
    },
    clear: |role| role.secret_id_ttl = 0
);
setting!(ReadPeriod, PutPeriod, ResetPeriod, "seconds of each renewal of a periodic token.",
    { token_period: Ttl, period: Ttl },
    show: |role| token(role, &["token_period", "period"]),
    set: |role, op| {
        if op.token_period.is_none() && op.period.is_none() {
            return Err(missing("period"));
        }
        let (token_period, period) = (op.token_period, op.period);
        apply(&mut role.token, TokenFields { token_period, period, ..TokenFields::none() })
    },
    clear: |role| role.token.params.period = 0
);
setting!(ReadTokenNumUses, PutTokenNumUses, ResetTokenNumUses, "uses of its tokens.",
    { token_num_uses: i64 },
    show: |role| token(role, &["token_num_uses"]),
    set: |role, op| {
        let token_num_uses = Some(op.token_num_uses.ok_or_else(|| missing("token_num_uses"))?);
        apply(&mut role.token, TokenFields { token_num_uses, ..TokenFields::none() })
    },
    clear: |role| role.token.params.num_uses = 0
);
setting!(ReadTokenTtl, PutTokenTtl, ResetTokenTtl, "seconds that its tokens live at first.",
    { token_ttl: Ttl },
    show: |role| token(role, &["token_ttl"]),
    set: |role, op| {
        let token_ttl = Some(op.token_ttl.ok_or_else(|| missing("token_ttl"))?);
        apply(&mut role.token, TokenFields { token_ttl, ..TokenFields::none() })
    },
    clear: |role| role.token.params.ttl = 0
);
setting!(ReadTokenMaxTtl, PutTokenMaxTtl, ResetTokenMaxTtl,
    "most seconds that its tokens live.",
    { token_max_ttl: Ttl },
    show: |role| token(role, &["token_max_ttl"]),
    set: |role, op| {
        let token_max_ttl = Some(op.token_max_ttl.ok_or_else(|| missing("token_max_ttl"))?);
        apply(&mut role.token, TokenFields { token_max_ttl, ..TokenFields::none() })
    },
    clear: |role| role.token.params.max_ttl = 0
);

fields! {
    /// Tells whether a role's secret ids stay in this cluster.
    pub struct ReadLocalSecretIds {
        /// The role's name.
        role_name: String,
    }
}
ops! { ReadLocalSecretIds JsonMap, Read; }
impl Query<ReadLocalSecretIds> for AppRole {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadLocalSecretIds) -> Result<Reply<JsonMap>> {
        read(cx, &op.role_name, |role| map([("local_secret_ids", role.local_secret_ids.into())]))
            .await
    }
}

macro_rules! routes {
    ($spec:expr, $( $path:literal: $read:ident, $put:ident, $reset:ident; )+) => {
        $spec $(
            .query::<$read>(concat!("role/{role_name}/", $path))
            .command::<$put>(concat!("role/{role_name}/", $path))
            .command::<$reset>(concat!("role/{role_name}/", $path))
        )+
    };
}

pub(super) fn add(spec: EngineSpec<AppRole>) -> EngineSpec<AppRole> {
    let spec = routes! { spec,
        "policies": ReadPolicies, PutPolicies, ResetPolicies;
        "bound-cidr-list": ReadBoundCidrList, PutBoundCidrList, ResetBoundCidrList;
        "secret-id-bound-cidrs":
            ReadSecretIdBoundCidrs, PutSecretIdBoundCidrs, ResetSecretIdBoundCidrs;
        "token-bound-cidrs": ReadTokenBoundCidrs, PutTokenBoundCidrs, ResetTokenBoundCidrs;
        "bind-secret-id": ReadBindSecretId, PutBindSecretId, ResetBindSecretId;
        "secret-id-num-uses": ReadSecretIdNumUses, PutSecretIdNumUses, ResetSecretIdNumUses;
        "secret-id-ttl": ReadSecretIdTtl, PutSecretIdTtl, ResetSecretIdTtl;
        "period": ReadPeriod, PutPeriod, ResetPeriod;
        "token-num-uses": ReadTokenNumUses, PutTokenNumUses, ResetTokenNumUses;
        "token-ttl": ReadTokenTtl, PutTokenTtl, ResetTokenTtl;
        "token-max-ttl": ReadTokenMaxTtl, PutTokenMaxTtl, ResetTokenMaxTtl;
    };
    spec.query::<ReadLocalSecretIds>("role/{role_name}/local-secret-ids")
}
