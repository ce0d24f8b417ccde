//! What the interface is built from.

use std::sync::Arc;
use std::time::Duration;

use audittrail_auth::Authenticator;
use audittrail_checkpoint::VerifierKey;
use audittrail_entry::{Clock, Limits, Random, SigningKey};
use audittrail_queue::Queue;
use audittrail_store::{IpBlock, KeptCheckpoint, Reader, Store};
use tokio::sync::{mpsc, oneshot, watch};

use crate::rate::Rate;

/// What an answer of success says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ack {
    /// Durable in the queue. With a queue that is not durable the same as committed.
    Queued,
    /// Sequenced and durable in the store.
    #[default]
    Committed,
    /// Included in a published checkpoint.
    Published,
}

impl Ack {
    /// The level's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Committed => "committed",
            Self::Published => "published",
        }
    }

    /// The level of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Queued, Self::Committed, Self::Published]
            .into_iter()
            .find(|level| level.as_str() == name)
    }
}

/// Asks for the issuer's keys to be fetched. What is sent is answered when they were, when they
/// could not be, or at once where they were fetched for a token a moment ago.
pub type KeysWanted = mpsc::Sender<oneshot::Sender<()>>;

/// What witnesses have cosigned, C2SP tlog-witness.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Witnessed {
    /// The newest checkpoint that has cosignatures, with those that it has.
    pub newest: Option<KeptCheckpoint>,
    /// The newest checkpoint whose cosignatures meet the operator's policy, with all that it has.
    pub met: Option<KeptCheckpoint>,
}

/// Everything the interface works with.
#[derive(Clone)]
pub struct Api {
    /// Where entries go.
    pub queue: Arc<dyn Queue>,
    /// Where entries are.
    pub store: Arc<dyn Store>,
    /// Reads entries of that store and verifies them.
    pub reader: Arc<Reader>,
    /// Who may do what.
    pub authenticator: Arc<Authenticator>,
    /// Where keys come from that a token names and the authenticator does not know.
    pub keys_wanted: Option<KeysWanted>,
    /// Signs new entries.
    pub signing_key: Arc<SigningKey>,
    /// The keys that signed before it: ids that follow from them are still those of their
    /// `Idempotency-Key`.
    pub earlier_keys: Vec<SigningKey>,
    /// The log's name.
    pub origin: String,
    /// The key that checks the log's checkpoints.
    pub vkey: VerifierKey,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Random numbers fit for cryptography.
    pub random: Arc<dyn Random>,
    /// The newest published checkpoint.
    pub published: watch::Receiver<KeptCheckpoint>,
    /// What witnesses have cosigned of it.
    pub witnessed: watch::Receiver<Witnessed>,
    /// The size of the committed log, which changes as soon as this process knows of more.
    pub grown: watch::Receiver<u64>,
    /// Becomes true when the server stops: what has no end of its own ends then.
    pub stopping: watch::Receiver<bool>,
    /// Bounds and choices.
    pub settings: ApiSettings,
}

/// Bounds and choices.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The acknowledgement where a client does not choose.
    pub default_ack: Ack,
    /// The address of the API's root as clients see it, without a slash at the end.
    pub public_url: Option<String>,
    /// What stands before every path, such as `/audit`; empty for nothing.
    pub base_path: String,
    /// Proxies whose word on their clients is believed.
    pub trusted_proxies: Vec<IpBlock>,
    /// How often a caller may ask; none for no limit.
    pub rate: Option<Rate>,
    /// Whether the server's metrics are at `/metrics` beside the API.
    pub serves_metrics: bool,
    /// Whether anybody may have checkpoints and tiles, without a token. They show action, tenant,
    /// outcome and times of every entry.
    pub public_tiles: bool,
    /// The largest request body, as it is sent.
    pub body_bytes: usize,
    /// The largest request body after decompression.
    pub decoded_bytes: usize,
    /// The longest pause within a request body.
    pub body_stall: Duration,
    /// All request bodies in memory at one time.
    pub bodies_bytes: usize,
    /// The time for a request, exports and streams excepted.
    pub request_time: Duration,
    /// Where a quorum of witnesses is asked for: how long a proof waits for a checkpoint that has
    /// it and covers the entry, before it is given under one that does not have it yet.
    pub quorum_wait: Option<Duration>,
    /// The most entries in one request.
    pub batch_entries: usize,
    /// The most entries on a page.
    pub page_entries: usize,
    /// A page ends early where its entries reach this size.
    pub page_bytes: usize,
    /// The most streams at once; one caller has up to an eighth of them.
    pub streams: usize,
    /// A stream that sends nothing for so long sends a comment.
    pub keep_alive: Duration,
    /// Bounds on an entry.
    pub limits: Limits,
}

impl Default for ApiSettings {
    /// 32 MiB a body, 128 MiB decompressed, 10 s without a byte of it, 256 MiB all bodies, 30 s, 10,000 entries a batch, 1,000 entries and
    /// 16 MiB a page; 1,024 streams, 15 s.
    fn default() -> Self {
        Self {
            default_ack: Ack::default(),
            public_url: None,
            base_path: String::new(),
            trusted_proxies: Vec::new(),
            rate: None,
            serves_metrics: false,
            public_tiles: false,
            body_bytes: 32 << 20,
            decoded_bytes: 128 << 20,
            body_stall: Duration::from_secs(10),
            bodies_bytes: 256 << 20,
            request_time: Duration::from_secs(30),
            quorum_wait: None,
            batch_entries: 10_000,
            page_entries: 1_000,
            page_bytes: 16 << 20,
            streams: 1_024,
            keep_alive: Duration::from_secs(15),
            limits: Limits::default(),
        }
    }
}
