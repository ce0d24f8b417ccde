//! Who may see a part of the log gets that part, and learns nothing of the rest.

use std::time::Duration;

use audittrail_api::ApiSettings;
use audittrail_auth::Role;
use serde_json::{Value, json};

use crate::events::{Events, ask, open_as};
use crate::support::{Served, token};

async fn served() -> Served {
    Served::start_with(ApiSettings {
        keep_alive: Duration::from_millis(10),
        ..ApiSettings::default()
    })
    .await
}

fn of(user: &str, tenant: Option<&str>, count: usize) -> Value {
    let one =
        json!({"action": "a.b", "user_id": user, "tenant": tenant, "details": {"secret": user}});
    vec![one; count].into()
}

fn readers() -> [(&'static str, String); 3] {
    [
        ("user", token("alice", Role::User, None)),
        ("tenant", token("carol", Role::Reader, Some("acme"))),
        ("both", token("alice", Role::User, Some("acme"))),
    ]
}

/// Entries of alice within acme are for all of `readers`, others for none.
async fn mine(served: &Served) -> u64 {
    served.post(&of("alice", Some("acme"), 1)).await
}

async fn others(served: &Served, count: usize) -> u64 {
    served.post(&of("mallory", Some("evil"), count)).await
}

async fn comments(events: &mut Events, count: usize) {
    for _ in 0..count {
        let event = events.comment().await;
        assert_eq!((event.id, event.name), (None, None));
    }
}

#[tokio::test]
async fn the_others_are_neither_seen_nor_counted() {
    for (name, token) in readers() {
        let mut seen = Vec::new();
        // The same for the reader, however much the others write.
        for amount in [0, 1, 3_000] {
            let served = served().await;
            if amount > 0 {
                others(&served, amount).await;
                served.store.damage(0, "nobody may see this");
            }
            let mut events = open_as(&served, "", &token, None).await;
            assert_eq!(events.next().await.unwrap().id.as_deref(), Some("-1"));
            comments(&mut events, 2).await;
            if amount > 0 {
                others(&served, amount).await;
            }
            comments(&mut events, 3).await;
            let mut resumed = open_as(&served, "", &token, Some("-1")).await;
            comments(&mut resumed, 2).await;
            let mut from = open_as(&served, "index_from=0", &token, None).await;
            comments(&mut from, 2).await;
            let mut ahead = open_as(&served, "index_from=2", &token, None).await;
            comments(&mut ahead, 2).await;
            let all = [&events, &resumed, &from, &ahead];
            let all = all.map(|events| events.all.replace(": still here\n\n", ""));
            seen.push(all);
        }
        assert_eq!(seen[0], seen[1], "{name}");
        assert_eq!(seen[0], seen[2], "{name}");
    }
}

#[tokio::test]
async fn ids_are_those_of_entries_that_the_reader_may_see() {
    for (name, token) in readers() {
        let served = served().await;
        others(&served, 2_000).await;
        let first = mine(&served).await;
        others(&served, 2_000).await;
        let mut events = open_as(&served, "", &token, None).await;
        let begin = events.next().await.unwrap();
        assert_eq!(begin.id, Some(first.to_string()), "{name}");
        others(&served, 500).await;
        let second = mine(&served).await;
        others(&served, 5).await;
        let entry = events.entry().await;
        assert_eq!(entry["index"], second);
        comments(&mut events, 3).await;
        assert_eq!(events.last_id, second.to_string());
        assert!(!events.all.contains("mallory") && !events.all.contains("evil"));
        // Resumed from each place that it was told, with all that was missed and nothing else.
        let third = mine(&served).await;
        for (last, expected) in [
            ("-1".to_owned(), vec![first, second, third]),
            (first.to_string(), vec![second, third]),
            (second.to_string(), vec![third]),
        ] {
            let mut again = open_as(&served, "", &token, Some(&last)).await;
            for index in expected {
                assert_eq!(again.entry().await["index"], index, "{name} after {last}");
            }
            comments(&mut again, 1).await;
        }
    }
}

/// Whether an index is taken, and by whom, cannot be asked for.
#[tokio::test]
async fn ids_of_others_and_of_the_future_are_refused_alike() {
    let served = served().await;
    others(&served, 3).await;
    mine(&served).await;
    for (name, token) in readers() {
        let mut answers = Vec::new();
        for last in ["0", "2", "4", "1000000", "18446744073709551615"] {
            let answer = ask(&served, "", &token, Some(last)).await;
            assert_eq!(answer.status(), 400);
            let mut problem: Value = answer.json().await.unwrap();
            problem["instance"].take();
            answers.push(problem);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{name}: {answers:?}");
    }
}

#[tokio::test]
async fn who_may_not_read_gets_no_stream() {
    let served = served().await;
    let writer = token("writer", Role::Writer, None);
    let answer = ask(&served, "", &writer, None).await;
    assert_eq!(answer.status(), 403);
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["scope"], "logs:read:own");
    assert_eq!(ask(&served, "", "nonsense", None).await.status(), 401);
}
