//! The accept loop over real sockets. Deadlines run on tokio's paused clock, so nothing sleeps.

mod tls;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::{Notify, oneshot},
};
use tokio_rustls::TlsConnector;

use super::{tls::*, watch::Refused, *};

/// Answers with what it saw; some paths misbehave.
#[derive(Default)]
struct Probe {
    /// `/wait` tells here that it runs, and waits for the other.
    started: Notify,
    release: Notify,
    /// Requests that ran to their end.
    finished: Mutex<Vec<String>>,
    standing: Option<Standing>,
}

impl Service for Probe {
    async fn call(&self, request: Request<RequestBody>, peer: Arc<Peer>) -> Response<ReplyBody> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        match path.as_str() {
            "/wait" => {
                self.started.notify_one();
                self.release.notified().await;
            }
            "/panic" => panic!("on purpose"),
            "/huge" => return Response::new(vec![b'x'; 32 * 1024 * 1024].into()),
            _ => {}
        }
        let (status, length) = match body.read(self.standing.unwrap_or(Standing::Stranger)).await {
            Ok(body) => {
                if path == "/hold" {
                    self.started.notify_one();
                    self.release.notified().await;
                }
                (StatusCode::OK, body.len())
            }
            Err(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, 0),
            Err(BodyError::Incomplete) => (StatusCode::BAD_REQUEST, 0),
            Err(BodyError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, 0),
        };
        let certificates = peer.tls.as_ref().map_or(0, |tls| tls.certificates.len());
        let seen = format!(
            "{} {path} body={length} from={} certificates={certificates}",
            head.method,
            peer.address.ip().map_or("unix".to_owned(), |ip| ip.to_string()),
        );
        self.finished.lock().unwrap().push(path);
        let mut response = Response::new(ReplyBody::from(seen.into_bytes()));
        *response.status_mut() = status;
        response
    }
}

async fn start_with(
    options: ListenerOptions,
    limits: Limits,
    probe: Probe,
) -> (Listeners, Arc<Probe>) {
    let probe = Arc::new(probe);
    let bound = Bound::bind(vec![options]).await.unwrap();
    (bound.serve(limits, probe.clone()), probe)
}

async fn start(options: ListenerOptions) -> (Listeners, Arc<Probe>) {
    start_with(options, Limits::default(), Probe::default()).await
}

fn plain() -> ListenerOptions {
    ListenerOptions::plain("127.0.0.1:0")
}

async fn connect(listeners: &Listeners) -> TcpStream {
    let PeerAddress::Ip(address) = listeners.addresses()[0] else { panic!("no TCP listener") };
    TcpStream::connect(address).await.unwrap()
}

/// Sends raw bytes; everything that comes back until the server closes.
async fn exchange(mut stream: TcpStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

type Client = http1::SendRequest<Full<Bytes>>;

async fn client<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: T) -> Client {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(method: &str, path: &str, body: usize) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(path)
        .header("host", "x")
        .body(Full::new(vec![b'b'; body].into()))
        .unwrap()
}

async fn text(response: Response<hyper::body::Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn ask(client: &mut Client, method: &str, path: &str, body: usize) -> (u16, String) {
    client.ready().await.unwrap();
    text(client.send_request(request(method, path, body)).await.unwrap()).await
}

#[tokio::test]
async fn every_verb_passes_on_one_connection() {
    let (listeners, _) = start(plain()).await;
    let mut client = client(connect(&listeners).await).await;
    for (method, body) in
        [("GET", 0), ("LIST", 0), ("SCAN", 0), ("PUT", 10), ("PATCH", 200_000), ("DELETE", 0)]
    {
        let (status, seen) = ask(&mut client, method, "/v1/a", body).await;
        assert_eq!(status, 200);
        assert_eq!(seen, format!("{method} /v1/a body={body} from=127.0.0.1 certificates=0"));
    }
    assert_eq!(listeners.connections(), 1);
}

#[tokio::test]
async fn http2_without_tls_and_many_at_once() {
    let (listeners, _) = start(plain()).await;
    let io = TokioIo::new(connect(&listeners).await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    // The first answer brings the server's settings, with the number of streams it takes.
    let first = sender.clone().send_request(request("GET", "http://x/", 0)).await.unwrap();
    assert_eq!(text(first).await.0, 200);
    let mut answers = tokio::task::JoinSet::new();
    for i in 0..100 {
        let mut sender: http2::SendRequest<Full<Bytes>> = sender.clone();
        answers.spawn(async move {
            text(sender.send_request(request("LIST", "http://x/v1/b", i)).await.unwrap()).await
        });
    }
    let answers = answers.join_all().await;
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|(status, seen)| *status == 200 && seen.starts_with("LIST")));
}

#[tokio::test]
async fn unix_socket_with_mode_replaces_a_stale_one_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut options = ListenerOptions::unix(&path);
    options.bind = Bind::Unix { path: path.clone(), mode: Some(0o600), user: None, group: None };
    let (listeners, _) = start(options.clone()).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = client(UnixStream::connect(&path).await.unwrap()).await;
    let (_, seen) = ask(&mut client, "GET", "/v1/a", 0).await;
    assert_eq!(seen, "GET /v1/a body=0 from=unix certificates=0");
    listeners.drain(Duration::from_secs(5)).await;
    tokio::task::yield_now().await;
    assert!(!path.exists());

    fs::write(&path, "precious").unwrap();
    assert!(Bound::bind(vec![options]).await.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn heads_are_bounded() {
    let (listeners, _) = start(plain()).await;
    for (bytes, status) in [(60 * 1024, "200"), (66 * 1024, "431")] {
        let head = format!(
            "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-long: {}\r\n\r\n",
            "h".repeat(bytes)
        );
        let answer = exchange(connect(&listeners).await, head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{bytes}: {answer}");
    }
    let garbage = exchange(connect(&listeners).await, b"\0\x01\x02 nonsense\r\n\r\n").await;
    assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage}");
}

#[tokio::test]
async fn bodies_are_bounded() {
    let mut options = plain();
    options.body_bytes_max = 100_000;
    let (listeners, _) = start(options).await;
    for (body, status) in [(100_000, 200), (100_001, 413)] {
        let mut client = client(connect(&listeners).await).await;
        assert_eq!(ask(&mut client, "PUT", "/", body).await.0, status, "{body}");
    }
    // A client that is still sending comes to read why it is refused.
    let (length, part) = (20_000_000, vec![b'x'; 1_000_000]);
    let mut stream = connect(&listeners).await;
    let head = format!("PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..length / part.len() {
        stream.write_all(&part).await.expect("the connection stays open for the body");
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // One that waits for leave is told at once.
    let head = head.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    let mut stream = connect(&listeners).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // Without a length: the bound is met while reading.
    let chunk = format!("{:x}\r\n{}\r\n", 50_000, "c".repeat(50_000));
    for (chunks, status) in [(2, "200"), (3, "413")] {
        let request = format!(
            "PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
             {}0\r\n\r\n",
            chunk.repeat(chunks)
        );
        let answer = exchange(connect(&listeners).await, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{chunks}: {answer}");
    }
}

/// Threat "what strangers can make the server hold is bounded in total" (tried on OpenBao 2.6:
/// eight unauthenticated 30 MiB bodies).
#[tokio::test(start_paused = true)]
async fn bodies_of_strangers_are_bounded_together() {
    let limits = Limits { stranger_bytes_max: 100 * 1024, ..Limits::default() };
    let (listeners, probe) = start_with(plain(), limits, Probe::default()).await;
    let (mut first, mut second) =
        (client(connect(&listeners).await).await, client(connect(&listeners).await).await);
    let holding = tokio::spawn(async move { ask(&mut first, "PUT", "/hold", 90 * 1024).await });
    probe.started.notified().await;
    // Small bodies are not in the way of anyone.
    let mut small = client(connect(&listeners).await).await;
    assert_eq!(ask(&mut small, "PUT", "/", 16 * 1024).await.0, 200);
    // A second big one does not fit; it waits, and its deadline ends that.
    assert_eq!(ask(&mut second, "PUT", "/", 90 * 1024).await.0, 400);
    // One that does not tell its length is told at once.
    let chunk = format!("{:x}\r\n{}\r\n", 90_000, "c".repeat(90_000));
    let chunked = format!(
        "PUT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         {chunk}0\r\n\r\n"
    );
    let answer = exchange(connect(&listeners).await, chunked.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    probe.release.notify_one();
    assert_eq!(holding.await.unwrap().0, 200);
    let mut third = client(connect(&listeners).await).await;
    assert_eq!(ask(&mut third, "PUT", "/", 90 * 1024).await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn slow_clients_are_closed_in_every_phase() {
    let (listeners, _) = start(plain()).await;
    let full = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    for (what, sent, answer, seconds) in [
        ("silent", "", "", 10),
        ("in the head", "GET / HTTP/1.1\r\nhos", "", 10),
        ("in the body", "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab", "400", 30),
        ("idle", full, "200", 300),
    ] {
        let stream = connect(&listeners).await;
        let began = tokio::time::Instant::now();
        let got = exchange(stream, sent.as_bytes()).await;
        let took = began.elapsed().as_secs();
        assert!((seconds..seconds + 3).contains(&took), "{what}: {took} s");
        // The answer to a cut-off body goes to a connection that is closed already.
        let status = got.get(9..12).unwrap_or_default();
        assert!(status == answer || (answer == "400" && status.is_empty()), "{what}: {got}");
    }
    assert_eq!(listeners.drain(Duration::from_secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_closed() {
    let (listeners, _) = start(plain()).await;
    let mut stream = connect(&listeners).await;
    stream.write_all(b"GET /huge HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    while listeners.connections() == 0 {
        tokio::task::yield_now().await;
    }
    let began = tokio::time::Instant::now();
    while listeners.connections() > 0 {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
        assert!(began.elapsed() < Duration::from_secs(100), "still open");
    }
    assert!(began.elapsed() >= Duration::from_secs(30));
}

#[tokio::test]
async fn a_panic_is_one_500() {
    let (listeners, _) = start(plain()).await;
    let mut client = client(connect(&listeners).await).await;
    let (status, body) = ask(&mut client, "GET", "/panic", 0).await;
    assert_eq!((status, body.as_str()), (500, r#"{"errors":["internal error"]}"#));
    assert_eq!(ask(&mut client, "GET", "/", 0).await.0, 200);
}

#[tokio::test]
async fn draining_answers_what_is_in_flight() {
    let (listeners, probe) = start(plain()).await;
    let PeerAddress::Ip(address) = listeners.addresses()[0] else { panic!() };
    let mut busy = client(connect(&listeners).await).await;
    let mut idle = client(connect(&listeners).await).await;
    let silent = connect(&listeners).await;
    assert_eq!(ask(&mut idle, "GET", "/", 0).await.0, 200);
    let answer = tokio::spawn(async move { ask(&mut busy, "GET", "/wait", 0).await });
    probe.started.notified().await;
    let drained = tokio::spawn(listeners.drain(Duration::from_secs(60)));
    // The idle and the silent one are closed while the busy one still works.
    assert_eq!(exchange(silent, b"").await, "");
    while idle.ready().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!answer.is_finished());
    assert!(TcpStream::connect(address).await.is_err(), "still accepts");
    probe.release.notify_one();
    assert_eq!(answer.await.unwrap().0, 200);
    assert_eq!(drained.await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_its_request() {
    for http2 in [false, true] {
        let (listeners, probe) = start(plain()).await;
        let stream = connect(&listeners).await;
        let (drop_it, dropped) = oneshot::channel::<()>();
        let io = TokioIo::new(stream);
        let asking = tokio::spawn(async move {
            if http2 {
                let (mut sender, connection) =
                    http2::handshake(TokioExecutor::new(), io).await.unwrap();
                let connection = tokio::spawn(connection);
                let answer = sender.send_request(request("PUT", "http://x/wait", 0));
                tokio::select! { _ = answer => {}, _ = dropped => {} }
                connection.abort();
            } else {
                let (mut sender, connection) = http1::handshake(io).await.unwrap();
                let connection = tokio::spawn(connection);
                let answer = sender.send_request(request("PUT", "/wait", 0));
                tokio::select! { _ = answer => {}, _ = dropped => {} }
                connection.abort();
            }
        });
        probe.started.notified().await;
        drop_it.send(()).unwrap();
        asking.await.unwrap();
        let drained = tokio::spawn(listeners.drain(Duration::from_secs(60)));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!drained.is_finished(), "draining forgot the request");
        probe.release.notify_one();
        assert_eq!(drained.await.unwrap(), 0);
        assert_eq!(*probe.finished.lock().unwrap(), ["/wait"], "http2={http2}");
    }
}

#[test]
fn greedy_peers_give_way() {
    let registry = Arc::new(Registry::new(4, 3));
    let admit = |ip: &str| registry.admit(ip.parse().ok(), Deadlines::default());
    let mut greedy: Vec<_> = (0..3).map(|_| admit("10.0.0.1").unwrap()).collect();
    assert_eq!(admit("10.0.0.1").err(), Some(Refused::PeerFull));
    // A flood of refusals is one line a second.
    assert!(registry.may_tell() && !registry.may_tell());
    let _second = admit("10.0.0.2").unwrap();
    // All places are taken: the one who holds most loses an idle connection, not a busy one.
    greedy[0].watch.begin(false, false);
    let _third = admit("10.0.0.3").unwrap();
    assert!(!greedy[0].watch.is_closed());
    assert!(greedy[1].watch.is_closed() ^ greedy[2].watch.is_closed());
    // Nobody loses a place to one who would then hold as many.
    assert_eq!(admit("10.0.0.2").err(), Some(Refused::Full));
    greedy.clear();
    assert!(admit("10.0.0.1").is_ok());
    // One stranger holds a whole /64.
    let registry = Arc::new(Registry::new(9, 1));
    let _one = registry.admit("2001:db8::1".parse().ok(), Deadlines::default()).unwrap();
    let two = registry.admit("2001:db8::2".parse().ok(), Deadlines::default());
    assert_eq!(two.err(), Some(Refused::PeerFull));
}

#[tokio::test]
async fn proxy_protocol_sets_the_address_of_trusted_proxies_only() {
    let ours = || vec!["127.0.0.0/8".parse().unwrap()];
    let others = || vec!["10.0.0.0/8".parse().unwrap()];
    let with = b"PROXY TCP4 192.0.2.7 127.0.0.1 1234 80\r\n";
    let get = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    for (policy, header, expect) in [
        (ProxyPolicy::UseAlways, &with[..], Some("192.0.2.7")),
        (ProxyPolicy::UseAlways, b"", Some("127.0.0.1")),
        (ProxyPolicy::AllowAuthorized(ours()), with, Some("192.0.2.7")),
        (ProxyPolicy::AllowAuthorized(others()), with, Some("127.0.0.1")),
        (ProxyPolicy::DenyUnauthorized(ours()), with, Some("192.0.2.7")),
        (ProxyPolicy::DenyUnauthorized(others()), with, None),
        (ProxyPolicy::DenyUnauthorized(others()), b"", None),
    ] {
        let mut options = plain();
        options.proxy = policy.clone();
        let (listeners, _) = start(options).await;
        let mut stream = connect(&listeners).await;
        // In two parts, so that the header's end and the request meet at a boundary.
        stream.write_all(header).await.unwrap();
        let answer = exchange(stream, get).await;
        match expect {
            Some(ip) => assert!(answer.contains(&format!("from={ip} ")), "{policy:?}: {answer}"),
            None => assert_eq!(answer, "", "{policy:?}"),
        }
    }
}

#[tokio::test]
async fn answers_carry_the_configured_headers() {
    let mut options = plain();
    for (rule, value) in [("default", "d"), ("4xx", "c"), ("413", "s")] {
        let header = ("x-extra".parse().unwrap(), value.parse().unwrap());
        options.response_headers.rules.insert(rule.to_owned(), vec![header]);
    }
    options.body_bytes_max = 5;
    let (listeners, _) = start(options).await;
    for (body, value) in [(0, "d"), (6, "s")] {
        let mut client = client(connect(&listeners).await).await;
        let response = client.send_request(request("PUT", "/", body)).await.unwrap();
        assert_eq!(response.headers()["x-extra"], value);
    }
}
