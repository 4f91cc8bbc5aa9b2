//! IAM: what lies behind a principal's name.

use strongroom_base::{Error, ErrorKind, Result};
use strongroom_kernel::plug::ReadCx;

use super::arn::{Kind, Principal};
use super::query::{self, Own};
use super::stored::{Client, StsAccount};
use super::{Aws, sts};

/// A user or role as IAM knows it.
pub struct Found {
    /// Its unique id, which no later one of its name has.
    pub id: String,
    /// Its ARN with its path.
    pub arn: String,
}

/// Where a partition's IAM is, and the region its calls are signed for.
fn home(partition: &str) -> Result<(&'static str, &'static str)> {
    match partition {
        "aws" => Ok(("https://iam.amazonaws.com", "us-east-1")),
        "aws-cn" => Ok(("https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1")),
        "aws-us-gov" => Ok(("https://iam.us-gov.amazonaws.com", "us-gov-west-1")),
        _ => Err(Error::bad_request("IAM of this AWS partition is not known")),
    }
}

impl Aws {
    /// Looks a user or role up in IAM of its account. `why` completes "… needs to ask IAM".
    pub(super) async fn look_up(
        &self,
        cx: &ReadCx<'_>,
        client: &Client,
        principal: &Principal<'_>,
        why: &str,
    ) -> Result<Found> {
        let Some(mut credentials) = client.credentials() else {
            return Err(Error::bad_request(format!(
                "{why} needs to ask IAM, and config/client has no access_key and secret_key"
            )));
        };
        let (address, region) = home(principal.partition)?;
        let web = &*self.web;
        if let Some(account) = cx.view().cached::<StsAccount>(0, principal.account).await? {
            credentials = sts::assume(web, client, &credentials, &account, cx.now()).await?;
        }
        let own = client.iam_endpoint.as_str();
        let url = if own.is_empty() { address } else { own };
        let (action, parameter, kind, id) = match principal.kind {
            Kind::User => ("GetUser", "UserName", "User", "UserId"),
            Kind::Role | Kind::AssumedRole => ("GetRole", "RoleName", "Role", "RoleId"),
        };
        let form = [("Action", action), ("Version", "2010-05-08"), (parameter, principal.name)];
        let call = Own { url, service: "iam", region, form: &form };
        let answer = call.make(web, &credentials, query::retries(client), cx.now()).await?;
        let root = query::read(&answer, &format!("{action}Response"))?;
        let found = root.only(&format!("{action}Result")).and_then(|result| result.only(kind));
        let text = |name: &str| found.and_then(|found| found.text_of(name)).map(str::to_owned);
        let (Some(id), Some(arn)) = (text(id), text("Arn")) else {
            return Err(Error::new(ErrorKind::Upstream, "IAM's answer does not say who it is"));
        };
        // Our own credentials may be of another account, where the same name is somebody else.
        let same = |other: Principal<'_>| other.canonical() == principal.canonical();
        if !Principal::parse(&arn).is_some_and(same) {
            return Err(Error::bad_request(
                "IAM knows the principal in another account: config/sts must name a role to assume \
                 in the principal's",
            ));
        }
        Ok(Found { id, arn })
    }
}
