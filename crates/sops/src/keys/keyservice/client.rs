//! Asks another key service.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request as HttpRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use strongroom_base::{Secret, SecretBytes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use zeroize::{Zeroize, Zeroizing};

use super::super::{Failure, Machine, WRAPPED_BYTES_MAX, reason};
use super::grpc::{self, Status};
use super::messages::{Key, Reply, Request};
use crate::metadata::KeyEntry;

/// Time until a connection stands.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for one call: a person may be asked on the other side.
const TOTAL: Duration = Duration::from_secs(300);

/// Where a service is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Tcp(String),
    Unix(PathBuf),
}

/// A client of one service. Each call has a connection of its own.
#[derive(Debug)]
pub struct Client {
    place: Place,
}

impl Client {
    /// A client of the service at `tcp://HOST:PORT` or `unix:///PATH`.
    pub fn new(uri: &str) -> Result<Self, Failure> {
        let wrong = || Failure::new(format!("{uri:?} is no URI of a key service"));
        let (scheme, rest) = uri.split_once("://").ok_or_else(wrong)?;
        let place = match scheme {
            "unix" if rest.starts_with('/') => Place::Unix(rest.into()),
            "tcp" | "tcp4" | "tcp6" if rest.contains(':') => {
                Place::Tcp(rest.trim_end_matches('/').to_owned())
            }
            _ => return Err(wrong()),
        };
        Ok(Self { place })
    }

    /// Wraps `part` by `key`.
    pub fn encrypt(
        &self,
        key: &KeyEntry,
        part: &SecretBytes,
        machine: &Machine,
    ) -> Result<String, Failure> {
        let bytes = self.call("Encrypt", key, part.expose_secret(), machine)?;
        let text = String::from_utf8(bytes.expose_secret().clone());
        text.ok().filter(|text| !text.is_empty() && text.len() <= WRAPPED_BYTES_MAX).ok_or_else(
            || Failure::new("what the key service wrapped is empty, too long or no text"),
        )
    }

    /// Unwraps what the record of `key` keeps.
    pub fn decrypt(&self, key: &KeyEntry, machine: &Machine) -> Result<SecretBytes, Failure> {
        self.call("Decrypt", key, key.enc().as_bytes(), machine)
    }

    fn call(
        &self,
        method: &str,
        key: &KeyEntry,
        bytes: &[u8],
        machine: &Machine,
    ) -> Result<SecretBytes, Failure> {
        let mut request = Request { key: Some(Key::from(key)), bytes: bytes.to_vec() };
        let message = Zeroizing::new(request.encode_to_vec());
        request.bytes.zeroize();
        let call = async {
            match tokio::time::timeout(TOTAL, self.exchange(method, &message)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(unavailable("it did not answer in time")),
            }
        };
        let answer = machine.wait(call)?.map_err(|status| Failure::new(status.to_string()))?;
        let reply = Reply::decode(answer.as_slice());
        let reply = reply.map_err(|_| Failure::new("the key service's answer is no message"))?;
        Ok(Secret::new(reply.bytes))
    }

    async fn exchange(&self, method: &str, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Status> {
        // As Go says it: what was dialed, and the cause.
        let undialed = |cause: &str| {
            let place = match &self.place {
                Place::Unix(path) => format!("unix {}", path.display()),
                Place::Tcp(address) => format!("tcp {address}"),
            };
            let text = format!("transport: Error while dialing: dial {place}: {cause}");
            Status::new(grpc::UNAVAILABLE, format!("connection error: desc = {text:?}"))
        };
        let failed = |error: std::io::Error| undialed(&format!("connect: {}", reason(&error)));
        let slow = || undialed("i/o timeout");
        match &self.place {
            Place::Unix(path) => {
                let stream = tokio::time::timeout(CONNECT, UnixStream::connect(path)).await;
                let stream = stream.map_err(|_| slow())?.map_err(failed)?;
                over(stream, "localhost", method, message).await
            }
            Place::Tcp(address) => {
                let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
                let stream = stream.map_err(|_| slow())?.map_err(failed)?;
                over(stream, address, method, message).await
            }
        }
    }
}

fn unavailable(words: &str) -> Status {
    Status::new(grpc::UNAVAILABLE, format!("the key service: {words}"))
}

/// One call over a connection that stands.
async fn over<S>(
    stream: S,
    authority: &str,
    method: &str,
    message: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Status>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broke = |_: hyper::Error| unavailable("the connection broke off");
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.map_err(broke)?;
    let driver = tokio::spawn(async move {
        // How the connection ends is seen by the call.
        let _ = connection.await;
    });
    let request = HttpRequest::post(format!("http://{authority}/KeyService/{method}"))
        .header("content-type", grpc::CONTENT_TYPE)
        .header("te", "trailers")
        .header("user-agent", "strongroom")
        .body(Full::new(grpc::framed(message)))
        .map_err(|_| unavailable("its address is none"))?;
    let response = sender.send_request(request).await.map_err(broke)?;
    if response.status() != 200 {
        let status = response.status().as_u16();
        return Err(unavailable(&format!("it answered HTTP status {status}")));
    }
    let early = Status::of(response.headers());
    let (message, trailers) = grpc::read(response.into_body()).await?;
    driver.abort();
    match (early.or_else(|| Status::of(&trailers)), message) {
        (Some(Status { code: 0, .. }), Some(message)) => Ok(message),
        (Some(Status { code: 0, .. }) | None, _) => {
            Err(Status::new(grpc::INTERNAL, "the key service's answer is not whole"))
        }
        (Some(status), _) => Err(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_by_uris() {
        let place = |uri: &str| Client::new(uri).ok().map(|client| client.place);
        assert_eq!(place("tcp://localhost:5000"), Some(Place::Tcp("localhost:5000".into())));
        assert_eq!(place("unix:///run/sops.sock"), Some(Place::Unix("/run/sops.sock".into())));
        for bad in ["", "localhost:5000", "tcp://localhost", "unix://relative", "http://h:1"] {
            assert_eq!(place(bad), None, "{bad}");
        }
    }
}
