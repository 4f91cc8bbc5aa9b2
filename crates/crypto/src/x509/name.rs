//! Distinguished names.

use super::tlv::{self, Reader, Tlv};
use super::{Malformed, Result, oid};

/// Identifiers of the attributes of names.
pub mod attributes {
    /// C.
    pub const COUNTRY: &str = "2.5.4.6";
    /// O.
    pub const ORGANIZATION: &str = "2.5.4.10";
    /// OU.
    pub const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";
    /// L.
    pub const LOCALITY: &str = "2.5.4.7";
    /// ST.
    pub const PROVINCE: &str = "2.5.4.8";
    /// STREET.
    pub const STREET_ADDRESS: &str = "2.5.4.9";
    /// Postal code.
    pub const POSTAL_CODE: &str = "2.5.4.17";
    /// CN.
    pub const COMMON_NAME: &str = "2.5.4.3";
    /// serialNumber (which is no certificate's serial number).
    pub const SERIAL_NUMBER: &str = "2.5.4.5";
    /// UID.
    pub const USER_ID: &str = "0.9.2342.19200300.100.1.1";
}

/// A distinguished name: the bytes it came with.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// The name without attributes.
    pub fn empty() -> Self {
        Self(vec![tlv::SEQUENCE, 0])
    }

    pub(super) fn read(name: &Tlv<'_>) -> Result<Self> {
        if name.tag != tlv::SEQUENCE {
            return Err(Malformed("a name is malformed"));
        }
        let name = Self(name.raw.to_vec());
        name.attributes()?;
        Ok(name)
    }

    /// A name from its DER.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(der);
        let name = reader.next()?;
        reader.end()?;
        Self::read(&name)
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// Has it no attribute?
    pub fn is_empty(&self) -> bool {
        self.0.len() <= 2
    }

    /// Type (dotted) and text of each attribute, in order.
    pub fn attributes(&self) -> Result<Vec<(String, String)>> {
        let mut out = Vec::new();
        let mut rdns = Reader::new(&self.0).sequence()?;
        while !rdns.is_empty() {
            let mut set = rdns.expect(tlv::SET)?.inside();
            while !set.is_empty() {
                let mut pair = set.sequence()?;
                let kind = pair.next()?.oid()?;
                out.push((kind, text(&pair.next()?)));
            }
        }
        Ok(out)
    }

    /// The texts of all attributes of a type.
    pub fn all(&self, kind: &str) -> Vec<String> {
        let attributes = self.attributes().unwrap_or_default();
        attributes.into_iter().filter(|(k, _)| k == kind).map(|(_, text)| text).collect()
    }

    /// The text of the last attribute of a type, or "".
    pub fn last(&self, kind: &str) -> String {
        self.all(kind).pop().unwrap_or_default()
    }
}

/// Text as RFC 4514 has it: the last attribute first.
impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, (kind, text)) in self.attributes().unwrap_or_default().iter().rev().enumerate() {
            let short = match kind.as_str() {
                attributes::COUNTRY => "C",
                attributes::ORGANIZATION => "O",
                attributes::ORGANIZATIONAL_UNIT => "OU",
                attributes::LOCALITY => "L",
                attributes::PROVINCE => "ST",
                attributes::STREET_ADDRESS => "STREET",
                attributes::POSTAL_CODE => "POSTALCODE",
                attributes::COMMON_NAME => "CN",
                attributes::SERIAL_NUMBER => "SERIALNUMBER",
                attributes::USER_ID => "UID",
                other => other,
            };
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{short}=")?;
            for c in text.chars() {
                if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
                    f.write_str("\\")?;
                }
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// The text of a string of any type; bytes that are none become U+FFFD.
fn text(string: &Tlv<'_>) -> String {
    match string.tag {
        tlv::BMP_STRING => {
            let units = string.value.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or('\u{fffd}')).collect()
        }
        tlv::UNIVERSAL_STRING => {
            let chars = string.value.chunks_exact(4).map(|c| {
                char::from_u32(u32::from_be_bytes([c[0], c[1], c[2], c[3]])).unwrap_or('\u{fffd}')
            });
            chars.collect()
        }
        tlv::TELETEX_STRING => string.value.iter().map(|b| char::from(*b)).collect(),
        _ => String::from_utf8_lossy(string.value).into_owned(),
    }
}

/// Builds a name, attribute by attribute.
#[derive(Default)]
pub struct NameBuilder {
    rdns: Vec<Vec<u8>>,
}

impl NameBuilder {
    /// Adds one step with all of `values`, which are of one type; nothing where there are none.
    pub fn step<T: AsRef<str>>(mut self, kind: &'static str, values: &[T]) -> Self {
        let pairs: Vec<Vec<u8>> = values
            .iter()
            .map(|value| tlv::sequence([oid::known(kind), string(value.as_ref())]))
            .collect();
        if !pairs.is_empty() {
            self.rdns.push(tlv::set_of(pairs));
        }
        self
    }

    /// The name.
    pub fn build(self) -> Name {
        Name(tlv::sequence(self.rdns))
    }
}

/// A PrintableString where it can be one, else UTF-8 (RFC 5280 §4.1.2.4).
fn string(text: &str) -> Vec<u8> {
    let printable = |c: char| c.is_ascii_alphanumeric() || " '()+,-./:=?".contains(c);
    let tag = if text.chars().all(printable) { tlv::PRINTABLE_STRING } else { tlv::UTF8_STRING };
    tlv::tlv(tag, text.as_bytes())
}
