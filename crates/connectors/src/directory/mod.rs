//! Directories that speak LDAP: whose password is it, and which groups is he in?
//!
//! The part of LDAP that asks (RFC 4511): bind with a name and a password, search, StartTLS.
//! Strongroom changes nothing in a directory here.
//!
//! Invariants:
//! * an empty password is never sent: to a directory it is no password but a way to come in without
//!   one, and it answers "success" (RFC 4513 §5.1.2);
//! * values are escaped for the place they are put into: [`filter::escape`] in a filter,
//!   [`names::escape`] in a name, whether they come from a caller or from the directory
//!   (threats: GHSA-6mwx-4547-5vc9, CVE-2025-13357);
//! * what a directory sends is bounded in bytes, entries and time, and is never trusted to be well
//!   formed;
//! * no error holds a password, or a text that the directory sent.

mod ber;
pub mod filter;
mod messages;
pub mod names;
mod network;
#[cfg(test)]
mod slapd_tests;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use strongroom_base::SecretString;

pub use filter::Filter;
pub use network::Network;
pub use tls::{Tls, Version};

/// Directories that are tried one after the other.
pub const SERVERS_MAX: usize = 16;
/// Bytes of one message of a directory.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of all messages that answer one search.
pub const SEARCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Entries that answer one search.
pub const ENTRIES_MAX: usize = 10_000;
/// Values of all entries that answer one search.
pub const VALUES_MAX: usize = 50_000;

/// Where a directory is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Is the connection encrypted from its first byte (`ldaps`)?
    pub encrypted: bool,
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// Reads `ldap://HOST[:PORT]` or `ldaps://HOST[:PORT]`. What comes after a `/` is ignored.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        let encrypted = match scheme.to_ascii_lowercase().as_str() {
            "ldap" => false,
            "ldaps" => true,
            _ => return None,
        };
        let place = rest.split(['/', '?']).next()?;
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, port)
            }
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match port.strip_prefix(':') {
            Some("") | None if port.len() <= 1 => {
                if encrypted {
                    636
                } else {
                    389
                }
            }
            Some(port) => port.parse().ok()?,
            None => return None,
        };
        let good = |c: char| !c.is_whitespace() && !c.is_control() && c != '@';
        let good = !host.is_empty() && host.chars().all(good);
        good.then(|| Self { encrypted, host: host.to_owned(), port })
    }
}

/// One directory, on one or several servers, and how to reach it.
#[derive(Debug)]
pub struct Servers {
    /// Tried in this order.
    pub addresses: Vec<Address>,
    /// Ask an unencrypted connection to become encrypted (StartTLS) before anything is said on it?
    pub starttls: bool,
    /// Certificates and versions of TLS.
    pub tls: Tls,
    /// Time until a connection to one server stands, encryption included.
    pub connection_timeout: Duration,
    /// Time for each request.
    pub request_timeout: Duration,
}

/// How much of the tree a search looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The entry itself.
    Base,
    /// All below it, and itself.
    Subtree,
}

/// When entries that stand for others are followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aliases {
    /// Never.
    Never,
    /// While searching below the base.
    Searching,
    /// While looking for the base.
    Finding,
    /// Always.
    Always,
}

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    /// The name below which is searched.
    pub base: String,
    /// How much of the tree is looked at.
    pub scope: Scope,
    /// When aliases are followed.
    pub aliases: Aliases,
    /// What entries are looked for.
    pub filter: Filter,
    /// Attributes that are asked for; empty stands for all.
    pub attributes: Vec<String>,
    /// The directory is to find no more entries than these; 0 leaves it to the directory.
    pub size_limit: u32,
    /// Entries of each page, where the answer is to come in pages; 0 is without pages.
    pub page_size: u32,
}

/// An entry that was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Entry {
    /// Its distinguished name.
    pub name: String,
    /// Its attributes, as far as they were asked for.
    pub attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// The values of an attribute.
    pub fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map_or(&[], |(_, values)| values.as_slice())
    }

    /// Those of them that are text.
    pub fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.values(attribute).iter().filter_map(|value| std::str::from_utf8(value).ok())
    }
}

/// What kind of failure it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// What was asked for can't be asked: a filter that is none, an empty password.
    Wrong,
    /// No server is reached, or none that shows itself to be the right one.
    Unreachable,
    /// The directory refuses, by this result code (RFC 4511 appendix A).
    Refused(u32),
    /// The directory broke off, took too long, sent too much or what makes no sense. The session is
    /// over.
    Broken,
}

/// Why the directory has no answer. Its text holds nothing secret and nothing the directory sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What kind it is.
    pub kind: FailureKind,
    /// What happened.
    pub text: String,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(super) fn wrong(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Wrong, text)
    }

    pub(super) fn broken(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Broken, text)
    }

    pub(super) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(FailureKind::Unreachable, text)
    }

    /// The directory's refusal by `code`.
    pub fn refused(code: u32) -> Self {
        Self::new(FailureKind::Refused(code), format!("the directory answers {}", code_name(code)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Result codes that mean something to us (RFC 4511 appendix A).
pub mod codes {
    /// There is no such entry.
    pub const NO_SUCH_OBJECT: u32 = 32;
    /// Name or password is wrong.
    pub const INVALID_CREDENTIALS: u32 = 49;
    /// Not with this attribute, base or filter.
    pub const INSUFFICIENT_ACCESS: u32 = 50;
    /// More entries than were to be found.
    pub const SIZE_LIMIT_EXCEEDED: u32 = 4;
}

fn code_name(code: u32) -> String {
    let name = match code {
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        34 => "invalidDNSyntax",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        _ => return format!("with result code {code}"),
    };
    format!("{name} ({code})")
}

/// What a call will come to.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Whoever reaches directories: the network, or a stand-in of tests.
pub trait Directory: Send + Sync + fmt::Debug {
    /// Opens a connection to the first of the servers that can be reached. Nobody is bound on it.
    fn connect<'a>(&'a self, servers: &'a Servers) -> Doing<'a, Box<dyn Session>>;
}

/// A connection to a directory. It is closed when dropped.
pub trait Session: Send {
    /// Goes on as whom `name` names, by his password. One that is empty is [`FailureKind::Wrong`],
    /// and is not sent.
    fn bind<'a>(&'a mut self, name: &'a str, password: &'a SecretString) -> Doing<'a, ()>;

    /// Goes on as nobody.
    fn bind_anonymously(&mut self) -> Doing<'_, ()>;

    /// The entries that are found. References to other directories are left out.
    fn search<'a>(&'a mut self, search: &'a Search) -> Doing<'a, Vec<Entry>>;
}
