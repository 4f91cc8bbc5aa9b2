//! What the log gets to see of a request.

use strongroom_base::{Error, Json, RawFields, SecretString, Timestamp};

use crate::mount::Mount;
use crate::namespaces::Namespace;
use crate::plug::{Peer, Reply, Verb};
use crate::tokens::Token;

/// What is recorded of one request: both of its lines are made from this.
pub struct Entry<'a> {
    /// The request's UUID.
    pub id: &'a str,
    /// Guarded time at its start.
    pub started: Timestamp,
    /// Its verb.
    pub verb: Verb,
    /// Is it the write of what was not there?
    pub creates: bool,
    /// The namespace it addressed.
    pub namespace: &'a Namespace,
    /// The mount that serves it.
    pub mount: Option<&'a Mount>,
    /// The path within the namespace.
    pub path: &'a str,
    /// Where it came from.
    pub peer: &'a Peer,
    /// All request headers, lower-case names.
    pub headers: &'a [(String, String)],
    /// Names of the headers that the log shows, and whether HMACed.
    pub shown_headers: &'a [(String, bool)],
    /// The caller's token.
    pub token: Option<&'a Token>,
    /// The id of the token's own namespace.
    pub home: &'a str,
    /// Its text as it came.
    pub token_text: Option<&'a SecretString>,
    /// Its accessor, or "".
    pub accessor: &'a str,
    /// Policies from its entity and groups.
    pub identity_policies: &'a [String],
    /// The request's fields.
    pub fields: &'a RawFields,
    /// Wrap TTL asked for, in seconds.
    pub wrap_ttl: Option<i64>,
    /// Names of the policies that allowed it.
    pub granting: &'a [String],
    /// Why it was denied.
    pub trace: Option<&'a Json>,
    /// The lease of what was given out.
    pub lease_id: &'a str,
    /// What came of it.
    pub outcome: Outcome<'a>,
}

/// What came of a request.
pub enum Outcome<'a> {
    /// An answer.
    Reply(&'a Reply<Json>),
    /// A failure.
    Refused(&'a Error),
}
