//! What is told, on request, of each use of a master key: which kind, what was done, and by the key's
//! name. The words are the original's (`--verbose`).

use crate::metadata::KeyEntry;

/// A line of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told<'t> {
    /// Which part of the program speaks.
    pub speaker: &'static str,
    /// How much it matters: `debug`, `info`, `warning`, `error`, `fatal`.
    pub level: &'static str,
    /// What happened.
    pub text: &'t str,
    /// More of it, by name.
    pub fields: Vec<(&'static str, String)>,
}

impl<'t> Told<'t> {
    /// A line without fields.
    pub fn new(speaker: &'static str, level: &'static str, text: &'t str) -> Self {
        Self { speaker, level, text, fields: Vec::new() }
    }

    /// With a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

/// What was done with a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// A part was wrapped.
    Encryption,
    /// A part was unwrapped.
    Decryption,
}

/// The line about a use of a key.
pub(super) fn of_use(key: &KeyEntry, what: Use, good: bool) -> Told<'static> {
    let transit = matches!(key, KeyEntry::HcVault(_));
    let text = match (what, good, transit) {
        (Use::Encryption, true, false) => "Encryption succeeded",
        (Use::Encryption, true, true) => "Encryption successful",
        (Use::Encryption, false, _) => "Encryption failed",
        (Use::Decryption, true, false) => "Decryption succeeded",
        (Use::Decryption, true, true) => "Decryption successful",
        (Use::Decryption, false, _) => "Decryption failed",
    };
    let told = |speaker| Told::new(speaker, "info", text);
    match key {
        KeyEntry::Kms(key) => told("AWSKMS").with("arn", &key.arn),
        KeyEntry::GcpKms(key) => told("GCPKMS").with("resourceID", &key.resource_id),
        KeyEntry::HcKms(key) => told("HCKMS").with("keyID", &key.key_id),
        KeyEntry::AzureKv(key) => told("AZKV").with("key", &key.name).with("version", &key.version),
        KeyEntry::HcVault(key) => {
            let way = if what == Use::Encryption { "encrypt" } else { "decrypt" };
            let engine = key.engine_path.trim_matches('/');
            told("VAULT_TRANSIT").with("Path", format!("{engine}/{way}/{}", key.key_name))
        }
        KeyEntry::Pgp(key) => told("PGP").with("fingerprint", &key.fp),
        KeyEntry::Age(key) if what == Use::Encryption => {
            told("AGE").with("recipient", &key.recipient)
        }
        KeyEntry::Age(_) => told("AGE"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{AgeKey, HcVaultKey};

    #[test]
    fn uses_are_told_by_the_names_of_keys() {
        let age = KeyEntry::Age(AgeKey { recipient: "age1".into(), ..AgeKey::default() });
        let told = of_use(&age, Use::Encryption, true);
        assert_eq!(
            told,
            Told::new("AGE", "info", "Encryption succeeded").with("recipient", "age1")
        );
        let told = of_use(&age, Use::Decryption, false);
        assert_eq!(told, Told::new("AGE", "info", "Decryption failed"));
        let vault =
            HcVaultKey { engine_path: "t/".into(), key_name: "k".into(), ..HcVaultKey::default() };
        let told = of_use(&KeyEntry::HcVault(vault), Use::Decryption, true);
        let expected = Told::new("VAULT_TRANSIT", "info", "Decryption successful");
        assert_eq!(told, expected.with("Path", "t/decrypt/k"));
    }
}
