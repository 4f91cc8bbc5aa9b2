//! Object identifiers, as dotted text and as DER.

use super::tlv::{self, Tlv};
use super::{Malformed, Result};

/// Arcs of an identifier that are taken.
const ARCS_MAX: usize = 64;

/// The DER of a dotted identifier.
pub fn encode(dotted: &str) -> Result<Vec<u8>> {
    const BAD: Malformed = Malformed("not an object identifier");
    let arcs: Vec<u64> = dotted
        .split('.')
        .map(|arc| match arc.bytes().all(|b| b.is_ascii_digit()) {
            true => arc.parse().map_err(|_| BAD),
            false => Err(BAD),
        })
        .collect::<Result<_>>()?;
    let [first, second, rest @ ..] = arcs.as_slice() else { return Err(BAD) };
    if *first > 2 || (*first < 2 && *second >= 40) || rest.len() > ARCS_MAX {
        return Err(BAD);
    }
    let mut value = Vec::new();
    push_arc(&mut value, (first * 40).checked_add(*second).ok_or(BAD)?);
    for arc in rest {
        push_arc(&mut value, *arc);
    }
    Ok(tlv::tlv(tlv::OID, &value))
}

/// The DER of one of our own identifiers.
pub(super) fn known(dotted: &'static str) -> Vec<u8> {
    encode(dotted).unwrap_or_default()
}

/// Is it a dotted object identifier?
pub fn is_oid(dotted: &str) -> bool {
    encode(dotted).is_ok()
}

fn push_arc(out: &mut Vec<u8>, arc: u64) {
    let groups = (64 - arc.max(1).leading_zeros()).div_ceil(7);
    for group in (0..groups).rev() {
        let more = if group > 0 { 0x80 } else { 0 };
        out.push(more | (arc >> (7 * group)) as u8 & 0x7f);
    }
}

/// The dotted text of an OID's value.
pub fn decode(value: &[u8]) -> Result<String> {
    const BAD: Malformed = Malformed("an object identifier is malformed");
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0_u64;
    let mut open = false;
    for byte in value {
        if arc >> 57 != 0 || arcs.len() > ARCS_MAX {
            return Err(BAD);
        }
        arc = arc << 7 | u64::from(byte & 0x7f);
        open = byte & 0x80 != 0;
        if !open {
            arcs.push(arc);
            arc = 0;
        }
    }
    let [first, rest @ ..] = arcs.as_slice() else { return Err(BAD) };
    if open {
        return Err(BAD);
    }
    let top = (*first / 40).min(2);
    let mut text = format!("{top}.{}", first - top * 40);
    for arc in rest {
        text.push_str(&format!(".{arc}"));
    }
    Ok(text)
}

impl Tlv<'_> {
    /// The dotted text of an OBJECT IDENTIFIER.
    pub fn oid(&self) -> Result<String> {
        if self.tag != tlv::OID {
            return Err(Malformed("a value has another type"));
        }
        decode(self.value)
    }
}
