//! Sockets: binding and accepting TCP and unix, and the one stream type that connections read.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};
use tokio_rustls::server::TlsStream;

use super::{Bind, PeerAddress};

/// A bound socket.
pub enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A unix socket, whose file goes when the socket does.
    Unix {
        /// What accepts.
        listener: UnixListener,
        /// Kept for its drop.
        _file: SocketFile,
    },
}

/// The file of a unix socket, removed when dropped if it is still the one that was made.
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            // Nothing is lost if it stays: the next start replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Socket {
    /// Binds.
    pub async fn bind(bind: &Bind) -> Result<Self, String> {
        match bind {
            Bind::Tcp(address) => {
                TcpListener::bind(address).await.map(Self::Tcp).map_err(|e| e.to_string())
            }
            Bind::Unix { path, mode, user, group } => {
                bind_unix(path, *mode, user.as_deref(), group.as_deref())
            }
        }
    }

    /// Where it listens.
    pub fn local_address(&self) -> PeerAddress {
        match self {
            Self::Tcp(listener) => listener.local_addr().map_or(PeerAddress::Unix, PeerAddress::Ip),
            Self::Unix { .. } => PeerAddress::Unix,
        }
    }

    /// The next connection.
    pub async fn accept(&self) -> io::Result<(Transport, PeerAddress)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are whole when they are written: waiting for more only adds delay.
                stream.set_nodelay(true)?;
                Ok((Transport::new(Raw::Tcp(stream)), PeerAddress::Ip(address)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Transport::new(Raw::Unix(stream)), PeerAddress::Unix))
            }
        }
    }
}

fn bind_unix(
    path: &Path,
    mode: Option<u32>,
    user: Option<&str>,
    group: Option<&str>,
) -> Result<Socket, String> {
    match fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {
            fs::remove_file(path).map_err(|e| format!("cannot replace the old socket: {e}"))?;
        }
        Ok(_) => return Err("a file that is no socket is in the way".to_owned()),
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(|e| e.to_string())?;
    let file = fs::symlink_metadata(path).map_err(|e| e.to_string())?;
    let guard = SocketFile { path: path.to_owned(), inode: file.ino() };
    let user = user.map(|user| account("/etc/passwd", user)).transpose()?;
    let group = group.map(|group| account("/etc/group", group)).transpose()?;
    if user.is_some() || group.is_some() {
        chown(path, user, group).map_err(|e| format!("cannot set the socket's owner: {e}"))?;
    }
    if let Some(mode) = mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|e| format!("cannot set the socket's mode: {e}"))?;
    }
    Ok(Socket::Unix { listener, _file: guard })
}

/// The number of a user or group, given by number or by name in `table`.
fn account(table: &str, name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = fs::read_to_string(table).map_err(|e| format!("cannot read {table}: {e}"))?;
    text.lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))
        .and_then(|fields| fields.get(2)?.parse().ok())
        .ok_or_else(|| format!("no such user or group in {table}"))
}

/// A socket's own stream.
enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection's bytes before TLS. What was read in search of a PROXY header and is none is given
/// back first.
pub struct Transport {
    raw: Raw,
    unread: Vec<u8>,
}

impl Transport {
    fn new(raw: Raw) -> Self {
        Self { raw, unread: Vec::new() }
    }

    /// Gives `bytes` to the next read.
    pub fn unread(&mut self, bytes: Vec<u8>) {
        self.unread = bytes;
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            let given: Vec<u8> = self.unread.drain(..count).collect();
            buffer.put_slice(&given);
            return Poll::Ready(Ok(()));
        }
        match &mut self.raw {
            Raw::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Raw::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

/// Forwards writing to whichever stream it is.
macro_rules! forward_writes {
    ($type:ty, $field:tt, $($variant:path),+) => {
        impl AsyncWrite for $type {
            fn poll_write(
                mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                match &mut self.$field { $($variant(s) => Pin::new(s).poll_write(cx, bytes),)+ }
            }
            fn poll_write_vectored(
                mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match &mut self.$field {
                    $($variant(s) => Pin::new(s).poll_write_vectored(cx, slices),)+
                }
            }
            fn is_write_vectored(&self) -> bool {
                match &self.$field { $($variant(s) => s.is_write_vectored(),)+ }
            }
            fn poll_flush(
                mut self: Pin<&mut Self>, cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                match &mut self.$field { $($variant(s) => Pin::new(s).poll_flush(cx),)+ }
            }
            fn poll_shutdown(
                mut self: Pin<&mut Self>, cx: &mut Context<'_>,
            ) -> Poll<io::Result<()>> {
                match &mut self.$field { $($variant(s) => Pin::new(s).poll_shutdown(cx),)+ }
            }
        }
    };
}

forward_writes!(Transport, raw, Raw::Tcp, Raw::Unix);

/// What HTTP is spoken on.
pub struct Stream {
    kind: Kind,
}

enum Kind {
    Plain(Transport),
    Tls(Box<TlsStream<Transport>>),
}

impl Stream {
    /// Without encryption.
    pub fn plain(transport: Transport) -> Self {
        Self { kind: Kind::Plain(transport) }
    }

    /// Encrypted.
    pub fn tls(stream: TlsStream<Transport>) -> Self {
        Self { kind: Kind::Tls(Box::new(stream)) }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.kind {
            Kind::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buffer),
        }
    }
}

forward_writes!(Stream, kind, Kind::Plain, Kind::Tls);
