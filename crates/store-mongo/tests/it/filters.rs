//! What the server selects for a filter is what its definition says.

use std::sync::Arc;
use std::time::Duration;

use audittrail_store::conformance::{
    Log, Numbers, Topic, both, check_page, entries_of, query, question, whole,
};
use audittrail_store::{Access, CountMode, Query, Start, Store};
use tokio::time::Instant;

use crate::support::new_log;

fn seed() -> u64 {
    let given = std::env::var("PROPTEST_RNG_SEED").ok();
    given.and_then(|seed| seed.parse().ok()).unwrap_or(1)
}

/// Generated entries and filters, each of whose matches come on one page.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_means_what_its_definition_says() {
    const AT_MOST: Duration = Duration::from_secs(6);
    const AT_LEAST: u32 = 60;
    let (_, store) = new_log().await;
    let store: Arc<dyn Store> = store;
    let log = Log::fill(&store, seed(), &[400, 100]).await;
    let entries = entries_of(&log);
    let mut numbers = Numbers::new(seed());
    let begin = Instant::now();
    let (mut tried, mut some, mut selective) = (0, 0, 0);
    while tried < 700 && (tried < AT_LEAST || begin.elapsed() < AT_MOST) {
        let mut asked: Query = query(&mut numbers, &entries);
        if numbers.one_in(2) {
            asked.access = Access::default();
        }
        if numbers.one_in(2) {
            let topic = numbers.pick(&Topic::ALL);
            let at = numbers.below(entries.len() as u64) as usize;
            asked.filter = both(asked.filter, question(&mut numbers, topic, &entries[at]));
        }
        (asked.limit, asked.start) = (1_000, Start::Skip(0));
        asked.count = CountMode::Exact;
        let expected = whole(&entries, &asked);
        let page = store.search(&asked).await.unwrap();
        check_page(&asked, &page, &expected);
        tried += 1;
        some += u32::from(!expected.is_empty());
        selective += u32::from((1..100).contains(&expected.len()));
    }
    assert!(
        some > tried / 4 && selective > tried / 6,
        "{tried}: {some}, {selective}"
    );
}

/// Entries whose details have more terms than are kept are found like others.
#[tokio::test(flavor = "multi_thread")]
async fn details_with_very_many_values_are_found() {
    use crate::support::commit;
    use audittrail_entry::{Limits, NewEntry, SealWith, Submitter, Timestamp};
    use audittrail_store::conformance::{ORIGIN, signing_key};
    use audittrail_store::{Filter, Order};

    let (_, store) = new_log().await;
    let seal = |at: u64, details: &str| {
        let json = format!(r#"{{"action":"a","details":{details}}}"#);
        let now = Timestamp::from_nanos(1_767_225_600_000_000_000 + at as i64);
        let entry = NewEntry::parse(json.as_bytes(), &Limits::default(), now).unwrap();
        let id = uuid::Uuid::from_u128(u128::from(at) + 1);
        let record = entry.seal(SealWith {
            submitter: &Submitter {
                iss: None,
                sub: "s",
            },
            received_at: now,
            id,
            salt: [1; 32],
            key: &signing_key(),
            origin: ORIGIN,
            limits: &Limits::default(),
        });
        (id, record.unwrap())
    };
    let many: Vec<String> = (0..4_000).map(|n| format!("\"v{n}\"")).collect();
    let entries = [
        seal(0, r#"{"n":{"m":["v7"]}}"#),
        seal(1, &format!(r#"{{"n":{{"m":[{}]}}}}"#, many.join(","))),
        seal(2, r#"{"o":1}"#),
    ];
    let edge = store.lead().await.unwrap();
    commit(&*store, &edge, &entries).await.unwrap();
    for (name, value, expected) in [
        ("details.n.m", "v7", vec![0, 1]),
        ("details.n.m", "v3999", vec![1]),
        ("details.n.m", "v4000", vec![]),
        ("details.n.m__exists", "true", vec![0, 1]),
        ("details.n__exists", "false", vec![2]),
        ("details.o__exists", "true", vec![2]),
        ("details.o", "1", vec![2]),
    ] {
        let asked = Query {
            filter: Filter::from_parameters([(name, value)]).unwrap(),
            access: Access::default(),
            order: Order::IndexAscending,
            size: 3,
            start: Start::Skip(0),
            limit: 10,
            count: CountMode::Exact,
            failed: Arc::default(),
        };
        let page = store.search(&asked).await.unwrap();
        let found: Vec<u64> = page.keys.iter().map(|key| key.index).collect();
        assert_eq!(found, expected, "{name}={value}");
        assert_eq!(page.count.unwrap().value, expected.len() as u64);
    }
}
