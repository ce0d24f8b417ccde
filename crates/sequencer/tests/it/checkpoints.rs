//! When a checkpoint is published, and what happens when it cannot be.

use std::sync::Arc;
use std::time::Duration;

use audittrail_checkpoint::{Checkpoint, Signer};
use audittrail_queue::{Bounds, InProcessQueue, Outcome, Queue};
use audittrail_sequencer::{Config, Sequencer, SequencerError};
use audittrail_store::{Fault, KeptCheckpoint, MemoryStore, Store, StoreErrorKind};
use tokio::time::{Instant, sleep};

use crate::support::{Known, Life, ORIGIN, SERVER, Sent, request, run_beside, signer, start};

async fn commit(queue: &InProcessQueue, id: u128) {
    let waiter = queue.submit(request(&[Sent::new(id, SERVER)])).await;
    let outcome = waiter.unwrap().outcome().await;
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
}

async fn kept_size(store: &MemoryStore) -> u64 {
    store.checkpoint().await.unwrap().unwrap().head.size
}

#[tokio::test(start_paused = true)]
async fn one_comes_with_each_interval_while_there_is_something_new() {
    let store = Arc::new(MemoryStore::new());
    let life = start(&store).await;
    let queue = Arc::clone(&life.queue);
    let mut published = life.sequencer.published();
    assert_eq!(published.borrow_and_update().head.size, 0, "the first act");
    let interval = Config::default().checkpoint_interval;
    let clients = async {
        // Between two ticks.
        sleep(interval / 2).await;
        for round in 0..3_u64 {
            commit(&queue, u128::from(2 * round)).await;
            commit(&queue, u128::from(2 * round + 1)).await;
            assert_eq!(kept_size(&store).await, 2 * round, "not before its time");
            let begin = Instant::now();
            published.changed().await.unwrap();
            assert_eq!(Instant::now() - begin, interval / 2);
            let shown = published.borrow_and_update().clone();
            assert_eq!(shown.head.size, 2 * round + 2);
            // Kept before it is shown.
            assert_eq!(store.checkpoint().await.unwrap(), Some(shown));
            sleep(interval / 2).await;
        }
        sleep(10 * interval).await;
        assert!(!published.has_changed().unwrap(), "nothing is new");
        // The last one comes with the end and not with a tick.
        commit(&queue, 100).await;
        let begin = Instant::now();
        queue.close();
        begin
    };
    let (end, begin) = run_beside(life, clients).await;
    end.unwrap();
    assert_eq!(Instant::now(), begin);
    Known::default().check_closed(&store).await;
}

/// Under a load that never pauses the checkpoint still comes.
#[tokio::test(start_paused = true)]
async fn one_comes_while_the_queue_is_never_empty() {
    let store = Arc::new(MemoryStore::new());
    let life = start(&store).await;
    let queue = Arc::clone(&life.queue);
    let clients = async {
        let mut seen = 0;
        for id in 0..1_000 {
            let waiter = queue.submit(request(&[Sent::new(id, SERVER)])).await;
            tokio::time::advance(Duration::from_millis(10)).await;
            waiter.unwrap().outcome().await;
            let lag = id as u64 + 1 - kept_size(&store).await;
            assert!(lag <= 51, "{lag} entries in more than half a second");
            seen = seen.max(kept_size(&store).await);
        }
        assert!(seen > 900);
        queue.close();
    };
    run_beside(life, clients).await.0.unwrap();
    Known::default().check_closed(&store).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_kept_is_not_shown_and_tried_again() {
    for persisted in [false, true] {
        let store = Arc::new(MemoryStore::new());
        let life = start(&store).await;
        let queue = Arc::clone(&life.queue);
        let published = life.sequencer.published();
        let interval = Config::default().checkpoint_interval;
        let clients = async {
            sleep(interval / 2).await;
            commit(&queue, 1).await;
            store.inject(Fault::CheckpointUnavailable { persisted });
            sleep(interval).await;
            assert_eq!(store.faults(), [], "it was tried");
            assert_eq!(published.borrow().head.size, 0, "it is not shown");
            sleep(interval).await;
            assert_eq!(published.borrow().head.size, 1);
            assert_eq!(kept_size(&store).await, 1);
            queue.close();
        };
        run_beside(life, clients).await.0.unwrap();
        Known::default().check_closed(&store).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_broken_by_it_ends_the_loop() {
    for persisted in [false, true] {
        let store = Arc::new(MemoryStore::new());
        let life = start(&store).await;
        let queue = Arc::clone(&life.queue);
        let published = life.sequencer.published();
        let clients = async {
            commit(&queue, 1).await;
            store.inject(Fault::CheckpointFatal { persisted });
        };
        let (end, ()) = run_beside(life, clients).await;
        assert!(matches!(end, Err(SequencerError::Store(_))), "{end:?}");
        assert_eq!(published.borrow().head.size, 0, "it is not shown");
        store.restart();
        assert_eq!(kept_size(&store).await, u64::from(persisted));
        // The next start makes up for it.
        drop(start(&store).await);
        assert_eq!(Known::default().check_closed(&store).await, [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lead_that_another_process_took_ends_the_loop() {
    let store = Arc::new(MemoryStore::new());
    let life = start(&store).await;
    let queue = Arc::clone(&life.queue);
    let published = life.sequencer.published();
    let clients = async {
        commit(&queue, 1).await;
        store.inject(Fault::CheckpointLed);
    };
    let (end, ()) = run_beside(life, clients).await;
    let Err(SequencerError::Store(error)) = end else {
        panic!("{end:?}");
    };
    assert_eq!(error.kind(), StoreErrorKind::Led);
    assert_eq!(published.borrow().head.size, 0, "it is not shown");
    assert_eq!(kept_size(&store).await, 0, "nor kept");
    // What was committed stays, and is for the next leader to sign.
    drop(start(&store).await);
    assert_eq!(Known::default().check_closed(&store).await, [1]);
}

async fn start_error(store: &Arc<MemoryStore>, signers: Vec<Signer>) -> SequencerError {
    let queue = Arc::new(InProcessQueue::new(Bounds::default()));
    let started = Sequencer::start(
        Arc::clone(store) as Arc<dyn Store>,
        queue as Arc<dyn Queue>,
        ORIGIN.to_owned(),
        signers,
        Config::default(),
    );
    match started.await {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_start_that_cannot_be_sure_is_none() {
    for fault in [
        Fault::Lead(StoreErrorKind::Unavailable),
        Fault::Checkpoint(StoreErrorKind::Unavailable),
        Fault::CheckpointUnavailable { persisted: false },
        Fault::CheckpointUnavailable { persisted: true },
        Fault::CheckpointFatal { persisted: false },
        Fault::Lead(StoreErrorKind::Led),
        Fault::CheckpointLed,
    ] {
        let store = Arc::new(MemoryStore::new());
        store.inject(fault);
        let error = start_error(&store, vec![signer()]).await;
        assert!(matches!(error, SequencerError::Store(_)), "{error}");
    }
    let store = Arc::new(MemoryStore::new());
    let other = Signer::from_seed("another.example/log", [9; 32]).unwrap();
    let error = start_error(&store, vec![other]).await;
    assert!(matches!(error, SequencerError::Sign(_)), "{error}");
}

/// A checkpoint of the same size and another root is of another history, and so is a smaller one
/// that the log does not continue.
#[tokio::test(start_paused = true)]
async fn a_log_that_contradicts_its_checkpoint_is_not_signed() {
    let other = Arc::new(MemoryStore::new());
    let life = start(&other).await;
    let queue = Arc::clone(&life.queue);
    let clients = async {
        commit(&queue, 7).await;
        commit(&queue, 8).await;
        queue.close();
    };
    run_beside(life, clients).await.0.unwrap();
    let foreign: KeptCheckpoint = other.checkpoint().await.unwrap().unwrap();

    let store = Arc::new(MemoryStore::new());
    let Life {
        queue,
        mut sequencer,
    } = start(&store).await;
    for (id, size) in [(1, "larger"), (2, "the same"), (3, "smaller")] {
        let _waiter = queue.submit(request(&[Sent::new(id, SERVER)])).await;
        let deliveries = queue.receive(Config::default().take).await.unwrap();
        sequencer.sequence(&deliveries).await.unwrap();
        store.put_checkpoint(foreign.clone());
        let error = start_error(&store, vec![signer()]).await;
        let is = matches!(error, SequencerError::Inconsistent(_));
        assert!(is, "the checkpoint's size is {size}: {error}");
        assert_eq!(store.checkpoint().await.unwrap(), Some(foreign.clone()));
    }
}

#[tokio::test]
async fn all_signers_sign() {
    let store = Arc::new(MemoryStore::new());
    let second = Signer::from_seed(ORIGIN, [10; 32]).unwrap();
    let queue: Arc<dyn Queue> = Arc::new(InProcessQueue::new(Bounds::default()));
    let signers = vec![signer(), second.clone()];
    let dyn_store = Arc::clone(&store) as Arc<dyn Store>;
    let config = Config::default();
    let started = Sequencer::start(dyn_store, queue, ORIGIN.to_owned(), signers, config);
    drop(started.await.unwrap());
    let kept = store.checkpoint().await.unwrap().unwrap();
    for key in [signer(), second] {
        let opened = Checkpoint::open(kept.note.as_bytes(), &[key.verifier()]).unwrap();
        assert_eq!(opened.head, kept.head);
    }
}
