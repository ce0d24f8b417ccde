//! Whether the store says that it takes writes, and keeps checkpoints, when it does.

use std::path::Path;
use std::sync::Arc;

use audittrail_queue::{Bounds, InProcessQueue, Queue, Request};
use audittrail_sequencer::{Config, Sequencer};
use audittrail_store::{Store, StoreErrorKind};
use audittrail_store_embedded::disk::{FaultMode, Operation, SimulatedDisk};
use audittrail_store_embedded::{DataDirectory, EmbeddedStore, Inline, Options};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::support::{ORIGIN, START, block_on, identity, signer, submission};

struct World {
    disk: SimulatedDisk,
    store: Arc<EmbeddedStore>,
    queue: Arc<InProcessQueue>,
    sequencer: Sequencer,
    rng: StdRng,
}

impl World {
    fn new() -> Self {
        let disk = SimulatedDisk::new(1);
        let signer = signer([7; 32]);
        let directory = DataDirectory::open(Arc::new(disk.clone()), Path::new("/log")).unwrap();
        let (identity, inline) = (identity(&signer), Arc::new(Inline));
        let opened = EmbeddedStore::open(directory, &identity, Options::default(), START, inline);
        let store = Arc::new(opened.unwrap().0);
        let queue = Arc::new(InProcessQueue::new(Bounds::default()));
        let (as_store, as_queue) = (
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::clone(&queue) as Arc<dyn Queue>,
        );
        let origin = ORIGIN.to_owned();
        let config = Config::default();
        let started = Sequencer::start(as_store, as_queue, origin, vec![signer], config);
        let sequencer = block_on(started).unwrap();
        let rng = StdRng::seed_from_u64(1);
        Self {
            disk,
            store,
            queue,
            sequencer,
            rng,
        }
    }

    /// Whether one entry was committed.
    fn write(&mut self) -> bool {
        let request = Request::new(vec![submission(&mut self.rng)]);
        block_on(async {
            let before = self.store.head().await.unwrap().size;
            let waiter = self.queue.submit(request).await.unwrap();
            let deliveries = self.queue.receive(Config::default().take).await.unwrap();
            self.sequencer.sequence(&deliveries).await.unwrap();
            waiter.outcome().await;
            self.store.head().await.unwrap().size > before
        })
    }

    /// Why it is not ready.
    fn why(&self) -> Option<String> {
        let error = block_on(self.store.ready()).err()?;
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        Some(error.to_string())
    }

    fn fail(&self, operation: Operation) {
        self.disk.fail(operation, 0, FaultMode::NotDone);
    }
}

#[test]
fn after_a_refused_batch_the_disk_is_tried_again() {
    let mut world = World::new();
    assert!(world.write());
    assert_eq!(world.why(), None);
    world.fail(Operation::Write);
    assert!(!world.write());
    // Who waits for it before sending more is not told what was so, but what is.
    world.fail(Operation::Write);
    assert!(
        world
            .why()
            .unwrap()
            .contains("the batch could not be written")
    );
    assert_eq!(world.why(), None);
    assert!(world.write());
    assert_eq!(world.why(), None);
}

#[test]
fn a_batch_that_is_written_ends_what_was_said_of_the_last() {
    let mut world = World::new();
    assert!(world.write());
    world.fail(Operation::Write);
    assert!(!world.write());
    assert!(world.write());
    // It is not tried: this fault would be found.
    world.fail(Operation::Write);
    assert_eq!(world.why(), None);
}

#[test]
fn a_checkpoint_that_is_not_kept_is_told_until_one_is() {
    let mut world = World::new();
    assert!(world.write());
    world.fail(Operation::Rename);
    block_on(world.sequencer.publish()).unwrap();
    let why = world.why().unwrap();
    assert!(why.contains("the checkpoint could not be written"), "{why}");
    assert!(why.contains("injected fault"), "{why}");
    assert!(world.write());
    assert!(world.why().is_some());
    block_on(world.sequencer.publish()).unwrap();
    assert_eq!(world.why(), None);
}
