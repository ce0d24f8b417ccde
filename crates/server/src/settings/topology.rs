//! Where the log is kept, how entries get there, and who sequences them: the pairings that there
//! are, and why others are refused.

use audittrail_queue_redis::RedisSettings;

use super::{RawSettings, Secrets, usage};
use crate::Failure;

/// Where entries are kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum StoreAt {
    /// In the data directory.
    Embedded,
    /// In MongoDB: the URL with user and password, never to be shown.
    Mongo(String),
}

/// How entries reach the sequencer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub(crate) enum QueueAt {
    /// Within the process.
    InProcess,
    /// Over Redis.
    Redis(RedisSettings),
}

/// The pairing of a store and a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topology {
    pub(crate) store: StoreAt,
    pub(crate) queue: QueueAt,
    /// Whether this process sequences, or stands by to do so.
    pub(crate) worker: bool,
}

impl std::fmt::Debug for StoreAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Embedded => "Embedded",
            Self::Mongo(_) => "Mongo",
        })
    }
}

impl StoreAt {
    /// The place that a setting names.
    pub(super) fn resolve(given: Option<&str>, secrets: &Secrets) -> Result<Self, Failure> {
        match given {
            None | Some("embedded") => Ok(Self::Embedded),
            // Anything with a scheme may have a password in it.
            Some(url) if url.contains("://") => Self::mongo("store", url, secrets),
            Some(other) => Err(usage(format!(
                "store is {other}; use embedded, or a mongodb:// or mongodb+srv:// URL"
            ))),
        }
    }

    /// A log in MongoDB, with the user and password of the settings.
    pub(crate) fn mongo(name: &str, url: &str, secrets: &Secrets) -> Result<Self, Failure> {
        let (username, password) = (&secrets.mongo_username, &secrets.mongo_password);
        audittrail_store_mongo::complete(url, username.as_deref(), password.as_deref())
            .map(Self::Mongo)
            .map_err(|why| usage(format!("{name}: {why}")))
    }
}

impl QueueAt {
    fn resolve(raw: &RawSettings, secrets: &Secrets) -> Result<Self, Failure> {
        let certificates = [&raw.redis_ca, &raw.redis_certificate, &raw.redis_key];
        match raw.queue.as_deref() {
            None | Some("in-process") => {
                let given = secrets.redis_username.is_some() || secrets.redis_password.is_some();
                if given || certificates.into_iter().any(Option::is_some) {
                    return Err(usage(
                        "the queue is in-process, and settings of Redis are given (REDIS_USERNAME, \
                         REDIS_PASSWORD, redis-ca, redis-certificate, redis-key): set \
                         AUDITTRAIL_QUEUE to a redis:// URL, or leave them out"
                            .to_owned(),
                    ));
                }
                Ok(Self::InProcess)
            }
            Some(url) if url.contains("://") => {
                let mut settings = RedisSettings::parse(url)
                    .and_then(|redis| {
                        let user = secrets.redis_username.as_deref();
                        redis.with_credentials(user, secrets.redis_password.as_deref())
                    })
                    .map_err(|error| usage(format!("queue: {error}")))?;
                if certificates.into_iter().any(Option::is_some) {
                    let [ca, certificate, key] = certificates.map(|path| {
                        let read = path.as_ref().map(|path| {
                            super::read_small(path).map_err(|error| {
                                usage(format!("{} cannot be read: {error}", path.display()))
                            })
                        });
                        read.transpose()
                    });
                    settings = settings
                        .with_certificates(ca?, certificate?, key?)
                        .map_err(|error| usage(format!("queue: {error}")))?;
                }
                Ok(Self::Redis(settings))
            }
            Some(other) => Err(usage(format!(
                "queue is {other}; use in-process, or a redis://, rediss://, redis+sentinel:// or \
                 rediss+sentinel:// URL"
            ))),
        }
    }
}

impl Topology {
    /// # Errors
    /// If a setting cannot be used, or two of them make no sense together.
    pub(super) fn resolve(raw: &RawSettings, secrets: &Secrets) -> Result<Self, Failure> {
        let store = StoreAt::resolve(raw.store.as_deref(), secrets)?;
        let queue = QueueAt::resolve(raw, secrets)?;
        let worker = match raw.worker.as_deref() {
            None | Some("in-process") => true,
            Some("none") => false,
            Some(other) => {
                return Err(usage(format!("worker is {other}; use in-process or none")));
            }
        };
        match (&store, &queue) {
            (StoreAt::Embedded, QueueAt::Redis(_)) => Err(usage(
                "Redis carries entries between machines, and the embedded store is on one: set \
                 AUDITTRAIL_STORE to a mongodb:// URL, or leave AUDITTRAIL_QUEUE out"
                    .to_owned(),
            )),
            (_, QueueAt::InProcess) if !worker => Err(usage(
                "worker is none, and the queue is in-process: nobody would commit what this process \
                 takes. Set AUDITTRAIL_QUEUE to a redis:// URL, or leave AUDITTRAIL_WORKER out"
                    .to_owned(),
            )),
            _ => Ok(Self {
                store,
                queue,
                worker,
            }),
        }
    }

    /// What only a process that opens the log itself can say of the settings.
    ///
    /// # Errors
    /// If something is given that would be of no use, or is missing.
    pub(super) fn check(&self, raw: &RawSettings, secrets: &Secrets) -> Result<(), Failure> {
        if self.store == StoreAt::Embedded {
            if secrets.mongo_username.is_some() || secrets.mongo_password.is_some() {
                return Err(usage(
                    "MONGO_USERNAME or MONGO_PASSWORD is set, and the store is embedded: set \
                     AUDITTRAIL_STORE to a mongodb:// URL, or unset them"
                        .to_owned(),
                ));
            }
            return Ok(());
        }
        if raw.pack_rate.is_some() {
            return Err(usage(
                "pack-rate is of the embedded store's files: leave it out with MongoDB, which \
                 compresses what it keeps"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}
