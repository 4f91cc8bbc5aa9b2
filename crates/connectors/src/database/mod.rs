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

mod builtin;
mod forms;
#[cfg(test)]
mod fuzz_tests;
pub mod mysql;
mod pool;
pub mod postgresql;
pub mod redis;
pub mod statements;
pub(crate) mod tls;
mod url;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use strongroom_base::{Error, ErrorKind, JsonMap, SecretString, Timestamp};
use zeroize::Zeroizing;

pub use builtin::builtin;

/// What an asynchronous call of a driver answers.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, DatabaseError>> + Send + 'a>>;

/// The drivers there are, by the `plugin_name` of a configuration.
pub trait Databases: Send + Sync + fmt::Debug {
    /// The driver of this name.
    fn driver(&self, plugin_name: &str) -> Option<Arc<dyn Driver>>;

    /// All names that have a driver, in their order.
    fn names(&self) -> Vec<&'static str>;
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

/// How long to wait where nothing is said.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// What a server may be late by that has to stop a statement itself.
const GRACE: Duration = Duration::from_secs(2);

/// Statements together may take as long as so many single ones at most.
const STATEMENTS_WAITED_MAX: u32 = 10;

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

impl Settings {
    /// How long to wait for the database, also where the operator says nothing.
    fn limit(&self) -> Duration {
        if self.timeout.is_zero() { TIMEOUT_DEFAULT } else { self.timeout }
    }
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

impl Credential {
    /// The password, for a database (`of`) that knows no other credentials.
    fn password(&self, of: &str) -> Result<&SecretString, DatabaseError> {
        match self {
            Self::Password(password) if password.expose_secret().is_empty() => {
                Err(wrong("an account needs a password"))
            }
            Self::Password(password) => Ok(password),
            Self::PublicKey(_) | Self::Subject(_) => Err(DatabaseError::new(
                FailureKind::Unsupported,
                format!("accounts of {of} have passwords here, no other credentials"),
            )),
        }
    }
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

    /// Gives an account the password, and the rights of another one (`model`): for two accounts that take
    /// turns. One that is there already gets what it lacks of its model's rights on the whole server; if
    /// it may do there what its model may not, it is refused: it is nobody's second account.
    fn imitate<'a>(
        &'a self,
        model: &'a str,
        name: &'a str,
        password: &'a SecretString,
    ) -> Answer<'a, ()> {
        let _ = (model, name, password);
        unsupported("accounts are not made after others there")
    }

    /// Gives accounts of this name another password (`next`), for each host that one is there for: all
    /// that [`Database::imitate`] gives one to. The one that logs in from here by `now`, the password until
    /// then, comes last: as long as that does, others may be left.
    fn end_password<'a>(
        &'a self,
        name: &'a str,
        now: &'a SecretString,
        next: &'a SecretString,
    ) -> Answer<'a, ()> {
        let _ = (name, now, next);
        unsupported("accounts have no hosts there")
    }

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

    /// This failure, after which what was done is undone again: that may have failed, too.
    fn undone(mut self, undone: Result<(), Self>) -> Self {
        if let Err(left) = undone {
            self.text.push_str("; undoing what was done failed too: ");
            self.text.push_str(&left.text);
        }
        self
    }
}

fn unsupported<'a>(text: &'static str) -> Answer<'a, ()> {
    Box::pin(async move { Err(DatabaseError::new(FailureKind::Unsupported, text)) })
}

/// An engine's view of a failure of what it was `doing`. The texts of drivers hold no secrets.
pub fn failed(doing: &str, e: &DatabaseError) -> Error {
    let kind = match e.kind {
        FailureKind::Configuration | FailureKind::Unsupported => ErrorKind::BadRequest,
        FailureKind::Unreachable | FailureKind::Credential | FailureKind::Refused => {
            ErrorKind::Upstream
        }
    };
    Error::new(kind, format!("{doing}: {e}"))
}

fn wrong(text: impl Into<String>) -> DatabaseError {
    DatabaseError::new(FailureKind::Configuration, text)
}

fn unreachable(text: impl Into<String>) -> DatabaseError {
    DatabaseError::new(FailureKind::Unreachable, text)
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for DatabaseError {}

/// So many characters of a secret in a row are a piece that a text may not repeat.
const PIECE_CHARS: usize = 5;
/// No more of a foreign text is looked at, and shown.
const SAID_CHARS_MAX: usize = 1_000;
/// No code of a protocol is longer.
const CODE_CHARS_MAX: usize = 16;
/// What stands for a text that cannot be shown.
const WITHHELD: &str = "[not shown: it repeats a part of a password]";

/// What a database or its library says, without the secrets that may have got into it: the one rule
/// of all drivers.
///
/// A whole secret is replaced. A text that repeats a piece of one is withheld entirely: servers quote
/// the place of a mistake (`near "…"`), cut what they quote, change the case of names, and double or
/// escape quotes within it. A secret shorter than a piece is looked for as a word of its own.
pub fn without(text: &str, secrets: &[&SecretString]) -> String {
    let mut shown: String = text.chars().take(SAID_CHARS_MAX).map(printable).collect();
    let secrets: Vec<&str> = secrets
        .iter()
        .map(|secret| secret.expose_secret().as_str())
        .filter(|secret| !secret.is_empty())
        .collect();
    for secret in secrets.iter().filter(|secret| secret.chars().count() >= PIECE_CHARS) {
        shown = shown.replace(secret, "\0");
    }
    if secrets.iter().any(|secret| repeats(&shown, secret)) {
        return WITHHELD.to_owned();
    }
    shown.replace('\0', "[password]")
}

/// What stands before the first quotation, in whatever quotes: for messages that quote a statement.
fn unquoted(text: &str) -> &str {
    let is_quote =
        |c: char| "'\"`\u{ab}\u{bb}\u{2018}\u{2019}\u{201a}\u{201c}\u{201d}\u{201e}".contains(c);
    text.split(is_quote).next().unwrap_or_default().trim_end()
}

/// A code of a protocol (`28P01`, `WRONGPASS`), if it is one: it is shown whatever letters a password
/// has in common with it.
fn code(text: &str) -> &str {
    let fits = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    if text.len() <= CODE_CHARS_MAX && text.bytes().all(fits) { text } else { "?" }
}

/// Lines of a foreign text are no lines of our log.
fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// Characters by which a secret and what is repeated of it are compared: quoting and case make no
/// difference.
fn compared(text: &str) -> Zeroizing<Vec<char>> {
    let quoting = |c: &char| !matches!(c, '\'' | '"' | '`' | '\\');
    let all = text.chars().map(printable).filter(quoting);
    Zeroizing::new(all.flat_map(char::to_lowercase).collect())
}

/// Does a text repeat a piece of a secret?
fn repeats(text: &str, secret: &str) -> bool {
    let said = compared(text);
    let secret = compared(secret);
    if secret.len() >= PIECE_CHARS {
        let pieces: HashSet<&[char]> = said.windows(PIECE_CHARS).collect();
        return secret.windows(PIECE_CHARS).any(|piece| pieces.contains(piece));
    }
    let is_end = |c: Option<&char>| c.is_none_or(|c| !c.is_alphanumeric());
    !secret.is_empty()
        && said.windows(secret.len()).enumerate().any(|(at, word)| {
            let before = at.checked_sub(1).and_then(|before| said.get(before));
            word == secret.as_slice() && is_end(before) && is_end(said.get(at + word.len()))
        })
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
        let hidden = WITHHELD;
        // A secret, what is said, what is shown.
        let cases = [
            ("correct horse", "no such table", "no such table"),
            ("correct horse", "near 'correct horse'", "near '[password]'"),
            ("correct horse", "correct horsecorrect horse", "[password][password]"),
            ("correct horse", "near 'orrec", hidden),
            ("correct horse", "near 'rse' or 'corr' at line 1", "near 'rse' or 'corr' at line 1"),
            ("correct horse", "column \"CORRECT\" does not exist", hidden),
            ("correct horse", "near 'correct horse' and 'horse'", hidden),
            ("it's \\ me", "near 'it''s \\\\ me'", hidden),
            ("a'b'c'd'e", "near 'a''b''c''d''e'", hidden),
            ("a'b'c'd'e", "near 'a\\'b\\'c\\'d\\'e'", hidden),
            ("na\u{ef}v\u{c9}", "near 'NA\u{cf}V\u{e9}'", hidden),
            // Short ones are words that stand in other words.
            ("pass", "the password is wrong", "the password is wrong"),
            ("pass", "near 'Pass'", hidden),
            ("root", "access denied for user 'root'@'%'", hidden),
            ("", "near ''", "near ''"),
            (
                "a
bc
d",
                "near 'a
bc
",
                hidden,
            ),
            ("correct horse", "two\nlines\0 and more", "two lines  and more"),
        ];
        for (secret, said, expected) in cases {
            let secret = SecretString::new(secret.to_owned());
            let shown = without(said, &[&SecretString::default(), &secret]);
            assert_eq!(shown, expected, "{said}");
        }
    }

    #[test]
    fn what_is_quoted_is_cut_off() {
        for (said, expected) in [
            ("syntax error", "syntax error"),
            ("Syntaxfehler bei \u{bb}x\u{ab}", "Syntaxfehler bei"),
            ("near 'x' or \"y\"", "near"),
            ("\"x\"", ""),
        ] {
            assert_eq!(unquoted(said), expected);
        }
        for (said, expected) in [
            ("28P01", "28P01"),
            ("MAXIMUM16LETTERS", "MAXIMUM16LETTERS"),
            ("MAXIMUM16LETTERS1", "?"),
            ("secret", "?"),
            ("A\nB", "?"),
        ] {
            assert_eq!(code(said), expected);
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let secret = SecretString::new("correct horse".to_owned());
        for (length, expected) in
            [(SAID_CHARS_MAX, SAID_CHARS_MAX), (SAID_CHARS_MAX + 1, SAID_CHARS_MAX)]
        {
            assert_eq!(without(&"\u{fc}".repeat(length), &[&secret]).chars().count(), expected);
        }
        let late = format!("{} correct horse", "x".repeat(SAID_CHARS_MAX));
        assert!(!without(&late, &[&secret]).contains("corr"));
    }
}
