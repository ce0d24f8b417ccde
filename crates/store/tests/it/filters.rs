//! Filters as query parameters write them.

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
