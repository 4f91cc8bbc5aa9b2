//! Serves the keys of this machine's user to others.
//!
//! Whoever reaches the service uses these keys: it is meant for a socket that only the right people can
//! open, or for a forwarded one. With `prompt`, a person decides about each request, before anything is
//! done.

use std::convert::Infallible;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use strongroom_base::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, Semaphore};
use zeroize::{Zeroize, Zeroizing};

use super::super::{Failure, Machine};
use super::grpc::{self, Status};
use super::messages::{Key, Kind, Reply, Request};
use crate::metadata::KeyEntry;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may be open before its first request.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// How often it is asked whether a client is still there, and how long for its answer.
const ALIVE: Duration = Duration::from_secs(30);
/// How long nothing is accepted after that failed: there may be no room for more open files.
const PAUSE: Duration = Duration::from_millis(200);
/// Requests of one connection at a time.
const STREAMS_MAX: u32 = 16;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Where the service listens.
pub struct Listener {
    socket: Socket,
    /// As people know it: `tcp://127.0.0.1:5000`, `unix:///tmp/sops.sock`.
    pub shown: String,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Socket::Unix(_, path) = &self.socket {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Listener {
    /// Who else than its owner can connect, in words; nothing for nobody.
    pub fn others(&self) -> Option<&'static str> {
        match &self.socket {
            Socket::Unix(..) => None,
            Socket::Tcp(bound) => {
                let here = bound.local_addr().is_ok_and(|address| address.ip().is_loopback());
                Some(match here {
                    true => "every user of this machine",
                    false => "whoever reaches this machine over the network, without encryption,",
                })
            }
        }
    }

    /// Listens at `address`: a host and port for `tcp`, a path for `unix`. A socket's file is for its
    /// owner only.
    pub fn bind(network: &str, address: &str, machine: &Machine) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            let cause = crate::keys::reason(&error);
            Failure::new(format!("listen {network} {address}: bind: {cause}"))
        };
        let _entered = machine.runtime()?.enter();
        match network {
            "tcp" | "tcp4" | "tcp6" => {
                let bound = machine.wait(TcpListener::bind(address))?.map_err(failed)?;
                let shown = bound.local_addr().map_err(failed)?;
                Ok(Self { socket: Socket::Tcp(bound), shown: format!("{network}://{shown}") })
            }
            "unix" => {
                let path = PathBuf::from(address);
                let bound = bind_for_owner(&path, machine).map_err(failed)?;
                let shown = format!("unix://{address}");
                Ok(Self { socket: Socket::Unix(bound, path), shown })
            }
            other => Err(Failure::new(format!("listen {other}: unknown network {other}"))),
        }
    }
}

/// A socket that nobody but its owner ever could connect to: it is made in a folder of the owner's, and
/// gets its name when its mode is right.
fn bind_for_owner(path: &Path, machine: &Machine) -> std::io::Result<UnixListener> {
    let random = u32::from_ne_bytes(machine.rng.array());
    let folder = path.with_file_name(format!(".{random:08x}"));
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let hidden = folder.join("s");
    let bound = UnixListener::bind(&hidden).and_then(|bound| {
        std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
        // A link, for a name that is taken stays another's.
        std::fs::hard_link(&hidden, path)?;
        Ok(bound)
    });
    let _ = std::fs::remove_file(&hidden);
    let _ = std::fs::remove_dir(&folder);
    bound.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => std::io::ErrorKind::AddrInUse.into(),
        _ => error,
    })
}

/// The service.
struct Server {
    machine: Arc<Machine>,
    prompt: bool,
    /// One question at a time.
    asking: Mutex<()>,
}

/// Serves until `stop` comes. Fails where it cannot begin.
pub fn serve<F: Future>(
    machine: &Arc<Machine>,
    listener: &Listener,
    prompt: bool,
    stop: F,
) -> Result<(), Failure> {
    let server = Arc::new(Server { machine: machine.clone(), prompt, asking: Mutex::new(()) });
    machine.wait(async {
        tokio::select! {
            () = accept(server, listener) => {}
            _ = stop => {}
        }
    })
}

async fn accept(server: Arc<Server>, listener: &Listener) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        let server = server.clone();
        // A connection that broke before it was taken is its client's affair.
        match &listener.socket {
            Socket::Tcp(socket) => {
                let Ok((stream, _)) = socket.accept().await else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                tokio::spawn(async move {
                    connection(server, stream, SILENT_MAX).await;
                    drop(place);
                });
            }
            Socket::Unix(socket, _) => {
                let Ok((stream, _)) = socket.accept().await else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                tokio::spawn(async move {
                    connection(server, stream, SILENT_MAX).await;
                    drop(place);
                });
            }
        }
    }
}

async fn connection<S>(server: Arc<Server>, stream: S, silent_max: Duration)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let asked = Arc::new(Notify::new());
    let first = asked.clone();
    let service = service_fn(move |request| {
        let server = server.clone();
        asked.notify_one();
        async move { Ok::<_, Infallible>(answer(server, request).await) }
    });
    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let http = http.max_concurrent_streams(STREAMS_MAX).timer(TokioTimer::new());
    let http = http.keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE);
    let silence = async {
        if tokio::time::timeout(silent_max, first.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    // A client that goes away is no event, and one that says nothing keeps others out.
    tokio::select! {
        _ = http.serve_connection(TokioIo::new(stream), service) => {}
        () = silence => {}
    }
}

async fn answer(server: Arc<Server>, request: http::Request<Incoming>) -> Response<Body> {
    let outcome = match called(&request) {
        Ok(operation) => match grpc::read(request.into_body()).await {
            Ok((message, _)) => {
                let message = message.unwrap_or_default();
                // Programs and prompts block.
                let work = move || server.run(operation, &message);
                let done = tokio::task::spawn_blocking(work).await;
                done.unwrap_or_else(|_| Err(Status::new(grpc::INTERNAL, "the request failed")))
            }
            Err(status) => Err(status),
        },
        Err(status) => Err(status),
    };
    response(outcome)
}

/// What may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operation {
    Encrypt,
    Decrypt,
}

fn called(request: &http::Request<Incoming>) -> Result<Operation, Status> {
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    let is_grpc =
        kind.is_some_and(|kind| kind.as_bytes().starts_with(grpc::CONTENT_TYPE.as_bytes()));
    match request.uri().path() {
        _ if request.method() != Method::POST || !is_grpc => {
            Err(Status::new(grpc::UNIMPLEMENTED, "only gRPC is spoken here"))
        }
        "/KeyService/Encrypt" => Ok(Operation::Encrypt),
        "/KeyService/Decrypt" => Ok(Operation::Decrypt),
        _ => Err(Status::new(grpc::UNIMPLEMENTED, "unknown service or method")),
    }
}

fn response(outcome: Result<Zeroizing<Vec<u8>>, Status>) -> Response<Body> {
    let mut response = match outcome {
        Ok(message) => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from(0));
            let body = Full::new(grpc::framed(&message));
            Response::new(body.with_trailers(async move { Some(Ok(trailers)) }).boxed_unsync())
        }
        Err(status) => {
            let mut response = Response::new(Empty::new().boxed_unsync());
            *response.headers_mut() = status.headers();
            response
        }
    };
    let kind = HeaderValue::from_static(grpc::CONTENT_TYPE);
    response.headers_mut().insert(http::header::CONTENT_TYPE, kind);
    response
}

impl Server {
    fn run(&self, operation: Operation, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Status> {
        let mut request = Request::decode(message)
            .map_err(|_| Status::new(grpc::INTERNAL, "the request is no message"))?;
        let bytes = Secret::new(std::mem::take(&mut request.bytes));
        let kind = request.key.and_then(|Key { kind }| kind);
        let kind = kind.ok_or_else(|| Status::new(grpc::NOT_FOUND, "Must provide a key"))?;
        self.ask(operation, &kind)?;
        let key = KeyEntry::from(kind);
        let (key, machine) = (key.master_key(), &*self.machine);
        let failed = |failure: Failure| Status::new(grpc::UNKNOWN, failure.0);
        let mut reply = Reply::default();
        match operation {
            Operation::Encrypt => {
                reply.bytes = key.encrypt(&bytes, machine).map_err(failed)?.into_bytes();
            }
            Operation::Decrypt => {
                let enc = std::str::from_utf8(bytes.expose_secret())
                    .map_err(|_| Status::new(grpc::UNKNOWN, "the ciphertext is no text"))?;
                let part = key.decrypt(enc, machine).map_err(failed)?;
                reply.bytes.clone_from(part.expose_secret());
            }
        }
        let message = Zeroizing::new(reply.encode_to_vec());
        reply.bytes.zeroize();
        Ok(message)
    }

    /// Asks the person, where that is wanted.
    fn ask(&self, operation: Operation, kind: &Kind) -> Result<(), Status> {
        if !self.prompt {
            return Ok(());
        }
        let _turn = self.asking.lock();
        let what = match operation {
            Operation::Encrypt => "encrypt",
            Operation::Decrypt => "decrypt",
        };
        let question =
            format!("\nReceived {what} request using {}. Respond to request? (y/n): ", named(kind));
        loop {
            match self.machine.person.line(&question).as_deref().map(str::trim) {
                Some("y") => return Ok(()),
                Some("n") => {
                    let words = "Request rejected by user";
                    return Err(Status::new(grpc::PERMISSION_DENIED, words));
                }
                Some(_) => {}
                None => return Err(Status::new(grpc::UNKNOWN, "nobody can be asked")),
            }
        }
    }
}

/// A key in the words of the question. Control characters of a stranger's request stay away from the
/// terminal.
fn named(kind: &Kind) -> String {
    let shown = KeyEntry::from(kind.clone()).shown();
    let shown: String = shown.chars().filter(|c| !c.is_control()).collect();
    match kind {
        Kind::Pgp(_) => format!("PGP key with fingerprint {shown}"),
        Kind::Kms(_) => format!("AWS KMS key with ARN {shown}"),
        Kind::GcpKms(_) => format!("GCP KMS key with resource ID {shown}"),
        Kind::AzureKv(_) => format!("Azure Key Vault key with URL {shown}"),
        Kind::Vault(_) => format!("Hashicorp Vault key with URI {shown}"),
        Kind::HcKms(_) => format!("HuaweiCloud KMS key with ID {shown}"),
        Kind::Age(_) => format!("age key with recipient {shown}"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::super::super::testing::machine;
    use super::*;

    #[test]
    fn a_connection_that_says_nothing_ends() {
        let machine = machine(&[]).build();
        let server = Server { machine: machine.clone(), prompt: false, asking: Mutex::new(()) };
        let (mut client, stream) = tokio::io::duplex(4_096);
        let waited = machine.wait(async {
            connection(Arc::new(server), stream, Duration::from_millis(1)).await;
            let mut rest = Vec::new();
            // What was said to it, and an end.
            client.read_to_end(&mut rest).await.unwrap();
        });
        waited.unwrap();
    }

    #[test]
    fn it_is_known_who_else_can_connect() {
        let machine = machine(&[]).build();
        for (address, expected) in
            [("127.0.0.1:0", "every user of this machine"), ("0.0.0.0:0", "over the network")]
        {
            let listener = Listener::bind("tcp", address, &machine).unwrap();
            assert!(listener.others().unwrap().contains(expected), "{address}");
        }
    }
}
