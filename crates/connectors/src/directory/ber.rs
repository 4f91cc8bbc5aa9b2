//! The part of ASN.1's Basic Encoding Rules that LDAP speaks (RFC 4511 §5.1): tags of one byte and
//! lengths that are known.

use super::Failure;

/// Tag of a SEQUENCE.
pub(super) const SEQUENCE: u8 = 0x30;
/// Tag of a SET.
pub(super) const SET: u8 = 0x31;
/// Tag of an INTEGER.
pub(super) const INTEGER: u8 = 0x02;
/// Tag of an OCTET STRING.
pub(super) const OCTETS: u8 = 0x04;
/// Tag of an ENUMERATED.
pub(super) const ENUMERATED: u8 = 0x0a;
/// Tag of a BOOLEAN.
pub(super) const BOOLEAN: u8 = 0x01;

/// Appends a value of this tag.
pub(super) fn put(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    put_length(out, content.len());
    out.extend_from_slice(content);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let skip = bytes.iter().take_while(|byte| **byte == 0).count();
            out.push(0x80 | (bytes.len() - skip) as u8);
            out.extend(bytes.iter().skip(skip));
        }
    }
}

/// Appends a whole number not below zero.
pub(super) fn put_number(out: &mut Vec<u8>, tag: u8, number: u32) {
    let bytes = u64::from(number).to_be_bytes();
    // A leading zero keeps the number from being read as one below zero.
    let skip = bytes
        .iter()
        .zip(bytes.iter().skip(1))
        .take_while(|(byte, next)| **byte == 0 && **next < 0x80)
        .count();
    put(out, tag, bytes.get(skip..).unwrap_or_default());
}

/// Appends a truth value.
pub(super) fn put_truth(out: &mut Vec<u8>, tag: u8, truth: bool) {
    put(out, tag, &[if truth { 0xff } else { 0 }]);
}

/// What makes no sense as BER, or as an answer.
pub(super) fn malformed() -> Failure {
    Failure::broken("the directory's answer is malformed")
}

/// Values one after another.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Is nothing left?
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value, whatever its tag.
    pub(super) fn next(&mut self) -> Result<(u8, &'a [u8]), Failure> {
        let (head, length) = header(self.rest)?.ok_or_else(malformed)?;
        let tag = *self.rest.first().ok_or_else(malformed)?;
        let end = head.checked_add(length).ok_or_else(malformed)?;
        let content = self.rest.get(head..end).ok_or_else(malformed)?;
        self.rest = self.rest.get(end..).unwrap_or_default();
        Ok((tag, content))
    }

    /// The next value, which has this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Failure> {
        match self.next()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(malformed()),
        }
    }

    /// The next value, a number not below zero.
    pub(super) fn number(&mut self, tag: u8) -> Result<u32, Failure> {
        let content = self.expect(tag)?;
        let is_positive = content.first().is_some_and(|first| *first < 0x80);
        if !is_positive || content.len() > 5 {
            return Err(malformed());
        }
        let number = content.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        u32::try_from(number).map_err(|_| malformed())
    }
}

/// Bytes of tag and length at the beginning of `bytes`, and the length that they tell; `None` where
/// more bytes must come first.
pub(super) fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, Failure> {
    let (Some(tag), Some(first)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    // Tags of several bytes are not in LDAP.
    if tag & 0x1f == 0x1f {
        return Err(malformed());
    }
    if *first < 0x80 {
        return Ok(Some((2, usize::from(*first))));
    }
    let count = usize::from(first & 0x7f);
    // 0 is a length that is not known before its end (RFC 4511 §5.1 forbids it).
    if count == 0 || count > 4 {
        return Err(malformed());
    }
    let Some(length) = bytes.get(2..2 + count) else { return Ok(None) };
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    Ok(Some((2 + count, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lengths() {
        for (number, expect) in [
            (0, &[2, 1, 0][..]),
            (127, &[2, 1, 127]),
            (128, &[2, 2, 0, 128]),
            (65_535, &[2, 3, 0, 255, 255]),
            (u32::MAX, &[2, 5, 0, 255, 255, 255, 255]),
        ] {
            let mut out = Vec::new();
            put_number(&mut out, INTEGER, number);
            assert_eq!(out, expect, "{number}");
            assert_eq!(Reader::new(&out).number(INTEGER).unwrap(), number);
        }
        for (length, head) in [(0, 2), (127, 2), (128, 3), (255, 3), (256, 4), (70_000, 5)] {
            let mut out = Vec::new();
            put(&mut out, OCTETS, &vec![7; length]);
            assert_eq!(header(&out).unwrap(), Some((head, length)));
            let mut reader = Reader::new(&out);
            assert_eq!(reader.expect(OCTETS).unwrap().len(), length);
            assert!(reader.is_at_end());
        }
    }

    #[test]
    fn what_is_no_ber_of_ldap_is_refused() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x85, 1, 1, 1, 1, 1],
            &[0x3f, 1, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert!(Reader::new(bytes).next().is_err(), "{bytes:?}");
        }
        for bytes in [&[2, 0][..], &[2, 1, 0x80], &[2, 6, 0, 0, 0, 0, 0, 1], &[2, 5, 1, 0, 0, 0, 0]]
        {
            assert!(Reader::new(bytes).number(INTEGER).is_err(), "{bytes:?}");
        }
    }
}
