//! The log in the data directory: one process, whose sequencer has a thread of its own.

use std::sync::Arc;

use audittrail_entry::Clock as _;
use audittrail_queue::Queue;
use audittrail_sequencer::{Config, Sequencer};
use audittrail_store::{Announcing, Store};
use audittrail_store_embedded::disk::RealDisk;
use audittrail_store_embedded::{DataDirectory, EmbeddedStore, Options, StartReport};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{Backend, Log, NodeQueue, Sequencing};
use crate::Failure;
use crate::ambient::{BlockingThreads, SystemClock, SystemRandom};
use crate::following::{self, Follower};
use crate::lifecycle::failed;
use crate::log_keys::{self, LogKeys};
use crate::metered::MeteredStore;
use crate::packing::Packer;
use crate::settings::Settings;

/// The store, and what works on its files.
pub(crate) struct Embedded {
    store: Arc<EmbeddedStore>,
    _follower: Follower,
    _packer: Packer,
}

impl Embedded {
    pub(super) async fn measure(&self) {
        following::measure(Arc::clone(&self.store)).await;
    }
}

pub(super) async fn open(settings: &Settings) -> Result<Log, Failure> {
    let directory = DataDirectory::open(Arc::new(RealDisk), &settings.data)
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let keys = log_keys::load_or_make(&directory, settings, &SystemRandom)?;
    let identity = keys.identity();
    let offload = Arc::new(BlockingThreads(tokio::runtime::Handle::current()));
    let (store, report) = EmbeddedStore::open(
        directory,
        &identity,
        Options::default(),
        SystemClock.now(),
        offload,
    )
    .map_err(|error| Failure::Failed(error.to_string()))?;
    log_start(&identity.origin, &report);
    // Before anything is signed on top of it.
    log_keys::check_newest(&store, &keys.entries, settings).await?;
    let embedded = Arc::new(store);
    let follower = Follower::start(Arc::clone(&embedded));
    let packer = Packer::start(Arc::clone(&embedded), settings.pack_bytes_per_second);
    let metered = Arc::new(MeteredStore::new(Arc::clone(&embedded)));
    let (store, grown) = Announcing::new(metered);
    Ok(Log {
        keys,
        store: Arc::new(store),
        grown,
        backend: Backend::Embedded(Embedded {
            store: embedded,
            _follower: follower,
            _packer: packer,
        }),
    })
}

/// About what half a second of full load commits.
const BEYOND_CHECKPOINT: u64 = 200_000;

fn log_start(origin: &str, report: &StartReport) {
    tracing::info!(
        origin,
        entries = report.size,
        beyond_checkpoint = report.beyond_checkpoint,
        tree_rebuilt = report.tree_rebuilt,
        locations_rebuilt = report.locations_rebuilt,
        "the log is open"
    );
    if report.beyond_checkpoint > BEYOND_CHECKPOINT {
        tracing::warn!(
            entries = report.beyond_checkpoint,
            "more entries lie beyond the checkpoint than a crash leaves: if no load was that high, \
             an older checkpoint was put back; compare with one kept elsewhere"
        );
    }
    if let Some(cut) = &report.cut {
        tracing::warn!("{cut}");
    }
}

pub(super) async fn sequence(
    settings: &Settings,
    log: &Log,
    queue: &NodeQueue,
) -> Result<Sequencing, Failure> {
    let sequencing = spawn(Arc::clone(&log.store), queue.queue(), &log.keys).await?;
    // The first checkpoint is kept: from now on its absence means that it was removed.
    log_keys::mark_begun(&RealDisk, &settings.data, log.keys.vkey.name())?;
    Ok(sequencing)
}

/// The store blocks in its commits, so the sequencer has a thread of its own.
#[expect(clippy::disallowed_methods, reason = "the server spawns threads")]
async fn spawn(
    store: Arc<dyn Store>,
    queue: Arc<dyn Queue>,
    keys: &LogKeys,
) -> Result<Sequencing, Failure> {
    let origin = keys.vkey.name().to_owned();
    let signers = keys.signer.iter().cloned().collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| failed("the sequencer cannot be started")(&error))?;
    let (started_to, started) = oneshot::channel();
    let (ended_to, ended) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let sequence = async {
            match Sequencer::start(store, queue, origin, signers, Config::default()).await {
                Err(error) => {
                    let _ = started_to.send(Err(error));
                    Ok(())
                }
                Ok(sequencer) => {
                    let _ = started_to.send(Ok(sequencer.published()));
                    sequencer.run().await
                }
            }
        };
        let outcome = runtime.block_on(sequence);
        let _ = ended_to.send(outcome.map_err(|error| Failure::Failed(error.to_string())));
    });
    match started.await {
        Ok(Ok(published)) => Ok(Sequencing {
            published,
            ended: Some(ended),
            thread: Some(thread),
            tasks: JoinSet::new(),
        }),
        Ok(Err(error)) => Err(Failure::Failed(error.to_string())),
        Err(_) => Err(Failure::Failed(
            "the sequencer ended as it started".to_owned(),
        )),
    }
}
