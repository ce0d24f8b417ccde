//! Closed segments that were packed: everything reads as before, and damage is seen.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audittrail_store::conformance::{Generator, Log, ORIGIN};
use audittrail_store::{Reader, Store, Stored, Verdict};
use audittrail_store_embedded::disk::RealDisk;
use audittrail_store_embedded::{
    DataDirectory, EmbeddedStore, FsckInput, FsckReport, Inline, Options, PackedSegment,
    StartReport, fsck,
};

use crate::edited::{identity, keys};
use crate::support::{START, block_on};

const ENTRIES: usize = 300;

fn open(data: &Path) -> (Arc<EmbeddedStore>, StartReport) {
    let directory = DataDirectory::open(Arc::new(RealDisk), data).unwrap();
    let options = Options {
        segment_bytes: 48 << 10,
        ..Options::default()
    };
    let inline = Arc::new(Inline);
    let opened = EmbeddedStore::open(directory, &identity(), options, START, inline).unwrap();
    (Arc::new(opened.0), opened.1)
}

fn check(data: &Path) -> FsckReport {
    let (keys, identity) = (keys(), identity());
    let input = FsckInput {
        identity: &identity,
        keys: Some(&keys),
        since: None,
    };
    let disk = Arc::new(RealDisk) as Arc<dyn audittrail_store_embedded::disk::Disk>;
    fsck(&disk, data, &input, &mut |_, _| {}).unwrap()
}

/// A log of several segments, below a checkpoint.
fn fill(store: &Arc<EmbeddedStore>) -> Log {
    let shared = Arc::clone(store) as Arc<dyn Store>;
    let (mut log, mut generator) = (Log::default(), Generator::new(7));
    block_on(async {
        for _ in 0..ENTRIES / 3 {
            let batch = (0..3).map(|_| generator.entry()).collect();
            log.commit(&shared, batch).await;
        }
        log.keep_checkpoint(&shared).await;
    });
    while store.step_index().unwrap().entries > 0 {}
    log
}

fn pack_all(store: &EmbeddedStore) -> Vec<PackedSegment> {
    let (mut packed, mut from) = (Vec::new(), 0);
    loop {
        let packing = store.pack_next(from, &mut || true);
        let Some(one) = packing.outcome else {
            return packed;
        };
        packed.push(one.unwrap());
        from = packing.next;
    }
}

fn everything(store: &EmbeddedStore) -> Vec<Stored> {
    let size = block_on(store.head()).unwrap().size;
    let stored = block_on(store.scan(0..size, usize::MAX)).unwrap();
    let all: Vec<u64> = (0..size).collect();
    let each = block_on(store.records(&all)).unwrap();
    assert_eq!(format!("{stored:?}"), format!("{each:?}"));
    let some: Vec<u64> = (0..size).rev().step_by(7).collect();
    for (index, one) in some.iter().zip(block_on(store.records(&some)).unwrap()) {
        assert_eq!(format!("{one:?}"), format!("{:?}", stored[*index as usize]));
    }
    stored
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(data.join("log")).unwrap();
    let mut paths: Vec<_> = names.map(|name| name.unwrap().path()).collect();
    paths.sort();
    paths
}

fn bytes(paths: &[PathBuf]) -> u64 {
    paths
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum()
}

#[test]
fn a_packed_log_is_the_same_log() {
    let data = tempfile::tempdir().unwrap();
    let (store, _) = open(data.path());
    fill(&store);
    let before = everything(&store);
    let files = segments(data.path());
    let size_before = bytes(&files);
    assert!(files.len() >= 3, "{files:?}");

    let packed = pack_all(&store);
    // All but the last, which is written to.
    assert_eq!(packed.len(), files.len() - 1);
    assert!(
        packed
            .iter()
            .all(|one| one.kept && one.packed_bytes < one.bytes)
    );
    assert_eq!(segments(data.path()), files);
    let freed: u64 = packed.iter().map(|one| one.bytes - one.packed_bytes).sum();
    assert_eq!(bytes(&files), size_before - freed);
    assert!(pack_all(&store).is_empty());
    assert_eq!(format!("{:?}", everything(&store)), format!("{before:?}"));
    drop(store);

    // Read anew, also by who makes the derived files from it.
    let report = check(data.path());
    assert_eq!(report.found, 0, "{report:?}");
    for derived in ["tree", "locations", "index"] {
        std::fs::remove_dir_all(data.path().join(derived)).unwrap();
    }
    let (store, report) = open(data.path());
    assert!(
        report.tree_rebuilt && report.locations_rebuilt > 1,
        "{report:?}"
    );
    assert_eq!(format!("{:?}", everything(&store)), format!("{before:?}"));
    // It goes on.
    drop(store);
    assert_eq!(check(data.path()).found, 0);
}

/// Makes the tree from the log reads segments before the last of them is written to again.
#[test]
fn what_is_written_after_the_tree_was_made_anew_is_read_when_its_segment_is_closed() {
    let data = tempfile::tempdir().unwrap();
    let (store, _) = open(data.path());
    let mut log = fill(&store);
    drop(store);
    std::fs::remove_dir_all(data.path().join("tree")).unwrap();
    let (store, report) = open(data.path());
    assert!(report.tree_rebuilt);
    let closed = segments(data.path()).len();
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let mut generator = Generator::new(9);
    block_on(async {
        for _ in 0..ENTRIES {
            log.commit(&shared, vec![generator.entry()]).await;
        }
        log.keep_checkpoint(&shared).await;
    });
    assert!(segments(data.path()).len() > closed + 1);
    let damaged = everything(&store)
        .into_iter()
        .filter(|one| one.record.is_err());
    assert_eq!(damaged.count(), 0);
}

#[test]
fn nothing_is_packed_above_the_checkpoint_or_when_told_not_to() {
    let data = tempfile::tempdir().unwrap();
    let (store, _) = open(data.path());
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let (mut log, mut generator) = (Log::default(), Generator::new(8));
    block_on(async {
        for _ in 0..ENTRIES {
            log.commit(&shared, vec![generator.entry()]).await;
        }
    });
    assert!(segments(data.path()).len() >= 3);
    assert_eq!(pack_all(&store), []);
    block_on(log.keep_checkpoint(&shared));
    let stopped = store.pack_next(0, &mut || false).outcome.unwrap();
    assert_eq!(stopped.unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert!(!data.path().join("log/pack.seg.tmp").exists());
    assert!(!pack_all(&store).is_empty());
}

#[test]
fn damage_in_a_packed_segment_fails_the_entries_it_hits_and_no_others() {
    let data = tempfile::tempdir().unwrap();
    let (store, _) = open(data.path());
    fill(&store);
    let before = everything(&store);
    assert!(pack_all(&store).len() > 1);
    drop(store);
    let path = segments(data.path())[0].clone();
    let sound = std::fs::read(&path).unwrap();
    let mut changed = sound.clone();
    changed[sound.len() / 3] ^= 4;
    std::fs::write(&path, &changed).unwrap();

    let (store, report) = open(data.path());
    assert!(!report.tree_rebuilt, "{report:?}");
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let reader = Reader::new(shared, keys(), ORIGIN.to_owned());
    let checked = block_on(reader.check(everything(&store))).unwrap();
    let (mut failed, mut verified) = (0, 0);
    for (one, was) in checked.iter().zip(&before) {
        match one.verdict {
            Verdict::Failed(_) => failed += 1,
            Verdict::Verified => {
                verified += 1;
                assert_eq!(one.record.as_ref(), was.record.as_ref().ok());
            }
        }
    }
    assert!(
        failed > 0 && failed < 100 && verified == before.len() - failed,
        "{failed}"
    );
    drop((store, reader));
    assert!(check(data.path()).found > 0);

    // A copy of what is kept twice is only missed by who looks for it.
    let mut changed = sound.clone();
    changed[sound.len() - 1] ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let report = check(data.path());
    assert_eq!(report.found, 1, "{report:?}");
    assert!(
        report.findings[0].what.contains("one of the two headers"),
        "{report:?}"
    );

    // Cut, all of it is damaged, and nothing else.
    std::fs::write(&path, &sound[..sound.len() - 40]).unwrap();
    let (store, _) = open(data.path());
    let damaged = everything(&store)
        .into_iter()
        .filter(|one| one.record.is_err());
    let second: u64 = segments(data.path())[1]
        .file_stem()
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(damaged.count() as u64, second);
    drop(store);
    assert!(check(data.path()).found > 0);
    std::fs::write(&path, &sound).unwrap();
    assert_eq!(check(data.path()).found, 0);
}
