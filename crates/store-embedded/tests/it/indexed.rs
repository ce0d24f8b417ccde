//! The search index in its directory: made, damaged, deleted, put under another log, and what
//! a start, the follower and a check say of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audittrail_entry::KeyRing;
use audittrail_search_index::IndexOptions;
use audittrail_store::conformance::{self, Generator, Log, ORIGIN};
use audittrail_store::{Access, CountMode, Filter, Order, Query, Start, Store, StoreErrorKind};
use audittrail_store_embedded::disk::{Disk, RealDisk};
use audittrail_store_embedded::{
    DataDirectory, EmbeddedStore, FsckInput, FsckReport, Identity, Inline, Options, fsck,
};

use crate::support::{START, block_on};

const ENTRIES: usize = 700;

fn identity() -> Identity {
    Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![conformance::signer().verifier()],
    }
}

/// A start takes up to 50 entries into memory; whatever is more is indexed first.
fn open(data: &Path) -> Arc<EmbeddedStore> {
    let options = Options {
        index: IndexOptions {
            step_entries: 60,
            tail_entries: 100,
            writer_bytes: 15_000_000,
            ..IndexOptions::default()
        },
        ..Options::default()
    };
    let directory = DataDirectory::open(Arc::new(RealDisk), data).unwrap();
    let opened = EmbeddedStore::open(directory, &identity(), options, START, Arc::new(Inline));
    Arc::new(opened.unwrap().0)
}

fn follow(store: &EmbeddedStore) {
    while store.step_index().unwrap().entries > 0 || !store.index_position().0 {}
    store.settle_index().unwrap();
}

/// A log with all its entries in the index's files.
fn make(data: &Path) -> Log {
    let store = open(data);
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let mut log = Log::default();
    let mut generator = Generator::new(60);
    block_on(async {
        for _ in 0..ENTRIES / 70 {
            let entries = (0..70).map(|_| generator.entry()).collect();
            log.commit(&shared, entries).await;
        }
        log.keep_checkpoint(&shared).await;
    });
    follow(&store);
    assert_eq!(store.index_position(), (true, ENTRIES as u64));
    log
}

fn everything(size: u64) -> Query {
    Query {
        filter: Filter::default(),
        access: Access::default(),
        order: Order::NewestFirst,
        size,
        start: Start::Skip(0),
        limit: 10,
        count: CountMode::Exact,
        failed: Arc::default(),
    }
}

fn check(data: &Path) -> FsckReport {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let keys = KeyRing {
        current: conformance::signing_key(),
        earlier: Vec::new(),
    };
    let input = FsckInput {
        identity: &identity(),
        keys: Some(&keys),
        since: None,
    };
    fsck(&disk, data, &input, &mut |_, _| {}).unwrap()
}

fn files(index: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(index)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension != "lock")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_check_finds_a_sound_index_equal_to_the_log() {
    let data = tempfile::tempdir().unwrap();
    make(data.path());
    let report = check(data.path());
    assert_eq!((report.found, report.indexed), (0, Some(ENTRIES as u64)));
}

#[test]
fn a_deleted_index_is_built_anew_and_says_how_far_it_is() {
    let data = tempfile::tempdir().unwrap();
    let log = make(data.path());
    std::fs::remove_dir_all(data.path().join("index")).unwrap();
    assert_eq!(check(data.path()).indexed, None);

    let store = open(data.path());
    let query = everything(ENTRIES as u64);
    let error = block_on(store.search(&query)).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Building);
    assert!(error.to_string().contains("0 of 700 entries"), "{error}");
    let error = block_on(store.find(&[log.entries[0].0])).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Building);
    // What is committed meanwhile is found with the rest.
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let mut log = log;
    let entries = vec![Generator::new(61).entry()];
    let id = entries[0].0;
    block_on(log.commit(&shared, entries));
    store.step_index().unwrap();
    let (_, position) = store.index_position();
    assert!(position > 0);
    follow(&store);
    let page = block_on(store.search(&everything(log.size()))).unwrap();
    assert_eq!(page.count.unwrap().value, log.size());
    assert_eq!(block_on(store.find(&[id])).unwrap(), [Some(700)]);
    block_on(log.check(&shared));
}

/// One changed byte anywhere is either noticed or changes no answer.
#[test]
fn a_damaged_index_is_noticed_and_built_anew() {
    let data = tempfile::tempdir().unwrap();
    let log = make(data.path());
    let index = data.path().join("index");
    let mut noticed: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let pristine = tempfile::tempdir().unwrap();
    copy(&index, pristine.path());
    for file in files(&index) {
        let bytes = std::fs::read(&file).unwrap();
        let kind = file.extension().unwrap().to_string_lossy().into_owned();
        for part in 0..6 {
            let at = bytes.len() * (2 * part + 1) / 12;
            let mut changed = bytes.clone();
            changed[at] ^= 0x21;
            std::fs::write(&file, &changed).unwrap();
            let report = check(data.path());
            let (tried, found) = noticed.entry(kind.clone()).or_default();
            *tried += 1;
            *found += u32::from(report.found > 0);
            assert!(
                report
                    .findings
                    .iter()
                    .all(|finding| finding.file == "index"),
                "{:?}",
                report.findings
            );
        }
        std::fs::write(&file, &bytes).unwrap();
    }
    for kind in ["term", "idx", "pos", "fast"] {
        let (tried, found) = noticed[kind];
        assert!(found == tried && tried >= 6, "{noticed:?}");
    }

    // The server: whatever the byte, after the follower's check the answers are right.
    for file in files(&index) {
        std::fs::remove_dir_all(&index).unwrap();
        copy(pristine.path(), &index);
        let mut bytes = std::fs::read(&file).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 0x21;
        std::fs::write(&file, &bytes).unwrap();
        answers_rightly(data.path(), &log, &format!("{} changed", file.display()));
        std::fs::remove_dir_all(&index).unwrap();
        copy(pristine.path(), &index);
        std::fs::remove_file(&file).unwrap();
        answers_rightly(data.path(), &log, &format!("{} removed", file.display()));
        std::fs::remove_dir_all(&index).unwrap();
        copy(pristine.path(), &index);
        std::fs::File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_len(at as u64)
            .unwrap();
        answers_rightly(data.path(), &log, &format!("{} cut", file.display()));
    }
}

/// Opens the directory, lets the index be checked and follow, and compares it with the log.
fn answers_rightly(data: &Path, log: &Log, what: &str) {
    let store = open(data);
    // A checksum that does not hold is told, and makes the next step start anew.
    let _ = store.check_index();
    follow(&store);
    let page = block_on(store.search(&everything(log.size()))).unwrap();
    assert_eq!(page.count.unwrap().value, log.size(), "{what}");
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    block_on(log.check(&shared));
    drop((store, shared));
    let report = check(data);
    assert_eq!(report.findings, [], "{what}");
    assert_eq!(report.indexed, Some(log.size()), "{what}");
}

#[test]
fn an_index_of_another_log_is_not_believed() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = make(one.path());
    // The same name, another history, and longer.
    let store = open(other.path());
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let foreign = block_on(Log::fill(&shared, 62, &[400, 400]));
    follow(&store);
    assert_eq!(foreign.size(), 800);
    drop((store, shared));
    std::fs::remove_dir_all(one.path().join("index")).unwrap();
    copy(&other.path().join("index"), &one.path().join("index"));
    assert!(check(one.path()).found > 0);
    answers_rightly(one.path(), &log, "an index that is longer than the log");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
