//! The suite that every queue passes.
//!
//! Each property is a function that takes an empty queue and panics, saying what is broken,
//! if the queue does not keep the contract of [`Queue`]. [`run`] goes through all of them.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "it is test code: a property ends where the queue is not as it should be"
)]

mod limits;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use audittrail_entry::{KeyId, Record, Sealed};
use audittrail_merkle::leaf_hash;
use uuid::Uuid;

pub use limits::{
    a_closed_queue_is_drained, a_large_request_passes_alone, bytes_are_bounded,
    closing_ends_a_receive_that_waits, entries_are_bounded,
};

use crate::{
    Bounds, Delivery, DeliveryId, Depth, IdOrigin, Outcome, Placed, Queue, Request, Submission,
    Take, Waiter,
};

/// What the queues under test are bounded by.
pub const BOUNDS: Bounds = Bounds {
    entries: 100,
    bytes: 100_000,
};

/// Takes everything that there is.
const ALL: Take = Take {
    entries: usize::MAX,
    bytes: usize::MAX,
};

/// After so long it is certain that an answer does not come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every property, each on a new empty queue of `make`, bounded by [`BOUNDS`].
pub async fn run<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Queue>>,
{
    requests_are_units(make().await).await;
    the_order_of_submission_is_kept(make().await).await;
    receiving_takes_so_much(make().await).await;
    receiving_waits_for_a_request(make().await).await;
    receiving_can_be_dropped(make().await).await;
    each_waiter_learns_its_own_outcome(make().await).await;
    dropping_a_waiter_changes_nothing(make().await).await;
    what_is_not_settled_comes_again(make().await).await;
    refused_after_queued_comes_again(make().await).await;
    entries_are_bounded(make().await).await;
    bytes_are_bounded(make().await).await;
    a_large_request_passes_alone(make().await).await;
    a_closed_queue_is_drained(make().await).await;
    closing_ends_a_receive_that_waits(make().await).await;
}

/// A request of entries with ids from `first` on, whose sealed parts have that many bytes.
/// They are no real entries: a queue does not look into them.
pub fn request(first: u128, entries: usize, sealed_bytes: usize) -> Request {
    let submission = |id: u128| {
        let leaf = format!("leaf {id}").into_bytes();
        Submission {
            id: Uuid::from_u128(id),
            origin: match id % 3 {
                0 => IdOrigin::Server,
                rest => IdOrigin::Client {
                    timestamp_given: rest == 1,
                },
            },
            leaf_hash: leaf_hash(&leaf),
            record: Record {
                leaf,
                sealed: Some(Sealed {
                    bytes: vec![b'x'; sealed_bytes],
                    salt: [id as u8; 32],
                }),
                signature: [!id as u8; 32],
                key_id: KeyId([1, 2, 3, id as u8]),
            },
        }
    };
    let ids = first..first + entries as u128;
    Request::new(ids.map(submission).collect())
}

async fn submit(queue: &Arc<dyn Queue>, request: Request) -> Waiter {
    match queue.submit(request).await {
        Ok(waiter) => waiter,
        Err(error) => panic!("a request was refused: {error}"),
    }
}

/// What is received within a time that is enough.
async fn receive(queue: &Arc<dyn Queue>, take: Take) -> Vec<Delivery> {
    match tokio::time::timeout(PATIENCE, queue.receive(take)).await {
        Ok(received) => received.unwrap(),
        Err(_) => panic!("nothing was received, though there is something"),
    }
}

async fn outcome(waiter: Waiter) -> Outcome {
    match tokio::time::timeout(PATIENCE, waiter.outcome()).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("a waiter was never answered"),
    }
}

/// Receives until so many requests have come.
async fn receive_requests(queue: &Arc<dyn Queue>, count: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    while deliveries.len() < count {
        deliveries.extend(receive(queue, ALL).await);
    }
    assert_eq!(deliveries.len(), count, "more was received than submitted");
    deliveries
}

/// Polls once; nothing must come of it.
async fn assert_waits<T>(future: impl Future<Output = T>, what: &str) {
    let mut future = pin!(future);
    let ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
    assert!(!ready, "{what}");
}

fn ids(request: &Request) -> Vec<u128> {
    let entries = request.entries.iter();
    entries.map(|entry| entry.id.as_u128()).collect()
}

fn first_ids(deliveries: &[Delivery]) -> Vec<u128> {
    deliveries.iter().map(|one| ids(&one.request)[0]).collect()
}

fn committed(index: u64) -> Outcome {
    Outcome::Committed(vec![Placed {
        index,
        retried: false,
    }])
}

async fn settle_all(queue: &Arc<dyn Queue>, deliveries: &[Delivery], outcome: &Outcome) {
    let outcomes = deliveries.iter().map(|one| (one.id, outcome.clone()));
    queue.settle(outcomes.collect()).await.unwrap();
}

fn assert_depth(queue: &Arc<dyn Queue>, requests: usize, entries: usize, bytes: usize) {
    let Depth {
        requests: has_requests,
        entries: has_entries,
        bytes: has_bytes,
        ..
    } = queue.depth();
    assert_eq!(
        (has_requests, has_entries, has_bytes),
        (requests, entries, bytes),
        "the depth in requests, entries, bytes"
    );
}

/// A request is delivered whole and byte for byte, each under a name of its own.
pub async fn requests_are_units(queue: Arc<dyn Queue>) {
    let sent = [request(1, 1, 0), request(10, 7, 30), request(20, 2, 1_000)];
    let mut waiters = Vec::new();
    for request in &sent {
        waiters.push(submit(&queue, request.clone()).await);
    }
    let bytes = sent.iter().map(|request| request.size_bytes).sum();
    assert_depth(&queue, 3, 10, bytes);
    let deliveries = receive_requests(&queue, 3).await;
    for (delivery, sent) in deliveries.iter().zip(&sent) {
        assert!(!delivery.redelivered, "it was not delivered before");
        assert_eq!(delivery.request.size_bytes, sent.size_bytes);
        assert_eq!(ids(&delivery.request), ids(sent));
        for (got, sent) in delivery.request.entries.iter().zip(sent.entries.iter()) {
            assert_eq!(got.origin, sent.origin);
            assert_eq!(got.record, sent.record);
            assert_eq!(got.leaf_hash, sent.leaf_hash);
        }
    }
    let mut names: Vec<DeliveryId> = deliveries.iter().map(|one| one.id).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 3, "two deliveries have one name");
    // Received is not settled: it still counts.
    assert_depth(&queue, 3, 10, bytes);
    settle_all(&queue, &deliveries, &Outcome::Unknown).await;
    assert_depth(&queue, 0, 0, 0);
}

/// A submitter that waits for each `submit` finds its requests delivered in that order.
pub async fn the_order_of_submission_is_kept(queue: Arc<dyn Queue>) {
    let mut waiters = Vec::new();
    for id in 0..30 {
        waiters.push(submit(&queue, request(id, 1, 0)).await);
    }
    let take = Take {
        entries: 7,
        bytes: usize::MAX,
    };
    let mut order = Vec::new();
    while order.len() < 30 {
        order.extend(first_ids(&receive(&queue, take).await));
    }
    assert_eq!(order, (0..30).collect::<Vec<u128>>());
}

/// One `receive` takes what fits, never splits a request, and always takes at least one.
pub async fn receiving_takes_so_much(queue: Arc<dyn Queue>) {
    let mut waiters = Vec::new();
    for (id, entries) in [(0, 5), (10, 5), (20, 1), (30, 20), (60, 1), (70, 1)] {
        waiters.push(submit(&queue, request(id, entries, 10)).await);
    }
    let take = |entries, bytes| Take { entries, bytes };
    let one = request(0, 1, 10).size_bytes;
    let deliveries = receive(&queue, take(10, usize::MAX)).await;
    assert_eq!(first_ids(&deliveries), [0, 10], "ten entries are ten");
    let deliveries = receive(&queue, take(20, usize::MAX)).await;
    assert_eq!(
        first_ids(&deliveries),
        [20],
        "the next would be one too many"
    );
    let deliveries = receive(&queue, take(1, 1)).await;
    assert_eq!(first_ids(&deliveries), [30], "a large one comes alone");
    assert_eq!(deliveries[0].request.entries.len(), 20);
    let deliveries = receive(&queue, take(usize::MAX, one + 1)).await;
    assert_eq!(first_ids(&deliveries), [60], "bytes bound it as well");
    let deliveries = receive(&queue, take(0, 0)).await;
    assert_eq!(first_ids(&deliveries), [70], "there is always one");
}

/// `receive` waits, and what is submitted or reclaimed then wakes it.
pub async fn receiving_waits_for_a_request(queue: Arc<dyn Queue>) {
    let mut receiving = pin!(queue.receive(ALL));
    assert_waits(receiving.as_mut(), "something came out of an empty queue").await;
    let _waiter = submit(&queue, request(5, 1, 0)).await;
    let deliveries = tokio::time::timeout(PATIENCE, receiving).await;
    let deliveries = deliveries.expect("the request wakes the receiver").unwrap();
    assert_eq!(first_ids(&deliveries), [5]);
    // What comes again wakes it as well.
    let mut receiving = pin!(queue.receive(ALL));
    assert_waits(receiving.as_mut(), "a request came twice").await;
    queue.reclaim().await.unwrap();
    let deliveries = tokio::time::timeout(PATIENCE, receiving).await;
    let deliveries = deliveries.expect("reclaiming wakes the receiver").unwrap();
    assert_eq!(first_ids(&deliveries), [5]);
}

/// A `receive` that is dropped while it waits takes nothing with it.
pub async fn receiving_can_be_dropped(queue: Arc<dyn Queue>) {
    let mut waiters = Vec::new();
    for id in 0..5 {
        assert_waits(queue.receive(ALL), "something came out of an empty queue").await;
        let mut dropped = Box::pin(queue.receive(ALL));
        assert_waits(dropped.as_mut(), "something came out of an empty queue").await;
        waiters.push(submit(&queue, request(id, 1, 0)).await);
        // It was woken, and is dropped before it looks.
        drop(dropped);
        assert_eq!(first_ids(&receive(&queue, ALL).await), [id]);
    }
}

/// Each waiter learns what became of its own request, in whatever order they are settled.
pub async fn each_waiter_learns_its_own_outcome(queue: Arc<dyn Queue>) {
    let outcomes = [
        committed(7),
        Outcome::Conflict(vec![0, 2]),
        Outcome::Refused("no space".to_owned()),
        Outcome::Unknown,
    ];
    let mut waiting = Vec::new();
    for id in 0..4 {
        let waiter = submit(&queue, request(10 * id, 3, 0)).await;
        waiting.push(Box::pin(waiter.outcome()));
    }
    let deliveries = receive_requests(&queue, 4).await;
    for waiter in &mut waiting {
        assert_waits(waiter.as_mut(), "answered before it was settled").await;
    }
    let settled: Vec<_> = deliveries
        .iter()
        .map(|one| one.id)
        .zip(outcomes.clone())
        .collect();
    let (early, late) = settled.split_at(1);
    queue
        .settle(late.iter().rev().cloned().collect())
        .await
        .unwrap();
    assert_waits(waiting[0].as_mut(), "answered with another's outcome").await;
    queue.settle(early.to_vec()).await.unwrap();
    for (waiter, expected) in waiting.into_iter().zip(outcomes) {
        let answer = tokio::time::timeout(PATIENCE, waiter).await;
        assert_eq!(answer.expect("a waiter is answered"), expected);
    }
}

/// A client that goes away takes nothing with it, and harms nobody else.
pub async fn dropping_a_waiter_changes_nothing(queue: Arc<dyn Queue>) {
    drop(submit(&queue, request(0, 1, 0)).await);
    let stays = submit(&queue, request(1, 1, 0)).await;
    let goes_later = submit(&queue, request(2, 1, 0)).await;
    let deliveries = receive_requests(&queue, 3).await;
    assert_eq!(first_ids(&deliveries), [0, 1, 2]);
    drop(goes_later);
    settle_all(&queue, &deliveries, &committed(3)).await;
    assert_eq!(outcome(stays).await, committed(3));
    assert_depth(&queue, 0, 0, 0);
}

/// What was received and not settled comes again after `reclaim`, in order, before what came
/// later, marked; what was settled does not.
pub async fn what_is_not_settled_comes_again(queue: Arc<dyn Queue>) {
    let mut waiters = Vec::new();
    for id in 0..4 {
        waiters.push(submit(&queue, request(id, 1, 0)).await);
    }
    let take = Take {
        entries: 3,
        bytes: usize::MAX,
    };
    let first = receive(&queue, take).await;
    assert_eq!(first_ids(&first), [0, 1, 2]);
    settle_all(&queue, &first[1..2], &committed(1)).await;
    queue.reclaim().await.unwrap();
    assert_depth(&queue, 3, 3, 3 * request(0, 1, 0).size_bytes);
    let again = receive_requests(&queue, 3).await;
    assert_eq!(first_ids(&again), [0, 2, 3]);
    let marks: Vec<bool> = again.iter().map(|one| one.redelivered).collect();
    assert_eq!(marks, [true, true, false]);
    // And once more, as often as it takes.
    queue.reclaim().await.unwrap();
    let again = receive_requests(&queue, 3).await;
    assert_eq!(first_ids(&again), [0, 2, 3]);
    assert!(again.iter().all(|one| one.redelivered));
    settle_all(&queue, &again, &Outcome::Unknown).await;
    queue.reclaim().await.unwrap();
    assert_waits(queue.receive(ALL), "what was settled came again").await;
    // The waiters were theirs all along.
    let expected = [
        Outcome::Unknown,
        committed(1),
        Outcome::Unknown,
        Outcome::Unknown,
    ];
    for (waiter, expected) in waiters.into_iter().zip(expected) {
        assert_eq!(outcome(waiter).await, expected);
    }
}

/// What was acknowledged as queued is not lost when it is refused, or nobody knows: it comes again
/// by itself, marked, until it is committed. Others are refused as ever. A queue that is not durable
/// acknowledges nothing.
pub async fn refused_after_queued_comes_again(queue: Arc<dyn Queue>) {
    if !queue.is_durable() {
        return;
    }
    let refused = Outcome::Refused("the store is away".to_owned());
    let queued = request(0, 2, 0).with_acknowledgement();
    drop(submit(&queue, queued.clone()).await);
    let waits = submit(&queue, request(10, 1, 0)).await;
    let mut deliveries = receive_requests(&queue, 2).await;
    assert!(deliveries[0].request.acknowledged && !deliveries[1].request.acknowledged);
    settle_all(&queue, &deliveries, &refused).await;
    assert_eq!(outcome(waits).await, refused);
    for settled in [Outcome::Unknown, refused, committed(0)] {
        assert_depth(&queue, 1, 2, queued.size_bytes);
        deliveries = receive_requests(&queue, 1).await;
        assert_eq!(ids(&deliveries[0].request), [0, 1]);
        assert!(deliveries[0].redelivered && deliveries[0].request.acknowledged);
        settle_all(&queue, &deliveries, &settled).await;
    }
    assert_depth(&queue, 0, 0, 0);
    queue.reclaim().await.unwrap();
    assert_waits(queue.receive(ALL), "what was committed came again").await;
}
