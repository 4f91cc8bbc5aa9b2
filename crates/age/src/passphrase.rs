//! Files under a passphrase. The passphrase is asked for when a header is seen that needs it.

use age::secrecy::SecretString as AgeSecret;
use age::{DecryptError, scrypt};
use age_core::format::{FileKey, Stanza};
use strongroom_base::SecretString;

use crate::error::io_text;
use crate::recipients::Recipient;
use crate::ui::SharedUi;
use crate::{Error, Result};

/// The work of new files: 2 to this power, about a second, as in the original.
pub const WORK_FACTOR: u8 = 18;
/// The most work that is done for a file, as in the original: some 15 seconds.
pub const WORK_FACTOR_MAX: u8 = 22;

const SCRYPT: &str = "scrypt";

fn for_age(passphrase: &SecretString) -> AgeSecret {
    AgeSecret::from(passphrase.expose_secret().clone())
}

fn not_empty(passphrase: &SecretString) -> Result<()> {
    match passphrase.expose_secret().is_empty() {
        true => Err(Error::new("passphrase can't be empty")),
        false => Ok(()),
    }
}

/// The recipient of a file under a passphrase, with the work that a guess is to cost (1 to 63;
/// [`WORK_FACTOR`] but in tests).
pub fn recipient(passphrase: &SecretString, work_factor: u8) -> Result<Recipient> {
    not_empty(passphrase)?;
    let mut recipient = scrypt::Recipient::new(for_age(passphrase));
    recipient.set_work_factor(work_factor.clamp(1, 63));
    Ok(Box::new(recipient))
}

/// What is told of a passphrase that does not open the file.
pub const WRONG: &str = "incorrect passphrase";

/// How a passphrase is got.
type Ask<'a> = Box<dyn Fn() -> std::io::Result<SecretString> + 'a>;

/// Opens a file under a passphrase.
pub struct Passphrase<'a>(Ask<'a>);

impl Passphrase<'static> {
    /// Asks with this prompt, if need be.
    pub fn new(ui: SharedUi, prompt: impl Into<String>) -> Self {
        let prompt = prompt.into();
        Self(Box::new(move || ui.secret(&prompt)))
    }
}

impl<'a> Passphrase<'a> {
    /// Has it asked for, if need be.
    pub(crate) fn asked_by(ask: impl Fn() -> std::io::Result<SecretString> + 'a) -> Self {
        Self(Box::new(ask))
    }

    fn unwrap(&self, stanza: &Stanza) -> Result<FileKey> {
        let failed = |error: std::io::Error| {
            Error::new(format!("could not read passphrase: {}", io_text(&error)))
        };
        let passphrase = (self.0)().map_err(failed)?;
        not_empty(&passphrase)?;
        let mut identity = scrypt::Identity::new(for_age(&passphrase));
        identity.set_max_work_factor(WORK_FACTOR_MAX);
        match age::Identity::unwrap_stanza(&identity, stanza) {
            None | Some(Err(DecryptError::DecryptionFailed)) => Err(Error::new(WRONG)),
            Some(outcome) => outcome.map_err(Error::from),
        }
    }
}

impl age::Identity for Passphrase<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != SCRYPT {
            return None;
        }
        Some(self.unwrap(stanza).map_err(|error| DecryptError::Io(error.carried())))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        match stanzas {
            [one] => self.unwrap_stanza(one),
            // Nobody is asked for a file that others were added to.
            _ => None,
        }
    }
}

/// Tells that a file is under a passphrase where identities were given.
pub struct RefusePassphrase;

impl age::Identity for RefusePassphrase {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != SCRYPT {
            return None;
        }
        let error = Error::new(
            "file is passphrase-encrypted but identities were specified with -i/--identity or -j",
        )
        .hint("remove all -i/--identity/-j flags to decrypt passphrase-encrypted files");
        Some(Err(DecryptError::Io(error.carried())))
    }
}
