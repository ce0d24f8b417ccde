//! The embedded store passes the suite of stores, and a start finds what the suite left.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use audittrail_search_index::IndexOptions;
use audittrail_store::Store;
use audittrail_store::conformance::{self, Generator, Log, ORIGIN};
use audittrail_store_embedded::disk::{Disk, RealDisk, SimulatedDisk};
use audittrail_store_embedded::{DataDirectory, EmbeddedStore, Identity, Inline, Options};

use crate::support::START;

/// Small, so that a log of the suite has many segments and its reads cross them.
const SEGMENT_BYTES: u64 = 64 << 10;

/// Small, so that what the suite looks for lies in many segments of the index and in memory.
const SMALL: IndexOptions = IndexOptions {
    step_entries: 97,
    tail_entries: 150,
    tail_bytes: 256 << 20,
    writer_bytes: 15_000_000,
    counters: 64,
};

/// For logs of many entries, which would have a thousand segments otherwise.
const LARGE: IndexOptions = IndexOptions {
    step_entries: 8_000,
    tail_entries: 10_000,
    ..SMALL
};

fn options_for(entries: usize) -> IndexOptions {
    if entries < conformance::LARGE {
        SMALL
    } else {
        LARGE
    }
}

fn open(disk: Arc<dyn Disk>, path: &Path, index: IndexOptions) -> Arc<dyn Store> {
    let identity = Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![conformance::signer().verifier()],
    };
    let options = Options {
        segment_bytes: SEGMENT_BYTES,
        index,
    };
    let directory = DataDirectory::open(disk, path).unwrap();
    let (store, report) =
        EmbeddedStore::open(directory, &identity, options, START, Arc::new(Inline)).unwrap();
    assert!(report.cut.is_none(), "{:?}", report.cut);
    assert!(!report.tree_rebuilt && report.locations_rebuilt == 0);
    // What a start does not take into memory is indexed before anything is found.
    while !store.index_position().0 {
        store.step_index().unwrap();
    }
    Arc::new(store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_simulated_disk() {
    let seed = AtomicU64::new(0);
    conformance::run(async |entries| {
        let disk = SimulatedDisk::new(seed.fetch_add(1, Ordering::Relaxed));
        open(Arc::new(disk), Path::new("/data"), options_for(entries))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_real_disk() {
    let parent = tempfile::tempdir().unwrap();
    let count = AtomicU64::new(0);
    conformance::run(async |entries| {
        let name = count.fetch_add(1, Ordering::Relaxed).to_string();
        let path = parent.path().join(name);
        open(Arc::new(RealDisk), &path, options_for(entries))
    })
    .await;
}

/// After each start the log is the same, with its checkpoint at the head or below it.
async fn live_several_times(disk: impl Fn() -> Arc<dyn Disk>, path: &Path) {
    let mut log = Log::default();
    let mut generator = Generator::new(40);
    for (life, batches) in [
        &[][..],
        &[1],
        &[255, 1, 300],
        &[1, 1, 1],
        &[500, 7],
        &[],
        &[40_000, 30_000],
        &[3],
    ]
    .iter()
    .enumerate()
    {
        let index = if log.size() < 40_000 && batches.iter().all(|size| *size < 10_000) {
            SMALL
        } else {
            LARGE
        };
        let store = open(disk(), path, index);
        log.check(&store).await;
        // The first act after a start, as the sequencer's.
        log.keep_checkpoint(&store).await;
        for size in *batches {
            let large = *size > 1_000;
            let entries = (0..*size).map(|_| match large {
                true => generator.small_entry(),
                false => generator.entry(),
            });
            log.commit(&store, entries.collect()).await;
            if life % 3 != 1 {
                log.keep_checkpoint(&store).await;
            }
        }
        if life % 2 == 0 {
            log.commit(&store, vec![generator.entry()]).await;
        }
    }
    let store = open(disk(), path, LARGE);
    log.check(&store).await;
    assert_eq!(log.levels.len(), 3, "the log reaches level 16");
}

#[tokio::test]
async fn a_start_finds_the_same_log_on_a_simulated_disk() {
    let disk = SimulatedDisk::new(1);
    let new_life = || {
        disk.kill();
        Arc::new(disk.clone()) as Arc<dyn Disk>
    };
    live_several_times(new_life, Path::new("/data")).await;
}

#[tokio::test]
async fn a_start_finds_the_same_log_on_the_real_disk() {
    let parent = tempfile::tempdir().unwrap();
    let path: PathBuf = parent.path().join("data");
    live_several_times(|| Arc::new(RealDisk), &path).await;
}
