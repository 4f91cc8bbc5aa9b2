//! What opens files: one identity from its text, or a file of them, which may be an SSH key or
//! encrypted with a passphrase.

use std::io::Read;

use age::{DecryptError, x25519};
use age_core::format::{FileKey, Stanza};
use strongroom_base::{Secret, SecretBytes};

use crate::encrypted::EncryptedFile;
use crate::error::io_text;
use crate::hybrid::{self, HybridIdentity};
use crate::plugin::PluginIdentity;
use crate::recipients::{FILE_BYTES_MAX, Recipient};
use crate::ssh::SshIdentity;
use crate::ui::SharedUi;
use crate::{Error, Result};

/// Bytes of a file with an SSH key, as in the original.
pub const SSH_FILE_BYTES_MAX: usize = 16 << 10;

/// What opens files.
pub enum Identity {
    /// `AGE-SECRET-KEY-1…`.
    X25519(x25519::Identity),
    /// `AGE-SECRET-KEY-PQ-1…`.
    Hybrid(Box<HybridIdentity>),
    /// `AGE-PLUGIN-NAME-1…`.
    Plugin(PluginIdentity),
    /// An SSH private key.
    Ssh(Box<SshIdentity>),
    /// A file of identities under a passphrase, which is asked for when it is needed.
    Encrypted(Box<EncryptedFile>),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(…)")
    }
}

impl Identity {
    fn as_age(&self) -> &dyn age::Identity {
        match self {
            Self::X25519(identity) => identity,
            Self::Hybrid(identity) => identity.as_ref(),
            Self::Plugin(identity) => identity,
            Self::Ssh(identity) => identity.as_ref(),
            Self::Encrypted(identity) => identity.as_ref(),
        }
    }

    /// Whom to encrypt for, so that this opens it. May ask for a passphrase.
    pub fn recipients(&self) -> Result<Vec<Recipient>> {
        Ok(match self {
            Self::X25519(identity) => vec![Box::new(identity.to_public())],
            Self::Hybrid(identity) => vec![Box::new(identity.to_recipient())],
            Self::Plugin(identity) => vec![Box::new(identity.clone())],
            Self::Ssh(identity) => vec![identity.recipient()?],
            Self::Encrypted(file) => return file.recipients(),
        })
    }

    /// The text of its recipient; none for a plugin, which alone knows, and for an encrypted file.
    pub fn recipient_text(&self) -> Option<String> {
        match self {
            Self::X25519(identity) => Some(identity.to_public().to_string()),
            Self::Hybrid(identity) => Some(identity.to_recipient().to_string()),
            Self::Ssh(identity) => Some(identity.public_text().to_owned()),
            Self::Plugin(_) | Self::Encrypted(_) => None,
        }
    }

    /// The identity of a plugin that needs no data of ours (`-j`).
    pub fn of_plugin(name: &str, ui: &SharedUi) -> Result<Self> {
        PluginIdentity::without_data(name, ui).map(Self::Plugin)
    }
}

impl age::Identity for Identity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.as_age().unwrap_stanza(stanza)
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        self.as_age().unwrap_stanzas(stanzas)
    }
}

/// Reads one identity.
pub fn parse(text: &str, ui: &SharedUi) -> Result<Identity> {
    if text.starts_with("AGE-PLUGIN-") {
        PluginIdentity::parse(text, ui).map(Identity::Plugin)
    } else if text.starts_with("AGE-SECRET-KEY-1") {
        let identity = text.parse::<x25519::Identity>();
        identity.map(Identity::X25519).map_err(|_| Error::new("malformed secret key"))
    } else if text.starts_with(hybrid::IDENTITY_PREFIX) {
        HybridIdentity::parse(text).map(|it| Identity::Hybrid(Box::new(it)))
    } else {
        Err(Error::new("unknown identity type"))
    }
}

/// Reads identities, one a line.
pub fn parse_lines(text: &[u8], ui: &SharedUi) -> Result<Vec<Identity>> {
    let mut identities = Vec::new();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(Error::new("identities file is not valid UTF-8"));
        };
        identities.push(parse(line, ui).map_err(|error| match line.starts_with("age1") {
            true => Error::new(format!(
                "error at line {number}: apparent recipient found in identities file"
            )),
            false => error.within(format_args!("error at line {number}")),
        })?);
    }
    match identities.is_empty() {
        true => Err(Error::new("no identities found")),
        false => Ok(identities),
    }
}

/// Reads a file of identities, an SSH private key, or an encrypted file of identities. `name` is the
/// file's name in messages.
pub fn read(name: &str, input: impl Read, ui: &SharedUi) -> Result<Vec<Identity>> {
    let contents =
        read_all(input).map_err(|error| error.within(format_args!("failed to read {name:?}")))?;
    let bytes = contents.expose_secret();
    if bytes.starts_with(b"age-encryption") || bytes.starts_with(b"-----BEGIN AGE") {
        let file = EncryptedFile::new(name.to_owned(), contents, ui.clone());
        return Ok(vec![Identity::Encrypted(Box::new(file))]);
    }
    if bytes.starts_with(b"-----BEGIN") {
        if bytes.len() >= SSH_FILE_BYTES_MAX {
            return Err(Error::new(format!("failed to read {name:?}: file too long")));
        }
        let identity = SshIdentity::read(name, bytes, ui)?;
        return Ok(vec![Identity::Ssh(Box::new(identity))]);
    }
    parse_lines(bytes, ui).map_err(|error| error.within(format_args!("failed to read {name:?}")))
}

/// All of a file that holds secrets.
fn read_all(input: impl Read) -> Result<SecretBytes> {
    let mut bytes = Vec::new();
    let read = input.take(FILE_BYTES_MAX).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|error| Error::new(io_text(&error)))?;
    match bytes.expose_secret().len() as u64 == FILE_BYTES_MAX {
        true => Err(Error::new("file too long")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Silent;

    const IDENTITY: &str =
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn read_text(text: &str) -> Result<Vec<Identity>> {
        let ui: SharedUi = Arc::new(Silent);
        read("f", text.as_bytes(), &ui)
    }

    /// The pair that stands in C2SP age.md.
    #[test]
    fn an_identity_knows_its_recipient() {
        let read = read_text(&format!("# mine\r\n\r\n{IDENTITY}\r\n")).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].recipient_text().unwrap(), RECIPIENT);
        assert_eq!(read[0].recipients().unwrap().len(), 1);
    }

    #[test]
    fn errors_tell_lines_and_never_their_text() {
        let longest = format!("#{}", "x".repeat(16 << 20));
        let broken = IDENTITY.replace("GAEX", "GAEE");
        for (text, told) in [
            ("", "failed to read \"f\": no identities found"),
            ("hunter2\n", "failed to read \"f\": error at line 1: unknown identity type"),
            (&broken, "failed to read \"f\": error at line 1: malformed secret key"),
            (
                &format!("\n{RECIPIENT}\n"),
                "failed to read \"f\": error at line 2: apparent recipient found in identities file",
            ),
            (
                &IDENTITY.to_ascii_lowercase(),
                "failed to read \"f\": error at line 1: unknown identity type",
            ),
            (&longest, "failed to read \"f\": file too long"),
            ("-----BEGIN NOTHING-----\n", "malformed SSH identity in \"f\""),
        ] {
            let error = read_text(text).map(drop).unwrap_err();
            assert!(error.text().starts_with(told), "{error}");
        }
    }
}
