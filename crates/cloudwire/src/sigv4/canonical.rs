//! The canonical form of a request.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::Request;

/// The canonical request over the headers `signed` (in lower case, sorted); `None` where one of them
/// is not in the request.
pub fn canonical_request<T: AsRef<str>>(
    request: Request<'_, T>,
    signed: &[&str],
) -> Option<String> {
    let mut out = String::with_capacity(BYTES);
    let path = path(request.path, request.normalise);
    let _ = writeln!(out, "{}\n{path}\n{}", request.method, query(request.query));
    for name in signed {
        out.push_str(name);
        let mut mark = ':';
        for (_, value) in named(request.headers, name) {
            out.push(mark);
            spaces_once(&mut out, value.as_ref());
            mark = ',';
        }
        if mark == ':' {
            return None;
        }
        out.push('\n');
    }
    out.push('\n');
    for (i, name) in signed.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { ";" });
        out.push_str(name);
    }
    out.push('\n');
    out.push_str(request.payload);
    Some(out)
}

/// Bytes of most canonical requests.
const BYTES: usize = 768;

/// The headers of a name, whatever its case.
fn named<'a, T: AsRef<str>>(headers: &'a [(T, T)], name: &str) -> impl Iterator<Item = &'a (T, T)> {
    headers.iter().filter(move |(own, _)| own.as_ref().eq_ignore_ascii_case(name))
}

/// A header's value without spaces around it, and with single ones inside.
fn spaces_once(out: &mut String, value: &str) {
    let is_space = |b: u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let bytes = value.as_bytes();
    let ends = [bytes.first(), bytes.last()].into_iter().flatten().any(|b| is_space(*b));
    let odd = |two: &[u8]| is_space(two[1]) && (two[1] != b' ' || is_space(two[0]));
    if !ends && !bytes.windows(2).any(odd) {
        // As most are.
        out.push_str(value);
        return;
    }
    let words = value.split([' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
    for (i, word) in words.enumerate() {
        out.push_str(if i == 0 { "" } else { " " });
        out.push_str(word);
    }
}

fn path(path: &str, normalise: bool) -> String {
    if path == "/" {
        return path.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut folder = false;
    for segment in path.split('/').skip(1) {
        folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." if normalise => {}
            ".." if normalise => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let mut path = String::new();
    for segment in &kept {
        path.push('/');
        // What is sent encoded is encoded once more, but for S3.
        path.push_str(&if normalise { uri_encode(segment) } else { once_encoded(segment) });
    }
    if path.is_empty() || normalise && folder {
        path.push('/');
    }
    path
}

/// Parameters by name and then value, each in one encoding.
fn query(query: &str) -> String {
    let mut pairs: BTreeMap<(String, String), usize> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        *pairs.entry((once_encoded(name), once_encoded(value))).or_default() += 1;
    }
    let pairs = pairs
        .into_iter()
        .flat_map(|((name, value), times)| std::iter::repeat_n(format!("{name}={value}"), times));
    pairs.collect::<Vec<_>>().join("&")
}

fn once_encoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let escaped =
            more.get(..2).filter(|_| *first == b'%').and_then(|digits| hex::decode(digits).ok());
        match escaped {
            Some(byte) => {
                bytes.extend(byte);
                rest = more.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    encoded(&bytes)
}

/// Percent-encodes all but RFC 3986's unreserved characters.
pub fn uri_encode(text: &str) -> String {
    encoded(text.as_bytes())
}

fn encoded(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(*byte));
            }
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
