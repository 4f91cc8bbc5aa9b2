//! Bounds on everything that comes from outside, each with its unit.

/// Bytes of a request body (`max_request_size` of Vault's listener: 32 MiB).
pub const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Nesting of a JSON body. What was taken must be readable again inside an answer's envelope and an
/// audit line, by parsers that stop at 127 levels (serde_json's, and those of some clients).
pub const JSON_DEPTH_MAX: usize = 100;
/// Values (strings, numbers, members, elements) of a JSON body taken together.
pub const JSON_VALUES_MAX: usize = 500_000;
/// Members of one JSON object.
pub const JSON_OBJECT_MEMBERS_MAX: usize = 10_000;
/// Elements of one JSON array.
pub const JSON_ARRAY_ELEMENTS_MAX: usize = 10_000;
/// Bytes of one string in a JSON body: it may be all of it.
pub const JSON_STRING_BYTES_MAX: usize = BODY_BYTES_MAX;
/// Bytes of a request path.
pub const PATH_BYTES_MAX: usize = 4_096;
/// Segments of a request path.
pub const PATH_SEGMENTS_MAX: usize = 128;
/// Bytes of all request headers together.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a token as a header carries it.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Entries of one list reply.
pub const LIST_ENTRIES_MAX: usize = 1_000_000;
/// Entries of a list-valued field.
pub const FIELD_LIST_MAX: usize = 10_000;
/// Bytes of a policy document.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;
/// Nesting of namespaces.
pub const NAMESPACE_DEPTH_MAX: usize = 16;
/// Bytes of an HCL text (a policy, a configuration file).
pub const HCL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Nesting of objects and lists in an HCL text.
pub const HCL_DEPTH_MAX: usize = 64;
/// Items and list elements of an HCL text taken together.
pub const HCL_ITEMS_MAX: usize = 100_000;
