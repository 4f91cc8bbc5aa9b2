//! Where rotation functions are, and how they are called: the Lambda API's `Invoke` at an endpoint, or a
//! plain POST to an address of a list.

use http::{HeaderName, header};
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, Result, SecretString, Timestamp, fields};
use strongroom_cloudwire::sigv4;
use strongroom_connectors::web::{self, Call, Failure, Web};
use strongroom_kernel::plug::{Command, Query, ReadCx, Reply, WriteCx, ops};
use strongroom_kernel::record::{ReadView, Record};
use zeroize::Zeroize;

use super::journal::Run;
use crate::kv::Kv;
use crate::kv::tree::TOP;

/// The name of the settings' record.
const NAME: &str = "rotation-functions";
/// Bytes of a function's answer that are looked at.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Addresses that may be called directly.
const URLS_MAX: usize = 64;

/// Where functions are.
#[derive(Default, Serialize, Deserialize)]
pub struct Functions {
    /// The base of the Lambda API; empty for none.
    endpoint: String,
    /// Who signs; empty for nobody.
    access_key: String,
    secret_key: String,
    /// Addresses, and beginnings of such that end in a slash, that may be named in place of a function.
    urls: Vec<String>,
    /// Certificates of the authorities that vouch for them; empty for the machine's.
    ca: String,
}

impl Record for Functions {
    const KIND: u8 = 5;
}

impl Drop for Functions {
    fn drop(&mut self) {
        self.secret_key.zeroize();
    }
}

fields! {
    /// Tells where rotation functions are.
    pub struct ReadFunctions {}
}

fields! {
    /// Says where rotation functions are, that AWS's `RotateSecret` names.
    pub struct WriteFunctions {
        /// The base URL of a Lambda API.
        endpoint: Option<String>,
        /// The access key id that calls to it are signed with.
        access_key: Option<String>,
        /// Its secret key. Another endpoint takes it in the same request.
        secret_key: Option<SecretString>,
        /// URLs that may be named in place of a function; one that ends in a slash stands for all below.
        allowed_urls: Option<Vec<String>>,
        /// Certificates in PEM of the authorities that vouch for them.
        ca_cert: Option<String>,
    }
}

fields! {
    /// Takes the settings away: no function is called any more.
    pub struct DeleteFunctions {}
}

ops! {
    ReadFunctions Json, Read;
    WriteFunctions Json, Write;
    DeleteFunctions Json, Delete;
}

/// The mount's settings.
pub async fn settings(view: &ReadView<'_>) -> Result<Functions> {
    Ok(view.named::<Functions>(TOP, NAME).await?.unwrap_or_default())
}

fn check_url(url: &str) -> Result<()> {
    match target(url) {
        Some(_) => Ok(()),
        None => Err(Error::bad_request("an address must be an http or https URL without a query")),
    }
}

/// The authority and path of a URL.
fn target(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let plain = !rest.contains(['?', '#', '@', '\\']) && !rest.chars().any(char::is_whitespace);
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at)?;
    (plain && !authority.is_empty()).then_some((authority, path))
}

impl Query<ReadFunctions> for Kv {
    async fn query(&self, cx: &ReadCx<'_>, _: ReadFunctions) -> Result<Reply<Json>> {
        let found = cx.view().named::<Functions>(TOP, NAME).await?;
        let found = found.ok_or_else(Error::not_found)?;
        Ok(Reply::data(serde_json::json!({
            "access_key": found.access_key,
            "allowed_urls": found.urls,
            "ca_cert": found.ca,
            "endpoint": found.endpoint,
        })))
    }
}

impl Command<WriteFunctions> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, op: WriteFunctions) -> Result<Reply<Json>> {
        let edit = cx.edit();
        let mut functions = settings(&edit).await?;
        if let Some(endpoint) = op.endpoint {
            let endpoint = endpoint.trim_end_matches('/');
            if !endpoint.is_empty() {
                check_url(endpoint)?;
            }
            // A key is not sent to an address that its owner did not name.
            if endpoint != functions.endpoint && op.secret_key.is_none() {
                functions.secret_key.zeroize();
                functions.access_key.clear();
            }
            functions.endpoint = endpoint.to_owned();
        }
        if let Some(access_key) = op.access_key {
            functions.access_key = access_key;
        }
        if let Some(secret_key) = op.secret_key {
            secret_key.expose_secret().clone_into(&mut functions.secret_key);
        }
        if let Some(urls) = op.allowed_urls {
            urls.iter().try_for_each(|url| check_url(url))?;
            if urls.len() > URLS_MAX {
                return Err(Error::bad_request(format!(
                    "there are more than {URLS_MAX} addresses"
                )));
            }
            functions.urls = urls;
        }
        if let Some(ca) = op.ca_cert {
            web::check_ca(&ca).map_err(|e| Error::bad_request(e.to_string()))?;
            functions.ca = ca;
        }
        edit.put_named(TOP, NAME, &functions)?;
        Ok(Reply::none())
    }
}

impl Command<DeleteFunctions> for Kv {
    async fn command(&self, cx: &mut WriteCx<'_>, _: DeleteFunctions) -> Result<Reply<Json>> {
        cx.edit().delete_named::<Functions>(TOP, NAME);
        Ok(Reply::none())
    }
}

impl Functions {
    /// The URL of a function, and whether it is one of the Lambda API; none where it may not be called.
    fn url(&self, function: &str) -> Option<(String, bool)> {
        if target(function).is_some() {
            let listed = |url: &String| {
                function == url || url.ends_with('/') && function.starts_with(url.as_str())
            };
            // A path that climbs up is below nothing.
            let climbs = function.split('/').any(|s| s == ".." || s == "." || s.contains('%'));
            return self
                .urls
                .iter()
                .any(listed)
                .then(|| (function.to_owned(), false))
                .filter(|_| !climbs);
        }
        let name = sigv4::uri_encode(function);
        (!self.endpoint.is_empty())
            .then(|| (format!("{}/2015-03-31/functions/{name}/invocations", self.endpoint), true))
    }

    /// May this function be called?
    pub fn serve(&self, function: &str) -> bool {
        self.url(function).is_some()
    }
}

/// Calls a function for one step, and waits for its answer.
pub async fn invoke(
    web: &dyn Web,
    functions: &Functions,
    run: &Run,
    step: &str,
    now: Timestamp,
) -> Result<(), Failure> {
    let (url, of_lambda) = functions
        .url(&run.function)
        .ok_or_else(|| Failure::new("the settings name no such function"))?;
    let body = serde_json::json!({
        "Step": step, "SecretId": run.arn, "ClientRequestToken": run.token,
    });
    let body = body.to_string().into_bytes();
    let mut call = Call::post(url.clone(), "application/json", body.clone())
        .with_ca(&functions.ca)
        .with_body_max(ANSWER_BYTES_MAX);
    if of_lambda {
        const KIND: HeaderName = HeaderName::from_static("x-amz-invocation-type");
        call = call.header(KIND, "RequestResponse")?;
        if !functions.access_key.is_empty() {
            for (name, value) in functions.signature(&url, &body, &run.region, now) {
                let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
                let name = name.map_err(|_| Failure::new("a header has no name"))?;
                call = call.header(name, &value)?;
            }
        }
    }
    let answer = web.call(call).await?;
    if answer.headers.contains_key("x-amz-function-error") {
        return Err(Failure::new("the function failed"));
    }
    match answer.status {
        200 => Ok(()),
        status => Err(Failure::new(format!("the function's server answered {status}"))),
    }
}

impl Functions {
    fn signature(
        &self,
        url: &str,
        body: &[u8],
        region: &str,
        now: Timestamp,
    ) -> Vec<(String, String)> {
        let (host, path) = target(url).unwrap_or_default();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = [
            header(header::HOST.as_str(), host),
            header(header::CONTENT_TYPE.as_str(), "application/json"),
            header("x-amz-invocation-type", "RequestResponse"),
        ];
        let payload = sigv4::hash_of(body);
        let request = sigv4::Request::post(path, &headers, &payload);
        let credentials = sigv4::Credentials {
            access_key: self.access_key.clone(),
            secret_key: SecretString::new(self.secret_key.clone()),
            session_token: None,
        };
        sigv4::sign(request, &credentials, region, "lambda", now)
    }
}
