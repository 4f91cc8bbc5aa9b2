//! Fetching the file of an http-01 answer.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, LOCATION, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::dns::Names;
use super::reach::{By, Reach};
use super::{BODY_BYTES_MAX, Failure, FailureKind, Host, STEP, tls};

/// Redirects followed.
const REDIRECTS_MAX: usize = 10;
/// Bytes of an address that a redirect leads to.
const URL_BYTES_MAX: usize = 2_000;
/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where the next request goes.
struct Target {
    secure: bool,
    host: Host,
    port: u16,
    path: String,
    by: By,
}

/// The body of the answer to the challenge of this token.
pub(super) async fn fetch(
    names: &Names,
    reach: Reach,
    host: &Host,
    token: &str,
) -> Result<Vec<u8>, Failure> {
    let mut target = Target {
        secure: false,
        host: host.clone(),
        port: reach.http,
        path: format!("/.well-known/acme-challenge/{token}"),
        by: By::Identifier,
    };
    for _ in 0..=REDIRECTS_MAX {
        let response = ask(names, reach, &target).await?;
        if response.status().is_redirection() {
            target = target.redirected(&response, reach)?;
            continue;
        }
        if !response.status().is_success() {
            return Err(wrong("the web server has no answer to the challenge"));
        }
        return body(response.into_body()).await;
    }
    Err(wrong("the web server redirects too often"))
}

impl Target {
    /// Where a redirect leads.
    fn redirected(&self, response: &Response<Incoming>, reach: Reach) -> Result<Self, Failure> {
        let bad = || wrong("the web server redirects to where nobody can go");
        let location = response.headers().get(LOCATION).ok_or_else(bad)?;
        if location.len() > URL_BYTES_MAX {
            return Err(wrong("the web server redirects to an address that is too long"));
        }
        let uri: Uri = location.as_bytes().try_into().map_err(|_| bad())?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let Some(authority) = uri.authority() else {
            // A path of the same server. One relative to the challenge's own folder nobody needs.
            if uri.path().starts_with('/') {
                let host = self.host.clone();
                return Ok(Self { path, host, ..*self });
            }
            return Err(bad());
        };
        let secure = match uri.scheme() {
            None => self.secure,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) => return Err(bad()),
        };
        let usual = if secure { reach.https } else { reach.http };
        let port = authority.port_u16().unwrap_or(usual);
        let host = host(authority).ok_or_else(bad)?;
        // Back to the host that is validated is no way to another one.
        let by = if host == self.host { self.by } else { By::Redirect };
        Ok(Self { secure, host, port, path, by })
    }

    /// The `Host` header.
    fn authority(&self, reach: Reach) -> String {
        let host = match &self.host {
            Host::Name(name) => name.clone(),
            Host::Address(ip) if ip.is_ipv6() => format!("[{ip}]"),
            Host::Address(ip) => ip.to_string(),
        };
        let usual = if self.secure { reach.https } else { reach.http };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

/// The host of an address, without a name and password before it.
fn host(authority: &Authority) -> Option<Host> {
    if authority.as_str().contains('@') {
        return None;
    }
    let text = authority.host();
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(ip) => Some(Host::Address(ip)),
        Err(_) if text.is_empty() || text.starts_with('[') => None,
        Err(_) => Some(Host::Name(text.trim_end_matches('.').to_ascii_lowercase())),
    }
}

/// One request.
async fn ask(names: &Names, reach: Reach, target: &Target) -> Result<Response<Incoming>, Failure> {
    let request = Request::get(&target.path)
        .header(HOST, target.authority(reach))
        .header(USER_AGENT, "strongroom-acme")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| wrong("the address is none that can be asked for"))?;
    let stream = reach.connect(names, &target.host, target.port, target.by).await?;
    if target.secure {
        let stream = tls::handshake(stream, &target.host, &[b"http/1.1"]).await?;
        send(stream, request).await
    } else {
        send(stream, request).await
    }
}

async fn send<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let lost = || Failure::new(FailureKind::Connection, "the web server did not answer");
    let exchange = async {
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| lost())?;
        // It ends with the answer, which is dropped within the bounds of a validation.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|_| lost())
    };
    timeout(STEP, exchange).await.map_err(|_| lost())?
}

async fn body(mut body: Incoming) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| wrong("the web server's answer broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if out.len() + data.len() > BODY_BYTES_MAX {
            return Err(wrong("the web server's answer is too long"));
        }
        out.extend_from_slice(&data);
    }
    Ok(out)
}

fn wrong(text: &str) -> Failure {
    Failure::new(FailureKind::Response, text)
}
