//! What this process has of the queue in its hands: received from Redis, and not settled.

use std::collections::{BTreeMap, HashMap, HashSet};

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
    /// Put off until the next [`Held::go_on`].
    later: BTreeMap<StreamId, Item>,
    /// While requests are claimed: what was settled since that began. Redis may have given it
    /// before that.
    settled: Option<HashSet<StreamId>>,
    next_id: u64,
    /// The consumer's name in Redis that all of this belongs to.
    pub(crate) consumer: String,
}

impl Held {
    /// Forgets everything: Redis has it, and gives it again to the new consumer.
    pub(crate) fn start_anew(&mut self, consumer: String) {
        self.clear();
        self.consumer = consumer;
    }

    pub(crate) fn clear(&mut self) {
        self.ready.clear();
        self.given.clear();
        self.given_ids.clear();
        self.later.clear();
    }

    /// Whether it is here already, or was and is settled.
    pub(crate) fn has(&self, id: StreamId) -> bool {
        self.ready.contains_key(&id)
            || self.given_ids.contains_key(&id)
            || self.later.contains_key(&id)
            || self.settled.as_ref().is_some_and(|ids| ids.contains(&id))
    }

    pub(crate) fn claim_begins(&mut self) {
        self.settled = Some(HashSet::new());
    }

    pub(crate) fn claim_ends(&mut self) {
        self.settled = None;
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
        self.go_on();
    }

    /// Takes back what was given out, until the next [`Held::go_on`].
    pub(crate) fn put_off(&mut self, id: DeliveryId) {
        if let Some((stream_id, mut item)) = self.given.remove(&id) {
            self.given_ids.remove(&stream_id);
            item.redelivered = true;
            self.later.insert(stream_id, item);
        }
    }

    /// Makes ready what was put off.
    pub(crate) fn go_on(&mut self) {
        self.ready.append(&mut self.later);
    }

    pub(crate) fn given(&self, id: DeliveryId) -> Option<&(StreamId, Item)> {
        self.given.get(&id)
    }

    pub(crate) fn settled(&mut self, id: DeliveryId) {
        if let Some((stream_id, _)) = self.given.remove(&id) {
            self.given_ids.remove(&stream_id);
            if let Some(ids) = &mut self.settled {
                ids.insert(stream_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use audittrail_queue::conformance::request;

    use super::*;

    const ALL: Take = Take {
        entries: usize::MAX,
        bytes: usize::MAX,
    };

    fn id(milliseconds: u64) -> StreamId {
        StreamId {
            milliseconds,
            sequence: 0,
        }
    }

    fn with(ids: &[u64]) -> Held {
        let mut held = Held::default();
        for at in ids {
            let item = Item {
                request: request(u128::from(*at), 1, 0),
                redelivered: false,
                waits: None,
            };
            held.add(id(*at), item);
        }
        held
    }

    /// Redis gives a claimer its own requests too, as they were when it was asked.
    #[test]
    fn what_is_settled_during_a_claim_is_not_taken_in_again() {
        let mut held = with(&[1, 2, 3]);
        let given = held.take(ALL);
        held.settled(given[0].id);
        held.claim_begins();
        held.settled(given[1].id);
        assert!(!held.has(id(1)), "Redis had forgotten it by then");
        assert!(held.has(id(2)), "settled meanwhile");
        assert!(held.has(id(3)), "given out");
        held.claim_ends();
        assert!(!held.has(id(2)), "nothing is remembered for ever");
    }

    #[test]
    fn what_is_put_off_waits_and_is_marked() {
        let mut held = with(&[1, 2]);
        let given = held.take(ALL);
        held.put_off(given[1].id);
        assert!(held.has(id(2)) && held.take(ALL).is_empty());
        held.go_on();
        let again = held.take(ALL);
        assert!(again.len() == 1 && again[0].redelivered);
        held.put_off(again[0].id);
        held.reclaim();
        assert_eq!(held.take(ALL).len(), 2, "reclaiming waits for nothing");
    }
}
