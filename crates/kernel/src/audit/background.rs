//! Lines of what the node does by itself: what it revokes when its time is over, or because what it
//! hung on has gone. They stand in the transaction of the effect, like those of requests.

use strongroom_base::{Result, Timestamp};

use super::render::{Lines, Writer};
use super::{AuditLog, Recorded};
use crate::mounts::Mount;
use crate::namespaces::Namespace;
use crate::record::Tx;

/// An effect without a request.
pub struct Effect<'a> {
    /// Why it comes about: a word or two for people.
    pub reason: &'static str,
    /// What is done: `revoke`, `remove`.
    pub operation: &'static str,
    /// The namespace of what it is done to, where it is one.
    pub namespace: Option<&'a Namespace>,
    /// The mount of what it is done to.
    pub mount: Option<&'a Mount>,
    /// What it is done to, as a path.
    pub path: &'a str,
    /// The lease that ends.
    pub lease_id: &'a str,
    /// Accessors of the tokens that end; shown as HMACs.
    pub accessors: &'a [String],
    /// What went wrong; nothing was done then.
    pub error: Option<&'a str>,
}

impl AuditLog {
    /// Records an effect in the transaction that has it; see [`AuditLog::record_in`].
    pub fn record_effect_in(&self, tx: &Tx, effect: &Effect<'_>) -> Result<Recorded> {
        let now = self.store.now();
        let id = self.store.rng.uuid();
        let line = |kind: &str| self.effect_line(kind, &id, now, effect);
        self.put_in_outbox(tx, Lines::apart(&line("request"), &line("response")))
    }

    /// One line, without its closing brace.
    fn effect_line(&self, kind: &str, id: &str, now: Timestamp, effect: &Effect<'_>) -> Vec<u8> {
        let mut w = Writer::new(&self.key);
        w.raw("{\"time\":").text(&now.to_string()).name("type").text(kind);
        w.name("auth").raw("{").name("policy_results").raw("{").flag("allowed", true).raw("}}");
        w.name("request").raw("{").member("id", id).member("operation", effect.operation);
        if let Some(mount) = effect.mount {
            w.member("mount_point", &mount.path).member("mount_type", &mount.kind);
            w.member("mount_accessor", &mount.accessor);
        }
        w.name("namespace").raw("{");
        if let Some(namespace) = effect.namespace {
            w.member("id", &namespace.id).member("path", &namespace.path);
        }
        w.raw("}").member("path", effect.path);
        w.name("data").raw("{").member("reason", effect.reason);
        w.member("lease_id", effect.lease_id);
        if !effect.accessors.is_empty() {
            w.name("accessors").hashed_texts(effect.accessors);
        }
        w.raw("}}");
        if kind == "response"
            && let Some(error) = effect.error
        {
            w.member("error", error);
        }
        w.out
    }
}
