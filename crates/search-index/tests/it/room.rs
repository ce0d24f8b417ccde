//! Waiting for room in the tail.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use audittrail_merkle::Hash;
use audittrail_search_index::Source;
use audittrail_store::Stored;

use crate::support::{Log, options};

const PATIENCE: Duration = Duration::from_secs(60);

/// A log that stops the one who writes the index in the middle of a step.
struct Gated {
    log: Log,
    /// Told at each step.
    reached: Sender<()>,
    /// Waited for at each step.
    go: Receiver<()>,
}

impl Source for Gated {
    fn scan(&self, range: Range<u64>) -> io::Result<Vec<Stored>> {
        self.log.scan(range)
    }

    /// Asked for once a step, after its entries were gathered.
    fn leaf_hash(&self, index: u64) -> io::Result<Hash> {
        let _ = self.reached.send(());
        self.go
            .recv_timeout(PATIENCE)
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
        self.log.leaf_hash(index)
    }
}

/// One step makes room, and whoever waits for it goes on while the next one is under way.
#[test]
fn who_waits_for_room_waits_for_one_step() {
    let (mut empty, log) = (Log::new(40), Log::of(40, 400));
    let mut options = options(20);
    options.tail_entries = 400;
    let index = empty.open_whole(None, options);
    empty.grow(400);
    log.push(&index, 400);
    assert!(index.is_full());
    let ((reached, steps), (go, gate)) = (channel(), channel());
    let gated = Gated {
        log,
        reached,
        go: gate,
    };
    std::thread::scope(|threads| {
        let index = &index;
        let writing = threads.spawn(move || {
            while index.position() < 400 {
                index.step(&gated).unwrap();
            }
        });
        steps.recv_timeout(PATIENCE).unwrap();
        let (passed_to, passed) = channel();
        threads.spawn(move || {
            index.make_room(&empty).unwrap();
            passed_to.send(index.position()).unwrap();
        });
        go.send(()).unwrap();
        // The second step has begun and is not let go before the other one has passed.
        steps.recv_timeout(PATIENCE).unwrap();
        let position = passed.recv_timeout(PATIENCE / 2).unwrap();
        assert_eq!(position, 60);
        for _ in 0..400 {
            let _ = go.send(());
        }
        writing.join().unwrap();
    });
}
