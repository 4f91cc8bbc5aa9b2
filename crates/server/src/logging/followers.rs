//! Who follows the log over the API (`sys/monitor`): each has a level and a form of its own.
//!
//! Invariants: a follower that is slow loses lines, and is told how many; it never holds the server
//! up. Nobody gets from a library what the log itself would not tell.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;
use strongroom_base::Clock;
use tokio::sync::mpsc;
use tracing::{Event, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, layer::Context, registry::LookupSpan, reload};

use super::filter_of;
use super::lines::{Lines, level_name};
use crate::config::LogLevel;

/// Lines that a follower may be behind.
pub(super) const FOLLOW_LINES: usize = 512;
/// Followers at a time.
pub(super) const FOLLOWERS_MAX: usize = 16;

type Pieces = mpsc::Sender<io::Result<Bytes>>;

struct Follower {
    lines: Pieces,
    level: LevelFilter,
    json: bool,
    /// Lines it lost since it was told the last time.
    lost: u64,
}

/// All followers.
pub(super) struct Followers {
    all: Mutex<Vec<Follower>>,
    /// How many there are.
    count: AtomicUsize,
    clock: Arc<dyn Clock>,
}

impl Followers {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { all: Mutex::default(), count: AtomicUsize::new(0), clock })
    }

    /// Adds a follower; `None` where there are as many as there may be.
    pub(super) fn add(
        &self,
        level: LogLevel,
        json: bool,
    ) -> Option<mpsc::Receiver<io::Result<Bytes>>> {
        let mut all = self.all.lock();
        all.retain(|follower| !follower.lines.is_closed());
        if all.len() >= FOLLOWERS_MAX {
            return None;
        }
        let (lines, receiver) = mpsc::channel(FOLLOW_LINES);
        all.push(Follower { lines, level: filter_of(level), json, lost: 0 });
        self.count.store(all.len(), Relaxed);
        Some(receiver)
    }

    /// Ends all: what they were sent they still read.
    pub(super) fn end(&self) {
        self.all.lock().clear();
        self.count.store(0, Relaxed);
    }

    /// What they need to be told of.
    pub(super) fn filter(&self) -> Targets {
        let all = self.all.lock();
        let most = all.iter().map(|follower| follower.level).max().unwrap_or(LevelFilter::OFF);
        let foreign = most.min(LevelFilter::INFO);
        Targets::new().with_default(foreign).with_target("strongroom", most)
    }

    /// Hands an event to those who want it.
    fn tell(&self, event: &Event<'_>) {
        let level = *event.metadata().level();
        let mut all = self.all.lock();
        let (mut standard, mut json) = (None, None);
        all.retain_mut(|follower| {
            if follower.level < level {
                return true;
            }
            let made = if follower.json { &mut json } else { &mut standard };
            let line = made.get_or_insert_with(|| {
                let form = Lines { json: follower.json, clock: self.clock.clone() };
                Bytes::from(form.text(event))
            });
            follower.give(line.clone(), &self.clock)
        });
        self.count.store(all.len(), Relaxed);
    }
}

impl Follower {
    /// False if nobody is there any more.
    fn give(&mut self, line: Bytes, clock: &Arc<dyn Clock>) -> bool {
        // The word on what was lost comes before the next line, so it needs a place of its own.
        let places = if self.lost > 0 { 2 } else { 1 };
        if self.lines.is_closed() {
            return false;
        }
        if self.lines.capacity() < places {
            self.lost += 1;
            return true;
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            let form = Lines { json: self.json, clock: clock.clone() };
            let text = form.line(
                level_name(&tracing::Level::WARN),
                "server.logging",
                "lines were lost: they came faster than they were read",
                &[("lost", lost.to_string())],
            );
            let _ = self.lines.try_send(Ok(text.into()));
        }
        let _ = self.lines.try_send(Ok(line));
        true
    }
}

/// The followers as a part of the log.
pub(super) struct FollowLayer(pub(super) Arc<Followers>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for FollowLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.0.count.load(Relaxed) > 0 {
            self.0.tell(event);
        }
    }
}

/// Has the filter let through what the followers need now.
pub(super) fn renew<S>(followers: &Followers, filter: &reload::Handle<Targets, S>) {
    // It fails only if the subscriber is gone, and then nobody logs.
    let _ = filter.reload(followers.filter());
}
