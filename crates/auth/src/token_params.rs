//! The `token_*` fields that roles and users of every auth method share, with their older names.
//!
//! An operation takes them in with `..token: TokenFields;`. A role's record holds a
//! [`TokenSettings`], which remembers which older names were used: reading shows a value under its
//! older name where it was written under it, as Vault does.

use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, JsonMap, Result, Ttl};
use strongroom_kernel::plug::{Peer, TokenParams};
use strongroom_kernel::tokens::{normalise_policies, parse_cidr};

strongroom_base::fields! {
    /// Parameters of the tokens that logins give.
    pub struct TokenFields {
        /// CIDR blocks from which the token may be used.
        token_bound_cidrs: Option<Vec<String>>,
        /// Seconds that the token can live whatever its renewals.
        token_explicit_max_ttl: Option<Ttl>,
        /// Most seconds that the token lives, renewals included.
        token_max_ttl: Option<Ttl>,
        /// Leave the `default` policy away?
        token_no_default_policy: Option<bool>,
        /// Seconds of each renewal of a periodic token.
        token_period: Option<Ttl>,
        /// Policies of the token.
        token_policies: Option<Vec<String>>,
        /// `service`, `batch` or `default`.
        token_type: Option<String>,
        /// Seconds that the token lives at first.
        token_ttl: Option<Ttl>,
        /// How often the token can be used; 0 is without limit.
        token_num_uses: Option<i64>,
        /// Bind the token to the address of its login?
        token_strictly_bind_ip: Option<bool>,
        /// Older name of `token_policies`.
        policies: Option<Vec<String>>,
        /// Older name of `token_ttl`.
        ttl: Option<Ttl>,
        /// Older name of `token_max_ttl`.
        max_ttl: Option<Ttl>,
        /// Older name of `token_period`.
        period: Option<Ttl>,
        /// Older name of `token_num_uses`.
        num_uses: Option<i64>,
        /// Older name of `token_bound_cidrs`.
        bound_cidrs: Option<Vec<String>>,
    }
}

impl TokenFields {
    /// Nothing is given.
    pub fn none() -> Self {
        Self {
            token_bound_cidrs: None,
            token_explicit_max_ttl: None,
            token_max_ttl: None,
            token_no_default_policy: None,
            token_period: None,
            token_policies: None,
            token_type: None,
            token_ttl: None,
            token_num_uses: None,
            token_strictly_bind_ip: None,
            policies: None,
            ttl: None,
            max_ttl: None,
            period: None,
            num_uses: None,
            bound_cidrs: None,
        }
    }
}

/// A role's token parameters as its record holds them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct TokenSettings {
    /// The parameters.
    pub params: TokenParams,
    /// Older names under which some were written.
    pub old_names: Vec<String>,
}

/// Sets `value` from its new name, else from its older one; notes the older name.
fn set<T>(
    value: &mut T,
    old_names: &mut Vec<String>,
    old_name: &str,
    new: Option<T>,
    old: Option<T>,
) {
    let by_old = old.is_some();
    if let Some(given) = new.or(old) {
        *value = given;
        old_names.retain(|n| n != old_name);
        if by_old {
            old_names.push(old_name.to_owned());
        }
    }
}

/// CIDR blocks and addresses, each checked.
pub fn read_cidrs(field: &str, cidrs: Vec<String>) -> Result<Vec<String>> {
    if cidrs.iter().all(|c| parse_cidr(c).is_some()) {
        return Ok(cidrs);
    }
    Err(Error::bad_request(format!("failed to parse {field}: not a CIDR block or an address")))
}

impl TokenSettings {
    /// Takes over what a request gives; answers warnings.
    pub fn apply(&mut self, fields: TokenFields) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let (t, names) = (&mut self.params, &mut self.old_names);
        let read =
            |field, list: Option<Vec<String>>| list.map(|l| read_cidrs(field, l)).transpose();
        set(
            &mut t.bound_cidrs,
            names,
            "bound_cidrs",
            read("token_bound_cidrs", fields.token_bound_cidrs)?,
            read("bound_cidrs", fields.bound_cidrs)?,
        );
        let seconds = |ttl: Option<Ttl>| ttl.map(|t| t.0);
        if let Some(Ttl(ttl)) = fields.token_explicit_max_ttl {
            t.explicit_max_ttl = ttl;
        }
        let (new, old) = (seconds(fields.token_max_ttl), seconds(fields.max_ttl));
        set(&mut t.max_ttl, names, "max_ttl", new, old);
        let (new, old) = (seconds(fields.token_period), seconds(fields.period));
        set(&mut t.period, names, "period", new, old);
        let (new, old) = (seconds(fields.token_ttl), seconds(fields.ttl));
        set(&mut t.ttl, names, "ttl", new, old);
        let old = fields.policies.map(normalise_policies);
        set(&mut t.policies, names, "policies", fields.token_policies, old);
        set(&mut t.num_uses, names, "num_uses", fields.token_num_uses, fields.num_uses);
        if let Some(kind) = fields.token_type {
            t.token_type = token_type(&kind, &mut warnings)?.to_owned();
        }
        t.no_default_policy = fields.token_no_default_policy.unwrap_or(t.no_default_policy);
        t.strictly_bind_ip = fields.token_strictly_bind_ip.unwrap_or(t.strictly_bind_ip);
        check(t)?;
        Ok(warnings)
    }

    /// Adds the fields to what reading a role shows.
    pub fn show(&self, into: &mut JsonMap) {
        let t = &self.params;
        let kind = if t.token_type.is_empty() { "default" } else { &t.token_type };
        for (name, old_name, value) in [
            ("token_bound_cidrs", "bound_cidrs", Json::from(t.bound_cidrs.clone())),
            ("token_explicit_max_ttl", "", Json::from(t.explicit_max_ttl)),
            ("token_max_ttl", "max_ttl", Json::from(t.max_ttl)),
            ("token_no_default_policy", "", Json::from(t.no_default_policy)),
            ("token_period", "period", Json::from(t.period)),
            ("token_policies", "policies", Json::from(t.policies.clone())),
            ("token_type", "", Json::from(kind)),
            ("token_ttl", "ttl", Json::from(t.ttl)),
            ("token_num_uses", "num_uses", Json::from(t.num_uses)),
            ("token_strictly_bind_ip", "", Json::from(t.strictly_bind_ip)),
        ] {
            let empty =
                matches!(&value, Json::Array(list) if list.is_empty()) || value.as_i64() == Some(0);
            if !empty && self.old_names.iter().any(|n| n == old_name) {
                into.insert(old_name.to_owned(), value.clone());
            }
            into.insert(name.to_owned(), value);
        }
    }

    /// The parameters for a login from `peer`.
    pub fn for_login(&self, peer: &Peer) -> Result<TokenParams> {
        let mut params = self.params.clone();
        if params.strictly_bind_ip {
            // Without an address there is nothing to bind to, and unbound is not what was asked.
            let ip = peer.ip.ok_or_else(Error::denied)?;
            params.bound_cidrs = vec![ip.to_canonical().to_string()];
        }
        Ok(params)
    }

    /// The warning for a maximum that the mount does not allow.
    pub fn beyond_mount(&self, mount_max_ttl: i64) -> Option<&'static str> {
        (mount_max_ttl > 0 && self.params.max_ttl > mount_max_ttl).then_some(
            "token_max_ttl is greater than the backend mount's maximum TTL value; issued tokens' \
             max TTL value will be truncated",
        )
    }
}

fn token_type(kind: &str, warnings: &mut Vec<String>) -> Result<&'static str> {
    let adjusted = |warnings: &mut Vec<String>, from: &str, to: &'static str| {
        warnings.push(format!("{from} has no useful meaning; adjusting to {to}"));
        to
    };
    Ok(match kind {
        "" | "default" => "default",
        "service" => "service",
        "batch" => "batch",
        "default-service" => adjusted(warnings, "default-service", "service"),
        "default-batch" => adjusted(warnings, "default-batch", "batch"),
        _ => return Err(Error::bad_request("invalid 'token_type' value")),
    })
}

/// What does not fit together.
pub(crate) fn check(t: &TokenParams) -> Result<()> {
    for (name, value) in [
        ("token_max_ttl", t.max_ttl),
        ("token_period", t.period),
        ("token_num_uses", t.num_uses),
        ("token_ttl", t.ttl),
        ("token_explicit_max_ttl", t.explicit_max_ttl),
    ] {
        if value < 0 {
            return Err(Error::bad_request(format!("'{name}' cannot be negative")));
        }
    }
    if t.token_type == "batch" {
        if t.period != 0 {
            return Err(Error::bad_request(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic \
                 tokens",
            ));
        }
        if t.num_uses != 0 {
            return Err(Error::bad_request(
                "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens \
                 with limited use count",
            ));
        }
    }
    if t.ttl > 0 && t.max_ttl > 0 && t.ttl > t.max_ttl {
        return Err(Error::bad_request("'token_ttl' cannot be greater than 'token_max_ttl'"));
    }
    if t.strictly_bind_ip && !t.bound_cidrs.is_empty() {
        return Err(Error::bad_request(
            "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_base::fields::Fields;
    use strongroom_base::{FieldSource, RawFields};

    fn apply(settings: &mut TokenSettings, json: &str) -> Result<Vec<String>> {
        let raw = RawFields::from_map(serde_json::from_str(json).unwrap());
        settings.apply(TokenFields::decode(&FieldSource::new(&[], &raw, TokenFields::SPECS))?)
    }

    fn shown(settings: &TokenSettings) -> JsonMap {
        let mut map = JsonMap::new();
        settings.show(&mut map);
        map
    }

    #[test]
    fn old_names_set_the_new_ones_and_show_as_written() {
        let mut settings = TokenSettings::default();
        apply(&mut settings, r#"{"policies":"B,a","ttl":"1h","max_ttl":7200}"#).unwrap();
        let map = shown(&settings);
        assert_eq!(map["token_policies"], Json::from(vec!["a", "b"]));
        assert_eq!(map["policies"], map["token_policies"]);
        assert_eq!((&map["token_ttl"], &map["ttl"]), (&Json::from(3600), &Json::from(3600)));
        assert_eq!(map["max_ttl"], Json::from(7200));
        apply(&mut settings, r#"{"token_policies":["Z","y"],"token_ttl":60}"#).unwrap();
        let map = shown(&settings);
        assert_eq!(map["token_policies"], Json::from(vec!["Z", "y"]));
        assert!(!map.contains_key("policies") && !map.contains_key("ttl"));
        assert!(map.contains_key("max_ttl"));
        assert_eq!(map["token_type"], "default");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (json, text) in [
            (r#"{"token_ttl":10,"token_max_ttl":5}"#, "cannot be greater"),
            (r#"{"token_ttl":-1}"#, "'token_ttl' cannot be negative"),
            (r#"{"token_num_uses":-1}"#, "'token_num_uses' cannot be negative"),
            (r#"{"token_type":"batch","token_period":5}"#, "periodic"),
            (r#"{"token_type":"batch","token_num_uses":5}"#, "limited use count"),
            (r#"{"token_type":"x"}"#, "invalid 'token_type' value"),
            (r#"{"token_bound_cidrs":"10.0.0.0/8,hunter2"}"#, "failed to parse token_bound_cidrs"),
            (
                r#"{"token_strictly_bind_ip":true,"token_bound_cidrs":"10.0.0.0/8"}"#,
                "conflicts with",
            ),
        ] {
            let error = apply(&mut TokenSettings::default(), json).unwrap_err();
            let public = error.public.join(" ");
            assert!(public.contains(text) && !public.contains("hunter2"), "{json}: {public}");
        }
    }

    #[test]
    fn strict_binding_takes_the_address_of_the_login() {
        let mut settings = TokenSettings::default();
        apply(&mut settings, r#"{"token_strictly_bind_ip":true}"#).unwrap();
        let peer = Peer { ip: Some("::ffff:10.1.2.3".parse().unwrap()), ..Peer::default() };
        assert_eq!(settings.for_login(&peer).unwrap().bound_cidrs, ["10.1.2.3"]);
        assert!(settings.for_login(&Peer::default()).is_err());
    }
}
