//! The live tail: what comes, in which order, from where on, and how it ends.

use std::time::Duration;

use audittrail_api::ApiSettings;
use audittrail_auth::Role;
use audittrail_store::{Fault, StoreErrorKind};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::events::{Event, ask, open, open_as};
use crate::support::{Served, token};

fn quiet(keep_alive: Duration) -> ApiSettings {
    ApiSettings {
        keep_alive,
        ..ApiSettings::default()
    }
}

/// So many entries, every third of them of alice, every fifth denied.
fn some(count: usize) -> Value {
    let one = |number: usize| {
        json!({
            "action": if number.is_multiple_of(2) { "door.open" } else { "door.close" },
            "user_id": if number.is_multiple_of(3) { "alice" } else { "bob" },
            "outcome": if number.is_multiple_of(5) { "denied" } else { "success" },
            "details": {"number": number, "text": "line\r\nend\u{2028}"},
        })
    };
    (0..count).map(one).collect()
}

async fn list(served: &Served, query: &str) -> Vec<Value> {
    let path = format!("/logs/list/?order=index&page_size=1000&{query}");
    let response = served.get(&path).send().await.unwrap();
    let page: Value = response.json().await.unwrap();
    page["results"].as_array().unwrap().clone()
}

fn indices(entries: &[Value]) -> Vec<u64> {
    entries
        .iter()
        .map(|entry| entry["index"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn what_is_committed_comes_as_the_list_has_it() {
    // No timer is near: only the commit can wake the stream.
    let served = Served::start_with(quiet(Duration::from_secs(3_600))).await;
    served.post(&some(7)).await;
    let mut events = open(&served, "").await;
    let header = |name: &str| events.response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/event-stream");
    assert_eq!(header("cache-control"), "no-store, no-transform");
    assert_eq!(header("x-accel-buffering"), "no");
    let begin = Event {
        id: Some("6".to_owned()),
        retry: Some(1_000),
        ..Event::default()
    };
    assert_eq!(events.next().await, Some(begin));
    for round in 0..20 {
        served.post(&some(1 + round % 3)).await;
    }
    let sent: usize = (0..20).map(|round| 1 + round % 3).sum();
    let came = events.entries(sent).await;
    assert_eq!(came, list(&served, "index_from=7").await);
    assert_eq!(came[0]["verified"], true);
}

#[tokio::test]
async fn an_empty_log_has_a_position_too() {
    let served = Served::start().await;
    let mut events = open(&served, "").await;
    assert_eq!(events.next().await.unwrap().id.as_deref(), Some("-1"));
    served.post(&some(3)).await;
    // Nothing of it was read before the connection was lost.
    let mut again = open_as(&served, "", &served.token, Some("-1")).await;
    assert_eq!(indices(&again.entries(3).await), [0, 1, 2]);
}

/// Near the end of the log and far from it, from the past into what is yet to come.
#[tokio::test]
async fn filters_are_those_of_the_list() {
    let served = Served::start().await;
    for _ in 0..5 {
        served.post(&some(400)).await;
    }
    for from in [0, 1_990] {
        for filter in [
            "",
            "user_id=alice",
            "user_id__nin=alice,bob",
            "action__contains=CLOSE",
            "outcome=denied&action__prefix=door.o",
            "details.number=7",
            "details.number__exists=true&q=line",
            "index_to=1995",
            "start_time=2000-01-01T00:00:00Z&end_time=2001-01-01T00:00:00Z",
            "source_ip=192.0.2.0/24",
        ] {
            let first = served.post(&some(16)).await;
            let mut events = open(&served, &format!("{filter}&index_from={from}")).await;
            served.post(&some(16)).await;
            // The last that comes is one that every filter lets through.
            let listed = list_all(&served, &format!("{filter}&index_from={from}")).await;
            let came = events.entries(listed.len()).await;
            assert_eq!(indices(&came), listed, "{filter} from {from}");
            assert!(first > 1_999);
        }
    }
}

async fn list_all(served: &Served, query: &str) -> Vec<u64> {
    let mut path = format!("/logs/list/?order=index&page_size=1000&{query}");
    let mut all = Vec::new();
    loop {
        let page: Value = served
            .get(&path)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        all.extend(indices(page["results"].as_array().unwrap()));
        let Some(next) = page["next"].as_str() else {
            return all;
        };
        path = next[next.find("/logs").unwrap()..].to_owned();
    }
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_left() {
    let served = Served::start().await;
    served.post(&some(30)).await;
    let filter = "user_id=alice";
    let all = indices(&list(&served, filter).await);
    for last in -1..30_i64 {
        let (last, after): (_, Vec<u64>) = (
            last.to_string(),
            all.iter()
                .copied()
                .filter(|index| *index as i64 > last)
                .collect(),
        );
        let mut by_header = open_as(&served, filter, &served.token, Some(&last)).await;
        let query = format!("{filter}&last_event_id={last}");
        let mut by_parameter = open(&served, &query).await;
        // The header is newer: the client put the parameter into the URL when it began.
        let both = format!("{filter}&last_event_id=0");
        let mut by_both = open_as(&served, &both, &served.token, Some(&last)).await;
        for events in [&mut by_header, &mut by_parameter, &mut by_both] {
            let came = events.entries(after.len()).await;
            assert_eq!(indices(&came), after, "after {last}");
            // Nothing comes before the next entry that is selected.
            assert!(events.all.matches("event: entry").count() == after.len());
        }
    }
    let bounded = format!("{filter}&index_from=20");
    let mut events = open_as(&served, &bounded, &served.token, Some("3")).await;
    assert_eq!(events.entry().await["index"], 21);
}

/// The position moves on although nothing is selected, and what lay behind it is not read again.
#[tokio::test]
async fn a_stream_without_matches_gets_on() {
    let served = Served::start_with(quiet(Duration::from_millis(20))).await;
    let mut events = open(&served, "user_id=carol").await;
    for _ in 0..5 {
        served.post(&some(500)).await;
    }
    while events.last_id != "2499" {
        assert!(!events.next().await.unwrap().is_entry());
    }
    // A position is told once, after that the comment stands alone.
    assert_eq!(events.comment().await.id, None);
    served
        .store
        .inject(Fault::Search(StoreErrorKind::Unavailable));
    served
        .post(&json!({"action": "a", "user_id": "carol"}))
        .await;
    let mut again = open_as(&served, "user_id=carol", &served.token, Some("2499")).await;
    for events in [&mut events, &mut again] {
        assert_eq!(events.entry().await["index"], 2_500);
    }
    assert_eq!(served.store.faults().len(), 1, "new entries need no search");
}

#[tokio::test]
async fn a_damaged_entry_is_shown_under_every_filter() {
    let served = Served::start().await;
    served.post(&some(2_000)).await;
    for index in [5, 1_990] {
        served.store.alter(index, |record| record.signature[0] ^= 1);
        served.store.damage(index + 1, "the disk is gone");
    }
    let mut near = open(&served, "user_id=nobody&index_from=1900").await;
    let came = near.entries(2).await;
    assert_eq!(indices(&came), [1_990, 1_991]);
    assert_eq!(came[0]["verified"], false);
    assert!(came[0]["action"].is_string());
    assert_eq!(came[1]["verification_error"], "the disk is gone");
    // Far from the end a search finds what is known to have failed.
    let mut far = open(&served, "user_id=nobody&index_from=0").await;
    assert_eq!(indices(&far.entries(3).await), [6, 1_990, 1_991]);
    let mut all = open(&served, "index_from=0").await;
    let came = all.entries(2_000).await;
    let failed = came.iter().filter(|entry| entry["verified"] == false);
    assert_eq!(
        indices(&failed.cloned().collect::<Vec<_>>()),
        [5, 6, 1_990, 1_991]
    );
    let mut failed = open(&served, "verified=false&index_from=0").await;
    assert_eq!(indices(&failed.entries(4).await), [5, 6, 1_990, 1_991]);
}

/// Nobody waits for a client that does not read, and it misses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_client_holds_up_only_itself() {
    let served = Served::start().await;
    let mut quick = open(&served, "").await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    let request = format!(
        "GET /logs/stream/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
        served.token
    );
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut came = Vec::new();
    while !came.ends_with(b"\nid: -1\n\n\r\n") {
        assert!(slow.read_buf(&mut came).await.unwrap() > 0);
    }
    // More than sockets hold, and than is kept for all streams.
    served.fill(200, 200_000).await;
    assert_eq!(
        indices(&quick.entries(200).await),
        (0..200).collect::<Vec<_>>()
    );
    let mut last = String::new();
    let mut buffer = vec![0; 1 << 16];
    while !last.contains("\"index\":199,") {
        let read = slow.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the stream ended");
        came.extend_from_slice(&buffer[..read]);
        let tail = came.len().saturating_sub(2_000);
        last = String::from_utf8_lossy(&came[tail..]).into_owned();
    }
    let came = String::from_utf8_lossy(&came).into_owned();
    let ids: Vec<u64> = came
        .split("\nevent: entry")
        .filter_map(|before| before.rsplit("id: ").next()?.parse().ok())
        .collect();
    assert_eq!(ids[..200], (0..200).collect::<Vec<u64>>());
}

#[tokio::test]
async fn an_expired_token_ends_the_stream() {
    let served = Served::start_with(quiet(Duration::from_millis(20))).await;
    let mut idle = open(&served, "").await;
    served.post(&some(3)).await;
    idle.entries(3).await;
    let mut busy = open(&served, "").await;
    // An hour, and the leeway of a minute.
    served.clock.advance(3_600 + 59);
    idle.comment().await;
    served.post(&some(2)).await;
    assert_eq!(indices(&busy.entries(2).await), [3, 4]);
    served.clock.advance(1);
    for events in [&mut idle, &mut busy] {
        let end = loop {
            let event = events.next().await.unwrap();
            if event.name.as_deref() == Some("end") {
                break event;
            }
        };
        assert_eq!(end.data["type"], "urn:audittrail:problem:unauthenticated");
        assert_eq!(end.data["status"], 401);
        let detail = end.data["detail"].as_str().unwrap();
        assert!(
            detail.starts_with("The token has expired. Connect again"),
            "{detail}"
        );
        assert_eq!(events.next().await, None);
        assert_eq!(events.last_id, "4");
    }
    let refused = ask(&served, "", &served.token, Some("4")).await;
    assert_eq!(refused.status(), 401);
}

/// The check comes before what is sent, not only when nothing is.
#[tokio::test]
async fn nothing_is_sent_after_the_token_expired() {
    let served = Served::start_with(quiet(Duration::from_secs(3_600))).await;
    let mut events = open(&served, "").await;
    events.next().await;
    served.clock.advance(3_660);
    served.post(&json!({"action": "late"})).await;
    assert_eq!(events.next().await.unwrap().name.as_deref(), Some("end"));
    assert!(!events.all.contains("late"), "{}", events.all);
}

#[tokio::test]
async fn a_stop_ends_streams_at_once() {
    let served = Served::start_with(quiet(Duration::from_secs(3_600))).await;
    served.post(&some(2)).await;
    let mut events = open(&served, "user_id=nobody").await;
    events.next().await;
    served.stop.send_replace(true);
    let end = events.next().await.unwrap();
    assert_eq!(end.name.as_deref(), Some("end"));
    assert_eq!(end.data["status"], 503);
    assert_eq!(events.next().await, None);
    // Who connects in the last moment learns it as well, and where to go on.
    let mut late = open(&served, "").await;
    assert_eq!(late.next().await.unwrap().id.as_deref(), Some("1"));
    assert_eq!(late.next().await.unwrap().name.as_deref(), Some("end"));
    assert_eq!(late.next().await, None);
}

#[tokio::test]
async fn a_store_that_fails_ends_the_stream_where_it_is() {
    let served = Served::start().await;
    let mut events = open(&served, "").await;
    served.post(&some(1)).await;
    events.entry().await;
    served
        .store
        .inject(Fault::Scan(StoreErrorKind::Unavailable));
    served.post(&some(1)).await;
    let end = events.next().await.unwrap();
    assert_eq!(
        (end.name.as_deref(), &end.data["status"]),
        (Some("end"), &json!(503))
    );
    assert_eq!(events.next().await, None);
    let mut again = open_as(&served, "", &served.token, Some(&events.last_id)).await;
    assert_eq!(again.entry().await["index"], 1);
    // What cannot even begin is an answer of its own.
    served
        .store
        .inject(Fault::Scan(StoreErrorKind::Unavailable));
    drop((events, again));
    let refused = loop {
        let answer = ask(&served, "index_from=0", &served.token, None).await;
        if served.store.faults().is_empty() {
            break answer;
        }
    };
    assert_eq!(refused.status(), 503);
}

#[tokio::test]
async fn last_event_ids_that_cannot_be() {
    let served = Served::start().await;
    served.post(&some(3)).await;
    for (last, words) in [
        ("3", "is ahead of the log, which has 3 entries"),
        ("18446744073709551615", "is ahead of the log"),
        ("18446744073709551616", "is not the id of an event"),
        ("-2", "is not the id of an event"),
        ("+1", "is not the id of an event"),
        ("1.5", "is not the id of an event"),
        ("abc", "is not the id of an event"),
        ("1, 2", "is not the id of an event"),
        ("ü", "is not the id of an event"),
    ] {
        let header = ask(&served, "", &served.token, Some(last)).await;
        let query = format!("last_event_id={}", last.replace('+', "%2B"));
        let parameter = ask(&served, &query, &served.token, None).await;
        for (answer, slug) in [(header, "invalid-header"), (parameter, "invalid-parameter")] {
            assert_eq!(answer.status(), 400, "{last}");
            let problem: Value = answer.json().await.unwrap();
            assert_eq!(problem["type"], format!("urn:audittrail:problem:{slug}"));
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(words), "{last}: {detail}");
            assert!(detail.contains("start without it"), "{last}: {detail}");
        }
    }
    // An empty one is none, as for a client that has not got anything yet.
    let mut events = open_as(&served, "last_event_id=", &served.token, Some("")).await;
    assert_eq!(events.next().await.unwrap().id.as_deref(), Some("2"));
    for query in [
        "order=index",
        "cursor=x",
        "page=1",
        "count=none",
        "last_event_id=1&last_event_id=1",
    ] {
        let answer = ask(&served, query, &served.token, None).await;
        assert_eq!(answer.status(), 400, "{query}");
    }
    let url = format!("http://{}/logs/stream/", served.address);
    let request = served.client.get(url).bearer_auth(&served.token);
    let answer = request
        .header("accept", "application/json")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 406);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_get_the_same() {
    let served = Served::start_with(ApiSettings {
        streams: 2_000,
        ..ApiSettings::default()
    })
    .await;
    let mut streams = Vec::new();
    for _ in 0..200 {
        streams.push(open(&served, "").await);
    }
    for _ in 0..30 {
        served.post(&some(10)).await;
    }
    for events in &mut streams {
        let came = events.entries(300).await;
        assert_eq!(indices(&came), (0..300).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn streams_have_a_bound() {
    let served = Served::start_with(ApiSettings {
        streams: 16,
        ..ApiSettings::default()
    })
    .await;
    let mut open_streams = Vec::new();
    for number in 0..8 {
        let token = token(&format!("reader {number}"), Role::Reader, None);
        for _ in 0..2 {
            open_streams.push(open_as(&served, "", &token, None).await);
        }
        let third = ask(&served, "", &token, None).await;
        let expected = if number < 7 { 429 } else { 503 };
        assert_eq!(third.status(), expected);
        assert_eq!(third.headers()["retry-after"], "10");
        let problem: Value = third.json().await.unwrap();
        let slug = ["streams-full", "too-many-streams"][usize::from(expected == 429)];
        assert_eq!(problem["type"], format!("urn:audittrail:problem:{slug}"));
    }
    // A place is free again when the server has seen the connection end.
    open_streams.pop();
    let opened = async {
        while ask(&served, "", &served.token, None).await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opened)
        .await
        .unwrap();
}
