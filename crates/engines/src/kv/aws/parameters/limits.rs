//! Bounds of Parameter Store, as its API reference and its quotas name them. They bind writes at this
//! door; what other doors wrote beyond them stays readable.

/// Bytes of a value of the standard tier.
pub const STANDARD_BYTES_MAX: usize = 4_096;
/// Bytes of a value of the advanced tier.
pub const ADVANCED_BYTES_MAX: usize = 8_192;
/// Versions kept of a parameter that was made here.
pub const VERSIONS_KEPT: u64 = 100;
/// Characters of a description.
pub const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Characters of an `AllowedPattern`.
pub const PATTERN_CHARS_MAX: usize = 1_024;
/// Bytes that a compiled pattern may take.
pub const PATTERN_BYTES_MAX: usize = 256 * 1_024;
/// Labels of one version.
pub const LABELS_MAX: usize = 10;
/// Characters of a label.
pub const LABEL_CHARS_MAX: usize = 100;
/// Parameters that one request names.
pub const NAMED_MAX: usize = 10;
/// Parameters of a page by path.
pub const BY_PATH_MAX: i64 = 10;
/// Entries of a page of other lists.
pub const PAGE_MAX: i64 = 50;
/// Values of a filter.
pub const FILTER_VALUES_MAX: usize = 50;
/// Heads that one page of a list reads; with more, the page ends early and the next goes on.
pub const LIST_READS_MAX: usize = 5_000;
