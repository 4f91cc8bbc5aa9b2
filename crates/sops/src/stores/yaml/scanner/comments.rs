//! Comments, and to which token each belongs: to the one before it (a foot, or on its line), or to
//! the one that follows (a head). The rules are those of go-yaml v3, since the mapping that a
//! comment is in decides how it is encrypted:
//!
//! - at the end of a line with content it is that content's;
//! - below content and before an empty line it is the content's foot;
//! - further left than the block it is in, it is what came before's, not what follows';
//! - anything else is the head of what follows.

use super::super::Fault;
use super::{Mark, Scanner, Shape};

/// How many bytes of blanks and empty lines are looked through for the next comment.
const LOOK_AHEAD_BYTES: usize = 512;

/// A comment, or several lines of it, with their marks (`#`).
#[derive(Debug, Default, Clone)]
pub struct Remark {
    /// Where the search began that found it.
    pub(super) scan: Mark,
    /// The token from which on it is seen.
    pub token: Mark,
    /// Where it starts; the column counts from 1.
    pub(super) start: Mark,
    /// Where it ends.
    pub(super) end: Mark,
    /// The text, if it belongs to what follows.
    pub head: String,
    /// The text, if it stands behind something.
    pub line: String,
    /// The text, if it belongs to what came before.
    pub foot: String,
}

/// A comment that is being gathered.
struct Gathering {
    scan: Mark,
    token: Mark,
    start: Mark,
    text: String,
}

impl Gathering {
    fn end_as_foot(&mut self, end: Mark) -> Remark {
        let foot = Remark {
            scan: self.scan,
            token: self.token,
            start: self.start,
            end,
            foot: std::mem::take(&mut self.text),
            ..Remark::default()
        };
        self.scan = end;
        self.token = end;
        foot
    }
}

impl Scanner<'_> {
    /// Moves to the next token, past blanks, line ends and comments.
    pub(super) fn scan_to_next_token(&mut self) -> Result<(), Fault> {
        let scan_mark = self.mark;
        loop {
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            while self.at(0) == b' ' || (tabs && self.at(0) == b'\t') {
                self.skip();
            }
            self.lift_line_comment();
            if self.at(0) == b'#' {
                self.scan_comments(scan_mark);
            }
            if !self.is_break(0) {
                return Ok(());
            }
            self.skip_line();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    /// `- # comment` with more on the next line: the comment is the head of that.
    fn lift_line_comment(&mut self) {
        let shapes = [1, 0].map(|back| self.recent(back).map(|(shape, _)| shape));
        if shapes != [Some(Shape::SequenceStart), Some(Shape::BlockEntry)] || self.is_break(0) {
            return;
        }
        let mark = self.mark;
        if let Some(remark) = self.remarks.back_mut().filter(|remark| !remark.line.is_empty()) {
            remark.head = std::mem::take(&mut remark.line);
            if remark.start.line + 1 == mark.line {
                remark.token = mark;
            }
        }
    }

    /// Takes over the rest of a comment's line, from where it starts.
    fn read_comment(&mut self, from: usize, text: &mut String) {
        let seen = self.mark.index + from;
        loop {
            if self.is_break_or_end(0) {
                if self.mark.index >= seen || self.at_end() {
                    return;
                }
                self.skip_line();
            } else if self.mark.index >= seen {
                self.read(text);
            } else {
                self.skip();
            }
        }
    }

    /// A comment behind a token, on its line.
    pub(super) fn scan_line_comment(&mut self, token: Mark) {
        if self.newlines > 0 {
            return;
        }
        let Some(from) = (0..LOOK_AHEAD_BYTES).find(|peek| !self.is_blank(*peek)) else { return };
        if self.at(from) != b'#' {
            return;
        }
        let mut start = self.mark;
        start.index += from;
        start.column += from;
        let mut line = String::new();
        self.read_comment(from, &mut line);
        self.remarks.push_back(Remark { token, start, line, ..Remark::default() });
    }

    /// Comments on lines of their own, from here to the next token.
    fn scan_comments(&mut self, scan: Mark) {
        let mut last = self.recent(0);
        if last.is_some_and(|(shape, _)| shape == Shape::FlowEntry) {
            last = self.recent(1).or(last);
        }
        let (shape, token) = last.unwrap_or((Shape::Other, Mark::default()));
        let mut gathering = Gathering { scan, token, start: Mark::default(), text: String::new() };
        // Columns count from 1 here, so that a start that was not seen yet is left of all.
        let mut recent_empty = false;
        let mut first_empty = self.newlines <= 1;
        let mut place = self.mark;
        let foot_line = self.foot_line(scan);
        let mut peek = 0;
        while peek < LOOK_AHEAD_BYTES {
            place.column += 1;
            if self.is_blank(peek) {
                peek += 1;
                continue;
            }
            let indent = self.indent.max(0);
            let here = Mark { index: self.mark.index + peek, ..place };
            let starts = gathering.start.column as i64 - 1;
            let closes = self.flow_level > 0 && matches!(self.at(peek), b']' | b'}');
            if closes || self.is_break_or_end(peek) {
                if closes || !recent_empty {
                    let line = gathering.start.line as i64;
                    let near = line == foot_line && shape != Shape::Value;
                    if closes || (first_empty && (near || starts < indent)) {
                        if !gathering.text.is_empty() {
                            if starts < indent {
                                gathering.token = gathering.start;
                            }
                            let foot = gathering.end_as_foot(here);
                            self.remarks.push_back(foot);
                        }
                    } else if !gathering.text.is_empty() && !self.ends(peek) {
                        gathering.text.push('\n');
                    }
                }
                if !self.is_break(peek) {
                    break;
                }
                first_empty = false;
                recent_empty = true;
                place.column = 0;
                place.line += 1;
                peek += 1;
                continue;
            }
            let left = (place.column as i64 - 1) < indent;
            if !gathering.text.is_empty() && left && place.column != gathering.start.column {
                let foot = gathering.end_as_foot(here);
                self.remarks.push_back(foot);
            }
            if self.at(peek) != b'#' {
                break;
            }
            if gathering.text.is_empty() {
                gathering.start = here;
            } else {
                gathering.text.push('\n');
            }
            recent_empty = false;
            self.read_comment(peek, &mut gathering.text);
            // On from behind the line end at which the comment ended.
            peek = 1;
            place = Mark { line: self.mark.line, column: 0, index: 0 };
        }
        if !gathering.text.is_empty() {
            let end = Mark { index: (self.mark.index + peek).saturating_sub(1), ..place };
            self.remarks.push_back(Remark {
                scan: gathering.scan,
                token: gathering.start,
                start: gathering.start,
                end,
                head: gathering.text,
                ..Remark::default()
            });
        }
    }

    /// The line on which a comment still is a foot of what came before.
    fn foot_line(&self, scan: Mark) -> i64 {
        if scan.line == 0 {
            return -1;
        }
        let line = self.mark.line as i64 - self.newlines as i64 + 1;
        line + i64::from(self.newlines == 0 && self.mark.column > 1)
    }
}
