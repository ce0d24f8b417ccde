//! Two leaders at once, each of whom takes the lead from the other whenever it likes.

use std::collections::HashMap;
use std::sync::Arc;

use audittrail_entry::OpenPart;
use audittrail_merkle::Edge;
use audittrail_store::conformance::Generator;
use audittrail_store::{CommitErrorKind, Store, StoreErrorKind};
use audittrail_store_mongo::{Closed, MongoStore};
use uuid::Uuid;

use crate::server::new_database;
use crate::support::{commit, database, new_log, no_lease, open_with, whole};

/// So many commits each of them has to get through.
fn rounds() -> usize {
    let given = std::env::var("AUDITTRAIL_ROUNDS").ok();
    given.and_then(|rounds| rounds.parse().ok()).unwrap_or(40)
}

/// What a leader does until its entries are in the log: where they are.
async fn place(
    store: &MongoStore,
    edge: &mut Option<Edge>,
    entries: &[(Uuid, audittrail_entry::Record)],
    lost: &mut u64,
) -> Vec<u64> {
    let ids: Vec<Uuid> = entries.iter().map(|(id, _)| *id).collect();
    loop {
        let own = match edge.take() {
            Some(edge) => edge,
            None => {
                let taken = match store.lead().await {
                    Ok(edge) => edge,
                    Err(error) => {
                        // In the same millisecond even a lease of no time has not ended.
                        let kinds = [StoreErrorKind::Led, StoreErrorKind::Unavailable];
                        assert!(kinds.contains(&error.kind()), "{error}");
                        continue;
                    }
                };
                // As after an unknown outcome: what is there is not sent again.
                let found = store.find(&ids).await.unwrap();
                if let Some(indices) = found.iter().copied().collect::<Option<Vec<u64>>>() {
                    *edge = Some(taken);
                    return indices;
                }
                assert!(
                    found.iter().all(Option::is_none),
                    "a part of a batch is in the log"
                );
                taken
            }
        };
        match commit(store, &own, entries).await {
            Ok(after) => {
                let indices = own.size()..after.size();
                *edge = Some(after);
                return indices.collect();
            }
            Err(error) => {
                *lost += 1;
                let kinds = [CommitErrorKind::Lost, CommitErrorKind::Unknown];
                assert!(kinds.contains(&error.kind()), "{error}");
            }
        }
    }
}

async fn lead_and_commit(store: Arc<MongoStore>, seed: u64) -> (HashMap<Uuid, u64>, u64) {
    let mut generator = Generator::new(seed);
    let (mut acknowledged, mut edge, mut lost) = (HashMap::new(), None, 0);
    for _ in 0..rounds() {
        if generator.numbers.one_in(3) {
            // It takes the lead anew, though nothing happened.
            edge = None;
        }
        let count = 1 + generator.numbers.below(5);
        let entries: Vec<_> = (0..count).map(|_| generator.entry()).collect();
        let indices = place(&store, &mut edge, &entries, &mut lost).await;
        acknowledged.extend(entries.iter().map(|(id, _)| *id).zip(indices));
    }
    (acknowledged, lost)
}

/// The log has every entry that was acknowledged, where it was said to be, and no other.
async fn check(store: &MongoStore, acknowledged: &HashMap<Uuid, u64>) {
    let records = whole(store).await;
    assert_eq!(records.len(), acknowledged.len());
    for (index, record) in (0_u64..).zip(&records) {
        let id = OpenPart::parse(&record.leaf).unwrap().id;
        assert_eq!(acknowledged.get(&id), Some(&index), "entry {index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_never_fork_the_log() {
    let url = new_database().await;
    let first = open_with(&url, 1, no_lease()).await;
    let second = open_with(&url, 2, no_lease()).await;
    let first = tokio::spawn(lead_and_commit(first, 101));
    let second = tokio::spawn(lead_and_commit(second, 102));
    let (mut acknowledged, lost) = first.await.unwrap();
    let (others, others_lost) = second.await.unwrap();
    let both = acknowledged.len() + others.len();
    acknowledged.extend(others);
    assert_eq!(acknowledged.len(), both, "no id is there twice");
    assert!(lost + others_lost > 10, "they met: {lost}, {others_lost}");
    let reader = open_with(&url, 3, no_lease()).await;
    check(&reader, &acknowledged).await;
    // What was left beyond the head goes with the next lead, and nothing else does.
    reader.lead().await.unwrap();
    check(&reader, &acknowledged).await;
    let entries = database(&url)
        .await
        .collection::<mongodb::bson::Document>("entries");
    let left = entries
        .count_documents(mongodb::bson::doc! {})
        .await
        .unwrap();
    assert_eq!(left, acknowledged.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_waits_for_the_lease_and_takes_over_when_it_is_given_up() {
    let (url, leader) = new_log().await;
    let standby = open_with(&url, 2, no_lease()).await;
    let refused = standby.lead().await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Led);
    assert!(
        refused
            .to_string()
            .contains("led by another process until 20"),
        "{refused}"
    );
    // The leader may take its own lead again, and keeps it by renewing.
    let edge = leader.lead().await.unwrap();
    leader.renew().await.unwrap();
    assert_eq!(
        standby.lead().await.unwrap_err().kind(),
        StoreErrorKind::Led
    );
    let mut generator = Generator::new(5);
    let edge = commit(&*leader, &edge, &[generator.entry()]).await.unwrap();
    leader.resign().await.unwrap();
    assert_eq!(standby.lead().await.unwrap(), edge);
    // Whoever gave it up, or lost it, can do nothing more.
    let lost = commit(&*leader, &edge, &[generator.entry()])
        .await
        .unwrap_err();
    assert_eq!(lost.kind(), CommitErrorKind::Lost);
    commit(&*standby, &edge, &[generator.entry()])
        .await
        .unwrap();
    let taken = leader.lead().await.unwrap();
    assert_eq!(taken.size(), 2, "a lease of no time is over at once");
    assert_eq!(
        standby.renew().await.unwrap_err().kind(),
        StoreErrorKind::Led
    );
}

/// Only who leads keeps a checkpoint.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_lost_the_lead_keeps_no_checkpoint() {
    use audittrail_store::conformance::Log;
    let url = new_database().await;
    let old = open_with(&url, 1, no_lease()).await;
    let new = open_with(&url, 2, no_lease()).await;
    old.lead().await.unwrap();
    let store: Arc<dyn Store> = Arc::clone(&old) as Arc<dyn Store>;
    let log = Log::fill(&store, 1, &[300, 7]).await;
    new.lead().await.unwrap();
    let refused = old.keep_checkpoint(&log.sign()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Led, "{refused}");
    assert_eq!(new.checkpoint().await.unwrap(), None);
    new.keep_checkpoint(&log.sign()).await.unwrap();
    assert_eq!(old.checkpoint().await.unwrap(), Some(log.sign()));
}

/// What is being copied, or went elsewhere, nobody leads but who copies it.
#[tokio::test]
async fn a_closed_log_is_led_by_nobody_but_who_copies_it() {
    let (url, first) = new_log().await;
    let moved = Closed::Moved {
        to: "/var/lib/audittrail".to_owned(),
    };
    for (closed, says) in [(Closed::Copying, "was not finished"), (moved, "/var/lib")] {
        first.close(Some(&closed)).await.unwrap();
        assert_eq!(first.closed().await.unwrap(), Some(closed));
        let other = open_with(&url, 2, no_lease()).await;
        let refused = other.lead().await.unwrap_err();
        assert_eq!(refused.kind(), StoreErrorKind::Invalid);
        assert!(refused.to_string().contains(says), "{refused}");
        assert_eq!(
            other.close(None).await.unwrap_err().kind(),
            StoreErrorKind::Led
        );
        first.resign().await.unwrap();
        other.lead_closed();
        other.lead().await.unwrap();
        other.close(None).await.unwrap();
        other.resign().await.unwrap();
        // It is open again.
        first.lead().await.unwrap();
    }
}
