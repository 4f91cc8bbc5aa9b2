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
/// Bytes that AWS KMS encrypts at once (API page "Encrypt").
pub const PLAINTEXT_BYTES_MAX: usize = 4_096;
/// Bytes of a ciphertext of AWS KMS (API page "Decrypt").
pub const BLOB_BYTES_MAX: usize = 6_144;
/// Bytes of all names and values of an encryption context.
pub const CONTEXT_BYTES_MAX: usize = 8_192;
/// Random bytes that AWS KMS gives at once (API page "GenerateRandom").
pub const KMS_RANDOM_BYTES_MAX: i64 = 1_024;
/// Characters of a key's description at AWS KMS (API page "CreateKey").
pub const DESCRIPTION_CHARS_MAX: usize = 8_192;
/// Tags of a key (AWS's quota).
pub const TAGS_MAX: usize = 50;
/// Characters of a tag's key.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Aliases of a key (AWS's quota).
pub const ALIASES_MAX: usize = 50;
/// Characters of an alias's name, `alias/` included.
pub const ALIAS_CHARS_MAX: usize = 256;
/// Bytes of a key policy (AWS's quota).
pub const KEY_POLICY_BYTES_MAX: usize = 32 * 1024;
/// Days between a deletion's request and the deletion.
pub const DELETION_DAYS: std::ops::RangeInclusive<i64> = 7..=30;
/// Days between automatic rotations at AWS KMS.
pub const ROTATION_DAYS: std::ops::RangeInclusive<i64> = 90..=2_560;
/// Entries of one page of a list of AWS KMS.
pub const KMS_PAGE_MAX: i64 = 1_000;
/// Scheduled deletions that one run of the reconciler carries out.
pub const DELETIONS_MAX: usize = 20;
/// Keys from before there were ids that one run of the reconciler gives one.
pub const IDS_MAX: usize = 100;
