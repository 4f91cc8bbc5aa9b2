//! STS: who signed a request; credentials of a role in another account.

use strongroom_base::{Error, ErrorKind, Result, SecretString, Timestamp};
use strongroom_cloudwire::caller_identity;
use strongroom_cloudwire::sigv4::Credentials;
use strongroom_connectors::web::Web;

use super::arn::Principal;
use super::query::{self, Own};
use super::request::Checked;
use super::stored::{Client, StsAccount};

/// The global STS.
const GLOBAL: &str = "https://sts.amazonaws.com";
/// The name of our sessions, in the account's log.
const SESSION: &str = "strongroom-auth";

/// Who signed.
#[derive(Debug)]
pub struct Caller {
    /// Its ARN.
    pub arn: String,
    /// Its unique id; sessions have a colon and their name after it.
    pub user_id: String,
    /// Its account.
    pub account: String,
}

/// Is it the name of a region (`eu-central-1`)?
pub fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let letters = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase());
    match parts.as_slice() {
        [first, middle @ .., last] => {
            text.len() <= 32
                && first.len() >= 2
                && letters(first)
                && !middle.is_empty()
                && middle.iter().all(letters)
                && matches!(last.len(), 1 | 2)
                && last.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

/// Is `host` one of AWS's own names of STS?
pub fn is_host_of_aws(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    if host == "sts.amazonaws.com" {
        return true;
    }
    let rest = host.strip_prefix("sts.").or_else(|| host.strip_prefix("sts-fips."));
    let region = rest.and_then(|rest| {
        let ends = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"];
        ends.iter().find_map(|end| rest.strip_suffix(end))
    });
    region.is_some_and(is_region)
}

/// Where a login signed for `region` goes.
fn address(client: &Client, region: &str) -> Result<String> {
    if client.use_sts_region_from_client {
        if !is_region(region) {
            return Err(Error::bad_request("region missing from Authorization header"));
        }
        return Ok(format!("https://{}", caller_identity::host(region)));
    }
    Ok(own_address(client))
}

fn own_address(client: &Client) -> String {
    if client.sts_endpoint.is_empty() { GLOBAL.to_owned() } else { client.sts_endpoint.clone() }
}

/// Asks STS who signed a login's request.
pub async fn caller(web: &dyn Web, client: &Client, request: &Checked) -> Result<Caller> {
    let url = address(client, &request.region)?;
    let retries = query::retries(client);
    let answer = query::post(web, &url, &request.headers, &request.body, retries).await?;
    let root = query::read(&answer, "GetCallerIdentityResponse")?;
    let wrong = || Error::new(ErrorKind::Upstream, "STS's answer does not say who the caller is");
    let result = root.only("GetCallerIdentityResult").ok_or_else(wrong)?;
    let text = |name: &str| result.text_of(name).map(str::to_owned).ok_or_else(wrong);
    let caller = Caller { arn: text("Arn")?, user_id: text("UserId")?, account: text("Account")? };
    Ok(caller)
}

impl Caller {
    /// The principal; an error where it is of no kind that logs in.
    pub fn principal(&self) -> Result<Principal<'_>> {
        let principal = Principal::parse(&self.arn).ok_or_else(|| {
            Error::bad_request("the caller is no IAM user, role or session of a role")
        })?;
        if principal.account != self.account {
            return Err(Error::new(ErrorKind::Upstream, "STS's answer names two accounts"));
        }
        Ok(principal)
    }

    /// The unique id of the user or role, without a session's name.
    pub fn unique_id(&self) -> &str {
        self.user_id.split(':').next().unwrap_or_default()
    }
}

/// Credentials of a role in another account.
pub async fn assume(
    web: &dyn Web,
    client: &Client,
    credentials: &Credentials,
    account: &StsAccount,
    now: Timestamp,
) -> Result<Credentials> {
    let url = own_address(client);
    let region = if client.sts_region.is_empty() { "us-east-1" } else { &client.sts_region };
    let mut form = vec![
        ("Action", "AssumeRole"),
        ("Version", "2011-06-15"),
        ("RoleArn", account.sts_role.as_str()),
        ("RoleSessionName", SESSION),
    ];
    if !account.external_id.is_empty() {
        form.push(("ExternalId", account.external_id.as_str()));
    }
    let call = Own { url: &url, service: "sts", region, form: &form };
    let answer = call.make(web, credentials, query::retries(client), now).await?;
    let root = query::read(&answer, "AssumeRoleResponse")?;
    let given = root.only("AssumeRoleResult").and_then(|result| result.only("Credentials"));
    let text = |name: &str| given.and_then(|given| given.text_of(name)).map(str::to_owned);
    let (Some(access_key), Some(secret), Some(token)) =
        (text("AccessKeyId"), text("SecretAccessKey"), text("SessionToken"))
    else {
        return Err(Error::new(ErrorKind::Upstream, "STS's answer holds no credentials"));
    };
    Ok(Credentials {
        access_key,
        secret_key: SecretString::new(secret),
        session_token: Some(SecretString::new(token)),
    })
}

#[cfg(test)]
mod tests {
    use super::{is_host_of_aws, is_region};

    #[test]
    fn regions_and_hosts() {
        for (text, good) in [
            ("us-east-1", true),
            ("us-gov-west-1", true),
            ("ap-southeast-10", true),
            ("", false),
            ("us-1", false),
            ("us-east", false),
            ("us-east-1.evil.example", false),
            ("us-east-x1", false),
            ("US-EAST-1", false),
            ("us--1", false),
        ] {
            assert_eq!(is_region(text), good, "{text}");
        }
        for (host, good) in [
            ("sts.amazonaws.com", true),
            ("STS.amazonaws.com", true),
            ("sts.eu-west-1.amazonaws.com", true),
            ("sts-fips.us-east-1.amazonaws.com", true),
            ("sts.cn-north-1.amazonaws.com.cn", true),
            ("sts.eu-west-1.api.aws", true),
            ("iam.amazonaws.com", false),
            ("sts.amazonaws.com.evil.example", false),
            ("evil.sts.amazonaws.com", false),
            ("sts.evil.amazonaws.com", false),
            ("sts.eu-west-1.amazonaws.com:8443", false),
        ] {
            assert_eq!(is_host_of_aws(host), good, "{host}");
        }
    }
}
