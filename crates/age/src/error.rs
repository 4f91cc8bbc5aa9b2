//! Failures, in the words of the original tool where it has them: people search for them.

use std::fmt;

use age::{DecryptError, EncryptError};

use crate::plugin;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: what people read, and what they may try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    text: String,
    hints: Vec<String>,
}

impl Error {
    /// A failure without hints. Lower case, no full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), hints: Vec::new() }
    }

    /// With a further line that helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What happened.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Lines that help.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The same failure with words before its text.
    #[must_use]
    pub fn within(mut self, words: impl fmt::Display) -> Self {
        self.text = format!("{words}: {}", self.text);
        self
    }

    /// As the crate `age` carries failures of foreign recipients and identities.
    pub(crate) fn carried(self) -> std::io::Error {
        std::io::Error::other(self)
    }

    pub(crate) fn of_io(error: &std::io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            Some(ours) => ours.clone(),
            None => Self::new(io_text(error)),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

/// What the system says, without its error number and in lower case, as the original has it.
pub(crate) fn io_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    format!("{first}{}", letters.as_str())
}

impl From<EncryptError> for Error {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::Io(error) => Self::of_io(&error),
            EncryptError::MissingRecipients => Self::new("no recipients specified"),
            EncryptError::IncompatibleRecipients { l_labels, r_labels } => {
                let only_pq = |labels: &std::collections::HashSet<String>| {
                    labels.len() == 1 && labels.contains("postquantum")
                };
                let mixes_pq = only_pq(&l_labels) && r_labels.is_empty()
                    || only_pq(&r_labels) && l_labels.is_empty();
                Self::new(match mixes_pq {
                    true => {
                        "incompatible recipients: can't mix post-quantum and classic recipients, \
                         or the file would be vulnerable to quantum computers"
                    }
                    false => "incompatible recipients: they can't be mixed",
                })
            }
            EncryptError::PluginResolve(error) => plugin::not_found(&error),
            other => Self::new(one_line(&other.to_string())),
        }
    }
}

impl From<DecryptError> for Error {
    fn from(error: DecryptError) -> Self {
        let text = match error {
            DecryptError::Io(error) => {
                let ours = Self::of_io(&error);
                return match error.kind() {
                    // Only the header is read whole; the payload's end is told by its own error.
                    std::io::ErrorKind::UnexpectedEof => {
                        Self::new("failed to read header: unexpected EOF")
                    }
                    std::io::ErrorKind::InvalidData => ours.within("failed to read header"),
                    _ => ours,
                };
            }
            DecryptError::PluginResolve(error) => return plugin::not_found(&error),
            DecryptError::NoMatchingKeys => "no identity matched any of the recipients",
            DecryptError::InvalidMac => "bad header MAC",
            DecryptError::InvalidHeader => "failed to read header: parsing age header: malformed",
            DecryptError::UnknownFormat => {
                "failed to read header: parsing age header: unexpected intro"
            }
            DecryptError::DecryptionFailed => "failed to decrypt file key",
            DecryptError::KeyDecryptionFailed => "failed to decrypt SSH key file",
            DecryptError::ExcessiveWork { required, .. } => {
                return Self::new(format!("scrypt work factor too large: {required}"));
            }
            other => return Self::new(one_line(&other.to_string())),
        };
        Self::new(text)
    }
}

/// The texts of the crate `age` are paragraphs with direction marks around what they insert.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !matches!(c, '\u{2066}'..='\u{2069}')).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_ours_come_back_as_they_were() {
        let ours = Error::new("what happened").hint("what helps");
        assert_eq!(Error::from(DecryptError::Io(ours.clone().carried())), ours);
        assert_eq!(Error::from(EncryptError::Io(ours.clone().carried())), ours);
        assert_eq!(one_line("a \u{2068}b\u{2069}\nc "), "a b c");
        let text = io_text(&std::io::Error::from_raw_os_error(2));
        assert_eq!(text, "no such file or directory");
    }
}
