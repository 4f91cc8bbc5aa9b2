//! Alternative names (RFC 5280 §4.2.1.6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::tlv::{self, Reader, Tlv};
use super::{Malformed, Result, oid};

/// Names that are read of one certificate or request.
const NAMES_MAX: usize = 1_000;

/// One name of a GeneralNames.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum GeneralName {
    /// An otherName whose value is a UTF-8 text: its type, dotted, and the text.
    Other(String, String),
    /// An e-mail address.
    Email(String),
    /// A host name.
    Dns(String),
    /// A URI.
    Uri(String),
    /// An address.
    Ip(IpAddr),
    /// A name of another form: its DER.
    Unknown(Vec<u8>),
}

impl GeneralName {
    pub(super) fn read(name: &Tlv<'_>) -> Result<Self> {
        let ascii = || {
            let text = std::str::from_utf8(name.value).ok().filter(|t| t.is_ascii());
            text.map(str::to_owned).ok_or(Malformed("an alternative name is not ASCII"))
        };
        Ok(match name.tag & !0x20 {
            0x80 => other(name)?,
            0x81 => Self::Email(ascii()?),
            0x82 => Self::Dns(ascii()?),
            0x86 => Self::Uri(ascii()?),
            0x87 => match name.value.len() {
                4 | 16 => Self::Ip(address(name.value)?),
                _ => return Err(Malformed("an address has another length")),
            },
            _ => Self::Unknown(name.raw.to_vec()),
        })
    }

    /// Its DER.
    pub fn der(&self) -> Result<Vec<u8>> {
        Ok(match self {
            Self::Other(kind, text) => {
                let text = tlv::tlv(tlv::UTF8_STRING, text.as_bytes());
                let value = tlv::tlv(tlv::context_around(0), &text);
                tlv::all(tlv::context_around(0), [oid::encode(kind)?, value])
            }
            Self::Email(text) => ia5(1, text)?,
            Self::Dns(text) => ia5(2, text)?,
            Self::Uri(text) => ia5(6, text)?,
            Self::Ip(IpAddr::V4(ip)) => tlv::tlv(tlv::context(7), &ip.octets()),
            Self::Ip(IpAddr::V6(ip)) => tlv::tlv(tlv::context(7), &ip.octets()),
            Self::Unknown(der) => der.clone(),
        })
    }

    /// The names of a GeneralNames.
    pub(super) fn read_all(value: &[u8]) -> Result<Vec<Self>> {
        let mut outer = Reader::new(value);
        let mut names = outer.sequence()?;
        outer.end()?;
        let mut out = Vec::new();
        while !names.is_empty() {
            if out.len() >= NAMES_MAX {
                return Err(Malformed("it has too many alternative names"));
            }
            out.push(Self::read(&names.next()?)?);
        }
        Ok(out)
    }

    /// A GeneralNames.
    pub(super) fn all_der(names: &[Self]) -> Result<Vec<u8>> {
        let names: Vec<Vec<u8>> = names.iter().map(Self::der).collect::<Result<_>>()?;
        Ok(tlv::sequence(names))
    }
}

fn ia5(tag: u8, text: &str) -> Result<Vec<u8>> {
    if !text.is_ascii() {
        return Err(Malformed("an alternative name is not ASCII"));
    }
    Ok(tlv::tlv(tlv::context(tag), text.as_bytes()))
}

/// An otherName; one whose value is no UTF-8 text stays as it is.
fn other(name: &Tlv<'_>) -> Result<GeneralName> {
    let mut inside = name.inside();
    let kind = inside.next()?.oid()?;
    let value = inside.expect(tlv::context_around(0))?;
    let text = value.inside().next()?;
    Ok(match std::str::from_utf8(text.value) {
        Ok(utf8) if text.tag == tlv::UTF8_STRING => GeneralName::Other(kind, utf8.to_owned()),
        _ => GeneralName::Unknown(name.raw.to_vec()),
    })
}

pub(super) fn address(bytes: &[u8]) -> Result<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(Ipv4Addr::from(four).into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).map_err(|_| Malformed("not an address"))?;
    Ok(Ipv6Addr::from(sixteen).into())
}
