//! Cursors.

use audittrail_store::{
    Access, Count, CountMode, Cursor, CursorError, Direction, Filter, Key, Order,
};

const ORDERS: [Order; 4] = [
    Order::NewestFirst,
    Order::OldestFirst,
    Order::IndexDescending,
    Order::IndexAscending,
];

fn cursor(order: Order, direction: Direction, timestamp: i64, index: u64, size: u64) -> Cursor {
    Cursor {
        order,
        direction,
        key: Key { timestamp, index },
        size,
        fingerprint: *b"filtered",
        count: None,
    }
}

#[test]
fn a_cursor_survives_the_client() {
    for order in ORDERS {
        for direction in [Direction::After, Direction::Before] {
            for (timestamp, index, size) in [
                (0, 0, 1),
                (i64::MIN, u64::MAX, u64::MAX),
                (i64::MAX, 1, 2),
                (-1, 7, 300),
            ] {
                let mut cursor = cursor(order, direction, timestamp, index, size);
                cursor.count = (index != 1).then_some(Count {
                    value: index.min(u64::MAX >> 2),
                    exact: direction == Direction::After,
                });
                let text = cursor.encode();
                assert!(
                    text.bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
                );
                for asked in [None, Some(order)] {
                    let read = Cursor::decode(&text, asked, cursor.fingerprint, size);
                    assert_eq!(read, Ok(cursor));
                }
            }
        }
    }
}

#[test]
fn a_cursor_of_something_else_is_refused() {
    let cursor = cursor(Order::OldestFirst, Direction::After, 5, 6, 7);
    let text = cursor.encode();
    let decode =
        |text: &str, order, fingerprint, size| Cursor::decode(text, order, fingerprint, size);
    let own = cursor.fingerprint;
    assert_eq!(decode(&text, None, own, 7), Ok(cursor));
    assert_eq!(decode(&text, None, own, 1_000), Ok(cursor));
    assert_eq!(decode(&text, None, own, 6), Err(CursorError::Ahead));
    assert_eq!(decode(&text, None, [0; 8], 7), Err(CursorError::OtherQuery));
    for order in ORDERS.into_iter().filter(|order| *order != cursor.order) {
        assert_eq!(
            decode(&text, Some(order), own, 7),
            Err(CursorError::OtherQuery)
        );
    }
}

#[test]
fn what_is_no_cursor_is_refused() {
    let text = cursor(Order::OldestFirst, Direction::After, 5, 6, 7).encode();
    let mut malformed = vec![
        String::new(),
        "0".to_owned(),
        "not a cursor".to_owned(),
        format!("{text}="),
        format!("{text}A"),
        format!("{text}AAAA"),
        text[..text.len() - 1].to_owned(),
        text[..text.len() - 4].to_owned(),
        format!(" {text}"),
        // The bits beyond the last byte are not zero.
        format!("{}9", &text[..text.len() - 1]),
    ];
    // Version, order and direction are the first three bytes: four characters.
    for prefix in ["AAEA", "AQEA", "AwEA", "AgQA", "Av8A", "AgEC", "AgH_"] {
        malformed.push(format!("{prefix}{}", &text[4..]));
    }
    assert!(text.starts_with("AgEA"));
    for text in malformed {
        let read = Cursor::decode(&text, None, *b"filtered", u64::MAX);
        assert_eq!(read, Err(CursorError::Malformed), "{text:?}");
    }
}

#[test]
fn a_cursor_answers_what_its_count_answers() {
    let counted = |value, exact, asked| {
        let cursor = Cursor {
            count: Some(Count { value, exact }),
            ..cursor(Order::OldestFirst, Direction::After, 5, 6, 7)
        };
        let count = cursor.counted(asked);
        count.map(|count| (count.value, count.exact))
    };
    let limit = Count::LIMIT;
    for (value, exact, limited, exactly) in [
        (7, true, Some((7, true)), Some((7, true))),
        (limit, true, Some((limit, true)), Some((limit, true))),
        (
            limit + 1,
            true,
            Some((limit, false)),
            Some((limit + 1, true)),
        ),
        (limit, false, Some((limit, false)), None),
    ] {
        assert_eq!(counted(value, exact, CountMode::Limited), limited);
        assert_eq!(counted(value, exact, CountMode::Exact), exactly);
        assert_eq!(counted(value, exact, CountMode::None), None);
    }
    let without = cursor(Order::OldestFirst, Direction::After, 5, 6, 7);
    assert_eq!(without.counted(CountMode::Limited), None);
}

#[test]
fn a_fingerprint_is_of_filter_and_reader() {
    let filter = |name, value| Filter::from_parameters([(name, value)]).unwrap();
    let access = |user: Option<&str>, tenant: Option<&str>| Access {
        user_id: user.map(str::to_owned),
        tenant: tenant.map(str::to_owned),
    };
    let filters = [
        Filter::default(),
        filter("action", "a"),
        filter("tenant", "a"),
    ];
    let accesses = [
        access(None, None),
        access(Some("a"), None),
        access(None, Some("a")),
        access(Some("a"), Some("b")),
        access(Some("None"), None),
        access(Some("a\")|Some(\"b"), None),
    ];
    let mut fingerprints = Vec::new();
    for filter in &filters {
        for access in &accesses {
            let fingerprint = Cursor::fingerprint(filter, access);
            assert_eq!(
                fingerprint,
                Cursor::fingerprint(&filter.clone(), &access.clone())
            );
            assert!(
                !fingerprints.contains(&fingerprint),
                "{filter:?} {access:?}"
            );
            fingerprints.push(fingerprint);
        }
    }
}
