//! Logs to test with.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use audittrail_entry::{Random, Record};
use audittrail_merkle::{Edge, leaf_hash};
use audittrail_store::conformance::{self, ORIGIN};
use audittrail_store::{Batch, BatchEntry, CommitError, Node, Store, Stored};
use audittrail_store_mongo::{Identity, MongoStore, Options};
use mongodb::bson::Document;
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use crate::server::new_database;

/// Random numbers that follow from a seed.
pub(crate) struct Dice(Mutex<StdRng>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(StdRng::seed_from_u64(seed))))
    }
}

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().fill_bytes(bytes);
    }
}

pub(crate) fn identity() -> Identity {
    Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![conformance::signer().verifier()],
    }
}

/// Opens a log as a process does, whose id follows from the seed.
pub(crate) async fn open_with(url: &str, seed: u64, options: Options) -> Arc<MongoStore> {
    let opened = MongoStore::open(url, &identity(), options, Dice::new(seed)).await;
    Arc::new(opened.unwrap().0)
}

pub(crate) async fn open(url: &str, seed: u64) -> Arc<MongoStore> {
    open_with(url, seed, Options::default()).await
}

/// A new log that is led.
pub(crate) async fn new_log() -> (String, Arc<MongoStore>) {
    let url = new_database().await;
    let store = open(&url, 1).await;
    store.lead().await.unwrap();
    (url, store)
}

/// A lead that anybody can take at any time.
pub(crate) fn no_lease() -> Options {
    Options {
        lease: Duration::ZERO,
        ..Options::default()
    }
}

/// The database of a log, past the store.
pub(crate) async fn database(url: &str) -> Database {
    let options = ClientOptions::parse(url).await.unwrap();
    let name = options.default_database.clone().unwrap();
    Client::with_options(options).unwrap().database(&name)
}

/// Changes one document of `entries`, past the store.
pub(crate) async fn alter(url: &str, index: u64, change: Document) {
    let entries = database(url).await.collection::<Document>("entries");
    let filter = mongodb::bson::doc! { "_id": index as i64 };
    let altered = entries.update_one(filter, change).await.unwrap();
    assert_eq!(altered.matched_count, 1);
}

/// Commits entries on an edge; the edge after them.
pub(crate) async fn commit(
    store: &dyn Store,
    edge: &Edge,
    entries: &[(Uuid, Record)],
) -> Result<Edge, CommitError> {
    let mut after = edge.clone();
    let mut nodes = Vec::new();
    let entries = entries.iter().map(|(id, record)| {
        let leaf_hash = leaf_hash(&record.leaf);
        Node::push_leaf(&mut after, leaf_hash, &mut nodes);
        BatchEntry {
            id: *id,
            record,
            leaf_hash,
        }
    });
    let entries = entries.collect();
    let batch = Batch {
        first_index: edge.size(),
        entries,
        nodes,
    };
    store.commit(edge.head(), batch, after.head()).await?;
    Ok(after)
}

/// All entries of a log, which has to have the root of its head.
pub(crate) async fn whole(store: &dyn Store) -> Vec<Record> {
    let head = store.head().await.unwrap();
    let mut records = Vec::new();
    let mut edge = Edge::new();
    while edge.size() < head.size {
        for Stored { index, record } in store.scan(edge.size()..head.size, 1 << 20).await.unwrap() {
            assert_eq!(index, edge.size());
            let record = record.unwrap();
            edge.push(leaf_hash(&record.leaf));
            records.push(record);
        }
    }
    assert_eq!(edge.head(), head, "the log has its root");
    records
}
