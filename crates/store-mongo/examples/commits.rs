//! Commits of 1,000 entries beside a bare insertMany of the same documents with the same indexes
//! and write concern, in turns on one new mongod: `make bench-store-mongo`. Ends with 1 if the
//! ratio is below the budget.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures, and ends where something is not as it should be"
)]

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use audittrail_entry::{Random, Record};
use audittrail_merkle::{Edge, leaf_hash};
use audittrail_store::conformance::{Generator, ORIGIN, signer};
use audittrail_store::{Batch, BatchEntry, Node, Store};
use audittrail_store_mongo::{Identity, MongoStore, Options, encode};
use mongodb::bson::RawDocumentBuf;
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use mongodb::{Client, Collection};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

#[allow(dead_code, reason = "the tests kill it")]
#[path = "../tests/it/server.rs"]
mod server;

const ENTRIES: usize = 1_000;
const TURNS: usize = 60;
const BUDGET: f64 = 0.8;

struct Dice(Mutex<StdRng>);

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().fill_bytes(bytes);
    }
}

async fn open(url: &str) -> MongoStore {
    let identity = Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![signer().verifier()],
    };
    let random = Arc::new(Dice(Mutex::new(StdRng::seed_from_u64(1))));
    let opened = MongoStore::open(url, &identity, Options::default(), random).await;
    opened.unwrap().0
}

async fn bare(url: &str) -> Collection<RawDocumentBuf> {
    // The same indexes.
    open(url).await;
    let mut options = ClientOptions::parse(url).await.unwrap();
    let concern = WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true);
    options.write_concern = Some(concern.build());
    options.retry_writes = Some(false);
    let name = options.default_database.clone().unwrap();
    let client = Client::with_options(options).unwrap();
    client.database(&name).collection("entries")
}

async fn commit(store: &MongoStore, edge: &mut Edge, entries: &[(Uuid, Record)]) -> Duration {
    // Planning is the sequencer's.
    let before = edge.clone();
    let mut nodes = Vec::new();
    let planned = entries.iter().map(|(id, record)| {
        let leaf_hash = leaf_hash(&record.leaf);
        Node::push_leaf(edge, leaf_hash, &mut nodes);
        BatchEntry {
            id: *id,
            record,
            leaf_hash,
        }
    });
    let batch = Batch {
        first_index: before.size(),
        entries: planned.collect(),
        nodes,
    };
    let begin = Instant::now();
    store
        .commit(before.head(), batch, edge.head())
        .await
        .unwrap();
    begin.elapsed()
}

#[tokio::main]
async fn main() -> ExitCode {
    let (url, bare_url) = (server::new_database().await, server::new_database().await);
    let (store, bare) = (open(&url).await, bare(&bare_url).await);
    let mut edge = store.lead().await.unwrap();
    let mut generator = Generator::new(1);
    let (mut commits, mut inserts) = (Duration::ZERO, Duration::ZERO);
    let mut index = 0;
    for turn in 0..TURNS + 2 {
        let entries: Vec<_> = (0..ENTRIES).map(|_| generator.entry()).collect();
        let documents: Vec<RawDocumentBuf> = (index..)
            .zip(&entries)
            .map(|(index, (id, record))| encode(index, 1, *id, record))
            .collect();
        index += ENTRIES as u64;
        let begin = Instant::now();
        bare.insert_many(&documents).await.unwrap();
        let inserted = begin.elapsed();
        let committed = commit(&store, &mut edge, &entries).await;
        // The first turns warm up.
        if turn >= 2 {
            commits += committed;
            inserts += inserted;
        }
    }
    let rate = |time: Duration| (TURNS * ENTRIES) as f64 / time.as_secs_f64();
    let ratio = rate(commits) / rate(inserts);
    println!("commits of {ENTRIES}:   {:>8.0} entries/s", rate(commits));
    println!(
        "bare insertMany: {:>8.0} entries/s, one task",
        rate(inserts)
    );
    println!("ratio: {ratio:.2}, budget {BUDGET}");
    if ratio >= BUDGET {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
