//! Leading a log that several processes may lead, one at a time; or standing by.

use std::sync::Arc;
use std::time::Duration;

use audittrail_checkpoint::Signer;
use audittrail_entry::SigningKey;
use audittrail_queue::Queue;
use audittrail_sequencer::{Config, Sequencer, SequencerError};
use audittrail_store::{CommitErrorKind, KeptCheckpoint, Store, StoreError, StoreErrorKind};
use audittrail_store_mongo::MongoStore;
use tokio::sync::watch;

use super::follow::publish;
use crate::Failure;
use crate::mongo::LEASE;
use crate::witnesses::BeforeSigning;

/// How often who stands by asks for the lead, and what failed is tried again.
const STANDING_BY: Duration = Duration::from_millis(300);

/// Names and meaning of what is told of it.
pub(crate) fn describe() {
    metrics::describe_gauge!(
        "audittrail_leader",
        "1 if this process sequences the log, 0 while it stands by"
    );
    metrics::describe_counter!(
        "audittrail_lead_taken_total",
        "Times that this process took the lead of the log"
    );
}

/// A process that sequences whenever nobody else does.
pub(super) struct Lead {
    pub(super) mongo: Arc<MongoStore>,
    /// The same, behind what counts and tells.
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: Arc<dyn Queue>,
    /// Told to the queue after the lead was taken.
    pub(super) take_over: Box<dyn Fn() + Send + Sync>,
    /// Whether others can go on with what is in the queue.
    pub(super) shares: bool,
    pub(super) origin: String,
    pub(super) signer: Signer,
    /// Signs the log's own entries.
    pub(super) signing_key: SigningKey,
    pub(super) before: BeforeSigning,
    pub(super) published: Arc<watch::Sender<KeptCheckpoint>>,
    pub(super) leads: watch::Sender<bool>,
    pub(super) stop: watch::Receiver<bool>,
}

/// Why this process does not lead, now or any more.
enum Ended {
    /// It was asked to stop, and has said its last.
    Stopped,
    /// Another process leads.
    Led(String),
    /// The store is away.
    Away(String),
    Failed(Failure),
}

fn of_store(error: &StoreError) -> Ended {
    match error.kind() {
        StoreErrorKind::Led => Ended::Led(error.to_string()),
        StoreErrorKind::Unavailable | StoreErrorKind::Building => Ended::Away(error.to_string()),
        StoreErrorKind::Invalid | StoreErrorKind::Fatal => {
            Ended::Failed(Failure::Failed(error.to_string()))
        }
    }
}

fn of_sequencer(error: &SequencerError) -> Ended {
    match error {
        SequencerError::Lost(_) => Ended::Led(error.to_string()),
        SequencerError::Commit(commit) if commit.kind() != CommitErrorKind::Fatal => {
            Ended::Away(error.to_string())
        }
        SequencerError::Store(store) => of_store(store),
        SequencerError::Queue(_) => Ended::Away(error.to_string()),
        SequencerError::Commit(_) | SequencerError::Inconsistent(_) | SequencerError::Sign(_) => {
            Ended::Failed(Failure::Failed(error.to_string()))
        }
    }
}

impl Lead {
    /// Until it is asked to stop, or cannot go on.
    ///
    /// # Errors
    /// If the log is not the one that it was, or another process has taken the lead and with it what
    /// waits in this process's own queue.
    pub(super) async fn run(self) -> Result<(), Failure> {
        metrics::gauge!("audittrail_leader").set(0.0);
        let mut told = String::new();
        loop {
            let (led, ended) = self.lead().await;
            self.leads.send_replace(false);
            metrics::gauge!("audittrail_leader").set(0.0);
            if led {
                told.clear();
            }
            let what = match ended {
                Ended::Stopped => {
                    if let Err(error) = self.mongo.resign().await {
                        tracing::warn!(%error, "others have to wait until the lease is over");
                    }
                    return Ok(());
                }
                Ended::Failed(failure) => return Err(failure),
                Ended::Led(why) if led && !self.shares => {
                    return Err(Failure::Failed(format!(
                        "{why}; what waited in this process has an unknown outcome"
                    )));
                }
                Ended::Led(why) => {
                    if told != "led" {
                        tracing::info!(reason = why, "standing by");
                    }
                    "led"
                }
                Ended::Away(why) => {
                    if told != "away" {
                        tracing::warn!(reason = why, "the log cannot be led; trying again");
                    }
                    "away"
                }
            };
            what.clone_into(&mut told);
            let mut stop = self.stop.clone();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                () = tokio::time::sleep(STANDING_BY) => {}
            }
        }
    }

    /// Takes the lead and sequences; whether it was taken, and why that ended.
    async fn lead(&self) -> (bool, Ended) {
        let sequencer = match self.take().await {
            Ok(sequencer) => sequencer,
            Err(ended) => return (false, ended),
        };
        tracing::info!("this process sequences the log");
        metrics::counter!("audittrail_lead_taken_total").increment(1);
        metrics::gauge!("audittrail_leader").set(1.0);
        (self.take_over)();
        let mut new = sequencer.published();
        publish(&self.published, new.borrow_and_update().clone());
        self.leads.send_replace(true);
        let publishing = async {
            while new.changed().await.is_ok() {
                publish(&self.published, new.borrow_and_update().clone());
            }
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = sequencer.run() => match ended {
                Ok(()) => Ended::Stopped,
                Err(error) => of_sequencer(&error),
            },
            ended = self.renew() => ended,
            () = publishing => Ended::Stopped,
        };
        (true, ended)
    }

    /// Nothing is signed before the log was compared with what is known of it.
    async fn take(&self) -> Result<Sequencer, Ended> {
        let edge = self.store.lead().await.map_err(|error| of_store(&error))?;
        let known = self.published.borrow().clone();
        let compared = if known.note.is_empty() {
            self.before.compare_watermark(&edge.head()).await
        } else {
            self.before.compare(&edge.head(), &known.head).await
        };
        if let Err(failure) = compared {
            // Only what could be read says something of the log.
            return Err(match self.mongo.seen().await {
                Ok(_) => Ended::Failed(failure),
                Err(error) => of_store(&error),
            });
        }
        let sequencer = Sequencer::start(
            Arc::clone(&self.store),
            Arc::clone(&self.queue),
            self.origin.clone(),
            vec![self.signer.clone()],
            Config::default(),
        );
        let sequencer = sequencer.await.map_err(|error| of_sequencer(&error))?;
        Ok(sequencer.with_own_entries(self.signing_key.clone()))
    }

    /// Keeps the lead while nothing is committed, until it is lost.
    async fn renew(&self) -> Ended {
        loop {
            tokio::time::sleep(LEASE / 4).await;
            match self.mongo.renew().await {
                Ok(()) => {}
                Err(error) if error.kind() == StoreErrorKind::Led => {
                    return Ended::Led(error.to_string());
                }
                Err(error) => tracing::warn!(%error, "the lease was not renewed; trying again"),
            }
        }
    }
}
