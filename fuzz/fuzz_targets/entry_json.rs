//! Entries: an accepted one, written canonically, is accepted and is the same; sealed, it checks,
//! reads back as what it was, and no longer checks once a bit of it is another.
#![no_main]

use audittrail_entry::json::{parse, parse_written, write_canonical};
use audittrail_entry::{Entry, KeyRing, Limits, NewEntry};
use audittrail_fuzz::{NOW, ORIGIN, seal, signing_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    let Ok(entry) = NewEntry::parse(data, &limits, NOW) else {
        return;
    };
    let value = parse(data, limits.details_depth + 1).expect("the entry was read from it");
    let mut canonical = Vec::new();
    write_canonical(&value, &mut canonical);
    let again = parse_written(&canonical, limits.details_depth + 1).expect("it was written so");
    let mut twice = Vec::new();
    write_canonical(&again, &mut twice);
    assert_eq!(canonical, twice);
    assert_eq!(
        NewEntry::from_value(again, &limits, NOW).as_ref(),
        Ok(&entry)
    );

    let id = uuid::Uuid::from_u128(7);
    let Some(mut record) = seal(&entry, id) else {
        return;
    };
    let ring = KeyRing {
        current: signing_key(),
        earlier: Vec::new(),
    };
    assert_eq!(record.check(&ring, ORIGIN), Ok(()));
    let sealed = record.sealed.clone().expect("it was sealed now");
    let read = Entry::parse(&record.leaf, Some(&sealed.bytes)).expect("it was written so");
    assert_eq!(read.open.action, entry.action);
    assert_eq!(read.open.tenant, entry.tenant);
    assert_eq!(read.open.outcome, entry.outcome);
    assert_eq!(read.open.timestamp, entry.timestamp.unwrap_or(NOW));
    let part = read.sealed.expect("the sealed part was given");
    assert_eq!(part.resource, entry.resource);
    assert_eq!(part.user_id, entry.user_id);
    assert_eq!(part.source_ip, entry.source_ip);
    assert_eq!(part.details, entry.details);
    assert_eq!(read.open.to_leaf(), record.leaf);

    let at = data.iter().fold(0_usize, |sum, byte| {
        sum.wrapping_mul(31) + usize::from(*byte)
    });
    let sealed = record.sealed.as_mut().expect("it was sealed now");
    let length = sealed.bytes.len();
    sealed.bytes[at % length] ^= 1 << (at % 8);
    assert!(record.check(&ring, ORIGIN).is_err());
});
