//! The queue that the settings name.

use std::sync::Arc;

use async_trait::async_trait;
use audittrail_entry::Random as _;
use audittrail_queue::{
    Bounds, Delivery, DeliveryId, Depth, InProcessQueue, Outcome, Queue, QueueError, Request,
    SubmitError, Take, Waiter,
};
use audittrail_queue_redis::{Options, RedisQueue, RedisSettings, signed_by};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{BETWEEN_TRIES, PATIENCE};
use crate::Failure;
use crate::ambient::SystemRandom;
use crate::log_keys::LogKeys;
use crate::settings::{QueueAt, Settings};

/// A queue, and what it does in the background, which ends with this.
pub(crate) struct NodeQueue {
    kind: Kind,
    _tasks: JoinSet<()>,
}

enum Kind {
    InProcess(Arc<InProcessQueue>),
    Redis(RedisQueue),
}

impl NodeQueue {
    /// # Errors
    /// If Redis cannot be reached, used, or trusted with what `ack` says by default.
    pub(crate) async fn open(settings: &Settings, keys: &LogKeys) -> Result<Self, Failure> {
        match &settings.topology.queue {
            QueueAt::InProcess => Ok(Self {
                kind: Kind::InProcess(Arc::new(InProcessQueue::new(Bounds::default()))),
                _tasks: JoinSet::new(),
            }),
            QueueAt::Redis(redis) => Self::redis(settings, keys, redis).await,
        }
    }

    async fn redis(
        settings: &Settings,
        keys: &LogKeys,
        redis: &RedisSettings,
    ) -> Result<Self, Failure> {
        let origin = keys.vkey.name();
        let mut name = [0; 8];
        SystemRandom.fill(&mut name);
        let options = Options::new(origin, format!("{:016x}", u64::from_be_bytes(name)));
        #[expect(clippy::disallowed_methods, reason = "the server reads clocks")]
        let begun = Instant::now();
        let mut said = false;
        let (queue, report) = loop {
            let check = signed_by(keys.entries.clone(), origin.to_owned());
            match RedisQueue::connect(redis.clone(), options.clone(), check).await {
                Ok(connected) => break connected,
                Err(error) if !error.is_refusal() && begun.elapsed() < PATIENCE => {
                    if !said {
                        tracing::warn!(%error, "Redis is away; waiting for it");
                        said = true;
                    }
                    tokio::time::sleep(BETWEEN_TRIES).await;
                }
                Err(error) => return Err(Failure::Failed(error.to_string())),
            }
        };
        tracing::info!(redis = %redis, version = report.version, "connected to Redis");
        if let Some(why) = &report.not_durable {
            if settings.ack == "queued" {
                return Err(Failure::Usage(format!(
                    "ack is queued, and what Redis takes is not durable: {why}. Set that in Redis, or \
                     leave AUDITTRAIL_ACK out: with `committed` nothing is lost"
                )));
            }
            tracing::warn!(
                reason = why,
                "what Redis takes is not durable: ?ack=queued waits until entries are committed"
            );
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(queue.run());
        Ok(Self {
            kind: Kind::Redis(queue),
            _tasks: tasks,
        })
    }

    pub(crate) fn queue(&self) -> Arc<dyn Queue> {
        match &self.kind {
            Kind::InProcess(queue) => Arc::clone(queue) as Arc<dyn Queue>,
            Kind::Redis(queue) => Arc::new(queue.clone()),
        }
    }

    /// Whether other processes can take over what waits.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Redis(_))
    }

    /// For who has just taken the lead.
    pub(super) fn takes_over(&self) -> impl Fn() + Send + Sync + use<> {
        let redis = match &self.kind {
            Kind::InProcess(_) => None,
            Kind::Redis(queue) => Some(queue.clone()),
        };
        move || {
            if let Some(queue) = &redis {
                queue.take_over();
            }
        }
    }

    /// Nothing is sequenced any more: who waits learns that the outcome is unknown. In Redis it may
    /// still come from another process.
    pub(crate) fn abandon(&self) {
        if let Kind::InProcess(queue) = &self.kind {
            queue.abandon();
        }
    }

    /// Refuses what is submitted from now on.
    pub(crate) fn close(&self) {
        self.queue().close();
    }
}

/// A queue that others go on with: once told to stop it seems to be at its end.
pub(super) struct UntilStopped {
    pub(super) queue: Arc<dyn Queue>,
    pub(super) stop: watch::Receiver<bool>,
}

#[async_trait]
impl Queue for UntilStopped {
    async fn submit(&self, request: Request) -> Result<Waiter, SubmitError> {
        self.queue.submit(request).await
    }

    async fn receive(&self, take: Take) -> Result<Vec<Delivery>, QueueError> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Ok(Vec::new()),
            deliveries = self.queue.receive(take) => deliveries,
        }
    }

    async fn settle(&self, outcomes: Vec<(DeliveryId, Outcome)>) -> Result<(), QueueError> {
        self.queue.settle(outcomes).await
    }

    async fn reclaim(&self) -> Result<(), QueueError> {
        self.queue.reclaim().await
    }

    fn is_durable(&self) -> bool {
        self.queue.is_durable()
    }

    fn depth(&self) -> Depth {
        self.queue.depth()
    }

    fn ready(&self) -> Result<(), QueueError> {
        self.queue.ready()
    }

    fn close(&self) {
        self.queue.close();
    }
}
