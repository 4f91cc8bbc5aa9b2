//! Logging in with a token of Google's, or of a service account.

use std::collections::BTreeMap;

use strongroom_base::{Error, FieldSource, Json, Result, SecretString, Timestamp, fields};
use strongroom_kernel::plug::{
    EngineSpec, Grant, GrantAlias, Login, ReadCx, ResolveRole, WriteCx, ops,
};
use strongroom_kernel::tokens::cidrs_allow;

use super::api::{Google, ServiceAccount};
use super::stored::{self, Config, Kind, Role};
use super::token::{Instance, Verified};
use super::{Gcp, config, instances};

fields! {
    /// Logs in.
    pub struct LogIn {
        /// The role's name.
        role: Option<String>,
        /// The token: one that a service account signed (`iam`), or that of an instance (`gce`).
        jwt: Option<SecretString>,
    }
}

ops! { LogIn (), Write; }

pub(super) fn add(spec: EngineSpec<Gcp>) -> EngineSpec<Gcp> {
    spec.login::<LogIn>("login").resolves_roles().renews()
}

impl Login<LogIn> for Gcp {
    async fn login(&self, cx: &mut WriteCx<'_>, op: LogIn) -> Result<Grant> {
        let name = op.role.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Error::bad_request("role is required"))?.to_lowercase();
        let role = stored::role(&cx.view(), &name).await?;
        let role = role.ok_or_else(|| Error::bad_request("role not found"))?;
        let jwt = op.jwt.ok_or_else(|| Error::bad_request("jwt argument is required"))?;
        if !cidrs_allow(&role.token.params.bound_cidrs, cx.request.peer.ip) {
            return Err(Error::denied());
        }
        let config = stored::config(&cx.view()).await?;
        let jwt = jwt.expose_secret().trim();
        let now = cx.now();
        let attempt = Attempt { config: &config, name: &name, role: &role };
        let grant = async {
            let verified = self.verify(&config, &role, &name, jwt, now).await?;
            match role.kind {
                Kind::Iam => attempt.of_account(self, now, verified).await,
                Kind::Gce => attempt.of_instance(self, now, verified).await,
            }
        };
        let _turn = self.turns.take().await?;
        let grant = cx.outside(grant).await?;
        Ok(Grant { token: role.token.for_login(&cx.request.peer)?, ..grant })
    }
}

/// A login to a role.
struct Attempt<'a> {
    config: &'a Config,
    name: &'a str,
    role: &'a Role,
}

impl Attempt<'_> {
    async fn of_account(&self, gcp: &Gcp, now: Timestamp, of: Verified) -> Result<Grant> {
        let google = gcp.google(self.config, now).await?;
        let account = google.service_account(&of.subject).await?;
        authorise_account(self.role, &account)?;
        let alias = match self.config.iam_alias.as_str() {
            "unique_id" => account.unique_id.clone(),
            _ => self.role.role_id.clone(),
        };
        let facts = self.facts(&account, of.instance.as_ref());
        let told = config::IAM.pick(&self.config.iam_metadata, &borrowed(&facts));
        let groups = self.groups(&google, &account.project_id).await?;
        Ok(grant(account.email, alias, told, groups, facts))
    }

    async fn of_instance(&self, gcp: &Gcp, now: Timestamp, of: Verified) -> Result<Grant> {
        let missing = || Error::bad_request("expected JWT to have claims with GCE metadata");
        let instance = of.instance.ok_or_else(missing)?;
        let google = gcp.google(self.config, now).await?;
        let found = instances::find(&google, &instance).await?;
        let account = google.service_account(&of.subject).await?;
        instances::authorise(&google, self.role, &instance, &found, &account).await?;
        let alias = match self.config.gce_alias.as_str() {
            "instance_id" => format!("gce-{}", found.id),
            _ => self.role.role_id.clone(),
        };
        let facts = self.facts(&account, Some(&instance));
        let told = config::GCE.pick(&self.config.gce_metadata, &borrowed(&facts));
        let groups = self.groups(&google, &instance.project_id).await?;
        Ok(grant(found.name, alias, told, groups, facts))
    }

    async fn groups(&self, google: &Google<'_>, project: &str) -> Result<Vec<String>> {
        if self.role.add_group_aliases { google.ancestry(project).await } else { Ok(Vec::new()) }
    }

    /// All that is known of who logs in.
    fn facts(
        &self,
        account: &ServiceAccount,
        instance: Option<&Instance>,
    ) -> BTreeMap<String, String> {
        let mut facts = BTreeMap::new();
        let mut add = |name: &str, value: &str| {
            facts.insert(name.to_owned(), value.to_owned());
        };
        add("role", self.name);
        add("service_account_id", &account.unique_id);
        add("service_account_email", &account.email);
        add("project_id", &account.project_id);
        if let Some(instance) = instance {
            add("project_id", &instance.project_id);
            add("project_number", &instance.project_number.to_string());
            add("zone", &instance.zone);
            add("instance_id", &instance.instance_id);
            add("instance_name", &instance.instance_name);
            add("instance_creation_timestamp", &instance.created.to_string());
        }
        facts
    }
}

fn borrowed(facts: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    facts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The grant; renewals need all facts, whatever of them is told.
fn grant(
    display_name: String,
    alias: String,
    told: BTreeMap<String, String>,
    groups: Vec<String>,
    facts: BTreeMap<String, String>,
) -> Grant {
    Grant {
        display_name,
        alias: Some(GrantAlias { name: alias, metadata: told.clone() }),
        metadata: told,
        groups,
        internal: facts,
        ..Grant::default()
    }
}

/// Refuses a service account that the role is not bound to.
pub(super) fn authorise_account(role: &Role, account: &ServiceAccount) -> Result<()> {
    if !role.projects.is_empty() && !role.projects.contains(&account.project_id) {
        return Err(Error::bad_request("service account not in bound projects"));
    }
    let all = role.service_accounts.as_slice() == ["*"];
    let bound = |text: &String| role.service_accounts.contains(text);
    if all || bound(&account.email) || bound(&account.unique_id) {
        return Ok(());
    }
    Err(Error::bad_request("service account is not authorized for role"))
}

impl ResolveRole for Gcp {
    async fn role(&self, cx: &ReadCx<'_>, source: &FieldSource<'_>) -> Result<Option<String>> {
        let name = source.value("role", &[]).and_then(Json::as_str).map(str::to_lowercase);
        let Some(name) = name else { return Ok(None) };
        Ok(stored::role(&cx.view(), &name).await?.map(|_| name))
    }
}
