//! What the benches work on: entries as they are sent, sealed and planned.

use audittrail_bench::{Entries, Kind};
use audittrail_entry::{Limits, NewEntry, Record, SealWith, SigningKey, Submitter, Timestamp};
use audittrail_merkle::leaf_hash;
use audittrail_queue::{Delivery, DeliveryId, IdOrigin, Request, Submission};
use uuid::Uuid;

/// The log's name.
pub const ORIGIN: &str = "log.example.org";

/// After the times of all made-up entries.
pub fn now() -> Timestamp {
    Timestamp::from_nanos(1_800_000_000_000_000_000)
}

/// A key that signs.
pub fn key() -> SigningKey {
    SigningKey::new(&[7; 32]).expect("32 bytes are enough for a key")
}

/// Entries as they are sent.
pub fn sent(kind: Kind, count: u64) -> Vec<Vec<u8>> {
    let entries = Entries::Made { kind, seed: 1 };
    let line = |position| {
        let mut line = Vec::new();
        entries.write(position, &mut line);
        line
    };
    (0..count).map(line).collect()
}

/// The entry in such bytes.
pub fn parsed(bytes: &[u8]) -> NewEntry<'_> {
    NewEntry::parse(bytes, &Limits::default(), now()).expect("made-up entries are valid")
}

/// Its record, with a salt and an id made from its position.
pub fn sealed(entry: &NewEntry<'_>, position: u128, key: &SigningKey) -> Record {
    let with = SealWith {
        submitter: &Submitter {
            iss: None,
            sub: "bench",
        },
        received_at: now(),
        id: Uuid::from_u128(position + 1),
        salt: [position as u8; 32],
        key,
        origin: ORIGIN,
        limits: &Limits::default(),
    };
    entry.seal(with).expect("made-up entries are small enough")
}

/// Requests of `each` entries, as the sequencer receives them.
pub fn deliveries(kind: Kind, count: u64, each: usize) -> Vec<Delivery> {
    let key = key();
    let lines = sent(kind, count);
    let submission = |(position, line): (usize, &Vec<u8>)| {
        let record = sealed(&parsed(line), position as u128, &key);
        Submission {
            id: Uuid::from_u128(position as u128 + 1),
            origin: IdOrigin::Server,
            leaf_hash: leaf_hash(&record.leaf),
            record,
        }
    };
    let all: Vec<Submission> = lines.iter().enumerate().map(submission).collect();
    let delivery = |(number, entries): (usize, &[Submission])| Delivery {
        id: DeliveryId(number as u64),
        request: Request::new(entries.to_vec()),
        redelivered: false,
    };
    all.chunks(each).enumerate().map(delivery).collect()
}
