//! Whose members may log in (Vault's API page "GitHub auth method").

use strongroom_base::{Error, ErrorKind, JsonMap, Result, fields};
use strongroom_kernel::plug::{Command, EngineSpec, Query, ReadCx, Reply, WriteCx, ops};

use super::Github;
use super::api::{Api, Refusal};
use super::stored;
use crate::kept;
use crate::token_params::TokenFields;

/// Bytes of the API's address.
const URL_BYTES_MAX: usize = 2_048;

fields! {
    /// Says whose members may log in.
    pub struct PutConfig {
        ..token: TokenFields;
        /// The organisation that users must be in.
        organization: Option<String>,
        /// Its number. Without it GitHub is asked.
        organization_id: Option<i64>,
        /// Where the API is, for GitHub Enterprise.
        base_url: Option<String>,
    }
}
fields! {
    /// Reads the configuration.
    pub struct ReadConfig {}
}

ops! {
    PutConfig (), Write;
    ReadConfig JsonMap, Read;
}

pub(super) fn add(spec: EngineSpec<Github>) -> EngineSpec<Github> {
    spec.query::<ReadConfig>("config").command::<PutConfig>("config")
}

impl Command<PutConfig> for Github {
    async fn command(&self, cx: &mut WriteCx<'_>, op: PutConfig) -> Result<Reply<()>> {
        cx.queue("config").await;
        let mut config = stored::config(&cx.view()).await?.unwrap_or_default();
        let before = (config.organization.clone(), config.base_url.clone());
        if let Some(organization) = op.organization {
            config.organization = organization;
        }
        if config.organization.is_empty() {
            return Err(Error::bad_request("organization is a required parameter"));
        }
        if let Some(base_url) = op.base_url {
            config.base_url = check_url(base_url)?;
        }
        if let Some(id) = op.organization_id {
            config.organization_id = id;
        } else if before != (config.organization.clone(), config.base_url.clone()) {
            // The number of another organisation, or of one elsewhere, is worth nothing.
            config.organization_id = 0;
        }
        let warnings = config.token.apply(op.token)?;
        if config.organization_id == 0 {
            let api = Api::new(&*self.web, &config.base_url, None);
            let asked = api.organization(&config.organization).await;
            config.organization_id = asked.map_err(|refusal| {
                let text = "unable to fetch the organization_id, you must manually set it in the \
                            config";
                match refusal {
                    Refusal::Refused(status) => {
                        Error::bad_request(format!("{text}: GitHub answers {status}"))
                    }
                    Refusal::Failed(failure) => {
                        Error::new(ErrorKind::Upstream, format!("{text}: {failure}"))
                    }
                }
            })?;
        }
        kept::prepare(cx).await?;
        cx.edit().put_named(0, "", &config)?;
        Ok(Reply::none().warnings(warnings))
    }
}

/// An address with `/` at its end; "" stays "".
fn check_url(mut url: String) -> Result<String> {
    if url.is_empty() {
        return Ok(url);
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let good = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '?' | '#' | '@');
    let scheme = scheme.to_ascii_lowercase();
    let fit = matches!(scheme.as_str(), "https" | "http")
        && !rest.is_empty()
        && !rest.starts_with('/')
        && rest.chars().all(good)
        && url.len() <= URL_BYTES_MAX;
    if !fit {
        return Err(Error::bad_request("error parsing given base_url: no https or http URL"));
    }
    if !url.ends_with('/') {
        url.push('/');
    }
    Ok(url)
}

impl Query<ReadConfig> for Github {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadConfig) -> Result<Reply<JsonMap>> {
        let config = stored::config(&cx.view()).await?.ok_or_else(Error::not_found)?;
        let mut map = JsonMap::new();
        map.insert("organization".to_owned(), config.organization.into());
        map.insert("organization_id".to_owned(), config.organization_id.into());
        map.insert("base_url".to_owned(), config.base_url.into());
        config.token.show(&mut map);
        Ok(Reply::data(map))
    }
}

#[cfg(test)]
mod tests {
    use super::check_url;

    #[test]
    fn addresses() {
        for (url, expect) in [
            ("", ""),
            ("https://ghe.example/api/v3", "https://ghe.example/api/v3/"),
            ("HTTP://127.0.0.1:8080/", "HTTP://127.0.0.1:8080/"),
        ] {
            assert_eq!(check_url(url.to_owned()).unwrap(), expect);
        }
        for url in [
            "/",
            "ghe.example",
            "ftp://x/",
            "https://",
            "https:///x",
            "https://a@b/",
            "https://b/?x",
        ] {
            assert!(check_url(url.to_owned()).is_err(), "{url}");
        }
    }
}
