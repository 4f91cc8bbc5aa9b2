//! The `syslog` sink: a datagram a line to the machine's syslog socket (RFC 3164 form).

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixDatagram;

use strongroom_base::{Error, Result};
use strongroom_kernel::audit::sinks::Sink;

/// Where syslog daemons listen.
const SOCKETS: &[&str] = &["/dev/log", "/var/run/syslog", "/var/run/log"];

/// Severity "informational" (RFC 5424 §6.2.1).
const SEVERITY: u8 = 6;

const FACILITIES: &[&str] = &[
    "KERN",
    "USER",
    "MAIL",
    "DAEMON",
    "AUTH",
    "SYSLOG",
    "LPR",
    "NEWS",
    "UUCP",
    "CRON",
    "AUTHPRIV",
    "FTP",
    "NTP",
    "SECURITY",
    "CONSOLE",
    "SOLARIS-CRON",
    "LOCAL0",
    "LOCAL1",
    "LOCAL2",
    "LOCAL3",
    "LOCAL4",
    "LOCAL5",
    "LOCAL6",
    "LOCAL7",
];

pub(super) struct SyslogSink {
    priority: u8,
    tag: String,
    socket: Option<UnixDatagram>,
}

impl SyslogSink {
    pub(super) fn open(options: &BTreeMap<String, String>) -> Result<Self> {
        super::only(options, &["facility", "tag"])?;
        let facility = options.get("facility").map_or("AUTH", String::as_str);
        let number = FACILITIES
            .iter()
            .position(|f| f.eq_ignore_ascii_case(facility))
            .ok_or_else(|| Error::bad_request("unknown syslog facility"))?;
        let tag = options.get("tag").map_or("vault", String::as_str);
        if tag.is_empty() || tag.len() > 32 || !tag.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::bad_request("a syslog tag has 1 to 32 printable characters"));
        }
        let mut sink =
            Self { priority: number as u8 * 8 + SEVERITY, tag: tag.to_owned(), socket: None };
        sink.connect().map_err(|e| Error::bad_request("no syslog daemon answers").because(e))?;
        Ok(sink)
    }

    fn connect(&mut self) -> io::Result<&UnixDatagram> {
        if self.socket.is_none() {
            let socket = UnixDatagram::unbound()?;
            let connected = SOCKETS.iter().find(|path| socket.connect(path).is_ok());
            connected.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
            self.socket = Some(socket);
        }
        self.socket.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }
}

impl Sink for SyslogSink {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let (priority, tag) = (self.priority, self.tag.clone());
        for line in lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let socket = self.connect()?;
            let sent = super::send_whole(line, |line| {
                let mut message = format!("<{priority}>{tag}: ").into_bytes();
                message.extend_from_slice(line);
                socket.send(&message).map(|_| ())
            });
            if let Err(e) = sent {
                self.socket = None;
                return Err(e);
            }
        }
        Ok(())
    }
}
