//! The data types of RFC 4251 §5, written and read.

use zeroize::Zeroize;

/// A growing message. It is wiped when dropped: some of them hold private keys.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Writer {
    /// Room for what SSH's messages usually need, so that growing leaves no copies behind.
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(4_096))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u32(&mut self, number: u32) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(super) fn u64(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    /// Its length, then the bytes. A request is shorter than 4 GiB by far.
    pub(super) fn string(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).raw(bytes)
    }

    /// A number that is not negative, from its big-endian bytes.
    pub(super) fn mpint(&mut self, number: &[u8]) -> &mut Self {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = number.get(zeros..).unwrap_or_default();
        let sign: &[u8] = if number.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
        self.u32(u32::try_from(number.len() + sign.len()).unwrap_or(u32::MAX)).raw(sign).raw(number)
    }
}

/// What is left of a message.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// A number's big-endian bytes without leading zeros; none where it is negative.
    pub(super) fn mpint(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        if bytes.first().is_some_and(|byte| *byte >= 0x80) {
            return None;
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        bytes.get(zeros..)
    }
}
