//! What a filter means, condition by condition.

use audittrail_entry::{Entry, OpenPart, Outcome, SealedPart, SubmittedBy, Timestamp};
use audittrail_store::Filter;
use uuid::Uuid;

/// 2026-11-23T08:30:00Z.
const TIME: i64 = 1_795_422_600_000_000_000;

fn full() -> Entry<'static> {
    Entry {
        open: OpenPart {
            action: "user.login".into(),
            id: Uuid::from_u128(1),
            outcome: Some(Outcome::Denied),
            received_at: Timestamp::from_nanos(TIME + 60_000_000_000),
            commitment: [0; 32],
            tenant: Some("acme".into()),
            timestamp: Timestamp::from_nanos(TIME),
        },
        sealed: Some(SealedPart {
            details: None,
            resource: Some("doc/1".into()),
            source_ip: Some("192.0.2.7".parse().unwrap()),
            submitted_by: SubmittedBy {
                iss: None,
                sub: "client".into(),
            },
            user_id: Some("alice".into()),
        }),
    }
}

/// Of an entry that says nothing but its action.
fn bare() -> Entry<'static> {
    let mut entry = full();
    (entry.open.outcome, entry.open.tenant) = (None, None);
    if let Some(sealed) = &mut entry.sealed {
        (sealed.resource, sealed.source_ip, sealed.user_id) = (None, None, None);
    }
    entry
}

fn erased() -> Entry<'static> {
    Entry {
        sealed: None,
        ..full()
    }
}

/// At index 5: whether the full entry, the bare one and the erased one match.
const TABLE: &[(&str, &str, [bool; 3])] = &[
    ("action", "user.login", [true, true, true]),
    ("action", "user", [false, false, false]),
    ("action", "User.login", [false, false, false]),
    ("action__in", "a,user.login", [true, true, true]),
    ("action__nin", "a,user.login", [false, false, false]),
    ("action__nin", "a", [true, true, true]),
    ("outcome", "denied", [true, false, true]),
    ("outcome__in", "success,denied", [true, false, true]),
    // What is absent is none of them.
    ("outcome__nin", "denied", [false, true, false]),
    // Absent is not the word for not knowing.
    ("outcome", "unknown", [false, false, false]),
    ("tenant", "acme", [true, false, true]),
    ("tenant__nin", "acme", [false, true, false]),
    // What was erased can no longer be matched, and counts as absent.
    ("user_id", "alice", [true, false, false]),
    ("user_id__nin", "alice", [false, true, true]),
    ("resource", "doc/1", [true, false, false]),
    ("resource__in", "doc/1,doc/2", [true, false, false]),
    ("source_ip", "192.0.2.0/24", [true, false, false]),
    ("source_ip", "0.0.0.0/0", [true, false, false]),
    ("source_ip", "192.0.2.8", [false, false, false]),
    // All bounds are inclusive.
    ("start_time", "2026-11-23T08:30:00Z", [true, true, true]),
    (
        "start_time",
        "2026-11-23T08:30:00.000000001Z",
        [false, false, false],
    ),
    ("end_time", "2026-11-23T08:30:00Z", [true, true, true]),
    (
        "end_time",
        "2026-11-23T08:29:59.999999999Z",
        [false, false, false],
    ),
    ("received_from", "2026-11-23T08:31:00Z", [true, true, true]),
    (
        "received_from",
        "2026-11-23T08:31:00.000000001Z",
        [false, false, false],
    ),
    ("received_to", "2026-11-23T08:31:00Z", [true, true, true]),
    (
        "received_to",
        "2026-11-23T08:30:59.999999999Z",
        [false, false, false],
    ),
    ("index_from", "5", [true, true, true]),
    ("index_from", "6", [false, false, false]),
    ("index_to", "5", [true, true, true]),
    ("index_to", "4", [false, false, false]),
    // A sound entry is none that failed.
    ("verified", "false", [false, false, false]),
];

fn matching(parameters: &[(&str, &str)]) -> [bool; 3] {
    let filter = Filter::from_parameters(parameters.iter().copied()).unwrap();
    [full(), bare(), erased()].map(|entry| filter.matches(5, &entry))
}

#[test]
fn each_condition() {
    assert_eq!(matching(&[]), [true; 3]);
    for (name, value, expected) in TABLE {
        assert_eq!(matching(&[(name, value)]), *expected, "{name}={value}");
    }
}

#[test]
fn all_conditions_have_to_hold() {
    for (name, value, one) in TABLE {
        for (other_name, other_value, other) in TABLE.iter().filter(|row| row.0 != *name) {
            let both = matching(&[(name, value), (other_name, other_value)]);
            let expected = [0, 1, 2].map(|at| one[at] && other[at]);
            assert_eq!(both, expected, "{name}={value} {other_name}={other_value}");
        }
    }
}
