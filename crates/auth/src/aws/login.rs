//! Logging in by a signed request; renewing such a token.

use strongroom_base::{Error, FieldSource, Json, Result, fields};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, ReadCx, Renew, ResolveRole, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::{Token, cidrs_allow};

use super::arn::{self, Kind, Principal};
use super::request::{self, Brought};
use super::stored::{self, Client, Role};
use super::sts::{self, Caller};
use super::{Aws, ec2, identity};

fields! {
    /// Logs in.
    pub struct LogIn {
        /// The role's name; without it the name of the IAM user or role.
        role: Option<String>,
        /// The method of the signed request: POST.
        iam_http_request_method: Option<String>,
        /// Its URL, in base64.
        iam_request_url: Option<String>,
        /// Its body, in base64.
        iam_request_body: Option<String>,
        /// Its headers: a JSON object, or one in base64.
        iam_request_headers: Option<Json>,
        /// For EC2 instances, which can't log in here.
        pkcs7: Option<String>,
        /// For EC2 instances, which can't log in here.
        identity: Option<String>,
        /// For EC2 instances, which can't log in here.
        signature: Option<String>,
        /// For EC2 instances, which can't log in here.
        nonce: Option<String>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Aws>) -> EngineSpec<Aws> {
    spec.login::<LogIn>("login").resolves_roles().renews()
}

impl Login<LogIn> for Aws {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        if op.pkcs7.is_some() || op.identity.is_some() || op.signature.is_some() {
            return Err(Error::bad_request(ec2::NOT_THERE));
        }
        let client = stored::client(&cx.view()).await?.unwrap_or_default();
        let brought = Brought {
            method: op.iam_http_request_method,
            url: op.iam_request_url,
            body: op.iam_request_body,
            headers: op.iam_request_headers,
        };
        let request = request::check(brought, &client)?;
        let named = op.role.map(|name| name.to_lowercase()).filter(|name| !name.is_empty());
        if let Some(name) = &named {
            // Nobody is asked for a role that is not there.
            stored::role(&cx.view(), name).await?.ok_or_else(no_such_role)?;
        }
        let _turn = self.turns.take().await?;
        let caller = cx.outside(sts::caller(&*self.web, &client, &request)).await?;
        let principal = caller.principal()?;
        let name = named.unwrap_or_else(|| principal.name.to_lowercase());
        let role = stored::role(&cx.view(), &name).await?.ok_or_else(no_such_role)?;
        if !cidrs_allow(&role.token.params.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        let bound = self.check_bound(cx, &client, &role, &caller, &principal);
        let full_arn = cx.outside(bound).await?;
        self.grant(cx, &name, &role, &caller, full_arn).await
    }
}

fn no_such_role() -> Error {
    Error::bad_request("entry for role not found")
}

fn not_bound() -> Error {
    Error::bad_request("IAM Principal does not belong to the role")
}

impl Aws {
    /// May the caller log in to the role? Answers its IAM ARN with its path, where it was looked at.
    async fn check_bound(
        &self,
        cx: &ReadCx<'_>,
        client: &Client,
        role: &Role,
        caller: &Caller,
        principal: &Principal<'_>,
    ) -> Result<String> {
        if !role.bound_accounts.is_empty() && !role.bound_accounts.contains(&caller.account) {
            return Err(not_bound());
        }
        if is_bound(role, caller.unique_id(), &principal.canonical()) {
            return Ok(String::new());
        }
        let beginning = format!("arn:{}:iam::{}:", principal.partition, principal.account);
        let wildcards = || {
            let of_account =
                |bound: &&String| arn::is_wildcard(bound) && bound.starts_with(&beginning);
            role.bound_arns.iter().filter(of_account)
        };
        if wildcards().any(|bound| arn::covers_any_path(bound, principal)) {
            return Ok(String::new());
        }
        if wildcards().next().is_none() {
            return Err(not_bound());
        }
        let full_arn = match principal.kind {
            Kind::User => caller.arn.clone(),
            // A session's ARN does not tell the role's path.
            Kind::Role | Kind::AssumedRole => {
                let found = self.look_up(cx, client, principal, "a wildcard with a path").await?;
                if found.id != caller.unique_id() {
                    return Err(not_bound());
                }
                found.arn
            }
        };
        if wildcards().any(|bound| arn::covers(bound, &full_arn)) {
            Ok(full_arn)
        } else {
            Err(not_bound())
        }
    }

    async fn grant(
        &self,
        cx: &WriteCx<'_>,
        name: &str,
        role: &Role,
        caller: &Caller,
        full_arn: String,
    ) -> Result<Grant> {
        let principal = caller.principal()?;
        let canonical = principal.canonical();
        let config = stored::identity(&cx.view()).await?;
        let told = identity::IAM.pick(
            &config.iam_metadata,
            &[
                ("client_arn", &caller.arn),
                ("canonical_arn", &canonical),
                ("client_user_id", caller.unique_id()),
                ("auth_type", "iam"),
                ("account_id", &caller.account),
            ],
        );
        let alias = match config.iam_alias.as_str() {
            "unique_id" => caller.unique_id(),
            "full_arn" => &caller.arn,
            "canonical_arn" => &canonical,
            _ => &role.role_id,
        };
        let mut metadata = told.clone();
        metadata.insert("role_id".to_owned(), role.role_id.clone());
        let display_name = match principal.kind {
            Kind::AssumedRole => format!("{}/{}", principal.name, principal.session),
            Kind::User | Kind::Role => principal.name.to_owned(),
        };
        let internal = [
            ("role_name", name),
            ("account_id", &caller.account),
            ("canonical_arn", &canonical),
            ("client_user_id", caller.unique_id()),
            ("full_arn", &full_arn),
        ];
        Ok(Grant {
            display_name,
            alias: Some(GrantAlias { name: alias.to_owned(), metadata: told }),
            metadata,
            internal: internal.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
            token: role.token.for_login(&cx.request.peer)?,
            ..Grant::default()
        })
    }
}

/// Is a principal bound without a wildcard, or by its account alone?
fn is_bound(role: &Role, unique_id: &str, canonical: &str) -> bool {
    role.bound_arns.is_empty()
        || role.bound_ids.iter().any(|id| id == unique_id)
        || !role.resolve_ids && role.bound_arns.iter().any(|bound| bound == canonical)
}

impl ResolveRole for Aws {
    async fn role(&self, cx: &ReadCx<'_>, source: &FieldSource<'_>) -> Result<Option<String>> {
        let name = source.value("role", &[]).and_then(Json::as_str).map(str::to_lowercase);
        let Some(name) = name else { return Ok(None) };
        Ok(stored::role(&cx.view(), &name).await?.map(|_| name))
    }
}

impl Renew for Aws {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let fact = |name: &str| token.internal.get(name).map_or("", String::as_str);
        let role = stored::role(&cx.view(), fact("role_name")).await?;
        let role = role.ok_or_else(|| Error::bad_request("role entry not found"))?;
        let no_longer = || Error::bad_request("the role is no longer bound to the principal");
        let account = fact("account_id");
        if !role.bound_accounts.is_empty() && !role.bound_accounts.iter().any(|a| a == account) {
            return Err(no_longer());
        }
        let canonical = fact("canonical_arn");
        let principal = Principal::parse(canonical).ok_or_else(no_longer)?;
        let covered = |bound: &String| {
            arn::is_wildcard(bound)
                && (arn::covers_any_path(bound, &principal) || arn::covers(bound, fact("full_arn")))
        };
        if is_bound(&role, fact("client_user_id"), canonical) || role.bound_arns.iter().any(covered)
        {
            return Ok(role.token.params.clone());
        }
        Err(no_longer())
    }
}
