//! Bounds of the KV engine, each with its unit.

/// Versions kept where neither the secret nor the mount says how many (Vault's default).
pub const VERSIONS_DEFAULT: u64 = 10;
/// Versions kept of one secret at most, whatever its settings: its head is rewritten with each.
pub const VERSIONS_MAX: u64 = 65_536;
/// Entries of `custom_metadata`.
pub const LABELS_MAX: usize = 64;
/// Bytes of a key of `custom_metadata`.
pub const LABEL_KEY_BYTES_MAX: usize = 128;
/// Bytes of a value of `custom_metadata`.
pub const LABEL_VALUE_BYTES_MAX: usize = 512;
/// Secrets that one move within a mount may take along.
pub const MOVE_SECRETS_MAX: usize = 10_000;
/// Secrets that one copy, or one move to another mount, may take along.
pub const COPY_SECRETS_MAX: usize = 1_000;
/// Bytes of values that one copy may take along.
pub const COPY_BYTES_MAX: usize = 64 << 20;
/// Entries that one search looks at.
pub const SEARCH_ENTRIES_MAX: usize = 200_000;
/// Secrets whose field names one search reads.
pub const SEARCH_READS_MAX: usize = 5_000;
/// Matches that one search answers unless it asks for fewer.
pub const SEARCH_MATCHES_MAX: usize = 1_000;
/// Bytes of a search text.
pub const SEARCH_QUERY_BYTES_MAX: usize = 512;
/// Scheduled deletions that one run of the reconciler carries out.
pub const PURGES_MAX: usize = 100;
