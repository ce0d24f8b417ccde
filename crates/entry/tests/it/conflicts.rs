//! What is kept of an entry whose id is another's.

use audittrail_entry::json::Value;
use audittrail_entry::{
    Entry, ID_CONFLICT, Limits, Record, RecordError, SigningKey, id_conflict, id_of_conflict,
};

use crate::support::{ID, ORIGIN, SALT, hmac_sha256, key, read, record, ring, seal_with};

const FULL: &str = r#"{"action":"door.\"open\"","outcome":"denied","tenant":"acme","user_id":"bob",
    "resource":"door/7","source_ip":"2001:db8::1","timestamp":"2026-11-22T08:30:00Z",
    "details":{"b":[1,2.5,{"c":null}],"a":"é","big":1e20,"id":18446744073709551615}}"#;

/// All but action, id and details is the original's; these are in the details.
fn check(original: &Record) -> Record {
    let (id, kept) = id_conflict(original, &key(), ORIGIN).unwrap();
    assert_eq!(kept.check(&ring(), ORIGIN), Ok(()));
    let sealed = |record: &Record| record.sealed.as_ref().unwrap().bytes.clone();
    let (before, after) = (sealed(original), sealed(&kept));
    let before = Entry::parse(&original.leaf, Some(&before)).unwrap();
    let after = Entry::parse(&kept.leaf, Some(&after)).unwrap();
    let mut open = after.open.clone();
    assert_eq!((&*open.action, open.id), (ID_CONFLICT, id));
    open.action = before.open.action.clone();
    open.id = before.open.id;
    open.commitment = before.open.commitment;
    assert_eq!(open, before.open, "the rest of the open part");
    let (mut after, mut before_sealed) = (after.sealed.unwrap(), before.sealed.unwrap());
    let text = |text: &str| Value::String(text.to_owned().into());
    let mut expected = vec![("action".into(), text(&before.open.action))];
    let details = before_sealed.details.take();
    expected.extend(details.map(|details| ("details".into(), details)));
    expected.push(("id".into(), text(&before.open.id.to_string())));
    assert_eq!(after.details.take(), Some(Value::Object(expected)));
    assert_eq!(after, before_sealed, "the rest of the sealed part");
    kept
}

#[test]
fn nothing_of_what_was_sent_is_lost() {
    check(&record(FULL));
    check(&record(r#"{"action":"a"}"#));
    check(&record(r#"{"action":"a","details":{}}"#));
}

#[test]
fn the_id_follows_from_the_record_and_from_nothing_else() {
    let original = record(FULL);
    let domain = b"audittrail/id-conflict/id/v1\n";
    let mut expected: [u8; 32] = hmac_sha256(&SALT, &[domain, &original.leaf]);
    expected[6] = expected[6] & 0x0f | 0x80;
    expected[8] = expected[8] & 0x3f | 0x80;
    let id = id_of_conflict(&original).unwrap();
    assert_eq!(id.as_bytes()[..], expected[..16]);
    assert_ne!(id, ID);
    // Again, and under another signing key, it is the same leaf.
    let (again, kept) = id_conflict(&original, &key(), ORIGIN).unwrap();
    let other = SigningKey::new(&[9; 32]).unwrap();
    let (by_other, kept_by_other) = id_conflict(&original, &other, ORIGIN).unwrap();
    assert_eq!((id, id), (again, by_other));
    assert_eq!(kept.leaf, kept_by_other.leaf);
    assert_ne!(kept.signature, kept_by_other.signature);
    // Another submission of the same content has another salt, and its own entry.
    let entry = read(FULL.as_bytes()).unwrap();
    let second = seal_with(&entry, [1; 32], &Limits::default()).unwrap();
    assert_ne!(id_of_conflict(&second).unwrap(), id);
    let salt = |record: &Record| record.sealed.as_ref().unwrap().salt;
    assert_ne!(salt(&kept), SALT, "no salt is used twice");
}

/// The largest sealed part that an operator can allow, the longest action, the deepest details, and
/// everything in them such that it has to be escaped.
#[test]
fn the_largest_entry_fits() {
    let limits = Limits {
        sealed_bytes: 1 << 20,
        ..Limits::default()
    };
    let action = "\\\"".repeat(256);
    let (open, close) = ("{\"d\":".repeat(31), "}".repeat(31));
    let json = |filler: usize| {
        let filler = "\\\\".repeat(filler);
        format!("{{\"action\":\"{action}\",\"details\":{{\"d\":{open}\"{filler}\"{close}}}}}")
    };
    let seal = |json: &str| seal_with(&read(json.as_bytes()).unwrap(), SALT, &limits);
    let rest = seal(&json(0)).unwrap().sealed.unwrap().bytes.len();
    let most = ((1 << 20) - rest) / 2;
    assert!(seal(&json(most + 1)).is_err(), "it is the largest");
    let original = seal(&json(most)).unwrap();
    let kept = check(&original);
    assert!(kept.size_bytes() < original.size_bytes() + (2 << 10));
}

#[test]
fn without_a_sealed_part_there_is_none() {
    let mut original = record(FULL);
    original.sealed.as_mut().unwrap().bytes.pop();
    let refused = id_conflict(&original, &key(), ORIGIN);
    assert_eq!(refused, Err(RecordError::Sealed));
    original.sealed = None;
    let refused = id_conflict(&original, &key(), ORIGIN);
    assert_eq!(refused, Err(RecordError::SealedMissing));
    let refused = id_of_conflict(&original);
    assert_eq!(refused, Err(RecordError::SealedMissing));
}
