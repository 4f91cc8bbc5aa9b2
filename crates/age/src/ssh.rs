//! SSH keys as recipients and identities (the original's package `agessh`): ssh-ed25519 and ssh-rsa.
//!
//! Invariant: the passphrase of a key is asked for only when a file is for that key.

use std::sync::OnceLock;

use age::DecryptError;
use age::secrecy::SecretString;
use age::ssh::{
    Identity as Key, ParseRecipientKeyError, Recipient as SshRecipient, UnsupportedKey,
};
use age_core::format::{FileKey, Stanza};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use strongroom_crypto::sha256;
use strongroom_crypto::ssh::{read_private, write_private};

use crate::error::io_text;
use crate::recipients::Recipient;
use crate::ui::SharedUi;
use crate::{Error, Result};

/// Reads a line of an `authorized_keys` file.
pub(crate) fn parse_recipient(text: &str) -> Result<Recipient> {
    parse_public(text).map(|it| Box::new(it) as Recipient)
}

fn parse_public(text: &str) -> Result<SshRecipient> {
    text.parse().map_err(|error| match error {
        ParseRecipientKeyError::RsaModulusTooSmall => {
            Error::new(format!("malformed SSH recipient: {text:?}: RSA key size is too small"))
        }
        ParseRecipientKeyError::RsaModulusTooLarge => {
            Error::new(format!("malformed SSH recipient: {text:?}: RSA key size is too large"))
        }
        ParseRecipientKeyError::Unsupported(kind) => {
            Error::new(format!("unknown SSH recipient type: {kind:?}"))
        }
        _ => Error::new(format!("malformed SSH recipient: {text:?}")),
    })
}

/// An SSH private key.
pub struct SshIdentity {
    key: Key,
    /// `ssh-…` and the key in Base64.
    public: String,
    name: String,
    ui: SharedUi,
    decrypted: OnceLock<Result<Key>>,
}

impl SshIdentity {
    /// Reads a key in OpenSSH's format, PKCS #1 or PKCS #8.
    pub(crate) fn read(name: &str, bytes: &[u8], ui: &SharedUi) -> Result<Self> {
        let malformed =
            |why: &str| Error::new(format!("malformed SSH identity in {name:?}: {why}"));
        let converted = from_pkcs8(bytes).map_err(|why| malformed(&why))?;
        let bytes = converted.as_ref().map_or(bytes, |it| it.expose_secret().as_bytes());
        let key = Key::from_buffer(bytes, Some(name.to_owned()))
            .map_err(|error| malformed(&io_text(&error)))?;
        if let Key::Unsupported(kind) = &key {
            return Err(unsupported(name, kind));
        }
        let recipient =
            SshRecipient::try_from(key.clone()).map_err(|_| malformed("unsupported type"))?;
        Ok(Self {
            key,
            public: recipient.to_string(),
            name: name.to_owned(),
            ui: ui.clone(),
            decrypted: OnceLock::new(),
        })
    }

    pub(crate) fn public_text(&self) -> &str {
        &self.public
    }

    pub(crate) fn recipient(&self) -> Result<Recipient> {
        parse_recipient(&self.public)
    }

    /// Is the stanza for this key? It names the kind and begins with a part of the key's hash.
    fn is_for_this(&self, stanza: &Stanza) -> bool {
        let mut words = self.public.split(' ');
        let (kind, key) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Ok(key) = BASE64_STANDARD.decode(key) else { return false };
        let [a, b, c, d, ..] = sha256(&key);
        stanza.tag == kind
            && stanza.args.first() == Some(&BASE64_STANDARD_NO_PAD.encode([a, b, c, d]))
    }

    /// The key, decrypted.
    fn plain(&self) -> Result<&Key> {
        let Key::Encrypted(encrypted) = &self.key else { return Ok(&self.key) };
        let decrypted = self.decrypted.get_or_init(|| {
            let failed = |error: std::io::Error| {
                Error::new(format!(
                    "failed to obtain passphrase: could not read passphrase for {:?}: {}",
                    self.name,
                    io_text(&error)
                ))
            };
            let prompt = format!("Enter passphrase for {:?}:", self.name);
            let passphrase = self.ui.secret(&prompt).map_err(failed)?;
            let passphrase = SecretString::from(passphrase.expose_secret().clone());
            let plain = encrypted.decrypt(passphrase).map_err(Error::from)?;
            Ok(Key::Unencrypted(plain))
        });
        decrypted.as_ref().map_err(Clone::clone)
    }
}

impl age::Identity for SshIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if !self.is_for_this(stanza) {
            return None;
        }
        match self.plain() {
            Ok(key) => key.unwrap_stanza(stanza),
            Err(error) => Some(Err(DecryptError::Io(error.carried()))),
        }
    }
}

fn unsupported(name: &str, kind: &UnsupportedKey) -> Error {
    match kind {
        // The old way to encrypt a key hashes its passphrase once, with MD5.
        UnsupportedKey::EncryptedPem => {
            Error::new(format!("{name:?} is encrypted in an old format that is easy to guess"))
                .hint(format!("convert it with \"ssh-keygen -p -f {name}\""))
        }
        UnsupportedKey::EncryptedSsh(cipher) => {
            Error::new(format!("{name:?} is encrypted with {cipher:?}, which is not supported"))
        }
        UnsupportedKey::Hardware(kind) => Error::new(format!(
            "unsupported SSH identity type: {kind:?}: a security key signs and cannot decrypt"
        )),
        UnsupportedKey::Type(kind) => {
            Error::new(format!("unsupported SSH identity type: {kind:?}"))
        }
    }
}

/// A key in PKCS #8 as OpenSSH's tools write it themselves; none where it is in another format.
fn from_pkcs8(bytes: &[u8]) -> Result<Option<strongroom_base::SecretString>, String> {
    if !bytes.starts_with(b"-----BEGIN PRIVATE KEY-----") {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let key = read_private(text).map_err(|error| error.to_string())?;
    write_private(&key).map(Some).map_err(|error| error.to_string())
}
