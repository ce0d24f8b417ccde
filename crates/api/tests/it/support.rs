//! The interface on a port of the loopback, over a store in memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use audittrail_api::{Api, ApiSettings, Witnessed};
use audittrail_auth::{AuthConfig, Authenticator, Claims, Role, mint};
use audittrail_checkpoint::{Checkpoint, Signer};
use audittrail_entry::{Clock, KeyRing, Random, SigningKey, Timestamp};
use audittrail_merkle::{Edge, TreeHead};
use audittrail_queue::{Bounds, InProcessQueue, Queue};
use audittrail_sequencer::{Config, Sequencer};
use audittrail_store::{Announcing, KeptCheckpoint, MemoryStore, Reader, Store};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::counted::{Counted, Reads};
use crate::queue_answers::Lossy;

pub(crate) const ORIGIN: &str = "log.example/api";
const SECRET: &[u8] = b"thirty-two bytes are just enough";
pub(crate) const NOW: i64 = 1_800_000_000;

/// Stands still until it is moved.
pub(crate) struct StoppedClock(AtomicI64);

impl StoppedClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.0.load(Ordering::SeqCst) * 1_000_000_000)
    }
}

/// No two fills are the same.
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed);
            part.copy_from_slice(
                &number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[..part.len()],
            );
        }
    }
}

/// A server until the test's runtime ends.
pub(crate) struct Served {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    pub(crate) clock: Arc<StoppedClock>,
    pub(crate) stop: watch::Sender<bool>,
    /// What is shown as published, where the test says it.
    shown: Option<watch::Sender<KeptCheckpoint>>,
    /// What was read of the store.
    pub(crate) reads: Arc<Reads>,
    /// Whether the queue takes requests and does not say so.
    pub(crate) lost: Arc<AtomicBool>,
    pub(crate) client: reqwest::Client,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(ApiSettings::default()).await
    }

    pub(crate) async fn start_with(settings: ApiSettings) -> Self {
        Self::over(Arc::new(MemoryStore::new()), settings, false).await
    }

    /// Nothing is published but what the test shows.
    pub(crate) async fn start_held(settings: ApiSettings) -> Self {
        Self::over(Arc::new(MemoryStore::new()), settings, true).await
    }

    pub(crate) async fn over(memory: Arc<MemoryStore>, settings: ApiSettings, held: bool) -> Self {
        let reads = Arc::new(Reads::default());
        let (store, grown) = Announcing::new(Arc::new(Counted {
            store: Arc::clone(&memory) as Arc<dyn Store>,
            reads: Arc::clone(&reads),
        }));
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Arc::new(StoppedClock(AtomicI64::new(NOW)));
        let (stop, stopping) = watch::channel(false);
        let queue = Arc::new(InProcessQueue::new(Bounds::default()));
        let signer = signer();
        let sequencer = Sequencer::start(
            Arc::clone(&store),
            Arc::clone(&queue) as Arc<dyn Queue>,
            ORIGIN.to_owned(),
            vec![signer.clone()],
            Config::default(),
        );
        let sequencer = sequencer.await.unwrap();
        let mut published = sequencer.published();
        let mut shown = None;
        if held {
            let (sender, receiver) = watch::channel(signed(TreeHead::EMPTY));
            (shown, published) = (Some(sender), receiver);
        }
        tokio::spawn(sequencer.run());
        let key = SigningKey::new(b"a signing key of thirty-two bytes or more").unwrap();
        let keys = KeyRing {
            current: key.clone(),
            earlier: Vec::new(),
        };
        let config = AuthConfig {
            secret: Some(SECRET.to_vec()),
            ..AuthConfig::default()
        };
        let lost = Arc::new(AtomicBool::new(false));
        let queue = Arc::new(Lossy {
            queue,
            lost: Arc::clone(&lost),
        });
        let api = Api {
            queue,
            store: Arc::clone(&store),
            reader: Arc::new(Reader::new(store, keys, ORIGIN.to_owned())),
            authenticator: Arc::new(Authenticator::new(config).unwrap()),
            keys_wanted: None,
            signing_key: Arc::new(key),
            earlier_keys: Vec::new(),
            origin: ORIGIN.to_owned(),
            vkey: signer.verifier(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(Counting::default()),
            published,
            witnessed: watch::channel(Witnessed::default()).1,
            grown,
            stopping,
            settings,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let router = audittrail_api::router(api);
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            store: memory,
            address,
            token: token("tester", Role::Admin, None),
            clock,
            stop,
            shown,
            reads,
            lost,
            client: reqwest::Client::new(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client
            .get(format!("http://{}{path}", self.address))
            .bearer_auth(&self.token)
    }

    /// Publishes the log up to a size, and says what was published.
    pub(crate) async fn show(&self, size: u64) -> KeptCheckpoint {
        let mut edge = Edge::new();
        for hash in self.store.hashes(0, 0..size).await.unwrap() {
            edge.push(hash);
        }
        let checkpoint = signed(edge.head());
        self.publish(checkpoint.clone());
        checkpoint
    }

    pub(crate) fn publish(&self, checkpoint: KeptCheckpoint) {
        self.shown.as_ref().unwrap().send_replace(checkpoint);
    }

    /// Sends so many entries of about that size.
    pub(crate) async fn fill(&self, count: usize, bytes: usize) {
        let filler = "x".repeat(bytes);
        for _ in 0..count {
            let body = format!(r#"{{"action":"a","details":{{"f":"{filler}"}}}}"#);
            let url = format!("http://{}/logs/", self.address);
            let request = self.client.post(url).bearer_auth(&self.token);
            let request = request.header("content-type", "application/json");
            let response = request.body(body).send().await.unwrap();
            assert_eq!(response.status(), 201);
        }
    }

    /// Sends entries in one request, with a token that lasts; the index of the first.
    pub(crate) async fn post(&self, entries: &Value) -> u64 {
        let url = format!("http://{}/logs/", self.address);
        let token = token_until("tester", Role::Admin, None, NOW + 1_000_000);
        let request = self.client.post(url).bearer_auth(token);
        let response = request.json(entries).send().await.unwrap();
        assert_eq!(response.status(), 201);
        let receipt: Value = response.json().await.unwrap();
        let index = receipt.get("first_index").or(receipt.get("index"));
        index.and_then(Value::as_u64).unwrap()
    }
}

/// Who signs the log's checkpoints.
pub(crate) fn signer() -> Signer {
    Signer::from_seed(ORIGIN, [9; 32]).unwrap()
}

fn signed(head: TreeHead) -> KeptCheckpoint {
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        head,
        extensions: Vec::new(),
    };
    let note = checkpoint.sign(&[&signer()]).unwrap();
    KeptCheckpoint { head, note }
}

/// A token for an hour.
pub(crate) fn token(sub: &str, role: Role, tenant: Option<&str>) -> String {
    token_until(sub, role, tenant, NOW + 3_600)
}

/// A token with claims that no role gives.
pub(crate) fn token_of(claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}

fn token_until(sub: &str, role: Role, tenant: Option<&str>, exp: i64) -> String {
    let claims = Claims {
        sub: sub.to_owned(),
        roles: vec![role],
        tenant: tenant.map(str::to_owned),
        iss: None,
        aud: Vec::new(),
        iat: NOW,
        exp,
    };
    mint(SECRET, &claims).unwrap()
}
