//! Entries that may not be refused any more and have ids of others: each is in the log under a new
//! id, in its place.

use std::collections::HashMap;
use std::sync::Arc;

use audittrail_entry::json::Value;
use audittrail_entry::{Entry, ID_CONFLICT, KeyRing, Record, id_of_conflict};
use audittrail_merkle::Edge;
use audittrail_queue::{Delivery, DeliveryId, Outcome, Placed, Queue};
use audittrail_sequencer::{Existing, Instead, Plan, plan_instead};
use audittrail_store::{Fault, MemoryStore, Store, StoreErrorKind};
use uuid::Uuid;

use crate::redelivery::receive;
use crate::support::{CLIENT, Known, Life, ORIGIN, SERVER, Sent, key, request, run_beside, start};

const A: Sent = Sent {
    id: 1,
    origin: CLIENT,
    action: "door.open",
    user: "alice",
    at: 1,
};
/// Another entry under the same id.
const B: Sent = Sent {
    action: "door.close",
    user: "bob",
    ..A
};

fn delivery(id: u64, entries: &[Sent]) -> Delivery {
    Delivery {
        id: DeliveryId(id),
        request: request(entries),
        redelivered: false,
    }
}

fn queued(id: u64, entries: &[Sent]) -> Delivery {
    Delivery {
        id: DeliveryId(id),
        request: request(entries).with_acknowledgement(),
        redelivered: false,
    }
}

fn stored(index: u64, sent: Sent) -> (Uuid, Existing) {
    let record = Some(sent.submission(77).record);
    (Uuid::from_u128(sent.id), Existing { index, record })
}

fn edge() -> Edge {
    let mut edge = Edge::new();
    (0..300).for_each(|_| edge.push(audittrail_merkle::leaf_hash(b"")));
    edge
}

fn committed(placed: &[(u64, bool)]) -> Outcome {
    let placed = placed
        .iter()
        .map(|&(index, retried)| Placed { index, retried });
    Outcome::Committed(placed.collect())
}

fn outcomes(plan: &Plan<'_>) -> Vec<Outcome> {
    plan.outcomes.iter().map(|one| one.1.clone()).collect()
}

/// The new id of an entry.
fn new_id(sent: Sent) -> u128 {
    id_of_conflict(&sent.submission(1).record)
        .unwrap()
        .as_u128()
}

fn planned_ids(plan: &Plan<'_>) -> Vec<u128> {
    let entries = plan.batch.entries.iter();
    entries.map(|entry| entry.id.as_u128()).collect()
}

/// What comes of deliveries that meet what is stored.
fn outcome_of(
    deliveries: &[Delivery],
    known: &HashMap<Uuid, Existing>,
) -> (Vec<u128>, Vec<Outcome>) {
    let instead = Instead::of(deliveries, known, &key(), ORIGIN);
    let plan = plan_instead(&edge(), deliveries, known, &instead);
    let mut after = edge();
    for entry in &plan.batch.entries {
        assert_eq!(
            entry.leaf_hash,
            audittrail_merkle::leaf_hash(&entry.record.leaf)
        );
        after.push(entry.leaf_hash);
    }
    assert_eq!(plan.head, after.head());
    (planned_ids(&plan), outcomes(&plan))
}

/// The record says what the client sent, all of it, and is an entry of this log as any other.
fn check_record(record: &Record, sent: Sent) {
    let ring = KeyRing {
        current: key(),
        earlier: Vec::new(),
    };
    record.check(&ring, ORIGIN).unwrap();
    let original = sent.submission(1).record;
    let bytes = &original.sealed.as_ref().unwrap().bytes;
    let before = Entry::parse(&original.leaf, Some(bytes)).unwrap();
    let bytes = &record.sealed.as_ref().unwrap().bytes;
    let after = Entry::parse(&record.leaf, Some(bytes)).unwrap();
    assert_eq!(after.open.action, ID_CONFLICT);
    assert_eq!(after.open.id.as_u128(), new_id(sent));
    assert_eq!(after.open.timestamp, before.open.timestamp);
    assert_eq!(after.open.received_at, before.open.received_at);
    let (before, after) = (before.sealed.unwrap(), after.sealed.unwrap());
    assert_eq!(after.user_id, before.user_id);
    assert_eq!(after.submitted_by, before.submitted_by);
    let details = after.details.unwrap();
    let text = |name: &str| details.get(name).and_then(Value::as_str).map(str::to_owned);
    assert_eq!(text("action").as_deref(), Some(sent.action));
    assert_eq!(text("id"), Some(Uuid::from_u128(sent.id).to_string()));
}

#[test]
fn a_conflict_alone() {
    let known = HashMap::from([stored(42, A)]);
    let deliveries = [queued(0, &[B])];
    let instead = Instead::of(&deliveries, &known, &key(), ORIGIN);
    let plan = plan_instead(&edge(), &deliveries, &known, &instead);
    assert_eq!(planned_ids(&plan), [new_id(B)]);
    assert_eq!(outcomes(&plan), [committed(&[(300, false)])]);
    check_record(plan.batch.entries[0].record, B);
}

#[test]
fn conflicts_among_others() {
    let known = HashMap::from([stored(42, A), stored(43, Sent::new(3, CLIENT))]);
    let sent = [
        Sent::new(10, SERVER),
        B,
        Sent::new(3, CLIENT),
        Sent::new(11, CLIENT),
    ];
    let deliveries = [
        queued(0, &sent),
        // Who waits for the outcome is told, as ever.
        delivery(1, &[Sent::new(12, SERVER), B]),
        queued(2, &[Sent::new(13, SERVER)]),
    ];
    let (ids, outcomes) = outcome_of(&deliveries, &known);
    assert_eq!(ids, [10, new_id(B), 11, 13]);
    let all = committed(&[(300, false), (301, false), (43, true), (302, false)]);
    let expected = [all, Outcome::Conflict(vec![1]), committed(&[(303, false)])];
    assert_eq!(outcomes, expected);
}

#[test]
fn an_id_twice_in_one_request() {
    let other = Sent { at: 2, ..B };
    let deliveries = [queued(0, &[A, B, A, other, B])];
    let (ids, outcomes) = outcome_of(&deliveries, &HashMap::new());
    assert_eq!(ids, [1, new_id(B), new_id(other)]);
    let indices = [
        (300, false),
        (301, false),
        (300, true),
        (302, false),
        (301, true),
    ];
    assert_eq!(outcomes, [committed(&indices)]);
    // And where all of them are in conflict with what is stored, the second is a retry of the first.
    let known = HashMap::from([stored(42, Sent { user: "carol", ..A })]);
    let (ids, outcomes) = outcome_of(&[queued(0, &[A, A, B])], &known);
    assert_eq!(ids, [new_id(A), new_id(B)]);
    assert_eq!(
        outcomes,
        [committed(&[(300, false), (300, true), (301, false)])]
    );
}

#[test]
fn the_first_copy_is_in_the_same_batch() {
    let deliveries = [
        delivery(0, &[Sent::new(2, SERVER), A]),
        queued(1, &[B, Sent::new(3, SERVER)]),
        // It is in nobody's way: the one before it did not take the id.
        queued(2, &[A]),
        queued(3, &[B]),
    ];
    let (ids, outcomes) = outcome_of(&deliveries, &HashMap::new());
    assert_eq!(ids, [2, 1, new_id(B), 3]);
    let expected = [
        committed(&[(300, false), (301, false)]),
        committed(&[(302, false), (303, false)]),
        committed(&[(301, true)]),
        // The same message twice, as one that was put back from the dead letters.
        committed(&[(302, true)]),
    ];
    assert_eq!(outcomes, expected);
}

#[test]
fn what_comes_again_is_found() {
    let first = queued(0, &[Sent::new(10, SERVER), B]);
    let again = Delivery {
        redelivered: true,
        ..first.clone()
    };
    let mut known = HashMap::from([stored(42, A)]);
    let instead = Instead::of(&[first], &known, &key(), ORIGIN);
    let ids = instead.ids();
    assert_eq!(ids, [Uuid::from_u128(new_id(B))]);
    // It is found although another key signs now, and although it was erased.
    let other_key = audittrail_entry::SigningKey::new(&[7; 32]).unwrap();
    let own = audittrail_entry::id_conflict(&B.submission(1).record, &other_key, ORIGIN);
    let mut record = own.unwrap().1;
    record.sealed = None;
    let record = Some(record);
    known.insert(ids[0], Existing { index: 51, record });
    known.extend([stored(50, Sent::new(10, SERVER))]);
    let (ids, outcomes) = outcome_of(&[again], &known);
    assert_eq!(ids, Vec::<u128>::new());
    assert_eq!(outcomes, [committed(&[(50, true), (51, true)])]);
}

#[test]
fn what_cannot_be_kept_is_refused_as_a_whole() {
    let mut known = HashMap::from([stored(42, A)]);
    let whole = queued(0, &[Sent::new(10, SERVER), B]);
    let mut entries = whole.request.entries.to_vec();
    entries[1].record.sealed = None;
    let mut request = audittrail_queue::Request::new(entries);
    request.acknowledged = true;
    let without = Delivery {
        request,
        ..whole.clone()
    };
    let refused = (Vec::new(), vec![Outcome::Conflict(vec![1])]);
    assert_eq!(outcome_of(&[without], &known), refused);
    // Under the new id is something else, or what cannot be read.
    for record in [None, Some(A.submission(1).record)] {
        known.insert(Uuid::from_u128(new_id(B)), Existing { index: 9, record });
        assert_eq!(outcome_of(std::slice::from_ref(&whole), &known), refused);
    }
}

async fn life(store: &Arc<MemoryStore>) -> Life {
    let Life { queue, sequencer } = start(store).await;
    let sequencer = sequencer.with_own_entries(key());
    Life { queue, sequencer }
}

/// The loop, whatever happens to the commit: the entry is there once.
#[tokio::test(start_paused = true)]
async fn a_conflict_is_in_the_log_once() {
    const TABLE: &[(&[Fault], bool)] = &[
        (&[], false),
        (&[Fault::CommitUnknown { persisted: false }], false),
        (&[Fault::CommitUnknown { persisted: true }], true),
        (
            &[
                Fault::CommitUnknown { persisted: false },
                Fault::CommitUnknown { persisted: true },
            ],
            true,
        ),
    ];
    for (faults, retried) in TABLE {
        let store = Arc::new(MemoryStore::new());
        let first = life(&store).await;
        let before = first.queue.submit(request(&[A])).await.unwrap();
        first.queue.close();
        run_beside(first, async {}).await.0.unwrap();
        assert_eq!(before.outcome().await, committed(&[(0, false)]));

        let life = life(&store).await;
        faults.iter().for_each(|fault| store.inject(*fault));
        let queue = Arc::clone(&life.queue);
        let sent = [Sent::new(20, SERVER), B];
        let waiter = queue
            .submit(request(&sent).with_acknowledgement())
            .await
            .unwrap();
        let clients = async {
            let outcome = waiter.outcome().await;
            queue.close();
            outcome
        };
        let (end, outcome) = run_beside(life, clients).await;
        end.unwrap();
        assert_eq!(
            outcome,
            committed(&[(1, *retried), (2, *retried)]),
            "{faults:?}"
        );
        assert_eq!(store.faults(), [], "{faults:?}");
        assert_eq!(
            Known::default().check_closed(&store).await,
            [1, 20, new_id(B)]
        );
        let record = store.records(&[2]).await.unwrap().remove(0).record.unwrap();
        check_record(&record, B);
    }
}

/// It is stored, and nobody can look that up for a while: it waits.
#[tokio::test(start_paused = true)]
async fn while_its_ids_cannot_be_looked_up_it_waits() {
    let store = Arc::new(MemoryStore::new());
    let mut life = life(&store).await;
    let queue = Arc::clone(&life.queue);
    let before = queue.submit(request(&[A])).await.unwrap();
    life.sequencer
        .sequence(&receive(&queue).await)
        .await
        .unwrap();
    assert_eq!(before.outcome().await, committed(&[(0, false)]));
    let queued = request(&[B]).with_acknowledgement();
    let waiter = queue.submit(queued).await.unwrap();
    for fault in [
        Fault::CommitUnknown { persisted: true },
        Fault::Find(StoreErrorKind::Unavailable),
        Fault::Records(StoreErrorKind::Unavailable),
    ] {
        store.inject(fault);
        let deliveries = receive(&queue).await;
        life.sequencer.sequence(&deliveries).await.unwrap();
        assert_eq!(store.faults(), []);
    }
    let deliveries = receive(&queue).await;
    life.sequencer.sequence(&deliveries).await.unwrap();
    assert_eq!(waiter.outcome().await, committed(&[(1, true)]));
    assert_eq!(Known::default().check(&store).await, [1, new_id(B)]);
}

/// Where nobody gave it a key, such a request is in conflict, and the queue keeps it.
#[tokio::test(start_paused = true)]
async fn without_a_key_it_is_a_conflict() {
    let store = Arc::new(MemoryStore::new());
    let life = start(&store).await;
    let queue = Arc::clone(&life.queue);
    let first = queue.submit(request(&[A])).await.unwrap();
    let second = queue
        .submit(request(&[B]).with_acknowledgement())
        .await
        .unwrap();
    queue.close();
    run_beside(life, async {}).await.0.unwrap();
    assert_eq!(first.outcome().await, committed(&[(0, false)]));
    assert_eq!(second.outcome().await, Outcome::Conflict(vec![0]));
}
