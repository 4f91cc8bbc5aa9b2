//! The audit log (design §8): each node's own, hash-chained and signed, always on
//! (docs/formats/audit.md).
//!
//! Invariants:
//! * a request that changes nothing is recorded before its answer leaves; a request that changes
//!   something is recorded in the transaction that changes it, as an outbox row that goes once the
//!   lines are durable in the log;
//! * a request that cannot be recorded is refused;
//! * every line's hash covers the line before it, and heads of the chain are signed;
//! * no lock is held across I/O: whoever finds no writer at work writes, for all who wait.

pub mod background;
mod devices;
mod entry;
mod explained;
mod lives;
pub mod medium;
mod outbox;
mod render;
mod retention;
mod segments;
pub mod sinks;
pub mod verify;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use strongroom_base::{Error, Json, Result, Timestamp};
use strongroom_crypto::digest::Sha256;
use strongroom_crypto::hmac::HmacKey;
use strongroom_crypto::sign::SigningKey;
use tokio::sync::Notify;

pub use self::entry::{Entry, Outcome};
use self::lives::NONE;
use self::medium::Medium;
use self::outbox::Outbox;
pub use self::outbox::Recorded;
use self::render::Lines;
use self::sinks::{Declared, Device, SinkFactory, Sinks};
use crate::record::{Record, Scope, Store, Tx};
use crate::seal::Restored;

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// Bytes after which a segment ends; under load it may become longer, until it is synced.
    pub segment_bytes: u64,
    /// Seconds a segment is kept; `None` keeps all.
    pub retention: Option<i64>,
    /// Make each query's lines durable before its answer leaves.
    pub sync_each: bool,
    /// Devices that the configuration keeps.
    pub devices: Vec<Declared>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, retention: None, sync_each: false, devices: Vec::new() }
    }
}

/// Lines after which the head is signed.
const HEAD_LINES: u64 = 1_000;
/// Seconds after which the head is signed, if there are new lines.
const HEAD_SECONDS: i64 = 10;
/// Bytes that may wait for a log that cannot be written; with more, requests are refused at once.
const PENDING_BYTES_MAX: usize = 16 << 20;
/// Turns that one request writes for others before it hands over.
const TURNS_MAX: usize = 8;
/// Transactions in doubt that are looked at in one tick.
const DOUBTS_MAX: usize = 10_000;
/// A buffer of finished lines of at most so many bytes is used again.
const KEPT_BYTES_MAX: usize = 256 << 10;
/// Bytes read at a time where the log is read.
const READ_BYTES: usize = 1 << 20;

/// The newest signed head, kept in storage: a log that ends before it was cut.
#[derive(Serialize, Deserialize, Clone, Copy, Default)]
struct Head {
    index: u64,
}

impl Record for Head {
    const KIND: u8 = 240;
}

/// The seed of the signing key.
#[derive(Serialize, Deserialize)]
struct Seed(Vec<u8>);

impl Record for Seed {
    const KIND: u8 = 241;
}

impl Drop for Seed {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Headers that the log shows (`sys/config/auditing/request-headers`).
#[derive(Serialize, Deserialize, Default, Clone)]
pub struct AuditedHeaders(pub Vec<(String, bool)>);

impl Record for AuditedHeaders {
    const KIND: u8 = 242;
}

struct State {
    /// The next line's index.
    next: u64,
    chain: [u8; 32],
    /// Finished lines that are not written yet.
    pending: Vec<u8>,
    /// Lines with smaller indexes are written.
    written: u64,
    /// Is somebody writing?
    writing: bool,
    /// Why the last write failed.
    failure: Option<String>,
    /// Bytes of the newest segment.
    segment_bytes: u64,
    /// Is the newest segment long enough, and nearly all of it durable?
    ripe: bool,
    /// Is this life of the node over? Nothing more is recorded then.
    ended: bool,
    /// The first index that no signed head covers, and when the last head was signed.
    signed: u64,
    signed_at: Timestamp,
}

/// The node's audit log.
pub struct AuditLog {
    store: Arc<Store>,
    medium: Arc<dyn Medium>,
    options: AuditOptions,
    key: HmacKey,
    signer: SigningKey,
    state: Mutex<State>,
    wrote: Arc<Notify>,
    /// Lines with smaller indexes are durable, where each query waits for that.
    durable_below: tokio::sync::Mutex<u64>,
    factory: Arc<dyn SinkFactory>,
    /// The running sinks.
    pub sinks: Sinks,
    outbox: Outbox,
    /// Refusals that a full disk has kept out of the log.
    unrecorded: AtomicU64,
    /// Headers shown; changed by [`AuditLog::set_headers`].
    headers: ArcSwap<AuditedHeaders>,
}

impl AuditLog {
    /// Opens the log: finds its end, cuts a torn line, moves what a crash left in the outbox.
    pub async fn open(
        store: Arc<Store>,
        medium: Arc<dyn Medium>,
        factory: Arc<dyn SinkFactory>,
        options: AuditOptions,
        restored: Option<&Restored>,
    ) -> Result<Arc<Self>> {
        let key = HmacKey::new(&store.barrier.digest(Scope::ROOT, &[b"audit hmac"]));
        let (signer, mut head, headers) = records(&store).await?;
        if restored.is_some() {
            // What the store says is of the log of the node or the time that it came from.
            head = Head::default();
        }
        let end = verify::find_end(&*medium).map_err(cannot_record)?;
        if end.index + 1 < head.index {
            tracing::error!(
                last = end.index,
                signed = head.index,
                "the audit log ends before its signed head: lines are missing"
            );
        }
        let _ = medium.publish_key(&verify::public_key_text(&signer.public_key()));
        let next = (end.index + 1).max(head.index);
        let log = Arc::new(Self {
            store,
            medium,
            options,
            key,
            signer,
            state: Mutex::new(State {
                next,
                chain: end.chain,
                pending: Vec::new(),
                written: next,
                writing: false,
                failure: None,
                ended: false,
                segment_bytes: end.segment_bytes,
                ripe: false,
                signed: next,
                signed_at: Timestamp::ZERO,
            }),
            wrote: Arc::new(Notify::new()),
            durable_below: tokio::sync::Mutex::default(),
            factory,
            sinks: Sinks::default(),
            outbox: Outbox::default(),
            unrecorded: AtomicU64::new(0),
            headers: ArcSwap::from_pointee(headers),
        });
        if !end.has_segment {
            log.begin_segment().map_err(cannot_record)?;
        }
        if let Some(restored) = restored {
            log.adopt(restored).await?;
        }
        // The outbox of another node's store is not in this log, whatever ids stand there.
        let foreign = restored.is_some_and(|restored| !restored.same_keys);
        log.recover_outbox(if foreign { &NONE } else { &end.outbox }).await?;
        log.declare_devices().await?;
        let devices = log.store.begin().read(Scope::ROOT).all::<Device>(0).await?;
        for (_, device) in devices {
            log.start_sink(&device);
        }
        Ok(log)
    }

    /// The headers that the log shows.
    pub fn headers(&self) -> Arc<AuditedHeaders> {
        self.headers.load_full()
    }

    /// Puts newer header settings in place, after they became durable.
    pub fn set_headers(&self, headers: AuditedHeaders) {
        self.headers.store(Arc::new(headers));
    }

    /// The HMAC of a value as the log shows it (`sys/audit-hash`).
    pub fn hash(&self, value: &str) -> String {
        render::hmac(&self.key, value.as_bytes())
    }

    /// The public key of the log's signatures.
    pub fn public_key(&self) -> String {
        verify::public_key_text(&self.signer.public_key())
    }

    /// Is the log being written? The reason if not.
    pub fn health(&self) -> std::result::Result<(), String> {
        self.state.lock().failure.clone().map_or(Ok(()), Err)
    }

    /// Records a request that changed nothing. Answers the explain id of its line.
    ///
    /// On a full disk the room that is left is for effects: what was refused is only counted, or
    /// strangers could use it up.
    pub async fn record(&self, entry: &Entry<'_>) -> Result<String> {
        self.still_takes()?;
        if matches!(entry.outcome, Outcome::Refused(_)) && self.is_full() {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
            return Ok(String::new());
        }
        let lines = self.render(entry);
        let index = self.push(&lines, None, entry.trace)?;
        self.settle_with_others(index).await?;
        if self.options.sync_each {
            self.make_durable(index).await?;
        }
        Ok(if entry.trace.is_some() { self.explain_id(index) } else { String::new() })
    }

    /// Records a request in the transaction that carries its effect. The answer goes to
    /// [`AuditLog::committed`] once the transaction is durable; dropped, it says that nobody knows.
    pub fn record_in(&self, tx: &Tx, entry: &Entry<'_>) -> Result<Recorded> {
        self.put_in_outbox(tx, self.render(entry))
    }

    /// Moves the lines of a durable transaction to the log. They are safe in the outbox, so nobody
    /// waits for them.
    pub async fn committed(&self, recorded: Recorded) {
        let pushed = self.push(recorded.lines(), Some(recorded.id()), None);
        if let Ok(index) = pushed {
            let _ = self.settle_with_others(index).await;
            recorded.moved();
        }
    }

    /// Makes the lines up to this index durable, with one sync for all who wait for one.
    async fn make_durable(&self, index: u64) -> Result<()> {
        let mut below = self.durable_below.lock().await;
        if *below <= index {
            let written = self.state.lock().written;
            self.medium.sync().await.map_err(cannot_record)?;
            *below = written;
        }
        Ok(())
    }

    fn render(&self, entry: &Entry<'_>) -> Lines {
        render::lines(entry, &self.key, self.store.now())
    }

    /// Gives lines their indexes and hashes. Answers the last one's index.
    fn push(&self, lines: &Lines, outbox: Option<u64>, trace: Option<&Json>) -> Result<u64> {
        let mut state = self.state.lock();
        // What is committed already was asked before.
        if outbox.is_none() {
            state.takes_more()?;
        }
        let (request, response) = lines.both();
        state.push(&[request], None, None);
        state.push(&response, outbox, trace);
        Ok(state.next - 1)
    }

    /// As [`AuditLog::settle`], after the requests that are ready to run now have had their turn:
    /// their lines go to the file with the same call.
    async fn settle_with_others(&self, index: u64) -> Result<()> {
        tokio::task::yield_now().await;
        self.settle(index).await
    }

    /// Waits until the line with this index is written, writing itself where nobody does.
    async fn settle(&self, index: u64) -> Result<()> {
        loop {
            match self.turn(index)? {
                Turn::Written => return Ok(()),
                Turn::Lead => {
                    self.write_pending();
                    self.state.lock().check(index)?;
                }
                Turn::Wait => {
                    let wrote = self.wrote.notified();
                    tokio::pin!(wrote);
                    wrote.as_mut().enable();
                    // It may have been written before anyone knew that somebody waits.
                    if self.state.lock().must_wait(index) {
                        wrote.await;
                    }
                    self.state.lock().check(index)?;
                }
            }
        }
    }

    /// What is to be done for the line with this index.
    fn turn(&self, index: u64) -> Result<Turn> {
        let mut state = self.state.lock();
        if state.written > index {
            return Ok(Turn::Written);
        }
        if state.writing {
            return Ok(Turn::Wait);
        }
        state.writing = true;
        Ok(Turn::Lead)
    }
    /// Writes what is pending, for a few turns, then lets go.
    fn write_pending(&self) {
        for _ in 0..TURNS_MAX {
            let (mut bytes, upto) = {
                let mut state = self.state.lock();
                if state.pending.is_empty() {
                    break;
                }
                (std::mem::take(&mut state.pending), state.next)
            };
            let result = self.medium.append(&bytes);
            let mut state = self.state.lock();
            match result {
                Ok(()) => {
                    state.written = upto;
                    state.segment_bytes += bytes.len() as u64;
                    state.failure = None;
                    let full = state.is_full(self.options.segment_bytes);
                    let done = state.pending.is_empty() && !full;
                    if state.pending.is_empty() && bytes.capacity() <= KEPT_BYTES_MAX {
                        bytes.clear();
                        state.pending = bytes;
                    }
                    state.writing = !done;
                    drop(state);
                    if full && let Err(e) = self.begin_segment() {
                        tracing::error!(error = %e, "a new audit segment could not be begun");
                    }
                    if done {
                        self.wrote.notify_waiters();
                        return;
                    }
                }
                Err(e) => {
                    bytes.extend_from_slice(&state.pending);
                    state.pending = bytes;
                    state.failure = Some(e.to_string());
                    break;
                }
            }
            self.wrote.notify_waiters();
        }
        self.state.lock().writing = false;
        self.wrote.notify_waiters();
    }

    /// Is only the room left that was kept back for a full disk?
    pub fn is_full(&self) -> bool {
        self.medium.is_full()
    }

    /// Refusals that a full disk has kept out of the log since the start.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// Work of each second: sync, signed head, outbox, retention.
    pub async fn tick(&self, now: Timestamp) -> Result<()> {
        self.medium.look_for_room();
        self.sign_head(now, false).await?;
        let doubts = self.settle_doubts().await;
        // Their lines have indexes, and may wait yet for a log that could not be written.
        let durable = self.outbox.moved_below();
        self.settle(self.last_index()).await?;
        self.medium.sync().await.map_err(cannot_record)?;
        self.ripen().await?;
        self.outbox.remove_below(&self.store, durable).await?;
        self.retire(now);
        doubts
    }

    /// Moves the lines of transactions that failed, and turn out to be durable now that the store is read
    /// again. One that cannot be read stays in doubt and holds up no other.
    async fn settle_doubts(&self) -> Result<()> {
        let doubts = self.outbox.in_doubt(DOUBTS_MAX);
        if doubts.is_empty() {
            return Ok(());
        }
        self.outbox.after_all_commits(&self.store).await?;
        let mut unread = Ok(());
        for id in doubts {
            match self.outbox.resolve(&self.store, id).await {
                Ok(Some(recorded)) => {
                    // After it is known as under way, as where lines are put into a transaction.
                    self.still_takes()?;
                    self.committed(recorded).await;
                }
                Ok(None) => {}
                Err(error) => unread = Err(error),
            }
        }
        unread
    }

    /// Signs what is not signed yet and makes all durable: before the server stops.
    pub async fn finish(&self, now: Timestamp) -> Result<()> {
        self.sign_head(now, true).await?;
        self.medium.sync().await.map_err(cannot_record)
    }

    async fn sign_head(&self, now: Timestamp, at_once: bool) -> Result<()> {
        let index = {
            let mut state = self.state.lock();
            if state.ended {
                return Ok(());
            }
            let fresh = state.next - state.signed;
            let due = now >= state.signed_at.plus_seconds(HEAD_SECONDS);
            if fresh == 0 || (fresh < HEAD_LINES && !due && !at_once) {
                return Ok(());
            }
            let index = state.next - 1;
            let signature = self.signer.sign(&verify::head_message(index, &state.chain));
            let mut line =
                format!("{{\"time\":\"{now}\",\"type\":\"head\",\"signature\":\"").into_bytes();
            render::put_hex(&mut line, &signature);
            line.push(b'"');
            state.push(&[&line], None, None);
            state.signed = state.next;
            state.signed_at = now;
            index + 1
        };
        self.settle(index).await?;
        // First the lines, then what says that they are there: a power cut in between must not look
        // like lines taken away, nor leave a gap of indexes.
        self.medium.sync().await.map_err(cannot_record)?;
        let head = Head { index: index + 1 };
        let put = |tx: Arc<Tx>| async move {
            let root = tx.write(Scope::ROOT);
            let stored = root.named::<Head>(0, "").await?.unwrap_or_default();
            // A later one may have come first: the sync took its time.
            if stored.index < head.index { root.put_named(0, "", &head) } else { Ok(()) }
        };
        self.store.transact(put).await
    }

    /// Moves what lies in the outbox after a crash, unless the log has it already.
    async fn recover_outbox(&self, present: &std::collections::BTreeSet<u64>) -> Result<()> {
        let left = self.outbox.left_over(&self.store).await?;
        let mut present = present.clone();
        if let Some((missing, _)) = left.iter().find(|(id, _)| !present.contains(id)) {
            // The outbox was not emptied for a long time: its lines may lie further back.
            verify::add_older_outbox(&*self.medium, &mut present, *missing)
                .map_err(cannot_record)?;
        }
        for (id, lines) in left {
            if !present.contains(&id) {
                let index = self.push(&lines, Some(id), None)?;
                self.settle(index).await?;
            }
        }
        self.medium.sync().await.map_err(cannot_record)?;
        self.outbox.remove_below(&self.store, u64::MAX).await
    }

    /// The last line's index.
    pub fn last_index(&self) -> u64 {
        self.state.lock().next - 1
    }

    /// The medium, for sinks and for reading the log.
    pub fn medium(&self) -> &Arc<dyn Medium> {
        &self.medium
    }
}

/// What whoever needs a line written is to do.
enum Turn {
    Written,
    /// Write, for all who wait.
    Lead,
    /// Somebody writes.
    Wait,
}

impl State {
    /// Refuses what comes while too much waits for a log that cannot be written.
    fn takes_more(&self) -> Result<()> {
        if self.pending.len() > PENDING_BYTES_MAX {
            return Err(cannot_record("the audit log cannot be written"));
        }
        Ok(())
    }

    /// Is somebody writing, and the line with this index not written yet?
    fn must_wait(&self, index: u64) -> bool {
        self.written <= index && self.writing
    }

    /// The failure of the line with this index, where nobody goes on trying.
    fn check(&self, index: u64) -> Result<()> {
        match &self.failure {
            Some(failure) if self.written <= index && !self.writing => {
                Err(cannot_record(failure.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Finishes a line: index, outbox id, decision and hash.
    fn push(&mut self, line: &[&[u8]], outbox: Option<u64>, trace: Option<&Json>) {
        use std::io::Write;
        let start = self.pending.len();
        // Writing into memory does not fail.
        line.iter().for_each(|part| self.pending.extend_from_slice(part));
        let _ = write!(self.pending, ",\"strongroom\":{{\"index\":{}", self.next);
        if let Some(id) = outbox {
            let _ = write!(self.pending, ",\"outbox\":{id}");
        }
        if let Some(trace) = trace {
            let _ = write!(self.pending, ",\"decision\":{trace}");
        }
        let mut hash = Sha256::new();
        hash.update(&self.chain).update(&self.pending[start..]);
        self.chain = hash.finish();
        self.pending.extend_from_slice(b",\"chain\":\"");
        render::put_hex(&mut self.pending, &self.chain);
        self.pending.extend_from_slice(b"\"}}\n");
        self.next += 1;
    }
}

/// The log's records, made at the first start.
async fn records(store: &Arc<Store>) -> Result<(SigningKey, Head, AuditedHeaders)> {
    let tx = store.begin();
    let root = tx.write(Scope::ROOT);
    let head = root.named::<Head>(0, "").await?.unwrap_or_default();
    let headers = root.named::<AuditedHeaders>(0, "").await?.unwrap_or_default();
    if let Some(seed) = root.named::<Seed>(0, "").await? {
        let seed = seed.0.as_slice().try_into().map_err(|_| Error::internal("audit key"))?;
        return Ok((SigningKey::from_seed(&seed)?, head, headers));
    }
    let (signer, seed) = SigningKey::generate(&*store.rng)?;
    root.put_named(0, "", &Seed(seed.expose_secret().to_vec()))?;
    tx.commit().await?;
    Ok((signer, head, headers))
}

/// The refusal of a request that cannot be recorded.
fn cannot_record(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::unavailable("the request cannot be recorded in the audit log").because(cause)
}
