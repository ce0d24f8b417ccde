//! What clients get wrong on the wire. None of it is a 500, none of it stores anything, none of it
//! panics. docs/bad-requests.md has what is told about everything else, and tools/test-bad-requests
//! sends it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use reqwest::Method;

use crate::support::{Server, start, text};

const JSON: &str = "application/json";

/// Sends bytes and gives back what comes until the server closes.
fn raw(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    text(&answer)
}

/// What no HTTP library sends.
#[tokio::test]
async fn broken_http_does_no_harm() {
    let (_home, server) = start();
    let token = server.token(&["--sub", "raw", "--role", "admin"]);
    let head = format!(
        "POST /logs/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: {JSON}\r\n"
    );
    let cases = [
        ("GARBAGE\r\n\r\n".to_owned(), "400"),
        ("GET /logs/list/ HTTP/9.9\r\n\r\n".to_owned(), "400"),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000)),
            "4",
        ),
        (
            format!("GET / HTTP/1.1\r\n{}\r\n", "X-A: b\r\n".repeat(5_000)),
            "431",
        ),
        // A length that the body does not have.
        (
            format!("{head}Content-Length: 100\r\n\r\n{{\"action\":\"a\"}}"),
            "",
        ),
        (format!("{head}Content-Length: -1\r\n\r\n"), "400"),
        (
            format!("{head}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
            "400",
        ),
        (format!("{head}Content-Length: 99999999999\r\n\r\n"), "413"),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
            "",
        ),
        (
            format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{{\"act"),
            "",
        ),
        ("\0\0\0\0\0\0".to_owned(), ""),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x09\0\0\0\0\0garbage".to_owned(),
            "",
        ),
    ];
    for (bytes, status) in &cases {
        let answer = raw(&server, bytes.as_bytes());
        let wanted = format!("HTTP/1.1 {status}");
        assert!(
            status.is_empty() || answer.starts_with(&wanted),
            "{bytes:.80}: {answer:.80}"
        );
        assert!(
            !answer.contains("HTTP/1.1 5") && !answer.contains("HTTP/1.1 2"),
            "{answer}"
        );
    }
    let (_, page) = server.get("/logs/list/").await;
    assert_eq!(page["count"], 0, "{page}");
}

/// A body above the limit is refused whether or not it says so at its head.
#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let (_home, server) = start();
    let body = vec![b' '; (32 << 20) + 1];
    let chunks: Vec<Result<_, std::io::Error>> = body
        .chunks(1 << 20)
        .map(|chunk| Ok(chunk.to_vec()))
        .collect();
    let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    for body in [reqwest::Body::from(body), streamed] {
        let request = server
            .request(Method::POST, "/logs/")
            .header("content-type", JSON);
        // The server may close before all of it was sent.
        if let Ok(response) = request.body(body).send().await {
            assert_eq!(response.status().as_u16(), 413);
        }
    }
    let (_, page) = server.get("/logs/list/").await;
    assert_eq!(page["count"], 0);
}
