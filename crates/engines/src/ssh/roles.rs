//! `roles/NAME`.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use strongroom_base::fields::{Field, FieldKind};
use strongroom_base::{Error, Json, JsonMap, Result, Ttl, fields};
use strongroom_kernel::plug::{
    Command, EngineSpec, Query, ReadCx, Reply, WriteCx, lists, names, ops,
};
use strongroom_kernel::policy::IdentityTemplate;

use super::SshEngine;
use super::issuer::DEFAULT;
use super::role::{Role, RoleKind, check_networks};
use super::zero_address;

fields! {
    /// Lists the roles.
    pub struct ListRoles {
        /// Names after this one.
        after: Option<String>,
        /// At most so many.
        limit: Option<i64>,
    }
}
fields! {
    /// Shows a role.
    pub struct ReadRole {
        /// The role's name.
        role: String,
    }
}
fields! {
    /// Creates a role, or puts another in its place.
    pub struct PutRole {
        /// The role's name.
        role: String,
        /// otp or ca.
        key_type: Option<String>,
        /// The user where a request names none.
        default_user: Option<String>,
        /// Is default_user a template of the caller's identity?
        default_user_template: Option<bool>,
        /// Networks of the machines (otp).
        cidr_list: Option<String>,
        /// Networks that are none of them (otp).
        exclude_cidr_list: Option<String>,
        /// The port that clients are told (otp).
        port: Option<i64>,
        /// Users that may be asked for; * is any.
        allowed_users: Option<String>,
        /// Are there templates of the caller's identity among allowed_users?
        allowed_users_template: Option<bool>,
        /// Domains of hosts that may be asked for; * is any.
        allowed_domains: Option<String>,
        /// Are there templates of the caller's identity among allowed_domains?
        allowed_domains_template: Option<bool>,
        /// How long a certificate is good.
        ttl: Option<Ttl>,
        /// How long it can be at most.
        max_ttl: Option<Ttl>,
        /// Critical options that may be asked for; none is any.
        allowed_critical_options: Option<String>,
        /// Extensions that may be asked for; * is any.
        allowed_extensions: Option<String>,
        /// Critical options where a request has none.
        default_critical_options: BTreeMap<String, String>,
        /// Extensions where a request has none.
        default_extensions: BTreeMap<String, String>,
        /// Are there templates of the caller's identity among the values of default_extensions?
        default_extensions_template: Option<bool>,
        /// May certificates be users'?
        allow_user_certificates: Option<bool>,
        /// May certificates be hosts'?
        allow_host_certificates: Option<bool>,
        /// May hosts be the domains themselves?
        allow_bare_domains: Option<bool>,
        /// May hosts be below the domains?
        allow_subdomains: Option<bool>,
        /// May a request set the key id?
        allow_user_key_ids: Option<bool>,
        /// The key id, with {{token_display_name}}, {{role_name}} and {{public_key_hash}}.
        key_id_format: Option<String>,
        /// Kinds of keys that are signed, and their sizes.
        allowed_user_key_lengths: KeyLengths,
        /// How RSA issuers sign: default, rsa-sha2-256 or rsa-sha2-512.
        algorithm_signer: Option<String>,
        /// How far certificates are dated back.
        not_before_duration: Option<Ttl>,
        /// May what templates put in hold commas?
        allow_commas_in_identity_templates: Option<bool>,
        /// May certificates be good for every principal?
        allow_empty_principals: Option<bool>,
        /// The issuer's id or name.
        issuer_ref: Option<String>,
    }
}
fields! {
    /// Removes a role.
    pub struct DeleteRole {
        /// The role's name.
        role: String,
    }
}

ops! {
    ListRoles Roles, List;
    ReadRole Json, Read;
    PutRole (), Write;
    DeleteRole (), Delete;
}

/// The answer of a list.
#[derive(Serialize)]
pub struct Roles {
    keys: Vec<String>,
    key_info: JsonMap,
}

/// `{"rsa": [2048, 4096], "ec": "256,384", "ed25519": 0}`.
#[derive(Default)]
pub struct KeyLengths(BTreeMap<String, Vec<i64>>);

impl Field for KeyLengths {
    const KIND: FieldKind = FieldKind::Object;
    const REQUIRED: bool = false;
    fn read(value: &Json) -> Result<Self, &'static str> {
        const WANT: &str = "an object of kinds of keys and their lengths";
        let lengths = |(kind, value): (&String, &Json)| {
            let lengths = Vec::<i64>::read(value).map_err(|_| WANT)?;
            Ok((kind.clone(), lengths))
        };
        match value {
            Json::Object(map) => map.iter().map(lengths).collect::<Result<_, _>>().map(Self),
            Json::String(text) if text.is_empty() => Ok(Self::default()),
            Json::String(text) => {
                let parsed = strongroom_base::json::parse_bounded(text.as_bytes());
                match parsed.map_err(|_| WANT)? {
                    map @ Json::Object(_) => Self::read(&map),
                    _ => Err(WANT),
                }
            }
            _ => Err(WANT),
        }
    }
    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

pub(super) fn add(spec: EngineSpec<SshEngine>) -> EngineSpec<SshEngine> {
    spec.query::<ListRoles>("roles/")
        .query::<ReadRole>("roles/{role}")
        .command::<PutRole>("roles/{role}")
        .command::<DeleteRole>("roles/{role}")
}

impl Query<ListRoles> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ListRoles) -> Result<Reply<Roles>> {
        let names = cx.view().names::<Role>(0).await?;
        let keys = lists::page(&names, op.after.as_deref(), op.limit)?.keys;
        let mut key_info = JsonMap::new();
        for name in &keys {
            if let Some(role) = cx.view().cached::<Role>(0, name).await? {
                key_info.insert(name.clone(), role.listed());
            }
        }
        Ok(Reply::data(Roles { keys, key_info }))
    }
}

impl Query<ReadRole> for SshEngine {
    async fn query(&self, cx: &ReadCx<'_>, op: ReadRole) -> Result<Reply<Json>> {
        let role = cx.view().cached::<Role>(0, &op.role).await?.ok_or_else(Error::not_found)?;
        Ok(Reply::data(role.shown()))
    }
}

impl Command<PutRole> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutRole) -> Result<Reply<()>> {
        names::check(&op.role)?;
        let name = op.role.clone();
        let role = built(op)?;
        cx.queue("roles").await;
        cx.edit().put_named(0, &name, &role)?;
        Ok(Reply::none())
    }
}

impl Command<DeleteRole> for SshEngine {
    async fn command(&self, cx: &mut WriteCx<'_>, op: DeleteRole) -> Result<Reply<()>> {
        cx.queue("roles").await;
        zero_address::forget(cx, &op.role).await?;
        cx.edit().delete_named::<Role>(0, &op.role);
        Ok(Reply::none())
    }
}

/// The role of a request, checked.
fn built(op: PutRole) -> Result<Role> {
    let refuse = |text: &str| Err(Error::bad_request(text));
    let cidr_list = op.cidr_list.clone().unwrap_or_default();
    let exclude_cidr_list = op.exclude_cidr_list.clone().unwrap_or_default();
    check_networks("cidr_list", &cidr_list)?;
    check_networks("exclude_cidr_list", &exclude_cidr_list)?;
    match op.key_type.as_deref().unwrap_or_default().to_lowercase().as_str() {
        "" => refuse("missing key type"),
        "otp" => {
            let default_user = op.default_user.unwrap_or_default();
            if default_user.is_empty() {
                return refuse("missing default user");
            }
            Ok(Role {
                kind: RoleKind::Otp,
                default_user,
                cidr_list,
                exclude_cidr_list,
                port: port(op.port)?,
                allowed_users: op.allowed_users.unwrap_or_default(),
                ..Role::default()
            })
        }
        "dynamic" => refuse("dynamic key type roles are no longer supported"),
        "ca" => ca(op),
        _ => refuse("invalid key type"),
    }
}

/// The port that clients are told.
fn port(asked: Option<i64>) -> Result<i64> {
    match asked {
        None | Some(0) => Ok(22),
        Some(port) if u16::try_from(port).is_ok() => Ok(port),
        Some(_) => Err(Error::bad_request("port must be between 1 and 65535")),
    }
}

fn ca(op: PutRole) -> Result<Role> {
    let refuse = |text: &str| Err(Error::bad_request(text));
    let seconds = |name: &str, given: Option<Ttl>| match given {
        Some(Ttl(seconds)) if seconds < 0 => {
            Err(Error::bad_request(format!("{name} must not be negative")))
        }
        given => Ok(given.map(|Ttl(seconds)| seconds)),
    };
    let yes = |given: Option<bool>| given.unwrap_or(false);
    let role = Role {
        kind: RoleKind::Ca,
        default_user: op.default_user.unwrap_or_default(),
        default_user_template: yes(op.default_user_template),
        allowed_users: op.allowed_users.unwrap_or_default(),
        allowed_users_template: yes(op.allowed_users_template),
        allowed_domains: op.allowed_domains.unwrap_or_default(),
        allowed_domains_template: yes(op.allowed_domains_template),
        ttl: seconds("ttl", op.ttl)?.unwrap_or(0),
        max_ttl: seconds("max_ttl", op.max_ttl)?.unwrap_or(0),
        allowed_critical_options: op.allowed_critical_options.unwrap_or_default(),
        allowed_extensions: op.allowed_extensions.unwrap_or_default(),
        default_critical_options: op.default_critical_options,
        default_extensions: op.default_extensions,
        default_extensions_template: yes(op.default_extensions_template),
        allow_user_certificates: yes(op.allow_user_certificates),
        allow_host_certificates: yes(op.allow_host_certificates),
        allow_bare_domains: yes(op.allow_bare_domains),
        allow_subdomains: yes(op.allow_subdomains),
        allow_user_key_ids: yes(op.allow_user_key_ids),
        allow_empty_principals: yes(op.allow_empty_principals),
        allow_commas_in_identity_templates: yes(op.allow_commas_in_identity_templates),
        key_id_format: op.key_id_format.unwrap_or_default(),
        allowed_user_key_lengths: op.allowed_user_key_lengths.0,
        algorithm_signer: signer(op.algorithm_signer.as_deref())?.to_owned(),
        not_before_duration: seconds("not_before_duration", op.not_before_duration)?.unwrap_or(30),
        issuer_ref: match op.issuer_ref.as_deref().map_or("", str::trim) {
            "" => DEFAULT.to_owned(),
            named if named.eq_ignore_ascii_case(DEFAULT) => DEFAULT.to_owned(),
            named => named.to_owned(),
        },
        ..Role::default()
    };
    if !role.allow_user_certificates && !role.allow_host_certificates {
        return refuse(
            "Either 'allow_user_certificates' or 'allow_host_certificates' must be set to 'true'",
        );
    }
    if role.ttl != 0 && role.max_ttl != 0 && role.ttl > role.max_ttl {
        return refuse("\"ttl\" value must be less than \"max_ttl\" when both are specified");
    }
    check_templates(&role)?;
    Ok(role)
}

/// How RSA issuers sign. SHA-1, by which `ssh-rsa` does, is what no OpenSSH takes any more.
fn signer(given: Option<&str>) -> Result<&'static str> {
    match given.unwrap_or_default() {
        "" | DEFAULT => Ok(DEFAULT),
        "rsa-sha2-256" => Ok("rsa-sha2-256"),
        "rsa-sha2-512" => Ok("rsa-sha2-512"),
        "ssh-rsa" => Err(Error::bad_request(
            "the algorithm_signer ssh-rsa signs with SHA-1, which OpenSSH does not accept: use \
             default, rsa-sha2-256 or rsa-sha2-512",
        )),
        _ => Err(Error::bad_request("unknown algorithm signer")),
    }
}

/// Refuses templates whose braces do not pair, rather than each certificate later.
fn check_templates(role: &Role) -> Result<()> {
    let extensions = role.default_extensions.values().map(String::as_str);
    let texts = [
        (role.default_user_template, "default_user", vec![role.default_user.as_str()]),
        (role.allowed_users_template, "allowed_users", vec![role.allowed_users.as_str()]),
        (role.allowed_domains_template, "allowed_domains", vec![role.allowed_domains.as_str()]),
        (role.default_extensions_template, "default_extensions", extensions.collect()),
    ];
    for (_, name, texts) in texts.into_iter().filter(|(templates, ..)| *templates) {
        if texts.iter().any(|text| IdentityTemplate::parse(text).is_err()) {
            let text = format!("the template of {name} has braces that do not pair");
            return Err(Error::bad_request(text));
        }
    }
    Ok(())
}

/// What a warning says of roles that name an issuer so; at most [`ROLES_LOOKED_AT`] are asked.
pub(super) async fn naming(cx: &ReadCx<'_>, reference: &str) -> Result<Option<String>> {
    let names = cx.view().names::<Role>(0).await?;
    let mut count = 0;
    for name in names.iter().take(ROLES_LOOKED_AT) {
        let role = cx.view().cached::<Role>(0, name).await?;
        count += usize::from(role.is_some_and(|role| role.names_issuer(reference)));
    }
    Ok(match count {
        0 => None,
        _ if names.len() > ROLES_LOOKED_AT => {
            Some(format!("The name '{reference}' was in use by at least {count} roles"))
        }
        _ => Some(format!("{count} roles reference '{reference}'")),
    })
}

const ROLES_LOOKED_AT: usize = 100;

/// The names of all roles that an address belongs to, those of `any` among them.
pub(super) async fn of_address(
    cx: &ReadCx<'_>,
    ip: std::net::IpAddr,
    any: &[String],
) -> Result<Json> {
    let mut found = Vec::new();
    for name in cx.view().names::<Role>(0).await?.iter() {
        let Some(role) = cx.view().cached::<Role>(0, name).await? else { continue };
        if role.has_address(ip) || any.contains(name) {
            found.push(name.clone());
        }
    }
    Ok(json!({ "roles": found }))
}
