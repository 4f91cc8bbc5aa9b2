//! Directories that are reached over the network.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use strongroom_base::SecretString;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::messages::{self, Awaited, Said};
use super::{
    Address, Directory, Doing, ENTRIES_MAX, Entry, Failure, FailureKind, MESSAGE_BYTES_MAX,
    SEARCH_BYTES_MAX, SERVERS_MAX, Search, Servers, Session, Tls, VALUES_MAX, Version, ber,
};

/// Configurations of TLS that are kept: reading the machine's authorities takes a while.
const KEPT_MAX: usize = 32;

/// The network.
#[derive(Default)]
pub struct Network {
    /// By what they were made of; those with a key of ours are not kept.
    configs: Mutex<Vec<(Kept, Arc<ClientConfig>)>>,
}

/// What a configuration without a key of ours is made of.
type Kept = (bool, String, Version, Version);

impl Network {
    fn tls(&self, tls: &Tls) -> Result<Arc<ClientConfig>, Failure> {
        if !tls.certificate.is_empty() {
            return tls.client().map(Arc::new);
        }
        let kept = (tls.danger_unchecked, tls.ca.clone(), tls.min, tls.max);
        if let Some((_, config)) = self.configs.lock().iter().find(|(k, _)| *k == kept) {
            return Ok(config.clone());
        }
        let config = Arc::new(tls.client()?);
        let mut configs = self.configs.lock();
        if configs.len() >= KEPT_MAX {
            configs.clear();
        }
        configs.push((kept, config.clone()));
        Ok(config)
    }

    async fn open(&self, address: &Address, servers: &Servers) -> Result<Connection, Failure> {
        let stream = TcpStream::connect((address.host.as_str(), address.port))
            .await
            .map_err(|_| Failure::unreachable("nobody answers there"))?;
        // Each request is one write that waits for its answer.
        let _ = stream.set_nodelay(true);
        let plain = Connection::new(Box::new(stream), servers.request_timeout);
        if !address.encrypted && !servers.starttls {
            return Ok(plain);
        }
        let stream = match address.encrypted {
            true => plain.stream,
            false => plain.start_tls().await?,
        };
        let stream = stream.ok_or_else(over)?;
        let config = self.tls(&servers.tls)?;
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| Failure::wrong("its name can't be in a certificate"))?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|_| {
            Failure::unreachable("its certificate is not trusted, or it has no TLS")
        })?;
        Ok(Connection::new(Box::new(stream), servers.request_timeout))
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl Directory for Network {
    fn connect<'a>(&'a self, servers: &'a Servers) -> Doing<'a, Box<dyn Session>> {
        Box::pin(async move {
            let mut last = Failure::wrong("no directory is named");
            for address in servers.addresses.iter().take(SERVERS_MAX) {
                let opening = self.open(address, servers);
                let opened = timeout(servers.connection_timeout, opening).await;
                let why = match opened {
                    Ok(Ok(session)) => return Ok(Box::new(session) as Box<dyn Session>),
                    Ok(Err(failure)) => failure.text,
                    Err(_) => "it did not answer in time".to_owned(),
                };
                let Address { host, port, .. } = address;
                last = Failure::unreachable(format!("{host}:{port} can't be used: {why}"));
            }
            Err(last)
        })
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection. Requests go one by one.
struct Connection {
    /// `None` once something went wrong with it: what is read then would answer another question.
    stream: Option<Box<dyn Stream>>,
    last_id: u32,
    patience: Duration,
}

fn over() -> Failure {
    Failure::broken("the connection to the directory is over")
}

impl Connection {
    fn new(stream: Box<dyn Stream>, patience: Duration) -> Self {
        Self { stream: Some(stream), last_id: 0, patience }
    }

    fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id % 0x7fff_ffff + 1;
        self.last_id
    }

    /// Asks for TLS; the bare stream, on which it can begin.
    async fn start_tls(mut self) -> Result<Option<Box<dyn Stream>>, Failure> {
        let id = self.next_id();
        // Only whole messages were read: what an attacker sends along in clear text is taken for TLS,
        // and fails as such.
        match self.ask(&messages::start_tls(id), id, Awaited::Extended).await?.code {
            0 => Ok(self.stream),
            code => Err(Failure::refused(code)),
        }
    }

    /// Sends a request and reads all that answers it, within the time there is.
    async fn ask(&mut self, request: &[u8], id: u32, awaited: Awaited) -> Result<Answer, Failure> {
        let mut stream = self.stream.take().ok_or_else(over)?;
        let talk = async {
            stream.write_all(request).await?;
            stream.flush().await?;
            read_all(&mut *stream, id, awaited).await
        };
        match timeout(self.patience, talk).await {
            Ok(Ok(answer)) => {
                self.stream = Some(stream);
                Ok(answer)
            }
            Ok(Err(failure)) => Err(failure.0),
            Err(_) => Err(Failure::broken("the directory did not answer in time")),
        }
    }

    async fn bind_as(&mut self, name: &str, password: &str) -> Result<(), Failure> {
        let id = self.next_id();
        match self.ask(&messages::bind(id, name, password), id, Awaited::Bind).await?.code {
            0 => Ok(()),
            code => Err(Failure::refused(code)),
        }
    }

    async fn search_all(&mut self, search: &Search) -> Result<Vec<Entry>, Failure> {
        let seconds = u32::try_from(self.patience.as_secs()).unwrap_or(u32::MAX >> 1).max(1);
        let (mut found, mut bytes, mut values) = (Vec::new(), 0, 0);
        let mut page = (search.page_size > 0).then(Vec::new);
        loop {
            let id = self.next_id();
            let request = messages::search(id, search, seconds, page.as_deref());
            let answer = self.ask(&request, id, Awaited::Search).await?;
            if answer.code != 0 {
                return Err(Failure::refused(answer.code));
            }
            (bytes, values) = (bytes + answer.bytes, values + answer.values);
            found.extend(answer.entries);
            let fits = found.len() <= ENTRIES_MAX && values <= VALUES_MAX;
            // Pages without entries count, too: one may be all that comes, over and over.
            if !fits || bytes > SEARCH_BYTES_MAX {
                return Err(too_much());
            }
            match page {
                Some(_) if !answer.next_page.is_empty() => page = Some(answer.next_page),
                _ => return Ok(found),
            }
        }
    }
}

fn too_much() -> Failure {
    Failure::broken("the directory's answer is too long")
}

/// All that answers one request.
#[derive(Default)]
struct Answer {
    code: u32,
    entries: Vec<Entry>,
    next_page: Vec<u8>,
    bytes: usize,
    values: usize,
}

/// A failure of the talk, whatever it came from.
struct Talk(Failure);

impl From<std::io::Error> for Talk {
    fn from(_: std::io::Error) -> Self {
        Self(Failure::broken("the connection to the directory broke off"))
    }
}

impl From<Failure> for Talk {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

async fn read_all(stream: &mut dyn Stream, id: u32, awaited: Awaited) -> Result<Answer, Talk> {
    let mut answer = Answer::default();
    loop {
        let message = read_message(stream).await?;
        answer.bytes += message.len();
        match messages::read(&message, id, awaited)? {
            Said::Entry(entry) => {
                answer.values += entry.attributes.iter().map(|(_, v)| v.len() + 1).sum::<usize>();
                answer.entries.push(entry);
            }
            Said::Aside => {}
            Said::Done(code, next_page) => {
                (answer.code, answer.next_page) = (code, next_page);
                return Ok(answer);
            }
        }
        let counts = [
            (answer.bytes, SEARCH_BYTES_MAX),
            (answer.entries.len(), ENTRIES_MAX),
            (answer.values, VALUES_MAX),
        ];
        if counts.iter().any(|(count, max)| count > max) {
            return Err(too_much().into());
        }
    }
}

/// The content of the next message, and not a byte more.
async fn read_message(stream: &mut dyn Stream) -> Result<Vec<u8>, Talk> {
    let mut head = Vec::with_capacity(6);
    let (start, length) = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        head.extend(byte);
        if head.first() != Some(&ber::SEQUENCE) {
            return Err(ber::malformed().into());
        }
        if let Some(known) = ber::header(&head)? {
            break known;
        }
    };
    debug_assert_eq!(start, head.len());
    if length > MESSAGE_BYTES_MAX {
        return Err(too_much().into());
    }
    let mut content = Vec::new();
    // It grows with what comes, not by what was announced.
    let read = stream.take(length as u64).read_to_end(&mut content).await?;
    if read == length { Ok(content) } else { Err(over().into()) }
}

impl Session for Connection {
    fn bind<'a>(&'a mut self, name: &'a str, password: &'a SecretString) -> Doing<'a, ()> {
        Box::pin(async move {
            let password = password.expose_secret();
            if password.is_empty() || name.is_empty() {
                // Either alone would bind as nobody (RFC 4513 §5.1).
                return Err(Failure::new(FailureKind::Wrong, "a bind without a password"));
            }
            self.bind_as(name, password).await
        })
    }

    fn bind_anonymously(&mut self) -> Doing<'_, ()> {
        Box::pin(self.bind_as("", ""))
    }

    fn search<'a>(&'a mut self, search: &'a Search) -> Doing<'a, Vec<Entry>> {
        Box::pin(self.search_all(search))
    }
}
