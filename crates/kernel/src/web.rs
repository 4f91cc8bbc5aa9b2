//! What browsers may do and get: cross-origin requests (`sys/config/cors`) and the headers of the
//! user interface (`sys/config/ui/headers`).
//!
//! Invariant: without a setting no answer carries a cross-origin header.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strongroom_base::Result;

use crate::record::{Record, Scope, Store};

/// The headers that a page of another origin may always send (API page "/sys/config/cors").
pub const STANDARD_HEADERS: &[&str] = &[
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-Policy-Override",
];

/// Cross-origin settings of the whole server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cors {
    /// Are they in force?
    pub enabled: bool,
    /// Origins that may ask; a single `*` is all.
    pub origins: Vec<String>,
    /// Headers that they may send, beyond the standard ones.
    pub headers: Vec<String>,
    /// May browsers send credentials of their own along?
    pub credentials: bool,
}

impl Record for Cors {
    const KIND: u8 = 253;
}

impl Cors {
    /// May a page of `origin` ask?
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == "*" || allowed == origin)
    }

    /// All headers that may be sent.
    pub fn all_headers(&self) -> Vec<String> {
        let standard = STANDARD_HEADERS.iter().map(|name| (*name).to_owned());
        standard.chain(self.headers.iter().cloned()).collect()
    }
}

/// Headers of the user interface's answers beyond its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UiHeaders {
    /// Values by name, as it was written.
    pub headers: BTreeMap<String, Vec<String>>,
}

impl Record for UiHeaders {
    const KIND: u8 = 254;
}

/// The cross-origin settings now.
pub async fn cors(store: &Arc<Store>) -> Result<Arc<Cors>> {
    let tx = store.begin();
    Ok(tx.read(Scope::ROOT).cached::<Cors>(0, "").await?.unwrap_or_default())
}

/// The user interface's headers now.
pub async fn ui_headers(store: &Arc<Store>) -> Result<Arc<UiHeaders>> {
    let tx = store.begin();
    Ok(tx.read(Scope::ROOT).cached::<UiHeaders>(0, "").await?.unwrap_or_default())
}
