//! What no reader of JSON text takes: each fault, and the pointer to its place.

use audittrail_entry::json::{parse, parse_written};

use crate::support::read;

const DEPTH: usize = 33;

/// Input, pointer, part of the sentence.
type Row = (&'static [u8], &'static str, &'static str);

const SYNTAX: &[Row] = &[
    (b"", "", "ends too early"),
    (b" \t\r\n", "", "ends too early"),
    (b"{", "", "a member's name is missing"),
    (b"{}}", "", "after the end"),
    (b"{} {}", "", "after the end"),
    (b"{}\0", "", "after the end"),
    (b"{}x", "", "after the end"),
    (b"{},", "", "after the end"),
    (b"null null", "", "after the end"),
    (b"// comment\n{}", "", "not JSON"),
    (b"{/**/}", "", "a member's name is missing"),
    (b"{a:1}", "", "a member's name is missing"),
    (b"{'a':1}", "", "a member's name is missing"),
    (b"{\"a\":1,}", "", "a member's name is missing"),
    (b"{,\"a\":1}", "", "a member's name is missing"),
    (b"{\"a\" 1}", "", "a colon is missing"),
    (b"{\"a\"}", "", "a colon is missing"),
    (b"{\"a\":}", "/a", "not JSON"),
    (b"{\"a\":", "/a", "ends too early"),
    (b"{\"a\":1", "", "a comma or } is missing"),
    (b"{\"a\":1 \"b\":2}", "", "a comma or } is missing"),
    (b"{\"a\":[1,]}", "/a/1", "not JSON"),
    (b"{\"a\":[,1]}", "/a/0", "not JSON"),
    (b"{\"a\":[1 2]}", "/a", "a comma or ] is missing"),
    (b"{\"a\":[1}", "/a", "a comma or ] is missing"),
    (b"[1", "", "a comma or ] is missing"),
    (b"[", "/0", "ends too early"),
    (b"]", "", "not JSON"),
    (b"{\"a\":{\"b\":[0,{\"c\":?}]}}", "/a/b/1/c", "not JSON"),
    // RFC 6901: ~ is written ~0 and / is written ~1.
    (b"{\"a/b~c\":?}", "/a~1b~0c", "not JSON"),
    (b"{\"\":{\"~1\":?}}", "//~01", "not JSON"),
    (b"[tru]", "/0", "not JSON"),
    (b"[True]", "/0", "not JSON"),
    (b"[truey]", "", "a comma or ] is missing"),
    (b"[falsch]", "/0", "not JSON"),
    (b"[nul", "/0", "not JSON"),
    (b"[undefined]", "/0", "not JSON"),
    // White space of JavaScript that is none of JSON.
    (b"\x0b{}", "", "not JSON"),
    (b"\x0c{}", "", "not JSON"),
    (b"\xc2\xa0{}", "", "not JSON"),
    (b"\xe2\x80\xa8{}", "", "not JSON"),
    (b"\xef\xbb\xbf{}", "", "byte order mark"),
];

const ENCODING: &[Row] = &[
    (b"{\"a\":\"\xff\"}", "", "byte 6 is not UTF-8"),
    (b"\x80", "", "byte 0 is not UTF-8"),
    // Overlong, a surrogate in UTF-8, beyond U+10FFFF, and a cut character.
    (b"[\"\xc0\xaf\"]", "", "byte 2 is not UTF-8"),
    (b"[\"\xed\xa0\x80\"]", "", "byte 2 is not UTF-8"),
    (b"[\"\xf4\x90\x80\x80\"]", "", "byte 2 is not UTF-8"),
    (b"[\"\xe2\x82", "", "byte 2 is not UTF-8"),
    (b"{}\xff", "", "byte 2 is not UTF-8"),
    // UTF-16 is no UTF-8 even where its bytes are.
    (b"{\0}\0", "", "a member's name is missing"),
];

const STRINGS: &[Row] = &[
    (b"[\"", "/0", "the string has no end"),
    (b"[\"a\\", "/0", "no such escape"),
    (b"[\"a\\\"", "/0", "the string has no end"),
    (b"[\"\\x41\"]", "/0", "no such escape"),
    (b"[\"\\'\"]", "/0", "no such escape"),
    (b"[\"\\\xc3\xa9\"]", "/0", "no such escape"),
    (b"[\"\\U0041\"]", "/0", "no such escape"),
    (b"[\"\\u\"]", "/0", "four hexadecimal digits"),
    (b"[\"\\u12\"]", "/0", "four hexadecimal digits"),
    (b"[\"\\u12g4\"]", "/0", "four hexadecimal digits"),
    (b"[\"\\u+123\"]", "/0", "four hexadecimal digits"),
    (b"[\"\\u00\xc3\xa9\"]", "/0", "four hexadecimal digits"),
    (b"[\"\\u123", "/0", "four hexadecimal digits"),
    (b"[\"a\nb\"]", "/0", "written as an escape"),
    (b"[\"\0\"]", "/0", "written as an escape"),
    (b"[\"\x1f\"]", "/0", "written as an escape"),
    (b"[\"\\n\t\"]", "/0", "written as an escape"),
    (b"{\"\t\":1}", "", "written as an escape"),
    // Lone surrogates, in values and in names.
    (b"[\"\\ud800\"]", "/0", "a surrogate stands alone"),
    (b"[\"\\uDBFF\"]", "/0", "a surrogate stands alone"),
    (b"[\"\\udc00\"]", "/0", "a surrogate stands alone"),
    (b"[\"\\uDFFF\"]", "/0", "a surrogate stands alone"),
    (b"[\"x\\ud800y\"]", "/0", "a surrogate stands alone"),
    (b"[\"\\ud800\\n\"]", "/0", "a surrogate stands alone"),
    (b"[\"\\ud800\\ud800\"]", "/0", "a surrogate stands alone"),
    (b"[\"\\ud800\\u0041\"]", "/0", "a surrogate stands alone"),
    (
        b"[\"\\ud83d\\ude02\\ude02\"]",
        "/0",
        "a surrogate stands alone",
    ),
    (b"[\"\\ude02\\ud83d\"]", "/0", "a surrogate stands alone"),
    (b"[\"\\ud800\\u\"]", "/0", "four hexadecimal digits"),
    (b"[\"\\ud800", "/0", "a surrogate stands alone"),
    (b"[\"\\ud800\\u12", "/0", "four hexadecimal digits"),
    (b"{\"a\":{\"\\ud800\":1}}", "/a", "a surrogate stands alone"),
    (b"{\"\\udead\":1}", "", "a surrogate stands alone"),
];

const DUPLICATES: &[Row] = &[
    (b"{\"a\":1,\"a\":1}", "/a", "there twice"),
    (b"{\"a\":1,\"b\":2,\"a\":null}", "/a", "there twice"),
    (b"{\"a\":1,\"\\u0061\":1}", "/a", "there twice"),
    (b"{\"\":1,\"\":2}", "/", "there twice"),
    (b"{\"/\":1,\"\\/\":2}", "/~1", "there twice"),
    (b"{\"\\n\":1,\"\\u000A\":2}", "/\n", "there twice"),
    (
        b"{\"\xf0\x9f\x98\x82\":1,\"\\ud83d\\ude02\":2}",
        "/\u{1f602}",
        "there twice",
    ),
    (
        b"{\"x\":[0,{\"y~\":{\"a\":1,\"a\":1}}]}",
        "/x/1/y~0/a",
        "there twice",
    ),
    (
        b"[[{\"a\":1},{\"b\":1,\"a\":1,\"b\":1}]]",
        "/0/1/b",
        "there twice",
    ),
];

const NUMBERS: &[Row] = &[
    (b"[NaN]", "/0", "not JSON"),
    (b"[nan]", "/0", "not JSON"),
    (b"[Infinity]", "/0", "not JSON"),
    (b"[-Infinity]", "/0", "not a JSON number"),
    (b"[+1]", "/0", "not JSON"),
    (b"[.5]", "/0", "not JSON"),
    (b"[-]", "/0", "not a JSON number"),
    (b"-", "", "not a JSON number"),
    (b"[-.5]", "/0", "not a JSON number"),
    (b"[1.]", "/0", "not a JSON number"),
    (b"[1.e5]", "/0", "not a JSON number"),
    (b"[1e]", "/0", "not a JSON number"),
    (b"[1e+]", "/0", "not a JSON number"),
    (b"[1E-", "/0", "not a JSON number"),
    (b"[01]", "/0", "not a JSON number"),
    (b"[-01]", "/0", "not a JSON number"),
    (b"[00]", "/0", "not a JSON number"),
    (b"[00.5]", "/0", "not a JSON number"),
    (b"[0x10]", "", "a comma or ] is missing"),
    (b"[1_000]", "", "a comma or ] is missing"),
    (b"[1n]", "", "a comma or ] is missing"),
    // Integers one past the bounds, and those that a double would hold.
    (
        b"[18446744073709551616]",
        "/0",
        "an integer outside -2^63 to 2^64-1",
    ),
    (
        b"[-9223372036854775809]",
        "/0",
        "an integer outside -2^63 to 2^64-1",
    ),
    (
        b"[100000000000000000000]",
        "/0",
        "an integer outside -2^63 to 2^64-1",
    ),
    (
        b"[-10000000000000000000]",
        "/0",
        "an integer outside -2^63 to 2^64-1",
    ),
    // Infinite, or zero, as a double.
    (b"[1e999]", "/0", "would be rounded"),
    (b"[-1e999]", "/0", "would be rounded"),
    (b"[1e99999999999999999999]", "/0", "would be rounded"),
    (b"[1e-999]", "/0", "would be rounded"),
    (b"[1e-99999999999999999999]", "/0", "would be rounded"),
    (b"[1.7976931348623159e308]", "/0", "would be rounded"),
    (b"[1.797693134862316e308]", "/0", "would be rounded"),
    (b"[2e-324]", "/0", "would be rounded"),
    // Digits that no double has.
    (b"[9007199254740993.0]", "/0", "would be rounded"),
    (b"[9007199254740993e0]", "/0", "would be rounded"),
    (b"[333333333.33333329]", "/0", "would be rounded"),
    (
        b"[0.1000000000000000055511151231257827]",
        "/0",
        "would be rounded",
    ),
    (b"[1.0000000000000000001]", "/0", "would be rounded"),
    // Doubles, but the shortest text of each is another decimal number.
    (b"[9223372036854775808.0]", "/0", "would be rounded"),
    (b"[18446744073709551616.0]", "/0", "would be rounded"),
    (b"{\"a\":[{\"b\":1e400}]}", "/a/0/b", "would be rounded"),
];

fn refused(rows: &[Row]) {
    for (input, pointer, detail) in rows {
        let shown = String::from_utf8_lossy(input);
        let violation = parse(input, DEPTH).expect_err(&shown);
        assert_eq!(violation.pointer, *pointer, "{shown}");
        assert!(
            violation.detail.contains(detail),
            "{shown}: {}",
            violation.detail
        );
        // An entry is refused for the same reason and nothing else.
        assert_eq!(read(input).expect_err(&shown), [violation], "{shown}");
    }
}

#[test]
fn syntax() {
    refused(SYNTAX);
}

#[test]
fn encoding() {
    refused(ENCODING);
}

#[test]
fn strings() {
    refused(STRINGS);
}

#[test]
fn duplicates() {
    refused(DUPLICATES);
}

#[test]
fn numbers() {
    refused(NUMBERS);
}

#[test]
fn what_was_not_written_by_us_is_refused_there_too() {
    // Of its own text a reader takes integers beyond 64 bits, but only as they are written.
    for own in [
        "100000000000000000000",
        "-9223372036854776000",
        "295147905179352830000",
    ] {
        assert!(parse(own.as_bytes(), 0).is_err(), "{own}");
        assert!(parse_written(own.as_bytes(), 0).is_ok(), "{own}");
    }
    for foreign in [
        "18446744073709551616",
        "-9223372036854775809",
        "295147905179352830001",
        "1000000000000000000000",
        "1e999",
        "333333333.33333329",
    ] {
        assert!(parse_written(foreign.as_bytes(), 0).is_err(), "{foreign}");
    }
}

#[test]
fn depth_is_counted_in_containers() {
    for (input, depth) in [
        ("1", 0),
        ("[]", 1),
        ("{}", 1),
        ("[[]]", 2),
        ("[1,[2,[3]],[]]", 3),
        (r#"{"a":[{}]}"#, 3),
        (r#"[{"a":{}},[[]]]"#, 3),
    ] {
        assert!(parse(input.as_bytes(), depth).is_ok(), "{input}");
        if let Some(less) = depth.checked_sub(1) {
            let violation = parse(input.as_bytes(), less).expect_err(input);
            assert!(
                violation.detail.contains("levels deep"),
                "{input}: {violation}"
            );
        }
    }
    let violation = parse(br#"{"a":[0,{"b":[]}]}"#, 3).unwrap_err();
    assert_eq!(violation.pointer, "/a/1/b");
    // A million open brackets are no million calls.
    let violation = parse("[".repeat(1_000_000).as_bytes(), 32).unwrap_err();
    assert_eq!(violation.pointer, "/0".repeat(32));
}
