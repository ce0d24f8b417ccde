//! Reading everything again in the background, so that damage is found before somebody asks.

use std::sync::Arc;
use std::time::Duration;

use audittrail_store::{Reader, Store, Stored, Verdict};
use tokio::time::Instant;

/// About so much is read and checked at once: less than a millisecond, which a request may wait for.
const CHUNK_BYTES: usize = 128 << 10;
/// After what could not be read.
const PAUSE: Duration = Duration::from_millis(50);

/// How fast everything is read again. What is damaged on disk is found after the time that the
/// whole log takes at this rate, and one pause, unless the disk is slower.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Bytes of entries a second, at the most.
    pub(crate) bytes_per_second: u64,
    /// The time between two rounds.
    pub(crate) pause: Duration,
}

impl Default for Pace {
    /// 20 MiB/s, a terabyte in fifteen hours; ten minutes between rounds.
    fn default() -> Self {
        Self {
            bytes_per_second: 20 << 20,
            pause: Duration::from_secs(600),
        }
    }
}

impl Pace {
    /// How long nothing is read after reading and checking so much in that time: until it was due at
    /// this rate, and as long as it took at least, so that checking never takes more than half of a
    /// processor.
    fn rest_after(&self, bytes: usize, took: Duration) -> Duration {
        let due = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        due.saturating_sub(took).max(took)
    }
}

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
#[expect(clippy::disallowed_methods, reason = "durations are measured here")]
pub(crate) async fn run(store: Arc<dyn Store>, reader: Arc<Reader>, pace: Pace) {
    loop {
        let mut next = 0;
        loop {
            let start = Instant::now();
            let read = match store.head().await {
                Ok(head) if next < head.size => store.scan(next..head.size, CHUNK_BYTES).await,
                Ok(_) => break,
                Err(error) => Err(error),
            };
            let bytes = read
                .as_ref()
                .map_or(0, |stored| stored.iter().map(size).sum());
            let checked = match read {
                Ok(stored) => reader.check(stored).await,
                Err(error) => Err(error),
            };
            let rest = match checked {
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
                    pace.rest_after(bytes, start.elapsed())
                }
                Err(error) => {
                    tracing::warn!(%error, "the background check could not read");
                    PAUSE
                }
            };
            tokio::time::sleep(rest).await;
        }
        metrics::counter!("audittrail_scrub_rounds_total").increment(1);
        tokio::time::sleep(pace.pause).await;
    }
}

/// Bytes of an entry; little where they cannot be read.
fn size(stored: &Stored) -> usize {
    stored.record.as_ref().map_or(0, |record| {
        let sealed = record.sealed.as_ref();
        record.leaf.len() + sealed.map_or(0, |sealed| sealed.bytes.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_no_faster_than_its_pace_and_leaves_half_of_the_time() {
        let pace = Pace {
            bytes_per_second: 10 << 20,
            pause: Duration::ZERO,
        };
        let [rest_10, rest_60, rest_400] =
            [10, 60, 400].map(|took| pace.rest_after(1 << 20, Duration::from_millis(took)));
        assert_eq!(rest_10, Duration::from_millis(90));
        assert_eq!(rest_60, Duration::from_millis(60));
        assert_eq!(rest_400, Duration::from_millis(400));
        assert_eq!(pace.rest_after(0, Duration::ZERO), Duration::ZERO);
    }
}
