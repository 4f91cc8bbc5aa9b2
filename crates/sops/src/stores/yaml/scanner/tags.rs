//! Anchors, aliases, tags and directives.

use super::super::Fault;
use super::{Kind, Mark, Scanner};

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

impl Scanner<'_> {
    fn read_word(&mut self) -> String {
        let mut word = String::new();
        while is_word(self.at(0)) {
            self.read(&mut word);
        }
        word
    }

    pub(super) fn fetch_anchor(&mut self) -> Result<(), Fault> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let alias = self.at(0) == b'*';
        self.skip();
        let name = self.read_word();
        let ended = self.is_blank_or_end(0)
            || matches!(self.at(0), b'?' | b':' | b',' | b']' | b'}' | b'%' | b'@' | b'`');
        if name.is_empty() || !ended {
            let problem = "did not find expected alphabetic or numeric character";
            return Err(Fault::new(problem, start));
        }
        self.push(if alias { Kind::Alias(name) } else { Kind::Anchor(name) }, start);
        Ok(())
    }

    pub(super) fn fetch_tag(&mut self) -> Result<(), Fault> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let (handle, suffix) = if self.at(1) == b'<' {
            self.skip_many(2);
            let uri = self.read_uri(String::new(), false, start)?;
            if self.at(0) != b'>' {
                return Err(Fault::new("did not find the expected '>'", start));
            }
            self.skip();
            (String::new(), uri)
        } else {
            let handle = self.read_handle(false, start)?;
            if handle.len() > 1 && handle.ends_with('!') {
                let suffix = self.read_uri(String::new(), false, start)?;
                (handle, suffix)
            } else {
                let head = handle.trim_start_matches('!').to_owned();
                match self.read_uri(head, true, start)? {
                    suffix if suffix.is_empty() => (String::new(), "!".to_owned()),
                    suffix => ("!".to_owned(), suffix),
                }
            }
        };
        if !self.is_blank_or_end(0) {
            return Err(Fault::new("did not find expected whitespace or line break", start));
        }
        self.push(Kind::Tag { handle, suffix }, start);
        Ok(())
    }

    /// `!`, `!!` or `!word!`; in a tag, `!word` may be the start of it.
    fn read_handle(&mut self, directive: bool, start: Mark) -> Result<String, Fault> {
        if self.at(0) != b'!' {
            return Err(Fault::new("did not find expected '!'", start));
        }
        let mut handle = String::new();
        self.read(&mut handle);
        handle.push_str(&self.read_word());
        if self.at(0) == b'!' {
            self.read(&mut handle);
        } else if directive && handle != "!" {
            return Err(Fault::new("did not find expected '!'", start));
        }
        Ok(handle)
    }

    fn read_uri(&mut self, head: String, begun: bool, start: Mark) -> Result<String, Fault> {
        let mut uri = head.into_bytes();
        let mut found = begun;
        while is_word(self.at(0))
            || (self.at(0) != 0 && b";/?:@&=+$,.!~*'()[]%".contains(&self.at(0)))
        {
            found = true;
            if self.at(0) != b'%' {
                uri.push(self.at(0));
                self.skip();
                continue;
            }
            let digits = [1, 2].map(|at| char::from(self.at(at)).to_digit(16));
            let [Some(high), Some(low)] = digits else {
                return Err(Fault::new("did not find URI escaped octet", start));
            };
            uri.push((high * 16 + low) as u8);
            self.skip_many(3);
        }
        match String::from_utf8(uri) {
            Ok(uri) if found => Ok(uri),
            Ok(_) => Err(Fault::new("did not find expected tag URI", start)),
            Err(_) => Err(Fault::new("found an incorrect leading UTF-8 octet", start)),
        }
    }

    pub(super) fn fetch_directive(&mut self) -> Result<(), Fault> {
        self.end_blocks()?;
        let start = self.mark;
        self.skip();
        let name = self.read_word();
        if name.is_empty() {
            return Err(Fault::new("could not find expected directive name", start));
        }
        if !self.is_blank_or_end(0) {
            return Err(Fault::new("found unexpected non-alphabetical character", start));
        }
        self.skip_blanks();
        let kind = match name.as_str() {
            "YAML" => self.version(start)?,
            "TAG" => {
                let handle = self.read_handle(true, start)?;
                if !self.is_blank(0) {
                    return Err(Fault::new("did not find expected whitespace", start));
                }
                self.skip_blanks();
                Kind::TagDirective { handle, prefix: self.read_uri(String::new(), false, start)? }
            }
            _ => return Err(Fault::new("found unknown directive name", start)),
        };
        self.skip_blanks();
        if self.at(0) == b'#' {
            while !self.is_break_or_end(0) {
                self.skip();
            }
        }
        if !self.is_break_or_end(0) {
            return Err(Fault::new("did not find expected comment or line break", start));
        }
        self.skip_line();
        self.push(kind, start);
        Ok(())
    }

    fn version(&mut self, start: Mark) -> Result<Kind, Fault> {
        let major = self.number(start)?;
        if self.at(0) != b'.' {
            return Err(Fault::new("did not find expected digit or '.' character", start));
        }
        self.skip();
        Ok(Kind::VersionDirective(major, self.number(start)?))
    }

    fn number(&mut self, start: Mark) -> Result<u8, Fault> {
        let (mut value, mut digits) = (0, 0);
        while self.at(0).is_ascii_digit() {
            digits += 1;
            if digits > 2 {
                return Err(Fault::new("found extremely long version number", start));
            }
            value = value * 10 + (self.at(0) - b'0');
            self.skip();
        }
        if digits == 0 {
            return Err(Fault::new("did not find expected version number", start));
        }
        Ok(value)
    }
}
