//! One listener's accept loop and one connection's life: PROXY header, TLS handshake, requests.

use std::{
    convert::Infallible,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use http::{Request, Response, StatusCode, Version, header};
use hyper::{
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch as channel,
};

use super::fair::Accounts;
use super::{
    BodyBudget, ListenerOptions, Peer, PeerAddress, ReplyBody, RequestBody, Service, proxy,
    socket::{Socket, Stream, Transport},
    tls::{self, Reloadable},
    watch::{Detached, Entry, Registry, Watch},
};

/// What all connections of a listener share.
pub struct Context<S> {
    pub http: auto::Builder<TokioExecutor>,
    pub options: Arc<ListenerOptions>,
    pub tls: Option<Arc<Reloadable>>,
    pub registry: Arc<Registry>,
    pub budget: Arc<BodyBudget>,
    pub service: Arc<S>,
    pub accounts: Arc<Accounts>,
}

/// How long the loop rests when the system refuses to accept (no descriptors left, for one).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `stopped` says so or its sender is gone.
pub async fn accept<S: Service>(
    context: Arc<Context<S>>,
    socket: Socket,
    mut stopped: channel::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((transport, address)) => open(&context, transport, address),
            Err(error) => {
                tracing::warn!(listener = %context.options.name, %error, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Admits one connection and gives it a task of its own; one that is refused is just closed.
fn open<S: Service>(context: &Arc<Context<S>>, transport: Transport, address: PeerAddress) {
    // Behind a proxy the address that counts is known only after the PROXY header.
    let counted = if context.options.proxy.trusts(&address) { None } else { address.ip() };
    match context.registry.admit(counted, context.options.deadlines) {
        Ok(entry) => {
            let context = context.clone();
            tokio::spawn(async move {
                if let Err(error) = live(&context, transport, address, &entry).await {
                    tracing::debug!(listener = %context.options.name, %address, %error, "closed");
                }
            });
        }
        // Told once a second: a flood of connections must not become a flood of lines.
        Err(why) if context.registry.may_tell() => {
            tracing::warn!(listener = %context.options.name, %address, ?why, "refused");
        }
        Err(_) => {}
    }
}

async fn live<S: Service>(
    context: &Arc<Context<S>>,
    transport: Transport,
    address: PeerAddress,
    entry: &Entry,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let hands = shake_hands(context, transport, address, entry);
    let hands = tokio::time::timeout(context.options.deadlines.handshake, hands);
    let (stream, peer) = until_closed(&entry.watch, hands).await???;
    serve(context, stream, Arc::new(peer), &entry.watch).await
}

/// PROXY header first, then TLS, as the bytes come.
async fn shake_hands<S>(
    context: &Context<S>,
    transport: Transport,
    address: PeerAddress,
    entry: &Entry,
) -> io::Result<(Stream, Peer)> {
    let (transport, address) = proxy::unwrap(&context.options.proxy, transport, address).await?;
    if context.options.proxy != proxy::ProxyPolicy::Off
        && let Some(ip) = address.ip()
    {
        entry.assign(ip).map_err(|_| io::Error::other("too many connections of this peer"))?;
    }
    let mut peer = Peer {
        address,
        tls: None,
        listener: context.options.clone(),
        flow: entry.watch.flow.clone(),
    };
    let stream = match &context.tls {
        None => Stream::plain(transport),
        Some(reloadable) => {
            let (stream, facts) = reloadable.accept(transport).await?;
            if tls::is_http2(&stream) {
                entry.watch.is_http2();
            }
            peer.tls = Some(facts);
            Stream::tls(stream)
        }
    };
    Ok((stream, peer))
}

/// Runs `work` until the connection is closed from outside.
async fn until_closed<F: Future>(watch: &Watch, work: F) -> io::Result<F::Output> {
    let mut work = pin!(work);
    let mut attached = false;
    std::future::poll_fn(|cx| {
        if !attached {
            watch.attach(cx.waker());
            attached = true;
        }
        if watch.is_closed() {
            return Poll::Ready(Err(closed()));
        }
        work.as_mut().poll(cx).map(Ok)
    })
    .await
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "closed by the server")
}

/// Answers requests until the connection ends.
async fn serve<S: Service>(
    context: &Arc<Context<S>>,
    stream: Stream,
    peer: Arc<Peer>,
    watch: &Arc<Watch>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(context.clone(), request, peer.clone(), watch.clone());
        let unstoppable =
            Unstoppable { work: Some(Box::pin(answer)), registry: context.registry.clone() };
        async move { Ok::<_, Infallible>(unstoppable.await) }
    });
    let io = TokioIo::new(Watched { stream, watch: watch.clone() });
    let mut connection = pin!(context.http.serve_connection(io, service));
    let mut told = false;
    std::future::poll_fn(|cx| {
        if !told && watch.is_draining() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    })
    .await
}

/// One request: phases, forwarded address, the service, extra headers.
async fn answer<S: Service>(
    context: Arc<Context<S>>,
    request: Request<Incoming>,
    peer: Arc<Peer>,
    watch: Arc<Watch>,
) -> Response<ReplyBody> {
    let http2 = request.version() == Version::HTTP_2;
    let served = Served::begin(&context.registry, &watch, http2, &request);
    let options = &context.options;
    let (mut head, incoming) = request.into_parts();
    let peer = match &options.forwarded {
        None => Ok(peer),
        Some(forwarded) => {
            let told = forwarded.apply(&mut head.headers, peer.clone());
            told.map(|told| context.accounts.told(&peer, told))
        }
    };
    let waits = head.headers.contains_key(hyper::header::EXPECT);
    let body = RequestBody::new(
        incoming,
        watch,
        context.budget.clone(),
        options.body_bytes_max,
        options.deadlines.body,
        http2,
        waits,
    );
    let mut response = match peer {
        Ok(peer) => context.service.call(Request::from_parts(head, body), peer).await,
        Err(why) => refuse(StatusCode::BAD_REQUEST, &why),
    };
    let status = response.status();
    options.response_headers.apply(status, response.headers_mut());
    if let ReplyBody::Stream(body) = response.body_mut() {
        // The connection is not idle until all of it was sent.
        body.hold(served);
    }
    response
}

/// An error answer in Vault's form, for what never reaches a door.
fn refuse(status: StatusCode, text: &str) -> Response<ReplyBody> {
    let body = serde_json::json!({ "errors": [text] }).to_string().into_bytes();
    let mut response = Response::new(ReplyBody::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

/// Marks a request as being served, until dropped.
struct Served {
    watch: Arc<Watch>,
    http2: bool,
    /// hyper runs HTTP/2 requests in tasks of their own, which may outlive the connection.
    _counted: Option<Detached>,
}

impl Served {
    fn begin(
        registry: &Arc<Registry>,
        watch: &Arc<Watch>,
        http2: bool,
        request: &Request<Incoming>,
    ) -> Self {
        watch.begin(http2, !request.body().is_end_stream());
        let _counted = http2.then(|| registry.detached());
        Self { watch: watch.clone(), http2, _counted }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.watch.end(self.http2);
    }
}

/// A request that goes on alone when its connection drops it, and whose panic is one 500.
struct Unstoppable<F>
where
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    work: Option<Pin<Box<F>>>,
    registry: Arc<Registry>,
}

impl<F> Future for Unstoppable<F>
where
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    type Output = Response<ReplyBody>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        // The pipeline catches panics itself, to audit them. This is the last wall.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => {
                self.work = None;
                Poll::Ready(response)
            }
            Err(_) => {
                self.work = None;
                Poll::Ready(refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
            }
        }
    }
}

impl<F> Drop for Unstoppable<F>
where
    F: Future<Output = Response<ReplyBody>> + Send + 'static,
{
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.work.take(), tokio::runtime::Handle::try_current())
        {
            let detached = self.registry.detached();
            runtime.spawn(async move {
                work.await;
                drop(detached);
            });
        }
    }
}

/// The bytes of a connection, with its watch told of them.
struct Watched {
    stream: Stream,
    watch: Arc<Watch>,
}

impl Watched {
    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.watch.wrote(result.is_pending());
        result
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.is_closed() {
            return Poll::Ready(Err(closed()));
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before && !self.watch.received() {
            return Poll::Ready(Err(closed()));
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.watch.is_closed() {
            return Poll::Ready(Err(closed()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.watch.is_closed() {
            return Poll::Ready(Err(closed()));
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if self.watch.is_closed() {
            return Poll::Ready(Err(closed()));
        }
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch.wrote(result.is_pending());
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        if self.watch.is_closed() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
