//! Logging in with a service account's token; renewing such a token of ours.
//!
//! What can be refused here is, before the API server is asked; the server's word comes last and is
//! the one that counts.

use std::collections::BTreeMap;
use std::time::Duration;

use strongroom_base::{Error, FieldSource, Result, SecretString, fields};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, ReadCx, Renew, ResolveRole, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::{Token, cidrs_allow};

use super::Kubernetes;
use super::account::{self, Account, refused};
use super::api::{Api, Reviewed};
use super::config::Config;
use super::roles::{BY_NAME, Role};
use crate::roles;

/// The longest wait for a turn to ask the API server.
const TURN: Duration = Duration::from_secs(15);
/// Annotations of one account that become metadata, and the bytes of their names and values: what
/// Vault allows for metadata (API page "/identity/entity-alias").
const METADATA_MAX: usize = 64;
const METADATA_NAME_MAX: usize = 128;
const METADATA_VALUE_MAX: usize = 512;

fields! {
    /// Logs in.
    pub struct LogIn {
        /// The role.
        role: Option<String>,
        /// A token of the service account.
        jwt: Option<SecretString>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Kubernetes>) -> EngineSpec<Kubernetes> {
    spec.login::<LogIn>("login").resolves_roles().renews()
}

impl Login<LogIn> for Kubernetes {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let name = op.role.unwrap_or_default().to_lowercase();
        if name.is_empty() {
            return Err(Error::bad_request("missing role"));
        }
        let jwt = op.jwt.as_ref().map_or("", |jwt| jwt.expose_secret().trim());
        if jwt.is_empty() {
            return Err(Error::bad_request("missing jwt"));
        }
        let view = cx.view();
        let role = roles::find::<Role>(&view, &name).await?;
        let role = role.ok_or_else(|| Error::bad_request("invalid role name"))?;
        if !cidrs_allow(&role.token.params.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        let token = role.token.for_login(&cx.request.peer)?;
        let config = Config::of(&view).await?;
        let config =
            config.ok_or_else(|| Error::bad_request("could not load backend configuration"))?;
        let account = account::read(jwt, &config, &role.audience, cx.now())?;
        if !role.allows_name(&account.name) {
            return Err(refused("service account name not authorized"));
        }
        let by_labels = !role.allows_namespace(&account.namespace);
        if by_labels && role.selector.is_empty() {
            return Err(not_authorized());
        }
        let asked = async {
            let turn = tokio::time::timeout(TURN, self.asking.acquire()).await;
            let _turn = turn
                .map_err(|_| Error::unavailable("too many logins wait for the Kubernetes API"))?
                .map_err(Error::internal)?;
            let api = self.api(&config).await?;
            let reviewed = review(&api, jwt, &role, &account).await?;
            if by_labels {
                check_labels(&api, &role, &reviewed).await?;
            }
            let metadata = match config.use_annotations_as_alias_metadata {
                true => annotated(&api, &reviewed, jwt).await?,
                false => BTreeMap::new(),
            };
            Ok::<_, Error>((reviewed, metadata))
        };
        let (reviewed, metadata) = cx.outside(asked).await?;
        Ok(grant(name, &role, token, &reviewed, &account, metadata))
    }
}

fn not_authorized() -> Error {
    refused("namespace not authorized")
}

/// Asks the API server for the account, which must be the one that the token says.
async fn review(api: &Api<'_>, jwt: &str, role: &Role, account: &Account) -> Result<Reviewed> {
    let audiences: Vec<&str> = match role.audience.as_str() {
        "" => account.audiences.iter().map(String::as_str).collect(),
        audience => vec![audience],
    };
    let reviewed = api.review(jwt, &audiences).await?;
    let same = reviewed.namespace == account.namespace
        && reviewed.name == account.name
        && reviewed.uid == account.uid;
    if same { Ok(reviewed) } else { Err(Error::denied()) }
}

async fn check_labels(api: &Api<'_>, role: &Role, of: &Reviewed) -> Result<()> {
    let selector = role.selector().ok_or_else(not_authorized)?;
    if !api.has_reviewer() {
        tracing::warn!("kubernetes: a namespace selector needs token_reviewer_jwt");
        return Err(not_authorized());
    }
    let labels = api.namespace_labels(&of.namespace).await?;
    if selector.fits(&labels) { Ok(()) } else { Err(not_authorized()) }
}

/// What the account's annotations add to the metadata of its alias.
async fn annotated(api: &Api<'_>, of: &Reviewed, jwt: &str) -> Result<BTreeMap<String, String>> {
    let metadata = api.metadata(of, jwt).await?;
    let own = own_metadata(of, "");
    if metadata.keys().any(|name| own.contains_key(name)) {
        return Err(Error::bad_request(
            "entity alias metadata keys for only internal use found from the client token's \
             associated service account annotations",
        ));
    }
    let long = |(name, value): (&String, &String)| {
        name.len() > METADATA_NAME_MAX || value.len() > METADATA_VALUE_MAX
    };
    if metadata.len() > METADATA_MAX || metadata.iter().any(long) {
        return Err(Error::bad_request(
            "the service account has more or longer annotations for entity alias metadata than is \
             allowed",
        ));
    }
    Ok(metadata)
}

/// What is told of an account in the metadata of its token and its alias.
fn own_metadata(of: &Reviewed, secret_name: &str) -> BTreeMap<String, String> {
    [
        ("service_account_uid", of.uid.as_str()),
        ("service_account_name", &of.name),
        ("service_account_namespace", &of.namespace),
        ("service_account_secret_name", secret_name),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn grant(
    role_name: String,
    role: &Role,
    token: TokenParams,
    reviewed: &Reviewed,
    account: &Account,
    annotations: BTreeMap<String, String>,
) -> Grant {
    let Reviewed { namespace, name, uid } = reviewed;
    let own = own_metadata(reviewed, &account.secret_name);
    let mut metadata = own.clone();
    metadata.insert("role".to_owned(), role_name.clone());
    let alias = match role.alias_name_source.as_str() {
        BY_NAME => format!("{namespace}/{name}"),
        _ => uid.clone(),
    };
    Grant {
        display_name: format!("{namespace}-{name}"),
        alias: Some(GrantAlias {
            name: alias,
            metadata: own.into_iter().chain(annotations).collect(),
        }),
        metadata,
        token,
        internal: [("role".to_owned(), role_name)].into(),
        ..Grant::default()
    }
}

impl ResolveRole for Kubernetes {
    async fn role(&self, cx: &ReadCx<'_>, source: &FieldSource<'_>) -> Result<Option<String>> {
        let Some(name) = source.value("role", &[]).and_then(|value| value.as_str()) else {
            return Ok(None);
        };
        let name = name.to_lowercase();
        Ok(roles::find::<Role>(&cx.view(), &name).await?.map(|_| name))
    }
}

impl Renew for Kubernetes {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let name = token.internal.get("role").map_or("", String::as_str);
        let role = roles::find::<Role>(&cx.view(), name).await?;
        let role = role.ok_or_else(|| {
            Error::bad_request(format!("role {name} does not exist during renewal"))
        })?;
        Ok(role.token.params.clone())
    }
}
