//! What is committed for entries that may not be refused any more and have ids of others.

use std::collections::HashMap;

use audittrail_entry::{SigningKey, id_conflict};
use audittrail_merkle::leaf_hash;
use audittrail_queue::{Delivery, DeliveryId, IdOrigin, Submission};
use uuid::Uuid;

use crate::plan::{Existing, needs_lookup};

/// The log's own entries (`audittrail.id_conflict`) for entries of acknowledged requests whose ids
/// are, or may be, those of other entries. Only where a plan finds the conflict are they used.
///
/// They follow from what they stand for and from nothing else, so that they are the same when a
/// request comes again.
#[derive(Debug, Default)]
pub struct Instead(HashMap<(DeliveryId, usize), Submission>);

impl Instead {
    /// Makes them, signed with `key` for the log of that origin, given what the log has under the
    /// ids of `deliveries`. There is none for an entry whose sealed part is missing.
    pub fn of(
        deliveries: &[Delivery],
        known: &HashMap<Uuid, Existing>,
        key: &SigningKey,
        origin: &str,
    ) -> Self {
        let acknowledged = || {
            let deliveries = deliveries.iter();
            deliveries.filter(|delivery| delivery.request.acknowledged)
        };
        let mut times: HashMap<Uuid, u32> = HashMap::new();
        if acknowledged().next().is_some() {
            let entries = deliveries.iter().flat_map(|one| one.request.entries.iter());
            entries.for_each(|entry| *times.entry(entry.id).or_default() += 1);
        }
        let mut made = HashMap::new();
        for delivery in acknowledged() {
            for (at, entry) in delivery.request.entries.iter().enumerate() {
                let is_other = |existing: &Existing| !existing.is_same(entry);
                let may_conflict = needs_lookup(delivery, entry)
                    && (known.get(&entry.id).is_some_and(is_other)
                        || times.get(&entry.id).is_some_and(|times| *times > 1));
                if !may_conflict {
                    continue;
                }
                match id_conflict(&entry.record, key, origin) {
                    Ok((id, record)) => {
                        let submission = Submission {
                            id,
                            origin: IdOrigin::Client {
                                timestamp_given: true,
                            },
                            leaf_hash: leaf_hash(&record.leaf),
                            record,
                        };
                        made.insert((delivery.id, at), submission);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "an entry whose id is taken cannot be kept in the log");
                    }
                }
            }
        }
        Self(made)
    }

    /// Under which ids they may be in the log already.
    pub fn ids(&self) -> Vec<Uuid> {
        self.0.values().map(|own| own.id).collect()
    }

    /// That for an entry of a request.
    pub(crate) fn get(&self, delivery: &Delivery, at: usize) -> Option<&Submission> {
        self.0.get(&(delivery.id, at))
    }
}
