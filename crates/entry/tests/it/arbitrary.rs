//! Arbitrary bytes: nothing panics, and what is refused is refused for a reason.

use audittrail_entry::json::{parse, parse_written, write_canonical};
use audittrail_entry::{Entry, KeyId, Limits, NewEntry, Record, Sealed, parse_array};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{NOW, ORIGIN, record, ring};

const ENTRY: &str = r#"{"action":"a","outcome":"denied","tenant":"t","user_id":"\u0041\ud83d\ude02",
"id":"0198c0de-0000-7000-8000-00000000002a","source_ip":"::1","timestamp":"2026-11-23T08:00:00.5Z",
"details":{"b":[1,-2.50e3,1e20,true,null,{"c":"\n\\"}],"a~/":{}},"resource":"r"}"#;

/// Bytes that make sense in some places of JSON.
const TOKENS: &[&str] = &[
    "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "1", "-", ".", "e", "E+", "\\u", "\\ud800",
    "\\udc00", "\0", "\u{1f}", "é", "😂", "true", "null", " ", "\n", "a", "~", "/",
];

/// A text with some places replaced, cut or repeated.
fn mutated(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let change = (
        any::<prop::sample::Index>(),
        0..4_usize,
        prop::sample::select(TOKENS),
        any::<u8>(),
    );
    prop::collection::vec(change, 1..5).prop_map(move |changes| {
        let mut bytes = text.as_bytes().to_vec();
        for (at, kind, token, byte) in changes {
            let at = at.index(bytes.len() + 1);
            let end = (at + 1).min(bytes.len());
            match kind {
                0 => drop(bytes.splice(at..end, token.bytes())),
                1 => drop(bytes.splice(at..at, token.bytes())),
                2 => drop(bytes.splice(at..end, [byte])),
                _ => drop(bytes.splice(at..(at + usize::from(byte) / 16).min(bytes.len()), [])),
            }
        }
        bytes
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..64),
        2 => prop::collection::vec(prop::sample::select(TOKENS), 0..24)
            .prop_map(|tokens| tokens.concat().into_bytes()),
        6 => mutated(ENTRY),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_is_taken_exactly_where_another_reader_takes_it(bytes in bytes()) {
        let other = serde_json::from_slice::<Value>(&bytes);
        match parse(&bytes, 33) {
            Ok(value) => {
                prop_assert!(other.is_ok(), "{}", String::from_utf8_lossy(&bytes));
                let mut out = Vec::new();
                write_canonical(&value, &mut out);
                prop_assert_eq!(parse_written(&out, 33), Ok(value));
            }
            // serde_json keeps the last of two members, rounds numbers and goes 128 deep.
            Err(error) => prop_assert!(
                other.is_err()
                    || error.detail.contains("there twice")
                    || error.detail.contains("would be rounded")
                    || error.detail.contains("levels deep"),
                "{}: {}", String::from_utf8_lossy(&bytes), error
            ),
        }
    }

    #[test]
    fn entries_are_refused_at_places_that_exist(bytes in bytes()) {
        let Err(violations) = NewEntry::parse(&bytes, &Limits::default(), NOW) else { return Ok(()) };
        prop_assert!(!violations.is_empty());
        if let Ok(value) = serde_json::from_slice::<Value>(&bytes) {
            for found in violations {
                prop_assert!(
                    value.pointer(&found.pointer).is_some() || found.detail.contains("is missing"),
                    "{}: {}", String::from_utf8_lossy(&bytes), found
                );
            }
        }
    }

    #[test]
    fn a_batch_says_of_each_entry_what_the_entry_alone_says(one in bytes(), two in bytes()) {
        let limits = Limits::default();
        let batch = [b"[", one.as_slice(), b",", &two, b"]"].concat();
        // Only where each is a JSON text of its own; else the comma may be inside one.
        if parse(&one, 33).is_ok() && parse(&two, 33).is_ok() {
            let together = parse_array(&batch, &limits, NOW, 2).unwrap();
            for (position, (entry, alone)) in together.iter().zip([&one, &two]).enumerate() {
                let step = position.to_string();
                let alone = NewEntry::parse(alone, &limits, NOW);
                let alone = alone.map_err(|violations| {
                    violations.into_iter().map(|found| found.below(&step)).collect::<Vec<_>>()
                });
                prop_assert_eq!(entry, &alone);
            }
        } else if let Ok(entries) = parse_array(&batch, &limits, NOW, usize::MAX) {
            prop_assert!(serde_json::from_slice::<Vec<Value>>(&batch).is_ok_and(|values| values.len() == entries.len()));
        }
    }

    #[test]
    fn no_record_panics(
        leaf in prop_oneof![prop::collection::vec(any::<u8>(), 0..64), leaf()],
        sealed in bytes(),
        salt in any::<[u8; 32]>(),
        signature in any::<[u8; 32]>(),
        key in any::<[u8; 4]>(),
    ) {
        let _ = Entry::parse(&leaf, Some(&sealed));
        let sealed = Some(Sealed { bytes: sealed, salt });
        let record = Record { leaf, sealed, signature, key_id: KeyId(key) };
        prop_assert!(record.check(&ring(), ORIGIN).is_err());
    }
}

/// A true leaf with some bytes changed.
fn leaf() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>());
    prop::collection::vec(change, 0..4).prop_map(|changes| {
        let mut leaf = record(ENTRY).leaf;
        for (at, byte) in changes {
            let at = at.index(leaf.len());
            leaf[at] = byte;
        }
        leaf
    })
}
