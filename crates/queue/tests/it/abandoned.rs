//! A sequencer that is gone for good.

use audittrail_queue::conformance::{BOUNDS, request};
use audittrail_queue::{InProcessQueue, Outcome, Queue, SubmitError, Take};

const TAKE: Take = Take {
    entries: 2,
    bytes: usize::MAX,
};

#[tokio::test]
async fn everybody_who_waits_learns_that_the_outcome_is_unknown() {
    let queue = InProcessQueue::new(BOUNDS);
    let settled = queue.submit(request(0, 1, 0)).await.unwrap();
    let received = queue.submit(request(1, 1, 0)).await.unwrap();
    let waiting = queue.submit(request(2, 1, 0)).await.unwrap();
    let deliveries = queue.receive(TAKE).await.unwrap();
    assert_eq!(deliveries.len(), 2);
    let refused = Outcome::Refused("no".to_owned());
    let settle = vec![(deliveries[0].id, refused.clone())];
    queue.settle(settle).await.unwrap();
    queue.abandon();
    // What was known before stays known.
    assert_eq!(settled.outcome().await, refused);
    assert_eq!(received.outcome().await, Outcome::Unknown);
    assert_eq!(waiting.outcome().await, Outcome::Unknown);
}

#[tokio::test]
async fn nothing_more_is_taken_or_given() {
    let queue = InProcessQueue::new(BOUNDS);
    let _waiter = queue.submit(request(0, 3, 0)).await.unwrap();
    queue.abandon();
    let refused = queue.submit(request(1, 1, 0)).await;
    assert_eq!(refused.unwrap_err(), SubmitError::Closed);
    assert!(queue.receive(TAKE).await.unwrap().is_empty());
    let depth = queue.depth();
    assert_eq!((depth.requests, depth.entries, depth.bytes), (0, 0, 0));
    assert!(!depth.open);
}

/// The sequencer that was thought dead may still say something: nobody listens.
#[tokio::test]
async fn a_late_outcome_is_ignored() {
    let queue = InProcessQueue::new(BOUNDS);
    let waiter = queue.submit(request(0, 3, 0)).await.unwrap();
    let deliveries = queue.receive(TAKE).await.unwrap();
    queue.abandon();
    let late = vec![(deliveries[0].id, Outcome::Refused("late".to_owned()))];
    queue.settle(late).await.unwrap();
    assert_eq!(waiter.outcome().await, Outcome::Unknown);
    assert_eq!(queue.depth().entries, 0);
}

#[tokio::test]
async fn a_receiver_that_waits_is_woken() {
    let queue = InProcessQueue::new(BOUNDS);
    let abandon = async { queue.abandon() };
    let both = async { tokio::join!(queue.receive(TAKE), abandon).0 };
    let received = tokio::time::timeout(std::time::Duration::from_secs(10), both).await;
    let received = received.expect("whoever waits learns that it is over");
    assert!(received.unwrap().is_empty());
}
