//! What a filter means, condition by condition.

use audittrail_entry::json::parse;
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

/// An entry with these details, by its action and resource found below.
fn with_details(details: &str) -> Entry<'_> {
    let mut entry = full();
    (entry.open.action, entry.open.tenant) = ("Größe.Ändern".into(), None);
    if let Some(sealed) = &mut entry.sealed {
        sealed.details = Some(parse(details.as_bytes(), 32).unwrap());
        sealed.resource = Some("Bucket/REPORTS-aaab".into());
    }
    entry
}

const DETAILS: &str = r#"{
    "user": {"role": "admin", "id": 5, "Name": "Ada LOVELACE"},
    "a.b": "dot", "a": {"b": "nested"}, "back\\slash": "b", "two words": "w",
    "tags": ["x", "Y", 7, true, null, ["deep"]],
    "items": [{"sku": "A-1", "n": 1.50}, {"sku": "B-2"}, [{"sku": "C-3"}]],
    "text": "5", "five": 5.0, "big": 18446744073709551615, "thousand": 1e3, "zero": -0,
    "yes": true, "nothing": null, "empty": "", "no_members": {}, "no_elements": [],
    "": "nameless", "nul\u0000": "n\u0000l",
    "note": "Meeting in 東京 at İstanbul's straße, user@example.com"
}"#;

/// What holds for the entry, and what does not.
const ON_DETAILS: &[(&str, &[&str], &[&str])] = &[
    (
        "details.user.role",
        &["admin"],
        &["Admin", "adm", "", "null"],
    ),
    // A number as it is written, and however it is written.
    (
        "details.user.id",
        &["5", "5.0", "0.5e1"],
        &["05", " 5", "\"5\"", "6", "five"],
    ),
    ("details.text", &["5"], &["5.0", "5e0"]),
    ("details.five", &["5", "5.0"], &["5.1"]),
    (
        "details.big",
        &["18446744073709551615"],
        &["18446744073709551614", "18446744073709551616"],
    ),
    ("details.thousand", &["1000", "1e3", "1E3"], &["1,000"]),
    ("details.zero", &["0", "-0", "0.0"], &["", "false", "null"]),
    ("details.yes", &["true"], &["True", "1", "\"true\""]),
    ("details.nothing", &["null"], &["", "false", "0"]),
    ("details.empty", &[""], &["null", "\"\""]),
    // Dots and backslashes within names are escaped; a path that is not, is another.
    (r"details.a\.b", &["dot"], &["nested"]),
    ("details.a.b", &["nested"], &["dot"]),
    (r"details.back\\slash", &["b"], &[]),
    ("details.two words", &["w"], &[]),
    ("details.nul\0", &["n\0l"], &["nl"]),
    // Any element of an array, whatever the depth; positions are no names.
    (
        "details.tags",
        &["x", "Y", "7", "true", "null", "deep"],
        &["y", "", "[]"],
    ),
    ("details.tags.0", &[], &["x"]),
    ("details.items.sku", &["A-1", "B-2", "C-3"], &["a-1"]),
    ("details.items.n", &["1.5", "1.50"], &["1"]),
    // What holds others is no value.
    ("details.user", &[], &["", "{}", "null", "admin"]),
    ("details.no_members", &[], &["", "{}", "null"]),
    ("details.no_elements", &[], &["", "[]", "null"]),
    ("details.user.name", &[], &["Ada LOVELACE"]),
    ("details.user.role.more", &[], &["admin"]),
    ("details.absent", &[], &["", "null"]),
    // To be there is another thing.
    ("details.user__exists", &["true"], &["false"]),
    ("details.user.role__exists", &["true"], &["false"]),
    ("details.nothing__exists", &["true"], &["false"]),
    ("details.no_elements__exists", &["true"], &["false"]),
    ("details.items.sku__exists", &["true"], &["false"]),
    ("details.items.n__exists", &["true"], &["false"]),
    ("details.items.price__exists", &["false"], &["true"]),
    ("details.tags.0__exists", &["false"], &["true"]),
    ("details.absent__exists", &["false"], &["true"]),
    ("details.user.role.more__exists", &["false"], &["true"]),
    // Words: whole ones, of all strings, in any order and any case; no names, no numbers.
    (
        "q",
        &[
            "admin",
            "ADMIN",
            "ada lovelace",
            "lovelace, Ada!",
            "b",
            "x y",
            "5",
        ],
        &["adm", "lovelac", "18446744073709551615", "1000"],
    ),
    (
        "q",
        &[
            "東京",
            "京東",
            "京 meeting",
            "example.com user",
            "İSTANBUL",
            "straße",
        ],
        &["東北", "strasse", "istanbul"],
    ),
    ("q", &["größe", "ändern GRÖßE"], &["grosse"]),
    (
        "q",
        &["alice", "denied", "192.0.2.7", "bucket reports aaab"],
        &["role", "sku", "aaa", "client", "acme"],
    ),
    // Parts: across the ends of words, in any case, nothing else folded and no pattern.
    (
        "action__contains",
        &["größe", "GRÖße.Ä", "e.ä", "n", "Größe.Ändern"],
        &["grosse", "e ä", "größe.*", "%", "ändern."],
    ),
    (
        "resource__contains",
        &[
            "t/r",
            "reports-AAA",
            "aa",
            "aaa",
            "aab",
            "aaab",
            "ucket/REPORTS-aaa",
        ],
        &["aaaa", "baaa", "bucket\\", "Bucket/REPORTS-aaabb"],
    ),
    (
        "action__prefix",
        &["G", "Größe", "Größe.Ändern"],
        &["g", "röße", "Größe.Ändern "],
    ),
];

#[test]
fn what_details_and_texts_hold() {
    let entry = with_details(DETAILS);
    for (name, holding, others) in ON_DETAILS {
        for (values, expected) in [(holding, true), (others, false)] {
            for value in *values {
                let filter = Filter::from_parameters([(*name, *value)]).unwrap();
                assert_eq!(filter.matches(5, &entry), expected, "{name}={value}");
            }
        }
    }
    // Without details, and without a sealed part, there is nothing at any path.
    for entry in [full(), bare(), erased()] {
        for (name, value, expected) in [
            ("details.user.role", "admin", false),
            ("details.user__exists", "true", false),
            ("details.user__exists", "false", true),
            ("q", "ada", false),
            ("resource__contains", "reports", false),
        ] {
            let filter = Filter::from_parameters([(name, value)]).unwrap();
            assert_eq!(filter.matches(5, &entry), expected, "{name}={value}");
        }
    }
}
