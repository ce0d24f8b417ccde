//! What somebody changes in the database is shown as damaged, and hides nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use audittrail_entry::{KeyRing, Record};
use audittrail_store::conformance::{Log, ORIGIN, entries_of, signing_key, stats_of, whole_of};
use audittrail_store::conformance::{check_page, check_stats};
use audittrail_store::{
    Access, CountMode, Facet, Filter, Order, Query, Reader, Start, StatsQuery, Store, Verdict,
};
use mongodb::bson::{Document, doc};

use crate::support::{alter, database, new_log};

const SIZE: u64 = 300;

async fn damaged_log() -> (Arc<dyn Store>, Log) {
    let (url, store) = new_log().await;
    let store: Arc<dyn Store> = store;
    let mut log = Log::fill(&store, 60, &[SIZE as usize]).await;
    log.keep_checkpoint(&store).await;
    let bytes = |bytes: &[u8]| mongodb::bson::Binary {
        subtype: mongodb::bson::spec::BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    };
    // Gone; hidden from queries in several ways; other bytes.
    let entries = database(&url).await.collection::<Document>("entries");
    entries.delete_one(doc! { "_id": 3_i64 }).await.unwrap();
    entries.delete_one(doc! { "_id": 299_i64 }).await.unwrap();
    alter(&url, 10, doc! { "$set": { "user": "nobody" } }).await;
    alter(&url, 11, doc! { "$unset": { "t": "" } }).await;
    alter(&url, 12, doc! { "$set": { "t": "yesterday" } }).await;
    alter(&url, 13, doc! { "$set": { "leaf": bytes(b"{}") } }).await;
    alter(&url, 14, doc! { "$set": { "sealed": bytes(b"[") } }).await;
    alter(&url, 15, doc! { "$set": { "salt": bytes(b"short") } }).await;
    alter(&url, 16, doc! { "$set": { "signature": "text" } }).await;
    alter(&url, 17, doc! { "$set": { "d": ["px\0\0sother"] } }).await;
    alter(&url, 18, doc! { "$set": { "note": "one more field" } }).await;
    (store, log)
}

const DAMAGED: [u64; 11] = [3, 10, 11, 12, 13, 14, 15, 16, 17, 18, 299];

#[tokio::test(flavor = "multi_thread")]
async fn damaged_entries_are_read_as_such_and_found_under_every_filter() {
    let (store, log) = damaged_log().await;
    let stored = store.scan(0..SIZE, usize::MAX).await.unwrap();
    let all: Vec<u64> = (0..SIZE).collect();
    let by_index = store.records(&all).await.unwrap();
    assert_eq!(stored.len() as u64, SIZE);
    for (one, other) in stored.iter().zip(&by_index) {
        assert_eq!(one.record, other.record);
        let is_damaged = DAMAGED.contains(&one.index);
        assert_eq!(
            one.record.is_err(),
            is_damaged,
            "{}: {:?}",
            one.index,
            one.record
        );
        if !is_damaged {
            let expected: &Record = &log.entries[one.index as usize].1;
            assert_eq!(one.record.as_ref(), Ok(expected));
        }
    }
    // Reading is how they become known; the others stay verified, those beside a gap too.
    let keys = KeyRing {
        current: signing_key(),
        earlier: Vec::new(),
    };
    let reader = Reader::new(Arc::clone(&store), keys, ORIGIN.to_owned());
    for checked in reader.check(stored).await.unwrap() {
        let sound = checked.verdict == Verdict::Verified;
        assert_eq!(sound, !DAMAGED.contains(&checked.index), "{checked:?}");
    }
    let failed: Arc<BTreeMap<u64, String>> = reader.failed();
    assert!(failed.keys().copied().eq(DAMAGED));

    let entries = entries_of(&log);
    let readable: Vec<_> = (0..SIZE)
        .map(|index| (!DAMAGED.contains(&index)).then(|| &entries[index as usize]))
        .collect();
    for parameters in [
        &[][..],
        &[("user_id", "alice")],
        &[("action", "no.such.action")],
        &[("q", "admin")],
        &[("details.user__exists", "true"), ("index_from", "12")],
        &[("start_time", "2027-01-01T00:00:00Z")],
    ] {
        let filter = Filter::from_parameters(parameters.iter().copied()).unwrap();
        for order in [
            Order::NewestFirst,
            Order::OldestFirst,
            Order::IndexAscending,
        ] {
            for access in [None, Some("alice")] {
                let mut query = Query {
                    filter: filter.clone(),
                    access: Access {
                        user_id: access.map(str::to_owned),
                        tenant: None,
                    },
                    order,
                    size: SIZE,
                    start: Start::Skip(0),
                    limit: 7,
                    count: CountMode::Exact,
                    failed: Arc::clone(&failed),
                };
                let whole = whole_of(&readable, &query);
                check_page(&query, &store.search(&query).await.unwrap(), &whole);
                query.limit = 1_000;
                check_page(&query, &store.search(&query).await.unwrap(), &whole);
            }
        }
        let stats = StatsQuery {
            filter,
            access: Access::default(),
            size: SIZE,
            failed: Arc::clone(&failed),
            calendar: None,
            most_buckets: 10,
            by: Facet::ALL.to_vec(),
            top: 5,
        };
        let expected = stats_of(&readable, &stats);
        check_stats(&stats, store.stats(&stats).await, expected);
    }
}

/// What has no time by which it could be found is offered though nobody has read it yet.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_found_by_time_is_found_at_sight() {
    let (store, _) = damaged_log().await;
    let query = Query {
        filter: Filter::from_parameters([("action", "no.such.action")]).unwrap(),
        access: Access::default(),
        order: Order::IndexAscending,
        size: SIZE,
        start: Start::Skip(0),
        limit: 10,
        count: CountMode::Exact,
        failed: Arc::default(),
    };
    let page = store.search(&query).await.unwrap();
    let found: Vec<u64> = page.keys.iter().map(|key| key.index).collect();
    assert_eq!(found, [11, 12]);
    assert_eq!(page.damaged.len(), 2);
}
