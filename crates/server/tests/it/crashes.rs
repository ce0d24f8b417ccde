//! kill -9 under load, again and again: what was acknowledged is there, once, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::support::{Server, command, repository, success};

const KILLS: usize = 20;
const CLIENTS: u64 = 8;

/// An acknowledged entry.
struct Acked {
    id: String,
    index: u64,
    leaf_hash: String,
}

/// Entries with ids of their own, one request.
fn entries(number: u64) -> Value {
    let entry = |position: u64| {
        let id = uuid::Uuid::from_u128(u128::from(number) << 64 | u128::from(position));
        json!({"id": id.to_string(), "action": "load.test", "details": {"request": number}})
    };
    match number % 5 {
        // One entry of five is alone, the other requests are batches of two to twenty.
        0 => entry(0),
        _ => (0..2 + number * 7 % 19).map(entry).collect(),
    }
}

/// Sends one request; what was acknowledged, or nothing if there was no answer.
async fn send(server: &Remote, entries: &Value) -> Option<Vec<Acked>> {
    let request = server.client.post(format!("{}/logs/", server.url));
    let response = request
        .bearer_auth(&server.token)
        .json(entries)
        .send()
        .await
        .ok()?;
    let status = response.status();
    let body: Value = response.json().await.ok()?;
    match status {
        StatusCode::CREATED => {}
        // Refused or unknown at the last moment: sent again like what got no answer.
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => return None,
        other => panic!("{other}: {body}"),
    }
    let receipts = match body.get("results") {
        Some(Value::Array(results)) => results.clone(),
        _ => vec![body],
    };
    Some(receipts.iter().map(acked).collect())
}

fn acked(receipt: &Value) -> Acked {
    Acked {
        id: receipt["id"].as_str().unwrap().to_owned(),
        index: receipt["index"].as_u64().unwrap(),
        leaf_hash: receipt["leaf_hash"].as_str().unwrap().to_owned(),
    }
}

#[derive(Clone)]
struct Remote {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Remote {
    fn of(server: &Server) -> Self {
        let token = server.token(&["--sub", "load", "--role", "writer"]);
        Self {
            client: reqwest::Client::new(),
            url: server.url.clone(),
            token,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let home = tempfile::tempdir().unwrap();
    let next = Arc::new(AtomicU64::new(1));
    let mut known: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let mut unanswered: Vec<Value> = Vec::new();
    let (mut with_requests_in_flight, mut in_flight) = (0, 0);
    for round in 0..KILLS {
        let server = Server::start(home.path());
        let remote = Remote::of(&server);
        let (acks, mut acked) = mpsc::unbounded_channel();
        // What got no answer is sent again under the same ids.
        for entries in unanswered.drain(..) {
            for one in send(&remote, &entries)
                .await
                .expect("an answer from a new server")
            {
                acks.send(one).unwrap();
            }
        }
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (remote, next, acks) = (remote.clone(), Arc::clone(&next), acks.clone());
            clients.spawn(async move {
                loop {
                    let entries = entries(next.fetch_add(1, Ordering::Relaxed));
                    let Some(answer) = send(&remote, &entries).await else {
                        return entries;
                    };
                    for one in answer {
                        let _ = acks.send(one);
                    }
                }
            });
        }
        // Killed after some hundred acknowledgements: never at the same moment of a commit.
        let mut wanted = 100 + round * 37;
        let mut take = |one: Acked| {
            let before = known.insert(one.index, (one.id.clone(), one.leaf_hash.clone()));
            assert!(
                before.is_none_or(|before| before == (one.id, one.leaf_hash)),
                "two at one index"
            );
        };
        while wanted > 0 {
            take(acked.recv().await.unwrap());
            wanted -= 1;
        }
        server.kill();
        unanswered = clients.join_all().await;
        in_flight += unanswered.len();
        with_requests_in_flight += usize::from(!unanswered.is_empty());
        drop(acks);
        while let Some(one) = acked.recv().await {
            take(one);
        }
    }
    println!(
        "{KILLS} kills, {with_requests_in_flight} with requests in flight ({in_flight} in all); {} \
         entries acknowledged",
        known.len()
    );
    assert!(with_requests_in_flight >= 15);

    let server = Server::start(home.path());
    let remote = Remote::of(&server);
    for entries in unanswered {
        for one in send(&remote, &entries).await.unwrap() {
            known.insert(one.index, (one.id, one.leaf_hash));
        }
    }
    let (_, page) = server.get("/logs/list/?page_size=1&count=exact").await;
    assert_eq!(page["failed_entries"], 0);
    let data = server.data();
    let fsck = server.run("fsck").output().unwrap();
    assert!(success(&fsck).contains("everything verifies"));
    server.stop();
    // An independent reader recomputes the root from the leaves, and compares it with the
    // checkpoint's.
    let read = command("python3")
        .arg(repository("testdata/read_log.py"))
        .arg(data)
        .arg("--leaves")
        .output()
        .unwrap();
    let read = success(&read);
    let mut ids = BTreeSet::new();
    let mut size = 0;
    for line in read.lines().filter(|line| !line.starts_with("size ")) {
        let [index, id, leaf_hash] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(index, size.to_string());
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        if let Some(acked) = known.remove(&size) {
            assert_eq!((id, leaf_hash), (acked.0.as_str(), acked.1.as_str()));
        }
        size += 1;
    }
    assert!(known.is_empty(), "acknowledged and not there: {known:?}");
    assert_eq!(page["count"], size);
}
