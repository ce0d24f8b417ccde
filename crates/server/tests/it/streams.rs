//! The live tail of the binary: through kill -9, at shutdown, with clients that do not read, and
//! with the client that the documentation shows.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{DEADLINE, Server, command, repository, start};

const KILLS: usize = 8;
const WRITERS: usize = 4;

/// One that follows the log through the server's lives, and keeps what it saw.
struct Follower {
    filter: &'static str,
    sub: &'static str,
    role: &'static str,
    last: String,
    seen: Vec<u64>,
}

impl Follower {
    fn new(filter: &'static str, sub: &'static str, role: &'static str) -> Self {
        Self {
            filter,
            sub,
            role,
            last: "-1".to_owned(),
            seen: Vec::new(),
        }
    }

    fn token(&self, server: &Server) -> String {
        server.token(&["--sub", self.sub, "--role", self.role])
    }

    /// Reads until the connection breaks, or the entry at `until` was passed.
    async fn follow(&mut self, url: &str, token: &str, until: Option<u64>) {
        let request = reqwest::Client::new()
            .get(format!("{url}/logs/stream/?{}", self.filter))
            .bearer_auth(token)
            .header("last-event-id", &self.last);
        let Ok(mut response) = request.send().await else {
            return;
        };
        assert_eq!(response.status(), StatusCode::OK, "after {}", self.last);
        let mut rest = Vec::new();
        while until.is_none_or(|until| self.seen.last() != Some(&until)) {
            let chunk = tokio::time::timeout(DEADLINE, response.chunk()).await;
            match chunk.expect("nothing came") {
                Ok(Some(chunk)) => rest.extend(chunk),
                // What came of a last event is no event.
                Ok(None) | Err(_) => return,
            }
            let Some(end) = rest.windows(2).rposition(|pair| pair == b"\n\n") else {
                continue;
            };
            let whole: Vec<u8> = rest.drain(..end + 2).collect();
            for event in String::from_utf8(whole).unwrap().split_terminator("\n\n") {
                self.take(event);
            }
        }
    }

    fn take(&mut self, event: &str) {
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
        if let Some(id) = field("id: ") {
            self.last = id.to_owned();
        }
        if let Some(data) = field("data: ").filter(|_| field("event: ") == Some("entry")) {
            let entry: Value = serde_json::from_str(data).unwrap();
            assert_eq!(entry["verified"], true, "{entry}");
            self.seen.push(entry["index"].as_u64().unwrap());
        }
    }
}

/// Writes until there is no answer.
async fn write(url: String, token: String, writer: usize) {
    let client = reqwest::Client::new();
    for number in writer.. {
        let entry = |part: usize| {
            json!({
                "action": if (number + part).is_multiple_of(50) { "load.rare" } else { "load.common" },
                "user_id": if (number + part).is_multiple_of(7) { "alice" } else { "bob" },
            })
        };
        let entries: Vec<Value> = (0..1 + number % 13).map(entry).collect();
        let request = client.post(format!("{url}/logs/?receipts=none"));
        let answer = request.bearer_auth(&token).json(&entries).send().await;
        if !answer.is_ok_and(|answer| answer.status() == StatusCode::CREATED) {
            return;
        }
    }
}

async fn indices(server: &Server, token: &str, filter: &str) -> Vec<u64> {
    let mut url = format!(
        "{}/logs/list/?order=index&page_size=1000&{filter}",
        server.url
    );
    let mut all = Vec::new();
    loop {
        let request = server.client().get(&url).bearer_auth(token);
        let page: Value = request.send().await.unwrap().json().await.unwrap();
        let results = page["results"].as_array().unwrap();
        all.extend(results.iter().map(|entry| entry["index"].as_u64().unwrap()));
        let Some(next) = page["next"].as_str() else {
            return all;
        };
        url = next.to_owned();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_and_nothing_comes_twice_through_kill_9() {
    let home = tempfile::tempdir().unwrap();
    let mut followers = vec![
        Follower::new("", "auditor", "auditor"),
        Follower::new("action=load.rare", "reader", "reader"),
        Follower::new(
            "action__contains=COMMON&user_id__nin=bob",
            "reader",
            "reader",
        ),
        Follower::new("action=no.such", "reader", "reader"),
        Follower::new("", "alice", "user"),
        // Connects in every second life only, and has more to catch up with.
        Follower::new("", "late", "auditor"),
    ];
    let mut resumed_within = 0;
    for round in 0..KILLS {
        let server = Server::start(home.path());
        let token = server.token(&["--sub", "load", "--role", "writer"]);
        let begun = server.metric("audittrail_log_entries").await;
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write(server.url.clone(), token.clone(), writer));
        }
        let mut following = JoinSet::new();
        let mut absent = Vec::new();
        for mut follower in followers.drain(..) {
            if follower.sub == "late" && round % 2 == 0 {
                absent.push(follower);
                continue;
            }
            let (url, token) = (server.url.clone(), follower.token(&server));
            following.spawn(async move {
                follower.follow(&url, &token, None).await;
                follower
            });
        }
        // Not at a moment that the writers or the streams choose.
        let enough = begun + 300.0 * (1 + round % 4) as f64;
        while server.metric("audittrail_log_entries").await < enough {
            tokio::task::yield_now().await;
        }
        server.kill();
        writers.join_all().await;
        followers = following.join_all().await;
        resumed_within += followers.iter().filter(|one| one.last != "-1").count();
        followers.append(&mut absent);
    }
    assert!(resumed_within > KILLS, "{resumed_within}");
    let server = Server::start(home.path());
    for mut follower in followers {
        let token = follower.token(&server);
        let listed = indices(&server, &token, follower.filter).await;
        let (seen_before, filter) = (follower.seen.len(), follower.filter);
        if let Some(last) = listed
            .last()
            .filter(|last| follower.seen.last() != Some(last))
        {
            follower.follow(&server.url, &token, Some(*last)).await;
        }
        println!(
            "{} {filter:?}: {} entries, {seen_before} of them before the last start",
            follower.sub,
            listed.len()
        );
        assert_eq!(follower.seen, listed, "{} {filter}", follower.sub);
        assert!(listed.len() > 20 || filter == "action=no.such");
    }
}

/// Sends what comes to an address on to the server that lives at the time.
async fn forward(listener: TcpListener, to: watch::Receiver<String>) {
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let address = to.borrow().trim_start_matches("http://").to_owned();
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(address).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_the_documentation_works() {
    let docs = std::fs::read_to_string(repository("docs/api.md")).unwrap();
    let script = docs.split("```python\n").nth(1).unwrap();
    let script = script.split("\n```\n").next().unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(home.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (lives_at, to) = watch::channel(server.url.clone());
    tokio::spawn(forward(listener, to));
    let token = server.token(&["--sub", "reader", "--role", "reader"]);
    let mut client = command("python3")
        .args(["-c", script])
        .env("AUDITTRAIL_URL", &url)
        .env("AUDITTRAIL_TOKEN", &token)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let mut expected = 0;
    for round in 0..3 {
        while server.metric("audittrail_streams").await < 1.0 {
            tokio::task::yield_now().await;
        }
        for number in 0..20 {
            let action = ["door.open", "window.open"][number % 2];
            server.post("/logs/", &json!({"action": action})).await;
        }
        for number in (0..20).step_by(2) {
            let line = lines.next().unwrap().unwrap();
            assert_eq!(line, format!("{} door.open True", expected + number));
        }
        expected += 20;
        if round < 2 {
            server.kill();
            server = Server::start(home.path());
            // Written before the client is back.
            server
                .post("/logs/", &json!({"action": "door.close"}))
                .await;
            lives_at.send_replace(server.url.clone());
            let line = lines.next().unwrap().unwrap();
            assert_eq!(line, format!("{expected} door.close True"));
            expected += 1;
        }
    }
    client.kill().unwrap();
    client.wait().unwrap();
}

async fn open(server: &Server, query: &str) -> Response {
    let path = format!("/logs/stream/?{query}");
    let request = server.request(Method::GET, &path);
    let response = request
        .header("accept-encoding", "gzip, zstd")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key("content-encoding"));
    response
}

/// A client that asks for the whole log and reads nothing of it.
fn deaf(server: &Server) -> std::net::TcpStream {
    let mut stream = server.connect();
    let request = format!(
        "GET /logs/stream/?index_from=0 HTTP/1.1\r\nHost: a\r\n{}\r\n",
        server.bearer()
    );
    stream.write_all(request.as_bytes()).unwrap();
    // The head has come, and with it the first part.
    stream.read_exact(&mut [0; 12]).unwrap();
    stream
}

async fn fill(server: &Server, entries: usize) {
    let entry = json!({"action": "a", "details": {"filler": "x".repeat(2_000)}});
    let batch = json!(vec![entry; 1_000]);
    for _ in 0..entries / 1_000 {
        let (status, _) = server.post("/logs/?receipts=none", &batch).await;
        assert_eq!(status, StatusCode::CREATED);
    }
}

/// Twenty megabytes for each of two that read nothing: more than sockets hold.
#[tokio::test]
async fn streams_do_not_delay_a_stop() {
    let (_home, mut server) = start();
    fill(&server, 10_000).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(open(&server, "").await);
    }
    let deaf: Vec<_> = (0..2).map(|_| deaf(&server)).collect();
    assert_eq!(server.metric("audittrail_streams").await, 22.0);
    server.terminate();
    let start = Instant::now();
    assert_eq!(server.exit_code(), Some(0));
    // The time that requests under way are given is twenty seconds.
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
    for stream in streams {
        let all = stream.text().await.unwrap();
        assert!(
            all.contains("event: end\ndata: {\"detail\":\"The server is stopping"),
            "{all}"
        );
        assert!(all.ends_with("\n\n"), "{all}");
    }
    drop(deaf);
}

fn resident_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// A hundred clients that read nothing of forty megabytes.
#[tokio::test]
async fn clients_that_do_not_read_cost_little() {
    const CLIENTS: usize = 100;
    let (home, server) = start();
    fill(&server, 20_000).await;
    server.stop();
    let server = Server::start(home.path());
    let before = resident_kib(&server);
    let deaf: Vec<_> = (0..CLIENTS).map(|_| deaf(&server)).collect();
    assert_eq!(server.metric("audittrail_streams").await, CLIENTS as f64);
    // Each has filled what there is for it, and all wait.
    let mut sent = -1.0;
    let settled = Instant::now();
    loop {
        let now = server.metric("audittrail_stream_entries_total").await;
        if now == sent {
            break;
        }
        assert!(settled.elapsed() < DEADLINE);
        sent = now;
        // Another request that takes long enough for a stream to get on.
        server.get("/logs/list/?page_size=100").await;
    }
    let each = resident_kib(&server).saturating_sub(before) / CLIENTS as u64;
    println!("{each} KiB for each");
    assert!(each < 2_048, "{each} KiB for each");
    drop(deaf);
    let closed = Instant::now();
    while server.metric("audittrail_streams").await > 0.0 {
        assert!(closed.elapsed() < DEADLINE);
        tokio::task::yield_now().await;
    }
}
