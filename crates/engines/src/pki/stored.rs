//! The records of a mount.
//!
//! Records 1–29 are numbered here; ACME's begin at 30. They are written as arrays: a new field goes to
//! the end, and what is missing there has its default.

use serde::{Deserialize, Serialize};
use strongroom_base::Timestamp;
use strongroom_crypto::x509::Certificate;
use strongroom_kernel::record::{Id, Record};

/// The name that stands for a mount's default issuer or key.
pub const DEFAULT: &str = "default";

/// Numbers records.
macro_rules! records {
    ($($record:ident = $kind:literal;)+) => {
        $(impl Record for $record {
            const KIND: u8 = $kind;
        })+
    };
}
pub(super) use records;

records! {
    KeyInfo = 1;
    Issuer = 2;
    KeyName = 3;
    IssuerName = 4;
    // Role = 5, in `role`.
    Stored = 6;
    Revoked = 7;
    IssuersConfig = 8;
    KeysConfig = 9;
    Urls = 10;
    Cluster = 11;
    CrlConfig = 12;
    CrlState = 13;
    // TidyConfig = 14, TidyRun = 15, in `tidy`.
    IssuersChanged = 16;
}

/// A key, by its id (a UUID). The private part lies in a row of its own, so that this record holds
/// no secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeyInfo {
    /// The name an operator gave it, or "".
    pub name: String,
    /// `rsa`, `ec` or `ed25519`.
    pub kind: String,
    /// Its size; 0 for Ed25519.
    pub bits: u32,
    /// Its public part: SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The row of its private part: PKCS#8, among the values.
    pub row: Id,
}

/// A key's id, by its name.
#[derive(Serialize, Deserialize)]
pub struct KeyName {
    /// The id.
    pub id: String,
}

/// An issuer's id, by its name.
#[derive(Serialize, Deserialize)]
pub struct IssuerName {
    /// The id.
    pub id: String,
}

/// An issuer, by its id (a UUID).
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Issuer {
    /// The name an operator gave it, or "".
    pub name: String,
    /// The id of its key, or "".
    pub key_id: String,
    /// Its certificate: DER. It never changes.
    pub certificate: Vec<u8>,
    /// Ids of the issuers that stand behind it, itself first; as an operator chose.
    pub manual_chain: Vec<String>,
    /// The same as it follows from the certificates.
    pub chain: Vec<String>,
    /// What becomes of certificates that would outlive it.
    pub leaf_not_after: NotAfter,
    /// What it may be used for: bits of [`Usage`].
    pub usage: u8,
    /// How its lists are signed; "" leaves it to its key.
    pub revocation_algorithm: String,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// URLs of its own.
    pub urls: Option<Urls>,
}

/// What becomes of a certificate that would outlive its issuer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum NotAfter {
    /// It is refused.
    #[default]
    Err,
    /// It ends with its issuer.
    Truncate,
    /// It may.
    Permit,
}

impl NotAfter {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Err => "err",
            Self::Truncate => "truncate",
            Self::Permit => "permit",
        }
    }

    /// The value of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Err, Self::Truncate, Self::Permit].into_iter().find(|v| v.name() == name)
    }
}

/// What an issuer may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// To be read: always.
    Read = 0,
    /// To issue.
    Issue = 1,
    /// To sign lists.
    SignLists = 2,
    /// To answer OCSP.
    SignOcsp = 4,
}

impl Usage {
    /// All of them.
    pub const ALL: u8 = 7;
    /// In the order of their names.
    const NAMES: [(&'static str, Self); 4] = [
        ("crl-signing", Self::SignLists),
        ("issuing-certificates", Self::Issue),
        ("ocsp-signing", Self::SignOcsp),
        ("read-only", Self::Read),
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, usage)| *usage == self).map_or("", |(name, _)| *name)
    }

    /// The usage of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, usage)| *usage)
    }

    /// The names of a set of usages, sorted.
    pub fn names(set: u8) -> String {
        let names = Self::NAMES.iter().filter(|(_, usage)| set & *usage as u8 == *usage as u8);
        names.map(|(name, _)| *name).collect::<Vec<_>>().join(",")
    }
}

impl Issuer {
    /// May it be used so?
    pub fn may(&self, usage: Usage) -> bool {
        self.usage & usage as u8 == usage as u8
    }

    /// The ids of its chain, itself first.
    pub fn chain_ids(&self) -> &[String] {
        if self.manual_chain.is_empty() { &self.chain } else { &self.manual_chain }
    }
}

/// A stored certificate, by its serial number (pairs of digits with colons). The certificate itself
/// is a row, so that certificates are appended and only these small records stand in an index.
#[derive(Clone, Serialize, Deserialize)]
pub struct Stored {
    /// The row of its DER, among the values.
    pub row: Id,
    /// The last second of its validity.
    pub not_after: i64,
}

/// A revoked certificate, by its serial number.
#[derive(Clone, Serialize, Deserialize)]
pub struct Revoked {
    /// When: later than the last list that was made, so that a list never changes.
    pub at: Timestamp,
    /// The id of the issuer, or "" where it is none that is known.
    pub issuer: String,
    /// The last second of its validity.
    pub not_after: i64,
    /// Who issued it, whatever ids its certificates have here: [`authority_digest`].
    #[serde(default)]
    pub authority: Vec<u8>,
}

/// What issuers with the same key and name have in common: their certificates stand on one list,
/// also after one of them was removed, imported again, or renewed.
pub fn authority_digest(certificate: &Certificate) -> Vec<u8> {
    let mut both = certificate.spki.clone();
    both.extend_from_slice(certificate.subject.der());
    strongroom_crypto::sha256(&both).to_vec()
}

/// When an issuer came or went last, or was to be used otherwise.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IssuersChanged {
    /// When; zero where nobody noted it.
    pub at: Timestamp,
}

/// Which issuer is the default.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IssuersConfig {
    /// Its id, or "".
    pub default: String,
    /// Does a new issuer with a key become the default?
    pub follows_latest: bool,
}

/// Which key is the default.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KeysConfig {
    /// Its id, or "".
    pub default: String,
}

/// URLs that certificates name: of a mount, or of one issuer.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Urls {
    /// Where the issuer's certificate is.
    pub issuing_certificates: Vec<String>,
    /// Where lists are.
    pub crl_distribution_points: Vec<String>,
    /// Where delta lists are.
    pub delta_crl_distribution_points: Vec<String>,
    /// Where to ask.
    pub ocsp_servers: Vec<String>,
    /// Are there templates among them?
    pub templates: bool,
}

impl Urls {
    /// Are there none that a certificate names?
    pub fn is_empty(&self) -> bool {
        self.issuing_certificates.is_empty()
            && self.crl_distribution_points.is_empty()
            && self.ocsp_servers.is_empty()
    }
}

/// Addresses of this server, for templates of URLs, and for ACME.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// The mount's own URL, or "".
    pub path: String,
    /// Where certificates and lists can be had, or "".
    pub aia_path: String,
}

/// Settings of revocation lists and OCSP. Durations are kept as they were written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct CrlConfig {
    /// How long a list counts.
    pub expiry: String,
    /// No lists at all?
    pub disable: bool,
    /// No OCSP?
    pub ocsp_disable: bool,
    /// How long an OCSP answer counts.
    pub ocsp_expiry: String,
    /// Are lists made in good time, and not with each revocation?
    pub auto_rebuild: bool,
    /// How long before its end a list is made anew.
    pub auto_rebuild_grace_period: String,
    /// Are there delta lists?
    pub enable_delta: bool,
    /// How often delta lists are made.
    pub delta_rebuild_interval: String,
    /// May expired certificates be revoked?
    pub allow_expired: bool,
}

impl Default for CrlConfig {
    fn default() -> Self {
        Self {
            expiry: "72h".to_owned(),
            disable: false,
            ocsp_disable: false,
            ocsp_expiry: "12h".to_owned(),
            auto_rebuild: false,
            auto_rebuild_grace_period: "12h".to_owned(),
            enable_delta: false,
            delta_rebuild_interval: "15m".to_owned(),
            allow_expired: false,
        }
    }
}

/// Which revocation lists there are: of each issuer the one of these numbers, with what was revoked
/// until these times.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CrlState {
    /// The number of the complete list.
    pub number: u64,
    /// Until when it knows.
    pub at: Timestamp,
    /// The number of the delta list that continues it; 0 where there is none.
    pub delta_number: u64,
    /// Until when that one knows.
    pub delta_at: Timestamp,
    /// The highest number that was given.
    pub last_number: u64,
    /// When something was revoked last.
    pub revoked_at: Timestamp,
}
