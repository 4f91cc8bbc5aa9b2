//! Policy names: normalised once, before any check, so that no other spelling passes one
//! (threats: CVE-2025-5999, CVE-2025-64761, CVE-2024-9180).

use std::fmt;

use strongroom_base::{Error, Result};

/// The policy that allows everything; it exists without being stored.
pub const ROOT: &str = "root";
/// The policy every token has unless it was refused.
pub const DEFAULT: &str = "default";
/// The policy of response-wrapping tokens; no caller can attach it.
pub const RESPONSE_WRAPPING: &str = "response-wrapping";

/// Bytes of a policy's name.
pub const POLICY_NAME_BYTES_MAX: usize = 512;

/// A policy's name in its one spelling: lower case, no space around it, no control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PolicyName(String);

impl PolicyName {
    /// Normalises `text`.
    pub fn parse(text: &str) -> Result<Self> {
        let name = text.trim().to_lowercase();
        // Lower-casing can bring nothing that trimming would take, but the name that is checked
        // must be the name that is kept, so it is looked at again.
        let name = name.trim();
        if name.is_empty() {
            return Err(Error::bad_request("policy name missing"));
        }
        if name.len() > POLICY_NAME_BYTES_MAX {
            return Err(Error::bad_request("policy name is too long"));
        }
        if name.chars().any(char::is_control) {
            return Err(Error::bad_request("policy name contains control characters"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name `root`.
    pub fn root() -> Self {
        Self(ROOT.to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Is it `root`?
    pub fn is_root(&self) -> bool {
        self.0 == ROOT
    }

    /// May a caller write a policy of this name?
    pub fn check_writable(&self) -> Result<()> {
        match self.as_str() {
            ROOT | RESPONSE_WRAPPING => {
                Err(Error::bad_request(format!("cannot update \"{self}\" policy")))
            }
            _ => Ok(()),
        }
    }

    /// May a caller delete the policy of this name?
    pub fn check_deletable(&self) -> Result<()> {
        match self.as_str() {
            ROOT | RESPONSE_WRAPPING => {
                Err(Error::bad_request(format!("cannot delete \"{self}\" policy")))
            }
            DEFAULT => Err(Error::bad_request("cannot delete default policy")),
            _ => Ok(()),
        }
    }

    /// May it stand in what an entity, a group, a role or a login gives? `root` only ever comes
    /// from a root token's own request, never through one of these.
    pub fn check_attachable(&self) -> Result<()> {
        match self.as_str() {
            ROOT => Err(Error::bad_request("policies cannot contain root")),
            RESPONSE_WRAPPING => {
                Err(Error::bad_request(format!("cannot assign policy \"{self}\"")))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Policies in one spelling: trimmed, lower case, without repeats, sorted (threats: CVE-2025-5999,
/// CVE-2024-9180).
pub fn normalise_policies(policies: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut out: Vec<String> =
        policies.into_iter().map(|p| p.trim().to_lowercase()).filter(|p| !p.is_empty()).collect();
    out.sort();
    out.dedup();
    out
}
