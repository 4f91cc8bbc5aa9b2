//! The life of connections: which phase each is in, since when, and who is closed when time or
//! room runs out.
//!
//! Time is counted in ticks of one second by the one task [`reap`], so a change of phase is an
//! atomic store and no request touches a timer.
//!
//! Invariant: a connection that was marked closed never starts another request: the change from
//! waiting to reading is a compare-and-swap which fails on a closed one.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch as channel};

use super::Deadlines;
use super::fair::{Flow, Share};

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Opened; no byte of a request yet.
    New = 0,
    /// A part of a head was read.
    Head = 1,
    /// Between two requests.
    Idle = 2,
    /// The body is being read (HTTP/1; HTTP/2 has a deadline per stream).
    Body = 3,
    /// The service works. The only phase without a deadline: the service has its own.
    Busy = 4,
    /// To be closed; all further reads and writes fail.
    Closed = 5,
}

impl Phase {
    fn from_word(word: u64) -> Self {
        match word >> 32 {
            0 => Self::New,
            1 => Self::Head,
            2 => Self::Idle,
            3 => Self::Body,
            4 => Self::Busy,
            _ => Self::Closed,
        }
    }
}

/// Seconds since the listeners began, as the reaper counts them.
#[derive(Default)]
pub struct Ticks(AtomicU32);

impl Ticks {
    fn now(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

/// One connection's state.
pub struct Watch {
    /// Phase (upper half) and the tick it began at (lower half).
    word: AtomicU64,
    /// The tick at which a write began to stall, plus one; 0 = none stalls.
    stalled: AtomicU32,
    /// Requests the service has of this connection (more than one only with HTTP/2).
    in_flight: AtomicU32,
    http2: AtomicBool,
    draining: AtomicBool,
    waker: Mutex<Option<Waker>>,
    ticks: Arc<Ticks>,
    deadlines: Deadlines,
    key: Mutex<Option<IpAddr>>,
    /// Its account when turns are given.
    pub flow: Arc<Flow>,
}

impl Watch {
    fn new(ticks: Arc<Ticks>, deadlines: Deadlines, alive: Arc<AtomicUsize>) -> Self {
        Self {
            word: AtomicU64::new(Self::word(Phase::New, ticks.now())),
            stalled: AtomicU32::new(0),
            in_flight: AtomicU32::new(0),
            http2: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            waker: Mutex::new(None),
            ticks,
            deadlines,
            key: Mutex::new(None),
            flow: Arc::new(Flow::of(alive)),
        }
    }

    fn word(phase: Phase, tick: u32) -> u64 {
        (phase as u64) << 32 | u64::from(tick)
    }

    /// The present phase.
    pub fn phase(&self) -> Phase {
        Phase::from_word(self.word.load(Relaxed))
    }

    /// Enters `phase`, unless the connection is closed already.
    fn enter(&self, phase: Phase) -> bool {
        let next = Self::word(phase, self.ticks.now());
        let mut word = self.word.load(Relaxed);
        while Phase::from_word(word) != Phase::Closed {
            match self.word.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Bytes arrived: a waiting connection begins a head. False if it is closed meanwhile.
    pub fn received(&self) -> bool {
        match self.phase() {
            Phase::New | Phase::Idle if !self.http2.load(Relaxed) => self.enter(Phase::Head),
            Phase::Closed => false,
            _ => true,
        }
    }

    /// Is the connection marked to be closed?
    pub fn is_closed(&self) -> bool {
        self.phase() == Phase::Closed
    }

    /// HTTP/2 was agreed: connections may rest without a request from the start.
    pub fn is_http2(&self) {
        self.http2.store(true, Relaxed);
        self.flow.has_streams();
        self.enter(Phase::Idle);
    }

    /// A request goes to the service.
    pub fn begin(&self, http2: bool, with_body: bool) {
        if http2 {
            self.http2.store(true, Relaxed);
            self.flow.has_streams();
            self.in_flight.fetch_add(1, Relaxed);
        }
        self.enter(if with_body && !http2 { Phase::Body } else { Phase::Busy });
    }

    /// The request's body is there, or nobody wants it.
    pub fn body_done(&self) {
        if self.phase() == Phase::Body {
            self.enter(Phase::Busy);
        }
    }

    /// The service has answered.
    pub fn end(&self, http2: bool) {
        if !http2 || self.in_flight.fetch_sub(1, Relaxed) == 1 {
            self.enter(Phase::Idle);
        }
    }

    /// A write made progress, or stalls.
    pub fn wrote(&self, stalls: bool) {
        match (stalls, self.stalled.load(Relaxed)) {
            (true, 0) => self.stalled.store(self.ticks.now().wrapping_add(1), Relaxed),
            (false, since) if since != 0 => self.stalled.store(0, Relaxed),
            _ => {}
        }
    }

    /// Remembers the connection's task, to be woken when it is to close or to drain. A task's
    /// waker does not change, so the first is enough.
    pub fn attach(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }

    /// Is the connection asked to end after its present requests?
    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    /// Marks as closed if it is still in the very state `word`.
    fn close_if(&self, word: u64) -> bool {
        let next = Self::word(Phase::Closed, self.ticks.now());
        let closed = self.word.compare_exchange(word, next, Relaxed, Relaxed).is_ok();
        if closed {
            self.wake();
        }
        closed
    }

    /// Closes the connection if its phase has lasted too long.
    fn check(&self, now: u32) {
        let word = self.word.load(Relaxed);
        let since = now.wrapping_sub(word as u32);
        let stalled = self.stalled.load(Relaxed);
        let stall = if stalled == 0 { 0 } else { now.wrapping_sub(stalled.wrapping_sub(1)) };
        // A tick may come right after the phase began, hence "more than".
        let over = |limit: Duration, ticks: u32| u64::from(ticks) > limit.as_secs();
        let late = match Phase::from_word(word) {
            Phase::New | Phase::Head => over(self.deadlines.head, since),
            Phase::Idle => over(self.deadlines.idle, since),
            Phase::Body => over(self.deadlines.body, since),
            Phase::Busy | Phase::Closed => false,
        };
        // A stalled write fails the connection whatever its phase: the answer in it is lost
        // anyway, and a request in progress is still run to its end.
        if late || over(self.deadlines.write, stall) {
            self.close_if(word);
        }
    }
}

/// Why a connection was not admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The peer has as many as one peer may have.
    PeerFull,
    /// The server has as many as it may have, and nobody has more than this peer.
    Full,
}

/// All open connections.
pub struct Registry {
    connections: Mutex<Table>,
    /// Open connections and requests that outlived theirs.
    alive: Arc<AtomicUsize>,
    nobody: Notify,
    draining: AtomicBool,
    ticks: Arc<Ticks>,
    /// The tick of the last line about a refused connection, plus one.
    told: AtomicU32,
    total_max: usize,
    per_peer_max: usize,
}

/// Peers without a connection whose use is remembered; with more, all of them are forgotten.
const GONE_PEERS_MAX: usize = 4_096;

#[derive(Default)]
struct Table {
    next: u64,
    watches: HashMap<u64, Arc<Watch>>,
    per_peer: HashMap<IpAddr, Arc<Share>>,
}

/// One stranger may hold a whole IPv6 /64, so that is what counts as one peer.
pub(super) fn peer_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        v4 => v4,
    }
}

impl Registry {
    /// An empty registry with its two caps.
    pub fn new(total_max: usize, per_peer_max: usize) -> Self {
        Self {
            connections: Mutex::default(),
            alive: Arc::default(),
            nobody: Notify::new(),
            draining: AtomicBool::new(false),
            ticks: Arc::default(),
            told: AtomicU32::new(0),
            total_max,
            per_peer_max,
        }
    }

    /// Admits a connection. When all places are taken, the idle connection of the peer that holds
    /// most gives way, if that peer holds more than the newcomer would.
    pub fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        deadlines: Deadlines,
    ) -> Result<Entry, Refused> {
        let mut table = self.connections.lock();
        let key = address.map(peer_key);
        let held = key.and_then(|key| table.held(&key));
        let held = held.unwrap_or(0);
        if held >= self.per_peer_max {
            return Err(Refused::PeerFull);
        }
        if table.watches.len() >= self.total_max && !table.make_room(held) {
            return Err(Refused::Full);
        }
        let id = table.next;
        table.next += 1;
        let watch = Arc::new(Watch::new(self.ticks.clone(), deadlines, self.alive.clone()));
        if let Some(key) = key {
            table.count(&watch, key);
        }
        if self.draining.load(Relaxed) {
            watch.draining.store(true, Relaxed);
        }
        table.watches.insert(id, watch.clone());
        self.alive.fetch_add(1, Relaxed);
        Ok(Entry { id, watch, registry: self.clone() })
    }

    /// Is this the first refusal of this second?
    pub fn may_tell(&self) -> bool {
        let now = self.ticks.now().wrapping_add(1);
        self.told.swap(now, Relaxed) != now
    }

    /// Counts a request that goes on without its connection.
    pub fn detached(self: &Arc<Self>) -> Detached {
        self.alive.fetch_add(1, Relaxed);
        Detached(self.clone())
    }

    fn gone(&self) {
        if self.alive.fetch_sub(1, Relaxed) == 1 {
            self.nobody.notify_waiters();
        }
    }

    /// Open connections and detached requests.
    pub fn open_count(&self) -> usize {
        self.alive.load(Relaxed)
    }

    /// Asks every connection to end after its present requests; idle ones end now.
    pub fn drain(&self) {
        let table = self.connections.lock();
        self.draining.store(true, Relaxed);
        for watch in table.watches.values() {
            watch.draining.store(true, Relaxed);
            let word = watch.word.load(Relaxed);
            // One that never said anything (or still shakes hands) just closes; hyper ends the
            // idle ones in their protocol's way.
            if Phase::from_word(word) != Phase::New || !watch.close_if(word) {
                watch.wake();
            }
        }
    }

    /// Waits until nothing is open.
    pub async fn empty(&self) {
        loop {
            let notified = self.nobody.notified();
            if self.open_count() == 0 {
                return;
            }
            notified.await;
        }
    }
}

impl Table {
    /// Open connections of a peer.
    fn held(&self, key: &IpAddr) -> Option<usize> {
        self.per_peer.get(key).map(|share| share.connections.load(Relaxed))
    }

    /// Counts a connection for its peer.
    fn count(&mut self, watch: &Watch, key: IpAddr) {
        let share = self.per_peer.entry(key).or_default();
        share.connections.fetch_add(1, Relaxed);
        watch.flow.belongs_to(share.clone());
        *watch.key.lock() = Some(key);
    }

    /// Closes one idle connection of the peer that holds most. Its place is counted as free at
    /// once: the number of sockets passes the cap by those that are about to close.
    fn make_room(&mut self, newcomer_holds: usize) -> bool {
        let weight = |watch: &Watch| -> usize {
            watch.key.lock().and_then(|key| self.held(&key)).unwrap_or(1)
        };
        let victim = self
            .watches
            .iter()
            .filter_map(|(id, watch)| {
                let word = watch.word.load(Relaxed);
                match Phase::from_word(word) {
                    Phase::New | Phase::Head | Phase::Idle => {
                        Some((weight(watch), std::cmp::Reverse(word as u32), *id, word))
                    }
                    _ => None,
                }
            })
            .max();
        match victim {
            Some((weight, _, id, word)) if weight > newcomer_holds + 1 => {
                self.watches.get(&id).is_some_and(|watch| watch.close_if(word))
                    && self.remove(id).is_some()
            }
            _ => false,
        }
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Watch>> {
        let watch = self.watches.remove(&id)?;
        if let Some(key) = *watch.key.lock()
            && let Some(share) = self.per_peer.get(&key)
        {
            watch.flow.leaves();
            share.connections.fetch_sub(1, Relaxed);
            if self.per_peer.len() >= self.watches.len() + GONE_PEERS_MAX {
                self.per_peer.retain(|_, share| share.connections.load(Relaxed) > 0);
            }
        }
        Some(watch)
    }
}

/// A connection's place in the registry, given back when dropped.
pub struct Entry {
    id: u64,
    /// Its state.
    pub watch: Arc<Watch>,
    registry: Arc<Registry>,
}

impl Entry {
    /// Counts the connection for `address`, which a trusted proxy told only now.
    pub fn assign(&self, address: IpAddr) -> Result<(), Refused> {
        let key = peer_key(address);
        let mut table = self.registry.connections.lock();
        if !table.watches.contains_key(&self.id) {
            return Err(Refused::Full);
        }
        if table.held(&key).is_some_and(|held| held >= self.registry.per_peer_max) {
            return Err(Refused::PeerFull);
        }
        table.count(&self.watch, key);
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.registry.connections.lock().remove(self.id);
        self.registry.gone();
    }
}

/// A request that outlived its connection.
pub struct Detached(Arc<Registry>);

impl Drop for Detached {
    fn drop(&mut self) {
        self.0.gone();
    }
}

/// Counts the seconds and closes what is late, until the listeners are dropped.
pub async fn reap(registry: Arc<Registry>, stopped: channel::Receiver<bool>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The channel is closed when nobody can drain any more.
    while stopped.has_changed().is_ok() {
        seconds.tick().await;
        let now = registry.ticks.0.fetch_add(1, Relaxed).wrapping_add(1);
        for watch in registry.connections.lock().watches.values() {
            watch.check(now);
        }
    }
}
