//! The PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`): a proxy tells, before
//! anything else, whose connection it passes on.
//!
//! Invariant: a header of an address that is not trusted never sets the peer's address.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;
use tokio::io::AsyncReadExt;

use super::{PeerAddress, socket::Transport};

/// `proxy_protocol_behavior` with its `proxy_protocol_authorized_addrs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyPolicy {
    /// No PROXY protocol.
    Off,
    /// A header of anybody is believed (`use_always`).
    UseAlways,
    /// Headers of these are believed, those of others are read and ignored
    /// (`allow_authorized`).
    AllowAuthorized(Vec<IpNet>),
    /// Connections of all others are refused (`deny_unauthorized`).
    DenyUnauthorized(Vec<IpNet>),
}

/// What to do with a header of a certain address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Leave,
    Use,
    Ignore,
    Reject,
}

impl ProxyPolicy {
    fn for_address(&self, address: &PeerAddress) -> Policy {
        let listed = |nets: &[IpNet]| contains(nets, address.ip());
        match self {
            Self::Off => Policy::Leave,
            Self::UseAlways => Policy::Use,
            Self::AllowAuthorized(nets) | Self::DenyUnauthorized(nets) if listed(nets) => {
                Policy::Use
            }
            Self::AllowAuthorized(_) => Policy::Ignore,
            Self::DenyUnauthorized(_) => Policy::Reject,
        }
    }

    /// Is a header of `address` believed?
    pub fn trusts(&self, address: &PeerAddress) -> bool {
        self.for_address(address) == Policy::Use
    }
}

/// Does one of `nets` hold `address`? An IPv4 address mapped into IPv6 counts as IPv4.
pub fn contains(nets: &[IpNet], address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| {
        let address = address.to_canonical();
        nets.iter().any(|net| net.contains(&address))
    })
}

const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V1_START: &[u8] = b"PROXY ";
/// The longest version 1 header, with its line end.
const V1_BYTES_MAX: usize = 107;
/// The longest version 2 body that is read: addresses and a few TLVs.
const V2_BODY_BYTES_MAX: usize = 4096;

/// Reads the header, if there is one, and says whose connection it is.
pub async fn unwrap(
    policy: &ProxyPolicy,
    mut transport: Transport,
    address: PeerAddress,
) -> io::Result<(Transport, PeerAddress)> {
    let policy = policy.for_address(&address);
    if policy == Policy::Leave {
        return Ok((transport, address));
    }
    if policy == Policy::Reject {
        return Err(bad("not authorised to use the PROXY protocol"));
    }
    let mut read = Vec::with_capacity(V1_BYTES_MAX);
    let found = loop {
        match parse(&read)? {
            Parsed::More => {
                if transport.read_buf(&mut read).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Parsed::None => break None,
            Parsed::Header { bytes, source } => break Some((bytes, source)),
        }
    };
    let (used, source) = found.unwrap_or((0, None));
    read.drain(..used);
    transport.unread(read);
    let address = match source {
        Some(source) if policy == Policy::Use => PeerAddress::Ip(source),
        _ => address,
    };
    Ok((transport, address))
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[derive(Debug, PartialEq)]
enum Parsed {
    /// It may become a header.
    More,
    /// It is none.
    None,
    /// So many bytes of header; the source, unless the proxy speaks for itself.
    Header { bytes: usize, source: Option<SocketAddr> },
}

fn parse(read: &[u8]) -> io::Result<Parsed> {
    let starts = |whole: &[u8]| {
        let count = read.len().min(whole.len());
        read.get(..count) == whole.get(..count)
    };
    match () {
        () if starts(V2_SIGNATURE) => parse_v2(read),
        () if starts(V1_START) => parse_v1(read),
        () => Ok(Parsed::None),
    }
}

fn parse_v1(read: &[u8]) -> io::Result<Parsed> {
    let window = read.get(..V1_BYTES_MAX).unwrap_or(read);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if read.len() >= V1_BYTES_MAX {
            Err(bad("PROXY header too long"))
        } else {
            Ok(Parsed::More)
        };
    };
    let line = window.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    let line = line.ok_or_else(|| bad("PROXY header is no text"))?;
    let words: Vec<&str> = line.split(' ').collect();
    let source = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", source, _, port, _] => {
            let ip: Ipv4Addr = source.parse().map_err(|_| bad("bad PROXY address"))?;
            Some(SocketAddr::new(ip.into(), port.parse().map_err(|_| bad("bad PROXY port"))?))
        }
        ["PROXY", "TCP6", source, _, port, _] => {
            let ip: Ipv6Addr = source.parse().map_err(|_| bad("bad PROXY address"))?;
            Some(SocketAddr::new(ip.into(), port.parse().map_err(|_| bad("bad PROXY port"))?))
        }
        _ => return Err(bad("malformed PROXY header")),
    };
    Ok(Parsed::Header { bytes: end + 2, source })
}

fn parse_v2(read: &[u8]) -> io::Result<Parsed> {
    let Some(&[command, family, high, low]) = read.get(12..16) else { return Ok(Parsed::More) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 {
        return Err(bad("unknown PROXY version"));
    }
    if length > V2_BODY_BYTES_MAX {
        return Err(bad("PROXY header too long"));
    }
    let Some(body) = read.get(16..16 + length) else { return Ok(Parsed::More) };
    let source = match (command & 0xf, family >> 4) {
        // LOCAL: the proxy's own health check.
        (0, _) => None,
        (1, 1) => source_v2::<4>(body)?,
        (1, 2) => source_v2::<16>(body)?,
        // Unspecified, or a unix socket at the proxy.
        (1, _) => None,
        _ => return Err(bad("unknown PROXY command")),
    };
    Ok(Parsed::Header { bytes: 16 + length, source })
}

/// Source and destination address, then source and destination port.
fn source_v2<const N: usize>(body: &[u8]) -> io::Result<Option<SocketAddr>>
where
    IpAddr: From<[u8; N]>,
{
    let address: [u8; N] = body
        .get(..N)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| bad("PROXY addresses are cut off"))?;
    let Some(&[high, low, _, _]) = body.get(2 * N..2 * N + 4) else {
        return Err(bad("PROXY ports are cut off"));
    };
    Ok(Some(SocketAddr::new(address.into(), u16::from_be_bytes([high, low]))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut out = V2_SIGNATURE.to_vec();
        out.extend([command, family]);
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn reads_both_versions() {
        let header = |bytes, source: &str| Parsed::Header { bytes, source: source.parse().ok() };
        let four = [10, 0, 0, 9, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
        for (input, expect) in [
            (&b""[..], Parsed::More),
            (b"PRO", Parsed::More),
            (b"\r\n\r\n\0", Parsed::More),
            (b"GET / HTTP/1.1\r\n", Parsed::None),
            (b"PROXX", Parsed::None),
            (b"\x16\x03\x01", Parsed::None),
            (b"PROXY TCP4 10.0.0.9 10.0.0.1 4660 80", Parsed::More),
            (b"PROXY TCP4 10.0.0.9 10.0.0.1 4660 80\r\nGET", header(38, "10.0.0.9:4660")),
            (b"PROXY TCP6 ::9 ::1 5 80\r\n", header(25, "[::9]:5")),
            (b"PROXY UNKNOWN\r\n", header(15, "")),
            (&v2(0x21, 0x11, &four), header(28, "10.0.0.9:4660")),
            (&v2(0x20, 0x00, &[]), header(16, "")),
        ] {
            assert_eq!(parse(input).unwrap(), expect, "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn refuses_the_malformed() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for input in [
            &b"PROXY TCP4 10.0.0.9 80\r\n"[..],
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 10.0.0.9 10.0.0.1 99999 80\r\n",
            b"PROXY \xff\r\n",
            &long,
            &v2(0x11, 0x11, &[0; 12]),
            &v2(0x22, 0x11, &[0; 12]),
            &v2(0x21, 0x11, &[0; 11]),
            &v2(0x21, 0x21, &[0; 12]),
            &v2(0x21, 0x11, &vec![0; V2_BODY_BYTES_MAX + 1]),
        ] {
            assert!(parse(input).is_err(), "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn no_bytes_panic() {
        let fuzz = strongroom_testkit::fuzz::Fuzz::new(6);
        let v1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 5000 443\r\nGET / HTTP/1.1\r\n".as_slice();
        let v2 =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x01\x13\x88\x01\xbb";
        for _ in 0..3_000 {
            let _ = parse(&fuzz.input(&[v1, v2.as_slice()]));
        }
    }
}
