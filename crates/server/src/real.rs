//! Where the operating system is asked: time, randomness, environment, signals, and the hardening
//! of the process. Everything else of the server gets these as arguments.
#![allow(clippy::disallowed_methods)]

use std::{
    cell::RefCell,
    ffi::OsString,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rustix::{
    mm::{MlockAllFlags, mlockall},
    process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit},
    rand::{GetRandomFlags, getrandom},
    time::{ClockId, clock_gettime},
};
use strongroom_base::{Clock, Rng, Timestamp};
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroize;

/// The machine's clocks.
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// A clock whose monotonic time begins now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        let nanos = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
        };
        Timestamp(nanos)
    }

    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Nanoseconds of CPU that this thread has used.
pub fn thread_cpu_nanos() -> u64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    part(used.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(used.tv_nsec))
}

/// Does `work` on a thread of its own that gives way to those that serve requests. Ten steps of niceness
/// leave it a tenth of their share: enough that a key is made in time on a machine that others keep busy.
pub fn in_background(work: Box<dyn FnOnce() + Send>) {
    const STEPS: i32 = 10;
    let run = move || {
        let me = Some(rustix::thread::gettid());
        // Where it may not be lowered, the work competes with the others, and that is all.
        if let Ok(mine) = rustix::process::getpriority_process(me) {
            let _ = rustix::process::setpriority_process(me, mine.saturating_add(STEPS));
        }
        work();
    };
    // Whoever waits for the work learns that it was dropped.
    if let Err(error) = std::thread::Builder::new().name("heavy".into()).spawn(run) {
        tracing::warn!(error = %error, "a thread of heavy work could not be started");
    }
}

/// The kernel's random generator.
///
/// Keys and whole tokens come from it directly. Nonces, ids and tails, of which a write takes half a
/// dozen, are cut from a buffer of this thread, so that they do not cost a system call each; a byte
/// is overwritten there as it is given out. The server never forks, so no buffer exists twice.
#[derive(Clone, Copy, Default)]
pub struct RealRng;

/// Requests of so many bytes or more are not served from the buffer.
const DIRECT_BYTES: usize = 32;
/// Bytes fetched at a time.
const BUFFER_BYTES: usize = 512;

/// Random bytes not given out yet: `bytes[at..]`.
struct Buffer {
    bytes: [u8; BUFFER_BYTES],
    at: usize,
}

impl Buffer {
    fn take(&mut self, out: &mut [u8]) {
        if self.bytes.len() - self.at < out.len() {
            from_kernel(&mut self.bytes);
            self.at = 0;
        }
        let taken = &mut self.bytes[self.at..self.at + out.len()];
        out.copy_from_slice(taken);
        taken.zeroize();
        self.at += out.len();
    }
}

thread_local! {
    static BUFFER: RefCell<Buffer> =
        const { RefCell::new(Buffer { bytes: [0; BUFFER_BYTES], at: BUFFER_BYTES }) };
}

impl Rng for RealRng {
    fn fill(&self, out: &mut [u8]) {
        if out.len() >= DIRECT_BYTES {
            return from_kernel(out);
        }
        // A thread that is ending has no buffer any more.
        if BUFFER.try_with(|buffer| buffer.borrow_mut().take(out)).is_err() {
            from_kernel(out);
        }
    }
}

#[allow(clippy::panic)]
fn from_kernel(out: &mut [u8]) {
    let mut rest = out;
    while !rest.is_empty() {
        match getrandom(&mut *rest, GetRandomFlags::empty()) {
            Ok(count) => rest = &mut rest[count..],
            Err(rustix::io::Errno::INTR) => {}
            // Without randomness no key and no token may be made: to stop is the only safe
            // answer, and Linux has the call since 3.17.
            Err(error) => panic!("the kernel gives no random bytes: {error}"),
        }
    }
}

/// A variable of the environment, if it is set and is text.
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// All variables of the environment.
pub fn environment_all() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os()
}

/// The name of this machine, for answers and logs.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// What hardening could not be had; each a sentence for the operator.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Weaknesses(pub Vec<String>);

/// Keeps the process on small pages. The allocator asks for huge ones, of which a server that does
/// little touches a few bytes each: they are locked, and three quarters of an idle server's memory.
pub fn small_pages() {
    // Where the system refuses, the server is only larger.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// Makes the process's memory hard to get at: no core dumps, no debugger of the same user, no
/// swapping out. What the system refuses is told, and the server runs on without it.
///
/// Pages are locked as they are first touched (`MCL_ONFAULT`), so stacks and arenas that are never
/// used cost nothing. Whatever is mapped from files is locked like the rest once it was read:
/// the store must not map its database into memory when locking is on.
pub fn harden(lock_memory: bool) -> Weaknesses {
    let mut weak = Weaknesses::default();
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        weak.0.push(format!("core dumps could not be turned off: {error}"));
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        weak.0.push(format!("the process could not be closed to debuggers: {error}"));
    }
    if lock_memory && let Err(why) = lock() {
        weak.0.push(format!(
            "memory is not locked, so secrets may be written to swap: {why}. Give the server \
             CAP_IPC_LOCK or an unlimited RLIMIT_MEMLOCK, or set disable_mlock = true where swap \
             is off or encrypted"
        ));
    }
    weak
}

/// Locks present and future memory. Under a finite limit it does not try: the limit would be met
/// later, by an allocation that then fails and takes the server down.
fn lock() -> Result<(), String> {
    let limit = getrlimit(Resource::Memlock);
    if limit.maximum.is_none() && limit.current.is_some() {
        // Raising the soft limit up to the hard one needs no privilege.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    }
    let limit = getrlimit(Resource::Memlock);
    if let (Some(bytes), false) = (limit.current, may_lock_beyond_limit()) {
        return Err(format!("only {} KiB may be locked", bytes / 1024));
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
        .map_err(|error| error.to_string())
}

/// Has this process CAP_IPC_LOCK (bit 14 of its effective capabilities)?
fn may_lock_beyond_limit() -> bool {
    const CAP_IPC_LOCK: u64 = 1 << 14;
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
            u64::from_str_radix(line.trim(), 16).ok()
        })
        .is_some_and(|effective| effective & CAP_IPC_LOCK != 0)
}

/// Raises the number of files that may be open to what the system allows, and returns it. The
/// usual soft limit of 1,024 would be met by connections.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What the operator asks by a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// SIGTERM or SIGINT: end in order.
    Stop,
    /// SIGHUP: read certificates and the log level again, reopen files.
    Reload,
    /// SIGUSR1: write the state of the server into its log.
    Dump,
}

/// The process's signals.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user: Signal,
}

impl Signals {
    /// Takes the signals over from their default actions. Needs a tokio runtime.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// The next request.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hang_up.recv() => Request::Reload,
            _ = self.user.recv() => Request::Dump,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run_and_bytes_differ() {
        let clock = RealClock::new();
        let first = clock.monotonic_nanos();
        assert!(clock.monotonic_nanos() >= first);
        assert!(clock.now() > Timestamp::parse("2024-01-01T00:00:00Z").unwrap());
        let (a, b): ([u8; 32], [u8; 32]) = (RealRng.bytes(), RealRng.bytes());
        assert_ne!(a, b);
        assert_ne!(a, [0; 32]);
    }

    /// Small pieces come from a buffer: none comes twice, also where the buffer is filled again.
    #[test]
    fn buffered_bytes_are_given_once() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..4 * BUFFER_BYTES {
            assert!(seen.insert(RealRng.bytes::<12>()));
        }
        BUFFER.with_borrow(|buffer| {
            assert!(buffer.bytes[..buffer.at].iter().all(|byte| *byte == 0));
        });
    }

    #[test]
    fn no_core_and_no_debugger_after_hardening() {
        let weak = harden(false);
        assert_eq!(weak, Weaknesses::default());
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    }

    #[test]
    fn locking_is_done_or_said_to_be_missing() {
        // Depends on the machine's privileges; either way it must be told.
        let weak = harden(true);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked = status
            .lines()
            .any(|line| line.strip_prefix("VmLck:").is_some_and(|size| size.trim() != "0 kB"));
        assert_eq!(weak.0.is_empty(), locked, "{weak:?}");
    }
}
