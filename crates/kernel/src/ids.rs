//! Row ids as callers see them: 24 characters that tell nothing of the number inside, so a token,
//! an accessor or a lease id leads to its row without an index.
//!
//! Each kind of id has a mask of its own: an accessor is no token, and no lease id.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::barrier::Barrier;
use crate::record::{Id, Scope};

/// Characters of a masked id.
pub const TEXT_CHARS: usize = 24;
/// Bytes that those characters encode: 5 of the masked id, 13 more.
const TEXT_BYTES: usize = 18;
const ID_BYTES: usize = 5;
/// Bytes beside the id: random for tokens, a digest for what must be found again from the id.
pub const TAIL_BYTES: usize = 13;

/// One kind of masked id.
#[derive(Clone, Copy)]
pub struct Mask {
    /// Under which purpose the id is masked.
    mask: &'static str,
    /// Under which purpose the tail of a derived text is made.
    tail: &'static str,
}

/// Ids inside of tokens; their tails are random.
pub const TOKEN: Mask = Mask { mask: "token mask", tail: "" };
/// Accessors.
pub const ACCESSOR: Mask = Mask { mask: "accessor mask", tail: "accessor tail" };
/// Last segments of lease ids.
pub const LEASE: Mask = Mask { mask: "lease mask", tail: "lease tail" };

fn digest(barrier: &Barrier, purpose: &str, data: &[u8]) -> [u8; 32] {
    barrier.digest(Scope::ROOT, &[purpose.as_bytes(), data])
}

impl Mask {
    /// The masked id with `tail`.
    pub fn write(self, barrier: &Barrier, id: Id, tail: &[u8; TAIL_BYTES]) -> String {
        let pad = digest(barrier, self.mask, tail);
        let mut bytes = [0_u8; TEXT_BYTES];
        let id = id.to_be_bytes();
        for (out, (id, pad)) in bytes[..ID_BYTES].iter_mut().zip(id[3..].iter().zip(&pad)) {
            *out = id ^ pad;
        }
        bytes[ID_BYTES..].copy_from_slice(tail);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The id inside of `text`, if it has the form. Whether there is such a row, and whether the
    /// whole text is its, the caller finds out.
    pub fn read(self, barrier: &Barrier, text: &str) -> Option<Id> {
        if text.len() != TEXT_CHARS {
            return None;
        }
        let mut bytes = [0_u8; TEXT_BYTES];
        URL_SAFE_NO_PAD.decode_slice_unchecked(text, &mut bytes).ok()?;
        let pad = digest(barrier, self.mask, &bytes[ID_BYTES..]);
        let mut id = [0_u8; 8];
        for (out, (byte, pad)) in id[3..].iter_mut().zip(bytes[..ID_BYTES].iter().zip(&pad)) {
            *out = byte ^ pad;
        }
        Some(u64::from_be_bytes(id))
    }

    /// The one text that stands for `id`.
    pub fn derive(self, barrier: &Barrier, id: Id) -> String {
        let digest = digest(barrier, self.tail, &id.to_be_bytes());
        let mut tail = [0; TAIL_BYTES];
        tail.copy_from_slice(&digest[..TAIL_BYTES]);
        self.write(barrier, id, &tail)
    }

    /// The id that a derived text stands for, if it is one.
    pub fn resolve(self, barrier: &Barrier, text: &str) -> Option<Id> {
        let id = self.read(barrier, text)?;
        let own = self.derive(barrier, id);
        strongroom_crypto::constant_time_eq(own.as_bytes(), text.as_bytes()).then_some(id)
    }
}
