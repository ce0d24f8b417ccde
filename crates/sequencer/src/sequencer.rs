//! The loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use audittrail_checkpoint::{Checkpoint, Signer};
use audittrail_entry::SigningKey;
use audittrail_merkle::{Edge, TreeHead};
use audittrail_queue::{Delivery, DeliveryId, Outcome, Queue, Take};
use audittrail_store::{CommitErrorKind, KeptCheckpoint, Store, StoreError, StoreErrorKind};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::history::extends;
use crate::plan::{Existing, needs_lookup, plan_instead};
use crate::{Instead, SequencerError};

/// The loop's settings.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// The most that becomes one commit, a single larger request excepted.
    pub take: Take,
    /// A checkpoint is published this often while there is something new.
    pub checkpoint_interval: Duration,
    /// How long to wait before asking a store again that was away.
    pub retry_pause: Duration,
}

impl Default for Config {
    /// 16,384 entries or 16 MiB a commit, a checkpoint every half second, a pause of 200 ms.
    fn default() -> Self {
        Self {
            take: Take {
                entries: 16_384,
                bytes: 16 << 20,
            },
            checkpoint_interval: Duration::from_millis(500),
            retry_pause: Duration::from_millis(200),
        }
    }
}

/// The sequencer of one log.
pub struct Sequencer {
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    signers: Vec<Signer>,
    origin: String,
    config: Config,
    /// Signs the log's own entries.
    own_entries: Option<SigningKey>,
    edge: Edge,
    published: watch::Sender<KeptCheckpoint>,
}

/// What is known of the log before a batch is planned.
#[derive(Default)]
struct LookedUp {
    known: HashMap<Uuid, Existing>,
    instead: Instead,
}

impl Sequencer {
    /// Takes the lead of the store's log and publishes a checkpoint of what stands there.
    /// All signers carry the origin's name.
    ///
    /// # Errors
    /// If the store cannot be led or its log contradicts its checkpoint.
    pub async fn start(
        store: Arc<dyn Store>,
        queue: Arc<dyn Queue>,
        origin: String,
        signers: Vec<Signer>,
        config: Config,
    ) -> Result<Self, SequencerError> {
        let edge = store.lead().await.map_err(SequencerError::Store)?;
        let kept = store.checkpoint().await.map_err(SequencerError::Store)?;
        let head = edge.head();
        if let Some(kept) = &kept
            && !extends(&*store, &kept.head, &head)
                .await
                .map_err(SequencerError::Store)?
        {
            return Err(SequencerError::Inconsistent(format!(
                "the log of size {} does not continue what its checkpoint of size {} signs",
                head.size, kept.head.size
            )));
        }
        let placeholder = KeptCheckpoint {
            head,
            note: String::new(),
        };
        let (published, _) = watch::channel(kept.clone().unwrap_or(placeholder));
        let sequencer = Self {
            store,
            queue,
            signers,
            origin,
            config,
            own_entries: None,
            edge,
            published,
        };
        if kept.is_none_or(|kept| kept.head != head) {
            sequencer
                .sign_and_keep()
                .await?
                .map_err(SequencerError::Store)?;
        }
        Ok(sequencer)
    }

    /// Lets it commit entries of the log's own, signed with the key that signs new entries: an entry
    /// of a request that was acknowledged as queued, and has an id that is another's, becomes an
    /// `audittrail.id_conflict` in its place. Without it such a request is settled as in conflict.
    #[must_use]
    pub fn with_own_entries(self, key: SigningKey) -> Self {
        Self {
            own_entries: Some(key),
            ..self
        }
    }

    /// The newest published checkpoint, and a way to wait for the next.
    pub fn published(&self) -> watch::Receiver<KeptCheckpoint> {
        self.published.subscribe()
    }

    /// Sequences until the queue is closed and empty, then publishes a last checkpoint.
    ///
    /// A store that blocks in `commit` blocks the thread that runs this.
    ///
    /// # Errors
    /// When the loop cannot go on; nothing more is acknowledged then.
    pub async fn run(mut self) -> Result<(), SequencerError> {
        let mut due = tokio::time::interval(self.config.checkpoint_interval);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let queue = Arc::clone(&self.queue);
        loop {
            tokio::select! {
                // Under full load the queue is always ready, and a checkpoint must still come.
                biased;
                _ = due.tick() => self.publish().await?,
                deliveries = queue.receive(self.config.take) => {
                    let deliveries = deliveries?;
                    if deliveries.is_empty() {
                        return self.publish().await;
                    }
                    self.sequence(&deliveries).await?;
                }
            }
        }
    }

    /// One commit: plans what was delivered, commits it, and says what became of it.
    ///
    /// # Errors
    /// As [`Sequencer::run`].
    pub async fn sequence(&mut self, deliveries: &[Delivery]) -> Result<(), SequencerError> {
        let looked_up = match self.look_up(deliveries).await {
            Ok(looked_up) => looked_up,
            Err(error) if error.kind() == StoreErrorKind::Fatal => {
                return Err(SequencerError::Store(error));
            }
            Err(error) => {
                // What needs no lookup is none the worse for its neighbours.
                let (unknown, new) = deliveries
                    .iter()
                    .cloned()
                    .partition::<Vec<_>, _>(has_lookups);
                self.place(&new, &LookedUp::default()).await?;
                return self.not_looked_up(&unknown, &error).await;
            }
        };
        self.place(deliveries, &looked_up).await
    }

    /// Plans and commits requests, given what is stored under their ids.
    async fn place(
        &mut self,
        deliveries: &[Delivery],
        looked_up: &LookedUp,
    ) -> Result<(), SequencerError> {
        let LookedUp { known, instead } = looked_up;
        let plan = plan_instead(&self.edge, deliveries, known, instead);
        if !plan.batch.entries.is_empty() {
            let committed = self
                .store
                .commit(self.edge.head(), plan.batch, plan.head)
                .await;
            if let Err(error) = committed {
                return match error.kind() {
                    CommitErrorKind::Refused => {
                        let why = error.to_string();
                        self.refuse(self.edge.size(), plan.outcomes, &why).await
                    }
                    CommitErrorKind::Lost => Err(SequencerError::Lost(error)),
                    CommitErrorKind::Fatal => Err(SequencerError::Commit(error)),
                    CommitErrorKind::Unknown => {
                        let requests = deliveries.len();
                        tracing::warn!(%error, requests, "a commit's outcome is unknown; asking");
                        self.lead_again().await
                    }
                };
            }
        }
        self.edge = plan.edge;
        self.queue.settle(plan.outcomes).await?;
        Ok(())
    }

    /// Signs the head if it is newer than the newest checkpoint, keeps it, and only then
    /// shows it. A store that is away is asked again with the next tick.
    ///
    /// # Errors
    /// As [`Sequencer::run`].
    pub async fn publish(&mut self) -> Result<(), SequencerError> {
        if self.published.borrow().head == self.edge.head() {
            return Ok(());
        }
        match self.sign_and_keep().await? {
            Ok(()) => Ok(()),
            // A leader that has lost the lead has nothing more to say.
            Err(error) if matches!(error.kind(), StoreErrorKind::Fatal | StoreErrorKind::Led) => {
                Err(SequencerError::Store(error))
            }
            Err(error) => {
                tracing::warn!(%error, "the checkpoint could not be kept; trying again");
                Ok(())
            }
        }
    }

    async fn sign_and_keep(&self) -> Result<Result<(), StoreError>, SequencerError> {
        let head = self.edge.head();
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            head,
            extensions: Vec::new(),
        };
        let signers: Vec<&Signer> = self.signers.iter().collect();
        let kept = KeptCheckpoint {
            head,
            note: checkpoint.sign(&signers)?,
        };
        let outcome = self.store.keep_checkpoint(&kept).await;
        if outcome.is_ok() {
            self.published.send_replace(kept);
        }
        Ok(outcome)
    }

    /// What is stored under the ids of requests, and what to commit for those that are in conflict
    /// with it and may not be refused.
    async fn look_up(&self, deliveries: &[Delivery]) -> Result<LookedUp, StoreError> {
        let ids: Vec<Uuid> = deliveries
            .iter()
            .flat_map(|delivery| {
                let entries = delivery.request.entries.iter();
                entries
                    .filter(|entry| needs_lookup(delivery, entry))
                    .map(|entry| entry.id)
            })
            .collect();
        let mut known = self.find(&ids).await?;
        let instead = match &self.own_entries {
            Some(key) => Instead::of(deliveries, &known, key, &self.origin),
            None => Instead::default(),
        };
        let own = self.find(&instead.ids()).await?;
        known.extend(own);
        Ok(LookedUp { known, instead })
    }

    /// What the log has under ids.
    async fn find(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Existing>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found: Vec<(Uuid, u64)> = ids
            .iter()
            .zip(self.store.find(ids).await?)
            .filter_map(|(id, index)| Some((*id, index?)))
            .collect();
        if found.is_empty() {
            return Ok(HashMap::new());
        }
        let indices: Vec<u64> = found.iter().map(|(_, index)| *index).collect();
        let records = self.store.records(&indices).await?;
        let existing = records.into_iter().zip(found).map(|(stored, (id, index))| {
            (
                id,
                Existing {
                    index,
                    record: stored.record.ok(),
                },
            )
        });
        Ok(existing.collect())
    }

    /// Without knowing what is stored under their ids, requests cannot be planned. New ones
    /// are refused. Of one that was delivered before nobody knows whether it is stored, so it
    /// waits until that can be looked up.
    async fn not_looked_up(
        &self,
        deliveries: &[Delivery],
        error: &StoreError,
    ) -> Result<(), SequencerError> {
        let unknown = deliveries.iter().any(|delivery| delivery.redelivered);
        tracing::warn!(%error, requests = deliveries.len(), "ids could not be looked up");
        let outcomes = deliveries.iter().filter(|delivery| !delivery.redelivered);
        let outcomes = outcomes.map(|delivery| (delivery.id, Outcome::Refused(error.to_string())));
        self.queue.settle(outcomes.collect()).await?;
        if unknown {
            tokio::time::sleep(self.config.retry_pause).await;
            self.queue.reclaim().await?;
        }
        Ok(())
    }

    /// After a refused batch. What was to be placed in it, from `first_index` on, is not
    /// stored; what a request only repeats is stored all the same, and is said to be.
    async fn refuse(
        &self,
        first_index: u64,
        planned: Vec<(DeliveryId, Outcome)>,
        why: &str,
    ) -> Result<(), SequencerError> {
        tracing::warn!(error = why, requests = planned.len(), "a batch was refused");
        let outcomes = planned.into_iter().map(|(id, outcome)| match outcome {
            Outcome::Committed(placed) if placed.iter().all(|one| one.index < first_index) => {
                (id, Outcome::Committed(placed))
            }
            _ => (id, Outcome::Refused(why.to_owned())),
        });
        Ok(self.queue.settle(outcomes.collect()).await?)
    }

    /// After an unknown outcome: the log is read anew, and what was delivered comes again,
    /// marked as redelivered, so that what got in is found by its ids. The log has to continue
    /// what this process committed: what was acknowledged is in there.
    async fn lead_again(&mut self) -> Result<(), SequencerError> {
        let ours = self.edge.head();
        loop {
            match self.continued(&ours).await {
                Ok(Some(edge)) => {
                    self.edge = edge;
                    return Ok(self.queue.reclaim().await?);
                }
                Ok(None) => {
                    return Err(SequencerError::Inconsistent(format!(
                        "the store gives a log that does not continue the {} entries that this \
                         process committed",
                        ours.size
                    )));
                }
                Err(error) if error.kind() == StoreErrorKind::Unavailable => {
                    tracing::warn!(%error, "the store is away; trying again");
                    tokio::time::sleep(self.config.retry_pause).await;
                }
                Err(error) => return Err(SequencerError::Store(error)),
            }
        }
    }

    /// The store's edge, if its log continues the one of that head.
    async fn continued(&self, head: &TreeHead) -> Result<Option<Edge>, StoreError> {
        let edge = self.store.lead().await?;
        let continues = extends(&*self.store, head, &edge.head()).await?;
        Ok(continues.then_some(edge))
    }
}

fn has_lookups(delivery: &Delivery) -> bool {
    let mut entries = delivery.request.entries.iter();
    entries.any(|entry| needs_lookup(delivery, entry))
}
