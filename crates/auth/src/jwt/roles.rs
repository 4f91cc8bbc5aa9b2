//! Roles: create, change, read, delete, list.

use std::collections::BTreeMap;

use strongroom_base::{Error, Field, FieldKind, Json, JsonMap, Result, Ttl, fields};
use strongroom_kernel::plug::{Command, Reply, WriteCx};

use super::stored::Role;
use super::{Jwt, claims, policies};
use crate::roles;
use crate::token_params::{TokenFields, TokenSettings};

/// Seconds that may be below zero: `-1`, `"-1"`, `"90s"`.
pub struct Leeway(pub i64);

impl Field for Leeway {
    const KIND: FieldKind = FieldKind::Duration;
    fn read(value: &Json) -> Result<Self, &'static str> {
        i64::read(value).or_else(|_| Ttl::read(value).map(|ttl| ttl.0)).map(Self)
    }
}

/// An object, or its text, as command lines give it.
pub struct Object(pub JsonMap);

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
roles::operations!(Jwt, Role, name);

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
        let (name, old) = roles::begin::<Role>(cx, &op.name).await?;
        let mut role = old.map(|role| (*role).clone()).unwrap_or_default();
        let (op, token) = op.split();
        let mut warnings = role.token.apply(token)?;
        role.apply(op)?;
        role.check()?;
        roles::check(cx, &role, &mut warnings)?;
        if role.verbose_oidc_logging {
            warnings.push(
                "verbose_oidc_logging has no effect: what a provider answers is never logged"
                    .to_owned(),
            );
        }
        roles::put(cx, &name, &role, warnings)
    }
}

impl PutRole {
    fn split(mut self) -> (Self, TokenFields) {
        let token = std::mem::replace(&mut self.token, TokenFields::none());
        (self, token)
    }
}

impl roles::Role for Role {
    fn token(&self) -> &TokenSettings {
        &self.token
    }

    fn show(&self, into: &mut JsonMap) {
        let mappings: JsonMap =
            self.claim_mappings.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
        let or_null = |map: JsonMap| if map.is_empty() { Json::Null } else { Json::Object(map) };
        for (name, value) in [
            ("role_type", Json::from(self.role_type.clone())),
            ("expiration_leeway", self.expiration_leeway.into()),
            ("not_before_leeway", self.not_before_leeway.into()),
            ("clock_skew_leeway", self.clock_skew_leeway.into()),
            ("bound_audiences", list_or_null(&self.bound_audiences)),
            ("bound_subject", self.bound_subject.clone().into()),
            ("bound_claims_type", self.bound_claims_type.clone().into()),
            ("bound_claims", or_null(self.bound_claims.clone())),
            ("claim_mappings", or_null(mappings)),
            ("oauth2_metadata", list_or_null(&self.oauth2_metadata)),
            ("user_claim", self.user_claim.clone().into()),
            ("user_claim_json_pointer", self.user_claim_json_pointer.into()),
            ("groups_claim", self.groups_claim.clone().into()),
            ("allowed_redirect_uris", list_or_null(&self.allowed_redirect_uris)),
            ("callback_mode", self.callback_mode.clone().into()),
            ("oidc_scopes", list_or_null(&self.oidc_scopes)),
            ("verbose_oidc_logging", self.verbose_oidc_logging.into()),
            ("max_age", self.max_age.into()),
            ("token_policies_template_claims", self.token_policies_template_claims.into()),
            ("oidc_disable_confirmation", self.oidc_disable_confirmation.into()),
        ] {
            into.insert(name.to_owned(), value);
        }
        if self.poll_interval > 0 {
            into.insert("poll_interval".to_owned(), self.poll_interval.into());
        }
        self.token.show(into);
    }

    fn period_beyond(period: &str, most: &str) -> String {
        format!(
            "'period' of '{period}' is greater than the backend's maximum lease TTL of '{most}'"
        )
    }
}

/// A list that was never set is null, as the peers show it.
fn list_or_null(list: &[String]) -> Json {
    if list.is_empty() { Json::Null } else { list.to_vec().into() }
}
