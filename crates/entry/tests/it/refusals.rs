//! Entries that are refused: each fault, the pointers to its places, and the reason.

use audittrail_entry::{Limits, NewEntry, Violation, parse_array};

use crate::support::{NOW, nested_arrays, nested_objects, read};

pub(crate) fn assert_refused(input: &str, violations: &[Violation], expected: &[(&str, &str)]) {
    let shown = &input[..input.len().min(200)];
    let pointers: Vec<&str> = violations
        .iter()
        .map(|found| found.pointer.as_str())
        .collect();
    let wanted: Vec<&str> = expected.iter().map(|(pointer, _)| *pointer).collect();
    assert_eq!(pointers, wanted, "{shown}: {violations:?}");
    for (found, (_, detail)) in violations.iter().zip(expected) {
        assert!(found.detail.contains(detail), "{shown}: {found}");
    }
}

/// An entry with one more member.
fn with(member: &str, value: &str) -> String {
    format!(r#"{{"action":"a","{member}":{value}}}"#)
}

#[test]
fn entries() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("null", &[("", "an entry is a JSON object")]),
        ("[]", &[("", "an entry is a JSON object")]),
        (r#"[{"action":"a"}]"#, &[("", "an entry is a JSON object")]),
        (r#""action""#, &[("", "an entry is a JSON object")]),
        ("17", &[("", "an entry is a JSON object")]),
        ("{}", &[("/action", "is missing")]),
        (r#"{"action":null}"#, &[("/action", "is missing")]),
        (
            r#"{"Action":"a"}"#,
            &[("/Action", "no such member"), ("/action", "is missing")],
        ),
        (r#"{"action":"a","x":1}"#, &[("/x", "put it into details")]),
        (r#"{"action":"a","x":null}"#, &[("/x", "no such member")]),
        (r#"{"action":"a","":1}"#, &[("/", "no such member")]),
        (
            r#"{"action":"a","a/b~":1}"#,
            &[("/a~1b~0", "no such member")],
        ),
        (
            r#"{"action":"a","user_id ":"x"}"#,
            &[("/user_id ", "no such member")],
        ),
        // Only the server says these.
        (
            r#"{"action":"a","received_at":"2026-11-23T08:30:00Z"}"#,
            &[("/received_at", "no such")],
        ),
        (
            r#"{"action":"a","submitted_by":{"sub":"x"}}"#,
            &[("/submitted_by", "no such")],
        ),
        (r#"{"action":"a","v":1}"#, &[("/v", "no such member")]),
        (
            r#"{"action":"a","action":"a"}"#,
            &[("/action", "there twice")],
        ),
        (
            r#"{"action":"a","\u0061ction":"b"}"#,
            &[("/action", "there twice")],
        ),
        (
            r#"{"action":"a","tenant":null,"tenant":null}"#,
            &[("/tenant", "there twice")],
        ),
        (
            r#"{"action":"a","details":{"b":{"c":1,"\u0063":1}}}"#,
            &[("/details/b/c", "twice")],
        ),
        (
            r#"{"action":"\ud800"}"#,
            &[("/action", "a surrogate stands alone")],
        ),
        (
            r#"{"action":"a","details":{"\udc00":1}}"#,
            &[("/details", "a surrogate stands alone")],
        ),
        (
            r#"{"action":"a","details":{"n":[1e999]}}"#,
            &[("/details/n/0", "would be rounded")],
        ),
        // All faults at once, in the order of the names.
        (
            r#"{"action":"","details":[],"id":"x","outcome":"x","resource":7,"source_ip":"x",
                "tenant":false,"timestamp":"x","user_id":"\u0000","zzz":0}"#,
            &[
                ("/action", "is empty"),
                ("/details", "is not an object"),
                ("/id", "is not a UUID"),
                (
                    "/outcome",
                    "is not one of success, failure, denied and unknown",
                ),
                ("/resource", "is not a string"),
                ("/source_ip", "is not an IPv4 or IPv6 address"),
                ("/tenant", "is not a string"),
                ("/timestamp", "2026-11-23T08:30:00Z"),
                ("/user_id", "has control characters"),
                ("/zzz", "no such member"),
            ],
        ),
    ];
    for (input, expected) in rows {
        assert_refused(input, &read(input.as_bytes()).expect_err(input), expected);
    }
}

#[test]
fn texts() {
    for (member, max) in [
        ("action", 256),
        ("user_id", 256),
        ("resource", 1_024),
        ("tenant", 128),
    ] {
        let pointer = format!("/{member}");
        let entry = |value: &str| match member {
            "action" => format!(r#"{{"action":{value}}}"#),
            _ => with(member, value),
        };
        let refuse = |value: &str, detail: &str| {
            let input = entry(value);
            let violations = read(input.as_bytes()).expect_err(&input);
            assert_refused(&input, &violations, &[(&pointer, detail)]);
        };
        for value in ["1", "true", "{}", "[]", r#"["a"]"#] {
            refuse(value, "is not a string");
        }
        refuse(r#""""#, "is empty");
        // Bytes count, not characters.
        refuse(
            &format!("\"{}\"", "x".repeat(max + 1)),
            &format!("has {} bytes", max + 1),
        );
        refuse(
            &format!("\"{}é\"", "x".repeat(max - 1)),
            &format!("{max} are possible"),
        );
        assert!(
            read(entry(&format!("\"{}\"", "x".repeat(max))).as_bytes()).is_ok(),
            "{member}"
        );
        assert!(read(entry(&format!("\"{}é\"", "x".repeat(max - 2))).as_bytes()).is_ok());
        // C0, DEL and C1: every one, and none of their neighbours.
        for code in (0..0x20).chain(0x7f..0xa0) {
            refuse(&format!("\"a\\u{code:04x}\""), "has control characters");
        }
        refuse("\"a\u{7f}\"", "has control characters");
        refuse("\"\u{85}\"", "has control characters");
        for code in [0x20, 0x7e, 0xa0, 0xad, 0x200b, 0x2028, 0xfeff, 0xffff] {
            assert!(
                read(entry(&format!("\"\\u{code:04x}\"")).as_bytes()).is_ok(),
                "{code:04x}"
            );
        }
    }
}

#[test]
fn outcomes() {
    for value in [
        "\"Success\"",
        "\"ok\"",
        "\"\"",
        "\" success\"",
        "1",
        "true",
        "{}",
        "[\"denied\"]",
    ] {
        let input = with("outcome", value);
        let violations = read(input.as_bytes()).expect_err(&input);
        assert_refused(&input, &violations, &[("/outcome", "is not one of")]);
    }
}

#[test]
fn addresses() {
    for value in [
        "\"\"",
        "\"localhost\"",
        "\"1.2.3\"",
        "\"1.2.3.4.5\"",
        "\"256.1.1.1\"",
        "\"01.2.3.4\"",
        "\"1.2.3.4:80\"",
        "\"1.2.3.4/32\"",
        "\" 1.2.3.4\"",
        "\"1.2.3.4 \"",
        "\"0x7f.0.0.1\"",
        "\"2130706433\"",
        "\"fe80::1%eth0\"",
        "\"fe80::1%1\"",
        "\"[::1]\"",
        "\"[::1]:80\"",
        "\"::1/128\"",
        "\":::\"",
        "\"1::2::3\"",
        "\"12345::\"",
        "\"1:2:3:4:5:6:7\"",
        "\"1:2:3:4:5:6:7:8:9\"",
        "\"::ffff:1.2.3\"",
        "\"::g\"",
        "2130706433",
        "{}",
        "[]",
        "true",
        "\"\\u0661.2.3.4\"",
    ] {
        let input = with("source_ip", value);
        let violations = read(input.as_bytes()).expect_err(&input);
        assert_refused(
            &input,
            &violations,
            &[("/source_ip", "is not an IPv4 or IPv6 address")],
        );
    }
}

#[test]
fn ids() {
    for value in [
        "\"\"",
        "\"x\"",
        "1",
        "{}",
        "\"0198c0de00007000800000000000002a\"",
        "\"{0198c0de-0000-7000-8000-00000000002a}\"",
        "\"urn:uuid:0198c0de-0000-7000-8000-00000000002a\"",
        "\"0198c0de-0000-7000-8000-00000000002\"",
        "\"0198c0de-0000-7000-8000-00000000002aa\"",
        "\"0198c0de-0000-7000-8000-00000000002g\"",
        "\"0198c0de-00007-000-8000-00000000002a\"",
        "\"0198c0de_0000_7000_8000_00000000002a\"",
        "\" 198c0de-0000-7000-8000-00000000002a\"",
        "\"0198c0de-0000-7000-8000-0000000000é\"",
    ] {
        let input = with("id", value);
        let violations = read(input.as_bytes()).expect_err(&input);
        assert_refused(&input, &violations, &[("/id", "is not a UUID")]);
    }
    let nil = with("id", "\"00000000-0000-0000-0000-000000000000\"");
    let violations = read(nil.as_bytes()).expect_err(&nil);
    assert_refused(&nil, &violations, &[("/id", "is the nil UUID")]);
}

#[test]
fn timestamps() {
    for (value, detail) in [
        ("1795422600", "is not a string"),
        ("{}", "is not a string"),
        ("\"\"", "is empty"),
        ("\"2026-11-23\"", "not of the form"),
        ("\"2026-11-23T08:30:00\"", "not of the form"),
        ("\"2026-11-23T24:00:00Z\"", "no such date or time"),
        ("\"2016-12-31T23:59:60Z\"", "leap second"),
        (
            "\"2026-11-23T08:30:00.0000000001Z\"",
            "finer than a nanosecond",
        ),
        ("\"1969-12-31T23:59:59.999999999Z\"", "1970 to 2261"),
        ("\"2262-01-01T00:00:00Z\"", "1970 to 2261"),
        // One nanosecond more than a day ahead.
        (
            "\"2026-11-24T08:30:00.000000001Z\"",
            "more than 24 hours ahead",
        ),
        (
            "\"2026-11-24T09:30:00.000000001+01:00\"",
            "more than 24 hours ahead",
        ),
        ("\"2261-12-31T23:59:59Z\"", "more than 24 hours ahead"),
    ] {
        let input = with("timestamp", value);
        let violations = read(input.as_bytes()).expect_err(&input);
        assert_refused(&input, &violations, &[("/timestamp", detail)]);
    }
    let long = with(
        "timestamp",
        &format!("\"2026-11-23T08:30:00.{}Z\"", "0".repeat(60)),
    );
    let violations = read(long.as_bytes()).unwrap_err();
    assert_eq!(violations[0].pointer, "/timestamp");
    assert!(violations[0].detail.contains("bytes"), "{violations:?}");
}

#[test]
fn details() {
    for (value, pointer, detail) in [
        ("[]", "/details", "is not an object"),
        ("\"\"", "/details", "is not an object"),
        ("0", "/details", "is not an object"),
        (r#"{"a":"x\u0000"}"#, "/details/a", "has a NUL character"),
        (
            r#"{"a":[1,{"b/c":"\u0000"}]}"#,
            "/details/a/1/b~1c",
            "has a NUL character",
        ),
        (
            r#"{"x":{"\u0000":1}}"#,
            "/details/x/\0",
            "has a NUL character",
        ),
        (
            r#"{"n":18446744073709551616}"#,
            "/details/n",
            "an integer outside",
        ),
    ] {
        let input = with("details", value);
        let violations = read(input.as_bytes()).expect_err(&input);
        assert_refused(&input, &violations, &[(pointer, detail)]);
    }
}

#[test]
fn depth_of_details() {
    for (levels, nested) in [(32, nested_objects(32)), (32, nested_arrays(32))] {
        assert!(
            read(with("details", &nested).as_bytes()).is_ok(),
            "{levels}: {nested}"
        );
    }
    let too_deep = [
        (nested_objects(33), format!("/details{}", "/a".repeat(32))),
        (nested_arrays(33), format!("/details/a{}", "/0".repeat(31))),
    ];
    for (nested, pointer) in too_deep {
        let input = with("details", &nested);
        let violations = read(input.as_bytes()).expect_err(&input);
        assert_refused(&input, &violations, &[(&pointer, "levels deep")]);
        // The same in a batch, one level further down.
        let batch = format!("[{}]", with("details", &nested));
        let violation = parse_array(batch.as_bytes(), &Limits::default(), NOW, 9).unwrap_err();
        assert_refused(
            &batch,
            &[violation],
            &[(&format!("/0{pointer}"), "levels deep")],
        );
    }
    let batch = format!("[{}]", with("details", &nested_objects(32)));
    let entries = parse_array(batch.as_bytes(), &Limits::default(), NOW, 9).unwrap();
    assert!(entries[0].is_ok());
}

#[test]
fn limits_that_an_operator_sets() {
    let limits = Limits {
        future_ns: 1_000_000_000,
        details_depth: 2,
        ..Limits::default()
    };
    let refuse = |input: &str| NewEntry::parse(input.as_bytes(), &limits, NOW).is_err();
    assert!(!refuse(&with("timestamp", "\"2026-11-23T08:30:01Z\"")));
    assert!(refuse(&with(
        "timestamp",
        "\"2026-11-23T08:30:01.000000001Z\""
    )));
    assert!(!refuse(&with("details", &nested_objects(2))));
    assert!(refuse(&with("details", &nested_objects(3))));
}
