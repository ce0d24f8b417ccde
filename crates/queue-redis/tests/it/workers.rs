//! Several workers, of which one leads.

use std::time::Duration;

use audittrail_queue::conformance::request;
use audittrail_queue::{Outcome, Queue};

use crate::server::Server;
use crate::support::{ask, beside, committed, first_id, open, options, outcome, receive, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_worker_left_is_taken_over() {
    let server = Server::start(&[]);
    let options = options("api");
    let api = open(&server.url(), &options).await;
    let dead = open(&server.url(), &beside(&options, "worker-1")).await;
    let waiter = api.submit(request(1, 3, 10)).await.unwrap();
    assert!(!receive(&dead).await[0].redelivered);
    drop(dead);
    let heir = open(&server.url(), &beside(&options, "worker-2")).await;
    let again = receive(&heir).await;
    assert_eq!(first_id(&again[0].request), 1);
    assert!(again[0].redelivered);
    assert_eq!(again[0].request.entries.len(), 3);
    heir.settle(vec![(again[0].id, committed(7))])
        .await
        .unwrap();
    assert_eq!(outcome(waiter).await, committed(7));
    until("the node knows it", async || api.depth().requests == 0).await;
}

/// A worker that lost the lead may still say something: it is not heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_replaced_settles_nothing() {
    let server = Server::start(&[]);
    let mut options = options("api");
    options.idle_time = Duration::from_secs(3_600);
    let api = open(&server.url(), &options).await;
    let old = open(&server.url(), &beside(&options, "worker-1")).await;
    let waiter = api.submit(request(1, 1, 0)).await.unwrap();
    let before = receive(&old).await;
    let new = open(&server.url(), &beside(&options, "worker-2")).await;
    new.queue.take_over();
    let after = receive(&new).await;
    assert!(after[0].redelivered);
    let refused = Outcome::Refused("the log is not mine any more".to_owned());
    old.settle(vec![(before[0].id, refused)]).await.unwrap();
    assert_eq!(api_pending(&server, &options.prefix).await, 1);
    new.settle(vec![(after[0].id, committed(3))]).await.unwrap();
    assert_eq!(outcome(waiter).await, committed(3));
    assert_eq!(api_pending(&server, &options.prefix).await, 0);
}

async fn api_pending(server: &Server, prefix: &str) -> u64 {
    ask(&server.url(), &["XLEN", &format!("{prefix}:requests")]).await
}

/// Who does not call `receive` takes nothing, however long it stands by.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_by_takes_nothing() {
    let server = Server::start(&[]);
    let options = options("api");
    let api = open(&server.url(), &options).await;
    let _standby = open(&server.url(), &beside(&options, "worker-2")).await;
    let leader = open(&server.url(), &beside(&options, "worker-1")).await;
    for id in 0..200 {
        let waiter = api.submit(request(id, 1, 0)).await.unwrap();
        let received = receive(&leader).await;
        assert_eq!(first_id(&received[0].request), id);
        assert!(!received[0].redelivered);
        leader
            .settle(vec![(received[0].id, committed(id as u64))])
            .await
            .unwrap();
        assert_eq!(outcome(waiter).await, committed(id as u64));
    }
    let key = format!("{}:requests", options.prefix);
    let consumers: Vec<redis::Value> =
        ask(&server.url(), &["XINFO", "CONSUMERS", &key, "sequencer"]).await;
    assert_eq!(consumers.len(), 1, "only the leader ever asked");
}

/// What is settled leaves the stream, whatever else is in it, and nothing else does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_settled_leaves_the_stream() {
    let server = Server::start(&[]);
    let options = options("one");
    let queue = open(&server.url(), &options).await;
    for id in 0..1_000 {
        queue.submit(request(id, 1, 0)).await.unwrap();
    }
    let mut received = Vec::new();
    while received.len() < 1_000 {
        received.extend(receive(&queue).await);
    }
    let (kept, settled): (Vec<_>, Vec<_>) = received
        .into_iter()
        .partition(|one| first_id(&one.request) % 10 == 3);
    let outcomes = settled.iter().rev().map(|one| (one.id, Outcome::Unknown));
    queue.settle(outcomes.collect()).await.unwrap();
    let key = format!("{}:requests", options.prefix);
    let length: usize = ask(&server.url(), &["XLEN", &key]).await;
    assert_eq!((length, queue.depth().requests), (100, 100));
    queue.reclaim().await.unwrap();
    let mut again = Vec::new();
    while again.len() < 100 {
        again.extend(receive(&queue).await);
    }
    let ids = |deliveries: &[audittrail_queue::Delivery]| -> Vec<u128> {
        deliveries
            .iter()
            .map(|one| first_id(&one.request))
            .collect()
    };
    assert_eq!(ids(&again), ids(&kept));
    let outcomes = again.iter().map(|one| (one.id, Outcome::Unknown));
    queue.settle(outcomes.collect()).await.unwrap();
    let length: usize = ask(&server.url(), &["XLEN", &key]).await;
    assert_eq!(length, 0);
}
