//! What is taken, and its canonical bytes.

use std::cmp::Ordering;

use audittrail_entry::Limits;
use audittrail_entry::json::{compare_names, parse, parse_written, write_canonical};
use proptest::prelude::*;

use crate::support::{ID, NOW, read, record, seal, seal_with};

fn canonical(input: &str) -> String {
    let mut out = Vec::new();
    write_canonical(&parse(input.as_bytes(), 33).expect(input), &mut out);
    let out = String::from_utf8(out).unwrap();
    let mut again = Vec::new();
    write_canonical(&parse_written(out.as_bytes(), 33).expect(&out), &mut again);
    assert_eq!(
        String::from_utf8(again).unwrap(),
        out,
        "canonical text of canonical text"
    );
    out
}

#[test]
fn canonical_json() {
    for (input, expected) in [
        (" null ", "null"),
        ("\t\r\n[ ]\n", "[]"),
        ("{ }", "{}"),
        ("[ true , false,null ]", "[true,false,null]"),
        (
            r#"{"b" : 1 ,"a":{"d":[],"c":{}}}"#,
            r#"{"a":{"c":{},"d":[]},"b":1}"#,
        ),
        (r#"[[3,2,1],["b","a"]]"#, r#"[[3,2,1],["b","a"]]"#),
        // Names: a prefix first, upper case before lower case, digits as text.
        (
            r#"{"a":1,"":2,"aa":3,"A":4,"10":5,"9":6}"#,
            r#"{"":2,"10":5,"9":6,"A":4,"a":1,"aa":3}"#,
        ),
        // An escaped name is sorted by what it stands for.
        (r#"{"b":1,"\u0061":2,"\u007a":3}"#, r#"{"a":2,"b":1,"z":3}"#),
        // The escapes of RFC 8785 and no others.
        (r#""\u0008\u0009\u000a\u000c\u000d""#, r#""\b\t\n\f\r""#),
        (
            r#""\u0000\u0001\u000B\u000E\u001F""#,
            r#""\u0000\u0001\u000b\u000e\u001f""#,
        ),
        (r#""\"\\\/\u0022\u005C\u002f""#, r#""\"\\/\"\\/""#),
        (
            r#""\u007f\u0080\u2028\u2029\uFEFF""#,
            "\"\u{7f}\u{80}\u{2028}\u{2029}\u{feff}\"",
        ),
        (
            r#""\ud83d\uDE02\uD800\uDC00\uDBFF\udfff""#,
            "\"\u{1f602}\u{10000}\u{10ffff}\"",
        ),
        // Half a pair may be text before it.
        (r#""\\ud800""#, r#""\\ud800""#),
        // No normalisation.
        ("[\"A\\u030a\",\"\u{c5}\"]", "[\"A\u{30a}\",\"\u{c5}\"]"),
        (r#"{"e\u0301":1,"é":2}"#, "{\"e\u{301}\":1,\"é\":2}"),
    ] {
        assert_eq!(canonical(input), expected, "{input}");
    }
}

#[test]
fn canonical_numbers() {
    for (input, expected) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0e5", "0"),
        ("-0.000e-999", "0"),
        ("0e99999999999999999999", "0"),
        ("1.0", "1"),
        ("-1.50", "-1.5"),
        ("1e0", "1"),
        ("10e-1", "1"),
        ("1E+2", "100"),
        ("0.00001e5", "1"),
        ("100000e-5", "1"),
        // Integers of 64 bits, digit for digit.
        ("9007199254740993", "9007199254740993"),
        ("-9007199254740993", "-9007199254740993"),
        ("18446744073709551615", "18446744073709551615"),
        ("-9223372036854775808", "-9223372036854775808"),
        // Where ECMAScript changes to exponents.
        ("0.000001", "0.000001"),
        ("1e-6", "0.000001"),
        ("0.0000001", "1e-7"),
        ("1e20", "100000000000000000000"),
        ("-1e19", "-10000000000000000000"),
        ("295147905179352830000.0", "295147905179352830000"),
        ("999999999999999900000e0", "999999999999999900000"),
        ("1e21", "1e+21"),
        ("1E21", "1e+21"),
        ("1e+0021", "1e+21"),
        ("1.5e-10", "1.5e-10"),
        // The extremes of a double.
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("5e-324", "5e-324"),
        ("0.1", "0.1"),
        ("4.50", "4.5"),
        ("2e-3", "0.002"),
        ("333333333.3333333", "333333333.3333333"),
        ("9007199254740992.0", "9007199254740992"),
        ("9007199254740994e0", "9007199254740994"),
    ] {
        assert_eq!(canonical(input), expected, "{input}");
    }
    let many_zeros = format!("1.{}", "0".repeat(5_000));
    assert_eq!(canonical(&many_zeros), "1");
    let many_zeros = format!("0.{}1e5000", "0".repeat(4_999));
    assert_eq!(canonical(&many_zeros), "1");
}

#[test]
fn names_are_in_the_order_of_utf_16() {
    // U+E000 to U+FFFF come after what needs two units, though their UTF-8 comes before it.
    let sorted = [
        "",
        "\0",
        "A",
        "AB",
        "B",
        "a",
        "a\u{0}",
        "ab",
        "a\u{7f}",
        "aé",
        "a\u{10000}",
        "a\u{e000}",
        "b",
        "\u{7f}",
        "\u{80}",
        "é",
        "é\u{10000}",
        "é\u{ffff}",
        "\u{7ff}",
        "\u{800}",
        "\u{d7ff}",
        "\u{10000}",
        "\u{10000}a",
        "\u{103ff}",
        "\u{10400}",
        "\u{10ffff}",
        "\u{e000}",
        "\u{e000}\u{10000}",
        "\u{fb33}",
        "\u{ffff}",
    ];
    for (at, a) in sorted.iter().enumerate() {
        for (other, b) in sorted.iter().enumerate() {
            assert_eq!(compare_names(a, b), at.cmp(&other), "{a:?} {b:?}");
        }
    }
    assert_eq!(
        canonical("{\"\u{ffff}\":1,\"\u{1f602}\":2,\"z\":3}"),
        "{\"z\":3,\"\u{1f602}\":2,\"\u{ffff}\":1}"
    );
}

/// Strings that often agree at first and then differ in the interesting places.
fn name() -> impl Strategy<Value = String> {
    let characters = [
        '\0', 'a', '~', '\u{7f}', '\u{80}', 'é', '\u{d7ff}', '\u{e000}', '\u{ffff}',
    ];
    let characters = [&characters[..], &['\u{10000}', '\u{10001}', '\u{10ffff}']].concat();
    let character = prop_oneof![prop::sample::select(characters), any::<char>()];
    prop::collection::vec(character, 0..5).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_two_names_compare_as_their_units(a in name(), b in name(), ascii in "[ -~]{0,3}") {
        let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
        prop_assert_eq!(compare_names(&a, &b), units(&a).cmp(&units(&b)));
        // One side ASCII only, also where it is the start of the other.
        prop_assert_eq!(compare_names(&ascii, &b), units(&ascii).cmp(&units(&b)));
        let longer = format!("{ascii}{b}");
        prop_assert_eq!(compare_names(&longer, &ascii), units(&longer).cmp(&units(&ascii)));
        prop_assert_eq!(compare_names(&a, &a), Ordering::Equal);
    }
}

#[test]
fn entries_and_their_bytes() {
    let sealed = "JkXL_iSnbvM5inCGdEbrX0ZjnqVVu35YdURCnSx0ieI";
    let open = |action: &str, more: (&str, &str, &str)| {
        format!(
            r#"{{"action":{action},"id":"{ID}"{},"received_at":"2026-11-23T08:30:00.000000000Z","sealed":"{sealed}"{},"timestamp":"{}","v":1}}"#,
            more.0, more.1, more.2
        )
    };
    let now = "2026-11-23T08:30:00.000000000Z";
    for (input, leaf) in [
        (r#"{"action":"a"}"#, open("\"a\"", ("", "", now))),
        (
            r#"{"action":"a\"\/\u00e9\u2028","outcome":"denied","tenant":"\ud83d\ude02"}"#,
            open(
                "\"a\\\"/é\u{2028}\"",
                (r#","outcome":"denied""#, ",\"tenant\":\"😂\"", now),
            ),
        ),
        (
            r#"{"timestamp":"2026-11-23T10:00:00.25+01:30","action":"a"}"#,
            open("\"a\"", ("", "", "2026-11-23T08:30:00.250000000Z")),
        ),
    ] {
        let record = record(input);
        assert_eq!(String::from_utf8(record.leaf).unwrap(), leaf, "{input}");
    }
    let by = r#""submitted_by":{"iss":"https://issuer.example","sub":"ada"}"#;
    for (input, sealed) in [
        (r#"{"action":"a"}"#.to_owned(), format!("{{{by}}}")),
        // null is the same as absent; an empty object is kept.
        (
            r#"{"action":"a","user_id":null,"timestamp":null,"resource":null,"outcome":null,
                "source_ip":null,"tenant":null,"details":null,"id":null}"#
                .to_owned(),
            format!("{{{by}}}"),
        ),
        (
            r#"{"action":"a","details":{}}"#.to_owned(),
            format!(r#"{{"details":{{}},{by}}}"#),
        ),
        (
            r#"{"action":"a","details":{"b":null,"a":[1.0,"\u0001\u007f"]},"user_id":"u",
                "source_ip":"::FFFF:192.0.2.7","resource":"r"}"#
                .to_owned(),
            format!(
                "{{\"details\":{{\"a\":[1,\"\\u0001\u{7f}\"],\"b\":null}},\"resource\":\"r\",\
                 \"source_ip\":\"192.0.2.7\",{by},\"user_id\":\"u\"}}"
            ),
        ),
    ] {
        let record = record(&input);
        assert_eq!(
            String::from_utf8(record.sealed.unwrap().bytes).unwrap(),
            sealed,
            "{input}"
        );
    }
}

#[test]
fn addresses() {
    for (input, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "::"),
        ("::1", "::1"),
        ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0db8::0001", "2001:db8::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("0:0:0:0:0:FFFF:192.0.2.1", "192.0.2.1"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
    ] {
        let json = format!(r#"{{"action":"a","source_ip":"{input}"}}"#);
        let entry = read(json.as_bytes()).expect(input);
        assert_eq!(entry.source_ip.unwrap().to_string(), expected, "{input}");
        let sealed = seal(&entry).unwrap().sealed.unwrap().bytes;
        let member = format!(r#"{{"source_ip":"{expected}","submitted_by":"#);
        assert!(sealed.starts_with(member.as_bytes()), "{input}");
    }
}

#[test]
fn ids_are_kept_in_lower_case() {
    let input = br#"{"action":"a","id":"0198C0DE-0000-7000-8000-00000000002A"}"#;
    let entry = read(input).unwrap();
    assert_eq!(entry.id, Some(ID));
    let leaf = String::from_utf8(seal(&entry).unwrap().leaf).unwrap();
    assert!(
        leaf.contains(r#""id":"0198c0de-0000-7000-8000-00000000002a""#),
        "{leaf}"
    );
}

#[test]
fn a_timestamp_may_be_a_day_ahead() {
    let input = br#"{"action":"a","timestamp":"2026-11-24T08:30:00Z"}"#;
    let ahead = read(input).unwrap().timestamp.unwrap();
    assert_eq!(ahead.nanos() - NOW.nanos(), 86_400_000_000_000);
}

#[test]
fn the_sealed_part_is_bounded_by_its_own_bytes() {
    let entry = read(br#"{"action":"a","details":{"a":"\u0001"}}"#).unwrap();
    let size = seal(&entry).unwrap().sealed.unwrap().bytes.len();
    let limits = |sealed_bytes| Limits {
        sealed_bytes,
        ..Limits::default()
    };
    assert!(seal_with(&entry, [0; 32], &limits(size)).is_ok());
    let violation = seal_with(&entry, [0; 32], &limits(size - 1)).unwrap_err();
    assert_eq!(violation.pointer, "/details");
    assert!(
        violation
            .detail
            .contains(&format!("take {size} bytes; {} are", size - 1))
    );
    assert_eq!(Limits::default().sealed_bytes, 262_144);
}
