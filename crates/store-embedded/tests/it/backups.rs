//! Copies of a log: while it grows, and of what must not be copied.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use audittrail_entry::{KeyRing, Record};
use audittrail_merkle::TreeHead;
use audittrail_store::conformance::{self, Generator, Log, ORIGIN};
use audittrail_store::{Reader, Store, Verdict};
use audittrail_store_embedded::disk::{Disk, Mode, SimulatedDisk};
use audittrail_store_embedded::{
    BackupInput, BackupMarker, BackupReport, BackupState, DataDirectory, Earlier, EmbeddedStore,
    FsckInput, FsckReport, Identity, Inline, Options, Purpose, Secrets, StartError, backup, fsck,
    write_key,
};

use uuid::Uuid;

use crate::support::{START, block_on, files};

pub(crate) const DATA: &str = "/data";
pub(crate) const COPY: &str = "/copy";
pub(crate) const RESTORED: &str = "/restored";

fn identity() -> Identity {
    Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![conformance::signer().verifier()],
    }
}

pub(crate) fn ring() -> KeyRing {
    KeyRing {
        current: conformance::signing_key(),
        earlier: Vec::new(),
    }
}

pub(crate) fn open(disk: &Arc<dyn Disk>, data: &str) -> Result<Arc<dyn Store>, StartError> {
    let directory = DataDirectory::open(Arc::clone(disk), Path::new(data))?;
    let options = Options {
        segment_bytes: 4_096,
        ..Options::default()
    };
    let (store, _) = EmbeddedStore::open(directory, &identity(), options, START, Arc::new(Inline))?;
    Ok(Arc::new(store))
}

fn copied(
    disk: &Arc<dyn Disk>,
    (from, to): (&str, &str),
    purpose: Purpose,
    more: impl FnOnce(&mut BackupInput<'_>),
) -> Result<BackupReport, StartError> {
    let identity = identity();
    let mut input = BackupInput {
        disk,
        from: Path::new(from),
        to: Path::new(to),
        identity: &identity,
        purpose,
        secrets: Secrets::LeftOut,
        compare: false,
        earlier: &[],
    };
    more(&mut input);
    backup(&input, &mut |_, _| {})
}

pub(crate) fn back_up(disk: &Arc<dyn Disk>) -> Result<BackupReport, StartError> {
    copied(disk, (DATA, COPY), Purpose::Backup, |_| {})
}

pub(crate) fn restore(disk: &Arc<dyn Disk>) -> Result<BackupReport, StartError> {
    copied(disk, (COPY, RESTORED), Purpose::Restore, |_| {})
}

pub(crate) fn checked(disk: &Arc<dyn Disk>, data: &str, keys: Option<&KeyRing>) -> FsckReport {
    let input = FsckInput {
        identity: &identity(),
        keys,
        since: None,
    };
    fsck(disk, Path::new(data), &input, &mut |_, _| {}).unwrap()
}

fn refusal<T>(outcome: Result<T, StartError>) -> String {
    match outcome {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.to_string(),
    }
}

/// Entries in batches of one to seven.
pub(crate) fn grow(
    store: &Arc<dyn Store>,
    log: &mut Log,
    generator: &mut Generator,
    batches: usize,
) {
    block_on(async {
        for _ in 0..batches {
            let count = 1 + generator.numbers.below(7);
            let entries = (0..count).map(|_| generator.entry()).collect();
            log.commit(store, entries).await;
        }
    });
}

/// A log of several segments whose last entries lie beyond its checkpoint.
pub(crate) fn filled(disk: &Arc<dyn Disk>, seed: u64) -> (Arc<dyn Store>, Log, Generator) {
    let store = open(disk, DATA).unwrap();
    let (mut log, mut generator) = (Log::default(), Generator::new(seed));
    grow(&store, &mut log, &mut generator, 12);
    block_on(log.keep_checkpoint(&store));
    grow(&store, &mut log, &mut generator, 2);
    (store, log, generator)
}

pub(crate) fn new_disk(seed: u64) -> (SimulatedDisk, Arc<dyn Disk>) {
    let simulated = SimulatedDisk::new(seed);
    let disk = Arc::new(simulated.clone());
    (simulated, disk)
}

/// What of a directory belongs to the log itself.
fn log_files(disk: &Arc<dyn Disk>, data: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files(disk, Path::new(data)).into_iter();
    files.filter(|(path, _)| path.starts_with("log")).collect()
}

#[test]
fn a_log_is_copied_as_it_grows_and_restored() {
    let (_, disk) = new_disk(1);
    let (store, mut log, mut generator) = filled(&disk, 7);
    let first = back_up(&disk).unwrap();
    assert_eq!((first.entries, first.new_entries), (log.size(), log.size()));
    let checkpoint = log.checkpoint.as_ref().unwrap().head;
    assert!(checkpoint.size < log.size(), "there is something beyond it");
    assert_eq!((first.checkpoint, first.found), (checkpoint, 0));
    assert!(log_files(&disk, COPY).len() > 2, "several segments");
    assert_eq!(log_files(&disk, COPY), log_files(&disk, DATA));
    let again = back_up(&disk).unwrap();
    assert_eq!((again.new_bytes, again.entries), (0, log.size()));
    for _ in 0..4 {
        grow(&store, &mut log, &mut generator, 5);
        block_on(log.keep_checkpoint(&store));
        grow(&store, &mut log, &mut generator, 1);
        let before = log_files(&disk, COPY)
            .iter()
            .map(|one| one.1.len())
            .sum::<usize>();
        let report = back_up(&disk).unwrap();
        let after = log_files(&disk, COPY)
            .iter()
            .map(|one| one.1.len())
            .sum::<usize>();
        assert_eq!(report.entries, log.size());
        // The headers of new segments are not counted.
        let headers = (after - before) as u64 - report.new_bytes;
        assert!(headers.is_multiple_of(88) && headers < 1_000, "{headers}");
        assert_eq!(log_files(&disk, COPY), log_files(&disk, DATA));
    }
    // The tree in it is the log's own, up to the checkpoint; what else is derived is left out.
    let report = checked(&disk, COPY, Some(&ring()));
    assert_eq!(
        (report.found, report.entries),
        (0, log.size()),
        "{report:?}"
    );
    let names = disk.list(Path::new(COPY)).unwrap();
    assert_eq!(
        names,
        ["backup", "checkpoint", "keys", "locations", "log", "tree"]
    );
    assert_eq!(disk.list(&Path::new(COPY).join("keys")).unwrap(), [""; 0]);
    // Comparing all of it finds it equal.
    let compared = copied(&disk, (DATA, COPY), Purpose::Backup, |input| {
        input.compare = true;
    });
    assert_eq!(compared.unwrap().new_bytes, 0);
    drop(store);

    let why = refusal(open(&disk, COPY));
    assert!(
        why.contains("is a backup") && why.contains("restore"),
        "{why}"
    );
    let report = restore(&disk).unwrap();
    assert_eq!(report.entries, log.size());
    let store = open(&disk, RESTORED).unwrap();
    block_on(log.check(&store));
    // It goes on, and a backup of it is one of the same log.
    grow(&store, &mut log, &mut generator, 2);
    block_on(log.keep_checkpoint(&store));
    let onward = copied(&disk, (RESTORED, COPY), Purpose::Backup, |_| {}).unwrap();
    assert_eq!(onward.entries, log.size());
}

#[test]
fn keys_are_copied_only_where_that_was_said() {
    let (_, disk) = new_disk(2);
    let (store, ..) = filled(&disk, 8);
    for name in ["begun", "signing.key", "checkpoint.key"] {
        write_key(&*disk, Path::new(DATA), name, name.as_bytes()).unwrap();
    }
    let keys = |of: &str| disk.list(&Path::new(of).join("keys")).unwrap();
    assert_eq!(back_up(&disk).unwrap().keys, [""; 0]);
    assert_eq!(keys(COPY), ["begun"]);
    let with = |input: &mut BackupInput<'_>| input.secrets = Secrets::Copied;
    let report = copied(&disk, (DATA, COPY), Purpose::Backup, with).unwrap();
    assert_eq!(report.keys, ["checkpoint.key", "signing.key"]);
    assert_eq!(keys(COPY), ["begun", "checkpoint.key", "signing.key"]);
    drop(store);
    copied(&disk, (COPY, RESTORED), Purpose::Restore, with).unwrap();
    assert_eq!(keys(RESTORED), keys(COPY));
}

/// Whatever was acknowledged before a backup began is in it, and what is in it is the log.
#[test]
fn a_log_under_load_is_copied() {
    let (_, disk) = new_disk(3);
    let (store, mut log, mut generator) = filled(&disk, 9);
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(log.size()));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..400 {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                grow(&store, &mut log, &mut generator, 1);
                acknowledged.store(log.size(), Ordering::Release);
                if generator.numbers.one_in(3) {
                    block_on(log.keep_checkpoint(&store));
                }
            }
            stop.store(true, Ordering::Release);
        });
        let (mut last, mut round) = (0, 0);
        while !stop.load(Ordering::Acquire) {
            round += 1;
            let before = acknowledged.load(Ordering::Acquire);
            let report = back_up(&disk).unwrap_or_else(|error| {
                stop.store(true, Ordering::Release);
                panic!("{error}")
            });
            let sound = checked(&disk, COPY, Some(&ring()));
            if report.entries < before || sound.found > 0 || report.entries < last {
                stop.store(true, Ordering::Release);
                panic!("{round}: {before} acknowledged, {report:?} {sound:?}");
            }
            last = report.entries;
        }
    });
    drop(store);
    back_up(&disk).unwrap();
    restore(&disk).unwrap();
    block_on(log.check(&open(&disk, RESTORED).unwrap()));
}

/// Two histories with one name and key, another log, an older one, and a directory of somebody.
#[test]
fn what_is_not_the_same_log_is_refused() {
    let (_, disk) = new_disk(4);
    let (store, mut log, mut generator) = filled(&disk, 12);
    back_up(&disk).unwrap();
    let old = files(&disk, Path::new(COPY));
    grow(&store, &mut log, &mut generator, 8);
    block_on(log.keep_checkpoint(&store));
    back_up(&disk).unwrap();
    let newer = log_files(&disk, COPY);
    drop(store);
    // The log is put back to what it was: the backup is ahead of it, and stays as it is.
    crate::support::write_files(&disk, Path::new("/older"), &old);
    let from_older = |to: &str| copied(&disk, ("/older", to), Purpose::Backup, |_| {});
    let why = refusal(from_older(COPY));
    assert!(why.contains("the log is an older copy"), "{why}");
    assert_eq!(log_files(&disk, COPY), newer);
    // A backup of a backup is one.
    from_older("/of-older").unwrap();
    // From there another history, which grows beyond the first.
    copied(&disk, ("/older", "/other"), Purpose::Restore, |_| {}).unwrap();
    let other = open(&disk, "/other").unwrap();
    let head = block_on(other.head()).unwrap();
    let mut second = Log::default();
    let known = log.entries[..head.size as usize].to_vec();
    second.accept(second.plan(known));
    assert_eq!(second.edge.head(), head);
    let mut numbers = Generator::new(99);
    while second.size() <= log.size() {
        grow(&other, &mut second, &mut numbers, 3);
    }
    block_on(second.keep_checkpoint(&other));
    drop(other);
    let why = refusal(copied(&disk, ("/other", COPY), Purpose::Backup, |_| {}));
    assert!(
        why.contains("another history") || why.contains("is not what a copy of this log is"),
        "{why}"
    );
    assert_eq!(log_files(&disk, COPY), newer);
    // Another log.
    let identity = Identity {
        origin: "log.example/other".to_owned(),
        keys: identity().keys,
    };
    let input = BackupInput {
        disk: &disk,
        from: Path::new(DATA),
        to: Path::new(COPY),
        identity: &identity,
        purpose: Purpose::Backup,
        secrets: Secrets::LeftOut,
        compare: false,
        earlier: &[],
    };
    assert!(refusal(backup(&input, &mut |_, _| {})).contains("it is of the log"));
    // What is somebody else's is left alone, as is a log that is in use.
    disk.create_directory(Path::new("/home")).unwrap();
    disk.open(Path::new("/home/thesis"), Mode::Create).unwrap();
    let why = refusal(copied(&disk, (DATA, "/home"), Purpose::Backup, |_| {}));
    assert!(why.contains("neither empty nor a backup"), "{why}");
    let why = refusal(copied(&disk, (COPY, DATA), Purpose::Restore, |_| {}));
    assert!(why.contains("neither empty nor a backup"), "{why}");
    let why = refusal(copied(&disk, (COPY, "/of-older"), Purpose::Restore, |_| {}));
    assert!(why.contains("is a backup itself"), "{why}");
    let why = refusal(copied(&disk, (DATA, RESTORED), Purpose::Restore, |_| {}));
    assert!(why.contains("is no backup"), "{why}");
    let why = refusal(copied(&disk, ("/home", "/new"), Purpose::Backup, |_| {}));
    assert!(why.contains("there is no checkpoint"), "{why}");
    assert_eq!(files(&disk, Path::new("/home")).len(), 1);
}

/// Each byte of a log below the checkpoint, changed: a backup of it names the damage and copies
/// all the same, or is refused; never is it said to be sound.
#[test]
fn damage_in_the_log_is_named_and_copied_as_it_is() {
    let (_, disk) = new_disk(5);
    let (store, log, _) = filled(&disk, 13);
    drop(store);
    let sound = files(&disk, Path::new(DATA));
    let segment = PathBuf::from("log/00000000000000000000.seg");
    let (mut copies, mut refusals) = (0, 0);
    for at in (0..sound[&segment].len()).step_by(7) {
        let (_, disk) = new_disk(6);
        let mut changed = sound.clone();
        changed.get_mut(&segment).unwrap()[at] ^= 1 << (at % 8);
        crate::support::write_files(&disk, Path::new(DATA), &changed);
        let report = match back_up(&disk) {
            Err(StartError::Refused(why)) => {
                assert!(why.contains("00000000000000000000.seg"), "{at}: {why}");
                refusals += 1;
                continue;
            }
            other => other.unwrap(),
        };
        copies += 1;
        assert!(report.found > 0, "{at}");
        assert_eq!(report.findings[0].file, segment.to_str().unwrap());
        assert_eq!(log_files(&disk, COPY)[0].1, changed[&segment], "{at}");
        // And so is the restored log: what is damaged is shown as failed, the rest is sound.
        restore(&disk).unwrap();
        let store = open(&disk, RESTORED).unwrap();
        let head: TreeHead = block_on(store.head()).unwrap();
        assert_eq!(head, log.edge.head());
        let reader = Reader::new(Arc::clone(&store), ring(), ORIGIN.to_owned());
        let all: Vec<u64> = (0..head.size).collect();
        let read = block_on(async {
            let stored = store.records(&all).await.unwrap();
            reader.check(stored).await.unwrap()
        });
        for one in &read {
            if one.verdict == Verdict::Verified {
                let (record, index) = (one.record.as_ref(), one.index as usize);
                assert_eq!(record, Some(&log.entries[index].1), "{at}");
            }
        }
        let failed = read.iter().filter(|one| one.verdict != Verdict::Verified);
        assert!(failed.count() <= 7, "{at}: more than a batch");
    }
    assert!(
        copies > 300 && refusals < copies / 10,
        "{copies} {refusals}"
    );
}

/// A backup that is older than what is known elsewhere is not gone on with.
#[test]
fn an_older_backup_is_not_restored() {
    let (_, disk) = new_disk(7);
    let (store, mut log, mut generator) = filled(&disk, 14);
    let small = log.checkpoint.as_ref().unwrap().head;
    back_up(&disk).unwrap();
    grow(&store, &mut log, &mut generator, 3);
    let newest = log.edge.head();
    block_on(log.keep_checkpoint(&store));
    drop(store);
    let other = TreeHead {
        size: small.size - 1,
        root: newest.root,
    };
    let restored = |head: TreeHead| {
        let name = "the watermark /elsewhere".to_owned();
        let earlier = [Earlier { head, name }];
        let identity = identity();
        let input = BackupInput {
            disk: &disk,
            from: Path::new(COPY),
            to: Path::new(RESTORED),
            identity: &identity,
            purpose: Purpose::Restore,
            secrets: Secrets::Copied,
            compare: false,
            earlier: &earlier,
        };
        backup(&input, &mut |_, _| {})
    };
    for (head, says) in [
        (newest, format!("this log had {} entries", newest.size)),
        (other, "another history".to_owned()),
    ] {
        // Twice: the second run goes on where the first stopped, and decides the same.
        for _ in 0..2 {
            let why = refusal(restored(head));
            assert!(why.contains(&says) && why.contains("/elsewhere"), "{why}");
            let why = refusal(open(&disk, RESTORED));
            assert!(why.contains("was not finished"), "{why}");
        }
    }
    restored(small).unwrap();
    drop(open(&disk, RESTORED).unwrap());
}

/// A log with each entry in a batch of its own, and a checkpoint of the first so many.
fn log_of(disk: &Arc<dyn Disk>, data: &str, entries: &[(Uuid, Record)], covered: u64) -> Log {
    let store = open(disk, data).unwrap();
    let mut log = Log::default();
    block_on(async {
        for entry in entries {
            log.commit(&store, vec![entry.clone()]).await;
            if log.size() == covered {
                log.keep_checkpoint(&store).await;
            }
        }
    });
    log
}

fn rewrite(disk: &Arc<dyn Disk>, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let path = Path::new(path);
    let file = disk.open(path, Mode::Write).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    change(&mut bytes);
    file.set_len(0).unwrap();
    file.write_at(&bytes, 0).unwrap();
}

/// An edit whose checksums fit is seen by the batch's root, a history whose roots fit by the
/// checkpoint's, and one in the copy by a comparison.
#[test]
fn edits_are_seen_whatever_else_fits() {
    const SEGMENT: &str = "log/00000000000000000000.seg";
    let (_, disk) = new_disk(8);
    let mut generator = Generator::new(15);
    let mut entries: Vec<(Uuid, Record)> = (0..30).map(|_| generator.small_entry()).collect();
    log_of(&disk, DATA, &entries, 25);
    back_up(&disk).unwrap();

    // One bit of the copy, which only a comparison reads again.
    let copied_segment = format!("{COPY}/{SEGMENT}");
    rewrite(&disk, &copied_segment, |bytes| bytes[300] ^= 1);
    let changed = log_files(&disk, COPY);
    assert_eq!(back_up(&disk).unwrap().new_bytes, 0);
    let why = refusal(copied(&disk, (DATA, COPY), Purpose::Backup, |input| {
        input.compare = true;
    }));
    assert!(why.contains("is not the one of the log"), "{why}");
    assert_eq!(log_files(&disk, COPY), changed, "it is left as it was");

    // One leaf of the log, with a checksum that fits.
    let (first, second) = (&entries[0].1, &entries[1].1);
    let sealed = first.sealed.as_ref().unwrap().bytes.len();
    let at = 88 + 72 + 84 + first.leaf.len() + sealed + 72;
    let leaf = at + 84..at + 84 + second.leaf.len();
    rewrite(&disk, &format!("{DATA}/{SEGMENT}"), |bytes| {
        bytes[leaf.start + 12] ^= 1;
        let mut summed = 1_u64.to_le_bytes().to_vec();
        for part in [at..at + 8, at + 16..at + 52, leaf] {
            summed.extend(&bytes[part]);
        }
        let checksum = crc32c::crc32c(&summed);
        bytes[at + 8..at + 12].copy_from_slice(&checksum.to_le_bytes());
    });
    let report = copied(&disk, (DATA, "/edited"), Purpose::Backup, |_| {}).unwrap();
    assert_eq!((report.found, report.findings[0].index), (1, Some(1)));
    let checked = checked(&disk, "/edited", Some(&ring()));
    let changed = checked.findings.iter().filter(|one| one.index == Some(1));
    assert!(changed.count() > 0, "{checked:?}");

    // Another history of as many entries, under the checkpoint of this one.
    entries[5] = generator.small_entry();
    log_of(&disk, "/forged", &entries, 25);
    let note = files(&disk, Path::new(DATA))[Path::new("checkpoint")].clone();
    rewrite(&disk, "/forged/checkpoint", |bytes| *bytes = note);
    let why = refusal(copied(&disk, ("/forged", "/new"), Purpose::Backup, |_| {}));
    assert!(why.contains("do not give the checkpoint's root"), "{why}");
    let why = refusal(copied(&disk, ("/forged", COPY), Purpose::Backup, |_| {}));
    assert!(why.contains("another history"), "{why}");
}

/// A log in segments of many pages, whose checkpoint covers all of it.
fn filled_in_pages(disk: &Arc<dyn Disk>) -> (Arc<EmbeddedStore>, Log) {
    let directory = DataDirectory::open(Arc::clone(disk), Path::new(DATA)).unwrap();
    let options = Options {
        segment_bytes: 48 << 10,
        ..Options::default()
    };
    let opened = EmbeddedStore::open(directory, &identity(), options, START, Arc::new(Inline));
    let store = Arc::new(opened.unwrap().0);
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let (mut log, mut generator) = (Log::default(), Generator::new(21));
    grow(&shared, &mut log, &mut generator, 80);
    block_on(log.keep_checkpoint(&shared));
    (store, log)
}

/// How many entries of a copy are shown as failed; all others have to be those of the log.
fn failed_in(disk: &Arc<dyn Disk>, data: &str, log: &Log) -> usize {
    let store = open(disk, data).unwrap();
    assert_eq!(block_on(store.head()).unwrap(), log.edge.head());
    let reader = Reader::new(Arc::clone(&store), ring(), ORIGIN.to_owned());
    let all: Vec<u64> = (0..log.size()).collect();
    let read = block_on(async {
        let stored = store.records(&all).await.unwrap();
        reader.check(stored).await.unwrap()
    });
    let mut failed = 0;
    for one in read {
        match one.verdict {
            Verdict::Verified => {
                let written = &log.entries[one.index as usize].1;
                assert_eq!(one.record.as_ref(), Some(written));
            }
            Verdict::Failed(_) => failed += 1,
        }
    }
    failed
}

/// Bad sectors: all that can be read is copied, what cannot is named, and a later run that can read
/// it fills it in. Packed or not.
#[test]
fn what_the_disk_does_not_give_is_named_and_the_rest_is_copied() {
    for packed in [false, true] {
        let (simulated, disk) = new_disk(31);
        let (store, log) = filled_in_pages(&disk);
        if packed {
            let mut packing = store.pack_next(0, &mut || true);
            while let Some(outcome) = packing.outcome {
                assert!(outcome.unwrap().kept);
                packing = store.pack_next(packing.next, &mut || true);
            }
        }
        drop(store);
        let mut segments = log_files(&disk, DATA);
        // The last one is not packed.
        segments.pop();
        let longest = segments.into_iter().max_by_key(|(_, bytes)| bytes.len());
        let (name, bytes) = longest.unwrap();
        let (path, len) = (&Path::new(DATA).join(&name), bytes.len() as u64);
        println!("packed: {packed}, {len} bytes of {}", name.display());
        let third = 2 * len / 3;
        // The header and what follows; a place in the middle; two in one page.
        for bytes in [
            0..600,
            len / 2..len / 2 + 1,
            third..third + 1,
            third + 9..third + 12,
        ] {
            simulated.make_unreadable(path, bytes).unwrap();
        }
        let report = back_up(&disk).unwrap();
        assert!(report.found > 0, "{report:?}");
        assert!(
            (4_096..=48 << 10).contains(&report.unreadable_bytes),
            "{report:?}"
        );
        for finding in &report.findings {
            assert_eq!(Path::new(&finding.file), name);
            assert!(finding.what.contains("cannot be read"), "{finding:?}");
        }
        assert_eq!(
            (report.entries, report.checkpoint),
            (log.size(), log.edge.head())
        );
        // It is not said to be sound by anybody.
        assert!(checked(&disk, COPY, Some(&ring())).found > 0);
        assert!(restore(&disk).unwrap().found > 0);
        let failed = failed_in(&disk, RESTORED, &log);
        assert!(failed > 0 && failed < log.size() as usize / 2, "{failed}");

        // The disk gives one of the places after all, and then all of them. What is lacking is looked
        // for without being told to, and is not forgotten.
        let state = |disk: &Arc<dyn Disk>| {
            let marker = BackupMarker::read(&**disk, Path::new(COPY)).unwrap();
            marker.unwrap().state
        };
        assert_eq!(state(&disk), BackupState::Lacking);
        simulated.make_readable();
        simulated.make_unreadable(path, third..third + 1).unwrap();
        let compare = |disk: &Arc<dyn Disk>| {
            copied(disk, (DATA, COPY), Purpose::Backup, |input| {
                input.compare = true;
            })
        };
        let again = back_up(&disk).unwrap();
        assert!(again.found > 0, "{again:?}");
        assert!(
            again.unreadable_bytes < report.unreadable_bytes,
            "{again:?}"
        );
        assert!(again.new_bytes > 0);
        assert_eq!(state(&disk), BackupState::Lacking);
        simulated.make_readable();
        let last = back_up(&disk).unwrap();
        assert_eq!((last.found, last.unreadable_bytes), (0, 0));
        assert_eq!(state(&disk), BackupState::Whole);
        assert_eq!(checked(&disk, COPY, Some(&ring())).found, 0);

        // What a copy has is not lost to it when the disk fails later.
        let whole = log_files(&disk, COPY);
        simulated.make_unreadable(path, 40..len - 200).unwrap();
        let late = compare(&disk).unwrap();
        assert!(late.found > 0 && late.unreadable_bytes > 0, "{late:?}");
        assert_eq!(log_files(&disk, COPY), whole);
        assert_eq!(checked(&disk, COPY, Some(&ring())).found, 0);
    }
}

/// Entries that no checkpoint covers yet are missed, too, where they cannot be read.
#[test]
fn what_cannot_be_read_beyond_the_checkpoint_is_named() {
    let (simulated, disk) = new_disk(32);
    let (store, log, _) = filled(&disk, 22);
    drop(store);
    let (path, bytes) = files(&disk, Path::new(DATA))
        .into_iter()
        .rfind(|(path, _)| path.starts_with("log"))
        .unwrap();
    let end = bytes.len() as u64;
    let path = Path::new(DATA).join(path);
    simulated.make_unreadable(&path, end - 1..end).unwrap();
    let report = back_up(&disk).unwrap();
    assert!(report.entries < log.size());
    let mut findings = report.findings.iter();
    assert!(
        findings.any(|one| one.what.contains("cannot be read")),
        "{report:?}"
    );
}
