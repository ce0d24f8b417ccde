//! A leader that was paused and wakes up: what it still writes is not in the log, and in nobody's
//! way for long.

use audittrail_merkle::Edge;
use audittrail_store::conformance::Generator;
use audittrail_store::{CommitErrorKind, Store};
use audittrail_store_mongo::encode;
use mongodb::bson::RawDocumentBuf;

use crate::server::new_database;
use crate::support::{commit, database, no_lease, open_with, whole};

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_leader_inserts_is_never_in_the_log() {
    let url = new_database().await;
    let old = open_with(&url, 1, no_lease()).await;
    let new = open_with(&url, 2, no_lease()).await;
    let mut generator = Generator::new(7);
    let mut entries = |count: usize| -> Vec<_> { (0..count).map(|_| generator.entry()).collect() };
    let (mut known, mut edge) = (Vec::new(), old.lead().await.unwrap());
    let first = entries(20);
    edge = commit(&*old, &edge, &first).await.unwrap();
    known.extend(first);
    let paused_at: Edge = edge.clone();

    // Beyond the head: it commits on what it knows, and is told that it lost, with its documents
    // left behind.
    edge = new.lead().await.unwrap();
    let late = entries(5);
    let lost = commit(&*old, &paused_at, &late).await.unwrap_err();
    assert_eq!(lost.kind(), CommitErrorKind::Lost, "{lost}");
    assert_eq!(new.head().await.unwrap(), edge.head());
    let ids: Vec<_> = late.iter().map(|(id, _)| *id).collect();
    assert_eq!(old.find(&ids).await.unwrap(), vec![None; 5]);
    assert!(new.records(&[20]).await.is_err(), "there is no entry 20");

    // They are in the way of the next commit, which is not clean; the next lead removes them.
    let next = entries(3);
    let unclean = commit(&*new, &edge, &next).await.unwrap_err();
    assert_eq!(unclean.kind(), CommitErrorKind::Unknown, "{unclean}");
    assert_eq!(new.lead().await.unwrap(), edge);
    edge = commit(&*new, &edge, &next).await.unwrap();
    known.extend(next);

    // Below the head, and across it: an insert that was on its way all the time.
    let raw = database(&url).await.collection::<RawDocumentBuf>("entries");
    let epoch_of_old = 1;
    for index in [0, 19, 22] {
        let (id, record) = &entries(1)[0];
        let refused = raw
            .insert_one(encode(index, epoch_of_old, *id, record))
            .await;
        assert!(refused.is_err(), "entry {index} is there");
    }
    let stray = entries(2);
    for (index, (id, record)) in (25..).zip(&stray) {
        raw.insert_one(encode(index, epoch_of_old, *id, record))
            .await
            .unwrap();
    }
    // Up to where they lie nothing is in the way; there the lead is taken anew.
    let one = entries(2);
    edge = commit(&*new, &edge, &one).await.unwrap();
    known.extend(one);
    let next = entries(4);
    let unclean = commit(&*new, &edge, &next).await.unwrap_err();
    assert_eq!(unclean.kind(), CommitErrorKind::Unknown);
    assert_eq!(new.lead().await.unwrap(), edge);
    commit(&*new, &edge, &next).await.unwrap();
    known.extend(next);

    let records = whole(&*old).await;
    assert!(records.iter().eq(known.iter().map(|(_, record)| record)));
}
