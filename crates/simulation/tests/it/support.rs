//! Many seeds on all cores. A seed runs on one thread, and no two share anything.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use audittrail_simulation::{Planted, Run, simulate};

pub(crate) fn run(seed: u64, planted: Planted) -> Run {
    simulate(seed, planted, false).unwrap()
}

/// Asks `each` about the runs of all seeds until one answer is true; the least seed of those.
pub(crate) fn first(
    seeds: std::ops::Range<u64>,
    planted: Planted,
    each: impl Fn(u64, &Run) -> bool + Sync,
) -> Option<(u64, Run)> {
    let (next, found) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let answers: Mutex<Vec<(u64, Run)>> = Mutex::default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !found.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let run = run(seed, planted);
                    if each(seed, &run) {
                        found.store(true, Ordering::Relaxed);
                        answers.lock().unwrap().push((seed, run));
                    }
                }
            });
        }
    });
    let answers = answers.into_inner().unwrap();
    answers.into_iter().min_by_key(|(seed, _)| *seed)
}
