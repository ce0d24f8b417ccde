//! Bounds, and the end of a queue.

use std::pin::pin;
use std::sync::Arc;

use super::{
    ALL, BOUNDS, PATIENCE, assert_depth, assert_waits, committed, first_ids, ids, outcome, receive,
    receive_requests, request, settle_all, submit,
};
use crate::{Outcome, Queue, SubmitError, Take};

/// Entries are bounded until they are settled, and a refusal leaves nothing behind.
pub async fn entries_are_bounded(queue: Arc<dyn Queue>) {
    let half = BOUNDS.entries / 2;
    assert!(queue.depth().open);
    let _first = submit(&queue, request(0, half, 0)).await;
    let too_many = queue.submit(request(1_000, half + 1, 0)).await;
    assert_eq!(too_many.unwrap_err(), SubmitError::Full);
    assert!(queue.depth().open, "a small request would be taken");
    let _second = submit(&queue, request(2_000, half, 0)).await;
    assert!(!queue.depth().open, "nothing more would be taken");
    let one_more = queue.submit(request(3_000, 1, 0)).await;
    assert_eq!(one_more.unwrap_err(), SubmitError::Full);

    // Receiving makes no room: what is not settled is still in memory.
    let deliveries = receive_requests(&queue, 2).await;
    assert_eq!(first_ids(&deliveries), [0, 2_000]);
    let one_more = queue.submit(request(4_000, 1, 0)).await;
    assert_eq!(one_more.unwrap_err(), SubmitError::Full);
    settle_all(&queue, &deliveries[..1], &Outcome::Unknown).await;
    assert!(queue.depth().open);
    let _third = submit(&queue, request(5_000, half, 0)).await;
    assert_eq!(first_ids(&receive(&queue, ALL).await), [5_000]);
}

/// Bytes are bounded as entries are.
pub async fn bytes_are_bounded(queue: Arc<dyn Queue>) {
    let sealed = BOUNDS.bytes / 2;
    let _first = submit(&queue, request(0, 1, sealed)).await;
    // Two halves and what each entry counts besides are more than the bound.
    let too_large = queue.submit(request(1, 1, sealed)).await;
    assert_eq!(too_large.unwrap_err(), SubmitError::Full);
    let _small = submit(&queue, request(2, 1, 100)).await;
    let deliveries = receive_requests(&queue, 2).await;
    assert_eq!(first_ids(&deliveries), [0, 2]);
    settle_all(&queue, &deliveries, &Outcome::Unknown).await;
    let _now = submit(&queue, request(3, 1, sealed)).await;
    assert_eq!(first_ids(&receive(&queue, ALL).await), [3]);
}

/// A request larger than the bounds passes when nothing else is there, or it never could.
pub async fn a_large_request_passes_alone(queue: Arc<dyn Queue>) {
    for large in [
        request(0, BOUNDS.entries + 1, 0),
        request(0, 1, BOUNDS.bytes + 1),
    ] {
        let _small = submit(&queue, request(1_000, 1, 0)).await;
        let refused = queue.submit(large.clone()).await;
        assert_eq!(refused.unwrap_err(), SubmitError::Full, "not alone");
        let deliveries = receive_requests(&queue, 1).await;
        settle_all(&queue, &deliveries, &Outcome::Unknown).await;

        let waiter = submit(&queue, large.clone()).await;
        assert!(!queue.depth().open);
        let refused = queue.submit(request(2_000, 1, 0)).await;
        assert_eq!(
            refused.unwrap_err(),
            SubmitError::Full,
            "beside a large one"
        );
        let take = Take {
            entries: 10,
            bytes: 10,
        };
        let deliveries = receive(&queue, take).await;
        assert_eq!(ids(&deliveries[0].request), ids(&large));
        settle_all(&queue, &deliveries, &committed(0)).await;
        assert_eq!(outcome(waiter).await, committed(0));
        assert_depth(&queue, 0, 0, 0);
    }
}

/// A closed queue refuses what is new, delivers what it has, and then says that it is over.
pub async fn a_closed_queue_is_drained(queue: Arc<dyn Queue>) {
    let mut waiters = Vec::new();
    for id in 0..3 {
        waiters.push(submit(&queue, request(id, 1, 0)).await);
    }
    queue.close();
    assert!(!queue.depth().open);
    let late = queue.submit(request(9, 1, 0)).await;
    assert_eq!(late.unwrap_err(), SubmitError::Closed);
    let take = Take {
        entries: 2,
        bytes: usize::MAX,
    };
    let first = receive(&queue, take).await;
    assert_eq!(first_ids(&first), [0, 1]);
    let second = receive(&queue, take).await;
    assert_eq!(first_ids(&second), [2]);
    assert!(receive(&queue, take).await.is_empty(), "it is over");
    // What was not settled comes again even now.
    settle_all(&queue, &first, &committed(0)).await;
    queue.reclaim().await.unwrap();
    let again = receive(&queue, take).await;
    assert_eq!(first_ids(&again), [2]);
    assert!(again[0].redelivered);
    settle_all(&queue, &again, &committed(1)).await;
    assert!(receive(&queue, take).await.is_empty(), "it is over");
    assert!(receive(&queue, take).await.is_empty(), "and stays so");
    for (waiter, index) in waiters.into_iter().zip([0, 0, 1]) {
        assert_eq!(outcome(waiter).await, committed(index));
    }
}

/// A receiver that waits when the queue is closed learns that it is over.
pub async fn closing_ends_a_receive_that_waits(queue: Arc<dyn Queue>) {
    let mut receiving = pin!(queue.receive(ALL));
    assert_waits(receiving.as_mut(), "something came out of an empty queue").await;
    queue.close();
    let deliveries = tokio::time::timeout(PATIENCE, receiving).await;
    assert!(
        deliveries
            .expect("closing wakes the receiver")
            .unwrap()
            .is_empty()
    );
}
