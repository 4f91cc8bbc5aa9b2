//! How long segments are kept.
//!
//! Invariant: what a device has not had yet stays, however old it is, until the disk is full; then
//! age alone decides, and what is lost to a device is told.

use strongroom_base::Timestamp;

use super::AuditLog;
use super::medium::Segment;

impl AuditLog {
    /// Removes segments that are older than the retention.
    pub(super) fn retire(&self, now: Timestamp) {
        let Some(keep) = self.options.retention else { return };
        let Ok(segments) = self.medium.segments() else { return };
        let delivered = self.sinks.delivered_by_all().unwrap_or(u64::MAX);
        if self.still_takes().is_err() {
            // This life is over, and its devices with it: what they had is not known any more.
            return;
        }
        // The newest one is being written.
        for pair in segments.windows(2) {
            let [segment, next] = pair else { continue };
            if segment.written + keep >= now.seconds() {
                continue;
            }
            let wanted = delivered.saturating_add(1) < next.first;
            if wanted && !self.is_full() {
                // Those after it have not been delivered either.
                return;
            }
            self.remove_segment(segment, wanted);
        }
    }

    fn remove_segment(&self, segment: &Segment, wanted: bool) {
        match self.medium.remove(segment.first) {
            Ok(()) if wanted => tracing::error!(
                first = segment.first,
                "the disk is full: an audit segment was removed that a device has not had yet"
            ),
            Ok(()) => {}
            Err(e) => tracing::warn!(error = %e, "an old audit segment was not removed"),
        }
    }
}
