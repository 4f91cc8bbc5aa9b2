//! A DNS server for one test: it answers what the test's function says, and nothing else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Texts.
    Txt,
    /// Something else.
    Other,
}

/// A record's data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    /// An address.
    Address(IpAddr),
    /// A text, in pieces.
    Text(Vec<String>),
}

/// A running server.
pub struct DnsServer {
    /// Where it is.
    pub address: SocketAddr,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl DnsServer {
    /// A server that answers by `answer`: the records of a name (in lower case, without a dot at
    /// its end), or none where there is no such name.
    pub fn start(answer: impl Fn(&str, Kind) -> Option<Vec<Data>> + Send + 'static) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = socket.local_addr().expect("an address");
        let ends = Arc::new(AtomicBool::new(false));
        let over = ends.clone();
        let thread = std::thread::spawn(move || {
            let mut query = [0_u8; 4_096];
            while let Ok((length, peer)) = socket.recv_from(&mut query) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                if let Some(reply) = reply(&query[..length], &answer) {
                    // Whoever asked may be gone.
                    let _ = socket.send_to(&reply, peer);
                }
            }
        });
        Self { address, ends, thread: Some(thread) }
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[0], self.address);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// RFC 1035 §4.1.
fn reply(query: &[u8], answer: impl Fn(&str, Kind) -> Option<Vec<Data>>) -> Option<Vec<u8>> {
    let id = query.get(..2)?;
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(std::str::from_utf8(query.get(at..at + length)?).ok()?.to_ascii_lowercase());
        at += length;
    }
    let question = query.get(12..at + 4)?;
    let kind = match query.get(at..at + 2)? {
        [0, 1] => Kind::A,
        [0, 28] => Kind::Aaaa,
        [0, 16] => Kind::Txt,
        _ => Kind::Other,
    };
    let found = answer(&labels.join("."), kind);
    let records: Vec<Vec<u8>> = found.iter().flatten().filter_map(|d| record(d, kind)).collect();
    let mut reply = id.to_vec();
    // An answer with authority, to a question that recursion was asked for; 3: there is no such name.
    reply.extend([0x85, if found.is_some() { 0x80 } else { 0x83 }]);
    reply.extend([0, 1, 0, u8::try_from(records.len()).ok()?, 0, 0, 0, 0]);
    reply.extend(question);
    reply.extend(records.into_iter().flatten());
    Some(reply)
}

/// A record of the question's name, if its data is of the kind that was asked for.
fn record(data: &Data, asked: Kind) -> Option<Vec<u8>> {
    let (kind, data) = match (data, asked) {
        (Data::Address(IpAddr::V4(v4)), Kind::A) => (1, Ipv4Addr::octets(v4).to_vec()),
        (Data::Address(IpAddr::V6(v6)), Kind::Aaaa) => (28, Ipv6Addr::octets(v6).to_vec()),
        (Data::Text(pieces), Kind::Txt) => {
            let mut data = Vec::new();
            for piece in pieces {
                data.push(u8::try_from(piece.len()).expect("a piece has up to 255 bytes"));
                data.extend(piece.as_bytes());
            }
            (16, data)
        }
        _ => return None,
    };
    // The name of the question, of class IN, for no time.
    let mut record = vec![0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 0];
    record.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
    record.extend(data);
    Some(record)
}
