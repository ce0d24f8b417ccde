//! A process's part in a log: the store and the queue that the settings name, and who sequences.

mod embedded;
mod follow;
mod given_keys;
mod health;
mod lead;
mod queue;
mod shared;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use audittrail_store::{KeptCheckpoint, Store};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub(crate) use self::embedded::Embedded;
pub(crate) use self::given_keys::{GivenKeys, Part};
pub(crate) use self::health::health_router;
pub(crate) use self::lead::describe;
pub(crate) use self::queue::NodeQueue;
pub(crate) use self::shared::Shared;

use crate::Failure;
use crate::log_keys::LogKeys;
use crate::settings::{Settings, StoreAt};
use crate::witnesses::Watched;

/// A server that is needed at start is waited for so long: it may start at the same time.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// An opened log.
pub(crate) struct Log {
    pub(crate) keys: LogKeys,
    pub(crate) store: Arc<dyn Store>,
    /// The size of the log, told as it grows.
    pub(crate) grown: watch::Receiver<u64>,
    pub(crate) backend: Backend,
}

/// What keeps it.
pub(crate) enum Backend {
    Embedded(Embedded),
    Shared(Shared),
}

/// What sequences the log, here or elsewhere, as far as this process has to do with it.
pub(crate) struct Sequencing {
    pub(crate) published: watch::Receiver<KeptCheckpoint>,
    /// How it ended; none where another process sequences.
    pub(crate) ended: Option<oneshot::Receiver<Result<(), Failure>>>,
    /// To be waited for at the end.
    thread: Option<JoinHandle<()>>,
    /// Ends with this.
    tasks: JoinSet<()>,
}

impl Log {
    /// Opens the log that the settings name; the embedded store makes one where there is none.
    ///
    /// # Errors
    /// If it cannot be opened, or keys are missing.
    pub(crate) async fn open(settings: &Settings, part: Part) -> Result<Self, Failure> {
        match &settings.topology.store {
            StoreAt::Embedded => embedded::open(settings).await,
            StoreAt::Mongo(url) => shared::open(settings, url, part).await,
        }
    }

    /// Starts what sequences, if this process does; then there is a checkpoint, and who submits to
    /// the queue is heard.
    ///
    /// # Errors
    /// If the log cannot be led, or is not the one that this process, its watermark or its
    /// checkpoint knows.
    pub(crate) async fn sequence(
        &self,
        settings: &Settings,
        queue: &NodeQueue,
        watched: &Watched,
        stop: watch::Receiver<bool>,
    ) -> Result<Sequencing, Failure> {
        match &self.backend {
            Backend::Embedded(_) => embedded::sequence(settings, self, queue).await,
            Backend::Shared(shared) => {
                shared::sequence(settings, self, shared, queue, watched, stop).await
            }
        }
    }

    /// The directory that is the log's, if there is one.
    pub(crate) fn directory(&self, settings: &Settings) -> Option<PathBuf> {
        match &self.backend {
            Backend::Embedded(_) => Some(settings.data.clone()),
            Backend::Shared(_) => None,
        }
    }

    /// What is done for the store in the background, for ever.
    pub(crate) async fn measure(&self) {
        match &self.backend {
            Backend::Embedded(embedded) => embedded.measure().await,
            Backend::Shared(_) => std::future::pending().await,
        }
    }

    /// Ends what the store does in the background, after everything else.
    pub(crate) async fn close(self) {
        if let Backend::Shared(shared) = &self.backend {
            shared.close().await;
        }
    }
}

impl Sequencing {
    /// Until it ends, which is before its time while nobody has asked it to.
    pub(crate) async fn end(&mut self) -> Result<(), Failure> {
        match &mut self.ended {
            Some(ended) => ended.await.unwrap_or_else(|_| {
                Err(Failure::Failed(
                    "the sequencer ended unexpectedly".to_owned(),
                ))
            }),
            None => std::future::pending().await,
        }
    }

    /// After it was asked to end.
    pub(crate) async fn join(mut self, early: Option<Result<(), Failure>>) -> Result<(), Failure> {
        let ended = match early {
            Some(ended) => ended,
            None if self.ended.is_some() => self.end().await,
            None => Ok(()),
        };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.tasks.shutdown().await;
        ended
    }
}
