//! Readers beside the one who commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use audittrail_merkle::{Edge, leaf_hash};
use tokio::runtime::Handle;

use super::{Generator, Log, Numbers};
use crate::{Access, CountMode, Filter, Order, Query, Start, Store};

const READERS: u64 = 4;
const COMMITS: u64 = 60;

/// Readers on other threads see, at any moment, a whole log: a head that only grows, and
/// everything below it, whichever way they ask.
pub async fn readers_beside_a_committer(store: Arc<dyn Store>) {
    let mut log = Log::fill(&store, 30, &[10]).await;
    let mut generator = Generator::new(31);
    let batches: Vec<_> = (0..COMMITS)
        .map(|_| {
            let count = 1 + generator.numbers.below(20);
            (0..count).map(|_| generator.entry()).collect::<Vec<_>>()
        })
        .collect();
    // The log as it will be: what a reader may see is a beginning of it.
    let mut complete = log.clone();
    for batch in &batches {
        let planned = complete.plan(batch.clone());
        complete.accept(planned);
    }
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    let handle = Handle::current();
    let store = &store;
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (store, complete, handle) = (store, &complete, handle.clone());
            let (done, looks) = (&done, &looks);
            scope.spawn(move || {
                let mut numbers = Numbers::new(32 + reader);
                let mut seen = 0;
                // Once more after the last commit, so that each reader has seen the end.
                let mut last = false;
                let _done = SetOnDrop(done);
                while !std::mem::replace(&mut last, done.load(Ordering::Acquire)) {
                    seen = handle.block_on(look(store, complete, seen, &mut numbers));
                    looks.fetch_add(1, Ordering::Release);
                }
                assert_eq!(seen, complete.size(), "what was committed is seen");
            });
        }
        let (log, done, looks) = (&mut log, &done, &looks);
        scope.spawn(move || {
            // If a commit fails, the readers still have to end.
            let _done = SetOnDrop(done);
            for batch in batches {
                let before = looks.load(Ordering::Acquire);
                handle.block_on(log.commit(store, batch));
                // A reader looks between any two commits, or nothing would be tried.
                while looks.load(Ordering::Acquire) == before && !done.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
            }
        });
    });
    log.check(store).await;
}

/// Says that it is over, however the thread that holds it ends.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One look at the log; the size that was seen.
async fn look(store: &Arc<dyn Store>, complete: &Log, seen: u64, numbers: &mut Numbers) -> u64 {
    let head = store.head().await.unwrap();
    assert!(head.size >= seen, "the head went back");
    let mut edge = Edge::new();
    for (_, record) in &complete.entries[..head.size as usize] {
        edge.push(leaf_hash(&record.leaf));
    }
    assert_eq!(edge.head(), head, "a head that was never committed");

    let last = head.size - 1;
    let some = [last, numbers.below(head.size), 0];
    for stored in store.records(&some).await.unwrap() {
        let expected = &complete.entries[stored.index as usize].1;
        assert_eq!(stored.record.as_ref(), Ok(expected));
    }
    let from = numbers.below(head.size);
    let scanned = store.scan(from..head.size, 10_000).await.unwrap();
    assert_eq!(scanned.first().map(|stored| stored.index), Some(from));
    let id = complete.entries[last as usize].0;
    assert_eq!(store.find(&[id]).await.unwrap(), [Some(last)]);
    let hashes = store.hashes(0, 0..head.size).await.unwrap();
    assert_eq!(hashes, complete.levels[0][..head.size as usize]);
    let above = head.size >> 8;
    let hashes = store.hashes(8, 0..above).await.unwrap();
    let expected = complete.levels.get(1).map_or(&[][..], Vec::as_slice);
    assert_eq!(hashes, expected[..above as usize]);

    let query = Query {
        filter: Filter::default(),
        access: Access::default(),
        order: Order::IndexDescending,
        size: head.size,
        start: Start::Skip(0),
        limit: 5,
        count: CountMode::Exact,
        failed: Arc::default(),
    };
    let page = store.search(&query).await.unwrap();
    assert_eq!(page.keys.first().map(|key| key.index), Some(last));
    assert_eq!(page.count.map(|count| count.value), Some(head.size));
    head.size
}
