//! Follows a log that other processes write.

use std::sync::Arc;
use std::time::Duration;

use audittrail_checkpoint::{Checkpoint, VerifierKey};
use audittrail_store::{Announcing, KeptCheckpoint};
use audittrail_store_mongo::MongoStore;
use tokio::sync::watch;

use crate::witnesses::BeforeSigning;

/// Others see what was committed within a second; this is asked for more often.
const LOOK: Duration = Duration::from_millis(300);
/// Of looks that failed, so many are not told of before the next that is: a minute.
const UNTOLD: u32 = 200;

/// Tells of entries and checkpoints as they appear in the store.
pub(super) struct Follow {
    pub(super) mongo: Arc<MongoStore>,
    pub(super) announcing: Arc<Announcing>,
    pub(super) vkey: VerifierKey,
    pub(super) before: BeforeSigning,
    pub(super) published: Arc<watch::Sender<KeptCheckpoint>>,
}

impl Follow {
    /// Runs until it is dropped.
    pub(super) async fn run(self) {
        let mut failures = 0_u32;
        loop {
            match self.look().await {
                Ok(()) => {
                    if failures > 0 {
                        tracing::info!("the log can be followed again");
                    }
                    failures = 0;
                }
                Err(why) => {
                    if failures.is_multiple_of(UNTOLD) {
                        tracing::warn!(reason = why, "the log cannot be followed; trying again");
                    }
                    failures = failures.wrapping_add(1);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self) -> Result<(), String> {
        let seen = self.mongo.seen().await.map_err(|error| error.to_string())?;
        self.announcing.announce(seen.head.size);
        #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
        metrics::gauge!("audittrail_log_entries").set(seen.head.size as f64);
        let Some(kept) = seen.checkpoint else {
            return Ok(());
        };
        let shown = self.published.borrow().clone();
        if shown.head.size > kept.head.size || shown.note == kept.note {
            return Ok(());
        }
        let refused = |why: String| {
            format!(
                "the checkpoint in MongoDB is not shown, since it is not one of this log: {why}"
            )
        };
        let keys = std::slice::from_ref(&self.vkey);
        let signed = Checkpoint::open(kept.note.as_bytes(), keys);
        let signed = signed.map_err(|error| refused(error.to_string()))?;
        if signed.head != kept.head {
            return Err(refused("it signs another head than it says".to_owned()));
        }
        if !shown.note.is_empty() {
            let continues = self.before.continues(&kept.head, &shown.head).await;
            continues.map_err(|failure| refused(failure.to_string()))?;
        }
        publish(&self.published, kept);
        Ok(())
    }
}

/// Shows a checkpoint, unless a newer one is shown already.
pub(super) fn publish(published: &watch::Sender<KeptCheckpoint>, kept: KeptCheckpoint) {
    published.send_if_modified(|shown| {
        let newer = shown.note.is_empty() || shown.head.size <= kept.head.size;
        if newer {
            #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
            metrics::gauge!("audittrail_checkpoint_entries").set(kept.head.size as f64);
            *shown = kept;
        }
        newer
    });
}
