//! How a text is written: what may stand without quotes, what in single ones, what as a block.

/// What a text allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Without quotes, outside of flows.
    pub plain: bool,
    /// In single quotes.
    pub single: bool,
    /// As a block of lines.
    pub block: bool,
    /// Has it line ends?
    pub lines: bool,
}

/// A character that ends a line for readers.
pub fn is_break(letter: char) -> bool {
    matches!(letter, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// A character that needs no escape.
pub fn is_printable(letter: char) -> bool {
    matches!(letter,
        '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Characters outside the basic plane are escaped, too.
fn is_special(letter: char) -> bool {
    letter != '\t' && !is_printable(letter)
}

/// What a text allows.
pub fn allowed(text: &str) -> Allowed {
    if text.is_empty() {
        return Allowed { plain: true, single: true, block: false, lines: false };
    }
    let mut found = Allowed { plain: true, single: true, block: true, lines: false };
    if text.starts_with("---") || text.starts_with("...") {
        found.plain = false;
    }
    let mut after_blank = true;
    let (mut after_space, mut after_break) = (false, false);
    let mut letters = text.chars().peekable();
    let mut first = true;
    while let Some(letter) = letters.next() {
        let last = letters.peek().is_none();
        let before_blank = letters.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
        let indicator = match letter {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
            | '@' | '`'
                if first =>
            {
                true
            }
            '?' | ':' | '-' if first => before_blank,
            ':' => before_blank,
            '#' => after_blank,
            _ => false,
        };
        found.plain &= !indicator;
        if letter == '\t' {
            (found.plain, found.single) = (false, false);
        } else if is_special(letter) {
            (found.plain, found.single, found.block) = (false, false, false);
        }
        if letter == ' ' {
            found.plain &= !(first || last);
            found.block &= !last;
            if after_break {
                (found.plain, found.single) = (false, false);
            }
            (after_space, after_break) = (true, false);
        } else if is_break(letter) {
            found.lines = true;
            found.plain = false;
            if after_space {
                (found.single, found.block) = (false, false);
            }
            (after_space, after_break) = (false, true);
        } else {
            (after_space, after_break) = (false, false);
        }
        after_blank = matches!(letter, ' ' | '\t') || is_break(letter);
        first = false;
    }
    found
}
