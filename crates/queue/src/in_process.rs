//! The queue within one process: nothing in it outlives the process, so nothing in it is
//! ever acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Notify, oneshot};

use crate::{
    Delivery, DeliveryId, Depth, Outcome, Queue, QueueError, Request, SubmitError, Take, Waiter,
};

/// How much may be submitted and not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Entries.
    pub entries: usize,
    /// Bytes, as [`crate::Submission::size_bytes`] counts them.
    pub bytes: usize,
}

impl Default for Bounds {
    /// 131,072 entries and 256 MiB: about half a second of full load, and room for one
    /// request of the largest size.
    fn default() -> Self {
        Self {
            entries: 131_072,
            bytes: 256 << 20,
        }
    }
}

#[derive(Debug)]
struct Item {
    request: Request,
    redelivered: bool,
    answer: oneshot::Sender<Outcome>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(DeliveryId, Item)>,
    received: BTreeMap<DeliveryId, Item>,
    next_id: u64,
    entries: usize,
    bytes: usize,
    closed: bool,
}

/// A bounded queue in memory.
#[derive(Debug)]
pub struct InProcessQueue {
    bounds: Bounds,
    state: Mutex<State>,
    arrived: Notify,
}

impl InProcessQueue {
    /// An empty queue.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// The sequencer is gone for good: everybody who waits learns that the outcome is
    /// unknown, and nothing more is taken.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.closed = true;
        state.waiting.clear();
        state.received.clear();
        (state.entries, state.bytes) = (0, 0);
        drop(state);
        // A receiver that waits learns that nothing will come.
        self.arrived.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock can panic between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, take: Take) -> Option<Vec<Delivery>> {
        let mut state = self.state();
        let mut deliveries = Vec::new();
        let (mut entries, mut bytes) = (0, 0);
        while let Some((_, item)) = state.waiting.front() {
            entries += item.request.entries.len();
            bytes += item.request.size_bytes;
            if !deliveries.is_empty() && (entries > take.entries || bytes > take.bytes) {
                break;
            }
            if let Some((id, item)) = state.waiting.pop_front() {
                deliveries.push(Delivery {
                    id,
                    request: item.request.clone(),
                    redelivered: item.redelivered,
                });
                state.received.insert(id, item);
            }
        }
        (!deliveries.is_empty() || state.closed).then_some(deliveries)
    }
}

#[async_trait]
impl Queue for InProcessQueue {
    async fn submit(&self, request: Request) -> Result<Waiter, SubmitError> {
        let (answer, waiter) = Waiter::new();
        {
            let mut state = self.state();
            if state.closed {
                return Err(SubmitError::Closed);
            }
            let entries = state.entries + request.entries.len();
            let bytes = state.bytes + request.size_bytes;
            // A request larger than the bound passes alone, or it could never pass.
            let alone = state.entries == 0;
            if !alone && (entries > self.bounds.entries || bytes > self.bounds.bytes) {
                return Err(SubmitError::Full);
            }
            state.entries = entries;
            state.bytes = bytes;
            let id = DeliveryId(state.next_id);
            state.next_id += 1;
            state.waiting.push_back((
                id,
                Item {
                    request,
                    redelivered: false,
                    answer,
                },
            ));
        }
        self.arrived.notify_one();
        Ok(waiter)
    }

    async fn receive(&self, take: Take) -> Result<Vec<Delivery>, QueueError> {
        loop {
            // A permit is kept for one who comes later, so nothing is missed in between.
            if let Some(deliveries) = self.take(take) {
                return Ok(deliveries);
            }
            self.arrived.notified().await;
        }
    }

    async fn settle(&self, outcomes: Vec<(DeliveryId, Outcome)>) -> Result<(), QueueError> {
        let mut answers = Vec::with_capacity(outcomes.len());
        {
            let mut state = self.state();
            for (id, outcome) in outcomes {
                if let Some(item) = state.received.remove(&id) {
                    state.entries -= item.request.entries.len();
                    state.bytes -= item.request.size_bytes;
                    answers.push((item.answer, outcome));
                }
            }
        }
        for (answer, outcome) in answers {
            // The client may have gone away; its entries are stored all the same.
            let _ = answer.send(outcome);
        }
        Ok(())
    }

    async fn reclaim(&self) -> Result<(), QueueError> {
        let mut state = self.state();
        while let Some((id, mut item)) = state.received.pop_last() {
            item.redelivered = true;
            state.waiting.push_front((id, item));
        }
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn depth(&self) -> Depth {
        let state = self.state();
        Depth {
            requests: state.waiting.len() + state.received.len(),
            entries: state.entries,
            bytes: state.bytes,
            open: !state.closed
                && state.entries < self.bounds.entries
                && state.bytes < self.bounds.bytes,
        }
    }

    fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
    }
}
