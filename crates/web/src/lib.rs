//! Asking other services over HTTP: an identity provider's keys, a review of a token, a cloud's word
//! on who signed a request.
//!
//! Invariants:
//! * an operator's configuration names where a call goes; a redirect is never followed;
//! * answers are bounded in bytes and time, whoever sends them;
//! * no error holds a header or a body, of the call or of its answer.

mod trust;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use strongroom_base::Secret;

use self::trust::tls;
pub use self::trust::{Trust, check_ca};

/// Time for all of one call.
const TOTAL: Duration = Duration::from_secs(15);
/// Time until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of an answer's body: a provider's keys or a list of groups has a tenth of it.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Sets of authorities whose connections are kept.
const CLIENTS_MAX: usize = 64;
/// Idle connections kept to one host.
const IDLE_MAX: usize = 8;

/// A call.
pub struct Call {
    /// The method.
    pub method: Method,
    /// An `https` or `http` URL.
    pub url: String,
    /// Headers; secrets among them are marked as such by their values.
    pub headers: HeaderMap,
    /// The body.
    pub body: Secret<Vec<u8>>,
    /// Certificates in PEM of the authorities that may vouch for the server; empty stands for those
    /// of the machine.
    pub ca: String,
    /// Names, one of which the server's certificate must have; empty stands for the one in the URL.
    pub names: Vec<String>,
    /// Bytes of the answer's body, at most.
    pub body_max: usize,
}

impl Call {
    /// GET `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Secret::new(Vec::new()),
            ca: String::new(),
            names: Vec::new(),
            body_max: BODY_BYTES_MAX,
        }
    }

    /// POST `body` of this content type to `url`.
    pub fn post(url: impl Into<String>, content_type: &'static str, body: Vec<u8>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
        Self { method: Method::POST, headers, body: Secret::new(body), ..Self::get(url) }
    }

    /// With these authorities (PEM).
    #[must_use]
    pub fn with_ca(mut self, ca: &str) -> Self {
        ca.clone_into(&mut self.ca);
        self
    }

    /// With another bound for the answer's body, in bytes.
    #[must_use]
    pub fn with_body_max(mut self, bytes: usize) -> Self {
        self.body_max = bytes;
        self
    }

    /// With another rule of whom to believe.
    #[must_use]
    pub fn trusting(mut self, trust: &Trust) -> Self {
        self.ca.clone_from(&trust.ca);
        self.names.clone_from(&trust.names);
        self
    }

    /// With a header; a value that HTTP does not allow makes the call fail.
    pub fn header(mut self, name: http::HeaderName, value: &str) -> Result<Self, Failure> {
        let mut value = http::HeaderValue::from_str(value)
            .map_err(|_| Failure::new(format!("the header {name} has a value HTTP can't carry")))?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// With an `Authorization: Bearer` header.
    pub fn bearer(self, token: &str) -> Result<Self, Failure> {
        self.header(http::header::AUTHORIZATION, &format!("Bearer {token}"))
    }
}

/// What came back, whatever its status.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Is the status 2xx?
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as bounded JSON.
    pub fn json(&self) -> Result<strongroom_base::Json, Failure> {
        strongroom_base::json::parse_bounded(&self.body)
            .map_err(|_| Failure::new("the answer is no JSON"))
    }
}

/// Why a call has no answer. Its text holds nothing secret and nothing the other side sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// The answer to come.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Answer, Failure>> + Send + 'a>>;

/// Whoever makes calls: the network, or a stand-in of the simulation.
pub trait Web: Send + Sync + fmt::Debug {
    /// Makes `call`.
    fn call(&self, call: Call) -> Answering<'_>;
}

/// The network. Connections are kept open, by authorities and host.
#[derive(Default)]
pub struct Network {
    /// By whom they believe, and whether they go through proxies.
    clients: Mutex<HashMap<(Trust, bool), reqwest::Client>>,
    /// Does the environment say which proxies to use?
    proxied: bool,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    /// The network as programs of a person reach it: `https` goes through the proxy that the
    /// environment names (`HTTPS_PROXY`, `NO_PROXY`). What is asked in the clear is nearby, and a proxy
    /// would read it. The server's own calls never go through one.
    pub fn through_proxies() -> Self {
        Self { proxied: true, ..Self::default() }
    }

    fn client(&self, trust: Trust, encrypted: bool) -> Result<reqwest::Client, Failure> {
        let key = (trust, self.proxied && encrypted);
        if let Some(client) = self.clients.lock().get(&key) {
            return Ok(client.clone());
        }
        let builder = reqwest::Client::builder();
        let builder = if key.1 { builder } else { builder.no_proxy() };
        let client = builder
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .pool_max_idle_per_host(IDLE_MAX)
            .user_agent("strongroom")
            .tls_backend_preconfigured(tls(&key.0)?)
            .build()
            .map_err(|_| Failure::new("no HTTP client could be made"))?;
        let mut clients = self.clients.lock();
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }
}

impl Web for Network {
    fn call(&self, call: Call) -> Answering<'_> {
        Box::pin(async move {
            let url = reqwest::Url::parse(&call.url)
                .ok()
                .filter(|url| matches!(url.scheme(), "https" | "http"))
                .ok_or_else(|| Failure::new("the URL is none of https or http"))?;
            let host = url.host_str().unwrap_or_default().to_owned();
            let request = self
                .client(Trust { ca: call.ca, names: call.names }, url.scheme() == "https")?
                .request(call.method, url)
                .headers(call.headers)
                .body(call.body.expose_secret().clone());
            let mut response = request.send().await.map_err(|e| failed(&host, &e))?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let mut body = BytesMut::new();
            while let Some(piece) = response.chunk().await.map_err(|e| failed(&host, &e))? {
                if body.len() + piece.len() > call.body_max {
                    return Err(Failure::new(format!("the answer of {host} is too long")));
                }
                body.extend_from_slice(&piece);
            }
            Ok(Answer { status, headers, body: body.freeze() })
        })
    }
}

/// What of the client library's error may be told: where, and what kind.
fn failed(host: &str, error: &reqwest::Error) -> Failure {
    let what = if error.is_timeout() {
        "did not answer in time"
    } else if error.is_connect() {
        "can't be reached, or its certificate is not trusted"
    } else {
        "broke off"
    };
    Failure::new(format!("{host} {what}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    use rustls_pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::{BODY_BYTES_MAX, Call, Network, Trust, Web, check_ca};

    /// A server that answers one connection with `answer`; its address.
    fn once(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            let _ = stream.write_all(&answer);
        });
        format!("http://{address}/")
    }

    #[tokio::test]
    async fn answers_are_read_whatever_their_status() {
        let url = once(b"HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\n{}".to_vec());
        let answer = Network::default().call(Call::get(url)).await.unwrap();
        assert_eq!((answer.status, answer.is_success()), (404, false));
        assert!(answer.json().is_ok());
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let elsewhere = once(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec());
        let url = once(
            format!("HTTP/1.1 302 Found\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n")
                .into_bytes(),
        );
        assert_eq!(Network::default().call(Call::get(url)).await.unwrap().status, 302);
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_cut_off() {
        let mut long = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        long.resize(long.len() + BODY_BYTES_MAX + 1, b'x');
        let failure = Network::default().call(Call::get(once(long))).await.err().unwrap();
        assert!(failure.to_string().contains("too long"), "{failure}");
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure_without_the_path() {
        let gone = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let url = format!("http://{gone}/path?token=canary");
        let failure = Network::default().call(Call::get(url)).await.err().unwrap().to_string();
        assert!(failure.contains("can't be reached") && !failure.contains("canary"), "{failure}");
    }

    /// A server whose certificate is for `other.example`; its address, and the certificate.
    async fn other() -> (String, String) {
        server("other.example", |_| {}).await
    }

    async fn server(name: &str, change: fn(&mut rcgen::CertificateParams)) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let chain = vec![made.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        (format!("https://localhost:{port}/"), made.pem())
    }

    /// As `openssl req -x509` makes it.
    fn authority(params: &mut rcgen::CertificateParams) {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }

    #[tokio::test]
    async fn a_server_that_shows_the_certificate_that_was_named_is_believed() {
        let over: fn(&mut rcgen::CertificateParams) = |params| {
            authority(params);
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        };
        for (name, change, good) in [
            ("localhost", authority as fn(&mut rcgen::CertificateParams), true),
            ("elsewhere.example", authority, false),
            ("localhost", over, false),
        ] {
            let (url, ca) = server(name, change).await;
            let network = Network::default();
            let answer = network.call(Call::get(&url).with_ca(&ca)).await;
            assert_eq!(answer.is_ok(), good, "{name}");
            assert!(network.call(Call::get(&url)).await.is_err(), "the machine does not know it");
        }
    }

    #[tokio::test]
    async fn a_server_is_believed_by_another_name_where_that_is_said() {
        let ((url, ca), network) = (other().await, Network::default());
        let (_, another_ca) = other().await;
        for (ca, names, good) in [
            (&ca, &["other.example"][..], true),
            (&ca, &["wrong.example", "other.example"], true),
            (&ca, &[], false),
            (&ca, &["wrong.example"], false),
            (&ca, &["localhost"], false),
            (&ca, &["no name"], false),
            (&another_ca, &["other.example"], false),
        ] {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            let trust = Trust { ca: ca.clone(), names };
            let answer = network.call(Call::get(&url).trusting(&trust)).await;
            assert_eq!(answer.is_ok(), good, "{:?}", trust.names);
        }
    }

    #[test]
    fn authorities_are_pem() {
        assert!(check_ca("").is_ok());
        assert!(check_ca("no certificate").is_err());
    }
}
