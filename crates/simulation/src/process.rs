//! One life of the server: the engine as `audittrail serve` puts it together, without sockets,
//! threads and signals.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use audittrail_api::{Api, ApiSettings, Witnessed};
use audittrail_auth::{AuthConfig, Authenticator};
use audittrail_checkpoint::{Signer, VerifierKey};
use audittrail_entry::{Clock, KeyRing, Random, SigningKey};
use audittrail_queue::{Bounds, InProcessQueue};
use audittrail_search_index::IndexOptions;
use audittrail_sequencer::{Config, Sequencer, SequencerError};
use audittrail_store::{Announcing, KeptCheckpoint, Reader, Store};
use audittrail_store_embedded::{
    DataDirectory, EmbeddedStore, Following, Identity, Inline, Options,
};
use axum::Router;
use tokio::sync::{oneshot, watch};

use crate::dice::Dice;
use crate::scheduler::Owner;
use crate::shaky::Shaky;
use crate::world::World;

pub(crate) const ORIGIN: &str = "log.example/simulated";
pub(crate) const SECRET: &[u8] = b"thirty-two bytes are just enough";
const KEY_FILE: &str = "checkpoint.key";
const KEY: [u8; 32] = [9; 32];

/// A server that runs.
pub(crate) struct Process {
    pub(crate) router: Router,
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) queue: Arc<InProcessQueue>,
    pub(crate) published: watch::Receiver<KeptCheckpoint>,
    pub(crate) stop: watch::Sender<bool>,
    /// What the sequencer ended with.
    pub(crate) ended: oneshot::Receiver<Result<(), SequencerError>>,
}

/// What differs from life to life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// So many of a thousand calls of the store fail.
    pub(crate) failing: u64,
    pub(crate) options: Options,
    pub(crate) queue: Bounds,
}

impl Conditions {
    /// Nothing fails.
    pub(crate) fn sound(dice: &Dice, indexing: bool) -> Self {
        Self {
            failing: 0,
            ..Self::of(dice, indexing)
        }
    }

    /// As the server has it, or with bounds that a few entries reach.
    pub(crate) fn of(dice: &Dice, indexing: bool) -> Self {
        let mut index = IndexOptions {
            writer_bytes: 15_000_000,
            ..IndexOptions::default()
        };
        if indexing {
            index.step_entries = 8 << dice.below(0..3);
            index.tail_entries = index.step_entries * 4;
        }
        let queue = if dice.percent(20) {
            let entries = 12;
            let bytes = 20_000;
            Bounds { entries, bytes }
        } else {
            Bounds::default()
        };
        Self {
            failing: if dice.percent(40) { 15 } else { 0 },
            options: Options {
                segment_bytes: 4_096 << dice.below(0..4),
                index,
            },
            queue,
        }
    }
}

pub(crate) fn verifier() -> Option<VerifierKey> {
    Some(Signer::from_seed(ORIGIN, KEY).ok()?.verifier())
}

/// Reads the log's key, or makes it.
fn signer(directory: &DataDirectory) -> Result<Signer, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let key = match directory.read_key(KEY_FILE).map_err(|e| text(&e))? {
        Some(found) => found
            .try_into()
            .map_err(|_| "the key is damaged".to_owned())?,
        None => {
            directory.write_key(KEY_FILE, &KEY).map_err(|e| text(&e))?;
            KEY
        }
    };
    Signer::from_seed(ORIGIN, key).map_err(|e| text(&e))
}

impl Process {
    /// Starts on what is on the disk. What it found kept is told before it goes on from there.
    pub(crate) async fn start(world: &Rc<World>, conditions: Conditions) -> Result<Self, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let directory = DataDirectory::open(world.disk_of_process(), Path::new("/data"))
            .map_err(|e| text(&e))?;
        let signer = signer(&directory)?;
        let identity = Identity {
            origin: ORIGIN.to_owned(),
            keys: vec![signer.verifier()],
        };
        let now = world.clock.now();
        let (options, offload) = (conditions.options, Arc::new(Inline));
        let (embedded, report) = EmbeddedStore::open(directory, &identity, options, now, offload)
            .map_err(|e| text(&e))?;
        world.trace.event(&format!("opened: {report:?}"));
        let embedded = Arc::new(embedded);
        let kept = embedded.checkpoint().await.map_err(|e| text(&e))?;
        world.found_kept(kept.map_or(0, |kept| kept.head.size));
        let planted = world.planted;
        let store = Arc::new(Shaky {
            store: planted.store(&embedded),
            embedded: Arc::clone(&embedded),
            dice: world.dice.clone(),
            failing: conditions.failing,
        });
        let (store, grown) = Announcing::new(store);
        let store: Arc<dyn Store> = Arc::new(store);
        let own_queue = Arc::new(InProcessQueue::new(conditions.queue));
        let queue = planted.queue(&own_queue, &embedded);
        let signing_key =
            SigningKey::new(b"a signing key of thirty-two bytes or more").map_err(|e| text(&e))?;
        let keys = KeyRing {
            current: signing_key.clone(),
            earlier: Vec::new(),
        };
        let reader = Arc::new(Reader::new(Arc::clone(&store), keys, ORIGIN.to_owned()));
        let vkey = signer.verifier();
        let sequencer = Sequencer::start(
            Arc::clone(&store),
            Arc::clone(&queue),
            ORIGIN.to_owned(),
            vec![signer],
            Config::default(),
        );
        let sequencer = sequencer.await.map_err(|e| text(&e))?;
        let published = sequencer.published();
        let (stop, stopping) = watch::channel(false);
        let router = audittrail_api::router(Api {
            queue,
            store,
            reader: Arc::clone(&reader),
            authenticator: Arc::new(authenticator()?),
            keys_wanted: None,
            signing_key: Arc::new(signing_key),
            earlier_keys: Vec::new(),
            origin: ORIGIN.to_owned(),
            vkey,
            clock: Arc::new(world.clock.clone()) as Arc<dyn Clock>,
            random: Arc::new(world.dice.clone()) as Arc<dyn Random>,
            published: published.clone(),
            witnessed: watch::channel(Witnessed::default()).1,
            grown,
            stopping,
            settings: ApiSettings::default(),
        });
        let (ended_to, ended) = oneshot::channel();
        world.scheduler.spawn(Owner::Process, async move {
            let _ = ended_to.send(sequencer.run().await);
        });
        let following = follow(Arc::clone(&embedded), world.dice.clone());
        world.scheduler.spawn(Owner::Process, following);
        let packing = pack(Rc::clone(world), Arc::clone(&embedded));
        world.scheduler.spawn(Owner::Process, packing);
        Ok(Self {
            router,
            store: embedded,
            reader,
            queue: own_queue,
            published,
            stop,
            ended,
        })
    }
}

fn authenticator() -> Result<Authenticator, String> {
    let config = AuthConfig {
        secret: Some(SECRET.to_vec()),
        ..AuthConfig::default()
    };
    Authenticator::new(config).map_err(|error| error.to_string())
}

/// What the server does on a thread of its own, a segment at a time; sometimes it is told to stop in
/// the middle. What ends the process in an operation on the disk ends it in one of these, too.
async fn pack(world: Rc<World>, store: Arc<EmbeddedStore>) {
    let (dice, mut from) = (&world.dice, 0);
    loop {
        tokio::time::sleep(Duration::from_millis(dice.below(1..800))).await;
        let packing = store.pack_next(from, &mut || !dice.percent(3));
        match packing.outcome {
            None => {}
            Some(Ok(packed)) => {
                world.trace.event(&format!("packing: {packed:?}"));
                world.ledger.borrow_mut().counts.packed += u64::from(packed.kept);
            }
            Some(Err(error)) => {
                world.trace.event(&format!("not packed: {error}"));
                if dice.percent(50) {
                    // It is tried again, as after a full disk.
                    continue;
                }
            }
        }
        from = packing.next;
    }
}

/// What the server does on a thread of its own, a look at a time.
async fn follow(store: Arc<EmbeddedStore>, dice: Dice) {
    let (mut following, stop) = (Following::default(), AtomicBool::new(false));
    loop {
        tokio::time::sleep(Duration::from_millis(dice.below(1..1_500))).await;
        store.look(&mut following, Duration::ZERO, &stop);
        // As `Shaky::commit` does.
        let _ = store.settle_index();
    }
}
