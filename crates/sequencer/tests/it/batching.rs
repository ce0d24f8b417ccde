//! What becomes one commit, in which order, and what happens when there is too much.

use std::sync::Arc;

use audittrail_queue::{Bounds, Outcome, Placed, Queue, SubmitError, Take};
use audittrail_sequencer::Config;
use audittrail_store::MemoryStore;

use crate::support::{CLIENT, Known, SERVER, Sent, request, run_beside, start, start_with};

fn indices(outcome: Outcome) -> Vec<u64> {
    let Outcome::Committed(placed) = outcome else {
        panic!("not committed: {outcome:?}")
    };
    placed.iter().map(|placed| placed.index).collect()
}

#[tokio::test(start_paused = true)]
async fn what_waits_becomes_one_commit() {
    let store = Arc::new(MemoryStore::new());
    let life = start(&store).await;
    let mut waiters = Vec::new();
    for id in 0..500 {
        let entries = [Sent::new(2 * id, SERVER), Sent::new(2 * id + 1, CLIENT)];
        waiters.push(life.queue.submit(request(&entries)).await.unwrap());
    }
    life.queue.close();
    run_beside(life, async {}).await.0.unwrap();
    assert_eq!(store.commits(), 1);
    for (waiter, at) in waiters.into_iter().zip(0..) {
        assert_eq!(indices(waiter.outcome().await), [2 * at, 2 * at + 1]);
    }
    let ids = Known::default().check_closed(&store).await;
    assert!(ids.into_iter().eq(0..1_000));
}

#[tokio::test(start_paused = true)]
async fn a_commit_has_a_largest_size() {
    let store = Arc::new(MemoryStore::new());
    let config = Config {
        take: Take {
            entries: 10,
            bytes: usize::MAX,
        },
        ..Config::default()
    };
    let life = start_with(&store, Bounds::default(), config).await.unwrap();
    let mut waiters = Vec::new();
    for id in 0..95 {
        let entry = Sent::new(id, SERVER);
        waiters.push(life.queue.submit(request(&[entry])).await.unwrap());
    }
    // One that is larger by itself is still one commit.
    let large: Vec<Sent> = (100..125).map(|id| Sent::new(id, SERVER)).collect();
    waiters.push(life.queue.submit(request(&large)).await.unwrap());
    life.queue.close();
    run_beside(life, async {}).await.0.unwrap();
    assert_eq!(store.commits(), 11);
    assert_eq!(Known::default().check_closed(&store).await.len(), 120);
}

/// With time standing still, an answer can only come from the arrival itself.
#[tokio::test(start_paused = true)]
async fn a_lone_request_does_not_wait() {
    let store = Arc::new(MemoryStore::new());
    let life = start(&store).await;
    let queue = Arc::clone(&life.queue);
    let clients = async {
        let begin = tokio::time::Instant::now();
        for id in 0..10 {
            let waiter = queue.submit(request(&[Sent::new(id, SERVER)])).await;
            assert_eq!(indices(waiter.unwrap().outcome().await), [id as u64]);
        }
        let took = tokio::time::Instant::now() - begin;
        queue.close();
        took
    };
    let (end, took) = run_beside(life, clients).await;
    end.unwrap();
    assert!(took.is_zero(), "it waited for {took:?}");
    assert_eq!(store.commits(), 10);
}

/// Each client's entries are in its own order, whatever the others do.
#[tokio::test(start_paused = true)]
async fn the_requests_of_one_client_are_in_order() {
    let store = Arc::new(MemoryStore::new());
    let life = start(&store).await;
    let queue = Arc::clone(&life.queue);
    let client = |number: u128| {
        let queue = Arc::clone(&queue);
        async move {
            let mut last = None;
            for at in 0..20 {
                let entries: Vec<Sent> = (0..number + 1)
                    .map(|entry| Sent::new(1_000 * number + 10 * at + entry, SERVER))
                    .collect();
                let waiter = queue.submit(request(&entries)).await.unwrap();
                let placed = indices(waiter.outcome().await);
                assert!(last < placed.first().copied(), "{last:?} {placed:?}");
                assert!(placed.windows(2).all(|two| two[0] + 1 == two[1]));
                last = placed.last().copied();
            }
        }
    };
    let clients = async {
        tokio::join!(client(0), client(1), client(2), client(3));
        queue.close();
    };
    run_beside(life, clients).await.0.unwrap();
    let ids = Known::default().check_closed(&store).await;
    assert_eq!(ids.len(), 20 * (1 + 2 + 3 + 4));
    for number in 0..4 {
        let own: Vec<u128> = ids
            .iter()
            .copied()
            .filter(|id| id / 1_000 == number)
            .collect();
        assert!(own.is_sorted(), "client {number}: {own:?}");
    }
}

/// Beyond the bound a request is refused at once; what was taken is committed.
#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_until_there_is_room() {
    let store = Arc::new(MemoryStore::new());
    let bounds = Bounds {
        entries: 5,
        bytes: usize::MAX,
    };
    let life = start_with(&store, bounds, Config::default()).await.unwrap();
    let queue = Arc::clone(&life.queue);
    let mut waiters = Vec::new();
    for id in 0..5 {
        let entry = Sent::new(id, SERVER);
        waiters.push(queue.submit(request(&[entry])).await.unwrap());
    }
    let full = queue.submit(request(&[Sent::new(9, SERVER)])).await;
    assert_eq!(full.unwrap_err(), SubmitError::Full);
    let clients = async {
        for (waiter, at) in waiters.into_iter().zip(0..) {
            assert_eq!(indices(waiter.outcome().await), [at]);
        }
        let waiter = queue.submit(request(&[Sent::new(9, SERVER)])).await;
        let outcome = waiter.unwrap().outcome().await;
        queue.close();
        outcome
    };
    let (end, outcome) = run_beside(life, clients).await;
    end.unwrap();
    let expected = Placed {
        index: 5,
        retried: false,
    };
    assert_eq!(outcome, Outcome::Committed(vec![expected]));
    assert_eq!(Known::default().check_closed(&store).await.len(), 6);
}
