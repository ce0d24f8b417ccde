//! Plans: who is placed where, and who is not.

use std::collections::HashMap;

use audittrail_merkle::{Edge, Hash, leaf_hash};
use audittrail_queue::{Delivery, DeliveryId, IdOrigin, Outcome, Placed};
use audittrail_sequencer::{Existing, Plan, plan};
use audittrail_store::Node;
use uuid::Uuid;

use crate::support::{CLIENT, CLIENT_WITHOUT_TIME, SERVER, Sent, request};

fn delivery(id: u64, entries: &[Sent]) -> Delivery {
    Delivery {
        id: DeliveryId(id),
        request: request(entries),
        redelivered: false,
    }
}

fn redelivered(id: u64, entries: &[Sent]) -> Delivery {
    Delivery {
        redelivered: true,
        ..delivery(id, entries)
    }
}

/// A log of so many entries that are nobody's.
fn edge(size: u64) -> Edge {
    let mut edge = Edge::new();
    (0..size).for_each(|index| edge.push(Hash([index as u8; 32])));
    edge
}

fn known(entries: &[(u64, Sent)]) -> HashMap<Uuid, Existing> {
    let existing = entries.iter().map(|(index, sent)| {
        // Stored under a salt of its own.
        let record = Some(sent.submission(77).record);
        let index = *index;
        (Uuid::from_u128(sent.id), Existing { index, record })
    });
    existing.collect()
}

fn outcomes(plan: &Plan<'_>) -> Vec<Outcome> {
    plan.outcomes.iter().map(|one| one.1.clone()).collect()
}

fn committed(placed: &[(u64, bool)]) -> Outcome {
    let placed = placed.iter();
    Outcome::Committed(
        placed
            .map(|(index, retried)| Placed {
                index: *index,
                retried: *retried,
            })
            .collect(),
    )
}

fn planned_ids(plan: &Plan<'_>) -> Vec<u128> {
    let entries = plan.batch.entries.iter();
    entries.map(|entry| entry.id.as_u128()).collect()
}

/// The batch leads from the edge to the head, with all nodes on the way.
fn check(plan: &Plan<'_>, before: &Edge) {
    let mut edge = before.clone();
    let mut nodes = Vec::new();
    assert_eq!(plan.batch.first_index, before.size());
    for entry in &plan.batch.entries {
        assert_eq!(entry.leaf_hash, leaf_hash(&entry.record.leaf));
        edge.push_with(entry.leaf_hash, |level, index, hash| {
            if level == 8 || level == 16 {
                nodes.push(Node { level, index, hash });
            }
        });
    }
    assert_eq!(plan.edge, edge);
    assert_eq!(plan.head, edge.head());
    assert_eq!(plan.batch.nodes, nodes);
}

const A: Sent = Sent {
    id: 1,
    origin: CLIENT,
    action: "door.open",
    user: "alice",
    at: 1,
};

#[test]
fn new_entries_follow_each_other() {
    let before = edge(255);
    let deliveries = [
        delivery(5, &[Sent::new(10, SERVER), Sent::new(11, CLIENT)]),
        delivery(3, &[Sent::new(12, CLIENT)]),
    ];
    let none = HashMap::new();
    let plan = plan(&before, &deliveries, &none);
    check(&plan, &before);
    assert_eq!(
        plan.batch.nodes.len(),
        1,
        "the first entry completes a node"
    );
    assert_eq!(planned_ids(&plan), [10, 11, 12]);
    let names: Vec<u64> = plan.outcomes.iter().map(|one| one.0.0).collect();
    assert_eq!(names, [5, 3], "each delivery by its name, in order");
    let expected = [
        committed(&[(255, false), (256, false)]),
        committed(&[(257, false)]),
    ];
    assert_eq!(outcomes(&plan), expected);
}

#[test]
fn a_retry_gets_the_first_index() {
    let before = edge(300);
    let later = Sent {
        origin: CLIENT_WITHOUT_TIME,
        at: 9_999,
        ..A
    };
    for sent in [A, later] {
        let deliveries = [delivery(0, &[sent]), delivery(1, &[Sent::new(2, SERVER)])];
        let known = known(&[(42, A)]);
        let plan = plan(&before, &deliveries, &known);
        check(&plan, &before);
        assert_eq!(planned_ids(&plan), [2]);
        let expected = [committed(&[(42, true)]), committed(&[(300, false)])];
        assert_eq!(outcomes(&plan), expected);
    }
}

#[test]
fn a_plan_of_retries_alone_commits_nothing() {
    let before = edge(300);
    let deliveries = [delivery(0, &[A])];
    let known = known(&[(42, A)]);
    let plan = plan(&before, &deliveries, &known);
    assert!(plan.batch.entries.is_empty() && plan.batch.nodes.is_empty());
    assert_eq!(plan.edge, before);
}

#[test]
fn other_content_under_the_same_id_is_a_conflict() {
    let before = edge(300);
    let others = [
        Sent {
            action: "door.close",
            ..A
        },
        Sent { user: "bob", ..A },
        // It says when it happened, and that is another time.
        Sent { at: 2, ..A },
    ];
    for other in others {
        let deliveries = [
            delivery(0, &[Sent::new(5, SERVER), other]),
            delivery(1, &[Sent::new(6, SERVER)]),
        ];
        let known = known(&[(42, A)]);
        let plan = plan(&before, &deliveries, &known);
        check(&plan, &before);
        // The whole request is left out, and takes no index.
        assert_eq!(planned_ids(&plan), [6]);
        let expected = [Outcome::Conflict(vec![1]), committed(&[(300, false)])];
        assert_eq!(outcomes(&plan), expected, "{other:?}");
    }
}

#[test]
fn what_cannot_be_compared_is_a_conflict() {
    let before = edge(300);
    let deliveries = [delivery(0, &[A])];
    let mut erased = A.submission(77).record;
    erased.sealed = None;
    let mut unreadable = A.submission(77).record;
    unreadable.leaf.pop();
    for record in [None, Some(erased), Some(unreadable)] {
        let existing = Existing { index: 42, record };
        let known = HashMap::from([(Uuid::from_u128(A.id), existing)]);
        let plan = plan(&before, &deliveries, &known);
        assert_eq!(outcomes(&plan), [Outcome::Conflict(vec![0])]);
        assert!(plan.batch.entries.is_empty());
    }
}

#[test]
fn a_redelivered_entry_is_compared_whoever_made_its_id() {
    let before = edge(300);
    let server = Sent {
        origin: SERVER,
        ..A
    };
    let deliveries = [redelivered(0, &[server, Sent::new(2, SERVER)])];
    let known = known(&[(42, A), (43, Sent::new(2, SERVER))]);
    let plan = plan(&before, &deliveries, &known);
    assert_eq!(outcomes(&plan), [committed(&[(42, true), (43, true)])]);
    // The same that was not stored is placed now.
    let none = HashMap::new();
    let plan = audittrail_sequencer::plan(&before, &deliveries, &none);
    check(&plan, &before);
    assert_eq!(outcomes(&plan), [committed(&[(300, false), (301, false)])]);
}

#[test]
fn an_id_twice_in_one_request_is_placed_once() {
    let before = edge(300);
    let retry = Sent {
        origin: CLIENT_WITHOUT_TIME,
        at: 50,
        ..A
    };
    let deliveries = [delivery(
        0,
        &[A, Sent::new(2, SERVER), A, retry, Sent::new(3, SERVER)],
    )];
    let none = HashMap::new();
    let plan_of_new = plan(&before, &deliveries, &none);
    check(&plan_of_new, &before);
    assert_eq!(planned_ids(&plan_of_new), [1, 2, 3]);
    let expected = committed(&[
        (300, false),
        (301, false),
        (300, true),
        (300, true),
        (302, false),
    ]);
    assert_eq!(outcomes(&plan_of_new), [expected]);
    // And not at all if it is in the log.
    let known = known(&[(42, A)]);
    let plan_of_retries = plan(&before, &deliveries, &known);
    check(&plan_of_retries, &before);
    assert_eq!(planned_ids(&plan_of_retries), [2, 3]);
    let expected = committed(&[
        (42, true),
        (300, false),
        (42, true),
        (42, true),
        (301, false),
    ]);
    assert_eq!(outcomes(&plan_of_retries), [expected]);
}

#[test]
fn an_id_twice_in_one_request_with_other_content_is_a_conflict_of_the_whole() {
    let before = edge(300);
    let other = Sent { user: "bob", ..A };
    let deliveries = [
        delivery(0, &[A, Sent::new(2, SERVER), other, A]),
        delivery(1, &[other]),
    ];
    let none = HashMap::new();
    let plan = plan(&before, &deliveries, &none);
    check(&plan, &before);
    // The request that was refused leaves the id free.
    assert_eq!(planned_ids(&plan), [1]);
    let expected = [Outcome::Conflict(vec![2]), committed(&[(300, false)])];
    assert_eq!(outcomes(&plan), expected);
}

#[test]
fn an_id_in_two_requests_of_one_batch() {
    let before = edge(300);
    let other = Sent {
        action: "door.close",
        ..A
    };
    let deliveries = [
        delivery(0, &[Sent::new(2, SERVER), A]),
        delivery(1, &[A, Sent::new(3, CLIENT)]),
        delivery(2, &[Sent::new(4, CLIENT), other]),
        delivery(3, &[Sent::new(4, CLIENT)]),
    ];
    let none = HashMap::new();
    let plan = plan(&before, &deliveries, &none);
    check(&plan, &before);
    assert_eq!(planned_ids(&plan), [2, 1, 3, 4]);
    let expected = [
        committed(&[(300, false), (301, false)]),
        committed(&[(301, true), (302, false)]),
        Outcome::Conflict(vec![1]),
        committed(&[(303, false)]),
    ];
    assert_eq!(outcomes(&plan), expected);
}

/// A client was told the ids that the server made, and not what became of them, while its
/// request still waited: both are in one batch, and it is stored once.
#[test]
fn an_id_of_the_server_sent_again_before_it_was_committed() {
    let first = Sent::new(1, SERVER);
    let again = Sent::new(1, CLIENT_WITHOUT_TIME);
    let deliveries = [delivery(1, &[first]), delivery(2, &[again])];
    let before = edge(3);
    let plan = plan(&before, &deliveries, &HashMap::new());
    check(&plan, &before);
    assert_eq!(planned_ids(&plan), [1]);
    assert_eq!(
        outcomes(&plan),
        [committed(&[(3, false)]), committed(&[(3, true)])]
    );
}

/// Only the origin says whether a timestamp was sent.
#[test]
fn the_time_counts_where_it_was_sent() {
    let before = edge(300);
    let later = |origin: IdOrigin| Sent { origin, at: 2, ..A };
    let known = known(&[(42, A)]);
    for (origin, conflicts) in [(CLIENT, true), (CLIENT_WITHOUT_TIME, false), (SERVER, true)] {
        let deliveries = [redelivered(0, &[later(origin)])];
        let plan = plan(&before, &deliveries, &known);
        let is_conflict = outcomes(&plan) == [Outcome::Conflict(vec![0])];
        assert_eq!(is_conflict, conflicts, "{origin:?}");
    }
}
