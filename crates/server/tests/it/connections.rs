//! Slow and silent clients: each phase of a connection has a bound, and it holds.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{DEADLINE, Server, text};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
/// The pace of a slow client.
const PACE: Duration = Duration::from_millis(100);

/// One bound set short, the others so long that they cannot be what ends a connection here.
pub(crate) fn with_short(name: &str) -> (tempfile::TempDir, Server) {
    let names = ["HEAD", "BODY", "REQUEST", "IDLE", "WRITE"];
    let settings: Vec<_> = names
        .iter()
        .map(|one| {
            let time = if *one == name { "1s" } else { "10m" };
            (format!("AUDITTRAIL_{one}_TIMEOUT"), time)
        })
        .collect();
    assert!(names.contains(&name));
    let home = tempfile::tempdir().unwrap();
    let settings: Vec<_> = settings
        .iter()
        .map(|(name, time)| (&**name, *time))
        .collect();
    let server = Server::start_with(home.path(), &settings);
    (home, server)
}

/// Reads one answer without a body of unknown length, and leaves the connection open.
pub(crate) fn answer(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    let head = text(&read).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    head + &text(&body)
}

/// Sends a byte now and then; what came until the server closed.
fn trickle(mut stream: TcpStream, bytes: &str) -> String {
    let (start, mut read) = (Instant::now(), Vec::new());
    stream.set_read_timeout(Some(PACE)).unwrap();
    for byte in bytes.bytes().cycle() {
        assert!(
            start.elapsed() < DEADLINE,
            "the server waits on: {}",
            text(&read)
        );
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        let mut buffer = [0; 4_096];
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => read.extend(&buffer[..len]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    text(&read)
}

/// Sends nothing more; what comes until the server closes, within the deadline.
fn wait(mut stream: TcpStream) -> String {
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the server waits on"),
        _ => text(&read),
    }
}

#[tokio::test]
async fn a_head_has_to_arrive() {
    let (_home, server) = with_short("HEAD");
    let mut idle = server.connect();
    idle.write_all(LIVE.as_bytes()).unwrap();
    answer(&mut idle);
    // Nothing at all, which hyper has no timer for; parts of a request, or of HTTP/2's preface.
    for sent in [
        "",
        "\r\n",
        "G",
        "PRI * HTTP/2",
        "GET / HTTP/1.1\r\nHost: a\r\nX: ",
    ] {
        let mut stream = server.connect();
        stream.write_all(sent.as_bytes()).unwrap();
        assert_eq!(wait(stream), "", "{sent}");
    }
    assert_eq!(trickle(server.connect(), "GET /aaaaaaaaaaaaaaaaaaa"), "");
    // A second head on the same connection.
    let mut second = server.connect();
    second.write_all(LIVE.as_bytes()).unwrap();
    answer(&mut second);
    assert_eq!(trickle(second, "GET /aaaaaaaaaaaaaaaaaaa"), "");
    // Idle since long before the others, it is no head that does not arrive.
    idle.write_all(LIVE.as_bytes()).unwrap();
    assert!(answer(&mut idle).starts_with("http/1.1 200"));
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let (_home, server) = with_short("IDLE");
    let mut stream = server.connect();
    stream.write_all(LIVE.as_bytes()).unwrap();
    answer(&mut stream);
    assert_eq!(wait(stream), "");
}

fn upload(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let head = format!(
        "POST /logs/ HTTP/1.1\r\nHost: a\r\n{}Content-Type: application/json\r\n\
         Content-Length: 100000\r\n\r\n{{",
        server.bearer()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[tokio::test]
async fn a_body_has_to_go_on() {
    let (_home, server) = with_short("BODY");
    let answer = wait(upload(&server));
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("for 1 s,"),
        "{answer}"
    );
    assert!(answer.contains("incomplete-body"), "{answer}");
}

#[tokio::test]
async fn a_body_has_to_end() {
    let (_home, server) = with_short("REQUEST");
    let answer = trickle(upload(&server), " ");
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("in time"),
        "{answer}"
    );
    assert!(answer.contains("incomplete-body"), "{answer}");
}

/// Stores entries that together are larger than all buffers between server and client.
pub(crate) async fn fill(server: &Server) {
    let entry = json!({ "action": "a", "details": { "d": "d".repeat(250_000) } });
    let entries = json!(vec![entry; 60]);
    let (status, answer) = server.post("/logs/", &entries).await;
    assert_eq!(status, 201, "{answer}");
    for _ in 0..2 {
        assert_eq!(server.post("/logs/?receipts=none", &entries).await.0, 201);
    }
}

/// Waits until the server has ended a connection because nobody reads.
pub(crate) async fn until_overdue(server: &Server) {
    let start = Instant::now();
    let name = "audittrail_http_connections_overdue_total{reason=\"the client no longer reads\"}";
    loop {
        let page = server.client().get(format!("{}/metrics", server.url));
        let page = page.send().await.unwrap().text().await.unwrap();
        if page.contains(name) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "{page}");
    }
}

#[tokio::test]
async fn an_answer_has_to_be_read() {
    let (_home, server) = with_short("WRITE");
    fill(&server).await;
    let mut stream = server.connect();
    let request = format!(
        "GET /logs/export/ HTTP/1.1\r\nHost: a\r\n{}\r\n",
        server.bearer()
    );
    stream.write_all(request.as_bytes()).unwrap();
    until_overdue(&server).await;
    let mut read = Vec::new();
    let _ = stream.read_to_end(&mut read);
    assert!(read.starts_with(b"HTTP/1.1 200"));
    assert!(
        read.len() < 45_000_000 && !read.ends_with(b"0\r\n\r\n"),
        "{}",
        read.len()
    );
}

#[tokio::test]
async fn a_reader_that_is_slow_but_reads_gets_everything() {
    let (_home, server) = with_short("WRITE");
    fill(&server).await;
    let mut stream = server.connect();
    let request = format!(
        "GET /logs/export/ HTTP/1.1\r\nHost: a\r\n{}Connection: close\r\n\r\n",
        server.bearer()
    );
    stream.write_all(request.as_bytes()).unwrap();
    // Slower than the bound in all, by waiting for another request between the pieces.
    let (start, mut read, mut buffer) = (Instant::now(), 0, vec![0; 1 << 20]);
    loop {
        let len = stream.read(&mut buffer).unwrap();
        read += len;
        if len == 0 {
            break;
        }
        if start.elapsed() < Duration::from_secs(3) {
            let mut other = server.connect();
            other.set_read_timeout(Some(PACE)).unwrap();
            assert!(other.read(&mut [0]).is_err());
        }
    }
    assert!(read > 45_000_000, "{read}");
    assert!(start.elapsed() > Duration::from_secs(2));
}

#[tokio::test]
async fn beyond_the_cap_connections_wait() {
    let home = tempfile::tempdir().unwrap();
    let settings = [("AUDITTRAIL_MAX_CONNECTIONS", "2")];
    let server = Server::start_with(home.path(), &settings);
    let mut open = [server.connect(), server.connect()];
    for stream in &mut open {
        stream.write_all(LIVE.as_bytes()).unwrap();
        answer(stream);
    }
    let mut third = server.connect();
    third.write_all(LIVE.as_bytes()).unwrap();
    third.set_read_timeout(Some(PACE * 5)).unwrap();
    assert!(third.read(&mut [0]).is_err(), "a third was served");
    drop(open);
    third.set_read_timeout(Some(DEADLINE)).unwrap();
    assert!(answer(&mut third).starts_with("http/1.1 200"));
}

/// Who asks for health where metrics are does not wait for a place among the API's clients.
#[tokio::test]
async fn with_every_connection_taken_health_is_answered_beside_the_metrics() {
    let home = tempfile::tempdir().unwrap();
    // An address of its own: nothing else takes the port meanwhile.
    let free = std::net::TcpListener::bind("127.0.0.77:0").unwrap();
    let metrics = free.local_addr().unwrap().to_string();
    drop(free);
    let settings = [
        ("AUDITTRAIL_MAX_CONNECTIONS", "1"),
        ("AUDITTRAIL_METRICS_LISTEN", &metrics),
    ];
    let server = Server::start_with(home.path(), &settings);
    let mut taken = server.connect();
    taken.write_all(LIVE.as_bytes()).unwrap();
    answer(&mut taken);
    let ask = async |path: &str| {
        let url = format!("http://{metrics}{path}");
        let asked = server.client().get(url).timeout(DEADLINE).send().await;
        let answered = asked.unwrap();
        (answered.status().as_u16(), answered.text().await.unwrap())
    };
    for (path, said) in [("/health/live", "live"), ("/health/ready/", "ready")] {
        let (status, text) = ask(path).await;
        assert_eq!((status, text.contains(said)), (200, true), "{path}: {text}");
    }
    assert!(ask("/metrics").await.1.contains("audittrail_log_entries"));
    // Nothing else of the API is there.
    assert_eq!(ask("/logs/list/").await.0, 404);
    let mut command = server.run("health");
    let command = command.args(["--url", &format!("http://{metrics}")]);
    crate::support::success(&command.output().unwrap());
}

/// Connections take no file handle that the log needs.
#[tokio::test]
async fn more_connections_than_file_handles() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start_after(home.path(), "ulimit -n 300");
    let mut first = server.connect();
    first.write_all(LIVE.as_bytes()).unwrap();
    answer(&mut first);
    let others: Vec<_> = (0..250).map(|_| server.connect()).collect();
    // Written on a connection that has its place, into files that are opened now.
    let body = r#"{"action":"a"}"#;
    let request = format!(
        "POST /logs/?ack=published HTTP/1.1\r\nHost: a\r\n{}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        server.bearer(),
        body.len()
    );
    first.write_all(request.as_bytes()).unwrap();
    let receipt = answer(&mut first);
    assert!(receipt.starts_with("http/1.1 201"), "{receipt}");
    drop(others);
    let log = server.log();
    assert!(log.contains("at most 172 connections"), "{log}");
    assert!(!log.contains("could not be accepted"), "{log}");
}
