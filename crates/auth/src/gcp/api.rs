//! Google's APIs, as far as logins need them.

use strongroom_base::{Error, ErrorKind, Json, Result, SecretString, Timestamp};
use strongroom_cloudwire::sigv4::uri_encode;
use strongroom_connectors::web::Call;

use super::Gcp;
use super::stored::Config;
use crate::google::key_file::Credentials;

/// What our tokens may do; what they may really do is decided by the account's roles.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A service account.
#[derive(Debug)]
pub struct ServiceAccount {
    /// Its email.
    pub email: String,
    /// Its unique id.
    pub unique_id: String,
    /// Its project.
    pub project_id: String,
}

/// Where the calls of one login go, and in whose name.
pub struct Google<'a> {
    gcp: &'a Gcp,
    config: &'a Config,
    token: SecretString,
}

impl Gcp {
    /// The way to Google's APIs with the configured credentials.
    pub(super) async fn google<'a>(
        &'a self,
        config: &'a Config,
        now: Timestamp,
    ) -> Result<Google<'a>> {
        if config.credentials.is_empty() {
            return Err(Error::bad_request(
                "a login asks Google whether the account is there, and config has no credentials \
                 for that",
            ));
        }
        let credentials = Credentials::parse(&config.credentials)?;
        let fetch = credentials.access_token(&*self.web, SCOPE, None, now);
        let token = self.access.get(&credentials.identity(), now, fetch).await?;
        Ok(Google { gcp: self, config, token })
    }
}

/// A name as a segment of a path.
pub fn segment(name: &str) -> Result<String> {
    if name.is_empty() || matches!(name, "." | "..") {
        return Err(Error::bad_request("a name in the token is none"));
    }
    Ok(uri_encode(name))
}

fn or<'a>(own: &'a str, googles: &'a str) -> &'a str {
    if own.is_empty() { googles } else { own }
}

impl Google<'_> {
    /// The answer of a call; `None` where it is 404.
    async fn ask(&self, what: &str, call: Call) -> Result<Option<Json>> {
        let failed = |why: String| {
            Error::new(ErrorKind::Upstream, format!("{what} can't be looked up: {why}"))
        };
        let call = call
            .bearer(self.token.expose_secret())
            .map_err(|failure| failed(failure.to_string()))?;
        let answer =
            self.gcp.web.call(call).await.map_err(|failure| failed(failure.to_string()))?;
        match answer.status {
            404 => Ok(None),
            200..=299 => answer.json().map(Some).map_err(|failure| failed(failure.to_string())),
            status => Err(failed(format!("Google answered status {status}"))),
        }
    }

    /// The service account of this email or unique id, where there is one that is not disabled.
    pub async fn service_account(&self, id: &str) -> Result<ServiceAccount> {
        let base = or(&self.config.endpoints.iam, "https://iam.googleapis.com");
        let url = format!("{base}/v1/projects/-/serviceAccounts/{}", segment(id)?);
        let found = self.ask("the service account", Call::get(url)).await?;
        let found = found.filter(|json| json.get("disabled") != Some(&Json::Bool(true)));
        let found = found
            .ok_or_else(|| Error::bad_request("the service account is not there, or disabled"))?;
        let text = |name: &str| {
            let text = found.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
            text.map(str::to_owned).ok_or_else(|| {
                Error::new(ErrorKind::Upstream, "Google's answer is no service account")
            })
        };
        Ok(ServiceAccount {
            email: text("email")?,
            unique_id: text("uniqueId")?,
            project_id: text("projectId")?,
        })
    }

    /// An instance, as Compute describes it.
    pub async fn instance(&self, project: &str, zone: &str, name: &str) -> Result<Option<Json>> {
        let (project, zone, name) = (segment(project)?, segment(zone)?, segment(name)?);
        let url = format!("{}/projects/{project}/zones/{zone}/instances/{name}", self.compute());
        self.ask("the instance", Call::get(url)).await
    }

    fn compute(&self) -> String {
        let base = or(&self.config.endpoints.compute, "https://compute.googleapis.com");
        format!("{base}/compute/v1")
    }

    /// A page of a group's instances. `place` is `zones/…` or `regions/…`; `None` is a group that is
    /// not there.
    pub async fn group_page(
        &self,
        project: &str,
        place: (&str, &str),
        group: &str,
        instance: &str,
        page: &str,
    ) -> Result<Option<Json>> {
        let (project, group, within) = (segment(project)?, segment(group)?, segment(place.1)?);
        let filter = uri_encode(&format!("instance eq {instance}"));
        let mut url = format!(
            "{}/projects/{project}/{}/{within}/instanceGroups/{group}/listInstances?filter={filter}",
            self.compute(),
            place.0,
        );
        if !page.is_empty() {
            url = format!("{url}&pageToken={}", uri_encode(page));
        }
        let call = Call::post(url, "application/json", b"{}".to_vec());
        self.ask("the instance group", call).await
    }

    /// What a project lies in, itself first, as names of groups: `project-p`, `folder-1`,
    /// `organization-2`.
    pub async fn ancestry(&self, project: &str) -> Result<Vec<String>> {
        let base = or(&self.config.endpoints.crm, "https://cloudresourcemanager.googleapis.com");
        let url = format!("{base}/v1/projects/{}:getAncestry", segment(project)?);
        let call = Call::post(url, "application/json", b"{}".to_vec());
        let found = self.ask("what the project lies in", call).await?;
        let found = found.ok_or_else(|| Error::bad_request("the project is not there"))?;
        let ancestors = found.get("ancestor").and_then(Json::as_array);
        let name = |ancestor: &Json| {
            let id = ancestor.get("resourceId")?;
            let text = |name: &str| id.get(name).and_then(Json::as_str);
            Some(format!("{}-{}", text("type")?, text("id")?))
        };
        Ok(ancestors.into_iter().flatten().filter_map(name).collect())
    }
}
