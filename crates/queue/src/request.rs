//! What travels through a queue.

use std::sync::Arc;

use audittrail_entry::Record;
use audittrail_merkle::Hash;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Where an entry's id comes from, which says whether it has to be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdOrigin {
    /// Made for this entry: nobody else has it.
    Server,
    /// Brought by the client, or derived from what it sent: a retry may bring it again.
    Client {
        /// Whether the client also gave the timestamp. Where it did not, a retry's
        /// timestamp is that of its own arrival and takes no part in the comparison.
        timestamp_given: bool,
    },
}

/// One entry of a request, ready to be sequenced.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The entry's id, as in the leaf.
    pub id: Uuid,
    /// Where the id comes from.
    pub origin: IdOrigin,
    /// What will be stored.
    pub record: Record,
    /// SHA-256(0x00 ‖ leaf).
    pub leaf_hash: Hash,
}

impl Submission {
    /// What the entry counts against bounds in bytes.
    pub fn size_bytes(&self) -> usize {
        const FIXED: usize = 256;
        let sealed = self
            .record
            .sealed
            .as_ref()
            .map_or(0, |sealed| sealed.bytes.len());
        FIXED + self.record.leaf.len() + sealed
    }
}

/// The entries of one request: committed in one batch at consecutive indices, or not at all.
#[derive(Debug, Clone)]
pub struct Request {
    /// In the order sent; at least one.
    pub entries: Arc<[Submission]>,
    /// The sum of their sizes.
    pub size_bytes: usize,
    /// Whether the client was, or will be, told that it is queued, and nobody waits for what becomes
    /// of it: such a request must not get lost.
    pub acknowledged: bool,
}

impl Request {
    /// A request of these entries.
    pub fn new(entries: Vec<Submission>) -> Self {
        let size_bytes = entries.iter().map(Submission::size_bytes).sum();
        Self {
            entries: entries.into(),
            size_bytes,
            acknowledged: false,
        }
    }

    /// The same, for a client that is told that it is queued.
    #[must_use]
    pub fn with_acknowledgement(self) -> Self {
        Self {
            acknowledged: true,
            ..self
        }
    }
}

/// Names a delivery until it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub u64);

/// A request as the sequencer receives it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// For settling.
    pub id: DeliveryId,
    /// The request.
    pub request: Request,
    /// Whether it was delivered before, so that any of its entries may be stored already.
    pub redelivered: bool,
}

/// Where an entry of a committed request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Its index in the log.
    pub index: u64,
    /// Whether an earlier request stored it: this one was a retry.
    pub retried: bool,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every entry is durable in the log, in the order of the request.
    Committed(Vec<Placed>),
    /// Nothing was stored: these entries (positions in the request) have ids that are taken
    /// by entries of other content.
    Conflict(Vec<usize>),
    /// Nothing was stored, and nothing will be. Sending it again later may succeed.
    Refused(String),
    /// It may or may not be stored. Sending the same ids again is harmless.
    Unknown,
}

/// Waits for the outcome of one request.
#[derive(Debug)]
pub struct Waiter(oneshot::Receiver<Outcome>);

impl Waiter {
    /// A waiter, and the way to answer it.
    pub fn new() -> (oneshot::Sender<Outcome>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// The outcome; `Unknown` if whoever knew it is gone.
    pub async fn outcome(self) -> Outcome {
        self.0.await.unwrap_or(Outcome::Unknown)
    }
}
