//! A client for one kept-alive connection: blocking, one write and mostly one read per request.
//! It takes just enough of HTTP/1.1 (a length, chunks, or no body) to be cheap and strict.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::Value;

/// Where connections go, and how.
#[derive(Clone)]
pub enum Way {
    /// In the clear.
    Plain(SocketAddr),
    /// By TLS, with what this client has to show.
    Tls(SocketAddr, Arc<ClientConfig>),
}

/// What a connection's bytes go over.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes),
        }
    }
}

/// One connection; a new one in its place where a server closes it after each answer.
pub struct Connection {
    way: Way,
    stream: Stream,
    buffer: Vec<u8>,
    filled: usize,
    /// Has the server closed it?
    closed: bool,
}

/// An answer: its status, and where its body lies in the connection's buffer.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Did it succeed?
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let mut out = format!("{method} /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    if !token.is_empty() {
        out.push_str(&format!("X-Vault-Token: {token}\r\n"));
    }
    if !body.is_empty() || method == "PUT" || method == "POST" {
        out.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    out.push_str("X-Vault-Request: true\r\n\r\n");
    out.push_str(body);
    out.into_bytes()
}

/// Where a successful answer with a length ends in `bytes`, once all of it is there.
pub fn end_of_answer(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(head_end) = find(bytes, b"\r\n\r\n").map(|end| end + 4) else { return Ok(None) };
    let head = std::str::from_utf8(&bytes[..head_end]).map_err(|_| bad("head"))?;
    let status = status(head)?;
    if !(200..300).contains(&status) {
        return Err(io::Error::other(format!("status {status}")));
    }
    let end = head_end + length(head, status)?;
    Ok((bytes.len() >= end).then_some(end))
}

fn status(head: &str) -> io::Result<u16> {
    head.get(9..12).and_then(|s| s.parse().ok()).ok_or_else(|| bad("status"))
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn length(head: &str, status: u16) -> io::Result<usize> {
    match header(head, "content-length") {
        Some(length) => length.parse().map_err(|_| bad("length")),
        None if status == 204 => Ok(0),
        None => Err(bad("an answer without a length")),
    }
}

/// Connects from an address of its own.
pub async fn connect_from(
    from: Ipv4Addr,
    address: SocketAddr,
) -> io::Result<tokio::net::TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Connection {
    /// Connects in the clear.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        Self::by(&Way::Plain(address))
    }

    /// Connects.
    pub fn by(way: &Way) -> io::Result<Self> {
        let (Way::Plain(address) | Way::Tls(address, _)) = way;
        Self::over(TcpStream::connect(address)?, way.clone())
    }

    /// Connects from an address of its own: clients are told apart by them.
    pub fn open_from(from: Ipv4Addr, address: SocketAddr) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let stream = runtime.block_on(connect_from(from, address))?.into_std()?;
        stream.set_nonblocking(false)?;
        Self::over(stream, Way::Plain(address))
    }

    fn over(stream: TcpStream, way: Way) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        let stream = match &way {
            Way::Plain(_) => Stream::Plain(stream),
            Way::Tls(address, config) => {
                let name = ServerName::IpAddress(address.ip().into());
                let tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, stream)))
            }
        };
        Ok(Self { way, stream, buffer: vec![0; 64 * 1024], filled: 0, closed: false })
    }

    /// Sends a request and reads the answer; the body is copied only if `keep`.
    pub fn send(&mut self, request: &[u8], keep: bool) -> io::Result<Answer> {
        if self.closed {
            *self = Self::by(&self.way)?;
        }
        self.stream.write_all(request)?;
        let head_end = loop {
            if let Some(end) = find(&self.buffer[..self.filled], b"\r\n\r\n") {
                break end + 4;
            }
            self.read()?;
        };
        let head = std::str::from_utf8(&self.buffer[..head_end]).map_err(|_| bad("head"))?;
        let status = status(head)?;
        if header(head, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.closed = true;
        }
        if header(head, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
            return Ok(Answer { status, body: self.chunks(head_end)? });
        }
        let length = length(head, status)?;
        while self.filled < head_end + length {
            self.read()?;
        }
        let body =
            if keep { self.buffer[head_end..head_end + length].to_vec() } else { Vec::new() };
        self.consume(head_end + length);
        Ok(Answer { status, body })
    }

    fn read(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let count = self.stream.read(&mut self.buffer[self.filled..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += count;
        Ok(())
    }

    fn consume(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    fn chunks(&mut self, mut at: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line_end = loop {
                if let Some(end) = find(&self.buffer[at..self.filled], b"\r\n") {
                    break at + end;
                }
                self.read()?;
            };
            let line = std::str::from_utf8(&self.buffer[at..line_end]).map_err(|_| bad("chunk"))?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| bad("chunk size"))?;
            let end = line_end + 2 + size + 2;
            while self.filled < end {
                self.read()?;
            }
            body.extend_from_slice(&self.buffer[line_end + 2..line_end + 2 + size]);
            at = end;
            if size == 0 {
                self.consume(end);
                return Ok(body);
            }
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
