//! Streams: encrypted and decrypted in chunks, so that a file may be larger than memory.
//!
//! Invariants:
//! * Decryption gives out nothing that was not authenticated, and tells an end that came too early
//!   as a failure.
//! * A header is bounded: what is not a header does not fill the memory.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read, Write};

use age::armor::{ArmoredWriter, Format};
use age::secrecy::ExposeSecret;
use age::{DecryptError, Decryptor, EncryptError, Encryptor};
use age_core::format::{FileKey, Stanza};
use strongroom_base::{Secret, SecretBytes};
use zeroize::Zeroizing;

use crate::armor::{BEGIN, SPACE_BYTES_MAX, Unarmored};
use crate::error::io_text;
use crate::payload::{self, PayloadKey, SALT_BYTES};
use crate::{Error, Recipient, Result};

/// Bytes of the longest header: some thousands of recipients.
pub const HEADER_BYTES_MAX: u64 = 16 << 20;
const INTRO: &[u8] = b"age-encryption.org/v1\n";
/// Characters of a full line in a header.
const COLUMNS: usize = 64;
/// How files begin that PowerShell's redirection broke.
const WITH_CR: &[u8] = b"age-encryption.org/v1\r";
const IN_UTF16: &[u8] = b"\xff\xfea\0g\0e\0-\0e\0n\0c\0r\0y\0p\0";

/// What is told where none of the identities is a file's.
pub const NO_MATCH: &str = "no identity matched any of the recipients";

/// Encrypts all of `input` to `output`.
pub fn encrypt(
    recipients: &[Recipient],
    armored: bool,
    input: &mut dyn Read,
    output: &mut dyn Write,
) -> Result<()> {
    let (header, key) = new_header(recipients)?;
    let failed = |error: io::Error| Error::new(io_text(&error));
    let format = if armored { Format::AsciiArmor } else { Format::Binary };
    let mut output = ArmoredWriter::wrap_output(output, format).map_err(failed)?;
    output.write_all(&header).map_err(failed)?;
    payload::seal(&key, input, &mut output)?;
    output.finish().and_then(|output| output.flush()).map_err(failed)
}

/// Encrypts a short text.
pub fn encrypt_all(recipients: &[Recipient], armored: bool, plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    encrypt(recipients, armored, &mut &plain[..], &mut out)?;
    Ok(out)
}

/// A header for these recipients with the salt behind it, and the key of the payload.
fn new_header(recipients: &[Recipient]) -> Result<(Vec<u8>, PayloadKey)> {
    let seen = RefCell::new(None);
    let wrapping: Vec<Wrapping> =
        recipients.iter().map(|it| Wrapping { recipient: it.as_ref(), seen: &seen }).collect();
    let all = wrapping.iter().map(|it| it as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(all)?;
    let mut header = Vec::new();
    let written = encryptor.wrap_output(&mut header).map(drop);
    written.map_err(|error| Error::new(io_text(&error)))?;
    let salt = header.last_chunk::<SALT_BYTES>();
    let key = salt.zip(seen.take()).map(|(salt, key)| PayloadKey::new(&key, salt));
    Ok((header, key.ok_or_else(|| Error::new("no recipients specified"))?))
}

/// A recipient that lets us see the file's key, too.
struct Wrapping<'a> {
    recipient: &'a dyn age::Recipient,
    seen: &'a RefCell<Option<FileKey>>,
}

impl age::Recipient for Wrapping<'_> {
    fn wrap_file_key(&self, key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        *self.seen.borrow_mut() = Some(copy(key));
        self.recipient.wrap_file_key(key)
    }
}

/// An identity that lets us see the file's key, too.
struct Unwrapping<'a> {
    identity: &'a dyn age::Identity,
    seen: &'a RefCell<Option<FileKey>>,
}

impl Unwrapping<'_> {
    fn see(
        &self,
        found: Option<Result<FileKey, DecryptError>>,
    ) -> Option<Result<FileKey, DecryptError>> {
        if let Some(Ok(key)) = &found {
            *self.seen.borrow_mut() = Some(copy(key));
        }
        found
    }
}

impl age::Identity for Unwrapping<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.see(self.identity.unwrap_stanza(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        self.see(self.identity.unwrap_stanzas(stanzas))
    }
}

fn copy(key: &FileKey) -> FileKey {
    FileKey::init_with_mut(|copy| copy.copy_from_slice(key.expose_secret()))
}

/// Decrypts all of `input`. `output` is asked for once the first bytes are authenticated, so that a
/// file that cannot be opened leaves no trace.
pub fn decrypt<'o>(
    identities: &[&dyn age::Identity],
    input: impl Read,
    output: &mut dyn FnMut() -> Result<Box<dyn Write + 'o>>,
) -> Result<()> {
    let (key, mut sealed) = begin(identities, input)?;
    let failed = |error: io::Error| Error::new(io_text(&error));
    let mut begun = None;
    payload::open(&key, &mut sealed, &mut |plain| {
        let output = match &mut begun {
            Some(output) => output,
            none => none.insert(output()?),
        };
        output.write_all(plain).map_err(failed)
    })?;
    begun.map_or(Ok(()), |mut output| output.flush()).map_err(failed)
}

/// Decrypts a text of at most so many bytes.
pub fn decrypt_all(
    identities: &[&dyn age::Identity],
    input: impl Read,
    bytes_max: u64,
) -> Result<SecretBytes> {
    let (key, mut sealed) = begin(identities, input)?;
    // Of this size from the beginning: one that grows leaves copies behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(usize::try_from(bytes_max).unwrap_or(0)));
    payload::open(&key, &mut sealed, &mut |some| {
        if (plain.len() + some.len()) as u64 > bytes_max {
            return Err(Error::new("file too long"));
        }
        plain.extend_from_slice(some);
        Ok(())
    })?;
    Ok(Secret::new(std::mem::take(&mut *plain)))
}

/// The bytes of a file of identities, whether it is armored or not. No error tells anything of it: a line that is
/// no armor may be an identity.
pub(crate) fn without_armor(file: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let trimmed = file.trim_ascii_start();
    if !trimmed.starts_with(BEGIN) {
        return Ok(Zeroizing::new(file.to_vec()));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(trimmed.len()));
    let read = Unarmored::new(trimmed).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(|_| Error::new("invalid armor"))
}

/// Reads the header: the key of the payload, and what the payload is read from.
fn begin<'i>(
    identities: &[&dyn age::Identity],
    input: impl Read + 'i,
) -> Result<(PayloadKey, Box<dyn BufRead + 'i>)> {
    let mut input = input;
    let mut start = Vec::new();
    let decisive = (SPACE_BYTES_MAX + BEGIN.len()) as u64;
    let read = input.by_ref().take(decisive).read_to_end(&mut start);
    read.map_err(|error| Error::new(io_text(&error)))?;
    if start.is_empty() {
        return Err(Error::new("failed to read header: parsing age header: file is empty"));
    }
    if start.starts_with(WITH_CR) || start.starts_with(IN_UTF16) {
        return Err(Error::new("invalid header intro")
            .hint("it looks like this file was corrupted by PowerShell redirection")
            .hint("consider using -o or -a to encrypt files in PowerShell"));
    }
    let trimmed = start.trim_ascii_start();
    if trimmed.starts_with(BEGIN) {
        start = trimmed.to_vec();
    }
    let armored = start.starts_with(BEGIN);
    let whole = io::Cursor::new(start).chain(input);
    let mut input: Box<dyn BufRead + 'i> = match armored {
        true => Box::new(BufReader::new(Unarmored::new(whole))),
        false => Box::new(BufReader::new(whole)),
    };
    let mut header = header(&mut input)?;
    let from = header.len();
    let salt = input.by_ref().take(SALT_BYTES as u64).read_to_end(&mut header);
    salt.map_err(|error| Error::of_io(&error).within("failed to read nonce"))?;
    let salt = header.get(from..).unwrap_or_default().to_vec();
    // That some of it is missing is told once the header was understood.
    header.resize(from + SALT_BYTES, 0);
    let seen = RefCell::new(None);
    let unwrapping: Vec<Unwrapping> =
        identities.iter().map(|identity| Unwrapping { identity: *identity, seen: &seen }).collect();
    let all = unwrapping.iter().map(|it| it as &dyn age::Identity);
    // This also checks the header's MAC.
    Decryptor::new_buffered(header.as_slice())?.decrypt(all)?;
    let key = seen.take().ok_or_else(|| Error::new(NO_MATCH))?;
    if salt.len() < SALT_BYTES {
        let end = if salt.is_empty() { "EOF" } else { "unexpected EOF" };
        return Err(Error::new(format!("failed to read nonce: {end}")));
    }
    Ok((PayloadKey::new(&key, &salt), input))
}

/// The bytes of a header. Its lines are looked at only so far as the crate `age` is more lenient than
/// the specification: each stanza ends with a line that is not full, and be it empty.
fn header(input: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut header = Vec::new();
    let mut in_stanza = false;
    loop {
        let from = header.len();
        let left = HEADER_BYTES_MAX - from as u64;
        let read = input.by_ref().take(left).read_until(b'\n', &mut header);
        let count = read.map_err(|error| {
            // The original looks at three bytes, and tells the last line's failures as theirs.
            let begun = header.get(from..).unwrap_or_default();
            let within = in_stanza || (begun.len() >= 3 && !begun.starts_with(b"---"));
            let what = match (from, within) {
                (0, _) => "failed to read header: parsing age header: failed to read intro",
                (_, true) => "failed to read header: failed to parse header: failed to read line",
                _ => "failed to read header: failed to read header",
            };
            Error::of_io(&error).within(what)
        })?;
        let line = header.get(from..).unwrap_or_default();
        if count as u64 == left {
            return Err(Error::new("failed to read header: it is too long"));
        }
        let begins = line.starts_with(b"->") || line.starts_with(b"---");
        if in_stanza && begins {
            return Err(Error::new(
                "failed to read header: failed to parse header: stanza ended without a short line",
            ));
        }
        in_stanza = match in_stanza {
            true => line.len() > COLUMNS,
            false => line.starts_with(b"->"),
        };
        if from == 0 && line != INTRO {
            let shown = String::from_utf8_lossy(line.get(..INTRO.len()).unwrap_or(line));
            let what = match line.contains(&b'\n') {
                true => "unexpected intro",
                false => "unexpected EOF reading intro",
            };
            return Err(Error::new(format!(
                "failed to read header: parsing age header: {what}: {shown:?}"
            )));
        }
        // What else is wrong is told by whoever parses it.
        if count == 0 || line.starts_with(b"---") {
            return Ok(header);
        }
    }
}

/// Why a payload could not be read on.
pub(crate) fn unread(error: &io::Error) -> Error {
    Error::of_io(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_file_of_identities_is_told() {
        for end in ["-----END AGE ENCRYPTED FILE-----AGE-SECRET-KEY-1X\n", "AGE-SECRET-KEY-1X\n"] {
            let file = format!("-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n{end}");
            assert_eq!(without_armor(file.as_bytes()).unwrap_err().text(), "invalid armor");
        }
    }
}
