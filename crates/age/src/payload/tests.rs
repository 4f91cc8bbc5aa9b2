//! Beside the crate `age`, which seals and opens the same payloads in its own way.

use std::cell::RefCell;
use std::io::Cursor;

use age::x25519;

use super::*;
use crate::Recipient;
use crate::files;

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Sizes around what chunks and blocks have.
const SIZES: [usize; 12] = [
    0,
    1,
    CHUNK_BYTES - 1,
    CHUNK_BYTES,
    CHUNK_BYTES + 1,
    2 * CHUNK_BYTES,
    4 * CHUNK_BYTES - 1,
    4 * CHUNK_BYTES,
    4 * CHUNK_BYTES + 1,
    5 * CHUNK_BYTES,
    16 * CHUNK_BYTES,
    21 * CHUNK_BYTES + 17,
];

fn sealed(identity: &x25519::Identity, plain: &[u8]) -> Vec<u8> {
    let recipient: Recipient = Box::new(identity.to_public());
    files::encrypt_all(&[recipient], false, plain).unwrap()
}

struct Into<'o>(&'o RefCell<Vec<u8>>);

impl Write for Into<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was given out, and how it ended.
fn opened(identity: &x25519::Identity, file: &[u8]) -> (Vec<u8>, Result<()>) {
    let out = RefCell::new(Vec::new());
    let done = files::decrypt(&[identity], file, &mut || Ok(Box::new(Into(&out))));
    (out.into_inner(), done)
}

#[test]
fn the_other_implementation_opens_what_is_sealed_here_and_the_other_way_round() {
    let identity = x25519::Identity::generate();
    for size in SIZES {
        let plain = content(size);
        let theirs = age::Decryptor::new(Cursor::new(sealed(&identity, &plain))).unwrap();
        let mut reader = theirs.decrypt(std::iter::once(&identity as &dyn age::Identity)).unwrap();
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert!(read == plain, "{size}");
        let file = age::encrypt(&identity.to_public(), &plain).unwrap();
        let (out, done) = opened(&identity, &file);
        assert!(out == plain && done.is_ok(), "{size} {done:?}");
    }
}

#[test]
fn a_payload_that_was_cut_or_changed_gives_what_stands_before() {
    let identity = x25519::Identity::generate();
    let plain = content(9 * CHUNK_BYTES + 5);
    let file = sealed(&identity, &plain);
    let payload = file.len() - (9 * SEALED_BYTES + 5 + TAG_BYTES);
    for chunk in [1, 3, 4, 5, 8] {
        // Cut at the end of a chunk, within one, and changed there.
        let whole = payload + chunk * SEALED_BYTES;
        for (file, why) in [
            (file[..whole].to_vec(), End::Cut),
            (file[..whole + 100].to_vec(), End::Broken),
            (file[..whole + TAG_BYTES].to_vec(), End::Empty),
            ([&file[..whole], &[0; 20], &file[whole + 20..]].concat(), End::Broken),
        ] {
            let (out, done) = opened(&identity, &file);
            assert!(out == plain[..chunk * CHUNK_BYTES], "{chunk} {why:?} {}", out.len());
            assert_eq!(done.unwrap_err(), why.told(), "{chunk}");
        }
    }
    // Chunks that changed places, and more behind the end.
    let mut moved = file.clone();
    moved[payload..payload + 2 * SEALED_BYTES].rotate_left(SEALED_BYTES);
    assert_eq!(opened(&identity, &moved).0, b"");
    for size in SIZES {
        let plain = content(size);
        let longer = [sealed(&identity, &plain), b"x".to_vec()].concat();
        let (out, done) = opened(&identity, &longer);
        let last_is_full = size > 0 && size % CHUNK_BYTES == 0;
        // What is behind a chunk that is not full belongs to it.
        let expected = if last_is_full { End::Trailing } else { End::Broken };
        assert_eq!(done.unwrap_err(), expected.told(), "{size}");
        let given_out = if last_is_full { size } else { size - size % CHUNK_BYTES };
        assert!(out == plain[..given_out], "{size} {}", out.len());
    }
}

#[test]
fn a_key_is_of_one_file_and_one_salt() {
    let key = FileKey::new(Box::new([7; 16]));
    let mut out = Vec::new();
    seal(&PayloadKey::new(&key, &[1; 16]), &mut b"x".as_slice(), &mut out).unwrap();
    let open_with = |key: &PayloadKey| {
        open(key, &mut out.as_slice(), &mut |some| {
            assert_eq!(some, b"x");
            Ok(())
        })
    };
    assert!(open_with(&PayloadKey::new(&key, &[1; 16])).is_ok());
    assert!(open_with(&PayloadKey::new(&key, &[2; 16])).is_err());
    assert!(open_with(&PayloadKey::new(&FileKey::new(Box::new([8; 16])), &[1; 16])).is_err());
}
