//! How a login names its caller to identity.

use std::collections::BTreeMap;

/// An alias of a login.
#[derive(Default)]
pub struct GrantAlias {
    /// The alias' name, unique in the mount.
    pub name: String,
    /// Metadata for templated policies.
    pub metadata: BTreeMap<String, String>,
}
