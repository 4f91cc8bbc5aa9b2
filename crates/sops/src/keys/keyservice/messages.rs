//! The messages of SOPS's key service, field by field as its `keyservice.proto` numbers them.

use std::collections::HashMap;

use prost::{Message, Oneof};

use crate::metadata::{
    AgeKey, AzureKvKey, GcpKmsKey, HcKmsKey, HcVaultKey, KeyEntry, KmsKey, PgpKey,
};

/// A master key.
#[derive(Clone, PartialEq, Message)]
pub struct Key {
    /// Which.
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub kind: Option<Kind>,
}

/// The kinds of master keys.
#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// AWS KMS.
    #[prost(message, tag = "1")]
    Kms(Kms),
    /// OpenPGP.
    #[prost(message, tag = "2")]
    Pgp(Pgp),
    /// Google Cloud KMS.
    #[prost(message, tag = "3")]
    GcpKms(GcpKms),
    /// Azure Key Vault.
    #[prost(message, tag = "4")]
    AzureKv(AzureKv),
    /// Vault's transit engine.
    #[prost(message, tag = "5")]
    Vault(Vault),
    /// age.
    #[prost(message, tag = "6")]
    Age(Age),
    /// Huawei Cloud KMS.
    #[prost(message, tag = "7")]
    HcKms(HcKms),
}

/// A key of AWS KMS.
#[derive(Clone, PartialEq, Message)]
pub struct Kms {
    /// Its ARN.
    #[prost(string, tag = "1")]
    pub arn: String,
    /// The role to take on.
    #[prost(string, tag = "2")]
    pub role: String,
    /// The encryption context.
    #[prost(map = "string, string", tag = "3")]
    pub context: HashMap<String, String>,
    /// The profile of AWS's configuration.
    #[prost(string, tag = "4")]
    pub aws_profile: String,
}

/// A key of OpenPGP.
#[derive(Clone, PartialEq, Message)]
pub struct Pgp {
    /// Its fingerprint.
    #[prost(string, tag = "1")]
    pub fingerprint: String,
}

/// A key of Google Cloud KMS.
#[derive(Clone, PartialEq, Message)]
pub struct GcpKms {
    /// Its resource's name.
    #[prost(string, tag = "1")]
    pub resource_id: String,
}

/// A key of Azure Key Vault.
#[derive(Clone, PartialEq, Message)]
pub struct AzureKv {
    /// The vault.
    #[prost(string, tag = "1")]
    pub vault_url: String,
    /// The key.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub version: String,
}

/// A key of Vault's transit engine.
#[derive(Clone, PartialEq, Message)]
pub struct Vault {
    /// The server.
    #[prost(string, tag = "1")]
    pub vault_address: String,
    /// Where the engine is mounted.
    #[prost(string, tag = "2")]
    pub engine_path: String,
    /// The key.
    #[prost(string, tag = "3")]
    pub key_name: String,
}

/// A key of age.
#[derive(Clone, PartialEq, Message)]
pub struct Age {
    /// The recipient.
    #[prost(string, tag = "1")]
    pub recipient: String,
}

/// A key of Huawei Cloud KMS.
#[derive(Clone, PartialEq, Message)]
pub struct HcKms {
    /// `region:uuid`.
    #[prost(string, tag = "1")]
    pub key_id: String,
}

/// What both requests and both replies are: a key with bytes, and bytes.
#[derive(Clone, PartialEq, Message)]
pub struct Request {
    /// The key.
    #[prost(message, optional, tag = "1")]
    pub key: Option<Key>,
    /// The plaintext of `Encrypt`, the ciphertext of `Decrypt`.
    #[prost(bytes = "vec", tag = "2")]
    pub bytes: Vec<u8>,
}

/// The ciphertext of `Encrypt`, the plaintext of `Decrypt`.
#[derive(Clone, PartialEq, Message)]
pub struct Reply {
    /// The bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub bytes: Vec<u8>,
}

impl From<&KeyEntry> for Key {
    fn from(entry: &KeyEntry) -> Self {
        let kind = match entry {
            KeyEntry::Kms(key) => Kind::Kms(Kms {
                arn: key.arn.clone(),
                role: key.role.clone(),
                context: key.context.iter().cloned().collect(),
                aws_profile: key.aws_profile.clone(),
            }),
            KeyEntry::Pgp(key) => Kind::Pgp(Pgp { fingerprint: key.fp.clone() }),
            KeyEntry::GcpKms(key) => Kind::GcpKms(GcpKms { resource_id: key.resource_id.clone() }),
            KeyEntry::AzureKv(key) => Kind::AzureKv(AzureKv {
                vault_url: key.vault_url.clone(),
                name: key.name.clone(),
                version: key.version.clone(),
            }),
            KeyEntry::HcVault(key) => Kind::Vault(Vault {
                vault_address: key.vault_address.clone(),
                engine_path: key.engine_path.clone(),
                key_name: key.key_name.clone(),
            }),
            KeyEntry::Age(key) => Kind::Age(Age { recipient: key.recipient.clone() }),
            KeyEntry::HcKms(key) => Kind::HcKms(HcKms { key_id: key.key_id.clone() }),
        };
        Self { kind: Some(kind) }
    }
}

impl From<Kind> for KeyEntry {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Kms(key) => {
                let mut context: Vec<(String, String)> = key.context.into_iter().collect();
                context.sort();
                Self::Kms(KmsKey {
                    arn: key.arn,
                    role: key.role,
                    context,
                    aws_profile: key.aws_profile,
                    ..KmsKey::default()
                })
            }
            Kind::Pgp(key) => Self::Pgp(PgpKey { fp: key.fingerprint, ..PgpKey::default() }),
            Kind::GcpKms(key) => {
                Self::GcpKms(GcpKmsKey { resource_id: key.resource_id, ..GcpKmsKey::default() })
            }
            Kind::AzureKv(key) => Self::AzureKv(AzureKvKey {
                vault_url: key.vault_url,
                name: key.name,
                version: key.version,
                ..AzureKvKey::default()
            }),
            Kind::Vault(key) => Self::HcVault(HcVaultKey {
                vault_address: key.vault_address,
                engine_path: key.engine_path,
                key_name: key.key_name,
                ..HcVaultKey::default()
            }),
            Kind::Age(key) => Self::Age(AgeKey { recipient: key.recipient, ..AgeKey::default() }),
            Kind::HcKms(key) => Self::HcKms(HcKmsKey { key_id: key.key_id, ..HcKmsKey::default() }),
        }
    }
}
