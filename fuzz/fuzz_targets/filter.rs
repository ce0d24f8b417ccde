//! Filters: the first line is a query, the rest an entry. Equal canonical text means equal
//! filters, the order of parameters means nothing, and matching never fails.
#![no_main]

use audittrail_entry::{Entry, Limits, NewEntry};
use audittrail_fuzz::{NOW, seal};
use audittrail_store::{Access, Cursor, Filter};
use libfuzzer_sys::fuzz_target;

fn read<'q>(pairs: impl Iterator<Item = &'q str>) -> Option<Filter> {
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    Filter::from_parameters(pairs).ok()
}

// Two queries stand in the first line, the second after a tab.
fuzz_target!(|data: &[u8]| {
    let at = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (query, entry) = data.split_at(at);
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    let (one, other) = query.split_once('\t').unwrap_or((query, ""));
    let Some(filter) = read(one.split('&').filter(|pair| !pair.is_empty())) else {
        return;
    };
    let turned = read(one.split('&').rev().filter(|pair| !pair.is_empty()));
    assert_eq!(turned.as_ref(), Some(&filter));
    let text = filter.canonical();
    if let Some(other) = read(other.split('&').filter(|pair| !pair.is_empty())) {
        assert_eq!(text == other.canonical(), filter == other, "{text}");
    }
    let _ = Cursor::fingerprint(&filter, &Access::default());
    let written = if entry.len() > 1 {
        &entry[1..]
    } else {
        br#"{"action":"a"}"#
    };
    let Ok(entry) = NewEntry::parse(written, &Limits::default(), NOW) else {
        return;
    };
    let Some(record) = seal(&entry, uuid::Uuid::from_u128(7)) else {
        return;
    };
    let sealed = record.sealed.as_ref().map(|sealed| &*sealed.bytes);
    let whole = Entry::parse(&record.leaf, sealed).expect("it was written so");
    let open = Entry::parse(&record.leaf, None).expect("it was written so");
    let matched = filter.matches(0, &whole);
    assert!(!matched || !filter.failed);
    let _ = filter.matches(u64::MAX, &open);
});
