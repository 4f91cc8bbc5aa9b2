//! What is kept of second factors: methods and enforcements, per namespace. The secrets of methods
//! are an entity's ([`crate::identity::FactorSecret`]).

use serde::{Deserialize, Serialize};
use strongroom_crypto::totp::Codes;

use crate::record::{Id, Record};

/// A way to prove who one is beside the login. Named by its id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// A UUID.
    pub id: String,
    /// Its name, unique in its namespace; or "".
    pub name: String,
    /// The number below which its secrets hang.
    pub at: Id,
    /// Codes by time: the one kind there is.
    pub totp: TotpSettings,
}

impl Method {
    /// Its kind on the wire.
    pub const KIND_NAME: &'static str = "totp";
}

impl Record for Method {
    const KIND: u8 = 232;
}

/// How a method's secrets are made. Secrets that are there keep what they were made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TotpSettings {
    /// Whose service, for the telephone.
    pub issuer: String,
    /// How codes are made.
    pub codes: Codes,
    /// Bytes of a secret.
    pub key_bytes: u32,
    /// Pixels of the QR code's side; 0 is none.
    pub qr_pixels: u32,
    /// Tries of an entity within the time that a code is good.
    pub attempts_max: u32,
}

/// From a method's name to its id.
#[derive(Serialize, Deserialize)]
pub struct MethodOfName(pub String);

impl Record for MethodOfName {
    const KIND: u8 = 233;
}

/// Whose logins need which second factors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Enforcement {
    /// A UUID.
    pub id: String,
    /// Its name, unique in its namespace.
    pub name: String,
    /// Methods, of which one must be passed.
    pub methods: Vec<String>,
    /// Accessors of auth mounts.
    pub accessors: Vec<String>,
    /// Types of auth mounts.
    pub kinds: Vec<String>,
    /// Ids of groups.
    pub groups: Vec<String>,
    /// Ids of entities.
    pub entities: Vec<String>,
}

/// All enforcements of a namespace, by name: one record, as each login looks at all.
#[derive(Default, Serialize, Deserialize)]
pub struct Enforcements(pub Vec<Enforcement>);

impl Record for Enforcements {
    const KIND: u8 = 234;
}
