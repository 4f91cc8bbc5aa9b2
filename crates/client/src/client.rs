//! Sends requests: headers, retries, one redirect, and errors with the server's own words.

use std::time::Duration;

use bytes::Bytes;
use strongroom_base::SecretString;
use strongroom_base::json::Json;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::config::Config;
use crate::connection;
use crate::envelope::Envelope;
use crate::error::{Error, ResponseError};
use crate::file_body;
use crate::limits;
use crate::request::{Body, Prepared, Request, escape_path, escape_query, join_path};

/// A connection to one server.
pub struct Client {
    http: reqwest::Client,
    address: Address,
    config: Config,
}

/// An answer, read whole.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
    headers: http::HeaderMap,
    error: Option<Box<ResponseError>>,
}

impl Reply {
    /// The body, if the status is a success.
    pub fn ok(self) -> Result<Bytes, Error> {
        match self.error {
            None => Ok(self.body),
            Some(error) => Err(Error::Response(error)),
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The envelope as Vault's tools take it: nothing for an empty body or a bare 404, but a 404
    /// with data or warnings is an answer (a deleted version's metadata).
    pub fn envelope(self) -> Result<Option<Envelope>, Error> {
        if self.status == 404 {
            let envelope = Envelope::parse(&self.body)?;
            return Ok(envelope.filter(Envelope::has_content));
        }
        Envelope::parse(&self.ok()?)
    }

    /// As [`Self::envelope`] for writes, where a bare 404 is an error.
    pub fn written(self) -> Result<Option<Envelope>, Error> {
        if self.status == 404
            && let Some(envelope) = Envelope::parse(&self.body)?.filter(Envelope::has_content)
        {
            return Ok(Some(envelope));
        }
        Envelope::parse(&self.ok()?)
    }

    /// The body as a JSON document.
    pub fn json(self) -> Result<Json, Error> {
        serde_json::from_slice(&self.ok()?)
            .map_err(|_| Error::Protocol("the server's answer is not valid JSON".into()))
    }
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(config: Config) -> Result<Self, Error> {
        let address = Address::parse(&config.address)?;
        let http = connection::build_http(&config, &address)?;
        Ok(Self { http, address, config })
    }

    /// The address as the settings say it.
    pub fn address(&self) -> &str {
        &self.config.address
    }

    /// The token that goes with each request.
    pub fn token(&self) -> Option<&SecretString> {
        self.config.token.as_ref()
    }

    /// Changes the token.
    pub fn set_token(&mut self, token: Option<SecretString>) {
        self.config.token = token;
    }

    /// The namespace requests act in.
    pub fn namespace(&self) -> &str {
        &self.config.namespace
    }

    /// Changes the namespace.
    pub fn set_namespace(&mut self, namespace: &str) {
        self.config.namespace = crate::config::canonical_namespace(namespace);
    }

    /// Changes how long answers are wrapped.
    pub fn set_wrap_ttl(&mut self, ttl: Option<String>) {
        self.config.wrap_ttl = ttl;
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The form in which a request would go out.
    pub fn prepare(&self, request: &Request) -> Result<Prepared, Error> {
        let path = join_path(&[&self.address.prefix, "v1", &request.path]);
        let path = path.trim_start_matches('/');
        let mut url = format!("{}/{}", self.address.origin, escape_path(path));
        for (i, (name, value)) in request.query.iter().enumerate() {
            url.push(if i == 0 { '?' } else { '&' });
            url.push_str(&format!("{}={}", escape_query(name), escape_query(value)));
        }
        let json = match &request.body {
            Body::Json(value) => Some(Zeroizing::new(value.to_string())),
            Body::Empty | Body::Bytes(_) | Body::File(_) => None,
        };
        Ok(Prepared {
            method: request.method,
            url,
            path: join_path(&[&request.path]),
            lists: request.query.iter().any(|(name, value)| name == "list" && value == "true"),
            headers: self.headers(request)?,
            json,
        })
    }

    fn headers(&self, request: &Request) -> Result<Vec<(String, Zeroizing<String>)>, Error> {
        let mut headers: Vec<(String, Zeroizing<String>)> = Vec::new();
        let mut add = |name: &str, value: &str| {
            headers.push((name.to_owned(), Zeroizing::new(value.to_owned())));
        };
        add("X-Vault-Request", "true");
        if !self.config.namespace.is_empty() {
            add("X-Vault-Namespace", &self.config.namespace);
        }
        let token = match &request.token {
            Some(token) => Some(token.as_str()),
            None => self.config.token.as_ref().map(|token| token.expose_secret().as_str()),
        };
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            if !token.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
                return Err(Error::Config(
                    "configured Vault token contains non-printable characters and cannot be used"
                        .into(),
                ));
            }
            add("X-Vault-Token", token);
        }
        if let Some(ttl) = self.wrap_ttl(request) {
            add("X-Vault-Wrap-TTL", &ttl);
        }
        for mfa in &self.config.mfa {
            add("X-Vault-MFA", mfa);
        }
        if self.config.policy_override {
            add("X-Vault-Policy-Override", "true");
        }
        if let Some(kind) = request.content_type {
            add("Content-Type", kind);
        }
        for (name, value) in &self.config.headers {
            add(name, value);
        }
        Ok(headers)
    }

    /// `sys/wrapping/wrap` has no meaning without a duration, so five minutes are its default.
    fn wrap_ttl(&self, request: &Request) -> Option<String> {
        let wraps = matches!(request.method, "PUT" | "POST") && request.path == "sys/wrapping/wrap";
        request
            .wrap_ttl
            .clone()
            .or_else(|| self.config.wrap_ttl.clone())
            .or_else(|| wraps.then(|| "5m".to_owned()))
            .filter(|ttl| !ttl.is_empty())
    }

    /// Sends a request and reads the answer whole. An error status is not an error yet: see
    /// [`Reply::ok`].
    pub async fn send(&self, request: Request) -> Result<Reply, Error> {
        let limit = request.limited_in_time.then_some(self.config.timeout);
        match limit.filter(|limit| !limit.is_zero()) {
            None => self.send_unlimited(request).await,
            Some(limit) => {
                let prepared = self.prepare(&request)?;
                let (method, url) = (prepared.method.to_owned(), prepared.url);
                match tokio::time::timeout(limit, self.send_unlimited(request)).await {
                    Ok(result) => result,
                    Err(_) => Err(Error::Transport {
                        method,
                        url,
                        reason: "context deadline exceeded".into(),
                    }),
                }
            }
        }
    }

    async fn send_unlimited(&self, request: Request) -> Result<Reply, Error> {
        let (mut response, method, url) = self.exchange(request).await?;
        let mut body = bytes::BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| transport(&method, &url, &e))? {
            if body.len() + chunk.len() > limits::REPLY_BYTES_MAX {
                return Err(Error::Protocol(format!(
                    "the server's answer is longer than {} bytes",
                    limits::REPLY_BYTES_MAX
                )));
            }
            body.extend_from_slice(&chunk);
        }
        let (status, body) = (response.status().as_u16(), body.freeze());
        let headers = response.headers().clone();
        let good = (200..400).contains(&status)
            || (status == 429 && request_path(&url).ends_with("/v1/sys/health"));
        let error = (!good).then(|| Box::new(response_error(method, url, status, &body, &headers)));
        Ok(Reply { status, body, headers, error })
    }

    /// Sends a request and hands each part of the answer to `sink` as it arrives. Ends when the
    /// server ends or `sink` says so by returning false.
    pub async fn stream(
        &self,
        request: Request,
        mut sink: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Error> {
        let (mut response, method, url) = self.exchange(request).await?;
        let status = response.status().as_u16();
        if !(200..400).contains(&status) {
            let body = response.bytes().await.map_err(|e| transport(&method, &url, &e))?;
            let headers = http::HeaderMap::new();
            let error = response_error(method, url, status, &body, &headers);
            return Err(Error::Response(Box::new(error)));
        }
        while let Some(chunk) = response.chunk().await.map_err(|e| transport(&method, &url, &e))? {
            if !sink(&chunk) {
                break;
            }
        }
        Ok(())
    }

    /// Sends until there is an answer that counts, and follows one redirect.
    async fn exchange(
        &self,
        mut request: Request,
    ) -> Result<(reqwest::Response, String, String), Error> {
        let prepared = self.prepare(&request)?;
        let method = prepared.method.to_owned();
        let mut url = prepared.url.clone();
        let mut redirected = false;
        let mut attempt = 0;
        // A body that is read while it is sent can be sent once only.
        let mut once = match std::mem::replace(&mut request.body, Body::Empty) {
            Body::File(file) => Some(file),
            other => {
                request.body = other;
                None
            }
        };
        let repeatable = once.is_none();
        loop {
            let built = self.build(&prepared, &request, &url, once.take())?;
            let sent = self.http.execute(built).await;
            if let Ok(response) = &sent
                && matches!(response.status().as_u16(), 301 | 302 | 307 | 308)
                && self.config.follow_redirect
                && !redirected
                && repeatable
                && let Some(next) = redirect_target(response, &url)?
            {
                (url, redirected) = (next, true);
                continue;
            }
            let again = repeatable
                && attempt < self.config.max_retries
                && worth_retrying(&sent, is_read(prepared.method));
            if !again {
                let told = |error| refused_body(transport(&method, &url, &error), &request.body);
                let response = sent.map_err(told)?;
                return Ok((response, method, url));
            }
            attempt += 1;
            tokio::time::sleep(pause(attempt, &self.config, &sent)).await;
        }
    }

    fn build(
        &self,
        prepared: &Prepared,
        request: &Request,
        url: &str,
        file: Option<std::fs::File>,
    ) -> Result<reqwest::Request, Error> {
        let method = http::Method::from_bytes(prepared.method.as_bytes())
            .map_err(|_| Error::Config("not an HTTP verb".into()))?;
        let mut wire_url = url.to_owned();
        let mut host = None;
        if let Some(name) = &self.config.tls_server_name
            && let Some(rest) = url.strip_prefix(&self.address.origin)
            && self.address.is_https()
        {
            // The TLS layer takes the name to ask for from the URL; the real host is restored in
            // the Host header and by the resolver of `build_http`.
            let port = self.address.port().map_or(String::new(), |port| format!(":{port}"));
            wire_url = format!("https://{name}{port}{rest}");
            host = self.address.origin.strip_prefix("https://").map(str::to_owned);
        }
        let mut builder = self.http.request(method, &wire_url);
        if let Some(host) = host {
            builder = builder.header(http::header::HOST, host);
        }
        for (name, value) in &prepared.headers {
            let mut value = http::HeaderValue::from_str(value)
                .map_err(|_| Error::Config(format!("the value of header {name} cannot be sent")))?;
            value.set_sensitive(name.eq_ignore_ascii_case("x-vault-token"));
            builder = builder.header(name, value);
        }
        if let Some(json) = &prepared.json {
            if request.content_type.is_none() {
                builder = builder.header(http::header::CONTENT_TYPE, "application/json");
            }
            builder = builder.body(json.to_string());
        } else if let Body::Bytes(bytes) = &request.body {
            builder = builder.body(bytes.clone());
        } else if let Some(file) = file {
            builder = builder.body(file_body::stream(file));
        }
        builder.build().map_err(|error| transport(prepared.method, url, &error))
    }
}

fn request_path(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

fn response_error(
    method: String,
    url: String,
    status: u16,
    body: &[u8],
    headers: &http::HeaderMap,
) -> ResponseError {
    #[derive(serde::Deserialize)]
    struct Document {
        #[serde(default)]
        errors: Option<Vec<String>>,
    }
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let parsed = serde_json::from_slice::<Document>(body).ok();
    let raw = parsed.is_none();
    let errors = match parsed {
        Some(document) => document.errors.unwrap_or_default(),
        None => vec![String::from_utf8_lossy(body).into_owned()],
    };
    let namespace = header("X-Vault-Namespace").filter(|ns| !ns.is_empty() && ns != "root/");
    let explain = header("X-Strongroom-Explain").filter(|id| !id.is_empty());
    ResponseError { method, url, status, errors, raw, namespace, explain }
}

fn redirect_target(response: &reqwest::Response, from: &str) -> Result<Option<String>, Error> {
    let Some(location) = response.headers().get(http::header::LOCATION) else { return Ok(None) };
    let location = location
        .to_str()
        .map_err(|_| Error::Protocol("the server redirects to an unreadable address".into()))?;
    let next = if location.starts_with('/') {
        let origin_end =
            from.find("://").and_then(|at| from[at + 3..].find('/').map(|e| at + 3 + e));
        format!("{}{location}", &from[..origin_end.unwrap_or(from.len())])
    } else {
        location.to_owned()
    };
    if from.starts_with("https://") && !next.starts_with("https://") {
        return Err(Error::Protocol("redirect would cause protocol downgrade".into()));
    }
    Ok(Some(next))
}

/// Does the verb change nothing?
fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "LIST" | "SCAN")
}

/// The header of an answer that says that the change may have been made nevertheless.
const IN_DOUBT: &str = "X-Strongroom-In-Doubt";

/// Worth a second attempt: no connection, an overloaded or broken server, a node that lags. But what the server
/// may have done already is not asked for again: it says so, or the connection broke after a change was asked
/// for.
fn worth_retrying(sent: &Result<reqwest::Response, reqwest::Error>, reads: bool) -> bool {
    match sent {
        Ok(response) => {
            let status = response.status().as_u16();
            (status == 412 || status == 429 || (status >= 500 && status != 501))
                && !response.headers().contains_key(IN_DOUBT)
        }
        Err(error) => error.is_connect() || reads && error.is_request(),
    }
}

fn pause(
    attempt: u32,
    config: &Config,
    sent: &Result<reqwest::Response, reqwest::Error>,
) -> Duration {
    if let Ok(response) = sent
        && matches!(response.status().as_u16(), 429 | 503)
        && let Some(asked) = response.headers().get(http::header::RETRY_AFTER)
        && let Some(seconds) = asked.to_str().ok().and_then(|text| text.parse().ok())
    {
        return Duration::from_secs(seconds).min(limits::RETRY_AFTER_MAX);
    }
    // A fixed odd factor spreads neighbouring process ids over the whole range.
    let mixed = config.jitter.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(attempt);
    let longer = (mixed % limits::RETRY_WAIT_SPREAD) as f64 / 1000.0;
    config.retry_wait.mul_f64(1.0 + longer) * attempt
}

/// Bodies beyond this may be what a server closes the connection over.
const LARGE_BYTES: usize = 1 << 20;

/// A connection that broke while a large body was sent: the server has most likely refused it, with an
/// answer (413) that nobody reads while there is more to send.
fn refused_body(error: Error, body: &Body) -> Error {
    let bytes = match body {
        Body::Json(json) => json.to_string().len(),
        Body::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    match error {
        Error::Transport { method, url, reason }
            if bytes > LARGE_BYTES
                && ["Broken pipe", "connection reset by peer"].contains(&reason.as_str()) =>
        {
            let reason = format!(
                "{reason}\n\nThe server closed the connection while {bytes} bytes were sent. It \
                 answers 413 to what is larger than its listener takes (max_request_size, 32 MiB \
                 unless it says otherwise)."
            );
            Error::Transport { method, url, reason }
        }
        other => other,
    }
}

/// Go's words for what went wrong, found in the innermost cause.
fn transport(method: &str, url: &str, error: &reqwest::Error) -> Error {
    let mut causes: Vec<&(dyn std::error::Error + 'static)> = Vec::new();
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push(cause);
        next = cause.source();
    }
    let host = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let io = causes.iter().rev().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    let innermost = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
    let reason = if let Some(known) = mismatch(&innermost) {
        known.to_owned()
    } else if error.is_timeout() {
        "context deadline exceeded".to_owned()
    } else {
        match io.map(std::io::Error::kind) {
            Some(std::io::ErrorKind::ConnectionRefused) => {
                format!("dial tcp {host}: connect: connection refused")
            }
            Some(std::io::ErrorKind::ConnectionReset) => "connection reset by peer".to_owned(),
            Some(std::io::ErrorKind::UnexpectedEof) => "EOF".to_owned(),
            _ if innermost.contains("closed before message completed") => "EOF".to_owned(),
            _ => innermost.split(" (os error").next().unwrap_or_default().to_owned(),
        }
    };
    Error::Transport { method: method.to_owned(), url: url.to_owned(), reason }
}

/// What people get wrong about TLS, and what to do, from the innermost cause's text.
fn mismatch(innermost: &str) -> Option<&'static str> {
    let known: [(&str, &str); 4] = [
        (
            "InvalidContentType",
            "http: server gave HTTP response to HTTPS client\n\nThe server does not speak TLS on \
             this port. Use an http:// address (-address, STRONGROOM_ADDR or VAULT_ADDR).",
        ),
        (
            "invalid HTTP version parsed",
            "malformed HTTP response\n\nThe server may speak TLS on this port. Use an https:// \
             address (-address, STRONGROOM_ADDR or VAULT_ADDR).",
        ),
        (
            "UnknownIssuer",
            "x509: certificate signed by unknown authority\n\nIf the server is the right one, \
             name its CA certificate (-ca-cert, STRONGROOM_CACERT or VAULT_CACERT).",
        ),
        (
            "CaUsedAsEndEntity",
            "x509: the server's certificate is a CA's own\n\nA server needs one that is marked as \
             none (basicConstraints CA:FALSE), even if it is its own issuer.",
        ),
    ];
    known.iter().find(|(sign, _)| innermost.contains(sign)).map(|(_, text)| *text)
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
