//! The accept loop: from a socket to a checked `http::Request` with its [`Peer`], and back.
//!
//! It exists because what strangers can make the server hold has to be bounded *before* anything
//! of the kernel runs, and because a request that was handed on must be answered. Everything of
//! transport lives here: TCP and unix sockets, TLS and client certificates, the PROXY protocol,
//! `X-Forwarded-For`, deadlines, caps and draining. It knows no path, no token and no door; it
//! calls a [`Service`].
//!
//! Invariant: a request that was given to the service is polled to its end, whatever its client
//! does (hang up, reset, stall); an effect is never cut off between its commit and its audit line.
//!
//! Invariant: each connection is in exactly one [`watch::Phase`], and every phase but the one in
//! which the service works has a deadline.
//!
//! Invariant: bytes of bodies in memory are bounded over all connections together
//! ([`BodyBudget`]), heads by the number of connections times [`Limits::head_bytes_max`].
//!
//! Deliberately absent: a task, a timer or a lock per request. A request on a kept-alive
//! connection costs one boxed future and a few uncontended atomic stores beside hyper's work.

mod any_client;
mod body;
mod connection;
pub mod fair;
mod forwarded;
mod options;
mod proxy;
mod socket;
pub mod tls;
pub mod watch;

#[cfg(test)]
mod tests;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};
use rustls_pki_types::CertificateDer;
use tokio::{sync::watch as channel, task::JoinHandle};

pub use body::{
    Away, BodyBudget, BodyError, HeldBody, Pieces, ReplyBody, RequestBody, Standing, Streamed,
};
pub use forwarded::{CertificateHeader, Decoder, Forwarded};
pub use options::{
    Bind, CorsRules, Deadlines, Door, DoorRules, Limits, ListenerOptions, ResponseHeaders,
};
pub use proxy::ProxyPolicy;

use connection::{Context, accept};
use watch::Registry;

/// What answers requests: the composition of doors and kernel.
pub trait Service: Send + Sync + 'static {
    /// Answers one request. The future is polled to its end even if the client is gone.
    fn call(
        &self,
        request: Request<RequestBody>,
        peer: Arc<Peer>,
    ) -> impl Future<Output = Response<ReplyBody>> + Send;
}

/// Where a request came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerAddress {
    /// An address of the network: the socket's, or what a trusted proxy said.
    Ip(SocketAddr),
    /// A unix socket on this machine.
    Unix,
}

impl PeerAddress {
    /// The network address without its port.
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }
}

impl std::fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// What TLS told of a connection.
#[derive(Clone, Debug)]
pub struct PeerTls {
    /// The client's certificates, its own first, as DER. Empty if it sent none. At this level only
    /// possession of the key is proved, unless the listener verifies clients.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Did the listener verify the certificates against its own authorities?
    pub verified: bool,
    /// The name the client asked for (SNI).
    pub server_name: Option<String>,
}

/// The other side of a connection, shared by its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: PeerAddress,
    /// What TLS told, if the connection is encrypted here.
    pub tls: Option<PeerTls>,
    /// The listener it came in by.
    pub listener: Arc<ListenerOptions>,
    /// Its account when turns are given.
    pub flow: Arc<fair::Flow>,
}

/// Why listening could not begin.
#[derive(Debug)]
pub struct ListenError {
    /// Which listener (`tcp 127.0.0.1:8200`).
    pub listener: String,
    /// What failed.
    pub what: String,
}

impl std::fmt::Display for ListenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "listener {}: {}", self.listener, self.what)
    }
}

impl std::error::Error for ListenError {}

/// Sockets that are bound but do not accept yet: a wrong address or certificate is known before
/// the store is opened.
pub struct Bound {
    sockets: Vec<(Arc<ListenerOptions>, socket::Socket, Option<Arc<tls::Reloadable>>)>,
}

impl Bound {
    /// Binds every listener and loads its certificates.
    pub async fn bind(listeners: Vec<ListenerOptions>) -> Result<Self, ListenError> {
        let mut sockets = Vec::with_capacity(listeners.len());
        for options in listeners {
            let fail = |what: String| ListenError { listener: options.name.clone(), what };
            let tls = match &options.tls {
                Some(source) => Some(Arc::new(tls::Reloadable::load(source).map_err(&fail)?)),
                None => None,
            };
            let socket = socket::Socket::bind(&options.bind).await.map_err(&fail)?;
            sockets.push((Arc::new(options), socket, tls));
        }
        Ok(Self { sockets })
    }

    /// Begins to accept.
    pub fn serve<S: Service>(self, limits: Limits, service: Arc<S>) -> Listeners {
        let registry = Arc::new(Registry::new(limits.connections_max, limits.per_peer_max));
        let budget = Arc::new(BodyBudget::new(limits.stranger_bytes_max, limits.known_bytes_max));
        let accounts = Arc::new(fair::Accounts::default());
        let (stop, stopped) = channel::channel(false);
        let mut tasks = vec![tokio::spawn(watch::reap(registry.clone(), stopped.clone()))];
        let (mut addresses, mut certificates) = (Vec::new(), Vec::new());
        for (options, socket, tls) in self.sockets {
            addresses.push(socket.local_address());
            certificates.extend(tls.clone());
            let context = Arc::new(Context {
                http: http(&limits),
                options,
                tls,
                registry: registry.clone(),
                budget: budget.clone(),
                service: service.clone(),
                accounts: accounts.clone(),
            });
            tasks.push(tokio::spawn(accept(context, socket, stopped.clone())));
        }
        Listeners { registry, stop, tasks, addresses, certificates }
    }
}

/// The bounds that hyper itself keeps. HTTP/1 heads beyond the limit are 431.
fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    // Half close: hyper does not watch for the end of input while the service works, so a client
    // that hangs up does not cancel its request (and a read per request is saved).
    http.http1()
        .half_close(true)
        .max_buf_size(limits.head_bytes_max)
        .header_read_timeout(None)
        .timer(TokioTimer::new());
    http.http2()
        .max_concurrent_streams(limits.streams_max)
        .initial_stream_window_size(limits.window_bytes)
        .initial_connection_window_size(limits.window_bytes * 2)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .max_send_buf_size(limits.window_bytes as usize)
        .timer(TokioTimer::new());
    http
}

/// The running accept loops.
pub struct Listeners {
    registry: Arc<Registry>,
    stop: channel::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    addresses: Vec<PeerAddress>,
    certificates: Vec<Arc<tls::Reloadable>>,
}

impl Listeners {
    /// The addresses listened on, in the order of the configuration (port 0 is resolved).
    pub fn addresses(&self) -> &[PeerAddress] {
        &self.addresses
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.registry.open_count()
    }

    /// Reads all certificates and keys again. New connections use them; open ones stay. On a
    /// failure that listener keeps what it has, the others are still reloaded.
    pub fn reload_certificates(&self) -> Result<(), Vec<String>> {
        let failed: Vec<String> =
            self.certificates.iter().filter_map(|tls| tls.reload().err()).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// Stops accepting, lets requests in flight end and be answered, closes idle connections.
    /// Returns how many connections or detached requests were left after `patience`.
    pub async fn drain(mut self, patience: Duration) -> usize {
        // Sending fails only if every loop has ended by itself.
        let _ = self.stop.send(true);
        self.registry.drain();
        let left = match tokio::time::timeout(patience, self.registry.empty()).await {
            Ok(()) => 0,
            Err(_) => self.registry.open_count(),
        };
        for task in self.tasks.drain(..) {
            task.abort();
        }
        left
    }
}
