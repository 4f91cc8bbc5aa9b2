//! Bounds of the transit engine, each with its unit.

/// Bytes of the shortest HMAC key (OpenBao's bound).
pub const HMAC_KEY_BYTES_MIN: usize = 32;
/// Bytes of the longest HMAC key.
pub const HMAC_KEY_BYTES_MAX: usize = 512;
/// Seconds of the shortest period between automatic rotations: an hour.
pub const AUTO_ROTATE_SECONDS_MIN: i64 = 3_600;
/// Versions that one key may have: its record names each of them, and a backup must be readable again
/// within the bounds of JSON.
pub const VERSIONS_MAX: usize = strongroom_base::limits::JSON_ARRAY_ELEMENTS_MAX - 1;
/// The highest number that a version may have.
pub const VERSION_MAX: u64 = i32::MAX as u64;
/// Versions of a key that stay parsed in memory, beside the newest ones.
pub const LOADED_MAX: usize = 64;
/// The newest versions of a key, which stay parsed in any case.
pub const NEWEST: usize = 4;
/// Keys that one run of the reconciler rotates; of those that are slow to make it makes one.
pub const ROTATIONS_MAX: usize = 8;
/// Records of keys that rotate by themselves, looked at in one step.
pub const ROTATING_PAGE: usize = 500;
/// The smallest cache that can be asked for, in keys.
pub const CACHE_KEYS_MIN: i64 = 10;
/// Random bytes in one request.
pub const RANDOM_BYTES_MAX: usize = 128 * 1024;
/// Bytes of a certificate chain.
pub const CHAIN_BYTES_MAX: usize = 256 * 1024;
/// Items of a batch that are worked off before others get their turn, where each is quick.
pub const QUICK_ITEMS: usize = 32;
