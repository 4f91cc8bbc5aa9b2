//! Logging in with a managed identity's token; renewing such a token.

use std::collections::BTreeMap;

use strongroom_base::{Error, FieldSource, Json, Result, SecretString, fields};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, ReadCx, Renew, ResolveRole, TokenParams, WriteCx, ops,
};
use strongroom_kernel::tokens::{Token, cidrs_allow};

use super::resources::{self, Place};
use super::{Azure, stored};

fields! {
    /// Logs in.
    pub struct LogIn {
        /// The role's name.
        role: Option<String>,
        /// The token of a managed identity.
        jwt: Option<SecretString>,
        /// The subscription of the machine.
        subscription_id: Option<String>,
        /// The resource group of the machine.
        resource_group_name: Option<String>,
        /// The machine; without effect beside vmss_name.
        vm_name: Option<String>,
        /// The scale set of the machine.
        vmss_name: Option<String>,
        /// The id of another resource; without effect beside vm_name or vmss_name.
        resource_id: Option<String>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Azure>) -> EngineSpec<Azure> {
    spec.login::<LogIn>("login").resolves_roles().renews()
}

impl Login<LogIn> for Azure {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let jwt = op.jwt.filter(|jwt| !jwt.expose_secret().is_empty());
        let jwt = jwt.ok_or_else(|| Error::bad_request("jwt is required"))?;
        let name = op.role.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Error::bad_request("role is required"))?.to_lowercase();
        let role = stored::role(&cx.view(), &name).await?;
        let role = role.ok_or_else(|| Error::bad_request("invalid role name"))?;
        if !cidrs_allow(&role.token.params.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        let place = Place {
            subscription: op.subscription_id.unwrap_or_default(),
            group: op.resource_group_name.unwrap_or_default(),
            machine: op.vm_name.unwrap_or_default(),
            scale_set: op.vmss_name.unwrap_or_default(),
            resource_id: op.resource_id.unwrap_or_default(),
        };
        place.check()?;
        let config = stored::config(&cx.view()).await?;
        let config = config.ok_or_else(|| Error::bad_request("tenant_id is required"))?;
        let now = cx.now();
        let claims = async {
            let claims = self.verify(&config, jwt.expose_secret().trim(), now).await?;
            claims.check_role(&role)?;
            let place = resources::authorise(self, &config, &role, &claims, &place, now).await?;
            Ok::<_, Error>((claims, place))
        };
        let _turn = self.turns.take().await?;
        let (claims, place) = cx.outside(claims).await?;
        let mut told: BTreeMap<String, String> =
            place.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if !claims.app_id.is_empty() {
            told.insert("app_id".to_owned(), claims.app_id);
        }
        let mut metadata = told.clone();
        metadata.insert("role".to_owned(), name.clone());
        Ok(Grant {
            display_name: claims.object_id.clone(),
            alias: Some(GrantAlias { name: claims.object_id, metadata: told }),
            metadata,
            groups: claims.groups.into_iter().filter(|id| !id.is_empty()).collect(),
            internal: [("role".to_owned(), name)].into(),
            token: role.token.for_login(&cx.request.peer)?,
            ..Grant::default()
        })
    }
}

impl ResolveRole for Azure {
    async fn role(&self, cx: &ReadCx<'_>, source: &FieldSource<'_>) -> Result<Option<String>> {
        let name = source.value("role", &[]).and_then(Json::as_str).map(str::to_lowercase);
        let Some(name) = name else { return Ok(None) };
        Ok(stored::role(&cx.view(), &name).await?.map(|_| name))
    }
}

impl Renew for Azure {
    async fn renew(&self, cx: &mut WriteCx<'_>, token: &Token) -> Result<TokenParams> {
        let name = token.internal.get("role").map_or("", String::as_str);
        let role = stored::role(&cx.view(), name).await?;
        let role = role.ok_or_else(|| Error::bad_request("role does not exist during renewal"))?;
        Ok(role.token.params.clone())
    }
}
