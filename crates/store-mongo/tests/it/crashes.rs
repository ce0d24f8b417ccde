//! A server that is killed under commits: what was acknowledged is there after it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use audittrail_entry::OpenPart;
use audittrail_store::conformance::Generator;
use audittrail_store::{CommitErrorKind, Store, StoreErrorKind};
use audittrail_store_mongo::{MongoStore, Options};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::server::{DEADLINE, Mongod};
use crate::support::{commit, open_with, whole};

const KILLS: usize = 3;
/// Acknowledged commits between two kills.
const BETWEEN: usize = 20;

struct Progress {
    commits: AtomicUsize,
    more: Notify,
}

/// Commits as the sequencer does, until there were enough after the last kill.
async fn keep_committing(store: Arc<MongoStore>, progress: Arc<Progress>) -> HashMap<Uuid, u64> {
    let mut generator = Generator::new(50);
    let mut acknowledged = HashMap::new();
    let mut edge = store.lead().await.unwrap();
    while progress.commits.load(Ordering::Acquire) < (KILLS + 1) * BETWEEN {
        let count = 1 + generator.numbers.below(300);
        let entries: Vec<_> = (0..count).map(|_| generator.entry()).collect();
        let ids: Vec<Uuid> = entries.iter().map(|(id, _)| *id).collect();
        loop {
            match commit(&*store, &edge, &entries).await {
                Ok(after) => {
                    acknowledged.extend(ids.iter().copied().zip(edge.size()..));
                    edge = after;
                    break;
                }
                Err(error) => assert_eq!(error.kind(), CommitErrorKind::Unknown, "{error}"),
            }
            edge = loop {
                match store.lead().await {
                    Ok(edge) => break edge,
                    Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}"),
                }
            };
            let found = store.find(&ids).await;
            let Ok(found) = found else { continue };
            if found[0].is_some() {
                let found = found.into_iter().map(Option::unwrap);
                acknowledged.extend(ids.iter().copied().zip(found));
                break;
            }
        }
        progress.commits.fetch_add(1, Ordering::Release);
        progress.more.notify_one();
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let mut mongod = Mongod::start(true).await;
    let url = mongod.url("log");
    let options = Options {
        away: Duration::from_millis(300),
        operation: Duration::from_secs(3),
        ..Options::default()
    };
    let store = open_with(&url, 1, options).await;
    let progress = Arc::new(Progress {
        commits: AtomicUsize::new(0),
        more: Notify::new(),
    });
    let committing = tokio::spawn(keep_committing(store, Arc::clone(&progress)));
    for kill in 1..=KILLS {
        let enough = async {
            while progress.commits.load(Ordering::Acquire) < kill * BETWEEN {
                progress.more.notified().await;
            }
        };
        tokio::time::timeout(DEADLINE, enough).await.unwrap();
        mongod.kill_and_restart().await;
    }
    let acknowledged = tokio::time::timeout(DEADLINE, committing)
        .await
        .unwrap()
        .unwrap();
    let reader = open_with(&url, 2, options).await;
    let records = whole(&*reader).await;
    assert_eq!(records.len(), acknowledged.len());
    for (index, record) in (0_u64..).zip(&records) {
        let id = OpenPart::parse(&record.leaf).unwrap().id;
        assert_eq!(acknowledged.get(&id), Some(&index));
    }
    mongod.kill();
    let away = reader.ready().await.unwrap_err();
    assert_eq!(away.kind(), StoreErrorKind::Unavailable);
}
