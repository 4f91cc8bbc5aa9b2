//! What an encrypted file says of itself: the mapping `sops`, typed, as it stands in files.
//!
//! [`KeyEntry`] is the record of one master key with the wrapped data key; what can be done with
//! it is the matter of [`crate::keys`]. Times are kept as their text: that of the last change is
//! additional data of the MAC.

pub mod file;
pub mod version;

/// The version that files say they were written by, and what `sops --version` names.
pub const VERSION: &str = "3.13.3";

/// The suffix of keys whose values stay readable where no rule says anything else.
pub const DEFAULT_UNENCRYPTED_SUFFIX: &str = "_unencrypted";

/// A file's metadata.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Metadata {
    /// The groups of master keys. One group stands at the top level of the mapping, several as
    /// `key_groups`.
    pub key_groups: Vec<KeyGroup>,
    /// How many groups give the data key; 0 where the file does not say (then: all).
    pub shamir_threshold: usize,
    /// The last change: RFC 3339 in whole seconds.
    pub last_modified: String,
    /// The MAC, encrypted.
    pub mac: String,
    /// Which values are encrypted.
    pub rule: Rule,
    /// Do only encrypted values count for the MAC?
    pub mac_only_encrypted: bool,
    /// The version that wrote the file.
    pub version: String,
}

/// Which values are encrypted. Expressions are kept as they stand in the file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Rule {
    /// All: what the binary format has, and files that say nothing mean the default suffix instead.
    #[default]
    All,
    /// All but what has a key with this suffix on its path.
    UnencryptedSuffix(String),
    /// Only what has a key with this suffix on its path.
    EncryptedSuffix(String),
    /// All but what has a key on its path that matches.
    UnencryptedRegex(String),
    /// Only what has a key on its path that matches.
    EncryptedRegex(String),
    /// All but what a matching comment stands before.
    UnencryptedCommentRegex(String),
    /// Only what a matching comment stands before.
    EncryptedCommentRegex(String),
}

/// Master keys of which each alone gives the data key, or the group's share of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyGroup(pub Vec<KeyEntry>);

/// The record of one master key. `enc` is the data key (or share) wrapped by it, empty before that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyEntry {
    /// AWS KMS.
    Kms(KmsKey),
    /// Google Cloud KMS.
    GcpKms(GcpKmsKey),
    /// Huawei Cloud KMS.
    HcKms(HcKmsKey),
    /// Azure Key Vault.
    AzureKv(AzureKvKey),
    /// Vault's transit engine.
    HcVault(HcVaultKey),
    /// OpenPGP.
    Pgp(PgpKey),
    /// age.
    Age(AgeKey),
}

/// `kms[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KmsKey {
    /// The key's ARN.
    pub arn: String,
    /// A role to take on first; empty for none.
    pub role: String,
    /// The encryption context, sorted by name.
    pub context: Vec<(String, String)>,
    /// When it was wrapped.
    pub created_at: String,
    /// base64 of the ciphertext.
    pub enc: String,
    /// The profile of AWS's configuration; empty for none. Always written.
    pub aws_profile: String,
}

/// `gcp_kms[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GcpKmsKey {
    /// `projects/…/cryptoKeys/…`.
    pub resource_id: String,
    /// When it was wrapped.
    pub created_at: String,
    /// base64 of the ciphertext.
    pub enc: String,
}

/// `hckms[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HcKmsKey {
    /// `region:uuid`.
    pub key_id: String,
    /// When it was wrapped.
    pub created_at: String,
    /// The ciphertext.
    pub enc: String,
}

/// `azure_kv[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AzureKvKey {
    /// `https://….vault.azure.net`.
    pub vault_url: String,
    /// The key's name.
    pub name: String,
    /// The key's version.
    pub version: String,
    /// When it was wrapped.
    pub created_at: String,
    /// base64url without padding.
    pub enc: String,
}

/// `hc_vault[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HcVaultKey {
    /// The server's address.
    pub vault_address: String,
    /// Where the engine is mounted.
    pub engine_path: String,
    /// The key's name.
    pub key_name: String,
    /// When it was wrapped.
    pub created_at: String,
    /// `vault:v1:…`.
    pub enc: String,
}

/// `pgp[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PgpKey {
    /// The fingerprint.
    pub fp: String,
    /// When it was wrapped.
    pub created_at: String,
    /// An armoured message.
    pub enc: String,
}

/// `age[]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AgeKey {
    /// `age1…`, `ssh-…`.
    pub recipient: String,
    /// An armoured age file, with its final line end.
    pub enc: String,
}

impl Rule {
    /// The names of the rules, in files and in `.sops.yaml`.
    pub const FIELDS: [&'static str; 6] = [
        "unencrypted_suffix",
        "encrypted_suffix",
        "unencrypted_regex",
        "encrypted_regex",
        "unencrypted_comment_regex",
        "encrypted_comment_regex",
    ];

    /// Of the texts of [`Self::FIELDS`], of which at most one may be given. Nothing for more.
    pub fn of_fields(texts: [String; 6]) -> Option<Self> {
        let mut given = texts.into_iter().enumerate().filter(|(_, text)| !text.is_empty());
        let Some((at, text)) = given.next() else { return Some(Self::All) };
        if given.next().is_some() {
            return None;
        }
        Some(match at {
            0 => Self::UnencryptedSuffix(text),
            1 => Self::EncryptedSuffix(text),
            2 => Self::UnencryptedRegex(text),
            3 => Self::EncryptedRegex(text),
            4 => Self::UnencryptedCommentRegex(text),
            _ => Self::EncryptedCommentRegex(text),
        })
    }

    /// Its name and text, if it is one.
    pub fn field(&self) -> Option<(&'static str, &str)> {
        Some(match self {
            Self::All => return None,
            Self::UnencryptedSuffix(text) => ("unencrypted_suffix", text),
            Self::EncryptedSuffix(text) => ("encrypted_suffix", text),
            Self::UnencryptedRegex(text) => ("unencrypted_regex", text),
            Self::EncryptedRegex(text) => ("encrypted_regex", text),
            Self::UnencryptedCommentRegex(text) => ("unencrypted_comment_regex", text),
            Self::EncryptedCommentRegex(text) => ("encrypted_comment_regex", text),
        })
    }
}

impl Metadata {
    /// All master keys, with the index of their group.
    pub fn keys(&self) -> impl Iterator<Item = (usize, &KeyEntry)> {
        self.key_groups
            .iter()
            .enumerate()
            .flat_map(|(at, group)| group.0.iter().map(move |key| (at, key)))
    }
}

impl KeyEntry {
    /// The kind as the list in the file is named, which also is the name in `--decryption-order`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kms(_) => "kms",
            Self::GcpKms(_) => "gcp_kms",
            Self::HcKms(_) => "hckms",
            Self::AzureKv(_) => "azure_kv",
            Self::HcVault(_) => "hc_vault",
            Self::Pgp(_) => "pgp",
            Self::Age(_) => "age",
        }
    }

    /// The wrapped data key.
    pub fn enc(&self) -> &str {
        match self {
            Self::Kms(key) => &key.enc,
            Self::GcpKms(key) => &key.enc,
            Self::HcKms(key) => &key.enc,
            Self::AzureKv(key) => &key.enc,
            Self::HcVault(key) => &key.enc,
            Self::Pgp(key) => &key.enc,
            Self::Age(key) => &key.enc,
        }
    }

    /// Sets the wrapped data key.
    pub fn set_enc(&mut self, enc: String) {
        *match self {
            Self::Kms(key) => &mut key.enc,
            Self::GcpKms(key) => &mut key.enc,
            Self::HcKms(key) => &mut key.enc,
            Self::AzureKv(key) => &mut key.enc,
            Self::HcVault(key) => &mut key.enc,
            Self::Pgp(key) => &mut key.enc,
            Self::Age(key) => &mut key.enc,
        } = enc;
    }

    /// When the data key was wrapped (RFC 3339); an age key does not say.
    pub fn created_at_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Kms(key) => Some(&mut key.created_at),
            Self::GcpKms(key) => Some(&mut key.created_at),
            Self::HcKms(key) => Some(&mut key.created_at),
            Self::AzureKv(key) => Some(&mut key.created_at),
            Self::HcVault(key) => Some(&mut key.created_at),
            Self::Pgp(key) => Some(&mut key.created_at),
            Self::Age(_) => None,
        }
    }
}
