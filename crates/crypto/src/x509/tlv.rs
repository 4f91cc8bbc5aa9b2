//! Tag, length, value: the frame of every ASN.1 value.

use super::{Malformed, Result};

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const NULL: u8 = 0x05;
pub const OID: u8 = 0x06;
pub const ENUMERATED: u8 = 0x0a;
pub const UTF8_STRING: u8 = 0x0c;
pub const NUMERIC_STRING: u8 = 0x12;
pub const PRINTABLE_STRING: u8 = 0x13;
pub const TELETEX_STRING: u8 = 0x14;
pub const IA5_STRING: u8 = 0x16;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const UNIVERSAL_STRING: u8 = 0x1c;
pub const BMP_STRING: u8 = 0x1e;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;

/// A context-specific tag.
pub const fn context(number: u8) -> u8 {
    0x80 | number
}

/// A context-specific tag around other values.
pub const fn context_around(number: u8) -> u8 {
    0xa0 | number
}

/// One value in its frame.
#[derive(Clone, Copy)]
pub struct Tlv<'a> {
    /// Its tag.
    pub tag: u8,
    /// What is inside of the frame.
    pub value: &'a [u8],
    /// Frame and value.
    pub raw: &'a [u8],
}

/// Reads values one after the other.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next value, if there is one.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next value.
    pub fn next(&mut self) -> Result<Tlv<'a>> {
        const SHORT: Malformed = Malformed("it ends too early");
        let [tag, first, ..] = *self.rest else { return Err(SHORT) };
        if tag & 0x1f == 0x1f {
            return Err(Malformed("a tag is too long"));
        }
        let (length, header) = match first {
            0..=0x7f => (usize::from(first), 2),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let bytes = self.rest.get(2..2 + count).ok_or(SHORT)?;
                let length = bytes.iter().fold(0_usize, |sum, b| sum << 8 | usize::from(*b));
                (length, 2 + count)
            }
            _ => return Err(Malformed("a length is not definite")),
        };
        let end = header.checked_add(length).ok_or(SHORT)?;
        let raw = self.rest.get(..end).ok_or(SHORT)?;
        self.rest = self.rest.get(end..).unwrap_or_default();
        Ok(Tlv { tag, value: raw.get(header..).unwrap_or_default(), raw })
    }

    /// The next value, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Tlv<'a>> {
        let next = self.next()?;
        if next.tag == tag { Ok(next) } else { Err(Malformed("a value has another type")) }
    }

    /// The next value if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>> {
        if self.peek() == Some(tag) { self.next().map(Some) } else { Ok(None) }
    }

    /// A reader of the values inside of the next one, a SEQUENCE.
    pub fn sequence(&mut self) -> Result<Reader<'a>> {
        Ok(Reader::new(self.expect(SEQUENCE)?.value))
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<()> {
        if self.is_empty() { Ok(()) } else { Err(Malformed("something follows its end")) }
    }
}

impl<'a> Tlv<'a> {
    /// A reader of what is inside.
    pub fn inside(&self) -> Reader<'a> {
        Reader::new(self.value)
    }

    /// The unused bits and the bytes of a BIT STRING.
    pub fn bit_string(&self) -> Result<(u8, &'a [u8])> {
        match (self.tag, self.value) {
            (BIT_STRING, [unused @ 0..=7, bytes @ ..]) => Ok((*unused, bytes)),
            _ => Err(Malformed("a bit string is malformed")),
        }
    }

    /// The bytes of an INTEGER without the zero that says "not negative".
    pub fn unsigned(&self) -> Result<&'a [u8]> {
        if self.tag != INTEGER && self.tag != ENUMERATED {
            return Err(Malformed("a value has another type"));
        }
        let mut bytes = self.value;
        while let [0, rest @ ..] = bytes
            && !rest.is_empty()
        {
            bytes = rest;
        }
        Ok(bytes)
    }

    /// A small INTEGER that is not negative.
    pub fn small(&self) -> Result<u32> {
        if self.value.first().is_none_or(|first| *first >= 0x80) {
            return Err(Malformed("a number is negative"));
        }
        let bytes = self.unsigned()?;
        if bytes.len() > 4 {
            return Err(Malformed("a number is too large"));
        }
        Ok(bytes.iter().fold(0, |sum, b| sum << 8 | u32::from(*b)))
    }

    /// A BOOLEAN.
    pub fn boolean(&self) -> Result<bool> {
        match (self.tag, self.value) {
            (BOOLEAN, [byte]) => Ok(*byte != 0),
            _ => Err(Malformed("a boolean is malformed")),
        }
    }
}

/// A value in its frame.
pub fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 6);
    out.push(tag);
    push_length(&mut out, value.len());
    out.extend_from_slice(value);
    out
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    if length < 0x80 {
        out.push(length as u8);
        return;
    }
    let bytes = length.to_be_bytes();
    let skip = bytes.iter().take_while(|b| **b == 0).count();
    out.push(0x80 | (bytes.len() - skip) as u8);
    out.extend(bytes.iter().skip(skip));
}

/// Values in one frame.
pub fn all<P: AsRef<[u8]>>(tag: u8, parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    let mut value = Vec::new();
    for part in parts {
        value.extend_from_slice(part.as_ref());
    }
    tlv(tag, &value)
}

/// A SEQUENCE.
pub fn sequence<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Vec<u8> {
    all(SEQUENCE, parts)
}

/// A SET OF, in DER's order.
pub fn set_of(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort_unstable();
    all(SET, parts)
}

/// An INTEGER that is not negative, from its bytes.
pub fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let mut value: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
    if value.first().is_none_or(|first| *first >= 0x80) {
        value.insert(0, 0);
    }
    tlv(INTEGER, &value)
}

/// An INTEGER that is not negative.
pub fn number(n: u64) -> Vec<u8> {
    unsigned(&n.to_be_bytes())
}

/// A BIT STRING of whole bytes.
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes.len() + 1);
    value.push(0);
    value.extend_from_slice(bytes);
    tlv(BIT_STRING, &value)
}

/// A BIT STRING of named bits: bit 0 is the first. Zeros at its end are left out (X.690 §11.2.2).
pub fn named_bits(bits: u16) -> Vec<u8> {
    // The first named bit is the highest one of the first byte.
    let reversed = bits.reverse_bits().to_be_bytes();
    let length = if reversed[1] != 0 { 2 } else { usize::from(reversed[0] != 0) };
    let last = if length == 0 { 0 } else { reversed[length - 1] };
    let unused = if last == 0 { 0 } else { last.trailing_zeros() as u8 };
    let mut value = vec![unused];
    value.extend(reversed.iter().take(length));
    tlv(BIT_STRING, &value)
}

/// A BOOLEAN that is true.
pub fn yes() -> Vec<u8> {
    vec![BOOLEAN, 1, 0xff]
}
