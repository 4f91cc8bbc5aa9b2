//! What a certificate authority looks at before it believes that somebody has a name: a file below
//! the name's web server (http-01, RFC 8555 §8.3), a record of its zone (dns-01, §8.4), the
//! certificate of a TLS server (tls-alpn-01, RFC 8737).
//!
//! A connector fetches and judges nothing: what must be found there is the engine's to know. The
//! names come from strangers, so where a connector goes is bounded (request forgery):
//! * http-01 begins at port 80, tls-alpn-01 is on port 443; a redirect leads to port 80 or 443;
//! * addresses that no host has for others (link-local with the metadata services of clouds,
//!   multicast, broadcast, "this host") are never called, and a redirect does not lead to loopback;
//! * redirects, bytes and seconds are bounded, and nothing that was read gets into an error.

mod dns;
mod http;
mod reach;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use dns::Names;
use reach::Reach;

/// Seconds for all of one validation.
const TOTAL: Duration = Duration::from_secs(30);
/// Seconds for one step of it: a connection, an answer's head.
const STEP: Duration = Duration::from_secs(10);
/// Bytes of an http-01 answer: what is more is too long to be right.
pub const BODY_BYTES_MAX: usize = 512;
/// Text records looked at.
pub const RECORDS_MAX: usize = 64;

/// Who is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Host {
    /// A name, in ASCII and without a dot at its end.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// What kind of failure (RFC 8555 §6.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// The name could not be looked up.
    Dns,
    /// The host could not be reached, or did not answer in time.
    Connection,
    /// TLS failed.
    Tls,
    /// The answer is not what one of this challenge is.
    Response,
}

/// A failed look. Its text holds nothing that the other side sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// What was done and failed.
    pub text: String,
}

impl Failure {
    /// A failure.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// What a look found.
pub type Found<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// The DNS server to ask; none is the machine's own.
pub type Resolver = Option<SocketAddr>;

/// Looks for the answers to challenges.
pub trait Challenges: Send + Sync + fmt::Debug {
    /// The body of `/.well-known/acme-challenge/TOKEN` on the host's web server.
    fn http<'a>(&'a self, resolver: Resolver, host: &'a Host, token: &'a str)
    -> Found<'a, Vec<u8>>;

    /// The texts of `_acme-challenge.NAME`, each with its pieces joined.
    fn dns<'a>(&'a self, resolver: Resolver, name: &'a str) -> Found<'a, Vec<String>>;

    /// The certificates (DER, the server's own first) that the host shows to whoever speaks
    /// `acme-tls/1`, once the server has proved that it has the first one's key.
    fn tls_alpn<'a>(&'a self, resolver: Resolver, name: &'a str) -> Found<'a, Vec<Vec<u8>>>;
}

/// The real ones.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    reach: Reach,
}

impl Default for Network {
    fn default() -> Self {
        Self { reach: Reach::standard() }
    }
}

impl Challenges for Network {
    fn http<'a>(
        &'a self,
        resolver: Resolver,
        host: &'a Host,
        token: &'a str,
    ) -> Found<'a, Vec<u8>> {
        Box::pin(async move {
            let names = Names::of(resolver)?;
            within(http::fetch(&names, self.reach, host, token)).await
        })
    }

    fn dns<'a>(&'a self, resolver: Resolver, name: &'a str) -> Found<'a, Vec<String>> {
        Box::pin(async move {
            let names = Names::of(resolver)?;
            within(names.texts(&format!("_acme-challenge.{name}"))).await
        })
    }

    fn tls_alpn<'a>(&'a self, resolver: Resolver, name: &'a str) -> Found<'a, Vec<Vec<u8>>> {
        Box::pin(async move {
            let names = Names::of(resolver)?;
            within(tls::shown(&names, self.reach, name)).await
        })
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Err(Failure::new(FailureKind::Connection, "the validation took too long"));
    tokio::time::timeout(TOTAL, work).await.unwrap_or_else(late)
}
