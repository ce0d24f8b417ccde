//! A disk on which one file does not answer: who needs another does not wait for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audittrail_store::conformance::{Generator, Log};
use audittrail_store::{CommitErrorKind, Store, StoreErrorKind};
use audittrail_store_embedded::disk::{
    DirectoryLock, Disk, DiskFile, FaultMode, Mode, Operation, SimulatedDisk, SyncPoint,
};
use audittrail_store_embedded::{DataDirectory, EmbeddedStore, Inline, Options};

use crate::edited::identity;
use crate::support::{START, block_on};

/// Nothing that a test waits for takes so long.
const DEADLINE: Duration = Duration::from_secs(20);

/// Where an opening stops: it says so, and goes on when it is told to.
struct Gate {
    path: PathBuf,
    arrived: Sender<()>,
    go_on: Receiver<()>,
}

/// What opens the gate, and when somebody stands before it.
struct Keeper {
    arrived: Receiver<()>,
    go_on: Sender<()>,
}

#[derive(Clone)]
struct Gated {
    disk: SimulatedDisk,
    gate: Arc<Mutex<Option<Gate>>>,
}

impl Gated {
    fn new() -> Self {
        let (disk, gate) = (SimulatedDisk::new(1), Arc::default());
        Self { disk, gate }
    }

    /// The next opening of that file stops.
    fn stop_at(&self, path: &str) -> Keeper {
        let (arrived_to, arrived) = mpsc::channel();
        let (go_on_to, go_on) = mpsc::channel();
        *self.gate.lock().unwrap() = Some(Gate {
            path: path.into(),
            arrived: arrived_to,
            go_on,
        });
        Keeper {
            arrived,
            go_on: go_on_to,
        }
    }
}

impl Disk for Gated {
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn DiskFile>> {
        let gate = {
            let mut gate = self.gate.lock().unwrap();
            gate.take_if(|gate| gate.path == path)
        };
        if let Some(gate) = gate {
            gate.arrived.send(()).unwrap();
            gate.go_on.recv_timeout(DEADLINE).unwrap();
        }
        self.disk.open(path, mode)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_directory(&self, path: &Path, point: SyncPoint) -> io::Result<()> {
        self.disk.sync_directory(path, point)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirectoryLock>> {
        self.disk.lock(path)
    }
}

fn open(disk: &Gated) -> Arc<EmbeddedStore> {
    let directory = DataDirectory::open(Arc::new(disk.clone()), Path::new("/log")).unwrap();
    let options = Options {
        segment_bytes: 4_096,
        ..Options::default()
    };
    let inline = Arc::new(Inline);
    let opened = EmbeddedStore::open(directory, &identity(), options, START, inline);
    Arc::new(opened.unwrap().0)
}

fn filled(disk: &Gated) -> (Arc<EmbeddedStore>, Log, Generator) {
    let store = open(disk);
    let shared = Arc::clone(&store) as Arc<dyn Store>;
    let (mut log, mut generator) = (Log::default(), Generator::new(3));
    block_on(async {
        for _ in 0..60 {
            log.commit(&shared, vec![generator.entry()]).await;
        }
        log.keep_checkpoint(&shared).await;
    });
    (store, log, generator)
}

/// What a thread came to before the deadline.
fn within<T: Send>(job: impl FnOnce() -> T + Send, then: impl FnOnce()) -> Option<T> {
    let (to, done) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || to.send(job()));
        let outcome = done.recv_timeout(DEADLINE);
        then();
        match outcome {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the thread ended"),
        }
    })
}

#[test]
fn who_reads_another_segment_does_not_wait_for_one_that_is_opened() {
    let disk = Gated::new();
    let (store, log, _) = filled(&disk);
    // What was packed is opened anew by who reads it next.
    let packing = store.pack_next(0, &mut || true);
    assert!(packing.outcome.unwrap().unwrap().kept);
    let keeper = disk.stop_at("/log/log/00000000000000000000.seg");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| block_on(store.records(&[0])).unwrap());
        keeper.arrived.recv_timeout(DEADLINE).unwrap();
        let last = log.size() - 1;
        let read = within(
            || block_on(store.records(&[last / 2])).unwrap(),
            || keeper.go_on.send(()).unwrap(),
        );
        let read = read.expect("it waits for a segment that it does not need");
        assert_eq!(
            read[0].record,
            Ok(log.entries[(last / 2) as usize].1.clone())
        );
        assert_eq!(
            first.join().unwrap()[0].record,
            Ok(log.entries[0].1.clone())
        );
    });
}

#[test]
fn who_writes_does_not_wait_for_the_look_whether_there_is_room() {
    let disk = Gated::new();
    let (store, mut log, mut generator) = filled(&disk);
    let store = store as Arc<dyn Store>;
    let planned = log.plan(vec![generator.entry()]);
    disk.disk.fail(Operation::Write, 0, FaultMode::NotDone);
    let mut after = log.clone();
    after.accept(planned.clone());
    let (before, after) = (log.edge.head(), after.edge.head());
    let refused = block_on(store.commit(before, planned.batch(), after));
    assert_eq!(refused.unwrap_err().kind(), CommitErrorKind::Refused);
    let keeper = disk.stop_at("/log/probe.tmp");
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| block_on(store.ready()));
        keeper.arrived.recv_timeout(DEADLINE).unwrap();
        // Nobody tries it at the same time.
        let why = block_on(store.ready()).unwrap_err();
        assert_eq!(why.kind(), StoreErrorKind::Unavailable);
        let entry = generator.entry();
        let written = within(
            || block_on(log.commit(&store, vec![entry])),
            || keeper.go_on.send(()).unwrap(),
        );
        assert!(written.is_some(), "it waits for who only looks");
        looking.join().unwrap().unwrap();
    });
    block_on(store.ready()).unwrap();
}
