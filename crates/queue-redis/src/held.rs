//! What this process has of the queue in its hands: received from Redis, and not settled.

use std::collections::{BTreeMap, HashMap};

use audittrail_queue::{Delivery, DeliveryId, Request, Take};

use crate::value::StreamId;

/// A request with whom to answer.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) request: Request,
    pub(crate) redelivered: bool,
    /// The node that waits, and its token; `None` where nobody can be answered.
    pub(crate) waits: Option<(String, u64)>,
}

/// Requests that are ready to be given out, in the order of the stream, and those that were.
#[derive(Debug, Default)]
pub(crate) struct Held {
    ready: BTreeMap<StreamId, Item>,
    given: HashMap<DeliveryId, (StreamId, Item)>,
    given_ids: HashMap<StreamId, DeliveryId>,
    next_id: u64,
    /// The consumer's name in Redis that all of this belongs to.
    pub(crate) consumer: String,
}

impl Held {
    /// Forgets everything: Redis has it, and gives it again to the new consumer.
    pub(crate) fn start_anew(&mut self, consumer: String) {
        self.ready.clear();
        self.given.clear();
        self.given_ids.clear();
        self.consumer = consumer;
    }

    pub(crate) fn has(&self, id: StreamId) -> bool {
        self.ready.contains_key(&id) || self.given_ids.contains_key(&id)
    }

    /// Whether nothing is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    pub(crate) fn add(&mut self, id: StreamId, item: Item) {
        self.ready.insert(id, item);
    }

    /// Whether less is ready than one `take` may have.
    pub(crate) fn has_room(&self, take: Take) -> bool {
        let (mut entries, mut bytes) = (0, 0);
        for item in self.ready.values() {
            entries += item.request.entries.len();
            bytes += item.request.size_bytes;
            if entries >= take.entries || bytes >= take.bytes {
                return false;
            }
        }
        true
    }

    pub(crate) fn take(&mut self, take: Take) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        let (mut entries, mut bytes) = (0, 0);
        while let Some(first) = self.ready.first_entry() {
            let request = &first.get().request;
            entries += request.entries.len();
            bytes += request.size_bytes;
            if !deliveries.is_empty() && (entries > take.entries || bytes > take.bytes) {
                break;
            }
            let (stream_id, item) = first.remove_entry();
            let id = DeliveryId(self.next_id);
            self.next_id += 1;
            deliveries.push(Delivery {
                id,
                request: item.request.clone(),
                redelivered: item.redelivered,
            });
            self.given_ids.insert(stream_id, id);
            self.given.insert(id, (stream_id, item));
        }
        deliveries
    }

    /// Puts what was given out back, marked.
    pub(crate) fn reclaim(&mut self) {
        self.given_ids.clear();
        for (_, (id, mut item)) in self.given.drain() {
            item.redelivered = true;
            self.ready.insert(id, item);
        }
    }

    pub(crate) fn given(&self, id: DeliveryId) -> Option<&(StreamId, Item)> {
        self.given.get(&id)
    }

    pub(crate) fn settled(&mut self, id: DeliveryId) {
        if let Some((stream_id, _)) = self.given.remove(&id) {
            self.given_ids.remove(&stream_id);
        }
    }
}
