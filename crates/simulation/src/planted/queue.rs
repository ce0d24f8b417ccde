//! Queues that say what they do not know.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use audittrail_queue::{
    Delivery, DeliveryId, Depth, IdOrigin, InProcessQueue, Outcome, Placed, Queue, QueueError,
    Request, SubmitError, Take, Waiter,
};
use audittrail_store::Store as _;
use audittrail_store_embedded::EmbeddedStore;
use tokio::sync::oneshot;

/// Acknowledges what it delivers, at the indices that it will have if all goes well.
pub(super) struct Early {
    queue: Arc<InProcessQueue>,
    store: Arc<EmbeddedStore>,
    answers: Mutex<Answers>,
}

#[derive(Default)]
struct Answers {
    /// Of what was not delivered yet, in order.
    waiting: VecDeque<oneshot::Sender<Outcome>>,
    delivered: BTreeMap<DeliveryId, oneshot::Sender<Outcome>>,
}

impl Early {
    pub(super) fn new(queue: &Arc<InProcessQueue>, store: &Arc<EmbeddedStore>) -> Self {
        Self {
            queue: Arc::clone(queue),
            store: Arc::clone(store),
            answers: Mutex::default(),
        }
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Queue for Early {
    async fn submit(&self, request: Request) -> Result<Waiter, SubmitError> {
        self.queue.submit(request).await?;
        let (answer, waiter) = Waiter::new();
        self.answers().waiting.push_back(answer);
        Ok(waiter)
    }

    async fn receive(&self, take: Take) -> Result<Vec<Delivery>, QueueError> {
        let deliveries = self.queue.receive(take).await?;
        let head = self.store.head().await;
        let mut next = head.map_err(|error| QueueError(error.to_string()))?.size;
        let mut answers = self.answers();
        let mut foreseen = true;
        for delivery in &deliveries {
            let answer = match delivery.redelivered {
                true => None,
                false => answers.waiting.pop_front(),
            };
            let entries = &delivery.request.entries;
            foreseen &= entries.iter().all(|entry| entry.origin == IdOrigin::Server);
            match answer {
                Some(answer) if foreseen => {
                    let placed = (next..).take(entries.len()).map(|index| Placed {
                        index,
                        retried: false,
                    });
                    next += entries.len() as u64;
                    let _ = answer.send(Outcome::Committed(placed.collect()));
                }
                Some(answer) => {
                    answers.delivered.insert(delivery.id, answer);
                }
                None => foreseen = false,
            }
        }
        Ok(deliveries)
    }

    async fn settle(&self, outcomes: Vec<(DeliveryId, Outcome)>) -> Result<(), QueueError> {
        for (id, outcome) in &outcomes {
            if let Some(answer) = self.answers().delivered.remove(id) {
                let _ = answer.send(outcome.clone());
            }
        }
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

    fn close(&self) {
        self.queue.close();
    }
}

/// Hands over what it handed over before without saying so.
pub(super) struct Unmarked(pub(super) Arc<InProcessQueue>);

#[async_trait]
impl Queue for Unmarked {
    async fn submit(&self, request: Request) -> Result<Waiter, SubmitError> {
        self.0.submit(request).await
    }

    async fn receive(&self, take: Take) -> Result<Vec<Delivery>, QueueError> {
        let mut deliveries = self.0.receive(take).await?;
        for delivery in &mut deliveries {
            delivery.redelivered = false;
        }
        Ok(deliveries)
    }

    async fn settle(&self, outcomes: Vec<(DeliveryId, Outcome)>) -> Result<(), QueueError> {
        self.0.settle(outcomes).await
    }

    async fn reclaim(&self) -> Result<(), QueueError> {
        self.0.reclaim().await
    }

    fn is_durable(&self) -> bool {
        self.0.is_durable()
    }

    fn depth(&self) -> Depth {
        self.0.depth()
    }

    fn close(&self) {
        self.0.close();
    }
}
