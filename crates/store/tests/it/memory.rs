//! The store in memory passes the suite, and fails as it is told to.

use std::sync::Arc;

use audittrail_merkle::leaf_hash;
use audittrail_store::conformance::{self, Generator, Log};
use audittrail_store::{
    Announcing, Batch, BatchEntry, CommitError, CommitErrorKind, Fault, MemoryStore, Store,
    StoreErrorKind,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite() {
    conformance::run(async |_| Arc::new(MemoryStore::new()) as Arc<dyn Store>).await;
}

/// A store with three entries and a checkpoint, and its model.
async fn filled() -> (Arc<MemoryStore>, Arc<dyn Store>, Log) {
    let memory = Arc::new(MemoryStore::new());
    let store = Arc::clone(&memory) as Arc<dyn Store>;
    let mut log = Log::fill(&store, 1, &[3]).await;
    log.keep_checkpoint(&store).await;
    (memory, store, log)
}

/// Commits one more entry; the model takes it in if `persisted`.
async fn commit_one(store: &dyn Store, log: &mut Log, persisted: bool) -> Result<(), CommitError> {
    let (id, record) = Generator::new(log.size() + 100).entry();
    let planned = log.plan(vec![(id, record.clone())]);
    let mut after = log.clone();
    after.accept(planned);
    let entry = BatchEntry {
        id,
        record: &record,
        leaf_hash: leaf_hash(&record.leaf),
    };
    let batch = Batch {
        first_index: log.size(),
        entries: vec![entry],
        nodes: Vec::new(),
    };
    let outcome = store
        .commit(log.edge.head(), batch, after.edge.head())
        .await;
    if persisted {
        *log = after;
    }
    outcome
}

/// A wrapped store is a store, and says how large its log is, no later and no more than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growth_is_announced() {
    conformance::run(async |_| {
        let (store, _) = Announcing::new(Arc::new(MemoryStore::new()));
        Arc::new(store) as Arc<dyn Store>
    })
    .await;

    let (memory, store, mut log) = filled().await;
    let (announcing, mut told) = Announcing::new(store);
    assert_eq!(*told.borrow_and_update(), 0);
    announcing.lead().await.unwrap();
    assert!(told.has_changed().unwrap());
    assert_eq!(*told.borrow_and_update(), 3);
    commit_one(&announcing, &mut log, true).await.unwrap();
    assert!(told.has_changed().unwrap());
    assert_eq!(*told.borrow_and_update(), 4);
    memory.inject(Fault::CommitRefused);
    commit_one(&announcing, &mut log, false).await.unwrap_err();
    memory.inject(Fault::CommitUnknown { persisted: true });
    commit_one(&announcing, &mut log, true).await.unwrap_err();
    assert!(!told.has_changed().unwrap(), "nobody knows yet");
    announcing.lead().await.unwrap();
    assert_eq!(*told.borrow_and_update(), 5);
    announcing.lead().await.unwrap();
    assert!(!told.has_changed().unwrap());
}

#[tokio::test]
async fn commits_fail_with_and_without_effect() {
    let faults = [
        (Fault::CommitRefused, CommitErrorKind::Refused, false),
        (Fault::CommitLost, CommitErrorKind::Lost, false),
        (
            Fault::CommitUnknown { persisted: false },
            CommitErrorKind::Unknown,
            false,
        ),
        (
            Fault::CommitUnknown { persisted: true },
            CommitErrorKind::Unknown,
            true,
        ),
    ];
    for (fault, kind, persisted) in faults {
        let (memory, store, mut log) = filled().await;
        memory.inject(fault);
        let error = commit_one(&*store, &mut log, persisted).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        log.check(&store).await;
        // The fault is used up.
        assert_eq!(memory.faults(), []);
        commit_one(&*store, &mut log, true).await.unwrap();
        log.check(&store).await;
    }
}

#[tokio::test]
async fn after_a_fatal_fault_nothing_is_written_until_a_restart() {
    for persisted in [false, true] {
        let (memory, store, mut log) = filled().await;
        let before = log.clone();
        memory.inject(Fault::CommitFatal { persisted });
        let error = commit_one(&*store, &mut log, persisted).await.unwrap_err();
        assert_eq!(error.kind(), CommitErrorKind::Fatal);
        // Nobody sees a batch of which it is not known that it is durable.
        before.check(&store).await;
        assert!(store.ready().await.is_err());
        let again = commit_one(&*store, &mut before.clone(), false).await;
        assert_eq!(again.unwrap_err().kind(), CommitErrorKind::Fatal);
        let kept = store.keep_checkpoint(&before.sign()).await;
        assert_eq!(kept.unwrap_err().kind(), StoreErrorKind::Fatal);
        memory.restart();
        log.check(&store).await;
        store.ready().await.unwrap();
        commit_one(&*store, &mut log, true).await.unwrap();
    }
}

#[tokio::test]
async fn checkpoints_fail_with_and_without_effect() {
    for persisted in [false, true] {
        for fatal in [false, true] {
            let (memory, store, mut log) = filled().await;
            commit_one(&*store, &mut log, true).await.unwrap();
            let (fault, kind) = if fatal {
                (Fault::CheckpointFatal { persisted }, StoreErrorKind::Fatal)
            } else {
                let fault = Fault::CheckpointUnavailable { persisted };
                (fault, StoreErrorKind::Unavailable)
            };
            memory.inject(fault);
            let kept = store.keep_checkpoint(&log.sign()).await;
            assert_eq!(kept.unwrap_err().kind(), kind);
            memory.restart();
            if persisted {
                log.checkpoint = Some(log.sign());
            }
            log.check(&store).await;
            log.keep_checkpoint(&store).await;
            log.check(&store).await;
        }
    }
}

#[tokio::test]
async fn a_checkpoint_of_a_lost_lead_is_not_kept() {
    let (memory, store, mut log) = filled().await;
    commit_one(&*store, &mut log, true).await.unwrap();
    memory.inject(Fault::CheckpointLed);
    let kept = store.keep_checkpoint(&log.sign()).await;
    assert_eq!(kept.unwrap_err().kind(), StoreErrorKind::Led);
    log.check(&store).await;
}

#[tokio::test]
async fn a_fault_of_a_read_meets_that_read_alone_and_once() {
    let kinds = [StoreErrorKind::Unavailable, StoreErrorKind::Fatal];
    for kind in kinds {
        let (memory, store, log) = filled().await;
        for fault in [Fault::Lead, Fault::Find, Fault::Records, Fault::Scan] {
            memory.inject(fault(kind));
        }
        memory.inject(Fault::Hashes(kind));
        memory.inject(Fault::Checkpoint(kind));
        assert_eq!(store.head().await.unwrap(), log.edge.head());
        let is_kind = |met: Option<StoreErrorKind>| assert_eq!(met, Some(kind));
        is_kind(store.scan(0..3, 10).await.err().map(|e| e.kind()));
        is_kind(store.records(&[0]).await.err().map(|e| e.kind()));
        is_kind(store.find(&[]).await.err().map(|e| e.kind()));
        is_kind(store.lead().await.err().map(|e| e.kind()));
        is_kind(store.hashes(0, 0..1).await.err().map(|e| e.kind()));
        is_kind(store.checkpoint().await.err().map(|e| e.kind()));
        assert_eq!(memory.faults(), []);
        log.check(&store).await;
    }
}

#[tokio::test]
async fn damage_is_at_its_index_and_hides_nothing_else() {
    let (memory, store, log) = filled().await;
    memory.damage(1, "the disk says so");
    for stored in [
        store.scan(0..3, usize::MAX).await.unwrap(),
        store.records(&[0, 1, 2]).await.unwrap(),
    ] {
        let damaged: Vec<bool> = stored.iter().map(|one| one.record.is_err()).collect();
        assert_eq!(damaged, [false, true, false]);
    }
    assert_eq!(store.head().await.unwrap(), log.edge.head());
}
