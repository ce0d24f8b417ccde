//! The thread on which the search index follows the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use audittrail_store_embedded::EmbeddedStore;

/// Names, units and meaning of what is told of the index.
pub(crate) fn describe() {
    use metrics::describe_gauge;
    describe_gauge!(
        "audittrail_index_entries",
        "Entries in the files of the search index"
    );
    describe_gauge!(
        "audittrail_index_whole",
        "1 if every entry is found, 0 while the search index is being built"
    );
}

/// Runs until it is dropped; then it ends its step and is waited for.
pub(crate) struct Follower {
    store: Arc<EmbeddedStore>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    #[expect(clippy::disallowed_methods, reason = "the server spawns threads")]
    pub(crate) fn start(store: Arc<EmbeddedStore>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (store, stop) = (Arc::clone(&store), Arc::clone(&stop));
            std::thread::spawn(move || store.follow(&stop))
        };
        Self {
            store,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.store.wake_follower();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Keeps the gauges current.
pub(crate) async fn measure(store: Arc<EmbeddedStore>) {
    loop {
        let (whole, position) = store.index_position();
        #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
        metrics::gauge!("audittrail_index_entries").set(position as f64);
        metrics::gauge!("audittrail_index_whole").set(if whole { 1.0 } else { 0.0 });
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
