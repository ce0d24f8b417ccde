//! Requests that two parsers may understand in two ways: refused, and the connection closed, so
//! that nothing behind them is taken for another request.

use std::io::{ErrorKind, Read as _, Write as _};

use reqwest::Method;

use crate::support::{Server, start, text};

/// What would be smuggled.
const NEXT: &str = "GET /health/live HTTP/1.1\r\nHost: smuggled\r\nX-Request-Id: smuggled\r\n\r\n";
const ENTRY: &str = r#"{"action":"smuggled"}"#;

/// Sends a stream, then lets the server close.
fn exchange(server: &Server, stream: &[u8]) -> String {
    let mut connection = server.connect();
    // The server may close before it has read everything.
    let _ = connection.write_all(stream);
    let mut answer = Vec::new();
    if let Err(error) = connection.read_to_end(&mut answer) {
        // A reset closes, too; a deadline means that it was left open.
        assert_ne!(
            error.kind(),
            ErrorKind::WouldBlock,
            "left open: {}",
            text(&answer)
        );
    }
    text(&answer)
}

#[tokio::test]
async fn each_is_refused_and_its_connection_closed() {
    let (_home, server) = start();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let body = format!("{:x}\r\n{ENTRY}\r\n0\r\n\r\n", ENTRY.len());
    let length = format!("Content-Length: {}\r\n", ENTRY.len());
    let zero = "Content-Length: 0\r\n";
    let chunks = |chunks: &str| (chunked.to_owned(), chunks.to_owned());
    let table: Vec<(&str, (String, String))> = vec![
        ("both", (format!("{length}{chunked}"), body.clone())),
        (
            "both, the other way round",
            (format!("{chunked}{length}"), body.clone()),
        ),
        (
            "both, and the length is 0",
            (format!("{chunked}{zero}"), body.clone()),
        ),
        (
            "the same length twice",
            (format!("{length}{length}"), ENTRY.to_owned()),
        ),
        ("two lengths", (format!("{length}{zero}"), ENTRY.to_owned())),
        (
            "two lengths in one field",
            ("Content-Length: 21, 21\r\n".to_owned(), ENTRY.to_owned()),
        ),
        (
            "a length with a sign",
            ("Content-Length: +21\r\n".to_owned(), ENTRY.to_owned()),
        ),
        (
            "a negative length",
            ("Content-Length: -1\r\n".to_owned(), ENTRY.to_owned()),
        ),
        (
            "a hexadecimal length",
            ("Content-Length: 0x15\r\n".to_owned(), ENTRY.to_owned()),
        ),
        (
            "a length beyond 64 bits",
            (
                "Content-Length: 18446744073709551637\r\n".to_owned(),
                ENTRY.to_owned(),
            ),
        ),
        (
            "an empty length",
            ("Content-Length: \r\n".to_owned(), ENTRY.to_owned()),
        ),
        (
            "a length that is text",
            ("Content-Length: abc\r\n".to_owned(), ENTRY.to_owned()),
        ),
        (
            "chunked twice",
            (format!("{chunked}{chunked}"), body.clone()),
        ),
        (
            "chunked not last",
            (
                "Transfer-Encoding: chunked, identity\r\n".to_owned(),
                body.clone(),
            ),
        ),
        (
            "another coding",
            ("Transfer-Encoding: xchunked\r\n".to_owned(), body.clone()),
        ),
        (
            "identity",
            (
                "Transfer-Encoding: identity\r\n".to_owned(),
                ENTRY.to_owned(),
            ),
        ),
        (
            "a space before the colon",
            ("Transfer-Encoding : chunked\r\n".to_owned(), body.clone()),
        ),
        (
            "a folded line",
            (format!("X-A: b\r\n {length}"), ENTRY.to_owned()),
        ),
        (
            "a folded first line",
            (format!(" X-A: b\r\n{length}"), ENTRY.to_owned()),
        ),
        (
            "a bare CR in a value",
            (format!("X-A: b\rX: c\r\n{length}"), ENTRY.to_owned()),
        ),
        (
            "a bare CR as a line end",
            (format!("X-A: b\r{length}"), ENTRY.to_owned()),
        ),
        (
            "a null",
            (format!("X-A: b\0c\r\n{length}"), ENTRY.to_owned()),
        ),
        ("no name", (format!(": b\r\n{length}"), ENTRY.to_owned())),
        ("no colon", (format!("X-A\r\n{length}"), ENTRY.to_owned())),
        (
            "a second Host",
            (format!("Host: b\r\n{length}"), ENTRY.to_owned()),
        ),
        (
            "a chunk size that is text",
            chunks(&format!("zz\r\n{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "no chunk size",
            chunks(&format!("\r\n{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk size with a sign",
            chunks(&format!("+15\r\n{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "a negative chunk size",
            chunks(&format!("-15\r\n{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk size with 0x",
            chunks(&format!("0x15\r\n{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk size beyond 64 bits",
            chunks(&format!("10000000000000015\r\n{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk longer than it says",
            chunks(&format!("14\r\n{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk that ends in LF alone",
            chunks(&format!("15\r\n{ENTRY}\n0\r\n\r\n")),
        ),
        (
            "a chunk size that ends in LF alone",
            chunks(&format!("15\n{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk size that ends in CR alone",
            chunks(&format!("15\r{ENTRY}\r\n0\r\n\r\n")),
        ),
        (
            "a chunk extension without an end",
            chunks(&format!("15;{}", "a".repeat(100_000))),
        ),
    ];
    let mut refused = 0;
    for (what, (fields, body)) in &table {
        let stream = format!(
            "POST /logs/ HTTP/1.1\r\nHost: a\r\n{}Content-Type: application/json\r\n{fields}\r\n{body}{NEXT}",
            server.bearer()
        );
        let answer = exchange(&server, stream.as_bytes());
        let status = answer.get(..12).unwrap_or_default();
        assert!(status.starts_with("HTTP/1.1 4"), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer}");
        assert!(!answer.contains("smuggled"), "{what}: {answer}");
        refused += 1;
    }
    let (_, page) = server.get("/logs/list/").await;
    assert_eq!(page["count"], 0, "{page}");
    println!("{refused} refused");
}

#[tokio::test]
async fn heads_that_are_no_heads() {
    let (_home, server) = start();
    let long = "a".repeat(20_000);
    let longer = "a".repeat(100_000);
    let fields = "X-A: b\r\n".repeat(200);
    for (stream, status) in [
        ("GET /health/live HTTP/1.1\r\n\r\n".to_owned(), "400"),
        (
            "GET /health/live HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            "400",
        ),
        (
            format!("GET /logs/list/?q={long} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            "414",
        ),
        (
            format!("GET /health/live HTTP/1.1\r\nHost: a\r\nX: {longer}\r\n\r\n"),
            "431",
        ),
        (
            format!("GET /health/live HTTP/1.1\r\nHost: a\r\n{fields}\r\n"),
            "431",
        ),
        (
            "GET  /health/live HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "400",
        ),
        (
            "GET /health/live HTTP/1.1 \r\nHost: a\r\n\r\n".to_owned(),
            "400",
        ),
        ("GET /health/live\r\n\r\n".to_owned(), "400"),
        (
            "G\u{1}T /health/live HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "400",
        ),
    ] {
        let answer = exchange(&server, stream.as_bytes());
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{stream:.60}: {answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{stream:.60}: {answer}"
        );
    }
}

#[tokio::test]
async fn methods() {
    let (_home, server) = start();
    assert_eq!(
        server
            .post("/logs/", &serde_json::json!({ "action": "a" }))
            .await
            .0,
        201
    );
    for (path, allow) in [
        ("/logs/", "POST"),
        ("/logs/create/", "POST"),
        ("/logs/list/", "GET,HEAD"),
        ("/logs/export/", "GET,HEAD"),
        ("/health/live", "GET,HEAD"),
    ] {
        for (method, status) in [
            (Method::OPTIONS, 204),
            (Method::DELETE, 405),
            (Method::PUT, 405),
        ] {
            let response = server.request(method.clone(), path).send().await.unwrap();
            assert_eq!(response.status(), status, "{method} {path}");
            assert_eq!(response.headers()["allow"], allow, "{method} {path}");
        }
    }
    for path in [
        "/logs/list/",
        "/health/ready",
        "/logs/nothing/",
        "/logs/list/?page=x",
    ] {
        let get = server.request(Method::GET, path).send().await.unwrap();
        let head = server.request(Method::HEAD, path).send().await.unwrap();
        assert_eq!(head.status(), get.status(), "{path}");
        for name in ["content-type", "content-length"] {
            assert_eq!(
                head.headers().get(name),
                get.headers().get(name),
                "{name} of {path}"
            );
        }
        assert_eq!(head.bytes().await.unwrap().len(), 0);
    }
    let star = exchange(
        &server,
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    assert!(star.starts_with("HTTP/1.1 204"), "{star}");
}
