//! The log between two lives of a node: one ends, and another goes on in the same chain, after a
//! seal or after a store was put in the place of another.

use std::collections::BTreeSet;

use strongroom_base::{Error, Result};

use super::background::Effect;
use super::render::Lines;
use super::sinks::{Cursor, Device};
use super::{AuditLog, Head, Recorded};
use crate::record::{Scope, Tx};
use crate::seal::{self, Restored};

/// Nothing of an outbox is in the log.
pub(super) static NONE: BTreeSet<u64> = BTreeSet::new();

impl AuditLog {
    /// Refuses what comes from now on: this life of the node is over.
    pub fn take_no_more(&self) {
        self.state.lock().ended = true;
        self.sinks.stop_all();
    }

    /// Ends the log: nothing more is taken, and all that was is written when this returns, or
    /// cannot be written (then nobody was answered, or it lies in the outbox).
    pub async fn end(&self) {
        self.take_no_more();
        self.outbox.idle().await;
        loop {
            let mut wrote = std::pin::pin!(self.wrote.notified());
            // Before the look, so that an end in between is not missed.
            wrote.as_mut().enable();
            let lead = {
                let mut state = self.state.lock();
                if !state.writing && (state.pending.is_empty() || state.failure.is_some()) {
                    // Whoever waits for these is refused; nobody may write them any more.
                    state.pending = Vec::new();
                    return;
                }
                !std::mem::replace(&mut state.writing, true)
            };
            if lead { self.write_pending() } else { wrote.await }
        }
    }

    pub(super) fn still_takes(&self) -> Result<()> {
        if self.state.lock().ended { Err(Error::sealed()) } else { Ok(()) }
    }

    /// Puts lines into a transaction of this life.
    pub(super) fn put_in_outbox(&self, tx: &Tx, lines: Lines) -> Result<Recorded> {
        self.state.lock().takes_more()?;
        let recorded = self.outbox.put(tx, lines)?;
        // After it is known as under way: whoever ends the log waits for it, or it is refused here.
        self.still_takes()?;
        Ok(recorded)
    }

    /// Makes the records of a store that was put in the place of another fit this log: devices go on
    /// where those of the store before had come, twice rather than never.
    pub(super) async fn adopt(&self, restored: &Restored) -> Result<()> {
        let tx = self.store.begin();
        let root = tx.write(Scope::ROOT);
        root.put_named(0, "", &Head { index: self.last_index() + 1 })?;
        for (path, mut device) in root.all::<Device>(0).await? {
            device.after = restored.delivered;
            root.put_named(0, &path, &device)?;
            root.delete_named::<Cursor>(0, &path);
        }
        tx.commit().await.map(|_| ())
    }

    /// Records that a store was put in the place of another, once and for all.
    pub(crate) async fn record_restored(&self, restored: &Restored) -> Result<()> {
        let tx = self.store.begin();
        tx.change(seal::delete_meta(Restored::NAME));
        let lines = self.record_effect_in(&tx, &restore_effect(restored.reason(), None))?;
        tx.commit().await?;
        self.committed(lines).await;
        Ok(())
    }

    /// Records that a store could not be put in the place of this one.
    pub(crate) async fn record_not_restored(&self, error: &str) -> Result<()> {
        let tx = self.store.begin();
        let effect = restore_effect("a snapshot was to be restored", Some(error));
        let lines = self.record_effect_in(&tx, &effect)?;
        tx.commit().await?;
        self.committed(lines).await;
        Ok(())
    }
}

fn restore_effect<'a>(reason: &'static str, error: Option<&'a str>) -> Effect<'a> {
    Effect {
        reason,
        operation: "restore",
        namespace: None,
        mount: None,
        path: "sys/storage/raft/snapshot",
        lease_id: "",
        accessors: &[],
        error,
    }
}
