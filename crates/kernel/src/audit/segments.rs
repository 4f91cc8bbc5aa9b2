//! Where one segment of the log ends and the next begins.
//!
//! Invariant: a segment is durable before a line of the next one is written.

use strongroom_base::Result;

use super::{AuditLog, State, cannot_record, render};

/// Bytes of a segment that may be synced while nobody writes.
const RIPE_BYTES: u64 = 1 << 20;
/// Syncs before a segment ends, however fast it grows meanwhile.
const RIPENING_SYNCS_MAX: usize = 4;
/// A segment ends at so many times its length, ripe or not.
const OVERLONG: u64 = 4;

impl State {
    /// Does the newest segment end now, where it is to have `length` bytes?
    pub(super) fn is_full(&self, length: u64) -> bool {
        let ends_at = if self.ripe { length } else { length.saturating_mul(OVERLONG) };
        self.segment_bytes >= ends_at
    }
}

impl AuditLog {
    /// Begins a segment with a line that names the hash it goes on from. Only who writes calls it.
    pub(super) fn begin_segment(&self) -> std::io::Result<()> {
        let (older, header, first, upto) = {
            let mut state = self.state.lock();
            let older = std::mem::take(&mut state.pending);
            let first = state.next;
            let mut line = format!(
                "{{\"time\":\"{}\",\"type\":\"segment\",\"previous_chain\":\"",
                self.store.now()
            )
            .into_bytes();
            render::put_hex(&mut line, &state.chain);
            line.push(b'"');
            state.push(&[&line], None, None);
            (older, std::mem::take(&mut state.pending), first, state.next)
        };
        let older_bytes = older.len() as u64;
        let appended = self.medium.append_some(&older);
        let kept = appended.is_ok();
        let begun = appended.and_then(|()| self.medium.begin(first));
        let is_new = begun.is_ok();
        let written = begun.and_then(|()| self.medium.append(&header));
        let mut state = self.state.lock();
        match &written {
            Ok(()) => {
                state.written = upto;
                state.segment_bytes = header.len() as u64;
                state.ripe = false;
            }
            Err(e) => {
                // What is not written keeps its place: the next who writes tries again.
                let mut pending = if kept { Vec::new() } else { older };
                if kept {
                    state.written = first;
                    state.segment_bytes += older_bytes;
                }
                if is_new {
                    (state.segment_bytes, state.ripe) = (0, false);
                }
                pending.extend_from_slice(&header);
                pending.extend_from_slice(&state.pending);
                state.pending = pending;
                state.failure = Some(e.to_string());
            }
        }
        written
    }

    /// Has a segment that is long enough end with the next lines. While a new one begins nobody
    /// writes, and what the old one holds is made durable then: so nearly all of it is before.
    pub(super) async fn ripen(&self) -> Result<()> {
        let mut synced = {
            let state = self.state.lock();
            if state.ripe || state.segment_bytes < self.options.segment_bytes {
                return Ok(());
            }
            state.segment_bytes
        };
        for _ in 0..RIPENING_SYNCS_MAX {
            self.medium.sync().await.map_err(cannot_record)?;
            let bytes = self.state.lock().segment_bytes;
            if bytes.saturating_sub(synced) <= RIPE_BYTES {
                break;
            }
            synced = bytes;
        }
        let mut state = self.state.lock();
        // It may have ended meanwhile, overlong.
        state.ripe = state.segment_bytes >= self.options.segment_bytes;
        Ok(())
    }
}
