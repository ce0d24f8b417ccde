//! What is counted here. Requests and their times are counted by who serves them.

use audittrail_store::{Checked, Verdict};

/// Names and meaning of what is counted here.
pub fn describe_metrics() {
    metrics::describe_counter!(
        "audittrail_verification_failures_total",
        "Entries that failed verification, counted each time one is read"
    );
    metrics::describe_gauge!(
        "audittrail_failed_entries",
        "Entries known to have failed verification"
    );
    metrics::describe_counter!("audittrail_entries_read_total", "Entries read and verified");
    metrics::describe_counter!(
        "audittrail_entries_refused_total",
        "Entries refused because of what they hold"
    );
    metrics::describe_gauge!("audittrail_streams", "Open streams");
    metrics::describe_counter!(
        "audittrail_stream_entries_total",
        "Entries sent in streams, once for each stream"
    );
    metrics::gauge!("audittrail_streams").set(0.0);
    metrics::counter!("audittrail_stream_entries_total").absolute(0);
    metrics::gauge!("audittrail_failed_entries").set(0.0);
    metrics::counter!("audittrail_verification_failures_total").absolute(0);
}

/// Counts failures that a read has found; `known` is the number of entries known to have
/// failed since the start.
pub fn record_failures(found: u64, known: usize) {
    metrics::counter!("audittrail_verification_failures_total").increment(found);
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
    metrics::gauge!("audittrail_failed_entries").set(known as f64);
}

/// Counts what a request read.
pub(crate) fn record_read(checked: &[Checked], known: impl FnOnce() -> usize) {
    metrics::counter!("audittrail_entries_read_total").increment(checked.len() as u64);
    let failed = checked
        .iter()
        .filter(|one| one.verdict != Verdict::Verified)
        .count();
    if failed > 0 {
        record_failures(failed as u64, known());
    }
}
