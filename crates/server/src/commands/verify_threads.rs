//! `audittrail verify` on several threads.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, mpsc};

use audittrail_verifier::{CheckedPart, Part, Parts, Report, Tally, Trust, Verifier};

use crate::commands::verify::Progress;

/// Parts under way for each thread: one is checked while the next is read. Each has up to 8 MiB.
const PARTS_EACH: u64 = 2;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    /// The file.
    #[error("cannot be read: {0}")]
    Unread(#[from] io::Error),
    /// A thread, so that nothing is known of its part.
    #[error(
        "was not checked: the check panicked, which is a defect of this program; please report it"
    )]
    Panicked,
}

/// Checks on several threads; the report does not depend on how many.
pub(super) fn check(
    file: impl BufRead,
    trust: Trust,
    threads: usize,
    progress: &mut Progress,
) -> Result<Report, CheckError> {
    let mut parts = Parts::new(file);
    let (verifier, mut tally) = match Verifier::begin(&parts.header()?, trust) {
        Ok(begun) => begun,
        Err(report) => return Ok(*report),
    };
    check_parts(parts, &mut tally, threads, progress, |part| {
        verifier.check(part)
    })?;
    progress.end();
    Ok(tally.finish())
}

fn check_parts(
    mut parts: Parts<impl BufRead>,
    tally: &mut Tally,
    threads: usize,
    progress: &mut Progress,
    check: impl Fn(&Part) -> CheckedPart + Sync,
) -> Result<(), CheckError> {
    let (work, waiting) = mpsc::channel();
    let (done, results) = mpsc::channel();
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (done, waiting, check) = (done.clone(), &waiting, &check);
            scope.spawn(move || work_off(waiting, &done, check));
        }
        // Dropped on the way out, which ends the threads.
        let work = work;
        drop(done);
        let (mut sent, mut taken, mut ended) = (0, 0, false);
        let mut early = BTreeMap::new();
        loop {
            while !ended && sent - taken < PARTS_EACH * threads as u64 {
                match parts.next_part()? {
                    Some(part) => {
                        // A thread that is gone shows below.
                        let _ = work.send((sent, part));
                        sent += 1;
                    }
                    None => ended = true,
                }
            }
            if taken == sent {
                return Ok(());
            }
            let (number, bytes, checked) = results.recv().map_err(|_| CheckError::Panicked)?;
            let checked = checked.ok_or(CheckError::Panicked)?;
            early.insert(number, (bytes, checked));
            while let Some((bytes, checked)) = early.remove(&taken) {
                tally.take(checked);
                taken += 1;
                progress.show(bytes);
            }
        }
    })
}

/// A part by its number, its size in bytes, and what came of it: nothing where the check panicked.
type Numbered = (u64, usize, Option<CheckedPart>);

fn work_off(
    waiting: &Mutex<mpsc::Receiver<(u64, Part)>>,
    done: &mpsc::Sender<Numbered>,
    check: impl Fn(&Part) -> CheckedPart,
) {
    loop {
        let next = waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok((number, part)) = next else { return };
        // Caught, since the other threads and who reads their results would wait for this part
        // for ever. A panic ends the whole check, so that no state it left is looked at.
        let checked = catch_unwind(AssertUnwindSafe(|| check(&part)));
        let checked = (number, part.size_bytes(), checked.ok());
        if done.send(checked).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::BufReader;

    use audittrail_checkpoint::VerifierKey;
    use audittrail_verifier::{Parts, Trust, Verifier};

    use super::{CheckError, check_parts};
    use crate::commands::verify::Progress;

    const GOLDEN: &str = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/golden/evidence/"
    );

    #[test]
    fn a_panic_in_a_thread_is_an_error() {
        let key = std::fs::read_to_string(format!("{GOLDEN}key.txt")).unwrap();
        for threads in [1, 2, 7] {
            let file = File::open(format!("{GOLDEN}complete.evidence.jsonl")).unwrap();
            let trust = Trust {
                keys: vec![VerifierKey::parse(key.trim()).unwrap()],
                signing: None,
                policy: None,
            };
            let mut parts = Parts::new(BufReader::new(file));
            let header = parts.header().unwrap();
            let (_, mut tally) = Verifier::begin(&header, trust).unwrap();
            let mut progress = Progress::new(None);
            let outcome = check_parts(parts, &mut tally, threads, &mut progress, |_| {
                panic!("planted")
            });
            assert!(matches!(outcome, Err(CheckError::Panicked)), "{outcome:?}");
        }
    }
}
