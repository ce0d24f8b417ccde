//! Bounds over several nodes.

use audittrail_queue::conformance::request;
use audittrail_queue::{Bounds, Outcome, Queue, SubmitError};

use crate::server::Server;
use crate::support::{ask, beside, open, options, outcome, receive, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_together_are_bounded() {
    let server = Server::start(&[]);
    let mut options = options("api-1");
    options.bounds = Bounds {
        entries: 10,
        bytes: 1 << 20,
    };
    let one = open(&server.url(), &options).await;
    let two = open(&server.url(), &beside(&options, "api-2")).await;
    let worker = open(&server.url(), &beside(&options, "worker")).await;
    let _first = one.submit(request(0, 6, 0)).await.unwrap();
    let full = two.submit(request(10, 6, 0)).await;
    assert_eq!(full.unwrap_err(), SubmitError::Full);
    let waiter = two.submit(request(20, 4, 0)).await.unwrap();
    assert!(!two.depth().open);
    until("the other node hears of it", async || !one.depth().open).await;
    let mut received = receive(&worker).await;
    while received.len() < 2 {
        received.extend(receive(&worker).await);
    }
    let outcomes = received
        .iter()
        .map(|one| (one.id, Outcome::Conflict(vec![0])));
    worker.settle(outcomes.collect()).await.unwrap();
    assert_eq!(outcome(waiter).await, Outcome::Conflict(vec![0]));
    until("both hear of the room", async || {
        one.depth().open && two.depth().open
    })
    .await;
    one.submit(request(30, 10, 0)).await.unwrap();
}

/// What others wrote or deleted is counted as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_by_hand_is_counted_anew() {
    let server = Server::start(&[]);
    let options = options("api");
    let queue = open(&server.url(), &options).await;
    let key = format!("{}:requests", options.prefix);
    for id in 0..300 {
        queue.submit(request(id, 2, 0)).await.unwrap();
    }
    assert_eq!(queue.depth().entries, 600);
    let _: u64 = ask(&server.url(), &["XTRIM", &key, "MAXLEN", "250"]).await;
    let size = request(250, 2, 0).size_bytes;
    until("the rest is counted", async || {
        queue.depth().requests == 250
    })
    .await;
    let depth = queue.depth();
    assert_eq!(depth.entries, 500);
    assert!(
        depth.bytes.abs_diff(250 * size) < 250 * 4,
        "{} bytes",
        depth.bytes
    );
}

/// A server without memory refuses; what is in the queue can still be settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_is_full() {
    let server = Server::start(&["--maxmemory", "16mb"]);
    let options = options("one");
    let queue = open(&server.url(), &options).await;
    let mut taken = 0;
    let refused = loop {
        match queue.submit(request(taken, 1, 100_000)).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 1_000, "16 MB took more than 100 MB");
    };
    assert_eq!(refused, SubmitError::Full);
    let mut settled = 0;
    while settled < taken {
        let received = receive(&queue).await;
        settled += received.len() as u128;
        let outcomes = received.iter().map(|one| (one.id, Outcome::Unknown));
        queue.settle(outcomes.collect()).await.unwrap();
    }
    assert_eq!(queue.depth().requests, 0);
    queue.submit(request(5_000, 1, 100_000)).await.unwrap();
}

/// The largest request that there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_entries_are_one_request() {
    let server = Server::start(&[]);
    let queue = open(&server.url(), &options("one")).await;
    let large = request(0, 10_000, 2_000);
    let waiter = queue.submit(large.clone()).await.unwrap();
    let received = receive(&queue).await;
    assert_eq!(received[0].request.entries.len(), 10_000);
    assert_eq!(received[0].request.size_bytes, large.size_bytes);
    let conflict = Outcome::Conflict((0..10_000).collect());
    queue
        .settle(vec![(received[0].id, conflict.clone())])
        .await
        .unwrap();
    assert_eq!(outcome(waiter).await, conflict);
}
