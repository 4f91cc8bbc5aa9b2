//! Calls to AWS's query APIs (STS, IAM): a form is sent, XML comes back.

use http::{HeaderName, HeaderValue};
use strongroom_base::{Error, ErrorKind, Result, SecretString, Timestamp};
use strongroom_cloudwire::sigv4::{Credentials, Request, hash_of, sign};
use strongroom_cloudwire::xml::{self, Element};
use strongroom_connectors::web::{Answer, Call, Web};

use super::stored::Client;
use crate::endpoints;

/// What forms are sent as.
const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";
/// Times that a call is tried again unless configured otherwise.
const RETRIES: i64 = 1;
/// Most times that a call is tried again, whatever is configured: somebody waits for the answer.
const RETRIES_MAX: i64 = 3;

/// How often a call is tried again.
pub fn retries(client: &Client) -> i64 {
    if client.max_retries < 0 { RETRIES } else { client.max_retries.min(RETRIES_MAX) }
}

/// Sends a form with these headers; tries again where nobody answers or the service failed.
pub async fn post(
    web: &dyn Web,
    url: &str,
    headers: &[(String, SecretString)],
    body: &str,
    retries: i64,
) -> Result<Answer> {
    let mut left = retries;
    loop {
        let answer = web.call(call(url, headers, body)?).await;
        let again = answer.as_ref().map_or(true, |answer| answer.status >= 500);
        if !again || left <= 0 {
            return answer.map_err(|failure| {
                Error::new(ErrorKind::Upstream, format!("error making upstream request: {failure}"))
            });
        }
        left -= 1;
    }
}

fn call(url: &str, headers: &[(String, SecretString)], body: &str) -> Result<Call> {
    let mut call = Call::post(format!("{url}/"), CONTENT_TYPE, body.as_bytes().to_vec());
    call.headers.clear();
    let bad = || Error::bad_request("a header of the request can't be sent");
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| bad())?;
        value.set_sensitive(name != http::header::HOST);
        call.headers.append(name, value);
    }
    Ok(call)
}

/// The XML of a service's good answer, whose root is called `root`. What the service says of a refusal
/// is not repeated.
pub fn read(answer: &Answer, root: &str) -> Result<Element> {
    if answer.status != 200 {
        let kind = if answer.status >= 500 { ErrorKind::Upstream } else { ErrorKind::BadRequest };
        let text = format!("error making upstream request: received error code {}", answer.status);
        return Err(Error::new(kind, text));
    }
    let wrong = || Error::new(ErrorKind::Upstream, "AWS's answer has not the form it must have");
    let content_type = answer.headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("text/xml") {
        return Err(wrong());
    }
    xml::parse(&answer.body).ok().filter(|element| element.name == root).ok_or_else(wrong)
}

/// A call of our own, signed with `credentials`.
pub struct Own<'a> {
    /// The address of the service.
    pub url: &'a str,
    /// Its name in signatures.
    pub service: &'static str,
    /// The region it is signed for.
    pub region: &'a str,
    /// Action, version and parameters.
    pub form: &'a [(&'a str, &'a str)],
}

impl Own<'_> {
    /// Makes the call.
    pub async fn make(
        &self,
        web: &dyn Web,
        credentials: &Credentials,
        retries: i64,
        now: Timestamp,
    ) -> Result<Answer> {
        let body = strongroom_cloudwire::form::encode(self.form);
        let host = endpoints::authority(self.url).to_owned();
        let mut headers =
            vec![("content-type".to_owned(), CONTENT_TYPE.to_owned()), ("host".to_owned(), host)];
        let payload = hash_of(body.as_bytes());
        let request = Request::post("/", &headers, &payload);
        let added = sign(request, credentials, self.region, self.service, now);
        headers.extend(added);
        let headers: Vec<(String, SecretString)> = headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), SecretString::new(value)))
            .collect();
        post(web, self.url, &headers, &body, retries).await
    }
}
