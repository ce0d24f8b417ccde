//! A server that is killed under load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audittrail_queue::conformance::request;
use audittrail_queue::{Outcome, Queue, SubmitError};

use crate::server::{DURABLE, Server};
use crate::support::{Log, Open, ask, beside, first_id, open, options, outcome, receive, until};

#[derive(Default)]
struct Told {
    queued: Vec<u128>,
    refused: Vec<u128>,
    committed: Vec<u128>,
    unknown: u64,
}

async fn submit_until_stopped(queue: &Open, ids: &AtomicU64, told: &Mutex<Told>, stop: u64) {
    loop {
        let id = u128::from(ids.fetch_add(2, Ordering::Relaxed));
        if id > u128::from(stop) {
            return;
        }
        match queue.submit(request(id, 2, 100)).await {
            Ok(waiter) => {
                told.lock().unwrap().queued.extend([id, id + 1]);
                // Every fourth goes away.
                if id % 8 != 0 {
                    match outcome(waiter).await {
                        Outcome::Committed(_) => told.lock().unwrap().committed.push(id),
                        Outcome::Unknown => told.lock().unwrap().unknown += 1,
                        other => panic!("it was neither refused nor in conflict: {other:?}"),
                    }
                }
            }
            Err(SubmitError::Unknown(_)) => told.lock().unwrap().unknown += 1,
            Err(SubmitError::Unavailable(_)) => {
                told.lock().unwrap().refused.push(id);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_queued_is_lost_and_nothing_comes_twice() {
    const KILLS: u64 = 3;
    let mut server = Server::start(DURABLE);
    let options = options("api-1");
    let nodes = [
        open(&server.url(), &options).await,
        open(&server.url(), &beside(&options, "api-2")).await,
    ];
    assert!(nodes.iter().all(Queue::is_durable));
    let worker = open(&server.url(), &beside(&options, "worker")).await;
    let (log, ids, told) = (
        Arc::new(Log::default()),
        AtomicU64::new(0),
        Mutex::default(),
    );
    let working = {
        let log = Arc::clone(&log);
        tokio::spawn(async move { log.work(&worker).await })
    };
    let submitting = (0..16).map(|at| submit_until_stopped(&nodes[at % 2], &ids, &told, 6_000));
    let killing = async {
        for kill in 1..=KILLS {
            let reached = kill * 1_300;
            until("enough is submitted", async || {
                ids.load(Ordering::Relaxed) > reached
            })
            .await;
            server.kill();
            server.start_again(None);
        }
    };
    tokio::join!(futures_util::future::join_all(submitting), killing);
    let told = told.into_inner().unwrap();
    until("everything that was queued is in the log", async || {
        told.queued.iter().all(|id| log.has(*id))
    })
    .await;
    until("the queue is empty", async || {
        nodes[0].depth().requests == 0
    })
    .await;
    working.abort();
    assert!(told.committed.iter().all(|id| log.has(*id)));
    for id in &told.refused {
        assert!(!log.has(*id), "{id} was refused and is stored");
    }
    assert_eq!(log.twice.load(Ordering::Relaxed), 0, "stored twice");
    assert!(
        told.committed.len() > 500,
        "{} were committed",
        told.committed.len()
    );
    let depth = nodes[0].depth();
    assert_eq!((depth.entries, depth.bytes), (0, 0));
}

/// The end of what a server was told may be lost with it: that a request was delivered, say, and
/// not the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_may_have_forgotten_is_marked() {
    let snapshots: &[&str] = &["--appendonly", "no"];
    let mut server = Server::start(snapshots);
    let options = options("api");
    let api = open(&server.url(), &options).await;
    let _old = api.submit(request(1, 1, 0)).await.unwrap();
    let _: () = ask(&server.url(), &["SAVE"]).await;
    let worker = open(&server.url(), &beside(&options, "worker-1")).await;
    let first = receive(&worker).await;
    assert!(!first[0].redelivered);
    // It was stored, and then both died.
    drop((first, worker));
    server.kill();
    server.start_again(None);
    let worker = open(&server.url(), &beside(&options, "worker-2")).await;
    until("the node is back", async || {
        api.submit(request(2, 1, 0)).await.is_ok()
    })
    .await;
    let mut received = receive(&worker).await;
    while received.len() < 2 {
        received.extend(receive(&worker).await);
    }
    let marks = received
        .iter()
        .map(|one| (first_id(&one.request), one.redelivered));
    assert_eq!(marks.collect::<Vec<_>>(), [(1, true), (2, false)]);
}
