//! The watermark: the newest checkpoint, in a file that is not put back with the data.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audittrail_checkpoint::{Checkpoint, VerifierKey};
use audittrail_merkle::TreeHead;
use audittrail_store::KeptCheckpoint;
use audittrail_store_embedded::disk::{Disk, SyncPoint, read_file, replace_file};
use tokio::sync::watch;

use super::History;
use crate::Failure;

/// A pause after the file could not be written.
const PAUSE: Duration = Duration::from_secs(1);

/// Names and meaning of what is counted here.
pub(crate) fn describe() {
    metrics::describe_gauge!(
        "audittrail_watermark_entries",
        "Size of the checkpoint in the watermark file"
    );
}

/// A file with the newest checkpoint.
#[derive(Clone)]
pub(crate) struct Watermark {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The size that was written last. One writes at a time, and nothing older after something
    /// newer: at the end of the server a write that is still under way meets the last one.
    written: Arc<Mutex<u64>>,
}

impl Watermark {
    /// # Errors
    /// If its directory does not exist, or is the data directory: it would be put back with it.
    pub(crate) fn at(disk: Arc<dyn Disk>, path: &Path, data: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let within = std::path::absolute(path)
            .and_then(|path| Ok(path.starts_with(std::path::absolute(data)?)))
            .unwrap_or(false);
        if within {
            return Err(Failure::Usage(format!(
                "watermark is {shown}, in the data directory: name a file on another volume"
            )));
        }
        let parent = match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
            Some(parent) => parent,
            None => path,
        };
        disk.list(parent).map_err(|error| {
            Failure::Usage(format!("watermark is {shown}; its directory: {error}"))
        })?;
        Ok(Self {
            disk,
            path: path.to_owned(),
            written: Arc::default(),
        })
    }

    /// Compares the log with the watermark, if there is one yet.
    ///
    /// # Errors
    /// If the file cannot be used, or the log does not extend what it holds.
    pub(crate) async fn compare(
        &self,
        keys: &[VerifierKey],
        head: &TreeHead,
        history: &History,
    ) -> Result<(), Failure> {
        let shown = self.path.display();
        let bytes = read_file(&*self.disk, &self.path)
            .map_err(|error| Failure::Failed(format!("the watermark {shown}: {error}")))?;
        let Some(bytes) = bytes else {
            tracing::info!(path = %shown, "there is no watermark yet; this start makes it");
            return Ok(());
        };
        let unusable = |why: &dyn std::fmt::Display| {
            Failure::Failed(format!(
                "the watermark {shown} is not a checkpoint of this log: {why}. Name the right file \
                 with --watermark, or remove this one if you know that the data is the newest"
            ))
        };
        let checkpoint = Checkpoint::open(&bytes, keys).map_err(|error| unusable(&error))?;
        let mark = checkpoint.head;
        let saw = if mark.size > head.size {
            format!(
                "this log had {} entries, and there are only {}",
                mark.size, head.size
            )
        } else {
            let then = history.head_at(mark.size, head).await;
            let then = then.map_err(|error| {
                Failure::Failed(format!(
                    "the log cannot be compared with the watermark {shown}: {error}; `audittrail \
                     fsck` shows what is wrong"
                ))
            })?;
            if then == mark {
                return Ok(());
            }
            format!("this log had another history up to size {}", mark.size)
        };
        Err(Failure::Failed(format!(
            "the watermark {shown} says that {saw}: this data directory is an older copy or another \
             history, and nothing is signed. Put the newest data back. If it is lost, start a new \
             log in an empty directory under a new name and with a new watermark; only who may \
             sign a second history under the old name removes {shown}"
        )))
    }

    /// Writes what is published, the newest only, until there is no more.
    pub(crate) async fn follow(&self, mut published: watch::Receiver<KeptCheckpoint>) {
        loop {
            let kept = published.borrow_and_update().clone();
            if let Err(error) = self.write_aside(kept).await {
                let path = self.path.display();
                tracing::error!(%path, %error, "the watermark could not be written; trying again");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if published.changed().await.is_err() {
                return;
            }
        }
    }

    /// On a thread of its own: the other volume may take its time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the server moves what blocks aside"
    )]
    async fn write_aside(&self, kept: KeptCheckpoint) -> std::io::Result<()> {
        let watermark = self.clone();
        let written = tokio::task::spawn_blocking(move || watermark.write(&kept)).await;
        written.unwrap_or_else(|error| Err(std::io::Error::other(error)))
    }

    /// On `Ok` the checkpoint, or a newer one, is durable.
    pub(crate) fn write(&self, kept: &KeptCheckpoint) -> std::io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.head.size < *written {
            return Ok(());
        }
        let (content, name) = (SyncPoint::WatermarkFile, SyncPoint::WatermarkName);
        replace_file(&*self.disk, &self.path, kept.note.as_bytes(), content, name)
            .map_err(std::io::Error::from)?;
        *written = kept.head.size;
        #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
        metrics::gauge!("audittrail_watermark_entries").set(kept.head.size as f64);
        Ok(())
    }
}
