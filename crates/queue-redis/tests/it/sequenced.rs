//! The queue before a sequencer.

use std::sync::Arc;

use audittrail_checkpoint::Signer;
use audittrail_entry::json::Value;
use audittrail_entry::{
    Entry, ID_CONFLICT, KeyRing, Limits, NewEntry, SealWith, SigningKey, Submitter, Timestamp,
};
use audittrail_merkle::leaf_hash;
use audittrail_queue::{IdOrigin, Outcome, Queue, Request, Submission};
use audittrail_queue_redis::signed_by;
use audittrail_sequencer::{Config, Sequencer};
use audittrail_store::{MemoryStore, Store};
use uuid::Uuid;

use crate::server::{DURABLE, Server};
use crate::support::{ask, beside, committed, open, open_with, options, outcome, until};

const ORIGIN: &str = "log.example/sequenced";
const ID: Uuid = Uuid::from_u128(77);

fn key() -> SigningKey {
    SigningKey::new(b"a signing key of thirty-two bytes or more").unwrap()
}

/// An entry under the one id, as an API node makes it.
fn entry(action: &str, salt: u8) -> Submission {
    let json = format!("{{\"action\":\"{action}\",\"details\":{{\"of\":\"{action}\"}}}}");
    let now = Timestamp::from_nanos(1_795_422_600_000_000_000);
    let new = NewEntry::parse(json.as_bytes(), &Limits::default(), now).unwrap();
    let record = new.seal(SealWith {
        submitter: &Submitter {
            iss: None,
            sub: "client",
        },
        received_at: now,
        id: ID,
        salt: [salt; 32],
        key: &key(),
        origin: ORIGIN,
        limits: &Limits::default(),
    });
    let record = record.unwrap();
    Submission {
        id: ID,
        origin: IdOrigin::Client {
            timestamp_given: false,
        },
        leaf_hash: leaf_hash(&record.leaf),
        record,
    }
}

/// Its client was told that it is queued, and will not send it again under another id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_queued_and_is_in_conflict_is_in_the_log() {
    let server = Server::start(DURABLE);
    let options = options("api");
    let api = open(&server.url(), &options).await;
    let ring = KeyRing {
        current: key(),
        earlier: Vec::new(),
    };
    let check = signed_by(ring.clone(), ORIGIN.to_owned());
    let (worker, _) = open_with(&server.url(), beside(&options, "worker"), check).await;
    let store = Arc::new(MemoryStore::new());
    let sequencer = Sequencer::start(
        Arc::clone(&store) as Arc<dyn Store>,
        Arc::new(worker) as Arc<dyn Queue>,
        ORIGIN.to_owned(),
        vec![Signer::from_seed(ORIGIN, [9; 32]).unwrap()],
        Config::default(),
    );
    let sequencer = sequencer.await.unwrap().with_own_entries(key());
    let requests = format!("{}:requests", options.prefix);
    let clients = async {
        let first = api.submit(Request::new(vec![entry("first", 1)])).await;
        assert_eq!(outcome(first.unwrap()).await, committed(0));
        // Who waits is told of the conflict, as ever.
        let waits = api.submit(Request::new(vec![entry("second", 2)])).await;
        let refused = outcome(waits.unwrap()).await;
        assert_eq!(refused, Outcome::Conflict(vec![0]));
        let queued = Request::new(vec![entry("third", 3)]).with_acknowledgement();
        drop(api.submit(queued).await.unwrap());
        until("the queue is empty", async || {
            let left: u64 = ask(&server.url(), &["XLEN", &requests]).await;
            left == 0
        })
        .await;
    };
    tokio::select! {
        ended = sequencer.run() => panic!("the sequencer ended: {ended:?}"),
        () = clients => {}
    }
    let dead: u64 = ask(
        &server.url(),
        &["XLEN", &format!("{}:dead", options.prefix)],
    )
    .await;
    assert_eq!(dead, 0);
    assert_eq!(store.head().await.unwrap().size, 2);
    let stored = store.records(&[1]).await.unwrap().remove(0);
    let record = stored.record.unwrap();
    record.check(&ring, ORIGIN).unwrap();
    let bytes = &record.sealed.as_ref().unwrap().bytes;
    let kept = Entry::parse(&record.leaf, Some(bytes)).unwrap();
    assert_eq!(kept.open.action, ID_CONFLICT);
    let details = kept.sealed.unwrap().details.unwrap();
    let text = |value: Option<&Value<'_>>| value.and_then(Value::as_str).map(str::to_owned);
    assert_eq!(text(details.get("action")).as_deref(), Some("third"));
    assert_eq!(text(details.get("id")), Some(ID.to_string()));
    let of = details.get("details").and_then(|details| details.get("of"));
    assert_eq!(text(of).as_deref(), Some("third"));
}
