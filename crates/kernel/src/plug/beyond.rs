//! What goes beyond one body in memory and one transaction: bodies that are read or written piece by
//! piece, and work on the whole node.

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use strongroom_base::Result;
use strongroom_storage::BoxFuture;
use tokio::sync::mpsc;

use super::AfterCommit;
use crate::node::{Node, Services};

/// A request's body that is read while it comes, of the few operations that take a file.
pub trait Upload: Send {
    /// The next piece; none at its end.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>>;
}

/// A body for whoever takes it first: the operation, once policy has allowed it.
pub type Uploading = Arc<Mutex<Option<Box<dyn Upload>>>>;

/// A body that is made while it is sent. Its end is the end of the channel; an error breaks the
/// connection, so that no half body passes for a whole one.
pub struct Stream {
    /// Its content type.
    pub content_type: &'static str,
    /// Is it a file to be kept?
    pub attachment: bool,
    /// Its pieces. The channel's bound is the back-pressure.
    pub pieces: mpsc::Receiver<io::Result<Bytes>>,
}

/// Work on the whole node, once the answer is recorded and before it leaves. Its failure is the
/// answer.
pub type Then = Box<dyn FnOnce(Arc<Node>) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// What an answer is beside its data.
pub enum Beyond {
    /// A body of its own.
    Stream(Stream),
    /// Something that is still to be done.
    Then(Then),
    /// Something that counts once the caller has the answer.
    Told(Told),
}

/// What counts once the caller has the answer: nothing of it is done where the answer is lost.
pub struct Told {
    services: Arc<Services>,
    action: AfterCommit,
}

impl Told {
    pub(crate) fn new(services: Arc<Services>, action: AfterCommit) -> Self {
        Self { services, action }
    }

    /// The answer is away.
    pub fn is_sent(self) {
        (self.action)(&self.services);
    }
}

impl Beyond {
    /// Work on the whole node, once the answer is recorded and before it leaves.
    pub fn then<F>(work: impl FnOnce(Arc<Node>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self::Then(Box::new(|node| Box::pin(work(node))))
    }
}
