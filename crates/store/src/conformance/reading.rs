//! Reads by index, by id, and of the tree.

use std::sync::Arc;

use super::log::assert_invalid;
use super::{Generator, Log};
use crate::{Access, Count, CountMode, Filter, Order, Query, Start, Store, Stored};

/// A store may read so many records at once, beyond the bound in bytes.
const READ_AT_ONCE: usize = 256;

fn size_bytes(stored: &Stored) -> usize {
    stored.record.as_ref().unwrap().size_bytes()
}

/// A scan gives at least one record, at most the range, and stops where the bytes are reached.
pub async fn scanning(store: Arc<dyn Store>) {
    let log = Log::fill(&store, 10, &[300, 1, 400, 299]).await;
    let size = log.size();
    for max_bytes in [0, 1, 700, 50_000, 200_000, usize::MAX] {
        for start in [0, 1, 255, 299, 300, 301, 700, size - 1] {
            for end in [start + 1, start + 2, start + 300, size] {
                let range = start..end.min(size);
                let given = store.scan(range.clone(), max_bytes).await.unwrap();
                let at = format!("{range:?} in {max_bytes} bytes");
                assert!(!given.is_empty(), "{at}: nothing");
                assert!(given.len() as u64 <= range.end - start, "{at}: too many");
                for (stored, index) in given.iter().zip(start..) {
                    assert_eq!(stored.index, index, "{at}: not consecutive");
                    let expected = &log.entries[index as usize].1;
                    assert_eq!(stored.record.as_ref(), Ok(expected), "{at}");
                }
                let bytes: usize = given.iter().map(size_bytes).sum();
                let fewer = (given.len() as u64) < range.end - start;
                assert!(!fewer || bytes >= max_bytes, "{at}: stopped too early");
                if let Some(within) = given.len().checked_sub(READ_AT_ONCE) {
                    let before: usize = given[..within].iter().map(size_bytes).sum();
                    assert!(within == 0 || before < max_bytes, "{at}: read on and on");
                }
            }
        }
        // An empty range gives none, wherever it lies.
        for at in [0, 1, 300, size] {
            assert!(store.scan(at..at, max_bytes).await.unwrap().is_empty());
        }
    }
    assert_invalid(store.scan(0..size + 1, 10).await, "beyond the head");
    assert_invalid(store.scan(size..size + 1, 10).await, "at the head");
}

/// Records come in the order asked, repeated where asked twice, and none is left out.
pub async fn records_as_asked(store: Arc<dyn Store>) {
    let log = Log::fill(&store, 11, &[200, 100]).await;
    let mut numbers = Generator::new(12).numbers;
    let mut orders: Vec<Vec<u64>> = vec![
        vec![],
        vec![0],
        vec![299],
        vec![5, 5, 5],
        vec![299, 0, 299, 1, 0],
        vec![10, 11, 12, 12, 13, 11],
        (0..300).rev().collect(),
    ];
    for _ in 0..20 {
        orders.push((0..50).map(|_| numbers.below(300)).collect());
    }
    for asked in orders {
        let given = store.records(&asked).await.unwrap();
        let indices: Vec<u64> = given.iter().map(|stored| stored.index).collect();
        assert_eq!(indices, asked);
        for stored in given {
            let expected = &log.entries[stored.index as usize].1;
            assert_eq!(stored.record.as_ref(), Ok(expected));
        }
    }
    for asked in [vec![300], vec![0, 300], vec![u64::MAX], vec![5, 301, 6]] {
        assert_invalid(store.records(&asked).await, &format!("{asked:?}"));
    }
}

/// Ids are found in the order asked, unknown ones among them.
pub async fn finding(store: Arc<dyn Store>) {
    let mut log = Log::fill(&store, 13, &[100, 100]).await;
    let mut generator = Generator::new(14);
    let id = |at: u64| log.entries[at as usize].0;
    let later = generator.entry();
    let unknown = later.0;
    // One bit away from an id that is known.
    let near = uuid::Uuid::from_u128(id(7).as_u128() ^ 1);
    let asked = [id(7), unknown, id(199), id(0), near, id(7)];
    let expected = [Some(7), None, Some(199), Some(0), None, Some(7)];
    assert_eq!(store.find(&asked).await.unwrap(), expected);
    // What was unknown is found once it is committed.
    let next = log.size();
    log.commit(&store, vec![generator.entry(), later]).await;
    assert_eq!(store.find(&[unknown]).await.unwrap(), [Some(next + 1)]);
}

/// Hashes beyond the complete nodes below the head, or of a level that no tile holds, are
/// `Invalid` and never an answer of some.
pub async fn hashes_out_of_bounds(store: Arc<dyn Store>) {
    let log = Log::fill(&store, 15, &[256, 300, 10]).await;
    let size = log.size();
    for (level, start, end) in [(0, 0, size), (0, 255, 257), (8, 0, 2), (8, 1, 2)] {
        let expected = &log.levels[usize::from(level / 8)][start as usize..end as usize];
        assert_eq!(store.hashes(level, start..end).await.unwrap(), expected);
    }
    let runs = [300..301, 0..256, 5..5];
    let expected = runs
        .clone()
        .map(|run| &log.levels[0][run.start as usize..run.end as usize]);
    assert_eq!(store.hash_runs(0, &runs).await.unwrap(), expected);
    let (one, beyond) = (0..1, size..size + 1);
    assert_invalid(store.hash_runs(0, &[one, beyond]).await, "one of two runs");
    let beyond = [
        (0, 0, size + 1),
        (0, size, size + 1),
        // The third node of level 8 is not complete yet.
        (8, 0, 3),
        (8, 2, 3),
        (16, 0, 1),
        (56, 0, 1),
        (0, u64::MAX - 1, u64::MAX),
        (4, 0, 1),
        (1, 0, 1),
        (64, 0, 1),
        (255, 0, 1),
    ];
    for (level, start, end) in beyond {
        let answer = store.hashes(level, start..end).await;
        assert_invalid(answer, &format!("level {level}, {start}..{end}"));
    }
}

/// A log with more entries than a tile of level 8 covers and than are counted one by one.
pub async fn every_level_of_a_large_tree(store: Arc<dyn Store>) {
    const BATCH: u64 = 16_384;
    let size = Count::LIMIT + 1;
    let mut log = Log::default();
    let mut generator = Generator::new(16);
    while log.size() < size {
        let count = BATCH.min(size - log.size());
        let entries = (0..count).map(|_| generator.small_entry()).collect();
        log.commit(&store, entries).await;
    }
    log.keep_checkpoint(&store).await;
    log.check(&store).await;
    assert_eq!(log.levels[2].len(), 1, "level 16 has its first node");

    let count = async |size, mode| {
        let query = Query {
            filter: Filter::default(),
            access: Access::default(),
            order: Order::NewestFirst,
            size,
            start: Start::Skip(0),
            limit: 3,
            count: mode,
            failed: Arc::default(),
        };
        let page = store.search(&query).await.unwrap();
        let newest: Vec<u64> = page.keys.iter().map(|key| key.index).collect();
        assert_eq!(newest, [size - 1, size - 2, size - 3]);
        page.count.map(|count| (count.value, count.exact))
    };
    let limit = Count::LIMIT;
    assert_eq!(
        count(limit, CountMode::Limited).await,
        Some((limit, true)),
        "as many as are counted"
    );
    assert_eq!(
        count(size, CountMode::Limited).await,
        Some((limit, false)),
        "one more"
    );
    assert_eq!(count(size, CountMode::Exact).await, Some((size, true)));
    assert_eq!(count(size, CountMode::None).await, None);
}
