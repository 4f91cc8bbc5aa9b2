//! The XML of AWS's answers, read strictly: elements with text or with elements.
//!
//! Invariants:
//! * no document types, entities of its own, comments, sections or instructions: such an answer is
//!   refused, never passed over (threat CVE-2020-16250: what a client smuggled into an answer must not
//!   be found in it);
//! * an element is asked for where it must stand, and must stand there once.

/// Elements within each other.
const DEPTH_MAX: usize = 16;
/// Elements of a document.
const ELEMENTS_MAX: usize = 10_000;

/// The document is not of the kind that is read here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// An element.
#[derive(Debug, PartialEq, Eq)]
pub struct Element {
    /// Its name, with the prefix if it has one.
    pub name: String,
    /// Its text; "" where it has elements.
    pub text: String,
    /// Its elements.
    pub children: Vec<Element>,
}

impl Element {
    /// The one element called `name` right in this one; `None` where there is none, or more than one.
    pub fn only(&self, name: &str) -> Option<&Element> {
        let mut all = self.children.iter().filter(|child| child.name == name);
        all.next().filter(|_| all.next().is_none())
    }

    /// The text of [`Element::only`], which is not empty.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let child = self.only(name)?;
        (child.children.is_empty() && !child.text.is_empty()).then_some(child.text.as_str())
    }
}

/// Reads a document.
pub fn parse(document: &[u8]) -> Result<Element, Malformed> {
    let text = std::str::from_utf8(document).map_err(|_| Malformed)?;
    let mut reader = Reader { rest: text.trim_start_matches(SPACE), elements: 0 };
    if let Some(after) = reader.rest.strip_prefix("<?xml ") {
        let (inside, after) = after.split_once("?>").ok_or(Malformed)?;
        if inside.contains(['<', '>', '?']) {
            return Err(Malformed);
        }
        reader.rest = after.trim_start_matches(SPACE);
    }
    let root = reader.element(0)?;
    if reader.rest.trim_start_matches(SPACE).is_empty() { Ok(root) } else { Err(Malformed) }
}

/// XML's white space.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

struct Reader<'a> {
    rest: &'a str,
    elements: usize,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, text: &str) -> Result<(), Malformed> {
        self.rest = self.rest.strip_prefix(text).ok_or(Malformed)?;
        Ok(())
    }

    fn name(&mut self) -> Result<&'a str, Malformed> {
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-' | '.');
        let end = self.rest.find(|c| !good(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(Malformed);
        }
        self.rest = rest;
        Ok(name)
    }

    /// What stands before `end`, without it.
    fn until(&mut self, end: char) -> Result<&'a str, Malformed> {
        let (inside, rest) = self.rest.split_once(end).ok_or(Malformed)?;
        self.rest = rest;
        Ok(inside)
    }

    fn element(&mut self, depth: usize) -> Result<Element, Malformed> {
        self.elements += 1;
        if depth >= DEPTH_MAX || self.elements > ELEMENTS_MAX {
            return Err(Malformed);
        }
        self.skip("<")?;
        let name = self.name()?;
        let mut element =
            Element { name: name.to_owned(), text: String::new(), children: Vec::new() };
        if self.attributes()? {
            return Ok(element);
        }
        loop {
            let end = self.rest.find('<').ok_or(Malformed)?;
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            unescape(text, &mut element.text)?;
            if let Some(rest) = self.rest.strip_prefix("</") {
                self.rest = rest;
                self.skip(name)?;
                self.rest = self.rest.trim_start_matches(SPACE);
                self.skip(">")?;
                break;
            }
            element.children.push(self.element(depth + 1)?);
        }
        if !element.children.is_empty() {
            if !element.text.trim_matches(SPACE).is_empty() {
                return Err(Malformed);
            }
            element.text.clear();
        }
        Ok(element)
    }

    /// Passes over attributes and the end of a tag; is the element an empty one (`<a/>`)?
    fn attributes(&mut self) -> Result<bool, Malformed> {
        loop {
            let trimmed = self.rest.trim_start_matches(SPACE);
            let spaced = trimmed.len() < self.rest.len();
            self.rest = trimmed;
            if let Some(rest) = self.rest.strip_prefix('>') {
                self.rest = rest;
                return Ok(false);
            }
            if let Some(rest) = self.rest.strip_prefix("/>") {
                self.rest = rest;
                return Ok(true);
            }
            if !spaced {
                return Err(Malformed);
            }
            self.name()?;
            self.skip("=")?;
            let quote = if self.rest.starts_with('\'') { '\'' } else { '"' };
            self.rest = self.rest.strip_prefix(quote).ok_or(Malformed)?;
            if self.until(quote)?.contains('<') {
                return Err(Malformed);
            }
        }
    }
}

fn unescape(text: &str, out: &mut String) -> Result<(), Malformed> {
    let mut pieces = text.split('&');
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (entity, after) = piece.split_once(';').ok_or(Malformed)?;
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            other => {
                let number = other.strip_prefix('#').ok_or(Malformed)?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => number.parse(),
                };
                code.ok().filter(|c| *c >= 0x20).and_then(char::from_u32).ok_or(Malformed)?
            }
        });
        out.push_str(after);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, Malformed, parse};

    #[test]
    fn what_aws_answers_is_read() {
        let root = parse(
            b"<?xml version=\"1.0\"?>\n<R xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\" a='b'>\n  \
              <A>\n    <Arn>arn:aws:iam::1:user/a&amp;b&#x41;&#66;</Arn>\n    <E/>\n  </A >\n</R>\n",
        )
        .unwrap();
        assert_eq!(root.name, "R");
        let inner = root.only("A").unwrap();
        assert_eq!(inner.text_of("Arn"), Some("arn:aws:iam::1:user/a&bAB"));
        assert_eq!((inner.text_of("E"), inner.text_of("none")), (None, None));
    }

    #[test]
    fn two_of_a_kind_are_none() {
        let root = parse(b"<R><A>1</A><A>2</A><B><A>3</A></B></R>").unwrap();
        assert_eq!((root.text_of("A"), root.text_of("B")), (None, None));
    }

    #[test]
    fn all_else_is_refused() {
        for bad in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a><b></a></b>",
            "<a/><b/>",
            "<a/>x",
            "x<a/>",
            "<a>x<b/></a>",
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<a>&x;</a>",
            "<a>&amp</a>",
            "<a>&#0;</a>",
            "<a><!-- b --></a>",
            "<a><![CDATA[b]]></a>",
            "<a><?b?></a>",
            "<?xml version='1.0'?><?b?><a/>",
            "<a b></a>",
            "<a b=c></a>",
            "<a b='<'></a>",
            "<a b='c'd='e'></a>",
            "< a></a>",
            "<a ></a",
            "{\"a\": 1}",
            "<1></1>",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(Malformed), "{bad}");
        }
        assert_eq!(parse(b"<a>\xff</a>"), Err(Malformed));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| "<a>".repeat(depth) + &"</a>".repeat(depth);
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        assert_eq!(parse(nested(DEPTH_MAX + 1).as_bytes()), Err(Malformed));
        assert_eq!(parse(nested(1_000_000).as_bytes()), Err(Malformed));
    }
}
