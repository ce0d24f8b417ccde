//! SIGTERM: what was begun is finished, nothing idle delays it, and it has an end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::connections::answer;
use crate::support::{DEADLINE, Server, command, spawn, start};

const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
const BODY: &str = r#"{"action":"last.one"}"#;

/// A request that waits for the rest of its body, and is known to have been begun.
fn under_way(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let head = format!(
        "POST /logs/ HTTP/1.1\r\nHost: a\r\n{}Content-Type: application/json\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        server.bearer(),
        BODY.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert!(answer(&mut stream).starts_with("http/1.1 100"));
    stream
}

/// Waits until nothing is accepted any more.
fn until_stopping(server: &Server) {
    let start = Instant::now();
    while TcpStream::connect(server.url.trim_start_matches("http://")).is_ok() {
        assert!(start.elapsed() < DEADLINE);
    }
}

#[tokio::test]
async fn what_is_under_way_ends_well_and_nothing_idle_delays_it() {
    let (home, mut server) = start();
    let idle: Vec<_> = (0..500)
        .map(|number| {
            let mut stream = server.connect();
            match number % 5 {
                // Accepted, and silent.
                0 => {}
                1 => stream.write_all(b"GET /health/live HT").unwrap(),
                2 => stream.write_all(b"PRI * HT").unwrap(),
                // HTTP/2 that answers nothing, no ping either.
                3 => {
                    stream
                        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
                        .unwrap();
                    stream.read_exact(&mut [0; 9]).unwrap();
                }
                _ => {
                    stream.write_all(LIVE.as_bytes()).unwrap();
                    answer(&mut stream);
                }
            }
            stream
        })
        .collect();
    let mut last = under_way(&server);
    server.terminate();
    until_stopping(&server);
    last.write_all(BODY.as_bytes()).unwrap();
    let start = Instant::now();
    assert!(answer(&mut last).starts_with("http/1.1 201"));
    assert_eq!(server.exit_code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    drop(idle);
    let server = Server::start(home.path());
    let (_, page) = server.get("/logs/list/?action=last.one").await;
    assert_eq!(page["count"], 1, "{page}");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (_home, mut server) = start();
    let _waiting = under_way(&server);
    server.terminate();
    until_stopping(&server);
    server.terminate();
    let start = Instant::now();
    assert_eq!(server.exit_code(), Some(3));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn what_does_not_end_is_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let settings = [
        ("AUDITTRAIL_SHUTDOWN_TIMEOUT", "1s"),
        ("AUDITTRAIL_BODY_TIMEOUT", "10m"),
        ("AUDITTRAIL_REQUEST_TIMEOUT", "10m"),
    ];
    let mut server = Server::start_with(home.path(), &settings);
    let _waiting = under_way(&server);
    server.terminate();
    let start = Instant::now();
    assert_eq!(server.exit_code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(8),
        "{:?}",
        start.elapsed()
    );
}

/// From its first line on it can be asked to stop, by either signal.
#[test]
fn a_signal_as_soon_as_the_address_is_known() {
    for signal in ["-INT", "-TERM"].repeat(4) {
        let home = tempfile::tempdir().unwrap();
        let (mut child, _) = spawn(home.path(), &[]);
        let mut kill = command("kill");
        kill.args([signal, &child.id().to_string()]);
        assert!(kill.status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
    }
}
