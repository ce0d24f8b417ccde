//! Files that somebody edited, removed or replaced, and directories that can only be read.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use audittrail_entry::{KeyRing, Record};
use audittrail_store::conformance::{self, Generator, Log, ORIGIN};
use audittrail_store::{CommitErrorKind, KeptCheckpoint, Reader, Store, StoreErrorKind, Verdict};
use audittrail_store_embedded::disk::{DirectoryLock, Disk, DiskFile, Mode, RealDisk, SyncPoint};
use audittrail_store_embedded::{
    DataDirectory, EmbeddedStore, FsckInput, FsckReport, Identity, Inline, Options, StartError,
    fsck,
};
use uuid::Uuid;

use crate::support::{START, block_on};

const SEGMENT_HEADER: usize = 88;
const BATCH_HEADER: usize = 72;
const RECORD_HEADER: usize = 84;

pub(crate) fn identity() -> Identity {
    Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![conformance::signer().verifier()],
    }
}

pub(crate) fn keys() -> KeyRing {
    KeyRing {
        current: conformance::signing_key(),
        earlier: Vec::new(),
    }
}

fn try_open(data: &Path) -> Result<Arc<EmbeddedStore>, StartError> {
    let directory = DataDirectory::open(Arc::new(RealDisk), data)?;
    let (identity, options) = (identity(), Options::default());
    let opened = EmbeddedStore::open(directory, &identity, options, START, Arc::new(Inline))?;
    Ok(Arc::new(opened.0))
}

fn open(data: &Path) -> Arc<EmbeddedStore> {
    try_open(data).unwrap()
}

fn check_on(disk: &Arc<dyn Disk>, data: &Path) -> FsckReport {
    let (keys, identity) = (keys(), identity());
    let input = FsckInput {
        identity: &identity,
        keys: Some(&keys),
        since: None,
    };
    fsck(disk, data, &input, &mut |_, _| {}).unwrap()
}

fn check(data: &Path) -> FsckReport {
    check_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), data)
}

/// A log of these entries, a batch each, with a checkpoint and its index in files.
fn make_of(data: &Path, entries: Vec<(Uuid, Record)>) -> Log {
    let store = open(data);
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let mut log = Log::default();
    block_on(async {
        for entry in entries {
            log.commit(&shared, vec![entry]).await;
        }
        log.keep_checkpoint(&shared).await;
    });
    while store.step_index().unwrap().entries > 0 {}
    log
}

fn make(data: &Path, count: usize) -> Log {
    let mut generator = Generator::new(70);
    make_of(data, (0..count).map(|_| generator.entry()).collect())
}

fn segment(data: &Path) -> PathBuf {
    data.join("log/00000000000000000000.seg")
}

/// Where the record of an index begins, in a log whose batches have one record each.
fn place_of(log: &Log, index: usize) -> usize {
    let before = log.entries[..index].iter().map(|(_, record)| {
        let sealed = record.sealed.as_ref().unwrap();
        BATCH_HEADER + RECORD_HEADER + record.leaf.len() + sealed.bytes.len()
    });
    SEGMENT_HEADER + before.sum::<usize>() + BATCH_HEADER
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Gives a row of `locations/` another id, and a checksum that fits.
fn claim(data: &Path, index: u64, id: Uuid) {
    let path = data.join("locations/00000000000000000000.loc");
    let mut bytes = std::fs::read(&path).unwrap();
    let row = &mut bytes[index as usize * 32..][..32];
    row[..16].copy_from_slice(id.as_bytes());
    let mut summed = index.to_le_bytes().to_vec();
    summed.extend(&row[..28]);
    let checksum = crc32c::crc32c(&summed);
    row[28..].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn an_id_that_locations_claim_hides_no_entry_and_makes_none_sound() {
    let data = tempfile::tempdir().unwrap();
    let log = make(data.path(), 12);
    let id = |index: usize| log.entries[index].0;
    let invented = Uuid::from_u128(0x5eed);
    // What is sound keeps its id, whatever locations/ say.
    claim(data.path(), 3, id(8));
    // What cannot be read is asked for by the id it is said to have, as long as it is free.
    flip(&segment(data.path()), place_of(&log, 5) + RECORD_HEADER);
    claim(data.path(), 5, id(9));
    flip(&segment(data.path()), place_of(&log, 6) + RECORD_HEADER);
    claim(data.path(), 6, invented);
    flip(&segment(data.path()), place_of(&log, 7) + RECORD_HEADER);
    std::fs::remove_dir_all(data.path().join("index")).unwrap();
    for in_files in [false, true] {
        let store = open(data.path());
        if in_files {
            while store.step_index().unwrap().entries > 0 {}
        }
        let asked = [id(3), id(8), id(9), id(5), id(6), invented, id(7)];
        let found = block_on(store.find(&asked)).unwrap();
        let expected = [Some(3), Some(8), Some(9), None, None, Some(6), Some(7)];
        assert_eq!(found, expected, "index in files: {in_files}");
        let shared = Arc::clone(&store) as Arc<dyn Store>;
        let reader = Reader::new(Arc::clone(&shared), keys(), ORIGIN.to_owned());
        let stored = block_on(shared.records(&[5, 6, 7, 8])).unwrap();
        let checked = block_on(reader.check(stored)).unwrap();
        let failed = checked
            .iter()
            .filter(|one| one.verdict != Verdict::Verified);
        assert!(failed.map(|one| one.index).eq([5, 6, 7]));
    }
    let report = check(data.path());
    let named = report
        .findings
        .iter()
        .filter(|one| one.file.starts_with("locations/"));
    assert!(named.map(|one| one.index).eq([Some(3)]), "{report:?}");
}

/// Two logs that differ in the order of two entries: the index of one under the other.
#[test]
fn an_id_that_the_index_claims_is_compared_with_the_entry() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = make(one.path(), 12);
    let mut entries = log.entries.clone();
    entries.swap(2, 4);
    make_of(other.path(), entries);
    let index = one.path().join("index");
    std::fs::remove_dir_all(&index).unwrap();
    std::fs::rename(other.path().join("index"), &index).unwrap();

    let store = open(one.path());
    let (first, third) = (log.entries[0].0, log.entries[2].0);
    assert_eq!(block_on(store.find(&[first])).unwrap(), [Some(0)]);
    let error = block_on(store.find(&[third])).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.to_string().contains("entry 4"), "{error}");
    // The next step makes it anew.
    while store.step_index().unwrap().entries > 0 || !store.index_position().0 {}
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    block_on(log.check(&shared));
}

#[test]
fn an_id_that_stands_twice_is_found() {
    let data = tempfile::tempdir().unwrap();
    let mut generator = Generator::new(71);
    let mut entries: Vec<(Uuid, Record)> = (0..40).map(|_| generator.entry()).collect();
    // The store takes what it is given; it is the sequencer that never gives it this.
    for (from, to) in [(3, 20), (3, 30), (15, 39)] {
        entries[to] = entries[from].clone();
    }
    make_of(data.path(), entries.clone());
    std::fs::remove_dir_all(data.path().join("index")).unwrap();
    let report = check(data.path());
    let found: Vec<Option<u64>> = report.findings.iter().map(|one| one.index).collect();
    assert_eq!(found, [Some(20), Some(30), Some(39)], "{report:?}");
    assert!(report.findings[1].what.contains("entry 3 "), "{report:?}");
    assert!(!report.ids_left_out);
}

/// A header that is changed, with a checksum that fits, ends no check and fills no memory.
#[test]
fn an_index_far_beyond_the_log_is_named_and_passed_over() {
    let data = tempfile::tempdir().unwrap();
    let log = make(data.path(), 6);
    std::fs::remove_dir_all(data.path().join("index")).unwrap();
    let path = segment(data.path());
    let mut bytes = std::fs::read(&path).unwrap();
    let at = place_of(&log, 4) - BATCH_HEADER;
    for (field, value) in [(16, 1_u64 << 60), (32, (1 << 60) + 1)] {
        bytes[at + field..at + field + 8].copy_from_slice(&value.to_le_bytes());
    }
    let checksum = crc32c::crc32c(&bytes[at + 8..at + BATCH_HEADER]);
    bytes[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    // And a file whose name says the same.
    let name = format!("log/{:020}.seg", u64::MAX - 1);
    std::fs::copy(&path, data.path().join(&name)).unwrap();
    let report = check(data.path());
    let what: Vec<&str> = report
        .findings
        .iter()
        .map(|one| one.what.as_str())
        .collect();
    let far = what.iter().filter(|what| what.contains("far beyond"));
    assert_eq!(far.count(), 2, "{what:?}");
    assert!(
        what.iter().any(|what| what.contains("are missing")),
        "{what:?}"
    );
    assert!(report.found < 10, "{what:?}");
}

/// Passes nothing on that changes anything.
#[derive(Clone, Copy)]
struct ReadOnly;

fn read_only<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnly {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        match mode {
            Mode::Read => RealDisk.open(path, mode),
            Mode::Write | Mode::Create | Mode::Replace => read_only(),
        }
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }
    fn create_directory(&self, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        read_only()
    }
    fn sync_directory(&self, _: &Path, _: SyncPoint) -> io::Result<()> {
        read_only()
    }
    fn system_path(&self, path: &Path) -> Option<PathBuf> {
        RealDisk.system_path(path)
    }
    fn lock(&self, _: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        read_only()
    }
}

#[test]
fn a_directory_that_can_only_be_read_is_checked() {
    let data = tempfile::tempdir().unwrap();
    make(data.path(), 6);
    let before = names(data.path());
    let report = check_on(&(Arc::new(ReadOnly) as Arc<dyn Disk>), data.path());
    assert_eq!(
        (report.found, report.entries, report.indexed),
        (0, 6, Some(6))
    );
    assert_eq!(names(data.path()), before, "a check makes no file");
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(self::names(&path));
        }
        names.push(path);
    }
    names.sort();
    names
}

/// One commit of a store that nobody stands in the way of any more.
fn commit(store: &Arc<EmbeddedStore>, log: &Log) -> Result<(), CommitErrorKind> {
    let planned = log.plan(vec![Generator::new(72).entry()]);
    let mut after = log.clone();
    after.accept(planned.clone());
    let head = after.edge.head();
    block_on(store.commit(log.edge.head(), planned.batch(), head)).map_err(|error| error.kind())
}

#[test]
fn a_directory_that_is_taken_away_ends_the_writing() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 6] = [
        ("LOCK removed", |data| {
            std::fs::remove_file(data.join("LOCK")).unwrap();
        }),
        ("LOCK replaced", |data| {
            std::fs::remove_file(data.join("LOCK")).unwrap();
            std::fs::write(data.join("LOCK"), "").unwrap();
        }),
        ("log/ removed", |data| {
            std::fs::remove_dir_all(data.join("log")).unwrap();
        }),
        ("the segment replaced by a copy", |data| {
            let bytes = std::fs::read(segment(data)).unwrap();
            std::fs::remove_file(segment(data)).unwrap();
            std::fs::write(segment(data), bytes).unwrap();
        }),
        ("the directory removed", |data| {
            std::fs::remove_dir_all(data).unwrap();
        }),
        ("the directory moved", |data| {
            std::fs::rename(data, data.with_extension("moved")).unwrap();
        }),
    ];
    for (what, deed) in deeds {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("data");
        let log = make(&data, 3);
        let (store, beside) = (open(&data), log.sign());
        block_on(store.ready()).unwrap();
        deed(&data);
        let error = block_on(store.ready()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Fatal, "{what}");
        assert!(
            error.to_string().contains("under the running server"),
            "{error}"
        );
        let kept: Result<_, _> = block_on(store.keep_checkpoint(&beside));
        assert_eq!(kept.unwrap_err().kind(), StoreErrorKind::Fatal, "{what}");
        assert_eq!(commit(&store, &log), Err(CommitErrorKind::Fatal), "{what}");
        assert_eq!(block_on(store.head()).unwrap(), log.edge.head(), "{what}");
    }
}

/// Not before the write only: who took the directory while it was synced is noticed too.
#[test]
fn nothing_is_acknowledged_that_was_written_while_the_directory_was_taken_away() {
    let data = tempfile::tempdir().unwrap();
    let log = make(data.path(), 3);
    let disk = Arc::new(TakenAway(data.path().join("LOCK")));
    let directory = DataDirectory::open(disk, data.path()).unwrap();
    let (identity, options) = (identity(), Options::default());
    let opened = EmbeddedStore::open(directory, &identity, options, START, Arc::new(Inline));
    let store = Arc::new(opened.unwrap().0);
    assert_eq!(commit(&store, &log), Err(CommitErrorKind::Fatal));
    assert_eq!(block_on(store.head()).unwrap(), log.edge.head());
}

/// The real disk, on which LOCK vanishes while a batch is synced.
struct TakenAway(PathBuf);

struct TakenAwayFile(Arc<dyn DiskFile>, PathBuf);

impl DiskFile for TakenAwayFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self, point: SyncPoint) -> io::Result<()> {
        if point == SyncPoint::Batch {
            std::fs::remove_file(&self.1)?;
        }
        self.0.sync_data(point)
    }
    fn is_at(&self, path: &Path) -> io::Result<bool> {
        self.0.is_at(path)
    }
}

impl Disk for TakenAway {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let file = RealDisk.open(path, mode)?;
        Ok(Arc::new(TakenAwayFile(file, self.0.clone())))
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }
    fn sync_directory(&self, path: &Path, point: SyncPoint) -> io::Result<()> {
        RealDisk.sync_directory(path, point)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        RealDisk.lock(path)
    }
}

/// Files of another kind, or of a size that none of theirs has: an error at once, which names
/// them.
#[test]
fn what_is_no_file_or_too_large_is_refused_at_once() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed, &str); 5] = [
        (
            "a directory",
            |path| std::fs::create_dir(path).unwrap(),
            "is a directory",
        ),
        (
            "a pipe",
            |path| {
                let made = std::process::Command::new("mkfifo").arg(path).status();
                assert!(made.unwrap().success());
            },
            "pipe, socket or device",
        ),
        (
            "a socket",
            |path| {
                drop(std::os::unix::net::UnixListener::bind(path).unwrap());
            },
            "pipe, socket or device",
        ),
        (
            "a sparse file",
            |path| {
                std::fs::File::create(path)
                    .unwrap()
                    .set_len(1 << 40)
                    .unwrap();
            },
            "1099511627776 bytes",
        ),
        (
            "a device",
            |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
            "device",
        ),
    ];
    for (what, deed, said) in deeds {
        for name in [
            "LOCK",
            "checkpoint",
            "keys/signing.key",
            "log/00000000000000000000.seg",
        ] {
            let sparse = what == "a sparse file";
            if sparse && (name == "LOCK" || name.starts_with("log/")) {
                // Nobody reads LOCK, and a segment is read in parts.
                continue;
            }
            let data = tempfile::tempdir().unwrap();
            make(data.path(), 2);
            let path = data.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let _ = std::fs::remove_file(&path);
            deed(&path);
            let error = if name.starts_with("keys/") {
                let directory = DataDirectory::open(Arc::new(RealDisk), data.path()).unwrap();
                directory.read_key("signing.key").unwrap_err()
            } else {
                try_open(data.path()).err().unwrap()
            };
            let error = error.to_string();
            assert!(error.contains(said), "{name} is {what}: {error}");
            assert!(error.contains(name), "{name} is {what}: {error}");
        }
    }
}

/// Without tree/ the log alone has to give the checkpoint's root. Damage that leaves the leaf
/// alone is no reason to refuse; damage to the leaf is, and what helps is said.
#[test]
fn a_lost_tree_is_made_anew_from_leaves_that_give_the_root() {
    let data = tempfile::tempdir().unwrap();
    let log = make(data.path(), 5);
    let place = place_of(&log, 2);
    std::fs::remove_file(data.path().join("tree/00")).unwrap();
    let sealed_at = place + RECORD_HEADER + log.entries[2].1.leaf.len();
    flip(&segment(data.path()), sealed_at);
    // The checksum of the leaf as well: it is the root that counts.
    flip(&segment(data.path()), place + 8);
    let store = open(data.path());
    assert_eq!(block_on(store.head()).unwrap(), log.edge.head());
    let kept: KeptCheckpoint = log.sign();
    block_on(store.keep_checkpoint(&kept)).unwrap();
    drop(store);

    std::fs::remove_file(data.path().join("tree/00")).unwrap();
    flip(&segment(data.path()), place + RECORD_HEADER);
    let error = try_open(data.path()).err().unwrap().to_string();
    assert!(error.contains("Put tree/ back from a copy"), "{error}");
    // With its lengths gone it cannot even be found.
    flip(&segment(data.path()), place + 3);
    let error = try_open(data.path()).err().unwrap().to_string();
    assert!(error.contains("Put tree/ back from a copy"), "{error}");
}

/// What a crash leaves of a segment that has no name yet is gone after the next start.
#[test]
fn a_segment_without_a_name_is_removed() {
    let data = tempfile::tempdir().unwrap();
    let log = make(data.path(), 3);
    let left = data.path().join("log/new.seg.tmp");
    std::fs::write(&left, "half a header").unwrap();
    assert_eq!(check(data.path()).found, 0);
    let store = open(data.path());
    assert!(!left.exists());
    block_on(log.check(&(store as Arc<dyn Store>)));
}
