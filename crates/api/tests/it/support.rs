//! The interface on a port of the loopback, over a store in memory.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use audittrail_api::{Api, ApiSettings};
use audittrail_auth::{AuthConfig, Authenticator, Claims, Role, mint};
use audittrail_checkpoint::Signer;
use audittrail_entry::{Clock, KeyRing, Random, SigningKey, Timestamp};
use audittrail_queue::{Bounds, InProcessQueue, Queue};
use audittrail_sequencer::{Config, Sequencer};
use audittrail_store::{MemoryStore, Reader, Store};
use tokio::net::TcpListener;

const ORIGIN: &str = "log.example/api";
const SECRET: &[u8] = b"thirty-two bytes are just enough";
const NOW: i64 = 1_800_000_000;

struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(NOW * 1_000_000_000)
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

pub(crate) fn token(role: Role) -> String {
    let claims = Claims {
        sub: "tester".to_owned(),
        roles: vec![role],
        tenant: None,
        iss: None,
        aud: Vec::new(),
        iat: NOW,
        exp: NOW + 3_600,
    };
    mint(SECRET, &claims).unwrap()
}

/// A server until the test's runtime ends.
pub(crate) struct Served {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let store = Arc::new(MemoryStore::new());
        let queue = Arc::new(InProcessQueue::new(Bounds::default()));
        let sequencer = Sequencer::start(
            Arc::clone(&store) as Arc<dyn Store>,
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
            store: Arc::clone(&store) as Arc<dyn Store>,
            reader: Arc::new(Reader::new(
                Arc::clone(&store) as Arc<dyn Store>,
                keys,
                ORIGIN.to_owned(),
            )),
            authenticator: Arc::new(Authenticator::new(config).unwrap()),
            signing_key: Arc::new(key),
            origin: ORIGIN.to_owned(),
            clock: Arc::new(StoppedClock),
            random: Arc::new(Counting::default()),
            published,
            keys_wanted: None,
            settings: ApiSettings::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let router = audittrail_api::router(api);
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            store,
            address,
            token: token(Role::Admin),
        }
    }

    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        let client = reqwest::Client::new();
        client
            .get(format!("http://{}{path}", self.address))
            .bearer_auth(&self.token)
    }

    /// Sends so many entries of about that size.
    pub(crate) async fn fill(&self, count: usize, bytes: usize) {
        let filler = "x".repeat(bytes);
        for _ in 0..count {
            let body = format!(r#"{{"action":"a","details":{{"f":"{filler}"}}}}"#);
            let url = format!("http://{}/logs/", self.address);
            let request = reqwest::Client::new().post(url).bearer_auth(&self.token);
            let request = request.header("content-type", "application/json");
            let response = request.body(body).send().await.unwrap();
            assert_eq!(response.status(), 201);
        }
    }
}
