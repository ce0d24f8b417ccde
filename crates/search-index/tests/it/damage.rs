//! Files that are not as they were written: noticed and made anew, or harmless; and in no case
//! a panic that gets out.

use std::path::{Path, PathBuf};

use audittrail_search_index::SearchIndex;
use proptest::prelude::*;

use crate::support::{Log, ORIGIN, cases, options};

#[derive(Debug, Clone, Copy)]
enum Damage {
    FlipBit,
    FlipByte,
    Zeros,
    Truncate,
    Delete,
    Append,
    Empty,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        6 => Just(Damage::FlipBit),
        3 => Just(Damage::FlipByte),
        2 => Just(Damage::Zeros),
        2 => Just(Damage::Truncate),
        1 => Just(Damage::Delete),
        1 => Just(Damage::Append),
        1 => Just(Damage::Empty),
    ]
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(files) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Does it somewhere in a file; `at` is a place between 0 and 1.
fn inflict(damage: Damage, path: &Path, at: f64) {
    let mut bytes = std::fs::read(path).unwrap();
    let place = ((bytes.len() as f64 * at) as usize).min(bytes.len().saturating_sub(1));
    match damage {
        Damage::Delete => return std::fs::remove_file(path).unwrap(),
        Damage::Append => bytes.extend([0, 1, 2]),
        Damage::Empty => bytes.clear(),
        _ if bytes.is_empty() => {}
        Damage::FlipBit => bytes[place] ^= 1 << (place % 8),
        Damage::FlipByte => bytes[place] ^= 0xFF,
        Damage::Zeros => {
            let end = bytes.len().min(place + 16);
            bytes[place..end].fill(0);
        }
        Damage::Truncate => bytes.truncate(place),
    }
    std::fs::write(path, bytes).unwrap();
}

/// An index of several segments, a merged one among them, and a log that goes on beyond it.
fn written(directory: &Path) -> Log {
    let log = Log::of(40, 150);
    let index = log.open(Some(directory), options(14));
    // From the log: three segments, of 70 entries at most.
    while index.position() < 140 {
        index.step(&log).unwrap();
    }
    log
}

/// Small segments, until some were merged.
fn merged(directory: &Path) -> Log {
    let mut log = Log::of(41, 5);
    let index = log.open_whole(Some(directory), options(10));
    for _ in 0..10 {
        log.grow(12);
        log.push(&index, 12);
        index.step(&log).unwrap();
        index.settle().unwrap();
    }
    log
}

/// The next process, and what it makes of the files.
fn recovers(log: &Log, directory: &Path, check_first: bool) {
    let mut numbers = log.numbers.clone();
    let index = log.open(Some(directory), options(14));
    let mut noticed = index.position() == 0;
    if check_first {
        noticed |= index.check_files().is_err();
    } else {
        // Somebody asks before anything was checked.
        index.catch_up(log.size(), log).unwrap();
        log.try_questions(&index, &mut numbers, 25);
        noticed |= index.check_files().is_err();
    }
    if noticed {
        // The first step begins anew; it may meet the damage itself.
        let _ = index.step(log);
    }
    log.follow(&index);
    log.check(&index, &mut numbers, 25);
    while index.step(log).unwrap().entries > 0 {}
    index.settle().unwrap();
    assert_eq!(index.position(), log.size());
    log.check(&index, &mut numbers, 25);
    drop(index);
    let index = log.open_whole(Some(directory), options(14));
    assert_eq!(index.position(), log.size(), "what was made anew stays");
    log.check(&index, &mut numbers, 10);
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn damaged_files_are_noticed_or_harmless(
        make_merged in any::<bool>(),
        file in any::<prop::sample::Index>(),
        damage in damage(),
        at in 0.0..1.0_f64,
        check_first in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let log = match make_merged {
            true => merged(directory.path()),
            false => written(directory.path()),
        };
        inflict(damage, file.get::<PathBuf>(&files(directory.path())), at);
        recovers(&log, directory.path(), check_first);
    }
}

/// A file that changes while the index is open, and is merged with others before anybody
/// checks: what is wrong in it must not get a good checksum.
#[test]
fn a_merge_takes_in_no_damage() {
    for (at, extension) in [(0.3, "idx"), (0.5, "term"), (0.4, "fast"), (0.2, "pos")] {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::of(42, 60);
        let mut numbers = log.numbers.clone();
        let index = log.open(Some(directory.path()), options(10));
        while index.position() < 50 {
            index.step(&log).unwrap();
        }
        log.follow(&index);
        for file in files(directory.path()) {
            if file.extension().is_some_and(|found| found == extension) {
                // In place, as a bad disk would.
                use std::os::unix::fs::FileExt as _;
                let mut byte = [0];
                let open = std::fs::File::options().read(true).write(true).open(&file);
                let open = open.unwrap();
                let place = (open.metadata().unwrap().len() as f64 * at) as u64;
                open.read_exact_at(&mut byte, place).unwrap();
                open.write_all_at(&[byte[0] ^ 0x11], place).unwrap();
            }
        }
        for _ in 0..10 {
            log.grow(10);
            log.push(&index, 10);
            // A step may fail over the damage; the one after it goes on.
            let _ = index.step(&log);
            let _ = index.settle();
        }
        let _ = index.check_files();
        let _ = index.step(&log);
        log.follow(&index);
        log.check(&index, &mut numbers, 40);
        while index.step(&log).unwrap().entries > 0 {}
        log.check(&index, &mut numbers, 40);
        index.check_files().unwrap();
    }
}

#[test]
fn what_says_nothing_is_made_anew() {
    let texts: [&[u8]; 10] = [
        b"",
        b"{}",
        b"null",
        b"[]",
        b"\0\0\0\0",
        b"{\"segments\":[],\"schema\":[],\"opstamp\":0}",
        b"{\"segments\":[{\"segment_id\":\"x\",\"max_doc\":1,\"deletes\":null}],\"schema\":[],\"opstamp\":0}",
        b"\xff\xfe",
        b"{\"index_settings\":",
        &[b'['; 100_000],
    ];
    for text in texts {
        let directory = tempfile::tempdir().unwrap();
        let log = written(directory.path());
        std::fs::write(directory.path().join("meta.json"), text).unwrap();
        recovers(&log, directory.path(), true);
    }
}

#[test]
fn an_index_of_another_log_is_made_anew() {
    // Of another name; of a longer log; of one that went another way.
    let directory = tempfile::tempdir().unwrap();
    let log = written(directory.path());
    let foreign = SearchIndex::open(
        Some(directory.path()),
        [8; 32],
        log.size(),
        &log,
        options(14),
    );
    assert_eq!(foreign.unwrap().position(), 0);
    assert!(files(directory.path()).is_empty(), "it was emptied");

    let log = written(directory.path());
    let shorter = Log::of(40, 139);
    let index = shorter.open_whole(Some(directory.path()), options(14));
    let mut numbers = shorter.numbers.clone();
    shorter.check(&index, &mut numbers, 20);
    drop(index);

    std::fs::remove_dir_all(directory.path()).unwrap();
    written(directory.path());
    let same = Log::of(40, 140);
    let index = SearchIndex::open(Some(directory.path()), ORIGIN, 140, &same, options(14));
    assert_eq!(
        index.unwrap().position(),
        140,
        "as long as the log is no longer"
    );

    let other = Log::of(43, 150);
    assert_ne!(other.id(139), log.id(139));
    let index = other.open(Some(directory.path()), options(14));
    assert_eq!(index.position(), 0);
    drop(index);
    recovers(&other, directory.path(), true);
}

/// One that is in order is left as it is.
#[test]
fn sound_files_pass() {
    for make in [written, merged] {
        let directory = tempfile::tempdir().unwrap();
        let log = make(directory.path());
        let index = log.open(Some(directory.path()), options(14));
        let position = index.position();
        assert!(position > 90);
        index.check_files().unwrap();
        let empty = tempfile::tempdir().unwrap();
        copy(directory.path(), empty.path());
        drop(index);
        let index = log.open_whole(Some(empty.path()), options(14));
        assert_eq!(index.position(), position);
        log.check(&index, &mut log.numbers.clone(), 30);
    }
}

/// A process that died while it opened the index leaves a file that says so: the next one reads
/// everything before it opens it again.
#[test]
fn after_a_death_while_opening_everything_is_read_first() {
    let directory = tempfile::tempdir().unwrap();
    let log = written(directory.path());
    let opening = directory.path().join("opening");
    assert!(!opening.exists());
    std::fs::write(&opening, "").unwrap();
    // Nothing is wrong with it: it is kept.
    assert_eq!(
        log.open(Some(directory.path()), options(14)).position(),
        140
    );
    assert!(!opening.exists());
    for file in files(directory.path()) {
        if file.extension().is_some_and(|found| found == "idx") {
            inflict(Damage::FlipBit, &file, 0.4);
        }
    }
    std::fs::write(&opening, "").unwrap();
    assert_eq!(log.open(Some(directory.path()), options(14)).position(), 0);
    recovers(&log, directory.path(), true);
}

/// Without the library's list of its own files the checksums still are compared.
#[test]
fn files_are_checked_without_the_list_of_them() {
    let directory = tempfile::tempdir().unwrap();
    let log = written(directory.path());
    std::fs::remove_file(directory.path().join(".managed.json")).unwrap();
    for file in files(directory.path()) {
        if file.extension().is_some_and(|found| found == "idx") {
            inflict(Damage::FlipBit, &file, 0.4);
        }
    }
    let index = log.open(Some(directory.path()), options(14));
    assert!(index.position() == 0 || index.check_files().is_err());
    drop(index);
    recovers(&log, directory.path(), true);
}
