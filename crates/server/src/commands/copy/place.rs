//! A log as it is opened to be copied: how it is taken, closed to others, and given back.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use audittrail_entry::Clock as _;
use audittrail_merkle::Edge;
use audittrail_store::{Store, StoreError, StoreErrorKind};
use audittrail_store_embedded::disk::RealDisk;
use audittrail_store_embedded::{
    DataDirectory, EmbeddedStore, Identity, Moved, Options, StartError, begin_copy, finish_copy,
};
use audittrail_store_mongo::{Closed, MongoStore};

use super::at::At;
use crate::Failure;
use crate::ambient::{BlockingThreads, SystemClock};
use crate::following::Follower;
use crate::log_keys;
use crate::mongo::{self, LEASE};

/// A leader that is gone is waited for a bit longer than its lease lasts.
const ASK_EVERY: Duration = Duration::from_millis(250);
const LEAD_ASKS: u128 = (LEASE.as_millis() + 4_000) / ASK_EVERY.as_millis();

/// A log that is open.
pub(super) enum Place {
    Embedded {
        store: Arc<EmbeddedStore>,
        root: PathBuf,
        identity: Identity,
        /// Only where entries are added.
        _follower: Option<Follower>,
    },
    Mongo(Arc<MongoStore>),
}

fn of_start(error: &StartError) -> Failure {
    Failure::Failed(error.to_string())
}

fn of_store(error: &StoreError) -> Failure {
    Failure::Failed(error.to_string())
}

fn moved_elsewhere(from: &str, there: &str, to: &str) -> Failure {
    Failure::Failed(format!(
        "the log in {from} was moved to {there} and goes on there: it is not copied to {to} from here. \
         Copy it from {there}"
    ))
}

impl Place {
    /// Opens the log that is copied. Nothing is begun there.
    pub(super) async fn source(at: &At, identity: &Identity, to: &str) -> Result<Self, Failure> {
        match at {
            At::Directory(path) => {
                if !path.is_dir() {
                    return Err(Failure::Failed(format!(
                        "there is no directory {}",
                        path.display()
                    )));
                }
                let directory = DataDirectory::open_to_read(Arc::new(RealDisk), path)
                    .map_err(|error| of_start(&error))?;
                if !directory.has_log().map_err(|error| of_start(&error))? {
                    return Err(Failure::Failed(format!(
                        "there is no log in {}",
                        path.display()
                    )));
                }
                let moved = Moved::read(&RealDisk, path).map_err(|error| of_start(&error))?;
                match moved {
                    Some(moved) if moved.to != to => {
                        Err(moved_elsewhere(&at.shown(), &moved.to, to))
                    }
                    _ => Self::embedded(directory, identity, false),
                }
            }
            At::Mongo(url) => {
                let there =
                    MongoStore::identity_at(url, audittrail_store_mongo::Options::default());
                // An empty database is not given a log.
                there.await.map_err(|error| match error {
                    audittrail_store_mongo::StartError::NoLog => {
                        Failure::Failed(format!("there is no log in {}", at.shown()))
                    }
                    other => mongo::failed(other),
                })?;
                let store = open_mongo(url, identity).await?;
                let left = match store.closed().await {
                    Ok(Some(Closed::Moved { to: there })) if there != to => {
                        Some(moved_elsewhere(&at.shown(), &there, to))
                    }
                    Ok(Some(closed @ Closed::Copying)) => Some(Failure::Failed(closed.to_string())),
                    Ok(_) => None,
                    Err(error) => Some(of_store(&error)),
                };
                match left {
                    None => Ok(Self::Mongo(store)),
                    Some(why) => {
                        store.shutdown().await;
                        Err(why)
                    }
                }
            }
        }
    }

    /// Opens the place that a log is copied to.
    pub(super) async fn target(at: &At, identity: &Identity) -> Result<Self, Failure> {
        match at {
            At::Directory(path) => {
                let disk = Arc::new(RealDisk);
                let directory = DataDirectory::open_to_copy(disk, path, &identity.origin)
                    .map_err(|error| of_start(&error))?;
                Self::embedded(directory, identity, true)
            }
            At::Mongo(url) => {
                let store = open_mongo(url, identity).await?;
                store.lead_closed();
                Ok(Self::Mongo(store))
            }
        }
    }

    fn embedded(
        directory: DataDirectory,
        identity: &Identity,
        grows: bool,
    ) -> Result<Self, Failure> {
        let root = directory.path().to_owned();
        let offload = Arc::new(BlockingThreads(tokio::runtime::Handle::current()));
        let (options, now) = (Options::default(), SystemClock.now());
        let (store, _) = EmbeddedStore::open(directory, identity, options, now, offload)
            .map_err(|error| of_start(&error))?;
        let store = Arc::new(store);
        Ok(Self::Embedded {
            _follower: grows.then(|| Follower::start(Arc::clone(&store))),
            store,
            root,
            identity: identity.clone(),
        })
    }

    pub(super) fn store(&self) -> &dyn Store {
        match self {
            Self::Embedded { store, .. } => &**store,
            Self::Mongo(store) => &**store,
        }
    }

    /// Takes the lead, so that nobody else adds to the log; waits for one that is gone.
    pub(super) async fn lead(&self) -> Result<Edge, Failure> {
        if let Self::Mongo(store) = self {
            store.lead_closed();
        }
        let mut asked = 0;
        loop {
            match self.store().lead().await {
                Ok(edge) => return Ok(edge),
                Err(error) if error.kind() == StoreErrorKind::Led && asked < LEAD_ASKS => {
                    asked += 1;
                    tokio::time::sleep(ASK_EVERY).await;
                }
                Err(error) if error.kind() == StoreErrorKind::Led => {
                    return Err(Failure::Failed(format!(
                        "{error}. Stop the processes that sequence there, and run this again"
                    )));
                }
                Err(error) => return Err(of_store(&error)),
            }
        }
    }

    /// Ends only with an error: when the lead is lost.
    pub(super) async fn keep_lead(&self) -> Failure {
        let Self::Mongo(store) = self else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(LEASE / 4).await;
            // Whoever took the lead meanwhile shows at the next commit, too.
            if let Err(error) = store.renew().await
                && error.kind() == StoreErrorKind::Led
            {
                return of_store(&error);
            }
        }
    }

    /// Nobody goes on with what is there until [`Place::finish`].
    pub(super) async fn begin(&self) -> Result<(), Failure> {
        match self {
            Self::Embedded { root, identity, .. } => {
                begin_copy(&RealDisk, root, identity).map_err(|error| of_start(&error))
            }
            Self::Mongo(store) => {
                let closing = store.close(Some(&Closed::Copying)).await;
                closing.map_err(|error| of_store(&error))
            }
        }
    }

    /// The log is all there, and can go on.
    pub(super) async fn finish(&self) -> Result<(), Failure> {
        match self {
            Self::Embedded { root, identity, .. } => {
                log_keys::mark_begun(&RealDisk, root, &identity.origin)?;
                finish_copy(&RealDisk, root).map_err(|error| of_start(&error))
            }
            Self::Mongo(store) => {
                let opening = store.close(None).await;
                opening.map_err(|error| of_store(&error))
            }
        }
    }

    /// The log goes on elsewhere, and not here any more.
    pub(super) async fn retire(&self, to: &str, size: u64) -> Result<(), Failure> {
        let to = to.to_owned();
        match self {
            Self::Embedded { root, .. } => {
                let moved = Moved { to, size };
                moved
                    .write(&RealDisk, root)
                    .map_err(|error| of_start(&error))
            }
            Self::Mongo(store) => {
                let closing = store.close(Some(&Closed::Moved { to })).await;
                closing.map_err(|error| of_store(&error))
            }
        }
    }

    /// Gives the lead up, and lets go.
    pub(super) async fn close(self) {
        if let Self::Mongo(store) = self {
            // Without an answer others wait for the lease to end.
            let _ = store.resign().await;
            store.shutdown().await;
        }
    }
}

async fn open_mongo(url: &str, identity: &Identity) -> Result<Arc<MongoStore>, Failure> {
    let identity = audittrail_store_mongo::Identity {
        origin: identity.origin.clone(),
        keys: identity.keys.clone(),
    };
    let (store, _) = mongo::open(url, &identity).await.map_err(mongo::failed)?;
    Ok(Arc::new(store))
}
