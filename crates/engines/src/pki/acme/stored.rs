//! ACME's records of a mount. Those of an account lie below its number, so that an account's orders
//! are found without a scan, and another account cannot name them.

use serde::{Deserialize, Serialize};
use strongroom_base::Timestamp;
use strongroom_kernel::record::{Id, Record};

use crate::pki::stored::records;

records! {
    AcmeConfig = 30;
    Account = 31;
    AccountKey = 32;
    Order = 33;
    Authorization = 34;
    Validation = 35;
    Binding = 36;
    Issued = 37;
    Expiring = 38;
    ExpiryState = 39;
    Proved = 40;
}

/// `config/acme`.
#[derive(Clone, Serialize, Deserialize)]
pub struct AcmeConfig {
    /// Is ACME served?
    pub enabled: bool,
    /// Issuers that may be used, by their references; `*` alone is all.
    pub allowed_issuers: Vec<String>,
    /// Roles that may be used; `*` alone is all.
    pub allowed_roles: Vec<String>,
    /// Do roles say what certificates may be used for?
    pub allow_role_ext_key_usage: bool,
    /// `forbid`, `sign-verbatim` or `role:NAME`.
    pub default_directory_policy: String,
    /// `HOST:PORT`, or "" for the machine's own.
    pub dns_resolver: String,
    /// `not-required`, `new-account-required` or `always-required`.
    pub eab_policy: String,
    /// Most seconds of a certificate.
    pub max_ttl: i64,
}

/// Seconds that certificates live at most if nothing else is set: 90 days.
pub const MAX_TTL_SECONDS: i64 = 90 * 24 * 3_600;

impl Default for AcmeConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            allowed_issuers: vec!["*".to_owned()],
            allowed_roles: vec!["*".to_owned()],
            allow_role_ext_key_usage: false,
            default_directory_policy: "sign-verbatim".to_owned(),
            dns_resolver: String::new(),
            eab_policy: "not-required".to_owned(),
            max_ttl: MAX_TTL_SECONDS,
        }
    }
}

/// Where an account is in its life (RFC 8555 §7.1.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AccountStatus {
    /// It may order.
    Valid,
    /// Its owner ended it.
    Deactivated,
    /// We ended it.
    Revoked,
}

impl AccountStatus {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
        }
    }
}

/// An account, by its id (a UUID).
#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    /// What its other records lie below.
    pub number: Id,
    /// Its status.
    pub status: AccountStatus,
    /// How to reach its owner.
    pub contact: Vec<String>,
    /// Did the owner agree to the terms?
    pub terms_agreed: bool,
    /// Its key, in its one JSON form.
    pub jwk: String,
    /// The directory it belongs to.
    pub directory: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The id of the external account it is bound to, or "".
    pub bound_to: String,
    /// Until when something of it counts, or counted, as far as tidying knows.
    pub used_until: Timestamp,
}

/// An account's id, by its key's thumbprint.
#[derive(Serialize, Deserialize)]
pub struct AccountKey {
    /// The id.
    pub account: String,
}

/// Whom a certificate is for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Identifier {
    /// A name in lower case, with `*.` before it where it is one with a wildcard.
    Dns(String),
    /// An address, in its usual form.
    Ip(String),
}

impl Identifier {
    /// The type's name on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
        }
    }

    /// The value as an order has it.
    pub fn value(&self) -> &str {
        match self {
            Self::Dns(value) | Self::Ip(value) => value,
        }
    }

    /// The value as an authorization has it: without a wildcard.
    pub fn proven(&self) -> &str {
        self.value().strip_prefix("*.").unwrap_or(self.value())
    }

    /// Is it a name with a wildcard?
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Dns(name) if name.starts_with("*."))
    }
}

/// An order below its account, by its id (a UUID). Whether it is ready follows from its
/// authorizations.
#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    /// Until when it can be fulfilled.
    pub expires: Timestamp,
    /// Whom the certificate is for.
    pub identifiers: Vec<Identifier>,
    /// The ids of its authorizations.
    pub authorizations: Vec<String>,
    /// The certificate, once there is one.
    pub certificate: Option<OrderCertificate>,
}

/// The certificate of an order.
#[derive(Clone, Serialize, Deserialize)]
pub struct OrderCertificate {
    /// Its serial number, as the mount keeps it.
    pub serial: String,
    /// The last second of its validity.
    pub not_after: i64,
    /// The id of its issuer.
    pub issuer: String,
}

/// Where an authorization is (RFC 8555 §7.1.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AuthorizationStatus {
    /// Nothing is proved.
    Pending,
    /// The identifier is the account's.
    Valid,
    /// The proof failed.
    Invalid,
    /// The owner gave it up.
    Deactivated,
}

impl AuthorizationStatus {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
        }
    }
}

/// The kinds of challenges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// A file of a web server.
    Http,
    /// A record of a zone.
    Dns,
    /// The certificate of a TLS server.
    TlsAlpn,
}

impl ChallengeKind {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::Dns => "dns-01",
            Self::TlsAlpn => "tls-alpn-01",
        }
    }

    /// Those by which an identifier can be proved: only a zone proves all names below it, and an
    /// address has neither a zone nor a name to show.
    pub fn of(identifier: &Identifier) -> &'static [Self] {
        match identifier {
            Identifier::Ip(_) => &[Self::Http],
            Identifier::Dns(_) if identifier.is_wildcard() => &[Self::Dns],
            Identifier::Dns(_) => &[Self::Http, Self::Dns, Self::TlsAlpn],
        }
    }
}

/// Where a challenge is (RFC 8555 §7.1.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ChallengeStatus {
    /// It was not begun.
    Pending,
    /// We look.
    Processing,
    /// It is met.
    Valid,
    /// It failed.
    Invalid,
}

impl ChallengeStatus {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// A challenge of an authorization.
#[derive(Clone, Serialize, Deserialize)]
pub struct Challenge {
    /// Its kind.
    pub kind: ChallengeKind,
    /// Its token. It is no secret: who answers shows it.
    pub token: String,
    /// Its status.
    pub status: ChallengeStatus,
    /// When it was met.
    pub validated: Option<Timestamp>,
    /// Why the last look failed: type and detail of a problem.
    pub error: Option<(String, String)>,
}

/// An authorization below its account, by its id (a UUID).
#[derive(Clone, Serialize, Deserialize)]
pub struct Authorization {
    /// Whom it is about.
    pub identifier: Identifier,
    /// Its status.
    pub status: AuthorizationStatus,
    /// Until when it counts; while nothing is proved, until when that can be done.
    pub expires: Option<Timestamp>,
    /// Its challenges.
    pub challenges: Vec<Challenge>,
}

/// A challenge that somebody says can be looked at, by the authorization's id and the challenge's
/// kind.
#[derive(Clone, Serialize, Deserialize)]
pub struct Validation {
    /// The number of the account.
    pub account: Id,
    /// The id of the authorization.
    pub authorization: String,
    /// The challenge's kind.
    pub kind: ChallengeKind,
    /// What is looked for: the token and the thumbprint of the account's key.
    pub key_authorization: String,
    /// Looks that failed.
    pub failures: u32,
    /// When to look next.
    pub due: Timestamp,
    /// Where the word came from: see [`super::limits::site`].
    #[serde(default)]
    pub site: u64,
}

/// A secret by which an external account allows one new ACME account, by its id (a UUID).
#[derive(Serialize, Deserialize)]
pub struct Binding {
    /// The secret.
    pub key: Vec<u8>,
    /// The directory it is for.
    pub directory: String,
    /// When it was made.
    pub created: Timestamp,
}

impl Drop for Binding {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

/// A certificate that an account got, below the account, by its serial number: the account may
/// revoke it.
#[derive(Serialize, Deserialize)]
pub struct Issued {
    /// The id of its order.
    pub order: String,
}

/// Something of a stranger's that goes by itself: below the number of the hour, by its id.
#[derive(Clone, Serialize, Deserialize)]
pub struct Expiring {
    /// The id of the account.
    pub account: String,
    /// Is it one of its orders? Else it is the account itself.
    pub is_order: bool,
}

/// How far what expires was removed.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExpiryState {
    /// The hour that is next.
    pub hour: u64,
}

/// What an account proved last of an identifier, below the account, by the identifier's value.
#[derive(Serialize, Deserialize)]
pub struct Proved {
    /// The id of the authorization.
    pub authorization: String,
    /// Until when it counts.
    pub expires: Timestamp,
}
