//! A server that is not there.

use std::time::{Duration, Instant};

use audittrail_queue::conformance::request;
use audittrail_queue::{Outcome, Queue, SubmitError};

use crate::server::{DURABLE, Server};
use crate::support::{
    beside, committed, open, options, outcome, receive, settle_until_answered, until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn submitting_is_refused_quickly_and_goes_on_by_itself() {
    let mut server = Server::start(DURABLE);
    let options = options("one");
    let queue = open(&server.url(), &options).await;
    let waiter = queue.submit(request(1, 1, 0)).await.unwrap();
    server.kill();
    // The first one may find out that the connection is dead.
    let first = queue.submit(request(2, 1, 0)).await;
    assert!(matches!(
        first.unwrap_err(),
        SubmitError::Unknown(_) | SubmitError::Unavailable(_)
    ));
    let began = Instant::now();
    for id in 0..1_000 {
        let refused = queue.submit(request(10 + id, 1, 0)).await.unwrap_err();
        assert!(matches!(refused, SubmitError::Unavailable(_)), "{refused}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "each is refused at once"
    );
    // A receiver waits meanwhile, and gets what was queued before.
    let receiving = async { receive(&queue).await };
    let starting = async { server.start_again(None) };
    let (received, ()) = tokio::join!(receiving, starting);
    assert_eq!(received.len(), 1);
    assert!(received[0].redelivered, "the server was another one");
    let outcomes = vec![(received[0].id, committed(4))];
    queue.settle(outcomes).await.unwrap();
    let answer = settle_until_answered(&queue, &committed(4), waiter).await;
    assert_eq!(answer, committed(4));
    until("submitting goes on", async || {
        queue.submit(request(3, 1, 0)).await.is_ok()
    })
    .await;
}

/// A server that stands still takes a request at most, and nobody knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_not_waited_for() {
    let server = Server::start(&[]);
    let mut options = options("one");
    options.command_time = Duration::from_millis(300);
    let queue = open(&server.url(), &options).await;
    server.signal("-STOP");
    let began = Instant::now();
    let unknown = queue.submit(request(1, 1, 0)).await.unwrap_err();
    assert!(matches!(unknown, SubmitError::Unknown(_)), "{unknown}");
    let refused = queue.submit(request(2, 1, 0)).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Unavailable(_)), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(2));
    server.signal("-CONT");
    until("it goes on", async || {
        queue.submit(request(3, 1, 0)).await.is_ok()
    })
    .await;
}

/// What was received and could not be settled comes again; nothing that was said in vain counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_settled_comes_again() {
    let mut server = Server::start(DURABLE);
    let mut options = options("api");
    options.command_time = Duration::from_millis(500);
    let api = open(&server.url(), &options).await;
    let worker = open(&server.url(), &beside(&options, "worker")).await;
    let waiter = api.submit(request(1, 1, 0)).await.unwrap();
    let received = receive(&worker).await;
    server.kill();
    let refused = Outcome::Refused("the disk is full".to_owned());
    worker
        .settle(vec![(received[0].id, refused)])
        .await
        .unwrap();
    server.start_again(None);
    let again = receive(&worker).await;
    assert!(again[0].redelivered);
    assert_ne!(again[0].id, received[0].id);
    let outcomes = vec![(again[0].id, committed(0))];
    worker.settle(outcomes).await.unwrap();
    let answer = settle_until_answered(&worker, &committed(0), waiter).await;
    assert_eq!(answer, committed(0));
}

/// A queue that is closed while its server is away is over: what is in the server stays there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_does_not_wait_for_a_server_that_is_away() {
    let mut server = Server::start(DURABLE);
    let options = options("one");
    let queue = open(&server.url(), &options).await;
    let _waiter = queue.submit(request(1, 1, 0)).await.unwrap();
    server.kill();
    queue.close();
    assert!(receive(&queue).await.is_empty());
    server.start_again(None);
    let next = open(&server.url(), &beside(&options, "two")).await;
    assert_eq!(receive(&next).await.len(), 1);
}

/// A closed queue ends although others go on submitting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_worker_ends_under_load() {
    let server = Server::start(&[]);
    let options = options("api");
    let api = open(&server.url(), &options).await;
    let worker = open(&server.url(), &beside(&options, "worker")).await;
    let before = api.submit(request(0, 1, 0)).await.unwrap();
    let loading = async {
        for id in 1.. {
            let submitted = api.submit(request(id, 1, 0)).await;
            if submitted.is_err() {
                tokio::task::yield_now().await;
            }
        }
    };
    let ending = async {
        worker.close();
        loop {
            let received = receive(&worker).await;
            if received.is_empty() {
                break;
            }
            let outcomes = received.iter().map(|one| (one.id, committed(0)));
            worker.settle(outcomes.collect()).await.unwrap();
        }
    };
    tokio::select! {
        () = loading => {}
        () = ending => {}
    }
    assert_eq!(outcome(before).await, committed(0));
}
