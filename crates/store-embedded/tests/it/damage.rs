//! A small store whose files are damaged in every way: each bit, each length, entries and segments
//! taken away or exchanged. Either the start is refused with a reason, or what is damaged is shown
//! as failed, or nothing is lost by it. Nothing else is ever shown as verified, and `fsck` names
//! what was changed, but for what [`SLACK`] lists.
//!
//! `AUDITTRAIL_DAMAGE=all` (`make damage`) flips every bit; without it one bit of every byte is
//! flipped, another one in each byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use audittrail_entry::{KeyRing, Record};
use audittrail_merkle::TreeHead;
use audittrail_store::conformance::{self, Generator, Log, ORIGIN};
use audittrail_store::{Reader, Store, StoreErrorKind, Verdict};
use audittrail_store_embedded::disk::{Disk, SimulatedDisk};
use audittrail_store_embedded::{
    DataDirectory, EmbeddedStore, FsckInput, FsckReport, Identity, Inline, Options, StartError,
    fsck,
};
use uuid::Uuid;

use crate::support::{START, block_on, files, write_files};

const DATA: &str = "/data";

/// What can be changed without `fsck` or a start telling, and why no harm comes of it. The same
/// table is in docs/formats.md.
const SLACK: [(Change, &str, &str); 2] = [
    (
        Change::Cut,
        "locations/",
        "rows that are missing are made anew from the log at the next start",
    ),
    (
        Change::Cut,
        "log/ beyond the checkpoint, where a batch begins",
        "entries that no checkpoint covers yet: a file cannot tell that it was longer",
    ),
];

type Files = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Flip,
    Cut,
}

/// A log as it was written, and its files.
struct Original {
    entries: Vec<(Uuid, Record)>,
    checkpoint: TreeHead,
    files: Files,
    /// How often a damaged entry was shown without its sealed part.
    open_parts: AtomicUsize,
}

/// What became of changed files.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// A server does not start on them.
    Refused(String),
    /// It starts, and says that something is wrong.
    Told,
    /// It starts and shows everything, verified.
    Sound,
    /// It starts and shows everything below the checkpoint, verified.
    Shorter,
}

fn identity() -> Identity {
    Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![conformance::signer().verifier()],
    }
}

fn ring() -> KeyRing {
    KeyRing {
        current: conformance::signing_key(),
        earlier: Vec::new(),
    }
}

fn disk_of(files: &Files) -> Arc<dyn Disk> {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    write_files(&disk, Path::new(DATA), files);
    disk
}

fn open(disk: &Arc<dyn Disk>) -> Result<(Arc<dyn Store>, bool), StartError> {
    let (store, told) = open_embedded(disk)?;
    Ok((store, told))
}

fn open_embedded(disk: &Arc<dyn Disk>) -> Result<(Arc<EmbeddedStore>, bool), StartError> {
    let directory = DataDirectory::open(Arc::clone(disk), Path::new(DATA))?;
    let options = Options {
        segment_bytes: 3_000,
        ..Options::default()
    };
    let opened = EmbeddedStore::open(directory, &identity(), options, START, Arc::new(Inline))?;
    let (store, report) = opened;
    let told = report.cut.is_some() || report.tree_rebuilt || report.locations_rebuilt > 0;
    Ok((Arc::new(store), told))
}

/// Three segments, in batches of one to three entries, with a batch beyond the checkpoint.
fn made_of(entries: &[(Uuid, Record)], checkpoint_before: usize) -> Original {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new(1));
    let (store, _) = open(&disk).unwrap();
    let mut log = Log::default();
    let mut rest = entries;
    let mut checkpoint = TreeHead::EMPTY;
    block_on(async {
        for count in [1, 3, 2].into_iter().cycle() {
            if log.size() as usize >= checkpoint_before && log.checkpoint.is_none() {
                log.keep_checkpoint(&store).await;
                checkpoint = log.edge.head();
            }
            if rest.is_empty() {
                break;
            }
            let (batch, after) = rest.split_at(rest.len().min(count));
            log.commit(&store, batch.to_vec()).await;
            rest = after;
        }
    });
    drop(store);
    Original {
        entries: entries.to_vec(),
        checkpoint,
        files: files(&disk, Path::new(DATA)),
        open_parts: AtomicUsize::new(0),
    }
}

fn entries() -> Vec<(Uuid, Record)> {
    let mut generator = Generator::new(1_234);
    (0..20).map(|_| generator.small_entry()).collect()
}

fn original() -> Original {
    let original = made_of(&entries(), 17);
    let segments = original.files.keys().filter(|path| path.starts_with("log"));
    assert_eq!(segments.count(), 3);
    assert!(original.checkpoint.size < 20);
    original
}

/// The same log, its full segments packed.
fn packed(original: Original) -> (Original, Vec<PathBuf>) {
    let disk = disk_of(&original.files);
    let (store, _) = open_embedded(&disk).unwrap();
    let (mut names, mut from) = (Vec::new(), 0);
    loop {
        let packing = store.pack_next(from, &mut || true);
        let Some(outcome) = packing.outcome else {
            break;
        };
        let packed = outcome.unwrap();
        assert!(packed.kept, "{packed:?}");
        names.push(PathBuf::from(format!("log/{:020}.seg", packed.first_index)));
        from = packing.next;
    }
    drop(store);
    let files = files(&disk, Path::new(DATA));
    (Original { files, ..original }, names)
}

impl Original {
    /// Starts on changed files and reads everything. What must never be is a panic.
    fn fate(&self, changed: &Files) -> Fate {
        let disk = disk_of(changed);
        let (store, told) = match open(&disk) {
            Ok(opened) => opened,
            Err(error) => {
                let why = error.to_string();
                assert!(why.len() > 20, "a reason: {why}");
                return Fate::Refused(why);
            }
        };
        let size = block_on(store.head()).unwrap().size;
        assert!(
            size >= self.checkpoint.size,
            "entries below the checkpoint are missing"
        );
        let reader = Reader::new(Arc::clone(&store), ring(), ORIGIN.to_owned());
        let indices: Vec<u64> = (0..size).collect();
        let read = block_on(async {
            let stored = store.records(&indices).await.unwrap();
            reader.check(stored).await.unwrap()
        });
        assert!(
            read.iter().map(|one| one.index).eq(0..size),
            "an entry is hidden"
        );
        let mut failed = 0;
        for one in read {
            if one.verdict == Verdict::Verified {
                let expected = self.entries.get(one.index as usize).map(|entry| &entry.1);
                assert_eq!(
                    one.record.as_ref(),
                    expected,
                    "entry {} is verified",
                    one.index
                );
            } else {
                failed += 1;
                // Of one whose sealed part alone is damaged the rest is what was written.
                let shown = one.record.filter(|record| record.sealed.is_none());
                if let Some(shown) = shown {
                    let written = &self.entries[one.index as usize].1;
                    assert_eq!(shown.leaf, written.leaf, "entry {} is shown", one.index);
                    assert_eq!(shown.signature, written.signature);
                    self.open_parts.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        assert_eq!(failed, reader.failed().len());
        // By its id every entry is found where it was, or the index says that it cannot tell.
        for (index, (id, _)) in (0..size).zip(&self.entries) {
            match block_on(store.find(&[*id])) {
                Ok(found) => assert!(
                    found == [Some(index)] || failed > 0,
                    "entry {index} is found at {found:?}"
                ),
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}"),
            }
        }
        match (failed > 0 || told, size as usize) {
            (true, _) => Fate::Told,
            (false, size) if size < self.entries.len() => Fate::Shorter,
            (false, _) => Fate::Sound,
        }
    }

    fn check(&self, changed: &Files, since: Option<TreeHead>) -> Result<FsckReport, StartError> {
        let input = FsckInput {
            identity: &identity(),
            keys: Some(&ring()),
            since,
        };
        fsck(&disk_of(changed), Path::new(DATA), &input, &mut |_, _| {})
    }

    /// Whether `fsck` says anything but that all is well.
    fn is_named(&self, changed: &Files) -> bool {
        self.check(changed, None)
            .map_or(true, |report| report.found > 0 || report.torn_bytes > 0)
    }

    /// The row of [`SLACK`] for a change, or a panic: nobody told of it.
    fn slack(&self, change: Change, path: &Path, at: usize, changed: &Files) -> usize {
        let row = match () {
            () if change == Change::Cut && path.starts_with("locations") => 0,
            () if change == Change::Cut && path.starts_with("log") => {
                assert_eq!(
                    self.fate(changed),
                    Fate::Shorter,
                    "{}: {at}",
                    path.display()
                );
                1
            }
            () => panic!("nothing told of {change:?} at {at} of {}", path.display()),
        };
        assert!(SLACK[row].0 == change && !SLACK[row].2.is_empty());
        row
    }
}

/// Counts of what became of changes, and of the rows of [`SLACK`] that were met.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    told: usize,
    unharmed: usize,
    slack: [usize; SLACK.len()],
}

/// Tries all changes, on all processors.
fn try_all(original: &Original, cases: &[(Change, PathBuf, usize)]) -> Tally {
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(threads)) {
            let tally = &tally;
            scope.spawn(move || {
                for (change, path, at) in part {
                    let mut changed = original.files.clone();
                    let bytes = changed.get_mut(path).unwrap();
                    match change {
                        Change::Flip => bytes[at / 8] ^= 1 << (at % 8),
                        Change::Cut => bytes.truncate(*at),
                    }
                    let (fate, named) = (original.fate(&changed), original.is_named(&changed));
                    let slack = (!named).then(|| original.slack(*change, path, *at, &changed));
                    let mut tally = tally.lock().unwrap();
                    match fate {
                        Fate::Refused(_) => tally.refused += 1,
                        Fate::Told => tally.told += 1,
                        Fate::Sound | Fate::Shorter => tally.unharmed += 1,
                    }
                    slack.into_iter().for_each(|row| tally.slack[row] += 1);
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

#[test]
fn the_original_is_sound() {
    let original = original();
    assert_eq!(original.fate(&original.files), Fate::Sound);
    assert!(!original.is_named(&original.files));
}

#[test]
fn each_bit_that_is_flipped_is_told_of_or_harmless() {
    let original = original();
    let all = std::env::var_os("AUDITTRAIL_DAMAGE").is_some_and(|what| what == "all");
    let mut cases = Vec::new();
    for (path, bytes) in &original.files {
        for byte in 0..bytes.len() {
            let bits = if all { 0..8 } else { byte % 8..byte % 8 + 1 };
            cases.extend(bits.map(|bit| (Change::Flip, path.clone(), 8 * byte + bit)));
        }
    }
    let tally = try_all(&original, &cases);
    println!("{} flips: {tally:?}", cases.len());
    assert!(cases.len() > 8_000);
    assert!(tally.refused > 100 && tally.told > 1_000, "{tally:?}");
    assert_eq!(tally.slack, [0, 0], "fsck names every bit of every file");
    // Sealed parts are a good part of the log.
    let open_parts = original.open_parts.into_inner();
    assert!(open_parts > 1_000, "{open_parts}");
}

/// A packed segment has a header and a table twice, and blocks: what is changed in one of two copies
/// harms nothing, what is changed in a block fails the entries in it, and `fsck` names both.
#[test]
fn each_bit_and_length_of_packed_segments_is_told_of_or_harmless() {
    let (original, names) = packed(original());
    assert_eq!(original.fate(&original.files), Fate::Sound);
    assert!(!original.is_named(&original.files));
    assert!(names.len() >= 2, "{names:?}");
    let all = std::env::var_os("AUDITTRAIL_DAMAGE").is_some_and(|what| what == "all");
    let (mut flips, mut cuts) = (Vec::new(), Vec::new());
    // The others are of one form.
    let some = if all { names.len() } else { 1 };
    for path in &names[..some] {
        for byte in 0..original.files[path].len() {
            let bits = if all { 0..8 } else { byte % 8..byte % 8 + 1 };
            flips.extend(bits.map(|bit| (Change::Flip, path.clone(), 8 * byte + bit)));
            cuts.push((Change::Cut, path.clone(), byte));
        }
    }
    let tally = try_all(&original, &flips);
    println!("{} flips: {tally:?}", flips.len());
    assert!(tally.told > 1_000 && tally.unharmed > 60, "{tally:?}");
    assert_eq!(tally.slack, [0, 0], "fsck names every bit");
    let tally = try_all(&original, &cuts);
    println!("{} cuts: {tally:?}", cuts.len());
    assert_eq!((tally.unharmed, tally.slack), (0, [0, 0]));
}

#[test]
fn each_length_that_a_file_is_cut_to_is_told_of_or_harmless() {
    let original = original();
    let mut cases = Vec::new();
    for (path, bytes) in &original.files {
        cases.extend((0..bytes.len()).map(|len| (Change::Cut, path.clone(), len)));
    }
    let tally = try_all(&original, &cases);
    println!("{} cuts: {tally:?}", cases.len());
    assert!(tally.refused > 5_000, "{tally:?}");
    // One batch of two entries lies beyond the checkpoint.
    assert!(tally.slack[0] > 0, "{tally:?}");
    assert_eq!(tally.slack[1], 2, "{tally:?}");
}

/// Somebody who can write a log, with all keys but the checkpoint's, writes it again without an
/// entry, with one more, with two exchanged or with one of another content: each checksum, chain and
/// root fits. The checkpoint is the one that was signed.
#[test]
fn entries_that_are_taken_out_put_in_or_changed_are_told_of() {
    let original = original();
    let covered = original.checkpoint.size as usize;
    let strange = Generator::new(77).small_entry();
    let mut forgeries: Vec<(String, Vec<(Uuid, Record)>)> = Vec::new();
    for at in 0..covered {
        let mut without = original.entries.clone();
        without.remove(at);
        forgeries.push((format!("{at} removed"), without));
        let mut with = original.entries.clone();
        with.insert(at, strange.clone());
        forgeries.push((format!("one before {at}"), with));
        let mut other = original.entries.clone();
        other[at] = strange.clone();
        forgeries.push((format!("{at} replaced"), other));
        if at + 1 < covered {
            let mut swapped = original.entries.clone();
            swapped.swap(at, at + 1);
            forgeries.push((format!("{at} and the next exchanged"), swapped));
        }
    }
    for len in 1..covered {
        let short = original.entries[..len].to_vec();
        forgeries.push((format!("all from {len} on removed"), short));
    }
    let mut fates = Vec::new();
    for (what, entries) in forgeries {
        let forged = made_of(&entries, covered.min(entries.len()));
        let derived = |path: &&PathBuf| path.starts_with("tree") || path.starts_with("locations");
        for derived_from in [Some(&original.files), Some(&forged.files), None] {
            let mut files = forged.files.clone();
            files.retain(|path, _| path.starts_with("log"));
            let more = derived_from.into_iter().flat_map(BTreeMap::iter);
            let more = more.filter(|(path, _)| derived(path));
            files.extend(more.map(|(path, bytes)| (path.clone(), bytes.clone())));
            let checkpoint = Path::new("checkpoint").to_owned();
            files.insert(checkpoint.clone(), original.files[&checkpoint].clone());
            let fate = original.fate(&files);
            assert!(
                matches!(fate, Fate::Refused(_) | Fate::Told),
                "{what}: {fate:?}"
            );
            assert!(original.is_named(&files), "{what}: fsck");
            fates.push(fate);
        }
    }
    let refused = fates.iter().filter(|fate| matches!(fate, Fate::Refused(_)));
    assert!(refused.count() > 100, "{}", fates.len());
}

#[test]
fn segments_that_are_removed_exchanged_or_doubled_are_told_of() {
    let original = original();
    let segments: Vec<&PathBuf> = {
        let paths = original.files.keys();
        paths.filter(|path| path.starts_with("log")).collect()
    };
    let mut cases: Vec<(String, Files)> = Vec::new();
    for one in &segments {
        let mut without = original.files.clone();
        without.remove(*one);
        cases.push((format!("without {}", one.display()), without));
        for other in segments.iter().filter(|other| other != &one) {
            let what = format!("{} as {}", one.display(), other.display());
            let mut copied = original.files.clone();
            copied.insert((*other).clone(), original.files[*one].clone());
            let mut exchanged = copied.clone();
            exchanged.insert((*one).clone(), original.files[*other].clone());
            cases.push((what.clone(), copied));
            cases.push((format!("{what}, exchanged"), exchanged));
        }
        for name in ["00000000000000000002.seg", "00000000000000000100.seg"] {
            let mut more = original.files.clone();
            more.insert(Path::new("log").join(name), original.files[*one].clone());
            cases.push((format!("{} as {name}, too", one.display()), more));
        }
    }
    for (what, files) in &cases {
        for derived in [true, false] {
            let mut files = files.clone();
            files.retain(|path, _| {
                derived || !(path.starts_with("tree") || path.starts_with("locations"))
            });
            let fate = original.fate(&files);
            assert!(
                matches!(fate, Fate::Refused(_) | Fate::Told),
                "{what}: {fate:?}"
            );
            assert!(original.is_named(&files), "{what}: fsck");
        }
    }
}

/// An old copy of the whole directory is sound by itself. A checkpoint from elsewhere shows it.
#[test]
fn an_old_copy_is_told_by_an_earlier_checkpoint() {
    let (older, original) = (made_of(&entries()[..8], 6), original());
    assert_eq!(older.fate(&older.files), Fate::Sound);
    assert!(!older.is_named(&older.files));
    let newer = original.checkpoint;
    let report = older.check(&older.files, Some(newer)).unwrap();
    assert_eq!(report.found, 1);
    assert!(report.findings[0].what.contains("--since"), "{report:?}");
    // The log itself, and what it was, go on from there.
    for since in [older.checkpoint, newer] {
        assert_eq!(
            original.check(&original.files, Some(since)).unwrap().found,
            0
        );
    }
    // Of the same size, another one.
    let other = TreeHead {
        size: older.checkpoint.size,
        root: newer.root,
    };
    let report = original.check(&original.files, Some(other)).unwrap();
    assert!(
        report.found > 0 && report.findings[0].what.contains("--since"),
        "{report:?}"
    );
}
