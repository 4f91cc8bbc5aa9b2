//! Scalars: plain, quoted, and in blocks.

use super::super::Fault;
use super::{Kind, Mark, Scanner, Style};

/// Blanks and line ends between the words of a scalar that runs over lines.
#[derive(Default)]
struct Gap {
    blanks: String,
    first: String,
    more: String,
    broken: bool,
}

impl Gap {
    /// One line end becomes a space, of more each but the first stays.
    fn fold_into(&mut self, text: &mut String) {
        if !self.broken {
            text.push_str(&self.blanks);
        } else if self.first.starts_with('\n') {
            text.push_str(if self.more.is_empty() { " " } else { &self.more });
        } else {
            text.push_str(&self.first);
            text.push_str(&self.more);
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.blanks.clear();
        self.first.clear();
        self.more.clear();
        self.broken = false;
    }
}

/// What happens to the line ends at the end of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Chomp {
    Clip,
    Strip,
    Keep,
}

impl Scanner<'_> {
    fn push_scalar(&mut self, text: String, style: Style, start: Mark) {
        self.push(Kind::Scalar(text, style), start);
    }

    /// Takes a blank or a line end into a gap.
    fn read_gap(&mut self, gap: &mut Gap) {
        if self.is_blank(0) {
            if gap.broken { self.skip() } else { self.read(&mut gap.blanks) }
        } else if gap.broken {
            self.read_line(&mut gap.more);
        } else {
            gap.blanks.clear();
            self.read_line(&mut gap.first);
            gap.broken = true;
        }
    }

    pub(super) fn fetch_plain(&mut self) -> Result<(), Fault> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let indent = (self.indent + 1).max(0) as usize;
        let mut text = String::new();
        let mut gap = Gap::default();
        while self.at_document_mark().is_none() && self.at(0) != b'#' {
            let from = self.pos;
            while !self.is_blank_or_end(0) && !self.ends_plain() {
                if self.pos == from {
                    gap.fold_into(&mut text);
                }
                self.read(&mut text);
            }
            if !self.is_blank(0) && !self.is_break(0) {
                break;
            }
            while self.is_blank(0) || self.is_break(0) {
                if gap.broken && self.mark.column < indent && self.at(0) == b'\t' {
                    return Err(Fault::new(
                        "found a tab character that violates indentation",
                        start,
                    ));
                }
                self.read_gap(&mut gap);
            }
            if self.flow_level == 0 && self.mark.column < indent {
                break;
            }
        }
        self.push_scalar(text, Style::Plain, start);
        if gap.broken {
            self.simple_key_allowed = true;
        }
        Ok(())
    }

    fn ends_plain(&self) -> bool {
        match self.at(0) {
            b':' => self.is_blank_or_end(1),
            b',' | b'?' | b'[' | b']' | b'{' | b'}' => self.flow_level > 0,
            _ => false,
        }
    }

    pub(super) fn fetch_quoted(&mut self, single: bool) -> Result<(), Fault> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let quote = if single { b'\'' } else { b'"' };
        let mut text = String::new();
        self.skip();
        loop {
            if self.at_document_mark().is_some() {
                return Err(Fault::new("found unexpected document indicator", start));
            }
            if self.at_end() {
                return Err(Fault::new("found unexpected end of stream", start));
            }
            let mut gap = Gap::default();
            while !self.is_blank_or_end(0) {
                match self.at(0) {
                    b'\'' if single && self.at(1) == b'\'' => {
                        text.push('\'');
                        self.skip_many(2);
                    }
                    byte if byte == quote => break,
                    b'\\' if !single && self.is_break(1) => {
                        self.skip();
                        self.skip_line();
                        // What follows on the next line follows at once.
                        gap.broken = true;
                        break;
                    }
                    b'\\' if !single => self.read_escape(&mut text, start)?,
                    _ => self.read(&mut text),
                }
            }
            if self.at(0) == quote {
                break;
            }
            while self.is_blank(0) || self.is_break(0) {
                self.read_gap(&mut gap);
            }
            gap.fold_into(&mut text);
        }
        self.skip();
        self.push_scalar(text, if single { Style::Single } else { Style::Double }, start);
        Ok(())
    }

    fn read_escape(&mut self, text: &mut String, start: Mark) -> Result<(), Fault> {
        let digits = match self.at(1) {
            b'x' => 2,
            b'u' => 4,
            b'U' => 8,
            _ => 0,
        };
        if digits == 0 {
            text.push(match self.at(1) {
                b'0' => '\0',
                b'a' => '\x07',
                b'b' => '\x08',
                b't' | b'\t' => '\t',
                b'n' => '\n',
                b'v' => '\x0b',
                b'f' => '\x0c',
                b'r' => '\r',
                b'e' => '\x1b',
                letter @ (b' ' | b'"' | b'\'' | b'\\') => char::from(letter),
                b'N' => '\u{85}',
                b'_' => '\u{a0}',
                b'L' => '\u{2028}',
                b'P' => '\u{2029}',
                _ => return Err(Fault::new("found unknown escape character", start)),
            });
            self.skip_many(2);
            return Ok(());
        }
        self.skip_many(2);
        let mut code = 0_u32;
        for at in 0..digits {
            let digit = char::from(self.at(at)).to_digit(16);
            let Some(digit) = digit else {
                return Err(Fault::new("did not find expected hexdecimal number", start));
            };
            code = (code << 4) | digit;
        }
        let Some(letter) = char::from_u32(code) else {
            return Err(Fault::new("found invalid Unicode character escape code", start));
        };
        text.push(letter);
        self.skip_many(digits);
        Ok(())
    }

    pub(super) fn fetch_block_scalar(&mut self, literal: bool) -> Result<(), Fault> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let start = self.mark;
        self.skip();
        let (chomp, given) = self.read_block_header(start)?;
        self.skip_blanks();
        if self.at(0) == b'#' {
            self.scan_line_comment(start);
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
        if !self.is_break_or_end(0) {
            return Err(Fault::new("did not find expected comment or line break", start));
        }
        self.skip_line();
        let mut indent = match given {
            0 => 0,
            given => self.indent.max(0) as usize + given,
        };
        let mut text = String::new();
        let (mut leading, mut trailing) = (String::new(), String::new());
        self.read_block_breaks(&mut indent, &mut trailing, start)?;
        let mut was_blank = false;
        while self.mark.column == indent && !self.at_end() {
            let blank = self.is_blank(0);
            if !literal && !was_blank && !blank && leading.starts_with('\n') {
                if trailing.is_empty() {
                    text.push(' ');
                }
            } else {
                text.push_str(&leading);
            }
            leading.clear();
            text.push_str(&trailing);
            trailing.clear();
            was_blank = blank;
            while !self.is_break_or_end(0) {
                self.read(&mut text);
            }
            self.read_line(&mut leading);
            self.read_block_breaks(&mut indent, &mut trailing, start)?;
        }
        if chomp != Chomp::Strip {
            text.push_str(&leading);
        }
        if chomp == Chomp::Keep {
            text.push_str(&trailing);
        }
        self.push_scalar(text, Style::Block, start);
        Ok(())
    }

    /// `+` or `-`, and a digit, in either order.
    fn read_block_header(&mut self, start: Mark) -> Result<(Chomp, usize), Fault> {
        let (mut chomp, mut indent) = (Chomp::Clip, 0);
        for _ in 0..2 {
            match self.at(0) {
                sign @ (b'+' | b'-') if chomp == Chomp::Clip => {
                    chomp = if sign == b'+' { Chomp::Keep } else { Chomp::Strip };
                    self.skip();
                }
                b'0' if indent == 0 => {
                    let text = "found an indentation indicator equal to 0";
                    return Err(Fault::new(text, start));
                }
                digit @ b'1'..=b'9' if indent == 0 => {
                    indent = usize::from(digit - b'0');
                    self.skip();
                }
                _ => {}
            }
        }
        Ok((chomp, indent))
    }

    /// Passes the indentation and empty lines; finds the indentation where none was given.
    fn read_block_breaks(
        &mut self,
        indent: &mut usize,
        breaks: &mut String,
        start: Mark,
    ) -> Result<(), Fault> {
        let mut widest = 0;
        loop {
            while (*indent == 0 || self.mark.column < *indent) && self.at(0) == b' ' {
                self.skip();
            }
            widest = widest.max(self.mark.column);
            if (*indent == 0 || self.mark.column < *indent) && self.at(0) == b'\t' {
                let text = "found a tab character where an indentation space is expected";
                return Err(Fault::new(text, start));
            }
            if !self.is_break(0) {
                break;
            }
            self.read_line(breaks);
        }
        if *indent == 0 {
            *indent = widest.max((self.indent + 1).max(1) as usize);
        }
        Ok(())
    }
}
