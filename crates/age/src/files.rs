//! Streams: encrypted and decrypted in chunks, so that a file may be larger than memory.
//!
//! Invariants:
//! * Decryption gives out nothing that was not authenticated, and tells an end that came too early
//!   as a failure.
//! * A header is bounded: what is not a header does not fill the memory.

use std::io::{self, BufRead, Read, Write};

use age::armor::{ArmoredReadError, ArmoredReader, ArmoredWriter, Format};
use age::stream::{StreamReader, StreamWriter};
use age::{Decryptor, Encryptor};
use strongroom_base::{Secret, SecretBytes};
use zeroize::Zeroizing;

use crate::error::io_text;
use crate::{Error, Recipient, Result};

/// Bytes that are read at once: some chunks, so that the system is asked seldom.
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes of the longest header: some thousands of recipients.
pub const HEADER_BYTES_MAX: u64 = 16 << 20;
/// Spaces and line ends that may stand before an armored file, as in the original.
const SPACE_BYTES_MAX: usize = 1_024;
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
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
    let mut writer = encrypting(recipients, armored, output)?;
    let mut buffer = Zeroizing::new(vec![0; BUFFER_BYTES]);
    loop {
        let read = read_some(input, &mut buffer)?;
        if read.is_empty() {
            break;
        }
        writer.write_all(read).map_err(|error| Error::new(io_text(&error)))?;
    }
    finish(writer)
}

/// Encrypts a short text.
pub fn encrypt_all(recipients: &[Recipient], armored: bool, plain: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    encrypt(recipients, armored, &mut &plain[..], &mut out)?;
    Ok(out)
}

fn encrypting<W: Write>(
    recipients: &[Recipient],
    armored: bool,
    output: W,
) -> Result<StreamWriter<ArmoredWriter<W>>> {
    let recipients = recipients.iter().map(|it| it.as_ref() as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients)?;
    let format = if armored { Format::AsciiArmor } else { Format::Binary };
    let failed = |error: io::Error| Error::new(io_text(&error));
    let output = ArmoredWriter::wrap_output(output, format).map_err(failed)?;
    encryptor.wrap_output(output).map_err(failed)
}

fn finish<W: Write>(writer: StreamWriter<ArmoredWriter<W>>) -> Result<()> {
    let failed = |error: io::Error| Error::new(io_text(&error));
    let mut output = writer.finish().and_then(ArmoredWriter::finish).map_err(failed)?;
    output.flush().map_err(failed)
}

/// Decrypts all of `input`. `output` is asked for once the first bytes are authenticated, so that a
/// file that cannot be opened leaves no trace.
pub fn decrypt<'o>(
    identities: &[&dyn age::Identity],
    input: impl Read,
    output: &mut dyn FnMut() -> Result<Box<dyn Write + 'o>>,
) -> Result<()> {
    let mut reader = decrypting(identities, input)?;
    let mut buffer = Zeroizing::new(vec![0; BUFFER_BYTES]);
    let mut some = fill(&mut reader, &mut buffer);
    if some.0 == 0 {
        some.1.clone()?;
    }
    let mut output = output()?;
    let failed = |error: io::Error| Error::new(io_text(&error));
    loop {
        // What is authenticated is given out, also before a failure, as by the original.
        output.write_all(buffer.get(..some.0).unwrap_or_default()).map_err(failed)?;
        some.1?;
        if some.0 < BUFFER_BYTES {
            break;
        }
        some = fill(&mut reader, &mut buffer);
    }
    output.flush().map_err(failed)
}

/// Decrypts a text of at most so many bytes.
pub fn decrypt_all(
    identities: &[&dyn age::Identity],
    input: impl Read,
    bytes_max: u64,
) -> Result<SecretBytes> {
    let mut plain = Vec::new();
    let read = decrypting(identities, input)?.take(bytes_max + 1).read_to_end(&mut plain);
    let plain = Secret::new(plain);
    read.map_err(|error| payload(&error))?;
    match plain.expose_secret().len() as u64 > bytes_max {
        true => Err(Error::new("file too long")),
        false => Ok(plain),
    }
}

/// A reader of the plaintext. Its errors are told by [`payload`].
fn decrypting(
    identities: &[&dyn age::Identity],
    input: impl Read,
) -> Result<StreamReader<impl Read>> {
    let mut input = input;
    let mut start = Vec::new();
    let decisive = (SPACE_BYTES_MAX + ARMOR.len()) as u64;
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
    if trimmed.starts_with(ARMOR) {
        start = trimmed.to_vec();
    }
    let mut input = ArmoredReader::new(io::Cursor::new(start).chain(input));
    let header = header(&mut input)?;
    let decryptor = Decryptor::new_buffered(io::Cursor::new(header).chain(input))?;
    decryptor.decrypt(identities.iter().copied()).map_err(Error::from)
}

/// The bytes of a header. Its lines are looked at only so far as the crate `age` is more lenient than
/// the specification: each stanza ends with a line that is not full, and be it empty.
fn header(input: &mut impl BufRead) -> Result<Vec<u8>> {
    let failed = |error: io::Error| Error::from(age::DecryptError::Io(error));
    let mut header = Vec::new();
    let mut in_stanza = false;
    loop {
        let from = header.len();
        let left = HEADER_BYTES_MAX - from as u64;
        let count = input.by_ref().take(left).read_until(b'\n', &mut header).map_err(failed)?;
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
        // What is no header is told by whoever parses it.
        let is_none = from == 0 && line != INTRO;
        if count == 0 || is_none || line.starts_with(b"---") {
            return Ok(header);
        }
    }
}

/// Fills the buffer but at the end or before a failure; the bytes, and the failure.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Result<()>) {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (count, Err(payload(&error))),
        }
    }
    (count, Ok(()))
}

fn read_some<'b>(input: &mut dyn Read, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    loop {
        match input.read(buffer) {
            Ok(count) => return Ok(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::new(io_text(&error))),
        }
    }
}

/// Why a payload could not be read on.
fn payload(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData if armor(error) => Error::new("invalid armor"),
        io::ErrorKind::InvalidData => Error::new(
            "failed to decrypt and authenticate payload chunk, file may be corrupted or tampered with",
        ),
        io::ErrorKind::UnexpectedEof => Error::new("unexpected EOF"),
        _ => Error::new(io_text(error)),
    }
}

fn armor(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<ArmoredReadError>())
}
