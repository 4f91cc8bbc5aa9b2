//! Sinks: what Vault calls audit devices. Each is a cursor over the node's own log with a task of
//! its own; a stalled one lags, is visible in health and metrics, and holds nobody up.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use strongroom_base::{Result, Timestamp};
use tokio::sync::Notify;

use super::READ_BYTES;
use super::medium::Medium;
use super::verify::index_of;
use crate::record::{Record, Scope, Store};

/// A device's record, named by its path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Device {
    /// `file`, `http`, `syslog`, `socket`.
    pub kind: String,
    /// Path with a trailing slash.
    pub path: String,
    /// Free text.
    pub description: String,
    /// Options of the type.
    pub options: BTreeMap<String, String>,
    /// `local`.
    pub local: bool,
    /// When it was enabled.
    pub created: Timestamp,
    /// The line after which it begins.
    pub after: u64,
    /// Is it kept by the configuration? The API cannot change it then.
    #[serde(default)]
    pub configured: bool,
}

impl Record for Device {
    const KIND: u8 = 243;
}

/// How far a device has come, named by its path.
#[derive(Serialize, Deserialize)]
pub(super) struct Cursor(u64);

impl Record for Cursor {
    const KIND: u8 = 244;
}

/// Where lines go.
pub trait Sink: Send + 'static {
    /// Hands whole lines over. An error leaves the cursor where it was: they come again.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// The index of the last line that it holds, where it can tell: nothing comes twice then.
    fn last_index(&mut self) -> Option<u64> {
        None
    }
}

/// Makes sinks: the adapters of this binary.
pub trait SinkFactory: Send + Sync + 'static {
    /// Opens a sink; refuses options that are wrong or not allowed.
    fn open(&self, kind: &str, options: &BTreeMap<String, String>) -> Result<Box<dyn Sink>>;
}

/// A device that the configuration declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// `file`, `syslog`, `socket`.
    pub kind: String,
    /// Path with a trailing slash.
    pub path: String,
    /// Free text.
    pub description: String,
    /// Options of the type.
    pub options: BTreeMap<String, String>,
}

/// A device whose sink could not be opened yet: each attempt to write tries again, so that it
/// lags, is seen to, and recovers.
pub(super) struct Unopened {
    pub factory: Arc<dyn SinkFactory>,
    pub kind: String,
    pub options: BTreeMap<String, String>,
    pub opened: Option<Box<dyn Sink>>,
}

impl Sink for Unopened {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.opened {
            Some(sink) => sink.write(lines),
            None => {
                let sink = self.factory.open(&self.kind, &self.options);
                let sink = sink.map_err(|e| io::Error::other(e.to_string()))?;
                self.opened.insert(sink).write(lines)
            }
        }
    }
}

/// How a sink fares.
#[derive(Default)]
pub struct SinkStatus {
    /// The last line handed over.
    pub delivered: AtomicU64,
    /// Did the last attempt fail?
    pub failing: AtomicBool,
}

struct Running {
    status: Arc<SinkStatus>,
    task: tokio::task::JoinHandle<()>,
}

/// The running sinks. Dropping them ends their tasks.
#[derive(Default)]
pub struct Sinks {
    running: Mutex<BTreeMap<String, Running>>,
}

impl Drop for Sinks {
    fn drop(&mut self) {
        for running in self.running.lock().values() {
            running.task.abort();
        }
    }
}

/// Seconds between attempts where nothing wakes a sink, or it fails.
const PATIENCE: Duration = Duration::from_secs(1);

impl Sinks {
    /// Starts a device's task.
    pub(super) fn start(
        &self,
        device: &Device,
        sink: Box<dyn Sink>,
        store: Arc<Store>,
        medium: Arc<dyn Medium>,
        wrote: Arc<Notify>,
    ) {
        let status = Arc::new(SinkStatus::default());
        status.delivered.store(device.after, Ordering::Relaxed);
        let cursor = Delivery {
            path: device.path.clone(),
            after: device.after,
            saved: 0,
            store,
            medium,
            status: status.clone(),
        };
        let task = tokio::spawn(cursor.run(sink, wrote));
        self.running.lock().insert(device.path.clone(), Running { status, task });
    }

    /// Ends a device's task.
    pub(super) fn stop(&self, path: &str) {
        if let Some(running) = self.running.lock().remove(path) {
            running.task.abort();
        }
    }

    /// Ends all tasks.
    pub(super) fn stop_all(&self) {
        for running in std::mem::take(&mut *self.running.lock()).into_values() {
            running.task.abort();
        }
    }

    /// The last line that all sinks have been handed; `None` where there is none.
    pub(crate) fn delivered_by_all(&self) -> Option<u64> {
        let running = self.running.lock();
        running.values().map(|r| r.status.delivered.load(Ordering::Relaxed)).min()
    }

    /// How many sinks take no lines now.
    pub fn failing(&self) -> usize {
        let running = self.running.lock();
        running.values().filter(|r| r.status.failing.load(Ordering::Relaxed)).count()
    }

    /// Every sink's path and status.
    pub fn statuses(&self) -> Vec<(String, Arc<SinkStatus>)> {
        self.running.lock().iter().map(|(path, r)| (path.clone(), r.status.clone())).collect()
    }
}

/// One sink's way along the log.
struct Delivery {
    path: String,
    /// The last line handed over.
    after: u64,
    saved: u64,
    store: Arc<Store>,
    medium: Arc<dyn Medium>,
    status: Arc<SinkStatus>,
}

impl Delivery {
    async fn run(mut self, mut sink: Box<dyn Sink>, wrote: Arc<Notify>) {
        if let Ok(Some(Cursor(saved))) =
            self.store.begin().read(Scope::ROOT).named::<Cursor>(0, &self.path).await
        {
            self.after = self.after.max(saved);
        }
        if let Some(last) = sink.last_index() {
            self.after = self.after.max(last);
        }
        self.status.delivered.store(self.after, Ordering::Relaxed);
        let mut place: Option<(u64, u64)> = None;
        loop {
            let woken = wrote.notified();
            match self.deliver(&mut place, sink).await {
                Ok((more, back)) => {
                    sink = back;
                    self.status.failing.store(false, Ordering::Relaxed);
                    if more {
                        continue;
                    }
                }
                Err((e, back)) => {
                    sink = back;
                    if !self.status.failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!(device = %self.path, error = %e, "an audit device lags");
                    }
                    place = None;
                    tokio::time::sleep(PATIENCE).await;
                    continue;
                }
            }
            self.save().await;
            let _ = tokio::time::timeout(PATIENCE, woken).await;
        }
    }

    /// Hands the next piece over; tells whether there is more.
    async fn deliver(
        &mut self,
        place: &mut Option<(u64, u64)>,
        sink: Box<dyn Sink>,
    ) -> std::result::Result<(bool, Box<dyn Sink>), (io::Error, Box<dyn Sink>)> {
        let (medium, after, from) = (self.medium.clone(), self.after, *place);
        let moved = tokio::task::spawn_blocking(move || {
            let mut sink = sink;
            let result = piece(&*medium, after, from).and_then(|(lines, last, next)| {
                if !lines.is_empty() {
                    sink.write(&lines)?;
                }
                Ok((last, next))
            });
            (result, sink)
        })
        .await;
        // The task ends with the runtime only.
        let Ok((result, sink)) = moved else { std::future::pending().await };
        match result {
            Ok((last, next)) => {
                let more = last > self.after;
                self.after = last;
                self.status.delivered.store(last, Ordering::Relaxed);
                *place = next;
                Ok((more, sink))
            }
            Err(e) => Err((e, sink)),
        }
    }

    async fn save(&mut self) {
        if self.saved == self.after {
            return;
        }
        let (path, after) = (&self.path, self.after);
        let saved = self
            .store
            .transact(|tx| async move { tx.write(Scope::ROOT).put_named(0, path, &Cursor(after)) })
            .await;
        if saved.is_ok() {
            self.saved = after;
        }
    }
}

/// The next whole lines after `after`: their bytes, the last one's index, and where to go on.
type Piece = (Vec<u8>, u64, Option<(u64, u64)>);

fn piece(medium: &dyn Medium, after: u64, from: Option<(u64, u64)>) -> io::Result<Piece> {
    let segments = medium.segments()?;
    let (first, offset) = match from {
        Some(place) => place,
        None => match segments.iter().rev().find(|s| s.first <= after + 1).or(segments.first()) {
            Some(segment) => (segment.first, 0),
            None => return Ok((Vec::new(), after, None)),
        },
    };
    let mut bytes = medium.read(first, offset, READ_BYTES)?;
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    bytes.truncate(whole);
    if bytes.is_empty() {
        // At this segment's end: is there another one?
        let next = segments.iter().find(|s| s.first > first);
        return match next {
            Some(next) => piece(medium, after, Some((next.first, 0))),
            None => Ok((Vec::new(), after, Some((first, offset)))),
        };
    }
    let mut last = after;
    let mut lines = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        match index_of(&line[..line.len() - 1]) {
            Some(index) if index > after => {
                last = index;
                lines.extend_from_slice(line);
            }
            _ => {}
        }
    }
    let place = Some((first, offset + whole as u64));
    if lines.is_empty() {
        return piece(medium, after, place);
    }
    Ok((lines, last, place))
}
