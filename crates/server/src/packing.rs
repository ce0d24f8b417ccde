//! The thread that packs closed segments of the log, at a bounded rate.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use audittrail_store_embedded::{EmbeddedStore, PackedSegment};

/// Between two looks for a segment that was closed, and after a failure.
const LOOK: Duration = Duration::from_secs(5);
const AFTER_FAILURE: Duration = Duration::from_secs(60);
/// What the store reads or compares between two questions whether to go on.
const PART: f64 = (1 << 20) as f64;

/// Names, units and meaning of what is told of it.
pub(crate) fn describe() {
    metrics::describe_counter!(
        "audittrail_packed_segments_total",
        "Segments of the log that were packed"
    );
    metrics::describe_counter!(
        "audittrail_packed_saved_bytes_total",
        metrics::Unit::Bytes,
        "Bytes on disk that packing saved"
    );
}

#[derive(Default)]
struct Stop {
    asked: AtomicBool,
    lock: Mutex<()>,
    woken: Condvar,
}

impl Stop {
    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// Waits for a time, or until asked to stop; whether to go on.
    fn wait(&self, time: Duration) -> bool {
        let lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .woken
            .wait_timeout_while(lock, time, |()| !self.is_asked());
        drop(waited.map_err(PoisonError::into_inner));
        !self.is_asked()
    }
}

/// Runs until it is dropped; then it leaves the segment it is at as it was, and is waited for.
pub(crate) struct Packer {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Packer {
    /// Packs so many bytes of segments a second at the most; with 0 none.
    #[expect(clippy::disallowed_methods, reason = "the server spawns threads")]
    pub(crate) fn start(store: Arc<EmbeddedStore>, bytes_per_second: u64) -> Self {
        let stop = Arc::new(Stop::default());
        let thread = (bytes_per_second > 0).then(|| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || run(&store, bytes_per_second, &stop))
        });
        Self { stop, thread }
    }
}

impl Drop for Packer {
    fn drop(&mut self) {
        let lock = self.stop.lock.lock();
        self.stop.asked.store(true, Ordering::Release);
        drop(lock);
        self.stop.woken.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "durations are measured here")]
fn run(store: &EmbeddedStore, bytes_per_second: u64, stop: &Stop) {
    // Each part is read twice: to be packed, and to be compared with what it was packed to.
    let part = Duration::from_secs_f64(PART / bytes_per_second as f64 / 2.0);
    let mut from = 0;
    while !stop.is_asked() {
        let mut due = Instant::now();
        let mut go_on = || {
            due += part;
            stop.wait(due.saturating_duration_since(Instant::now()))
        };
        let packing = store.pack_next(from, &mut go_on);
        let pause = match packing.outcome {
            Some(Ok(packed)) => {
                count(&packed);
                Duration::ZERO
            }
            None => LOOK,
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return,
            // Tried again: there may be room by then.
            Some(Err(error)) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::debug!(%error, "a segment is not packed yet");
                stop.wait(AFTER_FAILURE);
                continue;
            }
            Some(Err(error)) => {
                let why = "a segment could not be packed and stays as it is until the next start";
                tracing::warn!(%error, "{why}");
                AFTER_FAILURE
            }
        };
        from = packing.next;
        stop.wait(pause);
    }
}

fn count(packed: &PackedSegment) {
    if !packed.kept {
        return;
    }
    let saved = packed.bytes - packed.packed_bytes;
    metrics::counter!("audittrail_packed_segments_total").increment(1);
    metrics::counter!("audittrail_packed_saved_bytes_total").increment(saved);
    tracing::debug!(
        first_index = packed.first_index,
        bytes = packed.bytes,
        packed_bytes = packed.packed_bytes,
        "a segment was packed"
    );
}
