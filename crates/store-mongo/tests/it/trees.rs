//! The tree's hashes, where tiles are missing.

use std::sync::Arc;

use audittrail_store::Store;
use audittrail_store::conformance::{Generator, Log};
use mongodb::bson::{Document, doc};

use crate::support::{database, new_log, no_lease, open, open_with};

#[tokio::test(flavor = "multi_thread")]
async fn tiles_are_written_and_made_anew_where_they_are_missing() {
    let (url, store) = new_log().await;
    let store: Arc<dyn Store> = store;
    let mut log = Log::default();
    let mut generator = Generator::new(3);
    for size in [300, 500, 1, 200, 99, 2_000] {
        let entries = (0..size).map(|_| generator.small_entry()).collect();
        log.commit(&store, entries).await;
    }
    // The last commit's tiles are not written yet: another process makes them from the entries.
    let reader: Arc<dyn Store> = open(&url, 2).await;
    let all = log.levels[0].len() as u64;
    assert_eq!(reader.hashes(0, 0..all).await.unwrap(), log.levels[0]);
    assert_eq!(reader.hashes(8, 0..all / 256).await.unwrap(), log.levels[1]);
    let tiles = database(&url).await.collection::<Document>("tiles");
    assert_eq!(tiles.count_documents(doc! {}).await.unwrap(), 0);
    log.keep_checkpoint(&store).await;
    assert_eq!(
        tiles.count_documents(doc! {}).await.unwrap(),
        all.div_ceil(256) + 1
    );

    // Whole tiles gone, and one cut short.
    for (at, level, tile) in [(0, 0, 0_i64), (1, 0, 5), (2, 1, 0)] {
        let id = level << 56 | tile;
        let gone = tiles.delete_one(doc! { "_id": id }).await.unwrap();
        assert_eq!(gone.deleted_count, 1, "{at}");
    }
    let short = doc! { "$set": { "n": 0_i64, "h": mongodb::bson::Binary {
        subtype: mongodb::bson::spec::BinarySubtype::Generic,
        bytes: Vec::new(),
    } } };
    tiles
        .update_one(doc! { "_id": 2_i64 }, short)
        .await
        .unwrap();
    assert_eq!(reader.hashes(0, 0..all).await.unwrap(), log.levels[0]);
    assert_eq!(reader.hashes(8, 0..all / 256).await.unwrap(), log.levels[1]);

    // All of them gone, and the note of how far they go: the next lead writes them.
    tiles.delete_many(doc! {}).await.unwrap();
    let head = database(&url).await.collection::<Document>("head");
    head.update_one(doc! {}, doc! { "$set": { "tiles": 0_i64 } })
        .await
        .unwrap();
    drop(store);
    head.update_one(doc! {}, doc! { "$unset": { "lease": "" } })
        .await
        .unwrap();
    let next: Arc<dyn Store> = open_with(&url, 3, no_lease()).await;
    next.lead().await.unwrap();
    assert_eq!(
        tiles.count_documents(doc! {}).await.unwrap(),
        all.div_ceil(256) + 1
    );
    log.check(&next).await;
    log.commit(&next, vec![generator.entry()]).await;
    log.keep_checkpoint(&next).await;
    log.check(&next).await;
}
