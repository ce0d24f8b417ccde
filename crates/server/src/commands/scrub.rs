//! Reading everything again in the background, so that damage is found before somebody asks.

use std::sync::Arc;
use std::time::Duration;

use audittrail_store::{Reader, Store, Verdict};

/// 1 MiB each 50 ms: 20 MiB/s at the most, a terabyte in fifteen hours.
const CHUNK_BYTES: usize = 1 << 20;
const PAUSE: Duration = Duration::from_millis(50);
/// The time between two rounds.
const REST: Duration = Duration::from_secs(600);

/// Names and meaning of what is counted here.
pub(crate) fn describe() {
    metrics::describe_counter!(
        "audittrail_scrubbed_entries_total",
        "Entries read again and verified in the background"
    );
    metrics::describe_counter!(
        "audittrail_scrub_rounds_total",
        "Times that the background check has been through the whole log"
    );
}

/// Goes round and round until it is dropped.
pub(crate) async fn run(store: Arc<dyn Store>, reader: Arc<Reader>) {
    loop {
        let mut next = 0;
        loop {
            let read = match store.head().await {
                Ok(head) if next < head.size => store.scan(next..head.size, CHUNK_BYTES).await,
                Ok(_) => break,
                Err(error) => Err(error),
            };
            let checked = match read {
                Ok(stored) => reader.check(stored).await,
                Err(error) => Err(error),
            };
            match checked {
                Ok(checked) => {
                    next = checked.last().map_or(next, |last| last.index + 1);
                    let failed = checked
                        .iter()
                        .filter(|one| one.verdict != Verdict::Verified);
                    let failed = failed.count() as u64;
                    metrics::counter!("audittrail_scrubbed_entries_total")
                        .increment(checked.len() as u64);
                    if failed > 0 {
                        audittrail_api::record_failures(failed, reader.failed().len());
                    }
                }
                Err(error) => tracing::warn!(%error, "the background check could not read"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        metrics::counter!("audittrail_scrub_rounds_total").increment(1);
        tokio::time::sleep(REST).await;
    }
}
