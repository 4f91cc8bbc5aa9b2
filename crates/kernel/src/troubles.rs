//! Failures that are the server's own, in the server's log: a caller and the audit log read
//! `internal error`, whoever runs the server has to know why.
//!
//! Invariants:
//! * a line holds the operation, never the path as it came, which may hold what nobody should read;
//! * a broken disk fails every request: lines beyond a bound are counted, and the next one says how
//!   many there were.

use strongroom_base::{Error, ErrorKind};

use crate::refusals::Refusals;

/// Lines that may be written at once.
const BURST: u64 = 20;
/// Nanoseconds after which there may be one more.
const NANOS_PER_LINE: u64 = 1_000_000_000;

/// The lines of failures written lately.
pub(crate) struct Troubles(Refusals);

impl Default for Troubles {
    fn default() -> Self {
        Self(Refusals::bounded(BURST, NANOS_PER_LINE))
    }
}

impl Troubles {
    /// Notes a failure at `now` (monotonic nanoseconds), if it is the server's own.
    pub(crate) fn note(&self, now: u64, request: &str, operation: &str, error: &Error) {
        if !is_own(error) {
            return;
        }
        if let Some(left_out) = self.0.take(now) {
            tracing::error!(request, operation, %error, left_out, "a request failed");
        }
    }
}

/// Is it the server that failed, and not the request, the caller or somebody else's service?
fn is_own(error: &Error) -> bool {
    match error.kind {
        ErrorKind::Internal => true,
        ErrorKind::Unavailable | ErrorKind::InDoubt => error.cause.is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_the_server_are_its_own() {
        for (error, own) in [
            (Error::internal("a disk"), true),
            (Error::unavailable("the storage is full").because("a disk"), true),
            (Error::unavailable("too many requests wait"), false),
            (Error::denied(), false),
            (Error::bad_request("x").because("y"), false),
            (Error::new(ErrorKind::Upstream, "a database").because("away"), false),
            (Error::sealed(), false),
        ] {
            assert_eq!(is_own(&error), own, "{error}");
        }
    }

    #[test]
    fn a_broken_disk_does_not_flood_the_log() {
        let troubles = Troubles::default();
        let written = |now: u64| (0..1_000).filter(|_| troubles.0.take(now).is_some()).count();
        assert_eq!(written(NANOS_PER_LINE), 20);
        assert_eq!(troubles.0.take(2 * NANOS_PER_LINE), Some(980));
        assert_eq!(written(3 * NANOS_PER_LINE), 1);
    }
}
