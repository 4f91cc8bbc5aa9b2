//! Messages to a directory and from it (RFC 4511 §4).

use zeroize::Zeroizing;

use super::ber::{self, ENUMERATED, INTEGER, OCTETS, Reader, SEQUENCE, SET, malformed, put};
use super::{Aliases, Entry, Failure, Scope, Search};

/// The extended operation that begins TLS (RFC 4511 §4.14).
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// The control that asks for a page of a search's answer (RFC 2696).
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

const BIND: u8 = 0x60;
const BIND_ANSWER: u8 = 0x61;
const SEARCH: u8 = 0x63;
const SEARCH_ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const SEARCH_REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x77;
const EXTENDED_ANSWER: u8 = 0x78;
const INTERMEDIATE: u8 = 0x79;
const SIMPLE: u8 = 0x80;
const REQUEST_NAME: u8 = 0x80;
const CONTROLS: u8 = 0xa0;

/// Bytes to send; a password may be among them.
pub(super) type Bytes = Zeroizing<Vec<u8>>;

fn message(id: u32, operation: u8, content: &[u8], controls: &[u8]) -> Bytes {
    let mut inner = Zeroizing::new(Vec::with_capacity(content.len() + controls.len() + 16));
    ber::put_number(&mut inner, INTEGER, id);
    put(&mut inner, operation, content);
    if !controls.is_empty() {
        put(&mut inner, CONTROLS, controls);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(inner.len() + 8));
    put(&mut out, SEQUENCE, &inner);
    out
}

/// A simple bind; both empty is anonymous.
pub(super) fn bind(id: u32, name: &str, password: &str) -> Bytes {
    let mut content = Zeroizing::new(Vec::with_capacity(name.len() + password.len() + 16));
    ber::put_number(&mut content, INTEGER, 3);
    put(&mut content, OCTETS, name.as_bytes());
    put(&mut content, SIMPLE, password.as_bytes());
    message(id, BIND, &content, &[])
}

/// The wish to go on with TLS.
pub(super) fn start_tls(id: u32) -> Bytes {
    let mut content = Vec::new();
    put(&mut content, REQUEST_NAME, START_TLS.as_bytes());
    message(id, EXTENDED, &content, &[])
}

/// A search. `page` is what the page before ended with, where the answer comes in pages.
pub(super) fn search(id: u32, search: &Search, seconds: u32, page: Option<&[u8]>) -> Bytes {
    let mut content = Vec::new();
    put(&mut content, OCTETS, search.base.as_bytes());
    let scope = match search.scope {
        Scope::Base => 0,
        Scope::Subtree => 2,
    };
    ber::put_number(&mut content, ENUMERATED, scope);
    let aliases = match search.aliases {
        Aliases::Never => 0,
        Aliases::Searching => 1,
        Aliases::Finding => 2,
        Aliases::Always => 3,
    };
    ber::put_number(&mut content, ENUMERATED, aliases);
    ber::put_number(&mut content, INTEGER, search.size_limit);
    ber::put_number(&mut content, INTEGER, seconds);
    ber::put_truth(&mut content, ber::BOOLEAN, false);
    search.filter.encode(&mut content);
    let mut attributes = Vec::new();
    for attribute in &search.attributes {
        put(&mut attributes, OCTETS, attribute.as_bytes());
    }
    put(&mut content, SEQUENCE, &attributes);
    let mut controls = Vec::new();
    if let Some(page) = page {
        let mut value = Vec::new();
        ber::put_number(&mut value, INTEGER, search.page_size);
        put(&mut value, OCTETS, page);
        let mut sequence = Vec::new();
        put(&mut sequence, SEQUENCE, &value);
        let mut control = Vec::new();
        put(&mut control, OCTETS, PAGED_RESULTS.as_bytes());
        put(&mut control, OCTETS, &sequence);
        put(&mut controls, SEQUENCE, &control);
    }
    message(id, SEARCH, &content, &controls)
}

/// What a directory says.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// An entry that was found.
    Entry(Entry),
    /// Something between that we have no use for: a reference to another directory, a notice.
    Aside,
    /// The end of what was asked, with its result code; and what the next page begins with.
    Done(u32, Vec<u8>),
}

/// Which answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// That of a bind.
    Bind,
    /// Those of a search.
    Search,
    /// That of an extended operation.
    Extended,
}

/// Reads the content of a message that answers the request with this number.
pub(super) fn read(message: &[u8], id: u32, awaited: Awaited) -> Result<Said, Failure> {
    let mut reader = Reader::new(message);
    let number = reader.number(INTEGER)?;
    let (tag, content) = reader.next()?;
    if number == 0 {
        // Nobody asked: the notice that the directory breaks off (RFC 4511 §4.4.1).
        return Err(Failure::broken("the directory broke off"));
    }
    if number != id {
        return Err(malformed());
    }
    match (tag, awaited) {
        (BIND_ANSWER, Awaited::Bind)
        | (SEARCH_DONE, Awaited::Search)
        | (EXTENDED_ANSWER, Awaited::Extended) => {
            let code = Reader::new(content).number(ENUMERATED)?;
            let page = if reader.is_at_end() { Vec::new() } else { next_page(reader)? };
            Ok(Said::Done(code, page))
        }
        (SEARCH_ENTRY, Awaited::Search) => Ok(Said::Entry(entry(content)?)),
        (SEARCH_REFERENCE | INTERMEDIATE, Awaited::Search) => Ok(Said::Aside),
        _ => Err(malformed()),
    }
}

fn entry(content: &[u8]) -> Result<Entry, Failure> {
    let mut reader = Reader::new(content);
    let name = text(reader.expect(OCTETS)?)?;
    let mut list = Reader::new(reader.expect(SEQUENCE)?);
    let mut attributes = Vec::new();
    while !list.is_at_end() {
        let mut attribute = Reader::new(list.expect(SEQUENCE)?);
        let kind = text(attribute.expect(OCTETS)?)?;
        let mut set = Reader::new(attribute.expect(SET)?);
        let mut values = Vec::new();
        while !set.is_at_end() {
            values.push(set.expect(OCTETS)?.to_vec());
        }
        attributes.push((kind, values));
    }
    Ok(Entry { name, attributes })
}

fn text(bytes: &[u8]) -> Result<String, Failure> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| malformed())
}

/// What the control of pages says; empty is the last page.
fn next_page(mut reader: Reader<'_>) -> Result<Vec<u8>, Failure> {
    let (CONTROLS, controls) = reader.next()? else { return Ok(Vec::new()) };
    let mut controls = Reader::new(controls);
    while !controls.is_at_end() {
        let mut control = Reader::new(controls.expect(SEQUENCE)?);
        if control.expect(OCTETS)? != PAGED_RESULTS.as_bytes() {
            continue;
        }
        let value = match control.next()? {
            (ber::BOOLEAN, _) => control.expect(OCTETS)?,
            (OCTETS, value) => value,
            _ => return Err(malformed()),
        };
        let mut value = Reader::new(Reader::new(value).expect(SEQUENCE)?);
        value.number(INTEGER)?;
        return Ok(value.expect(OCTETS)?.to_vec());
    }
    Ok(Vec::new())
}
