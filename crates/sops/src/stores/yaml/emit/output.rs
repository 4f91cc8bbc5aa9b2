//! Comments where they belong, and characters.

use super::super::style::is_break;
use super::Emitter;

impl Emitter<'_> {
    pub(super) fn write_head(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.write_indent();
            self.comment(&tail);
            self.foot_indent = self.indent.max(0);
        }
        if !self.head.is_empty() {
            let head = std::mem::take(&mut self.head);
            self.write_indent();
            self.comment(&head);
        }
    }

    pub(super) fn write_line(&mut self, with_break: bool) {
        if self.line.is_empty() {
            if with_break {
                self.put_break();
            }
            return;
        }
        let line = std::mem::take(&mut self.line);
        if !self.whitespace {
            self.put(' ');
        }
        self.comment(&line);
    }

    pub(super) fn write_foot(&mut self) {
        if !self.foot.is_empty() {
            let foot = std::mem::take(&mut self.foot);
            self.write_indent();
            self.comment(&foot);
            self.foot_indent = self.indent.max(0);
        }
    }

    pub(super) fn comment(&mut self, text: &str) {
        let broken = self.lines(text, false, |own, letter, starts| {
            if starts && letter != '#' {
                own.put_text("# ");
            }
            own.put(letter);
        });
        if !broken {
            self.put_break();
        }
        self.whitespace = true;
    }

    /// Writes a text over lines: line ends as they are, what follows one (and the first line, with
    /// `indents`) indented, and each other letter by `put`, which is told whether a line starts with it.
    /// Ends it with a line end?
    pub(super) fn lines(
        &mut self,
        text: &str,
        indents: bool,
        mut put: impl FnMut(&mut Self, char, bool),
    ) -> bool {
        let (mut indents, mut starts) = (indents, true);
        for letter in text.chars() {
            if is_break(letter) {
                self.put_break_as(letter);
                (indents, starts) = (true, true);
                continue;
            }
            if std::mem::take(&mut indents) {
                self.write_indent();
            }
            put(self, letter, std::mem::take(&mut starts));
            self.indention = false;
        }
        indents && !text.is_empty()
    }

    pub(super) fn put(&mut self, letter: char) {
        self.out.push(letter);
        self.column += 1;
    }

    pub(super) fn put_text(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count() as i64;
    }

    pub(super) fn put_break(&mut self) {
        self.put_break_as('\n');
    }

    pub(super) fn put_break_as(&mut self, letter: char) {
        self.out.push(letter);
        self.column = 0;
        self.indention = true;
    }

    pub(super) fn write_indent(&mut self) {
        let indent = self.indent.max(0);
        let past = self.column > indent || (self.column == indent && !self.whitespace);
        if !self.indention || past {
            self.put_break();
        }
        if self.foot_indent == indent {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
        self.foot_indent = -1;
    }

    pub(super) fn indicator(&mut self, text: &str, apart: bool, whitespace: bool, indention: bool) {
        if apart && !self.whitespace {
            self.put(' ');
        }
        self.put_text(text);
        self.whitespace = whitespace;
        self.indention &= indention;
    }
}
