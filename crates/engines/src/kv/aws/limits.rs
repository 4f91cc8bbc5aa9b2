//! Bounds of AWS Secrets Manager, as its API reference and its quotas name them. They bind writes at
//! AWS's door; what other doors wrote beyond them stays readable.

/// Bytes of a value.
pub const VALUE_BYTES_MAX: usize = 65_536;
/// Versions kept of a secret that was made here.
pub const VERSIONS_KEPT: u64 = 100;
/// Labels on all versions of a secret together, AWSCURRENT and AWSPREVIOUS left out where they follow
/// from the order of publications.
pub const STAGES_MAX: usize = 20;
/// Characters of a label.
pub const STAGE_CHARS_MAX: usize = 256;
/// Characters of a client request token, at least.
pub const TOKEN_CHARS_MIN: usize = 32;
/// As [`TOKEN_CHARS_MIN`], at most.
pub const TOKEN_CHARS_MAX: usize = 64;
/// Tags of a secret.
pub const TAGS_MAX: usize = 50;
/// Characters of a tag's key.
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARS_MAX: usize = 256;
/// Characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 2_048;
/// Characters of a key's name.
pub const KMS_KEY_CHARS_MAX: usize = 2_048;
/// Characters of a resource policy.
pub const POLICY_CHARS_MAX: usize = 20_480;
/// Days in which a deletion can be taken back, at least.
pub const RECOVERY_DAYS_MIN: i64 = 7;
/// As [`RECOVERY_DAYS_MIN`], at most; so many where nothing is said.
pub const RECOVERY_DAYS_MAX: i64 = 30;
/// Secrets of one batch.
pub const BATCH_MAX: usize = 20;
/// Entries of a page of a list; so many where nothing is said.
pub const PAGE_MAX: usize = 100;
/// Filters of a list.
pub const FILTERS_MAX: usize = 10;
/// Values of a filter.
pub const FILTER_VALUES_MAX: usize = 10;
/// Characters of a filter's value.
pub const FILTER_VALUE_CHARS_MAX: usize = 512;
/// Folders that one list looks at.
pub const FOLDERS_MAX: usize = 100_000;
/// Heads that one page of a list reads; with more, the page ends early and the next goes on. A list that is
/// sorted by a time that a secret has itself is no longer than that. Tests come to it sooner.
pub const LIST_READS_MAX: usize = if cfg!(test) { 200 } else { 20_000 };
/// Names that one page of a list compares with its filters.
pub const LIST_STEPS_MAX: usize = 200_000;
/// Secrets whose reading is noted and not yet stored; with more, some are stored another time.
pub const ACCESSED_PENDING_MAX: usize = 10_000;
/// Secrets of which it is remembered that their reading is noted for today.
pub const ACCESSED_KNOWN_MAX: usize = 100_000;
/// Notes that one run of the reconciler stores.
pub const ACCESSED_STORED_MAX: usize = 500;
/// Bytes of a `NextToken`.
pub const NEXT_TOKEN_BYTES_MAX: usize = 4_096;
/// Characters of a random password where nothing is said.
pub const PASSWORD_CHARS_DEFAULT: usize = 32;
/// As [`PASSWORD_CHARS_DEFAULT`], at least.
pub const PASSWORD_CHARS_MIN: i64 = 1;
/// As [`PASSWORD_CHARS_DEFAULT`], at most.
pub const PASSWORD_CHARS_MAX: i64 = 4_096;
/// Days between rotations at most.
pub const ROTATION_DAYS_MAX: i64 = 1_000;
/// Characters of a rotation's schedule.
pub const SCHEDULE_CHARS_MAX: usize = 256;
/// Characters of a rotation function's name.
pub const FUNCTION_CHARS_MAX: usize = 2_048;
