//! Logs to test with.

use audittrail_checkpoint::Signer;
use audittrail_entry::{Limits, NewEntry, Record, SealWith, SigningKey, Submitter, Timestamp};
use audittrail_merkle::leaf_hash;
use audittrail_queue::{IdOrigin, Submission};
use audittrail_store_embedded::Identity;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use uuid::Uuid;

pub(crate) const ORIGIN: &str = "log.example/test";
pub(crate) const START: Timestamp = Timestamp::from_nanos(1_767_225_600_000_000_000);

pub(crate) fn signer(seed: [u8; 32]) -> Signer {
    Signer::from_seed(ORIGIN, seed).unwrap()
}

pub(crate) fn identity(signer: &Signer) -> Identity {
    Identity {
        origin: ORIGIN.to_owned(),
        keys: vec![signer.verifier()],
    }
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::new(b"a signing key of thirty-two bytes or more").unwrap()
}

/// A record whose id, content and size follow from the generator.
pub(crate) fn record(rng: &mut StdRng, id: Uuid) -> Record {
    let filler = "x".repeat(rng.random_range(0..600));
    let action = ["door.open", "door.close", "user.login"][rng.random_range(0..3)];
    let json = format!(r#"{{"action":"{action}","details":{{"filler":"{filler}"}}}}"#);
    let now = Timestamp::from_nanos(START.nanos() + rng.random_range(0..1_000_000_000));
    let limits = Limits::default();
    let mut entry = NewEntry::parse(json.as_bytes(), &limits, now).unwrap();
    entry.user_id = Some("alice".into());
    let mut salt = [0; 32];
    rng.fill_bytes(&mut salt);
    let submitter = Submitter {
        iss: None,
        sub: "alice",
    };
    let key = signing_key();
    entry
        .seal(SealWith {
            submitter: &submitter,
            received_at: now,
            id,
            salt,
            key: &key,
            origin: ORIGIN,
            limits: &limits,
        })
        .unwrap()
}

pub(crate) fn submission(rng: &mut StdRng) -> Submission {
    let mut id = [0; 16];
    rng.fill_bytes(&mut id);
    let id = uuid::Builder::from_random_bytes(id).into_uuid();
    let record = record(rng, id);
    let leaf_hash = leaf_hash(&record.leaf);
    Submission {
        id,
        origin: IdOrigin::Server,
        record,
        leaf_hash,
    }
}

/// Runs a future that never waits for anything but other parts of itself.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}
