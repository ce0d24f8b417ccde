//! The log in MongoDB: any number of processes read it, and one of them sequences.

use std::sync::Arc;

use audittrail_checkpoint::VerifierKey;
use audittrail_merkle::TreeHead;
use audittrail_store::{Announcing, KeptCheckpoint, Store, StoreErrorKind};
use audittrail_store_mongo::{Identity, MongoStore, StartError};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::follow::Follow;
use super::lead::Lead;
use super::queue::UntilStopped;
use super::{BETWEEN_TRIES, Backend, GivenKeys, Log, NodeQueue, PATIENCE, Part, Sequencing};
use crate::Failure;
use crate::log_keys::{self, LogKeys};
use crate::metered::MeteredStore;
use crate::mongo;
use crate::settings::Settings;
use crate::witnesses::Watched;

/// The store behind what counts and tells.
pub(crate) struct Shared {
    mongo: Arc<MongoStore>,
    announcing: Arc<Announcing>,
}

impl Shared {
    pub(super) async fn close(&self) {
        self.mongo.shutdown().await;
    }
}

pub(super) async fn open(settings: &Settings, url: &str, part: Part) -> Result<Log, Failure> {
    let given = GivenKeys::read(settings, part)?;
    let own = given
        .signer
        .as_ref()
        .map(audittrail_checkpoint::Signer::verifier);
    let identity = Identity {
        origin: given.origin.clone(),
        keys: own.iter().cloned().collect(),
    };
    #[expect(clippy::disallowed_methods, reason = "the server reads clocks")]
    let begun = Instant::now();
    let mut said = false;
    let (store, report) = loop {
        match mongo::open(url, &identity).await {
            Ok(opened) => break opened,
            Err(error) if may_come(&error, part) && begun.elapsed() < PATIENCE => {
                if !said {
                    tracing::warn!(%error, "the log in MongoDB is not there yet; waiting for it");
                    said = true;
                }
                tokio::time::sleep(BETWEEN_TRIES).await;
            }
            Err(error) => return Err(mongo::failed(error)),
        }
    };
    tracing::info!(
        origin = given.origin,
        entries = report.size,
        begun = report.begun,
        indexes_made = ?report.indexes.made,
        "the log is open"
    );
    let vkey = match own {
        Some(vkey) => vkey,
        None => pinned(&report.keys)?,
    };
    log_keys::check_newest(&store, &given.entries, settings).await?;
    let mongo = Arc::new(store);
    let metered = Arc::new(MeteredStore::new(Arc::clone(&mongo)));
    let (announcing, grown) = Announcing::new(metered);
    let announcing = Arc::new(announcing);
    Ok(Log {
        keys: LogKeys {
            signer: given.signer,
            vkey,
            entries: given.entries,
            jwt_secret: given.jwt_secret,
        },
        store: Arc::clone(&announcing) as Arc<dyn Store>,
        grown,
        backend: Backend::Shared(Shared { mongo, announcing }),
    })
}

/// Whether what is missing may come: a server that starts, or the process that begins the log.
fn may_come(error: &StartError, part: Part) -> bool {
    match error {
        StartError::Store(error) => error.kind() == StoreErrorKind::Unavailable,
        StartError::NoLog => !part.sequences,
        _ => false,
    }
}

/// The key that the log was begun with.
fn pinned(keys: &[String]) -> Result<VerifierKey, Failure> {
    let key = keys.first().map(|key| VerifierKey::parse(key));
    key.and_then(Result::ok).ok_or_else(|| {
        Failure::Failed(
            "the document `head` in MongoDB names no verifier key of the log; put it back from a \
             backup"
                .to_owned(),
        )
    })
}

pub(super) async fn sequence(
    settings: &Settings,
    log: &Log,
    shared: &Shared,
    queue: &NodeQueue,
    watched: &Watched,
    stop: watch::Receiver<bool>,
) -> Result<Sequencing, Failure> {
    let none_yet = KeptCheckpoint {
        head: TreeHead::EMPTY,
        note: String::new(),
    };
    let (published_to, mut published) = watch::channel(none_yet);
    let published_to = Arc::new(published_to);
    let follow = Follow {
        mongo: Arc::clone(&shared.mongo),
        announcing: Arc::clone(&shared.announcing),
        vkey: log.keys.vkey.clone(),
        before: watched.before_signing(),
        published: Arc::clone(&published_to),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(follow.run());
    let (leads_to, mut leads) = watch::channel(false);
    let mut ended = None;
    if let Some(signer) = log.keys.signer.clone().filter(|_| settings.topology.worker) {
        let shares = queue.is_shared();
        let lead = Lead {
            mongo: Arc::clone(&shared.mongo),
            store: Arc::clone(&log.store),
            queue: if shares {
                let queue = queue.queue();
                Arc::new(UntilStopped {
                    queue,
                    stop: stop.clone(),
                })
            } else {
                queue.queue()
            },
            take_over: Box::new(queue.takes_over()),
            shares,
            origin: log.keys.vkey.name().to_owned(),
            signer,
            signing_key: log.keys.entries.current.clone(),
            before: watched.before_signing(),
            published: published_to,
            leads: leads_to,
            stop,
        };
        let (ended_to, ends) = oneshot::channel();
        tasks.spawn(async move {
            let _ = ended_to.send(lead.run().await);
        });
        ended = Some(ends);
    }
    let mut sequencing = Sequencing {
        published: published.clone(),
        ended,
        thread: None,
        tasks,
    };
    // What is taken into this process's queue would wait for a lead that another process has.
    let alone = sequencing.ended.is_some() && !queue.is_shared();
    let begun = async {
        let _ = published.wait_for(|kept| !kept.note.is_empty()).await;
        if alone {
            let _ = leads.wait_for(|leads| *leads).await;
        }
    };
    tokio::select! {
        () = begun => Ok(sequencing),
        ended = sequencing.end() => {
            ended?;
            Err(Failure::Failed("the sequencer ended as it started".to_owned()))
        }
    }
}
