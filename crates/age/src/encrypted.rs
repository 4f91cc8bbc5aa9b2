//! A file of identities that is itself an age file under a passphrase. It is opened when it is needed
//! and once.

use std::sync::OnceLock;

use age::DecryptError;
use age_core::format::{FileKey, Stanza};
use strongroom_base::SecretBytes;

use crate::passphrase::WRONG;
use crate::recipients::{FILE_BYTES_MAX, Recipient};
use crate::ui::SharedUi;
use crate::{Error, Identity, Passphrase, Result, files, identities};

/// Such a file.
pub struct EncryptedFile {
    name: String,
    contents: SecretBytes,
    ui: SharedUi,
    opened: OnceLock<Result<Vec<Identity>>>,
}

impl EncryptedFile {
    pub(crate) fn new(name: String, contents: SecretBytes, ui: SharedUi) -> Self {
        Self { name, contents, ui, opened: OnceLock::new() }
    }

    fn identities(&self) -> Result<&[Identity]> {
        let opened = self.opened.get_or_init(|| self.open());
        opened.as_deref().map_err(Clone::clone)
    }

    fn open(&self) -> Result<Vec<Identity>> {
        let contents = files::without_armor(self.contents.expose_secret())?;
        let ask = || self.ui.file_passphrase(&self.name, &contents);
        let passphrase = Passphrase::asked_by(ask);
        let plain = files::decrypt_all(&[&passphrase], contents.as_slice(), FILE_BYTES_MAX);
        let plain = plain.map_err(|error| match error.text() {
            files::NO_MATCH => {
                Error::new("identity file is encrypted with age but not with a passphrase")
            }
            WRONG => {
                self.ui.wrong_file_passphrase(&contents);
                error.within("failed to decrypt identity file")
            }
            _ => error.within("failed to decrypt identity file"),
        })?;
        identities::parse_lines(plain.expose_secret(), &self.ui)
    }

    pub(crate) fn recipients(&self) -> Result<Vec<Recipient>> {
        let recipients = self.identities()?.iter().map(Identity::recipients);
        Ok(recipients.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}

impl age::Identity for EncryptedFile {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let identities = match self.identities() {
            Ok(identities) => identities,
            Err(error) => return Some(Err(DecryptError::Io(error.carried()))),
        };
        let found = identities.iter().find_map(|it| age::Identity::unwrap_stanzas(it, stanzas));
        if found.is_none() {
            self.ui.warn(&format!(
                "encrypted identity file {:?} didn't match file's recipients",
                self.name
            ));
        }
        found
    }
}
