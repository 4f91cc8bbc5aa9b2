//! The payload of a file (C2SP age.md, "Payload"): chunks of 64 KiB, each sealed with ChaCha20-Poly1305
//! under a nonce that counts them and marks the last.
//!
//! The crate `age` has this, too. Here the cipher is aws-lc's, nothing is copied on the way, and threads
//! share the work, which together is some times as fast.
//!
//! Invariants:
//! * A nonce is used once for a key: it is the number of the chunk, and the key is of one file.
//! * What was not authenticated is not given out; what stands before it is.

mod blocks;

use std::io::{self, Read, Write};

use age::secrecy::ExposeSecret;
use age_core::format::FileKey;
use strongroom_crypto::aead::{Key256, NONCE_BYTES, TAG_BYTES};
use strongroom_crypto::hkdf_sha256;
use zeroize::Zeroizing;

use blocks::{Block, Source};

use crate::error::io_text;
use crate::{Error, Result, files};

/// Bytes of the nonce before the payload, of which the payload's key is derived.
pub const SALT_BYTES: usize = 16;
/// Bytes of a chunk.
const CHUNK_BYTES: usize = 64 << 10;
/// Bytes of a chunk that is sealed.
const SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// The key of one file's payload.
pub struct PayloadKey(Key256);

impl PayloadKey {
    /// Of the file's key, and the bytes that stand before the payload.
    pub fn new(file_key: &FileKey, salt: &[u8]) -> Self {
        let key = Zeroizing::new(hkdf_sha256(file_key.expose_secret(), salt, b"payload"));
        Self(Key256::chacha20_poly1305(&key))
    }

    /// Seals the chunks of a block.
    fn seal(&self, block: &mut Block) -> bool {
        let (first, ends) = (block.first, block.ends);
        let (bytes, out) = block.parts();
        // An empty payload is one chunk, too.
        let count = bytes.len().div_ceil(CHUNK_BYTES).max(1);
        let mut put = 0;
        let mut sealed = true;
        for index in 0..count {
            let from = index * CHUNK_BYTES;
            let chunk = bytes.get(from..bytes.len().min(from + CHUNK_BYTES)).unwrap_or_default();
            let to = put + chunk.len() + TAG_BYTES;
            let room = out.get_mut(put..to).unwrap_or_default();
            let nonce = nonce(first + index as u64, ends && index + 1 == count);
            sealed &= self.0.seal_to(nonce, b"", chunk, room).is_ok();
            put = to;
        }
        block.put(put);
        sealed
    }

    /// Opens the chunks of a block up to the first that does not open.
    fn open(&self, block: &mut Block) -> End {
        let (first, ends) = (block.first, block.ends);
        let (bytes, out) = block.parts();
        let mut put = 0;
        let mut end = if ends { End::Cut } else { End::Open };
        let mut chunks = (first..).zip(bytes.chunks(SEALED_BYTES));
        for (at, chunk) in chunks.by_ref() {
            let to = put + chunk.len().saturating_sub(TAG_BYTES);
            let room = out.get_mut(put..to).unwrap_or_default();
            let mut opens = |last| self.0.open_to(nonce(at, last), b"", chunk, room).is_ok();
            let whole = chunk.len() == SEALED_BYTES;
            if whole && opens(false) {
                put = to;
                continue;
            }
            // Only at the very beginning there may be nothing in a chunk.
            end = match chunk.len() == TAG_BYTES && at > 0 {
                true => End::Empty,
                false if opens(true) => End::Last,
                false => End::Broken,
            };
            if matches!(end, End::Last) {
                put = to;
            }
            break;
        }
        if matches!(end, End::Last) && chunks.next().is_some() {
            end = End::Trailing;
        }
        block.put(put);
        end
    }
}

/// What a block of a sealed payload ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// More has to follow.
    Open,
    /// The last chunk.
    Last,
    /// The end of the stream, without a last chunk.
    Cut,
    /// A chunk that is not authentic.
    Broken,
    /// A last chunk with nothing in it.
    Empty,
    /// Bytes behind the last chunk.
    Trailing,
}

impl End {
    fn told(self) -> Error {
        Error::new(match self {
            Self::Open | Self::Last | Self::Cut => "unexpected EOF",
            Self::Broken => {
                "failed to decrypt and authenticate payload chunk, file may be corrupted or tampered with"
            }
            Self::Empty => {
                "last chunk is empty, try age v1.0.0, and please consider reporting this"
            }
            Self::Trailing => "trailing data after end of encrypted file",
        })
    }
}

/// Eleven bytes that count, and one that marks the last.
fn nonce(at: u64, last: bool) -> [u8; NONCE_BYTES] {
    let mut nonce = [0; NONCE_BYTES];
    if let Some((mark, count)) = nonce.split_last_mut() {
        *mark = u8::from(last);
        count[3..].copy_from_slice(&at.to_be_bytes());
    }
    nonce
}

/// What goes wrong while a stream goes by.
enum Failed {
    Io(io::Error),
    Told(Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Seals all of `input`.
pub fn seal(key: &PayloadKey, input: &mut dyn Read, output: &mut dyn Write) -> Result<()> {
    let mut source = Source::new(input, CHUNK_BYTES, SEALED_BYTES, true);
    let done =
        blocks::each(&mut source, &|block| key.seal(block), &mut |block, sealed| match sealed {
            true => output.write_all(block.out()),
            false => Err(io::Error::other("a chunk could not be sealed")),
        });
    done.map_err(|error| Error::new(io_text(&error)))
}

/// Opens all of `input`. What is authenticated goes to `output`; that of an empty payload is nothing.
pub fn open(
    key: &PayloadKey,
    input: &mut dyn Read,
    output: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut source = Source::new(input, SEALED_BYTES, CHUNK_BYTES, false);
    let mut before = End::Open;
    let done = blocks::each(&mut source, &|block| key.open(block), &mut |block, end| {
        if before == End::Last {
            return match block.is_empty() {
                true => Ok(()),
                false => Err(Failed::Told(End::Trailing.told())),
            };
        }
        before = end;
        if !block.out().is_empty() || end == End::Last {
            output(block.out()).map_err(Failed::Told)?;
        }
        match end {
            End::Open | End::Last => Ok(()),
            end => Err(Failed::Told(end.told())),
        }
    });
    done.map_err(|failed| match failed {
        Failed::Io(error) => files::unread(&error),
        Failed::Told(error) => error,
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
