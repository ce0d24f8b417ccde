//! Filters as query parameters write them.

use audittrail_store::details::{DetailsPath, DetailsTest, Written};
use audittrail_store::{Filter, IpBlock, Member, Test, Window};

fn read(parameters: &[(&str, &str)]) -> Result<Filter, Vec<(String, String)>> {
    Filter::from_parameters(parameters.iter().copied()).map_err(|errors| {
        let errors = errors.into_iter();
        errors.map(|e| (e.parameter, e.detail)).collect()
    })
}

fn one(name: &str, value: &str) -> Filter {
    read(&[(name, value)]).unwrap_or_else(|errors| panic!("{name}={value}: {errors:?}"))
}

fn list(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

const MEMBERS: [(Member, &str); 4] = [
    (Member::Action, "action"),
    (Member::Resource, "resource"),
    (Member::Tenant, "tenant"),
    (Member::UserId, "user_id"),
];

#[test]
fn texts() {
    for (member, name) in MEMBERS {
        let expect = |suffix: &str, value: &str, test: Test| {
            let filter = one(&format!("{name}{suffix}"), value);
            assert_eq!(filter.texts, [(member, test)], "{name}{suffix}={value}");
        };
        // A comma is a comma, a backslash a backslash and a space a space.
        for value in ["a", "a,b", r"a\b", r"\,", " a b ", "größe", "a+b"] {
            expect("", value, Test::Equals(value.to_owned()));
        }
        for (value, values) in [
            ("a", &["a"][..]),
            ("b,a", &["a", "b"]),
            ("a,b,a", &["a", "b"]),
            (r"a\,b,c", &["a,b", "c"]),
            (r"a\\,b", &[r"a\", "b"]),
            (r"a\\\,b", &[r"a\,b"]),
            ("a, b", &[" b", "a"]),
        ] {
            expect("__in", value, Test::In(list(values)));
            expect("__nin", value, Test::NotIn(list(values)));
        }
        let bad = [
            ("", ""),
            ("__in", ""),
            ("__in", ","),
            ("__in", "a,"),
            ("__in", ",a"),
            ("__in", "a,,b"),
            ("__in", r"a\"),
            ("__in", r"a\b"),
            ("__nin", ""),
            ("__nin", r"\n"),
            ("__eq", "a"),
            ("__IN", "a"),
            ("_in", "a"),
            ("__", "a"),
        ];
        for (suffix, value) in bad {
            let name = format!("{name}{suffix}");
            let errors = read(&[(&name, value)]).unwrap_err();
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].0, name, "{value}");
        }
    }
}

#[test]
fn parts_and_beginnings() {
    for (member, name) in [
        (Member::Action, "action__contains"),
        (Member::Resource, "resource__contains"),
    ] {
        let folded = [
            ("a", "a"),
            ("Login", "login"),
            ("a,b", "a,b"),
            (r"a\b", r"a\b"),
            (" ", " "),
            ("%", "%"),
            (".*", ".*"),
            ("GRÖSSE", "grösse"),
            ("Größe", "größe"),
            ("ΣΑΣ", "σασ"),
            ("İ", "i\u{307}"),
            ("東京", "東京"),
        ];
        for (value, part) in folded {
            let expected = [(member, Test::Contains(part.to_owned()))];
            assert_eq!(one(name, value).texts, expected, "{name}={value}");
        }
        // Characters are counted as they were sent.
        for c in ["x", "İ", "東"] {
            assert!(read(&[(name, &c.repeat(256))]).is_ok());
            let errors = read(&[(name, &c.repeat(257))]).unwrap_err();
            assert!(errors[0].1.contains("256"), "{errors:?}");
        }
        let errors = read(&[(name, "")]).unwrap_err();
        assert!(errors[0].1.contains("empty"), "{errors:?}");
    }
    for value in ["user.", "User", "a,b", r"\", "größe"] {
        let expected = [(Member::Action, Test::StartsWith(value.to_owned()))];
        assert_eq!(one("action__prefix", value).texts, expected);
    }
    for (name, value) in [
        ("action__prefix", ""),
        ("resource__prefix", "a"),
        ("user_id__contains", "a"),
        ("tenant__contains", "a"),
        ("outcome__contains", "a"),
        ("action__Contains", "a"),
        ("action__startswith", "a"),
    ] {
        assert!(!Filter::takes(name) || value.is_empty(), "{name}");
        assert!(read(&[(name, value)]).is_err(), "{name}={value}");
    }
}

fn path(text: &str) -> DetailsPath {
    DetailsPath::parse(text).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn details() {
    for (text, names) in [
        ("user", &["user"][..]),
        ("user.role", &["user", "role"]),
        (r"a\.b", &["a.b"]),
        (r"a\.b.c\\d", &["a.b", r"c\d"]),
        (r"\\.a", &["\\", "a"]),
        ("two words", &["two words"]),
        ("größe.0", &["größe", "0"]),
        ("nul\0", &["nul\0"]),
        ("a__b", &["a__b"]),
        ("__exists__", &["__exists__"]),
    ] {
        assert_eq!(path(text).names(), names, "{text}");
        let expected = [(path(text), DetailsTest::Equals(Written::new("x")))];
        assert_eq!(one(&format!("details.{text}"), "x").details, expected);
        for (value, wanted) in [("true", true), ("false", false)] {
            let filter = one(&format!("details.{text}__exists"), value);
            assert_eq!(filter.details, [(path(text), DetailsTest::Exists(wanted))]);
        }
    }
    for (name, value) in [
        ("details.", "x"),
        ("details..a", "x"),
        ("details.a.", "x"),
        ("details.a..b", "x"),
        (r"details.a\", "x"),
        (r"details.a\b", "x"),
        ("details.__exists", "true"),
        ("details.a.__exists", "true"),
        ("details.a__exists", ""),
        ("details.a__exists", "True"),
        ("details.a__exists", "1"),
        ("details", "x"),
        ("Details.a", "x"),
    ] {
        let errors = read(&[(name, value)]).unwrap_err();
        assert_eq!(errors.len(), 1, "{name}={value}");
        assert_eq!(errors[0].0, name);
    }
    // An empty text is a value like others.
    assert_eq!(
        one("details.a", "").details[0].1,
        DetailsTest::Equals(Written::new(""))
    );
    // One path may be asked about in several ways.
    let filter = read(&[
        ("details.a", "x"),
        ("details.a__exists", "true"),
        ("details.b", "y"),
    ]);
    assert_eq!(filter.unwrap().details.len(), 3);
}

#[test]
fn scalars_as_parameters_write_them() {
    let literals = [
        ("5", "5"),
        ("5.0", "5"),
        ("0.5e1", "5"),
        ("1e3", "1000"),
        ("-0", "0"),
        ("-5", "-5"),
        ("1e20", "100000000000000000000"),
        ("100000000000000000000", "100000000000000000000"),
        ("18446744073709551615", "18446744073709551615"),
        ("1e21", "1e+21"),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
    ];
    for (text, literal) in literals {
        let written = Written::new(text);
        assert_eq!(written.text, text);
        assert_eq!(written.literal.as_deref(), Some(literal), "{text}");
    }
    for text in [
        "",
        " 5",
        "5 ",
        "\n5",
        "05",
        "+5",
        ".5",
        "5.",
        "0x5",
        "1e999",
        "0.1000000000000000055",
        "18446744073709551617",
        "True",
        "NULL",
        "\"5\"",
        "[]",
        "[5]",
        "{}",
        "5,6",
        "admin",
        "NaN",
    ] {
        assert_eq!(Written::new(text).literal, None, "{text}");
    }
}

#[test]
fn words_to_look_for() {
    for (text, words) in [
        ("admin", &["admin"][..]),
        ("Admin ADMIN", &["admin"]),
        ("b a", &["a", "b"]),
        ("user@example.com", &["com", "example", "user"]),
        ("x_y", &["x", "y"]),
        ("192.0.2.7", &["0", "192", "2", "7"]),
        ("東京 tokyo", &["tokyo", "京", "東"]),
        ("ab東cd", &["ab", "cd", "東"]),
        ("ひカ", &["ひ", "カ"]),
        ("한국어", &["한국어"]),
        ("Größe", &["größe"]),
        ("İz", &["i\u{307}z"]),
        ("١٢٣", &["١٢٣"]),
    ] {
        assert_eq!(one("q", text).words, words, "{text}");
    }
    let many = |count: u32| -> String {
        let all: Vec<String> = (0..count).map(|one| format!("w{one}")).collect();
        all.join(" ")
    };
    assert_eq!(one("q", &many(100)).words.len(), 100);
    assert!(read(&[("q", &many(101))]).is_err());
    assert_eq!(one("q", &"w ".repeat(500)).words, ["w"]);
    for text in ["", " ", "-", "...", "\u{301}", "\0"] {
        let errors = read(&[("q", text)]).unwrap_err();
        assert!(errors[0].1.contains("letters or digits"), "{text}");
    }
}

#[test]
fn outcomes_are_known_words() {
    for word in ["success", "failure", "denied", "unknown"] {
        let expected = [(Member::Outcome, Test::Equals(word.to_owned()))];
        assert_eq!(one("outcome", word).texts, expected);
    }
    let expected = Test::In(list(&["denied", "failure"]));
    let filter = one("outcome__in", "failure,denied");
    assert_eq!(filter.texts, [(Member::Outcome, expected)]);
    for (name, value) in [
        ("outcome", "Success"),
        ("outcome", "success,failure"),
        ("outcome", "ok"),
        ("outcome__in", "success,ok"),
        ("outcome__nin", "ok"),
    ] {
        assert!(read(&[(name, value)]).is_err(), "{name}={value}");
    }
}

#[test]
fn times() {
    // 2026-11-23T08:30:00Z.
    const TIME: i64 = 1_795_422_600_000_000_000;
    for name in ["start_time", "end_time", "received_from", "received_to"] {
        for (text, nanos) in [
            ("2026-11-23T08:30:00Z", TIME),
            ("2026-11-23T08:30:00.000000001Z", TIME + 1),
            ("2026-11-23T09:30:00+01:00", TIME),
            // What a client sends that does not escape its plus sign.
            ("2026-11-23T09:30:00 01:00", TIME),
            ("2026-11-23 09:30:00 01:00", TIME),
            ("2026-11-23 08:30:00Z", TIME),
            ("2026-11-23T00:30:00-08:00", TIME),
        ] {
            let filter = one(name, text);
            let mut expected = Filter::default();
            match name {
                "start_time" => expected.timestamp.from = Some(nanos),
                "end_time" => expected.timestamp.to = Some(nanos),
                "received_from" => expected.received.from = Some(nanos),
                _ => expected.received.to = Some(nanos),
            }
            assert_eq!(filter, expected, "{name}={text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-11-23",
            "1795422600",
            "2026-11-23T08:30:00",
            "2026-02-30T00:00:00Z",
            "1969-12-31T23:59:59Z",
        ] {
            let errors = read(&[(name, text)]).unwrap_err();
            assert_eq!(errors[0].0, name, "{text}");
        }
    }
}

#[test]
fn indices() {
    let both = [("index_from", "0"), ("index_to", "18446744073709551615")];
    let expected = Window {
        from: Some(0),
        to: Some(u64::MAX),
    };
    assert_eq!(read(&both).unwrap().index, expected);
    for name in ["index_from", "index_to"] {
        for text in [
            "",
            "-1",
            "+1",
            "1.0",
            "1e3",
            " 1",
            "0x1",
            "18446744073709551616",
        ] {
            assert!(read(&[(name, text)]).is_err(), "{name}={text}");
        }
    }
}

#[test]
fn failed_entries() {
    assert!(one("verified", "false").failed);
    for value in ["true", "", "False", "0", "no"] {
        assert!(read(&[("verified", value)]).is_err(), "verified={value}");
    }
    assert_eq!(read(&[]).unwrap(), Filter::default());
}

#[test]
fn every_error_is_reported() {
    let errors = read(&[
        ("action", "a"),
        ("action", "b"),
        ("colour", "red"),
        ("outcome", "bad"),
        ("tenant", "acme"),
        ("limit", "5"),
    ]);
    let names: Vec<String> = errors.unwrap_err().into_iter().map(|one| one.0).collect();
    assert_eq!(names, ["action", "colour", "outcome", "limit"]);
    // Other forms of the same member are other parameters.
    let filter = read(&[("action__nin", "b"), ("action", "a")]).unwrap();
    assert_eq!(filter.texts.len(), 2);
}

#[test]
fn names_that_are_filters() {
    let takes = [
        "action",
        "action__in",
        "outcome__nin",
        "user_id",
        "tenant",
        "resource__in",
        "source_ip",
        "verified",
        "start_time",
        "end_time",
        "received_from",
        "received_to",
        "index_from",
        "index_to",
        "action__contains",
        "resource__contains",
        "action__prefix",
        "details.a",
        "details.a__exists",
        "q",
    ];
    for name in takes {
        assert!(Filter::takes(name), "{name}");
    }
    for name in [
        "", "limit", "cursor", "action__", "actions", "user", "Action", "order",
    ] {
        assert!(!Filter::takes(name), "{name}");
    }
}

#[test]
fn equal_filters_have_one_text_and_others_another() {
    // Each row is one filter, however it is written.
    let rows: &[&[&[(&str, &str)]]] = &[
        &[&[]],
        &[&[("action", "a")]],
        &[&[("action", "a,b")]],
        &[&[("action__in", "a,b")], &[("action__in", "b,a,b")]],
        &[&[("action__in", r"a\,b")]],
        &[&[("action__in", r#"a", "b"#)]],
        &[&[("action__in", r#"a","b"#)]],
        &[&[("action__nin", "a,b")]],
        &[&[("action__in", "a")]],
        &[&[("resource", "a")]],
        &[&[("resource", "action")]],
        &[
            &[("action", "a"), ("tenant", "b")],
            &[("tenant", "b"), ("action", "a")],
        ],
        &[&[("action", r#"a");tenant Equals("b"#)]],
        &[
            &[("source_ip", "192.0.2.7")],
            &[("source_ip", "192.0.2.7/32")],
        ],
        &[&[("source_ip", "192.0.2.7/31")]],
        &[&[("index_from", "5")]],
        &[&[("index_to", "5")]],
        &[&[("index_from", "5"), ("index_to", "5")]],
        &[
            &[("start_time", "2026-11-23T08:30:00Z")],
            &[("start_time", "2026-11-23T09:30:00 01:00")],
        ],
        &[&[("end_time", "2026-11-23T08:30:00Z")]],
        &[&[("received_from", "2026-11-23T08:30:00Z")]],
        &[&[("q", "a b")], &[("q", "B, a; b")]],
        &[&[("q", "ab")]],
        &[&[("q", "a")], &[("q", "A")]],
        &[&[("action__contains", "a")], &[("action__contains", "A")]],
        &[&[("resource__contains", "a")]],
        &[&[("action__prefix", "a")]],
        &[&[("action__prefix", "A")]],
        &[&[("details.a", "b")]],
        &[&[("details.a", "5")]],
        &[&[("details.a__exists", "true")]],
        &[&[("details.a__exists", "false")]],
        &[&[("details.a.b", "c")]],
        &[&[(r"details.a\.b", "c")]],
        &[
            &[("details.a", "b"), ("details.c", "d")],
            &[("details.c", "d"), ("details.a", "b")],
        ],
        &[&[("details.a", r#"b" });details ["c"#)]],
        &[&[("verified", "false")]],
        &[&[("verified", "false"), ("action", "a")]],
    ];
    let mut texts = Vec::new();
    for row in rows {
        let mut forms: Vec<String> = row
            .iter()
            .map(|one| read(one).unwrap().canonical())
            .collect();
        forms.dedup();
        assert_eq!(forms.len(), 1, "{row:?}: {forms:?}");
        assert!(!forms[0].contains('\n'), "one line");
        texts.append(&mut forms);
    }
    let all = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), all, "two filters have one text");
}

#[test]
fn address_blocks() {
    let table: &[(&str, &[&str], &[&str])] = &[
        (
            "192.0.2.7",
            &["192.0.2.7", "::ffff:192.0.2.7"],
            &["192.0.2.6", "::192.0.2.7"],
        ),
        (
            "192.0.2.99/24",
            &["192.0.2.0", "192.0.2.255"],
            &["192.0.3.0", "192.0.1.255"],
        ),
        ("192.0.2.0/25", &["192.0.2.127"], &["192.0.2.128"]),
        (
            "0.0.0.0/0",
            &["255.255.255.255", "0.0.0.0"],
            &["::", "2001:db8::1"],
        ),
        (
            "::/0",
            &["::", "2001:db8::1"],
            &["192.0.2.1", "::ffff:192.0.2.1"],
        ),
        ("2001:db8::/32", &["2001:db8:ffff::1"], &["2001:db9::"]),
        ("2001:db8::1", &["2001:db8::1"], &["2001:db8::2"]),
        ("2001:db8::1/128", &["2001:db8::1"], &["2001:db8::"]),
        ("::ffff:192.0.2.0/120", &["192.0.2.255"], &["192.0.3.0"]),
        ("::ffff:192.0.2.7", &["192.0.2.7"], &["192.0.2.8"]),
    ];
    for (text, within, without) in table {
        let block = IpBlock::parse(text).unwrap_or_else(|| panic!("{text}"));
        for address in *within {
            assert!(
                block.contains(address.parse().unwrap()),
                "{address} in {text}"
            );
        }
        for address in *without {
            assert!(
                !block.contains(address.parse().unwrap()),
                "{address} not in {text}"
            );
        }
        let again = IpBlock::parse(&block.to_string()).unwrap();
        assert_eq!(again, block, "{text} as it is shown");
        assert_eq!(one("source_ip", text).source_ip, Some(block));
    }
    for text in [
        "",
        "/",
        "192.0.2",
        "192.0.2.7/",
        "192.0.2.7/33",
        "192.0.2.7/-1",
        "192.0.2.7/+8",
        "192.0.2.7/256",
        "192.0.2.7/08x",
        "2001:db8::/129",
        "::ffff:192.0.2.0/95",
        "example.com",
        "192.0.2.7:80",
        "fe80::1%eth0",
        "192.0.2.0/24/24",
        " 192.0.2.7",
    ] {
        assert_eq!(IpBlock::parse(text), None, "{text}");
        assert!(read(&[("source_ip", text)]).is_err(), "{text}");
    }
}
