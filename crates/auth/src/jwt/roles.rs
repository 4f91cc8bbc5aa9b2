//! Roles: create, change, read, delete, list.

use std::collections::BTreeMap;

use strongroom_base::duration::format_go_seconds;
use strongroom_base::{Error, Field, FieldKind, Json, JsonMap, Result, Ttl, fields};
use strongroom_kernel::plug::lists::{self, Keys};
use strongroom_kernel::plug::names;
use strongroom_kernel::plug::{
    Command, EngineSpec, Exists, Op, Query, ReadCx, Reply, Verb, WriteCx,
};

use super::stored::{self, Role};
use super::{Jwt, claims, policies};
use crate::token_params::TokenFields;

/// Seconds that may be below zero: `-1`, `"-1"`, `"90s"`.
pub struct Leeway(i64);

impl Field for Leeway {
    const KIND: FieldKind = FieldKind::Duration;
    fn read(value: &Json) -> Result<Self, &'static str> {
        i64::read(value).or_else(|_| Ttl::read(value).map(|ttl| ttl.0)).map(Self)
    }
}

/// An object, or its text, as command lines give it.
pub struct Object(JsonMap);

impl Field for Object {
    const KIND: FieldKind = FieldKind::Object;
    fn read(value: &Json) -> Result<Self, &'static str> {
        match value {
            Json::Object(map) => Ok(Self(map.clone())),
            Json::String(text) => match strongroom_base::json::parse_bounded(text.as_bytes()) {
                Ok(Json::Object(map)) => Ok(Self(map)),
                _ => Err("an object"),
            },
            _ => Err("an object"),
        }
    }
}

fields! {
    /// Creates or changes a role.
    pub struct PutRole {
        ..token: TokenFields;
        /// The role's name; its case does not matter.
        name: String,
        /// `oidc` for people in a browser, or `jwt` for programs that have a token.
        role_type: Option<String>,
        /// Seconds that a token without `exp` lives; 0 for 150, -1 for none.
        expiration_leeway: Option<Leeway>,
        /// Seconds before its other times that a token without `nbf` lives; 0 for 150, -1 for none.
        not_before_leeway: Option<Leeway>,
        /// Seconds that clocks may differ; 0 for 60, -1 for none.
        clock_skew_leeway: Option<Leeway>,
        /// What `sub` must be.
        bound_subject: Option<String>,
        /// Audiences, one of which must be in `aud`.
        bound_audiences: Option<Vec<String>>,
        /// How values of `bound_claims` are meant: `string` or `glob`.
        bound_claims_type: Option<String>,
        /// What other claims must be.
        bound_claims: Option<Object>,
        /// From claims to metadata of the token.
        claim_mappings: Option<BTreeMap<String, String>>,
        /// Tokens of the provider that go into the metadata of ours.
        oauth2_metadata: Option<Vec<String>>,
        /// The claim that names the caller.
        user_claim: Option<String>,
        /// Is `user_claim` a JSON pointer?
        user_claim_json_pointer: Option<bool>,
        /// The claim that names the caller's groups.
        groups_claim: Option<String>,
        /// Scopes to ask for beside `openid`.
        oidc_scopes: Option<Vec<String>>,
        /// Where the provider may send the browser.
        allowed_redirect_uris: Option<Vec<String>>,
        /// Where the provider answers to: `client`, `direct` (this server) or `device`.
        callback_mode: Option<String>,
        /// Seconds between two polls; the provider's, or 5, if not given.
        poll_interval: Option<i64>,
        /// Has no effect: what a provider answers is never logged.
        verbose_oidc_logging: Option<bool>,
        /// Seconds since the person was asked for a password last.
        max_age: Option<Ttl>,
        /// Are `token_policies` templates over the claims?
        token_policies_template_claims: Option<bool>,
        /// Carry a direct callback out without asking the person?
        oidc_disable_confirmation: Option<bool>,
    }
}
fields! {
    /// Reads a role.
    pub struct ReadRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Deletes a role.
    pub struct DeleteRole {
        /// The role's name.
        name: String,
    }
}
fields! {
    /// Lists the roles.
    pub struct ListRoles {
        /// List names after this one.
        after: Option<String>,
        /// At most so many names.
        limit: Option<i64>,
    }
}

impl Op for PutRole {
    type Reply = ();
    const VERB: Verb = Verb::Write;
}
impl Op for ReadRole {
    type Reply = JsonMap;
    const VERB: Verb = Verb::Read;
}
impl Op for DeleteRole {
    type Reply = ();
    const VERB: Verb = Verb::Delete;
}
impl Op for ListRoles {
    type Reply = Keys;
    const VERB: Verb = Verb::List;
}

pub(super) fn add(spec: EngineSpec<Jwt>) -> EngineSpec<Jwt> {
    spec.query::<ListRoles>("role/")
        .query::<ReadRole>("role/{name}")
        .command::<PutRole>("role/{name}")
        .exists::<PutRole>("role/{name}")
        .command::<DeleteRole>("role/{name}")
}

impl Exists<PutRole> for Jwt {
    async fn exists(&self, cx: &ReadCx<'_>, captures: &[(&'static str, String)]) -> Result<bool> {
        let name = captures.iter().find(|(n, _)| *n == "name").map_or("", |(_, v)| v);
        Ok(stored::role(&cx.view(), name).await?.is_some())
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::bad_request(text))
}

/// Metadata that a mapping may not set.
const RESERVED: &str = "role";

fn check_mappings(mappings: &BTreeMap<String, String>) -> Result<()> {
    let mut targets: Vec<&String> = mappings.values().collect();
    if targets.iter().any(|target| *target == RESERVED) {
        return refuse("metadata key \"role\" is reserved and may not be a mapping destination");
    }
    targets.sort();
    if targets.windows(2).any(|pair| pair.first() == pair.last()) {
        return refuse("multiple keys are mapped to one metadata key");
    }
    Ok(())
}

impl Role {
    /// Takes over what a request gives, but for the token's parameters. As with the peers, a write
    /// that does not give `role_type`, `bound_claims_type`, `callback_mode` or
    /// `oidc_disable_confirmation` sets it back.
    fn apply(&mut self, op: PutRole) -> Result<()> {
        fn set<T>(value: &mut T, given: Option<T>) {
            if let Some(given) = given {
                *value = given;
            }
        }
        let or = |given: Option<String>, default: &str| {
            given.filter(|text| !text.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        self.role_type = or(op.role_type, "oidc");
        self.bound_claims_type = or(op.bound_claims_type, "string");
        self.callback_mode = or(op.callback_mode, "client");
        self.oidc_disable_confirmation = op.oidc_disable_confirmation.unwrap_or(false);
        set(&mut self.expiration_leeway, op.expiration_leeway.map(|l| l.0));
        set(&mut self.not_before_leeway, op.not_before_leeway.map(|l| l.0));
        set(&mut self.clock_skew_leeway, op.clock_skew_leeway.map(|l| l.0));
        set(&mut self.bound_subject, op.bound_subject);
        set(&mut self.bound_audiences, op.bound_audiences);
        set(&mut self.bound_claims, op.bound_claims.map(|bound| bound.0));
        set(&mut self.claim_mappings, op.claim_mappings);
        set(&mut self.oauth2_metadata, op.oauth2_metadata);
        set(&mut self.user_claim, op.user_claim);
        set(&mut self.user_claim_json_pointer, op.user_claim_json_pointer);
        set(&mut self.groups_claim, op.groups_claim);
        set(&mut self.oidc_scopes, op.oidc_scopes);
        set(&mut self.allowed_redirect_uris, op.allowed_redirect_uris);
        set(&mut self.poll_interval, op.poll_interval);
        set(&mut self.verbose_oidc_logging, op.verbose_oidc_logging);
        set(&mut self.max_age, op.max_age.map(|ttl| ttl.0));
        set(&mut self.token_policies_template_claims, op.token_policies_template_claims);
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if !matches!(self.role_type.as_str(), "jwt" | "oidc") {
            return refuse("invalid 'role_type': it is one of jwt and oidc");
        }
        if !matches!(self.bound_claims_type.as_str(), "string" | "glob") {
            return refuse("invalid 'bound_claims_type': it is one of string and glob");
        }
        claims::check_bound(&self.bound_claims, &self.bound_claims_type)?;
        check_mappings(&self.claim_mappings)?;
        let known = ["id_token", "refresh_token", "access_token"];
        if !self.oauth2_metadata.iter().all(|name| known.contains(&name.as_str())) {
            return refuse("Unrecognized oauth2 metadata name");
        }
        if self.user_claim.is_empty() {
            return refuse("a user claim must be defined on the role");
        }
        if !matches!(self.callback_mode.as_str(), "client" | "direct" | "device") {
            return refuse("invalid 'callback_mode': it is one of client, direct and device");
        }
        if self.max_age < 0 || self.poll_interval < 0 {
            return refuse("'max_age' and 'poll_interval' cannot be negative");
        }
        let is_oidc = self.role_type == "oidc";
        if is_oidc && self.allowed_redirect_uris.is_empty() && !self.is_device() {
            return refuse(
                "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
            );
        }
        let is_bound = !self.bound_audiences.is_empty()
            || !self.token.params.bound_cidrs.is_empty()
            || !self.bound_subject.is_empty()
            || !self.bound_claims.is_empty();
        if !is_oidc && !is_bound {
            return refuse("must have at least one bound constraint when creating/updating a role");
        }
        if self.token_policies_template_claims {
            policies::check(&self.token.params.policies)?;
        }
        Ok(())
    }
}

impl Command<PutRole> for Jwt {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        let name = op.name.to_lowercase();
        names::check(&name)?;
        cx.queue(&name).await;
        let old = stored::role(&cx.view(), &name).await?;
        let mut role = old.map(|role| (*role).clone()).unwrap_or_default();
        let (op, token) = op.split();
        let mut warnings = role.token.apply(token)?;
        role.apply(op)?;
        role.check()?;
        let (_, max_ttl) = cx.ttls();
        let period = role.token.params.period;
        if max_ttl > 0 && period > max_ttl {
            return refuse(format!(
                "'period' of '{}' is greater than the backend's maximum lease TTL of '{}'",
                format_go_seconds(period),
                format_go_seconds(max_ttl)
            ));
        }
        warnings.extend(role.token.beyond_mount(max_ttl).map(str::to_owned));
        if role.verbose_oidc_logging {
            warnings.push(
                "verbose_oidc_logging has no effect: what a provider answers is never logged"
                    .to_owned(),
            );
        }
        cx.edit().put_named(0, &name, &role)?;
        Ok(Reply::none().warnings(warnings))
    }
}

impl PutRole {
    fn split(mut self) -> (Self, TokenFields) {
        let token = std::mem::replace(&mut self.token, TokenFields::none());
        (self, token)
    }
}

impl Query<ReadRole> for Jwt {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<JsonMap>> {
        let role = stored::role(&cx.view(), &op.name).await?.ok_or_else(Error::not_found)?;
        let mappings: JsonMap =
            role.claim_mappings.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        let or_null = |map: JsonMap| if map.is_empty() { Json::Null } else { Json::Object(map) };
        let mut map = JsonMap::new();
        for (name, value) in [
            ("role_type", Json::from(role.role_type.clone())),
            ("expiration_leeway", role.expiration_leeway.into()),
            ("not_before_leeway", role.not_before_leeway.into()),
            ("clock_skew_leeway", role.clock_skew_leeway.into()),
            ("bound_audiences", list_or_null(&role.bound_audiences)),
            ("bound_subject", role.bound_subject.clone().into()),
            ("bound_claims_type", role.bound_claims_type.clone().into()),
            ("bound_claims", or_null(role.bound_claims.clone())),
            ("claim_mappings", or_null(mappings)),
            ("oauth2_metadata", list_or_null(&role.oauth2_metadata)),
            ("user_claim", role.user_claim.clone().into()),
            ("user_claim_json_pointer", role.user_claim_json_pointer.into()),
            ("groups_claim", role.groups_claim.clone().into()),
            ("allowed_redirect_uris", list_or_null(&role.allowed_redirect_uris)),
            ("callback_mode", role.callback_mode.clone().into()),
            ("oidc_scopes", list_or_null(&role.oidc_scopes)),
            ("verbose_oidc_logging", role.verbose_oidc_logging.into()),
            ("max_age", role.max_age.into()),
            ("token_policies_template_claims", role.token_policies_template_claims.into()),
            ("oidc_disable_confirmation", role.oidc_disable_confirmation.into()),
        ] {
            map.insert(name.to_owned(), value);
        }
        if role.poll_interval > 0 {
            map.insert("poll_interval".to_owned(), role.poll_interval.into());
        }
        role.token.show(&mut map);
        Ok(Reply::data(map))
    }
}

/// A list that was never set is null, as the peers show it.
fn list_or_null(list: &[String]) -> Json {
    if list.is_empty() { Json::Null } else { list.to_vec().into() }
}

impl Command<DeleteRole> for Jwt {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.edit().delete_named::<Role>(0, &op.name.to_lowercase());
        Ok(Reply::none())
    }
}

impl Query<ListRoles> for Jwt {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRoles) -> Result<Reply<Keys>> {
        let names = cx.view().names::<Role>(0).await?;
        Ok(Reply::data(lists::page(&names, op.after.as_deref(), op.limit)?))
    }
}
