//! How a person is asked and told, so that this crate needs no terminal.

use std::io;
use std::sync::Arc;

use strongroom_base::SecretString;

/// Whoever asks and tells.
pub trait Ui: Send + Sync {
    /// Asks for what must stay hidden.
    fn secret(&self, prompt: &str) -> io::Result<SecretString>;
    /// Asks for the passphrase of a file of identities, of which these are the bytes without armor.
    fn file_passphrase(&self, name: &str, _contents: &[u8]) -> io::Result<SecretString> {
        self.secret(&format!("Enter passphrase for identity file {name:?}:"))
    }
    /// What was given for such a file was wrong.
    fn wrong_file_passphrase(&self, _contents: &[u8]) {}
    /// Asks for what may be seen.
    fn line(&self, prompt: &str) -> io::Result<String>;
    /// Tells something.
    fn say(&self, text: &str);
    /// Warns.
    fn warn(&self, text: &str);
}

/// One for all identities and recipients of a call.
pub type SharedUi = Arc<dyn Ui>;

/// Nobody is there: what has to be asked fails.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Ui for Silent {
    fn secret(&self, _: &str) -> io::Result<SecretString> {
        Err(io::Error::other("nobody can be asked"))
    }

    fn line(&self, _: &str) -> io::Result<String> {
        Err(io::Error::other("nobody can be asked"))
    }

    fn say(&self, _: &str) {}

    fn warn(&self, _: &str) {}
}
