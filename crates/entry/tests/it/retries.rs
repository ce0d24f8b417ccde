//! When an entry under a known id is the same again, and when it is another.

use audittrail_entry::{Outcome, Record, Submitter, Timestamp, is_retry_of};

use crate::support::{NOW, SUBMITTER, read, record};

const STORED: &str = r#"{"action":"a","outcome":"denied","tenant":"t","user_id":"u","resource":"r",
    "source_ip":"192.0.2.1","timestamp":"2026-11-23T08:00:00Z","details":{"n":1}}"#;

fn retried_by(stored: &Record, json: &str, submitter: &Submitter<'_>) -> bool {
    let entry = read(json.as_bytes()).expect(json);
    let sealed = entry.sealed_bytes(submitter);
    let tenant = entry.tenant.as_deref();
    is_retry_of(
        stored,
        &entry.action,
        entry.outcome,
        tenant,
        entry.timestamp,
        &sealed,
    )
}

fn retried(stored: &Record, json: &str) -> bool {
    retried_by(stored, json, &SUBMITTER)
}

fn change(from: &str, to: &str) -> String {
    assert!(STORED.contains(from), "{from}");
    STORED.replacen(from, to, 1)
}

#[test]
fn the_same_again() {
    let stored = record(STORED);
    for same in [
        STORED.to_owned(),
        // Without the time, with it in another zone, and with other spelling.
        change(r#""timestamp":"2026-11-23T08:00:00Z","#, ""),
        change(r#""2026-11-23T08:00:00Z""#, "null"),
        change("T08:00:00Z", "T09:00:00.000+01:00"),
        change(r#""action":"a""#, r#""id":null,"\u0061ction":"\u0061""#),
        change(r#""192.0.2.1""#, r#""::ffff:192.0.2.1""#),
        change(r#"{"n":1}"#, r#"{ "\u006e" : 1.0 }"#),
    ] {
        assert!(retried(&stored, &same), "{same}");
    }
}

#[test]
fn each_member_counts() {
    let stored = record(STORED);
    for other in [
        change(r#""action":"a""#, r#""action":"b""#),
        change(r#""action":"a""#, r#""action":"A""#),
        change(r#""denied""#, r#""success""#),
        change(r#""outcome":"denied","#, ""),
        change(r#""tenant":"t""#, r#""tenant":"t2""#),
        change(r#""tenant":"t","#, ""),
        change(r#""user_id":"u""#, r#""user_id":"v""#),
        change(r#""user_id":"u","#, ""),
        change(r#""resource":"r""#, r#""resource":"s""#),
        change(r#""resource":"r","#, ""),
        change("192.0.2.1", "192.0.2.2"),
        change(r#""source_ip":"192.0.2.1","#, ""),
        change("T08:00:00Z", "T08:00:00.000000001Z"),
        change(r#"{"n":1}"#, r#"{"n":2}"#),
        change(r#"{"n":1}"#, r#"{"n":"1"}"#),
        change(r#"{"n":1}"#, r#"{"n":1,"m":null}"#),
        change(r#"{"n":1}"#, "{}"),
        change(r#","details":{"n":1}"#, ""),
    ] {
        assert!(!retried(&stored, &other), "{other}");
    }
}

#[test]
fn the_submitter_counts() {
    let stored = record(STORED);
    assert!(retried_by(&stored, STORED, &SUBMITTER));
    for submitter in [
        Submitter {
            sub: "eve",
            ..SUBMITTER
        },
        Submitter {
            iss: None,
            ..SUBMITTER
        },
        Submitter {
            iss: Some("https://other.example"),
            ..SUBMITTER
        },
    ] {
        assert!(!retried_by(&stored, STORED, &submitter), "{submitter:?}");
    }
}

#[test]
fn what_was_not_sent_first_counts_too() {
    let stored = record(r#"{"action":"a"}"#);
    assert!(retried(&stored, r#"{"action":"a"}"#));
    for more in [
        r#""outcome":"unknown""#,
        r#""tenant":"t""#,
        r#""user_id":"u""#,
        r#""resource":"r""#,
        r#""source_ip":"::1""#,
        r#""details":{}"#,
        r#""timestamp":"2026-11-23T08:29:59Z""#,
    ] {
        assert!(
            !retried(&stored, &format!(r#"{{"action":"a",{more}}}"#)),
            "{more}"
        );
    }
    // The time that the server gave is the entry's, so to send it is to repeat it.
    assert!(retried(
        &stored,
        &format!(r#"{{"action":"a","timestamp":"{NOW}"}}"#)
    ));
}

#[test]
fn the_salt_does_not_count() {
    let entry = read(STORED.as_bytes()).unwrap();
    let limits = audittrail_entry::Limits::default();
    let stored = crate::support::seal_with(&entry, [9; 32], &limits).unwrap();
    assert_ne!(stored.leaf, record(STORED).leaf);
    assert!(retried(&stored, STORED));
}

#[test]
fn what_was_erased_or_is_broken_equals_nothing() {
    let stored = record(STORED);
    assert!(!retried(
        &Record {
            sealed: None,
            ..stored.clone()
        },
        STORED
    ));
    let mut other_salt = stored.clone();
    other_salt.sealed.as_mut().unwrap().salt[0] ^= 1;
    assert!(!retried(&other_salt, STORED));
    assert!(!retried(
        &Record {
            leaf: b"{}".to_vec(),
            ..stored.clone()
        },
        STORED
    ));
    // Nothing of these is compared by prefix.
    let sealed = read(STORED.as_bytes()).unwrap().sealed_bytes(&SUBMITTER);
    let at = Timestamp::parse("2026-11-23T08:00:00Z").ok();
    let retry = |action, sealed: &[u8]| {
        is_retry_of(
            &stored,
            action,
            Some(Outcome::Denied),
            Some("t"),
            at,
            sealed,
        )
    };
    assert!(retry("a", &sealed));
    assert!(!retry("", &sealed));
    assert!(!retry("a", &sealed[..sealed.len() - 1]));
    assert!(!retry("a", b""));
}
