//! Closed segments that were packed: everything reads as before, and damage is seen.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audittrail_store::conformance::{Generator, Log, ORIGIN};
use audittrail_store::{Reader, Store, Stored, Verdict};
use audittrail_store_embedded::disk::{Disk, Mode, RealDisk, SimulatedDisk, SyncPoint};
use audittrail_store_embedded::{
    DataDirectory, EmbeddedStore, FsckInput, FsckReport, Inline, Options, PackedSegment,
    StartReport, fsck,
};

use crate::edited::{identity, keys};
use crate::support::{START, block_on};

const ENTRIES: usize = 300;

fn open(data: &Path) -> (Arc<EmbeddedStore>, StartReport) {
    open_on(Arc::new(RealDisk), data, 48 << 10)
}

fn open_on(
    disk: Arc<dyn Disk>,
    data: &Path,
    segment_bytes: u64,
) -> (Arc<EmbeddedStore>, StartReport) {
    let directory = DataDirectory::open(disk, data).unwrap();
    let options = Options {
        segment_bytes,
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
    let disk = Arc::new(RealDisk) as Arc<dyn Disk>;
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

/// A disk that says it has written what it has not: the comparison reads from it, not from memory.
#[test]
fn what_did_not_reach_the_disk_does_not_take_the_name() {
    let (simulated, data) = (SimulatedDisk::new(11), Path::new("/log"));
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    let (store, _) = open_on(Arc::clone(&disk), data, 48 << 10);
    fill(&store);
    let before = everything(&store);
    simulated.lose(SyncPoint::PackedSegment);
    let failed = store.pack_next(0, &mut || true).outcome.unwrap();
    let why = failed.unwrap_err().to_string();
    assert!(why.contains("does not read the same when packed"), "{why}");
    drop(store);
    simulated.cut_power();
    let (store, _) = open_on(disk, data, 48 << 10);
    assert_eq!(format!("{:?}", everything(&store)), format!("{before:?}"));
}

/// What is not worth packing is tried once, and not at every start.
#[test]
fn what_was_not_worth_packing_is_remembered() {
    let (simulated, data) = (SimulatedDisk::new(12), Path::new("/log"));
    let disk: Arc<dyn Disk> = Arc::new(simulated);
    // One small entry a segment.
    let again = || open_on(Arc::clone(&disk), data, 1).0;
    let store = again();
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let (mut log, mut generator) = (Log::default(), Generator::new(4));
    block_on(async {
        for _ in 0..12 {
            log.commit(&shared, vec![generator.small_entry()]).await;
        }
        log.keep_checkpoint(&shared).await;
    });
    let unworthy = |packed: &[PackedSegment]| packed.iter().filter(|one| !one.kept).count();
    let first = pack_all(&store);
    assert_eq!(first.len(), 11);
    let tried = unworthy(&first);
    assert!(tried > 0, "{first:?}");
    drop((store, shared));
    assert_eq!(pack_all(&again()), []);

    // Without the list, or with one that says nothing, they are tried again.
    let list = data.join("unpacked");
    let read = |path: &Path| {
        let file = disk.open(path, Mode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    };
    let said = read(&list);
    assert!(said.starts_with(b"audittrail unpacked 1\n"));
    for changed in [Some(vec![0xff; 900]), Some(vec![b'1'; 2 << 20]), None] {
        disk.remove(&list).unwrap();
        if let Some(bytes) = changed {
            let file = disk.open(&list, Mode::Replace).unwrap();
            file.write_at(&bytes, 0).unwrap();
        }
        assert_eq!(unworthy(&pack_all(&again())), tried);
        assert_eq!(read(&list), said);
    }
    // A segment of another length is another segment.
    let other = String::from_utf8(said).unwrap();
    let (first, rows) = other.split_once('\n').unwrap();
    let other = format!("{first}\n{}", rows.replace(' ', " 1"));
    let file = disk.open(&list, Mode::Replace).unwrap();
    file.write_at(other.as_bytes(), 0).unwrap();
    assert_eq!(unworthy(&pack_all(&again())), tried);
}

/// A bad sector takes the entries that lie in it, and no others; what is kept twice is read from the
/// other copy.
#[test]
fn bad_sectors_in_a_packed_segment_cost_what_lies_in_them() {
    let (simulated, data) = (SimulatedDisk::new(13), Path::new("/log"));
    let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
    let (store, _) = open_on(Arc::clone(&disk), data, 48 << 10);
    fill(&store);
    let before = everything(&store);
    pack_all(&store);
    drop(store);
    let path = data.join("log/00000000000000000000.seg");
    let len = disk.open(&path, Mode::Read).unwrap().len().unwrap();
    let failed = || {
        let (store, _) = open_on(Arc::clone(&disk), data, 48 << 10);
        let mut failed = 0;
        for (one, was) in everything(&store).iter().zip(&before) {
            match &one.record {
                Ok(record) => assert_eq!(Ok(record), was.record.as_ref()),
                Err(_) => failed += 1,
            }
        }
        failed
    };
    for (bytes, costs) in [
        (0..4, false),
        (len - 4..len, false),
        (len / 2..len / 2 + 1, true),
    ] {
        simulated.make_unreadable(&path, bytes.clone()).unwrap();
        let failed = failed();
        assert_eq!(failed > 0, costs, "{bytes:?}: {failed}");
        assert!(failed < 100, "{bytes:?}: {failed}");
        simulated.make_readable();
    }
}
