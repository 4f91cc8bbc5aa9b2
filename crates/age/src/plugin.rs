//! Recipients and identities that another program knows how to use (C2SP age-plugin.md): the program
//! `age-plugin-NAME` of the search path, which is started when it is needed.

use age::plugin::{self, IdentityPluginV1, RecipientPluginV1, ResolveError};
use age::secrecy::SecretString;
use age::{Callbacks, DecryptError, EncryptError};
use age_core::format::{FileKey, Stanza};

use crate::recipients::Wrapped;
use crate::ui::SharedUi;
use crate::{Error, Result};

/// What a plugin says and asks, with its name before it.
#[derive(Clone)]
struct PluginUi {
    ui: SharedUi,
    name: String,
}

/// What a plugin says, as it may stand on a terminal: without characters that steer it, turn the direction
/// of a line or are not seen.
fn visible(text: &str) -> String {
    let is_hidden = |letter: char| {
        letter.is_control() && !matches!(letter, '\n' | '\t')
            || matches!(letter,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}')
    };
    text.chars().filter(|letter| !is_hidden(*letter)).collect()
}

impl PluginUi {
    fn asked<T>(&self, answer: std::io::Result<T>) -> Option<T> {
        let failed = |error: &std::io::Error| {
            let text = crate::error::io_text(error);
            self.ui.warn(&format!("could not read value for age-plugin-{}: {text}", self.name));
        };
        answer.inspect_err(failed).ok()
    }
}

impl Callbacks for PluginUi {
    fn display_message(&self, message: &str) {
        self.ui.say(&format!("{} plugin: {}", self.name, visible(message)));
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let (message, yes) = (visible(message), visible(yes));
        let Some(no) = no.map(visible) else {
            let prompt = format!("{message} (press enter for {yes:?})");
            return self.asked(self.ui.line(&prompt)).map(|_| true);
        };
        let prompt = format!("{message} (1 for {yes:?}, 2 for {no:?})");
        loop {
            match self.asked(self.ui.line(&prompt))?.trim() {
                "1" => return Some(true),
                "2" => return Some(false),
                other => self.ui.warn(&format!(
                    "reading value for age-plugin-{}: invalid selection {other:?}",
                    self.name
                )),
            }
        }
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        let line = self.asked(self.ui.line(&visible(description)))?;
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        let secret = self.asked(self.ui.secret(&visible(description)))?;
        Some(SecretString::from(secret.expose_secret().clone()))
    }
}

/// What is told of a plugin that is not there.
pub(crate) fn not_found(error: &ResolveError) -> Error {
    match error {
        ResolveError::MissingPlugin { binary_name } => {
            let name = binary_name.strip_prefix("age-plugin-").unwrap_or(binary_name);
            Error::new(format!(
                "{name} plugin: couldn't start plugin: {name:?} plugin not found: \
                 exec: {binary_name:?}: executable file not found in $PATH"
            ))
            .hint(format!("you might want to install the {name:?} plugin"))
            .hint(
                "visit https://age-encryption.org/awesome#plugins for a list of available plugins",
            )
        }
        ResolveError::InvalidPluginName { name } => {
            Error::new(format!("invalid plugin name: {name:?}"))
        }
        _ => Error::new("the plugin cannot be used"),
    }
}

/// A recipient `age1NAME1…`.
pub(crate) struct PluginRecipient {
    recipient: plugin::Recipient,
    ui: SharedUi,
}

impl PluginRecipient {
    pub(crate) fn parse(text: &str, ui: &SharedUi) -> Result<Self> {
        let recipient = text
            .parse()
            .map_err(|reason| Error::new(format!("invalid recipient encoding: {reason}")))?;
        Ok(Self { recipient, ui: ui.clone() })
    }
}

impl age::Recipient for PluginRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<Wrapped, EncryptError> {
        let name = self.recipient.plugin();
        let ui = PluginUi { ui: self.ui.clone(), name: name.to_owned() };
        RecipientPluginV1::new(name, std::slice::from_ref(&self.recipient), &[], ui)
            .map_err(EncryptError::PluginResolve)?
            .wrap_file_key(file_key)
    }
}

/// An identity `AGE-PLUGIN-NAME-1…`, which is good to encrypt with, too.
#[derive(Clone)]
pub struct PluginIdentity {
    identity: plugin::Identity,
    ui: SharedUi,
}

impl PluginIdentity {
    pub(crate) fn parse(text: &str, ui: &SharedUi) -> Result<Self> {
        let identity = text
            .parse()
            .map_err(|reason| Error::new(format!("invalid identity encoding: {reason}")))?;
        Ok(Self { identity, ui: ui.clone() })
    }

    /// The identity of a plugin that needs no data of ours.
    pub(crate) fn without_data(name: &str, ui: &SharedUi) -> Result<Self> {
        let identity = plugin::Identity::default_for_plugin(name).map_err(|e| not_found(&e))?;
        Ok(Self { identity, ui: ui.clone() })
    }

    fn ui(&self) -> PluginUi {
        PluginUi { ui: self.ui.clone(), name: self.identity.plugin().to_owned() }
    }
}

impl age::Identity for PluginIdentity {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let name = self.identity.plugin();
        match IdentityPluginV1::new(name, std::slice::from_ref(&self.identity), self.ui()) {
            Ok(plugin) => age::Identity::unwrap_stanzas(&plugin, stanzas),
            Err(error) => Some(Err(DecryptError::PluginResolve(error))),
        }
    }
}

impl age::Recipient for PluginIdentity {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<Wrapped, EncryptError> {
        let name = self.identity.plugin();
        RecipientPluginV1::new(name, &[], std::slice::from_ref(&self.identity), self.ui())
            .map_err(EncryptError::PluginResolve)?
            .wrap_file_key(file_key)
    }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn a_plugin_cannot_steer_the_terminal() {
        let text = "touch\u{1b}[2J \u{202e}yek\u{200b} \u{9b}your\r\ntäst\u{e0041}\u{feff}\u{7}";
        assert_eq!(visible(text), "touch[2J yek your\ntäst");
    }
}
