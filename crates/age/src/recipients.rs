//! Whom a file is encrypted for: one recipient from its text, or a file of them.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read};

use age::{tag, tagpq, x25519};
use age_core::format::Stanza;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::error::io_text;
use crate::hybrid::{self, HybridRecipient};
use crate::plugin::PluginRecipient;
use crate::ui::SharedUi;
use crate::{Error, Result};

/// A recipient.
pub type Recipient = Box<dyn age::Recipient + Send + Sync>;

/// What wrapping a file key gives: stanzas, and the labels that say with whom they may be mixed.
pub(crate) type Wrapped = (Vec<Stanza>, HashSet<String>);

/// Bytes of a file of recipients or identities, as in the original.
pub const FILE_BYTES_MAX: u64 = 16 << 20;
/// Bytes of a line in a file of recipients, as in sshd.
pub const LINE_BYTES_MAX: usize = 8 << 10;

/// Reads one recipient.
///
/// # Errors
/// With the recipient's text: it is no secret. What looks like an identity is one, and is not told.
pub fn parse(text: &str, ui: &SharedUi) -> Result<Recipient> {
    let malformed = |why: &str| Error::new(format!("malformed recipient {text:?}: {why}"));
    if is_identity(text) {
        // A secret key by mistake: nothing of it is shown.
        return Err(Error::new("apparent identity given as a recipient"));
    }
    if text.starts_with("age1tag1") {
        let recipient: tag::Recipient = text.parse().map_err(malformed)?;
        Ok(Box::new(recipient))
    } else if text.starts_with("age1tagpq1") {
        let recipient: tagpq::Recipient = text.parse().map_err(malformed)?;
        Ok(Box::new(recipient))
    } else if text.starts_with(hybrid::RECIPIENT_PREFIX) {
        Ok(Box::new(HybridRecipient::parse(text)?))
    } else if text.starts_with("age1") && text.matches('1').count() > 1 {
        Ok(Box::new(PluginRecipient::parse(text, ui)?))
    } else if text.starts_with("age1") {
        let recipient: x25519::Recipient = text.parse().map_err(malformed)?;
        Ok(Box::new(recipient))
    } else if text.starts_with("ssh-") {
        crate::ssh::parse_recipient(text)
    } else if let Some(name) = text.strip_prefix("github:") {
        // The original once fetched these keys; what stands there today would have been trusted.
        Err(Error::new("\"github:\" recipients were removed from the design")
            .hint("instead, use recipient files like")
            .hint(format!("    curl -O https://github.com/{name}.keys"))
            .hint(format!("    age -R {name}.keys")))
    } else {
        Err(Error::new(format!("unknown recipient type: {text:?}")))
    }
}

/// Does a text look like a secret key?
fn is_identity(text: &str) -> bool {
    let begins = |with: &str| {
        let begin = text.trim_start().as_bytes().get(..with.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()))
    };
    begins("AGE-") || begins("-----BEGIN")
}

/// Reads a file of recipients, one a line; `name` is its name in messages.
///
/// # Errors
/// With the number of a line, never its text: the file may be another than was meant.
pub fn read(name: &str, input: impl Read, ui: &SharedUi) -> Result<Vec<Recipient>> {
    let failed = |error: std::io::Error| {
        Error::new(format!("{name:?}: failed to read recipients file: {}", io_text(&error)))
    };
    let mut recipients = Vec::new();
    let mut input = BufReader::new(input.take(FILE_BYTES_MAX));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if input.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            break;
        }
        let Ok(line) = std::str::from_utf8(&line) else {
            return Err(Error::new(format!("{name:?}: recipients file is not valid UTF-8")));
        };
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(Error::new(format!("{name:?}: line {number} is too long")));
        }
        match (parse(line, ui), ssh_type(line)) {
            (Ok(recipient), _) => recipients.push(recipient),
            // Files of keys hold keys of other types, too.
            (Err(_), Some(kind)) => ui.warn(&format!(
                "recipients file {name:?}: ignoring unsupported SSH key of type {kind:?} at line \
                 {number}"
            )),
            (Err(_), None) => {
                return Err(Error::new(match line.starts_with("AGE-") {
                    true => format!(
                        "{name:?}: error at line {number}: apparent identity found in recipients \
                         file"
                    ),
                    false => format!("{name:?}: malformed recipient at line {number}"),
                }));
            }
        }
    }
    match recipients.is_empty() {
        true => Err(Error::new(format!("{name:?}: no recipients found"))),
        false => Ok(recipients),
    }
}

/// The type of an SSH public key: the first word, if the second says the same.
fn ssh_type(line: &str) -> Option<&str> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    let key = BASE64_STANDARD.decode(words.next()?).ok()?;
    let (length, rest) = key.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let named = rest.get(..usize::try_from(length).ok()?)?;
    (named == kind.as_bytes()).then_some(kind)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Silent;

    const CLASSIC: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

    fn ui() -> SharedUi {
        Arc::new(Silent)
    }

    #[test]
    fn what_is_no_recipient_is_refused_by_name() {
        for (text, told) in [
            ("", "unknown recipient type: \"\""),
            ("foo", "unknown recipient type: \"foo\""),
            ("AGE-SECRET-KEY-1QQ", "apparent identity given as a recipient"),
            (" age-secret-key-1qq", "apparent identity given as a recipient"),
            ("AGE-PLUGIN-X-1QQ", "apparent identity given as a recipient"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", "apparent identity given as a recipient"),
            ("age1xx", "malformed recipient \"age1xx\": invalid Bech32 encoding"),
            ("age1name1xx", "invalid recipient encoding: invalid Bech32 encoding"),
            ("age1pq1xx", "malformed recipient \"age1pq1xx\": "),
            ("age1tag1xx", "malformed recipient \"age1tag1xx\": "),
            ("age1tagpq1xx", "malformed recipient \"age1tagpq1xx\": "),
            ("ssh-ed25519", "malformed SSH recipient: \"ssh-ed25519\""),
            ("github:a", "\"github:\" recipients were removed from the design"),
        ] {
            let error = parse(text, &ui()).map(drop).unwrap_err();
            assert!(!error.text().to_ascii_uppercase().contains("1QQ"), "{error}");
            assert!(error.text().starts_with(told), "{text}: {error}");
        }
        assert!(parse(CLASSIC, &ui()).is_ok());
        assert!(parse(&CLASSIC.to_ascii_uppercase(), &ui()).is_err());
    }

    #[test]
    fn files_tell_lines_and_never_their_text() {
        let read = |text: &str| read("f", text.as_bytes(), &ui());
        let file = format!("# comment\n\n{CLASSIC}\r\n{CLASSIC}");
        assert_eq!(read(&file).map(|them| them.len()).unwrap(), 2);
        let long = "a".repeat(LINE_BYTES_MAX + 1);
        for (text, told) in [
            ("", "\"f\": no recipients found"),
            ("# only\n", "\"f\": no recipients found"),
            ("\npassword\n", "\"f\": malformed recipient at line 2"),
            (
                "AGE-SECRET-KEY-1\n",
                "\"f\": error at line 1: apparent identity found in recipients file",
            ),
            (&long, "\"f\": line 1 is too long"),
        ] {
            assert_eq!(read(text).map(drop).unwrap_err().text(), told);
        }
        let invalid = super::read("f", &b"\xff\n"[..], &ui()).map(drop).unwrap_err();
        assert_eq!(invalid.text(), "\"f\": recipients file is not valid UTF-8");
    }

    #[test]
    fn foreign_keys_in_a_file_of_keys_are_passed_over() {
        // ssh-ed448 is a type that nobody encrypts for.
        let key = BASE64_STANDARD.encode(b"\0\0\0\x09ssh-ed448\0\0\0\x01x");
        let line = format!("ssh-ed448 {key} somebody\n");
        assert_eq!(ssh_type(&line), Some("ssh-ed448"));
        assert_eq!(ssh_type(&line.replacen("448", "449", 1)), None);
        let mixed = format!("{line}{CLASSIC}\n");
        assert_eq!(read("f", mixed.as_bytes(), &ui()).map(|them| them.len()).unwrap(), 1);
    }
}
