//! Looks at a write-ahead log before SQLite does.
//!
//! SQLite takes the frames of a log up to the first whose checksum is wrong and forgets the rest:
//! right for the torn tail of a power cut, wrong for a log that was damaged in the middle, whose
//! later frames were acknowledged. The two can be told apart: a batch is written only after the one
//! before it was synced. So where a batch with a bad frame is followed by frames of a further batch,
//! what is bad had been good, and the log is damaged.
//!
//! Damage in the very last batch looks like a torn one and is treated so. (Format: "Database File
//! Format" §4, at sqlite.org.)

use crate::StorageError;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const MAGIC: u32 = 0x377f_0682;

/// What a log holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Finding {
    /// Nothing, or whole batches and perhaps a torn one at its end.
    Sound,
    /// The frame of this number (from 1; 0 is the header) is bad, and acknowledged ones follow it.
    Damaged(u64),
}

/// Refuses a damaged log.
///
/// # Errors
/// `Corrupt`, naming the file and the frame.
pub(super) fn check(wal: &Path) -> Result<(), StorageError> {
    let file = match File::open(wal) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(StorageError::Io(format!("reading {}: {}", wal.display(), e.kind()))),
    };
    match look(BufReader::with_capacity(1 << 18, file)) {
        Ok(Finding::Sound) => Ok(()),
        Ok(Finding::Damaged(frame)) => Err(StorageError::Corrupt(format!(
            "{}: frame {frame} is damaged, and acknowledged records follow it",
            wal.display()
        ))),
        Err(e) => Err(StorageError::Io(format!("reading {}: {}", wal.display(), e.kind()))),
    }
}

fn look(mut log: impl Read) -> std::io::Result<Finding> {
    let mut header = [0; HEADER];
    if !filled(&mut log, &mut header)? {
        return Ok(Finding::Sound);
    }
    let Some((big_endian, page_bytes)) = read_header(&header) else {
        // A new log's header is synced before its first frame is written, so without a header there
        // is no frame; a file that was only extended holds zeros.
        let mut next = [0; FRAME_HEADER];
        let frames = filled(&mut log, &mut next)? && next != [0; FRAME_HEADER];
        return Ok(if frames { Finding::Damaged(0) } else { Finding::Sound });
    };
    let salts = &header[16..24];
    let mut sum = checksum(big_endian, (0, 0), &header[..24]);
    let mut frame = vec![0; FRAME_HEADER + page_bytes];
    let mut number = 0;
    let mut first_bad = None;
    let mut batch_after_bad_ended = false;
    while filled(&mut log, &mut frame)? {
        number += 1;
        let ours = &frame[8..16] == salts;
        match first_bad {
            None => {
                sum = checksum(big_endian, sum, &frame[..8]);
                sum = checksum(big_endian, sum, &frame[FRAME_HEADER..]);
                if !ours || sum != (word(&frame, 16), word(&frame, 20)) {
                    first_bad = Some(number);
                    batch_after_bad_ended = ours && word(&frame, 4) != 0;
                }
            }
            Some(bad) if ours && batch_after_bad_ended => return Ok(Finding::Damaged(bad)),
            Some(_) => batch_after_bad_ended |= ours && word(&frame, 4) != 0,
        }
    }
    Ok(Finding::Sound)
}

/// The byte order of the checksums and the page size, if it is a log's header.
fn read_header(header: &[u8; HEADER]) -> Option<(bool, usize)> {
    let big_endian = match word(header, 0) {
        MAGIC => false,
        m if m == MAGIC | 1 => true,
        _ => return None,
    };
    let page_bytes = word(header, 8) as usize;
    let sum = checksum(big_endian, (0, 0), &header[..24]);
    let sound = page_bytes.is_power_of_two()
        && (512..=65_536).contains(&page_bytes)
        && sum == (word(header, 24), word(header, 28));
    sound.then_some((big_endian, page_bytes))
}

/// The big-endian number at `at`; the caller knows that it lies inside.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Adds to a running checksum; the length is a multiple of 8.
fn checksum(big_endian: bool, (mut a, mut b): (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let (pairs, _) = bytes.as_chunks::<8>();
    for [p, q, r, s, t, u, v, w] in pairs {
        let (x, y) = ([*p, *q, *r, *s], [*t, *u, *v, *w]);
        let (x, y) = if big_endian {
            (u32::from_be_bytes(x), u32::from_be_bytes(y))
        } else {
            (u32::from_le_bytes(x), u32::from_le_bytes(y))
        };
        a = a.wrapping_add(x).wrapping_add(b);
        b = b.wrapping_add(y).wrapping_add(a);
    }
    (a, b)
}

/// Fills the buffer; false if the log ends before.
fn filled(log: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match log.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
