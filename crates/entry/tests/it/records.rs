//! Sealed records: what checks, and which change is seen as what.

use std::collections::BTreeMap;

use audittrail_entry::json::{parse_written, write_canonical};
use audittrail_entry::{
    Entry, KeyId, KeyRing, OpenPart, Outcome, Record, RecordError, SignatureError, SigningKey,
    commitment,
};
use proptest::prelude::*;

use crate::support::{ID, NOW, ORIGIN, hmac_sha256, key, record, ring};

const FULL: &str = r#"{"action":"door.open","outcome":"success","tenant":"acme","user_id":"bob",
    "resource":"door/7","source_ip":"2001:db8::1","timestamp":"2026-11-22T08:30:00Z",
    "details":{"b":[1,2.5,{"c":null}],"a":"é"}}"#;

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn flipped_array<const N: usize>(bytes: [u8; N], bit: usize) -> [u8; N] {
    flipped(&bytes, bit).try_into().unwrap()
}

/// What a change of one bit of the leaf has to be seen as.
fn assert_leaf_flip(record: &Record, bit: usize) -> RecordError {
    let changed = Record {
        leaf: flipped(&record.leaf, bit),
        ..record.clone()
    };
    let error = changed.check(&ring(), ORIGIN).expect_err("a changed leaf");
    let text = String::from_utf8_lossy(&record.leaf);
    let start = text.find(r#""sealed":""#).unwrap() + r#""sealed":""#.len();
    let allowed = if (start..start + 43).contains(&(bit / 8)) {
        // Another commitment, or none.
        [RecordError::Commitment, RecordError::Leaf]
    } else {
        [
            RecordError::Signature(SignatureError::Invalid),
            RecordError::Leaf,
        ]
    };
    assert!(allowed.contains(&error), "bit {bit}: {error:?}");
    error
}

#[test]
fn what_was_sealed_checks_and_reads() {
    let record = record(FULL);
    assert_eq!(record.check(&ring(), ORIGIN), Ok(()));
    let sealed = record.sealed.as_ref().unwrap();
    let entry = Entry::parse(&record.leaf, Some(&sealed.bytes)).unwrap();
    assert_eq!(entry.open.action, "door.open");
    assert_eq!(entry.open.id, ID);
    assert_eq!(entry.open.outcome, Some(Outcome::Success));
    assert_eq!(entry.open.received_at, NOW);
    assert_eq!(entry.open.tenant.as_deref(), Some("acme"));
    assert_eq!(
        entry.open.timestamp.to_string(),
        "2026-11-22T08:30:00.000000000Z"
    );
    assert_eq!(
        entry.open.commitment,
        hmac_sha256(&sealed.salt, &[&sealed.bytes])
    );
    let part = entry.sealed.unwrap();
    assert_eq!(part.resource.as_deref(), Some("door/7"));
    assert_eq!(part.user_id.as_deref(), Some("bob"));
    assert_eq!(part.source_ip, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(
        part.submitted_by.iss.as_deref(),
        Some("https://issuer.example")
    );
    assert_eq!(part.submitted_by.sub, "ada");
    let mut details = Vec::new();
    write_canonical(&part.details.unwrap(), &mut details);
    assert_eq!(details, r#"{"a":"é","b":[1,2.5,{"c":null}]}"#.as_bytes());
    // Erased, the open part stays.
    assert_eq!(Entry::parse(&record.leaf, None).unwrap().sealed, None);
}

#[test]
fn every_number_that_is_accepted_can_be_read_again() {
    // As an integer of more than 64 bits, which clients cannot send.
    let record = record(r#"{"action":"a","details":{"n":1e20,"m":[-1e19]}}"#);
    let sealed = record.sealed.as_ref().unwrap();
    let text = String::from_utf8(sealed.bytes.clone()).unwrap();
    assert!(
        text.contains(r#"{"m":[-10000000000000000000],"n":100000000000000000000}"#),
        "{text}"
    );
    assert_eq!(record.check(&ring(), ORIGIN), Ok(()));
    let entry = Entry::parse(&record.leaf, Some(&sealed.bytes)).unwrap();
    let mut details = Vec::new();
    write_canonical(&entry.sealed.unwrap().details.unwrap(), &mut details);
    assert!(
        text.contains(std::str::from_utf8(&details).unwrap()),
        "{text}"
    );
}

#[test]
fn any_bit_changed_is_seen_as_what_it_is() {
    let record = record(FULL);
    let sealed = record.sealed.clone().unwrap();
    let check = |record: Record| record.check(&ring(), ORIGIN);
    let mut seen = BTreeMap::new();
    for bit in 0..record.leaf.len() * 8 {
        *seen
            .entry(format!("{:?}", assert_leaf_flip(&record, bit)))
            .or_insert(0) += 1;
    }
    let kinds: Vec<&str> = seen.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["Commitment", "Leaf", "Signature(Invalid)"]);
    for bit in 0..sealed.bytes.len() * 8 {
        let mut changed = record.clone();
        changed.sealed.as_mut().unwrap().bytes = flipped(&sealed.bytes, bit);
        assert_eq!(
            check(changed),
            Err(RecordError::Commitment),
            "sealed, bit {bit}"
        );
    }
    for bit in 0..256 {
        let mut changed = record.clone();
        changed.sealed.as_mut().unwrap().salt = flipped_array(sealed.salt, bit);
        assert_eq!(
            check(changed),
            Err(RecordError::Commitment),
            "salt, bit {bit}"
        );
        let signature = flipped_array(record.signature, bit);
        let invalid = RecordError::Signature(SignatureError::Invalid);
        assert_eq!(
            check(Record {
                signature,
                ..record.clone()
            }),
            Err(invalid),
            "bit {bit}"
        );
    }
    for bit in 0..32 {
        let key_id = KeyId(flipped_array(record.key_id.0, bit));
        let unknown = RecordError::Signature(SignatureError::UnknownKey(key_id));
        assert_eq!(
            check(Record {
                key_id,
                ..record.clone()
            }),
            Err(unknown),
            "bit {bit}"
        );
    }
}

#[test]
fn other_ways_not_to_check() {
    let record = record(FULL);
    let invalid = Err(RecordError::Signature(SignatureError::Invalid));
    assert_eq!(record.check(&ring(), "log.example/other"), invalid);
    let erased = Record {
        sealed: None,
        ..record.clone()
    };
    assert_eq!(
        erased.check(&ring(), ORIGIN),
        Err(RecordError::SealedMissing)
    );
    let other = SigningKey::new(&[7; 32]).unwrap();
    let strangers = KeyRing {
        current: other.clone(),
        earlier: Vec::new(),
    };
    let unknown = RecordError::Signature(SignatureError::UnknownKey(record.key_id));
    assert_eq!(record.check(&strangers, ORIGIN), Err(unknown));
    let rotated = KeyRing {
        current: other,
        earlier: vec![key()],
    };
    assert_eq!(record.check(&rotated, ORIGIN), Ok(()));
    // The sealed part and salt of another entry, each whole.
    let foreign = crate::support::record(r#"{"action":"door.open"}"#);
    let swapped = Record {
        sealed: foreign.sealed,
        ..record
    };
    assert_eq!(swapped.check(&ring(), ORIGIN), Err(RecordError::Commitment));
}

#[test]
fn leaves_of_another_form_are_refused() {
    let leaf = String::from_utf8(record(FULL).leaf).unwrap();
    assert!(OpenPart::parse(leaf.as_bytes()).is_ok());
    let change = |from: &str, to: &str| {
        assert!(leaf.contains(from), "{from}");
        leaf.replacen(from, to, 1)
    };
    let sealed_at = leaf.find("\"sealed\":\"").unwrap() + 10;
    let sealed = &leaf[sealed_at..sealed_at + 43];
    let commitment = OpenPart::parse(leaf.as_bytes()).unwrap().commitment;
    // The last of 43 characters has two bits that say nothing; they have to be zero.
    let spare = char::from(sealed.as_bytes()[42] + 1).to_string();
    assert_eq!(commitment.len() * 8 + 2, 43 * 6);
    for other in [
        String::new(),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        format!("{leaf}\n"),
        format!(" {leaf}"),
        leaf[..leaf.len() - 1].to_owned(),
        change(",\"v\":1", ""),
        change("\"v\":1", "\"v\":2"),
        change("\"v\":1", "\"v\":1.0"),
        change("\"v\":1", "\"v\":\"1\""),
        change("\"v\":1", "\"v\":1,\"w\":1"),
        change("\"v\":1", "\"v\":1,\"v\":1"),
        change("\"v\":1", "\"v\":null"),
        change("\"action\":\"door.open\",", ""),
        change("\"door.open\"", "\"door\\u002eopen\""),
        change("\"door.open\"", "null"),
        change("\"door.open\"", "{}"),
        change("\"id\":", "\"Id\":"),
        change("0198c0de", "0198C0DE"),
        change("0198c0de-", "0198c0de"),
        change("\"success\"", "\"Success\""),
        change("\"success\"", "\"\""),
        change("\"success\"", "null"),
        change("\"acme\"", "null"),
        change("\"acme\"", "7"),
        change("T08:30:00.000000000Z", "T08:30:00Z"),
        change("T08:30:00.000000000Z", "T08:30:00.00000000Z"),
        change("T08:30:00.000000000Z", "T08:30:00.000000000+00:00"),
        change("T08:30:00.000000000Z", "t08:30:00.000000000z"),
        change("\"timestamp\":\"2026", "\"timestamp\":\"1969"),
        change(sealed, &format!("{sealed}=")),
        change(sealed, &sealed[..42]),
        change(sealed, &format!("{}{spare}", &sealed[..42])),
        change(sealed, ""),
        change(",\"v\":1}", ",\"user_id\":\"x\",\"v\":1}"),
        // The members in another order.
        format!(
            "{{\"v\":1,{}}}",
            leaf.trim_start_matches('{').replace(",\"v\":1}", "")
        ),
    ] {
        let error = OpenPart::parse(other.as_bytes()).expect_err(&other);
        assert_eq!(error, RecordError::Leaf, "{other}");
    }
}

#[test]
fn sealed_parts_of_another_form_are_refused() {
    let leaf = record(FULL).leaf;
    for sealed in [
        "",
        "null",
        "[]",
        "{",
        r#"{"action":"a"}"#,
        r#"{"details":[]}"#,
        r#"{"details":null}"#,
        r#"{"resource":1}"#,
        r#"{"source_ip":"x"}"#,
        r#"{"source_ip":1}"#,
        r#"{"submitted_by":"ada"}"#,
        r#"{"submitted_by":{"sub":1}}"#,
        r#"{"submitted_by":{"sub":"a","x":"b"}}"#,
        r#"{"user_id":{}}"#,
        r#"{"user_id":"a","user_id":"a"}"#,
    ] {
        let error = Entry::parse(&leaf, Some(sealed.as_bytes())).expect_err(sealed);
        assert_eq!(error, RecordError::Sealed, "{sealed}");
    }
}

#[test]
fn the_deepest_details_can_be_read_again() {
    for details in [
        crate::support::nested_objects(32),
        crate::support::nested_arrays(32),
    ] {
        let record = record(&format!(r#"{{"action":"a","details":{details}}}"#));
        let sealed = record.sealed.unwrap().bytes;
        assert!(
            Entry::parse(&record.leaf, Some(&sealed)).is_ok(),
            "{details}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sealing_whatever_is_valid(
        action in "\\PC{1,60}",
        tenant in prop::option::of("\\PC{1,30}"),
        user_id in prop::option::of("\\PC{1,60}"),
        details in prop::option::of(crate::properties::object()),
        outcome in prop::option::of(prop::sample::select(vec!["success", "failure", "denied", "unknown"])),
        nanos in prop::option::of(0..NOW.nanos()),
        salt in any::<[u8; 32]>(),
        place in any::<prop::sample::Index>(),
    ) {
        let mut sent = serde_json::Map::new();
        let timestamp = nanos.map(audittrail_entry::Timestamp::from_nanos);
        sent.insert("action".to_owned(), action.as_str().into());
        for (name, value) in [
            ("tenant", tenant.clone()),
            ("user_id", user_id.clone()),
            ("outcome", outcome.map(str::to_owned)),
            ("timestamp", timestamp.map(|time| time.to_string())),
        ] {
            sent.insert(name.to_owned(), value.into());
        }
        let mut json = serde_json::to_string(&sent).unwrap();
        if let Some(details) = &details {
            json = format!("{},\"details\":{}}}", json.trim_end_matches('}'), details.canonical());
        }
        let entry = crate::support::read(json.as_bytes()).unwrap();
        let limits = audittrail_entry::Limits::default();
        let record = crate::support::seal_with(&entry, salt, &limits).unwrap();
        prop_assert_eq!(record.check(&ring(), ORIGIN), Ok(()));
        let sealed = record.sealed.as_ref().unwrap();
        prop_assert_eq!(commitment(&salt, &sealed.bytes), hmac_sha256(&salt, &[&sealed.bytes]));
        // Both parts are canonical, and say what was sent.
        for bytes in [&record.leaf, &sealed.bytes] {
            let mut again = Vec::new();
            write_canonical(&parse_written(bytes, 40).unwrap(), &mut again);
            prop_assert_eq!(&again, bytes);
        }
        let read = Entry::parse(&record.leaf, Some(&sealed.bytes)).unwrap();
        prop_assert_eq!(&read.open.action, &action);
        prop_assert_eq!(read.open.tenant.as_deref(), tenant.as_deref());
        prop_assert_eq!(read.open.outcome.map(Outcome::as_str), outcome);
        prop_assert_eq!(read.open.timestamp, timestamp.unwrap_or(NOW));
        let part = read.sealed.unwrap();
        prop_assert_eq!(part.user_id.as_deref(), user_id.as_deref());
        prop_assert_eq!(part.details, entry.details);
        assert_leaf_flip(&record, place.index(record.leaf.len() * 8));
    }
}
