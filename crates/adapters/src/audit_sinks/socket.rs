//! The `socket` sink: lines to a TCP, UDP or unix socket.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use strongroom_base::{Error, Result, parse_duration};
use strongroom_kernel::audit::sinks::Sink;

/// Seconds a write may take if nothing is said (Vault's default).
const WRITE_SECONDS: i64 = 2;

enum Kind {
    Tcp,
    Udp,
    Unix,
}

enum Connection {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Unix(UnixStream),
}

pub(super) struct SocketSink {
    kind: Kind,
    address: String,
    timeout: Duration,
    connection: Option<Connection>,
}

impl SocketSink {
    pub(super) fn open(options: &BTreeMap<String, String>) -> Result<Self> {
        super::only(options, &["address", "socket_type", "write_timeout"])?;
        let address = options.get("address").filter(|a| !a.is_empty());
        let address = address.ok_or_else(|| Error::bad_request("address is required"))?.clone();
        let kind = match options.get("socket_type").map_or("tcp", String::as_str) {
            "tcp" => Kind::Tcp,
            "udp" => Kind::Udp,
            "unix" => Kind::Unix,
            _ => return Err(Error::bad_request("socket_type is tcp, udp or unix")),
        };
        let seconds = match options.get("write_timeout") {
            None => WRITE_SECONDS,
            Some(text) => parse_duration(text)
                .filter(|s| (1..=60).contains(s))
                .ok_or_else(|| Error::bad_request("write_timeout is 1 to 60 seconds"))?,
        };
        let timeout = Duration::from_secs(seconds as u64);
        let mut sink = Self { kind, address, timeout, connection: None };
        sink.connect()
            .map_err(|e| Error::bad_request("nobody listens at the address").because(e))?;
        Ok(sink)
    }

    fn connect(&mut self) -> io::Result<&mut Connection> {
        if self.connection.is_none() {
            self.connection = Some(match self.kind {
                Kind::Tcp => {
                    let address = resolve(&self.address)?;
                    let stream = TcpStream::connect_timeout(&address, self.timeout)?;
                    stream.set_write_timeout(Some(self.timeout))?;
                    Connection::Tcp(stream)
                }
                Kind::Udp => {
                    let address = resolve(&self.address)?;
                    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                    let socket = UdpSocket::bind(any)?;
                    socket.connect(address)?;
                    Connection::Udp(socket)
                }
                Kind::Unix => {
                    let stream = UnixStream::connect(&self.address)?;
                    stream.set_write_timeout(Some(self.timeout))?;
                    Connection::Unix(stream)
                }
            });
        }
        self.connection.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }
}

fn resolve(address: &str) -> io::Result<std::net::SocketAddr> {
    address.to_socket_addrs()?.next().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

impl Sink for SocketSink {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = match self.connect()? {
            Connection::Tcp(stream) => stream.write_all(lines),
            Connection::Unix(stream) => stream.write_all(lines),
            Connection::Udp(socket) => lines
                .split_inclusive(|b| *b == b'\n')
                .try_for_each(|line| super::send_whole(line, |l| socket.send(l).map(|_| ()))),
        };
        if written.is_err() {
            // What was sent of the piece comes again over a new connection.
            self.connection = None;
        }
        written
    }
}
