//! The limits of the client, each with its unit.

use std::time::Duration;

/// How long one request may take, all attempts together, where nothing else is asked for.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a failed request is sent again by default (the command line sets 0).
pub const RETRIES: u32 = 2;
/// The most attempts beyond the first that a setting may ask for.
pub const RETRIES_MAX: u32 = 100;
/// The shortest pause before a second attempt.
pub const RETRY_WAIT_MIN: Duration = Duration::from_millis(1000);
/// By how much, in parts of a thousand, a pause may be longer than the shortest.
pub const RETRY_WAIT_SPREAD: u64 = 500;
/// The longest pause a server may ask for by `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// The most bytes of an answer that are read into memory.
pub const REPLY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// The most bytes of a token file.
pub const TOKEN_BYTES_MAX: usize = 64 * 1024;
