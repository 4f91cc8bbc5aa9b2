//! Accounts in databases.
//!
//! An engine hands a driver what the operator configured, and asks it to make, change, renew and
//! remove accounts. Each of these is idempotent where the database lets it be: after a crash the
//! same call is made again.
//!
//! Invariants:
//! * no text of an error holds a password, a connection string, or a statement with values filled in;
//! * names and values are put into statements by the database's own quoting (threat
//!   CVE-2026-39946), see [`statements`].

pub mod libpq;
pub mod mysql;
pub mod postgresql;
pub mod redis;
pub mod statements;
pub mod tls;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use strongroom_base::{JsonMap, Secret, SecretString, Timestamp};

/// What an asynchronous call of a driver answers.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, DatabaseError>> + Send + 'a>>;

/// The drivers there are, by the `plugin_name` of a configuration.
pub trait Databases: Send + Sync + fmt::Debug {
    /// The driver of this name.
    fn driver(&self, plugin_name: &str) -> Option<Arc<dyn Driver>>;
}

/// One kind of database.
pub trait Driver: Send + Sync + fmt::Debug {
    /// What it can do, and its defaults.
    fn traits(&self) -> &'static DriverTraits;

    /// Reads a configuration without reaching for the database: what is wrong in itself is an error
    /// of kind [`FailureKind::Configuration`]. The answer connects when it is used first.
    fn open(&self, settings: Settings) -> Result<Arc<dyn Database>, DatabaseError>;
}

/// What a kind of database can do.
#[derive(Debug)]
pub struct DriverTraits {
    /// Its names: values of `plugin_name`.
    pub names: &'static [&'static str],
    /// The kinds of credentials that accounts can have.
    pub credentials: &'static [CredentialKind],
    /// The template of generated user names where the operator gives none.
    pub username_template: &'static str,
    /// The default statements for a new password of an existing account.
    pub rotation_statements: &'static [&'static str],
    /// Configuration fields of its own, beside those that all have.
    pub fields: &'static [&'static str],
}

/// How an account proves itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CredentialKind {
    /// A password.
    Password,
    /// The private half of an RSA key, of which the database holds the public half.
    RsaPrivateKey,
    /// A certificate for the account's name.
    ClientCertificate,
}

/// What the operator configured.
#[derive(Debug, Default)]
pub struct Settings {
    /// The address, with `{{username}}` and `{{password}}` still in it.
    pub connection_url: SecretString,
    /// The administrator's name.
    pub username: String,
    /// The administrator's password.
    pub password: SecretString,
    /// Most connections at a time; 0 is the driver's default.
    pub max_open_connections: u32,
    /// Most idle connections kept.
    pub max_idle_connections: u32,
    /// How long a connection is used; zero is as long as it lasts.
    pub max_connection_lifetime: Duration,
    /// How long to wait for the database: to connect, and for one statement.
    pub timeout: Duration,
    /// Certificates and key for TLS.
    pub tls: TlsMaterial,
    /// Fields of the driver's own.
    pub own: JsonMap,
}

/// Certificates and key for TLS, PEM.
#[derive(Debug, Default)]
pub struct TlsMaterial {
    /// The authorities that the server's certificate may come from.
    pub ca: String,
    /// Our certificate.
    pub certificate: String,
    /// Its key.
    pub private_key: SecretString,
    /// The name that the server's certificate must have, if not the address's.
    pub server_name: String,
    /// Take any certificate.
    pub skip_verify: bool,
}

/// A new account's credential.
#[derive(Debug)]
pub enum Credential {
    /// A password.
    Password(SecretString),
    /// A public key, PEM (SubjectPublicKeyInfo).
    PublicKey(String),
    /// The subject of a certificate, RFC 4514.
    Subject(String),
}

/// An account to be made.
#[derive(Debug)]
pub struct NewAccount<'a> {
    /// Its name, which nobody has yet.
    pub name: &'a str,
    /// Its credential.
    pub credential: &'a Credential,
    /// When it ends.
    pub expires: Timestamp,
    /// The operator's statements.
    pub statements: &'a [String],
    /// What undoes them where they fail in the middle.
    pub rollback: &'a [String],
}

/// One database, as one configuration describes it; with its pool of connections.
pub trait Database: Send + Sync + fmt::Debug {
    /// Connects as the administrator, once.
    fn verify(&self) -> Answer<'_, ()>;

    /// Makes an account. On failure nothing of it is left where the database has transactions for
    /// that; else the rollback statements have run.
    fn create<'a>(&'a self, account: NewAccount<'a>) -> Answer<'a, ()>;

    /// Moves the end of an account, where the database knows of such: by the operator's statements,
    /// or in the default way without any.
    fn renew<'a>(
        &'a self,
        name: &'a str,
        expires: Timestamp,
        statements: &'a [String],
    ) -> Answer<'a, ()>;

    /// Gives an existing account another credential, by the operator's statements or in the default
    /// way.
    fn set_credential<'a>(
        &'a self,
        name: &'a str,
        credential: &'a Credential,
        statements: &'a [String],
    ) -> Answer<'a, ()>;

    /// Removes an account with all it owns and may, by the operator's statements or in the default
    /// way. An account that is not there is no error.
    fn remove<'a>(&'a self, name: &'a str, statements: &'a [String]) -> Answer<'a, ()>;

    /// Logs in as an account: does the database take this password? A refusal is `false`; that the
    /// database cannot be asked is an error.
    fn logs_in<'a>(&'a self, name: &'a str, password: &'a SecretString) -> Answer<'a, bool>;

    /// Closes all connections.
    fn close(&self) -> Answer<'_, ()>;
}

/// Why a call failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// What the operator configured is wrong: address, statements, missing fields.
    Configuration,
    /// The database could not be reached, or did not answer in time: it may later.
    Unreachable,
    /// The database did not take the administrator's credential.
    Credential,
    /// The database refused a statement.
    Refused,
    /// It cannot do that at all.
    Unsupported,
}

/// A failed call.
#[derive(Debug)]
pub struct DatabaseError {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What was being done and what the database said, without any value that went into it.
    pub text: String,
}

impl DatabaseError {
    /// A failure.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for DatabaseError {}

/// A piece of a secret this long (in characters) in a text is a leak, too.
const PIECE: usize = 8;

/// A text without the secrets that may have got into it: for what a database or its library says. One that
/// repeats a piece of a secret is not shown at all.
pub fn without(text: &str, secrets: &[&Secret<String>]) -> String {
    let secrets = || secrets.iter().map(|secret| secret.expose_secret()).filter(|s| !s.is_empty());
    let mut text = text.replace('\0', " ");
    for secret in secrets() {
        text = text.replace(secret.as_str(), "\0");
    }
    let leaks = |secret: &String| {
        let starts = secret.char_indices().map(|(at, _)| at);
        let ends = secret.char_indices().map(|(at, c)| at + c.len_utf8()).skip(PIECE - 1);
        starts.zip(ends).any(|(start, end)| text.contains(&secret[start..end]))
    };
    if secrets().any(leaks) {
        return "[not shown: it repeats a part of a password]".to_owned();
    }
    text.replace('\0', "[password]")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Certificates of one authority for tests, PEM.
    pub(super) struct Certificates {
        pub(super) ca: String,
        /// A server's on the loopback address, with its key.
        pub(super) server: (String, String),
        /// A client's, with its key.
        pub(super) client: (String, String),
    }

    impl Certificates {
        pub(super) fn new() -> Self {
            let named = |name: &str| {
                let mut params =
                    rcgen::CertificateParams::new(vec![name.to_owned()]).expect("a name");
                params.distinguished_name = rcgen::DistinguishedName::new();
                params.distinguished_name.push(rcgen::DnType::CommonName, name);
                params
            };
            let mut authority = named("authority");
            authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let key = rcgen::KeyPair::generate().expect("a key");
            let ca = authority.self_signed(&key).expect("signed").pem();
            let issuer = rcgen::Issuer::new(authority, key);
            let made = |name: &str| {
                let key = rcgen::KeyPair::generate().expect("a key");
                (named(name).signed_by(&key, &issuer).expect("signed").pem(), key.serialize_pem())
            };
            Self { ca, server: made("127.0.0.1"), client: made("client") }
        }
    }

    #[test]
    fn no_secret_and_no_piece_of_one_gets_through() {
        let secret = Secret::new("correct horse".to_owned());
        let cases = [
            ("no such table", "no such table"),
            ("near 'correct horse'", "near '[password]'"),
            ("near 'orrect horse", "[not shown: it repeats a part of a password]"),
            ("near 'correct h", "[not shown: it repeats a part of a password]"),
            ("correct", "correct"),
        ];
        for (text, expected) in cases {
            assert_eq!(without(text, &[&secret, &Secret::default()]), expected, "{text}");
        }
    }
}
