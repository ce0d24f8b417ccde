//! `GET /logs/stats/`.

use audittrail_auth::Role;
use audittrail_store::{Fault, StoreErrorKind};
use serde_json::{Value, json};

use crate::support::{Served, token};

/// Two days around the day on which clocks change, in Berlin.
async fn filled() -> Served {
    let served = Served::start().await;
    let entry = |time: &str, action: &str, user: Option<&str>, tenant: &str| {
        json!({"timestamp": time, "action": action, "user_id": user, "tenant": tenant,
               "source_ip": "::ffff:192.0.2.1"})
    };
    let entries = json!([
        entry("2026-03-28T22:59:59.999999999Z", "a", Some("alice"), "acme"),
        entry("2026-03-28T23:00:00Z", "b", Some("alice"), "acme"),
        entry("2026-03-29T21:59:59Z", "b", Some("bob"), "acme"),
        entry("2026-03-29T22:00:00Z", "c", Some("carol"), "globex"),
        entry("2026-03-31T12:00:00Z", "c", Some("bob"), "globex"),
        entry("1970-01-01T00:00:00Z", "d", Some("alice"), "globex"),
    ]);
    served.post(&entries).await;
    served
}

async fn get(served: &Served, query: &str) -> (u16, Value) {
    let response = served.get(&format!("/logs/stats/{query}"));
    let response = response.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn numbers(served: &Served, query: &str) -> Value {
    let (status, body) = get(served, query).await;
    assert_eq!(status, 200, "{query}: {body}");
    body
}

#[tokio::test]
async fn the_answer_is_the_documented_one() {
    let served = filled().await;
    let plain = json!({"tree_size": 6, "count": 6, "failed": 0, "failed_entries": 0});
    assert_eq!(numbers(&served, "").await, plain);
    let days = numbers(&served, "?interval=day&time_zone=europe/berlin").await;
    let wanted = json!({
        "tree_size": 6, "count": 6, "failed": 0, "failed_entries": 0,
        "interval": "day", "time_zone": "Europe/Berlin",
        "buckets": [
            {"start": "1970-01-01T00:00:00+01:00", "end": "1970-01-02T00:00:00+01:00", "count": 1},
            {"start": "2026-03-28T00:00:00+01:00", "end": "2026-03-29T00:00:00+01:00", "count": 1},
            {"start": "2026-03-29T00:00:00+01:00", "end": "2026-03-30T00:00:00+02:00", "count": 2},
            {"start": "2026-03-30T00:00:00+02:00", "end": "2026-03-31T00:00:00+02:00", "count": 1},
            {"start": "2026-03-31T00:00:00+02:00", "end": "2026-04-01T00:00:00+02:00", "count": 1},
        ],
    });
    assert_eq!(days, wanted);
    let weeks = numbers(&served, "?interval=week&start_time=2026-01-01T00:00:00Z").await;
    assert_eq!(weeks["time_zone"], "UTC");
    let wanted = json!([
        {"start": "2026-03-23T00:00:00Z", "end": "2026-03-30T00:00:00Z", "count": 4},
        {"start": "2026-03-30T00:00:00Z", "end": "2026-04-06T00:00:00Z", "count": 1},
    ]);
    assert_eq!(weeks["buckets"], wanted);

    let by = numbers(&served, "?by=user_id,outcome,source_ip,user_id&top=2").await;
    let wanted = json!({
        "user_id": {"distinct": 3, "missing": 0, "values": [
            {"value": "alice", "count": 3}, {"value": "bob", "count": 2}]},
        "outcome": {"distinct": 0, "missing": 6, "values": []},
        "source_ip": {"distinct": 1, "missing": 0, "values": [{"value": "192.0.2.1", "count": 6}]},
    });
    assert_eq!(by["by"], wanted);
    // Of equals the first by their bytes.
    let by = numbers(&served, "?by=action&top=3&tenant__in=acme,globex").await;
    let wanted = json!([{"value": "b", "count": 2}, {"value": "c", "count": 2},
                        {"value": "a", "count": 1}]);
    assert_eq!(by["by"]["action"]["values"], wanted);
    let none = numbers(&served, "?by=action&interval=year&action=nothing").await;
    assert_eq!(none["count"], 0);
    assert_eq!(none["buckets"], json!([]));
    assert_eq!(
        none["by"]["action"],
        json!({"distinct": 0, "missing": 0, "values": []})
    );
}

/// Who may see only some entries gets the numbers of those.
#[tokio::test]
async fn access_is_that_of_the_list() {
    let mut served = filled().await;
    for (sub, role, tenant, count, users) in [
        ("alice", Role::User, None, 3, vec!["alice"]),
        ("alice", Role::User, Some("acme"), 2, vec!["alice"]),
        ("nobody", Role::User, None, 0, vec![]),
        (
            "r",
            Role::Reader,
            Some("globex"),
            3,
            vec!["alice", "bob", "carol"],
        ),
        ("r", Role::Reader, None, 6, vec!["alice", "bob", "carol"]),
    ] {
        served.token = token(sub, role, tenant);
        let found = numbers(&served, "?by=user_id&interval=year").await;
        assert_eq!(found["count"], count, "{sub} {role} {tenant:?}");
        let values = found["by"]["user_id"]["values"].as_array().unwrap();
        let mut names: Vec<&str> = values
            .iter()
            .map(|one| one["value"].as_str().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, users, "{sub} {role} {tenant:?}");
    }
    served.token = token("w", Role::Writer, None);
    let (status, problem) = get(&served, "").await;
    assert_eq!((status, &problem["scope"]), (403, &json!("logs:read:own")));
}

/// What failed is counted under every filter, and nothing is taken from what it says.
#[tokio::test]
async fn failed_entries_are_apart() {
    let served = filled().await;
    served.store.alter(1, |record| record.signature = [0; 32]);
    let whole = numbers(&served, "?by=action").await;
    assert_eq!((&whole["count"], &whole["failed"]), (&json!(6), &json!(0)));
    // Reading it finds that it fails; so does meeting one that cannot be read.
    served.get("/logs/list/").send().await.unwrap();
    served.store.damage(2, "a test says so");
    let query = "?by=action&interval=year&action=d";
    for _ in 0..2 {
        let found = numbers(&served, query).await;
        assert_eq!(found["count"], 3);
        assert_eq!(
            (&found["failed"], &found["failed_entries"]),
            (&json!(2), &json!(2))
        );
        assert_eq!(found["buckets"].as_array().unwrap().len(), 1);
        assert_eq!(found["buckets"][0]["count"], 1);
        let wanted = json!({"distinct": 1, "missing": 0, "values": [{"value": "d", "count": 1}]});
        assert_eq!(found["by"]["action"], wanted);
    }
    let failed = numbers(&served, "?verified=false&by=action").await;
    assert_eq!(
        (&failed["count"], &failed["failed"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(failed["by"]["action"]["distinct"], 0);
    let list: Value = served
        .get("/logs/list/?action=d")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(list["count"], 3);
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let served = filled().await;
    for (query, parameter, says) in [
        ("interval=days", "interval", "minute, hour, day"),
        ("interval=", "interval", "minute, hour, day"),
        ("interval=day&interval=day", "interval", "twice"),
        (
            "interval=day&time_zone=Europe/Atlantis",
            "time_zone",
            "Europe/Berlin",
        ),
        ("interval=day&time_zone=", "time_zone", "Europe/Berlin"),
        (
            "interval=day&time_zone=%2B02:00",
            "time_zone",
            "Europe/Berlin",
        ),
        (
            "interval=day&time_zone=UTC&time_zone=UTC",
            "time_zone",
            "twice",
        ),
        ("time_zone=UTC", "time_zone", "goes with interval"),
        (
            "by=details",
            "by",
            "action, outcome, resource, source_ip, tenant, user_id",
        ),
        ("by=", "by", "action, outcome"),
        ("by=action,,user_id", "by", "with commas"),
        ("by=action, user_id", "by", "with commas"),
        ("by=action&by=user_id", "by", "twice"),
        ("by=action&top=0", "top", "from 1 to 1000"),
        ("by=action&top=1001", "top", "from 1 to 1000"),
        ("by=action&top=1&top=1", "top", "twice"),
        ("top=5", "top", "goes with by"),
        ("page_size=5", "page_size", "is not a filter"),
        ("order=index", "order", "is not a filter"),
        ("action=a&action=b", "action", "twice"),
        ("start_time=yesterday", "start_time", "is not a time"),
    ] {
        let (status, problem) = get(&served, &format!("?{query}")).await;
        assert_eq!(status, 400, "{query}: {problem}");
        assert_eq!(problem["type"], "urn:audittrail:problem:invalid-parameter");
        assert_eq!(
            problem["errors"][0]["parameter"], parameter,
            "{query}: {problem}"
        );
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{query}: {detail}");
    }
    let request = served.get("/logs/stats/").header("accept", "text/csv");
    assert_eq!(request.send().await.unwrap().status(), 406);
}

#[tokio::test]
async fn too_many_intervals_are_refused() {
    let served = Served::start().await;
    let minute = |at: usize| {
        let (day, hour, minute) = (1 + at / 1_440, at / 60 % 24, at % 60);
        json!({"action": "a", "timestamp": format!("2026-01-{day:02}T{hour:02}:{minute:02}:30Z")})
    };
    let entries: Vec<Value> = (0..10_000).map(minute).collect();
    served.post(&json!(entries)).await;
    let found = numbers(&served, "?interval=minute").await;
    assert_eq!(found["buckets"].as_array().unwrap().len(), 10_000);
    served.post(&minute(10_000)).await;
    let (status, problem) = get(&served, "?interval=minute&by=action").await;
    assert_eq!(
        (status, &problem["errors"][0]["parameter"]),
        (400, &json!("interval"))
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("10000") && detail.contains("start_time"),
        "{detail}"
    );
    let found = numbers(&served, "?interval=hour").await;
    assert_eq!(found["buckets"].as_array().unwrap().len(), 167);
    let found = numbers(&served, "?interval=minute&start_time=2026-01-02T00:00:00Z").await;
    assert_eq!(found["count"], 10_001 - 1_440);
}

#[tokio::test]
async fn a_store_that_cannot_count_is_unavailable() {
    let served = filled().await;
    for kind in [StoreErrorKind::Unavailable, StoreErrorKind::Building] {
        served.store.inject(Fault::Stats(kind));
        let (status, problem) = get(&served, "").await;
        assert_eq!(status, 503, "{problem}");
        assert_eq!(problem["type"], "urn:audittrail:problem:unavailable");
    }
}
