//! Search filters: their text (RFC 4515) read into a tree, and written for the wire (RFC 4511
//! §4.5.1.7).

use super::Failure;
use super::ber::{put, put_truth};

/// Bytes of a filter's text.
pub const FILTER_BYTES_MAX: usize = 64 * 1024;
/// How deep filters may be nested.
const DEPTH_MAX: usize = 32;

/// A search filter. Attribute names are as written; values are bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Filter {
    /// All of these hold.
    And(Vec<Filter>),
    /// One of these holds.
    Or(Vec<Filter>),
    /// This does not hold.
    Not(Box<Filter>),
    /// A value is equal.
    Equal(String, Vec<u8>),
    /// A value begins, goes on and ends so.
    Substrings {
        /// The attribute.
        attribute: String,
        /// Its beginning; empty is any.
        initial: Vec<u8>,
        /// What comes then, in this order.
        any: Vec<Vec<u8>>,
        /// Its end; empty is any.
        last: Vec<u8>,
    },
    /// A value is equal or greater.
    GreaterOrEqual(String, Vec<u8>),
    /// A value is equal or less.
    LessOrEqual(String, Vec<u8>),
    /// There is a value.
    Present(String),
    /// A value is about equal.
    Approximately(String, Vec<u8>),
    /// A value fits by a matching rule.
    Extensible {
        /// The attribute; empty is any that the rule applies to.
        attribute: String,
        /// The rule's name or number; empty is the attribute's own.
        rule: String,
        /// Are the attributes of the entry's name meant, too?
        of_name: bool,
        /// The value.
        value: Vec<u8>,
    },
}

/// `value` as it stands in a filter's text for itself (RFC 4515 §3).
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'\\' | b'*' | b'(' | b')' | 0 | 0x80.. => {
                out.push('\\');
                out.push_str(&hex::encode([byte]));
            }
            _ => out.push(char::from(byte)),
        }
    }
    out
}

impl Filter {
    /// Reads a filter's text. Spaces between filters are ignored, as other clients do.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if text.len() > FILTER_BYTES_MAX {
            return Err(Failure::wrong("the search filter is too long"));
        }
        let mut parser = Parser { rest: text.trim() };
        let filter = parser.filter(DEPTH_MAX)?;
        if parser.rest.is_empty() { Ok(filter) } else { Err(wrong()) }
    }

    /// Appends it as the wire has it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::And(filters) => put_all(out, 0xa0, filters),
            Self::Or(filters) => put_all(out, 0xa1, filters),
            Self::Not(filter) => put_all(out, 0xa2, std::slice::from_ref(filter)),
            Self::Equal(attribute, value) => put_assertion(out, 0xa3, attribute, value),
            Self::Substrings { attribute, initial, any, last } => {
                let mut pieces = Vec::new();
                if !initial.is_empty() {
                    put(&mut pieces, 0x80, initial);
                }
                for piece in any {
                    put(&mut pieces, 0x81, piece);
                }
                if !last.is_empty() {
                    put(&mut pieces, 0x82, last);
                }
                let mut content = Vec::new();
                put(&mut content, 0x04, attribute.as_bytes());
                put(&mut content, 0x30, &pieces);
                put(out, 0xa4, &content);
            }
            Self::GreaterOrEqual(attribute, value) => put_assertion(out, 0xa5, attribute, value),
            Self::LessOrEqual(attribute, value) => put_assertion(out, 0xa6, attribute, value),
            Self::Present(attribute) => put(out, 0x87, attribute.as_bytes()),
            Self::Approximately(attribute, value) => put_assertion(out, 0xa8, attribute, value),
            Self::Extensible { attribute, rule, of_name, value } => {
                let mut content = Vec::new();
                if !rule.is_empty() {
                    put(&mut content, 0x81, rule.as_bytes());
                }
                if !attribute.is_empty() {
                    put(&mut content, 0x82, attribute.as_bytes());
                }
                put(&mut content, 0x83, value);
                if *of_name {
                    put_truth(&mut content, 0x84, true);
                }
                put(out, 0xa9, &content);
            }
        }
    }
}

fn put_all(out: &mut Vec<u8>, tag: u8, filters: &[impl std::borrow::Borrow<Filter>]) {
    let mut content = Vec::new();
    for filter in filters {
        filter.borrow().encode(&mut content);
    }
    put(out, tag, &content);
}

fn put_assertion(out: &mut Vec<u8>, tag: u8, attribute: &str, value: &[u8]) {
    let mut content = Vec::new();
    put(&mut content, 0x04, attribute.as_bytes());
    put(&mut content, 0x04, value);
    put(out, tag, &content);
}

fn wrong() -> Failure {
    Failure::wrong("the search filter is none")
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn eat(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn filter(&mut self, depth: usize) -> Result<Filter, Failure> {
        let depth = depth.checked_sub(1).ok_or_else(wrong)?;
        if !self.eat("(") {
            return Err(wrong());
        }
        self.skip_spaces();
        let filter = if self.eat("&") {
            Filter::And(self.filters(depth)?)
        } else if self.eat("|") {
            Filter::Or(self.filters(depth)?)
        } else if self.eat("!") {
            self.skip_spaces();
            let filter = self.filter(depth)?;
            self.skip_spaces();
            Filter::Not(Box::new(filter))
        } else {
            let end = self.rest.find(['(', ')']).ok_or_else(wrong)?;
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest;
            item(text)?
        };
        if self.eat(")") { Ok(filter) } else { Err(wrong()) }
    }

    fn filters(&mut self, depth: usize) -> Result<Vec<Filter>, Failure> {
        let mut filters = Vec::new();
        loop {
            self.skip_spaces();
            if !self.rest.starts_with('(') {
                return Ok(filters);
            }
            filters.push(self.filter(depth)?);
        }
    }
}

/// A filter without parentheses inside.
fn item(text: &str) -> Result<Filter, Failure> {
    let (left, value) = text.split_once('=').ok_or_else(wrong)?;
    let left = left.trim();
    if let Some(left) = left.strip_suffix(':') {
        return extensible(left, value);
    }
    let simple = |attribute: &str| attribute_name(attribute.trim());
    match left.char_indices().next_back() {
        Some((at, '>')) => Ok(Filter::GreaterOrEqual(simple(&left[..at])?, unescape(value)?)),
        Some((at, '<')) => Ok(Filter::LessOrEqual(simple(&left[..at])?, unescape(value)?)),
        Some((at, '~')) => Ok(Filter::Approximately(simple(&left[..at])?, unescape(value)?)),
        _ if value == "*" => Ok(Filter::Present(simple(left)?)),
        _ => match value.split_once('*') {
            None => Ok(Filter::Equal(simple(left)?, unescape(value)?)),
            Some((initial, rest)) => {
                let mut pieces: Vec<&str> = rest.split('*').collect();
                let last = unescape(pieces.pop().unwrap_or_default())?;
                let any = pieces.into_iter().filter(|piece| !piece.is_empty()).map(unescape);
                Ok(Filter::Substrings {
                    attribute: simple(left)?,
                    initial: unescape(initial)?,
                    any: any.collect::<Result<_, _>>()?,
                    last,
                })
            }
        },
    }
}

/// `attribute[:dn][:rule]` or `[:dn]:rule`, before its `:=`.
fn extensible(left: &str, value: &str) -> Result<Filter, Failure> {
    let (attribute, rest) = left.split_once(':').unwrap_or((left, ""));
    let (of_name, rule) = match rest.split_once(':') {
        Some((dn, rule)) if dn.eq_ignore_ascii_case("dn") => (true, rule),
        None if rest.eq_ignore_ascii_case("dn") => (true, ""),
        None => (false, rest),
        Some(_) => return Err(wrong()),
    };
    if attribute.is_empty() && rule.is_empty() {
        return Err(wrong());
    }
    let name = |text: &str| if text.is_empty() { Ok(String::new()) } else { attribute_name(text) };
    let (attribute, rule) = (name(attribute)?, name(rule)?);
    Ok(Filter::Extensible { attribute, rule, of_name, value: unescape(value)? })
}

/// The name of an attribute or rule, with its options (RFC 4512 §2.5).
fn attribute_name(text: &str) -> Result<String, Failure> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ';' | '_');
    if !text.is_empty() && text.chars().all(good) { Ok(text.to_owned()) } else { Err(wrong()) }
}

/// The bytes of a value whose special characters are escaped by their two hexadecimal digits.
fn unescape(text: &str) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                let digits = [bytes.next().ok_or_else(wrong)?, bytes.next().ok_or_else(wrong)?];
                let mut plain = [0];
                hex::decode_to_slice(digits, &mut plain).map_err(|_| wrong())?;
                out.extend(plain);
            }
            b'*' | 0 => return Err(wrong()),
            _ => out.push(byte),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(attribute: &str, value: &str) -> Filter {
        Filter::Equal(attribute.into(), value.into())
    }

    #[test]
    fn filters_are_read() {
        let substrings = |initial: &str, any: &[&str], last: &str| Filter::Substrings {
            attribute: "cn".into(),
            initial: initial.into(),
            any: any.iter().map(|piece| piece.as_bytes().to_vec()).collect(),
            last: last.into(),
        };
        let extensible = |attribute: &str, rule: &str, of_name, value: &str| Filter::Extensible {
            attribute: attribute.into(),
            rule: rule.into(),
            of_name,
            value: value.into(),
        };
        for (text, expect) in [
            ("(cn=a)", equal("cn", "a")),
            (" ( cn=a b )", equal("cn", "a b ")),
            ("(cn=)", equal("cn", "")),
            ("(cn=*)", Filter::Present("cn".into())),
            (r"(cn=\2a\28\5C)", equal("cn", "*(\\")),
            ("(cn=a*)", substrings("a", &[], "")),
            ("(cn=*a*b**c)", substrings("", &["a", "b"], "c")),
            ("(n>=1)", Filter::GreaterOrEqual("n".into(), b"1".into())),
            ("(n<=1)", Filter::LessOrEqual("n".into(), b"1".into())),
            ("(n~=1)", Filter::Approximately("n".into(), b"1".into())),
            (
                "(&(a=1)(|(b=2) (!(c=3)))(&))",
                Filter::And(vec![
                    equal("a", "1"),
                    Filter::Or(vec![equal("b", "2"), Filter::Not(Box::new(equal("c", "3")))]),
                    Filter::And(vec![]),
                ]),
            ),
            (
                "(member:1.2.840.113556.1.4.1941:=cn=x,dc=y)",
                extensible("member", "1.2.840.113556.1.4.1941", false, "cn=x,dc=y"),
            ),
            ("(ou:dn:=x)", extensible("ou", "", true, "x")),
            ("(ou:dn:2.4:=x)", extensible("ou", "2.4", true, "x")),
            ("(:dn:2.4:=x)", extensible("", "2.4", true, "x")),
            ("(cn:=x)", extensible("cn", "", false, "x")),
        ] {
            assert_eq!(Filter::parse(text).unwrap(), expect, "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = |n| format!("{}(a=1){}", "(!".repeat(n), ")".repeat(n));
        assert!(Filter::parse(&deep(DEPTH_MAX - 1)).is_ok());
        for text in [
            "",
            "cn=a",
            "(cn=a",
            "(cn=a))",
            "(cn=a)(cn=b)",
            "(cn)",
            "(=a)",
            "(c n=a)",
            r"(cn=\2)",
            r"(cn=\zz)",
            "(cn=a\0)",
            "(!)",
            "(!(a=1)(b=2))",
            "(:=x)",
            "(a:b:c:=x)",
            "(cn>=a*)",
            "(&a=1)",
            &deep(DEPTH_MAX),
            &format!("(cn={})", "a".repeat(FILTER_BYTES_MAX)),
        ] {
            assert!(Filter::parse(text).is_err(), "{text:.40}");
        }
    }

    #[test]
    fn an_escaped_value_stands_for_itself_and_nothing_else() {
        // threats GHSA-6mwx-4547-5vc9, CVE-2025-13357
        for value in ["", "*", "a)(uid=*", "\\2a", "a\0b", "é ü", "(|(a=*))", "a=b<c>d~e:f&!"] {
            let text = format!("(&(cn={0})(x=*{0}z))", escape(value));
            let Filter::And(both) = Filter::parse(&text).unwrap() else { panic!("{text}") };
            assert_eq!(both.len(), 2, "{text}");
            assert_eq!(both.first(), Some(&equal("cn", value)), "{text}");
        }
        assert_eq!(escape("é*"), r"\c3\a9\2a");
    }

    #[test]
    fn the_wire_has_it_as_the_rfc_says() {
        // RFC 4511 §4.5.1.7; bytes worked out by hand
        for (text, expect) in [
            ("(cn=a)", "a3070402636e040161"),
            ("(cn=*)", "8702636e"),
            ("(!(cn=*))", "a2048702636e"),
            ("(&(a=*)(b=*))", "a006870161870162"),
            ("(cn=a*b*c)", "a40f0402636e3009800161810162820163"),
            ("(a:dn:1.2:=x)", "a90e8103312e32820161830178 8401ff"),
        ] {
            let mut out = Vec::new();
            Filter::parse(text).unwrap().encode(&mut out);
            assert_eq!(hex::encode(out), expect.replace(' ', ""), "{text}");
        }
    }
}
