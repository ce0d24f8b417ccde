//! Commits and checkpoints.

use std::sync::Arc;

use audittrail_merkle::{Edge, Hash, TreeHead};

use super::log::{assert_invalid, sign};
use super::{Generator, Log};
use crate::{CommitErrorKind, CountMode, Filter, Order, Query, Start, Store};

/// An empty log has the head of RFC 6962, no checkpoint, and answers every question.
pub async fn an_empty_log(store: Arc<dyn Store>) {
    assert_eq!(store.head().await.unwrap(), TreeHead::EMPTY);
    assert_eq!(store.lead().await.unwrap(), Edge::new());
    assert_eq!(store.checkpoint().await.unwrap(), None);
    store.ready().await.unwrap();
    let id = Generator::new(1).numbers.id();
    assert_eq!(store.find(&[]).await.unwrap(), []);
    assert_eq!(store.find(&[id]).await.unwrap(), [None]);
    assert!(store.records(&[]).await.unwrap().is_empty());
    assert!(store.scan(0..0, 100).await.unwrap().is_empty());
    assert_invalid(store.records(&[0]).await, "the first record of no log");
    assert_invalid(store.scan(0..1, 100).await, "a scan of no log");
    for level in [0, 8, 16] {
        assert_eq!(store.hashes(level, 0..0).await.unwrap(), []);
    }
    let query = Query {
        filter: Filter::default(),
        access: crate::Access::default(),
        order: Order::NewestFirst,
        size: 0,
        start: Start::Skip(0),
        limit: 10,
        count: CountMode::Exact,
        failed: Arc::default(),
    };
    let page = store.search(&query).await.unwrap();
    assert!(page.keys.is_empty() && !page.before && !page.after);
    assert_eq!(page.count.map(|count| count.value), Some(0));
    // An empty log can be signed too: it is the sequencer's first act.
    let checkpoint = sign(TreeHead::EMPTY);
    store.keep_checkpoint(&checkpoint).await.unwrap();
    assert_eq!(store.checkpoint().await.unwrap(), Some(checkpoint));
}

/// After each commit every way of asking gives the new log, whatever the batches' sizes.
pub async fn commits_are_visible_at_once(store: Arc<dyn Store>) {
    let mut log = Log::default();
    let mut generator = Generator::new(2);
    for size in [1, 1, 2, 253, 1, 255, 256, 257, 3] {
        let entries = (0..size).map(|_| generator.entry()).collect();
        log.commit(&store, entries).await;
        log.check(&store).await;
        store.ready().await.unwrap();
    }
}

/// Of two batches on one head only the first is stored. The other changes nothing, and its
/// leader can go on once it has read the log anew.
pub async fn one_of_two_leaders_loses(store: Arc<dyn Store>) {
    let mut log = Log::fill(&store, 3, &[5]).await;
    let mut generator = Generator::new(4);
    let head = log.edge.head();
    let winner = log.plan(vec![generator.entry(), generator.entry()]);
    let loser = log.plan(vec![generator.entry()]);
    Log::attempt(&store, head, &winner).await.unwrap();
    log.accept(winner);
    let lost = Log::attempt(&store, head, &loser).await;
    assert_eq!(lost.unwrap_err().kind(), CommitErrorKind::Lost);
    log.check(&store).await;
    assert_eq!(store.find(&[loser.entries[0].0]).await.unwrap(), [None]);

    // The right size with another root is another log, not this head.
    let planned = log.plan(vec![generator.entry()]);
    let forged = TreeHead {
        root: Hash([1; 32]),
        ..log.edge.head()
    };
    let lost = Log::attempt(&store, forged, &planned).await;
    assert_eq!(lost.unwrap_err().kind(), CommitErrorKind::Lost);
    // Ahead of the log is no head of it either.
    let ahead = planned.edge.head();
    let lost = Log::attempt(&store, ahead, &planned).await;
    assert_eq!(lost.unwrap_err().kind(), CommitErrorKind::Lost);
    log.check(&store).await;

    assert_eq!(store.lead().await.unwrap(), log.edge);
    log.commit(&store, loser.entries).await;
    log.check(&store).await;
}

/// A batch that does not lead from the old head to the new one is refused and leaves nothing.
pub async fn batches_that_lead_nowhere(store: Arc<dyn Store>) {
    let mut log = Log::fill(&store, 5, &[254]).await;
    let mut generator = Generator::new(6);
    let head = log.edge.head();
    let good = log.plan((0..4).map(|_| generator.entry()).collect());
    let new = good.edge.head();
    let wrong_root = TreeHead {
        root: Hash([2; 32]),
        ..new
    };
    let wrong_size = TreeHead {
        size: new.size + 1,
        ..new
    };
    let mut elsewhere = good.clone();
    elsewhere.first_index += 1;
    let mut swapped = good.clone();
    swapped.entries.swap(0, 1);
    let mut empty = good.clone();
    empty.entries.clear();
    empty.nodes.clear();
    let attempts = [
        ("another root", &good, wrong_root),
        ("another size", &good, wrong_size),
        ("a gap before it", &elsewhere, new),
        ("entries in another order", &swapped, new),
        ("nothing in it", &empty, head),
    ];
    for (what, planned, new) in attempts {
        let refused = store.commit(head, planned.batch(), new).await;
        let kind = refused.map_err(|error| error.kind());
        assert_eq!(kind, Err(CommitErrorKind::Refused), "a batch with {what}");
        assert_eq!(store.head().await.unwrap(), head, "a batch with {what}");
        for (id, _) in &good.entries {
            assert_eq!(store.find(&[*id]).await.unwrap(), [None], "{what}");
        }
    }
    // None of them is in the way of the good one.
    log.commit(&store, good.entries).await;
    log.check(&store).await;
}

/// A checkpoint is replaced by a later one of the committed log and by nothing else.
pub async fn checkpoints_only_grow(store: Arc<dyn Store>) {
    let mut log = Log::fill(&store, 7, &[3]).await;
    log.keep_checkpoint(&store).await;
    let first = log.sign();
    let entries = Generator::new(8).entry();
    let planned = log.plan(vec![entries.clone()]);
    assert_invalid(
        store.keep_checkpoint(&sign(planned.edge.head())).await,
        "a checkpoint of what is not committed",
    );
    log.check(&store).await;

    log.commit(&store, vec![entries]).await;
    // It stays the one of three entries until a new one is kept.
    log.check(&store).await;
    log.keep_checkpoint(&store).await;
    log.check(&store).await;
    assert_invalid(
        store.keep_checkpoint(&first).await,
        "a checkpoint smaller than the last one",
    );
    log.check(&store).await;

    // Another root is no checkpoint of this log, at its size as little as below it.
    for size in [log.size(), log.size() + 1] {
        let forged = TreeHead {
            size,
            root: Hash([3; 32]),
        };
        assert_invalid(
            store.keep_checkpoint(&sign(forged)).await,
            "a checkpoint with another root",
        );
        log.check(&store).await;
        if size == log.size() {
            log.commit(
                &store,
                vec![Generator::new(9).entry(), Generator::new(10).entry()],
            )
            .await;
            log.check(&store).await;
        }
    }
    log.keep_checkpoint(&store).await;

    // The same head with another note: a cosignature came.
    let mut again = log.sign();
    again.note.push_str("\u{2014} witness.example AAAAAAAA\n");
    store.keep_checkpoint(&again).await.unwrap();
    log.checkpoint = Some(again);
    log.check(&store).await;
}
