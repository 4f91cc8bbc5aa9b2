//! The form of a snapshot: a gzipped tar of `meta.json`, `state.bin` (the store's records, as the
//! storage copies them), `SHA256SUMS` over both, and `SHA256SUMS.sealed`, the same sums under the
//! root key (docs/formats/snapshot.md; the names are those of OpenBao's snapshots).
//!
//! Invariant: what comes from outside is held in memory in small pieces only, and nothing of it is
//! believed before all sums were found right.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use strongroom_crypto::digest::Sha256;

const META: &str = "meta.json";
const STATE: &str = "state.bin";
const SUMS: &str = "SHA256SUMS";
const SEALED: &str = "SHA256SUMS.sealed";

/// What `meta.json` says a snapshot is; another `ID` is another program's.
pub const ID: &str = "strongroom-snapshot";
/// The version of this form.
pub const VERSION: u32 = 1;
/// Bytes of each of the small files.
const SMALL_BYTES_MAX: u64 = 8_192;
/// Bytes after the end of the archive.
const PADDING_BYTES_MAX: u64 = 1 << 20;
const PIECE_BYTES: usize = 64 << 10;

/// `meta.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct Meta {
    /// [`VERSION`].
    pub version: u32,
    /// [`ID`].
    #[serde(rename = "ID")]
    pub id: String,
    /// The storage's revision when it was taken; for people.
    pub index: u64,
    /// Bytes of `state.bin`.
    pub size: u64,
    /// When it was taken, RFC 3339.
    pub created: String,
    /// The version of the server that took it.
    pub server: String,
}

/// A snapshot's small parts, found right.
#[derive(Debug)]
pub struct Contents {
    /// What it says of itself.
    pub meta: Meta,
    /// The text of the sums.
    pub sums: Vec<u8>,
    /// The same, sealed; not opened yet.
    pub sealed: Vec<u8>,
}

/// Why a snapshot could not be taken in.
#[derive(Debug)]
pub enum Failure {
    /// It is no whole snapshot.
    Snapshot(String),
    /// The disk it was to go to failed.
    Disk(io::Error),
}

/// A snapshot that is ready to be written.
pub struct Parts<S> {
    meta: Vec<u8>,
    state: S,
    state_bytes: u64,
    /// The text of the sums.
    pub sums: Vec<u8>,
}

impl<S: Read + io::Seek> Parts<S> {
    /// Reads the state once, for its sum.
    pub fn new(meta: &Meta, mut state: S) -> io::Result<Self> {
        let meta_text = serde_json::to_vec(meta)?;
        let mut sum = Sha256::new();
        sum.update(&meta_text);
        let mut sums = line(META, sum);
        let mut sum = Sha256::new();
        let mut piece = vec![0; PIECE_BYTES];
        state.rewind()?;
        loop {
            let read = state.read(&mut piece)?;
            if read == 0 {
                break;
            }
            sum.update(&piece[..read]);
        }
        sums.extend(line(STATE, sum));
        state.rewind()?;
        Ok(Self { meta: meta_text, state, state_bytes: meta.size, sums })
    }

    /// Writes the archive.
    pub fn write(self, out: impl Write, sealed: &[u8], now_seconds: u64) -> io::Result<()> {
        let header = |bytes: u64| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes);
            header.set_mode(0o600);
            header.set_mtime(now_seconds);
            header
        };
        let small = |bytes: &[u8]| header(bytes.len() as u64);
        // Nearly all of it is ciphertext: what can be made smaller, the quickest level finds.
        let mut tar = tar::Builder::new(GzEncoder::new(out, Compression::fast()));
        tar.append_data(&mut small(&self.meta), META, self.meta.as_slice())?;
        tar.append_data(&mut header(self.state_bytes), STATE, self.state.take(self.state_bytes))?;
        tar.append_data(&mut small(&self.sums), SUMS, self.sums.as_slice())?;
        tar.append_data(&mut small(sealed), SEALED, sealed)?;
        tar.into_inner()?.finish()?.flush()
    }
}

fn line(name: &str, sum: Sha256) -> Vec<u8> {
    format!("{}  {name}\n", hex::encode(sum.finish())).into_bytes()
}

/// Reads an archive to its end; its state goes to `state`.
pub fn read(from: impl Read, state: &mut impl Write) -> Result<Contents, Failure> {
    let mut archive = tar::Archive::new(GzDecoder::new(from));
    let (mut meta, mut sums, mut sealed) = (None, None, None);
    let mut state_sum = None;
    // Raw: no entry changes what is made of another, and none is read into memory by its name.
    for entry in archive.entries().map_err(unreadable)?.raw(true) {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path_bytes().into_owned();
        if !entry.header().entry_type().is_file() {
            return Err(wrong("it holds something that is no file"));
        }
        let fresh = match name.as_slice() {
            b"meta.json" => meta.replace(small(&mut entry)?).is_none(),
            b"SHA256SUMS" => sums.replace(small(&mut entry)?).is_none(),
            b"SHA256SUMS.sealed" => sealed.replace(small(&mut entry)?).is_none(),
            b"state.bin" if state_sum.is_none() => {
                state_sum = Some(copy(&mut entry, state)?);
                true
            }
            b"state.bin" => false,
            _ => return Err(wrong("it holds a file that is not part of a snapshot")),
        };
        if !fresh {
            return Err(wrong("it holds a file twice"));
        }
    }
    // What comes after the archive is its padding and the compression's own sum.
    let mut rest = archive.into_inner().take(PADDING_BYTES_MAX);
    io::copy(&mut rest, &mut io::sink()).map_err(unreadable)?;
    let (Some(meta), Some(sums), Some((state_sum, bytes))) = (meta, sums, state_sum) else {
        return Err(wrong("a file is missing"));
    };
    let mut meta_sum = Sha256::new();
    meta_sum.update(&meta);
    let want = [line(META, meta_sum), line(STATE, state_sum)];
    let mut have: Vec<&[u8]> = sums.split_inclusive(|byte| *byte == b'\n').collect();
    // OpenBao writes them in any order.
    have.sort_by_key(|line| line.ends_with(b"state.bin\n"));
    if have != want {
        return Err(wrong("its checksums do not fit"));
    }
    let meta: Meta =
        serde_json::from_slice(&meta).map_err(|_| wrong("it was not made by Strongroom"))?;
    if meta.id != ID {
        return Err(wrong("it was not made by Strongroom"));
    }
    if meta.version != VERSION || meta.size != bytes {
        return Err(wrong("its form is of another version"));
    }
    Ok(Contents { meta, sums, sealed: sealed.unwrap_or_default() })
}

fn wrong(why: &str) -> Failure {
    Failure::Snapshot(why.to_owned())
}

/// The reader's own words are left out: they may quote what was sent.
fn unreadable(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionAborted => wrong("it did not arrive whole"),
        io::ErrorKind::UnexpectedEof => wrong("it ends too early"),
        _ => wrong("it is no gzipped tar archive, or damaged"),
    }
}

fn small(entry: &mut impl Read) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    entry.take(SMALL_BYTES_MAX + 1).read_to_end(&mut out).map_err(unreadable)?;
    if out.len() as u64 > SMALL_BYTES_MAX {
        return Err(wrong("a part of it is too large"));
    }
    Ok(out)
}

fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<(Sha256, u64), Failure> {
    let (mut sum, mut bytes) = (Sha256::new(), 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece).map_err(unreadable)?;
        if read == 0 {
            return Ok((sum, bytes));
        }
        sum.update(&piece[..read]);
        to.write_all(&piece[..read]).map_err(Failure::Disk)?;
        bytes += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn meta(size: u64) -> Meta {
        Meta {
            version: VERSION,
            id: ID.to_owned(),
            index: 7,
            size,
            created: "2026-01-01T00:00:00Z".to_owned(),
            server: "1.18.5".to_owned(),
        }
    }

    fn archive(meta: &Meta, state: &[u8]) -> Vec<u8> {
        let parts = Parts::new(meta, Cursor::new(state)).unwrap();
        let mut out = Vec::new();
        parts.write(&mut out, b"sealed", 1).unwrap();
        out
    }

    fn refused(bytes: &[u8]) -> String {
        match read(bytes, &mut Vec::new()) {
            Err(Failure::Snapshot(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let state: Vec<u8> = (0..200_000_u32).map(|n| ((n * 31) >> 3) as u8).collect();
        let whole = archive(&meta(state.len() as u64), &state);
        let mut out = Vec::new();
        let contents = read(whole.as_slice(), &mut out).unwrap();
        assert_eq!(out, state);
        assert_eq!(contents.meta, meta(state.len() as u64));
        assert_eq!(contents.sealed, b"sealed");
        assert_eq!(contents.sums.split(|b| *b == b'\n').count(), 3);
    }

    #[test]
    fn any_cut_and_any_change_is_refused() {
        let state = [7; 10_000];
        let whole = archive(&meta(10_000), &state);
        for cut in (0..whole.len()).step_by(7) {
            refused(&whole[..cut]);
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            // Of a compressed stream a few bits mean nothing (gzip's time and system, codes that
            // are not used): then all is as it was.
            let mut out = Vec::new();
            if let Ok(contents) = read(changed.as_slice(), &mut out) {
                assert_eq!(contents.meta, meta(10_000), "{at}");
                assert_eq!(
                    (out.as_slice(), contents.sealed.as_slice()),
                    (&state[..], &b"sealed"[..])
                );
            }
        }
    }

    #[test]
    fn foreign_archives_are_named() {
        let state = [7; 100];
        let other = Meta { id: "bolt-snapshot".to_owned(), ..meta(100) };
        assert_eq!(refused(&archive(&other, &state)), "it was not made by Strongroom");
        let other = Meta { version: 2, ..meta(100) };
        assert_eq!(refused(&archive(&other, &state)), "its form is of another version");
        assert_eq!(refused(b"no archive"), "it is no gzipped tar archive, or damaged");

        let tarred = |files: &[(&str, &[u8])]| {
            let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
            for (name, bytes) in files {
                let mut header = tar::Header::new_ustar();
                header.set_size(bytes.len() as u64);
                tar.append_data(&mut header, name, *bytes).unwrap();
            }
            tar.into_inner().unwrap().finish().unwrap()
        };
        for (files, why) in [
            (&[][..], "a file is missing"),
            (&[("meta.json", &b"{}"[..]), ("meta.json", b"{}")], "it holds a file twice"),
            (&[("passwd", b"x")], "it holds a file that is not part of a snapshot"),
            (&[("meta.json", &[b' '; 9_000])], "a part of it is too large"),
            (
                &[("meta.json", b"{}"), ("state.bin", b"x"), ("SHA256SUMS", b"00  state.bin\n")],
                "its checksums do not fit",
            ),
        ] {
            assert_eq!(refused(&tarred(files)), why);
        }
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let whole = archive(&meta(10), &[1; 10]);
        assert!(matches!(read(whole.as_slice(), &mut Full), Err(Failure::Disk(_))));
    }
}
