//! The `Authorization` header.

use super::{ALGORITHM, Scope, TERMINATOR};

/// Headers that a signature may cover.
const SIGNED_HEADERS_MAX: usize = 64;

/// What an `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Whose key signed.
    pub access_key: &'a str,
    /// For what.
    pub scope: Scope<'a>,
    /// The headers under the signature: in lower case, sorted, each once.
    pub signed_headers: Vec<&'a str>,
    /// The signature in hex.
    pub signature: &'a str,
}

impl<'a> Authorization<'a> {
    /// Reads the header; `None` where it is not exactly what the algorithm has: each member once, and
    /// no other.
    pub fn parse(value: &'a str) -> Option<Self> {
        let members = value.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let (mut credential, mut headers, mut signature) = (None, None, None);
        for member in members.split(',') {
            let (name, value) = member.trim_matches(' ').split_once('=')?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut headers,
                "Signature" => &mut signature,
                _ => return None,
            };
            if slot.replace(value).is_some() {
                return None;
            }
        }
        Self::of(credential?, headers?, signature?)
    }

    /// The same of its three members.
    pub(super) fn of(credential: &'a str, headers: &'a str, signature: &'a str) -> Option<Self> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if signature.len() != 64 || !signature.bytes().all(hex) {
            return None;
        }
        let (access_key, scope) = read_credential(credential)?;
        Some(Self { access_key, scope, signed_headers: read_headers(headers)?, signature })
    }

    /// Is the header `name` (in lower case) under the signature?
    pub fn signs(&self, name: &str) -> bool {
        self.signed_headers.contains(&name)
    }
}

fn read_credential(text: &str) -> Option<(&str, Scope<'_>)> {
    let mut parts = text.split('/');
    let mut next = || parts.next().filter(|part| is_plain(part));
    let (access_key, date, region, service) = (next()?, next()?, next()?, next()?);
    let dated = date.len() == 8 && date.bytes().all(|b| b.is_ascii_digit());
    let ends = next()? == TERMINATOR && parts.next().is_none();
    (dated && ends).then_some((access_key, Scope { date, region, service }))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn read_headers(text: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = text.split(';').collect();
    let lower = |name: &&str| is_plain(name) && !name.bytes().any(|b| b.is_ascii_uppercase());
    let in_order = names.windows(2).all(|two| two[0] < two[1]);
    (names.len() <= SIGNED_HEADERS_MAX && names.iter().all(lower) && in_order).then_some(names)
}
