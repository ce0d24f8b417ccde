//! Clients, lives of a sequencer, and what has to be true of the log after them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use audittrail_checkpoint::{Checkpoint, Signer};
use audittrail_entry::{
    Limits, NewEntry, OpenPart, Record, SealWith, SigningKey, Submitter, Timestamp,
};
use audittrail_merkle::{Edge, leaf_hash};
use audittrail_queue::{Bounds, IdOrigin, InProcessQueue, Queue, Request, Submission};
use audittrail_sequencer::{Config, Sequencer, SequencerError};
use audittrail_store::{MemoryStore, Store};
use uuid::Uuid;

pub(crate) const ORIGIN: &str = "log.example/sequencer";
pub(crate) const START_NS: i64 = 1_767_225_600_000_000_000;

pub(crate) const SERVER: IdOrigin = IdOrigin::Server;
pub(crate) const CLIENT: IdOrigin = IdOrigin::Client {
    timestamp_given: true,
};
pub(crate) const CLIENT_WITHOUT_TIME: IdOrigin = IdOrigin::Client {
    timestamp_given: false,
};

/// What a test says about an entry; everything else is the same in all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) id: u128,
    pub(crate) origin: IdOrigin,
    pub(crate) action: &'static str,
    pub(crate) user: &'static str,
    /// Nanoseconds after the start, at which it also arrives.
    pub(crate) at: i64,
}

impl Sent {
    pub(crate) fn new(id: u128, origin: IdOrigin) -> Self {
        Self {
            id,
            origin,
            action: "door.open",
            user: "alice",
            at: id as i64,
        }
    }

    /// The entry under a salt of its own, as each arrival gets one.
    pub(crate) fn submission(self, salt: u8) -> Submission {
        let id = Uuid::from_u128(self.id);
        let now = Timestamp::from_nanos(START_NS + self.at);
        let entry = NewEntry {
            action: self.action.into(),
            user_id: Some(self.user.into()),
            timestamp: None,
            resource: None,
            outcome: None,
            source_ip: None,
            tenant: None,
            details: None,
            id: None,
        };
        let record = entry.seal(SealWith {
            submitter: &Submitter {
                iss: None,
                sub: "client",
            },
            received_at: now,
            id,
            salt: [salt; 32],
            key: &key(),
            origin: ORIGIN,
            limits: &Limits::default(),
        });
        let record = record.unwrap();
        Submission {
            id,
            origin: self.origin,
            leaf_hash: leaf_hash(&record.leaf),
            record,
        }
    }
}

/// Signs the entries.
pub(crate) fn key() -> SigningKey {
    SigningKey::new(b"a signing key of thirty-two bytes or more").unwrap()
}

pub(crate) fn request(entries: &[Sent]) -> Request {
    Request::new(entries.iter().map(|one| one.submission(1)).collect())
}

pub(crate) fn signer() -> Signer {
    Signer::from_seed(ORIGIN, [9; 32]).unwrap()
}

/// One life of a sequencer.
pub(crate) struct Life {
    pub(crate) queue: Arc<InProcessQueue>,
    pub(crate) sequencer: Sequencer,
}

pub(crate) async fn start_with(
    store: &Arc<MemoryStore>,
    bounds: Bounds,
    config: Config,
) -> Result<Life, SequencerError> {
    let queue = Arc::new(InProcessQueue::new(bounds));
    let sequencer = Sequencer::start(
        Arc::clone(store) as Arc<dyn Store>,
        Arc::clone(&queue) as Arc<dyn Queue>,
        ORIGIN.to_owned(),
        vec![signer()],
        config,
    )
    .await?;
    Ok(Life { queue, sequencer })
}

pub(crate) async fn start(store: &Arc<MemoryStore>) -> Life {
    start_with(store, Bounds::default(), Config::default())
        .await
        .unwrap()
}

/// Runs the loop beside its clients, as the server does: when it ends with an error, whoever
/// still waits learns that the outcome is unknown.
pub(crate) async fn run_beside<T>(
    life: Life,
    clients: impl Future<Output = T>,
) -> (Result<(), SequencerError>, T) {
    let Life { queue, sequencer } = life;
    let run = async {
        let end = sequencer.run().await;
        if end.is_err() {
            queue.abandon();
        }
        end
    };
    // The clock jumps whenever everything waits, so an hour is over at once if nothing comes.
    let both = async { tokio::join!(run, clients) };
    let both = tokio::time::timeout(Duration::from_secs(3_600), both).await;
    both.expect("the loop and its clients come to an end")
}

/// What clients were told.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Ids of acknowledged entries, by index.
    pub(crate) acknowledged: BTreeMap<u64, u128>,
    /// Ids that were refused and not acknowledged later.
    pub(crate) refused: BTreeSet<u128>,
}

impl Known {
    /// The whole log is what clients were told, and proves it; the ids in it.
    pub(crate) async fn check(&self, store: &MemoryStore) -> Vec<u128> {
        let head = store.head().await.unwrap();
        let stored = store.scan(0..head.size, usize::MAX).await.unwrap();
        let (mut edge, mut roots, mut ids) = (Edge::new(), vec![Edge::new().root()], Vec::new());
        for (one, index) in stored.iter().zip(0..) {
            assert_eq!(one.index, index, "indices are consecutive");
            let record: &Record = one.record.as_ref().unwrap();
            edge.push(leaf_hash(&record.leaf));
            roots.push(edge.root());
            ids.push(OpenPart::parse(&record.leaf).unwrap().id.as_u128());
        }
        assert_eq!(edge.head(), head, "the root recomputed from the leaves");
        let hashes = store.hashes(0, 0..head.size).await.unwrap();
        let leaves = stored.iter().map(|one| one.record.as_ref().unwrap());
        assert!(leaves.map(|record| leaf_hash(&record.leaf)).eq(hashes));
        let distinct: BTreeSet<u128> = ids.iter().copied().collect();
        assert_eq!(
            distinct.len(),
            ids.len(),
            "no id is in the log twice: {ids:?}"
        );
        for (index, id) in &self.acknowledged {
            assert_eq!(
                ids.get(*index as usize),
                Some(id),
                "acknowledged at {index}"
            );
        }
        for id in &self.refused {
            assert!(!distinct.contains(id), "{id} was refused and is in the log");
        }
        // The newest checkpoint is of a beginning of this log, and its signature holds.
        let kept = store.checkpoint().await.unwrap().unwrap();
        let opened = Checkpoint::open(kept.note.as_bytes(), &[signer().verifier()]).unwrap();
        assert_eq!((opened.origin.as_str(), opened.head), (ORIGIN, kept.head));
        assert_eq!(roots.get(kept.head.size as usize), Some(&kept.head.root));
        ids
    }

    /// The same after a loop that ended in order: the newest checkpoint covers everything.
    pub(crate) async fn check_closed(&self, store: &MemoryStore) -> Vec<u128> {
        let ids = self.check(store).await;
        let kept = store.checkpoint().await.unwrap().unwrap();
        assert_eq!(
            kept.head,
            store.head().await.unwrap(),
            "the last checkpoint"
        );
        ids
    }
}
