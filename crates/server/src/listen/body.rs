//! Bodies in and out.
//!
//! A request's body is read by whoever knows how far its sender is trusted: the door says
//! [`Standing::Known`] once the credential was found, before that everybody is a stranger.
//!
//! Invariant: the bodies of strangers that are in memory take at most
//! [`super::Limits::stranger_bytes_max`] together, beside [`FREE_BYTES`] per request. (Observed:
//! eight unauthenticated 30 MiB bodies cost OpenBao 2.6 gigabytes.)

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use strongroom_base::{Error, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::watch::Watch;

/// Bytes of a body that need no place in the budget: every login and nearly every secret fits, so
/// that a crowd of stalled big bodies can't lock others out.
pub const FREE_BYTES: usize = 16 * 1024;

/// Bytes of a refused body that are read and thrown away, so that its client comes to read the answer.
const PASSED_BYTES_MAX: usize = 64 << 20;

/// The unit in which the budget is counted.
const UNIT_BYTES: usize = 1024;

/// How far the sender of a body is trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// No credential was found good yet.
    Stranger,
    /// The request carries a credential that exists.
    Known,
}

/// The memory all bodies share.
pub struct BodyBudget {
    strangers: Arc<Semaphore>,
    known: Arc<Semaphore>,
}

impl BodyBudget {
    /// A budget of so many bytes for either standing.
    pub fn new(stranger_bytes: usize, known_bytes: usize) -> Self {
        let units = |bytes: usize| {
            Arc::new(Semaphore::new((bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS)))
        };
        Self { strangers: units(stranger_bytes), known: units(known_bytes) }
    }

    fn of(&self, standing: Standing) -> &Arc<Semaphore> {
        match standing {
            Standing::Stranger => &self.strangers,
            Standing::Known => &self.known,
        }
    }
}

/// Why a body could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyError {
    /// Longer than the listener allows.
    TooLarge,
    /// It did not arrive in time, or its connection broke.
    Incomplete,
    /// No memory is left for bodies now.
    Busy,
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::new(ErrorKind::TooLarge, "request body too large"),
            BodyError::Incomplete => Self::bad_request("request body is incomplete"),
            BodyError::Busy => Self::unavailable("too many large request bodies; try again"),
        }
    }
}

/// A whole body, with its place in the budget until it is dropped.
#[derive(Debug, Default)]
pub struct HeldBody {
    bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

impl HeldBody {
    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl std::ops::Deref for HeldBody {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A request's body, not read yet.
pub struct RequestBody {
    incoming: Incoming,
    reading: Reading,
}

/// What reading needs; its drop ends the connection's body phase.
struct Reading {
    watch: Arc<Watch>,
    budget: Arc<BodyBudget>,
    bytes_max: usize,
    deadline: Duration,
    http2: bool,
    /// The client waits for leave before it sends its body.
    waits: bool,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if !self.http2 {
            self.watch.body_done();
        }
    }
}

impl RequestBody {
    pub(super) fn new(
        incoming: Incoming,
        watch: Arc<Watch>,
        budget: Arc<BodyBudget>,
        bytes_max: usize,
        deadline: Duration,
        http2: bool,
        waits: bool,
    ) -> Self {
        Self { incoming, reading: Reading { watch, budget, bytes_max, deadline, http2, waits } }
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// Its length, if the head told it.
    pub fn declared_bytes(&self) -> Option<u64> {
        self.incoming.size_hint().exact()
    }

    /// Takes no more than `bytes`, if the listener would.
    #[must_use]
    pub fn at_most(mut self, bytes: usize) -> Self {
        self.reading.bytes_max = self.reading.bytes_max.min(bytes);
        self
    }

    /// Reads all of it.
    pub async fn read(mut self, standing: Standing) -> Result<HeldBody, BodyError> {
        if self.incoming.is_end_stream() {
            return Ok(HeldBody::default());
        }
        let declared = match self.declared_bytes().map(usize::try_from) {
            Some(Ok(bytes)) if bytes <= self.reading.bytes_max => Some(bytes),
            Some(_) => {
                self.pass_over().await;
                return Err(BodyError::TooLarge);
            }
            None => None,
        };
        // An HTTP/1 connection has one body at a time, which the reaper watches without a timer.
        let needs_timer = self.reading.http2 || declared.is_none_or(|bytes| bytes > FREE_BYTES);
        if !needs_timer {
            return self.collect(standing, declared).await;
        }
        let deadline = self.reading.deadline;
        let read = tokio::time::timeout(deadline, self.collect(standing, declared)).await;
        let read = read.unwrap_or(Err(BodyError::Incomplete));
        if matches!(read, Err(BodyError::TooLarge)) {
            self.pass_over().await;
        }
        read
    }

    /// Reads on what is refused, up to a bound, and keeps nothing of it: a client that is still sending
    /// when the connection is closed loses the answer that says why. One that waits for leave reads it, and
    /// HTTP/2 tells apart what is sent and what is answered.
    async fn pass_over(&mut self) {
        if self.reading.http2 || self.reading.waits {
            return;
        }
        let deadline = self.reading.deadline;
        let passed = async {
            let mut bytes = 0;
            while let Ok(Some(piece)) = self.next().await {
                bytes += piece.len();
                if bytes > PASSED_BYTES_MAX {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(deadline, passed).await;
    }

    async fn collect(
        &mut self,
        standing: Standing,
        declared: Option<usize>,
    ) -> Result<HeldBody, BodyError> {
        let mut held = Held::reserve(self.reading.budget.of(standing).clone(), declared).await?;
        let first = self.next().await?.unwrap_or_default();
        if declared == Some(first.len()) {
            return Ok(held.whole(first));
        }
        let mut all = Vec::with_capacity(declared.unwrap_or(first.len()));
        let mut chunk = first;
        loop {
            if all.len() + chunk.len() > self.reading.bytes_max {
                return Err(BodyError::TooLarge);
            }
            held.grow(all.len() + chunk.len())?;
            all.extend_from_slice(&chunk);
            match self.next().await? {
                Some(next) => chunk = next,
                None => return Ok(held.whole(all.into())),
            }
        }
    }

    /// Has its pieces taken one by one. The connection has no deadline for the whole of it then, but
    /// one for each piece.
    pub fn into_pieces(self) -> Pieces {
        if !self.reading.http2 {
            self.reading.watch.body_done();
        }
        Pieces(self)
    }

    /// The next data; trailers are passed over.
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            match self.incoming.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(_)) => return Err(BodyError::Incomplete),
                None => return Ok(None),
            }
        }
    }
}

/// A body that is read while it comes.
pub struct Pieces(RequestBody);

impl Pieces {
    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let deadline = self.0.reading.deadline;
        let piece = tokio::time::timeout(deadline, self.0.next()).await;
        piece.unwrap_or(Err(BodyError::Incomplete))
    }
}

/// A growing place in the budget.
struct Held {
    budget: Arc<Semaphore>,
    permit: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl Held {
    /// Takes the place for a body of known length at once, waiting for it: two half-read bodies
    /// that wait for each other's room can't happen.
    async fn reserve(budget: Arc<Semaphore>, bytes: Option<usize>) -> Result<Self, BodyError> {
        let bytes = bytes.unwrap_or(0).max(FREE_BYTES);
        let permit = match Self::units(bytes) {
            0 => None,
            units => {
                Some(budget.clone().acquire_many_owned(units).await.map_err(|_| BodyError::Busy)?)
            }
        };
        Ok(Self { budget, permit, bytes })
    }

    fn units(bytes: usize) -> u32 {
        let units = bytes.saturating_sub(FREE_BYTES).div_ceil(UNIT_BYTES);
        u32::try_from(units).unwrap_or(u32::MAX)
    }

    /// Makes room for `bytes` in all, of a body that did not tell its length; it does not wait.
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        // Doubling, as the buffer itself grows.
        let target = bytes.max(self.bytes * 2);
        let more = Self::units(target) - Self::units(self.bytes);
        let permit =
            self.budget.clone().try_acquire_many_owned(more).map_err(|_| BodyError::Busy)?;
        match &mut self.permit {
            Some(held) => held.merge(permit),
            none => *none = Some(permit),
        }
        self.bytes = target;
        Ok(())
    }

    fn whole(self, bytes: Bytes) -> HeldBody {
        HeldBody { bytes, _permit: self.permit }
    }
}

/// An answer's body: whole, or a stream (a snapshot, a log that is followed).
pub enum ReplyBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// All of it, and what counts once it is away.
    Told(Option<Bytes>, Away),
    /// Pieces, as they come.
    Stream(Streamed),
}

/// What is done when a body was taken to be sent and is let go of: it is in the connection's hands
/// then. A body that nobody takes (its caller is gone) was not sent.
pub struct Away(Option<Box<dyn FnOnce() + Send>>, bool);

impl Away {
    /// Does `work`.
    pub fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(work)), false)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if let (Some(work), true) = (self.0.take(), self.1) {
            work();
        }
    }
}

/// A body that is made while it is sent.
pub struct Streamed {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    /// What its connection or request needs until it is sent.
    held: Option<Box<dyn Send>>,
}

impl Streamed {
    /// A body of these pieces. An error breaks the connection.
    pub fn new(pieces: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { pieces, held: None }
    }

    /// Keeps `held` until the body was sent, or nobody takes it any more.
    pub(super) fn hold(&mut self, held: impl Send + 'static) {
        self.held = Some(Box::new(held));
    }
}

impl ReplyBody {
    /// No body.
    pub fn empty() -> Self {
        Self::Whole(None)
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }
}

impl From<Vec<u8>> for ReplyBody {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Told(bytes, away) => {
                away.1 = true;
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Stream(body) => {
                body.pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None) | Self::Told(None, _))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) | Self::Told(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
