//! The interface on a port of the loopback, over a store in memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use audittrail_api::{Api, ApiSettings};
use audittrail_auth::{AuthConfig, Authenticator, Claims, Role, mint};
use audittrail_checkpoint::Signer;
use audittrail_entry::{Clock, KeyRing, Random, SigningKey, Timestamp};
use audittrail_queue::{Bounds, InProcessQueue, Queue};
use audittrail_sequencer::{Config, Sequencer};
use audittrail_store::{Announcing, MemoryStore, Reader, Store};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

const ORIGIN: &str = "log.example/api";
const SECRET: &[u8] = b"thirty-two bytes are just enough";
const NOW: i64 = 1_800_000_000;

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
    pub(crate) client: reqwest::Client,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(ApiSettings::default()).await
    }

    pub(crate) async fn start_with(settings: ApiSettings) -> Self {
        let memory = Arc::new(MemoryStore::new());
        let (store, grown) = Announcing::new(Arc::clone(&memory) as Arc<dyn Store>);
        let store: Arc<dyn Store> = Arc::new(store);
        let clock = Arc::new(StoppedClock(AtomicI64::new(NOW)));
        let (stop, stopping) = watch::channel(false);
        let queue = Arc::new(InProcessQueue::new(Bounds::default()));
        let sequencer = Sequencer::start(
            Arc::clone(&store),
            Arc::clone(&queue) as Arc<dyn Queue>,
            ORIGIN.to_owned(),
            vec![Signer::from_seed(ORIGIN, [9; 32]).unwrap()],
            Config::default(),
        );
        let sequencer = sequencer.await.unwrap();
        let published = sequencer.published();
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
        let api = Api {
            queue,
            store: Arc::clone(&store),
            reader: Arc::new(Reader::new(store, keys, ORIGIN.to_owned())),
            authenticator: Arc::new(Authenticator::new(config).unwrap()),
            keys_wanted: None,
            signing_key: Arc::new(key),
            earlier_keys: Vec::new(),
            origin: ORIGIN.to_owned(),
            vkey: Signer::from_seed(ORIGIN, [9; 32]).unwrap().verifier(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            random: Arc::new(Counting::default()),
            published,
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
            client: reqwest::Client::new(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.client
            .get(format!("http://{}{path}", self.address))
            .bearer_auth(&self.token)
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

/// A token for an hour.
pub(crate) fn token(sub: &str, role: Role, tenant: Option<&str>) -> String {
    token_until(sub, role, tenant, NOW + 3_600)
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
