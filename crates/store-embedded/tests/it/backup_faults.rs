//! Copies of a log on a disk that fails, is full or forgets.

use std::path::Path;
use std::sync::Arc;

use audittrail_store_embedded::disk::{Disk, FaultMode, Operation, SyncPoint};

use crate::backups::{
    COPY, RESTORED, back_up, checked, filled, grow, new_disk, open, restore, ring,
};
use crate::support::block_on;

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
