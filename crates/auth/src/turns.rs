//! Turns: how many callers of one mount wait for an outside service at a time. Strangers can log in
//! as often as they like; connections to a service that does not answer must not pile up.

use std::time::Duration;

use strongroom_base::{Error, ErrorKind, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Callers of one mount whose calls are under way.
const AT_A_TIME: usize = 64;
/// The longest wait for a turn.
const WAIT: Duration = Duration::from_secs(10);

/// The turns of one mount.
pub struct Turns {
    free: Semaphore,
    wait: Duration,
}

impl Default for Turns {
    fn default() -> Self {
        Self { free: Semaphore::new(AT_A_TIME), wait: WAIT }
    }
}

impl Turns {
    /// Waits for a turn, which ends when it is dropped.
    pub async fn take(&self) -> Result<SemaphorePermit<'_>> {
        let busy = || Error::unavailable("too many logins wait for the outside service");
        let turn =
            tokio::time::timeout(self.wait, self.free.acquire()).await.map_err(|_| busy())?;
        turn.map_err(Error::internal)
    }
}

/// Tells the operator's log why an outside service failed a login: the caller is not told.
pub fn note_failure<T>(mount: &str, outcome: &Result<T>) {
    if let Err(error) = outcome
        && error.kind == ErrorKind::Upstream
    {
        tracing::warn!(mount, %error, "an outside service failed a login");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_too_late_is_sent_away() {
        let turns = Turns { wait: Duration::from_millis(1), ..Turns::default() };
        let mut held = Vec::new();
        for _ in 0..AT_A_TIME {
            held.push(turns.take().await.unwrap());
        }
        assert!(turns.take().await.is_err());
        held.pop();
        assert!(turns.take().await.is_ok());
    }
}
