//! Columns to blocks, and which scalar is a key.

use super::super::Fault;
use super::{DEPTH_MAX, Kind, Mark, Scanner, SimpleKey, Token};

impl Scanner<'_> {
    /// Opens a block at a column further right than the innermost. Its token goes before the one of
    /// that number, or to the end.
    fn roll_indent(
        &mut self,
        column: usize,
        number: Option<usize>,
        kind: Kind,
        start: Mark,
    ) -> Result<(), Fault> {
        let column = column as i64;
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > DEPTH_MAX {
            return self.fault(&format!("exceeded max depth of {DEPTH_MAX}"));
        }
        self.insert(number, Token { kind, start });
        Ok(())
    }

    fn insert(&mut self, number: Option<usize>, token: Token) {
        match number.map(|number| number.saturating_sub(self.taken)) {
            Some(at) if at <= self.tokens.len() => self.tokens.insert(at, token),
            _ => self.tokens.push_back(token),
        }
    }

    /// Closes the blocks that are further right than a column. A block ends before comments that
    /// stand further left, so that those become comments of the blocks around it.
    pub(super) fn unroll_indent(&mut self, column: i64, scan_mark: Mark) {
        if self.flow_level > 0 {
            return;
        }
        let mut end = scan_mark;
        end.index = end.index.saturating_sub(1);
        while self.indent > column {
            let mut stop = end.index;
            for remark in self.remarks.iter().rev() {
                if remark.end.index < stop {
                    break;
                }
                if remark.start.column as i64 == self.indent + 1 {
                    end = remark.start;
                }
                // Where one comment ends at the start of the search for the next, there is nothing
                // between them.
                stop = remark.scan.index;
            }
            self.tokens.push_back(Token { kind: Kind::BlockEnd, start: end });
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    pub(super) fn simple_key_is_valid(&mut self, at: usize) -> Result<bool, Fault> {
        let mark = self.mark;
        let Some(key) = self.simple_keys.get_mut(at) else { return Ok(false) };
        if !key.possible {
            return Ok(false);
        }
        if key.mark.line < mark.line || key.mark.index + super::SIMPLE_KEY_MAX < mark.index {
            if key.required {
                return Err(Fault::new("could not find expected ':'", key.mark));
            }
            key.possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    pub(super) fn save_simple_key(&mut self) -> Result<(), Fault> {
        if !self.simple_key_allowed {
            return Ok(());
        }
        let key = SimpleKey {
            possible: true,
            required: self.flow_level == 0 && self.indent == self.mark.column as i64,
            number: self.taken + self.tokens.len(),
            mark: self.mark,
        };
        self.remove_simple_key()?;
        let at = self.simple_keys.len().saturating_sub(1);
        if let Some(last) = self.simple_keys.last_mut() {
            *last = key;
            self.keys_by_token.insert(key.number, at);
        }
        Ok(())
    }

    pub(super) fn remove_simple_key(&mut self) -> Result<(), Fault> {
        let Some(key) = self.simple_keys.last_mut() else { return Ok(()) };
        if key.possible {
            if key.required {
                return Err(Fault::new("could not find expected ':'", key.mark));
            }
            key.possible = false;
            self.keys_by_token.remove(&key.number);
        }
        Ok(())
    }

    pub(super) fn fetch_block_entry(&mut self) -> Result<(), Fault> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.fault("block sequence entries are not allowed in this context");
            }
            self.roll_indent(self.mark.column, None, Kind::BlockSequenceStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push(Kind::BlockEntry, self.mark);
        self.skip();
        Ok(())
    }

    pub(super) fn fetch_key(&mut self) -> Result<(), Fault> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return self.fault("mapping keys are not allowed in this context");
            }
            self.roll_indent(self.mark.column, None, Kind::BlockMappingStart, self.mark)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push(Kind::Key, self.mark);
        self.skip();
        Ok(())
    }

    pub(super) fn fetch_value(&mut self) -> Result<(), Fault> {
        let last = self.simple_keys.len().saturating_sub(1);
        if self.simple_key_is_valid(last)? {
            let key = self.simple_keys[last];
            self.insert(Some(key.number), Token { kind: Kind::Key, start: key.mark });
            let (column, number) = (key.mark.column, Some(key.number));
            self.roll_indent(column, number, Kind::BlockMappingStart, key.mark)?;
            self.simple_keys[last].possible = false;
            self.keys_by_token.remove(&key.number);
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return self.fault("mapping values are not allowed in this context");
                }
                self.roll_indent(self.mark.column, None, Kind::BlockMappingStart, self.mark)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push(Kind::Value, self.mark);
        self.skip();
        Ok(())
    }
}
