//! The way from a request to the sequencer: the [`Queue`] trait with its contract, the
//! queue within one process, and the suite that every queue passes.

pub mod conformance;
mod in_process;
mod request;

use async_trait::async_trait;

pub use in_process::{Bounds, InProcessQueue};
pub use request::{Delivery, DeliveryId, IdOrigin, Outcome, Placed, Request, Submission, Waiter};

/// A request that was not queued: nothing of it is stored, and nothing of it will be. Only
/// [`SubmitError::Unknown`] says less.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The bound is reached: try again later.
    #[error("the intake is full")]
    Full,
    /// The queue is shutting down.
    #[error("the server is shutting down")]
    Closed,
    /// The queue's server cannot be reached.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// The queue's server did not answer: the request may be queued, and then will be
    /// delivered. Sending the same ids again is harmless.
    #[error("it is not known whether the queue took it: {0}")]
    Unknown(String),
}

/// A failure on the sequencer's side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the queue cannot be reached: {0}")]
pub struct QueueError(pub String);

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Requests submitted and not settled.
    pub requests: usize,
    /// Their entries.
    pub entries: usize,
    /// Their size, as bounds count it.
    pub bytes: usize,
    /// Whether a request of one small entry would be taken now.
    pub open: bool,
}

/// What one `receive` may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Take {
    /// At most so many entries, but always at least one request.
    pub entries: usize,
    /// At most so many bytes, but always at least one request.
    pub bytes: usize,
}

/// A queue carries requests to the one sequencer and its answers back.
///
/// **Units.** A request is one unit: delivered whole, settled whole.
///
/// **Order.** Requests of one submitter that waits for each are delivered in the order of
/// submission. Between submitters there is none.
///
/// **Durability.** [`Queue::is_durable`] says whether a request survives the process once
/// `submit` returned `Ok`. Where it does not, nobody is told that a request is stored
/// before it is settled as committed.
///
/// **Acknowledged requests.** A durable queue loses no request that is marked as
/// [`Request::acknowledged`]. Settled as refused or unknown it stays, and is delivered again by
/// itself after a pause, marked as redelivered. Settled as a conflict, which is the last resort of a
/// sequencer that cannot commit it under another id, it is kept aside for a person to look at, in
/// the same step in which it leaves the queue.
///
/// **Delivery.** At least once: what was received and not settled is delivered again after
/// [`Queue::reclaim`], marked as redelivered, so the sequencer looks its ids up.
///
/// **Late arrivals.** A request whose `submit` was [`SubmitError::Unknown`] may arrive later than
/// the client's retry of it, and not marked. Where the server made its ids they are not looked up
/// then: only that a store takes each id once keeps the entry from being stored twice.
///
/// **Bounds.** What was submitted and not settled is bounded in entries and bytes, however
/// slow the sequencer; beyond the bound a request is refused at once and nothing waits in
/// memory.
///
/// **Concurrency.** Any number of submitters, one receiver. `receive` may be dropped before
/// it is ready without losing anything.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Hands a request over. On `Ok` it will be delivered, and the waiter learns what became
    /// of it. Dropping the waiter changes nothing for the request.
    ///
    /// # Errors
    /// As [`SubmitError`] says: nothing of the request is queued, or nobody knows.
    async fn submit(&self, request: Request) -> Result<Waiter, SubmitError>;

    /// The next requests, waiting until there is one. An empty answer means that the queue
    /// was closed and everything in it was received.
    async fn receive(&self, take: Take) -> Result<Vec<Delivery>, QueueError>;

    /// Says what became of received requests, and forgets them, but for acknowledged ones that
    /// are not committed.
    async fn settle(&self, outcomes: Vec<(DeliveryId, Outcome)>) -> Result<(), QueueError>;

    /// Puts what was received and not settled back in front, for a new receiver.
    async fn reclaim(&self) -> Result<(), QueueError>;

    /// Whether `Ok` from `submit` already means durable.
    fn is_durable(&self) -> bool;

    /// How full the queue is.
    fn depth(&self) -> Depth;

    /// Whether a request could be handed over now, its bounds aside; if not, why. Asked often: it
    /// says what is known, and waits for nothing.
    ///
    /// # Errors
    /// If the queue's server is away.
    fn ready(&self) -> Result<(), QueueError> {
        Ok(())
    }

    /// Refuses new requests from now on; what is in the queue is still delivered.
    fn close(&self);
}
