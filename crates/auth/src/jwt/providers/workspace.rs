//! Google Workspace (`gsuite`): groups, and fields of an organisation's own, are asked for at the
//! Directory API (Google, "Directory API", `groups.list`, `users.get`).
//!
//! Invariants:
//! * questions for one login are bounded in number and time, and a bound that is met refuses the login:
//!   half of the groups is never taken for all;
//! * what comes back stands beside the token's own claims, never in place of a registered one.

use std::collections::BTreeSet;
use std::time::Duration;

use strongroom_base::{Error, ErrorKind, Field, Json, JsonMap, Result, SecretString, Timestamp};
use strongroom_cloudwire::sigv4::uri_encode;
use strongroom_connectors::web::{Call, Failure};

use super::super::stored::{Config, Role};
use super::super::{Jwt, claims};
use crate::google::key_file::Credentials;
use crate::google::machine;

/// Where the Directory API is.
const API: &str = "https://admin.googleapis.com/admin/directory/v1";
/// What our tokens may do.
const SCOPES: &str = "https://www.googleapis.com/auth/admin.directory.group.readonly \
                      https://www.googleapis.com/auth/admin.directory.user.readonly";
/// Questions for the groups of one login.
const QUESTIONS_MAX: usize = 200;
/// Groups of one login.
const GROUPS_MAX: usize = 5_000;
/// Time for all of one login's questions.
const ALL: Duration = Duration::from_secs(30);

/// What a `provider_config` says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Settings {
    /// The administrator to act as; "" for none.
    admin: String,
    /// The service account to act for; "" for none.
    principal: String,
    fetch_groups: bool,
    fetch_user_info: bool,
    /// How far groups of groups count; 0 for not at all.
    depth: i64,
    /// The organisation's own schemas that become claims.
    schemas: Vec<String>,
    /// The domain of which groups count; "" for all.
    domain: String,
}

fn field<T: Field + Default>(map: &JsonMap, name: &str) -> Result<T, String> {
    match map.get(name) {
        None | Some(Json::Null) => Ok(T::default()),
        Some(value) => T::read(value).map_err(|expected| format!("'{name}' must be {expected}")),
    }
}

impl Settings {
    fn read(map: &JsonMap) -> Result<Self, String> {
        let schemas: Vec<String> = field(map, "user_custom_schemas")?;
        let settings = Self {
            admin: field(map, "gsuite_admin_impersonate")?,
            principal: field(map, "impersonate_principal")?,
            fetch_groups: field(map, "fetch_groups")?,
            fetch_user_info: field(map, "fetch_user_info")?,
            depth: field(map, "groups_recurse_max_depth")?,
            schemas,
            domain: field(map, "domain")?,
        };
        if settings.depth < 0 {
            return Err("'gsuite_recurse_max_depth' must be a positive integer".to_owned());
        }
        if settings.schemas.iter().any(|schema| claims::is_registered(schema)) {
            return Err("'user_custom_schemas' names a claim that tokens have".to_owned());
        }
        Ok(settings)
    }

    /// Whom to act as.
    fn subject(&self) -> Option<&str> {
        Some(self.admin.as_str()).filter(|admin| !admin.is_empty())
    }
}

/// Refuses settings that are none.
pub(super) fn check(config: &Config) -> Result<(), String> {
    Settings::read(&config.provider_config)?;
    let file = config.gsuite_service_account.expose_secret();
    if file.is_empty() {
        return Ok(());
    }
    if !file.trim_start().starts_with('{') {
        return Err(
            "'gsuite_service_account' must be the text of a key file: this server reads no \
                    file that a request names"
                .to_owned(),
        );
    }
    let read = Credentials::parse(file).map(drop);
    read.map_err(|e| format!("error parsing service account JSON: {}", e.public.join(" ")))
}

/// The Directory API, for one login.
struct Directory<'a> {
    jwt: &'a Jwt,
    token: SecretString,
    /// Questions that may still be asked.
    left: usize,
}

fn failed(why: &str) -> Error {
    Error::bad_request(format!("failed to fetch groups: {why}"))
}

fn upstream(failure: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Upstream, format!("the Directory API can't be asked: {failure}"))
}

impl Jwt {
    /// Puts the caller's groups, and the organisation's own fields, into the claims.
    pub(super) async fn ask_workspace(
        &self,
        config: &Config,
        role: &Role,
        claims: &mut JsonMap,
        now: Timestamp,
    ) -> Result<()> {
        let settings = Settings::read(&config.provider_config).map_err(Error::internal)?;
        let wants_groups = settings.fetch_groups && !role.groups_claim.is_empty();
        let wants_fields = settings.fetch_user_info && !settings.schemas.is_empty();
        if !wants_groups && !wants_fields {
            return Ok(());
        }
        let user = claims::user(role, claims)?;
        let asking = async {
            let token = self.workspace_token(config, &settings, now).await?;
            let mut directory = Directory { jwt: self, token, left: QUESTIONS_MAX };
            let fields = match wants_fields {
                true => directory.fields_of(&user, &settings.schemas).await?,
                false => JsonMap::new(),
            };
            let groups = match wants_groups {
                true => Some(directory.groups_of(&user, &settings).await?),
                false => None,
            };
            Ok::<_, Error>((fields, groups))
        };
        let late = |_| upstream(Failure::new("it did not answer in time"));
        let (fields, groups) = tokio::time::timeout(ALL, asking).await.map_err(late)??;
        claims.extend(fields);
        if let Some(groups) = groups {
            claims::set(claims, &role.groups_claim, groups.into_iter().collect());
        }
        Ok(())
    }

    async fn workspace_token(
        &self,
        config: &Config,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SecretString> {
        let (web, subject) = (&*self.web, settings.subject());
        let file = config.gsuite_service_account.expose_secret();
        let admin = settings.admin.as_str();
        if !file.is_empty() {
            let credentials = Credentials::parse(file)?;
            let [uri, email, key] = credentials.identity();
            let fetch = credentials.access_token(web, SCOPES, subject, now);
            return self.access.get(&["file", uri, email, key, admin], now, fetch).await;
        }
        let principal = settings.principal.as_str();
        if !principal.is_empty() {
            let fetch = machine::token_of(web, principal, SCOPES, subject, now);
            return self.access.get(&["principal", principal, admin], now, fetch).await;
        }
        self.access.get(&["machine"], now, machine::own_token(web, SCOPES)).await
    }
}

impl Directory<'_> {
    /// The answer to a question; 404 where there is no such person or group.
    async fn ask(&mut self, url: String) -> Result<Json> {
        self.left = self.left.checked_sub(1).ok_or_else(|| failed("there are too many"))?;
        let call = Call::get(url).bearer(self.token.expose_secret()).map_err(upstream)?;
        let answer = self.jwt.question(call).await.map_err(upstream)?;
        match answer.status {
            200..=299 => answer.json().map_err(upstream),
            404 => Err(failed("the Directory API does not know the caller")),
            status => Err(upstream(Failure::new(format!("it answered status {status}")))),
        }
    }

    /// The values of these schemas.
    async fn fields_of(&mut self, user: &str, schemas: &[String]) -> Result<JsonMap> {
        if matches!(user, "." | "..") {
            return Err(failed("the caller's name is none"));
        }
        let (user, mask) = (uri_encode(user), uri_encode(&schemas.join(",")));
        let query = format!("projection=custom&customFieldMask={mask}&fields=customSchemas");
        let mut answer = self.ask(format!("{API}/users/{user}?{query}")).await?;
        let mut fields = JsonMap::new();
        if let Some(Json::Object(found)) = answer.get_mut("customSchemas").map(Json::take) {
            fields.extend(found.into_iter().filter(|(name, _)| schemas.contains(name)));
        }
        Ok(fields)
    }

    /// The groups of a person, and as far as is wanted the groups that these are in.
    async fn groups_of(&mut self, user: &str, settings: &Settings) -> Result<BTreeSet<String>> {
        let mut groups = BTreeSet::new();
        let mut members = vec![user.to_owned()];
        for _ in 0..=settings.depth {
            let mut next = Vec::new();
            for member in members {
                for group in self.groups_around(&member, &settings.domain).await? {
                    if groups.insert(group.clone()) {
                        next.push(group);
                    }
                }
                if groups.len() > GROUPS_MAX {
                    return Err(failed("there are too many"));
                }
            }
            if next.is_empty() {
                break;
            }
            members = next;
        }
        Ok(groups)
    }

    /// The groups that a person, or a group, is directly in.
    async fn groups_around(&mut self, member: &str, domain: &str) -> Result<Vec<String>> {
        let mut url = format!("{API}/groups?userKey={}", uri_encode(member));
        if !domain.is_empty() {
            url = format!("{url}&domain={}", uri_encode(domain));
        }
        url.push_str("&fields=nextPageToken,groups(email)");
        let (mut groups, mut page) = (Vec::new(), String::new());
        loop {
            let at = if page.is_empty() { url.clone() } else { format!("{url}&pageToken={page}") };
            let answer = self.ask(at).await?;
            let listed = answer.get("groups").and_then(Json::as_array).into_iter().flatten();
            let emails = listed.filter_map(|group| group.get("email").and_then(Json::as_str));
            groups.extend(emails.map(str::to_owned));
            match answer.get("nextPageToken").and_then(Json::as_str) {
                Some(next) if !next.is_empty() => page = uri_encode(next),
                _ => return Ok(groups),
            }
        }
    }
}
