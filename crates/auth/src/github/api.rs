//! The part of GitHub's REST API that a login asks (its pages "Users", "Organizations", "Teams" and
//! "Using pagination in the REST API").

use serde::Deserialize;
use serde::de::DeserializeOwned;
use strongroom_base::{Json, SecretString, percent};
use strongroom_connectors::web::{Answer, Call, Failure, Web};

/// GitHub's own API.
const GITHUB: &str = "https://api.github.com/";
/// Entries of a page, the most that GitHub gives.
const PAGE: usize = 100;
/// Pages of one list that are read.
const PAGES_MAX: usize = 50;

/// Why there is no answer.
pub(super) enum Refusal {
    /// GitHub refuses, with this status.
    Refused(u16),
    /// It can't be asked, or its answer makes no sense.
    Failed(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A user or an organisation.
#[derive(Deserialize)]
pub(super) struct Account {
    /// Its name, which may change; teams need not say their organisation's.
    #[serde(default)]
    pub login: String,
    /// Its number, which does not.
    pub id: i64,
}

/// A team.
#[derive(Deserialize)]
pub(super) struct Team {
    /// Its name as people see it.
    pub name: String,
    /// Its name in addresses.
    pub slug: String,
    /// Whose it is.
    pub organization: Account,
}

/// The API, as whom a token belongs to.
pub(super) struct Api<'a> {
    web: &'a dyn Web,
    base: &'a str,
    token: Option<&'a SecretString>,
}

impl<'a> Api<'a> {
    /// The API at `base_url`, or GitHub's own where that is empty.
    pub(super) fn new(
        web: &'a dyn Web,
        base_url: &'a str,
        token: Option<&'a SecretString>,
    ) -> Self {
        let base = if base_url.is_empty() { GITHUB } else { base_url };
        Self { web, base, token }
    }

    async fn get(&self, path: &str) -> Result<Answer, Refusal> {
        let call = Call::get(format!("{}{path}", self.base));
        let mut call = call.header(http::header::ACCEPT, "application/vnd.github+json")?;
        if let Some(token) = self.token {
            call = call.bearer(token.expose_secret())?;
        }
        let answer = self.web.call(call).await?;
        if answer.is_success() { Ok(answer) } else { Err(Refusal::Refused(answer.status)) }
    }

    async fn one<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        Ok(read(self.get(path).await?.json()?)?)
    }

    /// All entries of a list, page by page.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Refusal> {
        let mut all = Vec::new();
        for page in 1..=PAGES_MAX {
            let more = if page > 1 { format!("&page={page}") } else { String::new() };
            let answer = self.get(&format!("{path}?per_page={PAGE}{more}")).await?;
            // Other servers that speak as GitHub does say so that there is nothing.
            if answer.body.is_empty() {
                return Ok(all);
            }
            all.extend(read::<Vec<T>>(answer.json()?)?);
            if !has_next(&answer) {
                return Ok(all);
            }
        }
        Err(Failure::new("GitHub's list is too long").into())
    }

    /// The number of an organisation.
    pub(super) async fn organization(&self, name: &str) -> Result<i64, Refusal> {
        let name = in_path(name);
        Ok(self.one::<Account>(&format!("orgs/{name}")).await?.id)
    }

    /// Whose token it is.
    pub(super) async fn user(&self) -> Result<Account, Refusal> {
        self.one("user").await
    }

    /// The organisations he is in.
    pub(super) async fn organizations(&self) -> Result<Vec<Account>, Refusal> {
        self.all("user/orgs").await
    }

    /// His teams, in all organisations.
    pub(super) async fn teams(&self) -> Result<Vec<Team>, Refusal> {
        self.all("user/teams").await
    }
}

fn read<T: DeserializeOwned>(json: Json) -> Result<T, Failure> {
    serde_json::from_value(json).map_err(|_| Failure::new("GitHub's answer has another shape"))
}

/// Does a page have one after it? Only that is read of the header: where the next page is, we know.
fn has_next(answer: &Answer) -> bool {
    let links = answer.headers.get_all(http::header::LINK).iter();
    let mut texts = links.filter_map(|link| link.to_str().ok());
    texts.any(|text| {
        text.split(';').any(|part| {
            let part = part.split(',').next().unwrap_or_default().trim();
            part.eq_ignore_ascii_case("rel=\"next\"") || part.eq_ignore_ascii_case("rel=next")
        })
    })
}

/// A name as one segment of a path.
fn in_path(name: &str) -> String {
    percent::encode_but(name, b"-_")
}
