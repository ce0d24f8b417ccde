//! Copies of a log: while it grows, on a disk that fails or forgets, and of what must not be copied.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use audittrail_entry::KeyRing;
use audittrail_merkle::TreeHead;
use audittrail_store::conformance::{self, Generator, Log, ORIGIN};
use audittrail_store::{Reader, Store, Verdict};
use audittrail_store_embedded::disk::{Disk, FaultMode, Mode, Operation, SimulatedDisk, SyncPoint};
use audittrail_store_embedded::{
    BackupInput, BackupReport, DataDirectory, Earlier, EmbeddedStore, FsckInput, FsckReport,
    Identity, Inline, Options, Purpose, Secrets, StartError, backup, fsck, write_key,
};

use crate::support::{START, block_on, files};

const DATA: &str = "/data";
const COPY: &str = "/copy";
const RESTORED: &str = "/restored";

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

fn open(disk: &Arc<dyn Disk>, data: &str) -> Result<Arc<dyn Store>, StartError> {
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

fn back_up(disk: &Arc<dyn Disk>) -> Result<BackupReport, StartError> {
    copied(disk, (DATA, COPY), Purpose::Backup, |_| {})
}

fn restore(disk: &Arc<dyn Disk>) -> Result<BackupReport, StartError> {
    copied(disk, (COPY, RESTORED), Purpose::Restore, |_| {})
}

fn checked(disk: &Arc<dyn Disk>, data: &str, keys: Option<&KeyRing>) -> FsckReport {
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
fn grow(store: &Arc<dyn Store>, log: &mut Log, generator: &mut Generator, batches: usize) {
    block_on(async {
        for _ in 0..batches {
            let count = 1 + generator.numbers.below(7);
            let entries = (0..count).map(|_| generator.entry()).collect();
            log.commit(store, entries).await;
        }
    });
}

/// A log of several segments whose last entries lie beyond its checkpoint.
fn filled(disk: &Arc<dyn Disk>, seed: u64) -> (Arc<dyn Store>, Log, Generator) {
    let store = open(disk, DATA).unwrap();
    let (mut log, mut generator) = (Log::default(), Generator::new(seed));
    grow(&store, &mut log, &mut generator, 12);
    block_on(log.keep_checkpoint(&store));
    grow(&store, &mut log, &mut generator, 2);
    (store, log, generator)
}

fn new_disk(seed: u64) -> (SimulatedDisk, Arc<dyn Disk>) {
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

/// The process ends in each operation of a first backup, of a later one and of a restore; the
/// power goes, too. What was whole is whole, what is not cannot be taken for it, and the next run
/// completes it.
fn interrupted(seed: u64, left_out: Option<SyncPoint>) -> Result<(u64, u64), String> {
    let (mut unfinished, mut ended) = (0, 0);
    for at in 0.. {
        let (simulated, disk) = new_disk(seed + at);
        let (store, mut log, mut generator) = filled(&disk, 10);
        left_out
            .into_iter()
            .for_each(|point| simulated.leave_out(point));
        let stage = at % 3;
        let mut whole = 0;
        if stage > 0 {
            whole = back_up(&disk).map_err(|error| error.to_string())?.entries;
            grow(&store, &mut log, &mut generator, 12);
            block_on(log.keep_checkpoint(&store));
        }
        drop(store);
        let run = |disk: &Arc<dyn Disk>| match stage {
            0 | 1 => back_up(disk),
            _ => restore(disk),
        };
        simulated.end_after(at / 3);
        let outcome = run(&disk);
        simulated.heal();
        simulated.cut_power();
        if outcome.is_ok() {
            ended += 1;
            if ended == 3 {
                return Ok((at, unfinished));
            }
        } else {
            unfinished += 1;
        }
        let wrong = |what: String| format!("stage {stage}, ended in operation {}: {what}", at / 3);
        if stage > 0 {
            // A backup that was whole holds what it held.
            let there = checked(&disk, COPY, Some(&ring()));
            if there.checkpoint.is_none() || there.entries < whole.min(12) {
                return Err(wrong(format!("the backup lost something: {there:?}")));
            }
        }
        let target = if stage == 2 { RESTORED } else { COPY };
        let names = disk.list(Path::new(target)).unwrap_or_default();
        let startable = names
            .iter()
            .any(|name| name == "checkpoint" || name == "log")
            && open(&disk, target).is_ok();
        if startable != (stage == 2 && outcome.is_ok()) {
            return Err(wrong(format!("a server starts there: {startable}")));
        }
        if startable {
            let store = open(&disk, target).map_err(|error| wrong(error.to_string()))?;
            if block_on(store.head()).unwrap().size < whole {
                return Err(wrong("a part was restored".to_owned()));
            }
            continue;
        }
        let report = run(&disk).map_err(|error| wrong(format!("it cannot go on: {error}")))?;
        simulated.cut_power();
        let there = checked(&disk, target, Some(&ring()));
        let expected = if stage == 2 { whole } else { log.size() };
        if (there.found, there.entries, report.found) != (0, expected, 0) {
            return Err(wrong(format!("the next run left {there:?} of {expected}")));
        }
    }
    Ok((0, unfinished))
}

#[test]
fn a_copy_that_is_interrupted_anywhere_is_completed() {
    for seed in [100, 2_000] {
        let (tried, unfinished) = interrupted(seed, None).unwrap();
        assert!(
            unfinished > 60 && tried > unfinished,
            "{tried} {unfinished}"
        );
    }
}

/// Each sync of a copy is there for something.
#[test]
fn without_any_one_sync_of_a_copy_something_is_lost() {
    for point in [
        SyncPoint::BackupMarkerFile,
        SyncPoint::BackupMarkerName,
        SyncPoint::BackupNames,
        SyncPoint::BackupSegment,
    ] {
        let lost = (0..20).any(|round| interrupted(round * 7_919, Some(point)).is_err());
        assert!(lost, "{point:?} can be left out");
    }
}

/// A write or another operation fails, once at each place: the reason is given, nothing that was
/// there is lost, and the next run completes it.
#[test]
fn a_disk_that_fails_or_is_full_is_told_and_gone_on_with() {
    for operation in [
        Operation::Open,
        Operation::Write,
        Operation::SyncData,
        Operation::Rename,
        Operation::SyncDirectory,
        Operation::CreateDirectory,
    ] {
        for mode in [FaultMode::NotDone, FaultMode::Done, FaultMode::Partly] {
            for at in 0.. {
                let (simulated, disk) = new_disk(77);
                let (store, mut log, mut generator) = filled(&disk, 11);
                back_up(&disk).unwrap();
                grow(&store, &mut log, &mut generator, 12);
                block_on(log.keep_checkpoint(&store));
                simulated.fail(operation, at, mode);
                let outcome = back_up(&disk);
                simulated.heal();
                let Err(error) = outcome else { break };
                let said = error.to_string();
                assert!(said.contains("injected fault"), "{said}");
                assert!(checked(&disk, COPY, None).checkpoint.is_some());
                let report = back_up(&disk).unwrap();
                assert_eq!(report.entries, log.size(), "{operation:?} {mode:?} {at}");
                assert_eq!(checked(&disk, COPY, Some(&ring())).found, 0);
            }
        }
    }
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
