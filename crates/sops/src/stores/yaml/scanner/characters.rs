//! The characters at hand, and the way past them.

use super::Scanner;

impl Scanner<'_> {
    pub(super) fn at(&self, offset: usize) -> u8 {
        self.text.get(self.pos + offset).copied().unwrap_or(0)
    }

    pub(super) fn at_end(&self) -> bool {
        self.pos >= self.text.len()
    }

    /// Bytes of the line end that starts at an offset, 0 for none.
    pub(super) fn break_at(&self, offset: usize) -> usize {
        match self.at(offset) {
            b'\r' if self.at(offset + 1) == b'\n' => 2,
            b'\r' | b'\n' => 1,
            0xc2 if self.at(offset + 1) == 0x85 => 2,
            0xe2 if self.at(offset + 1) == 0x80 && matches!(self.at(offset + 2), 0xa8 | 0xa9) => 3,
            _ => 0,
        }
    }

    pub(super) fn is_break(&self, offset: usize) -> bool {
        self.break_at(offset) > 0
    }

    pub(super) fn is_blank(&self, offset: usize) -> bool {
        matches!(self.at(offset), b' ' | b'\t')
    }

    pub(super) fn ends(&self, offset: usize) -> bool {
        self.pos + offset >= self.text.len()
    }

    pub(super) fn is_break_or_end(&self, offset: usize) -> bool {
        self.ends(offset) || self.is_break(offset)
    }

    pub(super) fn is_blank_or_end(&self, offset: usize) -> bool {
        self.is_blank(offset) || self.is_break_or_end(offset)
    }

    pub(super) fn width(&self) -> usize {
        match self.at(0) {
            0..=0x7f => 1,
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        }
    }

    pub(super) fn skip(&mut self) {
        if !self.is_blank(0) {
            self.newlines = 0;
        }
        self.pos += self.width();
        self.mark.index += 1;
        self.mark.column += 1;
    }

    pub(super) fn skip_many(&mut self, count: usize) {
        for _ in 0..count {
            self.skip();
        }
    }

    pub(super) fn skip_blanks(&mut self) {
        while self.is_blank(0) {
            self.skip();
        }
    }

    /// Moves past a line end, if there is one.
    pub(super) fn skip_line(&mut self) {
        let bytes = self.break_at(0);
        if bytes > 0 {
            self.mark.index += if self.at(0) == b'\r' && bytes == 2 { 2 } else { 1 };
            self.pos += bytes;
            self.mark.column = 0;
            self.mark.line += 1;
            self.newlines += 1;
        }
    }

    /// Takes a character over.
    pub(super) fn read(&mut self, into: &mut String) {
        let from = self.pos;
        let first = self.at(0);
        self.skip();
        if first < 0x80 {
            into.push(char::from(first));
            return;
        }
        let bytes = self.text.get(from..self.pos).unwrap_or_default();
        if let Ok(text) = std::str::from_utf8(bytes) {
            into.push_str(text);
        }
    }

    /// Takes a line end over: as a line feed, but for Unicode's own separators.
    pub(super) fn read_line(&mut self, into: &mut String) {
        let bytes = self.break_at(0);
        match bytes {
            0 => return,
            3 => {
                let separator = self.text.get(self.pos..self.pos + 3).unwrap_or_default();
                into.push_str(std::str::from_utf8(separator).unwrap_or_default());
            }
            _ => into.push('\n'),
        }
        self.skip_line();
    }
}
