//! What a monitor counts.

use metrics::{counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::finding::Report;
use crate::Failure;

/// Begins to count; the handle renders what was counted.
pub(super) fn start() -> Result<PrometheusHandle, Failure> {
    let handle = PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| Failure::Failed(format!("metrics cannot be started: {error}")))?;
    describe_gauge!(
        "audittrail_monitor_checkpoint_entries",
        "Size of the newest checkpoint that the monitor keeps"
    );
    describe_gauge!(
        "audittrail_monitor_checkpoint_age_seconds",
        metrics::Unit::Seconds,
        "Time since that checkpoint was first seen, at the last check"
    );
    describe_gauge!(
        "audittrail_monitor_mirror_entries",
        "Entries in the mirror, each proven to be in the tree"
    );
    describe_gauge!(
        "audittrail_monitor_findings",
        "What did not verify at the last check"
    );
    describe_counter!("audittrail_monitor_checks_total", "Checks, by outcome");
    describe_counter!(
        "audittrail_monitor_webhooks_total",
        "Alerts sent to the webhook, by outcome"
    );
    // There from the start, so that an alert can be made of their growth.
    for outcome in Report::OUTCOMES {
        counter!("audittrail_monitor_checks_total", "outcome" => outcome).increment(0);
    }
    for outcome in ["delivered", "failed"] {
        counter!("audittrail_monitor_webhooks_total", "outcome" => outcome).increment(0);
    }
    Ok(handle)
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
pub(super) fn count(report: &Report) {
    counter!("audittrail_monitor_checks_total", "outcome" => report.outcome()).increment(1);
    gauge!("audittrail_monitor_findings").set(report.findings.len() as f64);
    if let Some(head) = report.head {
        gauge!("audittrail_monitor_checkpoint_entries").set(head.size as f64);
    }
    if let Some(age) = report.age_seconds {
        gauge!("audittrail_monitor_checkpoint_age_seconds").set(age as f64);
    }
    if let Some(mirrored) = report.mirrored {
        gauge!("audittrail_monitor_mirror_entries").set(mirrored as f64);
    }
}
