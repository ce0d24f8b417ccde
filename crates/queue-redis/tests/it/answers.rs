//! Answers to those that wait.

use std::time::Duration;

use audittrail_queue::conformance::request;
use audittrail_queue::{Outcome, Queue};

use crate::server::Server;
use crate::support::{ask, beside, committed, first_id, open, options, outcome, receive};

/// Nobody settles it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_does_not_come_is_unknown() {
    let server = Server::start(&[]);
    let mut options = options("api");
    options.answer_time = Duration::from_secs(1);
    let api = open(&server.url(), &options).await;
    let waiter = api.submit(request(1, 1, 0)).await.unwrap();
    assert_eq!(outcome(waiter).await, Outcome::Unknown);
}

/// The stream of a node that died goes away by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_answers_expire() {
    let server = Server::start(&[]);
    let options = options("api");
    let api = open(&server.url(), &options).await;
    let worker = open(&server.url(), &beside(&options, "worker")).await;
    let waiter = api.submit(request(1, 1, 0)).await.unwrap();
    let received = receive(&worker).await;
    worker
        .settle(vec![(received[0].id, committed(0))])
        .await
        .unwrap();
    assert_eq!(outcome(waiter).await, committed(0));
    let key = format!("{}:answers:api", options.prefix);
    let left_ms: i64 = ask(&server.url(), &["PTTL", &key]).await;
    assert!((60_000..=180_000).contains(&left_ms), "{left_ms} ms");
}

/// Each node reads its own answers, and finds those that came while it had no connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_survive_a_connection() {
    let server = Server::start(&[]);
    let options = options("api-1");
    let one = open(&server.url(), &options).await;
    let two = open(&server.url(), &beside(&options, "api-2")).await;
    let worker = open(&server.url(), &beside(&options, "worker")).await;
    let of_one = one.submit(request(1, 1, 0)).await.unwrap();
    let mut received = receive(&worker).await;
    let of_two = two.submit(request(2, 1, 0)).await.unwrap();
    received.extend(receive(&worker).await);
    let killed: u64 = ask(&server.url(), &["CLIENT", "KILL", "TYPE", "normal"]).await;
    assert!(killed >= 9, "each has several connections: {killed}");
    // The worker's own connections were closed too; it settles what comes again.
    worker.reclaim().await.unwrap();
    let working = async {
        loop {
            let again = receive(&worker).await;
            let place = |request| committed(10 + first_id(request) as u64);
            let outcomes = again.iter().map(|one| (one.id, place(&one.request)));
            worker.settle(outcomes.collect()).await.unwrap();
        }
    };
    let answered = async { (outcome(of_one).await, outcome(of_two).await) };
    tokio::select! {
        () = working => {}
        answers = answered => assert_eq!(answers, (committed(11), committed(12))),
    }
    drop(received);
}
